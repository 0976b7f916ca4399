//! The read API under `/api/v1`, for programs; `openapi.json` describes it.

use super::{auth, failure::Rejection};
use crate::{
    domain::{Failure, detail, households, people, review},
    state::{Server, now_ms},
    store::{ProgressBy, RecordFilter},
};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use sync_protocol::{
    HouseholdId, Path, RecordId, ReplicaId,
    problem::{Code, Problem},
};
use tokio::sync::Semaphore;

/// Lines of a page, if nothing else is asked for.
const PAGE: u32 = 100;
/// Most lines of a page.
const PAGE_MAX: u32 = 1000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(super::attachments::coordinator_routes)
        .route("/openapi.json", web::get().to(openapi))
        .route("/login", web::post().to(login))
        .route("/records", web::get().to(records))
        .route("/records/{id}", web::get().to(record))
        .route("/records/{id}/history", web::get().to(history))
        .route("/records/{id}/resolve", web::post().to(resolve))
        .route("/records/{id}/remark", web::post().to(remark))
        .route("/records/{id}/review", web::post().to(decide_review))
        .route("/households/{id}/link", web::post().to(link))
        .route("/households/{id}/unlink", web::post().to(unlink))
        .route("/progress", web::get().to(progress))
        .route("/devices", web::get().to(devices))
        .route("/branches", web::get().to(branches))
        .route("/branches/{replica}/release", web::post().to(release_branch))
        .route("/quarantine", web::get().to(quarantine))
        .route("/quarantine/{number}/release", web::post().to(release));
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(include_str!("api/openapi.json"))
}

/// What a list of records takes in its query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecordQuery {
    pub(super) kind: Option<Kind>,
    pub(super) area: Option<String>,
    pub(super) enumerator: Option<String>,
    pub(super) round: Option<String>,
    pub(super) conflicts: Option<bool>,
    pub(super) violations: Option<bool>,
    pub(super) finished: Option<bool>,
    pub(super) void: Option<bool>,
    pub(super) review: Option<String>,
    pub(super) flag: Option<String>,
    pub(super) q: Option<String>,
    pub(super) household: Option<String>,
    pub(super) after: Option<i64>,
    pub(super) limit: Option<u32>,
}

/// The kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Household,
    Interview,
}

/// Reads a query string; an unknown parameter is an error that names it.
pub(super) fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Rejection> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| Rejection::new(Code::BadQuery, error.to_string()))
}

impl RecordQuery {
    /// The filter, the number to start after, and the length of a page.
    pub(super) fn filter(self) -> Result<(RecordFilter, i64, u32), Rejection> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let household = some(self.household).map(|id| id.parse::<RecordId>());
        let bad = |_| Rejection::new(Code::BadQuery, "`household` is not a record's id");
        let review = some(self.review);
        if review.as_deref().is_some_and(|word| word != "waiting" && review::State::from_word(word).is_none()) {
            return Err(Rejection::new(Code::BadQuery, "`review` is a state of the review, or `waiting`"));
        }
        let filter = RecordFilter {
            interviews: self.kind.map(|kind| kind == Kind::Interview),
            area: some(self.area),
            enumerator: some(self.enumerator),
            round: some(self.round),
            conflicts: self.conflicts.unwrap_or(false),
            violations: self.violations.unwrap_or(false),
            finished: self.finished,
            void: self.void,
            review,
            flag: some(self.flag),
            search: some(self.q),
            household: household.transpose().map_err(bad)?.map(|id| id.0),
            questionnaire: None,
        };
        Ok((filter, self.after.unwrap_or(0), self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)))
    }
}

#[derive(Deserialize)]
struct Login {
    account: String,
    password: String,
}

async fn login(server: web::Data<Server>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, Rejection> {
    let Login { account, password } = read_json(&body, "`account` and `password`")?;
    let token = begin_session(server, &request, account, password).await?;
    Ok(HttpResponse::Ok().json(json!({ "token": token })))
}

/// How long a wrong password keeps the next try of the same account waiting: whoever guesses gets some 86,000 tries a day.
const AFTER_A_WRONG_ONE: Duration = Duration::from_secs(1);
/// Passwords are checked one at a time: each check takes 19 MiB for a moment, whoever asks.
static CHECKS: Semaphore = Semaphore::const_new(1);
/// So many wait to be checked; more are sent away.
static WAITING: Semaphore = Semaphore::const_new(100);
/// The longest name of an account, in bytes.
const NAME_MAX: usize = 200;

/// Checks a password and begins a session; its token. Tries of one account from one address wait for each other: who guesses from
/// elsewhere does not lock the coordinator out.
pub(super) async fn begin_session(
    server: web::Data<Server>,
    request: &HttpRequest,
    name: String,
    password: String,
) -> Result<String, Rejection> {
    let wrong = || Rejection::new(Code::Unauthorised, "wrong name or password");
    if name.len() > NAME_MAX {
        return Err(wrong());
    }
    let busy = |_| Rejection::new(Code::Busy, "many log in at once: try again in a moment");
    let waiting = WAITING.try_acquire().map_err(busy)?;
    let from = request.connection_info().realip_remote_addr().unwrap_or_default().to_owned();
    // In a task of its own: whoever hangs up before the answer is counted, too.
    let task = actix_web::rt::spawn(async move {
        let _waiting = waiting;
        let turn = server.turns.of(format!("log in {from} {name}")).await;
        let check = CHECKS.acquire().await;
        let account = server
            .read(move |tx| {
                let account = tx.account(&name)?;
                Ok(people::is_password(account.as_ref(), &password).then_some(account).flatten())
            })
            .await?;
        drop(check);
        let Some(account) = account else {
            turn.keep_for(AFTER_A_WRONG_ONE);
            return Err(wrong());
        };
        Ok(server.write(move |tx| people::begin_session(tx, &account.name, now_ms())).await?)
    });
    task.await.map_err(|_ended| Rejection::new(Code::Internal, "the request ended inside the server"))?
}

async fn records(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let (filter, after, limit) = query::<RecordQuery>(&request)?.filter()?;
    let rows = server.read(move |tx| Ok(tx.records(&filter, after, limit)?)).await?;
    Ok(HttpResponse::Ok().json(page(&rows, limit, |row| row.number)))
}

/// A page of a list; `next` is what `after` takes for the page behind it.
fn page<T: serde::Serialize>(rows: &[T], limit: u32, number: impl Fn(&T) -> i64) -> serde_json::Value {
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| is_full).map(number);
    json!({ "items": rows, "next": next })
}

async fn record(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let (id, shared) = (record_id(&id)?, server.clone());
    let record = server.read(move |tx| detail::detail(tx, id, &shared.world(tx)?.catalogue)).await?;
    Ok(HttpResponse::Ok().json(record))
}

pub(super) fn record_id(text: &str) -> Result<RecordId, Rejection> {
    text.parse().map_err(|_ignored| Rejection::new(Code::NotFound, "no such record: its id is a UUID"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    path: String,
}

async fn history(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let HistoryQuery { path } = query(&request)?;
    let path: Path =
        path.parse().map_err(|_ignored| Rejection::new(Code::BadQuery, "`path` is not an answer's path"))?;
    let id = record_id(&id)?;
    let shared = server.clone();
    let values = server.read(move |tx| detail::history(tx, id, &path, &shared.world(tx)?.catalogue)).await?;
    Ok(HttpResponse::Ok().json(json!({ "values": values })))
}

async fn resolve(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    let resolution = read_json(&body, "`path`, `keep` and `shown`")?;
    decide(&server, &id, author, move |tx, id, author, world| {
        review::resolve(tx, id, &resolution, author, world, now_ms())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
struct Remark {
    text: String,
}

async fn remark(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    let Remark { text } = read_json(&body, "`text`")?;
    decide(&server, &id, author, move |tx, id, author, world| review::remark(tx, id, &text, author, world, now_ms()))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn decide_review(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    let decision = read_json(&body, "`transition`, `seen`, and `remarks` or `reason`")?;
    let state = review(&server, &id, author, decision).await?;
    Ok(HttpResponse::Ok().json(json!({ "state": state })))
}

/// Decides about an interview; the state that it leads to.
pub(super) async fn review(
    server: &web::Data<Server>,
    id: &str,
    author: String,
    decision: review::Decision,
) -> Result<review::State, Rejection> {
    let (id, shared) = (record_id(id)?, server.clone());
    Ok(server.write(move |tx| review::decide(tx, id, &decision, &author, &shared.world(tx)?, now_ms())).await?)
}

#[derive(Deserialize)]
struct Link {
    same_as: HouseholdId,
}

async fn link(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    let Link { same_as } = read_json(&body, "`same_as`, the id of another household")?;
    decide(&server, &id, author, move |tx, id, author, world| {
        households::link(tx, HouseholdId(id.0), same_as, author, world, now_ms())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn unlink(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    decide(&server, &id, author, move |tx, id, author, world| {
        households::unlink(tx, HouseholdId(id.0), author, world, now_ms())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Carries out a coordinator's decision about one record.
pub(super) async fn decide(
    server: &web::Data<Server>,
    id: &str,
    author: String,
    decision: impl FnOnce(crate::store::Tx<'_>, RecordId, &str, &crate::domain::ingest::World) -> Result<(), Failure>
    + Send
    + 'static,
) -> Result<(), Rejection> {
    let (id, shared) = (record_id(id)?, server.clone());
    Ok(server.write(move |tx| decision(tx, id, &author, &shared.world(tx)?)).await?)
}

fn read_json<T: serde::de::DeserializeOwned>(body: &[u8], takes: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|_ignored| Problem::new(Code::WrongType, format!("the body takes {takes}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressQuery {
    by: ProgressBy,
}

async fn progress(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let ProgressQuery { by } = query(&request)?;
    let rows = server.read(move |tx| Ok(tx.progress(by)?)).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": rows })))
}

async fn devices(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let rows = server.read(|tx| Ok(tx.devices()?)).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": rows })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageQuery {
    after: Option<i64>,
    limit: Option<u32>,
}

async fn quarantine(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let PageQuery { after, limit } = query(&request)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let rows = server.read(move |tx| Ok(tx.quarantine(after.unwrap_or(0), limit)?)).await?;
    Ok(HttpResponse::Ok().json(page(&rows, limit, |row| row.number)))
}

async fn release(
    server: web::Data<Server>,
    request: HttpRequest,
    number: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    let author = auth::coordinator(&server, &request).await?;
    release_change(&server, &number, author).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Releases a change from quarantine, by its number.
pub(super) async fn release_change(server: &web::Data<Server>, number: &str, author: String) -> Result<(), Rejection> {
    let none = |_| Rejection::new(Code::NotFound, "no such change waits in quarantine: its number is a whole one");
    let (number, shared) = (number.parse::<i64>().map_err(none)?, server.clone());
    Ok(server.write(move |tx| review::release(tx, number, &author, &shared.world(tx)?, now_ms())).await?)
}

async fn branches(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let rows = server.read(|tx| Ok(tx.branches()?)).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": rows })))
}

async fn release_branch(
    server: web::Data<Server>,
    request: HttpRequest,
    replica: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let changes = release_branch_of(&server, &replica).await?;
    Ok(HttpResponse::Ok().json(json!({ "changes": changes })))
}

/// Has the server author a replica's branches again.
pub(super) async fn release_branch_of(server: &web::Data<Server>, replica: &str) -> Result<u64, Rejection> {
    let replica: ReplicaId =
        replica.parse().map_err(|_ignored| Rejection::new(Code::NotFound, "no branch of this replica waits"))?;
    let shared = server.clone();
    Ok(server.write(move |tx| review::release_branch(tx, replica, &shared.world(tx)?, now_ms())).await?)
}
