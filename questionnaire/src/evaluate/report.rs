//! The result for a record: relevance, calculated values, violations, missing rows, by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sync_protocol::{Path, Place};

use super::evaluator::Evaluator;
use super::form::{NodeId, NodeKind, QuestionId, ROOT};
use super::state::{Faults, RowId, Rows};
use crate::model::{Question, Text};

/// Holds all that the rules say of one record.
///
/// Rows beyond a `repeat_count` are hidden: nothing is said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// Tells of every question whether it is relevant: its own condition and those of all that is around it.
    pub relevant: BTreeMap<Path, bool>,
    /// The values of all relevant calculations, as text.
    pub calculated: BTreeMap<Path, String>,
    /// Those of the calculated values that are to be saved as answers (`once`, `random`, `uuid`) and are not yet.
    pub to_save: BTreeMap<Path, String>,
    /// What is wrong, in form order.
    pub violations: Vec<Violation>,
    /// The repeats that have fewer rows than their `repeat_count` asks for.
    pub missing: Vec<MissingRows>,
}

/// Names what is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViolationKind {
    /// It breaks the constraint.
    Constraint,
    /// It must be given and is not.
    Required,
    /// It is not among the choices that are offered.
    Choice,
    /// It is no value of its type.
    Type,
}

impl std::fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Constraint => "constraint",
            Self::Required => "required",
            Self::Choice => "choice",
            Self::Type => "type",
        })
    }
}

/// Says what is wrong with one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where the answer stands, or should.
    pub path: Path,
    /// What is wrong.
    pub kind: ViolationKind,
    /// What the questionnaire says of it, per language, with answers filled in; empty where it says nothing.
    pub message: Text,
}

/// Says that rows are missing from a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRows {
    /// The record or row that the repeat stands in.
    pub place: Place,
    /// The key of the repeat.
    pub repeat: String,
    /// How many rows its `repeat_count` asks for.
    pub expected: usize,
    /// How many there are.
    pub found: usize,
}

/// Reads the result off an evaluated record.
pub(crate) fn report(evaluator: &Evaluator) -> Evaluation {
    let mut evaluation = Evaluation::default();
    let mut reporter = Reporter { evaluator, wrong_only: false, evaluation: &mut evaluation };
    reporter.visit(ROOT, ROOT, &Place::record());
    evaluation
}

/// Reads only what is wrong off an evaluated record.
pub(crate) fn violations(evaluator: &Evaluator) -> Vec<Violation> {
    if !evaluator.state.has_faults() {
        return Vec::new();
    }
    let mut evaluation = Evaluation::default();
    let mut reporter = Reporter { evaluator, wrong_only: true, evaluation: &mut evaluation };
    reporter.visit(ROOT, ROOT, &Place::record());
    evaluation.violations
}

struct Reporter<'a> {
    evaluator: &'a Evaluator,
    wrong_only: bool,
    evaluation: &'a mut Evaluation,
}

impl Reporter<'_> {
    fn visit(&mut self, node: NodeId, row: RowId, place: &Place) {
        let (form, state) = (&self.evaluator.program.form, &self.evaluator.state);
        for &child in &form.node(node).children {
            match form.node(child).kind {
                NodeKind::Form => {}
                NodeKind::Group => self.visit(child, row, place),
                NodeKind::Question(question) => self.visit_question(question, row, place),
                NodeKind::Repeat => {
                    let scope = form.node(child).scope;
                    let key = &form.scope(scope).key;
                    let rows = state.inner(row, form.scope(scope).slot);
                    self.missing(rows, key, place);
                    // Where the repeat is not relevant all rows are told of, as irrelevant.
                    let told = if rows.relevant { rows.shown() } else { &rows.ids };
                    for &inner in told {
                        if let Ok(place) = place.row(key, &state.row(inner).id) {
                            self.visit(child, inner, &place);
                        }
                    }
                }
            }
        }
    }

    fn missing(&mut self, rows: &Rows, key: &str, place: &Place) {
        if let Some(expected) = rows.wanted
            && expected > rows.ids.len()
        {
            self.evaluation.missing.push(MissingRows {
                place: place.clone(),
                repeat: key.to_owned(),
                expected,
                found: rows.ids.len(),
            });
        }
    }

    fn visit_question(&mut self, id: QuestionId, row: RowId, place: &Place) {
        let (program, state) = (&self.evaluator.program, &self.evaluator.state);
        let Some(asked) = program.form.asked(id) else {
            return;
        };
        let cell = state.cell(&program.form, row, id);
        if self.wrong_only && cell.faults == Faults::default() {
            return;
        }
        let question = &asked.question;
        let Ok(path) = Path::new(place.clone(), question.key.as_str()) else {
            return;
        };
        for kind in super::evaluator::kinds(cell.faults) {
            self.evaluation.violations.push(Violation {
                path: path.clone(),
                kind,
                message: message(self.evaluator, question, kind, row, asked.node),
            });
        }
        if self.wrong_only {
            return;
        }
        let relevant = state.is_relevant(&program.form, row, asked.node);
        let rules = program.rules(id);
        if relevant && rules.calculation.is_some() && rules.triggers.is_empty() {
            let text = cell.value.to_text(self.evaluator.context.zone()).into_owned();
            if rules.saved && cell.given.is_none() && !text.is_empty() {
                self.evaluation.to_save.insert(path.clone(), text.clone());
            }
            self.evaluation.calculated.insert(path.clone(), text);
        }
        self.evaluation.relevant.insert(path, relevant);
    }
}

fn message(evaluator: &Evaluator, question: &Question, kind: ViolationKind, row: RowId, node: NodeId) -> Text {
    let text = match kind {
        ViolationKind::Constraint => &question.constraint_message,
        ViolationKind::Required => &question.required_message,
        ViolationKind::Choice | ViolationKind::Type => return Text::default(),
    };
    let mut filled = Text::default();
    for (language, text) in text.iter() {
        filled.set(language, evaluator.filled(text, row, node));
    }
    filled
}
