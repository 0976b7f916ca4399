//! What lets devices give back to a restored server what it lost of others' changes (DESIGN §5, rule 9): the proofs that go
//! with what they pull, and what the server says it lacks.

use super::ingest;
use crate::store::{ChangeRow, StoreError, Tx, Unseen};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    ReplicaId,
    chain::Span,
    wire::{Lack, Outcome, Proof, RequestHeader},
};

/// How a reply proves the changes that it tells.
pub(super) struct Proving<'s> {
    /// The areas that the device sees.
    seen: &'s BTreeSet<i64>,
    /// It is a hub, which proves everything to others: what is in a verified backup, and whatever it weighs.
    is_hub: bool,
    /// The batches that this reply proves already.
    told: BTreeSet<(ReplicaId, u64, u64)>,
}

impl<'s> Proving<'s> {
    pub(super) fn new(seen: &'s BTreeSet<i64>, is_hub: bool) -> Self {
        Self { seen, is_hub, told: BTreeSet::new() }
    }

    /// What proves the changes of a run that are in no verified backup yet: the batches that they came in.
    ///
    /// A batch that the server does not hold whole, because it was carried here without some of its changes, proves nothing.
    /// Digests stand in only for what the device does not see: the rest of the batch it has, or pulls. One that would weigh
    /// more than what it proves is left to its author.
    pub(super) fn proofs(&mut self, tx: Tx<'_>, changes: &[ChangeRow]) -> Result<Vec<Proof>, StoreError> {
        let Self { seen, is_hub, told } = self;
        let is_hub = *is_hub;
        let mut seqs: BTreeMap<ReplicaId, BTreeSet<u64>> = BTreeMap::new();
        for change in changes {
            seqs.entry(change.dot.replica).or_default().insert(change.dot.seq);
        }
        let mut proofs = Vec::new();
        for (replica, mut seqs) in seqs {
            let safe = tx.safe_through(replica)?;
            seqs.retain(|seq| is_hub || *seq > safe);
            let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { continue };
            let row = tx.replica(replica)?.ok_or(StoreError::Corrupt("a replica"))?;
            for (Span { first, last, before, after, .. }, signature) in tx.batches_over(&row, *first, *last)? {
                let here = seqs.range(first..=last).count();
                let count = usize::try_from(last.saturating_sub(first)).unwrap_or(usize::MAX).saturating_add(1);
                if here == 0 || told.contains(&(replica, first, last)) {
                    continue;
                }
                let unseen = if here < count { tx.unseen(row.id, first, last, seen)? } else { Unseen::default() };
                let is_whole = here == count || unseen.held == count;
                let withheld = unseen.digests;
                if is_whole && (is_hub || withheld.len() <= here.saturating_mul(4).saturating_add(8)) {
                    told.insert((replica, first, last));
                    let stamps = tx.stamps(row.id, first, last)?.into_iter().map(|row| row.of(replica));
                    proofs.push(Proof {
                        replica,
                        first,
                        last,
                        before,
                        after,
                        signature,
                        withheld,
                        stamps: stamps.collect(),
                    });
                }
            }
        }
        Ok(proofs)
    }
}

/// What is kept apart of what a device says it has: it may know it from before the server was restored, when it counted. Of its
/// own of today, as far as both are known to have the same history.
pub(super) fn apart(tx: Tx<'_>, request: &RequestHeader, shared: u64) -> Result<Vec<Outcome>, StoreError> {
    let mut apart = Vec::new();
    for (replica, last) in &request.held {
        let Some(row) = tx.replica(*replica)? else { continue };
        let last = if *replica == request.replica { shared.min(*last) } else { *last };
        apart.extend(ingest::apart(tx, &row, 1, last)?);
    }
    Ok(apart)
}

/// What the server lacks of what a device says it can prove.
pub(super) fn lacks(tx: Tx<'_>, request: &RequestHeader) -> Result<Vec<Lack>, StoreError> {
    let mut lacks = Vec::new();
    // Its own of today it sends by itself.
    for (replica, last) in request.held.iter().filter(|(replica, _)| **replica != request.replica) {
        let Some(row) = tx.replica(*replica)? else { continue };
        let mut first = row.head.saturating_add(1);
        for held in tx.seqs_after(row.id, row.head)?.into_iter().filter(|held| held <= last) {
            if first < held {
                lacks.push(Lack { replica: *replica, first, last: held.saturating_sub(1) });
            }
            first = held.saturating_add(1);
        }
        if first <= *last {
            lacks.push(Lack { replica: *replica, first, last: *last });
        }
    }
    Ok(lacks)
}
