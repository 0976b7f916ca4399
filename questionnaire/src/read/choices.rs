//! The choices sheets, and whether the selects of the survey find what they need there.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::Table;
use super::log::{Log, Spot};
use crate::model::{Choice, ChoiceList, ChoiceSource, Item, Kind, Question, Text};
use crate::problem::ProblemCode;

/// The lists of one sheet while they are read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    sheet: String,
    name_header: String,
    lists: BTreeMap<String, Vec<Choice>>,
}

impl Lists {
    pub(super) fn into_lists(self) -> BTreeMap<String, ChoiceList> {
        self.lists.into_iter().map(|(name, choices)| (name, ChoiceList::from(choices))).collect()
    }
}

/// Reads the lists of a sheet.
pub(super) fn read(table: &Table<'_>, allow_duplicates: bool, log: &mut Log) -> Lists {
    let mut lists =
        Lists { sheet: table.sheet.name.clone(), name_header: table.header("name").to_owned(), lists: BTreeMap::new() };
    let mut missing = false;
    for column in ["list_name", "name"] {
        if !table.has(column) {
            missing = true;
            log.error(
                Spot::new(&table.sheet.name, table.sheet.header_row, column),
                ProblemCode::ColumnMissing,
                format!("The sheet {} has no column {column}.", table.sheet.name),
                format!("Add a column with the header {column} in the first row."),
            );
        }
    }
    if missing {
        return lists;
    }
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for row in table.rows() {
        let (list, name) = (row.word("list_name"), row.word("name"));
        let Some(list) = list else {
            if name.is_some() {
                log.error(
                    row.spot("list_name"),
                    ProblemCode::ListMissing,
                    "The choice belongs to no list.",
                    "Write the list's name, or clear the row.",
                );
            }
            continue;
        };
        let choices = lists.lists.entry(list.to_owned()).or_default();
        let Some(name) = name else {
            log.error(
                row.spot("name"),
                ProblemCode::ChoiceNameMissing,
                format!("A choice of the list {list} has no name."),
                "Write the value that an answer is to hold, or clear the row.",
            );
            continue;
        };
        if !allow_duplicates {
            if let Some(first) = seen.get(&(list, name)) {
                log.soft(
                    row.spot("name"),
                    ProblemCode::ChoiceNameTwice,
                    format!("The list {list} has the choice {name} twice, first in row {first}."),
                    "Give each its own name, or set allow_choice_duplicates to yes in the settings.",
                );
            } else {
                seen.insert((list, name), row.number());
            }
        }
        let choice = Choice {
            name: name.to_owned(),
            label: row.text("label"),
            media: row.media(),
            attributes: row.others(),
            row: row.number(),
        };
        if choice.label.is_empty() && choice.media.is_empty() && !is_external(table) {
            log.warn(
                row.spot("label"),
                ProblemCode::LabelMissing,
                format!("The choice {name} of the list {list} has no label."),
                "Write what the enumerator is to read.",
            );
        }
        choices.push(choice);
    }
    lists
}

/// Lists of the other sheet are looked up by their columns; labels may be in any of them.
fn is_external(table: &Table<'_>) -> bool {
    table.sheet.name.to_lowercase().contains("external")
}

/// Checks the lists that selects name, and adds what `or_other` asks for.
pub(super) fn check_used(
    items: &mut [Item],
    survey: &Table<'_>,
    lists: Option<&mut Lists>,
    external: Option<&Lists>,
    log: &mut Log,
) {
    let mut none = Lists { sheet: "choices".to_owned(), ..Lists::default() };
    let lists = lists.unwrap_or(&mut none);
    let no_external = Lists { sheet: "external_choices".to_owned(), ..Lists::default() };
    let mut use_of = Use { survey, lists, external: external.unwrap_or(&no_external), spaced: BTreeSet::new() };
    use_of.walk(items, log);
}

struct Use<'a> {
    survey: &'a Table<'a>,
    lists: &'a mut Lists,
    external: &'a Lists,
    /// Lists that were checked for white space.
    spaced: BTreeSet<String>,
}

impl Use<'_> {
    fn walk(&mut self, items: &mut [Item], log: &mut Log) {
        for item in items {
            match item {
                Item::Question(question) => self.check(question, log),
                Item::Group(group) => self.walk(&mut group.children, log),
                Item::Repeat(repeat) => self.walk(&mut repeat.children, log),
            }
        }
    }

    fn check(&mut self, question: &Question, log: &mut Log) {
        let Some(select) = question.kind.select() else {
            return;
        };
        let spot = Spot::new(&self.survey.sheet.name, question.row, self.survey.header("type"));
        match &select.source {
            ChoiceSource::List(name) => {
                exists(self.lists, name, spot, log);
                if let Some(choices) = self.lists.lists.get_mut(name)
                    && select.or_other
                    && !choices.iter().any(|choice| choice.name == "other")
                {
                    let label = other_label(choices, "Other", "Lainnya");
                    choices.push(Choice { name: "other".to_owned(), label, ..Choice::default() });
                }
                if matches!(question.kind, Kind::SelectMultiple(_) | Kind::Rank(_)) && self.spaced.insert(name.clone())
                {
                    self.check_spaces(name, log);
                }
            }
            ChoiceSource::External(name) => exists(self.external, name, spot, log),
            ChoiceSource::Rows(_) | ChoiceSource::File(_) => {}
        }
    }

    fn check_spaces(&self, name: &str, log: &mut Log) {
        for choice in self.lists.lists.get(name).into_iter().flatten() {
            if choice.name.contains(char::is_whitespace) {
                log.soft(
                    Spot::new(&self.lists.sheet, choice.row, &self.lists.name_header),
                    ProblemCode::ChoiceNameSpace,
                    format!(
                        "The choice {} has white space in its name, which separates the choices of an answer.",
                        choice.name
                    ),
                    "Write _ instead.",
                );
            }
        }
    }
}

fn exists(lists: &Lists, name: &str, spot: Spot<'_>, log: &mut Log) {
    match lists.lists.get(name) {
        Some(choices) if choices.is_empty() => log.error(
            spot,
            ProblemCode::ListEmpty,
            format!("The list {name} has no choices."),
            format!("Give it choices with names in the sheet {}.", lists.sheet),
        ),
        Some(_) => {}
        None => {
            let alike = lists.lists.keys().find(|list| list.eq_ignore_ascii_case(name));
            let fix = match alike {
                Some(list) => format!("Write {list}: capital letters count."),
                None => format!("Add the list to the sheet {}, or correct its name here.", lists.sheet),
            };
            log.error(spot, ProblemCode::ListUnknown, format!("There is no list {name}."), fix);
        }
    }
}

/// Labels what `or_other` adds, in each language of the list.
fn other_label(choices: &[Choice], english: &str, indonesian: &str) -> Text {
    let languages: BTreeSet<&str> =
        choices.iter().flat_map(|choice| choice.label.iter().map(|(language, _)| language)).collect();
    let mut label = Text::default();
    for language in languages {
        label.set(language, in_language(language, english, indonesian));
    }
    if label.is_empty() {
        label.set("", english);
    }
    label
}

/// Picks the Indonesian text for an Indonesian language, the English one for any other.
pub(super) fn in_language<'a>(language: &str, english: &'a str, indonesian: &'a str) -> &'a str {
    let lower = language.to_lowercase();
    if lower.contains("(id)") || lower.contains("indonesia") || lower == "id" { indonesian } else { english }
}
