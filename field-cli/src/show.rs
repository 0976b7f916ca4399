//! Records, lists and receipts, for people and for scripts.

use crate::Answer;
use client_core::{RecordSummary, RemarkLine, ReturnedMark, Status};
use questionnaire::{Questionnaire, merge_of};
use serde_json::{Value as Json, json};
use sync_protocol::{Record, remark::About, wire::TeamDevice};

/// `12 of 12 interviews are on the server`, with what is behind it.
pub(crate) fn receipt(status: &Status) -> String {
    let mut text = format!(
        "{} of {} interviews are safe on the server, {} of them in a backup.\n{} changes saved, {} not on the server yet.",
        status.interviews_on_server, status.interviews, status.interviews_backed_up, status.saved, status.unsent
    );
    if status.files_unsent > 0 {
        text.push_str(&format!(
            "\n{} photos and files are on this device alone: keep it until they are sent.",
            status.files_unsent
        ));
    }
    if let Some(hub) = &status.hub {
        text.push_str(&format!(
            "\nOn the hub {hub}: {} of {} interviews. On a hub is not yet safe on the server.",
            status.interviews_on_hub, status.interviews
        ));
    }
    if let Some(receipt) = &status.receipt {
        text.push_str(&format!("\nReceipt {receipt}: your coordinator's page shows the same."));
    }
    if status.conflicts > 0 {
        text.push_str(&format!("\n{} records have conflicts: see `conflicts`.", status.conflicts));
    }
    if status.returned > 0 {
        text.push_str(&format!("\n{} interviews were returned to be corrected: see `interviews`.", status.returned));
    }
    if status.quarantined > 0 {
        text.push_str(&format!("\n{} changes wait for a coordinator's look.", status.quarantined));
    }
    if status.displaced > 0 {
        text.push_str(&format!("\n{} saves that only this device still has: tell your coordinator.", status.displaced));
    }
    text
}

/// The devices of a leader's team.
pub(crate) fn team(devices: &[TeamDevice]) -> Answer {
    let mut text = String::new();
    for TeamDevice { device, enumerator, name, seen, unsent } in devices {
        let seen = seen.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let seen = seen.map_or_else(
            || "never synced".to_owned(),
            |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("synced %Y-%m-%d %H:%M").to_string(),
        );
        text.push_str(&format!("{enumerator}  {name}  device {device}  {seen}  {unsent} not sent then\n"));
    }
    if text.is_empty() {
        text.push_str("No team: you lead none, or have not synced yet.");
    }
    Answer::new(text.trim_end(), json!({ "team": devices }))
}

/// A list of records.
pub(crate) fn list(rows: &[RecordSummary]) -> Answer {
    let mut text = String::new();
    for row in rows {
        let first = row.assigned.join(", ");
        let first = if first.is_empty() { first } else { format!(" first in round {first}") };
        let marks = [(row.finished, " finished"), (row.conflicts > 0, " CONFLICT")];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let round = row.round.as_ref().map(|round| format!(" round {round}")).unwrap_or_default();
        let area = row.area.as_deref().unwrap_or("no area");
        let returned = row.returned.as_ref().map(returned).unwrap_or_default();
        let (id, title, answers) = (row.id, &row.title, row.answers);
        text.push_str(&format!("{id}  {area}  {title}{round}  {answers} answers{marks}{first}{returned}\n"));
    }
    if text.is_empty() {
        text.push_str("None yet.");
    }
    Answer::new(text.trim_end(), json!({ "records": rows }))
}

fn returned(mark: &ReturnedMark) -> String {
    match (mark.open, mark.mine) {
        (0, _) => " returned: answered".to_owned(),
        (open, true) => format!(" RETURNED: {open} remarks to answer"),
        (open, false) => format!(" returned to somebody else: {open} remarks"),
    }
}

/// One record, with the remarks with which it is returned.
pub(crate) fn record(
    summary: &RecordSummary,
    record: &Record,
    returned: &[RemarkLine],
    questionnaire: Option<&Questionnaire>,
) -> Answer {
    let mut text = format!("{}  {}\n", summary.id, summary.title);
    let mut answers = Vec::new();
    for (path, answer) in record.shown_answers() {
        let merge = merge_of(questionnaire, path);
        let value = answer.value(merge);
        let mark = if answer.is_conflict(merge) { "   CONFLICT" } else { "" };
        text.push_str(&format!("  {path} = {value}{mark}\n"));
        answers.push(json!({
            "path": path.to_string(), "value": value, "text": value.to_string(), "conflict": answer.is_conflict(merge),
            "siblings": answer.siblings.iter().map(sibling).collect::<Vec<_>>(),
        }));
    }
    let rows: Vec<Json> = record
        .all_rows()
        .map(|row| json!({ "row": row.place.as_str(), "order": row.order, "kept": row.kept }))
        .collect();
    let mut notes: Vec<Json> = Vec::new();
    // One that says nothing only names what was mended.
    for (dot, remark) in record.remarks().filter(|(_, remark)| !remark.text.is_empty()) {
        let by = record.origin(dot).map(|origin| origin.author.as_str()).unwrap_or("?");
        let about = match &remark.about {
            Some(About::Answer(path)) => Some(path.to_string()),
            Some(About::Remark(dot)) => Some(dot.to_string()),
            Some(About::Record) | None => None,
        };
        let on = about.as_ref().map(|about| format!(" on {about}")).unwrap_or_default();
        text.push_str(&format!("  remark by {by}{on}: {}\n", remark.text));
        notes.push(json!({ "text": remark.text, "by": by, "about": about }));
    }
    for remark in returned.iter().filter(|remark| !remark.answered) {
        let about = remark.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        text.push_str(&format!("  TO ANSWER {}  {about}{}\n", remark.id, remark.text));
    }
    let json = json!({
        "record": summary, "answers": answers, "rows": rows, "notes": notes, "remarks": returned,
    });
    Answer::new(text.trim_end(), json)
}

/// The conflicts of one record.
pub(crate) fn conflicts(
    summary: &RecordSummary,
    record: &Record,
    questionnaire: Option<&Questionnaire>,
) -> Vec<Answer> {
    let mut conflicts = Vec::new();
    for (path, answer) in record.shown_answers() {
        if !answer.is_conflict(merge_of(questionnaire, path)) {
            continue;
        }
        let mut text = format!("{}  {}  {path}", summary.id, summary.title);
        for sibling in &answer.siblings {
            text.push_str(&format!("\n    {}  by {}", sibling.value, sibling.origin.author));
        }
        let siblings: Vec<Json> = answer.siblings.iter().map(sibling).collect();
        let json = json!({ "record": summary.id, "path": path.to_string(), "siblings": siblings });
        conflicts.push(Answer::new(text, json));
    }
    conflicts
}

fn sibling(sibling: &sync_protocol::Sibling<'_>) -> Json {
    json!({
        "dot": sibling.dot.to_string(), "value": sibling.value, "text": sibling.value.to_string(),
        "by": sibling.origin.author, "at": sibling.origin.wall_ms,
    })
}
