//! Capturing answers: one save is one change, durable when the call returns.

use super::{
    Device, attachments, enrolled,
    forms::Forms,
    from_json,
    household::{self, Saved},
    identity, meta, random_uuid, returned, summary,
};
use crate::{
    error::Error,
    host::Host,
    store::{RecordRow, Tx},
};
use std::borrow::Cow;
use sync_protocol::{
    Attachment, Change, Dot, HouseholdId, Limits, Op, Path, Place, QuestionnaireRef, Record, RecordId, Subject, Value,
    chain::{digest, link},
    ids::{BadName, FIRST_INTERVIEW},
    problem::Code,
    record::Standing,
};

/// One thing that the enumerator did on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Answers a question; only the value that was displayed is replaced.
    Set(Path, Value),
    /// Answers a question on a screen that displayed every sibling: resolves the conflict.
    Resolve(Path, Value),
    /// Makes a roster row (see [`Device::new_row`]), after the rows that are there.
    AddRow(Place),
    /// Removes a roster row.
    RemoveRow(Place),
    /// Adds a remark.
    Note(String),
    /// Finishes the interview, or says of one that was returned that it is done; questions marked `tenun::household` update the household record,
    /// and from then on so does each save.
    Finish,
    /// Voids the record.
    Void {
        /// Why, for people.
        reason: String,
    },
}

impl Edit {
    /// Answers the question at a path such as `floor` or `member/k3j9/m_age`.
    ///
    /// # Errors
    /// If the path is not one.
    pub fn set(path: &str, value: Value) -> Result<Self, BadName> {
        Ok(Self::Set(path.parse()?, value))
    }
}

impl<H: Host> Device<H> {
    /// Registers a household that is not on the device yet, with what is known of it.
    ///
    /// # Errors
    /// If a field is no name, or the database fails.
    pub fn register_household(&mut self, author: &str, fields: &[(&str, Value)]) -> Result<HouseholdId, Error> {
        let household = HouseholdId(random_uuid(&mut self.host));
        self.register(household, author, fields)?;
        Ok(household)
    }

    /// Registers a household under an id that was given out before.
    ///
    /// # Errors
    /// If a field is no name, or the database fails.
    pub fn register(&mut self, household: HouseholdId, author: &str, fields: &[(&str, Value)]) -> Result<(), Error> {
        let mut edits = Vec::new();
        for (name, value) in fields {
            edits.push(Edit::set(name, value.clone())?);
        }
        let subject = Subject::Household(household);
        let questionnaire = QuestionnaireRef::household_register();
        self.author(subject, questionnaire, author, &edits, None, true)?;
        Ok(())
    }

    /// Starts the interview of a household in a round, or finds the one that is there.
    ///
    /// # Errors
    /// If the database fails.
    pub fn start_interview(
        &mut self,
        household: HouseholdId,
        round: &str,
        questionnaire: &QuestionnaireRef,
        author: &str,
    ) -> Result<RecordId, Error> {
        let subject = Subject::Interview { household, round: round.into(), purpose: FIRST_INTERVIEW.into() };
        let record = subject.record(&questionnaire.id);
        if self.store.read(|tx| tx.record(record))?.is_none() {
            self.author(subject, questionnaire.clone(), author, &[], None, true)?;
        }
        Ok(record)
    }

    /// Names a new roster row of a repeat in a place; [`Edit::AddRow`] makes it.
    ///
    /// # Errors
    /// If the repeat's name is not one.
    pub fn new_row(&mut self, outer: &Place, repeat: &str) -> Result<Place, Error> {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bytes = [0; 8];
        self.host.random(&mut bytes);
        let id: String = bytes
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
            .map(|letter| char::from(*letter))
            .collect();
        Ok(outer.row(repeat, &id)?)
    }

    /// Saves what was done on one screen as one change; durable when the call returns.
    ///
    /// Gives the change's seq, or none where nothing was different from what the record shows.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`], [`Error::TooLarge`], or if the database fails; nothing is saved then.
    pub fn save(&mut self, record: RecordId, author: &str, edits: &[Edit]) -> Result<Option<u64>, Error> {
        self.save_on(record, author, edits, None)
    }

    /// Saves as [`Device::save`] does, but over the record as the screen showed it and under the version that it asked:
    /// what came since is not replaced.
    pub(crate) fn save_seen(
        &mut self,
        record: RecordId,
        author: &str,
        edits: &[Edit],
        seen: &Record,
        form: &QuestionnaireRef,
    ) -> Result<Option<u64>, Error> {
        self.save_on(record, author, edits, Some((seen, form)))
    }

    /// Saves that the record is filled with another version of its questionnaire from now on.
    pub(super) fn save_under(&mut self, record: RecordId, form: &QuestionnaireRef, author: &str) -> Result<(), Error> {
        let subject = subject_of(&self.line(record)?);
        self.author(subject, form.clone(), author, &[], None, true)?;
        Ok(())
    }

    fn line(&mut self, record: RecordId) -> Result<RecordRow, Error> {
        self.store.read(|tx| tx.record(record))?.ok_or_else(|| Error::UnknownRecord(record.to_string()))
    }

    fn save_on(
        &mut self,
        record: RecordId,
        author: &str,
        edits: &[Edit],
        seen: Option<(&Record, &QuestionnaireRef)>,
    ) -> Result<Option<u64>, Error> {
        let (subject, seen, questionnaire) = match seen {
            // The record may have been dropped under an open screen: what was typed there is saved and sent all the same.
            Some((seen, form)) if seen.subject().is_some() => (seen.subject().cloned(), Some(seen), form.clone()),
            Some((seen, form)) => (None, Some(seen), form.clone()),
            None => (None, None, self.line(record)?.form.parse()?),
        };
        let subject = match subject {
            Some(subject) => subject,
            None => subject_of(&self.line(record)?),
        };
        self.author(subject, questionnaire, author, edits, seen, false)
    }

    /// The enumerator's code, for saves.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`] before the enrolment.
    pub fn enumerator(&mut self) -> Result<String, Error> {
        self.store.read(|tx| Ok(enrolled(tx)?.enumerator))
    }

    /// The sizes that the server told last.
    ///
    /// # Errors
    /// If the database fails.
    pub fn limits(&mut self) -> Result<Limits, Error> {
        self.store.read(limits)
    }

    /// Saves what was done on a screen, and with it what a finished interview says of its household: both are durable, or neither.
    pub(super) fn author(
        &mut self,
        subject: Subject,
        questionnaire: QuestionnaireRef,
        author: &str,
        edits: &[Edit],
        seen: Option<&Record>,
        even_if_empty: bool,
    ) -> Result<Option<u64>, Error> {
        let wall_ms = self.host.now_ms();
        let Self { store, forms, host, .. } = self;
        let saved = store.write(|tx| {
            let id = subject.record(&questionnaire.id);
            let seen = match seen {
                Some(seen) => Cow::Borrowed(seen),
                None => Cow::Owned(forms.merged(tx, id)?),
            };
            let mut ops = ops(tx, &seen, edits)?;
            returned::answer(&seen, &returned::remarks_of(tx, id)?, edits, &mut ops);
            let (finishes, again) = (edits.contains(&Edit::Finish), tx.record(id)?.is_some_and(|line| line.finished));
            let mut saving = Saving { tx, forms, author, wall_ms };
            let (mut saved, mut now) = (None, seen);
            if !ops.is_empty() || even_if_empty {
                let (dot, record) = saving.change(subject.clone(), questionnaire.clone(), ops.clone())?;
                (saved, now) = (Some(dot), Cow::Owned(record));
            }
            let mut last = saved;
            if (finishes || again) && matches!(subject, Subject::Interview { .. }) {
                let told = Saved { ops: &ops, finishes, again };
                last = saving.tell_household(&subject, &now, told)?.or(last);
            }
            Ok((saved, last))
        });
        let (saved, last) = saved?;
        // After the commit: a mark is never ahead of the files that it is of.
        if let Some(dot) = last {
            host.mark(dot.replica, dot.seq);
        }
        Ok(saved.map(|dot| dot.seq))
    }
}

/// A save under way.
struct Saving<'a, 'tx> {
    tx: &'a Tx<'tx>,
    forms: &'a mut Forms,
    author: &'a str,
    wall_ms: i64,
}

impl Saving<'_, '_> {
    /// Adds a change to this device's log; its name, and the record with it.
    fn change(
        &mut self,
        subject: Subject,
        questionnaire: QuestionnaireRef,
        ops: Vec<Op>,
    ) -> Result<(Dot, Record), Error> {
        let Self { tx, forms, author, wall_ms } = self;
        let id = subject.record(&questionnaire.id);
        let (replica, _) = identity(tx)?;
        let (last, previous) = tx.head(replica)?;
        let dot = Dot { replica, seq: last.saturating_add(1) };
        let author = (*author).into();
        let change = Change { dot, subject, questionnaire, author, wall_ms: *wall_ms, ops, instead_of: None };
        let bytes = change.to_bytes();
        check_limits(tx, &change, &bytes)?;
        if Attachment::of_ops(&change.ops).next().is_some() {
            attachments::check_saved(tx, &forms.merged(tx, id)?, id, &change.ops, &limits(tx)?)?;
        }
        let hash = link(previous, replica, dot.seq, digest(&bytes));
        tx.insert_change(dot, id, Some(hash), None, &bytes)?;
        if let Subject::Household(household) = &change.subject
            && change.ops.iter().any(|op| matches!(op, Op::Set { path, .. } if path.name() == "area"))
        {
            // Where it lives is what is said last: it was told to have moved away before that was known.
            tx.clear_moved(household.0)?;
        }
        let record = forms.merged(tx, id)?;
        summary::put(tx, id, &record, forms)?;
        Ok((dot, record))
    }

    /// Adds what an interview says of its household; none where that is nothing new, or its questionnaire is not here.
    fn tell_household(
        &mut self,
        subject: &Subject,
        interview: &Record,
        saved: Saved<'_>,
    ) -> Result<Option<Dot>, Error> {
        // As it was merged: the screen's version may be an older one.
        let Some(form) = interview.questionnaire() else { return Ok(None) };
        let Some(questionnaire) = self.forms.readable(self.tx, &form.to_string())? else { return Ok(None) };
        let household = subject.household();
        let known = self.forms.merged(self.tx, household.into())?;
        let (rows, answers) = household::said(&questionnaire, interview, &known, saved)?;
        let mut said = ops(self.tx, &known, &rows)?;
        said.extend(answers);
        if said.is_empty() {
            return Ok(None);
        }
        let (dot, _) = self.change(Subject::Household(household), QuestionnaireRef::household_register(), said)?;
        Ok(Some(dot))
    }
}

fn subject_of(row: &RecordRow) -> Subject {
    let household = HouseholdId(row.household);
    match (&row.round, &row.purpose) {
        (Some(round), Some(purpose)) => {
            Subject::Interview { household, round: round.as_str().into(), purpose: purpose.as_str().into() }
        }
        (None | Some(_), _) => Subject::Household(household),
    }
}

fn limits(tx: &Tx<'_>) -> Result<Limits, Error> {
    /// Of all that the device works with only the sizes: every save asks for them.
    #[derive(serde::Deserialize)]
    struct Sizes {
        limits: Limits,
    }
    Ok(match tx.meta(meta::SCOPE)? {
        Some(json) => from_json::<Sizes>(&json)?.limits,
        None if tx.meta(meta::ENROLLED)?.is_some() => enrolled(tx)?.limits,
        None => Limits::default(),
    })
}

/// Sizes are checked here, when the enumerator saves, not at night (DESIGN §5, rule 4).
fn check_limits(tx: &Tx<'_>, change: &Change, bytes: &[u8]) -> Result<(), Error> {
    match Change::from_bytes(change.dot, bytes, &limits(tx)?) {
        Ok(_) => Ok(()),
        Err(problem) if matches!(problem.code, Code::ChangeTooLarge | Code::ValueTooLong) => {
            Err(Error::TooLarge(problem))
        }
        Err(problem) => Err(Error::BadAnswer(problem.to_string())),
    }
}

/// Turns what was done on a screen into operations with the preds that the screen displayed.
fn ops(tx: &Tx<'_>, record: &Record, edits: &[Edit]) -> Result<Vec<Op>, Error> {
    let mut ops: Vec<Op> = Vec::new();
    let mut added = 0_i64;
    for edit in edits {
        match edit {
            Edit::Set(path, value) | Edit::Resolve(path, value) => {
                let answer = record.answer(path);
                let resolves = matches!(edit, Edit::Resolve(..));
                let unchanged = answer.as_ref().is_some_and(|answer| {
                    answer.siblings.first().is_some_and(|winner| winner.value.same_as(value))
                        && (!resolves || answer.siblings.len() == 1)
                });
                ops.retain(|op| !matches!(op, Op::Set { path: earlier, .. } if earlier == path));
                if !unchanged || attachments::is_given_again(tx, value)? {
                    let preds = answer.map(|answer| if resolves { answer.all() } else { answer.displayed() });
                    ops.push(Op::Set { path: path.clone(), value: value.clone(), preds: preds.unwrap_or_default() });
                }
            }
            Edit::AddRow(row) => {
                let (outer, repeat, _) =
                    row.split().ok_or_else(|| Error::BadAnswer("the record itself is no row".into()))?;
                let last = record.rows(&outer, repeat).last().map_or(0, |row| row.order);
                added += 1;
                ops.push(Op::AddRow { row: row.clone(), order: last.saturating_add(added) });
            }
            Edit::RemoveRow(row) => {
                if !record.is_shown(row) {
                    return Err(Error::BadAnswer(format!("there is no row {row}")));
                }
                ops.push(Op::RemoveRow { row: row.clone(), preds: record.touched(row) });
            }
            Edit::Note(text) => ops.push(Op::Note { text: text.clone() }),
            Edit::Finish => {
                let path = Path::new(Place::record(), Path::FINISHED)?;
                let answer = record.answer(&path);
                if answer.is_none() {
                    ops.push(Op::Set { path, value: Value::text("yes"), preds: Vec::new() });
                }
            }
            Edit::Void { reason } => {
                if record.standing() != Standing::Void {
                    let preds = record.changes().map(|(dot, _)| dot).chain(record.dead()).collect();
                    ops.push(Op::Void { reason: reason.clone(), preds });
                }
            }
        }
    }
    Ok(ops)
}
