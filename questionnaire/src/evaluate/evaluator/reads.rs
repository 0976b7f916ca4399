//! Which answers a rule reads, down to those that people gave: what someone must look at to mend a violation.

use std::collections::BTreeSet;

use sync_protocol::Path;

use super::super::form::QuestionId;
use super::super::graph::Work;
use super::super::program::Reads;
use super::super::resolve::{Need, Source};
use super::super::state::RowId;
use super::Evaluator;
use crate::evaluate::ViolationKind;

/// Most answers that are named: a sum over a roster reads each of its rows.
const MOST: usize = 8;

impl Evaluator {
    /// Returns the answers that the broken rule of a question reads, its own first, then nearer ones before farther ones.
    ///
    /// References are followed in this record's rows, and through calculated values down to answers that someone gave.
    /// What is not answered, or not relevant, is left out. At most 8. For a missing answer these are what makes it
    /// required, and what makes its question relevant.
    ///
    /// ```
    /// # use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire, ViolationKind};
    /// # let json = r#"{"id":"f","version":"1","lists":{},"items":[
    /// #  {"question":{"name":"age","key":"age","kind":"integer","row":2}},
    /// #  {"question":{"name":"married","key":"married","kind":"text","row":3,
    /// #    "constraint":{"text":". != 'yes' or ${age} >= 16","row":3,"column":"constraint"}}}]}"#;
    /// # let person: Questionnaire = serde_json::from_str(json)?;
    /// let mut answers = Instance::new();
    /// answers.set(&"age".parse()?, "7");
    /// answers.set(&"married".parse()?, "yes");
    /// let record = Evaluator::new(&Compiled::new(&person)?, &answers, Context::default());
    /// let broken = &record.violations()[0];
    /// assert_eq!(record.reads(&broken.path, broken.kind), ["married".parse()?, "age".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reads(&self, path: &Path, kind: ViolationKind) -> Vec<Path> {
        let Some((row, question)) = self.locate(path) else {
            return Vec::new();
        };
        let Reads { constraint, required, choice } = &self.program.rules(question).reads;
        let mut trail = Trail { evaluator: self, found: Vec::new(), seen: BTreeSet::new(), next: Vec::new() };
        trail.answer(row, question);
        match kind {
            ViolationKind::Constraint => trail.needs(constraint, row),
            ViolationKind::Required => {
                trail.needs(required, row);
                trail.needs(self.program.graph.needs(Work::Relevant(self.node_of(question))), row);
            }
            ViolationKind::Choice => trail.needs(choice, row),
            ViolationKind::Type => {}
        }
        trail.walk()
    }
}

struct Trail<'a> {
    evaluator: &'a Evaluator,
    found: Vec<Path>,
    seen: BTreeSet<(Source, RowId)>,
    /// What is to be looked at next: broad before deep, so that the nearest stand first.
    next: Vec<(Need, RowId)>,
}

impl<'a> Trail<'a> {
    fn needs(&mut self, needs: impl IntoIterator<Item = &'a Need>, row: RowId) {
        self.next.extend(needs.into_iter().map(|need| (*need, row)));
    }

    fn walk(mut self) -> Vec<Path> {
        while !self.next.is_empty() && self.found.len() < MOST {
            for (need, row) in std::mem::take(&mut self.next) {
                self.follow(need, row);
            }
        }
        self.found.truncate(MOST);
        self.found
    }

    fn follow(&mut self, need: Need, row: RowId) {
        let (state, program) = (&self.evaluator.state, &self.evaluator.program);
        let from = state.climb(row, need.common);
        match need.source {
            Source::Cell(question) => {
                let scope = program.form.asked(question).map_or(need.common, |asked| asked.scope);
                for row in state.descendants(&program.form, from, scope) {
                    if self.found.len() >= MOST {
                        return;
                    }
                    if self.seen.insert((need.source, row)) && !self.answer(row, question) {
                        self.calculation(question, row);
                    }
                }
            }
            Source::Node(node) => {
                if self.seen.insert((need.source, from)) {
                    self.needs(program.graph.needs(Work::Relevant(node)), from);
                }
            }
            Source::Count(scope) => {
                if self.seen.insert((need.source, from)) {
                    self.needs(program.graph.needs(Work::Count(scope)), from);
                }
            }
            // Which rows there are, nobody answered.
            Source::Rows(_) | Source::Repeat(_) => {}
        }
    }

    /// Notes an answer; false where nobody gave one that counts.
    fn answer(&mut self, row: RowId, question: QuestionId) -> bool {
        let (state, program) = (&self.evaluator.state, &self.evaluator.program);
        let Some(asked) = program.form.asked(question) else {
            return false;
        };
        let cell = state.cell(&program.form, row, question);
        let is_given = cell.given.is_some() || cell.missing.is_some();
        if !is_given || !state.is_relevant(&program.form, row, asked.node) {
            return false;
        }
        if let Some(path) = self.evaluator.path_of(row, &asked.question.key)
            && !self.found.contains(&path)
        {
            self.found.push(path);
        }
        true
    }

    /// Goes on to what a calculated value is made of; its own relevance is left aside.
    fn calculation(&mut self, question: QuestionId, row: RowId) {
        let needs = self.evaluator.program.graph.needs(Work::Value(question));
        self.needs(needs.iter().filter(|need| !matches!(need.source, Source::Node(_))), row);
    }
}
