//! The sending half: one night's sync of one device, as a state machine.
//!
//! The host sends what [`Action::Send`] holds and feeds back what came of it; nothing else is asked of a
//! network, so that production, tests and the simulator drive the same code. Everything that a reply says
//! is stored by the device in one transaction before the next step.

use crate::{
    chain::{Adoption, Batch, Carried, SecretKey, Span},
    ids::{Hash, ReplicaId},
    pass::{Pass, Voucher},
    problem::{Code, Problem},
    wire::{Acked, Have, Outcome, Reply, Request, RequestHeader, Stamped, VERSIONS, Verdict},
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
    /// The version of the returned interviews that the device was told; empty where there are none.
    pub returned: String,
    /// The server's epoch, empty before the first sync.
    pub epoch: String,
    /// How far each bucket was pulled.
    pub cursors: BTreeMap<String, u64>,
    /// The buckets of which snapshots are being told, and how far.
    pub snapshots: BTreeMap<String, u64>,
    /// Own changes up to this seq may have been dropped with an area.
    pub dropped: u64,
    /// Own changes that wait for a coordinator's decision, as the device knows.
    pub waits: Vec<u64>,
    /// Likewise, under the names that the device had before.
    pub waits_before: BTreeMap<ReplicaId, Vec<u64>>,
    /// The names that the device had before, each with the last seq of what is its own under it.
    pub lives: BTreeMap<ReplicaId, u64>,
    /// The last seq of each replica whose changes the device has; empty but where a new epoch has begun.
    pub held: BTreeMap<ReplicaId, u64>,
    /// The server lacks changes of others that were not given back yet.
    pub gives_back: bool,
    /// A new identity that the server may not know yet.
    pub adoption: Option<Adoption>,
    /// Where batches ended that were sent and got no answer, each with `h` there: the server may have them.
    pub in_doubt: Vec<(u64, Hash)>,
    /// Until when its pass is good; 0 if it has none, and nothing where it asks for none.
    pub pass: Option<i64>,
    /// It is a hub.
    pub hub: bool,
    /// Phones whose passes it takes new ones back to.
    pub renew: Vec<ReplicaId>,
    /// The replicas that it carries changes of without a receipt (see [`RequestHeader::carries`]).
    pub carries: BTreeMap<ReplicaId, u64>,
}

/// What those must be shown who are given batches of others, or told that they can be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introductions {
    /// How replicas that may not be known yet are vouched for, the oldest first.
    pub adoptions: Vec<Adoption>,
    /// What the server says of authors, in their passes …
    pub passes: Vec<Pass>,
    /// … and in its words for their keys.
    pub keys: Vec<Voucher>,
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

    /// Goes on under another name, since somebody else has the one of today: whoever tells the server of a name first has it.
    /// Everything is authored again. False where the device can't.
    ///
    /// # Errors
    /// If the store fails: nothing was stored then.
    fn rename(&mut self) -> Result<bool, Self::Error>;

    /// Batches of others that the server lacks and this device can prove, as many as fit into `budget` bytes but at least one.
    ///
    /// # Errors
    /// If the store fails.
    fn give_back(&mut self, budget: usize) -> Result<Vec<Batch>, Self::Error>;

    /// What the receiver may not know of authors: of batches that are about to be given to it, and of what it is told can be given.
    ///
    /// # Errors
    /// If the store fails.
    fn introductions(&mut self, batches: &[Span], held: &[ReplicaId]) -> Result<Introductions, Self::Error>;

    /// The server has answered to these batches: they are not given back again in this epoch, but for those that it refused,
    /// which may be taken another day.
    ///
    /// # Errors
    /// If the store fails.
    fn given(&mut self, batches: &[Span], refused: &[Span]) -> Result<(), Self::Error>;

    /// Notes where the batches of a request end that is about to be sent, in place of those noted before. A whole reply
    /// forgets them.
    ///
    /// # Errors
    /// If the store fails.
    fn sending(&mut self, ends: &[u64]) -> Result<(), Self::Error>;

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

/// How large messages are, in bytes before compression.
///
/// A batch is what a cut costs at most, in either direction; a request holds several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Largest body of a request at first; halved after each timeout.
    pub first: usize,
    /// A batch aims at this size at first; it is halved after each timeout or cut, and doubled where one came through.
    pub batch: usize,
    /// A batch is not made smaller than this, but where even such ones fail again and again: then a quarter of it.
    pub least: usize,
    /// A batch is never made larger than this.
    pub most: usize,
}

impl Default for Sizes {
    /// A line that nothing is known of: batches of some 32 KiB on the wire, from 16 to 64; see `client-core`'s line for
    /// one that is known.
    fn default() -> Self {
        Self { first: 1 << 20, batch: 272 << 10, least: 136 << 10, most: 544 << 10 }
    }
}

/// Answered round trips in a row that may bring nothing.
const PATIENCE: u32 = 4;
/// Requests in a row, without any progress between them, that may get no answer.
const FAILURES: u32 = 6;
/// Answered round trips of a turn with a hub that may bring nothing but other cursors, in all: what it tells may be known, and
/// it may say so for ever.
const BARREN: u32 = 64;
/// Failures in a row after which the device's own goes without what it carries for others.
const CARRIED_FAILURES: u32 = 3;
/// Failures in a row after which a batch may be smaller than the least.
const PLAIN_FAILURES: u32 = 2;
/// Batches that a reply may hold.
const BATCHES_A_REPLY: usize = 4;
/// What a server brings in a reply to a device that wants nothing in particular: no need to ask for as much.
const ORDINARY_REPLY: usize = 512 << 10;

/// One sync of one device.
#[derive(Debug)]
pub struct Turn {
    app: String,
    sizes: Sizes,
    batch: usize,
    budget: usize,
    /// Bytes of changes in the request that was sent last.
    sent: usize,
    /// The last request only asked what arrived of those before.
    asking: bool,
    failures: u32,
    idle: u32,
    /// The batches of others that the last request carried.
    carried: Vec<Span>,
    /// Batches of others go one by one: a request that held some was too large.
    singly: bool,
    /// The device's own goes alone: what it carries found no way through.
    alone: bool,
    /// The server does not know the device by its name of today: it is told of all that it had.
    vouches: bool,
    /// Somebody else had the device's name: it has taken another.
    is_renamed: bool,
    /// The turn is with a hub, which may lie to keep it going.
    with_hub: bool,
    /// The furthest ack of this turn.
    reached: u64,
    /// Round trips of this turn that brought nothing new.
    barren: u32,
    report: Report,
}

impl Turn {
    /// Begins a turn; `app` names the program and its version.
    #[must_use]
    pub fn new(app: impl Into<String>) -> Self {
        Self::with_sizes(app, Sizes::default())
    }

    /// Begins a turn on a line that takes messages of other sizes.
    #[must_use]
    pub fn with_sizes(app: impl Into<String>, sizes: Sizes) -> Self {
        Self {
            app: app.into(),
            sizes,
            batch: sizes.batch,
            budget: sizes.first,
            sent: 0,
            asking: false,
            failures: 0,
            idle: 0,
            carried: Vec::new(),
            singly: false,
            alone: false,
            vouches: false,
            is_renamed: false,
            with_hub: false,
            reached: 0,
            barren: 0,
            report: Report::default(),
        }
    }

    /// The turn is with a hub: only what is new to the device, or an ack that was not reached before, keeps it going.
    #[must_use]
    pub fn with_hub(mut self) -> Self {
        self.with_hub = true;
        self
    }

    /// The size of a batch that the line takes, as far as it is known by now: to begin the next turn with.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// If the store fails; the turn may be begun again later.
    pub fn step<S: DeviceStore>(&mut self, store: &mut S, event: Event, now_ms: i64) -> Result<Action, S::Error> {
        match event {
            Event::Begin => self.send(store, now_ms),
            Event::Answered(body) => self.answered(store, &body, now_ms),
            Event::TimedOut => {
                self.failures += 1;
                self.shrink();
                self.alone = self.alone || (self.failures >= CARRIED_FAILURES && !self.carried.is_empty());
                if self.failures >= FAILURES {
                    return Ok(Action::GiveUp(self.report, GaveUp::NoAnswer));
                }
                self.send(store, now_ms)
            }
            Event::Rejected(problem) if problem.code == Code::WrongReplica && !self.vouches => {
                self.vouches = true;
                if store.adoptions()?.is_empty() {
                    return Ok(Action::GiveUp(self.report, GaveUp::Rejected(problem)));
                }
                self.send(store, now_ms)
            }
            Event::Rejected(problem) if problem.code == Code::RequestTooLarge && !self.carried.is_empty() => {
                // The one that is too large waits; its author may bring it in another form. Nothing else waits for it.
                if self.carried.len() == 1 {
                    store.given(&self.carried, &self.carried)?;
                }
                self.singly = true;
                self.send(store, now_ms)
            }
            Event::Rejected(problem) if problem.code == Code::ReplicaTaken && !self.is_renamed => {
                self.is_renamed = true;
                if !store.rename()? {
                    return Ok(Action::GiveUp(self.report, GaveUp::Rejected(problem)));
                }
                self.report.forks += 1;
                self.send(store, now_ms)
            }
            Event::Rejected(problem) => Ok(Action::GiveUp(self.report, GaveUp::Rejected(problem))),
        }
    }

    /// The line is worse than thought.
    fn shrink(&mut self) {
        let least = if self.failures > PLAIN_FAILURES { self.sizes.least / 4 } else { self.sizes.least };
        self.batch = (self.batch / 2).max(least).min(self.batch);
        self.budget = (self.budget / 2).max(self.batch);
    }

    /// A batch or more came through: the line is better than thought.
    fn grow(&mut self) {
        self.batch = self.batch.saturating_mul(2).min(self.sizes.most).max(self.batch);
        self.budget = self.budget.saturating_mul(2).min(self.sizes.first).max(self.batch);
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
            let refuses = |span: &Span, outcome: &Outcome| {
                outcome.verdict == Verdict::Refused && (outcome.replica, outcome.seq) == (span.replica, span.first)
            };
            let is_refused = |span: &&Span| reply.outcomes.iter().any(|outcome| refuses(span, outcome));
            let refused: Vec<Span> = self.carried.iter().filter(is_refused).copied().collect();
            store.given(&self.carried, &refused)?;
        }
        let after = store.position()?;
        let acked = if absorbed.forked { 0 } else { after.acked_through.saturating_sub(before.acked_through) };
        self.report.round_trips += 1;
        self.report.acked += acked;
        self.report.pulled += absorbed.pulled;
        self.report.forks += u32::from(absorbed.forked);
        let reached = self.reached.max(before.acked_through);
        self.reached = reached.max(after.acked_through);
        let is_acked = if self.with_hub { after.acked_through > reached } else { acked > 0 };
        if self.with_hub && !is_acked && !gave_back && absorbed.pulled == 0 {
            self.barren += 1;
        }
        let progress = is_acked
            || gave_back
            || absorbed.forked
            || after.cursors != before.cursors
            || after.snapshots != before.snapshots
            || after.scope != before.scope;
        if progress {
            (self.idle, self.failures, self.alone) = (0, 0, false);
        } else if !self.asking || reply.cut_off {
            self.idle += 1;
        }
        if reply.cut_off {
            self.shrink();
        } else if progress && self.sent.max(body.len()) >= self.batch {
            self.grow();
        }
        let owes = !after.held.is_empty() || (after.gives_back && !self.alone);
        let is_done = !reply.header.more && !reply.cut_off && after.acked_through >= after.last && !owes;
        if is_done {
            Ok(Action::Done(self.report))
        } else if self.idle >= PATIENCE || self.barren >= BARREN {
            Ok(Action::GiveUp(self.report, GaveUp::NoProgress))
        } else {
            self.send(store, now_ms)
        }
    }

    fn send<S: DeviceStore>(&mut self, store: &mut S, now_ms: i64) -> Result<Action, S::Error> {
        let at = store.position()?;
        let mut batches = Vec::new();
        let (mut after, mut before) = (at.acked_through, at.acked_hash);
        // Where the server may have what was sent, a question is cheaper than sending it again.
        let doubt = |(seq, hash): (u64, Hash)| Have { replica: at.replica, after: at.acked_through, seq, hash };
        let haves: Vec<Have> = at.in_doubt.into_iter().map(doubt).collect();
        (self.asking, self.sent) = (!haves.is_empty(), 0);
        while !self.asking && after < at.last && self.sent < self.budget {
            let changes = store.own_changes(after, self.batch.min(self.budget))?;
            if changes.is_empty() {
                break;
            }
            self.sent += changes.iter().map(Vec::len).sum::<usize>();
            let changes = changes.into_iter().map(Carried::Bytes).collect();
            let (batch, span) = Batch::sign_span(at.replica, after + 1, before, changes, &at.key);
            (after, before) = (span.last, span.after);
            batches.push(batch);
        }
        if !batches.is_empty() {
            store.sending(&batches.iter().map(Batch::last).collect::<Vec<_>>())?;
        }
        let tells_own = !batches.is_empty();
        let want = self.batch.saturating_mul(BATCHES_A_REPLY);
        // A server that was restored gets back the stamps that it gave: a stamp is given once (DESIGN §4). Those of what comes
        // later, too: it may hold that already, parked behind the gap that this request closes.
        let mut stamps = if tells_own { store.stamps(at.replica, at.acked_through + 1, at.last)? } else { Vec::new() };
        let mut adoptions = if self.vouches { store.adoptions()? } else { at.adoption.into_iter().collect() };
        self.carried.clear();
        let room = match self.sent {
            _ if self.alone || self.asking => 0,
            0 if self.singly => 1,
            _ if self.singly => 0,
            sent => self.budget.saturating_sub(sent),
        };
        if at.gives_back && room > 0 {
            for batch in store.give_back(room)? {
                stamps.append(&mut store.stamps(batch.replica, batch.first, batch.last())?);
                self.carried.push(batch.span());
                batches.push(batch);
            }
        }
        let mut shown = Introductions::default();
        if !self.carried.is_empty() || !at.held.is_empty() {
            let held: Vec<ReplicaId> = at.held.keys().copied().filter(|held| *held != at.replica).collect();
            shown = store.introductions(&self.carried, &held)?;
            adoptions.append(&mut shown.adoptions);
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
                returned: at.returned,
                epoch: at.epoch,
                cursors: at.cursors,
                // An own batch shows by its `before` which history it goes on with; others' say nothing of it.
                acked: (!tells_own && at.acked_through > 0)
                    .then_some(Acked { seq: at.acked_through, hash: at.acked_hash }),
                snapshots: at.snapshots,
                dropped: at.dropped,
                waits: at.waits,
                waits_before: at.waits_before,
                held: at.held,
                lives: at.lives,
                want: (want < ORDINARY_REPLY).then(|| u64::try_from(want).unwrap_or(u64::MAX)),
                pass: at.pass,
                hub: at.hub,
                renew: at.renew,
                carries: at.carries,
            },
            adoptions,
            passes: shown.passes,
            keys: shown.keys,
            haves,
            batches,
            cut_off: false,
        };
        Ok(Action::Send(request.to_bytes()))
    }
}
