//! What a record's questionnaire says of it: a pure function of its changes, their stamps and the questionnaire version.
//!
//! Nothing is rejected and nothing repaired: what broke is counted for the lists ([`look`], [`settle`]) and told in full
//! when the record is looked at ([`mod@super::detail`]). A change makes its record wait, in the transaction that applies
//! it; `validator` works that queue off after the ack.

use super::{
    Failure,
    catalogue::Catalogue,
    derive::{form_of, is_finished, merge},
};
use crate::store::{StoreError, Tx, Waiting};
use questionnaire::{Compiled, Context, Evaluator, Kind, Metadata, Questionnaire, Violation, ViolationKind};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};
use sync_protocol::{Path, Place, Record, Value, record::Standing};

/// Kupang's time (WITA), for interviews that saved none of their own.
const OFFSET_MINUTES: i32 = 8 * 60;
/// Most records that are looked at on one snapshot.
const PAGE: usize = 200;
/// A snapshot that is held longer keeps the journal from being folded.
const PAGE_TIME: Duration = Duration::from_millis(100);

/// The interview's own time and zone, never those of the machine that looks at it (DESIGN §4).
///
/// The time that it saved when it was begun, or the day; else the first change's corrected time, in Kupang.
#[must_use]
pub fn context(record: &Record, questionnaire: &Questionnaire) -> Context {
    let saved = |wanted: Metadata| {
        let wanted = Kind::Metadata(wanted);
        let is_wanted = |question: &&questionnaire::Question| question.kind == wanted;
        let question = questionnaire.questions().map(|(_, question)| question).find(is_wanted)?;
        let answer = record.answer(&Path::new(Place::record(), question.key.as_str()).ok()?)?;
        match answer.siblings.first()?.value {
            Value::Text(text) => Some(text.to_string()),
            Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => None,
        }
    };
    let begun = saved(Metadata::Start).and_then(|start| Context::at(&start));
    begun.or_else(|| Context::at(&format!("{}T00:00:00.000+08:00", saved(Metadata::Today)?))).unwrap_or_else(|| {
        let first = record.changes().map(|(_, origin)| origin.effective_ms()).min();
        Context { now_ms: first.unwrap_or(0), offset_minutes: OFFSET_MINUTES, ..Context::default() }
    })
}

/// Runs the rules on a merged record.
#[must_use]
pub fn evaluator(record: &Record, compiled: &Compiled) -> Evaluator {
    Evaluator::of_record(compiled, record, context(record, compiled.questionnaire()))
}

/// What is broken in a record, in form order.
///
/// An interview still under way lacks answers by nature: what is required counts once it is finished. A void record has
/// nothing that anyone should mend.
#[must_use]
pub fn violations(record: &Record, evaluator: &Evaluator) -> Vec<Violation> {
    if record.standing() == Standing::Void {
        return Vec::new();
    }
    let mut violations = evaluator.violations();
    if !is_finished(record) {
        violations.retain(|violation| violation.kind != ViolationKind::Required);
    }
    violations
}

/// How many rules a record breaks; none where no rules are known.
#[must_use]
pub fn count(record: &Record, catalogue: &Catalogue) -> u32 {
    let compiled = form_of(record).and_then(|form| catalogue.compiled(form));
    let violations = compiled.map_or(0, |compiled| violations(record, &evaluator(record, compiled)).len());
    u32::try_from(violations).unwrap_or(u32::MAX)
}

/// What was found of some records that waited.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The records with the number of rules that each breaks.
    pub counted: Vec<(Waiting, u32)>,
    /// Records that can't be merged or evaluated: they go on waiting.
    pub failed: Vec<Waiting>,
    /// The last record that was looked at; none at the end of the queue.
    pub last: Option<i64>,
}

/// Looks at the records that wait, after one: a page of them, or as many as a short time allows.
///
/// # Errors
/// If the store fails.
pub fn look(tx: Tx<'_>, catalogue: &Catalogue, after: i64) -> Result<Looked, StoreError> {
    let begun = Instant::now();
    let mut looked = Looked::default();
    for waiting in tx.waiting(after, PAGE)? {
        looked.last = Some(waiting.record);
        // One record that can't be evaluated never stops the others (law L5).
        let counted = catch_unwind(AssertUnwindSafe(|| {
            Ok::<_, StoreError>(count(&merge(tx.changes_of(waiting.record)?)?, catalogue))
        }));
        match counted {
            Ok(Ok(violations)) => looked.counted.push((waiting, violations)),
            Ok(Err(StoreError::Corrupt(_))) | Err(_) => looked.failed.push(waiting),
            Ok(Err(error)) => return Err(error),
        }
        if begun.elapsed() > PAGE_TIME {
            break;
        }
    }
    Ok(looked)
}

/// Stores what was found; a record that changed meanwhile goes on waiting.
///
/// # Errors
/// If the store fails.
pub fn settle(tx: Tx<'_>, counted: &[(Waiting, u32)]) -> Result<(), StoreError> {
    counted.iter().try_for_each(|(waiting, violations)| tx.set_violations(*waiting, *violations))
}

/// Works the whole queue off in one transaction.
///
/// # Errors
/// If the store fails.
pub fn drain(tx: Tx<'_>, catalogue: &Catalogue) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let looked = look(tx, catalogue, after)?;
        settle(tx, &looked.counted)?;
        match looked.last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}
