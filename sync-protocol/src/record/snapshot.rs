//! One record as it stands, without what was replaced: what a new device gets instead of the whole history.
//!
//! It names exactly the changes that are folded in (DESIGN §5, rule 10): a dot among them that is not live is dead, whoever
//! brings it again. Changes that are not among them merge with it as with the changes themselves, in any order.

mod json;

use super::{Record, Stamp};
use crate::{
    change::{Change, Op},
    ids::{Dot, Hash, QuestionnaireRef, ReplicaId, Subject},
    path::{Path, Place},
};
use std::collections::{BTreeMap, BTreeSet};

/// Names no change: what replaced a value that a snapshot tells to be dead.
const NOBODY: Dot = Dot { replica: ReplicaId(uuid::Uuid::nil()), seq: 0 };

/// A record without what was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which record.
    pub subject: Subject,
    /// The newest questionnaire version among the changes folded in.
    pub questionnaire: QuestionnaireRef,
    /// The changes of which something lives, by dot: only that, and without preds.
    pub changes: Vec<(Change, Option<Stamp>)>,
    /// The changes of which nothing lives.
    pub dead: BTreeSet<Dot>,
    /// Values that were replaced at a path before they came there.
    pub replaced: BTreeSet<(Path, Dot)>,
    /// Rows that a change touched of which nothing lives there.
    pub touched: BTreeSet<(Place, Dot)>,
    /// What removals of a row covered.
    pub removed: BTreeSet<(Place, Dot)>,
    /// What voids covered.
    pub covered: BTreeSet<Dot>,
    /// What the changes say again of branches (see [`Change::instead_of`]).
    pub instead_of: BTreeSet<Hash>,
}

impl Snapshot {
    /// Whether a change is folded in.
    #[must_use]
    pub fn holds(&self, dot: Dot) -> bool {
        self.dead.contains(&dot) || self.changes.binary_search_by_key(&dot, |(change, _)| change.dot).is_ok()
    }

    /// Joins what two servers, or two lives of one, knew of a record.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let mut record = Record::new();
        let fallback = self.clone();
        record.take(self);
        record.take(other);
        record.snapshot().unwrap_or(fallback)
    }
}

impl Record {
    /// The record as it stands; none before the first change.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let subject = self.subject.clone()?;
        let mut snapshot = Snapshot {
            subject,
            questionnaire: self.questionnaire()?.clone(),
            changes: Vec::new(),
            dead: self.dead.clone(),
            replaced: BTreeSet::new(),
            touched: BTreeSet::new(),
            removed: BTreeSet::new(),
            covered: self.void_covers.clone(),
            instead_of: self.instead_of.clone(),
        };
        let mut live: BTreeMap<Dot, Vec<Op>> = BTreeMap::new();
        let mut told: BTreeSet<(Place, Dot)> = BTreeSet::new();
        for (place, row) in &self.rows {
            for (dot, order) in &row.adds {
                live.entry(*dot).or_default().push(Op::AddRow { row: place.clone(), order: *order });
                tell(&mut told, place, *dot);
            }
            snapshot.removed.extend(row.removed.iter().map(|dot| (place.clone(), *dot)));
        }
        for (path, register) in &self.registers {
            for (dot, value) in register.sets.iter().filter(|(dot, _)| !register.is_replaced(*dot)) {
                let set = Op::Set { path: path.clone(), value: value.clone(), preds: Vec::new() };
                live.entry(*dot).or_default().push(set);
                tell(&mut told, path.place(), *dot);
            }
            let early = register.replaced.iter().map(|(replaced, _)| *replaced);
            let early = early.filter(|dot| !register.sets.iter().any(|(set, _)| set == dot));
            snapshot.replaced.extend(early.map(|dot| (path.clone(), dot)));
        }
        for (place, row) in &self.rows {
            let silent = row.touched.iter().map(|dot| (place.clone(), *dot)).filter(|touch| !told.contains(touch));
            snapshot.touched.extend(silent);
        }
        for ((dot, _), text) in &self.notes {
            live.entry(*dot).or_default().push(Op::Note { text: text.clone() });
        }
        for (dot, reason) in &self.voids {
            live.entry(*dot).or_default().push(Op::Void { reason: reason.clone(), preds: Vec::new() });
        }
        for (dot, origin) in &self.origins {
            let Some(ops) = live.remove(dot) else {
                snapshot.dead.insert(*dot);
                continue;
            };
            let change = Change {
                dot: *dot,
                subject: snapshot.subject.clone(),
                questionnaire: origin.questionnaire.clone(),
                author: origin.author.clone(),
                wall_ms: origin.wall_ms,
                ops,
                instead_of: None,
            };
            snapshot.changes.push((change, origin.stamp));
        }
        Some(snapshot)
    }

    /// Merges a snapshot of this record with what was applied so far.
    ///
    /// What both know lives only where both have it live; what one alone knows stays as it is there.
    pub fn take(&mut self, snapshot: Snapshot) {
        let live: BTreeSet<(&Path, Dot)> = snapshot
            .changes
            .iter()
            .flat_map(|(change, _)| change.ops.iter().filter_map(|op| Some((set_path(op)?, change.dot))))
            .collect();
        for (path, register) in &mut self.registers {
            let dead = register.sets.iter().map(|(dot, _)| *dot);
            let dead: Vec<Dot> = dead.filter(|dot| snapshot.holds(*dot) && !live.contains(&(path, *dot))).collect();
            register.replaced.extend(dead.into_iter().map(|dot| (dot, NOBODY)));
        }
        self.subject.get_or_insert_with(|| snapshot.subject.clone());
        for (change, stamp) in snapshot.changes {
            self.apply(change, stamp);
        }
        self.dead.extend(snapshot.dead.into_iter().filter(|dot| !self.origins.contains_key(dot)));
        for (path, dot) in snapshot.replaced {
            self.registers.entry(path).or_default().replaced.insert((dot, NOBODY));
        }
        for (place, dot) in snapshot.touched {
            self.rows.entry(place).or_default().touched.insert(dot);
        }
        for (place, dot) in snapshot.removed {
            self.rows.entry(place).or_default().removed.insert(dot);
        }
        self.void_covers.extend(snapshot.covered);
        self.instead_of.extend(snapshot.instead_of);
        self.folded_form = self.folded_form.take().max(Some(snapshot.questionnaire));
    }
}

fn set_path(op: &Op) -> Option<&Path> {
    match op {
        Op::Set { path, .. } => Some(path),
        Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
    }
}

/// Notes that what lives in a row tells by itself that its change touched the row and those around it.
fn tell(told: &mut BTreeSet<(Place, Dot)>, place: &Place, dot: Dot) {
    if !place.is_record()
        && told.insert((place.clone(), dot))
        && let Some((outer, _, _)) = place.split()
    {
        tell(told, &outer, dot);
    }
}
