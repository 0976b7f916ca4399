//! What a hub carries, and what becomes of it where the server does not take it.

use crate::village::{NOW, Office, Village, meet, village};
use client_core::{Device, Hub, host::Fixed};
use sync_protocol::{
    ReplicaId,
    chain::{Adoption, Batch, SecretKey},
    engine::device::{Action, DeviceStore, Event, Turn},
    wire::{Outcome, Request, Verdict},
};

const DAY: i64 = 86_400_000;

/// A hub's night with a server that refuses everything of others; how many batches it was given.
fn refused(office: &Office, hub: &mut (Hub, Device<Fixed>), clock: i64, epoch: &str) -> usize {
    let (mut turn, mut event, mut given) = (Turn::new("test"), Event::Begin, 0);
    while let Action::Send(body) = turn.step(&mut hub.1, event, NOW).unwrap() {
        let request = Request::from_bytes(&body).unwrap();
        let mut reply = office.reply(0);
        (reply.header.clock, reply.header.epoch) = (clock, epoch.into());
        given += request.batches.len();
        reply.outcomes = request.batches.iter().map(refusal).collect();
        event = Event::Answered(reply.to_bytes());
    }
    given
}

fn refusal(batch: &Batch) -> Outcome {
    let (replica, seq) = (batch.replica, batch.first);
    Outcome { replica, seq, verdict: Verdict::Refused, code: None, detail: String::new() }
}

fn waiting(hub: &mut (Hub, Device<Fixed>)) -> u64 {
    hub.1.load().unwrap().iter().map(|load| load.waiting).sum()
}

#[test]
fn what_the_server_refuses_of_a_hub_s_load_waits_and_is_offered_again_another_day() {
    let Village { office, mut hub, mut a, mut b, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    crate::village::register(&mut b, "Yohanis Taek");
    meet(&mut hub, &mut b, |_| ()).unwrap();
    assert_eq!(refused(&office, &mut hub, NOW, "e"), 2, "each once in a night");
    assert_eq!(waiting(&mut hub), 2);
    assert_eq!(refused(&office, &mut hub, NOW + 1, "e"), 0);
    assert_eq!(refused(&office, &mut hub, NOW + DAY + 1, "e"), 2);
    assert_eq!(refused(&office, &mut hub, NOW + DAY + 2, "restored"), 2, "another life of it may take them");
    assert_eq!(waiting(&mut hub), 2);
}

#[test]
fn a_restored_server_is_given_again_what_phones_wrote_under_names_that_it_may_have_forgotten() {
    let Village { office, mut hub, mut a, .. } = village();
    let (at, key, name) = (a.position().unwrap(), SecretKey::from_seed([9; 32]), ReplicaId(uuid::Uuid::from_u128(9)));
    let adopt = Adoption::sign(name, key.public(), at.replica, &at.key);
    let request = Request {
        adoptions: vec![adopt.clone()],
        ..Request::new(at.replica, 0, vec![crate::liars::words(name, &key)])
    };
    crate::liars::say(&mut hub, &mut a, &request).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    assert_eq!(hub.1.give_back(usize::MAX).unwrap(), []);
    let mut reply = office.reply(0);
    reply.header.epoch = "restored".into();
    hub.1.absorb(&reply).unwrap();
    let batches = hub.1.give_back(usize::MAX).unwrap();
    let spans: Vec<_> = batches.iter().map(Batch::span).collect();
    assert_eq!(batches.iter().map(|batch| batch.replica).collect::<Vec<_>>(), [name]);
    assert_eq!(hub.1.introductions(&spans).unwrap().adoptions, [adopt]);
}
