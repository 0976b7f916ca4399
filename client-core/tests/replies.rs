//! What a device makes of replies that are cut, partial, or tell of another life of itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use client_core::{Device, Edit, host::Fixed};
use std::collections::BTreeMap;
use sync_protocol::{
    Change, Dot, Hash, HouseholdId, Limits, ReplicaId, Stamp, Value,
    chain::{Adoption, SecretKey, SignedStamp},
    engine::device::DeviceStore,
    wire::{Area, Delivered, Enrolled, Fork, Outcome, Reply, ReplyHeader, Run, Scope, Stamped, Verdict},
};

struct Phone {
    _folder: tempfile::TempDir,
    device: Device<Fixed>,
    home: HouseholdId,
    server: SecretKey,
}

/// A phone with three saves of one household.
fn phone() -> Phone {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(1)).unwrap();
    let server = SecretKey::from_seed([3; 32]);
    let enrolled = Enrolled {
        token: "token".into(),
        enumerator: "KP001".into(),
        server: ReplicaId(uuid::Uuid::from_u128(1)),
        server_key: server.public(),
        limits: Limits::default(),
    };
    device.enrolled("http://localhost", &enrolled).unwrap();
    let home = device.register_household("KP001", &[("head", Value::text("first"))]).unwrap();
    for head in ["second", "third"] {
        device.save(home.into(), "KP001", &[Edit::set("head", Value::text(head)).unwrap()]).unwrap();
    }
    Phone { _folder: folder, device, home, server }
}

/// The scope of somebody who works in some areas.
fn scope(areas: &[&str]) -> Scope {
    Scope {
        version: "2".into(),
        enumerator: "KP001".into(),
        name: "Maria Nalle".into(),
        areas: areas.iter().map(|code| Area { code: (*code).into(), name: "an RT".into() }).collect(),
        assignments: Vec::new(),
        questionnaires: Vec::new(),
        limits: Limits::default(),
        households: Vec::new(),
        server: BTreeMap::new(),
        vouched: Vec::new(),
    }
}

impl Phone {
    fn replica(&mut self) -> ReplicaId {
        self.device.position().unwrap().replica
    }

    fn heads(&mut self) -> Vec<String> {
        let record = self.device.record(self.home.into()).unwrap();
        let head = record.answer(&"head".parse().unwrap()).unwrap();
        head.siblings.iter().map(|sibling| sibling.value.to_string()).collect()
    }

    fn reply(&mut self, acked_through: u64, stamps: &[(u64, u64)]) -> Reply {
        let replica = self.replica();
        let header = ReplyHeader {
            tenun: 1,
            epoch: "e".into(),
            acked_through,
            acked_hash: None,
            safe_through: 0,
            clock: 5,
            more: false,
        };
        let mut reply = Reply::new(header);
        let stamp = Stamp { received_ms: 9, skew_ms: 0 };
        reply.stamps = stamps
            .iter()
            .map(|(first, last)| {
                let signature = SignedStamp::sign(stamp, replica, *first, *last, &self.server).signature;
                Stamped { replica, first: *first, last: *last, stamp, signature }
            })
            .collect();
        reply
    }
}

#[test]
fn an_ack_counts_as_far_as_its_stamps_are_here() {
    let mut phone = phone();
    let mut cut = phone.reply(3, &[]);
    cut.cut_off = true;
    phone.device.absorb(&cut).unwrap();
    assert_eq!(phone.device.status().unwrap().unsent, 3, "nothing of the ack but its first line arrived");
    let gap = phone.reply(3, &[(1, 1), (3, 3)]);
    phone.device.absorb(&gap).unwrap();
    assert_eq!(phone.device.status().unwrap().acked_through, 1, "the stamp of the second change is missing");
    let whole = phone.reply(3, &[(2, 3)]);
    phone.device.absorb(&whole).unwrap();
    assert_eq!(phone.device.status().unwrap().unsent, 0);
    let record = phone.device.record(phone.home.into()).unwrap();
    assert!(record.changes().all(|(_, origin)| origin.stamp.is_some()));
}

#[test]
fn a_reply_that_was_cut_off_makes_no_new_replica() {
    let mut phone = phone();
    let replica = phone.replica();
    let mut cut = phone.reply(7, &[(1, 3)]);
    cut.cut_off = true;
    assert!(!phone.device.absorb(&cut).unwrap().forked, "what told of a fork may be what the cut took");
    assert_eq!(phone.replica(), replica);
}

#[test]
fn stamps_of_a_restored_server_are_taken_with_the_scope_that_names_its_key() {
    let mut phone = phone();
    let (old, new) = (ReplicaId(uuid::Uuid::from_u128(1)), ReplicaId(uuid::Uuid::from_u128(2)));
    let known = std::mem::replace(&mut phone.server, SecretKey::from_seed([4; 32]));
    let mut cut = phone.reply(3, &[(1, 3)]);
    cut.cut_off = true;
    phone.device.absorb(&cut).unwrap();
    assert_eq!(phone.device.status().unwrap().unsent, 3, "the scope with the new key may be what the cut took");
    let mut whole = phone.reply(3, &[(1, 3)]);
    whole.scope = Some(Scope {
        server: [(old, known.public()), (new, phone.server.public())].into(),
        vouched: vec![Adoption::sign(new, phone.server.public(), old, &SecretKey::from_seed([5; 32]))],
        ..scope(&[])
    });
    let mut forged = whole.clone();
    forged.cut_off = true;
    phone.device.absorb(&forged).unwrap();
    assert_eq!(phone.device.status().unwrap().unsent, 3, "nobody whom the phone knows vouches for that key");
    if let Some(scope) = &mut whole.scope {
        scope.vouched = vec![Adoption::sign(new, phone.server.public(), old, &known)];
    }
    phone.device.absorb(&whole).unwrap();
    assert_eq!(phone.device.status().unwrap().unsent, 0);
    let record = phone.device.record(phone.home.into()).unwrap();
    assert!(record.changes().all(|(_, origin)| origin.stamp.is_some()));
}

#[test]
fn what_is_safe_under_this_name_is_no_more_than_what_is_acked() {
    let mut phone = phone();
    let mut reply = phone.reply(2, &[(1, 2)]);
    // The other life of a copied phone has five changes in the backup.
    reply.header.safe_through = 5;
    phone.device.absorb(&reply).unwrap();
    assert_eq!(phone.device.status().unwrap().safe_through, 2);
}

#[test]
fn a_fork_before_what_was_acked_is_looked_for_and_not_guessed() {
    let mut phone = phone();
    let (replica, acked) = (phone.replica(), phone.reply(2, &[(1, 2)]));
    phone.device.absorb(&acked).unwrap();
    let mut backed_up = phone.reply(2, &[]);
    backed_up.header.safe_through = 2;
    phone.device.absorb(&backed_up).unwrap();
    let mut vague = phone.reply(0, &[]);
    vague.fork = Some(Fork { replica, common: 0 });
    assert!(!phone.device.absorb(&vague).unwrap().forked);
    assert_eq!((phone.replica(), phone.device.status().unwrap().unsent), (replica, 3), "all is sent again");
    assert_eq!(phone.device.status().unwrap().safe_through, 0, "until then nobody knows whose the backup's are");
    let mut precise = phone.reply(0, &[(1, 1)]);
    precise.fork = Some(Fork { replica, common: 1 });
    assert!(phone.device.absorb(&precise).unwrap().forked);
    assert_eq!(phone.device.status().unwrap().unsent, 2, "what both lives share is not authored again");
}

#[test]
fn a_fork_pulls_every_bucket_from_its_start() {
    let mut phone = phone();
    let (replica, mut pulled) = (phone.replica(), phone.reply(0, &[]));
    pulled.pulled = vec![Run::to("5371", 8)];
    phone.device.absorb(&pulled).unwrap();
    let mut gap = phone.reply(0, &[]);
    gap.fork = Some(Fork { replica, common: 1 });
    assert!(!phone.device.absorb(&gap).unwrap().forked, "what became of the first change was lost on the way");
    assert_eq!(phone.replica(), replica);
    let mut fork = phone.reply(0, &[(1, 1)]);
    fork.fork = Some(Fork { replica, common: 1 });
    assert!(phone.device.absorb(&fork).unwrap().forked);
    // What the other life saved stood in the bucket under this device's name, and was passed over.
    assert!(phone.device.position().unwrap().cursors.is_empty());
}

#[test]
fn what_another_life_authored_again_is_shown_until_the_other_comes() {
    let mut phone = phone();
    let (replica, mut fork) = (phone.replica(), phone.reply(0, &[]));
    fork.fork = Some(Fork { replica, common: 0 });
    phone.device.absorb(&fork).unwrap();
    let again = phone.device.own_changes(0, usize::MAX).unwrap();
    let mut told = phone.reply(3, &[(1, 3)]);
    let replica = phone.replica();
    told.outcomes = (1..=3)
        .map(|seq| Outcome { replica, seq, verdict: Verdict::Superseded, code: None, detail: String::new() })
        .collect();
    phone.device.absorb(&told).unwrap();
    assert_eq!(phone.heads(), ["third"], "the other may be out of this device's areas, and never come");
    // The other life's re-authoring of the same changes comes.
    let other = ReplicaId(uuid::Uuid::from_u128(77));
    let mut pulled = phone.reply(3, &[]);
    let delivered = (1..).zip(again).map(|(seq, bytes)| {
        let mut change = Change::from_stored(Dot { replica, seq }, &bytes).unwrap();
        change.dot.replica = other;
        for op in &mut change.ops {
            if let sync_protocol::Op::Set { preds, .. } = op {
                preds.iter_mut().for_each(|pred| pred.replica = other);
            }
        }
        let stamp = Stamp { received_ms: 4, skew_ms: 0 };
        Delivered { replica: other, seq, stamp, bytes: change.to_bytes() }
    });
    pulled.pulled = vec![Run { changes: delivered.collect(), ..Run::to("5371", 3) }];
    phone.device.absorb(&pulled).unwrap();
    assert_eq!(phone.heads(), ["third"], "and counts instead, not beside it");
    let record = phone.device.record(phone.home.into()).unwrap();
    assert_eq!(record.changes().count(), 3);
}

#[test]
fn in_the_middle_of_a_history_a_household_is_not_dropped_for_where_it_lived_long_ago() {
    let (mut here, mut there) = (phone(), phone());
    let home = there.device.register_household("KP002", &[("area", Value::text("far"))]).unwrap();
    there.device.save(home.into(), "KP002", &[Edit::set("area", Value::text("near")).unwrap()]).unwrap();
    let (replica, bodies) = (there.replica(), there.device.own_changes(3, usize::MAX).unwrap());
    let mut history = (4..).zip(bodies).map(|(seq, bytes)| {
        let change = Delivered { replica, seq, stamp: Stamp { received_ms: 9, skew_ms: 0 }, bytes };
        Run { changes: vec![change], ..Run::to("near", seq) }
    });
    let mut told = here.reply(3, &[(1, 3)]);
    told.scope = Some(scope(&["near"]));
    told.pulled = vec![history.next().unwrap()];
    for (cut_off, more) in [(true, false), (false, true)] {
        told.cut_off = cut_off;
        told.header.more = more;
        here.device.absorb(&told).unwrap();
    }
    let mut rest = here.reply(3, &[]);
    rest.pulled = vec![history.next().unwrap()];
    here.device.absorb(&rest).unwrap();
    assert_eq!(here.device.record(home.into()).unwrap().changes().count(), 2);
    let mut gone = here.reply(3, &[]);
    gone.scope = Some(scope(&["elsewhere"]));
    here.device.absorb(&gone).unwrap();
    let lines = here.device.households().unwrap();
    assert!(lines.iter().all(|line| line.id != home.into()), "once all is told, what lives elsewhere goes");
}

#[test]
fn a_server_that_holds_another_life_there_acks_nothing_and_takes_the_place_of_nothing() {
    let mut phone = phone();
    let first = phone.reply(3, &[(1, 3)]);
    phone.device.absorb(&first).unwrap();
    let own = phone.device.own_changes(0, usize::MAX).unwrap();
    // It was restored, and a copy of the phone was faster with two changes.
    let stamp = Stamp { received_ms: 9, skew_ms: 0 };
    let replica = phone.replica();
    let others = (1..=2).map(|seq| Delivered { replica, seq, stamp, bytes: own[2].clone() }).collect();
    let mut restored = phone.reply(2, &[]);
    restored.header.epoch = "e-1".into();
    restored.header.acked_hash = Some(Hash([7; 32]));
    restored.pulled = vec![Run { changes: others, ..Run::to("5371041001.001", 2) }];
    phone.device.absorb(&restored).unwrap();
    assert_eq!(phone.device.status().unwrap().acked_through, 0);
    assert_eq!(phone.device.own_changes(0, usize::MAX).unwrap(), own);
}
