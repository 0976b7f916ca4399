//! The sending half: one night's sync of one device, as a state machine.
//!
//! The host sends what [`Action::Send`] holds and feeds back what came of it; nothing else is asked of a
//! network, so that production, tests and the simulator drive the same code. Everything that a reply says
//! is stored by the device in one transaction before the next step.

use crate::{
    chain::{Adoption, Batch, Carried, SecretKey, Span},
    ids::{Hash, ReplicaId},
    problem::{Code, Problem},
    wire::{Reply, Request, RequestHeader, Stamped, VERSIONS},
};
use std::collections::BTreeMap;

/// What the device's database tells the engine before it sends.
#[derive(Clone, Debug)]
pub struct Position {
    /// The device's replica.
    pub replica: ReplicaId,
    /// Its key.
    pub key: SecretKey,
    /// The server holds every own change up to this seq.
    pub acked_through: u64,
    /// `h(acked_through)`.
    pub acked_hash: Hash,
    /// The last own change.
    pub last: u64,
    /// The scope's version, empty before the first sync.
    pub scope: String,
    /// The server's epoch, empty before the first sync.
    pub epoch: String,
    /// How far each bucket was pulled.
    pub cursors: BTreeMap<String, u64>,
    /// The buckets of which snapshots are being told, and how far.
    pub snapshots: BTreeMap<String, u64>,
    /// Own changes up to this seq may have been dropped with an area.
    pub dropped: u64,
    /// The last seq of each replica whose changes the device can prove; empty but where a new epoch has begun.
    pub held: BTreeMap<ReplicaId, u64>,
    /// The server lacks changes of others that were not given back yet.
    pub gives_back: bool,
    /// A new identity that the server may not know yet.
    pub adoption: Option<Adoption>,
}

/// The device's database, as the engine needs it.
pub trait DeviceStore {
    /// What the store's own failures are.
    type Error;

    /// Where the device stands.
    ///
    /// # Errors
    /// If the store fails.
    fn position(&mut self) -> Result<Position, Self::Error>;

    /// Own changes after a seq, in order, as many as fit into `budget` bytes but at least one.
    ///
    /// # Errors
    /// If the store fails.
    fn own_changes(&mut self, after: u64, budget: usize) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// The stamps that changes of a span got from the server before; none in an ordinary night.
    ///
    /// # Errors
    /// If the store fails.
    fn stamps(&mut self, replica: ReplicaId, first: u64, last: u64) -> Result<Vec<Stamped>, Self::Error>;

    /// How each replica that the device was vouches for the next one, in order: a restored server may know none but the first.
    ///
    /// # Errors
    /// If the store fails.
    fn adoptions(&mut self) -> Result<Vec<Adoption>, Self::Error>;

    /// Batches of others that the server lacks and this device can prove, as many as fit into `budget` bytes but at least one.
    ///
    /// # Errors
    /// If the store fails.
    fn give_back(&mut self, budget: usize) -> Result<Vec<Batch>, Self::Error>;

    /// The server has answered to these batches: they are not given back again in this epoch.
    ///
    /// # Errors
    /// If the store fails.
    fn given(&mut self, batches: &[Span]) -> Result<(), Self::Error>;

    /// Stores everything that a reply says, in one transaction; an answered fork gives the device a new
    /// replica and key there and re-authors what was not shared (see [`super::reauthor`]).
    ///
    /// # Errors
    /// If the store fails: nothing was stored then.
    fn absorb(&mut self, reply: &Reply) -> Result<Absorbed, Self::Error>;
}

/// What a reply changed on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Changes of others that were new.
    pub pulled: u64,
    /// The device took a new replica.
    pub forked: bool,
}

/// What came of the last [`Action::Send`].
#[derive(Clone, Debug)]
pub enum Event {
    /// The turn begins.
    Begin,
    /// The server answered with this body, decompressed; possibly cut off.
    Answered(Vec<u8>),
    /// No answer in time, or the connection broke.
    TimedOut,
    /// The server, or whatever stands before it, said no.
    Rejected(Problem),
}

/// What the host does next.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this body to `POST /v1/sync` and report what came of it.
    Send(Vec<u8>),
    /// The night is done.
    Done(Report),
    /// Nothing is lost: try later.
    GiveUp(Report, GaveUp),
}

/// Why a turn ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GaveUp {
    /// Smaller and smaller requests found no way through.
    #[error("the server could not be reached; nothing is lost, try later")]
    NoAnswer,
    /// The server refused.
    #[error("the server refused the sync: {0}")]
    Rejected(Problem),
    /// The answer makes no sense.
    #[error("the server's answer cannot be understood: {0}")]
    BadReply(Problem),
    /// Round trip after round trip brought nothing new.
    #[error("the sync made no progress; nothing is lost, try later")]
    NoProgress,
}

/// What one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests that were answered.
    pub round_trips: u32,
    /// Own changes that the server acked in this turn.
    pub acked: u64,
    /// Changes of others that were new.
    pub pulled: u64,
    /// Times the device took a new replica.
    pub forks: u32,
}

/// How large requests are, before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Largest body at first; halved after each timeout.
    pub first: usize,
    /// A batch aims at this size.
    pub batch: usize,
    /// A request is never made smaller than this.
    pub least: usize,
}

impl Default for Sizes {
    /// A batch is about 64 KiB on the wire.
    fn default() -> Self {
        Self { first: 2 << 20, batch: 384 << 10, least: 64 << 10 }
    }
}

/// Answered round trips in a row that may bring nothing.
const PATIENCE: u32 = 4;

/// One sync of one device.
#[derive(Debug)]
pub struct Turn {
    app: String,
    sizes: Sizes,
    budget: usize,
    idle: u32,
    /// The batches of others that the last request carried.
    carried: Vec<Span>,
    /// The server does not know the device by its name of today: it is told of all that it had.
    vouches: bool,
    report: Report,
}

impl Turn {
    /// Begins a turn; `app` names the program and its version.
    #[must_use]
    pub fn new(app: impl Into<String>) -> Self {
        Self::with_sizes(app, Sizes::default())
    }

    /// Begins a turn on a line that takes requests of other sizes.
    #[must_use]
    pub fn with_sizes(app: impl Into<String>, sizes: Sizes) -> Self {
        Self {
            app: app.into(),
            sizes,
            budget: sizes.first,
            idle: 0,
            carried: Vec::new(),
            vouches: false,
            report: Report::default(),
        }
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// If the store fails; the turn may be begun again later.
    pub fn step<S: DeviceStore>(&mut self, store: &mut S, event: Event, now_ms: i64) -> Result<Action, S::Error> {
        match event {
            Event::Begin => self.send(store, now_ms),
            Event::Answered(body) => self.answered(store, &body, now_ms),
            Event::TimedOut if self.budget <= self.sizes.least => Ok(Action::GiveUp(self.report, GaveUp::NoAnswer)),
            Event::TimedOut => {
                self.budget = (self.budget / 2).max(self.sizes.least);
                self.send(store, now_ms)
            }
            Event::Rejected(problem) if problem.code == Code::WrongReplica && !self.vouches => {
                self.vouches = true;
                if store.adoptions()?.is_empty() {
                    return Ok(Action::GiveUp(self.report, GaveUp::Rejected(problem)));
                }
                self.send(store, now_ms)
            }
            Event::Rejected(problem) => Ok(Action::GiveUp(self.report, GaveUp::Rejected(problem))),
        }
    }

    fn answered<S: DeviceStore>(&mut self, store: &mut S, body: &[u8], now_ms: i64) -> Result<Action, S::Error> {
        let reply = match Reply::from_bytes(body) {
            Ok(reply) => reply,
            Err(problem) => return Ok(Action::GiveUp(self.report, GaveUp::BadReply(problem))),
        };
        let before = store.position()?;
        let absorbed = store.absorb(&reply)?;
        let gave_back = !self.carried.is_empty() && !reply.cut_off;
        if gave_back {
            store.given(&self.carried)?;
        }
        let after = store.position()?;
        let acked = if absorbed.forked { 0 } else { after.acked_through.saturating_sub(before.acked_through) };
        self.report.round_trips += 1;
        self.report.acked += acked;
        self.report.pulled += absorbed.pulled;
        self.report.forks += u32::from(absorbed.forked);
        let progress = acked > 0
            || gave_back
            || absorbed.forked
            || after.cursors != before.cursors
            || after.snapshots != before.snapshots
            || after.scope != before.scope;
        self.idle = if progress { 0 } else { self.idle + 1 };
        let owes = !after.held.is_empty() || after.gives_back;
        let is_done = !reply.header.more && !reply.cut_off && after.acked_through >= after.last && !owes;
        if is_done {
            Ok(Action::Done(self.report))
        } else if self.idle >= PATIENCE {
            Ok(Action::GiveUp(self.report, GaveUp::NoProgress))
        } else {
            self.send(store, now_ms)
        }
    }

    fn send<S: DeviceStore>(&mut self, store: &mut S, now_ms: i64) -> Result<Action, S::Error> {
        let at = store.position()?;
        let mut batches = Vec::new();
        let (mut sent, mut after, mut before) = (0, at.acked_through, at.acked_hash);
        while after < at.last && sent < self.budget {
            let changes = store.own_changes(after, self.sizes.batch.min(self.budget))?;
            if changes.is_empty() {
                break;
            }
            sent += changes.iter().map(Vec::len).sum::<usize>();
            let changes = changes.into_iter().map(Carried::Bytes).collect();
            let batch = Batch::sign(at.replica, after + 1, before, changes, &at.key);
            (after, before) = (batch.last(), batch.after);
            batches.push(batch);
        }
        // A server that was restored gets back the stamps that it gave: a stamp is given once (DESIGN §4). Those of what comes
        // later, too: it may hold that already, parked behind the gap that this request closes.
        let mut stamps =
            if batches.is_empty() { Vec::new() } else { store.stamps(at.replica, at.acked_through + 1, at.last)? };
        self.carried.clear();
        if at.gives_back && sent < self.budget {
            for batch in store.give_back(self.budget - sent)? {
                stamps.append(&mut store.stamps(batch.replica, batch.first, batch.last())?);
                self.carried.push(batch.span());
                batches.push(batch);
            }
        }
        let request = Request {
            stamps,
            header: RequestHeader {
                tenun: *VERSIONS.end(),
                replica: at.replica,
                clock: now_ms,
                app: self.app.clone(),
                unsent: at.last.saturating_sub(at.acked_through),
                scope: at.scope,
                epoch: at.epoch,
                cursors: at.cursors,
                snapshots: at.snapshots,
                dropped: at.dropped,
                held: at.held,
            },
            adoptions: if self.vouches { store.adoptions()? } else { at.adoption.into_iter().collect() },
            batches,
            cut_off: false,
        };
        Ok(Action::Send(request.to_bytes()))
    }
}
