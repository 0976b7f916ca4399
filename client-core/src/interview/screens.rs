//! What a screen shows, in the language of the interview.

use super::{
    Interview,
    order::{Around, Position, Step, number, questions_on, steps},
};
use crate::device::RemarkLine;
use questionnaire::{Kind, Merge, Question, Text, ViolationKind, text_of};
use sync_protocol::{Missing, Path, Place, Value, record};

/// What an enumerator sees at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Screen {
    /// Its name.
    pub position: Position,
    /// The headings of the groups and rows around it, outermost first.
    pub headings: Vec<String>,
    /// What it shows.
    pub content: Content,
    /// The remarks about the interview as a whole, and those about answers that no question asks for any more; at the end also all
    /// that are not answered yet, since whoever finishes says that they are done.
    pub remarks: Vec<RemarkLine>,
    /// Its place among the screens that are shown now, counted from 1.
    pub number: usize,
    /// How many those are.
    pub of: usize,
}

/// What a screen shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One question, or those of a `field-list`.
    Questions(Vec<Asked>),
    /// The rows of a roster; one can be added where no count says how many there are.
    Rows {
        /// What the roster is called.
        label: String,
        /// The rows in order.
        rows: Vec<RowLine>,
        /// Whether rows may be added and removed by hand.
        open: bool,
    },
    /// The end of the form.
    End,
}

/// One row of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLine {
    /// The row.
    pub place: Place,
    /// What people call it: the answer to its first question in words, or else its first answer.
    pub title: String,
}

/// One question as it is asked now.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Where its answer stands.
    pub path: Path,
    /// What is asked for.
    pub kind: Kind,
    /// How it looks, as the questionnaire writes it.
    pub appearance: String,
    /// The question, with answers filled in.
    pub label: String,
    /// The smaller text below it.
    pub hint: String,
    /// The guidance on request.
    pub guidance: String,
    /// An answer must be given.
    pub required: bool,
    /// It can't be answered by hand.
    pub read_only: bool,
    /// The answer as XLSForm text; empty where there is none.
    pub answer: String,
    /// Why there is no answer.
    pub missing: Option<Missing>,
    /// What is wrong with it.
    pub flaws: Vec<Flaw>,
    /// The remarks about it with which the interview was returned.
    pub remarks: Vec<RemarkLine>,
    /// The values that are in conflict, the shown one first, each with who gave it; empty where there is no conflict.
    pub siblings: Vec<(String, String)>,
}

/// One thing that is wrong or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The screen where it is mended.
    pub position: Position,
    /// What is wrong; none where a roster has fewer rows than its count asks for.
    pub kind: Option<ViolationKind>,
    /// The question, or the roster, as people read it.
    pub label: String,
    /// What the questionnaire says of it; empty where it says nothing.
    pub message: String,
    /// The answers that the rule reads, its own first: two honest ones can make one impossible whole.
    pub reads: Vec<Given>,
}

/// One answer with who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Where it stands.
    pub path: Path,
    /// The question as people read it.
    pub label: String,
    /// The answer as XLSForm text.
    pub text: String,
    /// Who gave it.
    pub author: String,
}

/// Some choices of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Name and label of each.
    pub offered: Vec<(String, String)>,
    /// How many more there are.
    pub more: usize,
}

/// What is on the screen now.
pub(super) fn draw(interview: &Interview) -> Screen {
    let steps = steps(interview);
    let at = steps.iter().position(|step| step.is(&interview.at));
    let passed = steps.iter().take(at.map_or(steps.len(), |at| at + 1)).filter(|step| step.shown).count();
    let of = steps.iter().filter(|step| step.shown).count();
    let step = at.and_then(|at| steps.get(at));
    let content = match &interview.at {
        Position::Question(_) => {
            let questions = questions_on(interview, &interview.at);
            Content::Questions(questions.iter().filter_map(|path| asked(interview, path)).collect())
        }
        Position::Rows { outer, repeat } => rows(interview, outer, repeat),
        Position::End => Content::End,
    };
    let around = step.map(|step| step.around.as_slice()).unwrap_or_default();
    let headings = around.iter().map(|around| heading(interview, around)).filter(|text| !text.is_empty()).collect();
    let is_asked = |line: &RemarkLine| line.path.as_ref().is_some_and(|path| is_asked(interview, &steps, path));
    let is_open = |line: &RemarkLine| interview.at == Position::End && !line.answered;
    let remarks = interview.remarks().into_iter().filter(|line| is_open(line) || !is_asked(line)).collect();
    Screen { position: interview.at.clone(), headings, content, remarks, number: passed, of }
}

/// Whether an answer has a question on a screen that is shown.
fn is_asked(interview: &Interview, steps: &[Step], path: &Path) -> bool {
    let question = interview.question_of(path);
    interview.rules.is_relevant(&question) && steps.iter().any(|step| step.shown && step.questions.contains(&question))
}

/// A group's heading as it is; a row's with its number and name.
fn heading(interview: &Interview, around: &Around) -> String {
    match around {
        Around::Group { place, label, .. } => text(interview, place, label),
        Around::Row { place, label } => {
            let (text, title) = (text(interview, place, label), title(interview, place));
            let colon = if title.is_empty() { "" } else { ": " };
            format!("{text} {}{colon}{title}", number(interview, place)).trim().to_owned()
        }
    }
}

fn text(interview: &Interview, place: &Place, text: &Text) -> String {
    // Any name does: it is the place that a heading is seen from.
    let Ok(seen_from) = Path::new(place.clone(), "heading") else { return String::new() };
    interview.rules.text(&seen_from, text, &interview.language)
}

/// What names a row: the answer to its first question in words, or else its first answer.
fn title(interview: &Interview, row: &Place) -> String {
    let repeats: Vec<&str> = row.steps().map(|(repeat, _)| repeat).collect();
    let inside =
        interview.questionnaire.questions().filter(|(at, question)| *at == repeats && question.kind.is_shown());
    let mut first = String::new();
    for (_, question) in inside {
        let Ok(path) = Path::new(row.clone(), question.key.as_str()) else { continue };
        let answer = interview.rules.value(&path);
        if question.kind == Kind::Text {
            return answer;
        }
        if first.is_empty() {
            first = answer;
        }
    }
    first
}

fn rows(interview: &Interview, outer: &Place, repeat: &str) -> Content {
    let mut repeats: Vec<&str> = outer.steps().map(|(repeat, _)| repeat).collect();
    repeats.push(repeat);
    let known = interview.questionnaire.repeat(&repeats);
    let places = interview.rules.rows(outer, repeat).into_iter().filter_map(|id| outer.row(repeat, &id).ok());
    Content::Rows {
        label: known.map(|known| text(interview, outer, &known.label)).unwrap_or_default(),
        rows: places.map(|place| RowLine { title: title(interview, &place), place }).collect(),
        open: known.is_some_and(|known| known.repeat_count.is_none()),
    }
}

fn asked(interview: &Interview, path: &Path) -> Option<Asked> {
    let question = interview.question(path).ok()?;
    let rules = &interview.rules;
    let read = |text: &Text| rules.text(path, text, &interview.language);
    let remarked = |line: &RemarkLine| line.path.as_ref().is_some_and(|about| interview.question_of(about) == *path);
    Some(Asked {
        remarks: interview.remarks().into_iter().filter(remarked).collect(),
        path: path.clone(),
        kind: question.kind.clone(),
        appearance: question.appearance.clone(),
        label: label(interview, question, path),
        hint: read(&question.hint),
        guidance: read(&question.guidance),
        required: rules.is_required(path),
        read_only: rules.is_read_only(path),
        answer: rules.value(path),
        missing: rules.missing(path),
        flaws: flaws(interview, path),
        siblings: siblings(interview, question, path),
    })
}

/// The question as people read it; its name where nothing else is written.
fn label(interview: &Interview, question: &Question, path: &Path) -> String {
    let label = interview.rules.text(path, &question.label, &interview.language);
    if label.is_empty() { question.name.clone() } else { label }
}

/// The merged answer that holds what a question was answered: that of its merge group, if it has one.
fn held<'a>(interview: &'a Interview, question: &Question, path: &Path) -> Option<record::Answer<'a>> {
    let register = match &question.merge {
        Merge::Group(group) => Path::new(path.place().clone(), group.as_str()).ok()?,
        Merge::Alone | Merge::Union => path.clone(),
    };
    interview.merged.answer(&register)
}

fn given(interview: &Interview, path: &Path) -> Option<Given> {
    let question = interview.question(path).ok()?;
    let author = held(interview, question, path)?.siblings.first()?.origin.author.to_string();
    let (label, text) = (label(interview, question, path), interview.rules.value(path));
    Some(Given { path: path.clone(), label, text, author })
}

fn siblings(interview: &Interview, question: &Question, path: &Path) -> Vec<(String, String)> {
    let answer = held(interview, question, path);
    let merge = match question.merge {
        Merge::Union => record::Merge::Union,
        Merge::Alone | Merge::Group(_) => record::Merge::Register,
    };
    let Some(answer) = answer.filter(|answer| answer.is_conflict(merge)) else { return Vec::new() };
    // Of a merge group the whole is shown: one member says nothing of the others.
    let shown = |value: &Value| match value {
        Value::Fields(fields) if matches!(question.merge, Merge::Group(_)) => {
            let parts = fields.iter().map(|(name, value)| format!("{name}={}", text_of(value)));
            parts.collect::<Vec<_>>().join("; ")
        }
        Value::Text(_) | Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => text_of(value),
    };
    answer.siblings.iter().map(|sibling| (shown(sibling.value), sibling.origin.author.to_string())).collect()
}

/// What is wrong with one answer.
pub(super) fn flaws(interview: &Interview, path: &Path) -> Vec<Flaw> {
    let Ok(question) = interview.question(path) else { return Vec::new() };
    let flaw = |kind: ViolationKind| {
        let message = match kind {
            ViolationKind::Constraint => &question.constraint_message,
            ViolationKind::Required => &question.required_message,
            ViolationKind::Choice | ViolationKind::Type => &Text::default(),
        };
        Flaw {
            position: Position::Question(path.clone()),
            kind: Some(kind),
            label: label(interview, question, path),
            message: interview.rules.text(path, message, &interview.language),
            reads: interview.rules.reads(path, kind).iter().filter_map(|read| given(interview, read)).collect(),
        }
    };
    interview.rules.faults(path).into_iter().map(flaw).collect()
}

/// All that is wrong or missing, in form order.
pub(super) fn problems(interview: &Interview) -> Vec<Flaw> {
    let mut problems = Vec::new();
    for step in steps(interview).iter().filter(|step| step.shown) {
        for path in &step.questions {
            problems.extend(flaws(interview, path));
        }
        if let Position::Rows { outer, repeat } = &step.position
            && interview.rules.row_count(outer, repeat).is_some()
            && let Content::Rows { label, .. } = rows(interview, outer, repeat)
        {
            problems.push(Flaw {
                position: step.position.clone(),
                kind: None,
                label,
                message: String::new(),
                reads: Vec::new(),
            });
        }
    }
    problems
}

/// The choices of a question that hold a text in their label or name.
pub(super) fn choices(interview: &Interview, path: &Path, search: &str, limit: usize) -> Choices {
    let search = search.to_lowercase();
    let mut choices = Choices { offered: Vec::new(), more: 0 };
    for offer in interview.rules.choices(path) {
        let label = interview.rules.text(path, &offer.label, &interview.language);
        let found = |text: &str| text.to_lowercase().contains(&search);
        if !found(&offer.name) && !found(&label) {
            continue;
        }
        if choices.offered.len() < limit {
            choices.offered.push((offer.name, label));
        } else {
            choices.more += 1;
        }
    }
    choices
}
