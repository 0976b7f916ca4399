//! What a hub carries, and what becomes of it where the server does not take it.

use crate::{
    liars::{say, words},
    village::{NOW, Office, Village, meet, register, village},
};
use client_core::{Device, Hub, host::Fixed};
use sync_protocol::{
    Code, Hash, ReplicaId,
    chain::{Adoption, Batch, Carried, SecretKey},
    engine::device::{Action, DeviceStore, Event, Turn},
    problem::Problem,
    wire::{Lack, Outcome, Request, Verdict},
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
    register(&mut b, "Yohanis Taek");
    meet(&mut hub, &mut b, |_| ()).unwrap();
    let author = words(a.position().unwrap().replica, &SecretKey::from_seed([1; 32])).span();
    assert_eq!(hub.1.introductions(&[author], &[]).unwrap().passes, [], "the server knows its own phones");
    assert_eq!(refused(&office, &mut hub, NOW, "e"), 4, "each once, and once more with who its author is");
    let shown = hub.1.introductions(&[author], &[]).unwrap().passes;
    assert_eq!(shown.iter().map(|pass| pass.replica).collect::<Vec<_>>(), [author.replica]);
    assert_eq!(waiting(&mut hub), 2);
    assert_eq!(refused(&office, &mut hub, NOW + 1, "e"), 0);
    assert_eq!(refused(&office, &mut hub, NOW + DAY + 1, "e"), 2);
    assert_eq!(refused(&office, &mut hub, NOW + DAY + 2, "restored"), 4, "another life of it may take them");
    assert_eq!(waiting(&mut hub), 2);
}

#[test]
fn a_restored_server_is_shown_the_names_that_it_may_have_forgotten_and_given_what_it_lacks_of_them() {
    let Village { office, mut hub, mut a, .. } = village();
    let (at, key, name) = (a.position().unwrap(), SecretKey::from_seed([9; 32]), ReplicaId(uuid::Uuid::from_u128(9)));
    let adopt = Adoption::sign(name, key.public(), at.replica, &at.key);
    let request = Request { adoptions: vec![adopt.clone()], ..Request::new(at.replica, 0, vec![words(name, &key)]) };
    say(&mut hub, &mut a, &request).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    assert_eq!(hub.1.give_back(usize::MAX).unwrap(), []);
    let mut reply = office.reply(0);
    reply.header.epoch = "restored".into();
    hub.1.absorb(&reply).unwrap();
    assert_eq!(hub.1.position().unwrap().held.get(&name), Some(&1));
    assert_eq!(hub.1.introductions(&[], &[name]).unwrap().adoptions, [adopt]);
    reply.lacks = vec![Lack { replica: name, first: 1, last: 1 }];
    hub.1.absorb(&reply).unwrap();
    let batches = hub.1.give_back(usize::MAX).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.replica).collect::<Vec<_>>(), [name]);
}

/// A hub's night with a server that fails whatever holds batches of others; it got through to its end.
fn without_others(office: &Office, hub: &mut (Hub, Device<Fixed>), failed: impl Fn() -> Event) -> bool {
    let own = hub.1.position().unwrap().replica;
    let (mut turn, mut event) = (Turn::new("test"), Event::Begin);
    loop {
        match turn.step(&mut hub.1, event, NOW).unwrap() {
            Action::Send(body) => {
                let request = Request::from_bytes(&body).unwrap();
                event = if request.batches.iter().any(|batch| batch.replica != own) {
                    failed()
                } else {
                    let last = request.batches.iter().map(Batch::last).max();
                    let acked = last.unwrap_or(hub.1.position().unwrap().acked_through);
                    let mut reply = office.reply(acked);
                    reply.stamps.extend(last.map(|last| office.stamp(own, 1, last)));
                    Event::Answered(reply.to_bytes())
                };
            }
            Action::Done(_) => return true,
            Action::GiveUp(..) => return false,
        }
    }
}

#[test]
fn what_a_hub_carries_never_stops_its_own_answers() {
    let too_large = || Event::Rejected(Problem::new(Code::RequestTooLarge, ""));
    let failures: [&dyn Fn() -> Event; 2] = [&too_large, &|| Event::TimedOut];
    for (number, failure) in failures.iter().enumerate() {
        let Village { office, mut hub, mut a, mut b, .. } = village();
        meet(&mut hub, &mut a, |_| ()).unwrap();
        register(&mut b, "Yohanis Taek");
        meet(&mut hub, &mut b, |_| ()).unwrap();
        register(&mut hub.1, "Dorce Lay");
        assert!(without_others(&office, &mut hub, failure), "failure {number}");
        assert_eq!((hub.1.status().unwrap().unsent, waiting(&mut hub)), (0, 2), "failure {number}");
    }
}

#[test]
fn a_batch_that_no_line_takes_is_not_carried() {
    let Village { mut hub, mut a, .. } = village();
    let at = a.position().unwrap();
    let batch = |changes: Vec<Vec<u8>>| {
        let changes = changes.into_iter().map(Carried::Bytes).collect();
        Request::new(at.replica, 0, vec![Batch::sign(at.replica, 1, Hash::default(), changes, &at.key)])
    };
    let refused = [batch(vec![vec![b' '; 700 << 10]]), batch(vec![vec![b' '; 200 << 10]; 3])];
    for (number, request) in refused.iter().enumerate() {
        assert_eq!(say(&mut hub, &mut a, request).unwrap().outcomes.len(), 1, "batch {number}");
    }
    assert_eq!(say(&mut hub, &mut a, &batch(vec![vec![b' '; 200 << 10]; 2])).unwrap().outcomes, []);
}
