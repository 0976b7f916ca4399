//! A household that was registered twice: what it is joined with, and the forms that link and unlink.

use super::{Desk, Loaded, Notice, api, redirect, view};
use crate::{
    domain::households,
    http::pages::{desk::Broken, words::Language},
    state::{Server, now_ms},
};
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use sync_protocol::{HouseholdId, problem::Class};

/// What the household is joined with; nothing on an interview that is not.
pub(super) fn section(loaded: &Loaded, language: Language) -> Markup {
    let (words, row) = (language.words(), &loaded.detail.row);
    let is_household = row.round.is_none();
    let joined = loaded.detail.joined.as_ref();
    let own = row.household.to_string();
    html! {
        @if is_household || joined.is_some() {
            section id="same" {
                h2 { (words.same_as) }
                p class="hint" { (words.same_as_why) }
                @if let Some(joined) = joined {
                    ul { @for home in &joined.all {
                        li {
                            @if home.to_string() == own { code { (home) } " (" (words.this_page) ")" }
                            @else { a href={ "/records/" (home) } { code { (home) } } }
                            @if *home == joined.first { " " span class="tag" { (words.same_as_first) } }
                        }
                    } }
                }
                @if is_household {
                    form method="post" action={ "/households/" (own) "/link" } class="stack" {
                        label { (words.same_as_label) input name="same_as" required; }
                        button { (words.link_add) }
                    }
                    @if joined.is_some() {
                        form method="post" action={ "/households/" (own) "/unlink" } { button { (words.link_remove) } }
                    }
                }
            }
        }
    }
}

/// The form of a link.
#[derive(Deserialize)]
pub(in crate::http::pages) struct Link {
    same_as: String,
}

pub(in crate::http::pages) async fn link(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Link { same_as } = desk.form(payload).await?;
    // What is no id is no household here: the domain says so.
    let same_as = same_as.trim().parse().unwrap_or(HouseholdId(uuid::Uuid::nil()));
    let done = api::decide(&desk.server, &id, desk.account.clone(), move |tx, id, author, world| {
        households::link(tx, HouseholdId(id.0), same_as, author, world, now_ms())
    });
    tell(&desk, &id, done.await, "linked").await
}

pub(in crate::http::pages) async fn unlink(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let done = api::decide(&desk.server, &id, desk.account.clone(), move |tx, id, author, world| {
        households::unlink(tx, HouseholdId(id.0), author, world, now_ms())
    });
    tell(&desk, &id, done.await, "unlinked").await
}

async fn tell(
    desk: &Desk,
    id: &str,
    done: Result<(), crate::http::failure::Rejection>,
    word: &str,
) -> Result<HttpResponse, Broken> {
    match done {
        Ok(()) => Ok(redirect(&format!("/records/{id}?done={word}#same"))),
        Err(rejection) if rejection.code().class() == Class::Person => {
            view(desk, id, Notice::refused(&rejection, desk.language)).await
        }
        Err(rejection) => Err(desk.broken(rejection)),
    }
}
