//! Every value that one answer ever had, newest first: who, when, on which device, replaced by what.

use super::{
    desk::{Broken, Desk, encode},
    moments,
    record::{Loaded, file, load, person, provenance},
    shell::Tab,
    values::{Sheet, flag_name},
    words::fill,
};
use crate::{
    domain::{
        Failure,
        detail::{self, SiblingDetail},
    },
    http::{api, failure::Rejection},
    state::Server,
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use serde::Deserialize;
use sync_protocol::{Path, RecordId, problem::Code};

/// The address of an answer's history.
pub(super) fn link(id: RecordId, path: &str) -> String {
    format!("/records/{id}/history?path={}", encode(path))
}

#[derive(Debug, Deserialize)]
struct Which {
    path: String,
}

pub(super) async fn show(
    server: web::Data<Server>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Broken> {
    let desk = Desk::open(server, request).await?;
    let Which { path } = desk.query()?;
    let path: Path = path
        .parse()
        .map_err(|_ignored| desk.broken(Rejection::new(Code::BadQuery, "`path` is not an answer's path")))?;
    let id = api::record_id(&id).map_err(|rejection| desk.broken(rejection))?;
    let (shared, asked) = (desk.server.clone(), path.clone());
    let read = desk.read(move |tx| {
        Ok::<_, Failure>((load(tx, id, &shared)?, detail::history(tx, id, &asked, &shared.world(tx)?.catalogue)?))
    });
    let (loaded, values) = read.await?;
    let values = newest_first(values);
    let main = body(&loaded, &loaded.sheet(desk.language), &path, &values);
    Ok(desk.page(StatusCode::OK, desk.words().history_of, Some(Tab::Records), &main))
}

/// A value stands below those that replaced it, whatever the clocks said; otherwise the later one is on top.
fn newest_first(mut values: Vec<SiblingDetail>) -> Vec<SiblingDetail> {
    let mut sorted = Vec::with_capacity(values.len());
    while !values.is_empty() {
        let waits =
            |value: &SiblingDetail| value.replaced_by.iter().any(|by| values.iter().any(|other| other.dot == *by));
        let next = (0..).zip(&values).filter(|(_, value)| !waits(value)).max_by_key(|(_, value)| value.effective_ms);
        // Causality has no circles; if it had, the order that is given would do.
        let at = next.map_or(0, |(at, _)| at);
        sorted.push(values.remove(at));
    }
    sorted
}

fn body(loaded: &Loaded, sheet: &Sheet<'_>, path: &Path, values: &[SiblingDetail]) -> Markup {
    let (language, words) = (sheet.language, sheet.language.words());
    html! {
        p { a href={ "/records/" (loaded.detail.row.id) } { "← " (fill(words.back_to_record, loaded.title(language))) } }
        p class="eyebrow" {
            (words.history_of)
            @if let Some(rows) = sheet.rows(path.place()) { " · " (rows) }
        }
        h1 { (sheet.heading(path)) }
        p class="lead" { (words.newest_first) }
        @if loaded.can_be_returned() && !path.is_reserved() {
            p { a href={ "/records/" (loaded.detail.row.id) "?about=" (encode(&path.to_string())) "#return" } { (words.return_for_this) } }
        }
        ol class="timeline" reversed {
            @for value in values {
                li class=[value.replaced_by.is_empty().then_some("live")] id={ "d-" (value.dot) } {
                    p class="value" {
                        @if let Some(attachment) = &value.attachment { (file(loaded.detail.row.id, attachment, language)) }
                        @else { (sheet.shown(&value.value, sheet.asked(path))) }
                    }
                    p class="marks" {
                        @if value.replaced_by.is_empty() { span class="tag good" { (words.current) } }
                        @else { span class="tag" { (words.replaced) } }
                        @for flag in &value.flags { span class="tag warn" { (flag_name(flag, language)) } }
                    }
                    (provenance(value, &loaded.people, language))
                    @for dot in &value.replaced_by { p class="after" { (words.replaced_by) " " (successor(loaded, sheet, path, values, dot)) } }
                    p class="after" { small class="code" { (fill(words.by_change, &value.dot)) } }
                }
            }
        }
    }
}

/// The value that replaced another, or its change where that set something else.
fn successor(loaded: &Loaded, sheet: &Sheet<'_>, path: &Path, values: &[SiblingDetail], dot: &str) -> Markup {
    html! {
        @match values.iter().find(|value| value.dot == dot) {
            Some(by) => {
                a href={ "#d-" (dot) } { (sheet.plain(&by.value, sheet.asked(path))) }
                " (" (person(&loaded.people, &by.author)) ", " (moments::time(by.effective_ms, sheet.language)) ")"
            }
            None => { small class="code" { (dot) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::Value;

    fn value(dot: &str, effective_ms: i64, replaced_by: &[&str]) -> SiblingDetail {
        SiblingDetail {
            dot: dot.to_owned(),
            value: Value::text(dot),
            author: String::new(),
            device: String::new(),
            wall_ms: effective_ms,
            effective_ms,
            received_ms: 0,
            flags: Vec::new(),
            attachment: None,
            replaced_by: replaced_by.iter().map(|dot| (*dot).to_owned()).collect(),
        }
    }

    #[test]
    fn a_value_stands_below_what_replaced_it_whatever_the_clocks_said() {
        let values =
            vec![value("first", 900, &["second", "third"]), value("second", 100, &[]), value("third", 500, &[])];
        let order: Vec<_> = newest_first(values).into_iter().map(|value| value.dot).collect();
        assert_eq!(order, ["third", "second", "first"]);
    }
}
