//! The queue of records that changed since their rules were last run; it is a flag on the record (schema step 2).

use super::{StoreError, Tx};
use rusqlite::params;

/// The records that wait, as the partial index has them: households have no rules.
const WAITS: &str = "validated = 0 AND round IS NOT NULL";

/// A record that waits to be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// Its number.
    pub record: i64,
    /// How many changes it had then: another number says that it changed.
    pub changes: u32,
}

impl Tx<'_> {
    /// Records that wait, by number: those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT id, changes FROM record WHERE {WAITS} AND id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let rows =
            query.query_map(params![after, limit], |row| Ok(Waiting { record: row.get(0)?, changes: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many records wait.
    ///
    /// # Errors
    /// If the store fails.
    pub fn count_waiting(&self) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(&format!("SELECT count(*) FROM record WHERE {WAITS}"))?;
        Ok(query.query_row([], |row| row.get(0))?)
    }

    /// Notes how many rules a record breaks, and that it waits no longer; does nothing if it changed since.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_violations(&self, waiting: Waiting, violations: u32) -> Result<(), StoreError> {
        let mut put = self
            .conn
            .prepare_cached("UPDATE record SET violations = ?3, validated = 1 WHERE id = ?1 AND changes = ?2")?;
        put.execute(params![waiting.record, waiting.changes, violations])?;
        Ok(())
    }
}
