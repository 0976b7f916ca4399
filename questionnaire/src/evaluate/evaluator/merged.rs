//! From a merged record straight to its evaluated state, without the texts of an instance in between.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use sync_protocol::record::Merge;
use sync_protocol::{Place, Record, Value};

use super::super::compiled::Compiled;
use super::super::context::Context;
use super::super::form::{QuestionId, ROOT};
use super::super::instance::text_of;
use super::super::program::Program;
use super::super::state::{RowId, State};
use super::{Evaluator, put};
use crate::model::{self, Register};

impl Evaluator {
    /// Takes the shown values of a merged record and evaluates them once.
    ///
    /// The same as [`Evaluator::new`] of [`Instance::from_record`](super::Instance::from_record), at half its time.
    pub fn of_record(compiled: &Compiled, record: &Record, context: Context) -> Self {
        let program = compiled.program.clone();
        let mut state = State::new(&program.form);
        fill(&program, &mut state, record, &context);
        program.run_all(&mut state, &context);
        Self { program, context, state }
    }
}

fn fill(program: &Program, state: &mut State, record: &Record, context: &Context) {
    let rows = add_rows(program, state, record);
    // Answers stand in the order of their places, then of their names, as the keys of a scope do: both are walked once.
    let (mut place, mut row) = (&Place::record(), Some(ROOT));
    let mut keys = program.form.keys(ROOT).peekable();
    for (path, live) in record.live() {
        if path.place() != place {
            place = path.place();
            row = rows.get(place).copied();
            keys = program.form.keys(row.map_or(ROOT, |row| state.row(row).scope)).peekable();
        }
        // Rows that are not shown, or that the questionnaire does not know, are not among them.
        let Some(row) = row else { continue };
        let question = loop {
            match keys.peek().map(|(key, _)| (*key).cmp(path.name())) {
                Some(Ordering::Less) => keys.next(),
                Some(Ordering::Equal) => break keys.next().map(|(_, question)| question),
                Some(Ordering::Greater) | None => break None,
            };
        };
        let merge = match question.and_then(|question| program.form.asked(question)).map(|asked| &asked.question.merge)
        {
            Some(model::Merge::Alone) | None => Merge::Register,
            Some(model::Merge::Union) => Merge::Union,
            // The answers of a merge group stand at the group's name.
            Some(model::Merge::Group(_)) => continue,
        };
        let Some(value) = live.value(merge) else { continue };
        match question {
            Some(question) => store(program, state, row, question, &value, context),
            None => members(program, state, row, path, &value, context),
        }
    }
}

/// Adds the shown rows that the questionnaire knows, in their order, the outer ones first.
fn add_rows<'a>(program: &Program, state: &mut State, record: &'a Record) -> BTreeMap<&'a Place, RowId> {
    let mut shown: Vec<_> = record.all_rows().map(|row| (row.place.steps().count(), row.order, row.place)).collect();
    shown.sort_unstable();
    let mut rows = BTreeMap::new();
    for (_, _, place) in shown {
        let Some((outer, repeat, id)) = place.split() else { continue };
        let around = if outer.is_record() { Some(ROOT) } else { rows.get(&outer).copied() };
        let Some(outer) = around else { continue };
        if let Some(scope) = program.form.inner_scope(state.row(outer).scope, repeat) {
            rows.insert(place, state.add(&program.form, outer, scope, id));
        }
    }
    rows
}

/// Spreads the value of a merge group to its members; what is missing is missing for each of them.
fn members(
    program: &Program,
    state: &mut State,
    row: RowId,
    path: &sync_protocol::Path,
    value: &Value,
    context: &Context,
) {
    let Some(Register::Group { members, .. }) = program.questionnaire.register_at(path) else { return };
    let scope = state.row(row).scope;
    for member in members.iter() {
        let Some(question) = program.form.question_at(scope, &member.key) else { continue };
        match value {
            Value::Fields(fields) => {
                if let Some(value) = fields.get(&member.key) {
                    store(program, state, row, question, value, context);
                }
            }
            Value::Missing(_) => store(program, state, row, question, value, context),
            Value::Text(_) | Value::Integer(_) | Value::Choices(_) => {}
        }
    }
}

fn store(program: &Program, state: &mut State, row: RowId, question: QuestionId, value: &Value, context: &Context) {
    let text = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    let (given, missing) = match value {
        Value::Missing(missing) => (None, Some(*missing)),
        Value::Text(held) => (text(held), None),
        Value::Integer(_) | Value::Choices(_) | Value::Fields(_) => (text(&text_of(value)), None),
    };
    put(program, state, row, question, given, missing, context);
}
