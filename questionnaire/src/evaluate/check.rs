//! The verdict on one answer: type, choice, constraint, requirement.

use super::context::Context;
use super::form::QuestionId;
use super::machine::{Candidate, Frame, Machine};
use super::program::{Program, Rules, is_answered};
use super::state::{Faults, RowId, State};
use super::typed;
use crate::model::{Kind, Question};
use crate::number;
use sync_protocol::Missing;

impl Program {
    /// Checks an answer (ODK XForms, bindings: `required`, `constraint`); what is not relevant has no faults.
    pub(crate) fn check(&self, question: QuestionId, row: RowId, state: &State, context: &Context) -> Faults {
        let mut faults = Faults::default();
        let Some(asked) = self.form.asked(question) else {
            return faults;
        };
        if !is_answered(&asked.question.kind) || !state.is_relevant(&self.form, row, asked.node) {
            return faults;
        }
        let rules = self.rules(question);
        let cell = state.cell(&self.form, row, question);
        let machine = self.machine(state, context);
        let frame = Frame::new(row, asked.node);
        let value = state.value(&self.form, row, question);
        if value.is_empty() {
            let excused = matches!(cell.missing, Some(Missing::Refused | Missing::DontKnow));
            faults.required =
                !excused && rules.required.as_ref().is_some_and(|required| machine.truth(required, &frame));
            return faults;
        }
        if asked.question.calculation.is_none() {
            let zone = context.zone();
            faults.kind = !typed::fits(&asked.question.kind, cell.text(), zone)
                || (asked.question.kind == Kind::Range && !in_range(&asked.question, value.to_number(zone)));
            faults.choice = asked.question.kind.select().is_some()
                && !machine.are_offered(&asked.question, rules, &value.to_text(zone), &frame);
        }
        faults.constraint =
            !faults.kind && rules.constraint.as_ref().is_some_and(|constraint| !machine.truth(constraint, &frame));
        faults
    }
}

/// Tells whether a number lies between the bounds of a range question.
fn in_range(question: &Question, number: f64) -> bool {
    let bound = |name: &str, default: f64| {
        let given = question.parameters.get(name).map(|text| number::from_text(text));
        given.filter(|given| !given.is_nan()).unwrap_or(default)
    };
    let (start, end) = (bound("start", 1.0), bound("end", 10.0));
    number >= start.min(end) && number <= start.max(end)
}

impl<'a> Machine<'a> {
    /// Tells whether all chosen values are offered.
    fn are_offered(&self, question: &Question, rules: &'a Rules, text: &str, frame: &Frame<'a>) -> bool {
        match &question.kind {
            Kind::SelectOne(_) => self.is_offered(rules, text, frame),
            Kind::SelectMultiple(_) | Kind::Rank(_) => {
                text.split_whitespace().all(|one| self.is_offered(rules, one, frame))
            }
            Kind::Integer
            | Kind::Decimal
            | Kind::Range
            | Kind::Text
            | Kind::Date
            | Kind::Time
            | Kind::DateTime
            | Kind::GeoPoint
            | Kind::GeoTrace
            | Kind::GeoShape
            | Kind::Image
            | Kind::Audio
            | Kind::Video
            | Kind::File
            | Kind::Barcode
            | Kind::Acknowledge
            | Kind::Note
            | Kind::Calculate
            | Kind::Hidden
            | Kind::Metadata(_)
            | Kind::XmlExternal
            | Kind::CsvExternal => true,
        }
    }

    fn is_offered(&self, rules: &'a Rules, value: &str, frame: &Frame<'a>) -> bool {
        if let Some(scope) = rules.rows {
            return self.rows_of(scope, frame.row).into_iter().any(|row| {
                *self.state.row(row).id == *value
                    && rules
                        .filter
                        .as_ref()
                        .is_none_or(|filter| self.keeps(filter, &frame.with(Candidate::Row(row), 1, 1)))
            });
        }
        if let Some(names) = &rules.names {
            return names.binary_search_by(|name| name.as_str().cmp(value)).is_ok();
        }
        // A file that was not given can't be checked against.
        let (Some((list, names)), Some(filter)) = (&rules.list, &rules.filter) else {
            return true;
        };
        let Some(known) = self.lists.list(self.questionnaire, list) else {
            return true;
        };
        self.lists
            .search(known.choices(), *names, value)
            .any(|choice| self.keeps(filter, &frame.with(Candidate::Item(choice), 1, 1)))
    }
}
