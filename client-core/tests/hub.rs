//! A hub and its guests without a network between them: who meets whom, what a guest believes, what a hub keeps.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

#[path = "hub/copies.rs"]
mod copies;
#[path = "hub/crowds.rs"]
mod crowds;
#[path = "hub/liars.rs"]
mod liars;
#[path = "hub/load.rs"]
mod load;
#[path = "hub/own.rs"]
mod own;
#[path = "hub/village.rs"]
mod village;

use client_core::{Device, Edit, Error, Failure, Hub, HubProblem, channel::Ephemeral, host::Fixed};
use liars::say;
use sync_protocol::{
    Code, Hash, ReplicaId, Value,
    chain::{Batch, Carried, SecretKey, Signature},
    engine::device::{DeviceStore, Report},
    pass::{LIFETIME_MS, Pass, Receipt, Voucher},
    wire::{Cursor, Delivered, Greeting, Proof, Reply, Request, Run},
};
use village::{AREA, NOW, Office, Village, has, meet, register, unsent, village};

#[test]
fn a_hubs_ack_is_not_the_servers_and_the_servers_receipt_is_taken_from_anybody() {
    let Village { office, mut hub, mut a, .. } = village();
    assert!(matches!(meet(&mut hub, &mut a, |_| ()).unwrap(), Some(Report { acked: 1, .. })));
    let status = a.status().unwrap();
    assert_eq!((status.hub.as_deref(), status.unsent, status.acked_through), (Some("TIM-1"), 1, 0));
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert_eq!((unsent(&mut a), a.status().unwrap().hub), (0, None));
}

#[test]
fn a_receipt_for_another_history_or_by_another_key_counts_for_nothing() {
    let Village { office, mut hub, mut a, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    let (replica, eve) = (a.position().unwrap().replica, SecretKey::from_seed([66; 32]));
    let lies: [&dyn Fn(&mut Reply); 4] = [
        &|reply| reply.receipts.iter_mut().for_each(|receipt| receipt.hash = Hash([7; 32])),
        &|reply| reply.receipts = vec![Receipt::sign(replica, 1, Hash([7; 32]), &office.key)],
        &|reply| reply.receipts.iter_mut().for_each(|r| *r = Receipt::sign(r.replica, r.seq, r.hash, &eve)),
        &|reply| reply.stamps.clear(),
    ];
    for (number, lie) in lies.iter().enumerate() {
        meet(&mut hub, &mut a, lie).unwrap();
        assert_eq!(unsent(&mut a), 1, "lie {number}");
    }
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert_eq!(unsent(&mut a), 0);
}

#[test]
fn a_guest_takes_only_what_its_author_signed_and_the_server_stamped() {
    let Village { office, mut hub, mut a, mut b, home, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    let eve = SecretKey::from_seed([66; 32]);
    let forged = |reply: &mut Reply| {
        for run in &mut reply.pulled {
            for change in &mut run.changes {
                let text = String::from_utf8(change.bytes.clone()).unwrap().replace("Maria", "Minah");
                change.bytes = text.into_bytes();
            }
            let bodies: Vec<Carried> = run.changes.iter().map(|c| Carried::Bytes(c.bytes.clone())).collect();
            let replica = run.changes[0].replica;
            let batch = Batch::sign(replica, 1, Hash::default(), bodies, &eve);
            run.proofs[0] = Proof { after: batch.after(), signature: batch.signature, ..run.proofs[0].clone() };
        }
        reply.keys = reply.keys.iter().map(|key| Voucher { key: eve.public(), ..key.clone() }.signed(&eve)).collect();
    };
    let lies: [&dyn Fn(&mut Reply); 8] = [
        &|reply| reply.pulled.iter_mut().flat_map(|run| &mut run.changes).for_each(|change| change.bytes.push(b' ')),
        &|reply| reply.pulled.iter_mut().for_each(|run| run.proofs.clear()),
        &|reply| reply.pulled.iter_mut().flat_map(|run| &mut run.proofs).for_each(|proof| proof.stamps.clear()),
        &|reply| reply.pulled.iter_mut().flat_map(|run| &mut run.proofs).for_each(|proof| proof.last = u64::MAX),
        &|reply| reply.pulled.iter_mut().flat_map(|run| &mut run.proofs).for_each(|proof| proof.after = proof.before),
        &|reply| reply.keys.clear(),
        &|reply| reply.pulled.iter_mut().for_each(|run| run.cursor.bucket = "5371041001.009".into()),
        &forged,
    ];
    for (number, lie) in lies.iter().enumerate() {
        meet(&mut hub, &mut b, lie).unwrap();
        assert!(!has(&mut b, home), "lie {number}");
        // What was believed of the liar is forgotten, so that the next one is heard from the start.
        meet(&mut hub, &mut b, |reply| {
            reply.header.epoch = format!("again {number}");
            reply.pulled.clear();
        })
        .unwrap();
    }
    meet(&mut hub, &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home));
}

#[test]
fn nothing_is_taken_away_on_a_hubs_word() {
    let Village { office, mut hub, mut a, mut b, home, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut b, |_| ()).unwrap();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    let before = a.position().unwrap();
    for phone in [&mut a, &mut b] {
        let replica = phone.position().unwrap().replica;
        meet(&mut hub, phone, |reply| {
            reply.header.acked_through = 0;
            reply.header.safe_through = 9;
            reply.scope = Some(Office::new(3).scope(&[]));
            reply.fork = Some(sync_protocol::wire::Fork { replica, common: 0 });
            reply.pulled.push(Run {
                moved: vec![home],
                cursor: Cursor { bucket: AREA.into(), seq: 9, after: None },
                ..Run::to(AREA, 9)
            });
        })
        .unwrap();
        assert!(has(phone, home));
        assert_eq!(phone.scope().unwrap().unwrap().areas.len(), 1);
    }
    let after = a.position().unwrap();
    assert_eq!((after.replica, after.acked_through), (before.replica, before.acked_through));
}

#[test]
fn a_hub_keeps_a_batch_only_as_its_author_signed_it() {
    let Village { mut hub, mut a, mut b, .. } = village();
    let (stranger, eve) = (b.position().unwrap().replica, SecretKey::from_seed([66; 32]));
    let drawn = Ephemeral::new([5; 32]);
    let greeting = a.greeting(drawn.nonce()).unwrap();
    let welcome = hub.0.greet(&mut hub.1, &greeting, &Ephemeral::new([6; 32])).unwrap();
    let met = a.meet(&greeting, &welcome).unwrap();
    let (mut visit, proof) = (a.visit(&met), met.proof);
    let at = visit.position().unwrap();
    let bodies = vec![Carried::Bytes(visit.own_changes(0, 1).unwrap().remove(0))];
    let good = Batch::sign(at.replica, 1, Hash::default(), bodies.clone(), &at.key);
    let bad = [
        Batch { changes: vec![Carried::Bytes(b"{}".to_vec())], ..good.clone() },
        Batch { signature: Signature([7; 64]), ..good.clone() },
        Batch::sign(at.replica, 1, Hash::default(), bodies.clone(), &eve),
        Batch::sign(stranger, 1, Hash::default(), bodies, &eve),
        Batch { changes: vec![Carried::Withheld(good.changes[0].digest())], ..good.clone() },
    ];
    for batch in bad {
        let body = Request::new(at.replica, 0, vec![batch]).to_bytes();
        let answered = hub.0.answer(&mut hub.1, welcome.nonce, &proof, &body).unwrap();
        let reply = Reply::from_bytes(&answered.body).unwrap();
        assert_eq!((reply.header.acked_through, reply.outcomes.len(), answered.kept), (0, 1, 0));
    }
    let body = Request::new(at.replica, 0, vec![good]).to_bytes();
    assert!(hub.0.answer(&mut hub.1, welcome.nonce, &Signature([7; 64]), &body).is_err(), "a stolen nonce");
    let answered = hub.0.answer(&mut hub.1, welcome.nonce, &proof, &body).unwrap();
    assert_eq!((Reply::from_bytes(&answered.body).unwrap().header.acked_through, answered.kept), (1, 1));
}

#[test]
fn digests_that_somebody_brings_in_place_of_a_phones_changes_keep_these_from_no_hub() {
    let Village { office, mut hub, mut a, mut b, .. } = village();
    let at = a.position().unwrap();
    let bodies: Vec<Carried> = a.own_changes(0, 1).unwrap().into_iter().map(Carried::Bytes).collect();
    let whole = Batch::sign(at.replica, 1, Hash::default(), bodies, &at.key);
    // Another hub met the phone, and has its pass and its signature over the same hashes.
    let digests = whole.changes.iter().map(|change| Carried::Withheld(change.digest())).collect();
    let hollow = Batch { changes: digests, ..whole };
    let pass = office.pass(&mut a, "a", &[AREA]);
    let drawn = Ephemeral::new([5; 32]);
    let greeting = b.greeting(drawn.nonce()).unwrap();
    let welcome = hub.0.greet(&mut hub.1, &greeting, &Ephemeral::new([6; 32])).unwrap();
    let proof = b.meet(&greeting, &welcome).unwrap().proof;
    let request = Request::new(b.position().unwrap().replica, 0, vec![hollow]);
    let body = Request { passes: vec![pass], ..request }.to_bytes();
    let answered = hub.0.answer(&mut hub.1, welcome.nonce, &proof, &body).unwrap();
    assert_eq!((Reply::from_bytes(&answered.body).unwrap().outcomes.len(), answered.kept), (1, 0));
    let report = meet(&mut hub, &mut a, |_| ()).unwrap().unwrap();
    assert_eq!((report.acked, hub.1.load().unwrap().len()), (1, 1));
}

#[test]
fn who_may_meet_whom_is_checked_on_both_sides_without_a_network() {
    let Village { folder, office, mut hub, mut a, .. } = village();
    let refused = |done: Result<Option<Report>, Failure>| match done {
        Err(Failure::Refused(problem)) => Err(problem.code),
        Err(Failure::Device(Error::Hub(problem))) => Ok(problem),
        other => panic!("{other:?}"),
    };
    // The hub's side: another area, another server, no pass at all.
    let mut elsewhere = office.device(&folder, "elsewhere", &[AREA, "5371041001.002"]);
    assert_eq!(refused(meet(&mut hub, &mut elsewhere, |_| ())), Err(Code::Forbidden));
    let other = Office::new(4);
    let mut foreign = other.device(&folder, "foreign", &[AREA]);
    assert_eq!(refused(meet(&mut hub, &mut foreign, |_| ())), Err(Code::Unauthorised));
    let mut new = Device::open(&folder.path().join("new"), Fixed::new(99)).unwrap();
    assert_eq!(refused(meet(&mut hub, &mut new, |_| ())), Ok(HubProblem::NoPass));

    // The phone's side, whatever the hub thinks of itself.
    let welcome_of = |hub: &mut (Hub, Device<Fixed>), greeting: &Greeting| {
        hub.0.greet(&mut hub.1, greeting, &Ephemeral::new([6; 32])).unwrap()
    };
    let greeting = a.greeting(Ephemeral::new([5; 32]).nonce()).unwrap();
    let good = welcome_of(&mut hub, &greeting);
    let mut altered = good.clone();
    altered.shown.pass.areas.push("5371041001.002".into());
    assert!(matches!(a.meet(&greeting, &altered), Err(Error::Hub(HubProblem::Unknown))));
    let mut echoed = good.clone();
    echoed.nonce = Hash([9; 32]);
    assert!(matches!(a.meet(&greeting, &echoed), Err(Error::Hub(HubProblem::Unknown))), "another meeting");
    let mut narrow = good.clone();
    let key = hub.1.position().unwrap();
    narrow.shown.pass = Pass { areas: Vec::new(), ..narrow.shown.pass }.signed(&office.key);
    assert!(matches!(a.meet(&greeting, &narrow), Err(Error::Hub(HubProblem::Elsewhere { .. }))));
    let mut plain = good.clone();
    plain.shown.pass = Pass { hub: false, ..plain.shown.pass }.signed(&office.key);
    assert!(matches!(a.meet(&greeting, &plain), Err(Error::Hub(HubProblem::NoHub(_)))));

    // Whoever heard of the server after the pass ran out, or that the hub was revoked, does not trust it any more; clocks do not count.
    let late = |barred: Vec<ReplicaId>, clock: i64| {
        let mut reply = office.reply(0);
        (reply.header.clock, reply.barred) = (clock, barred);
        reply
    };
    a.absorb(&late(vec![key.replica], NOW)).unwrap();
    assert!(matches!(a.meet(&greeting, &good), Err(Error::Hub(HubProblem::RunOut(_)))));
    a.absorb(&late(Vec::new(), NOW + LIFETIME_MS + 1)).unwrap();
    assert!(matches!(a.meet(&greeting, &good), Err(Error::Hub(HubProblem::RunOut(_)))));
    a.absorb(&late(Vec::new(), NOW)).unwrap();
    assert!(a.meet(&greeting, &good).is_ok());
}

#[test]
fn whose_pass_ran_out_is_told_nothing_but_what_it_brings_is_kept() {
    let Village { office, mut hub, mut a, mut b, home, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    let revoked = b.position().unwrap().replica;
    let mut reply = office.reply(0);
    reply.barred = vec![revoked];
    hub.1.absorb(&reply).unwrap();
    register(&mut b, "Yohanis Taek");
    assert!(matches!(meet(&mut hub, &mut b, |_| ()).unwrap(), Some(Report { acked: 1, pulled: 0, .. })));
    assert!(!has(&mut b, home));
    hub.1.absorb(&office.reply(0)).unwrap();
    meet(&mut hub, &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home));
}

#[test]
fn a_hub_that_comes_back_from_a_copy_is_sent_what_it_lost_and_tells_everything_again() {
    let Village { folder, office, mut hub, mut a, mut b, home } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut b, |_| ()).unwrap();
    drop(hub.1);
    std::fs::copy(folder.path().join("TIM-1"), folder.path().join("copy")).unwrap();
    let open = |name: &str, seed: u64| Device::open(&folder.path().join(name), Fixed::new(seed)).unwrap();
    hub.1 = open("TIM-1", 50);
    a.save(home.into(), "KP001", &[Edit::set("head", Value::text("Maria Bani")).unwrap()]).unwrap();
    register(&mut b, "Yohanis Taek");
    meet(&mut hub, &mut a, |_| ()).unwrap();
    meet(&mut hub, &mut b, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a, &mut b]);
    meet(&mut hub, &mut b, |_| ()).unwrap();

    // The hub is lost, and its copy takes its place: other changes come to the places that it had given out.
    let mut hub = (Hub::default(), open("copy", 51));
    assert!(matches!(meet(&mut hub, &mut a, |_| ()).unwrap(), Some(Report { acked: 1, .. })), "sent once more");
    let later = register(&mut a, "Dorce Lay");
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a, &mut b]);
    meet(&mut hub, &mut b, |_| ()).unwrap();
    assert!(has(&mut b, later));
}

#[test]
fn who_is_barred_is_not_forgotten_where_a_reply_says_no_more_than_that_histories_parted() {
    let Village { office, mut hub, mut a, .. } = village();
    let mut reply = office.reply(0);
    reply.barred = vec![hub.1.position().unwrap().replica];
    a.absorb(&reply).unwrap();
    let mut reply = office.reply(0);
    reply.fork = Some(sync_protocol::wire::Fork { replica: a.position().unwrap().replica, common: 0 });
    a.absorb(&reply).unwrap();
    let met = meet(&mut hub, &mut a, |_| ());
    assert!(matches!(met, Err(Failure::Device(Error::Hub(HubProblem::RunOut(_))))), "{met:?}");
}

#[test]
fn a_hub_asks_for_a_new_pass_of_each_guest_once_a_day() {
    let Village { office, mut hub, mut a, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert_eq!(hub.1.position().unwrap().renew, []);
    let mut reply = office.reply(0);
    reply.header.clock = NOW + 2 * 86_400_000;
    hub.1.absorb(&reply).unwrap();
    assert_eq!(
        hub.1.position().unwrap().renew,
        [a.position().unwrap().replica],
        "what was taken from it it may not hear"
    );
}

#[test]
fn an_older_pass_that_somebody_shows_again_takes_the_place_of_none() {
    let Village { office, mut hub, mut a, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    let old = office.pass(&mut a, "a", &[AREA]);
    let later = NOW + 2 * 86_400_000;
    let new = Pass { from: later, until: later + LIFETIME_MS, ..old.clone() }.signed(&office.key);
    for pass in [new, old] {
        let mut reply = Reply { passes: vec![pass], ..office.reply(0) };
        reply.header.clock = later;
        hub.1.absorb(&reply).unwrap();
        assert_eq!(hub.1.position().unwrap().renew, [], "what was taken from the phone meanwhile stays taken");
    }
}

#[test]
fn a_pass_that_the_server_made_while_its_clock_was_ahead_gives_way_to_one_of_today() {
    let Village { office, mut a, .. } = village();
    let right = office.pass(&mut a, "a", &[AREA]);
    let from = NOW + 10 * LIFETIME_MS;
    let ahead = Pass { from, until: from + LIFETIME_MS, ..right.clone() }.signed(&office.key);
    for pass in [ahead, right.clone()] {
        let mut reply = Reply { passes: vec![pass.clone()], ..office.reply(0) };
        reply.header.clock = pass.from;
        a.absorb(&reply).unwrap();
        assert_eq!(a.position().unwrap().pass, Some(pass.until));
    }
}

#[test]
fn what_a_hub_carries_of_an_area_that_the_other_does_not_see_waits_for_the_server() {
    let Village { folder, office, mut hub, mut a, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    // The area is taken from the leader before the hub has given that to the server; later it is the leader's again.
    let elsewhere = "5371041001.002";
    for (areas, carried) in [(&[elsewhere][..], 0), (&[AREA, elsewhere][..], 1)] {
        let passes = vec![office.pass(&mut hub.1, "TIM-1", areas)];
        hub.1.absorb(&Reply { passes, ..office.reply(0) }).unwrap();
        let mut other = (Hub::default(), office.device(&folder, "TIM-2", areas));
        meet(&mut other, &mut hub.1, |_| ()).unwrap().unwrap();
        let load = other.1.load().unwrap();
        let of_a = a.position().unwrap().replica;
        assert_eq!(load.iter().filter(|load| load.replica == of_a).count(), carried, "{areas:?}");
    }
}

#[test]
fn a_hub_whose_leader_leads_no_more_begins_anew_once_they_lead_again() {
    let Village { office, mut hub, mut a, .. } = village();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    assert!(hub.1.position().unwrap().hub && !hub.1.position().unwrap().cursors.is_empty());
    for (leads, is_hub) in [(false, false), (true, false)] {
        let pass = Pass { hub: leads, ..office.pass(&mut hub.1, "TIM-1", &[AREA]) }.signed(&office.key);
        hub.1.absorb(&Reply { passes: vec![pass], ..office.reply(0) }).unwrap();
        assert_eq!(hub.1.position().unwrap().hub, is_hub);
    }
    hub.1.become_hub().unwrap();
    assert!(
        hub.1.position().unwrap().hub && hub.1.position().unwrap().cursors.is_empty(),
        "it pulls all of it with proofs"
    );
}

#[test]
fn what_a_hub_tells_of_an_area_that_was_taken_from_a_phone_holds_it_up_no_longer() {
    let Village { office, mut hub, mut a, mut b, home, .. } = village();
    for _ in 0..90 {
        register(&mut a, &"Maria ".repeat(1300));
    }
    meet(&mut hub, &mut a, |_| ()).unwrap().unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    // Its pass, which the hub goes by, still names the area.
    b.absorb(&Reply { scope: Some(office.scope(&["5371041001.002"])), ..office.reply(0) }).unwrap();
    let mut pages = 0;
    let met = meet(&mut hub, &mut b, |reply| pages += reply.pulled.len()).unwrap();
    assert!(met.is_some_and(|report| report.pulled == 0) && pages > 1 && !has(&mut b, home), "{pages} pages");
    meet(&mut hub, &mut b, |reply| assert!(reply.pulled.is_empty(), "it is told once")).unwrap().unwrap();
}

#[test]
fn what_came_by_two_ways_cut_in_two_places_is_held_all_the_same() {
    let Village { mut hub, mut a, .. } = village();
    let at = a.position().unwrap();
    let (mut places, mut ends) = (vec![Hash::default()], Hash::default());
    let one = |seq: u64| Carried::Bytes(format!("change {seq}").into_bytes());
    for seq in 1..=8 {
        ends = Batch::sign(at.replica, seq, ends, vec![one(seq)], &at.key).after();
        places.push(ends);
    }
    let cut = |first: u64, last: u64| {
        let before = places[usize::try_from(first - 1).unwrap()];
        Batch::sign(at.replica, first, before, (first..=last).map(one).collect(), &at.key)
    };
    // By another hub, which had given the server what comes before; then by the phone itself.
    say(&mut hub, &mut a, &Request::new(at.replica, 0, vec![cut(3, 8)])).unwrap();
    let reply = say(&mut hub, &mut a, &Request::new(at.replica, 0, vec![cut(1, 5), cut(6, 8)])).unwrap();
    assert_eq!((reply.header.acked_through, reply.header.acked_hash), (8, Some(ends)));
}

#[test]
fn a_digest_that_no_batch_holds_stands_in_for_no_change() {
    let Village { office, mut hub, mut a, mut b, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut b, |reply| {
        for proof in reply.pulled.iter_mut().flat_map(|run| &mut run.proofs) {
            proof.withheld.insert(3, Hash([7; 32]));
        }
    })
    .unwrap();
    // Later the server proves a change together with one that the phone does not see.
    register(&mut a, "Yohanis Taek");
    register(&mut a, "elsewhere");
    let at = a.position().unwrap();
    let bodies = a.own_changes(0, usize::MAX).unwrap();
    let before = Batch::sign(at.replica, 1, Hash::default(), vec![Carried::Bytes(bodies[0].clone())], &at.key).after();
    let later = bodies[1..].iter().cloned().map(Carried::Bytes).collect();
    let batch = Batch::sign(at.replica, 2, before, later, &at.key);
    let stamped = office.stamp(at.replica, 2, 3);
    let mut reply = office.reply(0);
    reply.pulled.push(Run {
        changes: vec![Delivered { replica: at.replica, seq: 2, stamp: stamped.stamp, bytes: bodies[1].clone() }],
        proofs: vec![Proof {
            replica: at.replica,
            first: 2,
            last: 3,
            before,
            after: batch.after(),
            signature: batch.signature,
            withheld: std::collections::BTreeMap::from([(3, batch.changes[1].digest())]),
            stamps: vec![stamped],
        }],
        ..Run::to(AREA, 9)
    });
    reply.lacks.push(sync_protocol::wire::Lack { replica: at.replica, first: 2, last: 2 });
    b.absorb(&reply).unwrap();
    let given = b.give_back(usize::MAX).unwrap();
    assert!(!given.is_empty() && given.iter().all(|batch| batch.verify(&at.key.public()).is_ok()), "{given:?}");
}
