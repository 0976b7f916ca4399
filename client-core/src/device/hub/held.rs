//! How far a hub holds the history of a guest: of this guest, not of another life of it that has the same name.

use crate::{
    error::Error,
    store::{CarriedRow, Tx},
};
use std::collections::BTreeSet;
use sync_protocol::{
    Hash, ReplicaId,
    chain::Batch,
    wire::{Acked, Request},
};

/// Batches that were cut in another place and are looked into, at each step.
const LOOKED_INTO: usize = 8;

/// How far the hub holds some history of a name without a gap, from where the server holds it: it may be another life's, and the
/// guest takes it only if the hash there is its own. It never takes back what the server has.
pub(super) fn held_through(tx: &Tx<'_>, replica: ReplicaId, safe: Option<Acked>) -> Result<(u64, Hash), Error> {
    let start = start(safe);
    let (mut open, mut seen, mut furthest) = (vec![start], BTreeSet::from([start]), start);
    while let Some(at) = open.pop() {
        furthest = furthest.max(at);
        let mut next = tx.carried_after(replica, at.0, at.1)?;
        if next.is_empty() {
            next.extend(cut_elsewhere(tx, replica, at)?);
        }
        // Where histories part all are followed: one may be somebody's invention.
        open.extend(next.into_iter().filter(|further| seen.insert(*further)));
    }
    Ok(furthest)
}

/// The end of a batch that was cut in another place and holds the same change there.
fn cut_elsewhere(tx: &Tx<'_>, replica: ReplicaId, at: (u64, Hash)) -> Result<Option<(u64, Hash)>, Error> {
    for CarriedRow { id, span } in tx.carried_across(replica, at.0, LOOKED_INTO)? {
        let Some(batch) = tx.carried_batch(id)? else { continue };
        if (batch.first..).zip(batch.hashes()).any(|link| link == at) {
            return Ok(Some((span.last, span.after)));
        }
    }
    Ok(None)
}

/// How far the hub holds what a guest names in its request: the place up to which it was acked, or where what it sends begins
/// and ends.
pub(super) fn named_through(
    tx: &Tx<'_>,
    replica: ReplicaId,
    safe: Option<Acked>,
    request: &Request,
) -> Result<(u64, Hash), Error> {
    let start = start(safe);
    let sent = request.batches.iter().filter(|batch| batch.replica == replica);
    let ends = |batch: &Batch| [(batch.first.saturating_sub(1), batch.before), (batch.last(), batch.after())];
    let mut named: Vec<(u64, Hash)> = sent.flat_map(ends).collect();
    named.extend(request.header.acked.map(|acked| (acked.seq, acked.hash)));
    named.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    for at in named {
        if reaches_back(tx, replica, at, start.0)? {
            return Ok(at);
        }
    }
    Ok(start)
}

/// Whether batches lead without a gap from a place back to where the server holds the history.
fn reaches_back(tx: &Tx<'_>, replica: ReplicaId, at: (u64, Hash), start: u64) -> Result<bool, Error> {
    let (mut open, mut seen) = (vec![at], BTreeSet::from([at]));
    while let Some((seq, hash)) = open.pop() {
        if seq <= start {
            return Ok(at.0 > start);
        }
        // They may have been cut in other places by another way: one that leads nowhere says nothing of the others.
        open.extend(tx.carried_before(replica, seq, hash)?.into_iter().filter(|before| seen.insert(*before)));
    }
    Ok(false)
}

fn start(safe: Option<Acked>) -> (u64, Hash) {
    safe.map_or((0, Hash::default()), |safe| (safe.seq, safe.hash))
}
