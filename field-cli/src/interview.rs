//! `tenun-field interview`: the interview in a terminal, one question after the other.
//!
//! Reads lines, so that it works on any terminal and from a script; colours only where a person looks.

mod words;

use crate::{Answer, Field};
use client_core::{Asked, Content, Error, Flaw, Interview, Position, RemarkLine, RowLine};
use questionnaire::{ChoiceSource, Kind, ViolationKind};
use serde_json::{Value as Json, json};
use std::io::{self, BufRead, IsTerminal, Write};
use sync_protocol::{Attachment, Missing, Path, Place, RecordId};
use words::Words;

/// Choices that are listed at once.
const LISTED: usize = 20;

/// Holds the interview until the enumerator leaves it or the input ends.
pub(crate) fn run(device: &mut Field, record: RecordId, language: Option<&str>) -> Result<Answer, Error> {
    let interview = open(device, record, language)?;
    let mut terminal = Terminal { device, interview, looked_at: io::stdout().is_terminal() };
    let finished = terminal.converse()?;
    let Terminal { device, interview, .. } = terminal;
    let words = Words::of(interview.language());
    let (position, wrong) = (interview.position().to_string(), interview.problems().len());
    interview.close(device)?;
    let text = if finished { words.finished } else { words.left };
    Ok(Answer::new(text, json!({ "record": record, "position": position, "finished": finished, "wrong": wrong })))
}

/// The screen that is up and all that is wrong, for scripts.
pub(crate) fn look(device: &mut Field, record: RecordId, language: Option<&str>) -> Result<Answer, Error> {
    let author = device.enumerator()?;
    let mut interview = Interview::look(device, record, &author)?;
    if let Some(language) = language {
        interview.set_language(language)?;
    }
    let screen = interview.screen();
    let content = match &screen.content {
        Content::Questions(asked) => {
            json!({ "questions": asked.iter().map(|asked| question(&interview, asked)).collect::<Vec<_>>() })
        }
        Content::Rows { label, rows, open } => {
            let rows: Vec<Json> =
                rows.iter().map(|row| json!({ "row": row.place.as_str(), "title": row.title })).collect();
            json!({ "label": label, "rows": rows, "open": open })
        }
        Content::End => json!({}),
    };
    let mut json = json!({
        "record": record, "position": screen.position.to_string(), "number": screen.number, "of": screen.of,
        "language": interview.language(), "headings": screen.headings,
        "remarks": screen.remarks, "problems": interview.problems().iter().map(flaw).collect::<Vec<_>>(),
    });
    if let (Some(all), Json::Object(content)) = (json.as_object_mut(), content) {
        all.extend(content);
    }
    Ok(Answer::new("", json))
}

/// What is wrong with some records, for people and for scripts.
pub(crate) fn problems(device: &mut Field, records: &[RecordId], language: Option<&str>) -> Result<Answer, Error> {
    let (mut text, mut all) = (String::new(), Vec::new());
    for &record in records {
        let author = device.enumerator()?;
        let mut interview = Interview::look(device, record, &author)?;
        if let Some(language) = language {
            interview.set_language(language)?;
        }
        let (words, title) = (Words::of(interview.language()), device.summary(record)?.title);
        for found in interview.problems() {
            text.push_str(&format!("{record}  {title}  {}  {}\n", found.position, said(&found, words)));
            let mut json = flaw(&found);
            if let Some(object) = json.as_object_mut() {
                object.insert("record".into(), json!(record));
            }
            all.push(json);
        }
    }
    if all.is_empty() {
        text.push_str(Words::of(language.unwrap_or_default()).all_well);
    }
    Ok(Answer::new(text.trim_end(), json!({ "problems": all })))
}

fn open(device: &mut Field, record: RecordId, language: Option<&str>) -> Result<Interview, Error> {
    let author = device.enumerator()?;
    let mut interview = Interview::open(device, record, &author)?;
    if let Some(language) = language {
        interview.set_language(language)?;
    }
    Ok(interview)
}

fn question(interview: &Interview, asked: &Asked) -> Json {
    let choices = asked.kind.select().map(|_| {
        let choices = interview.choices(&asked.path, "", LISTED);
        let offered: Vec<Json> =
            choices.offered.iter().map(|(name, label)| json!({ "name": name, "label": label })).collect();
        json!({ "offered": offered, "more": choices.more })
    });
    let siblings: Vec<Json> = asked.siblings.iter().map(|(value, by)| json!({ "text": value, "by": by })).collect();
    json!({
        "path": asked.path.to_string(), "type": asked.kind.name(), "appearance": asked.appearance,
        "label": asked.label, "hint": asked.hint, "required": asked.required, "read_only": asked.read_only,
        "answer": asked.answer, "missing": asked.missing.map(Missing::as_str), "choices": choices,
        "siblings": siblings, "remarks": asked.remarks, "wrong": asked.flaws.iter().map(flaw).collect::<Vec<_>>(),
    })
}

fn flaw(flaw: &Flaw) -> Json {
    let kind = flaw.kind.map_or_else(|| json!("rows"), |kind| json!(kind));
    let reads: Vec<Json> = flaw
        .reads
        .iter()
        .map(|given| {
            json!({ "path": given.path.to_string(), "label": given.label, "text": given.text, "by": given.author })
        })
        .collect();
    json!({
        "position": flaw.position.to_string(), "kind": kind, "label": flaw.label, "message": flaw.message, "reads": reads,
    })
}

/// What is wrong, in the questionnaire's words where it has some, with the answers that make it so.
fn said(flaw: &Flaw, words: &Words) -> String {
    let why = match flaw.kind {
        _ if !flaw.message.is_empty() => flaw.message.as_str(),
        Some(ViolationKind::Constraint | ViolationKind::Type) => words.constraint,
        Some(ViolationKind::Required) => words.missing,
        Some(ViolationKind::Choice) => words.choice,
        None => words.rows_missing,
    };
    let given: Vec<String> = flaw
        .reads
        .iter()
        .map(|given| format!("{} = {}, {} {}", given.label, given.text, words.by, given.author))
        .collect();
    let given = if given.len() > 1 { format!(" ({})", given.join("; ")) } else { String::new() };
    format!("{}: {why}{given}", flaw.label)
}

/// What a line asks for.
enum Turn {
    /// Ask again.
    Stay,
    /// Go on to the next question of the screen, or the next screen.
    On,
    /// The screen is another one now.
    Moved,
    /// The enumerator leaves; true after finishing.
    Leave(bool),
}

struct Terminal<'a> {
    device: &'a mut Field,
    interview: Interview,
    looked_at: bool,
}

impl Terminal<'_> {
    /// Shows screens until the enumerator leaves; true after finishing.
    fn converse(&mut self) -> Result<bool, Error> {
        loop {
            let turn = match self.interview.screen().content {
                Content::Questions(asked) => self.questions(asked.into_iter().map(|asked| asked.path).collect())?,
                Content::Rows { rows, open, label } => self.rows(&label, &rows, open)?,
                Content::End => self.end()?,
            };
            match turn {
                Turn::On => self.interview.next(self.device)?,
                Turn::Leave(finished) => return Ok(finished),
                Turn::Stay | Turn::Moved => {}
            }
        }
    }

    fn words(&self) -> &'static Words {
        Words::of(self.interview.language())
    }

    fn questions(&mut self, paths: Vec<Path>) -> Result<Turn, Error> {
        self.headings();
        for path in paths {
            loop {
                // An answer given on this screen may hide or change the questions below it.
                let Content::Questions(now) = self.interview.screen().content else { return Ok(Turn::Moved) };
                let Some(asked) = now.into_iter().find(|asked| asked.path == path) else { break };
                self.show(&asked);
                let Some(line) = self.line()? else { return Ok(Turn::Leave(false)) };
                match self.reply(&asked, &line)? {
                    Turn::Stay => {}
                    Turn::On => break,
                    turn @ (Turn::Moved | Turn::Leave(_)) => return Ok(turn),
                }
            }
        }
        Ok(Turn::On)
    }

    fn reply(&mut self, asked: &Asked, line: &str) -> Result<Turn, Error> {
        if line.is_empty() {
            return Ok(Turn::On);
        }
        let text = match line {
            ":r" => "@refused".to_owned(),
            ":d" => "@dont-know".to_owned(),
            ":c" => String::new(),
            // Above the question stand those that are about the whole interview.
            line if line.starts_with(":a ") => {
                let of_all = self.interview.screen().remarks;
                let is_open = asked.remarks.iter().any(|remark| !remark.answered);
                let goes_there = is_open || (!asked.remarks.is_empty() && of_all.iter().all(|remark| remark.answered));
                return self.reply_to(if goes_there { &asked.remarks } else { &of_all }, line);
            }
            line if line == "<" || line.starts_with(':') => return self.command(line),
            line => match self.chosen(asked, line) {
                Some(text) => text,
                None => return Ok(Turn::Stay),
            },
        };
        let is_file = asked.kind.is_attachment() && !text.is_empty() && !text.starts_with('@');
        let saved = if is_file {
            let record = self.interview.record();
            let bytes = crate::attachments::read(self.device, record, &asked.path, &text);
            bytes.and_then(|bytes| self.interview.attach(self.device, &asked.path, &text, bytes))
        } else if asked.siblings.is_empty() {
            self.interview.answer(self.device, &asked.path, &text)
        } else {
            self.interview.resolve(self.device, &asked.path, &text)
        };
        match saved {
            Ok(flaws) if flaws.is_empty() => Ok(Turn::On),
            Ok(_) => {
                self.say(self.words().kept);
                Ok(Turn::Stay)
            }
            Err(Error::File(problem)) => {
                self.warn(&self.words().about_file(&problem));
                Ok(Turn::Stay)
            }
            Err(error @ (Error::BadAnswer(_) | Error::TooLarge(_))) => {
                self.warn(&error.to_string());
                Ok(Turn::Stay)
            }
            Err(error) => Err(error),
        }
    }

    /// Turns what was typed into the names of choices; none, and a word about it, where that is not clear.
    fn chosen(&self, asked: &Asked, line: &str) -> Option<String> {
        let Some(select) = asked.kind.select() else { return Some(line.to_owned()) };
        let by_number = matches!(select.source, ChoiceSource::Rows(_));
        let one = |typed: &str| {
            let all = self.interview.choices(&asked.path, "", usize::MAX).offered;
            let number: Option<usize> = typed.parse().ok().filter(|_| by_number);
            if let Some((name, _)) = number.and_then(|number| all.get(number.checked_sub(1)?)) {
                return Some(name.clone());
            }
            if all.iter().any(|(name, _)| name == typed) {
                return Some(typed.to_owned());
            }
            let found = self.interview.choices(&asked.path, typed, LISTED);
            match found.offered.as_slice() {
                [] => self.warn(&format!("{} {typed}", self.words().no_choice)),
                [(name, _)] => return Some(name.clone()),
                several => {
                    self.warn(self.words().several);
                    self.offer(several, found.more, false);
                }
            }
            None
        };
        if matches!(asked.kind, Kind::SelectMultiple(_) | Kind::Rank(_)) {
            let names: Option<Vec<String>> = line.split_whitespace().map(one).collect();
            return names.map(|names| names.join(" "));
        }
        one(line)
    }

    fn rows(&mut self, label: &str, rows: &[RowLine], open: bool) -> Result<Turn, Error> {
        self.headings();
        self.say(&self.bold(label));
        for (number, row) in (1..).zip(rows) {
            self.say(&format!("  {number}  {}", row.title));
        }
        if open {
            self.say(&self.dim(self.words().rows));
        }
        let Position::Rows { outer, repeat } = self.interview.position().clone() else { return Ok(Turn::Moved) };
        let Some(line) = self.line()? else { return Ok(Turn::Leave(false)) };
        let row = |text: &str| rows.get(text.parse::<usize>().ok()?.checked_sub(1)?).map(|row| row.place.clone());
        match line.as_str() {
            "" => Ok(Turn::On),
            "+" if open => {
                self.interview.add_row(self.device, &outer, &repeat)?;
                Ok(Turn::Moved)
            }
            line if line == "<" || line.starts_with(':') => self.command(line),
            line => {
                let removes = line.strip_prefix('-').filter(|_| open);
                match (removes.and_then(row), row(line)) {
                    (Some(place), _) => self.interview.remove_row(self.device, &place)?,
                    (None, Some(place)) => self.open_row(&place)?,
                    (None, None) => self.warn(self.words().no_row),
                }
                Ok(Turn::Moved)
            }
        }
    }

    fn open_row(&mut self, row: &Place) -> Result<(), Error> {
        match self.interview.first_in(row) {
            Some(position) => self.interview.go_to(self.device, &position),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<Turn, Error> {
        self.headings();
        self.list_problems();
        self.say(self.words().end);
        if self.is_returned() {
            self.say(self.words().all_done);
        }
        match self.line()? {
            None => Ok(Turn::Leave(false)),
            Some(line) if line.is_empty() => Ok(Turn::Stay),
            Some(line) => self.command(&line),
        }
    }

    fn is_returned(&self) -> bool {
        self.interview.remarks().iter().any(|remark| !remark.answered)
    }

    fn command(&mut self, line: &str) -> Result<Turn, Error> {
        let (word, rest) = line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim()));
        match word {
            "<" | ":b" => self.interview.back(self.device)?,
            ":q" => return Ok(Turn::Leave(false)),
            // Whoever finishes says that all remarks are done: they are shown together first.
            ":f" if *self.interview.position() != Position::End && self.is_returned() => {
                self.interview.go_to(self.device, &Position::End)?;
            }
            ":f" => {
                self.interview.finish(self.device)?;
                return Ok(Turn::Leave(true));
            }
            ":p" => {
                self.list_problems();
                if let Some(position) = self.interview.first_problem() {
                    self.interview.go_to(self.device, &position)?;
                }
            }
            ":g" => match rest.parse() {
                Ok(position) => self.interview.go_to(self.device, &position)?,
                Err(error) => self.warn(&error.to_string()),
            },
            ":n" if !rest.is_empty() => {
                let kept = self.interview.note(self.device, rest);
                self.noted(kept)?;
            }
            ":a" => return self.reply_to(&self.interview.screen().remarks, line),
            ":l" => self.change_language(rest),
            _ => {
                self.say(self.words().help);
                return Ok(Turn::Stay);
            }
        }
        Ok(Turn::Moved)
    }

    /// Answers the first of some remarks that is not answered, or else the last one, in words.
    fn reply_to(&mut self, remarks: &[RemarkLine], line: &str) -> Result<Turn, Error> {
        let text = line.strip_prefix(":a").unwrap_or_default().trim();
        let remark = remarks.iter().find(|remark| !remark.answered).or(remarks.last());
        let Some(remark) = remark.filter(|_| !text.is_empty()) else {
            self.warn(self.words().no_remark);
            return Ok(Turn::Stay);
        };
        let kept = self.interview.reply(self.device, remark.id, text);
        self.noted(kept)?;
        Ok(Turn::Stay)
    }

    /// Says that words were kept, or what is wrong with them.
    fn noted(&self, kept: Result<(), Error>) -> Result<(), Error> {
        match kept {
            Ok(()) => self.say(self.words().noted),
            Err(error @ (Error::BadAnswer(_) | Error::TooLarge(_))) => self.warn(&error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Changes to a language, or to the next one.
    fn change_language(&mut self, wanted: &str) {
        let known = self.interview.questionnaire().languages.clone();
        let at = known.iter().position(|language| language == self.interview.language()).unwrap_or(0);
        let next = known.iter().cycle().nth(at + 1).filter(|_| !known.is_empty());
        let next = next.map(String::as_str).unwrap_or_default();
        let wanted = if wanted.is_empty() { next } else { wanted };
        if self.interview.set_language(wanted).is_err() {
            self.warn(&format!("{}: {}", self.words().languages, known.join(", ")));
        }
    }

    fn headings(&self) {
        let screen = self.interview.screen();
        let place = format!("[{}/{}] {}", screen.number, screen.of, screen.headings.join(" › "));
        self.say(&format!("\n{}", self.dim(place.trim_end())));
        // What no question on a screen asks for is named.
        for remark in &screen.remarks {
            if let Some(path) = &remark.path {
                self.say(&self.dim(&path.to_string()));
            }
            self.remarked(std::slice::from_ref(remark));
        }
    }

    /// Shows remarks with what was answered to them.
    fn remarked(&self, remarks: &[RemarkLine]) {
        let words = self.words();
        for remark in remarks {
            let state = if remark.answered { words.answered } else { words.to_answer };
            self.warn(&format!("{} {}: {} ({state})", words.remark_by, remark.by, remark.text));
            for (text, by) in &remark.replies {
                self.say(&format!("    {by}: {text}"));
            }
        }
    }

    fn show(&mut self, asked: &Asked) {
        let words = self.words();
        self.say(&format!("{}{}", self.bold(&asked.label), if asked.required { " *" } else { "" }));
        if !asked.hint.is_empty() {
            self.say(&self.dim(&asked.hint));
        }
        let mut labels = Vec::new();
        if let Some(select) = asked.kind.select() {
            let choices = self.interview.choices(&asked.path, "", LISTED);
            self.offer(&choices.offered, choices.more, matches!(select.source, ChoiceSource::Rows(_)));
            // The answer may be far down a long list.
            labels = asked.answer.split(' ').filter_map(|name| self.label_of(&asked.path, name)).collect();
        }
        let missing = asked.missing.and_then(|missing| match missing {
            Missing::Refused => Some(words.refused),
            Missing::DontKnow => Some(words.dont_know),
            Missing::NotAsked => Some(words.not_asked),
            Missing::Cleared => None,
        });
        let shown = match asked.answer.parse::<Attachment>() {
            Ok(named) if asked.kind.is_attachment() => {
                let name = named.name.unwrap_or_else(|| named.hash.to_string());
                format!("{name} ({}, {})", words::size(named.size), named.media)
            }
            Ok(_) | Err(_) if labels.is_empty() => asked.answer.clone(),
            Ok(_) | Err(_) => labels.join(", "),
        };
        if let Some(most) = self.file_limit(asked) {
            self.say(&self.dim(&format!("{} {}", words.file, words::size(most))));
        }
        match missing {
            Some(missing) => self.say(&format!("  {}: {missing}", words.now)),
            None if !shown.is_empty() => self.say(&format!("  {}: {shown}", words.now)),
            None => {}
        }
        if asked.read_only {
            self.say(&self.dim(words.read_only));
        }
        if !asked.siblings.is_empty() {
            self.warn(words.conflict);
            for (value, by) in &asked.siblings {
                self.say(&format!("    {value}  {} {by}", words.by));
            }
        }
        self.remarked(&asked.remarks);
        // That an answer is still to come is said by the star.
        for flaw in asked.flaws.iter().filter(|flaw| flaw.kind != Some(ViolationKind::Required)) {
            self.warn(&said(flaw, words));
        }
    }

    /// Most bytes of a file, where one is asked for.
    fn file_limit(&mut self, asked: &Asked) -> Option<u64> {
        let limits = self.device.limits().ok().filter(|_| asked.kind.is_attachment())?;
        u64::try_from(limits.attachment).ok()
    }

    fn label_of(&self, path: &Path, name: &str) -> Option<String> {
        let all = self.interview.choices(path, name, usize::MAX).offered;
        all.into_iter().find(|(offered, _)| offered == name).map(|(_, label)| label)
    }

    fn offer(&self, choices: &[(String, String)], more: usize, by_number: bool) {
        for (number, (name, label)) in (1..).zip(choices) {
            let key = if by_number { number.to_string() } else { name.clone() };
            self.say(&format!("  {key:>4}  {label}"));
        }
        if more > 0 {
            self.say(&self.dim(&format!("        … {more} {}", self.words().more)));
        }
    }

    fn list_problems(&self) {
        let (words, problems) = (self.words(), self.interview.problems());
        if problems.is_empty() {
            return self.say(words.all_well);
        }
        self.say(&format!("{} {}:", problems.len(), words.wrong));
        for flaw in problems.iter().take(LISTED) {
            self.say(&format!("  {}  {}", flaw.position, said(flaw, words)));
        }
        if problems.len() > LISTED {
            self.say("  …");
        }
    }

    /// Reads a line; none at the end of the input.
    fn line(&self) -> Result<Option<String>, Error> {
        if self.looked_at {
            print!("{} ", self.dim(&format!("({}) >", self.words().keys)));
        }
        let failed = |error: io::Error| Error::BadAnswer(format!("the input can't be read: {error}"));
        io::stdout().flush().map_err(failed)?;
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map_err(failed)?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }

    fn say(&self, text: &str) {
        println!("{text}");
    }

    fn warn(&self, text: &str) {
        if self.looked_at { println!("\x1b[33m! {text}\x1b[0m") } else { println!("! {text}") }
    }

    fn bold(&self, text: &str) -> String {
        if self.looked_at { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.looked_at { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}
