//! What a finished interview says of its household: answers marked `tenun::household`, and the rows that they stand in.
//!
//! An interview has seen of its household what it held itself at some time: what it began with, and what it said. That is all that
//! it replaces (law L2): whatever else the household shows by now, the enumerator has not seen, and both stay. No phone has to
//! remember anything for it, so an interview may be mended on another one.

use crate::{device::Edit, error::Error, interview::places};
use questionnaire::{Merge, Question, Questionnaire, text_of};
use std::collections::BTreeSet;
use sync_protocol::{Dot, Op, Path, Place, Record, Value};

/// The save of an interview that its household hears of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved<'a> {
    /// What it did.
    pub ops: &'a [Op],
    /// It says that the interview is finished.
    pub finishes: bool,
    /// The interview was finished before.
    pub again: bool,
}

/// The rows that come and go in the household, and the answers that are given there.
///
/// The first save that finishes tells everything, but what stayed as the interview began. Later ones tell what they answer
/// themselves; finishing again also tells what the household has never had, which another phone may have left out.
pub(super) fn said(
    questionnaire: &Questionnaire,
    interview: &Record,
    household: &Record,
    saved: Saved<'_>,
) -> Result<(Vec<Edit>, Vec<Op>), Error> {
    let (mut rows, mut answers) = (Rows::default(), Vec::new());
    for (repeats, question) in questionnaire.questions() {
        let Some(field) = question.updates_household.as_ref() else { continue };
        for row in places(household, &repeats).into_iter().filter(|place| !place.is_record()) {
            // One that the interview never had is somebody else's news.
            let was_here = !interview.touched(&row).is_empty() && !interview.is_shown(&row);
            if was_here && saved.removes(&row) && !is_news(questionnaire, interview, household, &row)? {
                rows.remove(row);
            }
        }
        for place in places(interview, &repeats) {
            let asked = Asked::of(question, &place)?;
            let Some(value) = asked.shown(interview) else { continue };
            let (field, text) = (Path::new(place, field.as_str())?, text_of(&value));
            let had: Vec<String> = household.history(&field).iter().map(|(one, _)| text_of(one.value)).collect();
            let held = asked.held(interview);
            let is_said = asked.is_set(interview, saved.ops, &text)
                || (saved.finishes && !(had.contains(&text) && (saved.again || held.iter().all(|one| *one == text))));
            let now = household.answer(&field);
            let now = now.iter().flat_map(|answer| &answer.siblings).map(|one| (one.dot, text_of(one.value)));
            let now: Vec<(Dot, String)> = now.collect();
            if !is_said || now.iter().any(|(_, shown)| *shown == text) {
                continue;
            }
            rows.add(field.place(), household);
            let preds = now.into_iter().filter(|(_, shown)| held.contains(shown)).map(|(dot, _)| dot).collect();
            answers.push(Op::Set { path: field, value, preds });
        }
    }
    Ok((rows.edits, answers))
}

impl Saved<'_> {
    /// Whether a row that the interview shows no more goes with this save.
    fn removes(&self, row: &Place) -> bool {
        let removes =
            |op: &Op| matches!(op, Op::RemoveRow { row: removed, .. } if removed == row || removed.contains(row));
        (self.finishes && !self.again) || self.ops.iter().any(removes)
    }
}

/// Whether a household's row holds something that the interview has never held: whoever removed the row had not seen it.
fn is_news(questionnaire: &Questionnaire, interview: &Record, household: &Record, row: &Place) -> Result<bool, Error> {
    let here: Vec<&str> = row.steps().map(|(repeat, _)| repeat).collect();
    for (repeats, question) in questionnaire.questions() {
        let Some(field) = question.updates_household.as_ref().filter(|_| repeats == here) else { continue };
        let held = Asked::of(question, row)?.held(interview);
        let now = household.answer(&Path::new(row.clone(), field.as_str())?);
        if now.is_some_and(|answer| answer.siblings.iter().any(|one| !held.contains(&text_of(one.value)))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A question in its place: the answer that holds its value, alone or as a member of a merge group.
struct Asked<'a> {
    path: Path,
    member: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(question: &'a Question, place: &Place) -> Result<Self, Error> {
        let (name, member) = match &question.merge {
            Merge::Group(group) => (group, Some(question.key.as_str())),
            Merge::Alone | Merge::Union => (&question.key, None),
        };
        Ok(Self { path: Path::new(place.clone(), name.as_str())?, member })
    }

    fn part(&self, value: &Value) -> Option<Value> {
        match (self.member, value) {
            (Some(member), Value::Fields(fields)) => fields.get(member).cloned(),
            (_, value) => Some(value.clone()),
        }
    }

    /// The value that the interview shows; none for what is missing.
    fn shown(&self, interview: &Record) -> Option<Value> {
        let value = self.part(interview.answer(&self.path)?.siblings.first()?.value)?;
        (!matches!(value, Value::Missing(_))).then_some(value)
    }

    /// Every value that the interview ever held.
    fn held(&self, interview: &Record) -> Vec<String> {
        let history = interview.history(&self.path);
        history.iter().filter_map(|(one, _)| Some(text_of(&self.part(one.value)?))).collect()
    }

    /// Whether operations gave it this value in the place of another one.
    fn is_set(&self, interview: &Record, ops: &[Op], text: &str) -> bool {
        let history = interview.history(&self.path);
        let was = |pred: &Dot| {
            let replaced = history.iter().find(|(one, _)| one.dot == *pred);
            replaced.and_then(|(one, _)| self.part(one.value)).is_some_and(|value| text_of(&value) == text)
        };
        ops.iter().any(|op| match op {
            Op::Set { path, preds, .. } => *path == self.path && !preds.iter().any(was),
            Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => false,
        })
    }
}

/// The rows of a household that come and go, each once.
#[derive(Default)]
struct Rows {
    named: BTreeSet<Place>,
    edits: Vec<Edit>,
}

impl Rows {
    /// Makes a row and those around it, where the household has never had them.
    fn add(&mut self, place: &Place, household: &Record) {
        let Some((outer, _, _)) = place.split() else { return };
        self.add(&outer, household);
        if household.touched(place).is_empty() && self.named.insert(place.clone()) {
            self.edits.push(Edit::AddRow(place.clone()));
        }
    }

    fn remove(&mut self, row: Place) {
        if self.named.insert(row.clone()) {
            self.edits.push(Edit::RemoveRow(row));
        }
    }
}
