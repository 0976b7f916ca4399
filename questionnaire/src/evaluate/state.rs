//! One record while it is evaluated: rows with their cells, in flat lists.
//!
//! Owns what the answers are and what was worked out of them; knows no expression.

use std::sync::Arc;

use sync_protocol::Missing;

use super::form::{Form, NodeKind, QuestionId, ROOT, ScopeId};
use super::value::Value;

pub(crate) type RowId = usize;

/// One answer, and what the rules say of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    /// The answer as text, which is never empty.
    pub(crate) given: Option<Arc<str>>,
    /// Why there is no answer, if someone said so.
    pub(crate) missing: Option<Missing>,
    /// The answer as its type has it, or the calculated value.
    pub(crate) value: Value,
    pub(crate) faults: Faults,
}

impl Cell {
    /// Returns the answer as text; empty where there is none.
    pub(crate) fn text(&self) -> &str {
        self.given.as_deref().unwrap_or("")
    }
}

/// What is wrong with one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) kind: bool,
    pub(crate) choice: bool,
    pub(crate) constraint: bool,
    pub(crate) required: bool,
}

/// The rows of one repeat in one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) ids: Vec<RowId>,
    /// How many rows `repeat_count` asks for, if the repeat has one and it is a number.
    pub(crate) wanted: Option<usize>,
    /// Tells whether all rows are shown, though the count asks for fewer: it is computed from the rows themselves.
    pub(crate) open: bool,
    /// Tells whether the repeat as a whole is relevant.
    pub(crate) relevant: bool,
}

impl Rows {
    /// Returns the rows that are not beyond the count.
    pub(crate) fn shown(&self) -> &[RowId] {
        if self.open {
            return &self.ids;
        }
        let shown = self.wanted.unwrap_or(usize::MAX).min(self.ids.len());
        self.ids.get(..shown).unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) scope: ScopeId,
    pub(crate) parent: RowId,
    pub(crate) id: Arc<str>,
    /// Position among its siblings, counted from 0.
    pub(crate) position: usize,
    pub(crate) alive: bool,
    /// Relevance of the nodes of the scope, by slot; the first is that of the row.
    pub(crate) relevant: Vec<bool>,
    pub(crate) cells: Vec<Cell>,
    /// The repeats directly inside, by slot.
    pub(crate) inner: Vec<Rows>,
}

impl Row {
    fn new(form: &Form, scope: ScopeId, parent: RowId, id: Arc<str>, position: usize) -> Self {
        let shape = form.scope(scope);
        let inner = shape.inner.iter().map(|_| Rows::default()).collect();
        Self {
            scope,
            parent,
            id,
            position,
            alive: true,
            relevant: vec![false; shape.slots],
            cells: vec![Cell::default(); shape.questions.len()],
            inner,
        }
    }

    pub(crate) fn is_relevant(&self, slot: usize) -> bool {
        self.relevant.get(slot).copied().unwrap_or(false)
    }
}

/// All rows of a record; the first is the record itself.
#[derive(Clone, Debug)]
pub(crate) struct State {
    rows: Vec<Row>,
    no_row: Row,
    no_cell: Cell,
    no_rows: Rows,
}

impl State {
    pub(crate) fn new(form: &Form) -> Self {
        let record = Row::new(form, ROOT, ROOT, Arc::from(""), 0);
        let mut no_row = record.clone();
        no_row.alive = false;
        no_row.relevant.clear();
        no_row.cells.clear();
        no_row.inner.clear();
        Self { rows: vec![record], no_row, no_cell: Cell::default(), no_rows: Rows::default() }
    }

    pub(crate) fn row(&self, row: RowId) -> &Row {
        self.rows.get(row).unwrap_or(&self.no_row)
    }

    /// Tells whether anything is wrong with any answer.
    pub(crate) fn has_faults(&self) -> bool {
        let mut cells = self.rows.iter().filter(|row| row.alive).flat_map(|row| &row.cells);
        cells.any(|cell| cell.faults != Faults::default())
    }

    pub(crate) fn row_mut(&mut self, row: RowId) -> Option<&mut Row> {
        self.rows.get_mut(row)
    }

    /// Adds a row at the end of a repeat.
    pub(crate) fn add(&mut self, form: &Form, outer: RowId, scope: ScopeId, id: &str) -> RowId {
        let row = self.rows.len();
        let slot = form.scope(scope).slot;
        let mut position = 0;
        if let Some(rows) = self.rows.get_mut(outer).and_then(|outer| outer.inner.get_mut(slot)) {
            position = rows.ids.len();
            rows.ids.push(row);
        }
        self.rows.push(Row::new(form, scope, outer, Arc::from(id), position));
        row
    }

    /// Moves a row to a position among its siblings.
    pub(crate) fn place(&mut self, form: &Form, row: RowId, position: usize) {
        let Some((outer, slot)) = self.family(form, row) else {
            return;
        };
        if let Some(rows) = self.rows.get_mut(outer).and_then(|outer| outer.inner.get_mut(slot)) {
            rows.ids.retain(|&id| id != row);
            let at = position.min(rows.ids.len());
            rows.ids.insert(at, row);
        }
        self.renumber(outer, slot);
    }

    /// Removes a row with all that is inside.
    pub(crate) fn remove(&mut self, form: &Form, row: RowId) {
        let Some((outer, slot)) = self.family(form, row) else {
            return;
        };
        if let Some(rows) = self.rows.get_mut(outer).and_then(|outer| outer.inner.get_mut(slot)) {
            rows.ids.retain(|&id| id != row);
        }
        self.renumber(outer, slot);
        let mut gone = vec![row];
        while let Some(row) = gone.pop() {
            if let Some(row) = self.rows.get_mut(row) {
                row.alive = false;
                for rows in &mut row.inner {
                    gone.append(&mut rows.ids);
                }
            }
        }
    }

    fn family(&self, form: &Form, row: RowId) -> Option<(RowId, usize)> {
        let row = self.rows.get(row).filter(|row| row.scope != ROOT)?;
        Some((row.parent, form.scope(row.scope).slot))
    }

    fn renumber(&mut self, outer: RowId, slot: usize) {
        let ids = self.inner(outer, slot).ids.clone();
        for (position, id) in ids.into_iter().enumerate() {
            if let Some(row) = self.rows.get_mut(id) {
                row.position = position;
            }
        }
    }

    pub(crate) fn inner(&self, row: RowId, slot: usize) -> &Rows {
        self.row(row).inner.get(slot).unwrap_or(&self.no_rows)
    }

    /// Returns the row of an outer scope around a row.
    pub(crate) fn climb(&self, mut row: RowId, scope: ScopeId) -> RowId {
        loop {
            let at = self.row(row);
            if at.scope == scope || at.scope == ROOT {
                return row;
            }
            row = at.parent;
        }
    }

    pub(crate) fn cell(&self, form: &Form, row: RowId, question: QuestionId) -> &Cell {
        form.asked(question).and_then(|asked| self.row(row).cells.get(asked.slot)).unwrap_or(&self.no_cell)
    }

    pub(crate) fn cell_mut(&mut self, form: &Form, row: RowId, question: QuestionId) -> Option<&mut Cell> {
        let slot = form.asked(question)?.slot;
        self.rows.get_mut(row)?.cells.get_mut(slot)
    }

    /// Tells whether a node in a row is relevant.
    pub(crate) fn is_relevant(&self, form: &Form, row: RowId, node: usize) -> bool {
        self.row(row).is_relevant(form.node(node).slot)
    }

    /// Returns a question's value as other expressions see it: nothing where it is not relevant.
    pub(crate) fn value(&self, form: &Form, row: RowId, question: QuestionId) -> &Value {
        let Some(asked) = form.asked(question) else {
            return &self.no_cell.value;
        };
        let at = self.row(row);
        if !at.is_relevant(form.node(asked.node).slot) {
            return &self.no_cell.value;
        }
        at.cells.get(asked.slot).map_or(&self.no_cell.value, |cell| &cell.value)
    }

    /// Collects the living rows of a scope inside a row (itself, where it is of that scope).
    pub(crate) fn descendants(&self, form: &Form, row: RowId, scope: ScopeId) -> Vec<RowId> {
        let from = self.row(row).scope;
        let mut found = vec![row];
        for inner in form.chain(from, scope) {
            let slot = form.scope(inner).slot;
            let mut next = Vec::new();
            for row in found {
                next.extend_from_slice(&self.inner(row, slot).ids);
            }
            found = next;
        }
        found
    }

    /// Tells whether a node is a repeat's row, and which.
    pub(crate) fn position(&self, form: &Form, node: usize, row: RowId) -> usize {
        if form.node(node).kind == NodeKind::Repeat { self.row(row).position + 1 } else { 1 }
    }
}
