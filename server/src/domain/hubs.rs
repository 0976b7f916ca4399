//! What the server signs for devices that meet without it: passes, authors' keys, receipts of what was carried
//! (docs/decisions/0018).

use super::identity::Identity;
use crate::store::{Bearer, Device, StoreError, Tx};
use std::collections::BTreeSet;
use sync_protocol::{
    ReplicaId,
    chain::Signature,
    pass::{LIFETIME_MS, Pass, Receipt, Voucher},
    wire::{Reply, RequestHeader},
};

/// So many passes and receipts are made in one reply.
const MOST: usize = 500;

/// The devices that nobody should believe any more, for one that asks for passes.
pub(super) fn barred(tx: Tx<'_>, request: &RequestHeader, now_ms: i64) -> Result<Vec<ReplicaId>, StoreError> {
    match request.pass {
        Some(_) => tx.revoked_since(now_ms.saturating_sub(LIFETIME_MS)),
        None => Ok(Vec::new()),
    }
}

/// Adds passes for a device that asks; and for a hub receipts and the keys of those whose changes are told.
pub(super) fn add(
    tx: Tx<'_>,
    device: &Device,
    request: &RequestHeader,
    reply: &mut Reply,
    identity: &Identity,
    now_ms: i64,
) -> Result<(), StoreError> {
    if let Some(until) = request.pass {
        let left = until.saturating_sub(now_ms);
        // One that is good for longer than any was made by a clock that was wrong.
        if reply.scope.is_some() || !(LIFETIME_MS / 2..=LIFETIME_MS).contains(&left) {
            reply.passes.extend(pass(tx, request.replica, identity, now_ms)?);
        }
    }
    if !may_carry(tx, device, request)? {
        return Ok(());
    }
    for replica in request.renew.iter().take(MOST) {
        reply.passes.extend(pass(tx, *replica, identity, now_ms)?);
    }
    for (replica, after) in request.carries.iter().take(MOST) {
        receipt(tx, *replica, *after, identity, reply)?;
    }
    let mut authors: BTreeSet<ReplicaId> = BTreeSet::from([request.replica]);
    authors.extend(reply.pulled.iter().flat_map(|run| &run.proofs).map(|proof| proof.replica));
    for author in authors {
        if let Some(row) = tx.replica(author)? {
            reply.keys.push(Voucher::sign(author, row.key, &identity.key));
        }
    }
    Ok(())
}

/// Whether a device says that it is a hub, and may be one.
pub(super) fn may_carry(tx: Tx<'_>, device: &Device, request: &RequestHeader) -> Result<bool, StoreError> {
    Ok(request.hub && !device.revoked && tx.bearer(request.replica)?.is_some_and(|bearer| bearer.leads))
}

/// Makes the pass of a replica; none where its device was revoked.
fn pass(tx: Tx<'_>, replica: ReplicaId, identity: &Identity, now_ms: i64) -> Result<Option<Pass>, StoreError> {
    let (Some(row), Some(bearer)) = (tx.replica(replica)?, tx.bearer(replica)?) else { return Ok(None) };
    let Bearer { enumerator, name, leads } = bearer;
    let areas = tx.seen_areas(&enumerator)?.into_iter().map(|seen| seen.code).collect();
    let pass = Pass {
        replica,
        key: row.key,
        enumerator,
        name,
        hub: leads,
        areas,
        from: now_ms,
        until: now_ms.saturating_add(LIFETIME_MS),
        signature: Signature([0; 64]),
    };
    Ok(Some(pass.signed(&identity.key)))
}

/// Says how far a history that was carried is held and counts, with its stamps. What comes behind a change that waits for a
/// person its author hears from the server itself.
fn receipt(
    tx: Tx<'_>,
    replica: ReplicaId,
    after: u64,
    identity: &Identity,
    reply: &mut Reply,
) -> Result<(), StoreError> {
    let Some(row) = tx.replica(replica)? else { return Ok(()) };
    let counts = tx.first_kept_apart(row.id)?.map_or(row.head, |first| row.head.min(first.saturating_sub(1)));
    if counts <= after {
        return Ok(());
    }
    let hash = tx.hash_at(row.id, counts)?.ok_or(StoreError::Corrupt("a chain without a hash"))?;
    let stamps = tx.stamps(row.id, after.saturating_add(1), counts)?;
    reply.stamps.extend(stamps.into_iter().map(|row| row.of(replica)));
    reply.receipts.push(Receipt::sign(replica, counts, hash, &identity.key));
    Ok(())
}
