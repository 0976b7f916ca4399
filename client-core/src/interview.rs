//! An interview in progress: which screen is up, what it asks, what is wrong, where to go next.
//!
//! A screen is drawn from [`Interview::screen`]; each answer is saved at once, as one change, with what hangs on it
//! (triggered values, rows that a count asks for). Nothing is refused for breaking a rule: what is wrong is told at once and
//! stays told until it is mended. The order of screens is in `interview/order.rs`, what each shows in
//! `interview/screens.rs`, what a save holds in `interview/saving.rs`, the log of time in `interview/paradata.rs`.

mod order;
mod paradata;
mod saving;
mod screens;

pub use order::Position;
pub(crate) use paradata::Event;
use paradata::EventKind;
pub use screens::{Asked, Choices, Content, Flaw, Given, RowLine, Screen};

use crate::{
    device::{Device, Edit, RemarkLine, remark_lines},
    error::Error,
    host::Host,
};
use order::Step;
use questionnaire::{Context, Evaluator, Instance, Kind, Merge, Metadata, Question, Questionnaire};
use saving::Writes;
pub(crate) use saving::places;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Dot, Path, Place, QuestionnaireRef, Record, RecordId,
    remark::{About, Remark},
};

/// An interview that is open on a screen.
///
/// An answer replaces only what the screen showed. What came from others is taken in at the next save, or by
/// [`Interview::refresh`].
///
/// ```
/// use client_core::{Content, Device, Interview, host::Fixed};
/// # use sync_protocol::{QuestionnaireRef, Value};
/// # let folder = tempfile::tempdir().unwrap();
/// # let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(1)).unwrap();
/// # device.store_questionnaire(r#"{"id":"f","version":"1","lists":{},"items":[
/// #  {"question":{"name":"floor","key":"floor","kind":"integer","row":2,"label":{"":"Floor area"},
/// #    "constraint":{"text":". > 0","row":2,"column":"constraint"}}},
/// #  {"question":{"name":"owner","key":"owner","kind":"text","row":3,"label":{"":"Owner"}}}]}"#).unwrap();
/// # let home = device.register_household("KP001", &[("head", Value::text("Maria"))]).unwrap();
/// let form = "f@1".parse().unwrap();
/// let record = device.start_interview(home, "1", &form, "KP001").unwrap();
/// let mut interview = Interview::open(&mut device, record, "KP001").unwrap();
/// let Content::Questions(asked) = interview.screen().content else { panic!("the first screen asks") };
/// assert_eq!(asked[0].label, "Floor area");
///
/// let floor = asked[0].path.clone();
/// assert!(!interview.answer(&mut device, &floor, "0").unwrap().is_empty()); // kept, and wrong
/// assert!(interview.answer(&mut device, &floor, "36").unwrap().is_empty());
/// interview.next(&mut device).unwrap();
/// drop(interview); // a crash: it opens where it stood
///
/// let again = Interview::open(&mut device, record, "KP001").unwrap();
/// assert_eq!(again.position().to_string(), "owner");
/// ```
#[derive(Debug)]
pub struct Interview {
    record: RecordId,
    author: String,
    questionnaire: Arc<Questionnaire>,
    rules: Evaluator,
    merged: Record,
    language: String,
    at: Position,
    /// The remarks with which it was returned.
    returned: Vec<Dot>,
    /// When the screen came up, by the device's clock.
    since_ms: i64,
    /// What was answered on it: before and after.
    changed: BTreeMap<Path, (String, String)>,
}

impl Interview {
    /// Opens an interview at the question where it was left, or else at its first one; one that was returned, at the first
    /// question whose remark is not answered.
    ///
    /// The first time it also saves what the form begins with: defaults, and what the device knows (`start`, `today`,
    /// `username`, `deviceid`).
    ///
    /// # Errors
    /// [`Error::UnknownRecord`], [`Error::UnknownQuestionnaire`], [`Error::BadAnswer`] for a household's own record or a
    /// form whose rules can't be read here, or if the database fails.
    pub fn open<H: Host>(device: &mut Device<H>, record: RecordId, author: &str) -> Result<Self, Error> {
        let (mut interview, kept) = Self::read(device, record, author)?;
        if kept.is_none() && interview.merged.answers().next().is_none() {
            interview.begin(device)?;
        }
        let steps = interview.steps();
        let opened = if kept.is_some() { EventKind::FormResume } else { EventKind::FormStart };
        let at = interview.begins_at(&steps, kept);
        let event = Event::moment(opened, device.host().now_ms());
        interview.arrive(device, at, Some(event))?;
        Ok(interview)
    }

    /// Looks at an interview where it was left, without writing anything.
    ///
    /// # Errors
    /// As [`Interview::open`].
    pub fn look<H: Host>(device: &mut Device<H>, record: RecordId, author: &str) -> Result<Self, Error> {
        let (mut interview, kept) = Self::read(device, record, author)?;
        let steps = interview.steps();
        interview.at = interview.begins_at(&steps, kept);
        Ok(interview)
    }

    /// The screen that is up first.
    fn begins_at(&self, steps: &[Step], kept: Option<Position>) -> Position {
        let open = self.remarks().into_iter().filter(|line| !line.answered);
        let remarked = open.filter_map(|line| Some(Position::Question(self.question_of(&line.path?)))).next();
        let at = remarked.or(kept);
        at.map_or_else(|| order::first(steps), |position| order::nearest(steps, &position))
    }

    /// The question that an answer's path names: of a merge group its first one.
    fn question_of(&self, path: &Path) -> Path {
        let repeats: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
        let in_group = |question: &Question| question.merge == Merge::Group(path.name().to_owned());
        let mut questions = self.questionnaire.questions();
        let member = questions.find(|(at, question)| *at == repeats && in_group(question));
        let member = member.and_then(|(_, question)| Path::new(path.place().clone(), question.key.as_str()).ok());
        member.unwrap_or_else(|| path.clone())
    }

    /// Reads the record, and where its interview was left.
    fn read<H: Host>(
        device: &mut Device<H>,
        record: RecordId,
        author: &str,
    ) -> Result<(Self, Option<Position>), Error> {
        let summary = device.summary(record)?;
        if summary.round.is_none() {
            return Err(Error::BadAnswer(format!("{record} is a household: start its interview first")));
        }
        // A version that was not fetched yet holds up nobody: the newest one that is here is asked meanwhile.
        let here = device.questionnaire(&summary.questionnaire).is_ok();
        let id = summary.questionnaire.parse::<QuestionnaireRef>()?.id;
        let newest = if here { None } else { device.newest_version(&id)?.map(|newest| newest.to_string()) };
        let reference = newest.unwrap_or(summary.questionnaire);
        let compiled = device.rules(&reference)?;
        let questionnaire = device.questionnaire(&reference)?;
        let merged = device.record(record)?;
        let context = context_of(record, &merged, &questionnaire, device, author)?;
        let rules = Evaluator::new(&compiled, &Instance::from_record(&merged, &questionnaire), context);
        let (position, language) = device.store.read(|tx| tx.session(record))?.unzip();
        let interview = Self {
            record,
            author: author.to_owned(),
            language: language.unwrap_or_else(|| questionnaire.default_language.clone()),
            questionnaire,
            rules,
            merged,
            at: Position::End,
            returned: device.remarks(record)?.into_iter().map(|line| line.id).collect(),
            since_ms: 0,
            changed: BTreeMap::new(),
        };
        Ok((interview, position.and_then(|position| position.parse().ok())))
    }

    /// The interview's record.
    #[must_use]
    pub fn record(&self) -> RecordId {
        self.record
    }

    /// The questionnaire version that is asked.
    #[must_use]
    pub fn questionnaire(&self) -> &Questionnaire {
        &self.questionnaire
    }

    /// Where the interview stands.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.at
    }

    /// The language of labels, hints and messages.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Chooses the language by its name or its code (`English (en)` or `en`); this device remembers it with the next screen.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] for one that the questionnaire does not have.
    pub fn set_language(&mut self, wanted: &str) -> Result<(), Error> {
        let known = &self.questionnaire.languages;
        let coded = format!("({wanted})");
        let Some(found) = known.iter().find(|name| *name == wanted || name.ends_with(&coded)) else {
            return Err(Error::BadAnswer(format!("there is no language `{wanted}`, but {}", known.join(", "))));
        };
        found.clone_into(&mut self.language);
        Ok(())
    }

    /// What the enumerator sees now.
    #[must_use]
    pub fn screen(&self) -> Screen {
        screens::draw(self)
    }

    /// The choices of a question that hold a text in their label or name, at most `limit` of them, in the form's order.
    #[must_use]
    pub fn choices(&self, path: &Path, search: &str, limit: usize) -> Choices {
        screens::choices(self, path, search, limit)
    }

    /// The remarks with which the interview was returned.
    #[must_use]
    pub fn remarks(&self) -> Vec<RemarkLine> {
        remark_lines(&self.merged, &self.returned)
    }

    /// Answers a remark in words.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or if the database fails.
    pub fn reply<H: Host>(&mut self, device: &mut Device<H>, remark: Dot, text: &str) -> Result<(), Error> {
        self.note(device, &Remark::note(&About::Remark(remark), text))?;
        self.refresh(device)
    }

    /// All that is wrong or still missing, in form order.
    #[must_use]
    pub fn problems(&self) -> Vec<Flaw> {
        screens::problems(self)
    }

    /// The screen of the first thing that is wrong or missing; none where all is well.
    #[must_use]
    pub fn first_problem(&self) -> Option<Position> {
        self.problems().into_iter().next().map(|flaw| flaw.position)
    }

    /// The first screen inside a row; none where nothing is asked there.
    #[must_use]
    pub fn first_in(&self, row: &Place) -> Option<Position> {
        Some(order::first_in(&self.steps(), row)).filter(|position| *position != Position::End)
    }

    /// Answers a question with XLSForm text, and saves that with all that hangs on it, as one change.
    ///
    /// An empty text takes the answer away; `@refused`, `@dont-know` and `@not-asked` say why there is none. Gives what is
    /// wrong with the answer now: it is saved all the same.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] where the question is not there, can't be changed by hand, or the text is no value of its
    /// type; [`Error::TooLarge`]; or if the database fails. Nothing is saved then.
    pub fn answer<H: Host>(&mut self, device: &mut Device<H>, path: &Path, text: &str) -> Result<Vec<Flaw>, Error> {
        self.give(device, path, text, None)
    }

    /// Answers a question with a file: it is checked, a picture is made as the questionnaire asks, and its bytes are kept on
    /// the device before the save. Decides a conflict where there is one.
    ///
    /// # Errors
    /// [`Error::File`] says what is wrong with the file; else as [`Interview::answer`]. Nothing is saved then.
    pub fn attach<H: Host>(
        &mut self,
        device: &mut Device<H>,
        path: &Path,
        file: &str,
        bytes: Vec<u8>,
    ) -> Result<Vec<Flaw>, Error> {
        let value = device.take(self.record, path, file, bytes)?;
        let is_conflict = self.merged.answer(path).is_some_and(|answer| answer.siblings.len() > 1);
        self.give(device, path, &questionnaire::text_of(&value), is_conflict.then(|| path.clone()))
    }

    /// Decides a conflict: the value replaces every sibling that the screen showed.
    ///
    /// A member of a merge group decides nothing about the others: its group stays in conflict, for a person who sees it whole.
    ///
    /// # Errors
    /// As [`Interview::answer`].
    pub fn resolve<H: Host>(&mut self, device: &mut Device<H>, path: &Path, text: &str) -> Result<Vec<Flaw>, Error> {
        let alone = !matches!(self.question(path)?.merge, Merge::Group(_));
        self.give(device, path, text, alone.then(|| path.clone()))
    }

    fn give<H: Host>(
        &mut self,
        device: &mut Device<H>,
        path: &Path,
        text: &str,
        resolves: Option<Path>,
    ) -> Result<Vec<Flaw>, Error> {
        let question = self.question(path)?;
        if self.rules.is_read_only(path) || !question.kind.is_shown() || !question.kind.holds_value() {
            return Err(Error::BadAnswer(format!("`{path}` can't be answered by hand")));
        }
        let before = self.rules.value(path);
        let mut writes = Writes::default();
        writes.resolves = resolves;
        self.put(&mut writes, path, text)?;
        // Each value is worked out once an answer, so that a circle of triggers ends.
        let mut seen = BTreeSet::from([path.clone()]);
        let mut triggered = self.rules.triggered_by(path);
        while let Some((path, text)) = triggered.pop() {
            if self.rules.value(&path) != text && seen.insert(path.clone()) {
                self.put_computed(&mut writes, &path, &text);
                triggered.extend(self.rules.triggered_by(&path));
            }
        }
        self.save(device, writes)?;
        let after = self.rules.value(path);
        self.changed.entry(path.clone()).or_insert((before, String::new())).1 = after;
        Ok(screens::flaws(self, path))
    }

    /// Adds a row at the end of a repeat and goes to its first question.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] where the repeat is not there; or if the database fails. Nothing is saved then.
    pub fn add_row<H: Host>(&mut self, device: &mut Device<H>, outer: &Place, repeat: &str) -> Result<Place, Error> {
        let row = self.make_rows(device, outer, repeat, 1)?.into_iter().next();
        let row = row.ok_or_else(|| Error::BadAnswer(format!("there is no repeat `{repeat}` here")))?;
        let steps = self.steps();
        let at = order::first_in(&steps, &row);
        self.leave(device, at, Some(EventKind::AddRepeat))?;
        Ok(row)
    }

    /// Removes a row with all that is in it, and goes to the list of rows.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] where the row is not there; or if the database fails. Nothing is saved then.
    pub fn remove_row<H: Host>(&mut self, device: &mut Device<H>, row: &Place) -> Result<(), Error> {
        let (outer, repeat, _) = row.split().ok_or_else(|| Error::BadAnswer("the record itself is no row".into()))?;
        device.save_seen(self.record, &self.author, &[Edit::RemoveRow(row.clone())], &self.merged, &self.form())?;
        let repeat = repeat.to_owned();
        self.refresh(device)?;
        let at = order::nearest(&self.steps(), &Position::Rows { outer, repeat });
        self.leave(device, at, Some(EventKind::DeleteRepeat))
    }

    /// Goes to the next screen; on the last one it stays. Rows that a count asks for are made on the way.
    ///
    /// # Errors
    /// If the database fails.
    pub fn next<H: Host>(&mut self, device: &mut Device<H>) -> Result<(), Error> {
        let at = order::after(&self.steps(), &self.at);
        self.leave(device, at, None)
    }

    /// Goes to the screen before; on the first one it stays.
    ///
    /// # Errors
    /// If the database fails.
    pub fn back<H: Host>(&mut self, device: &mut Device<H>) -> Result<(), Error> {
        let at = order::before(&self.steps(), &self.at);
        self.leave(device, at, None)
    }

    /// Goes to a screen, or to the next one that is shown where that one is not.
    ///
    /// # Errors
    /// If the database fails.
    pub fn go_to<H: Host>(&mut self, device: &mut Device<H>, position: &Position) -> Result<(), Error> {
        let at = order::nearest(&self.steps(), position);
        self.leave(device, at, Some(EventKind::Jump))
    }

    /// Adds a remark to the record.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or if the database fails.
    pub fn note<H: Host>(&mut self, device: &mut Device<H>, text: &str) -> Result<(), Error> {
        device.save(self.record, &self.author, &[Edit::Note(text.to_owned())])?;
        Ok(())
    }

    /// Finishes the interview, whatever is still wrong with it: coordinators see that.
    ///
    /// # Errors
    /// If the database fails.
    pub fn finish<H: Host>(&mut self, device: &mut Device<H>) -> Result<(), Error> {
        let now = moment(device);
        let mut writes = Writes::default();
        for (path, _) in metadata_of(&self.questionnaire, &[Metadata::End]) {
            self.put_computed(&mut writes, &path, &now.now_text());
        }
        let mut edits = self.edits(writes);
        edits.push(Edit::Finish);
        device.save_seen(self.record, &self.author, &edits, &self.merged, &self.form())?;
        self.refresh(device)?;
        let event = Event::moment(EventKind::FormFinalize, now.now_ms);
        device.store.write(|tx| tx.log_event(self.record, &event))
    }

    /// Writes down that the enumerator left the interview for now.
    ///
    /// # Errors
    /// If the database fails.
    pub fn close<H: Host>(mut self, device: &mut Device<H>) -> Result<(), Error> {
        let at = self.at.clone();
        self.leave(device, at, None)?;
        let event = Event::moment(EventKind::FormExit, device.host().now_ms());
        device.store.write(|tx| tx.log_event(self.record, &event))
    }

    /// Takes in what others did meanwhile.
    ///
    /// # Errors
    /// If the database fails.
    pub fn refresh<H: Host>(&mut self, device: &mut Device<H>) -> Result<(), Error> {
        // The record may have been moved to another version of its questionnaire.
        let (fresh, _) = Self::read(device, self.record, &self.author)?;
        (self.questionnaire, self.rules, self.merged) = (fresh.questionnaire, fresh.rules, fresh.merged);
        self.returned = fresh.returned;
        self.at = order::nearest(&self.steps(), &self.at);
        Ok(())
    }

    /// The questionnaire version that the interview goes by.
    fn form(&self) -> QuestionnaireRef {
        let Questionnaire { id, version, .. } = &*self.questionnaire;
        QuestionnaireRef { id: id.as_str().into(), version: version.as_str().into() }
    }

    fn steps(&self) -> Vec<Step> {
        order::steps(self)
    }

    fn question(&self, path: &Path) -> Result<&Question, Error> {
        let repeats: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
        let question = self.questionnaire.question(&repeats, path.name());
        question.ok_or_else(|| Error::BadAnswer(format!("this questionnaire has no question `{path}`")))
    }

    /// Logs the time on the screen that is left, then goes on.
    fn leave<H: Host>(&mut self, device: &mut Device<H>, to: Position, why: Option<EventKind>) -> Result<(), Error> {
        let now_ms = device.host().now_ms();
        let log = self.log_of_screen(now_ms);
        device.store.write(|tx| log.iter().try_for_each(|event| tx.log_event(self.record, event)))?;
        self.changed.clear();
        let event = why.map(|why| Event { node: order::node(self, &to), ..Event::moment(why, now_ms) });
        self.arrive(device, to, event)
    }

    /// One line a question of the screen; what was changed only where the form asks for it and the answer is not personal.
    fn log_of_screen(&self, now_ms: i64) -> Vec<Event> {
        let timed = |kind, node| Event { node, end_ms: Some(now_ms), ..Event::moment(kind, self.since_ms) };
        match &self.at {
            Position::Question(_) => {
                let tracked = tracks_changes(&self.questionnaire);
                let line = |path: Path| {
                    let personal = self.question(&path).is_ok_and(|question| question.personal);
                    let change = self.changed.get(&path).filter(|_| tracked && !personal).cloned();
                    let node = order::node(self, &Position::Question(path));
                    Event { change, ..timed(EventKind::Question, node) }
                };
                order::questions_on(self, &self.at).into_iter().map(line).collect()
            }
            Position::Rows { .. } => vec![timed(EventKind::Repeat, order::node(self, &self.at))],
            Position::End => vec![timed(EventKind::EndScreen, String::new())],
        }
    }

    /// Puts a screen up; where rows are asked for that are not there yet, they are made and the first one is shown.
    fn arrive<H: Host>(&mut self, device: &mut Device<H>, to: Position, event: Option<Event>) -> Result<(), Error> {
        let mut to = to;
        while let Position::Rows { outer, repeat } = &to {
            let found = self.rules.rows(outer, repeat).len();
            // A count beyond what a roster may hold is a flaw that is told, not work to be done.
            let most = device.limits()?.rows;
            let wanted = self.rules.row_count(outer, repeat).unwrap_or(found).min(most);
            if wanted <= found {
                break;
            }
            let (outer, repeat) = (outer.clone(), repeat.clone());
            let made = self.make_rows(device, &outer, &repeat, wanted - found)?;
            let Some(first) = made.first() else { break };
            to = order::first_in(&self.steps(), first);
        }
        self.at = to;
        self.since_ms = device.host().now_ms();
        let (record, at, language) = (self.record, self.at.to_string(), self.language.as_str());
        device.store.write(|tx| {
            if let Some(event) = &event {
                tx.log_event(record, event)?;
            }
            tx.set_session(record, &at, language)
        })
    }
}

/// The device's clock and zone.
fn moment<H: Host>(device: &mut Device<H>) -> Context {
    let host = device.host();
    Context { now_ms: host.now_ms(), offset_minutes: host.offset_minutes(), ..Context::default() }
}

fn metadata_of(questionnaire: &Questionnaire, kinds: &[Metadata]) -> Vec<(Path, Metadata)> {
    let mut found = Vec::new();
    for (repeats, question) in questionnaire.questions() {
        if let Kind::Metadata(kind) = &question.kind
            && repeats.is_empty()
            && kinds.contains(kind)
            && let Ok(path) = Path::new(Place::record(), question.key.as_str())
        {
            found.push((path, kind.clone()));
        }
    }
    found
}

/// Whether the form's `audit` question asks for what was changed, too.
fn tracks_changes(questionnaire: &Questionnaire) -> bool {
    let audits = |question: &Question| question.kind == Kind::Metadata(Metadata::Audit);
    let mut found = questionnaire.questions().filter(|(_, question)| audits(question));
    found.any(|(_, question)| question.parameters.get("track-changes").is_some_and(|value| value == "true"))
}

/// What the rules are told of the world: the interview's own clock, where it has one (DESIGN §4).
fn context_of<H: Host>(
    record: RecordId,
    merged: &Record,
    questionnaire: &Questionnaire,
    device: &mut Device<H>,
    author: &str,
) -> Result<Context, Error> {
    // An interview that was not begun has no time of its own yet.
    let begun = merged.answers().next().is_some();
    let mut context = if begun { Context::of_record(merged, questionnaire) } else { moment(device) };
    context.properties.insert(Metadata::Username.name().to_owned(), author.to_owned());
    context.properties.insert(Metadata::DeviceId.name().to_owned(), device.status()?.replica.to_string());
    context.last_saved = device.last_saved(&questionnaire.id, record)?;
    Ok(context)
}
