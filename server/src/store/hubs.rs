//! What hubs and their guests are told: passes, who is barred, how far a history is held and counts.

use super::{ChangeState, StoreError, Tx, log::read_states};
use rusqlite::{OptionalExtension, params};
use sync_protocol::ReplicaId;

/// A device as its pass names it.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Its enumerator's code.
    pub enumerator: String,
    /// What people call it.
    pub name: String,
    /// Its enumerator leads a team: it may be a hub.
    pub leads: bool,
    /// It was revoked.
    pub revoked: bool,
}

impl Tx<'_> {
    /// The device on which a replica lives; none for the server's own.
    ///
    /// # Errors
    /// If the store fails.
    pub fn bearer(&self, replica: ReplicaId) -> Result<Option<Bearer>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT enumerator, name, EXISTS (SELECT 1 FROM lead WHERE lead.enumerator = device.enumerator),
                revoked_ms IS NOT NULL
             FROM replica JOIN device ON device.id = replica.device WHERE uuid = ?1",
        )?;
        let row = query.query_row([replica.0], |row| {
            Ok(Bearer { enumerator: row.get(0)?, name: row.get(1)?, leads: row.get(2)?, revoked: row.get(3)? })
        });
        Ok(row.optional()?)
    }

    /// The names that a device had before this one, the latest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn earlier_names(&self, replica: i64) -> Result<Vec<ReplicaId>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "WITH RECURSIVE earlier (id, depth) AS (
                 SELECT adopted_from, 1 FROM replica WHERE id = ?1 UNION
                 SELECT adopted_from, depth + 1 FROM earlier JOIN replica USING (id) WHERE depth < 100)
             SELECT uuid FROM earlier JOIN replica USING (id) ORDER BY depth",
        )?;
        let rows = query.query_map([replica], |row| Ok(ReplicaId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The replicas of devices that were revoked after a time.
    ///
    /// # Errors
    /// If the store fails.
    pub fn revoked_since(&self, since_ms: i64) -> Result<Vec<ReplicaId>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT uuid FROM device JOIN replica ON replica.device = device.id WHERE revoked_ms > ?1 ORDER BY replica.id",
        )?;
        let rows = query.query_map([since_ms], |row| Ok(ReplicaId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first change of a replica that is held and does not count.
    ///
    /// # Errors
    /// If the store fails.
    pub fn first_kept_apart(&self, replica: i64) -> Result<Option<u64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT min(seq) FROM change WHERE replica = ?1 AND state <> 0")?;
        Ok(query.query_row([replica], |row| row.get(0))?)
    }

    /// What of a span of a replica's changes is held and does not count.
    ///
    /// # Errors
    /// If the store fails.
    pub fn kept_apart(
        &self,
        replica: i64,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, ChangeState, Option<String>)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT seq, state, code FROM change LEFT JOIN quarantine ON quarantine.change = change.id
             WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3 AND state <> 0 ORDER BY seq",
        )?;
        read_states(query.query(params![replica, first, last])?)
    }

    /// Notes which device brought a batch of another.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_carrier(&self, replica: i64, first: u64, last: u64, device: i64) -> Result<(), StoreError> {
        let mut put = self
            .conn
            .prepare_cached("UPDATE batch SET carrier = ?4 WHERE replica = ?1 AND first = ?2 AND last = ?3")?;
        put.execute(params![replica, first, last, device])?;
        Ok(())
    }
}
