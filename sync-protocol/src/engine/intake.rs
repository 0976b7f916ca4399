//! The receiving half: what becomes of a batch.
//!
//! A batch extends the replica's chain, repeats what is held, starts past a gap, or belongs to another
//! branch; nothing of it is ever dropped (DESIGN §4 and §5, rules 2 and 3).

use crate::{
    chain::{Batch, Carried, Span},
    ids::{Hash, ReplicaId},
};

/// The receiver's durable log of one database; every call runs in the caller's write transaction.
pub trait Log {
    /// What the store's own failures are.
    type Error;

    /// The last contiguous seq of a replica and `h` there; `(0, h(0))` for a new one.
    ///
    /// # Errors
    /// If the store fails.
    fn head(&mut self, replica: ReplicaId) -> Result<(u64, Hash), Self::Error>;

    /// `h(seq)` of a change that is held, in the chain or apart from it.
    ///
    /// # Errors
    /// If the store fails.
    fn hash_at(&mut self, replica: ReplicaId, seq: u64) -> Result<Option<Hash>, Self::Error>;

    /// Appends the change at `index` of the batch to the replica's chain.
    ///
    /// # Errors
    /// If the store fails.
    fn append(&mut self, batch: &Verified, index: usize) -> Result<(), Self::Error>;

    /// Takes the change at `index`, which is held already because somebody else carried it here, as the next one of the
    /// replica's chain.
    ///
    /// # Errors
    /// If the store fails.
    fn join(&mut self, batch: &Verified, index: usize) -> Result<(), Self::Error>;

    /// Keeps and applies the change at `index` beyond the end of the replica's chain: it was carried here without all that
    /// comes before it.
    ///
    /// # Errors
    /// If the store fails.
    fn append_apart(&mut self, batch: &Verified, index: usize) -> Result<(), Self::Error>;

    /// Keeps a batch that starts past a gap until the gap closes; keeping it twice is keeping it once.
    ///
    /// # Errors
    /// If the store fails.
    fn park(&mut self, batch: &Verified) -> Result<(), Self::Error>;

    /// Takes a parked batch out whose first seq is at most `next` and whose last is at least that.
    ///
    /// # Errors
    /// If the store fails.
    fn unpark(&mut self, replica: ReplicaId, next: u64) -> Result<Option<Verified>, Self::Error>;

    /// Keeps the change at `index` of the batch apart, as part of another branch, named by its hash.
    ///
    /// # Errors
    /// If the store fails.
    fn hold_branch(&mut self, batch: &Verified, index: usize) -> Result<(), Self::Error>;

    /// Whether a branch holds a change `seq` with this `h(seq)`.
    ///
    /// # Errors
    /// If the store fails.
    fn is_on_branch(&mut self, replica: ReplicaId, seq: u64, hash: Hash) -> Result<bool, Self::Error>;
}

/// A batch whose signature and hashes are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The batch.
    pub batch: Batch,
    /// `h(n)` of each of its changes.
    pub hashes: Vec<Hash>,
}

impl Verified {
    /// What the author signed.
    #[must_use]
    pub fn span(&self) -> Span {
        self.batch.span_to(self.hashes.last().copied().unwrap_or(self.batch.before))
    }

    /// The seq of the change at an index.
    #[must_use]
    pub fn seq(&self, index: usize) -> u64 {
        self.batch.first.saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// The replica's chain is held through here now; so many changes of the batch were held before.
    Held {
        /// Changes that were there already, byte for byte.
        duplicates: u64,
        /// The last contiguous seq now.
        through: u64,
    },
    /// Changes before the batch are missing: it is kept until they come.
    Parked {
        /// The seq that is missing.
        missing: u64,
    },
    /// The batch leaves the replica's chain: what differs is kept as a branch.
    Fork {
        /// The last seq that both share.
        common: u64,
    },
}

/// Receives one batch, idempotently.
///
/// # Errors
/// If the store fails; the caller rolls the transaction back and nothing is half applied.
pub fn receive<L: Log>(log: &mut L, verified: &Verified) -> Result<Intake, L::Error> {
    let batch = &verified.batch;
    let (mut through, mut head) = log.head(batch.replica)?;
    let previous = batch.first.saturating_sub(1);
    if previous > through {
        log.park(verified)?;
        return Ok(Intake::Parked { missing: through.saturating_add(1) });
    }
    let known = if previous == through { Some(head) } else { hash_before(log, batch)? };
    if known != Some(batch.before) {
        // The histories parted before this batch; where, the device finds by sending from its start.
        hold_rest(log, verified, 0)?;
        return Ok(Intake::Fork { common: 0 });
    }
    let mut duplicates = 0;
    for (index, hash) in verified.hashes.iter().enumerate() {
        let seq = verified.seq(index);
        let held = log.hash_at(batch.replica, seq)?;
        if seq > through && held.is_none() {
            log.append(verified, index)?;
            (through, head) = (seq, *hash);
        } else if seq > through && held == Some(*hash) {
            log.join(verified, index)?;
            (through, head) = (seq, *hash);
        } else if held == Some(*hash) {
            duplicates += 1;
        } else {
            hold_rest(log, verified, index)?;
            return Ok(Intake::Fork { common: seq.saturating_sub(1) });
        }
    }
    let through = close_gap(log, batch.replica, through, head)?;
    Ok(Intake::Held { duplicates, through })
}

/// Holds what comes from an index on as a branch, but for what somebody carried here before and counts already.
fn hold_rest<L: Log>(log: &mut L, verified: &Verified, from: usize) -> Result<(), L::Error> {
    for (index, hash) in verified.hashes.iter().enumerate().skip(from) {
        if log.hash_at(verified.batch.replica, verified.seq(index))? != Some(*hash) {
            log.hold_branch(verified, index)?;
        }
    }
    Ok(())
}

/// Joins what was parked behind a gap that is closed now; the last contiguous seq.
fn close_gap<L: Log>(log: &mut L, replica: ReplicaId, through: u64, head: Hash) -> Result<u64, L::Error> {
    let (mut through, mut head) = (through, head);
    while let Some(parked) = log.unpark(replica, through.saturating_add(1))? {
        through = join_parked(log, &parked, through, head)?;
        head = log.hash_at(replica, through)?.unwrap_or(head);
    }
    Ok(through)
}

fn hash_before<L: Log>(log: &mut L, batch: &Batch) -> Result<Option<Hash>, L::Error> {
    if batch.first == 1 { Ok(Some(Hash::default())) } else { log.hash_at(batch.replica, batch.first.saturating_sub(1)) }
}

/// Receives a batch that somebody else than its author carried, idempotently; it may hold digests in place of changes that its
/// carrier does not see.
///
/// What joins the author's chain extends it; what comes behind a gap or a withheld change is applied apart from it, so that
/// nothing waits for an author who may never come back. Only the author's own batches are acked.
///
/// # Errors
/// If the store fails; the caller rolls the transaction back and nothing is half applied.
pub fn carry<L: Log>(log: &mut L, verified: &Verified) -> Result<(), L::Error> {
    let batch = &verified.batch;
    let (mut through, mut head) = log.head(batch.replica)?;
    let mut previous = batch.before;
    // What follows a change of another history of its author is of that history, too.
    let known = if batch.first == through.saturating_add(1) { Some(head) } else { hash_before(log, batch)? };
    let mut is_other = match known {
        Some(known) => known != batch.before,
        None => log.is_on_branch(batch.replica, batch.first.saturating_sub(1), batch.before)?,
    };
    for (index, hash) in verified.hashes.iter().enumerate() {
        let seq = verified.seq(index);
        let is_whole = matches!(batch.changes.get(index), Some(Carried::Bytes(_)));
        let is_next = seq == through.saturating_add(1);
        let held = log.hash_at(batch.replica, seq)?;
        is_other = is_other || held.is_some_and(|held| held != *hash) || (is_next && previous != head);
        match held {
            _ if is_other && held == Some(*hash) => {}
            _ if is_other && is_whole => log.hold_branch(verified, index)?,
            _ if is_other => {}
            Some(held) if held == *hash && is_next && is_whole => {
                log.join(verified, index)?;
                (through, head) = (seq, *hash);
            }
            None if is_whole && is_next => {
                log.append(verified, index)?;
                (through, head) = (seq, *hash);
            }
            None if is_whole => log.append_apart(verified, index)?,
            Some(_) | None => {}
        }
        previous = *hash;
    }
    close_gap(log, batch.replica, through, head)?;
    Ok(())
}

/// Appends what a parked batch adds, or holds it as a branch where it does not fit.
fn join_parked<L: Log>(log: &mut L, parked: &Verified, through: u64, head: Hash) -> Result<u64, L::Error> {
    let mut previous = parked.batch.before;
    let mut fits = parked.batch.first == through.saturating_add(1) && previous == head;
    let mut last = through;
    for (index, hash) in parked.hashes.iter().enumerate() {
        let seq = parked.seq(index);
        fits = fits || (seq == through.saturating_add(1) && previous == head);
        match log.hash_at(parked.batch.replica, seq)? {
            None if fits => {
                log.append(parked, index)?;
                last = seq;
            }
            Some(held) if held == *hash && fits && seq > last => {
                log.join(parked, index)?;
                last = seq;
            }
            Some(held) if held == *hash => {}
            Some(_) | None => {
                fits = false;
                log.hold_branch(parked, index)?;
            }
        }
        previous = *hash;
    }
    Ok(last)
}
