//! What is wrong with a workbook: where it is, what it means and what to do about it.
//!
//! Owns the stable codes. The reader (`read`) makes problems; nothing here decides whether one is fatal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tells whether a problem keeps the questionnaire from being published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The workbook can't be used as it is.
    Error,
    /// The workbook can be used, but someone should look.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Names a kind of problem for programs; the text form never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl ProblemCode {
            /// Returns the stable kebab-case form.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The bytes are no workbook, or a damaged one.
    NotAWorkbook = "not-a-workbook",
    /// The workbook has more rows, cells or text than is read.
    WorkbookTooLarge = "workbook-too-large",
    /// One cell holds more text than is read.
    CellTooLong = "cell-too-long",
    /// A cell holds a spreadsheet error such as `#N/A`.
    CellError = "cell-error",
    /// A sheet that must be there is missing.
    SheetMissing = "sheet-missing",
    /// A column that must be there is missing.
    ColumnMissing = "column-missing",
    /// Two columns mean the same.
    ColumnTwice = "column-twice",
    /// A column is not known and was not read.
    ColumnUnknown = "column-unknown",
    /// The settings name no form.
    FormIdMissing = "form-id-missing",
    /// The name of the form can't be used.
    FormIdInvalid = "form-id-invalid",
    /// The settings name no version.
    VersionMissing = "version-missing",
    /// The default language has no column.
    LanguageUnknown = "language-unknown",
    /// A row has no type.
    TypeMissing = "type-missing",
    /// A type is not known.
    TypeUnknown = "type-unknown",
    /// A row has no name.
    NameMissing = "name-missing",
    /// A name is no XML name.
    NameInvalid = "name-invalid",
    /// Two rows of one group share a name.
    NameTwice = "name-twice",
    /// Two things would be stored under one key.
    KeyClash = "key-clash",
    /// A group or repeat is never closed.
    BeginUnclosed = "begin-unclosed",
    /// A row closes what is not open.
    EndUnmatched = "end-unmatched",
    /// Groups are nested too deeply.
    NestedTooDeep = "nested-too-deep",
    /// A group or repeat holds nothing.
    GroupEmpty = "group-empty",
    /// A select names no list.
    ListMissing = "list-missing",
    /// A select names a list that is not there.
    ListUnknown = "list-unknown",
    /// A list has no choices.
    ListEmpty = "list-empty",
    /// A choice has no name.
    ChoiceNameMissing = "choice-name-missing",
    /// A list has two choices of one name.
    ChoiceNameTwice = "choice-name-twice",
    /// A choice of a select multiple has a space in its name.
    ChoiceNameSpace = "choice-name-space",
    /// A file of choices is of no known format.
    ChoiceFileInvalid = "choice-file-invalid",
    /// A file of choices is not there.
    FileMissing = "file-missing",
    /// A row choice names no roster.
    RowChoiceInvalid = "row-choice-invalid",
    /// A question, group or choice has no label.
    LabelMissing = "label-missing",
    /// A message has no constraint.
    MessageWithoutConstraint = "message-without-constraint",
    /// A name in `${}` is not in the survey.
    ReferenceUnknown = "reference-unknown",
    /// A `${` has no `}`.
    ReferenceUnclosed = "reference-unclosed",
    /// The parameters can't be read.
    ParametersMalformed = "parameters-malformed",
    /// A column is filled where it has no meaning.
    ColumnMisplaced = "column-misplaced",
    /// A calculate has nothing to calculate.
    CalculationMissing = "calculation-missing",
    /// A merge group or union is declared wrongly.
    MergeInvalid = "merge-invalid",
    /// A yes-or-no cell holds something else.
    FlagInvalid = "flag-invalid",
    /// A text is no expression.
    ExpressionInvalid = "expression-invalid",
    /// Calculations or conditions hang on each other in a circle.
    ExpressionCycle = "expression-cycle",
    /// A function does not exist.
    FunctionUnknown = "function-unknown",
    /// A function is given what it does not take.
    FunctionArguments = "function-arguments",
    /// A path leads nowhere.
    PathUnknown = "path-unknown",
    /// A pattern of `regex` can't be used.
    PatternInvalid = "pattern-invalid",
    /// An earlier name is taken by another question.
    EarlierNameTaken = "earlier-name-taken",
    /// The workbook holds no question.
    NoQuestions = "no-questions",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Describes one thing that is wrong with a workbook, and its cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Says whether the workbook can be used all the same.
    pub severity: Severity,
    /// The sheet's name as in the workbook; empty where the whole file is meant.
    pub sheet: String,
    /// The spreadsheet row counted from 1; 0 where no single row is meant.
    pub row: u32,
    /// The header of the column as in the workbook; empty where the whole row is meant.
    pub column: String,
    /// The kind of problem.
    pub code: ProblemCode,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do, in one sentence.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        if !self.sheet.is_empty() {
            write!(f, "sheet {}", self.sheet)?;
            before = ", ";
        }
        if self.row > 0 {
            write!(f, "{before}row {}", self.row)?;
            before = ", ";
        }
        if !self.column.is_empty() {
            write!(f, "{before}column {}", self.column)?;
            before = ", ";
        }
        if !before.is_empty() {
            f.write_str(": ")?;
        }
        write!(f, "{} {} [{}]", self.message, self.fix, self.code)
    }
}

/// Everything that is wrong with a workbook, warnings included, by sheet and row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(
    /// The problems in the order of the sheets and rows.
    pub Vec<Problem>,
);

impl Problems {
    /// Yields the problems that keep the workbook from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|p| p.severity == Severity::Error)
    }

    /// Yields the problems that someone should look at all the same.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|p| p.severity == Severity::Warning)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
