//! What a decision is about: the answers of an interview as they are shown, their hash, and what is different since.
//!
//! A view holds values alone: not who gave them, not by which change. The same answers given again change nothing that was
//! approved. What coordinators remark is left out, too: it is no answer.

use crate::{
    domain::{catalogue::Catalogue, derive::merge},
    store::{ChangeRow, StoreError, Tx},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Change, Dot, Hash, Op, Path, Place, Record, ReplicaId, Value,
    record::Standing,
    remark::{About, Remark},
};

/// The name under which a view holds what people in the field remarked.
const REMARKS: &str = "@remarks";
/// The name under which it says whether the record is void.
const VOID: &str = "@void";

/// The answers of an interview: by path the shown value, then those that stand beside it in conflict. A roster row stands under
/// its place, without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View(BTreeMap<String, Vec<Value>>);

impl View {
    /// Takes the view of a merged record; `own` are the server's replicas, whose remarks are coordinators'.
    #[must_use]
    pub fn of(record: &Record, own: &BTreeSet<ReplicaId>) -> Self {
        let mut view = BTreeMap::new();
        for (path, answer) in record.shown_answers() {
            let mut values: Vec<Value> = Vec::with_capacity(1);
            for sibling in &answer.siblings {
                if !values.iter().any(|known| known.same_as(sibling.value)) {
                    values.push(sibling.value.clone());
                }
            }
            if let Some((_, beside)) = values.split_first_mut() {
                beside.sort_by_key(ToString::to_string);
            }
            view.insert(path.to_string(), values);
        }
        view.extend(record.all_rows().map(|row| (row.place.as_str().to_owned(), Vec::new())));
        if record.is_finished() {
            view.insert(Path::FINISHED.to_owned(), Vec::new());
        }
        let standing = match record.standing() {
            Standing::Valid => None,
            Standing::Void => Some("void"),
            Standing::KeptDespiteVoid => Some("kept-despite-void"),
        };
        view.extend(standing.map(|standing| (VOID.to_owned(), vec![Value::text(standing)])));
        let remarks = record.remarks().filter(|(dot, remark)| !own.contains(&dot.replica) && !remark.text.is_empty());
        let mut remarks: Vec<Value> = remarks.map(|(_, remark)| Value::text(remark.text)).collect();
        remarks.sort_by_key(ToString::to_string);
        if !remarks.is_empty() {
            view.insert(REMARKS.to_owned(), remarks);
        }
        Self(view)
    }

    /// The hash that a decision is bound to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        // A map of texts and values is always JSON.
        hasher.update(serde_json::to_vec(self).unwrap_or_default());
        Hash(hasher.finalize().into())
    }
}

/// The server's own replicas, of all its epochs.
pub(super) fn own_replicas(tx: Tx<'_>) -> Result<BTreeSet<ReplicaId>, StoreError> {
    Ok(tx.own_replicas()?.into_iter().map(|(replica, _)| replica).collect())
}

/// The changes that a view was merged from, as the log of decisions keeps them: numbers and spans of numbers.
///
/// The answers themselves are not kept a second time: they are in the changes, and what is erased there is erased.
pub(super) fn spans(changes: &[ChangeRow]) -> String {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for change in changes {
        match spans.last_mut() {
            Some((_, last)) if last.saturating_add(1) == change.id => *last = change.id,
            Some(_) | None => spans.push((change.id, change.id)),
        }
    }
    let written = spans.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<_>>().join(" ")
}

/// Whether a change is among those that [`spans`] wrote.
fn holds(spans: &str, change: i64) -> bool {
    spans.split(' ').any(|span| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        first.parse().is_ok_and(|first: i64| first <= change) && last.parse().is_ok_and(|last: i64| change <= last)
    })
}

/// One answer that is another one since a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it stands; a row's place where a row came or went; `@finished`, `@void`, `@remarks`.
    pub path: String,
    /// The values then: the shown one first, none where there was no answer.
    pub before: Vec<Value>,
    /// The values now.
    pub after: Vec<Value>,
    /// A roster row, or the mark that the interview is finished: it is there now, or not any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub there: Option<bool>,
    /// The change that made it so; none where none of those that came since names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Why, in the words of who changed it: what was remarked with it, and what was answered to remarks about it.
    pub why: Vec<String>,
    /// It answers a remark of the return: who changed it had seen that.
    pub answers: bool,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct By {
    /// Who.
    pub author: String,
    /// On which device.
    pub device: String,
    /// When by the author's clock, corrected, in milliseconds since 1970.
    pub effective_ms: i64,
    /// When the server received it.
    pub received_ms: i64,
}

/// What is different between the changes that were seen and all of them; `remarks` are those of the return that holds.
///
/// # Errors
/// If the store fails or a stored change can't be read.
pub(super) fn differences(
    tx: Tx<'_>,
    now: &Record,
    changes: Vec<ChangeRow>,
    seen: &str,
    remarks: &[Dot],
    catalogue: &Catalogue,
) -> Result<Vec<Difference>, StoreError> {
    let own = own_replicas(tx)?;
    let (then, fresh): (Vec<ChangeRow>, Vec<ChangeRow>) = changes.into_iter().partition(|row| holds(seen, row.id));
    let (before, after) = (View::of(&merge(then, catalogue)?, &own).0, View::of(now, &own).0);
    let mut news = Vec::with_capacity(fresh.len());
    for row in fresh {
        let change = Change::from_stored(row.dot, &row.bytes).map_err(|_ignored| StoreError::Corrupt("a change"))?;
        let effective_ms = now.origin(row.dot).map_or(0, |origin| origin.effective_ms());
        news.push((effective_ms, row.stamp.received_ms, change));
    }
    news.sort_by_key(|(effective_ms, _, change)| (*effective_ms, change.dot));
    let asked: Vec<(Dot, About)> = now
        .remarks()
        .filter_map(|(dot, remark)| Some((dot, remark.about?)))
        .filter(|(dot, _)| remarks.contains(dot))
        .collect();
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut differences = Vec::new();
    for path in paths {
        let (was, is) = (before.get(path), after.get(path));
        if was == is {
            continue;
        }
        let by = news.iter().rev().find(|(.., change)| touches(change, path));
        // Remarks about this answer, and what the field said to them.
        let about =
            asked.iter().filter(|(_, about)| matches!(about, About::Answer(asked) if asked.to_string() == *path));
        let mut why: Vec<String> = Vec::new();
        let said = by.iter().flat_map(|(.., change)| notes(change)).map(|remark| remark.text.to_owned());
        let replies = about.flat_map(|(dot, _)| now.replies(*dot)).map(|(_, text)| text.to_owned());
        for text in said.chain(replies).filter(|text| !text.is_empty() && path != REMARKS) {
            if !why.contains(&text) {
                why.push(text);
            }
        }
        let answers = by.is_some_and(|(.., change)| {
            notes(change).any(|note| matches!(note.about, Some(About::Remark(dot)) if remarks.contains(&dot)))
        });
        let by = match by {
            Some((effective_ms, received_ms, change)) => Some(By {
                author: change.author.to_string(),
                device: tx.change_source(change.dot)?.map(|source| source.device).unwrap_or_default(),
                effective_ms: *effective_ms,
                received_ms: *received_ms,
            }),
            None => None,
        };
        let has_values = was.or(is).is_some_and(|values| !values.is_empty());
        differences.push(Difference {
            there: (!has_values).then_some(is.is_some()),
            before: was.cloned().unwrap_or_default(),
            after: is.cloned().unwrap_or_default(),
            path: path.clone(),
            by,
            why,
            answers,
        });
    }
    Ok(differences)
}

fn notes(change: &Change) -> impl Iterator<Item = Remark<'_>> {
    change.ops.iter().filter_map(|op| match op {
        Op::Note { text } => Some(Remark::read(text)),
        Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Void { .. } => None,
    })
}

/// Whether a change may have made a path of a view what it is.
fn touches(change: &Change, path: &str) -> bool {
    let inside =
        |row: &Place| path.strip_prefix(row.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    change.ops.iter().any(|op| match op {
        Op::Set { path: set, .. } => {
            set.to_string() == path || (!set.place().is_record() && set.place().as_str() == path)
        }
        Op::AddRow { row, .. } => row.as_str() == path,
        Op::RemoveRow { row, .. } => inside(row),
        Op::Note { .. } => path == REMARKS,
        // An edit keeps what was voided.
        Op::Void { .. } => path == VOID,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::{QuestionnaireRef, Stamp, Subject};

    fn dot(replica: u128, seq: u64) -> Dot {
        Dot { replica: ReplicaId(uuid::Uuid::from_u128(replica)), seq }
    }

    fn row(id: i64) -> ChangeRow {
        ChangeRow { id, dot: dot(1, 1), stamp: Stamp { received_ms: 0, skew_ms: 0 }, bytes: Vec::new() }
    }

    /// The view of a record of these changes, each by its dot with what it did; replica 9 is the server's.
    fn view(changes: &[(Dot, Vec<Op>)]) -> Hash {
        let mut record = Record::new();
        for (dot, ops) in changes {
            let household = sync_protocol::HouseholdId(uuid::Uuid::from_u128(7));
            let subject = Subject::Interview { household, round: "1".into(), purpose: "interview".into() };
            let questionnaire: QuestionnaireRef = "f@1".parse().unwrap();
            let (author, wall_ms, ops) = (dot.replica.to_string().as_str().into(), 0, ops.clone());
            record.apply(Change { dot: *dot, subject, questionnaire, author, wall_ms, ops, instead_of: None }, None);
        }
        View::of(&record, &BTreeSet::from([dot(9, 1).replica])).hash()
    }

    fn floor(value: i64, preds: &[Dot]) -> Vec<Op> {
        vec![Op::Set { path: "floor".parse().unwrap(), value: Value::Integer(value), preds: preds.to_vec() }]
    }

    fn says(text: &str) -> Vec<Op> {
        vec![Op::Note { text: text.into() }]
    }

    #[test]
    fn what_was_seen_is_told_from_what_came_since() {
        let seen = spans(&[row(3), row(4), row(5), row(9)]);
        assert_eq!(seen, "3-5 9");
        assert_eq!((1..=10).filter(|change| holds(&seen, *change)).collect::<Vec<_>>(), [3, 4, 5, 9]);
        assert!(!holds(&spans(&[]), 1));
    }

    #[test]
    fn another_value_is_another_view_and_the_same_value_by_somebody_else_is_not() {
        let (first, second) = (dot(1, 1), dot(2, 1));
        let before = view(&[(first, floor(4, &[]))]);
        assert_eq!(view(&[(first, floor(4, &[])), (second, floor(4, &[first]))]), before);
        assert_eq!(view(&[(first, floor(4, &[])), (second, floor(4, &[]))]), before, "siblings of one value");
        assert_ne!(view(&[(first, floor(4, &[])), (second, floor(5, &[first]))]), before);
        assert_ne!(view(&[(first, floor(4, &[])), (second, floor(5, &[]))]), before, "a conflict");
    }

    #[test]
    fn a_row_a_word_from_the_field_and_a_void_make_another_view_and_a_coordinators_word_does_not() {
        let first = (dot(1, 1), floor(4, &[]));
        let before = view(std::slice::from_ref(&first));
        let with = |replica, ops| view(&[first.clone(), (dot(replica, 2), ops)]);
        assert_eq!(with(9, says("fine")), before);
        assert_eq!(with(1, says("[re 00000000-0000-0000-0000-000000000009:1]")), before, "it says nothing");
        assert_ne!(with(1, says("moved away")), before);
        assert_ne!(with(1, vec![Op::AddRow { row: "member/a".parse().unwrap(), order: 1 }]), before);
        assert_ne!(with(1, vec![Op::Void { reason: "twice".into(), preds: vec![first.0] }]), before);
    }
}
