//! What the device gives back to a server that was restored: others' changes, as their authors signed them, and its own under
//! the names that it had (DESIGN §5, rule 9).

use super::{from_json, from_secret, trust};
use crate::{error::Error, store::Tx};
use std::collections::BTreeSet;
use sync_protocol::{
    ReplicaId,
    chain::{Adoption, Batch, Carried, Span},
    engine::device::Introductions,
    wire::Lack,
};

/// Batches that hold something wanted, then those that are carried for others and that the server has not seen, as many as fit
/// into `budget` bytes but at least one.
pub(super) fn give_back(tx: &Tx<'_>, budget: usize) -> Result<Vec<Batch>, Error> {
    let (mut batches, mut size) = (Vec::new(), 0_usize);
    for mut lack in tx.wanted()? {
        while lack.first <= lack.last && (size < budget || batches.is_empty()) {
            let Some(batch) = next(tx, &lack, budget)? else { break };
            lack.first = batch.last().saturating_add(1);
            size = size.saturating_add(batch.changes.iter().map(bytes_of).sum());
            batches.push(batch);
        }
    }
    if size < budget {
        let more = tx.to_give(budget.saturating_sub(size), trust::heard_ms(tx)?)?;
        let wanted: BTreeSet<[u8; 64]> = batches.iter().map(|batch| batch.signature.0).collect();
        batches.extend(more.into_iter().filter(|batch| !wanted.contains(&batch.signature.0)));
    }
    Ok(batches)
}

/// What the server may not know of authors: how they took their names, and where it was restored or has refused them, what it
/// signed for them once, with the keys that it had in between, and how the device itself came by its name.
pub(super) fn introductions(tx: &Tx<'_>, batches: &[Span], held: &[ReplicaId]) -> Result<Introductions, Error> {
    let mut shown = Introductions::default();
    let mut strangers: BTreeSet<ReplicaId> = held.iter().copied().collect();
    for author in batches.iter().map(|span| span.replica).collect::<BTreeSet<_>>() {
        if tx.was_refused(author)? {
            strangers.insert(author);
        } else {
            let adoption = tx.guest(author)?.and_then(|guest| guest.adoption);
            shown.adoptions.extend(adoption.map(|json| from_json(&json)).transpose()?);
        }
    }
    if !strangers.is_empty() {
        shown.adoptions.extend(trust::learned(tx)?);
    }
    let own = tx.adoptions()?.iter().map(|json| from_json(json)).collect::<Result<Vec<Adoption>, _>>()?;
    // The whole chain, or what was before could not be followed to the name of today.
    let is_asked = own.iter().any(|adoption| strangers.contains(&adoption.from));
    for mut adoption in own {
        if let Some(secret) = tx.life(adoption.from)?.filter(|_| is_asked) {
            adoption.from_key = Some(from_secret(&secret)?.public());
            shown.adoptions.push(adoption);
        }
    }
    for author in strangers {
        let guest = tx.guest(author)?;
        match (tx.voucher(author)?, &guest) {
            (Some(voucher), _) => shown.keys.push(from_json(&voucher)?),
            (None, Some(guest)) => shown.passes.push(from_json(&guest.pass)?),
            (None, None) => {}
        }
        let adoption = guest.and_then(|guest| guest.adoption);
        shown.adoptions.extend(adoption.map(|json| from_json(&json)).transpose()?);
    }
    Ok(shown)
}

/// Forgets what is wanted and can't be proved here.
pub(super) fn forget_unprovable(tx: &Tx<'_>) -> Result<(), Error> {
    for lack in tx.wanted()? {
        if next(tx, &lack, 1)?.is_none() {
            tx.unwant(lack.replica, lack.first, lack.last)?;
        }
    }
    Ok(())
}

/// The next batch that brings some of a span.
fn next(tx: &Tx<'_>, lack: &Lack, budget: usize) -> Result<Option<Batch>, Error> {
    if let Some(secret) = tx.life(lack.replica)?
        && let Some(batch) = own_life(tx, lack, &secret, budget)?
    {
        return Ok(Some(batch));
    }
    match proved(tx, lack)? {
        Some(batch) => Ok(Some(batch)),
        None => tx.carried_over(lack),
    }
}

fn bytes_of(change: &Carried) -> usize {
    match change {
        Carried::Bytes(bytes) => bytes.len(),
        Carried::Withheld(_) => 66,
    }
}

/// The first batch of somebody else over a span, as they signed it.
fn proved(tx: &Tx<'_>, lack: &Lack) -> Result<Option<Batch>, Error> {
    let mut lack = lack.clone();
    while let Some((span, signature)) = tx.proof_over(&lack)? {
        let Span { replica, first, last, before, .. } = span;
        let wanted = |seq: u64| (lack.first..=lack.last).contains(&seq);
        if let Some(changes) = tx.carried(replica, first, last)? {
            let brings = (first..).zip(&changes).any(|(seq, one)| wanted(seq) && matches!(one, Carried::Bytes(_)));
            let batch = Batch { replica, first, before, changes, signature };
            if brings {
                return Ok(Some(batch));
            }
        }
        lack.first = last.saturating_add(1);
        if lack.first > lack.last {
            break;
        }
    }
    Ok(None)
}

/// The next batch of an earlier life of this device, signed with the key that it had.
fn own_life(tx: &Tx<'_>, lack: &Lack, secret: &str, budget: usize) -> Result<Option<Batch>, Error> {
    let after = lack.first.saturating_sub(1);
    let Some(before) = tx.hash_at(lack.replica, after)? else { return Ok(None) };
    let changes = tx.own_changes(lack.replica, after, budget)?;
    let mut next = lack.first..;
    let whole = changes.into_iter().take_while(|(seq, _, bytes)| next.next() == Some(*seq) && !bytes.is_empty());
    let changes: Vec<Carried> = whole.map(|(_, _, bytes)| Carried::Bytes(bytes)).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Batch::sign(lack.replica, lack.first, before, changes, &from_secret(secret)?)))
}
