//! Guests that lie to a hub: what they can make it believe, and what they can't.

use crate::village::{Village, draw, has, meet, register, village};
use client_core::{Device, Edit, Failure, Hub, host::Fixed};
use sync_protocol::{
    Code, Hash, ReplicaId, Value,
    chain::{Adoption, Batch, Carried, SecretKey},
    engine::device::{DeviceStore, Position},
    wire::{Reply, Request, Run},
};

/// The key of whoever lies.
fn eve() -> SecretKey {
    SecretKey::from_seed([66; 32])
}

/// Says something to a hub that no honest guest says, in a meeting of its own.
pub(crate) fn say(
    hub: &mut (Hub, Device<Fixed>),
    guest: &mut Device<Fixed>,
    request: &Request,
) -> Result<Reply, Failure> {
    let nonce = draw(guest).nonce();
    let greeting = guest.greeting(nonce)?;
    let drawn = draw(&mut hub.1);
    let welcome = hub.0.greet(&mut hub.1, &greeting, &drawn)?;
    let met = guest.meet(&greeting, &welcome)?;
    let answered = hub.0.answer(&mut hub.1, welcome.nonce, &met.proof, &request.to_bytes())?;
    Ok(Reply::from_bytes(&answered.body)?)
}

/// A batch of one change under some name.
pub(crate) fn words(replica: ReplicaId, key: &SecretKey) -> Batch {
    Batch::sign(replica, 1, Hash::default(), vec![Carried::Bytes(b"{}".to_vec())], key)
}

/// What a liar sends who would be somebody else: a new name of its own, and what it wrote under it.
fn as_if(at: &Position, name: ReplicaId) -> Request {
    let adopt = Adoption::sign(name, eve().public(), at.replica, &at.key);
    Request { adoptions: vec![adopt], ..Request::new(at.replica, 0, vec![words(name, &eve())]) }
}

fn carries(hub: &mut (Hub, Device<Fixed>), name: ReplicaId) -> bool {
    let batches = hub.1.give_back(usize::MAX).unwrap();
    let shown = hub.1.introductions(&[words(name, &eve()).span()], &[]).unwrap();
    batches.iter().any(|batch| batch.replica == name) || shown.adoptions.iter().any(|adopt| adopt.replica == name)
}

#[test]
fn under_a_hub_s_own_name_nobody_brings_anything() {
    let Village { mut hub, mut a, .. } = village();
    let (name, at) = (hub.1.position().unwrap().replica, a.position().unwrap());
    let reply = say(&mut hub, &mut a, &as_if(&at, name)).unwrap();
    assert_eq!(reply.outcomes.len(), 1);
    assert!(!carries(&mut hub, name));
    // Nor does anybody greet it by that name.
    let nonce = draw(&mut a).nonce();
    let mut greeting = a.greeting(nonce).unwrap();
    greeting.shown.adopt = Some(Adoption::sign(name, eve().public(), at.replica, &at.key));
    let drawn = draw(&mut hub.1);
    let refused = hub.0.greet(&mut hub.1, &greeting, &drawn);
    assert!(matches!(refused, Err(Failure::Refused(problem)) if problem.code == Code::WrongReplica));
}

#[test]
fn nobody_takes_the_name_of_a_phone_that_the_server_or_the_hub_knows() {
    let Village { folder, office, mut hub, mut a, mut b, home } = village();
    let (name, liar) = (a.position().unwrap().replica, b.position().unwrap());
    // The server vouches for an author whom the hub has not met.
    let mut elsewhere = office.device(&folder, "elsewhere", &[]);
    register(&mut elsewhere, "Yohanis Taek");
    let author = elsewhere.position().unwrap();
    let mut reply = office.reply(0);
    reply.keys = vec![office.voucher(&author)];
    hub.1.absorb(&reply).unwrap();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    for name in [name, author.replica] {
        let reply = say(&mut hub, &mut b, &as_if(&liar, name)).unwrap();
        assert_eq!(reply.outcomes.len(), 1, "{name}");
        let shown = hub.1.introductions(&[words(name, &eve()).span()], &[]).unwrap();
        assert_eq!(shown.adoptions, []);
    }
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home));
}

#[test]
fn the_first_word_for_a_new_name_stays() {
    let Village { mut hub, mut a, mut b, .. } = village();
    let (at, liar, name) = (a.position().unwrap(), b.position().unwrap(), ReplicaId(uuid::Uuid::from_u128(9)));
    let key = SecretKey::from_seed([9; 32]);
    let adopt = Adoption::sign(name, key.public(), at.replica, &at.key);
    let told = Request { adoptions: vec![adopt.clone()], ..Request::new(at.replica, 0, vec![words(name, &key)]) };
    assert_eq!(say(&mut hub, &mut a, &told).unwrap().outcomes, []);
    assert_eq!(say(&mut hub, &mut b, &as_if(&liar, name)).unwrap().outcomes.len(), 1);
    assert_eq!(hub.1.introductions(&[words(name, &key).span()], &[]).unwrap().adoptions, [adopt]);
}

/// How many receipts and stamps a guest is told that asks for those of some replica.
fn receipts(hub: &mut (Hub, Device<Fixed>), guest: &mut Device<Fixed>, of: ReplicaId) -> (usize, usize) {
    let mut request = Request::new(guest.position().unwrap().replica, 0, Vec::new());
    request.header.carries.insert(of, 0);
    let reply = say(hub, guest, &request).unwrap();
    (reply.receipts.len(), reply.stamps.len())
}

#[test]
fn what_the_server_holds_of_others_a_plain_phone_is_not_told() {
    let Village { folder, office, mut hub, mut a, mut b, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    let name = a.position().unwrap().replica;
    let mut other = office.device(&folder, "TIM-2", &[crate::village::AREA]);
    assert_eq!((receipts(&mut hub, &mut b, name), receipts(&mut hub, &mut other, name)), ((0, 0), (1, 1)));
    let mut reply = office.reply(0);
    reply.barred = vec![name, other.position().unwrap().replica];
    hub.1.absorb(&reply).unwrap();
    assert_eq!(
        (receipts(&mut hub, &mut a, name), receipts(&mut hub, &mut other, name)),
        ((0, 0), (0, 0)),
        "nor anything a device that was revoked"
    );
}

/// What a hub does to a reply, by the number of the round trip.
type Lie = dyn Fn(&mut Reply, u64);

#[test]
fn a_hub_that_always_has_more_holds_no_phone_for_ever() {
    let Village { mut hub, mut a, home, .. } = village();
    let lies: [&Lie; 2] = [
        &|reply, trip| reply.pulled.push(Run::to(crate::village::AREA, trip)),
        // What it holds comes and goes.
        &|reply, trip| reply.header.acked_hash = reply.header.acked_hash.filter(|_| trip % 2 == 0),
    ];
    for (number, lie) in lies.iter().enumerate() {
        a.save(home.into(), "KP001", &[Edit::set("head", Value::text(format!("{number}"))).unwrap()]).unwrap();
        let mut trips = 0;
        let ended = meet(&mut hub, &mut a, |reply| {
            trips += 1;
            assert!(trips < 1000, "lie {number}");
            reply.header.more = true;
            lie(reply, trips);
        });
        assert!(matches!(ended, Ok(None)), "lie {number}: {ended:?}");
    }
}
