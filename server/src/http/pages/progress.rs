//! How far the survey is: totals, then by area, by enumerator, by device; each number leads to its records.

use super::{
    desk::{Broken, Desk, encode},
    moments,
    shell::Tab,
    values::count,
    words::{Language, counted, fill},
};
use crate::{
    state::{Server, now_ms},
    store::{AreaRow, DeviceRow, ProgressBy, ProgressRow},
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Most changes in quarantine that are counted one by one.
const COUNTED: u32 = 1000;

/// All that the page shows.
struct Figures {
    total: Option<ProgressRow>,
    areas: Vec<ProgressRow>,
    enumerators: Vec<ProgressRow>,
    devices: Vec<DeviceRow>,
    quarantine: usize,
    known: BTreeMap<String, AreaRow>,
}

pub(super) async fn show(server: web::Data<Server>, request: HttpRequest) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let read = desk.read(|tx| {
        Ok(Figures {
            total: tx.progress(ProgressBy::Total)?.pop(),
            areas: tx.progress(ProgressBy::Area)?,
            enumerators: tx.progress(ProgressBy::Enumerator)?,
            devices: tx.devices()?,
            quarantine: tx.quarantine(0, COUNTED)?.len(),
            known: tx.areas()?.into_iter().map(|area| (area.code.clone(), area)).collect(),
        })
    });
    let figures = read.await?;
    Ok(desk.page(StatusCode::OK, desk.words().progress, Some(Tab::Progress), &body(&figures, desk.language)))
}

fn body(figures: &Figures, language: Language) -> Markup {
    let words = language.words();
    html! {
        h1 { (words.progress) }
        @if let Some(total) = &figures.total { (totals(total, figures.quarantine, language)) }
        @if figures.areas.is_empty() { p class="empty" { (words.no_data) } }
        @else { section { h2 { (words.areas) } (by_area(figures, language)) } }
        section { h2 { (words.enumerators) } (by_enumerator(&figures.enumerators, language)) }
        @if !figures.devices.is_empty() { section { h2 { (words.devices) } (devices(&figures.devices, language)) } }
    }
}

fn totals(total: &ProgressRow, quarantine: usize, language: Language) -> Markup {
    let words = language.words();
    let waiting = u64::try_from(quarantine).unwrap_or(u64::MAX);
    let more = if waiting >= u64::from(COUNTED) { "+" } else { "" };
    let tile = |href: &str, number: &str, label: &str, class: &str, note: Markup| {
        html! { li class=(class) { a href=(href) { strong { (number) } span { (label) } } (note) } }
    };
    let urgent = |number: u64| if number > 0 { "urgent" } else { "" };
    html! {
        ul class="totals" {
            (tile("/records?kind=household&void=false", &count(total.households, language), words.households, "", html! {}))
            (tile("/records?kind=interview&void=false", &count(total.interviews, language), words.interviews, "", html! {}))
            (tile("/records?kind=interview&finished=true&void=false", &count(total.finished, language), words.finished, "", html! {
                (bar(total, language))
            }))
            (tile("/records?review=waiting", &count(total.to_review, language), words.to_review, "", html! {}))
            (tile("/records?review=returned", &count(total.returned, language), words.returned_all, "", html! {}))
            (tile("/records?review=approved", &count(total.approved, language), words.approved_all, "", html! {}))
            (tile("/records?conflicts=true", &count(total.conflicts, language), words.conflicts, urgent(total.conflicts), html! {}))
            (tile("/records?violations=true", &count(total.violations, language), words.broken_rules, urgent(total.violations), html! {
                @if total.unvalidated > 0 { small { (counted(total.unvalidated, words.n_unchecked)) } }
            }))
            (tile("/quarantine", &format!("{}{more}", count(waiting, language)), words.in_quarantine, urgent(waiting), html! {}))
        }
    }
}

/// How much of the interviews is finished.
fn bar(row: &ProgressRow, language: Language) -> Markup {
    html! {
        @if row.interviews > 0 {
            progress value=(row.finished) max=(row.interviews) {
                (fill(language.words().of_interviews, row.interviews))
            }
        }
    }
}

/// Areas that lie in one, under that one's name.
fn by_area(figures: &Figures, language: Language) -> Markup {
    let words = language.words();
    let around = |row: &ProgressRow| figures.known.get(&row.code).and_then(|area| area.parent.clone());
    let mut groups: Vec<(Option<String>, Vec<&ProgressRow>)> = Vec::new();
    for row in &figures.areas {
        let parent = around(row);
        match groups.last_mut() {
            Some((known, rows)) if *known == parent => rows.push(row),
            Some(_) | None => groups.push((parent, vec![row])),
        }
    }
    html! {
        div class="scroll" { table class="stacked" {
            (columns(words.area, language))
            @for (parent, rows) in &groups {
                tbody {
                    @if let Some(parent) = parent {
                        tr class="group" { th scope="rowgroup" colspan="7" {
                            a href={ "/records?area=" (encode(parent)) } {
                                (figures.known.get(parent).map_or(parent.as_str(), |area| &area.name))
                            }
                            @if let Some(outer) = outer(figures, parent) { " " small { (outer) } }
                        } }
                    }
                    @for row in rows { (line(row, "area", language)) }
                }
            }
        } }
    }
}

/// The name of the area around an area.
fn outer<'a>(figures: &'a Figures, code: &str) -> Option<&'a str> {
    let parent = figures.known.get(code)?.parent.as_ref()?;
    figures.known.get(parent).map(|area| area.name.as_str())
}

fn by_enumerator(rows: &[ProgressRow], language: Language) -> Markup {
    html! {
        div class="scroll" { table class="stacked" {
            (columns(language.words().enumerator, language))
            tbody { @for row in rows { (line(row, "enumerator", language)) } }
        } }
    }
}

fn columns(first: &str, language: Language) -> Markup {
    let words = language.words();
    html! {
        thead { tr {
            th scope="col" { (first) }
            @for label in [words.households, words.interviews, words.finished, words.conflicts, words.broken_rules] {
                th scope="col" class="number" { (label) }
            }
            th scope="col" { (words.last_change) }
        } }
    }
}

fn line(row: &ProgressRow, by: &str, language: Language) -> Markup {
    let words = language.words();
    let code = encode(&row.code);
    let number = |number: u64, label: &str, also: &str| {
        html! {
            td class="number" data-label=(label) {
                @if number == 0 { span class="zero" { "0" } }
                @else { a href={ "/records?" (by) "=" (code) "&" (also) } { (count(number, language)) } }
            }
        }
    };
    html! {
        tr {
            th scope="row" { a href={ "/records?" (by) "=" (code) } { (row.name) } " " small class="code" { (row.code) } }
            (number(row.households, words.households, "kind=household&void=false"))
            (number(row.interviews, words.interviews, "kind=interview&void=false"))
            (number(row.finished, words.finished, "kind=interview&finished=true&void=false"))
            (number(row.conflicts, words.conflicts, "conflicts=true"))
            (number(row.violations, words.broken_rules, "violations=true"))
            td data-label=(words.last_change) {
                @match row.changed_ms {
                    Some(at) => { (moments::ago(at, now_ms(), language)) }
                    None => { "–" }
                }
            }
        }
    }
}

fn devices(devices: &[DeviceRow], language: Language) -> Markup {
    let words = language.words();
    html! {
        div class="scroll" { table class="stacked" {
            thead { tr {
                th scope="col" { (words.device) }
                th scope="col" { (words.enumerator) }
                th scope="col" { (words.last_seen) }
                th scope="col" { (words.clock) }
                th scope="col" class="number" title=(words.unsent_when) { (words.unsent) }
                th scope="col" title=(words.receipt_what) { (words.receipt) }
                th scope="col" class="number" { (words.changes) }
                th scope="col" class="number" { (words.broken_rules) }
                th scope="col" { (words.app) }
            } }
            tbody { @for device in devices { (device_line(device, language)) } }
        } }
    }
}

fn device_line(device: &DeviceRow, language: Language) -> Markup {
    let words = language.words();
    let off = device.skew_ms.and_then(|skew| moments::clock(skew, language));
    html! {
        tr {
            th scope="row" {
                (device.name) " " small class="code" { "#" (device.id) }
                @if device.forks > 0 { " " span class="tag warn" { (fill(words.copied, device.forks)) } }
                @if device.carried > 0 { " " span class="tag" { (fill(words.carried, device.carried)) } }
                @if device.revoked { " " span class="tag bad" { (words.revoked) } }
            }
            td data-label=(words.enumerator) {
                a href={ "/records?enumerator=" (encode(&device.enumerator)) } { (device.enumerator_name) }
                " " small class="code" { (device.enumerator) }
            }
            td data-label=(words.last_seen) {
                @match device.seen_ms {
                    Some(at) => { (moments::ago(at, now_ms(), language)) }
                    None => { (words.never) }
                }
            }
            td data-label=(words.clock) {
                @match (&off, device.skew_ms) {
                    (Some(off), _) => { span class="tag warn" { (off) } }
                    (None, Some(_)) => { (words.clock_right) }
                    (None, None) => { "–" }
                }
            }
            td class="number" data-label=(words.unsent) { (count(device.unsent, language)) }
            td data-label=(words.receipt) { @if let Some(receipt) = &device.receipt { small class="code receipt" { (receipt) } } }
            td class="number" data-label=(words.changes) { (count(device.changes, language)) }
            td class="number" data-label=(words.broken_rules) { (count(device.violations, language)) }
            td data-label=(words.app) { small { (device.app) } }
        }
    }
}
