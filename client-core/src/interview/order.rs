//! The order of an interview's screens, and how to get from one to another.
//!
//! A screen is one question, or a group that looks like `field-list` as a whole, or the end of a roster (where rows are added and
//! removed), or the end of the form. What is not relevant has its place in the order and is passed over.

use super::Interview;
use questionnaire::{Group, Item, Repeat, Text};
use std::{fmt, str::FromStr};
use sync_protocol::{Path, Place, ids::BadName};

/// Names a screen; as text it can be kept and found again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// The screen that asks this question.
    Question(Path),
    /// The list of a roster's rows: `member+`.
    Rows {
        /// The record or the row that the roster stands in.
        outer: Place,
        /// The roster's key.
        repeat: String,
    },
    /// The end of the form: `.`.
    End,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question(path) => path.fmt(f),
            Self::Rows { outer, repeat } if outer.is_record() => write!(f, "{repeat}+"),
            Self::Rows { outer, repeat } => write!(f, "{outer}/{repeat}+"),
            Self::End => f.write_str("."),
        }
    }
}

impl FromStr for Position {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text == "." {
            return Ok(Self::End);
        }
        let Some(roster) = text.strip_suffix('+') else {
            return Ok(Self::Question(text.parse()?));
        };
        let path: Path = roster.parse()?;
        Ok(Self::Rows { outer: path.place().clone(), repeat: path.name().to_owned() })
    }
}

/// One place in the order of screens.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) position: Position,
    /// The questions on the screen, relevant or not.
    pub(super) questions: Vec<Path>,
    pub(super) around: Vec<Around>,
    pub(super) shown: bool,
}

/// What stands around a screen.
#[derive(Clone, Debug)]
pub(super) enum Around {
    Group { name: String, place: Place, label: Text },
    Row { place: Place, label: Text },
}

impl Step {
    pub(super) fn is(&self, position: &Position) -> bool {
        match position {
            Position::Question(path) => self.questions.contains(path),
            Position::Rows { .. } | Position::End => self.position == *position,
        }
    }

    fn place(&self) -> Option<&Place> {
        match &self.position {
            Position::Question(path) => Some(path.place()),
            Position::Rows { outer, .. } => Some(outer),
            Position::End => None,
        }
    }
}

/// All screens in form order; the last one is the end.
pub(super) fn steps(interview: &Interview) -> Vec<Step> {
    let mut walk = Walk { interview, steps: Vec::new(), around: Vec::new() };
    walk.items(interview.questionnaire.items(), &Place::record());
    let end = Step { position: Position::End, questions: Vec::new(), around: Vec::new(), shown: true };
    walk.steps.push(end);
    walk.steps
}

struct Walk<'a> {
    interview: &'a Interview,
    steps: Vec<Step>,
    around: Vec<Around>,
}

impl Walk<'_> {
    fn items(&mut self, items: &[Item], place: &Place) {
        for item in items {
            match item {
                Item::Question(_) => self.screen(asked_of(std::slice::from_ref(item), place)),
                Item::Group(group) => self.group(group, place),
                Item::Repeat(repeat) => self.repeat(repeat, place),
            }
        }
    }

    fn group(&mut self, group: &Group, place: &Place) {
        let around = Around::Group { name: group.name.clone(), place: place.clone(), label: group.label.clone() };
        self.around.push(around);
        if is_one_screen(&group.appearance) {
            self.screen(asked_of(&group.children, place));
            // A roster has screens of its own, wherever it stands.
            for item in &group.children {
                if let Item::Repeat(repeat) = item {
                    self.repeat(repeat, place);
                }
            }
        } else {
            self.items(&group.children, place);
        }
        self.around.pop();
    }

    fn repeat(&mut self, repeat: &Repeat, place: &Place) {
        let rules = &self.interview.rules;
        let rows = rules.rows(place, &repeat.key);
        for id in &rows {
            let Ok(row) = place.row(&repeat.key, id) else { continue };
            self.around.push(Around::Row { place: row.clone(), label: repeat.label.clone() });
            if is_one_screen(&repeat.appearance) {
                self.screen(asked_of(&repeat.children, &row));
            } else {
                self.items(&repeat.children, &row);
            }
            self.around.pop();
        }
        let enough = rules.row_count(place, &repeat.key).is_some_and(|wanted| wanted <= rows.len());
        self.steps.push(Step {
            position: Position::Rows { outer: place.clone(), repeat: repeat.key.clone() },
            questions: Vec::new(),
            around: self.around.clone(),
            shown: !enough && rules.is_repeat_relevant(place, &repeat.key),
        });
    }

    fn screen(&mut self, questions: Vec<Path>) {
        let Some(first) = questions.first() else { return };
        let shown = questions.iter().any(|path| self.interview.rules.is_relevant(path));
        let position = Position::Question(first.clone());
        self.steps.push(Step { position, questions, around: self.around.clone(), shown });
    }
}

fn is_one_screen(appearance: &str) -> bool {
    appearance.split_whitespace().any(|word| word == "field-list" || word == "table-list")
}

/// The questions that people are asked, of items and the groups in them.
fn asked_of(items: &[Item], place: &Place) -> Vec<Path> {
    let mut paths = Vec::new();
    for item in items {
        match item {
            Item::Question(question) if question.kind.is_shown() => {
                paths.extend(Path::new(place.clone(), question.key.as_str()));
            }
            Item::Group(group) => paths.extend(asked_of(&group.children, place)),
            Item::Question(_) | Item::Repeat(_) => {}
        }
    }
    paths
}

/// The first screen.
pub(super) fn first(steps: &[Step]) -> Position {
    shown_from(steps, 0)
}

/// The first screen inside a row.
pub(super) fn first_in(steps: &[Step], row: &Place) -> Position {
    let at = steps.iter().position(|step| step.shown && step.place().is_some_and(|place| row.contains(place)));
    at.and_then(|at| steps.get(at)).map_or(Position::End, |step| step.position.clone())
}

/// The screen of a position, or the next one that is shown where that one is not.
pub(super) fn nearest(steps: &[Step], position: &Position) -> Position {
    match steps.iter().position(|step| step.is(position)) {
        Some(at) => shown_from(steps, at),
        None => first(steps),
    }
}

/// The screen after a position; the end is the last.
pub(super) fn after(steps: &[Step], position: &Position) -> Position {
    match steps.iter().position(|step| step.is(position)) {
        Some(at) => shown_from(steps, at + 1),
        None => first(steps),
    }
}

/// The screen before a position; the first is the first.
pub(super) fn before(steps: &[Step], position: &Position) -> Position {
    let at = steps.iter().position(|step| step.is(position)).unwrap_or(0);
    let earlier = steps.iter().take(at).rev().find(|step| step.shown);
    earlier.map_or_else(|| first(steps), |step| step.position.clone())
}

fn shown_from(steps: &[Step], at: usize) -> Position {
    steps.iter().skip(at).find(|step| step.shown).map_or(Position::End, |step| step.position.clone())
}

/// A row's number, counted from 1.
pub(super) fn number(interview: &Interview, row: &Place) -> usize {
    let Some((outer, repeat, row)) = row.split() else { return 0 };
    interview.rules.rows(&outer, repeat).iter().position(|id| id == row).map_or(0, |at| at + 1)
}

/// The questions of a screen that are relevant.
pub(super) fn questions_on(interview: &Interview, position: &Position) -> Vec<Path> {
    let steps = steps(interview);
    let step = steps.iter().find(|step| step.is(position));
    let questions = step.map(|step| step.questions.as_slice()).unwrap_or_default();
    questions.iter().filter(|path| interview.rules.is_relevant(path)).cloned().collect()
}

/// A screen's place as the XForm names it: `/data/roster/member[2]/m_age`.
pub(super) fn node(interview: &Interview, position: &Position) -> String {
    let name = match position {
        Position::Question(path) => path.name(),
        Position::Rows { repeat, .. } => repeat,
        Position::End => return String::new(),
    };
    let mut node = String::from("/data");
    let steps = steps(interview);
    for around in steps.iter().find(|step| step.is(position)).map(|step| step.around.as_slice()).unwrap_or_default() {
        match around {
            Around::Group { name, .. } => node.push_str(&format!("/{name}")),
            Around::Row { place, .. } => {
                let repeat = place.split().map(|(_, repeat, _)| repeat.to_owned()).unwrap_or_default();
                node.push_str(&format!("/{repeat}[{}]", number(interview, place)));
            }
        }
    }
    format!("{node}/{name}")
}
