//! The list of records: a form to filter by, and pages of 50 lines.

use super::{
    desk::{self, Broken, Desk, local, redirect},
    moments,
    record::{kind, name, person},
    shell::Tab,
    values::{count, marks, state_name},
    words::{Language, fill},
};
use crate::{
    domain::review::{self, State},
    http::api::{self, RecordQuery},
    state::{Server, now_ms},
    store::{AreaRow, RecordFilter, RecordRow},
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use std::collections::{BTreeMap, btree_map::Entry};
use sync_protocol::problem::{Class, Code};

/// Lines of a page.
const PAGE: u32 = 50;
/// Most areas that the form offers.
const AREAS: usize = 400;

/// What the page shows.
struct Listed {
    rows: Vec<RecordRow>,
    people: BTreeMap<String, String>,
    areas: Vec<AreaRow>,
    /// Of the interviews that can be approved from here: what was seen of each, by its number.
    seen: BTreeMap<i64, String>,
}

/// What became of the interviews that were approved from the list: so many, and so many not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Approved {
    done: usize,
    refused: usize,
}

impl Approved {
    /// Reads `done=12-2` of a query.
    fn read(part: &str) -> Option<Self> {
        let (done, refused) = part.strip_prefix("done=")?.split_once('-')?;
        Some(Self { done: done.parse().ok()?, refused: refused.parse().ok()? })
    }
}

pub(super) async fn show(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    // A form sends its empty fields, too.
    let mut given: Vec<&str> = desk.request.query_string().split('&').filter(|part| !part.ends_with('=')).collect();
    let approved = given.iter().find_map(|part| Approved::read(part));
    given.retain(|part| Approved::read(part).is_none());
    let mut query: RecordQuery =
        desk::parse(&given.join("&"), Code::BadQuery).map_err(|rejection| desk.broken(rejection))?;
    query.limit = Some(query.limit.unwrap_or(PAGE).min(PAGE));
    let (filter, after, limit) = query.filter().map_err(|rejection| desk.broken(rejection))?;
    let (asked, next) = (filter.clone(), given.into_iter().filter(|part| !part.starts_with("after=")));
    let next: String = next.filter(|part| !part.is_empty()).map(|part| format!("{part}&")).collect();
    let shared = desk.server.clone();
    let read = desk.read(move |tx| {
        let rows = tx.records(&asked, after, limit)?;
        let approves = matches!(asked.review.as_deref(), Some("waiting" | "submitted" | "in-review" | "corrected"));
        let seen = if approves { review::seen_of(tx, &rows, &shared.world(tx)?.catalogue)? } else { BTreeMap::new() };
        Ok(Listed { rows, people: tx.enumerator_names()?, areas: tx.areas()?, seen })
    });
    let listed = read.await?;
    let (language, words) = (desk.language, desk.words());
    let is_full = u32::try_from(listed.rows.len()).is_ok_and(|count| count == limit);
    let last = listed.rows.last().filter(|_| is_full).map(|row| row.number);
    let main = html! {
        h1 { (words.records) }
        (form(&filter, &listed, language))
        @if let Some(Approved { done, refused }) = approved {
            p class={ "notice " (if refused > 0 { "warn" } else { "good" }) } role="status" {
                (fill(words.approved_n, done))
                @if refused > 0 { " " (fill(words.not_approved_n, refused)) }
            }
        }
        @if listed.rows.is_empty() { p class="empty" { (words.none_found) } }
        @else if listed.seen.is_empty() { (table(&listed, language)) }
        @else {
            form method="post" action="/records/approve" {
                input type="hidden" name="back" value=(next);
                (table(&listed, language))
                div class="decide" { button { (words.approve_selected) } }
            }
        }
        nav class="paging" aria-label=(words.next_page) {
            @if after > 0 { a href={ "/records?" (next) } { "« " (words.first_page) } }
            @if let Some(last) = last { a class="button" rel="next" href={ "/records?" (next) "after=" (last) } { (words.next_page) " ›" } }
        }
    };
    Ok(desk.page(StatusCode::OK, words.records, Some(Tab::Records), &main))
}

/// Approves interviews that were chosen in the list, each as it was seen there; one that can't be approved stops none of the others.
pub(super) async fn approve(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let fields: Vec<(String, String)> = desk.form(payload).await?;
    let back = fields.iter().find(|(name, _)| name == "back").map(|(_, back)| back.as_str()).unwrap_or_default();
    let mut approved = Approved { done: 0, refused: 0 };
    let chosen = fields.iter().filter(|(name, _)| name == "approve");
    for (id, seen) in chosen.filter_map(|(_, value)| value.split_once(' ')) {
        let (transition, seen) = (review::Transition::Approve, seen.to_owned());
        let decision = review::Decision { transition, seen, remarks: Vec::new(), reason: String::new() };
        match api::review(&desk.server, id, desk.account.clone(), decision).await {
            Ok(_) => approved.done += 1,
            Err(rejection) if rejection.code().class() == Class::Person => approved.refused += 1,
            Err(rejection) => return Err(desk.broken(rejection)),
        }
    }
    let Approved { done, refused } = approved;
    Ok(redirect(local(Some(&format!("/records?{back}done={done}-{refused}")))))
}

fn table(listed: &Listed, language: Language) -> Markup {
    let words = language.words();
    let known: BTreeMap<&str, &AreaRow> = listed.areas.iter().map(|area| (area.code.as_str(), area)).collect();
    let around = |row: &RecordRow| {
        let parent = known.get(row.area.as_deref()?)?.parent.as_deref()?;
        known.get(parent).map(|area| area.name.as_str())
    };
    html! {
        div class="scroll" { table class="stacked" {
            thead { tr {
                @if !listed.seen.is_empty() { th scope="col" { (words.approve) } }
                th scope="col" { (words.name) }
                th scope="col" { (words.kind) }
                th scope="col" { (words.area) }
                th scope="col" { (words.enumerator) }
                th scope="col" class="number" { (words.answers) }
                th scope="col" { (words.marks) }
                th scope="col" { (words.last_change) }
            } }
            tbody { @for row in &listed.rows {
                tr {
                    @match listed.seen.get(&row.number) {
                        Some(seen) => td data-label=(words.approve) {
                            input type="checkbox" name="approve" value={ (row.id) " " (seen) } aria-label=(name(row, language));
                        },
                        // Somebody looks at this one first.
                        None if !listed.seen.is_empty() => td {},
                        None => {},
                    }
                    th scope="row" { a href={ "/records/" (row.id) } { (name(row, language)) } }
                    td data-label=(words.kind) { (kind(row, language)) }
                    td data-label=(words.area) {
                        (row.area_name.as_deref().unwrap_or(words.no_area))
                        @if let Some(around) = around(row)
                            && !row.area_name.as_ref().is_some_and(|name| name.contains(around)) { ", " (around) }
                    }
                    td data-label=(words.enumerator) { (person(&listed.people, &row.enumerator)) }
                    td class="number" data-label=(words.answers) { (count(u64::from(row.answers), language)) }
                    td class="marks" data-label=(words.marks) { (marks(row, language)) }
                    td data-label=(words.last_change) { (moments::ago(row.changed_ms, now_ms(), language)) }
                }
            } }
        } }
    }
}

fn form(filter: &RecordFilter, listed: &Listed, language: Language) -> Markup {
    let words = language.words();
    html! {
        form method="get" action="/records" class="filter" role="search" {
            label { (words.search_name) input type="search" name="q" value=[filter.search.as_ref()]; }
            label { (words.area) select name="area" {
                option value="" { (words.all) }
                (areas(&listed.areas, filter.area.as_deref(), language))
            } }
            label { (words.enumerator) select name="enumerator" {
                option value="" { (words.all) }
                @for (code, name) in &listed.people { (option(code, name, filter.enumerator.as_deref())) }
                @if let Some(other) = filter.enumerator.as_ref().filter(|code| !listed.people.contains_key(*code)) {
                    (option(other, other, Some(other)))
                }
            } }
            label { (words.kind) select name="kind" {
                @let chosen = filter.interviews.map(|is| if is { "interview" } else { "household" });
                option value="" { (words.all) }
                (option("household", words.household, chosen))
                (option("interview", words.interview, chosen))
            } }
            label class="short" { (words.round) input name="round" size="4" value=[filter.round.as_ref()]; }
            label { (words.status) select name="finished" {
                @let chosen = filter.finished.map(|is| if is { "true" } else { "false" });
                option value="" { (words.all) }
                (option("true", words.finished, chosen))
                (option("false", words.unfinished, chosen))
            } }
            label { (words.review) select name="review" {
                option value="" { (words.all) }
                (option("waiting", words.to_review, filter.review.as_deref()))
                @for state in State::ALL {
                    (option(state.as_str(), state_name(*state, language), filter.review.as_deref()))
                }
            } }
            @if let Some(household) = filter.household {
                input type="hidden" name="household" value=(household);
                p { (words.of_one_household) }
            }
            div class="checks" {
                label { input type="checkbox" name="conflicts" value="true" checked[filter.conflicts]; " " (words.only_conflicts) }
                label { input type="checkbox" name="violations" value="true" checked[filter.violations]; " " (words.only_broken) }
                label {
                    @let chosen = filter.flag.as_deref();
                    input type="checkbox" name="flag" value=(chosen.unwrap_or("out-of-scope")) checked[chosen.is_some()];
                    " " (words.only_out_of_scope)
                }
                label {
                    @let void = filter.void.unwrap_or(false);
                    input type="checkbox" name="void" value=(void) checked[filter.void.is_some()];
                    " " (if void { words.only_void } else { words.without_void })
                }
                div class="actions" {
                    button { (words.filter) }
                    @if *filter != RecordFilter::default() { a href="/records" { (words.filter_clear) } }
                }
            }
        }
    }
}

fn option(value: &str, label: &str, chosen: Option<&str>) -> Markup {
    html! { option value=(value) selected[chosen == Some(value)] { (label) } }
}

/// Areas to choose from: kelurahan under their kecamatan; an RT only where it is chosen already.
fn areas(all: &[AreaRow], chosen: Option<&str>, language: Language) -> Markup {
    let words = language.words();
    let is_urban = all.iter().any(|area| area.level == "kelurahan");
    let offered = || all.iter().filter(|area| !is_urban || area.level == "kelurahan").take(AREAS);
    let mut groups: BTreeMap<&str, Vec<&AreaRow>> = BTreeMap::new();
    for area in offered() {
        match groups.entry(area.parent.as_deref().unwrap_or("")) {
            Entry::Occupied(mut group) => group.get_mut().push(area),
            Entry::Vacant(group) => {
                group.insert(vec![area]);
            }
        }
    }
    let named =
        |code: &str| all.iter().find(|area| area.code == code).map_or(code.to_owned(), |area| area.name.clone());
    let is_offered = |code: &str| groups.contains_key(code) || offered().any(|area| area.code == code);
    html! {
        @if let Some(chosen) = chosen.filter(|code| !is_offered(code)) { (option(chosen, &named(chosen), Some(chosen))) }
        @for (parent, inner) in &groups {
            @let outer = named(parent);
            optgroup label=(outer) {
                @if !parent.is_empty() { (option(parent, &fill(words.all_of, &outer), chosen)) }
                @for area in inner { (option(&area.code, &area.name, chosen)) }
            }
        }
    }
}
