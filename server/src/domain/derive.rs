//! What a record's line says: a pure function of its changes, their stamps and the catalogue (DESIGN §5, rule 11).

use super::{
    Failure, attachments,
    catalogue::{AREA, Catalogue, HEAD},
    validate,
};
use crate::store::{ChangeRow, Derived, RecordKey, StoreError, Tx};
use questionnaire::{Questionnaire, merge_of, merge_under};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use sync_protocol::{
    Change, Hash, Op, Path, Place, Record, Stamp, Subject, Value,
    record::{Answer, Origin, Standing},
};

/// Merges a record from its stored changes, read under its questionnaire version.
///
/// # Errors
/// If a stored change can't be read.
pub fn merge(changes: Vec<ChangeRow>, catalogue: &Catalogue) -> Result<Record, StoreError> {
    Ok(merge_changes(read(changes)?, catalogue))
}

/// Merges a record from its stored changes as it will be read under a version that it is not moved to yet.
///
/// # Errors
/// If a stored change can't be read.
pub fn merge_as(changes: Vec<ChangeRow>, version: &Arc<Questionnaire>) -> Result<Record, StoreError> {
    Ok(merge_under(read(changes)?, |_| Some(version.clone())))
}

fn read(changes: Vec<ChangeRow>) -> Result<Vec<(Change, Option<Stamp>)>, StoreError> {
    let read = changes.into_iter().map(|row| {
        let change = Change::from_stored(row.dot, &row.bytes);
        change.map(|change| (change, Some(row.stamp))).map_err(|_ignored| StoreError::Corrupt("an applied change"))
    });
    read.collect()
}

/// Merges a record from its changes, read under its questionnaire version.
#[must_use]
pub fn merge_changes(changes: Vec<(Change, Option<Stamp>)>, catalogue: &Catalogue) -> Record {
    merge_under(changes, |newest| catalogue.questionnaire(newest).cloned())
}

/// Derives the record's line.
#[must_use]
pub fn derive(record: &Record, catalogue: &Catalogue) -> Derived {
    let form = record.questionnaire();
    let questionnaire = form.and_then(|form| catalogue.questionnaire(form));
    let mut derived = Derived { form: form.map(ToString::to_string).unwrap_or_default(), ..Derived::default() };
    if let Some(head) = own(record, HEAD).and_then(|answer| answer.siblings.first().map(|s| s.value.to_string())) {
        derived.title = head;
    }
    for (nth, sibling) in own(record, AREA).iter().flat_map(|answer| &answer.siblings).enumerate() {
        let area = if let Value::Text(code) = sibling.value { catalogue.area(code) } else { None };
        if nth == 0 {
            derived.area = area;
        }
        derived.placement.extend(area);
    }
    if let Some(links) = own(record, Path::SAME_AS) {
        // Each stands until somebody who saw it takes it back, whatever the clocks say.
        let named = links.siblings.iter().filter_map(|sibling| match sibling.value {
            Value::Text(id) => id.parse().ok(),
            Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => None,
        });
        derived.same_as = named.collect();
    }
    derived.finished = record.is_finished();
    for (path, live) in record.shown_live() {
        let count = live.count();
        derived.answers += u32::from(count > 0);
        // Most values stand alone: who gave them is not asked for.
        if count > 1
            && let Some(answer) = live.answer()
            && answer.is_conflict(merge_of(questionnaire.map(AsRef::as_ref), path))
        {
            derived.conflicts.push(path.to_string());
        }
    }
    let kept = record.all_rows().filter(|row| row.kept).count();
    let standing = record.standing();
    derived.attention = u32::try_from(kept).unwrap_or(u32::MAX) + u32::from(standing == Standing::KeptDespiteVoid);
    derived.void = standing == Standing::Void;
    let received = |origin: &Origin| origin.stamp.map_or(0, |stamp| stamp.received_ms);
    let first = record.changes().min_by_key(|(dot, origin)| (received(origin), origin.effective_ms(), *dot));
    derived.enumerator = first.map(|(_, origin)| origin.author.to_string()).unwrap_or_default();
    derived.changed_ms = record.changes().map(|(_, origin)| received(origin)).max().unwrap_or(0);
    derived.changes = u32::try_from(record.changes().count()).unwrap_or(u32::MAX);
    derived
}

/// The area that a change of a household says it lives in, where that is known.
#[must_use]
pub fn area_in(change: &Change, catalogue: &Catalogue) -> Option<i64> {
    area_named(change).and_then(|code| catalogue.area(code))
}

/// The code of the area that a change of a household says it lives in.
#[must_use]
pub fn area_named(change: &Change) -> Option<&str> {
    if !matches!(change.subject, Subject::Household(_)) {
        return None;
    }
    change.ops.iter().find_map(|op| match op {
        Op::Set { path, value: Value::Text(code), .. } if path.place().is_record() && path.name() == AREA => {
            Some(&**code)
        }
        Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
    })
}

/// An answer of the record itself.
fn own<'a>(record: &'a Record, name: &str) -> Option<Answer<'a>> {
    record.answer(&Path::new(Place::record(), name).ok()?)
}

/// Derives a record's line from its stored changes and stores it.
///
/// # Errors
/// If the store fails.
pub fn refresh(tx: Tx<'_>, key: RecordKey, catalogue: &Catalogue) -> Result<Derived, StoreError> {
    let changes = read(tx.changes_of(key.id)?)?;
    changes.iter().try_for_each(|(change, _)| attachments::note(tx, key.id, change))?;
    let derived = derive(&merge_changes(changes, catalogue), catalogue);
    tx.set_derived(key, &derived)?;
    Ok(derived)
}

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records derived again.
    pub records: u64,
    /// The hash of everything derived, before.
    pub before: Hash,
    /// The hash of everything derived, after: the same, or the derived rows had been wrong.
    pub after: Hash,
}

/// Forgets everything that is derived and makes it again from the changes.
///
/// # Errors
/// If the store fails or a stored change can't be read.
pub fn rebuild(tx: Tx<'_>, catalogue: &Catalogue, mut progress: impl FnMut(u64)) -> Result<Rebuilt, Failure> {
    // What waits to be validated would differ by that alone.
    validate::drain(tx, catalogue)?;
    let before = digest(tx)?;
    tx.clear_derived()?;
    let (mut after, mut records) = (0, 0);
    loop {
        let page = tx.record_keys(after, 1000)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for key in page {
            refresh(tx, key, catalogue)?;
            records += 1;
        }
        progress(records);
    }
    validate::drain(tx, catalogue)?;
    Ok(Rebuilt { records, before, after: digest(tx)? })
}

fn digest(tx: Tx<'_>) -> Result<Hash, StoreError> {
    let mut hasher = Sha256::new();
    let mut after = 0;
    loop {
        let page = tx.record_keys(after, 1000)?;
        let Some(last) = page.last() else {
            return Ok(Hash(hasher.finalize().into()));
        };
        after = last.id;
        for key in page {
            hasher.update(tx.derived_text(key.id)?);
            hasher.update(b"\n");
        }
    }
}
