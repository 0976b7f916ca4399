//! What a finished interview says of its household: answers marked `tenun::household`, and the rows that they stand in.
//!
//! An interview has seen of its household what it began with and, once it has told something, its own word. That is all that it
//! replaces (law L2): whatever else the household shows by now, and what stands beside in the interview's own conflict, the
//! enumerator has not seen, and both stay. No phone has to remember anything for it, so an interview may be mended on another one.

use crate::{device::Edit, error::Error, interview::places};
use questionnaire::{Question, Questionnaire, text_of};
use std::collections::BTreeSet;
use sync_protocol::{Dot, Missing, Op, Path, Place, Record, Value, record::Sibling};

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
            if was_here && saved.removes(&row, household) && !is_news(questionnaire, interview, household, &row)? {
                rows.remove(row);
            }
        }
        for place in places(interview, &repeats) {
            let asked = Asked::of(question, &place)?;
            let field = Path::new(place, field.as_str())?;
            let Some(value) = asked.shown(interview) else {
                answers.extend(asked.taken_back(interview, household, field, saved.ops));
                continue;
            };
            let text = text_of(&value);
            let is_set = asked.is_set(interview, saved.ops, &text);
            if !is_set && !saved.finishes {
                continue;
            }
            let held = asked.held(interview, &text);
            let there = There::of(household, &field);
            if !is_set && there.had(&text) && (saved.again || held.ever.iter().all(|one| *one == text)) {
                continue;
            }
            let Some(preds) = there.replaced(interview, &held, &text) else { continue };
            rows.add(field.place(), household);
            answers.push(Op::Set { path: field, value, preds });
        }
    }
    Ok((rows.edits, answers))
}

impl Saved<'_> {
    /// Whether a row that the interview shows no more goes with this save; one that was taken out once and brought back only
    /// if it is taken out now.
    fn removes(&self, row: &Place, household: &Record) -> bool {
        let removes =
            |op: &Op| matches!(op, Op::RemoveRow { row: removed, .. } if removed == row || removed.contains(row));
        let was_brought_back = || household.all_rows().any(|shown| shown.place == row && shown.kept);
        (self.finishes && !(self.again && was_brought_back())) || self.ops.iter().any(removes)
    }
}

/// Whether a household's row holds something that the interview has never held: whoever removed the row had not seen it.
fn is_news(questionnaire: &Questionnaire, interview: &Record, household: &Record, row: &Place) -> Result<bool, Error> {
    let here: Vec<&str> = row.steps().map(|(repeat, _)| repeat).collect();
    for (repeats, question) in questionnaire.questions() {
        let Some(field) = question.updates_household.as_ref().filter(|_| repeats == here) else { continue };
        let held = Asked::of(question, row)?.held(interview, "").ever;
        let now = household.answer(&Path::new(row.clone(), field.as_str())?);
        if now.is_some_and(|answer| answer.siblings.iter().any(|one| !held.contains(&text_of(one.value)))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A question in its place: the answer that holds its value, alone or as a member of a merge group.
struct Asked<'a> {
    question: &'a Question,
    path: Path,
}

impl<'a> Asked<'a> {
    fn of(question: &'a Question, place: &Place) -> Result<Self, Error> {
        Ok(Self { question, path: Path::new(place.clone(), question.register())? })
    }

    /// The value that the interview shows; none for what is missing.
    fn shown(&self, interview: &Record) -> Option<Value> {
        let value = self.question.part(interview.answer(&self.path)?.siblings.first()?.value)?;
        (!matches!(value, Value::Missing(_))).then(|| value.clone())
    }

    /// What the household hears where the interview takes its answer away, or has none by the respondent's word: the interview's own
    /// word is withdrawn there, and nobody else's.
    fn taken_back(&self, interview: &Record, household: &Record, field: Path, ops: &[Op]) -> Option<Op> {
        let sole = interview.answer(&self.path).filter(|answer| answer.siblings.len() == 1)?;
        let shown = self.question.part(sole.siblings.first()?.value).cloned();
        let there = There::of(household, &field);
        let held = self.held(interview, "");
        let own = there.now().filter(|(one, _)| held.has_said(interview, one));
        let own: Vec<&Sibling<'_>> = own.map(|(one, _)| one).collect();
        let says_something = own.iter().any(|one| !matches!(one.value, Value::Missing(_)));
        let preds = own.iter().map(|one| one.dot).collect();
        let value = shown.unwrap_or(Value::Missing(Missing::Cleared));
        // A question that fell away takes nothing back.
        let takes_back = says_something && value != Value::Missing(Missing::NotAsked);
        (takes_back && self.is_set(interview, ops, "")).then_some(Op::Set { path: field, value, preds })
    }

    /// What the interview held, when it says this now.
    fn held(&self, interview: &Record, text: &str) -> Held {
        let mut held = Held::default();
        for (one, replaced_by) in interview.history(&self.path) {
            let Some(value) = self.question.part(one.value).filter(|value| !matches!(value, Value::Missing(_))) else {
                continue;
            };
            let value = text_of(value);
            held.first.get_or_insert_with(|| value.clone());
            if replaced_by.is_empty() && value != text {
                held.beside.insert(value.clone());
            }
            held.ever.insert(value);
        }
        held
    }

    /// Whether operations gave it this value in the place of another one.
    fn is_set(&self, interview: &Record, ops: &[Op], text: &str) -> bool {
        let history = interview.history(&self.path);
        let was = |pred: &Dot| {
            let replaced = history.iter().find(|(one, _)| one.dot == *pred);
            replaced.and_then(|(one, _)| self.question.part(one.value)).is_some_and(|value| text_of(value) == text)
        };
        ops.iter().any(|op| match op {
            Op::Set { path, preds, .. } => *path == self.path && (preds.is_empty() || !preds.iter().all(was)),
            Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => false,
        })
    }
}

/// The values that an interview held, but for what is missing.
#[derive(Default)]
struct Held {
    /// All of them.
    ever: BTreeSet<String>,
    /// The one that it began with.
    first: Option<String>,
    /// Those that stand in conflict beside what it says.
    beside: BTreeSet<String>,
}

impl Held {
    /// Whether an answer of the household is the interview's own word.
    fn has_said(&self, interview: &Record, one: &Sibling<'_>) -> bool {
        interview.has_said(one, |value| self.ever.contains(&text_of(value)))
    }
}

/// An answer as the household has it.
struct There<'a> {
    history: Vec<(Sibling<'a>, Vec<Dot>)>,
    /// A snapshot left out what was replaced: then nobody knows what the household has had.
    is_folded: bool,
}

impl<'a> There<'a> {
    fn of(household: &'a Record, field: &Path) -> Self {
        Self { history: household.history(field), is_folded: household.dead().next().is_some() }
    }

    /// What it shows now.
    fn now(&self) -> impl Iterator<Item = (&Sibling<'a>, String)> {
        let live = self.history.iter().filter(|(_, replaced_by)| replaced_by.is_empty());
        live.map(|(one, _)| (one, text_of(one.value)))
    }

    /// Whether it ever showed this.
    fn had(&self, text: &str) -> bool {
        let is_unknown = self.is_folded && self.now().next().is_some();
        is_unknown || self.history.iter().any(|(one, _)| text_of(one.value) == text)
    }

    /// What an interview that says this replaces: once it has told something, its own word, and before that what it began with; but
    /// nothing that stands beside in its own conflict. None where there is nothing to tell.
    fn replaced(&self, interview: &Record, held: &Held, text: &str) -> Option<Vec<Dot>> {
        let has_told = self.history.iter().any(|(one, _)| held.has_said(interview, one));
        let is_seen = |(one, shown): &(&Sibling<'_>, String)| {
            let is_known = if has_told { held.has_said(interview, one) } else { held.first.as_ref() == Some(shown) };
            is_known && !held.beside.contains(shown)
        };
        let has_rivals = self.now().filter(is_seen).any(|(_, shown)| shown != text);
        let is_shown = self.now().any(|(_, shown)| shown == text);
        (has_rivals || !is_shown).then(|| self.now().filter(is_seen).map(|(one, _)| one.dot).collect())
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
