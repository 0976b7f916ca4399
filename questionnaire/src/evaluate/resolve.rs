//! From a syntax tree to code: what every name means at the place where the expression stands.
//!
//! `${x}` is the nearest question of that name; where both stand in one repeat it is that of the same row, seen from
//! outside it is that of all rows (ODK XForms, repeats; pyxform's relative references). An absolute path behaves the
//! same. Every problem is noted and the rest read on.

mod calls;
mod paths;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::code::{Code, From, ListKey, ListName};
use super::form::{Form, NodeId, QuestionId, ScopeId};
use super::lists::Lists;
use crate::expr::{self, Ast, Op};
use crate::model::{Expression, Questionnaire};
use crate::problem::{Problem, ProblemCode, Severity};

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// An answer or calculated value, or whether it is relevant.
    Cell(QuestionId),
    /// Which rows of a repeat there are, and whether they are relevant.
    Rows(ScopeId),
    /// Whether a group or question is relevant.
    Node(NodeId),
    /// Whether a repeat as a whole is relevant.
    Repeat(ScopeId),
    /// How many rows a repeat is to have.
    Count(ScopeId),
}

/// Something that an expression reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) source: Source,
    /// The innermost scope of which reader and source share the row.
    pub(crate) common: ScopeId,
}

/// A resolved expression with all that it reads.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) code: Code,
    pub(crate) needs: BTreeSet<Need>,
    /// Tells whether it looks at the row of its own scope (matters for a repeat's relevance).
    pub(crate) own_row: bool,
    /// Tells whether its value is not a function of the answers: `once`, `random`, `uuid`.
    pub(crate) volatile: bool,
}

/// Where an expression stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) node: NodeId,
    pub(crate) scope: ScopeId,
}

/// What the predicate at hand looks at.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    None,
    Node {
        node: NodeId,
        /// The innermost scope whose row is still the reader's own.
        fixed: ScopeId,
        /// Tells whether `${x}` means the candidate's before the reader's.
        first: bool,
    },
    Item,
}

#[derive(Clone, Copy, Debug)]
struct Here {
    spot: Spot,
    candidate: Candidate,
}

pub(crate) struct Resolver<'a> {
    form: &'a Form,
    questionnaire: &'a Questionnaire,
    lists: &'a mut Lists,
    problems: &'a mut Vec<Problem>,
    /// Tells whether to go on past paths that lead nowhere and patterns that can't be used.
    lenient: bool,
    calculating: bool,
    /// The cell of the expression that is read just now.
    row: u32,
    column: String,
    sheet: &'static str,
    needs: BTreeSet<Need>,
    own_row: bool,
    volatile: bool,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        form: &'a Form,
        questionnaire: &'a Questionnaire,
        lists: &'a mut Lists,
        problems: &'a mut Vec<Problem>,
        lenient: bool,
    ) -> Self {
        Self {
            form,
            questionnaire,
            lists,
            problems,
            lenient,
            calculating: false,
            row: 0,
            column: String::new(),
            sheet: "survey",
            needs: BTreeSet::new(),
            own_row: false,
            volatile: false,
        }
    }

    /// Resolves an expression that stands at a node.
    pub(crate) fn resolve(&mut self, expression: &Expression, spot: Spot) -> Option<Resolved> {
        self.run(expression, spot, Candidate::None, "survey")
    }

    /// Resolves a calculation, in which `once` may look at the value that it makes.
    pub(crate) fn resolve_calculation(&mut self, expression: &Expression, spot: Spot) -> Option<Resolved> {
        self.calculating = true;
        self.run(expression, spot, Candidate::None, "survey")
    }

    /// Resolves an expression of the settings sheet.
    pub(crate) fn resolve_setting(&mut self, expression: &Expression) -> Option<Resolved> {
        let spot = Spot { node: 0, scope: 0 };
        self.run(expression, spot, Candidate::None, "settings")
    }

    /// Resolves a filter over the entries of a list.
    pub(crate) fn resolve_filter(&mut self, expression: &Expression, spot: Spot) -> Option<Resolved> {
        self.run(expression, spot, Candidate::Item, "survey")
    }

    /// Resolves a filter over the rows of a repeat: `${x}` means the candidate row's where it has one.
    pub(crate) fn resolve_row_filter(
        &mut self,
        expression: &Expression,
        spot: Spot,
        rows: ScopeId,
    ) -> Option<Resolved> {
        let node = self.form.scope(rows).node;
        let fixed = self.form.common(spot.scope, self.form.scope(rows).parent);
        let candidate = Candidate::Node { node, fixed, first: true };
        self.run(expression, spot, candidate, "survey")
    }

    fn run(
        &mut self,
        expression: &Expression,
        spot: Spot,
        candidate: Candidate,
        sheet: &'static str,
    ) -> Option<Resolved> {
        self.row = expression.row;
        self.column.clone_from(&expression.column);
        self.sheet = sheet;
        self.needs.clear();
        self.own_row = false;
        self.volatile = false;
        let ast = match expr::parse(&expression.text) {
            Ok(ast) => ast,
            Err(error) => {
                self.problem(ProblemCode::ExpressionInvalid, error.message, error.fix);
                return None;
            }
        };
        let before = errors(self.problems);
        let code = self.code(&ast, Here { spot, candidate });
        if errors(self.problems) > before {
            return None;
        }
        Some(Resolved { code, needs: std::mem::take(&mut self.needs), own_row: self.own_row, volatile: self.volatile })
    }

    fn problem(&mut self, code: ProblemCode, message: impl Into<String>, fix: impl Into<String>) {
        let harmless = matches!(code, ProblemCode::PathUnknown | ProblemCode::PatternInvalid);
        let severity = if self.lenient && harmless { Severity::Warning } else { Severity::Error };
        self.problems.push(Problem {
            severity,
            sheet: self.sheet.to_owned(),
            row: self.row,
            column: self.column.clone(),
            code,
            message: message.into(),
            fix: fix.into(),
        });
    }

    /// Notes a problem and stands in for what can't be resolved.
    fn nothing(&mut self, code: ProblemCode, message: impl Into<String>, fix: impl Into<String>) -> Code {
        self.problem(code, message, fix);
        empty()
    }

    fn need(&mut self, source: Source, common: ScopeId) {
        self.needs.insert(Need { source, common });
    }

    fn code(&mut self, ast: &Ast, here: Here) -> Code {
        match ast {
            Ast::Number(number) => Code::Number(*number),
            Ast::Text(text) => Code::Text(Arc::from(text.as_str())),
            Ast::Negate(inner) => Code::Negate(Box::new(self.code(inner, here))),
            Ast::Chain(first, rest) => self.chain(first, rest, here),
            Ast::Call(name, arguments) => self.call(name, arguments, here),
            Ast::LastSaved(name) => self.last_saved(name, here),
            Ast::Path(path) => self.path(path, here),
        }
    }

    fn chain(&mut self, first: &Ast, rest: &[(Op, Ast)], here: Here) -> Code {
        let first = self.code(first, here);
        let mut operands: Vec<(Op, Code)> = Vec::with_capacity(rest.len());
        for (op, operand) in rest {
            operands.push((*op, self.code(operand, here)));
        }
        let level = operands.first().map(|(op, _)| op.level());
        let flat = |first, operands: Vec<(Op, Code)>| {
            std::iter::once(first).chain(operands.into_iter().map(|(_, operand)| operand)).collect()
        };
        match level {
            Some(0) => Code::Or(flat(first, operands)),
            Some(1) => Code::And(flat(first, operands)),
            Some(6) => Code::Union(flat(first, operands)),
            Some(_) | None => Code::Chain(Box::new(first), operands),
        }
    }

    fn last_saved(&mut self, name: &str, here: Here) -> Code {
        let Some(question) = self.form.nearest(name, here.spot.node).and_then(|node| self.question_of(node)) else {
            return self.unknown_reference(name);
        };
        let key = self.form.asked(question).map(|asked| asked.question.key.clone()).unwrap_or_default();
        // What was saved last stays as it is while this record is filled, but is no function of its answers.
        self.volatile = true;
        Code::LastSaved(Arc::from(key))
    }

    fn unknown_reference(&mut self, name: &str) -> Code {
        let alike = self.form.names().find(|known| known.eq_ignore_ascii_case(name));
        let fix = match alike {
            Some(known) => format!("Write ${{{known}}}: capital letters count."),
            None => "Correct the name, or add the question.".to_owned(),
        };
        self.nothing(ProblemCode::ReferenceUnknown, format!("There is no question or group {name}."), fix)
    }

    /// Finds a condition `column = value` in a filter, so that a long list need not be walked through.
    pub(crate) fn list_key(&mut self, list: &ListName, filter: &Code) -> Option<ListKey> {
        let equality = |code: &Code| -> Option<(Arc<str>, Code)> {
            let Code::Chain(first, rest) = code else {
                return None;
            };
            let [(Op::Equal, second)] = rest.as_slice() else {
                return None;
            };
            match (first.as_ref(), second) {
                (Code::Column(column), value) | (value, Code::Column(column)) => {
                    Some((column.clone(), constant(value)?))
                }
                _ => None,
            }
        };
        let (column, value) =
            if let Code::And(parts) = filter { parts.iter().find_map(equality)? } else { equality(filter)? };
        let index = self.lists.index(list, &column);
        Some(ListKey { index, value })
    }
}

/// Copies a value that is the same for every entry.
fn constant(code: &Code) -> Option<Code> {
    if let Code::Text(text) = code {
        return Some(Code::Text(text.clone()));
    }
    let Code::Cell { from: From::Current, question, scope } = code else {
        return None;
    };
    Some(Code::Cell { from: From::Current, question: *question, scope: *scope })
}

fn errors(problems: &[Problem]) -> usize {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.count()
}

fn empty() -> Code {
    Code::Text(Arc::from(""))
}
