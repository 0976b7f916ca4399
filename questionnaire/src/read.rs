//! From a workbook to a questionnaire, or to everything that is wrong with it.
//!
//! Each step writes what it finds into one log and goes on, so that an author sees all errors at once. The order:
//! `workbook` (bytes to text), `columns` (headers), `settings`, `choices`, `survey` (the tree), then the checks that
//! need the whole: `references`, `scopes` (keys, merge groups, row choices).

mod choices;
mod columns;
mod files;
mod log;
mod names;
mod references;
mod scopes;
mod settings;
mod survey;
mod types;
mod workbook;

use std::collections::{BTreeMap, BTreeSet};

use self::columns::{Place, Table, check_headless};
use self::log::{Log, Spot};
use self::settings::Settings;
use self::workbook::Sheets;
use crate::model::{Parts, Questionnaire};
use crate::problem::{Problem, ProblemCode, Problems};

/// A questionnaire that was read, with what someone should look at all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The questionnaire.
    pub questionnaire: Questionnaire,
    /// What is odd in the workbook but does not keep it from being used.
    pub warnings: Vec<Problem>,
}

impl Questionnaire {
    /// Reads an XLSForm workbook (`.xlsx` or `.xls`).
    ///
    /// Follows <https://xlsform.org/en/ref-table/>, old aliases included.
    ///
    /// ```
    /// use questionnaire::{ProblemCode, Questionnaire};
    /// let problems = Questionnaire::read_xlsx(b"no workbook").unwrap_err();
    /// assert_eq!(problems.0[0].code, ProblemCode::NotAWorkbook);
    /// ```
    ///
    /// # Errors
    ///
    /// Returns every error of the workbook at once (and its warnings), by sheet and row. Never panics, whatever the bytes.
    pub fn read_xlsx(bytes: &[u8]) -> Result<Loaded, Problems> {
        read(bytes, false)
    }

    /// Reads a workbook as [`Questionnaire::read_xlsx`] does, but only warns of what is harmless.
    ///
    /// Harmless are: two columns that mean the same (the first one counts), repeated choice names, a type that is not
    /// known (kept as metadata), a missing form id (`form`), white space in the choices of a select multiple, a calculate
    /// without a calculation, columns filled where they have no meaning.
    ///
    /// # Errors
    ///
    /// Returns all that can't be overlooked, as [`Questionnaire::read_xlsx`] does.
    pub fn read_xlsx_lenient(bytes: &[u8]) -> Result<Loaded, Problems> {
        read(bytes, true)
    }
}

fn read(bytes: &[u8], lenient: bool) -> Result<Loaded, Problems> {
    let mut log = Log::new(lenient);
    let questionnaire = workbook::open(bytes, &mut log).and_then(|sheets| assemble(&sheets, &mut log));
    match questionnaire {
        Some(questionnaire) if !log.has_errors() => Ok(Loaded { questionnaire, warnings: log.into_problems() }),
        Some(_) | None => Err(Problems(log.into_problems())),
    }
}

fn assemble(sheets: &Sheets, log: &mut Log) -> Option<Questionnaire> {
    let settings = Settings::read(sheets.settings.as_ref(), log);
    let unnamed = settings.default_language.clone().unwrap_or_default();

    let choices = sheets.choices.as_ref().map(|sheet| Table::new(sheet, Place::Choices, &unnamed, log));
    let external = sheets.external.as_ref().map(|sheet| Table::new(sheet, Place::Choices, &unnamed, log));
    let mut lists = choices.as_ref().map(|table| choices::read(table, settings.allow_choice_duplicates, log));
    let external_lists = external.as_ref().map(|table| choices::read(table, true, log));

    let Some(survey) = sheets.survey.as_ref() else {
        log.error(
            Spot::new("survey", 0, ""),
            ProblemCode::SheetMissing,
            format!("There is no sheet survey among: {}.", sheets.names.join(", ")),
            "Name the sheet with the questions survey.",
        );
        return None;
    };
    let survey = Table::new(survey, Place::Survey, &unnamed, log);
    check_headless(&survey, log);
    let mut missing = false;
    for column in ["type", "name"] {
        if !survey.has(column) {
            missing = true;
            log.error(
                Spot::new(&survey.sheet.name, survey.sheet.header_row, column),
                ProblemCode::ColumnMissing,
                format!("The survey sheet has no column {column}."),
                format!("Add a column with the header {column} in the first row."),
            );
        }
    }
    if missing {
        return None;
    }

    let mut items = survey::read(&survey, log);
    choices::check_used(&mut items, &survey, lists.as_mut(), external_lists.as_ref(), log);
    references::check(&items, &survey, choices.as_ref(), &settings, log);
    scopes::check(&mut items, &survey, log);

    let languages = languages(&survey, choices.as_ref());
    let default_language = default_language(&settings, &languages, log);
    let parts = Parts {
        id: settings.id,
        version: settings.version,
        title: settings.title,
        languages,
        default_language,
        instance_name: settings.instance_name,
        lists: lists.map(choices::Lists::into_lists).unwrap_or_default(),
        external_lists: external_lists.map(choices::Lists::into_lists).unwrap_or_default(),
        settings: settings.others,
        files: BTreeMap::new(),
        items,
    };
    match Questionnaire::try_from(parts) {
        Ok(questionnaire) => Some(questionnaire),
        Err(clash) => {
            // Clashes are found above, each with its own words; this is for what they overlook.
            if !log.has_errors() {
                let column = if clash.merge { "tenun::merge" } else { "name" };
                log.error(
                    Spot::new(&survey.sheet.name, clash.row, survey.header(column)),
                    ProblemCode::KeyClash,
                    format!("{clash}."),
                    "Choose another name.",
                );
            }
            None
        }
    }
}

fn languages(survey: &Table<'_>, choices: Option<&Table<'_>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    survey
        .languages()
        .chain(choices.into_iter().flat_map(Table::languages))
        .filter(|language| seen.insert((*language).to_owned()))
        .map(str::to_owned)
        .collect()
}

fn default_language(settings: &Settings, languages: &[String], log: &mut Log) -> String {
    match &settings.default_language {
        Some(language) if languages.contains(language) || languages.is_empty() => language.clone(),
        Some(language) => {
            log.warn(
                settings.spot("default_language"),
                ProblemCode::LanguageUnknown,
                format!("No column has the default language {language}."),
                format!("Write it as in the headers: {}.", languages.join(", ")),
            );
            languages.first().cloned().unwrap_or_default()
        }
        None if languages.iter().any(String::is_empty) => String::new(),
        None => languages.first().cloned().unwrap_or_default(),
    }
}
