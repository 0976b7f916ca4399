//! Where the reader writes down what is wrong, so that every problem of a workbook is told at once.

use crate::problem::{Problem, ProblemCode, Severity};

/// Names a cell, a row or a sheet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    pub(super) sheet: &'a str,
    pub(super) row: u32,
    pub(super) column: &'a str,
}

impl<'a> Spot<'a> {
    pub(super) fn new(sheet: &'a str, row: u32, column: &'a str) -> Self {
        Self { sheet, row, column }
    }
}

#[derive(Debug)]
pub(super) struct Log {
    problems: Vec<Problem>,
    lenient: bool,
}

impl Log {
    pub(super) fn new(lenient: bool) -> Self {
        Self { problems: Vec::new(), lenient }
    }

    pub(super) fn error(
        &mut self,
        spot: Spot<'_>,
        code: ProblemCode,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(Severity::Error, spot, code, message.into(), fix.into());
    }

    pub(super) fn warn(
        &mut self,
        spot: Spot<'_>,
        code: ProblemCode,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(Severity::Warning, spot, code, message.into(), fix.into());
    }

    /// Adds what is an error by the rules but a warning to the lenient reader.
    pub(super) fn soft(
        &mut self,
        spot: Spot<'_>,
        code: ProblemCode,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let severity = if self.lenient { Severity::Warning } else { Severity::Error };
        self.add(severity, spot, code, message.into(), fix.into());
    }

    fn add(&mut self, severity: Severity, spot: Spot<'_>, code: ProblemCode, message: String, fix: String) {
        self.problems.push(Problem {
            severity,
            sheet: spot.sheet.to_owned(),
            row: spot.row,
            column: spot.column.to_owned(),
            code,
            message,
            fix,
        });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the problems by sheet (survey, choices, others, settings) and row.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_cached_key(|problem| {
            let sheet = match problem.sheet.to_lowercase().as_str() {
                "" => 0,
                "survey" => 1,
                "choices" => 2,
                "settings" => 4,
                _ => 3,
            };
            (sheet, problem.row)
        });
        self.problems
    }
}
