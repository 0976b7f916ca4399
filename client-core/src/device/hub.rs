//! A hub: a device that answers other devices' syncs where there is no network, and carries their changes to the server.
//!
//! It keeps what they send as they signed it, durably before it says so, and decides nothing: verdicts, stamps and forks are the
//! server's. What it tells them is what the server told it, proved. No I/O in here beside the store: an HTTP server or the
//! simulator stands before it.

mod held;
mod keep;

use super::{Device, from_json, identity, meta, relay, to_json, trust};
use crate::{
    channel::{Channel, Ephemeral},
    error::{Error, HubProblem},
    host::Host,
    store::{FeedRow, Tx},
};
use held::{held_through, named_through};
use keep::keep;
use std::collections::{BTreeMap, VecDeque};
use sync_protocol::{
    Code, Hash, ReplicaId,
    chain::{PublicKey, Signature},
    pass::{Meeting, Pass, Receipt, Side},
    problem::Problem,
    wire::{Acked, Cursor, Delivered, Greeting, Proof, Reply, ReplyHeader, Request, Run, VERSIONS, Welcome},
};

/// Meetings that a hub remembers; whoever's was forgotten greets again.
const MEETINGS: usize = 256;
/// Bytes of changes in one reply, before compression, unless the guest wants less.
const BUDGET: usize = 512 << 10;
/// The least that a guest may want.
const LEAST_BUDGET: usize = 16 << 10;

/// Why a hub does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the guest sent is not right, or it is not one of this hub's.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The hub's own device failed; nothing was half kept.
    #[error(transparent)]
    Device(#[from] Error),
}

fn refused(code: Code, detail: impl Into<String>) -> Failure {
    Problem::new(code, detail).into()
}

/// What a hub carries of one device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Load {
    /// Whose changes they are.
    pub replica: ReplicaId,
    /// That device's enumerator and what people call it, where they are known.
    pub enumerator: String,
    /// What people call the device.
    pub name: String,
    /// When it synced with this hub last, by the hub's clock; none if another hub carried for it.
    pub seen_ms: Option<i64>,
    /// Changes that were ever carried.
    pub changes: u64,
    /// Of these, changes that the server does not have yet.
    pub waiting: u64,
}

/// A guest during a meeting.
#[derive(Clone, Debug)]
struct Met {
    meeting: Meeting,
    key: PublicKey,
    pass: Pass,
    adoption: Option<String>,
    /// How far the server has told the guest that its history is held.
    safe: Option<Acked>,
    channel: Channel,
    /// The guest has proved that it holds its key: whoever has overheard its greeting can say that again.
    is_proved: bool,
}

impl Met {
    /// Whether it is the meeting that `nonce` names, and the signature over it is the guest's.
    fn is_with(&self, nonce: Hash, proof: &Signature) -> bool {
        self.meeting.hub_nonce == nonce && self.meeting.is_signed(Side::Guest, proof, &self.key)
    }
}

/// What a hub answers to a request.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The reply.
    pub body: Vec<u8>,
    /// Who asked.
    pub pass: Pass,
    /// Changes that were new to the hub.
    pub kept: u64,
    /// Changes that were told.
    pub told: u64,
}

/// The hub's side of its meetings. They live in memory alone: after a crash guests greet again.
#[derive(Debug, Default)]
pub struct Hub {
    meetings: VecDeque<Met>,
}

impl<H: Host> Device<H> {
    /// Makes the device a hub, once: it pulls everything anew, with what proves it, at its next sync with the server.
    ///
    /// # Errors
    /// [`HubProblem::NoPass`] before its first sync, [`HubProblem::NoHub`] if the server does not allow it.
    pub fn become_hub(&mut self) -> Result<(), Error> {
        let Self { store, host, .. } = self;
        store.write(|tx| {
            let pass = trust::own_pass(tx)?.ok_or(HubProblem::NoPass)?;
            if !pass.hub || trust::is_barred(tx, pass.replica)? {
                return Err(HubProblem::NoHub(pass.name).into());
            }
            if !relay::is_hub(tx)? {
                let mut epoch = [0; 8];
                host.random(&mut epoch);
                tx.set_meta(meta::HUB, &format!("{:016x}", u64::from_be_bytes(epoch)))?;
                tx.clear_cursors()?;
            }
            Ok(())
        })
    }

    /// Whether a hub has anything of others to tell phones: it has once it has synced with the server as one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn tells_others(&mut self) -> Result<bool, Error> {
        self.store.read(|tx| tx.is_fed())
    }

    /// What a hub carries, device by device, those that wait for the server first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn load(&mut self) -> Result<Vec<Load>, Error> {
        self.store.read(|tx| {
            let mut loads = Vec::new();
            for row in tx.load()? {
                let guest = tx.guest(row.replica)?;
                let pass = guest.as_ref().map(|guest| from_json::<Pass>(&guest.pass)).transpose()?;
                let (enumerator, name) = pass.map(|pass| (pass.enumerator, pass.name)).unwrap_or_default();
                let seen_ms = guest.and_then(|guest| guest.seen_ms);
                let (replica, changes, waiting) = (row.replica, row.changes, row.waiting);
                loads.push(Load { replica, enumerator, name, seen_ms, changes, waiting });
            }
            loads.sort_by_key(|load| (std::cmp::Reverse(load.waiting), load.enumerator.clone()));
            Ok(loads)
        })
    }
}

impl Hub {
    /// Answers a device that would sync, with what was drawn for this meeting.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if this device is no hub, or not one for all of the guest's areas; [`Code::Unauthorised`] if nothing
    /// that the server signed says who the guest is.
    pub fn greet<H: Host>(
        &mut self,
        device: &mut Device<H>,
        greeting: &Greeting,
        drawn: &Ephemeral,
    ) -> Result<Welcome, Failure> {
        let (shown, nonce) = (&greeting.shown, drawn.nonce());
        let channel = drawn.channel(greeting.nonce);
        let channel = channel.ok_or_else(|| refused(Code::WrongType, "`nonce` is no key of X25519"))?;
        if !VERSIONS.contains(&greeting.tenun) {
            return Err(refused(Code::UnsupportedProtocol, format!("`tenun` is {}", greeting.tenun)));
        }
        let (met, welcome) = device.store.write(|tx| {
            let (hub, key) = identity(tx)?;
            let own = trust::shown(tx)?.filter(|own| own.pass.hub);
            let is_hub = relay::is_hub(tx)? && !trust::is_barred(tx, hub)?;
            let (Some(own), true) = (own, is_hub) else {
                return Ok(Err(refused(Code::Forbidden, "this device is no hub: sync it with the server")));
            };
            let keys = trust::learn(tx, &shown.vouched)?;
            let known = shown.identity().filter(|_| shown.pass.is_signed(&keys));
            let Some((guest, guest_key)) = known else {
                return Ok(Err(refused(Code::Unauthorised, "the pass is not the server's: sync with the server once")));
            };
            // A pass is the server's word; what a device says of its own new name is less than what is known already.
            let known = if shown.adopt.is_some() { keep::known_key(tx, guest)? } else { None };
            if keep::is_own(tx, guest)? || known.is_some_and(|known| known != guest_key) {
                return Ok(Err(refused(Code::WrongReplica, "somebody else has this name: sync with the server")));
            }
            if !keep::may_take_name(tx, guest, &shown.pass)? {
                return Ok(Err(refused(Code::Busy, "this phone had too many names here: sync it with the server")));
            }
            if let Some(area) = shown.pass.areas.iter().find(|area| !own.pass.areas.contains(area)) {
                return Ok(Err(refused(Code::Forbidden, format!("this hub does not cover {area}"))));
            }
            let meeting = Meeting { hub, guest, hub_nonce: nonce, guest_nonce: greeting.nonce };
            let (acked_through, acked_hash) = held_through(tx, guest, greeting.safe)?;
            let signature = meeting.sign(Side::Hub, &key);
            let tenun = *VERSIONS.end();
            let welcome = Welcome { tenun, shown: own, nonce, acked_through, acked_hash, signature };
            let adoption = shown.adopt.as_ref().map(to_json).transpose()?;
            Ok(Ok((
                Met {
                    meeting,
                    key: guest_key,
                    pass: shown.pass.clone(),
                    adoption,
                    safe: greeting.safe,
                    channel,
                    is_proved: false,
                },
                welcome,
            )))
        })??;
        self.make_room();
        self.meetings.push_back(met);
        Ok(welcome)
    }

    /// Forgets a meeting where there are many: one of the guest that has most of them, and rather one that nobody proved to be
    /// there. So whoever repeats an overheard greeting without end pushes nobody else out.
    fn make_room(&mut self) {
        if self.meetings.len() < MEETINGS {
            return;
        }
        let mut counts: BTreeMap<ReplicaId, usize> = BTreeMap::new();
        for met in &self.meetings {
            *counts.entry(met.meeting.guest).or_default() += 1;
        }
        let crowd = counts.into_iter().max_by_key(|(_, count)| *count).map(|(guest, _)| guest);
        let is_crowd = |met: &Met| Some(met.meeting.guest) == crowd;
        let unproved = self.meetings.iter().position(|met| is_crowd(met) && !met.is_proved);
        let oldest = unproved.or_else(|| self.meetings.iter().position(is_crowd));
        self.meetings.remove(oldest.unwrap_or(0));
    }

    /// The channel of a meeting.
    #[must_use]
    pub fn channel(&self, nonce: Hash) -> Option<&Channel> {
        self.meetings.iter().find(|met| met.meeting.hub_nonce == nonce).map(|met| &met.channel)
    }

    /// Whether there is such a meeting, and the signature over it is the guest's: from nobody else anything need be read.
    #[must_use]
    pub fn has_met(&self, nonce: Hash, proof: &Signature) -> bool {
        self.meetings.iter().any(|met| met.is_with(nonce, proof))
    }

    /// Answers one request of a guest that was greeted; `proof` is its signature over the meeting that `nonce` names.
    ///
    /// What is said to be held is durable: the transaction that keeps it is committed before the reply is made.
    ///
    /// # Errors
    /// [`Code::Unauthorised`] if there is no such meeting, or the signature is not the guest's: greet again. Else what is wrong
    /// with the request; nothing of it is kept then.
    pub fn answer<H: Host>(
        &mut self,
        device: &mut Device<H>,
        nonce: Hash,
        proof: &Signature,
        body: &[u8],
    ) -> Result<Answered, Failure> {
        let met = self.meetings.iter_mut().find(|met| met.is_with(nonce, proof));
        let met = met.ok_or_else(|| refused(Code::Unauthorised, "this hub has not met you: greet it again"))?;
        met.is_proved = true;
        let met = met.clone();
        let request = Request::from_bytes(body)?;
        if request.header.replica != met.meeting.guest {
            return Err(refused(Code::WrongReplica, "the request is not of the replica that greeted"));
        }
        let now_ms = device.host.now_ms();
        let (kept, refusals) = device.store.write(|tx| keep(tx, &met, &request, now_ms))?;
        let reply = device.store.read(|tx| {
            let mut reply = reply(tx, &met, &request, now_ms)?;
            reply.outcomes = refusals;
            Ok(reply)
        })?;
        let told = reply.pulled.iter().map(|run| run.changes.len()).sum::<usize>();
        Ok(Answered { body: reply.to_bytes(), pass: met.pass, kept, told: u64::try_from(told).unwrap_or(0) })
    }
}

/// Makes the reply, from what is durable.
fn reply(tx: &Tx<'_>, met: &Met, request: &Request, now_ms: i64) -> Result<Reply, Error> {
    let guest = met.meeting.guest;
    let (acked_through, acked_hash) = named_through(tx, guest, met.safe, request)?;
    let mut reply = Reply::new(ReplyHeader {
        tenun: *VERSIONS.end(),
        epoch: tx.meta(meta::HUB)?.unwrap_or_default(),
        acked_through,
        acked_hash: Some(acked_hash),
        safe_through: 0,
        clock: now_ms,
        more: false,
    });
    let renewed = tx.guest(guest)?.map(|guest| from_json::<Pass>(&guest.pass)).transpose()?;
    reply.passes.extend(renewed.filter(|renewed| *renewed != met.pass && renewed.replica == guest));
    let pass = reply.passes.first().unwrap_or(&met.pass);
    // Whose pass has run out is told nothing more; what it brings is kept all the same.
    let may_hear = !pass.has_run_out(trust::heard_ms(tx)?) && !trust::is_barred(tx, pass.replica)?;
    let own = trust::own_pass(tx)?.filter(|_| may_hear);
    if let Some(own) = own {
        let areas = own.shared(pass);
        // What the server holds of others concerns those alone who carry it.
        let carries = if pass.hub { request.header.carries.clone() } else { BTreeMap::new() };
        tell_receipts(tx, &mut reply, carries, met)?;
        tell(tx, &mut reply, &areas, guest, request)?;
    }
    Ok(reply)
}

/// Tells how far the server holds the guest's own history, and what else it carries.
fn tell_receipts(tx: &Tx<'_>, reply: &mut Reply, mut asked: BTreeMap<ReplicaId, u64>, met: &Met) -> Result<(), Error> {
    asked.insert(met.meeting.guest, met.safe.map_or(0, |safe| safe.seq));
    for (replica, after) in asked {
        let receipt = tx.receipt(replica)?.map(|json| from_json::<Receipt>(&json)).transpose()?;
        if let Some(receipt) = receipt.filter(|receipt| receipt.seq > after) {
            reply.stamps.extend(tx.stamps(replica, after.saturating_add(1), receipt.seq)?);
            reply.receipts.push(receipt);
        }
    }
    Ok(())
}

/// Tells what is new in some areas, each change with what proves it.
fn tell(tx: &Tx<'_>, reply: &mut Reply, areas: &[String], guest: ReplicaId, request: &Request) -> Result<(), Error> {
    let wanted = request.header.want.map_or(BUDGET, |want| usize::try_from(want).unwrap_or(usize::MAX));
    let mut left = wanted.clamp(LEAST_BUDGET, BUDGET);
    let mut keys = BTreeMap::new();
    let is_known = request.header.epoch == reply.header.epoch;
    for area in areas {
        let cursor = request.header.cursors.get(area).copied().filter(|_| is_known).unwrap_or(0);
        let (seq, mark) = relay::place(cursor);
        // A hub that was restored from a copy has given this place to something else.
        let after = if tx.feed_mark(seq)? == Some(mark) { seq } else { 0 };
        let (rows, more) = tx.feed_after(area, after, guest, left)?;
        reply.header.more = reply.header.more || more;
        let Some(FeedRow { seq, mark, .. }) = rows.last() else { continue };
        let cursor = Cursor { bucket: area.clone(), seq: relay::cursor(*seq, *mark), after: None };
        let changes: Vec<Delivered> = rows
            .into_iter()
            .map(|row| Delivered { replica: row.dot.replica, seq: row.dot.seq, stamp: row.stamp, bytes: row.bytes })
            .collect();
        left = left.saturating_sub(changes.iter().map(|change| change.bytes.len()).sum());
        let proofs = proofs(tx, &changes)?;
        for proof in &proofs {
            if let Some(voucher) = tx.voucher(proof.replica)? {
                keys.insert(proof.replica, from_json(&voucher)?);
            }
        }
        reply.pulled.push(Run { changes, proofs, ..Run::to(area, cursor.seq) });
        if left == 0 {
            reply.header.more = true;
            break;
        }
    }
    reply.keys = keys.into_values().collect();
    Ok(())
}

/// The batches that prove the changes of a run, with digests in place of what is not in it.
fn proofs(tx: &Tx<'_>, changes: &[Delivered]) -> Result<Vec<Proof>, Error> {
    let mut told: BTreeMap<ReplicaId, BTreeMap<u64, bool>> = BTreeMap::new();
    for change in changes {
        told.entry(change.replica).or_default().insert(change.seq, false);
    }
    let mut proofs = Vec::new();
    for (replica, mut seqs) in told {
        while let Some(seq) = seqs.iter().find(|(_, is_proved)| !**is_proved).map(|(seq, _)| *seq) {
            seqs.insert(seq, true);
            let Some((span, signature)) = tx.whole_proof_over(sync_protocol::Dot { replica, seq })? else { continue };
            let Some(carried) = tx.carried(replica, span.first, span.last)? else { continue };
            let mut withheld = BTreeMap::new();
            for (seq, change) in (span.first..).zip(&carried) {
                match seqs.get_mut(&seq) {
                    Some(is_proved) => *is_proved = true,
                    None => {
                        withheld.insert(seq, change.digest());
                    }
                }
            }
            let stamps = tx.stamps(replica, span.first, span.last)?;
            proofs.push(Proof {
                replica,
                first: span.first,
                last: span.last,
                before: span.before,
                after: span.after,
                signature,
                withheld,
                stamps,
            });
        }
    }
    Ok(proofs)
}
