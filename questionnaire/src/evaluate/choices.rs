//! The choices that a question offers just now: its list or rows, filtered.

use super::code::ListName;
use super::form::{QuestionId, ScopeId};
use super::machine::{Candidate, Frame, Machine};
use super::program::{Program, Rules};
use super::state::RowId;
use super::value::Value;
use crate::model::{Choice, ChoiceSource, Question, Text};

/// Describes one choice that is offered just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The value that the answer will hold; for a row choice a row id.
    pub name: String,
    /// What the enumerator reads, per language; for a row choice the answer that names the row, without a language.
    pub label: Text,
    /// File names per language, by medium.
    pub media: std::collections::BTreeMap<String, Text>,
}

/// Returns the list that a source reads from; none for rows.
pub(crate) fn list_of(source: &ChoiceSource) -> Option<ListName> {
    match source {
        ChoiceSource::List(name) => Some(ListName::Choices(name.clone())),
        ChoiceSource::External(name) => Some(ListName::External(name.clone())),
        ChoiceSource::File(file) => Some(ListName::File(super::lists::stem(file).to_owned())),
        ChoiceSource::Rows(_) => None,
    }
}

/// Returns the columns that hold a choice's value and label (`parameters` of a `select_one_from_file`).
pub(crate) fn columns(question: &Question) -> (&str, &str) {
    let from_file = question.kind.select().is_some_and(|select| matches!(select.source, ChoiceSource::File(_)));
    let named = |parameter: &str, default: &'static str| -> &str {
        match question.parameters.get(parameter) {
            Some(column) if from_file => column,
            Some(_) | None => default,
        }
    };
    (named("value", "name"), named("label", "label"))
}

impl<'a> Machine<'a> {
    /// Returns the shown and relevant rows of a scope, as near to a row as they share repeats.
    pub(crate) fn rows_of(&self, scope: ScopeId, row: RowId) -> Vec<RowId> {
        let outer = self.form.scope(scope).parent;
        let bound = self.form.common(self.state.row(row).scope, outer);
        let mut rows = vec![self.state.climb(row, bound)];
        for inner in self.form.chain(bound, scope) {
            let slot = self.form.scope(inner).slot;
            rows = rows
                .into_iter()
                .flat_map(|row| self.state.inner(row, slot).shown().iter().copied())
                .filter(|&row| self.state.row(row).is_relevant(0))
                .collect();
        }
        rows
    }

    fn offered(&self, rules: &'a Rules, frame: &Frame<'a>) -> Vec<&'a Choice> {
        let Some((list, _)) = &rules.list else {
            return Vec::new();
        };
        let choices = self.lists.get(self.questionnaire, list);
        let Some(filter) = &rules.filter else {
            return choices.iter().collect();
        };
        let keeps = |choice: &'a Choice| self.keeps(filter, &frame.with(Candidate::Item(choice), 1, choices.len()));
        if let Some(key) = &rules.key
            && let Value::Text(text) = self.value(&key.value, frame)
        {
            return self.lists.search(choices, key.index, &text).filter(|choice| keeps(choice)).collect();
        }
        choices.iter().filter(|choice| keeps(choice)).collect()
    }
}

impl Program {
    /// Returns what a question offers in a row.
    pub(crate) fn offers(&self, machine: &Machine<'_>, question: QuestionId, row: RowId) -> Vec<Offer> {
        let Some(asked) = self.form.asked(question) else {
            return Vec::new();
        };
        let rules = self.rules(question);
        let frame = Frame::new(row, asked.node);
        machine.seed(&frame);
        if let Some(scope) = rules.rows {
            return self.row_offers(machine, rules, scope, &frame, &asked.question);
        }
        let (name, label) = columns(&asked.question);
        let mut offers: Vec<Offer> = machine
            .offered(rules, &frame)
            .into_iter()
            .map(|choice| Offer {
                name: super::lists::cell(choice, name).to_owned(),
                label: if label == "label" { choice.label.clone() } else { plain(super::lists::cell(choice, label)) },
                media: choice.media.clone(),
            })
            .collect();
        if asked.question.parameters.get("randomize").map(String::as_str) == Some("true") {
            super::functions::shuffle(&mut offers, self.shuffle_seed(machine, &asked.question, row));
        }
        offers
    }

    fn row_offers(
        &self,
        machine: &Machine<'_>,
        rules: &Rules,
        scope: ScopeId,
        frame: &Frame<'_>,
        question: &Question,
    ) -> Vec<Offer> {
        let shown = match question.kind.select().map(|select| &select.source) {
            Some(ChoiceSource::Rows(rows)) => rows.shown.as_deref(),
            Some(ChoiceSource::List(_) | ChoiceSource::File(_) | ChoiceSource::External(_)) | None => None,
        };
        let rows = machine.rows_of(scope, frame.row);
        let size = rows.len();
        let mut offers = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let candidate = frame.with(Candidate::Row(row), at + 1, size);
            if rules.filter.as_ref().is_none_or(|filter| machine.keeps(filter, &candidate)) {
                let name = machine.row_name(scope, row, shown);
                offers.push(Offer {
                    name: machine.state.row(row).id.to_string(),
                    label: plain(&name.to_text(machine.zone())),
                    media: Default::default(),
                });
            }
        }
        offers
    }

    /// Reads the parameter `seed`: a number, or the question that holds one.
    fn shuffle_seed(&self, machine: &Machine<'_>, question: &Question, row: RowId) -> i64 {
        let given = question.parameters.get("seed").map(String::as_str);
        let number = match given {
            Some(text) => match text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) {
                Some(name) => machine.named(name, row, 0).to_number(machine.zone()),
                None => crate::number::from_text(text),
            },
            None => f64::NAN,
        };
        if number.is_nan() {
            i64::try_from(machine.random_bits() >> 33).unwrap_or(1)
        } else {
            crate::number::trunc(number)
        }
    }
}

fn plain(text: &str) -> Text {
    let mut label = Text::default();
    label.set("", text);
    label
}
