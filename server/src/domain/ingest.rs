//! The writer's turn: a prepared request goes into the log, the derived rows and the buckets, all or nothing.

mod acks;
mod buckets;
mod finish;
mod log;
mod moved;
mod shared;
mod stamps;

pub use acks::apart;
use buckets::Buckets;
pub use moved::bring_back_all;
use shared::Shared;

use super::{
    Failure, attachments,
    catalogue::Catalogue,
    forgotten::is_absent,
    identity::Identity,
    prepare::{Checked, Prepared, check},
    validate::Merged,
};
use crate::store::{ChangeInsert, ChangeState, Derived, NewChange, RecordKey, ReplicaRow, StoreError, Tx};
use compact_str::CompactString;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Change, HouseholdId, Limits, RecordId, ReplicaId, Stamp, Subject,
    engine::intake::{Intake, Log, Verified, carry, receive},
    problem::{Code, Problem},
    wire::{Fork, Outcome, RequestHeader, Stamped, Verdict},
};

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The last contiguous seq of the replica that syncs.
    pub acked_through: u64,
    /// Changes that were not plainly accepted.
    pub outcomes: Vec<Outcome>,
    /// Stamps of the request's changes.
    pub stamps: Vec<Stamped>,
    /// The device's history forked.
    pub fork: Option<Fork>,
    /// The interviews that the request touched.
    pub merged: Vec<Merged>,
}

/// What ingest needs beside the request.
#[derive(Clone, Debug)]
pub struct World {
    /// Areas and questionnaires.
    pub catalogue: Arc<Catalogue>,
    /// Who the server is.
    pub identity: Arc<Identity>,
    /// The limits.
    pub limits: Limits,
}

/// Applies a device's request.
///
/// # Errors
/// If the store fails; nothing is stored then.
pub fn apply(tx: Tx<'_>, prepared: Prepared, world: &World, now_ms: i64) -> Result<Applied, Failure> {
    let Prepared { device, header, forgotten, adoptions, stamps, haves, mut batches, refused, .. } = prepared;
    // Whatever carried them: what comes after a fork is told from what comes after a gap.
    batches.sort_by_key(|batch| (batch.verified.batch.replica, batch.verified.batch.first));
    forgotten.remember(tx, device.id, now_ms)?;
    for adoption in adoptions {
        // Somebody else may have been faster since the request was read.
        let Some(from) = tx.replica(adoption.from)?.filter(|from| adoption.is_valid(&from.key)) else { continue };
        match tx.replica(adoption.replica)? {
            None => {
                let lives_on = from.device.unwrap_or(device.id);
                tx.insert_replica(adoption.replica, Some(lives_on), adoption.key, Some(from.id))?;
            }
            // What it was before had been forgotten.
            Some(row) if row.key == adoption.key && [from.device, Some(device.id)].contains(&row.device) => {
                tx.set_adopted_from(row.id, from.id)?;
            }
            // A hub had carried what was said under it before the device itself came.
            Some(row)
                if row.key == adoption.key
                    && from.device == Some(device.id)
                    && is_absent(tx, &row, &device.enumerator)? =>
            {
                tx.set_adopted_from(row.id, from.id)?;
                tx.set_replica_device(row.id, device.id)?;
            }
            Some(_) => {}
        }
    }
    let skew_ms = header.clock.saturating_sub(now_ms);
    let stamp = Stamp { received_ms: now_ms, skew_ms };
    let mut turn = Turn { given: stamps, ..Turn::new(tx, world, stamp, device.revoked) };
    let mut applied = Applied { outcomes: refused, ..Applied::default() };
    let Some(row) = turn.known(header.replica)?.filter(|row| row.device == Some(device.id)) else {
        return Err(Failure::problem(Code::ReplicaTaken, format!("{} is another device's", header.replica)));
    };
    let held_before = row.head;
    let own = batches.iter().map(|batch| &batch.verified.batch).filter(|batch| batch.replica == header.replica);
    let before_own = own.map(|batch| batch.first.saturating_sub(1)).min().unwrap_or(0);
    let taken_for_acked = header.acked.map_or(0, |acked| acked.seq).max(before_own);
    let mut shared = Shared::new(&header);
    if turn.is_another_life(&header)? {
        applied.fork = Some(Fork { replica: header.replica, common: 0 });
        shared.note(1, 0, Intake::Fork { common: 0 });
    } else if turn.is_outwritten(&header)? {
        applied.fork = Some(Fork { replica: header.replica, common: held_before });
    }
    for batch in batches {
        if !turn.is_the_author(&batch, device.id)? {
            applied.outcomes.push(refusal(&batch, Code::WrongReplica, "somebody else has this name by now"));
            continue;
        }
        if batch.is_carried {
            // A device that was revoked brings nothing of others: kept apart under their names, it would stand in the way of
            // what they bring themselves. It is not lost with that: the carrier keeps what was refused.
            if device.revoked {
                let detail = "this device was revoked: somebody else has to bring it";
                applied.outcomes.push(refusal(&batch, Code::Forbidden, detail));
            } else {
                turn.carried(batch, device.id)?;
            }
            continue;
        }
        let (replica, first, last) =
            (batch.verified.batch.replica, batch.verified.batch.first, batch.verified.batch.last());
        let intake = turn.batch(batch, &mut applied)?;
        if replica == header.replica {
            shared.note(first, last, intake);
        }
    }
    if let Some((first, last)) = turn.arrived(&header, haves, &mut applied)? {
        shared.note(first, last, Intake::Held { duplicates: 0, through: last });
    }
    // A server that was restored may have apart again what was released since.
    if header.epoch != world.identity.epoch && applied.fork.is_none() && taken_for_acked <= held_before {
        let row = *turn.row(header.replica)?;
        turn.outcomes.extend(acks::apart(tx, &row, 1, taken_for_acked)?);
    }
    turn.finish(Some(&scope_of(tx, &device.enumerator)?))?;
    applied.outcomes.append(&mut turn.outcomes);
    applied.merged = std::mem::take(&mut turn.merged);
    let head = turn.row(header.replica)?.head;
    applied.acked_through = shared.through(head);
    // What the device told counts what came with it.
    let unsent = header.unsent.saturating_sub(head.saturating_sub(held_before));
    // A device that has not heard yet that the server was restored takes for safe what is here no more.
    let unsent = unsent.saturating_add(taken_for_acked.saturating_sub(head));
    tx.device_seen(device.id, now_ms, skew_ms, &header.app, unsent)?;
    Ok(applied)
}

/// The areas in which an enumerator may work.
fn scope_of(tx: Tx<'_>, enumerator: &str) -> Result<BTreeSet<i64>, StoreError> {
    Ok(tx.seen_areas(enumerator)?.into_iter().map(|seen| seen.area).collect())
}

/// Whether a change is kept and not applied.
fn is_apart(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Quarantined | Verdict::Escrow)
}

fn refusal(Checked { verified, .. }: &Checked, code: Code, detail: &str) -> Outcome {
    let (replica, seq) = (verified.batch.replica, verified.batch.first);
    Outcome { replica, seq, verdict: Verdict::Refused, code: Some(code), detail: detail.into() }
}

/// Applies a batch that the server authored itself; what was not plainly accepted.
///
/// # Errors
/// If the store fails or the batch does not extend the server's chain; nothing is stored then.
pub fn apply_own(tx: Tx<'_>, verified: Verified, world: &World, now_ms: i64) -> Result<Vec<Outcome>, Failure> {
    let stamp = Stamp { received_ms: now_ms, skew_ms: 0 };
    let mut turn = Turn::new(tx, world, stamp, false);
    let mut applied = Applied::default();
    let key = world.identity.key.public();
    turn.batch(check(verified, key, &world.catalogue, &world.limits), &mut applied)?;
    turn.finish(None)?;
    match applied.fork {
        None => Ok(turn.outcomes),
        Some(_) => Err(Failure::problem(Code::Internal, "the server's own chain does not fit its log")),
    }
}

/// Applies a change that a coordinator released from quarantine.
///
/// # Errors
/// If the store fails; nothing is stored then.
pub fn apply_released(tx: Tx<'_>, id: i64, change: Change, stamp: Stamp, world: &World) -> Result<(), Failure> {
    let mut turn = Turn::new(tx, world, stamp, false);
    // What a copied phone authored again in quarantine may have been released in another life's words; and what waited under
    // its first name may count under another by now.
    if turn.is_superseded(&change)? || tx.is_change_said_again(id)? {
        return Ok(tx.set_change_state(id, ChangeState::Superseded, None)?);
    }
    if let Some(replaced) = change.instead_of {
        tx.set_said_again(replaced, id)?;
    }
    let key = turn.record(&change)?;
    attachments::note(tx, key.id, &change)?;
    tx.set_change_state(id, ChangeState::Applied, Some(key.id))?;
    // What waits of the server's own was given back by a device.
    turn.carried.insert(id, change.dot.replica);
    turn.fresh(key, id, stamp, change);
    turn.finish(None)
}

/// One request's turn at the store.
struct Turn<'a> {
    tx: Tx<'a>,
    world: &'a World,
    stamp: Stamp,
    /// Stamps of an earlier epoch, given back by the device.
    given: Vec<Stamped>,
    to_escrow: bool,
    replicas: BTreeMap<ReplicaId, ReplicaRow>,
    /// The changes of the batch at hand.
    checked: Vec<Option<Result<Change, Problem>>>,
    /// The stretches of seqs that the batch at hand added.
    added: Vec<(u64, u64)>,
    /// The seqs of the batch at hand that somebody else had carried here.
    joined: Vec<u64>,
    /// Whether anything was ever authored again, once that was looked up.
    any_said_again: Option<bool>,
    /// The batch at hand was carried by somebody else than its author.
    is_carried: bool,
    /// The changes that such batches added, by number, with their authors.
    carried: BTreeMap<i64, ReplicaId>,
    /// The areas of those authors; none of the office.
    scopes: BTreeMap<ReplicaId, Option<BTreeSet<i64>>>,
    /// New changes by record.
    fresh: BTreeMap<RecordKey, Vec<(i64, Stamp, Change)>>,
    /// Records that were looked up or numbered in this turn.
    records: BTreeMap<RecordId, RecordKey>,
    /// The record of the change before, by its subject and questionnaire.
    latest: Option<(Subject, CompactString, RecordKey)>,
    /// Households that changes in escrow are about, each with the area that it says.
    in_escrow: BTreeSet<(HouseholdId, i64)>,
    /// Households that are moved by what is kept apart now, and may have counted before the server was restored.
    moved_once: BTreeSet<HouseholdId>,
    /// Records that are new: they are merged from this turn's changes alone, and stored at its end.
    new: BTreeSet<RecordKey>,
    next_record: Option<i64>,
    /// Appends changes, once the first is to be appended.
    statement: Option<ChangeInsert<'a>>,
    outcomes: Vec<Outcome>,
    /// The interviews that were touched.
    merged: Vec<Merged>,
}

impl<'a> Turn<'a> {
    fn new(tx: Tx<'a>, world: &'a World, stamp: Stamp, to_escrow: bool) -> Self {
        Self {
            tx,
            world,
            stamp,
            given: Vec::new(),
            to_escrow,
            replicas: BTreeMap::new(),
            checked: Vec::new(),
            added: Vec::new(),
            joined: Vec::new(),
            any_said_again: None,
            is_carried: false,
            carried: BTreeMap::new(),
            scopes: BTreeMap::new(),
            fresh: BTreeMap::new(),
            records: BTreeMap::new(),
            latest: None,
            in_escrow: BTreeSet::new(),
            moved_once: BTreeSet::new(),
            new: BTreeSet::new(),
            next_record: None,
            statement: None,
            outcomes: Vec::new(),
            merged: Vec::new(),
        }
    }

    fn row(&mut self, replica: ReplicaId) -> Result<&mut ReplicaRow, StoreError> {
        self.known(replica)?.ok_or(StoreError::Corrupt("a replica that was known before"))
    }

    /// A replica's row, read once in a turn; none where nobody knows it.
    fn known(&mut self, replica: ReplicaId) -> Result<Option<&mut ReplicaRow>, StoreError> {
        use std::collections::btree_map::Entry;
        Ok(match self.replicas.entry(replica) {
            Entry::Occupied(row) => Some(row.into_mut()),
            Entry::Vacant(free) => self.tx.replica(replica)?.map(|row| free.insert(row)),
        })
    }

    /// Whether a batch was verified with the key that its replica has now, and is the device's own if it was taken for that.
    fn is_the_author(&mut self, batch: &Checked, device: i64) -> Result<bool, StoreError> {
        let row = self.known(batch.verified.batch.replica)?;
        Ok(row.is_some_and(|row| row.key == batch.key && (batch.is_carried || row.device == Some(device))))
    }

    /// Whether another life's changes stand where a device takes its own for acked: after a restore, a copy of it was
    /// faster. The device finds where the histories part by sending from the start.
    fn is_another_life(&mut self, header: &RequestHeader) -> Result<bool, StoreError> {
        let Some(acked) = header.acked else { return Ok(false) };
        let held = self.hash_at(header.replica, acked.seq)?;
        Ok(held.is_some_and(|held| held != acked.hash))
    }

    /// Whether somebody carried here, from past a gap, what another life wrote under the name of a device that has nothing to
    /// send: it must not use these numbers itself.
    fn is_outwritten(&mut self, header: &RequestHeader) -> Result<bool, StoreError> {
        let row = *self.row(header.replica)?;
        let is_all = header.acked.map_or(row.head == 0, |acked| (acked.seq, acked.hash) == (row.head, row.head_hash));
        Ok(header.unsent == 0 && is_all && row.apart > row.head)
    }

    fn fresh(&mut self, key: RecordKey, id: i64, stamp: Stamp, change: Change) {
        if self.is_carried {
            self.carried.insert(id, change.dot.replica);
        }
        self.fresh.entry(key).or_default().push((id, stamp, change));
    }

    /// The key of the record that a change is about; a record that is not there yet gets its number.
    fn record(&mut self, change: &Change) -> Result<RecordKey, StoreError> {
        // The changes of one record mostly come together: its id is not hashed again for each.
        if let Some((subject, form, key)) = &self.latest
            && *subject == change.subject
            && *form == change.questionnaire.id
        {
            return Ok(*key);
        }
        let key = self.record_by_id(change)?;
        self.latest = Some((change.subject.clone(), change.questionnaire.id.clone(), key));
        Ok(key)
    }

    fn record_by_id(&mut self, change: &Change) -> Result<RecordKey, StoreError> {
        let id = change.record();
        if let Some(key) = self.records.get(&id) {
            return Ok(*key);
        }
        let key = match self.tx.record_key(id)? {
            Some(key) => key,
            None => {
                let household = match &change.subject {
                    Subject::Household(_) => None,
                    Subject::Interview { household, .. } => Some(self.household(*household)?),
                };
                let id = self.number()?;
                let key = RecordKey { id, household: household.unwrap_or(id) };
                self.new.insert(key);
                key
            }
        };
        self.records.insert(id, key);
        Ok(key)
    }

    /// The number of a household's record; one that no change has named yet gets an empty row.
    fn household(&mut self, household: HouseholdId) -> Result<i64, StoreError> {
        if let Some(key) = self.records.get(&household.into()) {
            return Ok(key.id);
        }
        let key = match self.tx.record_key(household.into())? {
            Some(key) => key,
            None => {
                let id = self.number()?;
                let key = RecordKey { id, household: id };
                self.tx.insert_record(key, household.into(), &Subject::Household(household), &Derived::default())?;
                key
            }
        };
        self.records.insert(household.into(), key);
        Ok(key.id)
    }

    fn number(&mut self) -> Result<i64, StoreError> {
        let number = match self.next_record {
            Some(number) => number,
            None => self.tx.next_record()?,
        };
        self.next_record = Some(number.saturating_add(1));
        Ok(number)
    }

    fn insert(&mut self, new: NewChange<'_>, record: Option<i64>, state: ChangeState) -> Result<i64, StoreError> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(self.tx.change_insert()?),
        };
        statement.run(new, record, state)
    }

    fn outcome(&mut self, replica: ReplicaId, seq: u64, verdict: Verdict, problem: Option<Problem>) {
        // What becomes of somebody else's change is told once the batch is received.
        if self.is_carried {
            return;
        }
        let (code, detail) = problem.map_or((None, String::new()), |problem| (Some(problem.code), problem.detail));
        self.outcomes.push(Outcome { replica, seq, verdict, code, detail });
    }

    /// Receives one batch, then stamps what it added and gives back the stamps of what was there.
    fn batch(&mut self, batch: Checked, applied: &mut Applied) -> Result<Intake, StoreError> {
        let Checked { verified, changes, .. } = batch;
        (self.checked, self.added) = (changes, Vec::new());
        self.joined.clear();
        let (replica, first, last) = (verified.batch.replica, verified.batch.first, verified.batch.last());
        let before = *self.row(replica)?;
        let intake = match &applied.fork {
            // What a device says after it has left the chain is of the same branch.
            Some(fork) if fork.replica == replica => {
                for index in 0..verified.hashes.len() {
                    self.hold_branch(&verified, index)?;
                }
                return Ok(Intake::Fork { common: fork.common });
            }
            Some(_) | None => receive(self, &verified)?,
        };
        let ReplicaRow { id, head: held_through, .. } = before;
        match intake {
            Intake::Held { duplicates, .. } => {
                if !self.added.is_empty() || !self.joined.is_empty() {
                    self.keep_proof(&verified)?;
                }
                // What became of them may have been told in a reply that was lost.
                self.tell_states((replica, id), first, first.saturating_add(duplicates), |_| true)?;
                for seq in std::mem::take(&mut self.joined) {
                    self.tell_states((replica, id), seq, seq.saturating_add(1), |verdict| {
                        verdict != Verdict::Duplicate
                    })?;
                }
            }
            Intake::Parked { missing } => {
                let problem = Problem::new(Code::Gap, format!("send from change {missing}"));
                self.outcome(replica, first, Verdict::Parked, Some(problem));
            }
            Intake::Fork { common } => {
                applied.fork = Some(Fork { replica, common });
                // The life that sent it first was told what became of what both share; this one was not.
                self.tell_states((replica, id), first, common.saturating_add(1), |verdict| {
                    verdict != Verdict::Duplicate
                })?;
            }
        }
        let row = *self.row(replica)?;
        if row.head > held_through {
            self.set_head(&row, held_through)?;
        }
        self.stamp_added(replica, id)?;
        self.tell_stamps((replica, id), first, last, applied)?;
        Ok(intake)
    }

    /// Receives one batch that somebody else than its author carried: what it brings counts, and nobody is told an ack.
    fn carried(&mut self, batch: Checked, carrier: i64) -> Result<(), StoreError> {
        let Checked { verified, changes, .. } = batch;
        (self.checked, self.added) = (changes, Vec::new());
        let before = *self.row(verified.batch.replica)?;
        let (to_escrow, stamp) = (self.to_escrow, self.stamp);
        self.to_escrow = before.device.map_or(Ok(false), |device| self.tx.is_revoked(device))?;
        // The carrier's clock says nothing of the author's.
        self.stamp.skew_ms = 0;
        self.is_carried = true;
        carry(self, &verified)?;
        let row = self.row(verified.batch.replica)?;
        // Of digests beyond the end nothing is held; what they say of it may be another life's.
        if verified.batch.last() > row.head {
            row.apart = row.apart.max(verified.batch.last());
        }
        let row = *row;
        if row.head > before.head {
            self.set_head(&row, before.head)?;
        }
        if row.apart > before.apart {
            self.tx.set_apart(row.id, row.apart)?;
        }
        if !self.added.is_empty() {
            self.keep_proof(&verified)?;
            self.tx.set_carrier(row.id, verified.batch.first, verified.batch.last(), carrier)?;
        }
        self.stamp_added(row.replica, row.id)?;
        (self.is_carried, self.to_escrow, self.stamp) = (false, to_escrow, stamp);
        // Whoever brings what waits knows it from before a restore, when it counted, and shows it.
        self.outcomes.extend(acks::apart(self.tx, &row, verified.batch.first, verified.batch.last())?);
        Ok(())
    }

    /// Keeps a batch as proof of what is held of it; one that holds another life's changes proves nothing of this chain.
    fn keep_proof(&mut self, verified: &Verified) -> Result<(), StoreError> {
        let replica = verified.batch.replica;
        for (index, hash) in verified.hashes.iter().enumerate().rev() {
            match self.hash_at(replica, verified.seq(index))? {
                Some(held) if held != *hash => return Ok(()),
                // What leads there is the same.
                Some(_) => break,
                None => {}
            }
        }
        let id = self.row(replica)?.id;
        self.tx.insert_batch(id, verified)
    }

    /// Moves the end of a chain in the store, and forgets what somebody kept as proof of it when its end was not known yet, and which
    /// ends in another life.
    fn set_head(&self, row: &ReplicaRow, before: u64) -> Result<(), StoreError> {
        self.tx.set_head(row.id, row.head, row.head_hash)?;
        if row.apart > before { self.tx.forget_other_batches(row.id, before, row.head) } else { Ok(()) }
    }

    fn was_ever_said_again(&mut self) -> Result<bool, StoreError> {
        let any = match self.any_said_again {
            Some(any) => any,
            None => self.tx.any_said_again()?,
        };
        self.any_said_again = Some(any);
        Ok(any)
    }

    /// Whether what a re-authored change replaces counts already: in its place, or re-authored before. The server's own names are
    /// no kin of those whose branches they release.
    fn is_superseded(&mut self, change: &Change) -> Result<bool, StoreError> {
        let Some(replaced) = change.instead_of else { return Ok(false) };
        let (tx, replica) = (self.tx, change.dot.replica);
        if tx.is_said_again(replaced)? || tx.is_held_by_kin(replica, replaced)? {
            return Ok(true);
        }
        Ok(self.row(replica)?.device.is_none() && tx.is_applied_in(change.record(), replaced)?)
    }
}
