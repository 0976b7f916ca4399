//! The expression language: text to syntax tree, and the functions that it knows.
//!
//! XPath 1.0 as ODK XForms narrows and widens it (<https://getodk.github.io/xforms-spec/#xpath-expressions>), written
//! as XLSForm writes it (`${name}`). What a name means is found out in `evaluate/resolve.rs`; nothing here knows a form.

mod function;
mod lexer;
mod parser;

pub(crate) use self::function::Function;
pub(crate) use self::parser::parse;

/// Deepest nesting of brackets, arguments and predicates that is read.
pub(crate) const DEPTH_MAX: usize = 64;

/// Says why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) fix: String,
}

impl SyntaxError {
    pub(crate) fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { message: message.into(), fix: fix.into() }
    }
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Or,
    And,
    Equal,
    Differs,
    Less,
    AtMost,
    More,
    AtLeast,
    Plus,
    Minus,
    Times,
    Div,
    Mod,
    Union,
}

impl Op {
    /// Returns how tightly the operator binds (XPath 1.0, section 3.5); unary minus stands between 5 and 6.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Equal | Self::Differs => 2,
            Self::Less | Self::AtMost | Self::More | Self::AtLeast => 3,
            Self::Plus | Self::Minus => 4,
            Self::Times | Self::Div | Self::Mod => 5,
            Self::Union => 6,
        }
    }
}

/// A node of the syntax tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ast {
    Number(f64),
    Text(String),
    /// Operands of one level, from left to right; flat, so that a long chain is not deep.
    Chain(Box<Ast>, Vec<(Op, Ast)>),
    Negate(Box<Ast>),
    Call(String, Vec<Ast>),
    /// `${last-saved#name}`.
    LastSaved(String),
    Path(Path),
}

/// A location path, or a filtered expression with steps after it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) start: Start,
    /// Predicates right after the start.
    pub(crate) filters: Vec<Ast>,
    pub(crate) steps: Vec<Step>,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    /// `/`.
    Root,
    /// The context node.
    Here,
    /// `${name}`.
    Reference(String),
    /// A function call or an expression in brackets.
    Inner(Box<Ast>),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) axis: Axis,
    pub(crate) predicates: Vec<Ast>,
}

/// Where a step leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Axis {
    Itself,
    Parent,
    Child(String),
    /// `*`.
    AnyChild,
}
