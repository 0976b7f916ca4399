//! Areas and questionnaires in memory, and the check of a change against them.

use super::Failure;
use crate::store::{QuestionnaireRow, StoreError, Tx};
use questionnaire::{Compiled, Questionnaire, Tables};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use sync_protocol::{
    Change, Limits, Op, Place, QuestionnaireRef, Subject, Value,
    problem::{Code, Problem},
};

/// The answer of a household record that names its bucket.
pub const AREA: &str = "area";
/// The answer of a household record that people call it by.
pub const HEAD: &str = "head";

/// A snapshot of areas and questionnaires.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: u64,
    questionnaires: BTreeMap<QuestionnaireRef, Arc<Questionnaire>>,
    compiled: BTreeMap<QuestionnaireRef, Compiled>,
    areas: BTreeMap<String, i64>,
}

/// The snapshot that was read last; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Mutex<Arc<Catalogue>>>);

impl Latest {
    /// Areas and questionnaires as a transaction sees them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn at(&self, tx: Tx<'_>) -> Result<Arc<Catalogue>, StoreError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let catalogue = Catalogue::refresh(&known, tx)?;
        if !Arc::ptr_eq(&known, &catalogue) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = catalogue.clone();
        }
        Ok(catalogue)
    }
}

impl Catalogue {
    /// Reads the snapshot anew, if areas or questionnaires changed since `known`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn refresh(known: &Arc<Self>, tx: Tx<'_>) -> Result<Arc<Self>, StoreError> {
        let version = tx.catalogue_version()?;
        if version == known.version {
            return Ok(known.clone());
        }
        let (mut questionnaires, mut compiled) = (BTreeMap::new(), BTreeMap::new());
        for row in tx.questionnaires()? {
            let reference: QuestionnaireRef =
                row.reference.parse().map_err(|_ignored| StoreError::Corrupt("a questionnaire's name"))?;
            let read = match known.questionnaires.get(&reference) {
                Some(read) => read.clone(),
                None => Arc::new(
                    serde_json::from_str(&row.json).map_err(|_ignored| StoreError::Corrupt("a questionnaire"))?,
                ),
            };
            // A questionnaire whose rules can't be resolved is not loaded any more; one from before goes without those
            // that lead nowhere, or without any.
            let resolved = match known.compiled.get(&reference) {
                Some(known) => Some(known.clone()),
                None => Compiled::lenient(read.clone(), Tables::new()).ok(),
            };
            compiled.extend(resolved.map(|resolved| (reference.clone(), resolved)));
            questionnaires.insert(reference, read);
        }
        let areas = tx.areas()?.into_iter().map(|area| (area.code, area.id)).collect();
        Ok(Arc::new(Self { version, questionnaires, compiled, areas }))
    }

    /// A questionnaire version.
    #[must_use]
    pub fn questionnaire(&self, reference: &QuestionnaireRef) -> Option<&Arc<Questionnaire>> {
        self.questionnaires.get(reference)
    }

    /// The rules of a questionnaire version, resolved.
    #[must_use]
    pub fn compiled(&self, reference: &QuestionnaireRef) -> Option<&Compiled> {
        self.compiled.get(reference)
    }

    /// Every questionnaire version, by name.
    pub fn questionnaires(&self) -> impl Iterator<Item = (&QuestionnaireRef, &Arc<Questionnaire>)> {
        self.questionnaires.iter()
    }

    /// The number of an area.
    #[must_use]
    pub fn area(&self, code: &str) -> Option<i64> {
        self.areas.get(code).copied()
    }

    /// Checks what a change names and the types of its answers; what fails goes to quarantine.
    ///
    /// # Errors
    /// The first problem, naming the path.
    pub fn check(&self, change: &Change, limits: &Limits) -> Result<(), Problem> {
        too_many_rows(change, limits)?;
        match &change.subject {
            Subject::Household(_) => self.check_household(change),
            Subject::Interview { .. } => {
                let Some(questionnaire) = self.questionnaires.get(&change.questionnaire) else {
                    return Err(unknown_questionnaire(change));
                };
                for op in &change.ops {
                    match op {
                        Op::Set { path, value, .. } => questionnaire.check_value(path, value)?,
                        Op::AddRow { row, .. } | Op::RemoveRow { row, .. } if !questionnaire.has_place(row) => {
                            let detail = format!("{} has no repeat for `{row}`", change.questionnaire);
                            return Err(Problem::new(Code::UnknownQuestion, detail));
                        }
                        Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// The household register takes any field; its area must be one.
    fn check_household(&self, change: &Change) -> Result<(), Problem> {
        if change.questionnaire.id != QuestionnaireRef::household_register().id {
            return Err(unknown_questionnaire(change));
        }
        for op in &change.ops {
            if let Op::Set { path, value, .. } = op
                && path.place().is_record()
                && path.name() == AREA
            {
                match value {
                    Value::Text(code) if self.areas.contains_key(code.as_str()) => {}
                    Value::Text(_) => {
                        return Err(Problem::new(Code::UnknownArea, "`area`: load this area, then release the change"));
                    }
                    Value::Missing(_) => {}
                    Value::Integer(_) | Value::Choices(_) | Value::Fields(_) => {
                        return Err(Problem::new(Code::WrongValueType, "`area` takes an area's code"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn unknown_questionnaire(change: &Change) -> Problem {
    let detail = format!("load `{}`, then release the change", change.questionnaire);
    Problem::new(Code::UnknownQuestionnaire, detail)
}

fn too_many_rows(change: &Change, limits: &Limits) -> Result<(), Problem> {
    let mut rows: BTreeMap<(Place, &str), usize> = BTreeMap::new();
    for op in &change.ops {
        if let Op::AddRow { row, .. } = op
            && let Some((outer, repeat, _)) = row.split()
        {
            let count = rows.entry((outer, repeat)).or_default();
            *count += 1;
            if *count > limits.rows {
                let detail = format!("`{repeat}`: at most {} rows", limits.rows);
                return Err(Problem::new(Code::TooManyRows, detail));
            }
        }
    }
    Ok(())
}

/// Reads a workbook and stores it as a questionnaire version.
///
/// Gives its name and the reader's warnings; a version that is stored already is left as it is.
///
/// # Errors
/// [`Code::Stale`] if the version exists with other content, or a later one is published: versions are immutable, and
/// records go from one to a later one.
pub fn load_questionnaire(
    tx: Tx<'_>,
    questionnaire: &Questionnaire,
    workbook: &[u8],
    now_ms: i64,
) -> Result<QuestionnaireRef, Failure> {
    let reference =
        QuestionnaireRef { id: questionnaire.id.as_str().into(), version: questionnaire.version.as_str().into() };
    let json = serde_json::to_string(questionnaire)
        .map_err(|_ignored| Failure::problem(Code::Internal, "the questionnaire can't be written"))?;
    if let Some(latest) = latest_version(tx, &reference.id)?.filter(|latest| *latest > reference) {
        let known = tx.questionnaire(&reference.to_string())?.is_some();
        if !known {
            let detail = format!("{latest} is published already: give the workbook a version that comes after it");
            return Err(Failure::problem(Code::Stale, detail));
        }
    }
    let row = QuestionnaireRow { reference: reference.to_string(), title: questionnaire.title.clone(), json };
    if !tx.insert_questionnaire(&row, workbook, now_ms)? {
        let held = tx.questionnaire(&row.reference)?;
        if held.is_none_or(|held| held.json != row.json) {
            return Err(Failure::problem(
                Code::Stale,
                format!("{reference} is published already with other content: give the workbook a new version"),
            ));
        }
    }
    tx.raise_catalogue_version()?;
    Ok(reference)
}

/// The latest published version of a questionnaire.
///
/// # Errors
/// If the store fails.
pub fn latest_version(tx: Tx<'_>, id: &str) -> Result<Option<QuestionnaireRef>, StoreError> {
    let names = tx.questionnaire_names()?;
    let versions = names.iter().filter_map(|name| name.parse::<QuestionnaireRef>().ok());
    Ok(versions.filter(|version| version.id == id).max())
}
