//! Runs one step of the graph for one row, or all of them.

use std::cell::Cell;

use super::context::Context;
use super::form::{NodeKind, ROOT};
use super::graph::Work;
use super::machine::{Frame, Machine};
use super::program::Program;
use super::state::{RowId, Rows, State};
use super::typed;
use super::value::Value;
use crate::number;

impl Program {
    pub(crate) fn machine<'a>(&'a self, state: &'a State, context: &'a Context) -> Machine<'a> {
        Machine {
            form: &self.form,
            questionnaire: &self.questionnaire,
            lists: &self.lists,
            state,
            context,
            random: Cell::new(0),
        }
    }

    /// Runs all steps in order.
    pub(crate) fn run_all(&self, state: &mut State, context: &Context) {
        let rows: Vec<Vec<RowId>> =
            (0..self.form.scopes.len()).map(|scope| state.descendants(&self.form, ROOT, scope)).collect();
        if let Some(record) = state.row_mut(ROOT)
            && let Some(relevant) = record.relevant.first_mut()
        {
            *relevant = true;
        }
        for (work, scope) in &self.graph.order {
            for &row in rows.get(*scope).into_iter().flatten() {
                self.run(*work, row, state, context);
            }
        }
    }

    /// Runs one step for one row; true if its result is another than before.
    pub(crate) fn run(&self, work: Work, row: RowId, state: &mut State, context: &Context) -> bool {
        let form = &self.form;
        match work {
            Work::Relevant(node) => {
                let relevant =
                    self.surrounded(node, row, state) && self.holds(self.relevant.get(node), node, row, state, context);
                let slot = form.node(node).slot;
                set_flag(state, row, slot, relevant)
            }
            Work::Row(scope) => {
                let at = state.row(row);
                let rows = state.inner(at.parent, form.scope(scope).slot);
                let shown = rows.relevant && at.position < rows.shown().len();
                let node = form.scope(scope).node;
                let by_row = self.by_row.get(scope).copied().unwrap_or(false);
                let relevant = shown && (!by_row || self.holds(self.relevant.get(node), node, row, state, context));
                set_flag(state, row, 0, relevant)
            }
            Work::Repeat(scope) => self.run_repeat(scope, row, state, context),
            Work::Count(scope) => self.run_count(scope, row, state, context),
            Work::Value(question) => {
                let value = self.calculate(question, row, state, context, true);
                match state.cell_mut(form, row, question) {
                    Some(cell) if !cell.value.is_same(&value) => {
                        cell.value = value;
                        true
                    }
                    Some(_) | None => false,
                }
            }
            Work::Check(question) => {
                let faults = self.check(question, row, state, context);
                if let Some(cell) = state.cell_mut(form, row, question) {
                    cell.faults = faults;
                }
                // Nothing reads a verdict.
                false
            }
        }
    }

    fn run_repeat(&self, scope: usize, row: RowId, state: &mut State, context: &Context) -> bool {
        let node = self.form.scope(scope).node;
        let by_row = self.by_row.get(scope).copied().unwrap_or(false);
        let relevant = self.surrounded(node, row, state)
            && (by_row || self.holds(self.relevant.get(node), node, row, state, context));
        let Some(rows) = self.rows_mut(scope, row, state) else {
            return false;
        };
        let changed = rows.relevant != relevant;
        rows.relevant = relevant;
        changed
    }

    /// Works out how many rows a repeat is to have: none where it is not relevant.
    ///
    /// A count that has no number says nothing: rows that are there stay (as in JavaRosa), none are missing.
    fn run_count(&self, scope: usize, row: RowId, state: &mut State, context: &Context) -> bool {
        let node = self.form.scope(scope).node;
        let relevant = state.inner(row, self.form.scope(scope).slot).relevant;
        let wanted = match self.counts.get(scope) {
            Some(Some(code)) if relevant => {
                let machine = self.machine(state, context);
                let value = machine.value(code, &Frame::new(row, node));
                let count = value.to_number(machine.zone());
                (!count.is_nan()).then(|| number::index(count).unwrap_or(0))
            }
            Some(Some(_)) => Some(0),
            Some(None) | None => None,
        };
        let open = self.open.contains(&scope);
        let Some(rows) = self.rows_mut(scope, row, state) else {
            return false;
        };
        let changed = rows.wanted != wanted || rows.open != open;
        rows.wanted = wanted;
        rows.open = open;
        changed
    }

    fn rows_mut<'s>(&self, scope: usize, row: RowId, state: &'s mut State) -> Option<&'s mut Rows> {
        let slot = self.form.scope(scope).slot;
        state.row_mut(row)?.inner.get_mut(slot)
    }

    /// Tells whether what is around a node is relevant.
    fn surrounded(&self, node: usize, row: RowId, state: &State) -> bool {
        let parent = self.form.node(node).parent;
        match self.form.node(parent).kind {
            NodeKind::Form => true,
            NodeKind::Group | NodeKind::Repeat => state.is_relevant(&self.form, row, parent),
            NodeKind::Question(_) => false,
        }
    }

    fn holds(
        &self,
        code: Option<&Option<super::code::Code>>,
        node: usize,
        row: RowId,
        state: &State,
        context: &Context,
    ) -> bool {
        match code {
            Some(Some(code)) => {
                let machine = self.machine(state, context);
                machine.truth(code, &Frame::new(row, node))
            }
            Some(None) | None => true,
        }
    }

    /// Works a calculation out; `saved` lets a stored answer stand where the value is kept as one.
    pub(crate) fn calculate(
        &self,
        question: usize,
        row: RowId,
        state: &State,
        context: &Context,
        saved: bool,
    ) -> Value {
        let (Some(asked), rules) = (self.form.asked(question), self.rules(question)) else {
            return Value::Empty;
        };
        if !state.is_relevant(&self.form, row, asked.node) {
            return Value::Empty;
        }
        let kind = &asked.question.kind;
        if saved && rules.saved {
            let cell = state.cell(&self.form, row, question);
            if let Some(text) = &cell.given {
                return typed::value_of(kind, text, context.zone());
            }
        }
        let Some(code) = &rules.calculation else {
            return Value::Empty;
        };
        let machine = self.machine(state, context);
        let frame = Frame::new(row, asked.node);
        if rules.saved || !rules.triggers.is_empty() {
            machine.seed(&frame);
        }
        typed::calculated(kind, machine.value(code, &frame), context.zone())
    }
}

fn set_flag(state: &mut State, row: RowId, slot: usize, value: bool) -> bool {
    match state.row_mut(row).and_then(|row| row.relevant.get_mut(slot)) {
        Some(flag) if *flag != value => {
            *flag = value;
            true
        }
        Some(_) | None => false,
    }
}
