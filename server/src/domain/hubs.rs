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

/// Adds passes for a device that asks, the keys of those whose changes are proved, and for a hub receipts.
pub(super) fn add(
    tx: Tx<'_>,
    device: &Device,
    request: &RequestHeader,
    reply: &mut Reply,
    identity: &Identity,
    now_ms: i64,
) -> Result<(), StoreError> {
    let is_hub = may_carry(tx, device, request)?;
    if let Some(until) = request.pass {
        let left = until.saturating_sub(now_ms);
        // One that is good for longer than any was made by a clock that was wrong. One that says hub of what may be none any more is
        // wrong, too: the device must hear that nothing is proved to it.
        if reply.scope.is_some() || request.hub != is_hub || !(LIFETIME_MS / 2..=LIFETIME_MS).contains(&left) {
            reply.passes.extend(pass(tx, request.replica, identity, now_ms)?);
        }
    }
    let proofs = reply.pulled.iter().flat_map(|run| &run.proofs);
    let mut authors: BTreeSet<ReplicaId> = proofs.map(|proof| proof.replica).collect();
    if is_hub {
        for replica in request.renew.iter().take(MOST) {
            reply.passes.extend(pass(tx, *replica, identity, now_ms)?);
        }
        for (replica, after) in request.carries.iter().take(MOST) {
            receipt(tx, *replica, *after, identity, reply)?;
        }
        authors.insert(request.replica);
    }
    for author in authors {
        reply.keys.extend(voucher(tx, author, is_hub, identity)?);
    }
    Ok(())
}

/// Vouches for an author's key: to a hub always, to others where a restore might make the server forget who that is.
fn voucher(tx: Tx<'_>, author: ReplicaId, is_hub: bool, identity: &Identity) -> Result<Option<Voucher>, StoreError> {
    let (Some(row), bearer) = (tx.replica(author)?, tx.bearer(author)?) else { return Ok(None) };
    if !is_hub && (bearer.is_none() || tx.safe_through(author)? > 0) {
        return Ok(None);
    }
    let (enumerator, name) = bearer.map(|bearer| (bearer.enumerator, bearer.name)).unwrap_or_default();
    // The server's own names come by their adoptions.
    let earlier = if enumerator.is_empty() { Vec::new() } else { tx.earlier_names(row.id)? };
    let unsigned = Voucher { replica: author, key: row.key, enumerator, name, earlier, signature: Signature([0; 64]) };
    Ok(Some(unsigned.signed(&identity.key)))
}

/// Whether a device says that it is a hub, and may be one.
pub(super) fn may_carry(tx: Tx<'_>, device: &Device, request: &RequestHeader) -> Result<bool, StoreError> {
    Ok(request.hub && !device.revoked && tx.bearer(request.replica)?.is_some_and(|bearer| bearer.leads))
}

/// Makes the pass of a replica; none where its device was revoked.
fn pass(tx: Tx<'_>, replica: ReplicaId, identity: &Identity, now_ms: i64) -> Result<Option<Pass>, StoreError> {
    let bearer = tx.bearer(replica)?.filter(|bearer| !bearer.revoked);
    let (Some(row), Some(bearer)) = (tx.replica(replica)?, bearer) else { return Ok(None) };
    let Bearer { enumerator, name, leads, revoked: _ } = bearer;
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
