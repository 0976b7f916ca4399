//! The settings sheet: what the form is called, its version and languages.

use std::collections::BTreeMap;

use super::columns::{Place, Table, flag};
use super::log::{Log, Spot};
use super::workbook::Sheet;
use crate::model::Expression;
use crate::problem::ProblemCode;

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) title: String,
    pub(super) default_language: Option<String>,
    pub(super) instance_name: Option<Expression>,
    pub(super) allow_choice_duplicates: bool,
    pub(super) others: BTreeMap<String, String>,
    sheet: String,
    row: u32,
    headers: BTreeMap<&'static str, String>,
}

const PLAIN: &[&str] =
    &["form_id", "form_title", "version", "default_language", "instance_name", "allow_choice_duplicates"];

impl Settings {
    pub(super) fn read(sheet: Option<&Sheet>, log: &mut Log) -> Self {
        let empty = Sheet { name: "settings".to_owned(), header_row: 1, ..Sheet::default() };
        let table = Table::new(sheet.unwrap_or(&empty), Place::Settings, "", log);
        let row = table.rows().next();
        let word = |name: &str| row.and_then(|row| row.word(name)).map(str::to_owned);
        let mut settings = Self {
            id: word("form_id").unwrap_or_default(),
            version: word("version").unwrap_or_default(),
            title: word("form_title").unwrap_or_default(),
            default_language: word("default_language"),
            instance_name: row.and_then(|row| row.expression("instance_name")),
            allow_choice_duplicates: false,
            others: row.map(|row| row.others()).unwrap_or_default(),
            sheet: table.sheet.name.clone(),
            // Without a row of values, the one below the header is meant.
            row: row.map_or(table.sheet.header_row.saturating_add(1), |row| row.number()),
            headers: PLAIN.iter().map(|name| (*name, table.header(name).to_owned())).collect(),
        };
        if let Some(text) = word("allow_choice_duplicates") {
            match flag(&text) {
                Some(allow) => settings.allow_choice_duplicates = allow,
                None => log.error(
                    settings.spot("allow_choice_duplicates"),
                    ProblemCode::FlagInvalid,
                    format!("{text} is neither yes nor no."),
                    "Write yes or no.",
                ),
            }
        }
        settings.check_names(log);
        settings
    }

    pub(super) fn spot<'a>(&'a self, name: &'a str) -> Spot<'a> {
        Spot::new(&self.sheet, self.row, self.headers.get(name).map_or(name, String::as_str))
    }

    fn check_names(&mut self, log: &mut Log) {
        if self.id.is_empty() {
            log.soft(
                self.spot("form_id"),
                ProblemCode::FormIdMissing,
                "The settings name no form_id.",
                "Add a sheet settings with a column form_id, and below it a short name that stays the same in all versions.",
            );
            "form".clone_into(&mut self.id);
        } else if self.id.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@') {
            log.soft(
                self.spot("form_id"),
                ProblemCode::FormIdInvalid,
                format!("The form_id {} holds white space or @.", self.id),
                "Use letters, digits, - and _ only.",
            );
        }
        if self.version.is_empty() {
            log.warn(
                self.spot("version"),
                ProblemCode::VersionMissing,
                "The settings name no version; 1 is taken.",
                "Add a column version and raise it with every change, for instance 2025110301.",
            );
            "1".clone_into(&mut self.version);
        }
        if self.title.is_empty() {
            self.title.clone_from(&self.id);
        }
    }
}
