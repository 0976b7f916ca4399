//! Lists of choices, quick to search by name however long they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::text::Text;

/// Holds one choice of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The value that an answer holds.
    pub name: String,
    /// What the enumerator reads.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub label: Text,
    /// File names per language, by medium.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<String, Text>,
    /// The other columns of the sheet by header, for choice filters and look-ups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The spreadsheet row, counted from 1; 0 where the loader added the choice for `or_other`.
    #[serde(default)]
    pub row: u32,
}

/// Holds the choices of one list in the order of the sheet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<Choice>")]
pub struct ChoiceList {
    choices: Vec<Choice>,
    /// Positions in `choices`, by name and then by position.
    by_name: Vec<usize>,
}

impl ChoiceList {
    /// Returns the choices in the order of the sheet.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Returns the first choice of this name, in logarithmic time.
    pub fn get(&self, name: &str) -> Option<&Choice> {
        let at =
            self.by_name.partition_point(|&at| self.choices.get(at).is_some_and(|choice| choice.name.as_str() < name));
        let choice = self.choices.get(*self.by_name.get(at)?)?;
        (choice.name == name).then_some(choice)
    }
}

impl From<Vec<Choice>> for ChoiceList {
    fn from(choices: Vec<Choice>) -> Self {
        let mut named: Vec<(&str, usize)> =
            choices.iter().enumerate().map(|(at, choice)| (choice.name.as_str(), at)).collect();
        named.sort_unstable();
        let by_name = named.into_iter().map(|(_, at)| at).collect();
        Self { choices, by_name }
    }
}

impl Serialize for ChoiceList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.choices.serialize(serializer)
    }
}

impl PartialEq for ChoiceList {
    fn eq(&self, other: &Self) -> bool {
        self.choices == other.choices
    }
}
