//! One record: its head, its conflicts side by side, the rules that it breaks, its answers, its remarks; decisions are
//! posted here.

mod answers;
mod broken;
mod conflicts;
mod files;
pub(super) mod review;
pub(super) mod same;

pub(super) use conflicts::provenance;
pub(super) use files::file;

use super::{
    desk::{Broken, Desk, redirect},
    moments,
    shell::Tab,
    values::{Sheet, marks},
    words::{Language, counted, fill},
};
use crate::{
    domain::{
        Failure,
        detail::{self, Detail, NoteDetail},
        review as decisions,
    },
    http::{api, failure::Rejection},
    state::Server,
    store::{RecordFilter, RecordRow, Tx},
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use questionnaire::Questionnaire;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use sync_protocol::{
    Path, RecordId,
    problem::{Class, Code},
};

/// Most records of a household that its pages link to.
const RELATED: u32 = 50;

/// What a page about one record shows.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) detail: Detail,
    /// The household and its interviews.
    related: Vec<RecordRow>,
    /// The names of areas by code, behind those of the areas around them.
    areas: BTreeMap<String, String>,
    /// The names of enumerators by code.
    pub(super) people: BTreeMap<String, String>,
    /// The questionnaire that explains the answers.
    questionnaire: Option<Arc<Questionnaire>>,
}

/// Reads what a page about one record shows.
pub(super) fn load(tx: Tx<'_>, id: RecordId, server: &Server) -> Result<Loaded, Failure> {
    let catalogue = server.world(tx)?.catalogue;
    let detail = detail::detail(tx, id, &catalogue)?;
    let filter = RecordFilter { household: Some(detail.row.household.0), ..RecordFilter::default() };
    let mut areas = BTreeMap::new();
    let codes = detail.answers.iter().filter(|answer| answer.path == crate::domain::catalogue::AREA);
    let codes = codes.flat_map(|answer| &answer.siblings).map(|sibling| sibling.value.to_string());
    for code in codes.chain(detail.row.area.clone()) {
        let name = tx.area_name(&code)?;
        // An area may name the one around it itself.
        let short = name.split_once(" · ").filter(|(outer, inner)| inner.contains(outer)).map(|(_, inner)| inner);
        match short {
            Some(short) => areas.insert(code, short.to_owned()),
            None if name.is_empty() => continue,
            None => areas.insert(code, name),
        };
    }
    // A household has no questionnaire of its own: the newest one that feeds it names its fields.
    let newest = || catalogue.questionnaires().last().map(|(_, newest)| newest.clone());
    Ok(Loaded {
        related: tx.records(&filter, 0, RELATED)?,
        areas,
        people: tx.enumerator_names()?,
        questionnaire: detail.questionnaire.clone().or_else(newest),
        detail,
    })
}

impl Loaded {
    /// The answers with what explains them.
    pub(super) fn sheet(&self, language: Language) -> Sheet<'_> {
        let answers = self.detail.answers.iter().filter_map(|answer| Some((answer.path.parse::<Path>().ok()?, answer)));
        Sheet {
            order: answers.clone().map(|(path, _)| path).collect(),
            questionnaire: self.questionnaire.as_deref(),
            language,
            answers: answers.collect(),
            areas: self.areas.clone(),
        }
    }

    /// Whether the interview can be returned now.
    pub(super) fn can_be_returned(&self) -> bool {
        self.detail.review.as_ref().is_some_and(|review| review.can(decisions::Transition::Return))
    }

    /// The record's name.
    pub(super) fn title(&self, language: Language) -> &str {
        name(&self.detail.row, language)
    }
}

/// A person by name, with the code that data know them by.
pub(super) fn person(people: &BTreeMap<String, String>, code: &str) -> Markup {
    html! {
        @match people.get(code) {
            Some(name) => { (name) " " small class="code" { (code) } }
            None => { (code) }
        }
    }
}

/// What a record is called.
pub(super) fn name(row: &RecordRow, language: Language) -> &str {
    if row.title.is_empty() { language.words().unnamed } else { &row.title }
}

/// What kind of record a line is.
pub(super) fn kind(row: &RecordRow, language: Language) -> String {
    let words = language.words();
    let Some(round) = &row.round else { return words.household.to_owned() };
    let purpose = row.purpose.as_deref().filter(|purpose| *purpose != "interview");
    let purpose = purpose.map(|purpose| format!(" · {purpose}")).unwrap_or_default();
    format!("{}, {}{purpose}", words.interview, fill(words.round_n, round))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// What was just done.
    done: Option<String>,
    /// The answer that a remark is to be about.
    about: String,
}

/// What a page says on top.
#[derive(Debug, Default)]
struct Notice {
    status: StatusCode,
    text: String,
    /// A remark that was not accepted, to be mended.
    draft: String,
    /// A return that was not accepted, or is to be written.
    review: review::Draft,
}

impl Notice {
    /// Why what a person asked for was not done.
    fn refused(rejection: &Rejection, language: Language) -> Self {
        let text = format!("{} ({})", super::words::problem(rejection.code(), language), rejection.detail());
        Self { status: StatusCode::BAD_REQUEST, text, ..Self::default() }
    }
}

pub(super) async fn show(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let words = desk.words();
    let Asked { done, about } = desk.query()?;
    let text = match done.as_deref() {
        Some("kept") => words.kept_done,
        Some("remark") => words.remark_done,
        Some("reviewed") => words.reviewed_done,
        Some("linked") => words.linked_done,
        Some("unlinked") => words.unlinked_done,
        Some(_) | None => "",
    };
    let review = review::Draft { about, ..review::Draft::default() };
    view(&desk, &id, Notice { text: text.to_owned(), review, ..Notice::default() }).await
}

async fn view(desk: &Desk, id: &str, notice: Notice) -> Result<HttpResponse, Broken> {
    let id = api::record_id(id).map_err(|rejection| desk.broken(rejection))?;
    let server = desk.server.clone();
    let loaded = desk.read(move |tx| load(tx, id, &server)).await?;
    let title = loaded.title(desk.language).to_owned();
    Ok(desk.page(notice.status, &title, Some(Tab::Records), &body(&loaded, &notice, desk.language)))
}

fn body(loaded: &Loaded, notice: &Notice, language: Language) -> Markup {
    let (words, row) = (language.words(), &loaded.detail.row);
    let sheet = loaded.sheet(language);
    html! {
        @if !notice.text.is_empty() {
            p class={ "notice " (if notice.status.is_success() { "good" } else { "bad" }) } role="status" {
                (notice.text)
            }
        }
        (head(loaded, language))
        (review::section(&sheet, loaded, &notice.review))
        (conflicts::cards(&sheet, loaded))
        (broken::list(&sheet, loaded))
        section {
            h2 { (words.all_answers) }
            (answers::list(&sheet, row))
        }
        (same::section(loaded, language))
        (remarks(&sheet, loaded, &notice.draft))
    }
}

fn head(loaded: &Loaded, language: Language) -> Markup {
    let (words, row) = (language.words(), &loaded.detail.row);
    let area = row.area.as_ref().and_then(|code| loaded.areas.get(code));
    let standing = match loaded.detail.standing {
        "kept-despite-void" => Some(words.kept_despite_void),
        _other => None,
    };
    html! {
        p class="eyebrow" { (kind(row, language)) }
        h1 { (name(row, language)) }
        p class="marks" {
            (marks(row, language))
            @if let Some(standing) = standing { span class="tag warn" { (standing) } }
        }
        dl class="facts" {
            div { dt { (words.area) } dd { (area.map_or(words.no_area, String::as_str)) } }
            div { dt { (words.first_saved_by) } dd { (person(&loaded.people, &row.enumerator)) } }
            div { dt { (words.questionnaire) } dd { (row.questionnaire) } }
            div { dt { (words.answers) } dd { (row.answers) } }
            @let files = loaded.detail.attachments;
            @if files.here + files.to_come + files.refused + files.lost > 0 {
                div { dt { (words.files) }
                    dd {
                        (fill(words.files_here, files.here))
                        @if files.to_come > 0 { " " span class="tag warn" { (fill(words.files_to_come, files.to_come)) } }
                        @if files.refused > 0 { " " span class="tag bad" { (fill(words.files_refused, files.refused)) } }
                        @if files.lost > 0 { " " span class="tag bad" { (fill(words.files_lost, files.lost)) } }
                    }
                }
            }
            div { dt { (words.last_change) }
                dd { (moments::time(row.changed_ms, language)) " · " (counted(u64::from(row.changes), words.n_changes)) }
            }
        }
        @for void in &loaded.detail.voids {
            p class="notice warn" { strong { (words.void_reason) ": " } (void.text) " — " (signed(loaded, void, language)) }
        }
        @if loaded.related.len() > 1 {
            nav class="related" aria-label=(words.of_this_household) {
                strong { (words.of_this_household) ":" }
                ul { @for other in &loaded.related { li {
                    @if other.id == row.id {
                        span aria-current="page" { (kind(other, language)) " (" (words.this_page) ")" }
                    } @else {
                        a href={ "/records/" (other.id) } { (kind(other, language)) }
                        @if other.conflicts > 0 {
                            " " span class="tag bad" { (counted(u64::from(other.conflicts), words.n_conflicts)) }
                        }
                        @if other.violations > 0 {
                            " " span class="tag warn" { (counted(u64::from(other.violations), words.n_broken)) }
                        }
                    }
                } } }
            }
        }
    }
}

fn signed(loaded: &Loaded, note: &NoteDetail, language: Language) -> Markup {
    html! { (person(&loaded.people, &note.author)) ", " (moments::time(note.effective_ms, language)) }
}

fn remarks(sheet: &Sheet<'_>, loaded: &Loaded, draft: &str) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    html! {
        section id="remarks" {
            h2 { (words.remarks) }
            @if loaded.detail.notes.is_empty() { p class="empty" { (words.no_remarks) } }
            @for note in &loaded.detail.notes {
                blockquote {
                    @if let Some(path) = note.about.as_ref().and_then(|about| about.parse::<Path>().ok()) {
                        p { strong { (sheet.heading(&path)) } }
                    }
                    p { (note.text) }
                    footer { (signed(loaded, note, language)) }
                }
            }
            // One more remark would make what is void count again.
            @if !loaded.detail.row.void {
                form method="post" action={ "/records/" (loaded.detail.row.id) "/remark" } class="stack" {
                    label { (words.remark_label) textarea name="text" rows="3" required { (draft) } }
                    button { (words.remark_add) }
                }
            }
        }
    }
}

/// The form of a button *keep this one*; the dots stand in one field, as forms have no lists.
#[derive(Deserialize)]
pub(super) struct Keep {
    path: String,
    keep: String,
    shown: String,
}

pub(super) async fn resolve(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Keep { path, keep, shown } = desk.form(payload).await?;
    let shown = shown.split_whitespace().map(str::to_owned).collect();
    let resolution = decisions::Resolution { path, keep, shown };
    let done = api::decide(&desk.server, &id, desk.account.clone(), move |tx, id, author, world| {
        decisions::resolve(tx, id, &resolution, author, world, crate::state::now_ms())
    });
    match done.await {
        Ok(()) => Ok(redirect(&format!("/records/{id}?done=kept"))),
        Err(rejection) if rejection.code() == Code::Stale => {
            let text = desk.words().stale.to_owned();
            view(&desk, &id, Notice { status: StatusCode::CONFLICT, text, ..Notice::default() }).await
        }
        Err(rejection) => Err(desk.broken(rejection)),
    }
}

/// The form of a remark.
#[derive(Deserialize)]
pub(super) struct Remark {
    text: String,
}

pub(super) async fn remark(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Remark { text: draft } = desk.form(payload).await?;
    let text = draft.clone();
    let done = api::decide(&desk.server, &id, desk.account.clone(), move |tx, id, author, world| {
        decisions::remark(tx, id, &text, author, world, crate::state::now_ms())
    });
    match done.await {
        Ok(()) => Ok(redirect(&format!("/records/{id}?done=remark#remarks"))),
        // What was typed stays.
        Err(rejection) if rejection.code() == Code::WrongType || rejection.code().class() == Class::Person => {
            view(&desk, &id, Notice { draft, ..Notice::refused(&rejection, desk.language) }).await
        }
        Err(rejection) => Err(desk.broken(rejection)),
    }
}
