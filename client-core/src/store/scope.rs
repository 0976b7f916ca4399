//! Dropping households: which are candidates, what holds one back, what stays in the log.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;
use sync_protocol::{ReplicaId, chain::digest};
use uuid::Uuid;

impl Tx<'_> {
    /// The households on this device, each with the area that is shown.
    pub(crate) fn households(&self) -> Result<Vec<(Uuid, Option<String>)>, Error> {
        let mut query = self.tx.prepare_cached("SELECT household, area FROM record WHERE round IS NULL")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The households that are shown and left for where the device sees nothing: the server said so, or they were dropped
    /// before and own changes of them show up again.
    pub(crate) fn moved(&self) -> Result<BTreeSet<Uuid>, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT DISTINCT record.household FROM record JOIN moved USING (household)")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_moved(&self, household: Uuid) -> Result<(), Error> {
        self.tx.prepare_cached("INSERT OR IGNORE INTO moved (household) VALUES (?1)")?.execute([household])?;
        Ok(())
    }

    /// Whether a household left by the server's word, or was dropped.
    pub(crate) fn has_left(&self, household: Uuid) -> Result<bool, Error> {
        Ok(self.tx.prepare_cached("SELECT 1 FROM moved WHERE household = ?1")?.exists([household])?)
    }

    /// A household whose changes come again is back.
    pub(crate) fn clear_moved(&self, household: Uuid) -> Result<(), Error> {
        self.tx.prepare_cached("DELETE FROM moved WHERE household = ?1")?.execute([household])?;
        Ok(())
    }

    pub(crate) fn delete_cursor(&self, bucket: &str) -> Result<(), Error> {
        self.tx.prepare_cached("DELETE FROM cursor WHERE bucket = ?1")?.execute([bucket])?;
        self.tx.prepare_cached("DELETE FROM peer_cursor WHERE bucket = ?1")?.execute([bucket])?;
        Ok(())
    }

    /// Whether a household or an interview of it has own changes that are not acked, or that the server keeps apart.
    pub(crate) fn has_unsettled(&self, household: Uuid, replica: ReplicaId, acked: u64) -> Result<bool, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT 1 FROM record JOIN change ON change.record = record.id
             WHERE household = ?1 AND hash IS NOT NULL
             AND (replica = ?2 AND seq > ?3 OR verdict LIKE 'quarantined%' OR verdict LIKE 'escrow%' OR verdict LIKE 'refused%')",
        )?;
        Ok(query.exists(params![household, replica.0, acked])?)
    }

    /// Whether an interview of a household was opened, and not left, after a time.
    pub(crate) fn is_held(&self, household: Uuid, since_ms: i64) -> Result<bool, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT 1 FROM record WHERE household = ?1 AND EXISTS (SELECT 1 FROM event WHERE event.id =
                (SELECT max(id) FROM event WHERE event.record = record.id)
                AND kind NOT IN ('form exit', 'form finalize') AND start_ms > ?2)",
        )?;
        Ok(query.exists(params![household, since_ms])?)
    }

    /// The last own seq in a household and its interviews.
    pub(crate) fn last_own(&self, household: Uuid, replica: ReplicaId) -> Result<Option<u64>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT max(seq) FROM record JOIN change ON change.record = record.id
             WHERE household = ?1 AND hash IS NOT NULL AND replica = ?2",
        )?;
        Ok(query.query_row(params![household, replica.0], |row| row.get(0))?)
    }

    /// Takes a household with its interviews from the lists and from what a hub tells, and what others changed from the log; it is
    /// known to have left until it comes again.
    pub(crate) fn drop_household(&self, household: Uuid) -> Result<(), Error> {
        let records = "(SELECT id FROM record WHERE household = ?1)";
        self.unfeed(household, &BTreeSet::new())?;
        self.withhold_each(&format!("hash IS NULL AND record IN {records}"), [household])?;
        self.tx
            .prepare_cached(&format!("DELETE FROM change WHERE hash IS NULL AND record IN {records}"))?
            .execute([household])?;
        self.tx.prepare_cached(&format!("DELETE FROM snapshot WHERE record IN {records}"))?.execute([household])?;
        self.tx
            .prepare_cached(&format!("DELETE FROM attachment_use WHERE record IN {records}"))?
            .execute([household])?;
        self.tx.prepare_cached("DELETE FROM record WHERE household = ?1")?.execute([household])?;
        self.set_moved(household)
    }

    /// Keeps the digests of changes whose bytes go: they let the rest of their batches be proved.
    fn withhold_each(&self, which: &str, params: impl rusqlite::Params) -> Result<(), Error> {
        let mut query = self.tx.prepare_cached(&format!("SELECT replica, seq, bytes FROM change WHERE {which}"))?;
        let mut rows = query.query(params)?;
        while let Some(row) = rows.next()? {
            self.withhold(ReplicaId(row.get(0)?), row.get(1)?, digest(&row.get::<_, Vec<u8>>(2)?))?;
        }
        Ok(())
    }

    /// Frees own changes of what was dropped up to a seq: only their hashes stay. Gives the last seq that was freed, and
    /// whether some are left that are not safe.
    pub(crate) fn free_dropped(&self, replica: ReplicaId, safe: u64) -> Result<(Option<u64>, bool), Error> {
        let dropped = "hash IS NOT NULL AND length(bytes) > 0
            AND NOT EXISTS (SELECT 1 FROM record WHERE record.id = change.record)";
        let mut last = self
            .tx
            .prepare_cached(&format!("SELECT max(seq) FROM change WHERE replica = ?1 AND seq <= ?2 AND {dropped}"))?;
        let freed: Option<u64> = last.query_row(params![replica.0, safe], |row| row.get(0)).optional()?.flatten();
        self.withhold_each(&format!("replica = ?1 AND seq <= ?2 AND {dropped}"), params![replica.0, safe])?;
        let mut free = self.tx.prepare_cached(&format!(
            "UPDATE change SET bytes = x'', record = zeroblob(16) WHERE replica = ?1 AND seq <= ?2 AND {dropped}"
        ))?;
        free.execute(params![replica.0, safe])?;
        let mut left = self.tx.prepare_cached(&format!("SELECT 1 FROM change WHERE replica = ?1 AND {dropped}"))?;
        Ok((freed, left.exists([replica.0])?))
    }
}
