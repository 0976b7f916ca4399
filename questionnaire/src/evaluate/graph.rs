//! Which rule reads what: the order in which rules are run, and which are to be run again after a change.
//!
//! A graph over the form, not over the rows of a record: built once per questionnaire.

use std::collections::{BTreeMap, BTreeSet};

use super::form::{Form, NodeId, NodeKind, QuestionId, ScopeId};
use super::resolve::{Need, Source};

/// Position of a step in the order of evaluation.
pub(crate) type StepId = usize;

/// Something that is worked out for each row of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Whether a group or question is relevant.
    Relevant(NodeId),
    /// Whether a repeat is relevant as a whole; for each row around it.
    Repeat(ScopeId),
    /// How many rows a repeat is to have; for each row around it.
    Count(ScopeId),
    /// Whether a row of a repeat is relevant.
    Row(ScopeId),
    /// The value of a calculation.
    Value(QuestionId),
    /// Type, choice, constraint and requirement of an answer.
    Check(QuestionId),
}

/// A step that reads something, and up to which scope their rows are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reader {
    pub(crate) step: StepId,
    pub(crate) common: ScopeId,
}

#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// All steps in an order in which each comes after what it reads.
    pub(crate) order: Vec<(Work, ScopeId)>,
    steps: BTreeMap<Work, StepId>,
    /// What each step reads.
    needs: Vec<Vec<Need>>,
    cells: Vec<Vec<Reader>>,
    rows: Vec<Vec<Reader>>,
    nodes: Vec<Vec<Reader>>,
    repeats: Vec<Vec<Reader>>,
    counts: Vec<Vec<Reader>>,
    /// The steps of each scope.
    by_scope: Vec<Vec<StepId>>,
}

impl Graph {
    /// Orders the steps; fails with the steps of every cycle.
    pub(crate) fn build(form: &Form, works: &BTreeMap<Work, BTreeSet<Need>>) -> Result<Self, Vec<Vec<Work>>> {
        let mut before: BTreeMap<Work, BTreeSet<Work>> = BTreeMap::new();
        for (work, needs) in works {
            let sources = before.entry(*work).or_default();
            for need in needs {
                for source in producers(form, need.source) {
                    if works.contains_key(&source) {
                        sources.insert(source);
                    }
                }
            }
        }
        let order = sort(&before)?;
        let mut graph = Self {
            cells: vec![Vec::new(); form.questions.len()],
            rows: vec![Vec::new(); form.scopes.len()],
            nodes: vec![Vec::new(); form.nodes.len()],
            repeats: vec![Vec::new(); form.scopes.len()],
            counts: vec![Vec::new(); form.scopes.len()],
            by_scope: vec![Vec::new(); form.scopes.len()],
            ..Self::default()
        };
        for (step, work) in order.iter().enumerate() {
            graph.steps.insert(*work, step);
            let scope = scope_of(form, *work);
            graph.order.push((*work, scope));
            graph.needs.push(works.get(work).into_iter().flatten().copied().collect());
            if let Some(steps) = graph.by_scope.get_mut(scope) {
                steps.push(step);
            }
        }
        for (work, needs) in works {
            let Some(&step) = graph.steps.get(work) else {
                continue;
            };
            for need in needs {
                let readers = match need.source {
                    Source::Cell(question) => graph.cells.get_mut(question),
                    Source::Rows(scope) => graph.rows.get_mut(scope),
                    Source::Node(node) => graph.nodes.get_mut(node),
                    Source::Repeat(scope) => graph.repeats.get_mut(scope),
                    Source::Count(scope) => graph.counts.get_mut(scope),
                };
                if let Some(readers) = readers {
                    readers.push(Reader { step, common: need.common });
                }
            }
        }
        Ok(graph)
    }

    pub(crate) fn readers(&self, source: Source) -> &[Reader] {
        let readers = match source {
            Source::Cell(question) => self.cells.get(question),
            Source::Rows(scope) => self.rows.get(scope),
            Source::Node(node) => self.nodes.get(node),
            Source::Repeat(scope) => self.repeats.get(scope),
            Source::Count(scope) => self.counts.get(scope),
        };
        readers.map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns what a work reads.
    pub(crate) fn needs(&self, work: Work) -> &[Need] {
        self.step(work).and_then(|step| self.needs.get(step)).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn step(&self, work: Work) -> Option<StepId> {
        self.steps.get(&work).copied()
    }

    pub(crate) fn work(&self, step: StepId) -> Option<(Work, ScopeId)> {
        self.order.get(step).copied()
    }

    /// Returns the steps of the rows of one scope.
    pub(crate) fn steps_of(&self, scope: ScopeId) -> &[StepId] {
        self.by_scope.get(scope).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Returns the works whose results make up a source.
fn producers(form: &Form, source: Source) -> Vec<Work> {
    match source {
        Source::Cell(question) => {
            let node = form.asked(question).map_or(0, |asked| asked.node);
            vec![Work::Value(question), Work::Relevant(node)]
        }
        Source::Rows(scope) => vec![Work::Row(scope)],
        Source::Node(node) => vec![Work::Relevant(node)],
        Source::Repeat(scope) => vec![Work::Repeat(scope)],
        Source::Count(scope) => vec![Work::Count(scope)],
    }
}

/// Returns the scope for whose rows a work is done.
pub(crate) fn scope_of(form: &Form, work: Work) -> ScopeId {
    match work {
        Work::Relevant(node) => form.node(node).scope,
        Work::Repeat(scope) | Work::Count(scope) => form.scope(scope).parent,
        Work::Row(scope) => scope,
        Work::Value(question) | Work::Check(question) => form.asked(question).map_or(0, |asked| asked.scope),
    }
}

/// Returns what a node's relevance hangs on besides its own expression: that of the node around it.
pub(crate) fn around(form: &Form, node: NodeId) -> Option<Need> {
    let parent = form.node(node).parent;
    let source = match form.node(parent).kind {
        NodeKind::Group => Source::Node(parent),
        NodeKind::Repeat => Source::Rows(form.node(parent).scope),
        NodeKind::Form | NodeKind::Question(_) => return None,
    };
    let common = form.node(parent).scope;
    Some(Need { source, common })
}

/// Sorts so that each work comes after those before it; of several that could come next, the first in the form does.
fn sort(before: &BTreeMap<Work, BTreeSet<Work>>) -> Result<Vec<Work>, Vec<Vec<Work>>> {
    let mut after: BTreeMap<Work, Vec<Work>> = BTreeMap::new();
    let mut waiting: BTreeMap<Work, usize> = BTreeMap::new();
    for (work, sources) in before {
        waiting.insert(*work, sources.len());
        for source in sources {
            after.entry(*source).or_default().push(*work);
        }
    }
    let mut ready: BTreeSet<Work> = waiting.iter().filter(|(_, count)| **count == 0).map(|(work, _)| *work).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(work) = ready.pop_first() {
        order.push(work);
        waiting.remove(&work);
        for next in after.get(&work).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*next);
                }
            }
        }
    }
    if waiting.is_empty() { Ok(order) } else { Err(cycles(before, &waiting)) }
}

/// Finds cycles among the works that are left over, each once.
fn cycles(before: &BTreeMap<Work, BTreeSet<Work>>, waiting: &BTreeMap<Work, usize>) -> Vec<Vec<Work>> {
    let mut cycles = Vec::new();
    let mut seen: BTreeSet<Work> = BTreeSet::new();
    for start in waiting.keys() {
        // Every work that is left reads another that is left: walking on must come round.
        let mut trail: Vec<Work> = Vec::new();
        let mut at = *start;
        while seen.insert(at) {
            trail.push(at);
            let next = before.get(&at).into_iter().flatten().find(|source| waiting.contains_key(source));
            let Some(next) = next else { break };
            at = *next;
        }
        if let Some(from) = trail.iter().position(|work| *work == at) {
            cycles.push(trail.split_off(from));
        }
    }
    cycles
}
