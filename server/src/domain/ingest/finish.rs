//! The end of a turn: what the new changes amount to, and where it will be pulled from.

use super::{Buckets, Turn, moved, scope_of};
use crate::{
    domain::{Failure, derive, review, validate::Merged},
    store::{RecordKey, StoreError, Waiting},
};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{Change, Dot, Op, ReplicaId, Stamp};

impl Turn<'_> {
    /// Derives every record that the turn touched, marks what was out of scope, and fills the buckets.
    pub(super) fn finish(&mut self, scope: Option<&BTreeSet<i64>>) -> Result<(), Failure> {
        let fresh = std::mem::take(&mut self.fresh);
        let mut buckets = Buckets::default();
        // Areas that a household entered in this turn hold all of its changes already.
        let mut entered: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        let mut placements: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        let mut ids: Vec<(RecordKey, Vec<i64>)> = Vec::new();
        for (key, changes) in fresh {
            ids.push((key, changes.iter().map(|(id, ..)| *id).collect()));
            let is_new = self.new.contains(&key);
            // A copied phone may know the household in an area that it had left before the server heard of it.
            let mut passed: BTreeSet<i64> =
                changes.iter().filter_map(|(.., change)| derive::area_in(change, &self.world.catalogue)).collect();
            let gives_back = self.gives_back(&changes)?;
            // What a decision about an interview may have to hear of.
            let heard = if key.is_household() || (is_new && !gives_back) { &[][..] } else { changes.as_slice() };
            let dots: Vec<Dot> = heard.iter().map(|(.., change)| change.dot).collect();
            let is_void = |change: &Change| change.ops.iter().any(|op| matches!(op, Op::Void { .. }));
            let voids: Vec<i64> = heard.iter().filter(|(.., change)| is_void(change)).map(|(id, ..)| *id).collect();
            let record = if is_new {
                let changes = changes.into_iter().map(|(_, stamp, change)| (change, Some(stamp))).collect();
                derive::merge_changes(changes, &self.world.catalogue)
            } else {
                derive::merge(self.tx.changes_of(key.id)?, &self.world.catalogue)?
            };
            let derived = derive::derive(&record, &self.world.catalogue);
            if key.is_household() {
                // All changes of a new household are this turn's: they are appended below like any others.
                if !is_new {
                    let before = self.tx.placement(key.id)?;
                    entered.insert(key.household, derived.placement.difference(&before).copied().collect());
                    passed.extend(before);
                }
                if let Some(subject) = record.subject().filter(|_| !derived.placement.is_empty()) {
                    passed.extend(self.tx.take_escrow_areas(subject.household())?);
                }
                for area in passed.difference(&derived.placement) {
                    buckets.departures.push((*area, key.household));
                }
                placements.insert(key.household, derived.placement.clone());
            }
            match (is_new, record.subject(), record.questionnaire()) {
                (true, Some(subject), Some(form)) => {
                    self.tx.insert_record(key, subject.record(&form.id), subject, &derived)?;
                }
                (_, _, _) => self.tx.set_derived(key, &derived)?,
            }
            if !key.is_household() {
                if gives_back {
                    review::recall(self.tx, key, &record, &self.world.catalogue, self.stamp.received_ms)?;
                }
                // Nobody has decided about one that has just come, unless its decision came back with it.
                if !is_new || gives_back {
                    let noticed =
                        review::notice(self.tx, key, &record, &dots, &self.world.catalogue, self.stamp.received_ms)?;
                    if noticed == Some(review::Transition::Discard) {
                        voids.iter().try_for_each(|change| self.tx.flag(*change, "discarded", ""))?;
                    }
                }
                let waiting = Waiting { record: key.id, changes: derived.changes };
                self.merged.push(Merged { waiting, answers: derived.answers, record });
            }
        }
        for (household, areas) in &entered {
            if !areas.is_empty() {
                let all = self.tx.changes_of_household(*household)?;
                for area in areas {
                    buckets.add(*area, &all);
                }
            }
        }
        for (key, changes) in &ids {
            let placement = match placements.get(&key.household) {
                Some(placement) => placement,
                None => placements.entry(key.household).or_insert(self.tx.placement(key.household)?),
            };
            let just_entered = entered.get(&key.household);
            for area in placement {
                if !just_entered.is_some_and(|entered| entered.contains(area)) {
                    buckets.add(*area, changes);
                }
            }
            let Some(own) = scope.filter(|_| !placement.is_empty()) else { continue };
            let is_outside = placement.is_disjoint(own);
            if !is_outside && self.carried.is_empty() {
                continue;
            }
            for change in changes {
                let is_outside = match self.carried.get(change) {
                    None => is_outside,
                    Some(author) => self.scope_of(*author)?.is_some_and(|scope| placement.is_disjoint(scope)),
                };
                if is_outside {
                    self.tx.flag(*change, "out-of-scope", "")?;
                }
            }
        }
        self.depart_from_escrow(&mut buckets)?;
        moved::bring_back(self.tx, std::mem::take(&mut self.moved_once), &mut buckets)?;
        buckets.append(self.tx)?;
        Ok(())
    }

    /// Who heard of a household by what is in escrow now, before the server was restored, shows it where that placed it: where it
    /// lives elsewhere, it has left. One that has no place yet is looked at when it gets one.
    fn depart_from_escrow(&mut self, buckets: &mut Buckets) -> Result<(), StoreError> {
        for (household, area) in std::mem::take(&mut self.in_escrow) {
            let key = self.tx.record_key(household.into())?;
            let placement = key.map_or(Ok(BTreeSet::new()), |key| self.tx.placement(key.id))?;
            match key.filter(|_| !placement.is_empty()) {
                Some(key) if placement.contains(&area) || self.tx.has_left(area, key.id)? => {}
                Some(key) => buckets.departures.push((area, key.id)),
                None => self.tx.put_escrow_area(household, area)?,
            }
        }
        Ok(())
    }

    /// Whether somebody gave back what a coordinator said to a server that has forgotten it.
    fn gives_back(&mut self, changes: &[(i64, Stamp, Change)]) -> Result<bool, StoreError> {
        for (id, _, change) in changes {
            if self.carried.contains_key(id) && self.row(change.dot.replica)?.device.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The areas in which the author of what somebody else carried may work.
    fn scope_of(&mut self, author: ReplicaId) -> Result<Option<&BTreeSet<i64>>, StoreError> {
        if !self.scopes.contains_key(&author) {
            let bearer = self.tx.bearer(author)?;
            let scope = bearer.map(|bearer| scope_of(self.tx, &bearer.enumerator)).transpose()?;
            self.scopes.insert(author, scope);
        }
        Ok(self.scopes.get(&author).and_then(Option::as_ref))
    }
}
