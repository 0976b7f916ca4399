//! `/v1/uploads`: resumable uploads by tus 1.0.0 (<https://tus.io/protocols/resumable-upload>): core, creation (also with
//! the first bytes), checksum, termination, expiration.

use super::{auth, failure::Rejection};
use crate::{
    depot::{
        DepotError,
        upload::{Append, AppendError, Checksum, Place, Upload},
    },
    domain::{
        Failure,
        attachments::{self, Answer, Offer},
    },
    state::{Server, now_ms},
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    error::PayloadError,
    http::{Method, StatusCode, header::HeaderValue},
    middleware::DefaultHeaders,
    rt::time::timeout,
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use sync_protocol::{Hash, problem::Code};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,termination,expiration";
/// What a client may say of an upload, in bytes.
const METADATA_MAX: usize = 4096;
/// What one write to a file holds at most, where there is memory for it.
const BLOCK: usize = 512 << 10;
/// A request holds this much at least; more only out of what all share.
const LEAST: usize = 32 << 10;
/// What all requests may hold together beyond that: 16 MiB.
static SHARED: Semaphore = Semaphore::const_new(512);
/// What is taken in ahead at most, while the server does something else.
const AHEAD: usize = 64 << 10;
/// How long a line may be silent before what came is kept and the request ends.
const SILENCE: Duration = Duration::from_secs(120);
/// How long a request that has to leave waits for bytes that are on their way inside this machine.
const DRAIN: Duration = Duration::from_millis(50);
/// The longest that it may stay.
const LEAVING: Duration = Duration::from_secs(1);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    // Whoever answers, also with a failure, says which tus is spoken.
    let spoken = DefaultHeaders::new().add(("Tus-Resumable", VERSION)).add(("Cache-Control", "no-store"));
    config.service(web::scope("/uploads").wrap(spoken).route("", web::to(collection)).route("/{id}", web::to(one)));
}

/// The method that is meant; some lines let nothing but POST through.
fn method(request: &HttpRequest) -> Method {
    let meant = request.headers().get("X-HTTP-Method-Override").and_then(|meant| meant.to_str().ok());
    meant.and_then(|meant| meant.parse().ok()).unwrap_or_else(|| request.method().clone())
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn number(request: &HttpRequest, name: &str) -> Result<u64, Rejection> {
    let wrong = || Rejection::new(Code::WrongType, format!("`{name}` takes a whole number of bytes"));
    header(request, name).and_then(|text| text.trim().parse().ok()).ok_or_else(wrong)
}

fn check_version(request: &HttpRequest) -> Result<(), Rejection> {
    match header(request, "Tus-Resumable") {
        Some(VERSION) => Ok(()),
        Some(_) | None => Err(Rejection::new(Code::UnsupportedUpload, format!("send `Tus-Resumable: {VERSION}`"))),
    }
}

/// The upload of an address, by the device that began it.
async fn upload(server: &Server, request: &HttpRequest, id: String) -> Result<Arc<Upload>, Rejection> {
    let (token, depot) = (auth::bearer(request), server.depot.clone());
    let allowed = server.read(move |tx| {
        let device = auth::device(tx, token)?;
        let missing = || Failure::problem(Code::NotFound, "no such upload: begin a new one");
        let upload = depot.incoming().find(device.id, &id).ok_or_else(missing)?;
        attachments::check_sender(tx, &device, upload.info.hash)?;
        Ok(upload)
    });
    Ok(allowed.await?)
}

async fn collection(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    match method(&request) {
        Method::OPTIONS => Ok(HttpResponse::NoContent()
            .insert_header(("Tus-Version", VERSION))
            .insert_header(("Tus-Extension", EXTENSIONS))
            .insert_header(("Tus-Max-Size", server.limits.attachment.to_string()))
            .insert_header(("Tus-Checksum-Algorithm", "sha1,sha256"))
            .finish()),
        Method::POST => {
            check_version(&request)?;
            create(server, request, Reader::new(payload)).await
        }
        _other => Err(Rejection::new(Code::NotFound, "an upload is begun by POST")),
    }
}

async fn one(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    check_version(&request)?;
    let mut reader = Reader::new(payload);
    let upload = reader.beside(upload(&server, &request, id.into_inner())).await?;
    if upload.expires_ms() <= now_ms() {
        server.depot.discard(upload).await.map_err(Failure::from)?;
        return Err(Rejection::new(Code::UploadExpired, "begin a new one"));
    }
    match method(&request) {
        Method::HEAD => {
            // Whole, and not listed yet: the server ended in between, or failed.
            server.take_in(upload.clone()).await?;
            let mut response = about(StatusCode::OK, &upload);
            if !upload.info.metadata.is_empty() {
                response.insert_header(("Upload-Metadata", upload.info.metadata.as_str()));
            }
            Ok(response.insert_header(("Upload-Length", upload.info.length.to_string())).finish())
        }
        Method::PATCH => {
            if header(&request, "Content-Type") != Some("application/offset+octet-stream") {
                let detail = "send `Content-Type: application/offset+octet-stream`";
                return Err(Rejection::new(Code::AttachmentType, detail));
            }
            let (offset, checksum, place) =
                (number(&request, "Upload-Offset")?, checksum(&request)?, reader.beside(upload.enter()).await);
            let append = upload.append(offset, checksum).map_err(refused)?;
            leave_room(&server, upload.info.length.saturating_sub(offset))?;
            receive(&server, &upload, append, place, reader).await?;
            Ok(about(StatusCode::NO_CONTENT, &upload).finish())
        }
        Method::DELETE => {
            server.depot.discard(upload).await.map_err(Failure::from)?;
            Ok(HttpResponse::NoContent().finish())
        }
        _other => Err(Rejection::new(Code::NotFound, "an upload takes HEAD, PATCH and DELETE")),
    }
}

/// Takes no bytes that answers may need: a disk that photos have filled takes none of these either.
fn leave_room(server: &Server, bytes: u64) -> Result<(), Rejection> {
    let has_room =
        bytes == 0 || server.depot.has_room(bytes).map_err(|error| Failure::from(DepotError::from(error)))?;
    let full = || Rejection::new(Code::NoSpace, "try again later: the operator has to free or add space");
    if has_room { Ok(()) } else { Err(full()) }
}

/// What every answer about an upload says.
fn about(status: StatusCode, upload: &Upload) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header(("Upload-Offset", upload.offset().to_string()));
    if let Some(expires) = http_date(upload.expires_ms()) {
        response.insert_header(("Upload-Expires", expires));
    }
    response
}

/// A time as HTTP writes it (RFC 9110, section 5.6.7).
fn http_date(ms: i64) -> Option<HeaderValue> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    HeaderValue::from_str(&time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

async fn create(
    server: web::Data<Server>,
    request: HttpRequest,
    mut reader: Reader,
) -> Result<HttpResponse, Rejection> {
    let offer = offer(&request)?;
    let with_bytes = header(&request, "Content-Type") == Some("application/offset+octet-stream");
    let checksum = checksum(&request)?;
    let (token, limits, asked) = (auth::bearer(&request), server.limits.clone(), offer.clone());
    let deciding = server.read(move |tx| {
        let device = auth::device(tx, token)?;
        let is_to_be_sent = attachments::is_to_be_sent(tx, &device, &asked, &limits)?;
        Ok((device, is_to_be_sent, tx.attachments_ever_swept()?))
    });
    let (device, is_to_be_sent, swept) = reader.beside(deciding).await?;
    let answer = if is_to_be_sent {
        Answer::Send
    } else {
        let (device, limits, asked) = (device.clone(), server.limits.clone(), offer.clone());
        server.write(move |tx| attachments::offered(tx, &device, &asked, &limits, now_ms())).await?
    };
    // What is listed may be gone from the disk or the bucket: who has it sends it again.
    let answer = match answer {
        Answer::Have(hash) if !server.depot.has(hash).await.map_err(Failure::from)? => Answer::Send,
        Answer::Have(_) | Answer::Send | Answer::Refuse(_) | Answer::Lost => answer,
    };
    let info = attachments::begin(device.id, &offer, now_ms())?;
    let resumes = offer.resume && !with_bytes && answer == Answer::Send;
    let known = if resumes { server.depot.incoming().under_way(&info) } else { None };
    if let Some(upload) = known {
        // An offset that says that all is here is told only when it is so.
        server.take_in(upload.clone()).await?;
        return Ok(created(&upload));
    }
    let upload = match answer {
        Answer::Lost => return Ok(HttpResponse::NoContent().finish()),
        Answer::Refuse(Code::AttachmentTooLarge) => {
            let detail = format!("at most {} bytes: make it smaller", server.limits.attachment);
            return Err(Rejection::new(Code::AttachmentTooLarge, detail));
        }
        Answer::Refuse(code) => {
            return Err(Rejection::new(code, format!("taken are {}", server.limits.types.join(", "))));
        }
        Answer::Have(hash) => server.depot.incoming().begin_done(info, hash),
        Answer::Send => {
            leave_room(&server, offer.length)?;
            server.depot.incoming().begin(info, swept)
        }
    };
    if upload.done().is_none() && (with_bytes || offer.length == 0) {
        let place = upload.enter().await;
        let append = upload.append(0, checksum).map_err(refused)?;
        receive(&server, &upload, append, place, reader).await?;
    }
    Ok(created(&upload))
}

fn created(upload: &Upload) -> HttpResponse {
    let mut response = about(StatusCode::CREATED, upload);
    response.insert_header(("Location", format!("/v1/uploads/{}", upload.info.id))).finish()
}

/// Reads what is offered. `Upload-Metadata` names `sha256` in hexadecimal digits and `filetype`; both may be missing, and other
/// clients' keys are passed over. `resume` asks for an upload of the same bytes whose address was lost on the way; `lost` says that
/// the device has them no more.
fn offer(request: &HttpRequest) -> Result<Offer, Rejection> {
    if header(request, "Upload-Defer-Length").is_some() {
        return Err(Rejection::new(Code::WrongType, "`Upload-Length` must be known when an upload begins"));
    }
    let mut offer = Offer {
        length: number(request, "Upload-Length")?,
        hash: None,
        media: None,
        resume: false,
        lost: false,
        metadata: String::new(),
    };
    offer.metadata = header(request, "Upload-Metadata").unwrap_or_default().to_owned();
    let wrong = |key: &str| Rejection::new(Code::WrongType, format!("`Upload-Metadata`: `{key}` can't be read"));
    if offer.metadata.len() > METADATA_MAX {
        return Err(Rejection::new(Code::WrongType, format!("`Upload-Metadata` has at most {METADATA_MAX} bytes")));
    }
    let metadata = offer.metadata.clone();
    for pair in metadata.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        offer.resume |= key == "resume";
        offer.lost |= key == "lost";
        if !matches!(key, "sha256" | "filetype") {
            continue;
        }
        let text = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| wrong(key))?;
        if key == "sha256" {
            offer.hash = Some(text.parse::<Hash>().map_err(|_ignored| wrong(key))?);
        } else {
            let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            offer.media = Some(media).filter(|media| !media.is_empty());
        }
    }
    Ok(offer)
}

fn checksum(request: &HttpRequest) -> Result<Option<Checksum>, Rejection> {
    let Some(text) = header(request, "Upload-Checksum") else { return Ok(None) };
    let wrong = || Rejection::new(Code::WrongType, "`Upload-Checksum` takes `sha1` or `sha256` and base64");
    let (algorithm, value) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let value = STANDARD.decode(value.trim()).map_err(|_ignored| wrong())?;
    match algorithm {
        "sha1" => Ok(Some(Checksum::Sha1(Box::default(), value))),
        "sha256" => Ok(Some(Checksum::Sha256(Some(Box::default()), value))),
        _other => Err(wrong()),
    }
}

fn refused(error: AppendError) -> Rejection {
    match error {
        AppendError::Offset(offset) => {
            Rejection::new(Code::WrongOffset, format!("the upload goes on at byte {offset}"))
        }
        AppendError::Overtaken => Rejection::new(Code::WrongOffset, "another request goes on with this upload"),
        AppendError::TooLong => Rejection::new(Code::AttachmentTooLarge, "more bytes than were announced"),
        AppendError::Checksum => {
            Rejection::new(Code::ChecksumMismatch, "these bytes were thrown away: send them again")
        }
        AppendError::Depot(error) => Failure::from(error).into(),
    }
}

/// Receives the bytes of one request; what came before the line broke is kept.
async fn receive(
    server: &web::Data<Server>,
    upload: &Arc<Upload>,
    append: Append,
    place: Place,
    reader: Reader,
) -> Result<(), Rejection> {
    // In a task of its own: a device that hangs up does not stop what it sent from being kept.
    let task = actix_web::rt::spawn(keep(server.clone(), upload.clone(), append, place, reader));
    task.await.map_err(|_ended| Rejection::new(Code::Internal, "the request ended inside the server"))?
}

async fn keep(
    server: web::Data<Server>,
    upload: Arc<Upload>,
    append: Append,
    place: Place,
    mut reader: Reader,
) -> Result<(), Rejection> {
    reader.place = Some(place);
    let mut append = Some(append);
    let mut is_whole = false;
    while let Some(turn) = append.take() {
        let (block, ended, lent) = reader.block().await;
        let _first = reader.beside(server.answers_first.give_way()).await;
        is_whole = ended == Some(End::Whole);
        let appended = upload.clone();
        let written = server.depot.run(move |depot| {
            let mut turn = turn;
            let written = match (turn.write(&block), ended) {
                (Ok(()), None) => return Ok::<_, Failure>(Ok(Some(turn))),
                (Ok(()), Some(end)) => turn.end(end == End::Whole),
                (Err(error), _) => Err(error),
            };
            Ok(written.and_then(|_offset| Ok(depot.place_at_once(&appended)?)).map(|()| None))
        });
        append = reader.beside(written).await?.map_err(refused)?;
        // Until here the block was held.
        drop(lent);
    }
    if !is_whole {
        return Err(Rejection::new(Code::CutOff, "what came was kept: ask where the upload goes on"));
    }
    drop(reader);
    Ok(server.take_in(upload).await?)
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    CutOff,
}

/// A body that is read until another request wants the upload. What arrives while the server does something else is taken
/// in ahead: where the line breaks meanwhile, it would be lost.
struct Reader {
    payload: web::Payload,
    ahead: Vec<web::Bytes>,
    /// Bytes of it.
    size: usize,
    end: Option<End>,
    place: Option<Place>,
    /// When the request has to leave.
    leaves: Option<Instant>,
}

impl Reader {
    fn new(payload: web::Payload) -> Self {
        Self { payload, ahead: Vec::new(), size: 0, end: None, place: None, leaves: None }
    }

    fn take(&mut self, next: Option<Result<web::Bytes, PayloadError>>) {
        match next {
            Some(Ok(piece)) => {
                self.size += piece.len();
                self.ahead.push(piece);
            }
            Some(Err(_)) => self.end = Some(End::CutOff),
            None => self.end = Some(End::Whole),
        }
    }

    /// Does something else, and takes in meanwhile what comes.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                next = self.payload.next(), if self.end.is_none() && self.size < AHEAD => self.take(next),
            }
        }
    }

    /// Waits for more, or for the end; of a request that is to leave only what has come already.
    async fn more(&mut self) {
        while self.end.is_none() {
            let (patience, staying) = match self.leaves {
                None => (SILENCE, true),
                Some(deadline) if Instant::now() < deadline => (DRAIN, false),
                Some(_) => return self.end = Some(End::CutOff),
            };
            let asked = async {
                match &mut self.place {
                    Some(place) => drop(place.waiting.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = timeout(patience, self.payload.next()) => {
                    return match next {
                        Ok(next) => self.take(next),
                        Err(_) => self.end = Some(End::CutOff),
                    };
                }
                () = asked, if staying => self.leaves = Some(Instant::now() + LEAVING),
            }
        }
    }

    /// Reads what is to be written at once: as much as there is memory for, which the third one holds.
    async fn block(&mut self) -> (Vec<web::Bytes>, Option<End>, Vec<SemaphorePermit<'static>>) {
        let (mut room, mut lent) = (LEAST, Vec::new());
        while self.end.is_none() && self.size < BLOCK {
            if self.size >= room {
                let Ok(permit) = SHARED.try_acquire() else { break };
                lent.push(permit);
                room += LEAST;
                continue;
            }
            self.more().await;
        }
        self.size = 0;
        (std::mem::take(&mut self.ahead), self.end, lent)
    }
}
