//! The device's side of a sync: where it stands, what it sends, and how it takes in a reply.

use super::{
    Device, attachments, carried, identity, meta, number, relay, rename, renew_identity, reread, returned, scope,
    summary, to_json, trust,
};
use crate::{
    error::Error,
    host::Host,
    store::{LifeRow, SUPERSEDED, Tx},
};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Change, Dot, Hash, RecordId, ReplicaId, Snapshot, Subject,
    chain::{Adoption, Batch, Span, digest, link},
    engine::{
        device::{Absorbed, DeviceStore, Introductions, Position},
        reauthor::{Renumbered, reauthor},
    },
    wire::{Fork, Lack, Life, Reply, Run, Stamped, Verdict},
};

impl<H: Host> DeviceStore for Device<H> {
    type Error = Error;

    fn position(&mut self) -> Result<Position, Error> {
        self.store.read(|tx| {
            let (replica, key) = identity(tx)?;
            let acked_through = number(tx, meta::ACKED)?;
            let (last, _) = tx.head(replica)?;
            let acked_hash = tx.hash_at(replica, acked_through)?.unwrap_or_default();
            let mut in_doubt = Vec::new();
            for end in sent_in_doubt(tx, replica)? {
                if let Some(hash) = tx.hash_at(replica, end)?.filter(|_| end > acked_through) {
                    in_doubt.push((end, hash));
                }
            }
            let mut waits = tx.waits(replica)?;
            let adoption = tx.meta(meta::ADOPTION)?.map(|json| super::from_json(&json)).transpose()?;
            Ok(Position {
                replica,
                key,
                acked_through,
                acked_hash,
                last,
                scope: super::scope(tx)?.map(|scope| scope.version).unwrap_or_default(),
                returned: returned::told(tx)?.version,
                epoch: tx.meta(meta::EPOCH)?.unwrap_or_default(),
                cursors: tx.cursors()?,
                snapshots: tx.snapshot_places()?,
                dropped: number(tx, meta::DROPPED)?,
                waits: waits.remove(&replica).unwrap_or_default(),
                waits_before: waits,
                lives: tx.lives()?,
                held: if tx.meta(meta::TELLS)?.is_some() { tx.held()? } else { BTreeMap::new() },
                gives_back: !tx.wanted()?.is_empty() || tx.has_to_give(trust::heard_ms(tx)?)?,
                adoption,
                in_doubt,
                pass: Some(trust::pass_until(tx, replica)?),
                hub: relay::is_hub(tx)?,
                renew: trust::running_out(tx)?,
                carries: tx.carries()?,
            })
        })
    }

    fn own_changes(&mut self, after: u64, budget: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            Ok(tx.own_changes(replica, after, budget)?.into_iter().map(|(_, _, bytes)| bytes).collect())
        })
    }

    fn stamps(&mut self, replica: ReplicaId, first: u64, last: u64) -> Result<Vec<Stamped>, Error> {
        self.store.read(|tx| tx.stamps(replica, first, last))
    }

    fn adoptions(&mut self) -> Result<Vec<Adoption>, Error> {
        self.store.read(|tx| tx.adoptions()?.iter().map(|json| super::from_json(json)).collect())
    }

    fn rename(&mut self) -> Result<bool, Error> {
        rename::rename(self)
    }

    fn give_back(&mut self, budget: usize) -> Result<Vec<Batch>, Error> {
        self.store.read(|tx| carried::give_back(tx, budget))
    }

    fn introductions(&mut self, batches: &[Span], held: &[ReplicaId]) -> Result<Introductions, Error> {
        self.store.read(|tx| carried::introductions(tx, batches, held))
    }

    fn given(&mut self, batches: &[Span], refused: &[Span]) -> Result<(), Error> {
        self.store.write(|tx| {
            let heard_ms = trust::heard_ms(tx)?;
            for span in batches {
                tx.unwant(span.replica, span.first, span.last)?;
                if refused.contains(span) { tx.set_not_taken(span, heard_ms)? } else { tx.set_given(span)? }
            }
            tx.make_room()?;
            carried::forget_unprovable(tx)
        })
    }

    fn sending(&mut self, ends: &[u64]) -> Result<(), Error> {
        self.store.write(|tx| {
            let (replica, _) = identity(tx)?;
            tx.set_meta(meta::IN_DOUBT, &to_json(&InDoubt { replica, ends: ends.to_vec() })?)
        })
    }

    fn absorb(&mut self, reply: &Reply) -> Result<Absorbed, Error> {
        let Self { store, host, forms, .. } = self;
        let now_ms = host.now_ms();
        store.write(|tx| {
            let (mut touched, mut taken) = (BTreeSet::new(), BTreeMap::new());
            let own = identity(tx)?.0;
            let mut absorbed = Absorbed::default();
            if tx.meta(meta::TELLS)?.is_some() && !reply.cut_off {
                tx.delete_meta(meta::TELLS)?;
                let lacks: Vec<Lack> = reply.lacks.iter().filter(|lack| lack.replica != own).cloned().collect();
                tx.want(&lacks)?;
            }
            // A server that was restored signs with another key: the scope tells.
            if let Some(scope) = &reply.scope {
                trust::keep_forgotten(tx, scope)?;
                tx.set_meta(meta::SCOPE, &to_json(scope)?)?;
            }
            if let Some(returned) = &reply.returned {
                tx.set_meta(meta::RETURNED, &to_json(returned)?)?;
            }
            let stamps = signed_stamps(tx, reply)?;
            take_header(tx, reply, &stamps)?;
            trust::hear(tx, reply)?;
            if !reply.cut_off {
                tx.delete_meta(meta::IN_DOUBT)?;
            }
            for outcome in &reply.outcomes {
                // A batch of others that was refused says nothing of what is here of theirs.
                let is_load = outcome.verdict == Verdict::Refused && outcome.replica != own;
                if outcome.verdict != Verdict::Duplicate && !is_load {
                    let dot = Dot { replica: outcome.replica, seq: outcome.seq };
                    let verdict = verdict(outcome.verdict, outcome.code.map(|code| code.as_str()));
                    tx.set_verdict(dot, verdict.as_deref())?;
                    // Should it count again, it is told again.
                    if dot.replica != own {
                        tx.unfeed_change(dot)?;
                    }
                    if let Some(row) = tx.record_of(dot)? {
                        touched.insert(Touched { is_interview: row.round.is_some(), record: row.id });
                    }
                }
            }
            for stamped in stamps {
                tx.stamp(stamped)?;
            }
            if !reply.team.is_empty() || (!reply.cut_off && tx.meta(meta::TEAM)?.is_some()) {
                tx.set_meta(meta::TEAM, &to_json(&reply.team)?)?;
            }
            for Run { snapshots, changes, proofs, moved, cursor } in &reply.pulled {
                for snapshot in snapshots {
                    absorbed.pulled += u64::try_from(snapshot.changes.len()).unwrap_or(0);
                    let (by, joined) = take_snapshot(tx, snapshot)?;
                    touched.insert(by);
                    taken.insert(by.record, joined);
                }
                for change in changes {
                    let dot = Dot { replica: change.replica, seq: change.seq };
                    // What this program is too old to read is kept for a newer one, under no record.
                    let read = reread(dot, &change.bytes).ok();
                    if let Some(read) = &read {
                        attachments::note_pulled(tx, read)?;
                        tx.clear_moved(read.subject.household().0)?;
                    }
                    let by = read.as_ref().map(Touched::by);
                    let record = by.map_or(RecordId(uuid::Uuid::nil()), |by| by.record);
                    let is_new = tx.insert_change(dot, record, None, Some(change.stamp), &change.bytes)?;
                    let left = if is_new { None } else { tx.displace(dot, record, change.stamp, &change.bytes)? };
                    absorbed.pulled += u64::from(is_new || left.is_some());
                    let counts_again = !is_new && tx.let_count(dot, change.stamp)?;
                    // An own one that the log had kept of a household that was dropped: it is back.
                    if is_new || left.is_some() || counts_again || tx.record(record)?.is_none() {
                        touched.extend(by);
                    }
                    if let Some(record) = left {
                        let is_interview = tx.record(record)?.is_some_and(|row| row.round.is_some());
                        touched.insert(Touched { is_interview, record });
                    }
                }
                proofs.iter().try_for_each(|proof| tx.keep_proof(proof))?;
                for household in moved {
                    tx.set_moved(household.0)?;
                }
                tx.set_cursor(cursor)?;
            }
            absorbed.forked = match &reply.fork {
                Some(fork) => fork_off(tx, host, fork, &reply.stamps, &mut touched)?,
                // Of a reply that was cut off, the fork may be what is missing.
                None if reply.cut_off => false,
                None if lacks_freed(tx)? => {
                    go_on(tx, host, number(tx, meta::ACKED)?, &mut touched)?;
                    true
                }
                None => leave_lost_history(tx, host, reply.header.acked_through)?,
            };
            for touched in &touched {
                // What has just been read is not read back.
                let record = match taken.remove(&touched.record) {
                    Some(snapshot) => forms.merged_over(tx, touched.record, Some(snapshot))?,
                    None => forms.merged(tx, touched.record)?,
                };
                summary::put(tx, touched.record, &record, forms)?;
            }
            if relay::is_hub(tx)? {
                relay::extend(tx, host, forms, reply, &touched.iter().map(|touched| touched.record).collect())?;
            } else {
                tx.forget_old_proofs()?;
            }
            // What a restored server may still ask for stays until it has been given back. And in the middle of a history a
            // household may seem to live where it lived long ago.
            carried::forget_unprovable(tx)?;
            let owes = tx.meta(meta::TELLS)?.is_some() || !tx.wanted()?.is_empty();
            let has_more = reply.cut_off || reply.header.more;
            if let Some(scope) = super::scope(tx)?.filter(|_| !owes && !has_more) {
                scope::drop_lost(tx, &scope, forms, now_ms)?;
            }
            Ok(absorbed)
        })
    }
}

/// Batches that were sent and got no answer yet: kept, so that a sync that was broken off goes on there another night.
#[derive(serde::Serialize, serde::Deserialize)]
struct InDoubt {
    replica: ReplicaId,
    ends: Vec<u64>,
}

/// Where batches of this replica ended that got no answer.
fn sent_in_doubt(tx: &Tx<'_>, replica: ReplicaId) -> Result<Vec<u64>, Error> {
    let Some(json) = tx.meta(meta::IN_DOUBT)? else { return Ok(Vec::new()) };
    let in_doubt: InDoubt = super::from_json(&json)?;
    Ok(if in_doubt.replica == replica { in_doubt.ends } else { Vec::new() })
}

/// A record whose line in the lists is to be derived again. Households sort first: their names and areas
/// stand on their interviews' lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Touched {
    is_interview: bool,
    pub(super) record: RecordId,
}

impl Touched {
    pub(super) fn by(change: &Change) -> Self {
        Self { is_interview: matches!(change.subject, Subject::Interview { .. }), record: change.record() }
    }
}

/// Puts a record as it stands in place of what others are known to have done to it; what is own stays in the log. Gives what is
/// here now.
fn take_snapshot(tx: &Tx<'_>, snapshot: &Snapshot) -> Result<(Touched, Snapshot), Error> {
    let record = snapshot.subject.record(&snapshot.questionnaire.id);
    tx.clear_moved(snapshot.subject.household().0)?;
    // What is here may know of changes that a restored server has lost.
    let joined = match tx.snapshot(record)? {
        Some(earlier) => super::from_json::<Snapshot>(&earlier)?.joined(snapshot.clone()),
        None => snapshot.clone(),
    };
    tx.forget_folded(record, |dot| joined.holds(dot))?;
    joined.changes.iter().try_for_each(|(change, _)| attachments::note_pulled(tx, change))?;
    tx.put_snapshot(record, &to_json(&joined)?)?;
    Ok((Touched { is_interview: matches!(snapshot.subject, Subject::Interview { .. }), record }, joined))
}

/// What is written of a change; nothing where it counts like any other.
fn verdict(verdict: Verdict, code: Option<&str>) -> Option<String> {
    let word = match verdict {
        Verdict::Duplicate | Verdict::Released => return None,
        Verdict::Quarantined => "quarantined",
        Verdict::Escrow => "escrow",
        Verdict::Purged => "purged",
        Verdict::Parked => "parked",
        Verdict::Superseded => SUPERSEDED,
        Verdict::Refused => "refused",
        Verdict::Unknown => "unknown",
    };
    Some(code.map_or_else(|| word.to_owned(), |code| format!("{word}: {code}")))
}

fn take_header(tx: &Tx<'_>, reply: &Reply, stamps: &[&Stamped]) -> Result<(), Error> {
    if tx.meta(meta::EPOCH)?.is_some_and(|epoch| epoch != reply.header.epoch) {
        tx.clear_cursors()?;
        tx.clear_receipts()?;
        tx.doubt_lives()?;
        tx.give_again()?;
        tx.offer_attachments_again()?;
        if !tx.held()?.is_empty() {
            tx.set_meta(meta::TELLS, "1")?;
        }
    }
    tx.set_meta(meta::EPOCH, &reply.header.epoch)?;
    for Life { replica, acked_through, acked_hash, safe_through } in &reply.lives {
        let acked = own_through(tx, *replica, *acked_through, Some(*acked_hash))?;
        tx.set_life(LifeRow { replica: *replica, acked, safe: acked.min(*safe_through) })?;
    }
    let acked_before = number(tx, meta::ACKED)?;
    if reply.fork.is_none() {
        let (replica, _) = identity(tx)?;
        let (last, _) = tx.head(replica)?;
        // Where nothing was cut, a stamp that can't be proved comes from a server that was restored and tells a revoked
        // device no more: the ack counts.
        let all: Vec<&Stamped> = reply.stamps.iter().collect();
        let told = if reply.cut_off { stamps } else { &all };
        let stamped = stamped_through(told, replica, acked_before);
        let held = match reply.header.acked_hash {
            Some(hash) => own_through(tx, replica, reply.header.acked_through, Some(hash))?,
            None => reply.header.acked_through,
        };
        let acked = held.min(stamped).min(last);
        super::set_acked(tx, acked)?;
        tx.clear_verdicts(replica, acked_before, acked)?;
    }
    // What is in a backup under this name may be another life's.
    let mut safe = reply.header.safe_through.min(number(tx, meta::ACKED)?);
    if number(tx, meta::ACKED)? < acked_before {
        // Nor does a server that is behind know yet whose history it holds there.
        safe = safe.min(number(tx, meta::SAFE)?);
    }
    tx.set_meta(meta::SAFE, &safe.to_string())?;
    Ok(())
}

/// Whether the server asks for what was freed: it was restored from a backup older than the one that made it safe. What is
/// still held goes on under a new name, since a chain with a gap would never be whole.
fn lacks_freed(tx: &Tx<'_>) -> Result<bool, Error> {
    Ok(number(tx, meta::ACKED)? < number(tx, meta::FREED)?)
}

/// How far a server or a hub holds this device's history under one of its names by its own word; nothing where it names another one.
pub(super) fn own_through(tx: &Tx<'_>, replica: ReplicaId, through: u64, hash: Option<Hash>) -> Result<u64, Error> {
    let own = if through > tx.head(replica)?.0 { None } else { tx.hash_at(replica, through)? };
    Ok(if own.is_some() && own == hash { through } else { 0 })
}

/// How far an ack counts: as far as the stamps of what it acks are here. Where a reply was cut off, or a batch was lost
/// on the way, they are given when the device sends again.
pub(super) fn stamped_through(stamps: &[&Stamped], replica: ReplicaId, acked: u64) -> u64 {
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
    let keys = trust::keys(tx)?;
    Ok(reply.stamps.iter().filter(|stamped| stamped.is_signed(&keys)).collect())
}

/// Goes on under a new replica: what the branches do not share is re-authored, each change with the hash
/// that it replaces. Nothing is lost, and the other branch arrives by the ordinary pull.
fn fork_off<H: Host>(
    tx: &Tx<'_>,
    host: &mut H,
    fork: &Fork,
    stamps: &[Stamped],
    touched: &mut BTreeSet<Touched>,
) -> Result<bool, Error> {
    if fork.replica != identity(tx)?.0 {
        return Ok(false);
    }
    // What was freed was in a backup: the histories can't have parted before it.
    let (acked, freed) = (number(tx, meta::ACKED)?, number(tx, meta::FREED)?);
    let common = fork.common.max(freed);
    // Batches of what both share may have been lost on the way: what became of them it hears when it sends again.
    let told: Vec<&Stamped> = stamps.iter().collect();
    if common > freed && stamped_through(&told, fork.replica, acked) < common {
        return Ok(false);
    }
    if common < acked {
        // The server saw only that the histories parted before what was sent: it finds where when all of it comes.
        tx.set_meta(meta::ACKED, &common.to_string())?;
        tx.set_meta(meta::SAFE, &number(tx, meta::SAFE)?.min(common).to_string())?;
        return Ok(false);
    }
    go_on(tx, host, common, touched)?;
    Ok(true)
}

/// Authors what is held after `common` again, under a new replica. What a change replaced it goes on replacing: the name that
/// is left may never have been heard of.
pub(super) fn go_on<H: Host>(
    tx: &Tx<'_>,
    host: &mut H,
    common: u64,
    touched: &mut BTreeSet<Touched>,
) -> Result<(), Error> {
    let (old, _) = identity(tx)?;
    let mut held = tx.own_changes(old, common, usize::MAX)?;
    held.retain(|(_, _, bytes)| !bytes.is_empty());
    let new = renew_identity(tx, host, common)?;
    let numbered = Renumbered::new(common, new, held.iter().map(|(seq, ..)| *seq));
    let mut previous = Hash::default();
    for ((seq, hash, bytes), number) in held.into_iter().zip(1..) {
        let (dot, again) = (Dot { replica: old, seq }, Dot { replica: new, seq: number });
        let replaced = reread(dot, &bytes)?.instead_of.unwrap_or(hash);
        let change = reauthor(dot, &bytes, replaced, again, |seq| numbered.rename(seq));
        let change = change.map_err(|problem| Error::Corrupt(problem.to_string()))?;
        let bytes = change.to_bytes();
        previous = link(previous, new, change.dot.seq, digest(&bytes));
        tx.replace_change(dot, change.dot, previous, &bytes)?;
        touched.insert(Touched::by(&change));
        // A household that was dropped comes again where it is seen by now, as anybody's does.
        if tx.has_left(change.subject.household().0)? {
            tx.set_meta(meta::DROPPED, &number.to_string())?;
        }
    }
    Ok(())
}

/// A server that holds more of this replica than the device does: the device was restored from an older
/// copy. It writes under a new replica from now on, before it can use a seq twice.
fn leave_lost_history<H: Host>(tx: &Tx<'_>, host: &mut H, acked_through: u64) -> Result<bool, Error> {
    let (old, _) = identity(tx)?;
    let (last, _) = tx.head(old)?;
    // What is unsent yet must be sent under the old name before it is left.
    if acked_through <= last || number(tx, meta::ACKED)? < last {
        if acked_through > 0 || tx.meta(meta::ADOPTION)?.is_none() {
            tx.delete_meta(meta::ADOPTION)?;
        }
        return Ok(false);
    }
    // What was lost comes back by the pull, from the start of each bucket.
    renew_identity(tx, host, last)?;
    Ok(true)
}
