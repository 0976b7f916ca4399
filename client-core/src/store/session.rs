//! Interviews in progress: where each stands, the log of time, and the answers saved last.

use super::{Error, Tx};
use crate::interview::Event;
use rusqlite::{OptionalExtension, params};
use sync_protocol::{Dot, RecordId, ReplicaId};

impl Tx<'_> {
    /// Where an interview was left, and in which language.
    pub(crate) fn session(&self, record: RecordId) -> Result<Option<(String, String)>, Error> {
        let mut query = self.tx.prepare_cached("SELECT position, language FROM session WHERE record = ?1")?;
        Ok(query.query_row([record.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    pub(crate) fn set_session(&self, record: RecordId, position: &str, language: &str) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO session (record, position, language) VALUES (?1, ?2, ?3)
             ON CONFLICT (record) DO UPDATE SET position = excluded.position, language = excluded.language",
        )?;
        put.execute(params![record.0, position, language])?;
        Ok(())
    }

    /// The own change that put what the form began with; none where nothing did.
    pub(crate) fn begun(&self, record: RecordId) -> Result<Option<Dot>, Error> {
        let mut query = self.tx.prepare_cached("SELECT begun_by, begun FROM session WHERE record = ?1")?;
        let begun: Option<(Option<uuid::Uuid>, Option<u64>)> =
            query.query_row([record.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(begun.and_then(|(by, seq)| Some(Dot { replica: ReplicaId(by?), seq: seq? })))
    }

    pub(crate) fn set_begun(&self, record: RecordId, dot: Option<Dot>) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO session (record, position, language, begun, begun_by) VALUES (?1, '.', '', ?2, ?3)
             ON CONFLICT (record) DO UPDATE SET begun = excluded.begun, begun_by = excluded.begun_by",
        )?;
        put.execute(params![record.0, dot.map(|dot| dot.seq), dot.map(|dot| dot.replica.0)])?;
        Ok(())
    }

    /// A change that a form began with goes on under another name.
    pub(crate) fn rename_begun(&self, old: Dot, new: Dot) -> Result<(), Error> {
        let mut put = self
            .tx
            .prepare_cached("UPDATE session SET begun = ?3, begun_by = ?4 WHERE begun = ?1 AND begun_by = ?2")?;
        put.execute(params![old.seq, old.replica.0, new.seq, new.replica.0])?;
        Ok(())
    }

    pub(crate) fn log_event(&self, record: RecordId, event: &Event) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO event (record, kind, node, start_ms, end_ms, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let (before, after) = event.change.as_ref().map(|(before, after)| (before, after)).unzip();
        put.execute(params![record.0, event.kind, event.node, event.start_ms, event.end_ms, before, after])?;
        Ok(())
    }

    /// The log of an interview, in order.
    pub(crate) fn events(&self, record: RecordId) -> Result<Vec<Event>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT kind, node, start_ms, end_ms, before, after FROM event WHERE record = ?1 ORDER BY id",
        )?;
        let rows = query.query_map([record.0], |row| {
            let (before, after): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
            Ok(Event {
                kind: row.get(0)?,
                node: row.get(1)?,
                start_ms: row.get(2)?,
                end_ms: row.get(3)?,
                change: before.zip(after),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The other interview by a form of this id that this device saved last.
    pub(crate) fn saved_last(&self, form: &str, but: RecordId) -> Result<Option<RecordId>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT change.record FROM change JOIN record ON record.id = change.record
             WHERE change.hash IS NOT NULL AND record.round IS NOT NULL AND record.id <> ?2
             AND substr(record.form, 1, length(?1) + 1) = ?1 || '@' ORDER BY change.id DESC LIMIT 1",
        )?;
        Ok(query.query_row(params![form, but.0], |row| row.get(0)).optional()?.map(RecordId))
    }
}
