//! The device's side of a sync: where it stands, what it sends, and how it takes in a reply.

use super::{Device, attachments, enrolled, identity, meta, number, reread, set_identity, summary, to_json};
use crate::{
    error::Error,
    host::Host,
    store::{SUPERSEDED, Tx},
};
use std::collections::BTreeSet;
use sync_protocol::{
    Change, Dot, RecordId, ReplicaId, Subject,
    chain::{Adoption, digest, link},
    engine::{
        device::{Absorbed, DeviceStore, Position},
        reauthor::{after, reauthor},
    },
    wire::{Fork, Reply, Stamped, Verdict},
};

impl<H: Host> DeviceStore for Device<H> {
    type Error = Error;

    fn position(&mut self) -> Result<Position, Error> {
        self.store.read(|tx| {
            let (replica, key) = identity(tx)?;
            let acked_through = number(tx, meta::ACKED)?;
            let (last, _) = tx.head(replica)?;
            let acked_hash = tx.hash_at(replica, acked_through)?.unwrap_or_default();
            let adoption = tx.meta(meta::ADOPTION)?.map(|json| super::from_json(&json)).transpose()?;
            Ok(Position {
                replica,
                key,
                acked_through,
                acked_hash,
                last,
                scope: super::scope(tx)?.map(|scope| scope.version).unwrap_or_default(),
                epoch: tx.meta(meta::EPOCH)?.unwrap_or_default(),
                cursors: tx.cursors()?,
                adoption,
            })
        })
    }

    fn own_changes(&mut self, after: u64, budget: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            Ok(tx.own_changes(replica, after, budget)?.into_iter().map(|(_, _, bytes)| bytes).collect())
        })
    }

    fn stamps(&mut self, first: u64, last: u64) -> Result<Vec<Stamped>, Error> {
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            tx.stamps(replica, first, last)
        })
    }

    fn absorb(&mut self, reply: &Reply) -> Result<Absorbed, Error> {
        let Self { store, host, forms, .. } = self;
        store.write(|tx| {
            let mut touched = BTreeSet::new();
            let mut absorbed = Absorbed::default();
            // A server that was restored signs with another key: the scope tells.
            if let Some(scope) = &reply.scope {
                tx.set_meta(meta::SCOPE, &to_json(scope)?)?;
            }
            let stamps = signed_stamps(tx, reply)?;
            take_header(tx, reply, &stamps)?;
            for outcome in &reply.outcomes {
                if outcome.verdict != Verdict::Duplicate {
                    let dot = Dot { replica: outcome.replica, seq: outcome.seq };
                    tx.set_verdict(dot, &verdict(outcome.verdict, outcome.code.map(|code| code.as_str())))?;
                    if let Some(row) = tx.record_of(dot)? {
                        touched.insert(Touched { is_interview: row.round.is_some(), record: row.id });
                    }
                }
            }
            for stamped in stamps {
                tx.stamp(stamped)?;
            }
            for (changes, cursor) in &reply.pulled {
                for change in changes {
                    let dot = Dot { replica: change.replica, seq: change.seq };
                    // What this program is too old to read is kept for a newer one, under no record.
                    let read = reread(dot, &change.bytes).ok();
                    read.iter().try_for_each(|change| attachments::note_pulled(tx, change))?;
                    let by = read.map(|change| Touched::by(&change));
                    let record = by.map_or(RecordId(uuid::Uuid::nil()), |by| by.record);
                    if tx.insert_change(dot, record, None, Some(change.stamp), &change.bytes)? {
                        absorbed.pulled += 1;
                        touched.extend(by);
                    }
                }
                tx.set_cursor(&cursor.bucket, cursor.seq)?;
            }
            absorbed.forked = match &reply.fork {
                Some(fork) => fork_off(tx, host, fork, &mut touched)?,
                // Of a reply that was cut off, the fork may be what is missing.
                None if reply.cut_off => false,
                None => leave_lost_history(tx, host, reply.header.acked_through)?,
            };
            for touched in touched {
                summary::refresh(tx, touched.record, forms)?;
            }
            Ok(absorbed)
        })
    }
}

/// A record whose line in the lists is to be derived again. Households sort first: their names and areas
/// stand on their interviews' lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Touched {
    is_interview: bool,
    record: RecordId,
}

impl Touched {
    fn by(change: &Change) -> Self {
        Self { is_interview: matches!(change.subject, Subject::Interview { .. }), record: change.record() }
    }
}

fn verdict(verdict: Verdict, code: Option<&str>) -> String {
    let word = match verdict {
        Verdict::Duplicate => "duplicate",
        Verdict::Quarantined => "quarantined",
        Verdict::Escrow => "escrow",
        Verdict::Purged => "purged",
        Verdict::Parked => "parked",
        Verdict::Superseded => SUPERSEDED,
        Verdict::Refused => "refused",
        Verdict::Unknown => "unknown",
    };
    code.map_or_else(|| word.to_owned(), |code| format!("{word}: {code}"))
}

fn take_header(tx: &Tx<'_>, reply: &Reply, stamps: &[&Stamped]) -> Result<(), Error> {
    if tx.meta(meta::EPOCH)?.is_some_and(|epoch| epoch != reply.header.epoch) {
        tx.clear_cursors()?;
        tx.offer_attachments_again()?;
    }
    tx.set_meta(meta::EPOCH, &reply.header.epoch)?;
    if reply.fork.is_none() {
        let (replica, _) = identity(tx)?;
        let (last, _) = tx.head(replica)?;
        // Where nothing was cut, a stamp that can't be proved comes from a server that was restored and tells a revoked
        // device no more: the ack counts.
        let all: Vec<&Stamped> = reply.stamps.iter().collect();
        let told = if reply.cut_off { stamps } else { &all };
        let stamped = stamped_through(told, replica, number(tx, meta::ACKED)?);
        tx.set_meta(meta::ACKED, &reply.header.acked_through.min(stamped).min(last).to_string())?;
    }
    // What is in a backup under this name may be another life's.
    let safe = reply.header.safe_through.min(number(tx, meta::ACKED)?);
    tx.set_meta(meta::SAFE, &safe.to_string())?;
    Ok(())
}

/// How far an ack counts: as far as the stamps of what it acks are here. Where a reply was cut off, or a batch was lost
/// on the way, they are given when the device sends again.
fn stamped_through(stamps: &[&Stamped], replica: ReplicaId, acked: u64) -> u64 {
    let mut own: Vec<_> = stamps.iter().filter(|stamped| stamped.replica == replica).collect();
    own.sort_by_key(|stamped| stamped.first);
    own.into_iter().fold(acked, |through, stamped| {
        if stamped.first <= through.saturating_add(1) { through.max(stamped.last) } else { through }
    })
}

/// The stamps of a reply that the server signed; others are passed over.
fn signed_stamps<'r>(tx: &Tx<'_>, reply: &'r Reply) -> Result<Vec<&'r Stamped>, Error> {
    if reply.stamps.is_empty() {
        return Ok(Vec::new());
    }
    let keys = match super::scope(tx)? {
        Some(scope) => scope.server.into_values().collect(),
        None => vec![enrolled(tx)?.server_key],
    };
    let is_signed = |stamped: &&Stamped| {
        let signed = stamped.signed();
        keys.iter().any(|key| signed.is_valid(stamped.replica, stamped.first, stamped.last, key))
    };
    Ok(reply.stamps.iter().filter(is_signed).collect())
}

/// Goes on under a new replica: what the branches do not share is re-authored, each change with the hash
/// that it replaces. Nothing is lost, and the other branch arrives by the ordinary pull.
fn fork_off<H: Host>(tx: &Tx<'_>, host: &mut H, fork: &Fork, touched: &mut BTreeSet<Touched>) -> Result<bool, Error> {
    let (old, old_key) = identity(tx)?;
    if fork.replica != old {
        return Ok(false);
    }
    if fork.common < number(tx, meta::ACKED)? {
        // The server saw only that the histories parted before what was sent: it finds where when all of it comes.
        tx.set_meta(meta::ACKED, &fork.common.to_string())?;
        tx.set_meta(meta::SAFE, &number(tx, meta::SAFE)?.min(fork.common).to_string())?;
        return Ok(false);
    }
    let lost = tx.own_changes(old, fork.common, usize::MAX)?;
    let (new, new_key) = set_identity(tx, host)?;
    // What the other branch did stood under this device's own name: pulls passed over it.
    tx.clear_cursors()?;
    tx.set_meta(meta::ADOPTION, &to_json(&Adoption::sign(new, new_key.public(), old, &old_key))?)?;
    let mut previous = sync_protocol::Hash::default();
    for (seq, hash, bytes) in lost {
        let dot = Dot { replica: old, seq };
        let again = Dot { replica: new, seq: seq.saturating_sub(fork.common) };
        let change = reauthor(dot, &bytes, hash, again, after(fork.common, new));
        let change = change.map_err(|problem| Error::Corrupt(problem.to_string()))?;
        let bytes = change.to_bytes();
        previous = link(previous, new, change.dot.seq, digest(&bytes));
        tx.replace_change(dot, change.dot, previous, &bytes)?;
        touched.insert(Touched::by(&change));
    }
    Ok(true)
}

/// A server that holds more of this replica than the device does: the device was restored from an older
/// copy. It writes under a new replica from now on, before it can use a seq twice.
fn leave_lost_history<H: Host>(tx: &Tx<'_>, host: &mut H, acked_through: u64) -> Result<bool, Error> {
    let (old, old_key) = identity(tx)?;
    let (last, _) = tx.head(old)?;
    // What is unsent yet must be sent under the old name before it is left.
    if acked_through <= last || number(tx, meta::ACKED)? < last {
        if acked_through > 0 || tx.meta(meta::ADOPTION)?.is_none() {
            tx.delete_meta(meta::ADOPTION)?;
        }
        return Ok(false);
    }
    let (new, new_key) = set_identity(tx, host)?;
    tx.set_meta(meta::ADOPTION, &to_json(&Adoption::sign(new, new_key.public(), old, &old_key))?)?;
    // What was lost comes back by the pull, from the start of each bucket.
    tx.clear_cursors()?;
    Ok(true)
}
