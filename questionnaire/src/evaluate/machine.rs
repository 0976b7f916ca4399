//! Runs resolved expressions over the state of a record.
//!
//! Pure: the clock, the zone, randomness and what the device knows come from the [`Context`].

mod nodes;

use std::cell::Cell;

use super::code::{Code, From, Indexed};
use super::context::Context;
use super::form::{Form, NodeId, QuestionId, ROOT, ScopeId};
use super::functions;
use super::lists::Lists;
use super::state::{RowId, State};
use super::value::Value;
use crate::expr::Op;
use crate::model::{Choice, ChoiceSource, Questionnaire};
use crate::moment::Zone;

pub(crate) use self::nodes::Found;

/// What the innermost predicate looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidate<'a> {
    None,
    Row(RowId),
    Item(&'a Choice),
}

/// Where an expression is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) row: RowId,
    pub(crate) node: NodeId,
    pub(crate) candidate: Candidate<'a>,
    /// Position and number of the candidates, for `position()` and `last()` in a predicate.
    pub(crate) position: usize,
    pub(crate) size: usize,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(row: RowId, node: NodeId) -> Self {
        Self { row, node, candidate: Candidate::None, position: 1, size: 1 }
    }

    pub(crate) fn with(self, candidate: Candidate<'a>, position: usize, size: usize) -> Self {
        Self { candidate, position, size, ..self }
    }

    fn start(&self, from: From) -> RowId {
        match (from, self.candidate) {
            (From::Candidate, Candidate::Row(row)) => row,
            (From::Candidate | From::Current, _) => self.row,
        }
    }
}

/// Everything that an expression can look at.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) form: &'a Form,
    pub(crate) questionnaire: &'a Questionnaire,
    pub(crate) lists: &'a Lists,
    pub(crate) state: &'a State,
    pub(crate) context: &'a Context,
    /// The state of the random numbers of this run.
    pub(crate) random: Cell<u64>,
}

impl<'a> Machine<'a> {
    pub(crate) fn zone(&self) -> Zone {
        self.context.zone()
    }

    /// Seeds the random numbers from the place of the expression, so that every evaluation gives the same.
    pub(crate) fn seed(&self, frame: &Frame<'_>) {
        let mut seed = self.context.seed ^ 0x5445_4e55_4e21_0000;
        let mut mix = |byte: u64| {
            seed = (seed ^ byte).wrapping_mul(0x0000_0100_0000_01b3);
        };
        mix(u64::try_from(frame.node).unwrap_or(0));
        let mut row = frame.row;
        while row != ROOT {
            let at = self.state.row(row);
            at.id.bytes().for_each(|byte| mix(u64::from(byte)));
            row = at.parent;
        }
        self.random.set(seed);
    }

    /// Returns 64 random bits (SplitMix64).
    pub(crate) fn random_bits(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evaluates to a single value; of several nodes the first counts (XPath 1.0, section 4.2).
    pub(crate) fn value(&self, code: &'a Code, frame: &Frame<'a>) -> Value {
        match code {
            Code::Number(number) => Value::Number(*number),
            Code::Text(text) if text.is_empty() => Value::Empty,
            Code::Text(text) => Value::Text(text.clone()),
            Code::Boolean(truth) => Value::Boolean(*truth),
            Code::Chain(first, rest) => self.chain(first, rest, frame),
            Code::And(parts) => Value::Boolean(parts.iter().all(|part| self.truth(part, frame))),
            Code::Or(parts) => Value::Boolean(parts.iter().any(|part| self.truth(part, frame))),
            Code::Negate(inner) => Value::Number(-self.value(inner, frame).to_number(self.zone())),
            Code::Cell { from, question, scope } => self.cell(*from, *question, *scope, frame).clone(),
            Code::Nodes(_) | Code::Items(_) | Code::Union(_) => {
                self.nodes(code, frame).first().map(|found| self.found(found)).unwrap_or_default()
            }
            Code::Column(column) => match frame.candidate {
                Candidate::Item(choice) => self.column(choice, column),
                Candidate::None | Candidate::Row(_) => Value::Empty,
            },
            Code::LastSaved(key) => Value::text(self.context.last_saved_text(key)),
            Code::Call(function, arguments) => functions::call(self, *function, arguments, frame),
            Code::Matches(text, pattern) => {
                let value = self.value(text, frame);
                Value::Boolean(pattern.is_match(&value.to_text(self.zone())))
            }
            Code::Indexed(indexed) => self.indexed(indexed, frame),
            Code::ChoiceName(value, question) => {
                let value = self.value(value, frame);
                self.choice_name(&value.to_text(self.zone()), *question, frame)
            }
            Code::Once(value, question) => {
                let cell = self.state.cell(self.form, frame.row, *question);
                cell.given.clone().map_or_else(|| self.value(value, frame), Value::Text)
            }
        }
    }

    fn cell(&self, from: From, question: QuestionId, scope: ScopeId, frame: &Frame<'a>) -> &'a Value {
        self.state.value(self.form, self.state.climb(frame.start(from), scope), question)
    }

    /// Compares an answer with a text, the commonest of all conditions, without a copy of either.
    fn is_text(&self, first: &Code, second: &Code, frame: &Frame<'a>) -> Option<bool> {
        let (Code::Cell { from, question, scope }, Code::Text(text)) = (first, second) else {
            return None;
        };
        match self.cell(*from, *question, *scope, frame) {
            Value::Text(held) => Some(**held == **text),
            Value::Empty => Some(text.is_empty()),
            Value::Number(_) | Value::Boolean(_) | Value::Moment(_) => None,
        }
    }

    pub(crate) fn truth(&self, code: &'a Code, frame: &Frame<'a>) -> bool {
        if matches!(code, Code::Nodes(_) | Code::Items(_) | Code::Union(_)) {
            // Several nodes are true, one is what its value is, as JavaRosa has it.
            return match self.nodes(code, frame).as_slice() {
                [] => false,
                [only] => self.found(only).to_boolean(),
                [..] => true,
            };
        }
        self.value(code, frame).to_boolean()
    }

    /// Tells whether a predicate keeps a candidate: a number is a position.
    pub(crate) fn keeps(&self, filter: &'a Code, frame: &Frame<'a>) -> bool {
        let value = self.value(filter, frame);
        if let Value::Number(number) = value {
            return crate::number::same(number, crate::number::from_count(frame.position));
        }
        value.to_boolean()
    }

    fn chain(&self, first: &'a Code, rest: &'a [(Op, Code)], frame: &Frame<'a>) -> Value {
        if let [(op, second)] = rest
            && (first.is_nodes() || second.is_nodes())
            && op.level() < 4
        {
            return self.compare_nodes(*op, first, second, frame);
        }
        if let [(op @ (Op::Equal | Op::Differs), second)] = rest
            && let Some(is_text) = self.is_text(first, second, frame)
        {
            return Value::Boolean(is_text == (*op == Op::Equal));
        }
        let zone = self.zone();
        let mut left = self.value(first, frame);
        for (op, operand) in rest {
            let right = self.value(operand, frame);
            left = apply(*op, &left, &right, zone);
        }
        left
    }

    /// Compares sets of nodes: true where one of them fulfils the comparison (XPath 1.0, section 3.4).
    ///
    /// An empty set stands for an empty text, as in JavaRosa: an answer that is not relevant equals ''.
    fn compare_nodes(&self, op: Op, first: &'a Code, second: &'a Code, frame: &Frame<'a>) -> Value {
        let side = |code: &'a Code| {
            let mut values = self.values(code, frame);
            if values.is_empty() {
                values.push(Value::Empty);
            }
            values
        };
        let (lefts, rights) = (side(first), side(second));
        let zone = self.zone();
        let found = lefts.iter().any(|left| rights.iter().any(|right| apply(op, left, right, zone).to_boolean()));
        Value::Boolean(found)
    }

    fn indexed(&self, indexed: &'a Indexed, frame: &Frame<'a>) -> Value {
        let mut row = self.state.climb(frame.start(indexed.from), indexed.bound);
        for (scope, index) in &indexed.levels {
            let rows = self.state.inner(row, self.form.scope(*scope).slot).shown();
            let found = match index {
                None => rows.first(),
                Some(index) => match self.value(index, frame) {
                    Value::Text(text) => rows
                        .iter()
                        .find(|&&row| *self.state.row(row).id == *text)
                        .or_else(|| nth(rows, crate::number::from_text(&text))),
                    Value::Empty => None,
                    index @ (Value::Number(_) | Value::Boolean(_) | Value::Moment(_)) => {
                        // JavaRosa takes what is below the first row for the first row.
                        let number = index.to_number(self.zone());
                        nth(rows, if number < 1.0 { 1.0 } else { number })
                    }
                },
            };
            let Some(found) = found else {
                return Value::Empty;
            };
            row = *found;
        }
        self.state.value(self.form, row, indexed.question).clone()
    }

    /// Returns the label of the choice that a value names (ODK XForms, `jr:choice-name`).
    pub(crate) fn choice_name(&self, value: &str, question: QuestionId, frame: &Frame<'a>) -> Value {
        let Some(select) = self.form.asked(question).and_then(|asked| asked.question.kind.select()) else {
            return Value::Empty;
        };
        if value.is_empty() {
            return Value::Empty;
        }
        if let ChoiceSource::Rows(rows) = &select.source {
            let mut scope = ROOT;
            for key in &rows.repeats {
                let Some(inner) = self.form.inner_scope(scope, key) else {
                    return Value::Empty;
                };
                scope = inner;
            }
            return self
                .rows_of(scope, frame.row)
                .into_iter()
                .find(|&row| *self.state.row(row).id == *value)
                .map(|row| self.row_name(scope, row, rows.shown.as_deref()))
                .unwrap_or_default();
        }
        let Some(asked) = self.form.asked(question) else {
            return Value::Empty;
        };
        let Some(list) = super::choices::list_of(&select.source) else {
            return Value::Empty;
        };
        let (name, label) = super::choices::columns(&asked.question);
        let choice = self.choice(&list, name, value);
        choice.map(|choice| self.column(choice, label)).unwrap_or_default()
    }

    /// Finds the first entry of a list with a value.
    pub(crate) fn choice(&self, list: &super::code::ListName, name: &str, value: &str) -> Option<&'a Choice> {
        self.lists.find(self.questionnaire, list, name, value)
    }

    /// Returns what the roster shows for a row: an answer, or else its number.
    pub(crate) fn row_name(&self, scope: ScopeId, row: RowId, shown: Option<&str>) -> Value {
        match shown.and_then(|key| self.form.question_at(scope, key)) {
            Some(question) => self.state.value(self.form, row, question).clone(),
            None => Value::text(crate::number::to_text(crate::number::from_count(self.state.row(row).position + 1))),
        }
    }

    /// Returns what `${name}` is, seen from a node in a row; of several rows the first.
    pub(crate) fn named(&self, name: &str, row: RowId, from: NodeId) -> Value {
        let Some(node) = self.form.nearest(name, from) else {
            return Value::Empty;
        };
        let super::form::NodeKind::Question(question) = self.form.node(node).kind else {
            return Value::Empty;
        };
        let scope = self.form.node(node).scope;
        self.rows_or_record(scope, row)
            .first()
            .map(|&row| self.state.value(self.form, row, question).clone())
            .unwrap_or_default()
    }

    /// Returns the row of a scope that a row is in, else all rows of it that are nearest.
    fn rows_or_record(&self, scope: ScopeId, row: RowId) -> Vec<RowId> {
        let around = self.state.row(row).scope;
        if self.form.common(around, scope) == scope {
            vec![self.state.climb(row, scope)]
        } else {
            self.rows_of(scope, row)
        }
    }

    /// Returns a column of a list's entry; the label in the language at hand.
    pub(crate) fn column(&self, choice: &Choice, column: &str) -> Value {
        if column == "label" && !choice.attributes.contains_key("label") {
            return Value::text(self.questionnaire.text(&choice.label, &self.context.language));
        }
        Value::text(super::lists::cell(choice, column))
    }
}

fn nth(rows: &[RowId], number: f64) -> Option<&RowId> {
    rows.get(crate::number::index(number)?.checked_sub(1)?)
}

fn apply(op: Op, left: &Value, right: &Value, zone: Zone) -> Value {
    let number = |value: &Value| value.to_number(zone);
    match op {
        Op::Equal => Value::Boolean(left.equals(right, zone)),
        Op::Differs => Value::Boolean(!left.equals(right, zone)),
        Op::Less => Value::Boolean(number(left) < number(right)),
        Op::AtMost => Value::Boolean(number(left) <= number(right)),
        Op::More => Value::Boolean(number(left) > number(right)),
        Op::AtLeast => Value::Boolean(number(left) >= number(right)),
        Op::Plus => Value::Number(number(left) + number(right)),
        Op::Minus => Value::Number(number(left) - number(right)),
        Op::Times => Value::Number(number(left) * number(right)),
        Op::Div => Value::Number(number(left) / number(right)),
        Op::Mod => Value::Number(number(left) % number(right)),
        Op::And => Value::Boolean(left.to_boolean() && right.to_boolean()),
        Op::Or => Value::Boolean(left.to_boolean() || right.to_boolean()),
        // A union is no operator between values.
        Op::Union => left.clone(),
    }
}
