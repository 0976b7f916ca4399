//! `hub`: answers the phones nearby over HTTP, and tells on the terminal who has synced and what waits for the server.

mod body;
mod boxes;
mod space;

use crate::{Answer, Field, sync::Words};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::{ConnectionType, StatusCode, header},
    web,
};
use body::{Broken, STALL};
use boxes::Boxes;
use client_core::{Answered, Error, Failure, Host, Hub, Load, transport};
use serde_json::json;
use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use sync_protocol::{
    Code,
    problem::{Class, Problem},
};
use tokio::time::timeout;

/// The largest greeting.
const GREETING: usize = 256 << 10;
/// How long a box may take from its first byte to its last.
const WHOLE: Duration = Duration::from_secs(180);
/// The largest box: a request that could not be compressed, and a little more.
const SEALED: usize = (4 << 20) + (64 << 10);
/// Phones at a time; the others wait.
const CONNECTIONS: usize = 64;

/// The hub and its device: one request after the other.
struct Desk {
    hub: Hub,
    device: Field,
    is_json: bool,
    words: &'static Words,
}

/// Where the hub's database is, and how many bytes of that disk it leaves free.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) file: PathBuf,
    pub(crate) keep_free: u64,
}

type Shared = Arc<Mutex<Desk>>;

/// Answers phones until the program is ended.
///
/// # Errors
/// If the device may not be a hub, or the address can't be listened on.
pub(crate) async fn run(
    mut device: Field,
    disk: Disk,
    listen: &str,
    language: Option<&str>,
    is_json: bool,
) -> Result<Answer, Error> {
    device.become_hub()?;
    let words = Words::of(language.unwrap_or_default());
    let blocked = |error: std::io::Error| {
        Error::BadAnswer(format!(
            "{listen} can't be listened on: {error}. Give an address and a free port, such as 0.0.0.0:8080"
        ))
    };
    let listener = TcpListener::bind(listen).map_err(blocked)?;
    let at = listener.local_addr().map_err(blocked)?;
    let url = format!("http://{at}");
    if is_json {
        println!("{}", json!({ "listening": url, "load": device.load()? }));
    } else {
        println!("{}", words.listening(at));
        println!("{}", words.load(&device.load()?));
        if !device.tells_others()? {
            println!("{}", words.tells_nothing());
        }
    }
    let desk: Shared = Arc::new(Mutex::new(Desk { hub: Hub::default(), device, is_json, words }));
    let boxes = web::Data::new(Boxes::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(desk.clone()))
            .app_data(boxes.clone())
            .app_data(web::Data::new(disk.clone()))
            .route("/v1/hub", web::post().to(greet))
            .route("/v1/sync", web::post().to(answer))
    });
    let server = server.workers(1).max_connections(CONNECTIONS).listen(listener).map_err(blocked)?;
    server.run().await.map_err(blocked)?;
    Ok(Answer::new("", json!({ "listened": url })))
}

async fn greet(desk: web::Data<Shared>, payload: web::Payload) -> HttpResponse {
    // Of somebody whom nobody knows yet all must come in that time.
    let read = timeout(STALL, body::read(payload, GREETING, STALL)).await.unwrap_or(Err(Broken::CutOff));
    let body = match read {
        Ok(body) => body,
        Err(broken) => return unread(broken),
    };
    with(desk, move |desk| transport::welcome(&mut desk.hub, &mut desk.device, &body), "application/json").await
}

async fn answer(
    desk: web::Data<Shared>,
    boxes: web::Data<Boxes>,
    disk: web::Data<Disk>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    let (met, shown) = (desk.clone(), token.clone());
    let is_met =
        web::block(move || transport::has_met(&met.lock().unwrap_or_else(PoisonError::into_inner).hub, &shown));
    if !is_met.await.unwrap_or(false) {
        // Nobody reads what a stranger sends.
        return refuse_and_close(&Problem::new(Code::Unauthorised, "this hub has not met you: greet it again"));
    }
    if space::is_scarce(&disk.file, disk.keep_free) {
        let full = Problem::new(Code::Busy, "the hub's disk is nearly full: sync with the server");
        let mut response = refuse_and_close(&full);
        // It is not tried again at once: whoever looks after the hub has to make room, or the phone goes to the server.
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("600"));
        return response;
    }
    // Until it is answered: what waits for the desk takes as much memory as what is read.
    let Some(_place) = boxes.enter(&token).await else {
        // What it sends is not read.
        let twice = "this phone sends twice at once already: try again in a minute";
        return refuse_and_close(&Problem::new(Code::Busy, twice));
    };
    let read = timeout(WHOLE, body::read(payload, SEALED, STALL)).await.unwrap_or(Err(Broken::CutOff));
    let body = match read {
        Ok(body) => body,
        Err(broken) => return unread(broken),
    };
    let serve = move |desk: &mut Desk| {
        let answered = transport::serve(&mut desk.hub, &mut desk.device, &token, &body)?;
        desk.tell(&answered);
        Ok(answered.body)
    };
    with(desk, serve, "application/octet-stream").await
}

/// Runs a step at the desk, off the thread that listens.
async fn with(
    desk: web::Data<Shared>,
    step: impl FnOnce(&mut Desk) -> Result<Vec<u8>, Failure> + Send + 'static,
    content_type: &'static str,
) -> HttpResponse {
    // A step that broke off left the database as it was: the next one may go on.
    let done = web::block(move || step(&mut desk.lock().unwrap_or_else(PoisonError::into_inner))).await;
    match done {
        Ok(Ok(body)) => HttpResponse::Ok().content_type(content_type).body(body),
        Ok(Err(Failure::Refused(problem))) => refuse(&problem),
        Ok(Err(Failure::Device(error))) => {
            eprintln!("tenun-field: {error}");
            refuse(&Problem::new(Code::Internal, "the hub's own device failed; nothing of this was kept"))
        }
        Err(_) => refuse(&Problem::new(Code::Busy, "the hub is being ended")),
    }
}

fn unread(broken: Broken) -> HttpResponse {
    refuse_and_close(&match broken {
        Broken::TooLarge => Problem::new(Code::RequestTooLarge, "send less at once"),
        Broken::CutOff => Problem::new(Code::CutOff, "the request stood still or broke off: send it again"),
    })
}

/// Refuses what was not read to its end: nothing more is heard on that connection.
fn refuse_and_close(problem: &Problem) -> HttpResponse {
    let mut response = refuse(problem);
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}

/// A problem document (RFC 9457).
fn refuse(problem: &Problem) -> HttpResponse {
    let status = if problem.code.class() == Class::Retry {
        StatusCode::SERVICE_UNAVAILABLE
    } else if problem.code == Code::Unauthorised {
        StatusCode::UNAUTHORIZED
    } else if problem.code == Code::Forbidden {
        StatusCode::FORBIDDEN
    } else if problem.code == Code::RequestTooLarge {
        StatusCode::PAYLOAD_TOO_LARGE
    } else if problem.code == Code::Internal {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    };
    let Problem { code, detail } = problem;
    let body = json!({ "type": "about:blank", "title": code.title(), "status": status.as_u16(), "code": code, "detail": detail });
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

impl Desk {
    /// Tells what a request brought. A terminal that went away stops no sync.
    fn tell(&mut self, answered: &Answered) {
        use std::io::Write;
        let Answered { pass, kept, told, .. } = answered;
        if *kept == 0 && *told == 0 {
            return;
        }
        let waiting: u64 = self.device.load().iter().flatten().map(|load| load.waiting).sum();
        let line = if self.is_json {
            let (enumerator, name) = (&pass.enumerator, &pass.name);
            json!({ "synced": { "enumerator": enumerator, "name": name, "kept": kept, "told": told }, "waiting": waiting })
                .to_string()
        } else {
            let host = self.device.host();
            let local = host.now_ms().saturating_add(i64::from(host.offset_minutes()) * 60_000);
            self.words.synced(local, answered, waiting)
        };
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// What the hub carries, for `tenun-field load`.
pub(crate) fn load(device: &mut Field, language: Option<&str>) -> Result<Answer, Error> {
    let load: Vec<Load> = device.load()?;
    Ok(Answer::new(Words::of(language.unwrap_or_default()).load(&load), json!({ "load": load })))
}
