//! All answers of a record in the order of the questionnaire: groups as headings, roster rows as cards.

use crate::{
    domain::detail::AnswerDetail,
    http::pages::{
        history::link,
        values::{Asked, Sheet},
    },
    store::RecordRow,
};
use maud::{Markup, PreEscaped, html};
use questionnaire::{Item, Question, Repeat};
use std::{cell::RefCell, collections::BTreeSet};
use sync_protocol::{Path, Place, RecordId};

/// The answers; those that the questionnaire does not know stand last.
pub(super) fn list(sheet: &Sheet<'_>, row: &RecordRow) -> Markup {
    let words = sheet.language.words();
    let walk = Walk { sheet, id: row.id, seen: RefCell::default() };
    // A household is no interview: its fields stand in a plain list.
    let items = sheet.questionnaire.filter(|_| row.round.is_some()).map_or(&[][..], |known| known.items());
    let known = walk.items(items, &Place::record(), 3);
    let rest: Vec<_> = sheet.answers.keys().filter(|path| !walk.seen.borrow().contains(*path)).collect();
    let rest = rest.into_iter().fold(String::new(), |mut lines, path| {
        if let Some(answer) = sheet.answers.get(path) {
            lines.push_str(
                &walk
                    .line(path, answer, &sheet.heading(path), html! { (sheet.shown(&answer.value, sheet.asked(path))) })
                    .0,
            );
        }
        lines
    });
    html! {
        @if known.0.is_empty() && rest.is_empty() { p class="empty" { (words.no_answers) } }
        (known)
        @if !rest.is_empty() {
            @if !known.0.is_empty() { h3 { (words.other_answers) } }
            dl class="answers" { (PreEscaped(rest)) }
        }
    }
}

struct Walk<'a> {
    sheet: &'a Sheet<'a>,
    id: RecordId,
    /// The answers that are on the page.
    seen: RefCell<BTreeSet<Path>>,
}

impl Walk<'_> {
    /// The items of the questionnaire in one place; empty where nothing was answered.
    fn items(&self, items: &[Item], place: &Place, level: u8) -> Markup {
        let (mut out, mut lines) = (String::new(), String::new());
        for item in items {
            let block = match item {
                Item::Question(question) => {
                    lines.push_str(&self.question(question, place).0);
                    continue;
                }
                Item::Group(group) => {
                    let inner = self.items(&group.children, place, level.saturating_add(1));
                    let label = self.sheet.text(&group.label, place);
                    html! { @if !inner.0.is_empty() { (heading(level, &label)) (inner) } }
                }
                Item::Repeat(repeat) => self.repeat(repeat, place, level),
            };
            if !block.0.is_empty() {
                close(&mut out, &mut lines);
                out.push_str(&block.0);
            }
        }
        close(&mut out, &mut lines);
        PreEscaped(out)
    }

    fn question(&self, question: &Question, place: &Place) -> Markup {
        let name = question.register();
        let Ok(path) = Path::new(place.clone(), name) else { return PreEscaped(String::new()) };
        let Some(answer) = self.sheet.answers.get(&path) else { return PreEscaped(String::new()) };
        self.seen.borrow_mut().insert(path.clone());
        // A member of a merge group has its own line; its history is the group's.
        let Some(value) = question.part(&answer.value) else { return PreEscaped(String::new()) };
        let label = self.sheet.label(question, place);
        self.line(&path, answer, &label, self.sheet.shown(value, Asked::One(question)))
    }

    fn line(&self, path: &Path, answer: &AnswerDetail, label: &str, value: Markup) -> Markup {
        let words = self.sheet.language.words();
        let path = path.to_string();
        html! {
            div class=[answer.conflict.then_some("disputed")] {
                dt { (label) @if answer.personal { " " small class="code" { (words.personal) } } }
                dd {
                    @if let Some(attachment) = answer.siblings.first().and_then(|shown| shown.attachment.as_ref()) {
                        (super::file(self.id, attachment, self.sheet.language))
                        " " a class="past" href=(link(self.id, &path)) { (words.history) }
                    } @else {
                        a class="past" href=(link(self.id, &path)) title=(words.history) { (value) }
                    }
                    @if answer.conflict { " " a class="tag bad" href="#conflicts" { (words.conflict) } }
                    @if answer.parked { " " span class="tag warn" { (words.parked) } }
                    @if answer.siblings.first().is_some_and(|shown| shown.device == "server") {
                        " " span class="tag" { (words.office) }
                    }
                }
            }
        }
    }

    fn repeat(&self, repeat: &Repeat, place: &Place, level: u8) -> Markup {
        let rows = self.sheet.rows_of(place, &repeat.key);
        let words = self.sheet.language.words();
        html! {
            @if !rows.is_empty() {
                (heading(level, &format!("{} ({})", self.sheet.text(&repeat.label, place), rows.len())))
                div class="rows" {
                    @for (at, row) in (1..).zip(&rows) {
                        article class="row" {
                            (heading(level.saturating_add(1), &match self.sheet.row_name(row) {
                                Some(name) => format!("{at}. {name}"),
                                None => format!("{} {at}", words.row),
                            }))
                            (self.items(&repeat.children, row, level.saturating_add(2)))
                        }
                    }
                }
            }
        }
    }
}

fn close(out: &mut String, lines: &mut String) {
    if !lines.is_empty() {
        out.push_str(&html! { dl class="answers" { (PreEscaped(lines.as_str())) } }.0);
        lines.clear();
    }
}

fn heading(level: u8, text: &str) -> Markup {
    html! {
        @match level {
            _ if text.is_empty() => {}
            0..=3 => { h3 { (text) } }
            4 => { h4 { (text) } }
            5 => { h5 { (text) } }
            6.. => { h6 { (text) } }
        }
    }
}
