//! Households that moved by what may have counted before the server was restored, and is kept apart now. Who had heard of it dropped
//! them; while it waits they live where they did, and come whole again to who works there.

use super::Buckets;
use crate::{
    domain::derive,
    store::{StoreError, Tx},
};
use std::collections::BTreeSet;
use sync_protocol::{Change, Dot, HouseholdId};

/// The household that a change moves, if it moves one.
pub(super) fn moved_by(dot: Dot, bytes: &[u8]) -> Option<HouseholdId> {
    let change = Change::from_stored(dot, bytes).ok()?;
    derive::area_named(&change).map(|_| change.subject.household())
}

/// Appends households whole to the buckets that they are in.
pub(super) fn bring_back(
    tx: Tx<'_>,
    households: BTreeSet<HouseholdId>,
    buckets: &mut Buckets,
) -> Result<(), StoreError> {
    for household in households {
        let Some(key) = tx.record_key(household.into())? else { continue };
        let all = tx.changes_of_household(key.household)?;
        for area in tx.placement(key.id)? {
            buckets.add(area, &all);
        }
    }
    Ok(())
}

/// Brings those back that something moves which waits in a store that is restored: it may have been released since.
///
/// # Errors
/// If the store fails.
pub fn bring_back_all(tx: Tx<'_>) -> Result<(), StoreError> {
    let (mut moved, mut buckets) = (BTreeSet::new(), Buckets::default());
    tx.each_kept_apart(|dot, bytes| moved.extend(moved_by(dot, bytes)))?;
    bring_back(tx, moved, &mut buckets)?;
    buckets.append(tx)
}
