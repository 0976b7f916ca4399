//! What devices will pull: the buckets that a turn appends to.

use crate::store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// What a turn appends to each bucket.
#[derive(Default)]
pub(super) struct Buckets {
    changes: BTreeMap<i64, BTreeSet<i64>>,
    /// Areas with a household that left them.
    pub(super) departures: Vec<(i64, i64)>,
}

impl Buckets {
    pub(super) fn add(&mut self, area: i64, changes: &[i64]) {
        self.changes.entry(area).or_default().extend(changes);
    }

    /// Appends the changes in the order of their numbers, as runs without gaps, and raises the heads.
    pub(super) fn append(self, tx: Tx<'_>) -> Result<(), StoreError> {
        for (area, changes) in self.changes {
            let mut head = tx.bucket_head(area)?;
            let mut run: Option<(i64, i64)> = None;
            for change in changes {
                run = match run {
                    Some((first, last)) if change == last + 1 => Some((first, change)),
                    Some(run) => {
                        head = append_run(tx, area, head, run)?;
                        Some((change, change))
                    }
                    None => Some((change, change)),
                };
            }
            if let Some(run) = run {
                head = append_run(tx, area, head, run)?;
            }
            tx.set_bucket_head(area, head)?;
        }
        for (area, household) in self.departures {
            let head = tx.bucket_head(area)?.saturating_add(1);
            tx.insert_departure(area, head, household)?;
            tx.set_bucket_head(area, head)?;
        }
        Ok(())
    }
}

fn append_run(tx: Tx<'_>, area: i64, head: u64, (first, last): (i64, i64)) -> Result<u64, StoreError> {
    let count = u64::try_from(last.saturating_sub(first)).unwrap_or(0).saturating_add(1);
    let head = head.saturating_add(count);
    tx.append_to_bucket(area, head, first, count)?;
    Ok(head)
}
