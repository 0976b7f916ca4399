//! Households that were registered twice: which of them are one, by the links that people set and take back.
//!
//! A link is the answer [`Path::SAME_AS`](crate::Path::SAME_AS) of a household's record: it names the household that it
//! is. Both histories stay as they are, late edits reach either, and taking the link back undoes all of it (DESIGN §4).

use crate::ids::HouseholdId;
use std::collections::{BTreeMap, BTreeSet};

/// Tells for every household that links join with another which of them stands for all.
///
/// It is the one that nobody linked to another; where there are several, or links go in a circle, the least by id. So the
/// answer depends on the links alone, not on who set which first.
///
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
/// use sync_protocol::{HouseholdId, households::joined};
/// let home = |n| HouseholdId(uuid::Uuid::from_u128(n));
/// let links = BTreeMap::from([(home(1), BTreeSet::from([home(2)]))]);
/// assert_eq!(joined(&links), BTreeMap::from([(home(1), home(2)), (home(2), home(2))]));
/// ```
#[must_use]
pub fn joined(links: &BTreeMap<HouseholdId, BTreeSet<HouseholdId>>) -> BTreeMap<HouseholdId, HouseholdId> {
    let mut neighbours: BTreeMap<HouseholdId, BTreeSet<HouseholdId>> = BTreeMap::new();
    for (from, others) in links {
        for to in others.iter().filter(|to| *to != from) {
            neighbours.entry(*from).or_default().insert(*to);
            neighbours.entry(*to).or_default().insert(*from);
        }
    }
    let is_linked = |home: &HouseholdId| links.get(home).is_some_and(|others| others.iter().any(|to| to != home));
    let mut joined = BTreeMap::new();
    for start in neighbours.keys() {
        if joined.contains_key(start) {
            continue;
        }
        let (mut together, mut ahead) = (BTreeSet::from([*start]), vec![*start]);
        while let Some(home) = ahead.pop() {
            for next in neighbours.get(&home).into_iter().flatten() {
                if together.insert(*next) {
                    ahead.push(*next);
                }
            }
        }
        let first = together.iter().find(|home| !is_linked(home)).or(together.first()).copied().unwrap_or(*start);
        joined.extend(together.into_iter().map(|home| (home, first)));
    }
    joined
}
