//! What the leader wrote on the hub itself: guests hear of it like of anybody's.

use crate::village::{AREA, Office, Village, draw, has, meet, register, village};
use client_core::{Device, Edit, Error, Failure, Hub, HubProblem, host::Fixed};
use sync_protocol::{
    Code, HouseholdId, Value,
    chain::{Batch, Span},
    engine::device::DeviceStore,
    wire::{Outcome, Reply, ReplyHeader, Run, Verdict},
};

const THERE: &str = "5371041001.002";

/// Tells the leader that everything is acked, stamped and in a backup.
fn settle(office: &Office, leader: &mut Device<Fixed>, outcomes: Vec<Outcome>) {
    let at = leader.position().unwrap();
    let header = ReplyHeader { safe_through: at.last, ..office.reply(at.last).header };
    let stamps = vec![office.stamp(at.replica, at.acked_through + 1, at.last)];
    let keys = vec![office.voucher(&at)];
    let reply = Reply { cut_off: false, stamps, keys, outcomes, ..Reply::new(header) };
    leader.absorb(&reply).unwrap();
}

fn move_to(leader: &mut Device<Fixed>, home: HouseholdId, area: &str) {
    leader.save(home.into(), "KP001", &[Edit::set("area", Value::text(area)).unwrap()]).unwrap();
}

/// A device of a leader that works in two areas.
fn leader(office: &Office, folder: &tempfile::TempDir) -> Device<Fixed> {
    let mut leader = office.device(folder, "lead", &[AREA, THERE]);
    let pass = office.pass(&mut leader, "TIM-1", &[AREA, THERE]);
    let reply = Reply { passes: vec![pass], ..office.reply(0) };
    leader.absorb(&reply).unwrap();
    leader
}

/// Takes the second area away; what was in it is dropped.
fn lose(office: &Office, leader: &mut Device<Fixed>) {
    let at = leader.position().unwrap();
    let header = ReplyHeader { safe_through: at.acked_through, ..office.reply(at.acked_through).header };
    leader.absorb(&Reply { scope: Some(office.scope(&[AREA])), cut_off: false, ..Reply::new(header) }).unwrap();
}

#[test]
fn what_a_leader_wrote_after_losing_an_area_is_told_though_what_came_before_was_freed() {
    let (folder, office) = (tempfile::tempdir().unwrap(), Office::new(3));
    let (mut leader, mut b) = (leader(&office, &folder), office.device(&folder, "b", &[AREA]));
    let gone = register(&mut leader, "Maria Nalle");
    move_to(&mut leader, gone, THERE);
    settle(&office, &mut leader, Vec::new());
    lose(&office, &mut leader);
    assert!(!has(&mut leader, gone));
    leader.become_hub().unwrap();
    let home = register(&mut leader, "Ana Bani");
    settle(&office, &mut leader, Vec::new());
    meet(&mut (Hub::default(), leader), &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home));
}

#[test]
fn a_household_that_somebody_moved_away_spoils_nothing_of_what_stays_and_is_told_no_more() {
    let (folder, office) = (tempfile::tempdir().unwrap(), Office::new(3));
    let (mut leader, mut b) = (leader(&office, &folder), office.device(&folder, "b", &[AREA]));
    leader.become_hub().unwrap();
    let (gone, home) = (register(&mut leader, "Maria Nalle"), register(&mut leader, "Ana Bani"));
    settle(&office, &mut leader, Vec::new());
    let at = leader.position().unwrap();
    let header = ReplyHeader { safe_through: at.last, ..office.reply(at.last).header };
    let pulled = vec![Run { moved: vec![gone], ..Run::to(AREA, 9) }];
    leader.absorb(&Reply { pulled, cut_off: false, ..Reply::new(header) }).unwrap();
    assert!(!has(&mut leader, gone) && has(&mut leader, home));
    meet(&mut (Hub::default(), leader), &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home) && !has(&mut b, gone));
}

#[test]
fn a_household_that_a_leader_moves_is_told_where_it_lives_until_the_server_counts_the_move() {
    let (folder, office) = (tempfile::tempdir().unwrap(), Office::new(3));
    let mut leader = leader(&office, &folder);
    let mut b = office.device(&folder, "b", &[AREA]);
    leader.become_hub().unwrap();
    let home = register(&mut leader, "Maria Nalle");
    settle(&office, &mut leader, Vec::new());
    move_to(&mut leader, home, "5371999999.001");
    let waits = Outcome {
        replica: leader.position().unwrap().replica,
        seq: 2,
        verdict: Verdict::Quarantined,
        code: Some(Code::UnknownArea),
        detail: String::new(),
    };
    settle(&office, &mut leader, vec![waits]);
    meet(&mut (Hub::default(), leader), &mut b, |_| ()).unwrap();
    assert!(has(&mut b, home), "it lives where it did");
}

#[test]
fn a_hub_that_hears_that_it_was_revoked_is_none_any_more() {
    let (folder, office) = (tempfile::tempdir().unwrap(), Office::new(3));
    let (mut leader, mut b) = (leader(&office, &folder), office.device(&folder, "b", &[AREA]));
    leader.become_hub().unwrap();
    let barred = vec![leader.position().unwrap().replica];
    leader.absorb(&Reply { barred, ..office.reply(0) }).unwrap();
    let again = leader.become_hub().unwrap_err();
    assert!(matches!(again, Error::Hub(HubProblem::NoHub(_))), "{again}");
    register(&mut b, "Ana Bani");
    let mut hub = (Hub::default(), leader);
    let refused = meet(&mut hub, &mut b, |_| ()).unwrap_err();
    assert!(matches!(&refused, Failure::Refused(problem) if problem.code == Code::Forbidden), "{refused:?}");
    assert_eq!(hub.1.load().unwrap().len(), 0);
}

#[test]
fn what_another_hub_had_no_room_for_is_offered_to_it_again_when_it_is_met_again() {
    let Village { office, folder, mut hub, mut a, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    let mut other = (Hub::default(), office.device(&folder, "TIM-2", &[AREA]));
    for refuses in [true, true, false] {
        let greeting = {
            let nonce = draw(&mut hub.1).nonce();
            hub.1.greeting(nonce).unwrap()
        };
        let drawn = draw(&mut other.1);
        let welcome = other.0.greet(&mut other.1, &greeting, &drawn).unwrap();
        let met = hub.1.meet(&greeting, &welcome).unwrap();
        let mut visit = hub.1.visit(&met);
        let spans: Vec<Span> = visit.give_back(usize::MAX).unwrap().iter().map(Batch::span).collect();
        assert_eq!(spans.len(), 1);
        visit.given(&spans, if refuses { &spans } else { &[] }).unwrap();
        assert!(visit.give_back(usize::MAX).unwrap().is_empty(), "once in a meeting");
    }
}
