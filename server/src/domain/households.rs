//! Households registered twice: joined by a link that can be taken back. Both histories stay (DESIGN §4).

use super::{Failure, derive::merge, ingest::World, review::author_changes};
use crate::store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    HouseholdId, Missing, Op, Path, Place, QuestionnaireRef, RecordId, Subject, Value, households::joined,
    problem::Code,
};

/// More are not looked at: so many registrations of one household are a mistake of another kind.
const MOST: usize = 1000;

/// The households that links join with one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Joined {
    /// The one that stands for all.
    pub first: HouseholdId,
    /// All of them, in the order of their ids.
    pub all: BTreeSet<HouseholdId>,
}

/// The households that are one with this one; none where no link joins it.
///
/// # Errors
/// If the store fails.
pub fn of(tx: Tx<'_>, household: HouseholdId) -> Result<Option<Joined>, StoreError> {
    let mut links: BTreeMap<HouseholdId, BTreeSet<HouseholdId>> = BTreeMap::new();
    let (mut seen, mut ahead) = (BTreeSet::from([household]), vec![household]);
    while let Some(home) = ahead.pop() {
        for (from, to) in tx.links_of(home)? {
            links.entry(from).or_default().insert(to);
            ahead.extend([from, to].into_iter().filter(|next| seen.len() < MOST && seen.insert(*next)));
        }
    }
    let joined = joined(&links);
    let Some(first) = joined.get(&household).copied() else { return Ok(None) };
    Ok(Some(Joined { first, all: joined.into_keys().collect() }))
}

/// Says that a household is another one: registered twice.
///
/// # Errors
/// [`Code::NotFound`] if either is not known; [`Code::WrongType`] for a household and itself.
pub fn link(
    tx: Tx<'_>,
    household: HouseholdId,
    same_as: HouseholdId,
    author: &str,
    world: &World,
    now_ms: i64,
) -> Result<(), Failure> {
    if household == same_as {
        return Err(Failure::problem(Code::WrongType, "`same_as`: a household is itself anyway: name another one"));
    }
    if tx.record_key(RecordId::from(same_as))?.is_none() {
        return Err(Failure::problem(Code::NotFound, format!("`same_as`: no household {same_as} here")));
    }
    say(tx, household, Value::text(same_as.to_string()), author, world, now_ms)
}

/// Takes every link of a household to others back; what links to it stays.
///
/// # Errors
/// [`Code::NotFound`] if the household is not known, or has no link.
pub fn unlink(tx: Tx<'_>, household: HouseholdId, author: &str, world: &World, now_ms: i64) -> Result<(), Failure> {
    let own = tx.links_of(household)?.into_iter().any(|(from, _)| from == household);
    if !own {
        return Err(Failure::problem(Code::NotFound, format!("household {household} is linked to no other")));
    }
    say(tx, household, Value::Missing(Missing::Cleared), author, world, now_ms)
}

fn say(
    tx: Tx<'_>,
    household: HouseholdId,
    value: Value,
    author: &str,
    world: &World,
    now_ms: i64,
) -> Result<(), Failure> {
    let unknown = || Failure::problem(Code::NotFound, format!("no household {household} here"));
    let key = tx.record_key(household.into())?.ok_or_else(unknown)?;
    let record = merge(tx.changes_of(key.id)?, &world.catalogue)?;
    let path = Path::new(Place::record(), Path::SAME_AS).map_err(|_ignored| unknown())?;
    let preds = record.answer(&path).map(|answer| answer.all()).unwrap_or_default();
    let register = QuestionnaireRef::household_register();
    let ops = vec![Op::Set { path, value, preds }];
    author_changes(tx, vec![(Subject::Household(household), register, ops)], author, world, now_ms).map(drop)
}
