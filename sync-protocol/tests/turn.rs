//! A night's turn over lines of every kind, without a network: batches follow the line, and what may have arrived is asked
//! about before it is sent again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "a test that can't set itself up should stop"
)]

use std::{collections::BTreeMap, convert::Infallible};
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Adoption, Batch, Carried, SecretKey, Span, digest, link},
    engine::device::{Absorbed, Action, DeviceStore, Event, GaveUp, Introductions, Position, Sizes, Turn},
    wire::{Reply, ReplyHeader, Request, Stamped},
};
use uuid::Uuid;

/// A device with so many changes of a hundred bytes each.
struct Phone {
    hashes: Vec<Hash>,
    acked: u64,
    ends: Vec<u64>,
}

const REPLICA: ReplicaId = ReplicaId(Uuid::from_u128(7));

fn body(seq: u64) -> Vec<u8> {
    format!("{{\"n\":\"{seq:092}\"}}").into_bytes()
}

impl Phone {
    fn new(changes: u64) -> Self {
        let mut hashes = vec![Hash::default()];
        for seq in 1..=changes {
            hashes.push(link(*hashes.last().unwrap(), REPLICA, seq, digest(&body(seq))));
        }
        Self { hashes, acked: 0, ends: Vec::new() }
    }

    fn hash(&self, seq: u64) -> Hash {
        self.hashes[usize::try_from(seq).unwrap()]
    }
}

impl DeviceStore for Phone {
    type Error = Infallible;

    fn position(&mut self) -> Result<Position, Infallible> {
        Ok(Position {
            replica: REPLICA,
            key: SecretKey::from_seed([7; 32]),
            acked_through: self.acked,
            acked_hash: self.hash(self.acked),
            last: u64::try_from(self.hashes.len() - 1).unwrap(),
            scope: String::new(),
            returned: String::new(),
            epoch: String::new(),
            cursors: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            dropped: 0,
            waits: Vec::new(),
            waits_before: BTreeMap::new(),
            lives: BTreeMap::new(),
            held: BTreeMap::new(),
            gives_back: false,
            adoption: None,
            in_doubt: self.ends.iter().filter(|end| **end > self.acked).map(|end| (*end, self.hash(*end))).collect(),
            pass: None,
            hub: false,
            renew: Vec::new(),
            carries: BTreeMap::new(),
        })
    }

    fn own_changes(&mut self, after: u64, budget: usize) -> Result<Vec<Vec<u8>>, Infallible> {
        let last = u64::try_from(self.hashes.len() - 1).unwrap();
        let fit = u64::try_from(budget / body(1).len()).unwrap().max(1);
        Ok((after + 1..=last.min(after + fit)).map(body).collect())
    }

    fn stamps(&mut self, _: ReplicaId, _: u64, _: u64) -> Result<Vec<Stamped>, Infallible> {
        Ok(Vec::new())
    }

    fn introductions(&mut self, _: &[Span], _: &[ReplicaId]) -> Result<Introductions, Infallible> {
        Ok(Introductions::default())
    }

    fn adoptions(&mut self) -> Result<Vec<Adoption>, Infallible> {
        Ok(Vec::new())
    }

    fn give_back(&mut self, _: usize) -> Result<Vec<Batch>, Infallible> {
        Ok(Vec::new())
    }

    fn rename(&mut self) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn given(&mut self, _: &[Span], _: &[Span]) -> Result<(), Infallible> {
        Ok(())
    }

    fn sending(&mut self, ends: &[u64]) -> Result<(), Infallible> {
        self.ends = ends.to_vec();
        Ok(())
    }

    fn absorb(&mut self, reply: &Reply) -> Result<Absorbed, Infallible> {
        self.acked = reply.header.acked_through;
        if !reply.cut_off {
            self.ends.clear();
        }
        Ok(Absorbed::default())
    }
}

const SIZES: Sizes = Sizes { first: 8_000, batch: 2_000, least: 1_000, most: 4_000 };

fn request(action: Action) -> Request {
    match action {
        Action::Send(body) => Request::from_bytes(&body).unwrap(),
        Action::Done(_) | Action::GiveUp(..) => panic!("the turn ended: {action:?}"),
    }
}

fn answer(acked_through: u64) -> Event {
    let (tenun, epoch) = (1, String::new());
    let header = ReplyHeader { tenun, epoch, acked_through, acked_hash: None, safe_through: 0, clock: 0, more: false };
    Event::Answered(Reply::new(header).to_bytes())
}

/// The changes of the largest batch.
fn largest(request: &Request) -> usize {
    request.batches.iter().map(|batch| batch.changes.len()).max().unwrap_or(0)
}

#[test]
fn a_batch_doubles_where_one_came_through_and_halves_where_none_did() {
    let (mut phone, mut turn) = (Phone::new(1_000), Turn::with_sizes("test", SIZES));
    let mut step = |event| request(turn.step(&mut phone, event, 0).unwrap());
    let first = step(Event::Begin);
    assert_eq!((largest(&first), first.batches.len()), (20, 4));
    let second = step(answer(80));
    assert_eq!((largest(&second), second.batches[0].first), (40, 81));
    let third = step(answer(160));
    assert_eq!(largest(&third), 40, "not beyond the most");
    for size in [20, 10, 5, 2, 2] {
        let asked = step(Event::TimedOut);
        assert!(asked.batches.is_empty() && !asked.haves.is_empty(), "what may have arrived is asked about first");
        let again = step(answer(160));
        assert_eq!((largest(&again), again.batches[0].first), (size, 161));
    }
}

#[test]
fn what_arrived_of_a_request_that_was_cut_is_not_sent_again() {
    let (mut phone, mut turn) = (Phone::new(100), Turn::with_sizes("test", SIZES));
    let first = request(turn.step(&mut phone, Event::Begin, 0).unwrap());
    let ends: Vec<u64> = first.batches.iter().map(|batch| batch.last()).collect();
    assert_eq!(ends, [20, 40, 60, 80]);
    // The process dies: another turn, another night.
    let mut turn = Turn::with_sizes("test", SIZES);
    let asked = request(turn.step(&mut phone, Event::Begin, 0).unwrap());
    assert!(asked.batches.is_empty());
    let haves: Vec<_> = asked.haves.iter().map(|have| (have.after, have.seq, have.hash)).collect();
    assert_eq!(haves, ends.iter().map(|end| (0, *end, phone.hash(*end))).collect::<Vec<_>>());
    let rest = request(turn.step(&mut phone, answer(60), 0).unwrap());
    assert_eq!(rest.batches[0].first, 61);
    let Some(Carried::Bytes(bytes)) = rest.batches[0].changes.first() else { panic!("whole changes") };
    assert_eq!(*bytes, body(61));
    let Action::Done(report) = turn.step(&mut phone, answer(100), 0).unwrap() else { panic!("nothing is left") };
    assert_eq!((report.acked, report.round_trips), (100, 2));
}

#[test]
fn a_line_that_never_answers_ends_the_turn_and_one_that_brings_a_little_does_not() {
    let (mut phone, mut turn) = (Phone::new(1_000), Turn::with_sizes("test", SIZES));
    turn.step(&mut phone, Event::Begin, 0).unwrap();
    for _ in 0..5 {
        request(turn.step(&mut phone, Event::TimedOut, 0).unwrap());
    }
    let end = turn.step(&mut phone, Event::TimedOut, 0).unwrap();
    assert!(matches!(end, Action::GiveUp(_, GaveUp::NoAnswer)), "{end:?}");
    // Each request is cut, but a little of each arrives.
    let (mut phone, mut turn) = (Phone::new(200), Turn::with_sizes("test", SIZES));
    turn.step(&mut phone, Event::Begin, 0).unwrap();
    for arrived in 1..100 {
        request(turn.step(&mut phone, Event::TimedOut, 0).unwrap());
        request(turn.step(&mut phone, answer(arrived), 0).unwrap());
    }
}

#[test]
fn a_bad_line_is_asked_to_bring_little_at_once() {
    let (mut phone, sizes) = (Phone::new(1), Sizes { first: 1 << 20, batch: 64 << 10, least: 1 << 10, most: 1 << 20 });
    let mut turn = Turn::with_sizes("test", sizes);
    let wants = |action| request(action).header.want;
    assert_eq!(wants(turn.step(&mut phone, Event::Begin, 0).unwrap()), Some(256 << 10));
    assert_eq!(wants(turn.step(&mut phone, Event::TimedOut, 0).unwrap()), Some(128 << 10));
    let mut turn = Turn::new("test");
    assert_eq!(wants(turn.step(&mut phone, Event::Begin, 0).unwrap()), None, "an ordinary line takes what comes");
}
