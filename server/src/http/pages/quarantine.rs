//! What waits in quarantine, why, and from whom; a button releases it.

use super::{
    desk::{Broken, Desk, redirect},
    moments,
    shell::Tab,
    words::{Language, counted, problem},
};
use crate::{
    http::api::{release_branch_of, release_change},
    state::Server,
    store::{BranchRow, QuarantineRow},
};
use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode, web};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeMap;
use sync_protocol::problem::Code;

/// Lines of a page.
const PAGE: u32 = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    after: Option<i64>,
    done: Option<bool>,
}

pub(super) async fn show(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Which { after, done } = desk.query()?;
    let notice = done.unwrap_or(false).then(|| {
        html! {
            p class="notice good" role="status" { (desk.words().release_done) }
        }
    });
    view(&desk, after.unwrap_or(0), StatusCode::OK, notice.unwrap_or_default()).await
}

/// The form of a release holds nothing.
#[derive(Debug, Deserialize)]
struct Empty {}

pub(super) async fn release(
    server: web::Data<Server>,
    request: HttpRequest,
    number: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Empty {} = desk.form(payload).await?;
    match release_change(&desk.server, &number, desk.account.clone()).await {
        Ok(()) => Ok(redirect("/quarantine?done=true")),
        Err(rejection) => {
            let notice = html! {
                div class="notice bad" role="alert" {
                    p { strong { (problem(rejection.code(), desk.language)) } }
                    p lang="en" { (rejection.detail()) }
                }
            };
            view(&desk, 0, rejection.status_code(), notice).await
        }
    }
}

pub(super) async fn release_branch(
    server: web::Data<Server>,
    request: HttpRequest,
    replica: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Empty {} = desk.form(payload).await?;
    let released = release_branch_of(&desk.server, &replica).await;
    released.map_err(|rejection| desk.broken(rejection))?;
    Ok(redirect("/quarantine?done=true"))
}

async fn view(desk: &Desk, after: i64, status: StatusCode, notice: Markup) -> Result<HttpResponse, Broken> {
    let read = desk.read(move |tx| Ok((tx.quarantine(after, PAGE)?, tx.branches()?, tx.enumerator_names()?)));
    let (rows, held, people) = read.await?;
    let words = desk.words();
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count == PAGE);
    let main = html! {
        (notice)
        h1 { (words.quarantine) }
        p class="lead" { (words.quarantine_lead) }
        @if rows.is_empty() { p class="empty" { (words.quarantine_empty) } } @else { (table(&rows, &people, desk.language)) }
        @if let Some(last) = rows.last().filter(|_| is_full) {
            nav class="paging" aria-label=(words.next_page) {
                a class="button" rel="next" href={ "/quarantine?after=" (last.number) } { (words.next_page) " ›" }
            }
        }
        @if !held.is_empty() { (branches(&held, &people, desk.language)) }
    };
    Ok(desk.page(status, words.quarantine, Some(Tab::Quarantine), &main))
}

/// Histories that forked and wait for their phone, or for a coordinator.
fn branches(rows: &[BranchRow], people: &BTreeMap<String, String>, language: Language) -> Markup {
    let words = language.words();
    html! {
        h2 { (words.branches) }
        p class="lead" { (words.branches_lead) }
        ul { @for row in rows {
            li {
                (people.get(&row.enumerator).unwrap_or(&row.enumerator)) ", " (row.device) ": "
                (counted(row.changes, words.changes_waiting)) " "
                form method="post" action={ "/branches/" (row.replica) "/release" } {
                    button { (words.release) }
                }
            }
        } }
    }
}

fn table(rows: &[QuarantineRow], people: &BTreeMap<String, String>, language: Language) -> Markup {
    let words = language.words();
    html! {
        div class="scroll" { table class="stacked" {
            thead { tr {
                th scope="col" { (words.why) }
                th scope="col" { (words.from) }
                th scope="col" { (words.received) }
                th scope="col" { (words.release) }
            } }
            tbody { @for row in rows {
                tr {
                    th scope="row" {
                        (title(&row.code, language))
                        br; small lang="en" { (row.detail) }
                    }
                    td data-label=(words.from) {
                        @match &row.enumerator {
                            Some(code) => { (super::record::person(people, code)) }
                            None => { (words.unknown) }
                        }
                        br; small class="code" { (row.replica) ":" (row.seq) }
                    }
                    td data-label=(words.received) { (moments::time(row.received_ms, language)) }
                    td data-label=(words.release) {
                        form method="post" action={ "/quarantine/" (row.number) "/release" } { button { (words.release) } }
                    }
                }
            } }
        } }
    }
}

/// What a stored code is called.
fn title(code: &str, language: Language) -> &str {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    known.map_or(code, |known| problem(*known, language))
}
