//! What a decision is about: the answers of an interview as they are shown, their hash, and what is different since.
//!
//! A view holds values alone: not who gave them, not by which change. The same answers given again change nothing that was
//! approved. What coordinators remark is left out, too: it is no answer.

use crate::{
    domain::{
        catalogue::Catalogue,
        derive::{merge, merge_as},
    },
    store::{ChangeRow, RecordKey, StoreError, Tx},
};
use questionnaire::Questionnaire;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Change, Dot, Hash, Op, Path, Place, Record, Value,
    record::Standing,
    remark::{About, Remark},
};

/// The name under which a view holds what people in the field remarked.
const REMARKS: &str = "@remarks";
/// What stands under the place of a row that somebody removed and an edit keeps.
const KEPT: &str = "kept";
/// The name under which it says whether the record is void.
const VOID: &str = "@void";

/// The answers of an interview: by path the shown value, then those that stand beside it in conflict. A roster row stands under
/// its place, without a value but for the word that it is kept against a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View(BTreeMap<String, Vec<Value>>);

impl View {
    /// Takes the view of a merged record; `office` are the changes that coordinators made: their remarks are no answers.
    #[must_use]
    pub fn of(record: &Record, office: &BTreeSet<Dot>) -> Self {
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
        let kept = |is_kept: bool| is_kept.then(|| Value::text(KEPT)).into_iter().collect();
        view.extend(record.all_rows().map(|row| (row.place.as_str().to_owned(), kept(row.kept))));
        if record.is_finished() {
            view.insert(Path::FINISHED.to_owned(), Vec::new());
        }
        let standing = match record.standing() {
            Standing::Valid => None,
            Standing::Void => Some("void"),
            Standing::KeptDespiteVoid => Some("kept-despite-void"),
        };
        view.extend(standing.map(|standing| (VOID.to_owned(), vec![Value::text(standing)])));
        let remarks = record.remarks().filter(|(dot, remark)| !office.contains(dot) && !remark.text.is_empty());
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

/// Reads what [`spans`] wrote, in order.
fn read_spans(written: &str) -> Vec<(i64, i64)> {
    let span = |span: &str| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    written.split(' ').filter_map(span).collect()
}

/// Whether a change is in one of some spans.
fn holds(spans: &[(i64, i64)], change: i64) -> bool {
    let after = spans.partition_point(|(first, _)| *first <= change);
    spans.get(..after).and_then(<[_]>::last).is_some_and(|(_, last)| change <= *last)
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
    /// Who changed it had seen the last return: they answered one of the remarks that it added before or with it, or they are a
    /// coordinator.
    pub had_seen: bool,
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

/// What was seen, as it is read today: a question that a later version gives another name is the same question.
///
/// # Errors
/// If the store fails or a stored change can't be read.
pub(super) fn seen_today(
    tx: Tx<'_>,
    key: RecordKey,
    now: &Record,
    seen: &str,
    catalogue: &Catalogue,
) -> Result<View, StoreError> {
    let (then, _) = parted(tx, key, seen)?;
    let form = now.questionnaire().and_then(|form| catalogue.questionnaire(form));
    Ok(View::of(&merge_today(then, form, catalogue)?, &tx.office_changes(key.id)?))
}

/// The changes that were seen, and those that came since.
fn parted(tx: Tx<'_>, key: RecordKey, seen: &str) -> Result<(Vec<ChangeRow>, Vec<ChangeRow>), StoreError> {
    let seen = read_spans(seen);
    Ok(tx.changes_of(key.id)?.into_iter().partition(|row| holds(&seen, row.id)))
}

fn merge_today(
    then: Vec<ChangeRow>,
    form: Option<&Arc<Questionnaire>>,
    catalogue: &Catalogue,
) -> Result<Record, StoreError> {
    match form {
        Some(form) => merge_as(then, form),
        None => merge(then, catalogue),
    }
}

/// What is different between the changes that were seen and all of them; beside them the remarks that hold, and of these those
/// that the last return added.
///
/// # Errors
/// If the store fails or a stored change can't be read.
pub(super) fn differences(
    tx: Tx<'_>,
    key: RecordKey,
    now: &Record,
    seen: &str,
    (remarks, latest): (&[Dot], &[Dot]),
    catalogue: &Catalogue,
) -> Result<Vec<Difference>, StoreError> {
    let office = tx.office_changes(key.id)?;
    let (then, fresh) = parted(tx, key, seen)?;
    let form = now.questionnaire().and_then(|form| catalogue.questionnaire(form));
    let (before, after) = (View::of(&merge_today(then, form, catalogue)?, &office).0, View::of(now, &office).0);
    let news = News::of(now, fresh, form)?;
    let asked = now.remarks().filter(|(dot, _)| remarks.contains(dot));
    let asked: Vec<(Dot, String)> = asked
        .filter_map(|(dot, remark)| match remark.about? {
            About::Answer(path) => Some((dot, path.to_string())),
            About::Record | About::Remark(_) => None,
        })
        .collect();
    // Whoever answered a remark has seen it, and so has what they change from then on. What they did before and sent with it they did
    // on the screen that showed it: what was done before the remark came to the phone was sent when it came.
    let answering: BTreeSet<Dot> = latest.iter().flat_map(|dot| now.replies(*dot)).map(|(by, _)| by).collect();
    let arrived = |dot: Dot| now.origin(dot).and_then(|origin| origin.stamp).map(|stamp| stamp.received_ms);
    let had_seen = |dot: Dot| {
        let (first, last) = (Dot { seq: 0, ..dot }, Dot { seq: u64::MAX, ..dot });
        let mut of_replica = answering.range(first..=last);
        office.contains(&dot)
            || of_replica.any(|by| *by <= dot || (arrived(*by).is_some() && arrived(*by) == arrived(dot)))
    };
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut differences = Vec::new();
    for path in paths {
        let (was, is) = (before.get(path), after.get(path));
        if was == is {
            continue;
        }
        let touching = news.touching(path);
        // What was remarked with it, and what the field said to remarks about this answer.
        let said = touching.iter().flat_map(|(.., change)| notes(change)).map(|remark| remark.text);
        let about = asked.iter().filter(|(_, asked)| asked == path);
        let replies = about.flat_map(|(dot, _)| now.replies(*dot)).map(|(_, text)| text);
        let mut why: Vec<String> = Vec::new();
        for text in said.chain(replies).filter(|text| !text.is_empty() && path != REMARKS) {
            if !why.iter().any(|known| known == text) {
                why.push(text.to_owned());
            }
        }
        // Of an answer, who gave the value that is shown, whatever their clock and whoever removed the row around it in vain.
        let answer = path.parse::<Path>().ok().and_then(|path| now.answer(&path));
        let shown = answer.and_then(|answer| answer.siblings.first().map(|sibling| sibling.dot));
        let made = touching.iter().find(|(.., change)| Some(change.dot) == shown).or(touching.last());
        let by = match made {
            Some((effective_ms, received_ms, change)) => Some(By {
                author: change.author.to_string(),
                device: tx.change_source(change.dot)?.map(|source| source.device).unwrap_or_default(),
                effective_ms: *effective_ms,
                received_ms: *received_ms,
            }),
            None => None,
        };
        let has_values = was.into_iter().chain(is).any(|values| !values.is_empty());
        differences.push(Difference {
            there: (!has_values).then_some(is.is_some()),
            before: was.cloned().unwrap_or_default(),
            after: is.cloned().unwrap_or_default(),
            path: path.clone(),
            by,
            why,
            had_seen: made.is_some_and(|(.., change)| had_seen(change.dot)),
        });
    }
    Ok(differences)
}

/// The changes that came since a decision, by what they may have made what it is.
struct News {
    /// Each with when it was made, corrected, and when it was received; in that order.
    changes: Vec<(i64, i64, Change)>,
    /// By the path of an answer, the place of a row, or the name of what is no answer.
    touching: BTreeMap<String, Vec<usize>>,
    removed: Vec<(Place, usize)>,
}

impl News {
    fn of(now: &Record, rows: Vec<ChangeRow>, form: Option<&Arc<Questionnaire>>) -> Result<Self, StoreError> {
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            let change =
                Change::from_stored(row.dot, &row.bytes).map_err(|_ignored| StoreError::Corrupt("a change"))?;
            let change = match form {
                Some(form) => form.adopt(change),
                None => change,
            };
            let effective_ms = now.origin(row.dot).map_or(0, |origin| origin.effective_ms());
            changes.push((effective_ms, row.stamp.received_ms, change));
        }
        changes.sort_by_key(|(effective_ms, _, change)| (*effective_ms, change.dot));
        let (mut touching, mut removed) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
        for (at, (.., change)) in changes.iter().enumerate() {
            for op in &change.ops {
                let mut touches = |what: &str| touching.entry(what.to_owned()).or_default().push(at);
                match op {
                    Op::Set { path, .. } => {
                        touches(&path.to_string());
                        touches(path.place().as_str());
                    }
                    Op::AddRow { row, .. } => touches(row.as_str()),
                    Op::RemoveRow { row, .. } => removed.push((row.clone(), at)),
                    Op::Note { .. } => touches(REMARKS),
                    // An edit keeps what was voided.
                    Op::Void { .. } => touches(VOID),
                }
            }
        }
        Ok(Self { changes, touching, removed })
    }

    /// The changes that may have made a path of a view what it is, in order.
    fn touching(&self, path: &str) -> Vec<&(i64, i64, Change)> {
        let inside =
            |row: &Place| path.strip_prefix(row.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let removed = self.removed.iter().filter(|(row, _)| inside(row)).map(|(_, at)| *at);
        let touching: BTreeSet<usize> = self.touching.get(path).into_iter().flatten().copied().chain(removed).collect();
        touching.into_iter().filter_map(|at| self.changes.get(at)).collect()
    }
}

fn notes(change: &Change) -> impl Iterator<Item = Remark<'_>> {
    change.ops.iter().filter_map(|op| match op {
        Op::Note { text } => Some(Remark::read(text)),
        Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Void { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::{QuestionnaireRef, ReplicaId, Stamp, Subject};

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
        View::of(&record, &changes.iter().map(|(dot, _)| *dot).filter(|at| at.replica == dot(9, 1).replica).collect())
            .hash()
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
        let seen = read_spans(&seen);
        assert_eq!((1..=10).filter(|change| holds(&seen, *change)).collect::<Vec<_>>(), [3, 4, 5, 9]);
        assert!(!holds(&read_spans(&spans(&[])), 1));
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
        let age = Op::Set { path: "member/a/age".parse().unwrap(), value: Value::Integer(7), preds: Vec::new() };
        let row = Op::AddRow { row: "member/a".parse().unwrap(), order: 1 };
        let shown = vec![(dot(1, 1), vec![row]), (dot(1, 2), vec![age])];
        let unseen = Op::RemoveRow { row: "member/a".parse().unwrap(), preds: vec![dot(1, 1)] };
        let kept = [shown.clone(), vec![(dot(2, 1), vec![unseen])]].concat();
        assert_ne!(view(&kept), view(&shown), "kept against a removal");
    }
}
