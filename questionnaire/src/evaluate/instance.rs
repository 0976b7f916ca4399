//! The answers of one record as plain text in a tree: what an evaluation starts from.
//!
//! Made from a merged record, or by hand. Knows nothing of rules.

use std::collections::BTreeMap;

use sync_protocol::{Attachment, Missing, Path, Place, Record, Value};

use crate::model::{Question, Questionnaire, Register};

/// The answers of one record: text by key, rows in order per repeat.
///
/// ```
/// use questionnaire::Instance;
/// let mut household = Instance::new();
/// household.set(&"consent".parse().unwrap(), "1");
/// household.add_row(&"member/k3j9".parse().unwrap());
/// household.set(&"member/k3j9/m_age".parse().unwrap(), "34");
/// assert_eq!(household.get(&"member/k3j9/m_age".parse().unwrap()), "34");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub(crate) record: Branch,
}

/// The answers of the record or of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) answers: BTreeMap<String, Answer>,
    pub(crate) rows: BTreeMap<String, Roster>,
}

/// The rows of one repeat in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) order: Vec<String>,
    pub(crate) branches: BTreeMap<String, Branch>,
}

/// One answer, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    Missing(Missing),
}

impl Instance {
    /// Makes a record without answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an answer as XLSForm text; an empty text takes it away. Rows on the way are added where they are missing.
    pub fn set(&mut self, path: &Path, text: impl Into<String>) {
        let text = text.into();
        let branch = self.branch_mut(path.place());
        if text.is_empty() {
            branch.answers.remove(path.name());
        } else {
            branch.answers.insert(path.name().to_owned(), Answer::Text(text));
        }
    }

    /// Says why there is no answer: *refused* and *don't know* satisfy a required question.
    pub fn set_missing(&mut self, path: &Path, missing: Missing) {
        self.branch_mut(path.place()).answers.insert(path.name().to_owned(), Answer::Missing(missing));
    }

    /// Adds a row at the end of its repeat, if it is not there.
    pub fn add_row(&mut self, place: &Place) {
        self.branch_mut(place);
    }

    /// Returns an answer's text; empty where there is none.
    pub fn get(&self, path: &Path) -> &str {
        let mut branch = &self.record;
        for (repeat, row) in path.place().steps() {
            let inner = branch.rows.get(repeat).and_then(|rows| rows.branches.get(row));
            let Some(inner) = inner else { return "" };
            branch = inner;
        }
        match branch.answers.get(path.name()) {
            Some(Answer::Text(text)) => text,
            Some(Answer::Missing(_)) | None => "",
        }
    }

    fn branch_mut(&mut self, place: &Place) -> &mut Branch {
        let mut branch = &mut self.record;
        for (repeat, row) in place.steps() {
            branch = branch.row_mut(repeat, row);
        }
        branch
    }

    /// Takes the shown values of a merged record, as text.
    ///
    /// The winner of each answer counts, or the union where the questionnaire asks for one. Merge groups are spread to
    /// their members. What the questionnaire has no question for is left out.
    pub fn from_record(record: &Record, questionnaire: &Questionnaire) -> Self {
        let mut instance = Self::new();
        let mut rows: Vec<_> = record.all_rows().collect();
        rows.sort_by_key(|row| (row.place.steps().count(), row.order, row.place));
        for row in rows {
            instance.add_row(row.place);
        }
        for (path, answer) in record.answers() {
            let repeats: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
            let Some(register) = questionnaire.register(&repeats, path.name()) else {
                continue;
            };
            if !record.is_shown(path.place()) {
                continue;
            }
            let value = answer.value(questionnaire.merge_of(path));
            let branch = instance.branch_mut(path.place());
            match register {
                Register::One(question) => branch.put(question, &value),
                Register::Group { members, .. } => {
                    for member in members.iter() {
                        match value.as_ref() {
                            Value::Fields(fields) => {
                                if let Some(value) = fields.get(&member.key) {
                                    branch.put(member, value);
                                }
                            }
                            // What is missing is missing for each of them.
                            Value::Missing(_) => branch.put(member, &value),
                            Value::Text(_) | Value::Integer(_) | Value::Choices(_) => {}
                        }
                    }
                }
            }
        }
        instance
    }
}

impl Branch {
    /// Returns a row, which is added where it is missing.
    fn row_mut(&mut self, repeat: &str, row: &str) -> &mut Self {
        let rows = self.rows.entry(repeat.to_owned()).or_default();
        if !rows.branches.contains_key(row) {
            rows.order.push(row.to_owned());
        }
        rows.branches.entry(row.to_owned()).or_default()
    }

    fn put(&mut self, question: &Question, value: &Value) {
        let answer = if let Value::Missing(missing) = value {
            Answer::Missing(*missing)
        } else {
            let text = text_of(value);
            if text.is_empty() {
                return;
            }
            Answer::Text(text)
        };
        self.answers.insert(question.key.clone(), answer);
    }
}

/// Returns a stored value as XLSForm text: choices between blanks, a fix as `latitude longitude altitude accuracy`.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Choices(choices) => choices.join(" "),
        Value::Fields(fields) if fields.contains_key("lat") && fields.contains_key("lon") => {
            let part = |name: &str, scale: u32| match fields.get(name) {
                Some(Value::Integer(number)) => scaled(*number, scale),
                Some(other) => text_of(other),
                None => "0".to_owned(),
            };
            format!("{} {} {} {}", part("lat", 7), part("lon", 7), part("alt", 3), part("acc", 3))
        }
        value @ Value::Fields(_) => Attachment::from_value(value).map(|named| named.to_string()).unwrap_or_default(),
        Value::Missing(_) => String::new(),
    }
}

/// Prints a whole number of 10^-scale without trailing zeros.
fn scaled(number: i64, scale: u32) -> String {
    let unit = 10_u64.pow(scale);
    let magnitude = number.unsigned_abs();
    let width = usize::try_from(scale).unwrap_or(0);
    let fraction = format!("{:0width$}", magnitude % unit);
    let fraction = fraction.trim_end_matches('0');
    let sign = if number < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", magnitude / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_is_printed_in_degrees_and_metres() {
        let fields = [("lat", -101_772_000), ("lon", 1_236_070_001), ("alt", 35_000), ("acc", 4_500)]
            .into_iter()
            .map(|(name, number)| (name.to_owned(), Value::Integer(number)))
            .collect();
        assert_eq!(text_of(&Value::Fields(fields)), "-10.1772 123.6070001 35 4.5");
    }
}
