//! Photos and files over the network: uploads by tus 1.0.0, which go on at the byte where they were cut; thumbnails;
//! originals on demand. Answers go first: call this after [`Http::sync`].

use super::{Answer, Http, problem, size, unreachable};
use crate::{
    Device, Error, Host, Line,
    device::ToSend,
    lock::SyncLock,
    store::{AttachmentRow, LOST},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use sync_protocol::{
    Attachment, Hash,
    problem::{Code, Problem},
};
use tokio::time::timeout;

/// Bytes of one request, while the line is good.
const PART: usize = 512 << 10;
/// The least that is worth a request.
const PART_MIN: usize = 16 << 10;
/// A request that takes longer than this is made smaller: answers that are waiting go first, but only between requests.
const SLOW: Duration = Duration::from_secs(30);
/// Files in a row that fail, after which it is hardly the files.
const FAILED_MAX: u32 = 5;
/// Requests without a byte of progress, after which it is given up for this time.
const TRIES: u32 = 4;
/// The status that tus gives to bytes with another checksum.
const CHECKSUM_MISMATCH: u16 = 460;
/// Thumbnails of one night.
const THUMBNAILS: usize = 500;

/// How far the sending of attachments has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sending {
    /// Attachments that were to be sent.
    pub files: u64,
    /// Of these, those that the server has now.
    pub sent: u64,
    /// Of these, those that it does not take.
    pub refused: u64,
    /// Of these, those that failed by themselves, on the device or on the server; they are tried again next time, after the others.
    pub failed: u64,
    /// Besides, those whose bytes are lost on this device, as the server was told now.
    pub lost: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the server has.
    pub through: u64,
    /// Bytes of bodies that crossed the line.
    pub up: u64,
}

/// What came of one attachment.
enum Outcome {
    Sent,
    Refused(String),
    Lost,
    /// Nothing that the server has to know, or that it can use yet: it is looked at again next time.
    Open,
}

/// What failed of one file while the others go on.
#[derive(Default)]
struct Failures {
    first: Option<Error>,
    in_a_row: u32,
}

impl Failures {
    /// Notes what became of one file.
    ///
    /// # Errors
    /// What no other file would fare better with.
    fn note<T>(&mut self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        let error = match outcome {
            Ok(done) => {
                self.in_a_row = 0;
                return Ok(Some(done));
            }
            Err(error) => error,
        };
        // What a revoked phone may not send says nothing of the rest.
        let is_forbidden = matches!(&error, Error::Refused(problem) if problem.code == Code::Forbidden);
        self.in_a_row += u32::from(!is_forbidden);
        let of_one_file = if let Error::Refused(problem) = &error {
            !matches!(problem.code, Code::Unauthorised | Code::UnsupportedUpload | Code::NoSpace)
        } else {
            matches!(error, Error::File(_))
        };
        if !of_one_file || self.in_a_row >= FAILED_MAX {
            return Err(error);
        }
        self.first.get_or_insert(error);
        Ok(None)
    }

    /// Tells the first of them at the end.
    fn told(self) -> Result<(), Error> {
        self.first.map_or(Ok(()), Err)
    }
}

/// Waits while answers of the device are being sent or received: they go first.
async fn let_answers_go_first(database: &Path) -> Result<(), Error> {
    if !SyncLock::is_held(database)? {
        return Ok(());
    }
    let database = database.to_owned();
    let waited = tokio::task::spawn_blocking(move || SyncLock::wait(&database)).await;
    waited.map_err(|ended| Error::Lock(ended.to_string()))?
}

impl Http {
    /// Sends the attachments that this device's saves name, the smallest first; `progress` hears of each request. A sync of
    /// answers may run beside it, and goes first.
    ///
    /// A file that fails by itself does not keep the others from being sent.
    ///
    /// # Errors
    /// [`Error::Syncing`] if another call sends photos. [`Error::Unreachable`]: nothing is lost, and the next call goes on where
    /// this one was cut. [`Error::Refused`], [`Error::File`]: a person must look; told after all others have been tried, where
    /// it is one file's.
    pub async fn send_attachments<H: Host>(
        &self,
        device: &mut Device<H>,
        mut progress: impl FnMut(Sending),
    ) -> Result<Sending, Error> {
        let _lock = SyncLock::take_for_photos(&device.file)?;
        device.delete_dropped_files()?;
        let (server, token) = device.server()?;
        let line = device.known_line()?;
        let ToSend { here, lost } = device.attachments_to_send()?;
        let mut sending = Sending { files: count(here.len()), ..Sending::default() };
        sending.bytes = here.iter().map(|row| row.named.size).sum();
        let (mut done, mut failures) = (0, Failures::default());
        let all = here.into_iter().map(|row| (row, true)).chain(lost.into_iter().map(|row| (row, false)));
        for (row, is_here) in all {
            let named = row.named.clone();
            let mut upload = Upload { http: self, server: &server, token: &token, line: &line, row, part: PART };
            let heard = |offset, up| {
                (sending.through, sending.up) = (done + offset, sending.up + up);
                progress(sending);
            };
            let outcome = if is_here { upload.run(device, heard).await } else { upload.tell_lost(&device.file).await };
            let now_ms = device.host().now_ms();
            if outcome.is_err() {
                device.store.write(|tx| tx.set_asked(named.hash, now_ms))?;
            }
            match failures.note(outcome)? {
                None => sending.failed += 1,
                Some(Outcome::Sent) => {
                    device.store.write(|tx| tx.set_sent(named.hash, now_ms))?;
                    sending.sent += 1;
                }
                Some(Outcome::Refused(code)) => {
                    device.store.write(|tx| tx.set_refused(named.hash, &code))?;
                    sending.refused += 1;
                }
                Some(Outcome::Lost) => {
                    device.store.write(|tx| tx.set_refused(named.hash, LOST))?;
                    sending.files -= u64::from(is_here);
                    sending.lost += 1;
                }
                Some(Outcome::Open) => {
                    device.store.write(|tx| tx.set_asked(named.hash, now_ms))?;
                    sending.files -= u64::from(is_here);
                }
            }
            done += if is_here { named.size } else { 0 };
            sending.through = done;
            progress(sending);
        }
        failures.told()?;
        Ok(sending)
    }

    /// Fetches small pictures of what others photographed; those whose bytes are still to come are asked for again once all
    /// others have been.
    ///
    /// # Errors
    /// [`Error::Syncing`] if another call sends or fetches photos. [`Error::Unreachable`]: try later. [`Error::Refused`],
    /// [`Error::File`]: a person must look; told after all others have been asked for, where it is one picture's.
    pub async fn fetch_thumbnails<H: Host>(&self, device: &mut Device<H>) -> Result<u64, Error> {
        let _lock = SyncLock::take_for_photos(&device.file)?;
        let (server, token) = device.server()?;
        device.delete_dropped_files()?;
        let (mut fetched, mut failures) = (0, Failures::default());
        for row in device.store.read(|tx| tx.thumbnails_to_fetch(THUMBNAILS))? {
            let_answers_go_first(&device.file).await?;
            let hash = row.named.hash;
            let url = format!("{server}/v1/attachments/{hash}/thumbnail");
            let answer = self.ask(self.client.get(url).bearer_auth(&token)).await?;
            let (status, body) = (answer.status, answer.body()?);
            let outcome = match status {
                StatusCode::OK => device.keep_thumbnail(hash, Some(&body)).map(|()| 1),
                StatusCode::NO_CONTENT => device.keep_thumbnail(hash, None).map(|()| 0),
                StatusCode::NOT_FOUND => Ok(0),
                _ => Err(Error::Refused(problem(status, &body))),
            };
            let now_ms = device.host().now_ms();
            device.store.write(|tx| tx.set_asked(hash, now_ms))?;
            fetched += failures.note(outcome)?.unwrap_or(0);
        }
        failures.told()?;
        Ok(fetched)
    }

    /// Fetches an original that a record on this device names, if it is not here yet.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server does not have it (yet) or this device may not see it; [`Error::Unreachable`].
    pub async fn fetch_original<H: Host>(&self, device: &mut Device<H>, hash: Hash) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = device.original(hash)?
            && Hash(Sha256::digest(&bytes).into()) == hash
        {
            return Ok(bytes);
        }
        let (server, token) = device.server()?;
        let most = device.store.read(|tx| tx.attachment(hash))?.map_or(0, |row| row.named.size);
        let mut bytes: Vec<u8> = Vec::new();
        let (mut tries, mut best) = (0, 0);
        // A line that breaks loses nothing of what came.
        while count(bytes.len()) < most || tries == 0 {
            tries += 1;
            let request = self.client.get(format!("{server}/v1/attachments/{hash}")).bearer_auth(&token);
            let request = request.header(header::RANGE, format!("bytes={}-", bytes.len()));
            let Ok(Ok(mut answer)) = timeout(self.patience, request.send()).await else {
                tries += 1;
                if tries > TRIES {
                    break;
                }
                continue;
            };
            if !answer.status().is_success() {
                return Err(Error::Refused(self.told(answer).await));
            }
            if answer.status() == StatusCode::OK {
                bytes.clear();
            }
            while let Ok(Ok(Some(part))) = timeout(self.patience, answer.chunk()).await {
                bytes.extend_from_slice(&part);
                if count(bytes.len()) > most {
                    return Err(Error::Unreachable("the attachment is longer than its record says".into()));
                }
            }
            if bytes.len() > best {
                (best, tries) = (bytes.len(), 1);
            }
            if tries > TRIES {
                break;
            }
        }
        device.keep_original(hash, &bytes)?;
        Ok(bytes)
    }

    /// What is wrong, by the server's word.
    async fn told(&self, answer: Response) -> Problem {
        let status = answer.status();
        let body = Answer::read(answer, self.patience, |_, _| ()).await.body();
        problem(status, &body.unwrap_or_default())
    }
}

/// One attachment on its way.
struct Upload<'a> {
    http: &'a Http,
    server: &'a str,
    token: &'a str,
    line: &'a Line,
    row: AttachmentRow,
    part: usize,
}

impl Upload<'_> {
    fn request(&self, method: Method, address: &str) -> RequestBuilder {
        let url = if address.starts_with('/') { format!("{}{address}", self.server) } else { address.to_owned() };
        let request = self.http.client.request(method, url).bearer_auth(self.token);
        request.header("Tus-Resumable", "1.0.0")
    }

    /// Sends until all is there; tells the offset that the server has, and the bytes that crossed the line.
    async fn run<H: Host>(
        &mut self,
        device: &mut Device<H>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Outcome, Error> {
        let Attachment { hash, size: whole, .. } = self.row.named;
        // Where the server said last that it goes on; after anything unclear it is asked.
        let (mut tries, mut at, mut best, mut failed) = (0, None, 0, None);
        while tries <= TRIES {
            let_answers_go_first(&device.file).await?;
            let (up, request) = match (self.row.upload.clone().as_deref(), at) {
                // What a card has changed is not sent to find that out.
                (None, _) if !device.is_sound(hash)? => return self.damaged(device).await,
                (None, _) => {
                    // Should the answer be lost with the address, it is asked for.
                    device.store.write(|tx| tx.set_upload(hash, Some("")))?;
                    self.row.upload = Some(String::new());
                    let part = device.part(hash, 0, self.part)?;
                    (size(&part), with_bytes(self.begin(""), part))
                }
                (Some(""), _) => (0, self.begin(",resume")),
                (Some(address), None) => (0, self.request(Method::HEAD, address)),
                (Some(address), Some(from)) => {
                    let part = device.part(hash, from, self.part)?;
                    let request = self.request(Method::PATCH, address).header("Upload-Offset", from.to_string());
                    (size(&part), with_bytes(request, part))
                }
            };
            let begun = Instant::now();
            // As long as the bytes may be on their way, and then as long as a person waits.
            let step = match timeout(self.http.patience + self.line.transit(up), request.send()).await {
                Ok(Ok(answer)) => self.read(answer, device).await?,
                Ok(Err(error)) if error.is_connect() => return Err(unreachable(error)),
                Ok(Err(_)) | Err(_) => Step::Silence,
            };
            if begun.elapsed() > SLOW {
                self.part = (self.part / 2).max(PART_MIN);
            }
            tries += 1;
            (at, failed) = (None, None);
            match step {
                Step::At(offset) => {
                    progress(offset, up);
                    if offset >= whole {
                        return Ok(Outcome::Sent);
                    }
                    if offset > best {
                        (best, tries) = (offset, 0);
                    }
                    at = Some(offset);
                }
                Step::Done(outcome) => return Ok(outcome),
                Step::Damaged => return self.damaged(device).await,
                Step::Ask => {}
                Step::TooLarge(_) if self.part > PART_MIN => {
                    self.part = (self.part / 2).max(PART_MIN);
                    tries = 0;
                }
                Step::Failed(problem) | Step::TooLarge(problem) => failed = Some(problem),
                Step::Silence => self.part = (self.part / 2).max(PART_MIN),
            }
        }
        let silence = || Error::Unreachable("the line is too bad for photos now".into());
        Err(failed.map_or_else(silence, Error::Refused))
    }

    /// The card has changed the bytes: of what is somebody else's the copy goes.
    async fn damaged<H: Host>(&self, device: &mut Device<H>) -> Result<Outcome, Error> {
        if self.row.own {
            return self.tell_lost(&device.file).await;
        }
        device.drop_copy(self.row.named.hash)?;
        Ok(Outcome::Open)
    }

    /// Tells the server that nobody is to wait for these bytes; it may have them from somebody else.
    async fn tell_lost(&self, database: &Path) -> Result<Outcome, Error> {
        let_answers_go_first(database).await?;
        let silence = || Error::Unreachable("no answer in time".into());
        let answer = timeout(self.http.patience, self.begin(",lost").send()).await.map_err(|_late| silence())?;
        let answer = answer.map_err(unreachable)?;
        match answer.status() {
            StatusCode::NO_CONTENT => return Ok(Outcome::Lost),
            StatusCode::CREATED if offset_of(&answer) == Some(self.row.named.size) => return Ok(Outcome::Sent),
            // Somebody on the way; or an older server has begun an upload, whose place another photo may need.
            status if status.is_success() => {
                if let Some(address) = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()) {
                    let ended = self.request(Method::DELETE, address).send();
                    timeout(self.http.patience, ended).await.map_err(|_late| silence())?.map_err(unreachable)?;
                }
                return Ok(Outcome::Open);
            }
            _ => {}
        }
        let problem = self.http.told(answer).await;
        if matches!(problem.code, Code::AttachmentTooLarge | Code::AttachmentType) {
            return Ok(Outcome::Refused(problem.code.as_str().to_owned()));
        }
        // The answer that names it may wait for a coordinator.
        if problem.code == Code::NotFound { Ok(Outcome::Open) } else { Err(Error::Refused(problem)) }
    }

    /// The request that begins an upload.
    fn begin(&self, more: &str) -> RequestBuilder {
        let Attachment { hash, size, media, .. } = &self.row.named;
        let coded = |text: &str| STANDARD.encode(text);
        let metadata = format!("sha256 {},filetype {}{more}", coded(&hash.to_string()), coded(media));
        let request = self.request(Method::POST, "/v1/uploads");
        request.header("Upload-Length", size.to_string()).header("Upload-Metadata", metadata)
    }

    /// What an answer says: where the upload goes on, or why it does not.
    async fn read<H: Host>(&mut self, answer: Response, device: &mut Device<H>) -> Result<Step, Error> {
        let hash = self.row.named.hash;
        let status = answer.status();
        let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if status.is_success() {
            if let Some(address) = text("Location") {
                device.store.write(|tx| tx.set_upload(hash, Some(&address)))?;
                self.row.upload = Some(address);
            }
            return Ok(offset_of(&answer).map_or(Step::Ask, Step::At));
        }
        let problem = self.http.told(answer).await;
        let is_other = status.as_u16() == CHECKSUM_MISMATCH;
        if is_other && !device.is_sound(hash)? {
            // The card has changed them since: nobody can have these bytes any more.
            return Ok(Step::Damaged);
        }
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) && self.row.upload.is_some() {
            // It may have ended well and been forgotten: the server is asked for the bytes before they are sent again.
            device.store.write(|tx| tx.set_upload(hash, Some("")))?;
            self.row.upload = Some(String::new());
            return Ok(Step::Ask);
        }
        if matches!(problem.code, Code::AttachmentTooLarge | Code::AttachmentType) {
            return Ok(Step::Done(Outcome::Refused(problem.code.as_str().to_owned())));
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Ok(Step::TooLarge(problem));
        }
        let cut_off = problem.code == Code::CutOff;
        match status {
            _ if is_other || cut_off || status == StatusCode::CONFLICT => Ok(Step::Ask),
            _ if status.is_server_error() && problem.code != Code::NoSpace => Ok(Step::Failed(problem)),
            _ => Err(Error::Refused(problem)),
        }
    }
}

/// Where one request leaves an upload.
enum Step {
    /// It goes on at this byte.
    At(u64),
    /// Nobody knows: ask.
    Ask,
    /// The server failed, or is busy.
    Failed(Problem),
    /// Somebody on the way takes no request of that size.
    TooLarge(Problem),
    /// Nothing came back.
    Silence,
    /// The bytes are not those that were named.
    Damaged,
    /// There is nothing more to send.
    Done(Outcome),
}

/// Bytes with their checksum: what a bad line changes is noticed at once, not after the last byte.
fn with_bytes(request: RequestBuilder, part: Vec<u8>) -> RequestBuilder {
    let checksum = STANDARD.encode(Sha256::digest(&part));
    request
        .header(header::CONTENT_TYPE, "application/offset+octet-stream")
        .header("Upload-Checksum", format!("sha256 {checksum}"))
        .body(part)
}

/// Where the server says that an upload goes on.
fn offset_of(answer: &Response) -> Option<u64> {
    answer.headers().get("Upload-Offset")?.to_str().ok()?.parse().ok()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
