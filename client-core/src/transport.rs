//! The network of a native device: enrolment, questionnaires and the driver of the sync engine over HTTP.

mod attachments;

pub use attachments::Sending;

use crate::{Device, Error, Host};
use reqwest::{StatusCode, header};
use std::{io::Read, time::Duration};
use sync_protocol::{
    engine::device::{Action, Event, Report, Turn},
    problem::{Class, Code, Problem},
    wire::Enrolled,
};

/// How hard uploads are compressed: the phone has time, the line has not.
///
/// Measured on 100 interviews (490 KB): level 3 gives 1.51 times the bytes of the final answers at level 3, level 9
/// 1.30, level 19 1.15; in 1, 6 and 125 ms.
pub const LEVEL: i32 = 19;
/// A reply is never larger than this after decompression.
const REPLY_MAX: u64 = 64 << 20;
/// How long one request may take before the engine tries a smaller one.
const PATIENCE: Duration = Duration::from_secs(120);

/// A way to the server.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
}

/// What crossed the line in one sync, without headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Bytes of bodies sent.
    pub up: u64,
    /// Bytes of bodies received.
    pub down: u64,
}

impl Http {
    /// Makes a way to servers; one serves any number of devices.
    ///
    /// # Errors
    /// If the operating system gives no TLS.
    pub fn new() -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| Error::Unreachable(error.without_url().to_string()))?;
        Ok(Self { client })
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
        let response = request.send().await.map_err(unreachable)?;
        let answer = Answer::read(response).await.map_err(unreachable)?;
        let (status, body) = (answer.status, answer.body()?);
        if status != StatusCode::OK {
            return Err(Error::Refused(problem(status, &body)));
        }
        let answer: Enrolled = serde_json::from_slice(&body).map_err(|_ignored| not_a_server(server))?;
        device.enrolled(server, &answer)?;
        Ok(answer)
    }

    /// Syncs the device with its server; `progress` hears of each round trip.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::GaveUp`]: nothing is lost, try later. [`Error::Refused`]: a person
    /// must look.
    pub async fn sync<H: Host>(
        &self,
        device: &mut Device<H>,
        mut progress: impl FnMut(Traffic),
    ) -> Result<(Report, Traffic), Error> {
        let (server, token) = device.server()?;
        let mut turn = Turn::new(concat!("tenun/", env!("CARGO_PKG_VERSION")));
        let mut traffic = Traffic::default();
        let mut event = Event::Begin;
        let report = loop {
            let now = device.host().now_ms();
            match turn.step(device, event, now)? {
                Action::Send(body) => {
                    event = self.exchange(&server, &token, body, &mut traffic).await?;
                    progress(traffic);
                }
                Action::Done(report) => break report,
                Action::GiveUp(_, why) => return Err(why.into()),
            }
        };
        for reference in device.missing_questionnaires()? {
            self.fetch_questionnaire(device, &server, &token, &reference, &mut traffic).await?;
        }
        Ok((report, traffic))
    }

    async fn exchange(&self, server: &str, token: &str, body: Vec<u8>, traffic: &mut Traffic) -> Result<Event, Error> {
        let packed = zstd::bulk::compress(&body, LEVEL).map_err(|error| Error::Corrupt(error.to_string()))?;
        traffic.up += u64::try_from(packed.len()).unwrap_or(0);
        let request = self
            .client
            .post(format!("{server}/v1/sync"))
            .bearer_auth(token)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::CONTENT_ENCODING, "zstd")
            .header(header::ACCEPT_ENCODING, "zstd")
            .body(packed);
        match request.send().await {
            Ok(response) => {
                let Ok(answer) = Answer::read(response).await else {
                    return Ok(Event::TimedOut);
                };
                traffic.down += answer.size();
                let (status, body) = (answer.status, answer.body()?);
                match status {
                    StatusCode::OK => Ok(Event::Answered(body)),
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => {
                        Ok(Event::TimedOut)
                    }
                    _ => match problem(status, &body) {
                        problem if problem.code.class() == Class::Retry => Ok(Event::TimedOut),
                        problem => Ok(Event::Rejected(problem)),
                    },
                }
            }
            Err(error) if error.is_connect() => Err(unreachable(error)),
            Err(_) => Ok(Event::TimedOut),
        }
    }

    async fn fetch_questionnaire<H: Host>(
        &self,
        device: &mut Device<H>,
        server: &str,
        token: &str,
        reference: &str,
        traffic: &mut Traffic,
    ) -> Result<(), Error> {
        let (id, version) = reference.rsplit_once('@').unwrap_or((reference, ""));
        let request = self
            .client
            .get(format!("{server}/v1/questionnaires/{id}/{version}"))
            .bearer_auth(token)
            .header(header::ACCEPT_ENCODING, "zstd");
        let response = request.send().await.map_err(unreachable)?;
        let answer = Answer::read(response).await.map_err(unreachable)?;
        traffic.down += answer.size();
        let (status, body) = (answer.status, answer.body()?);
        if status != StatusCode::OK {
            return Err(Error::Refused(problem(status, &body)));
        }
        let json = String::from_utf8(body).map_err(|_ignored| not_a_server(server))?;
        device.store_questionnaire(&json)
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::Unreachable(error.without_url().to_string())
}

/// What the server answered, as it crossed the line.
struct Answer {
    status: StatusCode,
    bytes: Vec<u8>,
    is_packed: bool,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let status = response.status();
        let is_packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "zstd");
        Ok(Self { status, bytes: response.bytes().await?.to_vec(), is_packed })
    }

    /// Bytes on the line.
    fn size(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(0)
    }

    /// The body, decompressed.
    fn body(self) -> Result<Vec<u8>, Error> {
        if self.is_packed { unpack(&self.bytes) } else { Ok(self.bytes) }
    }
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Unreachable(format!("the answer arrived broken: {error}"));
    let decoder = zstd::stream::read::Decoder::new(body).map_err(failed)?;
    let mut out = Vec::new();
    // A reply that was cut off is used as far as it goes.
    match decoder.take(REPLY_MAX).read_to_end(&mut out) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(failed(error)),
        Ok(_) | Err(_) => Ok(out),
    }
}

/// Reads a problem document (RFC 9457), or makes one of a bare status.
fn problem(status: StatusCode, body: &[u8]) -> Problem {
    #[derive(serde::Deserialize)]
    struct Document {
        code: serde_json::Value,
        #[serde(default)]
        detail: String,
    }
    match serde_json::from_slice::<Document>(body) {
        Ok(document) => {
            let known = serde_json::from_value(document.code).unwrap_or(Code::Internal);
            Problem::new(known, document.detail)
        }
        Err(_) => Problem::new(Code::Internal, format!("the server answered {status}")),
    }
}

fn not_a_server(server: &str) -> Error {
    Error::Unreachable(format!("{server} does not answer like a Tenun server: check the address"))
}
