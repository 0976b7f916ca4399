//! Hubs in a simulated world: real ones, whose meetings are lost, doubled and cut, which crash at their durable writes, and liars
//! that stand before them.

use super::{
    dice::Dice,
    network::{Ended, cut, is_full},
    office,
    oracle::Shown,
    world::World,
};
use anyhow::{Context, Result};
use client_core::{Error, Failure, Host, MetHub, channel::Ephemeral};
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Adoption, Batch, Carried, SecretKey, Signature},
    engine::device::{Action, DeviceStore, Event, Turn},
    pass::{Pass, Receipt, Voucher},
    problem::{Class, Problem},
    wire::{Acked, Fork, Reply, ReplyHeader, Request, Run},
};

/// Replies of hubs that a liar remembers.
const OVERHEARD: usize = 20;

/// A name that nobody has.
pub(super) const EVE: ReplicaId = ReplicaId(uuid::Uuid::from_u128(66));

/// The key of whoever forges.
fn eve() -> SecretKey {
    SecretKey::from_seed([66; 32])
}

/// A meeting that is held.
struct Meeting {
    guest: usize,
    hub: usize,
    met: MetHub,
    nonce: Hash,
    /// How far the server has told the guest that its history is held.
    safe: Option<Acked>,
}

fn draw(host: &mut impl Host) -> Ephemeral {
    let mut drawn = [0; 32];
    host.random(&mut drawn);
    Ephemeral::new(drawn)
}

impl World {
    /// A phone, or another hub, meets one of the hubs that are alive.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn meet_some_hub(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        let Some(hub) = dice.pick(&self.hubs_for(life)).copied() else { return Ok(()) };
        let Some(ended) = self.meet_hub(life, hub, dice)? else { return Ok(()) };
        self.count(match ended {
            Ended::Done(_) => "hub: meetings held to the end",
            Ended::GaveUp(_) | Ended::Crashed | Ended::Full => "hub: meetings broken off",
        });
        Ok(())
    }

    /// On a good line a device meets every hub, one after the other, and gets through with each that may meet it.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn meet_every_hub(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        for hub in self.hubs_for(life) {
            match self.meet_hub(life, hub, dice)? {
                None | Some(Ended::Done(_)) => {}
                Some(ended) => {
                    let what = format!("life {life} can't sync with hub {hub} on a good line: {ended:?}");
                    self.oracle.broken("L5", what);
                }
            }
        }
        Ok(())
    }

    /// The hubs that a device may meet: those that are alive, but for itself.
    fn hubs_for(&self, life: usize) -> Vec<usize> {
        let hubs = self.phones.iter().filter(|phone| phone.is_alive && office::leads(&phone.who));
        hubs.map(|phone| phone.life).filter(|hub| *hub != life).collect()
    }

    /// A device meets a hub; none where the two may not meet.
    fn meet_hub(&mut self, life: usize, hub: usize, dice: &mut Dice) -> Result<Option<Ended>> {
        let now_ms = self.now_ms;
        self.phone(hub)?.device()?.host().now_ms = now_ms;
        self.count("hub: meetings");
        let Some(meeting) = self.greet(life, hub)? else {
            self.count("hub: meetings refused");
            return Ok(None);
        };
        self.hold(&meeting, dice).map(Some)
    }

    /// Greets a hub; none where the two may not meet.
    fn greet(&mut self, guest: usize, hub: usize) -> Result<Option<Meeting>> {
        let is_refused = |error: &Error| matches!(error, Error::Hub(_)) || is_full(error);
        match self.phone(hub)?.device()?.become_hub() {
            Ok(()) => {}
            Err(error) if is_refused(&error) => return Ok(None),
            Err(error) => return Err(error).context("becoming a hub"),
        }
        let device = self.phone(guest)?.device()?;
        let drawn = draw(device.host());
        let greeting = match device.greeting(drawn.nonce()) {
            Ok(greeting) => greeting,
            Err(error) if is_refused(&error) => return Ok(None),
            Err(error) => return Err(error).context("a greeting"),
        };
        let Self { phones, hubs, .. } = self;
        let device = phones.get_mut(hub).context("a hub")?.device()?;
        let drawn = draw(device.host());
        let welcome = match hubs.entry(hub).or_default().greet(device, &greeting, &drawn) {
            Ok(welcome) => welcome,
            Err(Failure::Refused(_)) => return Ok(None),
            Err(Failure::Device(error)) if is_full(&error) => return Ok(None),
            Err(Failure::Device(error)) => return Err(error).context("greeting a guest"),
        };
        // A hub counts from what the guest says is safe: where that is in doubt since a restore, it holds less than it told.
        let from = greeting.safe.map_or(0, |safe| safe.seq);
        if self.safe.insert((hub, guest), from).is_some_and(|before| from < before) {
            self.hub_acks.remove(&(hub, guest));
        }
        let (told, holds) = (self.hub_acks.get(&(hub, guest)).copied().unwrap_or(0), welcome.acked_through);
        let is_same = self.named.get(&guest) == Some(&greeting.shown.identity());
        if holds < told && is_same {
            self.oracle.broken("L1", format!("hub {hub} had acked {told} changes of life {guest}, and holds {holds}"));
        }
        self.named.insert(guest, greeting.shown.identity());
        match self.phone(guest)?.device()?.meet(&greeting, &welcome) {
            Ok(met) => Ok(Some(Meeting { guest, hub, met, nonce: welcome.nonce, safe: greeting.safe })),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(error).context("a welcome"),
        }
    }

    /// Syncs a device with a hub that it has met.
    fn hold(&mut self, meeting: &Meeting, dice: &mut Dice) -> Result<Ended> {
        let life = meeting.guest;
        let mut turn = Turn::with_sizes("sim", self.shape.sizes).with_hub();
        let mut event = Event::Begin;
        loop {
            let stores = matches!(event, Event::Answered(_));
            let before = self.phone(life)?.moment()?;
            let device = self.phone(life)?.device()?;
            let clock = device.host().now_ms();
            let step = turn.step(&mut device.visit(&meeting.met), event, clock);
            if stores && dice.chance(self.weather.crash) {
                self.count("phone: killed while it stored a hub's reply");
                let thousandths = dice.roll() % 1300;
                self.phone(life)?.crash(before, thousandths)?;
                self.read_receipts(life)?;
                return Ok(Ended::Crashed);
            }
            let action = match step {
                Ok(action) => action,
                Err(error) if is_full(&error) => {
                    self.read_receipts(life)?;
                    return Ok(Ended::Full);
                }
                Err(error) => return Err(error).context("a step of a sync with a hub"),
            };
            self.read_receipts(life)?;
            match action {
                Action::Send(body) => event = self.ask_hub(meeting, body, dice)?,
                Action::Done(report) => return Ok(Ended::Done(report)),
                Action::GiveUp(_, why) => return Ok(Ended::GaveUp(why)),
            }
            self.pass(life, 2_000)?;
        }
    }

    /// Reads a device's books after a hub has told it something. What a receipt of the server says that it holds it holds,
    /// unless it was restored since.
    fn read_receipts(&mut self, life: usize) -> Result<()> {
        let before = self.oracle.acked.clone();
        self.read_books(life, &Shown::new())?;
        let new: Vec<_> = self.oracle.acked.iter().filter(|(dot, _)| !before.contains_key(dot)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = new.into_iter().map(|(dot, hash)| (*dot, *hash)).collect();
        let held = self.held()?;
        for (dot, hash) in new.into_iter().filter(|(_, hash)| !held.contains(hash)) {
            if self.tally.contains_key("server: restored from a backup") {
                self.oracle.acked.remove(&dot);
            } else {
                self.oracle.broken("L1", format!("life {life} takes {hash} for safe, which the server does not hold"));
            }
        }
        Ok(())
    }

    /// Carries one request to a hub and its reply back, or not, or another one.
    fn ask_hub(&mut self, meeting: &Meeting, body: Vec<u8>, dice: &mut Dice) -> Result<Event> {
        let weather = self.weather;
        if dice.chance(weather.lost) {
            return Ok(Event::TimedOut);
        }
        if dice.chance(weather.lies) {
            self.count("hub: swallowed a request");
            return Ok(Event::Answered(swallow(&body)?));
        }
        if dice.chance(weather.doubled) {
            self.hub_answers(meeting, &body, dice)?;
        }
        if dice.chance(weather.lies) {
            self.count("hub: was lied to by a guest");
            let forged = self.lie_to_the_hub(meeting, dice)?;
            self.hub_answers(meeting, &forged, dice)?;
        }
        let Some(reply) = self.hub_answers(meeting, &body, dice)? else { return Ok(Event::TimedOut) };
        if dice.chance(weather.reply_lost) {
            return Ok(Event::TimedOut);
        }
        match reply {
            Ok(body) => {
                let body = if dice.chance(weather.lies) { self.lie(&body, meeting, dice)? } else { body };
                let body = if dice.chance(weather.reply_cut) { cut(&body, dice) } else { body };
                Ok(if body.contains(&b'\n') { Event::Answered(body) } else { Event::TimedOut })
            }
            Err(problem) if problem.code.class() == Class::Retry => Ok(Event::TimedOut),
            Err(problem) => Ok(Event::Rejected(problem)),
        }
    }

    /// The hub's step; none if it was killed, or its disk is full.
    fn hub_answers(
        &mut self,
        meeting: &Meeting,
        body: &[u8],
        dice: &mut Dice,
    ) -> Result<Option<Result<Vec<u8>, Problem>>> {
        let Meeting { guest, hub, met, nonce, safe } = meeting;
        let before = self.phone(*hub)?.moment()?;
        let Self { phones, hubs, .. } = self;
        let device = phones.get_mut(*hub).context("a hub")?.device()?;
        let answered = hubs.entry(*hub).or_default().answer(device, *nonce, &met.proof, body);
        if dice.chance(self.weather.crash) {
            self.count("hub: killed while it kept what a guest sent");
            let thousandths = dice.roll() % 1300;
            self.phone(*hub)?.crash(before, thousandths)?;
            self.hubs.remove(hub);
            if thousandths < 1000 || dice.chance(500) {
                return Ok(None);
            }
        }
        match answered {
            Ok(answered) => {
                let reply = Reply::from_bytes(&answered.body).map_err(|problem| anyhow::anyhow!("a hub: {problem}"))?;
                if reply.header.acked_through > safe.map_or(0, |safe| safe.seq) {
                    self.hub_acks.insert((*hub, *guest), reply.header.acked_through);
                }
                self.overheard.push(answered.body.clone());
                let surplus = self.overheard.len().saturating_sub(OVERHEARD);
                self.overheard.drain(..surplus);
                Ok(Some(Ok(answered.body)))
            }
            Err(Failure::Refused(problem)) => Ok(Some(Err(problem))),
            Err(Failure::Device(error)) if is_full(&error) => Ok(None),
            Err(Failure::Device(error)) => Err(error).context("a hub's answer"),
        }
    }

    /// What a lying guest says: that the hub's own name, somebody else's or a new one is its own, and words under that name.
    fn lie_to_the_hub(&mut self, meeting: &Meeting, dice: &mut Dice) -> Result<Vec<u8>> {
        let some = dice.below(self.phones.len());
        let whose = if dice.chance(500) { meeting.hub } else { some };
        let name = match self.phones.get_mut(whose).filter(|phone| phone.is_alive) {
            Some(phone) if whose != meeting.guest => client_core::Device::status(phone.device()?)?.replica,
            Some(_) | None => EVE,
        };
        let at = self.phone(meeting.guest)?.device()?.position()?;
        let adopt = Adoption::sign(name, eve().public(), at.replica, &at.key);
        let words = Carried::Bytes(br#"{"remark":"said by nobody"}"#.to_vec());
        let batch = Batch::sign(name, 1, Hash::default(), vec![words], &eve());
        let mut request = Request::new(at.replica, 0, vec![batch]);
        // A new name is its own to take, once the server hears of it, and what it says there is its own: that is no lie.
        request.adoptions.extend((name != EVE).then_some(adopt));
        Ok(request.to_bytes())
    }

    /// What a lying hub makes of a reply.
    fn lie(&mut self, body: &[u8], meeting: &Meeting, dice: &mut Dice) -> Result<Vec<u8>> {
        self.count("hub: lied to a guest");
        if dice.chance(200)
            && let Some(old) = dice.pick(&self.overheard)
        {
            return Ok(old.clone());
        }
        let replica = client_core::Device::status(self.phone(meeting.guest)?.device()?)?.replica;
        let households = self.phone(meeting.guest)?.device()?.households()?;
        let mut reply = Reply::from_bytes(body).map_err(|problem| anyhow::anyhow!("a hub's own reply: {problem}"))?;
        match dice.below(8) {
            0 => {
                for change in reply.pulled.iter_mut().flat_map(|run| &mut run.changes) {
                    change.bytes = altered(&change.bytes, dice);
                }
            }
            1 => reply.pulled.iter_mut().for_each(|run| {
                run.changes.truncate(dice.below(run.changes.len()));
            }),
            2 => reply.pulled.iter_mut().for_each(|run| run.proofs.clear()),
            3 => forge(&mut reply),
            4 => {
                let seq = u64::try_from(dice.below(9))?;
                reply.receipts.push(Receipt::sign(replica, seq, Hash([1; 32]), &eve()));
                reply.receipts.iter_mut().for_each(|receipt| receipt.seq = receipt.seq.saturating_add(1));
            }
            5 => reply.header.acked_through = u64::MAX,
            6 => reply.stamps.iter_mut().for_each(|stamp| stamp.last = stamp.last.saturating_add(5)),
            _ => {
                reply.fork = Some(Fork { replica, common: 0 });
                let moved = households.iter().map(|line| line.household).collect();
                for area in 0..self.shape.areas {
                    reply.pulled.push(Run { moved: Clone::clone(&moved), ..Run::to(office::area(area), 0) });
                }
            }
        }
        Ok(reply.to_bytes())
    }
}

/// A hub that says it holds everything, and keeps nothing.
fn swallow(body: &[u8]) -> Result<Vec<u8>> {
    let request = Request::from_bytes(body).map_err(|problem| anyhow::anyhow!("a device's own request: {problem}"))?;
    let last = request.batches.iter().max_by_key(|batch| batch.last());
    let (acked_through, acked_hash) = (last.map_or(0, Batch::last), last.map(|batch| batch.after()));
    let (epoch, safe_through) = (request.header.epoch, acked_through);
    let header = ReplyHeader { tenun: 1, epoch, acked_through, acked_hash, safe_through, clock: 0, more: false };
    Ok(Reply { cut_off: false, ..Reply::new(header) }.to_bytes())
}

/// The same body with one byte altered.
fn altered(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = dice.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = if *byte == b'1' { b'2' } else { b'1' };
    }
    bytes
}

/// Puts somebody else's words into every author's mouth, signed and vouched for by nobody.
fn forge(reply: &mut Reply) {
    for run in &mut reply.pulled {
        for change in &mut run.changes {
            change.bytes = String::from_utf8_lossy(&change.bytes).replace("\"by\":\"KP", "\"by\":\"XX").into_bytes();
        }
        let changes = &run.changes;
        for proof in &mut run.proofs {
            let of = changes.iter().filter(|change| change.replica == proof.replica);
            let bodies = of.map(|change| Carried::Bytes(change.bytes.clone())).collect();
            let batch = Batch::sign(proof.replica, proof.first, proof.before, bodies, &eve());
            (proof.last, proof.after, proof.signature) = (batch.last(), batch.after(), batch.signature);
            proof.withheld.clear();
        }
    }
    for key in &mut reply.keys {
        *key = Voucher { key: eve().public(), ..key.clone() }.signed(&eve());
    }
}

/// What a lying hub makes of a request to the server: others' batches altered, left out, forged, or said twice.
///
/// # Errors
/// If the request is none.
pub(super) fn lie_to_the_server(body: &[u8], dice: &mut Dice) -> Result<Vec<u8>> {
    let mut request =
        Request::from_bytes(body).map_err(|problem| anyhow::anyhow!("a device's own request: {problem}"))?;
    let own = request.header.replica;
    let mut told = Vec::new();
    for mut batch in std::mem::take(&mut request.batches) {
        if batch.replica == own {
            told.push(batch);
            continue;
        }
        match dice.below(6) {
            0 => continue,
            1 => told.push(batch.clone()),
            2 => {
                let forged = Batch::sign(batch.replica, batch.first, batch.before, batch.changes.clone(), &eve());
                batch.signature = forged.signature;
            }
            3 => {
                if let Some(Carried::Bytes(bytes)) = batch.changes.first_mut() {
                    *bytes = altered(bytes, dice);
                }
            }
            4 => batch.signature = Signature([0; 64]),
            _ => batch.changes.reverse(),
        }
        told.push(batch);
    }
    // Somebody whom the server is said to have forgotten, by nobody's word.
    let (enumerator, name, signature) = (office::enumerator(0), "HP".into(), Signature([0; 64]));
    let word = Voucher { replica: EVE, key: eve().public(), enumerator, name, earlier: Vec::new(), signature };
    request.keys.iter_mut().for_each(|key| *key = Voucher { key: eve().public(), ..key.clone() }.signed(&eve()));
    if dice.chance(500) {
        request.keys.push(word.signed(&eve()));
    } else {
        let Voucher { replica, key, enumerator, name, signature, .. } = word;
        let (hub, areas, from, until) = (true, Vec::new(), 0, i64::MAX);
        let pass = Pass { replica, key, enumerator, name, hub, areas, from, until, signature };
        request.passes.push(pass.signed(&eve()));
    }
    told.push(Batch::sign(EVE, 1, Hash::default(), vec![Carried::Bytes(b"{}".to_vec())], &eve()));
    request.batches = told;
    Ok(request.to_bytes())
}
