//! What the office does with the register and the teams: households joined and parted, leaders, who visits whom first.

use super::{dice::Dice, oracle::Shown, plan::Act, world::World};
use anyhow::Result;
use server::{
    domain::{Failure, derive, households},
    store::{RecordFilter, Tx},
};
use sync_protocol::{Code, HouseholdId, Path, RecordId};

/// A household that somebody at the office picks from the first page of the list.
fn some_household(tx: Tx<'_>, dice: &mut Dice) -> Result<HouseholdId, Failure> {
    let rows = tx.records(&RecordFilter::default(), 0, 50)?;
    let row = dice.pick(&rows).ok_or_else(|| Failure::problem(Code::NotFound, "nobody is registered"))?;
    let key = tx.record_key(row.id)?.ok_or_else(|| Failure::problem(Code::NotFound, "no such record"))?;
    Ok(tx.household(key.household)?)
}

impl World {
    /// Joins two households, or takes a household's link back, while people may still be editing both.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub(super) fn link(&mut self, act: Act, dice: &mut Dice) -> Result<()> {
        let (now_ms, mut pick) = (self.office_ms(), Dice::new(dice.roll()));
        let path: Path = Path::SAME_AS.parse()?;
        let done = self.office.write(|tx, world| {
            let (one, other) = (some_household(tx, &mut pick)?, some_household(tx, &mut pick)?);
            if one == other {
                return Err(Failure::problem(Code::NotFound, "no second household"));
            }
            let before = match tx.record_key(one.into())? {
                Some(key) => derive::merge(tx.changes_of(key.id)?, &world.catalogue)?,
                None => sync_protocol::Record::new(),
            };
            let shown: Vec<_> = before.answer(&path).into_iter().flat_map(|answer| answer.siblings).collect();
            let shown = shown.into_iter().map(|sibling| sibling.value.clone()).collect();
            if act == Act::Link {
                households::link(tx, one, other, "rini", world, now_ms)?;
            } else {
                households::unlink(tx, one, "rini", world, now_ms)?;
            }
            Ok((RecordId::from(one), shown))
        });
        if let Ok((record, shown)) = &done {
            self.count(if act == Act::Link { "households joined" } else { "households parted" });
            let head = self.own_head()?;
            self.note_own(head, &Shown::from([((*record, path), Vec::clone(shown))]))?;
        }
        self.excuse(done.map(|_| ()))
    }

    /// Sends an enumerator to a household first, or no longer.
    pub(super) fn first_visit(&mut self, who: &str, dice: &mut Dice) -> Result<(), Failure> {
        let mut pick = Dice::new(dice.roll());
        self.office.write(|tx, _| {
            let household = some_household(tx, &mut pick)?;
            if pick.chance(700) {
                tx.assign_household(who, household, "1")?;
            } else {
                tx.unassign_household(who, household, "1")?;
            }
            Ok(())
        })
    }
}
