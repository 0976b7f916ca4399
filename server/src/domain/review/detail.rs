//! The review of one interview as coordinators see it.

use super::{
    decide,
    state::{Role, State, Transition},
    view::{self, Difference},
};
use crate::{
    domain::{
        Failure,
        attachments::{self, AttachmentDetail},
        catalogue::Catalogue,
    },
    store::{RecordKey, RecordRow, ReviewEvent, Tx, Worker},
};
use serde::Serialize;
use std::collections::BTreeSet;
use sync_protocol::{Attachment, Dot, Record, remark::About};

/// Where the review of an interview stands, and how it came there.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewDetail {
    /// The state.
    pub state: State,
    /// To be given back with a decision.
    pub seen: String,
    /// What a coordinator may do.
    pub possible: Vec<Transition>,
    /// The remarks of the last return.
    pub remarks: Vec<RemarkDetail>,
    /// Who is to correct it, while it is returned: the enumerator who began it, or else everyone who works in its area; nobody
    /// where the area is assigned to nobody.
    pub waits_for: Vec<Worker>,
    /// What is different since the last decision about its answers.
    pub differences: Vec<Difference>,
    /// The photos and files among them, with where their bytes are.
    #[serde(skip)]
    pub files: Vec<AttachmentDetail>,
    /// When that was, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// When the last remarks were made that it is returned with, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_ms: Option<i64>,
    /// Every transition, in order.
    pub log: Vec<LogLine>,
}

/// A remark of a return.
#[derive(Clone, Debug, Serialize)]
pub struct RemarkDetail {
    /// Its name: the change that holds it.
    pub id: String,
    /// The answer that it is about; none: the interview as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The remark.
    pub text: String,
    /// Who.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub effective_ms: i64,
    /// It is answered.
    pub answered: bool,
    /// What was answered in words.
    pub replies: Vec<ReplyDetail>,
}

/// An answer to a remark, in words.
#[derive(Clone, Debug, Serialize)]
pub struct ReplyDetail {
    /// What was said.
    pub text: String,
    /// Who.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub effective_ms: i64,
}

/// One transition.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// Its number.
    pub event: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The coordinator, or who in the field; empty where it is the server's own.
    pub who: String,
    /// The transition.
    pub transition: String,
    /// The state before.
    pub before: String,
    /// The state after.
    pub after: String,
    /// The remarks of a return.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl ReviewDetail {
    /// Whether a coordinator may take a step.
    #[must_use]
    pub fn can(&self, step: Transition) -> bool {
        self.possible.contains(&step)
    }
}

/// Reads the review of one interview; none for a household.
///
/// # Errors
/// If the store fails.
pub fn review_of(
    tx: Tx<'_>,
    key: RecordKey,
    row: &RecordRow,
    record: &Record,
    catalogue: &Catalogue,
) -> Result<Option<ReviewDetail>, Failure> {
    let Some(state) = decide::state(tx, key.id)? else { return Ok(None) };
    let possible = Transition::ALL.iter().copied();
    let possible = possible.filter(|step| step.role() == Role::Coordinator && step.leads(state).is_some());
    // What is in conflict is decided first.
    let possible = possible.filter(|step| *step != Transition::Approve || row.conflicts == 0).collect();
    let mut detail = ReviewDetail {
        state,
        seen: decide::seen(tx, key, record)?.to_string(),
        possible,
        remarks: Vec::new(),
        waits_for: Vec::new(),
        differences: Vec::new(),
        files: Vec::new(),
        since_ms: None,
        returned_ms: None,
        log: Vec::new(),
    };
    let events = tx.review_events(key.id)?;
    if let Some(review) = tx.review(key.id)? {
        // Those of the last return stand there until the next one, also when they are answered.
        let last = events.iter().rposition(|event| !event.remarks.is_empty());
        let (earlier, last) = events.split_at(last.unwrap_or_default());
        let remarks = last.first().map(|event| event.remarks.as_slice()).unwrap_or_default();
        let is_new = |dot: &&Dot| !earlier.iter().any(|event| event.remarks.contains(*dot));
        let latest: Vec<Dot> = remarks.iter().filter(is_new).copied().collect();
        detail.remarks = remarks.iter().filter_map(|dot| remark(record, *dot)).collect();
        detail.differences = view::differences(tx, key, record, &review.decision.seen, (remarks, &latest), catalogue)?;
        let values = detail.differences.iter().flat_map(|difference| difference.before.iter().chain(&difference.after));
        for named in values.filter_map(Attachment::from_value).collect::<BTreeSet<_>>() {
            detail.files.push(attachments::look_up(tx, named)?);
        }
        detail.since_ms = Some(review.decision.at_ms);
        detail.returned_ms = last.first().filter(|event| !event.remarks.is_empty()).map(|event| event.at_ms);
    }
    if state == State::Returned {
        // As the phones are told it.
        let (workers, whose) = (tx.workers(key.household)?, tx.whose(key.id)?);
        let is_theirs = |worker: &&Worker| Some(&worker.enumerator) == whose.as_ref();
        let own: Vec<Worker> = workers.iter().filter(is_theirs).cloned().collect();
        detail.waits_for = if own.is_empty() { workers } else { own };
    }
    // A return beside another one holds that one's remarks, too: each line says what it added.
    let mut told = BTreeSet::new();
    for mut event in events {
        event.remarks.retain(|dot| told.insert(*dot));
        detail.log.push(line(record, event));
    }
    Ok(Some(detail))
}

fn remark(record: &Record, dot: Dot) -> Option<RemarkDetail> {
    let (_, remark) = record.remarks().find(|(at, _)| *at == dot)?;
    let origin = record.origin(dot)?;
    let replies: Vec<ReplyDetail> = record
        .replies(dot)
        .filter_map(|(at, text)| {
            let origin = record.origin(at)?;
            let author = origin.author.to_string();
            Some(ReplyDetail { text: text.to_owned(), author, effective_ms: origin.effective_ms() })
        })
        .collect();
    Some(RemarkDetail {
        id: dot.to_string(),
        path: match remark.about {
            Some(About::Answer(path)) => Some(path.to_string()),
            Some(About::Record | About::Remark(_)) | None => None,
        },
        text: remark.text.to_owned(),
        author: origin.author.to_string(),
        effective_ms: origin.effective_ms(),
        answered: !replies.is_empty(),
        replies: replies.into_iter().filter(|reply| !reply.text.is_empty()).collect(),
    })
}

fn line(record: &Record, event: ReviewEvent) -> LogLine {
    let ReviewEvent { id, at_ms, who, transition, before, after, remarks, .. } = event;
    let remarks = remarks.iter().filter_map(|dot| remark(record, *dot)).map(|remark| remark.text).collect();
    LogLine { event: id, at_ms, who, transition, before, after, remarks }
}
