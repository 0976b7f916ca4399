//! Both ends of a sync with a hub over HTTP: the phone's driver, and what an HTTP server of a hub calls.
//!
//! The bodies are sealed for the meeting (see [`crate::channel`]), so that the village's network need not be trusted.

use super::{Answer, Http, Progress, Teller, Traffic, answer::unpack, problem, refusal, size, unreachable};
use crate::{
    Answered, Device, Error, Failure, HUB_SIZES, Host, Hub, HubProblem,
    channel::{Altered, Channel, Ephemeral},
    lock::SyncLock,
};
use reqwest::{StatusCode, header};
use std::io::Read;
use sync_protocol::{
    Hash,
    chain::Signature,
    engine::device::{Action, Event, Report, Turn},
    problem::{Code, Problem},
    wire::{Greeting, Welcome},
};
use tokio::time::timeout;

/// So often a phone greets a hub in one sync: it may have been started anew, or have met many since.
const GREETINGS: u32 = 3;
/// How hard bodies are compressed for a network in one room.
const LEVEL: i32 = 3;
/// A request is never larger than this after decompression, like a server's.
const REQUEST_MAX: u64 = 4 << 20;
/// A hub's answer to a greeting is never larger than this: until it has been read, nobody knows who answered.
const WELCOME_MAX: usize = 256 << 10;
/// A hub's reply is never larger than this, neither as it comes nor after decompression.
const REPLY_MAX: usize = 8 << 20;

/// What came of a sync with a hub.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// What people call the hub.
    pub hub: String,
    /// What the turn did; what it acked is on the hub, or on the server where the hub brought a receipt.
    pub report: Report,
    /// What crossed the line.
    pub traffic: Traffic,
}

fn draw<const N: usize>(host: &mut impl Host) -> [u8; N] {
    let mut drawn = [0; N];
    host.random(&mut drawn);
    drawn
}

impl Http {
    /// Syncs the device with a hub, now; `progress` hears of each step.
    ///
    /// # Errors
    /// [`Error::Hub`] if what answers is no hub for this device; [`Error::Syncing`] if a sync is running already;
    /// [`Error::Unreachable`] or [`Error::GaveUp`]: nothing is lost, try later.
    pub async fn sync_with_hub<H: Host>(
        &self,
        device: &mut Device<H>,
        hub: &str,
        progress: impl FnMut(&Progress),
    ) -> Result<Meeting, Error> {
        let hub = hub.trim_end_matches('/');
        let _lock = SyncLock::take(&device.file)?;
        let mut teller = Teller::new(progress, device.to_send()?.0);
        let mut turn = Turn::with_sizes(concat!("tenun/", env!("CARGO_PKG_VERSION")), HUB_SIZES).with_hub();
        for _ in 0..GREETINGS {
            if let Some((hub, report)) = self.meet(device, hub, &mut turn, &mut teller).await? {
                teller.sent_all();
                return Ok(Meeting { hub, report, traffic: teller.traffic() });
            }
        }
        Err(Error::Refused(Problem::new(
            Code::Unauthorised,
            "the hub forgets whom it has met; nothing is lost, try later",
        )))
    }

    /// Greets a hub and runs the turn, or goes on with it: the hub's name, and what the turn did. None where the hub is to be greeted
    /// again: it forgot the meeting, or told of a restore of the server.
    async fn meet<H: Host>(
        &self,
        device: &mut Device<H>,
        hub: &str,
        turn: &mut Turn,
        teller: &mut Teller<impl FnMut(&Progress)>,
    ) -> Result<Option<(String, Report)>, Error> {
        let ephemeral = Ephemeral::new(draw(device.host()));
        let greeting = device.greeting(ephemeral.nonce())?;
        let welcome = self.greet(hub, &greeting).await?;
        let channel = ephemeral.channel(welcome.nonce).ok_or(HubProblem::Unknown)?;
        let met = match device.meet(&greeting, &welcome) {
            Err(Error::Hub(HubProblem::Doubted)) => return Ok(None),
            met => met?,
        };
        let token = format!("{}{}", welcome.nonce, met.proof);
        let mut visit = device.visit(&met);
        let mut event = Event::Begin;
        loop {
            let now = visit.device().host().now_ms();
            match turn.step(&mut visit, event, now)? {
                Action::Send(body) => {
                    let device = visit.device();
                    teller.sending(device.to_send()?.0, None);
                    let drawn = draw(device.host());
                    event = match self.exchange_sealed(hub, &token, &channel, drawn, &body, teller).await {
                        Err(Error::Busy { .. }) => return Err(HubProblem::Full(met.name).into()),
                        answered => answered?,
                    };
                    if matches!(&event, Event::Rejected(problem) if problem.code == Code::Unauthorised) {
                        return Ok(None);
                    }
                }
                Action::Done(report) => return Ok(Some((met.name, report))),
                Action::GiveUp(_, why) => return Err(why.into()),
            }
        }
    }

    async fn greet(&self, hub: &str, greeting: &Greeting) -> Result<Welcome, Error> {
        let body = serde_json::to_vec(greeting).map_err(|error| Error::Corrupt(error.to_string()))?;
        let request = self.client.post(format!("{hub}/v1/hub")).header(header::CONTENT_TYPE, "application/json");
        let answer = self.ask_at_most(WELCOME_MAX, request.body(body)).await?;
        let (status, body) = (answer.status, answer.body()?);
        if status != StatusCode::OK {
            let problem = problem(status, &body);
            let is_turned_away = problem.code == Code::Forbidden;
            return Err(if is_turned_away {
                HubProblem::TurnedAway(problem.detail).into()
            } else {
                Error::Refused(problem)
            });
        }
        serde_json::from_slice(&body).map_err(|_ignored| HubProblem::Unknown.into())
    }

    async fn exchange_sealed(
        &self,
        hub: &str,
        token: &str,
        channel: &Channel,
        drawn: [u8; 24],
        body: &[u8],
        teller: &mut Teller<impl FnMut(&Progress)>,
    ) -> Result<Event, Error> {
        let packed = zstd::encode_all(body, LEVEL).map_err(|error| Error::Corrupt(error.to_string()))?;
        let altered = |altered: Altered| Error::Unreachable(altered.to_string());
        let sealed = channel.seal(drawn, &[], &packed).map_err(altered)?;
        teller.sent(size(&sealed));
        let request = self.client.post(format!("{hub}/v1/sync")).bearer_auth(token);
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(sealed.clone());
        let response = match timeout(self.patience, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(unreachable(error)),
            Ok(Err(_)) | Err(_) => return Ok(Event::TimedOut),
        };
        let answer =
            Answer::read_at_most(REPLY_MAX, response, self.patience, |bytes, _| teller.received(bytes, None)).await;
        let (status, busy_s, is_cut) = (answer.status, answer.retry_after_s, answer.is_cut);
        let body = answer.body()?;
        match status {
            // Of a box that was cut nothing can be read.
            StatusCode::OK if is_cut => Ok(Event::TimedOut),
            StatusCode::OK => Ok(Event::Answered(unpack(&channel.open(&sealed, &body).map_err(altered)?, REPLY_MAX)?)),
            status => refusal(status, busy_s, is_cut, &body),
        }
    }
}

/// Answers a greeting that came over HTTP.
///
/// # Errors
/// As [`Hub::greet`]; [`Code::WrongType`] if the body is no greeting.
pub fn welcome<H: Host>(hub: &mut Hub, device: &mut Device<H>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let greeting: Greeting = serde_json::from_slice(body)
        .map_err(|_ignored| Problem::new(Code::WrongType, "the body takes `pass` and `nonce`"))?;
    let drawn = Ephemeral::new(draw(device.host()));
    let welcome = hub.greet(device, &greeting, &drawn)?;
    serde_json::to_vec(&welcome).map_err(|error| Error::Corrupt(error.to_string()).into())
}

/// The hub's nonce and the guest's signature, which the bearer token of a meeting is made of.
fn read_token(token: &str) -> Option<(Hash, Signature)> {
    let (nonce, proof) = token.split_at_checked(64)?;
    Some((nonce.parse().ok()?, proof.parse().ok()?))
}

/// Whether a hub has met whoever sends this token: before that, no more of a request need be read.
#[must_use]
pub fn has_met(hub: &Hub, token: &str) -> bool {
    read_token(token).is_some_and(|(nonce, proof)| hub.has_met(nonce, &proof))
}

/// Answers a sealed request that came over HTTP with the bearer token of its meeting: the hub's nonce and the guest's
/// signature.
///
/// # Errors
/// As [`Hub::answer`]; [`Code::BadEncoding`] if the box was altered or does not hold what it should.
pub fn serve<H: Host>(hub: &mut Hub, device: &mut Device<H>, token: &str, sealed: &[u8]) -> Result<Answered, Failure> {
    let stranger = || Problem::new(Code::Unauthorised, "this hub has not met you: greet it again");
    let (nonce, proof) = read_token(token).ok_or_else(stranger)?;
    let channel = hub.channel(nonce).ok_or_else(stranger)?.clone();
    let broken = |what: &str| Problem::new(Code::BadEncoding, what);
    let packed = channel.open(&[], sealed).map_err(|altered| broken(&altered.to_string()))?;
    let body = unpack_request(&packed).ok_or_else(|| broken("at most 4 MiB of zstd"))?;
    let answered = hub.answer(device, nonce, &proof, &body)?;
    let packed =
        zstd::encode_all(answered.body.as_slice(), LEVEL).map_err(|error| Error::Corrupt(error.to_string()))?;
    let drawn = draw(device.host());
    let body = channel.seal(drawn, sealed, &packed).map_err(|altered| Error::Corrupt(altered.to_string()))?;
    Ok(Answered { body, ..answered })
}

/// Decompresses a request; none if it is broken or too large.
fn unpack_request(packed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed).ok()?;
    let read = decoder.take(REQUEST_MAX.saturating_add(1)).read_to_end(&mut out).ok()?;
    (u64::try_from(read).ok()? <= REQUEST_MAX).then_some(out)
}
