//! Logging in and out, and the choice of the language.

use super::{
    desk::{self, Broken, Desk, LANGUAGE, broken, language_of, local, redirect},
    shell::{self, Frame},
    words::Language,
};
use crate::{
    domain::people,
    http::{api, auth, failure::Rejection},
    state::Server,
};
use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::StatusCode,
    web,
};
use maud::html;
use serde::Deserialize;
use sync_protocol::problem::Code;

/// Where to go after logging in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    next: Option<String>,
}

/// What the form of the login holds.
#[derive(Deserialize)]
pub(super) struct Login {
    account: String,
    password: String,
    next: Option<String>,
}

pub(super) async fn show(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Broken> {
    let language = language_of(&request);
    let asked = desk::parse::<Next>(request.query_string(), Code::BadQuery);
    let Next { next } = asked.map_err(|rejection| broken(&rejection, language, None))?;
    let next = local(next.as_deref());
    if auth::coordinator(&server, &request).await.is_ok() {
        return Ok(redirect(next));
    }
    Ok(page(language, StatusCode::OK, next, "", false))
}

pub(super) async fn log_in(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let language = language_of(&request);
    let failed = |rejection: Rejection| broken(&rejection, language, None);
    let Login { account, password, next } = desk::form(&request, payload, language).await.map_err(failed)?;
    let next = local(next.as_deref());
    match api::begin_session(server, &request, account.trim().to_owned(), password).await {
        Ok(token) => {
            let mut response = redirect(next);
            set_cookie(&mut response, session_cookie(&request, token));
            Ok(response)
        }
        Err(rejection) if rejection.code() == Code::Unauthorised => {
            Ok(page(language, StatusCode::UNAUTHORIZED, next, account.trim(), true))
        }
        Err(rejection) => Err(failed(rejection)),
    }
}

pub(super) async fn log_out(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    desk.form::<Next>(payload).await?;
    if let Some(cookie) = desk.request.cookie(auth::COOKIE) {
        let token = people::hash_secret(cookie.value());
        let ended = desk.server.write(move |tx| Ok(tx.delete_session(token)?)).await;
        ended.map_err(|failure| desk.broken(failure))?;
    }
    let mut response = redirect("/login");
    let mut gone = session_cookie(&desk.request, String::new());
    gone.make_removal();
    set_cookie(&mut response, gone);
    Ok(response)
}

/// A choice of the language.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    to: String,
    back: Option<String>,
}

pub(super) async fn language(request: HttpRequest) -> Result<HttpResponse, Broken> {
    let now = language_of(&request);
    let asked = desk::parse::<Choice>(request.query_string(), Code::BadQuery);
    let Choice { to, back } = asked.map_err(|rejection| broken(&rejection, now, None))?;
    let mut response = redirect(local(back.as_deref()));
    let chosen = Language::from_code(&to).unwrap_or(now);
    let cookie = Cookie::build(LANGUAGE, chosen.code()).path("/").http_only(true).same_site(SameSite::Lax);
    set_cookie(&mut response, cookie.max_age(Duration::days(365)).finish());
    Ok(response)
}

fn session_cookie(request: &HttpRequest, token: String) -> Cookie<'static> {
    let proto = request.headers().get("x-forwarded-proto").map(|proto| proto.as_bytes());
    let cookie = Cookie::build(auth::COOKIE, token).path("/").http_only(true).same_site(SameSite::Strict);
    cookie.secure(proto == Some(b"https")).finish()
}

fn set_cookie(response: &mut HttpResponse, cookie: Cookie<'_>) {
    // A header refuses only control characters: tokens and language codes have none.
    let _none_is_refused = response.add_cookie(&cookie);
}

fn page(language: Language, status: StatusCode, next: &str, account: &str, wrong: bool) -> HttpResponse {
    let words = language.words();
    let main = html! {
        div class="login" {
            h1 { (words.log_in) }
            p { (words.log_in_lead) }
            @if wrong { p class="notice bad" role="alert" { (words.wrong_password) } }
            form method="post" action="/login" class="stack" {
                input type="hidden" name="next" value=(next);
                label { (words.account)
                    input name="account" value=(account) required autocomplete="username" autocapitalize="none"
                        spellcheck="false" autofocus[!wrong];
                }
                label { (words.password)
                    input type="password" name="password" required autocomplete="current-password" autofocus[wrong];
                }
                button { (words.log_in) }
            }
        }
    };
    let here = format!("/login?next={}", desk::encode(next));
    let frame = Frame { language, account: None, tab: None, here: &here, title: words.log_in };
    shell::guarded(HttpResponse::build(status)).body(frame.around(&main).into_string())
}
