//! What the headers of a sheet mean: names, old aliases, languages.
//!
//! Follows <https://xlsform.org/en/ref-table/> and the aliases that older forms use.

use std::collections::BTreeMap;

use super::log::{Log, Spot};
use super::workbook::{RawRow, Sheet, column_letters};
use crate::model::{Expression, Text};
use crate::problem::ProblemCode;

/// Says which sheet the headers belong to, as some mean different things in different sheets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Survey,
    Choices,
    Settings,
}

/// What one column holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// One value, by its canonical name.
    Plain(&'static str),
    /// A text in a language.
    Text(&'static str, String),
    /// A file name in a language, by medium.
    Media(&'static str, String),
    /// A column that is kept as it is.
    Other(String),
    /// A column that is not read.
    Ignored,
}

const PLAIN: &[(&str, &str)] = &[
    ("type", "type"),
    ("command", "type"),
    ("name", "name"),
    ("tag", "name"),
    ("required", "required"),
    ("bind::required", "required"),
    ("relevant", "relevant"),
    ("relevance", "relevant"),
    ("bind::relevant", "relevant"),
    ("constraint", "constraint"),
    ("bind::constraint", "constraint"),
    ("calculation", "calculation"),
    ("calculate", "calculation"),
    ("bind::calculate", "calculation"),
    ("bind::calculation", "calculation"),
    ("default", "default"),
    ("choice_filter", "choice_filter"),
    ("appearance", "appearance"),
    ("control::appearance", "appearance"),
    ("body::appearance", "appearance"),
    ("parameters", "parameters"),
    ("read_only", "read_only"),
    ("readonly", "read_only"),
    ("bind::readonly", "read_only"),
    ("trigger", "trigger"),
    ("repeat_count", "repeat_count"),
    ("count", "repeat_count"),
    ("jr:count", "repeat_count"),
    ("control::jr:count", "repeat_count"),
    ("body::jr:count", "repeat_count"),
    ("disabled", "disabled"),
    ("tenun::merge", "tenun::merge"),
    ("tenun::personal", "tenun::personal"),
    ("tenun::household", "tenun::household"),
    ("tenun::was", "tenun::was"),
];

const CHOICES_PLAIN: &[(&str, &str)] = &[("list_name", "list_name"), ("name", "name"), ("value", "name")];

const SETTINGS_PLAIN: &[(&str, &str)] = &[
    ("form_id", "form_id"),
    ("id_string", "form_id"),
    ("form_title", "form_title"),
    ("title", "form_title"),
    ("version", "version"),
    ("default_language", "default_language"),
    ("instance_name", "instance_name"),
    ("allow_choice_duplicates", "allow_choice_duplicates"),
];

const TEXTS: &[(&str, &str)] = &[
    ("label", "label"),
    ("caption", "label"),
    ("hint", "hint"),
    ("guidance_hint", "guidance"),
    ("constraint_message", "constraint_message"),
    ("constraining_message", "constraint_message"),
    ("bind::jr:constraintmsg", "constraint_message"),
    ("bind::jr:constraint_message", "constraint_message"),
    ("required_message", "required_message"),
    ("bind::jr:requiredmsg", "required_message"),
];

const MEDIA: &[(&str, &str)] = &[
    ("image", "image"),
    ("audio", "audio"),
    ("video", "video"),
    ("big-image", "big-image"),
    ("big_image", "big-image"),
];

/// Columns that other tools write for people; left alone without a word.
const SILENT: &[&str] = &["note", "notes", "comment", "comments", "remark", "remarks"];

fn lookup(table: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(alias, _)| *alias == name).map(|(_, canonical)| *canonical)
}

/// Finds out what a header means.
fn target(header: &str, place: Place) -> Target {
    let parts: Vec<&str> = if header.contains("::") {
        header.split("::").map(str::trim).collect()
    } else {
        header.split(':').map(str::trim).collect()
    };
    let folded: Vec<String> =
        parts.iter().map(|part| part.to_lowercase().split_whitespace().collect::<Vec<_>>().join("_")).collect();
    let whole = folded.join("::");
    if place == Place::Settings {
        return lookup(SETTINGS_PLAIN, &whole).map_or(Target::Other(whole), Target::Plain);
    }
    let plain = if place == Place::Choices { CHOICES_PLAIN } else { PLAIN };
    if let Some(name) = lookup(plain, &whole) {
        return Target::Plain(name);
    }
    let language_after = |count: usize| match parts.get(count..) {
        Some([language]) => Some((*language).to_owned()),
        Some([]) => Some(String::new()),
        Some(_) | None => None,
    };
    let first = folded.first().map_or("", String::as_str);
    let two = folded.get(..2).map(|two| two.join("::")).unwrap_or_default();
    // The old single colon takes `jr:` apart, too.
    let three = match folded.as_slice() {
        [bind, jr, message, ..] if jr == "jr" => format!("{bind}::jr:{message}"),
        _ => String::new(),
    };
    for (count, key) in [(1, first), (2, two.as_str()), (3, three.as_str())] {
        if let (Some(field), Some(language)) = (lookup(TEXTS, key), language_after(count)) {
            return Target::Text(field, language);
        }
    }
    if let Some(medium) = two.strip_prefix("media::").and_then(|medium| lookup(MEDIA, medium))
        && let Some(language) = language_after(2)
    {
        return Target::Media(medium, language);
    }
    if let (Some(medium), Some(language)) = (lookup(MEDIA, first), language_after(1)) {
        return Target::Media(medium, language);
    }
    match place {
        Place::Choices => Target::Other(header.to_owned()),
        Place::Survey | Place::Settings => match first {
            "bind" | "body" | "control" | "instance" => Target::Other(parts.join("::")),
            _ => Target::Ignored,
        },
    }
}

/// A sheet with the meaning of its columns.
#[derive(Debug)]
pub(super) struct Table<'s> {
    pub(super) sheet: &'s Sheet,
    /// By column position.
    targets: BTreeMap<u32, (Target, &'s str)>,
}

impl<'s> Table<'s> {
    /// Reads the headers; texts without a language are taken to be in `unnamed`.
    pub(super) fn new(sheet: &'s Sheet, place: Place, unnamed: &str, log: &mut Log) -> Self {
        let mut targets: BTreeMap<u32, (Target, &'s str)> = BTreeMap::new();
        let mut seen: BTreeMap<Target, &str> = BTreeMap::new();
        for (at, header) in &sheet.headers {
            let mut found = target(header, place);
            if let Target::Text(_, language) | Target::Media(_, language) = &mut found
                && language.is_empty()
            {
                unnamed.clone_into(language);
            }
            let spot = Spot::new(&sheet.name, sheet.header_row, header);
            if found == Target::Ignored {
                unknown_column(header, spot, log);
            } else if let Some(first) = seen.get(&found) {
                log.soft(
                    spot,
                    ProblemCode::ColumnTwice,
                    format!("The columns {first} and {header} mean the same."),
                    "Keep one of them; where both are filled, the first one counts.",
                );
            } else {
                seen.insert(found.clone(), header);
            }
            targets.insert(*at, (found, header));
        }
        Self { sheet, targets }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.targets.values().any(|(target, _)| *target == Target::Plain(name_of(name)))
    }

    /// Returns the header that stands for a canonical name, or that name.
    pub(super) fn header<'a>(&'a self, name: &'a str) -> &'a str {
        self.targets
            .values()
            .find(|(target, _)| match target {
                Target::Plain(field) | Target::Text(field, _) => *field == name,
                Target::Media(..) | Target::Other(_) | Target::Ignored => false,
            })
            .map_or(name, |(_, header)| *header)
    }

    /// Yields the languages of the texts, in the order of their columns.
    pub(super) fn languages(&self) -> impl Iterator<Item = &str> {
        self.targets.values().filter_map(|(target, _)| match target {
            Target::Text(_, language) | Target::Media(_, language) => Some(language.as_str()),
            Target::Plain(_) | Target::Other(_) | Target::Ignored => None,
        })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.sheet.rows.iter().map(|raw| Row { table: self, raw })
    }
}

fn name_of(name: &str) -> &'static str {
    lookup(PLAIN, name).or_else(|| lookup(CHOICES_PLAIN, name)).or_else(|| lookup(SETTINGS_PLAIN, name)).unwrap_or("")
}

fn unknown_column(header: &str, spot: Spot<'_>, log: &mut Log) {
    let lower = header.to_lowercase();
    if lower.starts_with("tenun") {
        // A misspelt mark of personal data must not pass unseen.
        log.error(
            spot,
            ProblemCode::ColumnUnknown,
            format!("The column {header} is not known."),
            "The columns of Tenun are tenun::merge, tenun::personal, tenun::household and tenun::was.",
        );
    } else if !SILENT.contains(&lower.trim()) && !lower.starts_with('#') {
        log.warn(
            spot,
            ProblemCode::ColumnUnknown,
            format!("The column {header} is not known and was not read."),
            "Correct the spelling, or leave it if it is only for people.",
        );
    }
}

/// One row, read by the names of its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'t> {
    table: &'t Table<'t>,
    raw: &'t RawRow,
}

/// One cell that holds text, with its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellRef<'t> {
    pub(super) text: &'t str,
    pub(super) header: &'t str,
}

impl<'t> Row<'t> {
    pub(super) fn number(self) -> u32 {
        self.raw.number
    }

    pub(super) fn sheet(self) -> &'t str {
        &self.table.sheet.name
    }

    /// Yields the cells with what their columns mean.
    pub(super) fn cells(self) -> impl Iterator<Item = (&'t Target, CellRef<'t>)> {
        self.raw.cells.iter().filter_map(move |(at, text)| {
            let (target, header) = self.table.targets.get(at)?;
            Some((target, CellRef { text, header }))
        })
    }

    pub(super) fn cell(self, name: &str) -> Option<CellRef<'t>> {
        self.cells().find(|(target, _)| matches!(target, Target::Plain(field) if *field == name)).map(|(_, cell)| cell)
    }

    /// Returns the text of a cell without the white space around it.
    pub(super) fn word(self, name: &str) -> Option<&'t str> {
        self.cell(name).map(|cell| cell.text.trim())
    }

    /// Names the cell of a column, filled or not.
    pub(super) fn spot(self, name: &'t str) -> Spot<'t> {
        Spot::new(self.sheet(), self.number(), self.table.header(name))
    }

    pub(super) fn expression(self, name: &str) -> Option<Expression> {
        self.cell(name).map(|cell| Expression {
            text: cell.text.to_owned(),
            row: self.number(),
            column: cell.header.to_owned(),
        })
    }

    /// Reads a column of conditions, where `yes` and `no` are written for true and false.
    ///
    /// `no` is what an empty cell means, too, but for relevance: there it hides for good.
    pub(super) fn condition(self, name: &str) -> Option<Expression> {
        let mut expression = self.expression(name)?;
        match flag(&expression.text) {
            Some(true) => "true()".clone_into(&mut expression.text),
            Some(false) if name == "relevant" => "false()".clone_into(&mut expression.text),
            Some(false) => return None,
            None => {}
        }
        Some(expression)
    }

    pub(super) fn text(self, name: &str) -> Text {
        let mut text = Text::default();
        for (target, cell) in self.cells() {
            if let Target::Text(field, language) = target
                && *field == name
                && text.get(language).is_none()
            {
                text.set(language, cell.text);
            }
        }
        text
    }

    pub(super) fn media(self) -> BTreeMap<String, Text> {
        let mut media: BTreeMap<String, Text> = BTreeMap::new();
        for (target, cell) in self.cells() {
            if let Target::Media(medium, language) = target {
                let text = media.entry((*medium).to_owned()).or_default();
                if text.get(language).is_none() {
                    text.set(language, cell.text.trim());
                }
            }
        }
        media
    }

    pub(super) fn others(self) -> BTreeMap<String, String> {
        let mut others = BTreeMap::new();
        for (target, cell) in self.cells() {
            if let Target::Other(name) = target {
                others.entry(name.clone()).or_insert_with(|| cell.text.to_owned());
            }
        }
        others
    }
}

/// Reads yes and no as forms write them.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "true" | "true()" | "ya" | "1" => Some(true),
        "no" | "false" | "false()" | "tidak" | "0" => Some(false),
        _ => None,
    }
}

/// Reports text in columns that have no header.
pub(super) fn check_headless(table: &Table<'_>, log: &mut Log) {
    let mut seen = std::collections::BTreeSet::new();
    for raw in &table.sheet.rows {
        for (at, _) in &raw.cells {
            if !table.targets.contains_key(at) && seen.insert(*at) {
                log.warn(
                    Spot::new(&table.sheet.name, raw.number, &column_letters(*at)),
                    ProblemCode::ColumnUnknown,
                    format!("Column {} has text but no header, and was not read.", column_letters(*at)),
                    "Give it a header or delete the text.",
                );
            }
        }
    }
}
