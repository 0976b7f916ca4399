//! The log as the intake sees it: appending is also applying, quarantining, or keeping apart.

use super::{Turn, moved};
use crate::{
    domain::{attachments, derive, prepare::check},
    store::{ChangeState, NewChange, StoreError},
};
use sync_protocol::{
    Change, Dot, Hash, ReplicaId,
    chain::Carried,
    engine::intake::{Log, Verified},
    problem::{Code, Problem},
    wire::{Request, Verdict},
};

impl Log for Turn<'_> {
    type Error = StoreError;

    fn head(&mut self, replica: ReplicaId) -> Result<(u64, Hash), StoreError> {
        let row = self.row(replica)?;
        Ok((row.head, row.head_hash))
    }

    fn hash_at(&mut self, replica: ReplicaId, seq: u64) -> Result<Option<Hash>, StoreError> {
        let (tx, row) = (self.tx, self.row(replica)?);
        if seq == row.head {
            return Ok(Some(row.head_hash));
        }
        if seq > row.head.max(row.apart) { Ok(None) } else { tx.hash_at(row.id, seq) }
    }

    fn append(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        self.keep(verified, index)?;
        self.advance(verified, index)
    }

    fn join(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        self.joined.push(verified.seq(index));
        self.advance(verified, index)
    }

    fn append_apart(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        self.keep(verified, index)?;
        let row = self.row(verified.batch.replica)?;
        row.apart = row.apart.max(verified.seq(index));
        Ok(())
    }

    fn park(&mut self, verified: &Verified) -> Result<(), StoreError> {
        let batch = &verified.batch;
        let message = Request::new(batch.replica, 0, vec![batch.clone()]);
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
        let held = row.head.checked_sub(batch.first).and_then(|index| usize::try_from(index).ok());
        let leads_on = held.map_or(Some(batch.before), |index| hashes.get(index).copied()) == Some(row.head_hash);
        let verified = Verified { batch, hashes };
        // Where it does not, it is another history: it becomes a branch.
        if leads_on {
            self.keep_proof(&verified)?;
        }
        let checked = check(verified, row.key, &self.world.catalogue, &self.world.limits);
        self.checked = checked.changes;
        Ok(Some(checked.verified))
    }

    fn hold_branch(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        let (tx, stamp, seq) = (self.tx, self.stamp, verified.seq(index));
        let id = self.row(verified.batch.replica)?.id;
        match (verified.batch.changes.get(index), verified.hashes.get(index)) {
            (Some(Carried::Bytes(bytes)), Some(hash)) => {
                let dot = Dot { replica: verified.batch.replica, seq };
                let instead = Change::from_stored(dot, bytes).ok().and_then(|change| change.instead_of);
                tx.hold_branch(NewChange { replica: id, seq, stamp, hash: *hash, bytes }, instead)
            }
            (_, _) => Err(StoreError::Corrupt("a batch without the change that it names")),
        }
    }

    fn is_on_branch(&mut self, replica: ReplicaId, seq: u64, hash: Hash) -> Result<bool, StoreError> {
        let (tx, row) = (self.tx, self.row(replica)?);
        tx.is_on_branch(row.id, seq, hash)
    }
}

impl Turn<'_> {
    /// Moves the end of the replica's chain to a change of the batch.
    fn advance(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        let hash = verified.hashes.get(index).copied().ok_or(StoreError::Corrupt("a batch without a hash"))?;
        let row = self.row(verified.batch.replica)?;
        (row.head, row.head_hash) = (verified.seq(index), hash);
        Ok(())
    }

    /// Stores a change of the batch at hand and applies it, or keeps it apart for a reason.
    fn keep(&mut self, verified: &Verified, index: usize) -> Result<(), StoreError> {
        let (replica, seq) = (verified.batch.replica, verified.seq(index));
        let (Some(Carried::Bytes(bytes)), Some(hash)) = (verified.batch.changes.get(index), verified.hashes.get(index))
        else {
            return Err(StoreError::Corrupt("a batch without the change that it names"));
        };
        let read = self.checked.get_mut(index).and_then(Option::take);
        let read = read.unwrap_or_else(|| Err(Problem::new(Code::Internal, "the change was read twice")));
        let id = self.row(replica)?.id;
        match self.added.last_mut() {
            Some((_, last)) if last.saturating_add(1) == seq => *last = seq,
            Some(_) | None => self.added.push((seq, seq)),
        }
        let (tx, stamp) = (self.tx, self.stamp_of(replica, seq));
        let new = NewChange { replica: id, seq, stamp, hash: *hash, bytes };
        if (self.to_escrow || read.is_err()) && tx.was_restored()? {
            self.moved_once.extend(moved::moved_by(Dot { replica, seq }, bytes));
        }
        if self.to_escrow {
            if let Ok(change) = &read {
                let area = derive::area_in(change, &self.world.catalogue);
                self.in_escrow.extend(area.map(|area| (change.subject.household(), area)));
            }
            self.insert(new, None, ChangeState::Escrow)?;
            self.outcome(replica, seq, Verdict::Escrow, Some(Problem::new(Code::Escrow, "ask your coordinator")));
            return Ok(());
        }
        let change = match read {
            Ok(change) => change,
            Err(problem) => {
                let change = self.insert(new, None, ChangeState::Quarantined)?;
                tx.insert_quarantine(change, problem.code.as_str(), &problem.detail)?;
                self.outcome(replica, seq, Verdict::Quarantined, Some(problem));
                return Ok(());
            }
        };
        // It was authored again under another name, and a server that was restored had forgotten this one.
        let is_forgotten = self.was_ever_said_again()? && tx.is_said_again(*hash)?;
        let is_double = self.is_superseded(&change)?;
        if is_forgotten || is_double {
            self.insert(new, None, ChangeState::Superseded)?;
            self.outcome(replica, seq, Verdict::Superseded, None);
            return Ok(());
        }
        let key = self.record(&change)?;
        let number = self.insert(new, Some(key.id), ChangeState::Applied)?;
        if let Some(replaced) = change.instead_of {
            tx.set_said_again(replaced, number)?;
            self.any_said_again = Some(true);
        }
        attachments::note(tx, key.id, &change)?;
        self.fresh(key, number, stamp, change);
        Ok(())
    }
}
