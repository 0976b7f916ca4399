//! Decisions about a whole interview, and what the server notices of interviews that were decided about.

use super::{
    author_changes,
    state::{Refusal, Role, Seen, State, Transition, step},
    view::{View, seen_today, spans},
};
use crate::{
    domain::{Failure, catalogue::Catalogue, derive::merge, ingest::World},
    store::{RecordKey, RecordRow, ReviewEvent, StoreError, Tx},
};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Dot, Op, Path, Record, RecordId,
    problem::Code,
    remark::{About, Remark},
};

/// Most bytes of a reason, as the protocol has it.
const REASON: usize = 1024;
/// Most remarks with which an interview may be returned at a time: nobody answers more in one visit.
const MOST_REMARKS: usize = 100;

/// What a coordinator decides about an interview.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Decision {
    /// The transition.
    pub transition: Transition,
    /// What was read with the interview as `seen`, given back as it is.
    pub seen: String,
    /// A return says why: at least one remark.
    #[serde(default)]
    pub remarks: Vec<NewRemark>,
    /// A void says why.
    #[serde(default)]
    pub reason: String,
}

/// A remark that an interview is returned with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct NewRemark {
    /// The answer that it is about; none: the interview as a whole.
    #[serde(default)]
    pub path: Option<String>,
    /// The remark.
    pub text: String,
}

/// Where a record's review stands; none for a household.
///
/// # Errors
/// If the store fails.
pub(super) fn state(tx: Tx<'_>, record: i64) -> Result<Option<State>, StoreError> {
    let Some(word) = tx.review_state(record)? else { return Ok(None) };
    State::from_word(&word).map(Some).ok_or(StoreError::Corrupt("a review's state"))
}

/// Decides about an interview, on what the coordinator has seen of it (DESIGN §4). A return's remarks, and a void, are changes
/// of the server's replica, in the same transaction.
///
/// # Errors
/// [`Code::Stale`] if somebody decided or an answer changed meanwhile, which the detail says; [`Code::ReviewState`] where the
/// transition can't be made; [`Code::WrongType`] for what is missing; [`Code::NotFound`].
pub fn decide(
    tx: Tx<'_>,
    id: RecordId,
    decision: &Decision,
    who: &str,
    world: &World,
    now_ms: i64,
) -> Result<State, Failure> {
    let none = || Failure::problem(Code::NotFound, "no such interview");
    let key = tx.record_key(id)?.ok_or_else(none)?;
    let from = state(tx, key.id)?.ok_or_else(none)?;
    let record = merge(tx.changes_of(key.id)?, &world.catalogue)?;
    let (Some(subject), Some(form)) = (record.subject().cloned(), record.questionnaire().cloned()) else {
        return Err(none());
    };
    let now = seen(tx, key, &record)?;
    let transition = decision.transition;
    let given = Seen::read(&decision.seen).ok_or_else(|| bad("`seen`: give back what was read with the interview"))?;
    let to = step(from, transition, Role::Coordinator, given, now);
    let to = to.map_err(|refusal| refused(tx, key, transition, refusal))?;
    let mut remarks = Vec::new();
    let said = match transition {
        Transition::Return => {
            // Beside another return both hold.
            if from == State::Returned {
                remarks = tx.review(key.id)?.map(|review| review.remarks).unwrap_or_default();
            }
            notes(&decision.remarks, remarks.len(), &record, world)?.into_iter().map(|text| Op::Note { text }).collect()
        }
        Transition::Void => vec![void(&decision.reason, &record)?],
        // An edit may keep a draft that was void: then it is in review, and not finished.
        Transition::Approve if !record.is_finished() => {
            return Err(Failure::problem(Code::ReviewState, "it is not finished: return it"));
        }
        Transition::Approve if tx.record_row(id)?.is_some_and(|row| row.conflicts > 0) => {
            return Err(Failure::problem(Code::ReviewState, "answers are in conflict: decide them first"));
        }
        Transition::Take
        | Transition::Approve
        | Transition::Withdraw
        | Transition::Answer
        | Transition::Reopen
        | Transition::Recall
        | Transition::Discard
        | Transition::Revive => Vec::new(),
    };
    // Each is a change of its own, so that it has a name.
    let said = said.into_iter().map(|op| (subject.clone(), form.clone(), vec![op])).collect();
    let dots = author_changes(tx, said, who, world, now_ms)?;
    if transition == Transition::Return {
        remarks.extend(dots);
    }
    let event = ReviewEvent {
        seen: spans(&tx.changes_of(key.id)?),
        remarks: remarks.clone(),
        ..event(who, transition, (from, to), now, now_ms)
    };
    let number = tx.insert_review_event(key.id, &event)?;
    if to == State::Void {
        // Should an edit keep it, somebody looks at it again.
        tx.set_review(key.id, State::InReview.as_str(), number, &[])?;
        return Ok(to);
    }
    // What is taken up, or taken back, is shown with what is different since the decision before it; what is returned once more, since
    // it was returned first.
    let goes_on = matches!(transition, Transition::Take | Transition::Withdraw)
        || (transition == Transition::Return && from == State::Returned);
    let earlier = tx.review(key.id)?.filter(|_| goes_on);
    match earlier {
        Some(review) => tx.set_review(key.id, to.as_str(), review.decision.id, &remarks)?,
        None => {
            tx.set_review(key.id, to.as_str(), number, &remarks)?;
            tx.set_review_differs(key.id, false)?;
        }
    }
    Ok(to)
}

/// A transition for the log, with what was there to be seen.
fn event(who: &str, transition: Transition, (from, to): (State, State), now: Seen, at_ms: i64) -> ReviewEvent {
    ReviewEvent {
        id: 0,
        at_ms,
        who: who.to_owned(),
        transition: transition.to_string(),
        before: from.to_string(),
        after: to.to_string(),
        view: now.view,
        seen: String::new(),
        remarks: Vec::new(),
    }
}

/// What is there to be seen of an interview now: what a decision gives back.
pub(super) fn seen(tx: Tx<'_>, key: RecordKey, record: &Record) -> Result<Seen, StoreError> {
    let event = tx.last_review_event(key.id)?.map_or(0, |event| event.id);
    Ok(Seen { event, view: View::of(record, &tx.office_changes(key.id)?).hash() })
}

/// What is there to be seen of those interviews among some records that may be approved unopened, each as its decision gives it
/// back; by the record's number. Where something is in conflict, broken or kept against a removal, somebody looks at it first.
///
/// # Errors
/// If the store fails.
pub fn seen_of(tx: Tx<'_>, records: &[RecordRow], catalogue: &Catalogue) -> Result<BTreeMap<i64, String>, Failure> {
    let mut all = BTreeMap::new();
    let is_clean = |row: &&RecordRow| row.validated && row.conflicts + row.violations + row.attention == 0;
    for row in records.iter().filter(|row| row.round.is_some()).filter(is_clean) {
        if let Some(key) = tx.record_key(row.id)? {
            let record = merge(tx.changes_of(key.id)?, catalogue)?;
            all.insert(row.number, seen(tx, key, &record)?.to_string());
        }
    }
    Ok(all)
}

/// Why a decision was not taken, with who was faster.
fn refused(tx: Tx<'_>, key: RecordKey, transition: Transition, refusal: Refusal) -> Failure {
    let last = match tx.last_review_event(key.id) {
        Ok(last) => last,
        Err(error) => return error.into(),
    };
    let who = |event: ReviewEvent| if event.who.is_empty() { "the server".to_owned() } else { event.who };
    match (refusal, last) {
        (Refusal::Decided, Some(event)) => {
            let (at, step, after) = (event.at_ms, event.transition.clone(), event.after.clone());
            let at = jiff::Timestamp::from_millisecond(at).map(|at| at.to_string()).unwrap_or_default();
            let detail = format!("`{step}` by {} at {at}: it is {after} now. Look again before you decide", who(event));
            Failure::problem(Code::Stale, detail)
        }
        (Refusal::Decided | Refusal::Changed, _) => {
            Failure::problem(Code::Stale, "an answer changed meanwhile: look again before you decide")
        }
        (Refusal::NotFrom(from), _) => {
            Failure::problem(Code::ReviewState, format!("`{transition}` is not possible: the interview is {from}"))
        }
        (Refusal::NotYours, _) => {
            Failure::problem(Code::Forbidden, format!("`{transition}` is made by nobody: it follows from what arrives"))
        }
    }
}

/// The notes of the remarks that an interview is returned with, beside those of a return that holds.
fn notes(remarks: &[NewRemark], held: usize, record: &Record, world: &World) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::with_capacity(remarks.len());
    for NewRemark { path, text } in remarks {
        let about = match path.as_deref().map(str::trim).filter(|path| !path.is_empty()) {
            None => About::Record,
            Some(path) => About::Answer(known(path, record, &world.catalogue).ok_or_else(|| {
                bad(format!("`path`: `{path}` is neither an answer nor a question of this interview"))
            })?),
        };
        let note = Remark::note(&about, text);
        if text.trim().is_empty() || note.len() > world.limits.text {
            return Err(bad(format!("`remarks`: a remark has 1 to {} bytes", world.limits.text)));
        }
        notes.push(note);
    }
    if notes.is_empty() {
        return Err(bad("`remarks`: a return says what is to be corrected"));
    }
    if held.saturating_add(notes.len()) > MOST_REMARKS {
        return Err(bad(format!("`remarks`: an interview is returned with at most {MOST_REMARKS} remarks at a time")));
    }
    Ok(notes)
}

/// The path of an answer, or of a question that was not answered yet.
fn known(path: &str, record: &Record, catalogue: &Catalogue) -> Option<Path> {
    let path: Path = path.parse().ok()?;
    let questionnaire = record.questionnaire().and_then(|form| catalogue.questionnaire(form));
    let is_asked = questionnaire.is_some_and(|questionnaire| questionnaire.register_at(&path).is_some());
    let is_here = record.answer(&path).is_some() || (is_asked && record.is_shown(path.place()));
    (is_here && !path.is_reserved()).then_some(path)
}

/// What voids a record, having seen all of it.
fn void(reason: &str, record: &Record) -> Result<Op, Failure> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON {
        return Err(bad(format!("`reason`: say why in 1 to {REASON} bytes")));
    }
    let preds = record.changes().map(|(dot, _)| dot).chain(record.dead()).collect();
    Ok(Op::Void { reason: reason.into(), preds })
}

fn bad(what: impl Into<String>) -> Failure {
    Failure::problem(Code::WrongType, what)
}

/// Takes a return up again that a restored server had forgotten: somebody gave its remark back, and no decision that the server
/// knows names it. In the transaction that merged the remark. What the server had received when the interview was returned was
/// seen then; what came later is different since.
///
/// # Errors
/// If the store fails.
pub(in crate::domain) fn recall(
    tx: Tx<'_>,
    key: RecordKey,
    record: &Record,
    catalogue: &Catalogue,
    now_ms: i64,
) -> Result<(), Failure> {
    let Some(from) = state(tx, key.id)? else { return Ok(()) };
    let office = tx.office_changes(key.id)?;
    let known: BTreeSet<Dot> = tx.review_events(key.id)?.into_iter().flat_map(|event| event.remarks).collect();
    let forgotten = record.remarks().filter(|(dot, remark)| {
        let is_returning = matches!(remark.about, Some(About::Record | About::Answer(_)));
        is_returning && office.contains(dot) && !known.contains(dot)
    });
    let forgotten: Vec<Dot> = forgotten.map(|(dot, _)| dot).collect();
    let now = seen(tx, key, record)?;
    let Ok(to) = step(from, Transition::Recall, Role::Server, now, now) else { return Ok(()) };
    if forgotten.is_empty() {
        return Ok(());
    }
    let arrived = |dot: &Dot| record.origin(*dot)?.stamp.map(|stamp| stamp.received_ms);
    let returned_ms = forgotten.iter().filter_map(arrived).min().unwrap_or(now_ms);
    let mut then = tx.changes_of(key.id)?;
    then.retain(|change| change.stamp.received_ms <= returned_ms);
    let seen = spans(&then);
    let view = seen_today(tx, key, record, &seen, catalogue)?.hash();
    // Beside another return both hold, and what is different goes back to the first.
    let held = tx.review(key.id)?.filter(|_| from == State::Returned);
    let first = held.as_ref().map(|review| review.decision.id);
    let remarks: Vec<Dot> = held.into_iter().flat_map(|review| review.remarks).chain(forgotten).collect();
    let event = event("", Transition::Recall, (from, to), Seen { view, ..now }, now_ms);
    let event = ReviewEvent { seen, remarks: remarks.clone(), ..event };
    let number = tx.insert_review_event(key.id, &event)?;
    tx.set_review(key.id, to.as_str(), first.unwrap_or(number), &remarks)?;
    if first.is_none() {
        tx.set_review_differs(key.id, view != now.view)?;
    }
    Ok(())
}

/// Notes what a merge did to an interview that was decided about, in the transaction that merged it: other answers than the
/// approved ones put it back into review, a return whose every remark is answered is corrected, the field may void it,
/// and an edit may keep what was void. `fresh`: what was merged.
///
/// # Errors
/// If the store fails.
pub(in crate::domain) fn notice(
    tx: Tx<'_>,
    key: RecordKey,
    record: &Record,
    fresh: &[Dot],
    catalogue: &Catalogue,
    now_ms: i64,
) -> Result<Option<Transition>, Failure> {
    let Some(review) = tx.review(key.id)? else { return Ok(None) };
    let Some(current) = state(tx, key.id)? else { return Ok(None) };
    let now = seen(tx, key, record)?;
    let was_void = tx.last_review_event(key.id)?.is_some_and(|event| event.after == State::Void.as_str());
    // What is void waits for nobody; a coordinator's void is a decision, which is logged where it is made.
    if current == State::Void {
        let office = tx.office_changes(key.id)?;
        let is_the_offices = record.voids().all(|(dot, _)| office.contains(&dot));
        if was_void || is_the_offices || fresh.iter().all(|dot| office.contains(dot)) {
            return Ok(None);
        }
    }
    let differs = now.view != review.decision.view
        && now.view != seen_today(tx, key, record, &review.decision.seen, catalogue)?.hash();
    if differs != review.differs {
        tx.set_review_differs(key.id, differs)?;
    }
    let decided = State::from_word(&review.state).ok_or(StoreError::Corrupt("a review's state"))?;
    let from = if was_void { State::Void } else { decided };
    let is_answered = review.remarks.iter().all(|dot| record.replies(*dot).next().is_some());
    let transition = match from {
        State::Void => Transition::Revive,
        _ if current == State::Void => Transition::Discard,
        State::Approved if differs => Transition::Reopen,
        State::Returned if is_answered => Transition::Answer,
        State::Draft | State::Submitted | State::InReview | State::Returned | State::Corrected | State::Approved => {
            return Ok(None);
        }
    };
    // Here the server sees what there is: nothing can be stale.
    let Ok(to) = step(from, transition, transition.role(), now, now) else { return Ok(None) };
    let who = match transition {
        Transition::Answer => author(record, fresh, review.remarks.iter().flat_map(|dot| record.replies(*dot))),
        Transition::Discard => author(record, fresh, record.voids()),
        Transition::Take
        | Transition::Return
        | Transition::Approve
        | Transition::Withdraw
        | Transition::Void
        | Transition::Reopen
        | Transition::Recall
        | Transition::Revive => String::new(),
    };
    tx.insert_review_event(key.id, &event(&who, transition, (from, to), now, now_ms))?;
    let remarks = if to == State::Void || from == State::Void { &[] } else { review.remarks.as_slice() };
    // As it stands once an edit has kept it.
    let stands = if to == State::Void { State::InReview } else { to };
    tx.set_review(key.id, stands.as_str(), review.decision.id, remarks)?;
    Ok(Some(transition))
}

/// Who made the last of some changes that came now; empty where none of them did.
fn author<'r>(record: &Record, fresh: &[Dot], made: impl Iterator<Item = (Dot, &'r str)>) -> String {
    let last = made.filter(|(dot, _)| fresh.contains(dot)).filter_map(|(dot, _)| record.origin(dot)).last();
    last.map(|origin| origin.author.to_string()).unwrap_or_default()
}
