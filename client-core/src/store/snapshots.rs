//! Records as the server told that they stand.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;
use sync_protocol::{Dot, RecordId, ReplicaId, chain::digest};

impl Tx<'_> {
    /// A record's snapshot, as JSON.
    pub(crate) fn snapshot(&self, record: RecordId) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT body FROM snapshot WHERE record = ?1")?;
        Ok(query.query_row([record.0], |row| row.get(0)).optional()?)
    }

    pub(crate) fn put_snapshot(&self, record: RecordId, body: &str) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached("INSERT OR REPLACE INTO snapshot (record, body) VALUES (?1, ?2)")?;
        put.execute(params![record.0, body])?;
        Ok(())
    }

    /// Forgets others' changes of a record that its snapshot holds; their digests stay, to prove the rest of their batches.
    pub(crate) fn forget_folded(&self, record: RecordId, holds: impl Fn(Dot) -> bool) -> Result<(), Error> {
        let mut query =
            self.tx.prepare_cached("SELECT id, replica, seq, bytes FROM change WHERE record = ?1 AND hash IS NULL")?;
        let mut rows = query.query([record.0])?;
        let mut folded: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            let dot = Dot { replica: ReplicaId(row.get(1)?), seq: row.get(2)? };
            if holds(dot) {
                self.withhold(dot.replica, dot.seq, digest(&row.get::<_, Vec<u8>>(3)?))?;
                folded.push(row.get(0)?);
            }
        }
        for id in folded {
            self.tx.prepare_cached("DELETE FROM change WHERE id = ?1")?.execute([id])?;
        }
        Ok(())
    }

    /// The buckets of which snapshots are being told, and how far.
    pub(crate) fn snapshot_places(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut query = self.tx.prepare_cached("SELECT bucket, after FROM cursor WHERE after IS NOT NULL")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
