//! What a finished interview says of its household: answers marked `tenun::household`, and the rows that they stand in.

use super::{Device, identity};
use crate::{device::Edit, error::Error, host::Host, interview::places};
use questionnaire::{Merge, text_of};
use std::collections::BTreeSet;
use sync_protocol::{Dot, HouseholdId, Path, Place, QuestionnaireRef, Record, RecordId, Subject, Value};

impl<H: Host> Device<H> {
    /// Carries answers marked `tenun::household` over to the household record, with the roster rows that hold some.
    ///
    /// What was put there when the interview began and stayed as it was says nothing new. Where the household has another
    /// value by now than the interview began with, both stay: the enumerator has not seen it. A row that was there and was
    /// removed in the interview is removed from the household, too.
    pub(super) fn update_household(
        &mut self,
        interview: RecordId,
        household: HouseholdId,
        questionnaire: &QuestionnaireRef,
        author: &str,
    ) -> Result<(), Error> {
        let Ok(questionnaire) = self.questionnaire(&questionnaire.to_string()) else {
            return Ok(());
        };
        let record = self.record(interview)?;
        let known = self.record(household.into()).unwrap_or_default();
        let begun = self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            Ok(tx.begun(interview)?.map(|seq| Dot { replica, seq }))
        })?;
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        let mut rows = BTreeSet::new();
        for (repeats, question) in questionnaire.questions() {
            let Some(field) = question.updates_household.as_ref() else { continue };
            for row in places(&known, &repeats) {
                // One that the interview never had is somebody else's news.
                let was_here = !row.is_record() && !record.touched(&row).is_empty();
                if was_here && !record.is_shown(&row) && rows.insert(row.clone()) {
                    seen.push(Edit::RemoveRow(row));
                }
            }
            let (register, member) = match &question.merge {
                Merge::Group(group) => (group, Some(&question.key)),
                Merge::Alone | Merge::Union => (&question.key, None),
            };
            for place in places(&record, &repeats) {
                let register = Path::new(place.clone(), register.as_str())?;
                let part = |value: &Value| match (member, value) {
                    (Some(member), Value::Fields(fields)) => fields.get(member).cloned(),
                    (_, value) => Some(value.clone()),
                };
                let winner = record.answer(&register).and_then(|answer| part(answer.siblings.first()?.value));
                let Some(value) = winner.filter(|value| !matches!(value, Value::Missing(_))) else { continue };
                let history = record.history(&register);
                let began_with = history.iter().find(|(sibling, _)| Some(sibling.dot) == begun);
                let began_with = began_with.and_then(|(sibling, _)| part(sibling.value)).map(|value| text_of(&value));
                if began_with.as_ref() == Some(&text_of(&value)) {
                    continue;
                }
                add_rows(&place, &known, &mut rows, &mut seen);
                let field = Path::new(place, field.as_str())?;
                let now = known.answer(&field).and_then(|answer| Some(text_of(answer.siblings.first()?.value)));
                let is_seen = began_with.is_none() || began_with == now;
                if is_seen { &mut seen } else { &mut unseen }.push(Edit::Set(field, value));
            }
        }
        let nothing_seen = Record::new();
        for (edits, over) in [(seen, None), (unseen, Some(&nothing_seen))] {
            if !edits.is_empty() {
                let register = QuestionnaireRef::household_register();
                self.author(Subject::Household(household), register, author, &edits, over, false)?;
            }
        }
        Ok(())
    }
}

/// Makes a row and those around it, where the household has never had them.
fn add_rows(place: &Place, known: &Record, rows: &mut BTreeSet<Place>, edits: &mut Vec<Edit>) {
    let Some((outer, _, _)) = place.split() else { return };
    add_rows(&outer, known, rows, edits);
    if known.touched(place).is_empty() && rows.insert(place.clone()) {
        edits.push(Edit::AddRow(place.clone()));
    }
}
