//! The questionnaire as the other rooms see it: the tree of items, the lists of choices, the look-up by path.
//!
//! Owns the JSON form that the server sends to devices (unknown fields are ignored on reading). Where the tree comes
//! from is the business of `read`; how keys are formed that of `model/keys.rs`; the look-up is in `model/index.rs`.

mod choices;
mod index;
mod keys;
mod kind;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sync_protocol::Value;

pub use self::choices::{Choice, ChoiceList};
use self::index::Index;
pub use self::index::{Members, Register};
pub(crate) use self::keys::assign_keys;
pub use self::kind::{ChoiceSource, Kind, Metadata, RowChoice, Select};
pub use self::text::{Expression, Text};

/// Holds one version of one questionnaire; immutable once published.
///
/// Made by [`Questionnaire::read_xlsx`] or from its own JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Questionnaire {
    /// The form's id, from the settings.
    pub id: String,
    /// The form's version, from the settings; `1` where they have none.
    pub version: String,
    /// The title that people read.
    pub title: String,
    /// The languages in the order of their columns; `""` stands for columns that name none.
    pub languages: Vec<String>,
    /// The language to start with.
    pub default_language: String,
    /// The expression that names an interview, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<Expression>,
    /// The lists of the `choices` sheet by name.
    pub lists: BTreeMap<String, ChoiceList>,
    /// The lists of the `external_choices` sheet by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_lists: BTreeMap<String, ChoiceList>,
    /// All other settings, as text by lower-case header.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The entries of the files that come with the form, by name without its ending.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, ChoiceList>,
    items: Vec<Item>,
    #[serde(skip)]
    index: Index,
}

/// What a questionnaire is made of, before the look-up is built.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) languages: Vec<String>,
    #[serde(default)]
    pub(crate) default_language: String,
    #[serde(default)]
    pub(crate) instance_name: Option<Expression>,
    #[serde(default)]
    pub(crate) lists: BTreeMap<String, ChoiceList>,
    #[serde(default)]
    pub(crate) external_lists: BTreeMap<String, ChoiceList>,
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, ChoiceList>,
    pub(crate) items: Vec<Item>,
}

/// Says why parts don't make a questionnaire: two things share one key.
#[derive(Debug, thiserror::Error)]
#[error("the key {key} is used twice in {}", place(.repeats))]
pub(crate) struct Clash {
    pub(crate) repeats: Vec<String>,
    pub(crate) key: String,
    /// The row of the second user of the key.
    pub(crate) row: u32,
    /// Tells whether a merge group's name is what clashes.
    pub(crate) merge: bool,
}

fn place(repeats: &[String]) -> String {
    if repeats.is_empty() { "the form".to_owned() } else { repeats.join("/") }
}

impl TryFrom<Parts> for Questionnaire {
    type Error = Clash;

    fn try_from(parts: Parts) -> Result<Self, Clash> {
        let index = Index::build(&parts.items)?;
        Ok(Self {
            id: parts.id,
            version: parts.version,
            title: parts.title,
            languages: parts.languages,
            default_language: parts.default_language,
            instance_name: parts.instance_name,
            lists: parts.lists,
            external_lists: parts.external_lists,
            settings: parts.settings,
            files: parts.files,
            items: parts.items,
            index,
        })
    }
}

impl PartialEq for Questionnaire {
    fn eq(&self, other: &Self) -> bool {
        // The index follows from the items.
        self.id == other.id
            && self.version == other.version
            && self.title == other.title
            && self.languages == other.languages
            && self.default_language == other.default_language
            && self.instance_name == other.instance_name
            && self.lists == other.lists
            && self.external_lists == other.external_lists
            && self.settings == other.settings
            && self.files == other.files
            && self.items == other.items
    }
}

impl Questionnaire {
    /// Returns the tree of questions, groups and repeats in form order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Returns a text in a language, or else in the questionnaire's default language.
    pub fn text<'a>(&self, text: &'a Text, language: &str) -> &'a str {
        text.get(language).unwrap_or_else(|| text.in_language(&self.default_language))
    }
}

/// Holds one row of the survey sheet, with what is inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A question, note, calculation or value that the device fills in.
    Question(Box<Question>),
    /// Questions that are shown or hidden together; no part of an answer's path.
    Group(Group),
    /// A roster: its children are asked for each row.
    Repeat(Repeat),
}

impl Item {
    /// Returns the name in the workbook.
    pub fn name(&self) -> &str {
        match self {
            Self::Question(question) => &question.name,
            Self::Group(group) => &group.name,
            Self::Repeat(repeat) => &repeat.name,
        }
    }

    /// Returns the spreadsheet row, counted from 1.
    pub fn row(&self) -> u32 {
        match self {
            Self::Question(question) => question.row,
            Self::Group(group) => group.row,
            Self::Repeat(repeat) => repeat.row,
        }
    }
}

impl Question {
    /// Returns the longest edge that a picture is scaled down to, in pixels; none where the form leaves it as it is.
    #[must_use]
    pub fn max_pixels(&self) -> Option<u32> {
        self.parameters.get("max-pixels")?.parse().ok().filter(|pixels| *pixels > 0)
    }

    /// Tells whether a picture keeps what the camera wrote into it: place, time, device.
    #[must_use]
    pub fn keeps_metadata(&self) -> bool {
        self.parameters.get("metadata").is_some_and(|value| value == "keep")
    }

    /// The name under which the answer is stored: its own key, or its merge group's name.
    #[must_use]
    pub fn register(&self) -> &str {
        match &self.merge {
            Merge::Group(name) => name,
            Merge::Alone | Merge::Union => &self.key,
        }
    }

    /// What a stored value says of this question: of a merge group's the member, if it is there.
    #[must_use]
    pub fn part<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (&self.merge, value) {
            (Merge::Group(_), Value::Fields(fields)) => fields.get(&self.key),
            (_, value) => Some(value),
        }
    }
}

/// Says how answers that were given apart are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The answer is a register of its own: concurrent answers are siblings.
    #[default]
    Alone,
    /// A select multiple whose siblings are joined to one set.
    Union,
    /// The answer is a member of the register of this name, which is replaced as a whole.
    Group(String),
}

/// Holds one question with all that the workbook says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The name in the workbook.
    pub name: String,
    /// The last part of an answer's path: the name, with its group before it where that alone tells it apart.
    pub key: String,
    /// What is asked for.
    pub kind: Kind,
    /// The spreadsheet row, counted from 1.
    pub row: u32,
    /// The question as the enumerator reads it.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub label: Text,
    /// The smaller text below it.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub hint: Text,
    /// The guidance for training and on request.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub guidance: Text,
    /// File names per language, by medium: `image`, `audio`, `video`, `big-image`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<String, Text>,
    /// When an answer must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<Expression>,
    /// What is shown when a required answer is missing.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub required_message: Text,
    /// When the question is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relevant: Option<Expression>,
    /// What an answer must fulfil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Expression>,
    /// What is shown when it does not.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub constraint_message: Text,
    /// How the value is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calculation: Option<Expression>,
    /// The value to start with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Which choices are offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice_filter: Option<Expression>,
    /// When the answer can't be changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<Expression>,
    /// The questions whose change triggers the calculation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Expression>,
    /// How the question looks, as written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub appearance: String,
    /// The parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The `bind::`, `body::` and `instance::` columns that have no field of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Tells whether answers are personal data (column `tenun::personal`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// How concurrent answers are merged (column `tenun::merge`).
    #[serde(default, skip_serializing_if = "Merge::is_alone")]
    pub merge: Merge,
    /// The field of the household record that a finished interview updates (column `tenun::household`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates_household: Option<String>,
    /// The keys that the question had in earlier versions (column `tenun::was`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
}

impl Merge {
    fn is_alone(&self) -> bool {
        matches!(self, Self::Alone)
    }
}

/// Holds a group: questions that are shown or hidden together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The name in the workbook.
    pub name: String,
    /// The spreadsheet row, counted from 1.
    pub row: u32,
    /// The heading.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub label: Text,
    /// File names per language, by medium.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<String, Text>,
    /// When the group is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relevant: Option<Expression>,
    /// When the answers can't be changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<Expression>,
    /// How the group looks, as written; `field-list` is one screen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub appearance: String,
    /// What is inside, in form order.
    pub children: Vec<Item>,
}

/// Holds a roster: its children are asked once per row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The name in the workbook.
    pub name: String,
    /// The part of the path that stands before the row id.
    pub key: String,
    /// The spreadsheet row, counted from 1.
    pub row: u32,
    /// The heading.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub label: Text,
    /// File names per language, by medium.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<String, Text>,
    /// When the roster is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relevant: Option<Expression>,
    /// When the answers can't be changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<Expression>,
    /// How the roster looks, as written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub appearance: String,
    /// How many rows are asked; a smaller number hides rows, it never removes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_count: Option<Expression>,
    /// The keys that the roster had in earlier versions (column `tenun::was`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<String>,
    /// What is asked for each row, in form order.
    pub children: Vec<Item>,
}
