//! A bad line between devices and server: slow, far, and it breaks.
//!
//! Every connection goes through the same two pipes, one in each direction, that let through so many bits a second. A byte
//! needs half of a round trip on top, and a connection a whole one before its first byte, as TCP does. What is lost or cut
//! follows from a seed, or from a list that a test wrote. Bytes are counted where they leave the line.

use crate::sim::dice::Dice;
use anyhow::Result;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

/// What the line carries at once, in bytes.
const PIECE: usize = 512;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the device to the server.
    Up,
    /// From the server to the device.
    Down,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides are told (a reset).
    Reset,
    /// The connection is closed, as if the other side had done so.
    Close,
    /// Nobody is told anything: no byte gets through any more.
    Silence,
}

/// The end of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// It comes after bytes of this way …
    pub way: Way,
    /// … so many of them, counted from the beginning of the connection.
    pub after: u64,
    /// How it looks.
    pub end: End,
}

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bits a second in each direction.
    pub bits_a_second: u64,
    /// A round trip.
    pub round_trip: Duration,
    /// Of a thousand connections, so many are lost before the first byte.
    pub lost: u32,
    /// Of a thousand connections, so many are cut …
    pub cut: u32,
    /// … before they have carried so many bytes one way.
    pub within: usize,
    /// Some of the cuts are silent: a test must not wait for them long.
    pub silence: bool,
}

impl Shape {
    /// 2G at night: 20 kbit/s, round trips of 800 ms, nothing lost.
    #[must_use]
    pub fn two_g() -> Self {
        Self {
            bits_a_second: 20_000,
            round_trip: Duration::from_millis(800),
            lost: 0,
            cut: 0,
            within: 1,
            silence: false,
        }
    }

    /// The same so many times as fast, for tests.
    #[must_use]
    pub fn times_as_fast(self, times: u32) -> Self {
        let bits_a_second = self.bits_a_second.saturating_mul(times.into());
        Self { bits_a_second, round_trip: self.round_trip / times, ..self }
    }
}

/// What happened on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that devices made.
    pub connections: u64,
    /// Of these, those that were lost before the first byte.
    pub lost: u64,
    /// Of these, those that were cut.
    pub cuts: u64,
    /// Bytes that reached the server.
    pub up: u64,
    /// Bytes that reached devices.
    pub down: u64,
}

#[derive(Debug)]
struct State {
    shape: Shape,
    dice: Dice,
    planned: VecDeque<Cut>,
    /// When each pipe is free again.
    free: [Instant; 2],
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that listens on a port of its own; ends when dropped.
#[derive(Debug)]
pub struct Line {
    /// Its address, as a server's.
    pub url: String,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Line {
    /// Lays a line to a server.
    ///
    /// # Errors
    /// If no port is free, or the server's address is none.
    pub async fn to(server: &str, shape: Shape, seed: u64) -> Result<Self> {
        let server: SocketAddr = server.trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let free = [Instant::now(); 2];
        let state = Mutex::new(State { shape, dice: Dice::new(seed), planned: VecDeque::new(), free });
        let shared = Arc::new(Shared { state, counts: watch::Sender::new(Counts::default()) });
        let listening = tokio::spawn(listen(listener, server, shared.clone())).abort_handle();
        Ok(Self { url, shared, listening })
    }

    /// Changes what the line is like for connections to come.
    pub fn set(&self, shape: Shape) {
        self.shared.state().shape = shape;
    }

    /// Cuts one of the next connections: planned ones come one after the other, before any that chance brings.
    pub fn plan(&self, cut: Cut) {
        self.shared.state().planned.push_back(cut);
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until something has happened.
    ///
    /// # Errors
    /// Never while the line is there.
    pub async fn until(&self, happened: impl FnMut(&Counts) -> bool) -> Result<Counts> {
        Ok(*self.shared.counts.subscribe().wait_for(happened).await?)
    }
}

async fn listen(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((device, _)) = listener.accept().await {
        connections.spawn(carry(device, server, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Whether a connection is lost, and else where it is cut, if it is.
fn fate(state: &mut State) -> (bool, Option<Cut>) {
    if let Some(cut) = state.planned.pop_front() {
        return (false, Some(cut));
    }
    let Shape { lost, cut, within, silence, .. } = state.shape;
    if state.dice.chance(lost) {
        return (true, None);
    }
    let is_cut = state.dice.chance(cut);
    let way = if state.dice.chance(500) { Way::Up } else { Way::Down };
    let ends = if silence { 3 } else { 2 };
    let end = [End::Reset, End::Close, End::Silence].get(state.dice.below(ends)).copied().unwrap_or(End::Reset);
    let after = u64::try_from(state.dice.below(within)).unwrap_or(0);
    (false, is_cut.then_some(Cut { way, after, end }))
}

async fn carry(mut device: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    shared.counts.send_modify(|counts| counts.connections += 1);
    let (is_lost, cut) = fate(&mut shared.state());
    let open = Instant::now() + shared.state().shape.round_trip;
    if is_lost {
        sleep_until(open).await;
        let _ = device.set_zero_linger();
        shared.counts.send_modify(|counts| counts.lost += 1);
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // The kernel's waiting for more is no part of this line.
    let _ = (device.set_nodelay(true), server.set_nodelay(true));
    let cut_of = |way: Way| cut.filter(|cut| cut.way == way).map(|cut| cut.after);
    let (mut from_device, mut to_device) = device.split();
    let (mut from_server, mut to_server) = server.split();
    let up = Pipe { way: Way::Up, cut: cut_of(Way::Up), open, shared: &shared };
    let down = Pipe { way: Way::Down, cut: cut_of(Way::Down), open, shared: &shared };
    let carried =
        tokio::try_join!(up.carry(&mut from_device, &mut to_server), down.carry(&mut from_server, &mut to_device));
    let Err(Broken { by_cut: true }) = carried else { return };
    match cut.map(|cut| cut.end) {
        Some(End::Reset) => {
            let _ = (device.set_zero_linger(), server.set_zero_linger());
            drop((device, server));
            shared.counts.send_modify(|counts| counts.cuts += 1);
        }
        Some(End::Close) | None => {
            drop((device, server));
            shared.counts.send_modify(|counts| counts.cuts += 1);
        }
        // The sockets stay open: whoever waits gives up by itself, and the other side does not hear of that either.
        Some(End::Silence) => {
            shared.counts.send_modify(|counts| counts.cuts += 1);
            std::future::pending::<()>().await;
        }
    }
}

/// A connection that does not go on.
struct Broken {
    by_cut: bool,
}

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Self { by_cut: false }
    }
}

/// One direction of one connection.
struct Pipe<'a> {
    way: Way,
    cut: Option<u64>,
    open: Instant,
    shared: &'a Shared,
}

impl Pipe<'_> {
    async fn carry(&self, from: &mut tcp::ReadHalf<'_>, to: &mut tcp::WriteHalf<'_>) -> Result<(), Broken> {
        let (enters, leaves) = mpsc::unbounded_channel();
        tokio::try_join!(self.take(from, enters), self.deliver(leaves, to))?;
        Ok(())
    }

    /// Takes no more than the pipe lets through: what comes faster waits in the sender's own buffers.
    async fn take(
        &self,
        from: &mut tcp::ReadHalf<'_>,
        enters: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    ) -> Result<(), Broken> {
        sleep_until(self.open).await;
        let mut piece = [0; PIECE];
        loop {
            let count = from.read(&mut piece).await?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            let (through, arrives) = self.occupy(count);
            sleep_until(through).await;
            let _ = enters.send((arrives, bytes.to_vec()));
        }
    }

    /// Lets bytes into the pipe, behind those of other connections: when they are in, and when they come out.
    fn occupy(&self, count: usize) -> (Instant, Instant) {
        let mut state = self.shared.state();
        let Shape { bits_a_second, round_trip, .. } = state.shape;
        let nanoseconds = u64::try_from(count).unwrap_or(0).saturating_mul(8_000_000_000) / bits_a_second.max(1);
        let [up, down] = &mut state.free;
        let free = if self.way == Way::Up { up } else { down };
        *free = (*free).max(Instant::now()) + Duration::from_nanos(nanoseconds);
        (*free, *free + round_trip / 2)
    }

    async fn deliver(
        &self,
        mut leaves: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        to: &mut tcp::WriteHalf<'_>,
    ) -> Result<(), Broken> {
        let mut left = self.cut.map_or(usize::MAX, |after| usize::try_from(after).unwrap_or(usize::MAX));
        while let Some((arrives, bytes)) = leaves.recv().await {
            sleep_until(arrives).await;
            let through = bytes.get(..left).unwrap_or(&bytes);
            to.write_all(through).await?;
            let count = u64::try_from(through.len()).unwrap_or(0);
            self.shared.counts.send_modify(|counts| match self.way {
                Way::Up => counts.up += count,
                Way::Down => counts.down += count,
            });
            if bytes.len() >= left {
                return Err(Broken { by_cut: true });
            }
            left -= bytes.len();
        }
        to.shutdown().await?;
        Ok(())
    }
}
