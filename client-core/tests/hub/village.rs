//! A village for tests: a server that keeps nothing, a hub, two phones.

use client_core::{Device, Failure, HUB_SIZES, Host, Hub, channel::Ephemeral, host::Fixed};
use std::collections::BTreeMap;
use sync_protocol::{
    HouseholdId, Limits, ReplicaId, Stamp, Value,
    chain::{Batch, Carried, SecretKey, Signature, SignedStamp},
    engine::device::{Action, DeviceStore, Event, Position, Report, Turn},
    pass::{LIFETIME_MS, Pass, Receipt, Voucher},
    wire::{Area, Delivered, Enrolled, Proof, Reply, ReplyHeader, Run, Scope, Stamped},
};

pub(crate) const AREA: &str = "5371041001.001";
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// What a server would say; it keeps nothing.
pub(crate) struct Office {
    pub(crate) key: SecretKey,
    pub(crate) replica: ReplicaId,
}

impl Office {
    pub(crate) fn new(seed: u8) -> Self {
        Self { key: SecretKey::from_seed([seed; 32]), replica: ReplicaId(uuid::Uuid::from_u128(seed.into())) }
    }

    /// The server's word for whose a key is.
    pub(crate) fn voucher(&self, at: &Position) -> Voucher {
        let (replica, key) = (at.replica, at.key.public());
        let (enumerator, name) = ("KP001".into(), "HP".into());
        Voucher { replica, key, enumerator, name, earlier: Vec::new(), signature: Signature([0; 64]) }.signed(&self.key)
    }

    pub(crate) fn pass(&self, device: &mut Device<Fixed>, name: &str, areas: &[&str]) -> Pass {
        let at = device.position().unwrap();
        let pass = Pass {
            replica: at.replica,
            key: at.key.public(),
            enumerator: format!("of {name}"),
            name: name.into(),
            hub: name.starts_with("TIM"),
            areas: areas.iter().map(|area| (*area).to_owned()).collect(),
            from: NOW,
            until: NOW + LIFETIME_MS,
            signature: Signature([0; 64]),
        };
        pass.signed(&self.key)
    }

    pub(crate) fn reply(&self, acked_through: u64) -> Reply {
        let header = ReplyHeader {
            tenun: 1,
            epoch: "e".into(),
            acked_through,
            acked_hash: None,
            safe_through: 0,
            clock: NOW,
            more: false,
        };
        Reply { cut_off: false, ..Reply::new(header) }
    }

    pub(crate) fn scope(&self, areas: &[&str]) -> Scope {
        Scope {
            version: areas.concat(),
            enumerator: "KP001".into(),
            name: "Maria Nalle".into(),
            areas: areas.iter().map(|code| Area { code: (*code).into(), name: String::new() }).collect(),
            assignments: Vec::new(),
            households: Vec::new(),
            questionnaires: Vec::new(),
            limits: Limits::default(),
            server: BTreeMap::from([(self.replica, self.key.public())]),
            vouched: Vec::new(),
        }
    }

    /// A device that has synced once; one whose name begins with TIM is a hub.
    pub(crate) fn device(&self, folder: &tempfile::TempDir, name: &str, areas: &[&str]) -> Device<Fixed> {
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        let mut device = Device::open(&folder.path().join(name), Fixed::new(seed)).unwrap();
        let enrolled = Enrolled {
            token: "token".into(),
            enumerator: "KP001".into(),
            server: self.replica,
            server_key: self.key.public(),
            limits: Limits::default(),
        };
        device.enrolled("http://localhost", &enrolled).unwrap();
        let pass = self.pass(&mut device, name, areas);
        let reply = Reply { scope: Some(self.scope(areas)), passes: vec![pass], ..self.reply(0) };
        device.absorb(&reply).unwrap();
        if name.starts_with("TIM") {
            device.become_hub().unwrap();
        }
        device
    }

    pub(crate) fn stamp(&self, replica: ReplicaId, first: u64, last: u64) -> Stamped {
        let stamp = Stamp { received_ms: NOW, skew_ms: 0 };
        Stamped {
            replica,
            first,
            last,
            stamp,
            signature: SignedStamp::sign(stamp, replica, first, last, &self.key).signature,
        }
    }

    /// Takes everything that a hub carries, and tells it what came of that: stamps, receipts, and the changes, proved.
    pub(crate) fn hear_out(&self, hub: &mut Device<Fixed>, authors: &mut [&mut Device<Fixed>]) {
        let batches = hub.give_back(usize::MAX).unwrap();
        let mut reply = self.reply(hub.position().unwrap().acked_through);
        let mut run = Run::to(AREA, 1);
        for batch in &batches {
            let span = batch.span();
            let stamp = self.stamp(span.replica, span.first, span.last);
            for (seq, change) in (batch.first..).zip(&batch.changes) {
                let Carried::Bytes(bytes) = change else { continue };
                run.changes.push(Delivered { replica: span.replica, seq, stamp: stamp.stamp, bytes: bytes.clone() });
            }
            run.proofs.push(Proof {
                replica: span.replica,
                first: span.first,
                last: span.last,
                before: span.before,
                after: span.after,
                signature: batch.signature,
                withheld: BTreeMap::new(),
                stamps: vec![stamp.clone()],
            });
            reply.stamps.push(stamp);
            reply.receipts.push(Receipt::sign(span.replica, span.last, span.after, &self.key));
        }
        for author in authors {
            reply.keys.push(self.voucher(&author.position().unwrap()));
        }
        reply.pulled = vec![run];
        hub.absorb(&reply).unwrap();
        hub.given(&batches.iter().map(Batch::span).collect::<Vec<_>>(), &[]).unwrap();
    }
}

pub(crate) fn draw(device: &mut Device<Fixed>) -> Ephemeral {
    let mut drawn = [0; 32];
    device.host().random(&mut drawn);
    Ephemeral::new(drawn)
}

/// A guest syncs with a hub, whose replies somebody may alter; what it did, unless it gave up.
pub(crate) fn meet(
    hub: &mut (Hub, Device<Fixed>),
    guest: &mut Device<Fixed>,
    mut alter: impl FnMut(&mut Reply),
) -> Result<Option<Report>, Failure> {
    let nonce = draw(guest).nonce();
    let greeting = guest.greeting(nonce)?;
    let drawn = draw(&mut hub.1);
    let welcome = hub.0.greet(&mut hub.1, &greeting, &drawn)?;
    let met = guest.meet(&greeting, &welcome)?;
    let mut visit = guest.visit(&met);
    let mut turn = Turn::with_sizes("test", HUB_SIZES).with_hub();
    let mut event = Event::Begin;
    loop {
        match turn.step(&mut visit, event, NOW)? {
            Action::Send(body) => {
                let answered = hub.0.answer(&mut hub.1, welcome.nonce, &met.proof, &body)?;
                let mut reply = Reply::from_bytes(&answered.body)?;
                alter(&mut reply);
                event = Event::Answered(reply.to_bytes());
            }
            Action::Done(report) => return Ok(Some(report)),
            Action::GiveUp(..) => return Ok(None),
        }
    }
}

pub(crate) fn register(device: &mut Device<Fixed>, head: &str) -> HouseholdId {
    device.register_household("KP001", &[("area", Value::text(AREA)), ("head", Value::text(head))]).unwrap()
}

pub(crate) fn has(device: &mut Device<Fixed>, home: HouseholdId) -> bool {
    device.households().unwrap().iter().any(|line| line.household == home)
}

pub(crate) fn unsent(device: &mut Device<Fixed>) -> u64 {
    device.status().unwrap().unsent
}

/// A hub, and two phones of its area; the first has registered a household.
pub(crate) struct Village {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) office: Office,
    pub(crate) hub: (Hub, Device<Fixed>),
    pub(crate) a: Device<Fixed>,
    pub(crate) b: Device<Fixed>,
    pub(crate) home: HouseholdId,
}

pub(crate) fn village() -> Village {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::new(3);
    let hub = (Hub::default(), office.device(&folder, "TIM-1", &[AREA]));
    let (mut a, b) = (office.device(&folder, "a", &[AREA]), office.device(&folder, "b", &[AREA]));
    let home = register(&mut a, "Maria Nalle");
    Village { folder, office, hub, a, b, home }
}
