//! An expression whose names are resolved: what the machine runs.
//!
//! A path is resolved to the repeats that it walks through; everything else of it is fixed by the form.

use std::sync::Arc;

use regex::Regex;

use super::form::{NodeId, QuestionId, ScopeId};
use crate::expr::{Function, Op};

/// The node that a path starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The node that the whole expression belongs to (`current()`).
    Current,
    /// The candidate of the innermost predicate.
    Candidate,
}

/// A resolved expression.
#[derive(Debug)]
pub(crate) enum Code {
    Number(f64),
    Text(Arc<str>),
    Boolean(bool),
    /// Comparisons or arithmetic of one level, from left to right.
    Chain(Box<Code>, Vec<(Op, Code)>),
    And(Vec<Code>),
    Or(Vec<Code>),
    Negate(Box<Code>),
    /// One answer: that of the row of `scope` around the start.
    Cell {
        from: From,
        question: QuestionId,
        scope: ScopeId,
    },
    /// Nodes of the record.
    Nodes(Box<FormPath>),
    /// Entries of a list, or one column of them.
    Items(Box<ListPath>),
    /// A column of the list entry that a predicate looks at.
    Column(Arc<str>),
    Union(Vec<Code>),
    /// An answer of the record that was saved last.
    LastSaved(Arc<str>),
    Call(Function, Vec<Code>),
    /// `regex` with a pattern that was compiled at loading.
    Matches(Box<Code>, Regex),
    /// `indexed-repeat`.
    Indexed(Box<Indexed>),
    /// `jr:choice-name`, with the question whose choices are meant.
    ChoiceName(Box<Code>, QuestionId),
    /// `once`, with the question that it stands at.
    Once(Box<Code>, QuestionId),
}

/// A way through the record.
#[derive(Debug)]
pub(crate) struct FormPath {
    pub(crate) from: From,
    /// The scope whose row around the start is where the way begins.
    pub(crate) bound: ScopeId,
    /// The repeats to go down through, all rows of each.
    pub(crate) hops: Vec<Hop>,
    pub(crate) target: NodeId,
    /// Predicates on the target, where it is no repeat.
    pub(crate) filters: Vec<Code>,
}

#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) scope: ScopeId,
    pub(crate) filters: Vec<Code>,
}

/// Names a list of choices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListName {
    Choices(String),
    External(String),
    /// A file that comes with the form.
    File(String),
}

/// Entries of a list, after predicates; one column of each, or the entry itself.
#[derive(Debug)]
pub(crate) struct ListPath {
    pub(crate) list: ListName,
    pub(crate) filters: Vec<Code>,
    pub(crate) column: Option<Arc<str>>,
    /// A column that a predicate compares with a value: quick to search.
    pub(crate) key: Option<ListKey>,
}

/// A condition of the form `column = value` that the first filter contains.
#[derive(Debug)]
pub(crate) struct ListKey {
    /// Position of the index over that column.
    pub(crate) index: usize,
    pub(crate) value: Code,
}

#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) from: From,
    pub(crate) bound: ScopeId,
    /// The scopes below `bound` down to the question, each with the row that is wanted.
    pub(crate) levels: Vec<(ScopeId, Option<Code>)>,
    pub(crate) question: QuestionId,
}

impl Code {
    /// Tells whether the value can be several nodes.
    pub(crate) fn is_nodes(&self) -> bool {
        match self {
            Self::Nodes(_) | Self::Items(_) | Self::Union(_) => true,
            Self::Call(function, _) => *function == Function::Randomize,
            Self::Number(_)
            | Self::Text(_)
            | Self::Boolean(_)
            | Self::Chain(..)
            | Self::And(_)
            | Self::Or(_)
            | Self::Negate(_)
            | Self::Cell { .. }
            | Self::Column(_)
            | Self::LastSaved(_)
            | Self::Matches(..)
            | Self::Indexed(_)
            | Self::ChoiceName(..)
            | Self::Once(..) => false,
        }
    }
}
