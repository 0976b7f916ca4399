//! Records as they stand, for devices that would otherwise pull a long history (DESIGN §5, rule 10).
//!
//! A snapshot has nothing that proves it, so it holds only what is in every backup that is kept: no restore loses that. What is
//! newer follows as changes with their proofs (`docs/decisions/0015-a-snapshot-is-the-state-of-one-record.md`).

use crate::store::{StoreError, Tx};
use sync_protocol::{Change, Record, Snapshot};

/// How long a history is pulled as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So many changes of a bucket that is new to a device are told as they are.
    pub at_first: u64,
    /// So many that a device has not pulled of one that it knows.
    pub changes: u64,
    /// So many more for each household of the bucket: a snapshot tells all of them, not what is new alone.
    pub per_household: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { at_first: 16, changes: 256, per_household: 16 }
    }
}

impl Patience {
    /// Whether a device that has pulled a bucket through `cursor` gets snapshots.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_over(self, tx: Tx<'_>, area: i64, cursor: u64) -> Result<bool, StoreError> {
        let behind = tx.safe_bucket_head(area)?.saturating_sub(cursor);
        if cursor == 0 || behind <= self.changes {
            return Ok(cursor == 0 && behind > self.at_first);
        }
        let spared = tx.households_in(area)?.saturating_mul(self.per_household);
        Ok(behind.saturating_sub(self.changes) > spared)
    }
}

/// The next records of a bucket as they stood after the change of a number, up to a budget of bytes but at least one household
/// with its interviews.
///
/// With them the place to go on from; none where all of them were told.
///
/// # Errors
/// If the store fails or a stored change can't be read.
pub fn page(
    tx: Tx<'_>,
    area: i64,
    after: u64,
    budget: usize,
    through: i64,
) -> Result<(Vec<Snapshot>, Option<u64>, usize), StoreError> {
    let (mut snapshots, mut size, mut after) = (Vec::new(), 0_usize, after);
    loop {
        let households = tx.households_of(area, after, 64)?;
        if households.is_empty() {
            return Ok((snapshots, None, size));
        }
        for household in households {
            for record in tx.records_of(household)? {
                let mut merged = Record::new();
                for row in tx.changes_of(record)?.into_iter().filter(|row| row.id <= through) {
                    let change = Change::from_stored(row.dot, &row.bytes);
                    let change = change.map_err(|_ignored| StoreError::Corrupt("an applied change"))?;
                    merged.apply(change, Some(row.stamp));
                }
                if let Some(snapshot) = merged.snapshot() {
                    size = size.saturating_add(serde_json::to_vec(&snapshot).map_or(0, |json| json.len()));
                    snapshots.push(snapshot);
                }
            }
            after = u64::try_from(household).unwrap_or(0);
            if size >= budget {
                return Ok((snapshots, Some(after), size));
            }
        }
    }
}
