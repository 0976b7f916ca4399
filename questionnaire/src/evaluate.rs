//! What a questionnaire's rules make of one record: relevance, calculated values, violations, choices.
//!
//! [`Compiled`] resolves all expressions once; [`Compiled::evaluate`] looks at a record as a whole, an [`Evaluator`]
//! keeps one and re-evaluates only what hangs on a change. Inside: `form` (the tree), `resolve` (names to code), `graph`
//! (the order), `machine` and `functions` (running code), `state` (one record), `check` (the verdicts).

mod check;
mod choices;
mod code;
mod compiled;
mod context;
mod evaluator;
mod form;
mod functions;
mod graph;
mod instance;
mod interview;
mod lists;
mod machine;
mod program;
mod report;
mod resolve;
mod run;
mod state;
mod typed;
mod value;

pub use self::choices::Offer;
pub use self::compiled::Compiled;
pub use self::context::Context;
pub use self::evaluator::{Evaluator, UnknownPath};
pub use self::instance::{Instance, text_of};
pub use self::lists::Tables;
pub use self::report::{Evaluation, MissingRows, Violation, ViolationKind};
