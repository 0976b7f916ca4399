//! The review of an interview: where it stands, what was remarked and answered, what is different since, what a coordinator may
//! do, and what was done.

use super::{Desk, Loaded, Notice, api, files::file, person, redirect, view};
use crate::{
    domain::review::{Decision, Difference, NewRemark, RemarkDetail, ReviewDetail, State, Transition},
    http::pages::{
        desk::Broken,
        moments,
        values::{Sheet, state_tag},
        words::{Language, fill},
    },
    state::Server,
};
use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode, web};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeMap;
use sync_protocol::{Attachment, Path, RecordId, Value, problem::Class};

/// What a form of this section had in it when it was not accepted, or what a link asks to be put there.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The answer that a remark is about.
    pub(super) about: String,
    /// The remark.
    pub(super) text: String,
    /// Why it is voided.
    pub(super) reason: String,
}

/// The section; nothing for a household.
pub(super) fn section(sheet: &Sheet<'_>, loaded: &Loaded, draft: &Draft) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    html! {
        @if let Some(review) = &loaded.detail.review {
            section id="review" {
                h2 { (words.review) " " (state_tag(review.state.as_str(), language)) }
                @if review.state == State::Returned { (waits_for(loaded, review, language)) }
                @for remark in &review.remarks { (remark_card(sheet, loaded, remark)) }
                @if !review.differences.is_empty() { (differences(sheet, loaded, review)) }
                (actions(sheet, loaded.detail.row.id, review, draft))
                @if !review.log.is_empty() { (log(loaded, review, language)) }
            }
        }
    }
}

/// Who is to correct it, and whether their phone has synced since.
fn waits_for(loaded: &Loaded, review: &ReviewDetail, language: Language) -> Markup {
    let words = language.words();
    let since = review.returned_ms.unwrap_or_default();
    html! {
        @if review.waits_for.is_empty() { p class="notice bad" { (words.waits_for_nobody) } }
        @else {
            p class="lead" {
                (words.waits_for) " "
                @for (at, worker) in review.waits_for.iter().enumerate() {
                    @if at > 0 { ", " }
                    (person(&loaded.people, &worker.enumerator)) " ("
                    @match worker.seen_ms {
                        Some(seen) if seen > since => { (words.synced_since) }
                        Some(_) | None => { (words.not_synced_since) }
                    }
                    ")"
                }
            }
        }
    }
}

fn remark_card(sheet: &Sheet<'_>, loaded: &Loaded, remark: &RemarkDetail) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    let signed = |author: &str, at: i64| html! { (person(&loaded.people, author)) ", " (moments::time(at, language)) };
    html! {
        blockquote {
            @if let Some(path) = &remark.path { p { strong { (heading(sheet, path)) } } }
            p {
                (remark.text) " "
                @if remark.answered { span class="tag good" { (words.remark_answered) } }
                @else { span class="tag warn" { (words.remark_open) } }
            }
            footer { (signed(&remark.author, remark.effective_ms)) }
            @for reply in &remark.replies {
                blockquote { p { (reply.text) } footer { (signed(&reply.author, reply.effective_ms)) } }
            }
        }
    }
}

/// What an answer is called, with the rows around it.
fn heading(sheet: &Sheet<'_>, path: &str) -> String {
    let words = sheet.language.words();
    match path {
        "@finished" => words.finished.to_owned(),
        "@void" => words.void.to_owned(),
        "@remarks" => words.field_remarks.to_owned(),
        _ => match path.parse::<Path>() {
            Ok(path) => {
                let rows = sheet.rows(path.place()).map(|rows| format!("{rows} · ")).unwrap_or_default();
                format!("{rows}{}", sheet.heading(&path))
            }
            // A roster row that came or went.
            Err(_) => path.parse().ok().and_then(|row| sheet.rows(&row)).unwrap_or_else(|| path.to_owned()),
        },
    }
}

fn differences(sheet: &Sheet<'_>, loaded: &Loaded, review: &ReviewDetail) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    let since = review.since_ms.map(|at| moments::moment(at, language)).unwrap_or_default();
    let mut ordered: Vec<&Difference> = review.differences.iter().collect();
    // In the order of the questionnaire; what is no answer, or not there any more, stands last.
    let places: BTreeMap<String, usize> = sheet.order.iter().map(ToString::to_string).zip(0..).collect();
    let place = |difference: &Difference| places.get(&difference.path).copied().unwrap_or(usize::MAX);
    ordered.sort_by_key(|difference| (difference.path.starts_with('@'), place(difference)));
    html! {
        h3 { (fill(words.different_since, since)) }
        div class="scroll" { table class="stacked" id="differences" {
            thead { tr {
                th scope="col" { (words.answer) }
                th scope="col" { (words.before) }
                th scope="col" { (words.after) }
                th scope="col" { (words.who) }
                th scope="col" { (words.why) }
            } }
            tbody { @for difference in ordered { (difference_line(sheet, loaded, review, difference)) } }
        } }
    }
}

fn difference_line(sheet: &Sheet<'_>, loaded: &Loaded, review: &ReviewDetail, difference: &Difference) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    let is_unseen = !difference.had_seen && matches!(review.state, State::Returned | State::Corrected);
    html! {
        tr {
            th scope="row" { (heading(sheet, &difference.path)) }
            td data-label=(words.before) {
                (values(sheet, (loaded, review), difference, &difference.before, difference.there.map(|is| !is)))
            }
            td data-label=(words.after) {
                (values(sheet, (loaded, review), difference, &difference.after, difference.there))
            }
            td data-label=(words.who) {
                @if let Some(by) = &difference.by {
                    (person(&loaded.people, &by.author)) ", "
                    (if by.device == "server" { words.office } else { &by.device }) ", "
                    (moments::time(by.effective_ms, language))
                }
            }
            td data-label=(words.why) {
                @for why in &difference.why { p { (why) } }
                @if is_unseen { span class="tag warn" { (words.remark_unseen) } }
            }
        }
    }
}

fn values(
    sheet: &Sheet<'_>,
    (loaded, review): (&Loaded, &ReviewDetail),
    difference: &Difference,
    values: &[Value],
    there: Option<bool>,
) -> Markup {
    let words = sheet.language.words();
    let file_of = |value: &Value| {
        let named = Attachment::from_value(value)?;
        review.files.iter().find(|file| file.sha256 == named.hash)
    };
    let path = difference.path.parse::<Path>().ok();
    html! {
        @match there {
            Some(true) => { (words.yes) }
            Some(false) => { "–" }
            // A row that was there, and is kept against a removal now, or was before.
            None if path.is_none() && !difference.path.starts_with('@') => { (if values.is_empty() { words.yes } else { words.kept_row }) }
            None if values.is_empty() => { "–" }
            None => {
                @for (at, value) in values.iter().enumerate() {
                    @if at > 0 { " | " }
                    @match (&path, file_of(value)) {
                        (_, Some(named)) => { (file(loaded.detail.row.id, named, sheet.language)) }
                        (Some(path), None) if !path.is_reserved() => { (sheet.shown(value, sheet.asked(path))) }
                        (_, None) => { (value.to_string()) }
                    }
                }
            }
        }
    }
}

fn actions(sheet: &Sheet<'_>, id: RecordId, review: &ReviewDetail, draft: &Draft) -> Markup {
    let words = sheet.language.words();
    let can = |step: Transition| review.can(step);
    let hidden = |step: Transition| {
        html! {
            input type="hidden" name="transition" value=(step);
            input type="hidden" name="seen" value=(review.seen);
        }
    };
    let button = |step: Transition, label: &str, class: Option<&str>| {
        html! {
            @if can(step) {
                form method="post" action={ "/records/" (id) "/review" } { (hidden(step)) button class=[class] { (label) } }
            }
        }
    };
    let wants_remark = !draft.about.is_empty() || !draft.text.is_empty();
    html! {
        @if !can(Transition::Approve) && Transition::Approve.leads(review.state).is_some() {
            p class="warning" { (words.conflicts_first) }
        }
        div class="decide" {
            (button(Transition::Approve, words.approve, None))
            (button(Transition::Take, words.take, Some("quiet")))
            (button(Transition::Withdraw, words.withdraw, Some("quiet")))
        }
        @if can(Transition::Return) {
            details open[wants_remark] id="return" {
                summary { (words.return_it) }
                form method="post" action={ "/records/" (id) "/review" } class="stack" {
                    (hidden(Transition::Return))
                    label { (words.remark_about) select name="path" {
                        option value="" { (words.whole_interview) }
                        @for path in offered(sheet, &draft.about) {
                            option value=(path) selected[path == draft.about] { (heading(sheet, &path)) }
                        }
                    } }
                    label { (words.what_to_correct) textarea name="text" rows="3" required { (draft.text) } }
                    button { (words.return_it) }
                }
            }
        }
        @if can(Transition::Void) {
            details open[!draft.reason.is_empty()] {
                summary { (words.void_it) }
                form method="post" action={ "/records/" (id) "/review" } class="stack" {
                    (hidden(Transition::Void))
                    label { (words.void_reason) input name="reason" required maxlength="500" value=(draft.reason); }
                    button class="quiet" { (words.void_it) }
                }
            }
        }
    }
}

/// The answers that a remark can be about, in the order of the page; also one that has no answer yet.
fn offered(sheet: &Sheet<'_>, about: &str) -> Vec<String> {
    let mut offered: Vec<String> = sheet.order.iter().map(ToString::to_string).collect();
    if !about.is_empty() && !offered.iter().any(|path| path == about) {
        offered.insert(0, about.to_owned());
    }
    offered
}

fn log(loaded: &Loaded, review: &ReviewDetail, language: Language) -> Markup {
    let words = language.words();
    html! {
        details {
            summary { (words.review_log) }
            ol class="log" { @for line in &review.log {
                li {
                    (moments::time(line.at_ms, language)) " · " (step_name(&line.transition, language)) ": "
                    (state_tag(&line.after, language)) " · "
                    @if line.who.is_empty() { (words.by_server) } @else { (person(&loaded.people, &line.who)) }
                    @for remark in &line.remarks { blockquote { p { (remark) } } }
                }
            } }
        }
    }
}

/// A transition in words.
fn step_name(transition: &str, language: Language) -> &str {
    let words = language.words();
    match Transition::from_word(transition) {
        Some(Transition::Take) => words.take,
        Some(Transition::Return) => words.return_it,
        Some(Transition::Approve) => words.approve,
        Some(Transition::Withdraw) => words.withdraw,
        Some(Transition::Void) => words.void_it,
        Some(Transition::Answer) => words.remarks_answered,
        Some(Transition::Reopen) => words.reopened,
        Some(Transition::Recall) => words.recalled,
        Some(Transition::Discard) => words.discarded,
        Some(Transition::Revive) => words.revived,
        None => transition,
    }
}

/// The form of a decision.
#[derive(Deserialize)]
pub(in crate::http::pages) struct Decided {
    transition: Transition,
    seen: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reason: String,
}

pub(in crate::http::pages) async fn decide(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Decided { transition, seen, path, text, reason } = desk.form(payload).await?;
    let draft = Draft { about: path.clone(), text: text.clone(), reason: reason.clone() };
    let remarks = match transition {
        Transition::Return => vec![NewRemark { path: Some(path), text }],
        Transition::Take
        | Transition::Approve
        | Transition::Withdraw
        | Transition::Void
        | Transition::Answer
        | Transition::Reopen
        | Transition::Recall
        | Transition::Discard
        | Transition::Revive => Vec::new(),
    };
    let decision = Decision { transition, seen, remarks, reason };
    match api::review(&desk.server, &id, desk.account.clone(), decision).await {
        Ok(_) => Ok(redirect(&format!("/records/{id}?done=reviewed#review"))),
        Err(rejection)
            if rejection.code().class() == Class::Person || rejection.status_code() == StatusCode::BAD_REQUEST =>
        {
            let status = rejection.status_code();
            view(&desk, &id, Notice { status, review: draft, ..Notice::refused(&rejection, desk.language) }).await
        }
        Err(rejection) => Err(desk.broken(rejection)),
    }
}
