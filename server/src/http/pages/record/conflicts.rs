//! The conflicts of a record: the siblings of each answer side by side, each with who, when and on which device.

use super::Loaded;
use crate::{
    domain::detail::{AnswerDetail, SiblingDetail},
    http::pages::{
        history::link,
        moments,
        record::person,
        values::{Asked, Sheet, flag_name},
        words::{Language, fill},
    },
};
use maud::{Markup, html};
use std::collections::BTreeMap;
use sync_protocol::{Path, RecordId};

/// Every conflict, as a row of cards.
pub(super) fn cards(sheet: &Sheet<'_>, loaded: &Loaded) -> Markup {
    let words = sheet.language.words();
    let conflicts: Vec<_> = loaded.detail.answers.iter().filter(|answer| answer.conflict).collect();
    html! {
        @if !conflicts.is_empty() {
            section id="conflicts" class="conflicts" {
                h2 { (words.conflicts) " (" (conflicts.len()) ")" }
                p class="lead" { (words.conflicts_lead) }
                @for answer in conflicts {
                    @if let Ok(path) = answer.path.parse::<Path>() { (conflict(sheet, loaded, answer, &path)) }
                }
            }
        }
    }
}

fn conflict(sheet: &Sheet<'_>, loaded: &Loaded, answer: &AnswerDetail, path: &Path) -> Markup {
    let id = loaded.detail.row.id;
    let words = sheet.language.words();
    let asked = sheet.asked(path);
    let shown: Vec<_> = answer.siblings.iter().map(|sibling| sibling.dot.as_str()).collect();
    let shown = shown.join(" ");
    html! {
        section class="conflict" {
            h3 {
                @if let Some(rows) = sheet.rows(path.place()) { span class="eyebrow" { (rows) } " " }
                (sheet.heading(path))
            }
            @if answer.kept_row { p class="notice warn" { (words.kept_row) } }
            div class="cards" {
                // A decision would make what is void count again.
                @for (at, sibling) in answer.siblings.iter().enumerate() {
                    (card(sheet, &loaded.people, value(id, sheet, asked, sibling), sibling, at == 0, html! { @if !loaded.detail.row.void { (keep(id, answer, sibling, &shown, sheet)) } }))
                }
            }
            p class="after" { a href=(link(id, &answer.path)) { (words.history) } }
        }
    }
}

fn keep(id: RecordId, answer: &AnswerDetail, sibling: &SiblingDetail, shown: &str, sheet: &Sheet<'_>) -> Markup {
    let words = sheet.language.words();
    html! {
        form method="post" action={ "/records/" (id) "/resolve" } {
            input type="hidden" name="path" value=(answer.path);
            input type="hidden" name="keep" value=(sibling.dot);
            input type="hidden" name="shown" value=(shown);
            button { (words.keep_this) }
        }
    }
}

fn value(id: RecordId, sheet: &Sheet<'_>, asked: Asked<'_>, sibling: &SiblingDetail) -> Markup {
    match &sibling.attachment {
        Some(attachment) => super::file(id, attachment, sheet.language),
        None => sheet.shown(&sibling.value, asked),
    }
}

fn card(
    sheet: &Sheet<'_>,
    people: &BTreeMap<String, String>,
    value: Markup,
    sibling: &SiblingDetail,
    is_shown: bool,
    action: Markup,
) -> Markup {
    let words = sheet.language.words();
    html! {
        article class="card" {
            p class="value" { (value) }
            (provenance(sibling, people, sheet.language))
            p class="marks" {
                @if is_shown { span class="tag" { (words.shown_meanwhile) } }
                @for flag in &sibling.flags { span class="tag warn" { (flag_name(flag, sheet.language)) } }
            }
            (action)
        }
    }
}

/// Who gave a value, on which device, when by its clock, when received; a clock that was far off is said so.
pub(in crate::http::pages) fn provenance(
    sibling: &SiblingDetail,
    people: &BTreeMap<String, String>,
    language: Language,
) -> Markup {
    let words = language.words();
    let device = if sibling.device == "server" { words.office } else { &sibling.device };
    let off = moments::clock(sibling.wall_ms.saturating_sub(sibling.effective_ms), language);
    html! {
        dl class="facts small" {
            div { dt { (words.enumerator) } dd { (person(people, &sibling.author)) } }
            div { dt { (words.device) } dd { (device) } }
            div { dt { (words.device_time) } dd { (moments::time(sibling.wall_ms, language)) } }
            div { dt { (words.received) } dd {
                @if sibling.received_ms == 0 { (words.not_yet) } @else { (moments::time(sibling.received_ms, language)) }
            } }
        }
        @if let Some(off) = off {
            p class="warning" { "⚠ " (fill(&fill(words.clock_warning, off), moments::moment(sibling.effective_ms, language))) }
        }
    }
}
