//! The rules that a record breaks: each with the answers that it reads, and who gave them when on which device.

use super::Loaded;
use crate::{
    domain::detail::{BrokenDetail, ReadDetail},
    http::pages::{
        desk::encode,
        history::link,
        moments,
        record::person,
        values::{Asked, Sheet, spoken},
        words::Language,
    },
};
use maud::{Markup, html};
use questionnaire::{Question, Text, ViolationKind};
use sync_protocol::Path;

/// Every broken rule, in the order of the questionnaire; what is missing stands folded behind what can't be right.
pub(super) fn list(sheet: &Sheet<'_>, loaded: &Loaded) -> Markup {
    let (words, broken) = (sheet.language.words(), &loaded.detail.broken);
    let (missing, wrong): (Vec<_>, Vec<_>) = broken.iter().partition(|rule| rule.kind == ViolationKind::Required);
    html! {
        @if !broken.is_empty() {
            section id="broken" {
                h2 { (words.broken_rules) " (" (broken.len()) ")" }
                @if !wrong.is_empty() { p class="lead" { (words.broken_lead) } }
                @for rule in wrong { (one(sheet, loaded, rule)) }
                @if !missing.is_empty() {
                    details open[missing.len() == broken.len()] {
                        summary { (words.missing_answers) " (" (missing.len()) ")" }
                        ul class="reads" { @for rule in missing { li { (lacking(sheet, loaded, rule)) } } }
                    }
                }
            }
        }
    }
}

/// An answer that can't be right beside the others.
fn one(sheet: &Sheet<'_>, loaded: &Loaded, rule: &BrokenDetail) -> Markup {
    let Ok(path) = rule.path.parse::<Path>() else { return html! {} };
    let message = text(sheet, &rule.message);
    html! {
        section class="conflict broken" {
            h3 {
                @if let Some(rows) = sheet.rows(path.place()) { span class="eyebrow" { (rows) } " " }
                (label(sheet, &rule.label, &path)) " "
                span class="tag warn" { (kind(rule.kind, sheet.language)) }
            }
            @if !message.is_empty() { p { (message) } }
            ul class="reads" { @for read in &rule.reads { li { (answer(sheet, loaded, read, &path)) } } }
            (ask(sheet, loaded, &path))
        }
    }
}

/// The way to return the interview with a remark about an answer.
fn ask(sheet: &Sheet<'_>, loaded: &Loaded, path: &Path) -> Markup {
    let (row, words) = (&loaded.detail.row, sheet.language.words());
    let question = sheet.questionnaire.and_then(|questionnaire| questionnaire.question_at(path));
    let register = question.map_or(path.name(), Question::register);
    let about = Path::new(path.place().clone(), register).map_or_else(|_| path.to_string(), |about| about.to_string());
    html! {
        @if loaded.can_be_returned() {
            p class="after" { a href={ "/records/" (row.id) "?about=" (encode(&about)) "#return" } { (words.return_for_this) } }
        }
    }
}

/// An answer that is missing, and why it is asked for.
fn lacking(sheet: &Sheet<'_>, loaded: &Loaded, rule: &BrokenDetail) -> Markup {
    let Ok(path) = rule.path.parse::<Path>() else { return html! {} };
    html! {
        @if let Some(rows) = sheet.rows(path.place()) { (rows) " › " }
        (label(sheet, &rule.label, &path))
        @if !rule.reads.is_empty() {
            br;
            small {
                (sheet.language.words().asked_because) ": "
                @for (at, read) in rule.reads.iter().enumerate() {
                    @if at > 0 { "; " }
                    (answer(sheet, loaded, read, &path))
                }
            }
        }
        (ask(sheet, loaded, &path))
    }
}

/// One answer that the rule reads: `Age: 7 — Maria KP001, phone a, 24 Nov 2026 14.05`.
fn answer(sheet: &Sheet<'_>, loaded: &Loaded, read: &ReadDetail, broken: &Path) -> Markup {
    let Ok(path) = read.path.parse::<Path>() else { return html! {} };
    let question = sheet.questionnaire.and_then(|questionnaire| questionnaire.question_at(&path));
    let register = question.map_or(path.name(), Question::register);
    let past =
        Path::new(path.place().clone(), register).map(|register| link(loaded.detail.row.id, &register.to_string()));
    let given = &read.given;
    let device = if given.device == "server" { sheet.language.words().office } else { &given.device };
    let elsewhere = Some(path.place()).filter(|place| *place != broken.place()).and_then(|place| sheet.rows(place));
    html! {
        @if let Some(rows) = elsewhere { (rows) " › " }
        (label(sheet, &read.label, &path)) ": "
        a class="past value" href=[past.ok()] title=(sheet.language.words().history) {
            (sheet.shown(&given.value, question.map_or(Asked::Unknown, Asked::One)))
        }
        " — " (person(&loaded.people, &given.author)) ", " (device) ", " (moments::time(given.effective_ms, sheet.language))
    }
}

fn text<'a>(sheet: &Sheet<'a>, text: &'a Text) -> &'a str {
    sheet.questionnaire.map_or("", |questionnaire| questionnaire.text(text, spoken(questionnaire, sheet.language)))
}

fn label<'a>(sheet: &Sheet<'a>, label: &'a Text, path: &'a Path) -> &'a str {
    Some(text(sheet, label)).filter(|label| !label.is_empty()).unwrap_or(path.name())
}

/// What is wrong with an answer, in words.
fn kind(kind: ViolationKind, language: Language) -> &'static str {
    let words = language.words();
    match kind {
        ViolationKind::Constraint => words.broken_constraint,
        ViolationKind::Required => words.broken_required,
        ViolationKind::Choice => words.broken_choice,
        ViolationKind::Type => words.broken_type,
    }
}
