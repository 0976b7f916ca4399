//! One record that is kept evaluated: a change re-evaluates what hangs on it and nothing else.
//!
//! Owns the order of re-evaluation. The result is that of an evaluation from scratch, whatever the edits were.

mod merged;
mod queries;
mod reads;

use std::collections::BTreeSet;
use std::sync::Arc;

use sync_protocol::{Missing, Path, Place};

use super::compiled::Compiled;
use super::context::Context;
use super::form::{NodeKind, QuestionId, ROOT, ScopeId};
use super::graph::{Reader, StepId, Work};
use super::instance::{Answer, Branch, Instance};
use super::program::Program;
use super::resolve::Source;
use super::state::{RowId, State};
use super::typed;

pub(crate) use self::queries::kinds;

/// Says that a path names no question, or no row, of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record has no {path}")]
pub struct UnknownPath {
    /// The path as given.
    pub path: String,
}

/// Keeps one record with all that the rules make of it.
///
/// ```
/// # use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire};
/// # let json = r#"{"id":"f","version":"1","lists":{},"items":[
/// #  {"repeat":{"name":"plot","key":"plot","row":2,"children":[
/// #   {"question":{"name":"ha","key":"ha","kind":"decimal","row":3}}]}},
/// #  {"question":{"name":"total","key":"total","kind":"calculate","row":5,
/// #    "calculation":{"text":"sum(${ha})","row":5,"column":"calculation"}}}]}"#;
/// # let farm: Questionnaire = serde_json::from_str(json)?;
/// let compiled = Compiled::new(&farm)?;
/// let mut record = Evaluator::new(&compiled, &Instance::new(), Context::default());
/// record.add_row(&"plot/a".parse()?)?;
/// record.set(&"plot/a/ha".parse()?, "2.5")?;
/// assert_eq!(record.value(&"total".parse()?), "2.5");
/// record.remove_row(&"plot/a".parse()?)?;
/// assert_eq!(record.value(&"total".parse()?), "0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluator {
    pub(crate) program: Arc<Program>,
    pub(crate) context: Context,
    pub(crate) state: State,
}

type Queue = BTreeSet<(StepId, RowId)>;

impl Evaluator {
    /// Takes a record's answers and evaluates them once.
    pub fn new(compiled: &Compiled, instance: &Instance, context: Context) -> Self {
        let program = compiled.program.clone();
        let mut state = State::new(&program.form);
        fill(&program, &mut state, ROOT, &instance.record, &context);
        program.run_all(&mut state, &context);
        Self { program, context, state }
    }

    /// Sets an answer as XLSForm text, or takes it away with an empty one, and re-evaluates what hangs on it.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, where the path names no question or row.
    pub fn set(&mut self, path: &Path, text: &str) -> Result<(), UnknownPath> {
        self.put(path, text, None)
    }

    /// Says why there is no answer, and re-evaluates what hangs on it.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, where the path names no question or row.
    pub fn set_missing(&mut self, path: &Path, missing: Missing) -> Result<(), UnknownPath> {
        self.put(path, "", Some(missing))
    }

    /// Adds a row at the end of its repeat; does nothing where it is there.
    ///
    /// # Errors
    ///
    /// Fails where the place names no repeat, or a row that is not there around it.
    pub fn add_row(&mut self, place: &Place) -> Result<(), UnknownPath> {
        let unknown = || UnknownPath { path: place.to_string() };
        let (outer, scope, id) = self.repeat_of(place).ok_or_else(unknown)?;
        if self.child(outer, scope, &id).is_some() {
            return Ok(());
        }
        let program = self.program.clone();
        let row = self.state.add(&program.form, outer, scope, &id);
        let mut queue = Queue::new();
        for &step in program.graph.steps_of(scope) {
            queue.insert((step, row));
        }
        self.rows_changed(outer, scope, &mut queue);
        self.settle(queue);
        Ok(())
    }

    /// Moves a row to a position among its siblings, counted from 0.
    ///
    /// # Errors
    ///
    /// Fails where the place names no row.
    pub fn move_row(&mut self, place: &Place, position: usize) -> Result<(), UnknownPath> {
        self.alter_row(place, |state, program, row| {
            state.place(&program.form, row, position);
        })
    }

    /// Removes a row with all that is in it.
    ///
    /// # Errors
    ///
    /// Fails where the place names no row.
    pub fn remove_row(&mut self, place: &Place) -> Result<(), UnknownPath> {
        self.alter_row(place, |state, program, row| {
            state.remove(&program.form, row);
        })
    }

    fn alter_row(&mut self, place: &Place, alter: impl FnOnce(&mut State, &Program, RowId)) -> Result<(), UnknownPath> {
        let row =
            self.row_at(place).filter(|&row| row != ROOT).ok_or_else(|| UnknownPath { path: place.to_string() })?;
        let (outer, scope) = (self.state.row(row).parent, self.state.row(row).scope);
        let program = self.program.clone();
        alter(&mut self.state, &program, row);
        let mut queue = Queue::new();
        self.rows_changed(outer, scope, &mut queue);
        self.settle(queue);
        Ok(())
    }

    fn put(&mut self, path: &Path, text: &str, missing: Option<Missing>) -> Result<(), UnknownPath> {
        let (row, question) = self.locate(path).ok_or_else(|| UnknownPath { path: path.to_string() })?;
        let program = self.program.clone();
        let mut queue = Queue::new();
        if store(&program, &mut self.state, row, question, text, missing, &self.context) {
            if let Some(step) = program.graph.step(Work::Value(question)) {
                queue.insert((step, row));
            } else {
                self.spread(Source::Cell(question), row, &mut queue);
            }
            if let Some(step) = program.graph.step(Work::Check(question)) {
                queue.insert((step, row));
            }
            self.settle(queue);
        }
        Ok(())
    }

    /// Runs what is queued, and whatever hangs on its results, in the order of the graph.
    fn settle(&mut self, mut queue: Queue) {
        let program = self.program.clone();
        while let Some((step, row)) = queue.pop_first() {
            let Some((work, _)) = program.graph.work(step) else {
                continue;
            };
            if !self.state.row(row).alive || !program.run(work, row, &mut self.state, &self.context) {
                continue;
            }
            match work {
                Work::Relevant(node) => {
                    self.spread(Source::Node(node), row, &mut queue);
                    if let NodeKind::Question(question) = program.form.node(node).kind {
                        self.spread(Source::Cell(question), row, &mut queue);
                    }
                }
                Work::Repeat(scope) => self.spread(Source::Repeat(scope), row, &mut queue),
                Work::Count(scope) => self.spread(Source::Count(scope), row, &mut queue),
                Work::Row(scope) => self.spread(Source::Rows(scope), row, &mut queue),
                Work::Value(question) => self.spread(Source::Cell(question), row, &mut queue),
                Work::Check(_) => {}
            }
        }
    }

    /// Queues what reads a source of a row.
    fn spread(&self, source: Source, row: RowId, queue: &mut Queue) {
        for reader in self.program.graph.readers(source) {
            self.queue_reader(*reader, row, queue);
        }
    }

    fn queue_reader(&self, reader: Reader, row: RowId, queue: &mut Queue) {
        let form = &self.program.form;
        let Some((_, scope)) = self.program.graph.work(reader.step) else {
            return;
        };
        let around = self.state.row(row).scope;
        let from = if form.common(around, reader.common) == reader.common {
            self.state.climb(row, reader.common)
        } else {
            row
        };
        if self.state.row(from).scope == scope {
            queue.insert((reader.step, from));
            return;
        }
        for row in self.state.descendants(form, from, scope) {
            queue.insert((reader.step, row));
        }
    }

    /// Queues what hangs on which rows a repeat has and in which order.
    fn rows_changed(&self, outer: RowId, scope: ScopeId, queue: &mut Queue) {
        let form = &self.program.form;
        if let Some(step) = self.program.graph.step(Work::Row(scope)) {
            for &row in &self.state.inner(outer, form.scope(scope).slot).ids {
                queue.insert((step, row));
            }
        }
        let depth = form.scope(scope).depth;
        for reader in self.program.graph.readers(Source::Rows(scope)) {
            // What reads a row from inside it does not mind its siblings.
            if form.scope(reader.common).depth < depth {
                self.queue_reader(*reader, outer, queue);
            }
        }
    }

    /// Finds the repeat of a place, the row around it, and the row's id.
    fn repeat_of(&self, place: &Place) -> Option<(RowId, ScopeId, String)> {
        let (outer, repeat, id) = place.split()?;
        let row = self.row_at(&outer)?;
        let scope = self.program.form.inner_scope(self.state.row(row).scope, repeat)?;
        Some((row, scope, id.to_owned()))
    }

    fn child(&self, outer: RowId, scope: ScopeId, id: &str) -> Option<RowId> {
        let slot = self.program.form.scope(scope).slot;
        let rows = self.state.inner(outer, slot);
        rows.ids.iter().copied().find(|&row| *self.state.row(row).id == *id)
    }

    pub(super) fn row_at(&self, place: &Place) -> Option<RowId> {
        let mut row = ROOT;
        for (repeat, id) in place.steps() {
            let scope = self.program.form.inner_scope(self.state.row(row).scope, repeat)?;
            row = self.child(row, scope, id)?;
        }
        Some(row)
    }

    pub(super) fn locate(&self, path: &Path) -> Option<(RowId, QuestionId)> {
        let row = self.row_at(path.place())?;
        let scope = self.state.row(row).scope;
        let question = self.program.form.question_at(scope, path.name())?;
        Some((row, question))
    }
}

/// Stores an answer; true if it differs from what was there.
fn store(
    program: &Program,
    state: &mut State,
    row: RowId,
    question: QuestionId,
    text: &str,
    missing: Option<Missing>,
    context: &Context,
) -> bool {
    let held = state.cell(&program.form, row, question);
    if held.text() == text && held.missing == missing {
        return false;
    }
    let given = (!text.is_empty()).then(|| Arc::from(text));
    put(program, state, row, question, given, missing, context)
}

/// Stores an answer, whatever was there; false where there is no such question.
fn put(
    program: &Program,
    state: &mut State,
    row: RowId,
    question: QuestionId,
    given: Option<Arc<str>>,
    missing: Option<Missing>,
    context: &Context,
) -> bool {
    let Some(asked) = program.form.asked(question) else {
        return false;
    };
    let Some(cell) = state.cell_mut(&program.form, row, question) else {
        return false;
    };
    let rules = program.rules(question);
    let is_computed = rules.calculation.is_some() && rules.triggers.is_empty();
    if !is_computed {
        let value = given.as_ref().map(|text| typed::value_of(&asked.question.kind, text, context.zone()));
        cell.value = value.unwrap_or_default();
    }
    cell.given = given;
    cell.missing = missing;
    true
}

fn fill(program: &Program, state: &mut State, row: RowId, branch: &Branch, context: &Context) {
    let scope = state.row(row).scope;
    for (key, answer) in &branch.answers {
        let Some(question) = program.form.question_at(scope, key) else {
            continue;
        };
        let (text, missing) = match answer {
            Answer::Text(text) => (text.as_str(), None),
            Answer::Missing(missing) => ("", Some(*missing)),
        };
        store(program, state, row, question, text, missing, context);
    }
    for (key, roster) in &branch.rows {
        let Some(inner) = program.form.inner_scope(scope, key) else {
            continue;
        };
        for id in &roster.order {
            let child = state.add(&program.form, row, inner, id);
            if let Some(branch) = roster.branches.get(id) {
                fill(program, state, child, branch, context);
            }
        }
    }
}
