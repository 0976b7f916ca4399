//! Links to the exports: a card per questionnaire version, a line per file.

use super::{
    desk::{Broken, Desk, encode},
    shell::Tab,
    values::spoken,
    words::{Language, fill},
};
use crate::state::Server;
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use questionnaire::{Item, Questionnaire, Repeat};
use std::sync::Arc;

pub(super) async fn show(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let shared = desk.server.clone();
    let read = desk.read(move |tx| {
        let catalogue = shared.world(tx)?.catalogue;
        Ok(catalogue.questionnaires().map(|(_, questionnaire)| questionnaire.clone()).collect::<Vec<_>>())
    });
    let questionnaires: Vec<Arc<Questionnaire>> = read.await?;
    let words = desk.words();
    let main = html! {
        h1 { (words.exports) }
        p class="lead" { (words.exports_lead) }
        @if questionnaires.is_empty() { p class="empty" { (words.exports_empty) } }
        // The newest version first.
        @for questionnaire in questionnaires.iter().rev() { (card(questionnaire, desk.language)) }
    };
    Ok(desk.page(StatusCode::OK, words.exports, Some(Tab::Exports), &main))
}

fn card(questionnaire: &Questionnaire, language: Language) -> Markup {
    let words = language.words();
    let title = if questionnaire.title.is_empty() { words.untitled } else { &questionnaire.title };
    html! {
        section class="card" {
            h2 { (title) }
            p class="eyebrow" { (questionnaire.id) " · " (fill(words.version, &questionnaire.version)) }
            (files(questionnaire, false, language))
            details {
                summary { (words.with_personal) }
                p class="notice warn" { (words.personal_warning) }
                (files(questionnaire, true, language))
            }
        }
    }
}

fn files(questionnaire: &Questionnaire, personal: bool, language: Language) -> Markup {
    let words = language.words();
    let mut repeats = Vec::new();
    collect(questionnaire.items(), &mut repeats);
    let mut files = vec![("interviews", words.interviews.to_owned())];
    for repeat in repeats {
        let label = questionnaire.text(&repeat.label, spoken(questionnaire, language));
        files.push((&repeat.key, if label.is_empty() { repeat.key.clone() } else { label.to_owned() }));
    }
    let base = format!("/export/{}/{}", encode(&questionnaire.id), encode(&questionnaire.version));
    let link =
        |file: &str, labels: &str| format!("{base}/{}.csv?labels={}&personal={personal}", encode(file), encode(labels));
    html! {
        div class="scroll" { table {
            thead { tr {
                th scope="col" { (words.file) }
                th scope="col" { (words.codes) }
                @for spoken in &questionnaire.languages { th scope="col" { (fill(words.labels, short(spoken))) } }
            } }
            tbody { @for (file, label) in &files {
                tr {
                    th scope="row" { (label) " " small class="code" { (file) ".csv" } }
                    td { a href=(link(file, "")) download aria-label={ (label) ", " (words.codes) } { "CSV" } }
                    @for spoken in &questionnaire.languages {
                        td { a href=(link(file, spoken)) download aria-label={ (label) ", " (short(spoken)) } { "CSV" } }
                    }
                }
            } }
        } }
    }
}

/// A language without its code: `English (en)`.
fn short(language: &str) -> &str {
    language.split_once(" (").map_or(language, |(name, _)| name)
}

/// The repeats of a questionnaire, outer ones first.
fn collect<'a>(items: &'a [Item], repeats: &mut Vec<&'a Repeat>) {
    for item in items {
        match item {
            Item::Question(_) => {}
            Item::Group(group) => collect(&group.children, repeats),
            Item::Repeat(repeat) => {
                repeats.push(repeat);
                collect(&repeat.children, repeats);
            }
        }
    }
}
