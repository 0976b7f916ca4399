//! What a record's questionnaire says of it: a pure function of its changes, their stamps and the questionnaire version.
//!
//! Nothing is rejected and nothing repaired: what broke is counted for the lists ([`look`], [`settle`]) and told in full
//! when the record is looked at ([`mod@super::detail`]). A change makes its record wait, in the transaction that applies
//! it; `validator` works that queue off after the ack.

use super::{Failure, catalogue::Catalogue, derive::merge};
use crate::store::{StoreError, Tx, Waiting};
use questionnaire::{Compiled, Context, Evaluator};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};
use sync_protocol::Record;

/// Most records that are looked at on one snapshot.
const PAGE: usize = 200;
/// A snapshot that is held longer keeps the journal from being folded.
const PAGE_TIME: Duration = Duration::from_millis(100);

/// Runs the rules on a merged record, at the interview's own time.
#[must_use]
pub fn evaluator(record: &Record, compiled: &Compiled) -> Evaluator {
    Evaluator::of_record(compiled, record, Context::of_record(record, compiled.questionnaire()))
}

/// How many rules a record breaks; none where no rules are known.
#[must_use]
pub fn count(record: &Record, catalogue: &Catalogue) -> u32 {
    let compiled = record.questionnaire().and_then(|form| catalogue.compiled(form));
    let violations = compiled.map_or(0, |compiled| evaluator(record, compiled).broken(record).len());
    u32::try_from(violations).unwrap_or(u32::MAX)
}

/// A merged interview on its way from the turn that merged it to whoever validates: it need not be read again.
#[derive(Clone, Debug)]
pub struct Merged {
    /// Which record, after which change.
    pub waiting: Waiting,
    /// How many answers it holds.
    pub answers: u32,
    /// The merge.
    pub record: Record,
}

impl Merged {
    /// How much memory it takes, in answers.
    #[must_use]
    pub fn weight(&self) -> u64 {
        u64::from(self.answers) + 1
    }
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

impl Looked {
    /// Notes what comes of one record; one that can't be evaluated never stops the others (law L5).
    fn note(&mut self, waiting: Waiting, record: &Record, catalogue: &Catalogue) {
        match catch_unwind(AssertUnwindSafe(|| count(record, catalogue))) {
            Ok(violations) => self.counted.push((waiting, violations)),
            Err(_) => self.failed.push(waiting),
        }
    }
}

/// Looks at interviews that were merged just now.
#[must_use]
pub fn look_at(merged: &[Merged], catalogue: &Catalogue) -> Looked {
    let mut looked = Looked::default();
    for Merged { waiting, record, .. } in merged {
        looked.note(*waiting, record, catalogue);
    }
    looked
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
        match merge(tx.changes_of(waiting.record)?, catalogue) {
            Ok(record) => looked.note(waiting, &record, catalogue),
            Err(_unreadable) => looked.failed.push(waiting),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ChangeState, Derived, NewChange, RecordKey, open_writer};
    use serde_json::{from_value, json};
    use sync_protocol::{Hash, RecordId, Stamp, Subject};

    /// Stores an interview with a line and no change.
    fn interview(tx: Tx<'_>, id: i64) {
        let household = from_value(json!("8c7a0a0e-8f6c-4b61-9a35-0000000000aa")).unwrap();
        let subject = Subject::Interview { household, round: "1".into(), purpose: "interview".into() };
        let uuid = format!("8c7a0a0e-8f6c-4b61-9a35-{id:012}").parse::<RecordId>().unwrap();
        let derived = Derived { changes: 1, ..Derived::default() };
        tx.insert_record(RecordKey { id, household: 99 }, uuid, &subject, &derived).unwrap();
    }

    #[test]
    fn a_record_that_changed_meanwhile_goes_on_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open_writer(folder.path()).unwrap();
        let tx = Tx::new(&conn);
        interview(tx, 1);
        let seen = tx.waiting(0, 10).unwrap();
        assert_eq!(seen, [Waiting { record: 1, changes: 1 }]);
        let newer = Derived { changes: 2, ..Derived::default() };
        tx.set_derived(RecordKey { id: 1, household: 99 }, &newer).unwrap();
        settle(tx, &[(seen[0], 5)]).unwrap();
        let seen = tx.waiting(0, 10).unwrap();
        assert_eq!(seen, [Waiting { record: 1, changes: 2 }]);
        settle(tx, &[(seen[0], 5)]).unwrap();
        assert_eq!(tx.count_waiting().unwrap(), 0);
    }

    #[test]
    fn a_record_that_cannot_be_read_waits_and_stops_none_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open_writer(folder.path()).unwrap();
        let tx = Tx::new(&conn);
        (1..=3).for_each(|id| interview(tx, id));
        let replica = from_value(json!("8c7a0a0e-8f6c-4b61-9a35-000000000001")).unwrap();
        let key = sync_protocol::chain::SecretKey::from_seed([7; 32]).public();
        let replica = tx.insert_replica(replica, None, key, None).unwrap();
        let stamp = Stamp { received_ms: 0, skew_ms: 0 };
        let new = NewChange { replica, seq: 1, stamp, hash: Hash::default(), bytes: b"no change" };
        tx.change_insert().unwrap().run(new, Some(2), ChangeState::Applied).unwrap();
        let looked = look(tx, &Catalogue::default(), 0).unwrap();
        let counted: Vec<i64> = looked.counted.iter().map(|(waiting, _)| waiting.record).collect();
        assert_eq!((counted, looked.last), (vec![1, 3], Some(3)));
        assert_eq!(looked.failed, [Waiting { record: 2, changes: 1 }]);
    }
}
