//! Guests that would take more of a hub than is theirs: meetings, names, room on its disk.

use crate::{
    liars::{say, words},
    village::{Village, draw, meet, register, village},
};
use client_core::{Error, Failure, HubProblem};
use sync_protocol::{
    Code, Hash, ReplicaId,
    chain::{Adoption, Batch, Carried, SecretKey},
    engine::device::DeviceStore,
    wire::{Outcome, Reply, Request, Verdict},
};

#[test]
fn whoever_repeats_an_overheard_greeting_without_end_pushes_nobody_out() {
    let Village { mut hub, mut a, mut b, .. } = village();
    // A and B have greeted; A's greeting was overheard.
    let mut greetings = Vec::new();
    for guest in [&mut a, &mut b] {
        let nonce = draw(guest).nonce();
        let greeting = guest.greeting(nonce).unwrap();
        let drawn = draw(&mut hub.1);
        let welcome = hub.0.greet(&mut hub.1, &greeting, &drawn).unwrap();
        let met = guest.meet(&greeting, &welcome).unwrap();
        let request = Request::new(guest.position().unwrap().replica, 0, Vec::new()).to_bytes();
        let ask = |hub: &mut (client_core::Hub, _)| hub.0.answer(&mut hub.1, welcome.nonce, &met.proof, &request);
        assert!(ask(&mut hub).is_ok());
        greetings.push((greeting, welcome.nonce, met.proof, request));
    }
    for _ in 0..2_000 {
        let drawn = draw(&mut hub.1);
        hub.0.greet(&mut hub.1, &greetings[0].0, &drawn).unwrap();
    }
    for (_, nonce, proof, request) in &greetings {
        assert!(hub.0.answer(&mut hub.1, *nonce, proof, request).is_ok(), "a meeting under way goes on");
    }
    // Who has greeted and not yet spoken is none of the crowd, either.
    let nonce = draw(&mut b).nonce();
    let greeting = b.greeting(nonce).unwrap();
    let drawn = draw(&mut hub.1);
    let welcome = hub.0.greet(&mut hub.1, &greeting, &drawn).unwrap();
    let met = b.meet(&greeting, &welcome).unwrap();
    for _ in 0..2_000 {
        let drawn = draw(&mut hub.1);
        hub.0.greet(&mut hub.1, &greetings[0].0, &drawn).unwrap();
    }
    assert!(hub.0.answer(&mut hub.1, welcome.nonce, &met.proof, &greetings[1].3).is_ok());
}

#[test]
fn a_pass_stands_for_so_many_names_and_no_more() {
    let Village { mut hub, mut a, .. } = village();
    let (at, mut from) = (a.position().unwrap(), (a.position().unwrap().replica, a.position().unwrap().key));
    let mut carried = 0;
    for number in 100..160_u8 {
        let (name, key) = (ReplicaId(uuid::Uuid::from_u128(number.into())), SecretKey::from_seed([number; 32]));
        let adopt = Adoption::sign(name, key.public(), from.0, &from.1);
        let request = Request { adoptions: vec![adopt], ..Request::new(at.replica, 0, vec![words(name, &key)]) };
        carried += usize::from(say(&mut hub, &mut a, &request).unwrap().outcomes.is_empty());
        from = (name, key);
    }
    assert_eq!(carried, 15, "the name of the pass is one of the 16");
    // What it writes under its own name is taken as ever.
    register(&mut a, "Dorce Lay");
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert!(hub.1.load().unwrap().iter().any(|load| load.replica == at.replica));
}

#[test]
fn what_waits_of_one_author_takes_so_much_of_the_hubs_disk_and_no_more() {
    let Village { mut hub, mut a, mut b, .. } = village();
    let at = a.position().unwrap();
    let (mut seq, mut before, mut refused) = (1, Hash::default(), Vec::new());
    for _ in 0..160 {
        let change = Carried::Bytes(vec![b'x'; 500 << 10]);
        let batch = Batch::sign(at.replica, seq, before, vec![change], &at.key);
        (seq, before) = (batch.last() + 1, batch.after());
        let reply = say(&mut hub, &mut a, &Request::new(at.replica, 0, vec![batch])).unwrap();
        refused.extend(reply.outcomes);
    }
    let code = refused.first().unwrap().code;
    assert_eq!((code, hub.1.load().unwrap()[0].waiting), (Some(Code::Busy), refused.first().unwrap().seq - 1));
    assert!((131..=132).contains(&hub.1.load().unwrap()[0].waiting), "64 MiB");
    // An honest phone hears why, and keeps what it has.
    register(&mut a, "Dorce Lay");
    let full = |reply: &mut Reply| {
        let (replica, seq) = (at.replica, 1);
        let (verdict, code, detail) = (Verdict::Refused, Some(Code::Busy), String::new());
        reply.outcomes = vec![Outcome { replica, seq, verdict, code, detail }];
    };
    let told = meet(&mut hub, &mut a, full).unwrap_err();
    assert!(matches!(told, Failure::Device(Error::Hub(HubProblem::Full(_)))), "{told}");
    register(&mut b, "Yohanis Taek");
    meet(&mut hub, &mut b, |_| ()).unwrap();
    let other = b.position().unwrap().replica;
    assert!(hub.1.load().unwrap().iter().any(|load| load.replica == other), "others are taken as ever");
}
