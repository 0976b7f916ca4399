//! What a hub makes ready for its guests: changes that the server has stamped, with what proves them.
//!
//! A guest believes nothing on a hub's word, so a hub tells only what it can prove whole. Changes that it carries and that the
//! server has not seen are told to nobody: what becomes of them is the server's to decide.

use super::{forms::Forms, identity, meta, number, trust};
use crate::{error::Error, host::Host, store::Tx};
use std::collections::BTreeSet;
use sync_protocol::{
    RecordId, ReplicaId, Value,
    chain::Batch,
    wire::{Proof, Reply},
};
use uuid::Uuid;

/// Own changes are proved in batches of so many bytes.
const BATCH: usize = 64 << 10;
/// A mark is a number below this.
const MARKS: u64 = 1 << 24;

/// A cursor in a hub's feed: the place of the last change told, and the mark that was drawn for it.
pub(super) fn cursor(seq: u64, mark: u64) -> u64 {
    seq.saturating_mul(MARKS) | (mark % MARKS)
}

/// The place and the mark of a cursor.
pub(super) fn place(cursor: u64) -> (u64, u64) {
    (cursor / MARKS, cursor % MARKS)
}

/// Whether the device is a hub.
pub(super) fn is_hub(tx: &Tx<'_>) -> Result<bool, Error> {
    Ok(tx.meta(meta::HUB)?.is_some())
}

/// Notes for the guests what a reply brought: what is proved whole by now, and where each household lives.
pub(super) fn extend<H: Host>(
    tx: &Tx<'_>,
    host: &mut H,
    forms: &mut Forms,
    reply: &Reply,
    touched: &BTreeSet<RecordId>,
) -> Result<(), Error> {
    let mut households: BTreeSet<Uuid> = BTreeSet::new();
    for record in touched {
        households.extend(tx.record(*record)?.map(|row| row.household));
    }
    prove_own(tx)?;
    let mut authors: BTreeSet<ReplicaId> = BTreeSet::from([identity(tx)?.0]);
    for run in &reply.pulled {
        authors.extend(run.changes.iter().map(|change| change.replica));
        authors.extend(run.proofs.iter().map(|proof| proof.replica));
    }
    for author in authors {
        households.extend(finish_proofs(tx, author)?);
    }
    let mut mark = [0; 8];
    host.random(&mut mark);
    let mark = u64::from_be_bytes(mark) % MARKS;
    for household in households {
        let areas = areas(tx, household, forms)?;
        tx.unfeed(household, &areas)?;
        for area in &areas {
            tx.feed(area, household, mark)?;
        }
    }
    Ok(())
}

/// Signs own changes that the server has acked, as a batch that proves them to guests.
fn prove_own(tx: &Tx<'_>) -> Result<(), Error> {
    let (replica, key) = identity(tx)?;
    let acked = number(tx, meta::ACKED)?;
    let mut after = tx.proved_through(replica)?;
    while after < acked {
        let changes = tx.own_changes(replica, after, BATCH)?.into_iter();
        let changes: Vec<_> = changes.take_while(|(seq, ..)| *seq <= acked).collect();
        let (Some(before), Some((last, ..))) = (tx.hash_at(replica, after)?, changes.last()) else { break };
        let last = *last;
        // Of what was freed with an area the digests are here.
        let first = after.saturating_add(1);
        if let Some(carried) = tx.carried(replica, first, last)? {
            let (batch, span) = Batch::sign_span(replica, first, before, carried, &key);
            let after = span.after;
            tx.keep_proof(&Proof {
                replica,
                first,
                last,
                before,
                after,
                signature: batch.signature,
                withheld: std::collections::BTreeMap::new(),
                stamps: Vec::new(),
            })?;
        }
        after = last;
    }
    Ok(())
}

/// Looks which proofs of an author are whole by now; the households that they are about.
fn finish_proofs(tx: &Tx<'_>, author: ReplicaId) -> Result<BTreeSet<Uuid>, Error> {
    let (own, own_key) = identity(tx)?;
    let key = if author == own { Some(own_key.public()) } else { trust::author_key(tx, author)? };
    let mut households = BTreeSet::new();
    let Some(key) = key else { return Ok(households) };
    for (span, signature) in tx.unfinished_proofs(author)? {
        let Some(changes) = tx.carried(author, span.first, span.last)? else { continue };
        if span.is_proved(changes, signature, &key) {
            tx.set_whole(&span)?;
            households.extend(tx.households_of(&span)?);
        }
    }
    Ok(households)
}

/// The areas in which a household lives by what counts on the server.
fn areas(tx: &Tx<'_>, household: Uuid, forms: &mut Forms) -> Result<BTreeSet<String>, Error> {
    let record = forms.merged_there(tx, RecordId(household))?;
    let answer = record.answer(&"area".parse()?);
    let siblings = answer.iter().flat_map(|answer| &answer.siblings);
    let text = |value: &Value| if let Value::Text(code) = value { Some(code.to_string()) } else { None };
    Ok(siblings.filter_map(|sibling| text(sibling.value)).collect())
}
