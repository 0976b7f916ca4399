//! What a merged record shows: answers with their siblings, rows, standing, and one canonical text of all.

use super::{Origin, Record, Register};
use crate::{
    ids::Dot,
    path::{Path, Place},
    value::Value,
};
use serde_json::{Map, Value as Json, json};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// One live value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sibling<'a> {
    /// The change that set it.
    pub dot: Dot,
    /// The value.
    pub value: &'a Value,
    /// Who, when, with what.
    pub origin: &'a Origin,
}

/// How siblings of one answer come together; declared in the questionnaire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// Distinct siblings are a conflict for a person to resolve.
    #[default]
    Register,
    /// Concurrent sets of choices are united (a select multiple that asks for it).
    Union,
}

/// One answer of the merged view: at least one sibling, the winner first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The live values; the first is shown.
    pub siblings: SmallVec<[Sibling<'a>; 1]>,
}

impl<'a> Answer<'a> {
    fn of(register: &'a Register, record: &'a Record) -> Option<Self> {
        let mut siblings: SmallVec<[_; 1]> = register
            .sets
            .iter()
            .filter(|(dot, _)| !register.is_replaced(*dot))
            .filter_map(|(dot, value)| Some(Sibling { dot: *dot, value, origin: record.origin(*dot)? }))
            .collect();
        if siblings.len() > 1 {
            siblings.sort_by_key(|sibling| Reverse((sibling.origin.effective_ms(), sibling.dot)));
        }
        (!siblings.is_empty()).then_some(Self { siblings })
    }

    /// The value that is shown.
    #[must_use]
    pub fn value(&self, merge: Merge) -> Cow<'a, Value> {
        let missing = || Cow::Owned(Value::Missing(crate::value::Missing::NotAsked));
        let Some(winner) = self.siblings.first() else {
            return missing();
        };
        if merge == Merge::Register || self.siblings.len() == 1 {
            return Cow::Borrowed(winner.value);
        }
        let mut union = Vec::new();
        for sibling in &self.siblings {
            let Value::Choices(choices) = sibling.value else {
                return Cow::Borrowed(winner.value);
            };
            union.extend(choices.iter().cloned());
        }
        let union: BTreeSet<String> = union.into_iter().collect();
        Cow::Owned(Value::Choices(union.into_iter().collect()))
    }

    /// Whether siblings with distinct values wait for a person.
    #[must_use]
    pub fn is_conflict(&self, merge: Merge) -> bool {
        let Some((winner, rest)) = self.siblings.split_first() else {
            return false;
        };
        let distinct = rest.iter().any(|sibling| !sibling.value.same_as(winner.value));
        let united =
            merge == Merge::Union && self.siblings.iter().all(|sibling| matches!(sibling.value, Value::Choices(_)));
        distinct && !united
    }

    /// The preds of an ordinary edit: the winner, which was displayed, and its equals.
    #[must_use]
    pub fn displayed(&self) -> Vec<Dot> {
        let Some(winner) = self.siblings.first() else {
            return Vec::new();
        };
        self.siblings.iter().filter(|s| s.value.same_as(winner.value)).map(|s| s.dot).collect()
    }

    /// The preds of a resolution, which displayed every sibling.
    #[must_use]
    pub fn all(&self) -> Vec<Dot> {
        self.siblings.iter().map(|sibling| sibling.dot).collect()
    }
}

/// The live values of an answer, not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    register: &'a Register,
    record: &'a Record,
}

impl<'a> Live<'a> {
    /// The value that is shown, as [`Answer::value`] gives it, without a look at who gave it; none where no value lives.
    #[must_use]
    pub fn value(&self, merge: Merge) -> Option<Cow<'a, Value>> {
        match self.register.sets.as_slice() {
            [(dot, value)] if !self.register.is_replaced(*dot) => Some(Cow::Borrowed(value)),
            [] | [_] => None,
            [..] => self.answer().map(|answer| answer.value(merge)),
        }
    }

    /// How many values live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.register.sets.iter().filter(|(dot, _)| !self.register.is_replaced(*dot)).count()
    }

    /// The answer with who gave each value; none where no value lives.
    #[must_use]
    pub fn answer(&self) -> Option<Answer<'a>> {
        Answer::of(self.register, self.record)
    }
}

/// One roster row of the merged view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// Its place among its siblings; the id breaks ties.
    pub order: i64,
    /// Somebody removed it while somebody else edited it: it was kept, and a person should look.
    pub kept: bool,
}

/// Whether a record is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody voided it.
    Valid,
    /// Somebody voided it having seen all of it.
    Void,
    /// Somebody voided it while somebody else edited it: it is kept, and a person should look.
    KeptDespiteVoid,
}

impl Record {
    /// The merged answer at a path, if it has a live value.
    #[must_use]
    pub fn answer(&self, path: &Path) -> Option<Answer<'_>> {
        self.registers.get(path).and_then(|register| Answer::of(register, self))
    }

    /// Every answer with a live value, those in removed rows too.
    pub fn answers(&self) -> impl Iterator<Item = (&Path, Answer<'_>)> {
        self.registers.iter().filter_map(|(path, register)| Some((path, Answer::of(register, self)?)))
    }

    /// Every answer that anyone ever gave, by place and then by name, those in removed rows too; the protocol's own are
    /// left out.
    pub fn live(&self) -> impl Iterator<Item = (&Path, Live<'_>)> {
        let registers = self.registers.iter().filter(|(path, _)| !path.is_reserved());
        registers.map(|(path, register)| (path, Live { register, record: self }))
    }

    /// Every answer with a live value in a place that is shown; the protocol's own answers are left out.
    pub fn shown_answers(&self) -> impl Iterator<Item = (&Path, Answer<'_>)> {
        self.shown_live().filter_map(|(path, live)| Some((path, live.answer()?)))
    }

    /// Every answer in a place that is shown, as [`Record::live`] has them.
    pub fn shown_live(&self) -> impl Iterator<Item = (&Path, Live<'_>)> {
        let shown = self.shown_rows();
        self.live().filter(move |(path, _)| path.place().is_record() || shown.contains(path.place()))
    }

    /// The rows that are shown: neither they nor any row around them were removed.
    fn shown_rows(&self) -> BTreeSet<&Place> {
        let mut shown = BTreeSet::new();
        // A row sorts behind the row around it.
        for (place, row) in &self.rows {
            let outer_is_shown = place.split().is_some_and(|(outer, _, _)| outer.is_record() || shown.contains(&outer));
            if outer_is_shown && row.is_alive() {
                shown.insert(place);
            }
        }
        shown
    }

    /// Every value that an answer ever had, with the changes that replaced it (empty: it is live). Each stands behind those that it
    /// replaced; only what knew nothing of each other stands by the clock (law L4).
    pub fn history(&self, path: &Path) -> Vec<(Sibling<'_>, Vec<Dot>)> {
        let Some(register) = self.registers.get(path) else {
            return Vec::new();
        };
        let mut history: Vec<_> = register
            .sets
            .iter()
            .filter_map(|(dot, value)| {
                let by = register.replaced.iter().filter(|(pred, _)| pred == dot).map(|(_, by)| *by).collect();
                Some((Sibling { dot: *dot, value, origin: self.origin(*dot)? }, by))
            })
            .collect();
        history.sort_by_key(|(sibling, _)| (sibling.origin.effective_ms(), sibling.dot));
        in_causal_order(history)
    }

    /// Whether a place is shown: it is the record, or a row that neither it nor any row around it was removed.
    #[must_use]
    pub fn is_shown(&self, place: &Place) -> bool {
        let Some((outer, _, _)) = place.split() else {
            return true;
        };
        self.rows.get(place).is_some_and(super::RowState::is_alive) && self.is_shown(&outer)
    }

    /// The shown rows of one repeat in one place, in order.
    #[must_use]
    pub fn rows(&self, outer: &Place, repeat: &str) -> Vec<Row<'_>> {
        let mut rows: Vec<_> = self
            .all_rows()
            .filter(|row| row.place.split().is_some_and(|(place, name, _)| place == *outer && name == repeat))
            .collect();
        rows.sort_by(|a, b| (a.order, a.place).cmp(&(b.order, b.place)));
        rows
    }

    /// Every shown row of the record, by place.
    pub fn all_rows(&self) -> impl Iterator<Item = Row<'_>> {
        let shown = self.shown_rows();
        self.rows.iter().filter(move |(place, _)| shown.contains(place)).map(|(place, row)| Row {
            place,
            order: self.order(row),
            kept: !row.removed.is_empty(),
        })
    }

    fn order(&self, row: &super::RowState) -> i64 {
        let latest = row.adds.iter().max_by_key(|(dot, _)| (self.origin(**dot).map(Origin::effective_ms), **dot));
        latest.map_or(i64::MAX, |(_, order)| *order)
    }

    /// The preds of a removal: every change seen in the row.
    #[must_use]
    pub fn touched(&self, row: &Place) -> Vec<Dot> {
        self.rows.get(row).map(|row| row.touched.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether the record is valid, void, or voided and edited at once.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.voids.is_empty() {
            return Standing::Valid;
        }
        let covered = |dot: &Dot| self.voids.contains_key(dot) || self.void_covers.contains(dot);
        if self.origins.keys().chain(&self.dead).all(covered) { Standing::Void } else { Standing::KeptDespiteVoid }
    }

    /// Whether a change of a household is what this interview said: of one save with the interview's own, which stands before it in
    /// its author's log, and a value that the interview held at some time, as far as that is known. Where a clock stands still, what
    /// was said of the household itself looks as if it were of the save before it.
    #[must_use]
    pub fn has_said(&self, said: &Sibling<'_>, has_held: impl Fn(&Value) -> bool) -> bool {
        // A snapshot leaves out what was replaced; what was taken back the interview holds no more.
        let is_folded = !self.dead.is_empty();
        let holds = matches!(said.value, Value::Missing(_)) || has_held(said.value);
        if !is_folded && !holds {
            return false;
        }
        let before = Dot { seq: said.dot.seq.saturating_sub(1), ..said.dot };
        match self.origin(before) {
            Some(origin) => origin.wall_ms == said.origin.wall_ms && origin.author == said.origin.author,
            // When it was said nobody knows any more: then a value that the interview is not known to have held is somebody's own
            // word about the household, and at worst stands beside (law L2).
            None => holds && self.dead().any(|dead| dead == before),
        }
    }

    /// Whether the interview is finished, by the mark that is shown ([`Path::FINISHED`]).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let mark = Path::new(Place::record(), Path::FINISHED).ok().and_then(|path| self.answer(&path));
        mark.is_some_and(|mark| mark.siblings.first().is_some_and(|shown| *shown.value == Value::text("yes")))
    }

    /// Why the record was voided, by change.
    pub fn voids(&self) -> impl Iterator<Item = (Dot, &str)> {
        self.voids.iter().map(|(dot, reason)| (*dot, reason.as_str()))
    }

    /// The merged view as canonical JSON: replicas that hold the same changes and stamps give the same
    /// bytes (law L3).
    ///
    /// Live siblings of every answer with dots and origins, rows in order, remarks, standing.
    #[must_use]
    pub fn canonical_view(&self) -> Vec<u8> {
        let mut answers = Map::new();
        for (path, answer) in self.answers() {
            let siblings: Vec<Json> = answer
                .siblings
                .iter()
                .map(|s| json!({"value": s.value, "dot": s.dot.to_string(), "by": s.origin.author, "at": s.origin.wall_ms, "stamp": s.origin.stamp}))
                .collect();
            answers.insert(path.to_string(), Json::Array(siblings));
        }
        let rows: BTreeMap<&str, Json> =
            self.all_rows().map(|row| (row.place.as_str(), json!({"order": row.order, "kept": row.kept}))).collect();
        let removed: Vec<&str> = self.rows.keys().filter(|place| !self.is_shown(place)).map(Place::as_str).collect();
        let notes: Vec<Json> = self.notes().map(|(dot, text)| json!({"dot": dot.to_string(), "text": text})).collect();
        let standing = match self.standing() {
            Standing::Valid => "valid",
            Standing::Void => "void",
            Standing::KeptDespiteVoid => "kept-despite-void",
        };
        let view = json!({
            "answers": answers, "rows": rows, "removed": removed, "notes": notes, "standing": standing,
            "changes": self.origins.len() + self.dead.len(),
        });
        view.to_string().into_bytes()
    }
}

/// Puts each value of a history, which comes in the order of time, behind those that it replaced.
fn in_causal_order(history: Vec<(Sibling<'_>, Vec<Dot>)>) -> Vec<(Sibling<'_>, Vec<Dot>)> {
    let places: BTreeMap<Dot, usize> = (0..).zip(&history).map(|(at, (one, _))| (one.dot, at)).collect();
    let behind = |by: &[Dot]| by.iter().filter_map(|dot| places.get(dot).copied()).collect::<Vec<_>>();
    let behind: Vec<Vec<usize>> = history.iter().map(|(_, by)| behind(by)).collect();
    let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
    behind.iter().flatten().for_each(|at| *waits.entry(*at).or_default() += 1);
    let mut left: BTreeMap<usize, _> = (0..).zip(history).collect();
    let mut ready: BTreeSet<usize> = left.keys().filter(|at| !waits.contains_key(at)).copied().collect();
    let mut ordered = Vec::new();
    while let Some(at) = ready.pop_first() {
        ordered.extend(left.remove(&at));
        for next in behind.get(at).into_iter().flatten() {
            let count = waits.entry(*next).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                ready.insert(*next);
            }
        }
    }
    // What claims to have replaced each other.
    ordered.extend(left.into_values());
    ordered
}

impl super::RowState {
    fn is_alive(&self) -> bool {
        if self.removed.is_empty() { !self.touched.is_empty() } else { !self.touched.is_subset(&self.removed) }
    }
}
