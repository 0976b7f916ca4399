//! XLSForm workbooks as questionnaires: reading, expressions and validation of merged records.
//!
//! [`Questionnaire::read_xlsx`] turns the bytes of a workbook into a [`Questionnaire`], or says everything that is wrong
//! with it at once, each [`Problem`] with sheet, row, column and what to do. A questionnaire travels to devices as JSON
//! (serde) and finds its questions by the path of an answer without allocating.
//!
//! No clock, randomness or I/O: bytes in, values out.
//!
//! ```
//! use questionnaire::{Kind, Questionnaire, Register};
//! use rust_xlsxwriter::Workbook;
//!
//! let mut book = Workbook::new();
//! let survey = book.add_worksheet().set_name("survey")?;
//! survey.write_row_matrix(0, 0, [
//!     ["type", "name", "label", "tenun::merge"],
//!     ["begin_repeat", "plots", "Plots", ""],
//!     ["decimal", "amount", "How much?", "harvest"],
//!     ["text", "unit", "In which unit?", "harvest"],
//!     ["end_repeat", "", "", ""],
//! ])?;
//! let settings = book.add_worksheet().set_name("settings")?;
//! settings.write_row_matrix(0, 0, [["form_id", "version"], ["farm", "1"]])?;
//!
//! let loaded = Questionnaire::read_xlsx(&book.save_to_buffer()?)?;
//! let farm = loaded.questionnaire;
//! assert_eq!(farm.question(&["plots"], "amount").map(|q| &q.kind), Some(&Kind::Decimal));
//! let Some(Register::Group { members, .. }) = farm.register(&["plots"], "harvest") else { panic!() };
//! assert_eq!(members.iter().count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Paths and keys
//!
//! An answer's path is the keys of its repeats, each with a row id, then its own key: `members/{row}/age`. Groups are no
//! part of it, so that a question that moves to another group keeps its answers. Where two groups of one scope (the form,
//! or one repeat) hold a question of one name, the nearest group's name stands before it: `father.age`, `mother.age`.
//!
//! # Columns of Tenun
//!
//! The survey sheet may have four columns that XLSForm does not know; other tools ignore them:
//!
//! | column | what stands there |
//! |---|---|
//! | `tenun::merge` | a name: all questions of the scope with this name are one register of that name, an object of the members' values, which is replaced as a whole (amount and unit, an area chain). `union`, for a select multiple only: concurrent answers are joined to one set |
//! | `tenun::personal` | `yes`: answers are personal data, masked and left out of exports unless asked for |
//! | `tenun::household` | the field of the household record that the answer updates when the interview is finished; `yes` for the question's own name |
//! | `tenun::was` | the keys that a renamed question or repeat had in earlier versions, with blanks between them; its answers stay with it |
//!
//! # Row choices
//!
//! `select_one ${name}` offers the rows of the roster that `name` is in (or is); the answer is a row id.

mod answers;
mod evaluate;
mod expr;
mod model;
mod moment;
mod number;
mod problem;
mod read;
mod versions;

pub use answers::{merge_of, parse_answer};
pub use evaluate::{
    Compiled, Context, Evaluation, Evaluator, Instance, MissingRows, Offer, Tables, UnknownPath, Violation,
    ViolationKind, text_of,
};
pub use model::{
    Choice, ChoiceList, ChoiceSource, Expression, Group, Item, Kind, Members, Merge, Metadata, Question, Questionnaire,
    Register, Repeat, RowChoice, Select, Text,
};
pub use problem::{Problem, ProblemCode, Problems, Severity};
pub use read::Loaded;
pub use versions::{Difference, merge_over, merge_under};
