//! The merge of one record: changes go in, in any order and any number of times; siblings, rows,
//! conflicts and the merged view come out.
//!
//! Causality alone decides what replaces what: an answer lives until a change names its dot as a pred.
//! Clocks only pick which sibling is shown (laws L3 and L4). [`Record::apply`] is commutative and
//! idempotent, so the merged view is a pure function of the set of changes and their stamps.

mod snapshot;
mod view;

use crate::{
    change::{Change, Op},
    ids::{Dot, Hash, QuestionnaireRef, Subject},
    path::{Path, Place},
    value::Value,
};
use compact_str::CompactString;
use smallvec::SmallVec;
pub use snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
pub use view::{Answer, Live, Merge, Row, Sibling, Standing};

/// When the server received a change, and how far its author's clock was ahead then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// The server's clock at receipt, in milliseconds since 1970.
    #[serde(rename = "received")]
    pub received_ms: i64,
    /// The device's clock minus the server's, in milliseconds.
    #[serde(rename = "skew")]
    pub skew_ms: i64,
}

/// Who made a change, when, with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The person.
    pub author: CompactString,
    /// The author's clock, uncorrected.
    pub wall_ms: i64,
    /// The server's stamp; none before the server has seen the change.
    pub stamp: Option<Stamp>,
    /// The questionnaire that was filled.
    pub questionnaire: QuestionnaireRef,
}

impl Origin {
    /// The time that picks the winner among siblings: the author's clock corrected by the measured skew,
    /// but not after the receipt. A change without a stamp counts as newest.
    #[must_use]
    pub fn effective_ms(&self) -> i64 {
        match self.stamp {
            Some(stamp) => self.wall_ms.saturating_sub(stamp.skew_ms).min(stamp.received_ms),
            None => i64::MAX,
        }
    }
}

/// All values that one answer ever had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Register {
    sets: SmallVec<[(Dot, Value); 1]>,
    /// Pairs of a replaced dot and the change that replaced it; the replaced one may be yet to come.
    replaced: BTreeSet<(Dot, Dot)>,
}

impl Register {
    fn is_replaced(&self, dot: Dot) -> bool {
        let first = Dot { replica: crate::ids::ReplicaId(uuid::Uuid::nil()), seq: 0 };
        self.replaced.range((dot, first)..).next().is_some_and(|(replaced, _)| *replaced == dot)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RowState {
    adds: BTreeMap<Dot, i64>,
    /// Changes that added or edited the row or anything in it.
    touched: BTreeSet<Dot>,
    /// Changes that a removal covered.
    removed: BTreeSet<Dot>,
}

/// The merge of all changes of one record that were applied so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    subject: Option<Subject>,
    origins: BTreeMap<Dot, Origin>,
    registers: BTreeMap<Path, Register>,
    rows: BTreeMap<Place, RowState>,
    notes: BTreeMap<(Dot, usize), String>,
    voids: BTreeMap<Dot, String>,
    void_covers: BTreeSet<Dot>,
    /// What the changes say again of branches.
    instead_of: BTreeSet<Hash>,
    /// Changes that a snapshot told to be replaced altogether: they do nothing when they come.
    dead: BTreeSet<Dot>,
    /// The newest questionnaire version of the snapshots that were taken.
    folded_form: Option<QuestionnaireRef>,
}

impl Record {
    /// Makes the merge of no changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one change of this record; true if it was new.
    ///
    /// A change that is applied again changes nothing, except that a stamp which was missing is taken
    /// over. The caller gives only changes of one record: their ids tell.
    pub fn apply(&mut self, change: Change, stamp: Option<Stamp>) -> bool {
        let Change { dot, subject, questionnaire, author, wall_ms, ops, instead_of } = change;
        if self.dead.contains(&dot) {
            return false;
        }
        if let Some(origin) = self.origins.get_mut(&dot) {
            if origin.stamp.is_none() {
                origin.stamp = stamp;
            }
            return false;
        }
        self.origins.insert(dot, Origin { author, wall_ms, stamp, questionnaire });
        self.subject.get_or_insert(subject);
        self.instead_of.extend(instead_of);
        let mut notes = 0;
        let mut touched = Place::record();
        for op in ops {
            match op {
                Op::AddRow { row, order } => {
                    self.touch(&row, dot);
                    self.rows.entry(row).or_default().adds.insert(dot, order);
                }
                Op::Set { path, value, preds } => {
                    // The answers of one row stand together and share their place.
                    if !path.place().is_shared_with(&touched) {
                        self.touch(path.place(), dot);
                        touched = path.place().clone();
                    }
                    let register = self.registers.entry(path).or_default();
                    register.replaced.extend(preds.into_iter().map(|pred| (pred, dot)));
                    register.sets.push((dot, value));
                }
                Op::RemoveRow { row, preds } => self.rows.entry(row).or_default().removed.extend(preds),
                Op::Note { text } => {
                    self.notes.insert((dot, notes), text);
                    notes += 1;
                }
                Op::Void { reason, preds } => {
                    self.voids.insert(dot, reason);
                    self.void_covers.extend(preds);
                }
            }
        }
        true
    }

    /// Notes that a change touched a row, and with it every row around it.
    fn touch(&mut self, place: &Place, dot: Dot) {
        if place.is_record() {
            return;
        }
        match self.rows.get_mut(place) {
            Some(row) => {
                if !row.touched.insert(dot) {
                    return;
                }
            }
            None => {
                self.rows.entry(place.clone()).or_default().touched.insert(dot);
            }
        }
        if let Some((outer, _, _)) = place.split() {
            self.touch(&outer, dot);
        }
    }

    /// Which record this is; none before the first change.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Changes that a snapshot told to be replaced altogether.
    pub fn dead(&self) -> impl Iterator<Item = Dot> {
        self.dead.iter().copied()
    }

    /// Every change that was applied, with its origin; of a snapshot those of which something lives.
    pub fn changes(&self) -> impl Iterator<Item = (Dot, &Origin)> {
        self.origins.iter().map(|(dot, origin)| (*dot, origin))
    }

    /// The newest questionnaire version that the record was filled with; none before the first change.
    #[must_use]
    pub fn questionnaire(&self) -> Option<&QuestionnaireRef> {
        self.origins.values().map(|origin| &origin.questionnaire).chain(&self.folded_form).max()
    }

    /// Who made one change.
    #[must_use]
    pub fn origin(&self, dot: Dot) -> Option<&Origin> {
        self.origins.get(&dot)
    }

    /// The remarks, in the order of their changes.
    pub fn notes(&self) -> impl Iterator<Item = (Dot, &str)> {
        self.notes.iter().map(|((dot, _), text)| (*dot, text.as_str()))
    }
}
