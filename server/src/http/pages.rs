//! The coordinators' pages: HTML made on the server, one style sheet, no script.
//!
//! | module | what it owns |
//! |---|---|
//! | [`desk`] | one request: who asks, in which language, and the page or the failure that goes back |
//! | [`shell`] | what stands around every page, and the headers that guard it |
//! | [`words`], [`moments`], [`values`] | words, times and answers for people |
//! | [`login`], [`progress`], [`list`], [`record`], [`history`], [`quarantine`], [`exports`] | the pages |
//!
//! A page changes something only by a form that is posted from here (`SameSite=Strict`, and the `Origin` is checked);
//! then it redirects, so that going back or reloading never repeats a decision.

mod desk;
mod exports;
mod history;
mod list;
mod login;
mod moments;
mod progress;
mod quarantine;
mod record;
mod shell;
mod values;
mod words;

use super::failure::{self, Rejection};
use actix_web::{HttpRequest, HttpResponse, http::header::ACCEPT, web};
use sync_protocol::problem::Code;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(super::attachments::coordinator_routes)
        .route("/style.css", web::get().to(shell::style))
        .route("/icon.svg", web::get().to(shell::icon))
        .route("/language", web::get().to(login::language))
        .route("/login", web::get().to(login::show))
        .route("/login", web::post().to(login::log_in))
        .route("/logout", web::post().to(login::log_out))
        .route("/", web::get().to(progress::show))
        .route("/records", web::get().to(list::show))
        .route("/records/approve", web::post().to(list::approve))
        .route("/records/{id}", web::get().to(record::show))
        .route("/records/{id}/history", web::get().to(history::show))
        .route("/records/{id}/resolve", web::post().to(record::resolve))
        .route("/records/{id}/remark", web::post().to(record::remark))
        .route("/records/{id}/review", web::post().to(record::review::decide))
        .route("/households/{id}/link", web::post().to(record::same::link))
        .route("/households/{id}/unlink", web::post().to(record::same::unlink))
        .route("/quarantine", web::get().to(quarantine::show))
        .route("/quarantine/{number}/release", web::post().to(quarantine::release))
        .route("/branches/{replica}/release", web::post().to(quarantine::release_branch))
        .route("/export", web::get().to(exports::show));
}

/// Answers where no route leads: with a page to whoever reads pages.
pub(super) async fn not_found(request: HttpRequest) -> actix_web::Result<HttpResponse> {
    let is_for_programs = ["/v1/", "/api/"].iter().any(|scope| request.path().starts_with(scope));
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if is_for_programs || !accept.is_some_and(|accept| accept.contains("text/html")) {
        return Err(failure::not_found().into());
    }
    let nowhere = Rejection::new(Code::NotFound, format!("no page at {}", request.path()));
    Err(desk::broken(&nowhere, desk::language_of(&request), None).into())
}
