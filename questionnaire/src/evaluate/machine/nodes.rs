//! Sets of nodes: the rows and answers that a path leads to, the entries of a list that a filter keeps.

use super::{Candidate, Frame, Machine};
use crate::evaluate::code::{Code, FormPath, ListPath};
use crate::evaluate::form::{NodeId, NodeKind};
use crate::evaluate::functions;
use crate::evaluate::state::RowId;
use crate::evaluate::value::Value;
use crate::expr::Function;
use crate::model::Choice;

/// One node that a path led to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Node { node: NodeId, row: RowId },
    Item(&'a Choice, Option<&'a str>),
}

impl<'a> Machine<'a> {
    /// Returns the value of a node; that of a row or group is empty.
    pub(crate) fn found(&self, found: &Found<'a>) -> Value {
        match found {
            Found::Node { node, row } => match self.form.node(*node).kind {
                NodeKind::Question(question) => self.state.value(self.form, *row, question).clone(),
                NodeKind::Form | NodeKind::Group | NodeKind::Repeat => Value::Empty,
            },
            Found::Item(choice, column) => self.column(choice, column.unwrap_or("name")),
        }
    }

    /// Evaluates to a set of nodes; what is no path gives none.
    pub(crate) fn nodes(&self, code: &'a Code, frame: &Frame<'a>) -> Vec<Found<'a>> {
        match code {
            Code::Cell { from, question, scope } => {
                let row = self.state.climb(frame.start(*from), *scope);
                let node = self.form.asked(*question).map_or(0, |asked| asked.node);
                if self.state.is_relevant(self.form, row, node) { vec![Found::Node { node, row }] } else { Vec::new() }
            }
            Code::Nodes(path) => self.walk(path, frame),
            Code::Items(path) => self.items(path, frame),
            Code::Union(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    for found in self.nodes(part, frame) {
                        if !all.iter().any(|known| same(known, &found)) {
                            all.push(found);
                        }
                    }
                }
                all
            }
            Code::Call(Function::If, arguments) => match arguments.as_slice() {
                [test, yes, no] => {
                    let chosen = if self.truth(test, frame) { yes } else { no };
                    self.nodes(chosen, frame)
                }
                _ => Vec::new(),
            },
            Code::Call(Function::Coalesce, arguments) => arguments
                .iter()
                .find(|argument| !self.value(argument, frame).is_empty())
                .map(|argument| self.nodes(argument, frame))
                .unwrap_or_default(),
            Code::Call(Function::Randomize, arguments) => match arguments.as_slice() {
                [nodes] => {
                    let mut nodes = self.nodes(nodes, frame);
                    let bits = i64::try_from(self.random_bits() >> 33).unwrap_or(1);
                    functions::shuffle(&mut nodes, bits);
                    nodes
                }
                [nodes, seed] => {
                    let mut nodes = self.nodes(nodes, frame);
                    let seed = self.value(seed, frame).to_number(self.zone());
                    functions::shuffle(&mut nodes, crate::number::trunc(seed));
                    nodes
                }
                _ => Vec::new(),
            },
            Code::Number(_)
            | Code::Text(_)
            | Code::Boolean(_)
            | Code::Chain(..)
            | Code::And(_)
            | Code::Or(_)
            | Code::Negate(_)
            | Code::Column(_)
            | Code::LastSaved(_)
            | Code::Call(..)
            | Code::Matches(..)
            | Code::Indexed(_)
            | Code::ChoiceName(..)
            | Code::Once(..) => Vec::new(),
        }
    }

    /// Evaluates to the values of the nodes, or to the single value.
    pub(crate) fn values(&self, code: &'a Code, frame: &Frame<'a>) -> Vec<Value> {
        let plural =
            code.is_nodes() || matches!(code, Code::Cell { .. } | Code::Call(Function::If | Function::Coalesce, _));
        if !plural {
            return vec![self.value(code, frame)];
        }
        let nodes = self.nodes(code, frame);
        if nodes.is_empty() && matches!(code, Code::Call(..)) {
            return vec![self.value(code, frame)];
        }
        nodes.iter().map(|found| self.found(found)).collect()
    }

    fn walk(&self, path: &'a FormPath, frame: &Frame<'a>) -> Vec<Found<'a>> {
        let start = self.state.climb(frame.start(path.from), path.bound);
        let mut rows = vec![start];
        for hop in &path.hops {
            let slot = self.form.scope(hop.scope).slot;
            let mut next = Vec::new();
            for row in rows {
                let shown = self.state.inner(row, slot).shown();
                let mut kept: Vec<RowId> =
                    shown.iter().copied().filter(|&row| self.state.row(row).is_relevant(0)).collect();
                for filter in &hop.filters {
                    self.filter(&mut kept, filter, frame);
                }
                next.append(&mut kept);
            }
            rows = next;
        }
        let target = self.form.node(path.target);
        rows.retain(|&row| target.kind == NodeKind::Form || self.state.row(row).is_relevant(target.slot));
        for filter in &path.filters {
            rows.retain(|&row| self.keeps(filter, &frame.with(Candidate::Row(row), 1, 1)));
        }
        rows.into_iter().map(|row| Found::Node { node: path.target, row }).collect()
    }

    fn filter(&self, rows: &mut Vec<RowId>, filter: &'a Code, frame: &Frame<'a>) {
        let size = rows.len();
        let mut at = 0;
        rows.retain(|&row| {
            at += 1;
            self.keeps(filter, &frame.with(Candidate::Row(row), at, size))
        });
    }

    fn items(&self, path: &'a ListPath, frame: &Frame<'a>) -> Vec<Found<'a>> {
        let choices = self.lists.get(self.questionnaire, &path.list);
        let column = path.column.as_deref();
        let mut filters = path.filters.iter();
        let mut kept: Vec<&'a Choice>;
        let key = path.key.as_ref().and_then(|key| {
            match self.value(&key.value, frame) {
                // What is no text may equal a text that is written otherwise.
                Value::Text(text) => Some((key.index, text)),
                Value::Empty | Value::Number(_) | Value::Boolean(_) | Value::Moment(_) => None,
            }
        });
        if let (Some((index, text)), Some(first)) = (key, filters.next()) {
            kept = Vec::new();
            let size = choices.len();
            for choice in self.lists.search(choices, index, &text) {
                if self.keeps(first, &frame.with(Candidate::Item(choice), 0, size)) {
                    kept.push(choice);
                }
            }
        } else {
            filters = path.filters.iter();
            kept = choices.iter().collect();
        }
        for filter in filters {
            let size = kept.len();
            let mut at = 0;
            kept.retain(|&choice| {
                at += 1;
                self.keeps(filter, &frame.with(Candidate::Item(choice), at, size))
            });
        }
        kept.into_iter().map(|choice| Found::Item(choice, column)).collect()
    }
}

fn same(a: &Found<'_>, b: &Found<'_>) -> bool {
    match (a, b) {
        (Found::Node { node, row }, Found::Node { node: n, row: r }) => node == n && row == r,
        (Found::Item(a, left), Found::Item(b, right)) => std::ptr::eq(*a, *b) && left == right,
        (Found::Node { .. } | Found::Item(..), _) => false,
    }
}
