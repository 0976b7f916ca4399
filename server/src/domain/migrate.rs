//! Interviews on their way from one questionnaire version to a later one.
//!
//! What the later version makes of the answers is the business of `questionnaire`; here is who says that an interview
//! goes there, and how many answers that parks.

use super::{Failure, derive::merge_as, ingest::World, review::author_batch};
use crate::store::{RecordFilter, StoreError, Tx};
use std::collections::BTreeMap;
use sync_protocol::{Change, Dot, QuestionnaireRef, problem::Code, record::Standing};

/// Interviews moved in one transaction.
const PAGE: u32 = 200;

/// What became of some interviews that were moved to a later version of their questionnaire.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// How many were moved.
    pub moved: u64,
    /// Answers that the later version does not ask for, by question: kept, shown, exported.
    pub parked: BTreeMap<String, u64>,
    /// The last record that was looked at; none at the end.
    pub last: Option<i64>,
}

impl Moved {
    /// Adds what became of the next ones.
    pub fn add(&mut self, next: Self) {
        self.moved += next.moved;
        self.last = next.last;
        for (question, answers) in next.parked {
            *self.parked.entry(question).or_default() += answers;
        }
    }
}

/// Moves a page of interviews to a later version: a change of the server for each, which answers nothing.
///
/// Phones that still have the earlier version go on: what they send is read under the later one.
///
/// # Errors
/// [`Code::WrongType`] if the version is no later one of the same questionnaire; [`Code::UnknownQuestionnaire`].
pub fn move_page(
    tx: Tx<'_>,
    from: &QuestionnaireRef,
    to: &QuestionnaireRef,
    after: i64,
    dry_run: bool,
    world: &World,
    now_ms: i64,
) -> Result<Moved, Failure> {
    if from.id != to.id || from >= to {
        return Err(Failure::problem(Code::WrongType, format!("{to} is no later version of {from}")));
    }
    let unknown = || Failure::problem(Code::UnknownQuestionnaire, format!("load {to} first"));
    let later = world.catalogue.questionnaire(to).ok_or_else(unknown)?;
    let filter =
        RecordFilter { interviews: Some(true), questionnaire: Some(from.to_string()), ..RecordFilter::default() };
    let mut moved = Moved::default();
    let replica = world.identity.replica;
    let mut seq = tx.replica(replica)?.ok_or(StoreError::Corrupt("the server's own replica"))?.head;
    let mut changes = Vec::new();
    for row in tx.records(&filter, after, PAGE)? {
        moved.last = Some(row.number);
        let record = merge_as(tx.changes_of(row.number)?, later)?;
        // What is void would count again: any change that the void has not seen keeps it.
        if record.standing() == Standing::Void {
            continue;
        }
        for (path, _) in later.parked(&record) {
            let repeats: String = path.place().steps().map(|(repeat, _)| format!("{repeat}/")).collect();
            *moved.parked.entry(format!("{repeats}{}", path.name())).or_default() += 1;
        }
        let Some(subject) = record.subject().cloned() else { continue };
        seq += 1;
        moved.moved += 1;
        changes.push(Change {
            dot: Dot { replica, seq },
            subject,
            questionnaire: to.clone(),
            author: "server".into(),
            wall_ms: now_ms,
            ops: Vec::new(),
            instead_of: None,
        });
    }
    if !dry_run && !changes.is_empty() {
        author_batch(tx, changes, world, now_ms)?;
    }
    Ok(moved)
}
