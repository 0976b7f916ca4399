//! The writer's turn: a prepared request goes into the log, the derived rows and the buckets, all or nothing.

use super::{
    Failure,
    catalogue::Catalogue,
    derive,
    identity::Identity,
    prepare::{Checked, Prepared, check},
};
use crate::store::{ChangeState, RecordKey, ReplicaRow, StampRow, StoreError, Tx};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Change, Hash, Limits, Record, ReplicaId, Stamp,
    chain::{Carried, SignedStamp},
    engine::intake::{Intake, Log, Verified, receive},
    problem::{Code, Problem},
    wire::{Fork, Outcome, Request, RequestHeader, Stamped, Verdict},
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
    let Prepared { device, header, adoptions, batches, refused, .. } = prepared;
    for adoption in adoptions {
        if tx.replica(adoption.replica)?.is_none() {
            let from = tx.replica(adoption.from)?.map(|row| row.id);
            tx.insert_replica(adoption.replica, Some(device.id), adoption.key, from)?;
        }
    }
    let skew_ms = header.clock.saturating_sub(now_ms);
    let stamp = Stamp { received_ms: now_ms, skew_ms };
    let mut turn = Turn::new(tx, world, stamp, device.revoked);
    let mut applied = Applied { outcomes: refused, ..Applied::default() };
    for batch in batches {
        turn.batch(batch, &mut applied)?;
    }
    let scope: BTreeSet<i64> = tx.assignments(&device.enumerator)?.into_iter().map(|(area, _, _)| area).collect();
    turn.finish(Some(&scope))?;
    applied.outcomes.append(&mut turn.outcomes);
    applied.acked_through = tx.replica(header.replica)?.map_or(0, |row| row.head);
    tx.device_seen(device.id, now_ms, skew_ms, &header.app, header.unsent)?;
    Ok(applied)
}

/// Applies a batch that the server authored itself.
///
/// # Errors
/// If the store fails or the batch does not extend the server's chain; nothing is stored then.
pub fn apply_own(tx: Tx<'_>, verified: Verified, world: &World, now_ms: i64) -> Result<(), Failure> {
    let stamp = Stamp { received_ms: now_ms, skew_ms: 0 };
    let mut turn = Turn::new(tx, world, stamp, false);
    let mut applied = Applied::default();
    turn.batch(check(verified, &world.catalogue, &world.limits), &mut applied)?;
    turn.finish(None)?;
    match turn.outcomes.into_iter().next() {
        None => Ok(()),
        Some(outcome) => Err(Failure::problem(outcome.code.unwrap_or(sync_protocol::Code::Internal), outcome.detail)),
    }
}

/// Applies a change that a coordinator released from quarantine.
///
/// # Errors
/// If the store fails; nothing is stored then.
pub fn apply_released(tx: Tx<'_>, id: i64, change: Change, stamp: Stamp, world: &World) -> Result<(), Failure> {
    let mut turn = Turn::new(tx, world, stamp, false);
    let (key, is_new) = tx.find_or_make_record(change.record(), &change.subject)?;
    tx.set_change_state(id, ChangeState::Applied, Some(key.id))?;
    turn.fresh(key, is_new, id, change);
    turn.finish(None)
}

/// New changes of one record in this turn.
struct Fresh {
    /// The record has no changes from before: it is merged from these alone.
    is_new: bool,
    changes: Vec<(i64, Change)>,
}

/// One request's turn at the store.
struct Turn<'a> {
    tx: Tx<'a>,
    world: &'a World,
    stamp: Stamp,
    to_escrow: bool,
    replicas: BTreeMap<ReplicaId, ReplicaRow>,
    /// The changes of the batch at hand.
    checked: Vec<Option<Result<Change, Problem>>>,
    /// What the batch at hand added to the chain.
    added: Option<(u64, u64)>,
    fresh: BTreeMap<RecordKey, Fresh>,
    outcomes: Vec<Outcome>,
}

impl<'a> Turn<'a> {
    fn new(tx: Tx<'a>, world: &'a World, stamp: Stamp, to_escrow: bool) -> Self {
        Self {
            tx,
            world,
            stamp,
            to_escrow,
            replicas: BTreeMap::new(),
            checked: Vec::new(),
            added: None,
            fresh: BTreeMap::new(),
            outcomes: Vec::new(),
        }
    }

    fn row(&mut self, replica: ReplicaId) -> Result<&mut ReplicaRow, StoreError> {
        use std::collections::btree_map::Entry;
        match self.replicas.entry(replica) {
            Entry::Occupied(row) => Ok(row.into_mut()),
            Entry::Vacant(free) => {
                let row = self.tx.replica(replica)?.ok_or(StoreError::Corrupt("a replica that was known before"))?;
                Ok(free.insert(row))
            }
        }
    }

    fn fresh(&mut self, key: RecordKey, is_new: bool, id: i64, change: Change) {
        self.fresh.entry(key).or_insert(Fresh { is_new, changes: Vec::new() }).changes.push((id, change));
    }

    fn outcome(&mut self, replica: ReplicaId, seq: u64, verdict: Verdict, problem: Option<Problem>) {
        let (code, detail) = problem.map_or((None, String::new()), |problem| (Some(problem.code), problem.detail));
        self.outcomes.push(Outcome { replica, seq, verdict, code, detail });
    }

    /// Receives one batch, then stamps what it added and gives back the stamps of what was there.
    fn batch(&mut self, batch: Checked, applied: &mut Applied) -> Result<(), StoreError> {
        let Checked { verified, changes } = batch;
        (self.checked, self.added) = (changes, None);
        let (replica, first, last) = (verified.batch.replica, verified.batch.first, verified.batch.last());
        let intake = receive(self, &verified)?;
        let (id, head, head_hash) = {
            let row = self.row(replica)?;
            (row.id, row.head, row.head_hash)
        };
        match intake {
            Intake::Held { duplicates, .. } => {
                if self.added.is_some() {
                    self.tx.insert_batch(id, &verified.batch)?;
                }
                for seq in first..first.saturating_add(duplicates) {
                    self.outcome(replica, seq, Verdict::Duplicate, None);
                }
            }
            Intake::Parked { missing } => {
                let problem = Problem::new(Code::Gap, format!("send from change {missing}"));
                self.outcome(replica, first, Verdict::Parked, Some(problem));
            }
            Intake::Fork { common } => applied.fork = Some(Fork { replica, common }),
        }
        if let Some((from, to)) = self.added {
            self.tx.set_head(id, head, head_hash)?;
            let signed = SignedStamp::sign(self.stamp, replica, from, to, &self.world.identity.key);
            let row = StampRow { first: from, last: to, stamp: self.stamp, signature: signed.signature };
            self.tx.insert_stamp(id, &row)?;
        }
        for StampRow { first, last, stamp, signature } in self.tx.stamps(id, first, last)? {
            applied.stamps.push(Stamped { replica, first, last, stamp, signature });
        }
        Ok(())
    }

    /// Derives every record that the turn touched, marks what was out of scope, and fills the buckets.
    fn finish(&mut self, scope: Option<&BTreeSet<i64>>) -> Result<(), Failure> {
        let fresh = std::mem::take(&mut self.fresh);
        let mut buckets = Buckets { tx: self.tx, heads: BTreeMap::new() };
        // Areas that a household entered in this turn hold all of its changes already.
        let mut entered: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        let mut placements: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        let mut ids: Vec<(RecordKey, Vec<i64>)> = Vec::new();
        for (key, Fresh { is_new, changes }) in fresh {
            ids.push((key, changes.iter().map(|(id, _)| *id).collect()));
            let record = if is_new {
                let mut record = Record::new();
                for (_, change) in changes {
                    record.apply(change, Some(self.stamp));
                }
                record
            } else {
                derive::merge(self.tx.changes_of(key.id)?)?
            };
            let derived = derive::derive(&record, &self.world.catalogue);
            if key.is_household() {
                let before = if is_new { BTreeSet::new() } else { self.tx.placement(key.id)? };
                entered.insert(key.household, derived.placement.difference(&before).copied().collect());
                placements.insert(key.household, derived.placement.clone());
            }
            self.tx.set_derived(key, &derived, is_new)?;
        }
        for (household, areas) in &entered {
            if !areas.is_empty() {
                let all = self.tx.changes_of_household(*household)?;
                for area in areas {
                    buckets.append(*area, &all)?;
                }
            }
        }
        for (key, changes) in &ids {
            let placement = match placements.get(&key.household) {
                Some(placement) => placement,
                None => placements.entry(key.household).or_insert(self.tx.placement(key.household)?),
            };
            let just_entered = entered.get(&key.household);
            for area in placement {
                if !just_entered.is_some_and(|entered| entered.contains(area)) {
                    buckets.append(*area, changes)?;
                }
            }
            if let Some(scope) = scope
                && !placement.is_empty()
                && placement.is_disjoint(scope)
            {
                for change in changes {
                    self.tx.flag(*change, "out-of-scope", "")?;
                }
            }
        }
        buckets.finish()?;
        Ok(())
    }
}

impl Log for Turn<'_> {
    type Error = StoreError;

    fn head(&mut self, replica: ReplicaId) -> Result<(u64, Hash), StoreError> {
        let row = self.row(replica)?;
        Ok((row.head, row.head_hash))
    }

    fn hash_at(&mut self, replica: ReplicaId, seq: u64) -> Result<Option<Hash>, StoreError> {
        let (tx, row) = (self.tx, self.row(replica)?);
        if seq == row.head { Ok(Some(row.head_hash)) } else { tx.hash_at(row.id, seq) }
    }

    fn append(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        let (replica, seq) = (verified.batch.replica, verified.seq(index));
        let (Some(Carried::Bytes(bytes)), Some(hash)) = (verified.batch.changes.get(index), verified.hashes.get(index))
        else {
            return Err(StoreError::Corrupt("a batch without the change that it names"));
        };
        let read = self.checked.get_mut(index).and_then(Option::take);
        let read = read.unwrap_or_else(|| Err(Problem::new(Code::Internal, "the change was read twice")));
        let row = self.row(replica)?;
        (row.head, row.head_hash) = (seq, *hash);
        let id = row.id;
        self.added = Some((self.added.map_or(seq, |(first, _)| first), seq));
        let (tx, stamp) = (self.tx, self.stamp);
        let insert = |record, state| tx.insert_change(id, seq, record, state, stamp, *hash, bytes);
        if self.to_escrow {
            insert(None, ChangeState::Escrow)?;
            self.outcome(replica, seq, Verdict::Escrow, Some(Problem::new(Code::Escrow, "ask your coordinator")));
            return Ok(());
        }
        let change = match read {
            Ok(change) => change,
            Err(problem) => {
                let change = insert(None, ChangeState::Quarantined)?;
                tx.insert_quarantine(change, problem.code.as_str(), &problem.detail)?;
                self.outcome(replica, seq, Verdict::Quarantined, Some(problem));
                return Ok(());
            }
        };
        if let Some(replaced) = change.instead_of
            && self.is_superseded(replica, replaced)?
        {
            insert(None, ChangeState::Superseded)?;
            self.outcome(replica, seq, Verdict::Superseded, None);
            return Ok(());
        }
        let (key, is_new) = tx.find_or_make_record(change.record(), &change.subject)?;
        let number = insert(Some(key.id), ChangeState::Applied)?;
        if let Some(replaced) = change.instead_of {
            tx.set_reauthored(replaced, number)?;
        }
        self.fresh(key, is_new, number, change);
        Ok(())
    }

    fn park(&mut self, verified: &Verified) -> Result<(), StoreError> {
        let batch = &verified.batch;
        let message = Request {
            header: RequestHeader {
                tenun: 1,
                replica: batch.replica,
                clock: 0,
                app: String::new(),
                unsent: 0,
                scope: String::new(),
                epoch: String::new(),
                cursors: BTreeMap::new(),
            },
            adoptions: Vec::new(),
            batches: vec![batch.clone()],
            cut_off: false,
        };
        let (tx, received) = (self.tx, self.stamp.received_ms);
        let id = self.row(batch.replica)?.id;
        tx.park(id, batch.first, batch.last(), &message.to_bytes(), received)
    }

    fn unpark(&mut self, replica: ReplicaId, next: u64) -> Result<Option<Verified>, StoreError> {
        let (tx, row) = (self.tx, *self.row(replica)?);
        let Some(body) = tx.unpark(row.id, next)? else {
            return Ok(None);
        };
        let corrupt = |_| StoreError::Corrupt("a parked batch");
        let batch = Request::from_bytes(&body).map_err(corrupt)?.batches.into_iter().next();
        let batch = batch.ok_or(StoreError::Corrupt("a parked batch"))?;
        let hashes = batch.verify(&row.key).map_err(corrupt)?;
        tx.insert_batch(row.id, &batch)?;
        let checked = check(Verified { batch, hashes }, &self.world.catalogue, &self.world.limits);
        self.checked = checked.changes;
        Ok(Some(checked.verified))
    }

    fn hold_branch(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        let (tx, stamp, seq) = (self.tx, self.stamp, verified.seq(index));
        let id = self.row(verified.batch.replica)?.id;
        match (verified.batch.changes.get(index), verified.hashes.get(index)) {
            (Some(Carried::Bytes(bytes)), Some(hash)) => tx.hold_branch(id, seq, *hash, stamp, bytes),
            (_, _) => Err(StoreError::Corrupt("a batch without the change that it names")),
        }
    }
}

impl Turn<'_> {
    /// Whether what a re-authored change replaces counts already: in its place, or re-authored before.
    fn is_superseded(&mut self, replica: ReplicaId, replaced: Hash) -> Result<bool, StoreError> {
        match self.tx.branch_state(replaced)? {
            Some(reauthored) => Ok(reauthored),
            None => self.tx.is_held_before_adoption(replica, replaced),
        }
    }
}

/// Bucket heads, raised once a turn.
struct Buckets<'a> {
    tx: Tx<'a>,
    heads: BTreeMap<i64, u64>,
}

impl Buckets<'_> {
    fn append(&mut self, area: i64, changes: &[i64]) -> Result<(), StoreError> {
        let mut head = match self.heads.get(&area) {
            Some(head) => *head,
            None => self.tx.bucket_head(area)?,
        };
        for change in changes {
            head += 1;
            self.tx.append_to_bucket(area, head, *change)?;
        }
        self.heads.insert(area, head);
        Ok(())
    }

    fn finish(self) -> Result<(), StoreError> {
        self.heads.into_iter().try_for_each(|(area, head)| self.tx.set_bucket_head(area, head))
    }
}
