//! Coordinators' decisions: ordinary changes of the server's replica, which devices receive at their next sync.
//!
//! Decisions about one answer, and about what is kept apart, are here. Those about a whole interview (returned, approved …)
//! are below: `review/state.rs` is the state machine, `review/decide.rs` takes decisions and notices what arrives,
//! `review/view.rs` knows what a decision is bound to, `review/returned.rs` tells devices, `review/detail.rs` coordinators.

mod branch;
mod decide;
mod detail;
mod household;
mod returned;
mod state;
mod view;

pub use branch::release_branch;
pub use decide::{Decision, NewRemark, decide, seen_of};
pub(super) use decide::{notice, recall};
pub use detail::{LogLine, RemarkDetail, ReplyDetail, ReviewDetail, review_of};
pub use returned::returned_in;
pub use state::{Refusal, Role, Seen, State, Transition, step};
pub use view::{By, Difference, View};

use super::{
    Failure,
    derive::merge,
    ingest::{World, apply_own, apply_released},
};
use crate::store::{StoreError, Tx};
use sync_protocol::{
    Change, Dot, Op, Path, QuestionnaireRef, Record, RecordId, Subject,
    chain::{Batch, Carried},
    engine::intake::Verified,
    problem::Code,
    record::Standing,
    remark::Remark,
    wire::Outcome,
};

/// What a coordinator decides about one answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Resolution {
    /// The answer.
    pub path: String,
    /// The sibling to keep, by its dot.
    pub keep: String,
    /// Every sibling that the page showed, by dot: a sibling that is not among them was not seen.
    pub shown: Vec<String>,
}

/// Keeps one of the siblings that were shown: a change whose preds are all of them (DESIGN §4).
///
/// # Errors
/// [`Code::Stale`] if the siblings are others by now; [`Code::NotFound`].
pub fn resolve(
    tx: Tx<'_>,
    id: RecordId,
    resolution: &Resolution,
    author: &str,
    world: &World,
    now_ms: i64,
) -> Result<(), Failure> {
    let bad = |what: &str| Failure::problem(Code::WrongType, format!("`{what}` is not one"));
    let path: Path = resolution.path.parse().map_err(|_ignored| bad("path"))?;
    let keep: Dot = resolution.keep.parse().map_err(|_ignored| bad("keep"))?;
    let shown = resolution.shown.iter().map(|dot| dot.parse()).collect::<Result<Vec<Dot>, _>>();
    let mut shown = shown.map_err(|_ignored| bad("shown"))?;
    let key = tx.record_key(id)?.ok_or_else(|| Failure::problem(Code::NotFound, "no such record"))?;
    let record = merge(tx.changes_of(key.id)?, &world.catalogue)?;
    check_counts(&record)?;
    let answer = record.answer(&path).ok_or_else(|| Failure::problem(Code::NotFound, "no such answer"))?;
    let mut live = answer.all();
    live.sort_unstable();
    shown.sort_unstable();
    if live != shown {
        return Err(Failure::problem(Code::Stale, "another value arrived meanwhile: look again before you decide"));
    }
    let kept = answer.siblings.iter().find(|sibling| sibling.dot == keep);
    let value = kept.ok_or_else(|| bad("keep"))?.value.clone();
    let (Some(subject), Some(questionnaire)) = (record.subject().cloned(), record.questionnaire().cloned()) else {
        return Err(Failure::problem(Code::NotFound, "no such record"));
    };
    let mut decided = Vec::new();
    if record.is_finished()
        && let Some(questionnaire) = world.catalogue.questionnaire(&questionnaire)
        && let Some(home) = tx.record_key(RecordId(subject.household().0))?
    {
        let home = merge(tx.changes_of(home.id)?, &world.catalogue)?;
        let ops = household::told(questionnaire, &record, &home, &path, &value);
        // A void one would count again.
        let is_told = !ops.is_empty() && home.standing() != Standing::Void;
        if let (true, Some(subject), Some(form)) = (is_told, home.subject(), home.questionnaire()) {
            decided.push((subject.clone(), form.clone(), ops));
        }
    }
    // What the household hears stands right behind, as on a phone: it is the interview's word.
    decided.insert(0, (subject, questionnaire, vec![Op::Set { path, value, preds: live }]));
    author_changes(tx, decided, author, world, now_ms).map(drop)
}

/// Adds a remark to a record, for whoever has it on a device.
///
/// # Errors
/// [`Code::NotFound`]; [`Code::WrongType`] for an empty remark.
pub fn remark(tx: Tx<'_>, id: RecordId, text: &str, author: &str, world: &World, now_ms: i64) -> Result<(), Failure> {
    if text.trim().is_empty() || text.len() > world.limits.text {
        return Err(Failure::problem(Code::WrongType, format!("a remark has 1 to {} bytes", world.limits.text)));
    }
    if Remark::read(text.trim()).about.is_some() {
        let detail = "what begins with `[re` is about an answer: return the interview with it";
        return Err(Failure::problem(Code::WrongType, detail));
    }
    let key = tx.record_key(id)?.ok_or_else(|| Failure::problem(Code::NotFound, "no such record"))?;
    let record = merge(tx.changes_of(key.id)?, &world.catalogue)?;
    let (Some(subject), Some(questionnaire)) = (record.subject().cloned(), record.questionnaire().cloned()) else {
        return Err(Failure::problem(Code::NotFound, "no such record"));
    };
    check_counts(&record)?;
    let note = Op::Note { text: text.trim().into() };
    author_changes(tx, vec![(subject, questionnaire, vec![note])], author, world, now_ms).map(drop)
}

/// Refuses what would make a void record count again: any change does that the void has not seen.
fn check_counts(record: &Record) -> Result<(), Failure> {
    let again = || Failure::problem(Code::ReviewState, "it is void: that would make it count again");
    if record.standing() == Standing::Void { Err(again()) } else { Ok(()) }
}

/// Authors changes as the server's next ones, in a person's name; their names.
pub(super) fn author_changes(
    tx: Tx<'_>,
    changes: Vec<(Subject, QuestionnaireRef, Vec<Op>)>,
    author: &str,
    world: &World,
    now_ms: i64,
) -> Result<Vec<Dot>, Failure> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let replica = world.identity.replica;
    let row = tx.replica(replica)?.ok_or(StoreError::Corrupt("the server's own replica"))?;
    let changes = (row.head.saturating_add(1)..).zip(changes).map(|(seq, (subject, questionnaire, ops))| Change {
        dot: Dot { replica, seq },
        subject,
        questionnaire,
        author: author.into(),
        wall_ms: now_ms,
        ops,
        instead_of: None,
    });
    let changes: Vec<Change> = changes.collect();
    let dots = changes.iter().map(|change| change.dot).collect();
    match author_batch(tx, changes, world, now_ms)?.into_iter().next() {
        None => Ok(dots),
        Some(outcome) => Err(Failure::problem(outcome.code.unwrap_or(Code::Internal), outcome.detail)),
    }
}

/// Signs changes as the server's next ones and applies them.
pub(super) fn author_batch(
    tx: Tx<'_>,
    changes: Vec<Change>,
    world: &World,
    now_ms: i64,
) -> Result<Vec<Outcome>, Failure> {
    let (replica, key) = (world.identity.replica, &world.identity.key);
    let row = tx.replica(replica)?.ok_or(StoreError::Corrupt("the server's own replica"))?;
    let carried = changes.iter().map(|change| Carried::Bytes(change.to_bytes())).collect();
    let batch = Batch::sign(replica, row.head.saturating_add(1), row.head_hash, carried, key);
    let hashes = batch.verify(&key.public())?;
    apply_own(tx, Verified { batch, hashes }, world, now_ms)
}

/// Releases a change from quarantine: it is applied, whatever the catalogue says of it.
///
/// # Errors
/// [`Code::NotFound`] if no such change waits; the change's own problem if it can't even be read, or names a
/// questionnaire that is not here.
pub fn release(tx: Tx<'_>, number: i64, author: &str, world: &World, now_ms: i64) -> Result<(), Failure> {
    let waiting = tx.quarantined_change(number)?;
    let row = waiting.ok_or_else(|| Failure::problem(Code::NotFound, "no such change waits in quarantine"))?;
    let change = Change::from_stored(row.dot, &row.bytes)?;
    if let Err(problem) = world.catalogue.check(&change, &world.limits)
        && matches!(problem.code, Code::UnknownQuestionnaire | Code::UnknownArea)
    {
        return Err(problem.into());
    }
    tx.release(number, author, now_ms)?;
    apply_released(tx, number, change, row.stamp, world)
}
