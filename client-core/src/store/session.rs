//! Interviews in progress: where each stands, the log of time, and the answers saved last.

use super::{Error, Tx};
use crate::interview::Event;
use rusqlite::{OptionalExtension, params};
use sync_protocol::RecordId;

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
