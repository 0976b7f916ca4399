//! Photos and files over the network: uploads by tus 1.0.0, which go on at the byte where they were cut; thumbnails;
//! originals on demand. Answers go first: call this after [`Http::sync`].

use super::{Http, PATIENCE, problem, unreachable};
use crate::{Device, Error, Host, lock::SyncLock, store::AttachmentRow};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use sync_protocol::{Attachment, Hash, problem::Code};

/// Bytes of one request, while the line is good.
const PART: usize = 512 << 10;
/// The least that is worth a request.
const PART_MIN: usize = 16 << 10;
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
}

impl Http {
    /// Sends the attachments that this device's saves name, the smallest first; `progress` hears of each request.
    ///
    /// # Errors
    /// [`Error::Unreachable`]: nothing is lost, and the next call goes on where this one was cut. [`Error::Refused`]: a
    /// person must look.
    pub async fn send_attachments<H: Host>(
        &self,
        device: &mut Device<H>,
        mut progress: impl FnMut(Sending),
    ) -> Result<Sending, Error> {
        let _lock = SyncLock::take(&device.file)?;
        let (server, token) = device.server()?;
        let waiting = device.attachments_to_send()?;
        let mut sending = Sending { files: count(waiting.len()), ..Sending::default() };
        sending.bytes = waiting.iter().map(|row| row.named.size).sum();
        let mut done = 0;
        for row in waiting {
            let named = row.named.clone();
            let mut upload = Upload { http: self, server: &server, token: &token, row, part: PART };
            let outcome = upload
                .run(device, |offset, up| {
                    (sending.through, sending.up) = (done + offset, sending.up + up);
                    progress(sending);
                })
                .await?;
            let now_ms = device.host().now_ms();
            match outcome {
                Outcome::Sent => {
                    device.store.write(|tx| tx.set_sent(named.hash, now_ms))?;
                    sending.sent += 1;
                }
                Outcome::Refused(code) => {
                    device.store.write(|tx| tx.set_refused(named.hash, &code))?;
                    sending.refused += 1;
                }
            }
            done += named.size;
            sending.through = done;
            progress(sending);
        }
        Ok(sending)
    }

    /// Fetches small pictures of what others photographed; those whose bytes are still to come are asked for next time.
    ///
    /// # Errors
    /// [`Error::Unreachable`]: try later. [`Error::Refused`]: a person must look.
    pub async fn fetch_thumbnails<H: Host>(&self, device: &mut Device<H>) -> Result<u64, Error> {
        let _lock = SyncLock::take(&device.file)?;
        let (server, token) = device.server()?;
        device.delete_dropped_files()?;
        let mut fetched = 0;
        for row in device.store.read(|tx| tx.thumbnails_to_fetch(THUMBNAILS))? {
            let hash = row.named.hash;
            let url = format!("{server}/v1/attachments/{hash}/thumbnail");
            let answer = self.client.get(url).bearer_auth(&token).send().await.map_err(unreachable)?;
            match answer.status() {
                StatusCode::OK => {
                    let bytes = answer.bytes().await.map_err(unreachable)?;
                    device.keep_thumbnail(hash, Some(&bytes))?;
                    fetched += 1;
                }
                StatusCode::NO_CONTENT => device.keep_thumbnail(hash, None)?,
                StatusCode::NOT_FOUND => {}
                _ => return Err(failed(answer).await),
            }
        }
        Ok(fetched)
    }

    /// Fetches an original that a record on this device names, if it is not here yet.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server does not have it (yet) or this device may not see it; [`Error::Unreachable`].
    pub async fn fetch_original<H: Host>(&self, device: &mut Device<H>, hash: Hash) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = device.original(hash)? {
            return Ok(bytes);
        }
        let (server, token) = device.server()?;
        let most = device.store.read(|tx| tx.attachment(hash))?.map_or(0, |row| row.named.size);
        let mut bytes: Vec<u8> = Vec::new();
        let mut tries = 0;
        // A line that breaks loses nothing of what came.
        while count(bytes.len()) < most || tries == 0 {
            tries += 1;
            let request = self.client.get(format!("{server}/v1/attachments/{hash}")).bearer_auth(&token);
            let request = request.header(header::RANGE, format!("bytes={}-", bytes.len()));
            let Ok(mut answer) = request.send().await.inspect_err(|_| tries += 1) else {
                if tries > TRIES {
                    break;
                }
                continue;
            };
            if !answer.status().is_success() {
                return Err(failed(answer).await);
            }
            if answer.status() == StatusCode::OK {
                bytes.clear();
            }
            let before = bytes.len();
            while let Ok(Some(part)) = answer.chunk().await {
                bytes.extend_from_slice(&part);
                if count(bytes.len()) > most {
                    return Err(Error::Unreachable("the attachment is longer than its record says".into()));
                }
            }
            tries = if bytes.len() > before { 1 } else { tries };
            if tries > TRIES {
                break;
            }
        }
        device.keep_original(hash, &bytes)?;
        Ok(bytes)
    }
}

/// One attachment on its way.
struct Upload<'a> {
    http: &'a Http,
    server: &'a str,
    token: &'a str,
    row: AttachmentRow,
    part: usize,
}

impl Upload<'_> {
    fn request(&self, method: Method, address: &str) -> RequestBuilder {
        let url = if address.starts_with('/') { format!("{}{address}", self.server) } else { address.to_owned() };
        let request = self.http.client.request(method, url).bearer_auth(self.token).timeout(PATIENCE);
        request.header("Tus-Resumable", "1.0.0")
    }

    /// Sends until all is there; tells the offset that the server has, and the bytes that crossed the line.
    async fn run<H: Host>(
        &mut self,
        device: &mut Device<H>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Outcome, Error> {
        let Attachment { hash, size, .. } = self.row.named;
        // Where the server said last that it goes on; after anything unclear it is asked.
        let (mut tries, mut at, mut best) = (0, None, 0);
        while tries <= TRIES {
            let (up, answer) = match (self.row.upload.clone().as_deref(), at) {
                (None, _) => {
                    // Should the answer be lost with the address, it is asked for.
                    device.store.write(|tx| tx.set_upload(hash, Some("")))?;
                    self.row.upload = Some(String::new());
                    let part = device.part(hash, 0, self.part)?;
                    (count(part.len()), with_bytes(self.begin(""), part).send().await)
                }
                (Some(""), _) => (0, self.begin(",resume").send().await),
                (Some(address), None) => (0, self.request(Method::HEAD, address).send().await),
                (Some(address), Some(from)) => {
                    let part = device.part(hash, from, self.part)?;
                    let request = self.request(Method::PATCH, address).header("Upload-Offset", from.to_string());
                    (count(part.len()), with_bytes(request, part).send().await)
                }
            };
            let step = match answer {
                Ok(answer) => self.read(answer, device).await?,
                Err(error) if error.is_connect() => return Err(unreachable(error)),
                Err(_) => Step::Silence,
            };
            tries += 1;
            at = None;
            match step {
                Step::At(offset) => {
                    progress(offset, up);
                    if offset >= size {
                        return Ok(Outcome::Sent);
                    }
                    if offset > best {
                        (best, tries) = (offset, 0);
                    }
                    at = Some(offset);
                }
                Step::Done(outcome) => return Ok(outcome),
                Step::Ask => {}
                Step::Silence => self.part = (self.part / 2).max(PART_MIN),
            }
        }
        Err(Error::Unreachable("the line is too bad for photos now".into()))
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
            let offset = text("Upload-Offset").and_then(|offset| offset.parse().ok());
            return Ok(offset.map_or(Step::Ask, Step::At));
        }
        let problem = problem(status, &answer.bytes().await.unwrap_or_default());
        let is_other = status.as_u16() == CHECKSUM_MISMATCH;
        if is_other && !device.is_sound(hash)? {
            // The card has changed them since: nobody can have these bytes any more.
            return Ok(Step::Done(Outcome::Refused("damaged".into())));
        }
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) && self.row.upload.is_some() {
            device.store.write(|tx| tx.set_upload(hash, None))?;
            self.row.upload = None;
            return Ok(Step::Ask);
        }
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE) {
            return Ok(Step::Done(Outcome::Refused(problem.code.as_str().to_owned())));
        }
        let cut_off = problem.code == Code::CutOff;
        match status {
            _ if is_other || cut_off || status == StatusCode::CONFLICT => Ok(Step::Ask),
            _ if status.is_server_error() => Ok(Step::Silence),
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
    /// Nothing came back, or the server is busy.
    Silence,
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

async fn failed(answer: Response) -> Error {
    let status = answer.status();
    Error::Refused(problem(status, &answer.bytes().await.unwrap_or_default()))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
