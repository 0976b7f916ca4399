//! The network of a native device: enrolment, questionnaires and the driver of the sync engine over HTTP.

mod answer;
mod attachments;
mod hub;
mod progress;

use crate::{Crossing, Device, Error, Host, Line, lock::SyncLock};
use answer::{Answer, problem};
pub use attachments::Sending;
pub use hub::{Meeting, has_met, serve, welcome};
use progress::Teller;
pub use progress::{Progress, Stage, Traffic};
use reqwest::{StatusCode, header};
use std::{
    io::Write,
    time::{Duration, Instant},
};
use sync_protocol::{
    engine::device::{Action, Event, Report, Turn},
    problem::{Class, Code},
    wire::{Enrolled, seams},
};
use tokio::time::timeout;

/// How hard uploads are compressed: the phone has time, the line has not.
///
/// Measured on 100 interviews (490 KB): level 3 gives 1.51 times the bytes of the final answers at level 3, level 9
/// 1.30, level 19 1.15; in 1, 6 and 125 ms.
pub const LEVEL: i32 = 19;
/// How long the line may stand still before a request counts as lost. A request may take as long as it likes while bytes
/// move. Longer than the server's own patience with a body that stands still.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an open line is used again: servers close theirs after five seconds of silence, and a request that crosses that is lost.
const IDLE: Duration = Duration::from_secs(4);
/// How often a questionnaire is asked for in one sync, while the line breaks.
const FETCHES: u32 = 4;
/// Bytes before compression from one flush of an upload to the next: each costs some ten bytes.
const FLUSH: usize = 16 << 10;

/// A way to the server.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    patience: Duration,
}

impl Http {
    /// Makes a way to servers; one serves any number of devices.
    ///
    /// # Errors
    /// If the operating system gives no TLS.
    pub fn new() -> Result<Self, Error> {
        Self::with_patience(PATIENCE)
    }

    /// Makes a way to servers over lines that may stand still so long and no longer.
    ///
    /// # Errors
    /// If the operating system gives no TLS.
    pub fn with_patience(patience: Duration) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().connect_timeout(patience).tcp_keepalive(patience / 3);
        let builder = builder.pool_idle_timeout(IDLE);
        // Bytes that the other side does not confirm are progress that does not happen.
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let builder = builder.tcp_user_timeout(patience);
        let client = builder.build().map_err(|error| Error::Unreachable(error.without_url().to_string()))?;
        Ok(Self { client, patience })
    }

    /// Enrols the device with the one-time code that a coordinator gave out.
    ///
    /// # Errors
    /// [`Error::Refused`] if the code is wrong, used or too old; [`Error::Unreachable`] without a network.
    pub async fn enrol<H: Host>(
        &self,
        device: &mut Device<H>,
        server: &str,
        code: &str,
        name: &str,
    ) -> Result<Enrolled, Error> {
        let server = server.trim_end_matches('/');
        let ask = device.enrolment(code, name)?;
        let body = serde_json::to_vec(&ask).map_err(|error| Error::Corrupt(error.to_string()))?;
        let request = self.client.post(format!("{server}/v1/enrol"));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let answer = self.ask(request).await?;
        let (status, body) = (answer.status, answer.body()?);
        if status != StatusCode::OK {
            return Err(Error::Refused(problem(status, &body)));
        }
        let answer: Enrolled = serde_json::from_slice(&body).map_err(|_ignored| not_a_server(server))?;
        device.enrolled(server, &answer)?;
        Ok(answer)
    }

    /// Syncs the device with its server, now; `progress` hears of each step.
    ///
    /// What is known of the line is kept on the device, and so is what was sent and got no answer: a sync that is broken
    /// off, by the line or by the end of the process, goes on there the next time.
    ///
    /// # Errors
    /// [`Error::Syncing`] if a sync of this device is running already, in this process or another.
    /// [`Error::Unreachable`], [`Error::Busy`] or [`Error::GaveUp`]: nothing is lost, try later. [`Error::Refused`]: a
    /// person must look.
    pub async fn sync<H: Host>(
        &self,
        device: &mut Device<H>,
        progress: impl FnMut(&Progress),
    ) -> Result<(Report, Traffic), Error> {
        let (server, token) = device.server()?;
        let _lock = SyncLock::take(&device.file)?;
        let mut line = device.known_line()?;
        let mut kept = line;
        let mut turn = Turn::with_sizes(concat!("tenun/", env!("CARGO_PKG_VERSION")), line.sizes());
        let mut teller = Teller::new(progress, device.to_send()?.0);
        let (mut event, mut was_answered) = (Event::Begin, false);
        let report = loop {
            let now = device.host().now_ms();
            let batch = turn.batch();
            let action = turn.step(device, event, now)?;
            if turn.batch() != batch {
                line.keep_batch(turn.batch());
            }
            if line != kept {
                device.keep_line(&line)?;
                kept = line;
            }
            match action {
                Action::Send(body) => {
                    let (records, bytes) = device.to_send()?;
                    teller.sending(records, line.left(bytes));
                    let reached = self.exchange(&server, &token, &body, &mut line, &mut teller).await;
                    event = match reached {
                        // The line had worked: what looks like no network is one more cut.
                        Err(Error::Unreachable(_)) if was_answered => Event::TimedOut,
                        reached => reached?,
                    };
                    was_answered = was_answered || matches!(event, Event::Answered(_));
                }
                Action::Done(report) => break report,
                Action::GiveUp(_, why) => return Err(why.into()),
            }
        };
        teller.sent_all();
        for reference in device.missing_questionnaires()? {
            teller.fetching();
            self.fetch_questionnaire(device, &server, &token, &reference, &mut teller).await?;
        }
        Ok((report, teller.traffic()))
    }

    async fn exchange(
        &self,
        server: &str,
        token: &str,
        body: &[u8],
        line: &mut Line,
        teller: &mut Teller<impl FnMut(&Progress)>,
    ) -> Result<Event, Error> {
        let packed = pack(body).map_err(|error| Error::Corrupt(error.to_string()))?;
        let up = size(&packed);
        teller.sent(up);
        let request = self
            .client
            .post(format!("{server}/v1/sync"))
            .bearer_auth(token)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::CONTENT_ENCODING, "zstd")
            .header(header::ACCEPT_ENCODING, "zstd")
            .body(packed);
        let begun = Instant::now();
        let response = match timeout(self.patience + line.transit(up), request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(unreachable(error)),
            Ok(Err(_)) | Err(_) => return Ok(Event::TimedOut),
        };
        let until_head = begun.elapsed();
        let known = *line;
        let answer = Answer::read(response, self.patience, |bytes, rest| {
            teller.received(bytes, rest.and_then(|rest| known.left_down(rest)));
        });
        let answer = answer.await;
        if !answer.is_cut {
            let reply = begun.elapsed().saturating_sub(until_head);
            line.learn(&Crossing { raw_up: size(body), up, down: size(&answer.bytes), until_head, reply });
        }
        let (status, busy_s, is_cut) = (answer.status, answer.retry_after_s, answer.is_cut);
        let body = match answer.body() {
            Ok(body) => body,
            Err(_) if is_cut => return Ok(Event::TimedOut),
            Err(error) => return Err(error),
        };
        match status {
            // Of a reply that was cut off what is whole counts; nothing is whole without a first line.
            StatusCode::OK if is_cut && !body.contains(&b'\n') => Ok(Event::TimedOut),
            StatusCode::OK => Ok(Event::Answered(body)),
            status => refusal(status, busy_s, is_cut, &body),
        }
    }

    async fn fetch_questionnaire<H: Host>(
        &self,
        device: &mut Device<H>,
        server: &str,
        token: &str,
        reference: &str,
        teller: &mut Teller<impl FnMut(&Progress)>,
    ) -> Result<(), Error> {
        let (id, version) = reference.rsplit_once('@').unwrap_or((reference, ""));
        let mut tries = 0;
        let answer = loop {
            let request = self
                .client
                .get(format!("{server}/v1/questionnaires/{id}/{version}"))
                .bearer_auth(token)
                .header(header::ACCEPT_ENCODING, "zstd");
            tries += 1;
            match self.ask(request).await {
                // The sync itself is done: the line works.
                Err(Error::Unreachable(_)) if tries < FETCHES => {}
                answer => break answer?,
            }
        };
        teller.received(size(&answer.bytes), None);
        let (status, body) = (answer.status, answer.body()?);
        if status != StatusCode::OK {
            return Err(Error::Refused(problem(status, &body)));
        }
        let json = String::from_utf8(body).map_err(|_ignored| not_a_server(server))?;
        device.store_questionnaire(&json)
    }

    /// Asks something small and waits for the whole answer.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        self.ask_at_most(answer::REPLY_MAX, request).await
    }

    async fn ask_at_most(&self, most: usize, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        let silent = || Error::Unreachable("no answer in time".into());
        let response = timeout(self.patience, request.send()).await.map_err(|_elapsed| silent())?;
        let answer = Answer::read_at_most(most, response.map_err(unreachable)?, self.patience, |_, _| ()).await;
        if answer.is_cut { Err(Error::Unreachable("the answer was cut off".into())) } else { Ok(answer) }
    }
}

/// What an answer other than a reply means to a turn.
fn refusal(status: StatusCode, busy_s: Option<u64>, is_cut: bool, body: &[u8]) -> Result<Event, Error> {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            busy_s.map_or(Ok(Event::TimedOut), |after_s| Err(Error::Busy { after_s }))
        }
        StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => Ok(Event::TimedOut),
        _ if is_cut => Ok(Event::TimedOut),
        _ => match problem(status, body) {
            // The server heard of a cut where the device had not: it counts as one.
            problem if problem.code.class() == Class::Retry || problem.code == Code::CutOff => Ok(Event::TimedOut),
            problem => Ok(Event::Rejected(problem)),
        },
    }
}

/// Compresses a request as one stream that is flushed in front of its batches: of an upload that is cut, all batches that
/// arrived can be read, and each is compressed in the light of those before it.
///
/// # Errors
/// If memory runs out.
pub fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    // The window is not larger than the message.
    encoder.set_pledged_src_size(u64::try_from(body.len()).ok())?;
    let (mut rest, mut written) = (body, 0_usize);
    for seam in seams(body) {
        let part = seam.saturating_sub(written);
        if part >= FLUSH
            && let Some((part, after)) = rest.split_at_checked(part)
        {
            encoder.write_all(part)?;
            encoder.flush()?;
            (rest, written) = (after, seam);
        }
    }
    encoder.write_all(rest)?;
    encoder.finish()
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(0)
}

fn unreachable(error: reqwest::Error) -> Error {
    if error.is_builder() {
        return Error::BadAnswer("an address is written as http://ADDRESS:PORT, or https://NAME".into());
    }
    Error::Unreachable(error.without_url().to_string())
}

fn not_a_server(server: &str) -> Error {
    Error::Unreachable(format!("{server} does not answer like a Tenun server: check the address"))
}
