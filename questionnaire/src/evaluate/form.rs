//! The questionnaire as a tree that expressions walk: nodes, scopes (the form and its repeats), questions.
//!
//! Every node has a slot in its scope, so that a row of the record can hold its state in flat lists.

use std::collections::BTreeMap;

use crate::model::{Expression, Item, Question, Questionnaire};

pub(crate) type NodeId = usize;
pub(crate) type ScopeId = usize;
pub(crate) type QuestionId = usize;

/// The form itself is the first node and the first scope.
pub(crate) const ROOT: usize = 0;

/// What a node of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Form,
    Group,
    Repeat,
    Question(QuestionId),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) parent: NodeId,
    /// The scope that the node's state is kept in; for a repeat the scope of its rows.
    pub(crate) scope: ScopeId,
    /// Position of the node's relevance in a row of that scope.
    pub(crate) slot: usize,
    pub(crate) children: Vec<NodeId>,
    pub(crate) relevant: Option<Expression>,
    pub(crate) read_only: Option<Expression>,
    pub(crate) repeat_count: Option<Expression>,
    depth: usize,
}

/// The form or one repeat.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) key: String,
    pub(crate) node: NodeId,
    pub(crate) parent: ScopeId,
    pub(crate) depth: usize,
    /// Position of the repeat among those directly inside its parent scope.
    pub(crate) slot: usize,
    /// The repeats directly inside.
    pub(crate) inner: Vec<ScopeId>,
    pub(crate) questions: Vec<QuestionId>,
    /// How many relevance slots a row has.
    pub(crate) slots: usize,
    keys: BTreeMap<String, QuestionId>,
}

#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) node: NodeId,
    pub(crate) scope: ScopeId,
    /// Position of the question's cell in a row of its scope.
    pub(crate) slot: usize,
    pub(crate) question: Question,
}

#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) nodes: Vec<Node>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) questions: Vec<Asked>,
    names: BTreeMap<String, Vec<NodeId>>,
    no_node: Node,
    no_scope: Scope,
}

impl Node {
    fn new(name: &str, kind: NodeKind, parent: NodeId, scope: ScopeId, depth: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            parent,
            scope,
            slot: 0,
            children: Vec::new(),
            relevant: None,
            read_only: None,
            repeat_count: None,
            depth,
        }
    }
}

impl Scope {
    fn new(key: &str, node: NodeId, parent: ScopeId, depth: usize, slot: usize) -> Self {
        Self {
            key: key.to_owned(),
            node,
            parent,
            depth,
            slot,
            inner: Vec::new(),
            questions: Vec::new(),
            slots: 1,
            keys: BTreeMap::new(),
        }
    }
}

impl Form {
    pub(crate) fn new(questionnaire: &Questionnaire) -> Self {
        let mut form = Self {
            nodes: vec![Node::new("", NodeKind::Form, ROOT, ROOT, 0)],
            scopes: vec![Scope::new("", ROOT, ROOT, 0, 0)],
            questions: Vec::new(),
            names: BTreeMap::new(),
            no_node: Node::new("", NodeKind::Group, ROOT, ROOT, 0),
            no_scope: Scope::new("", ROOT, ROOT, 0, 0),
        };
        form.add(questionnaire.items(), ROOT, ROOT);
        form
    }

    fn add(&mut self, items: &[Item], parent: NodeId, scope: ScopeId) {
        for item in items {
            match item {
                Item::Group(group) => {
                    let id = self.push(&group.name, NodeKind::Group, parent, scope);
                    if let Some(node) = self.nodes.get_mut(id) {
                        node.relevant.clone_from(&group.relevant);
                        node.read_only.clone_from(&group.read_only);
                    }
                    self.add(&group.children, id, scope);
                }
                Item::Repeat(repeat) => {
                    let inner = self.scopes.len();
                    let id = self.push(&repeat.name, NodeKind::Repeat, parent, inner);
                    let (depth, slot) = self
                        .scopes
                        .get_mut(scope)
                        .map(|outer| {
                            outer.inner.push(inner);
                            (outer.depth + 1, outer.inner.len() - 1)
                        })
                        .unwrap_or_default();
                    self.scopes.push(Scope::new(&repeat.key, id, scope, depth, slot));
                    if let Some(node) = self.nodes.get_mut(id) {
                        node.relevant.clone_from(&repeat.relevant);
                        node.read_only.clone_from(&repeat.read_only);
                        node.repeat_count.clone_from(&repeat.repeat_count);
                    }
                    self.add(&repeat.children, id, inner);
                }
                Item::Question(question) => {
                    let number = self.questions.len();
                    let id = self.push(&question.name, NodeKind::Question(number), parent, scope);
                    let mut slot = 0;
                    if let Some(outer) = self.scopes.get_mut(scope) {
                        slot = outer.questions.len();
                        outer.questions.push(number);
                        outer.keys.insert(question.key.clone(), number);
                    }
                    if let Some(node) = self.nodes.get_mut(id) {
                        node.relevant.clone_from(&question.relevant);
                        node.read_only.clone_from(&question.read_only);
                    }
                    self.questions.push(Asked { node: id, scope, slot, question: (**question).clone() });
                }
            }
        }
    }

    fn push(&mut self, name: &str, kind: NodeKind, parent: NodeId, scope: ScopeId) -> NodeId {
        let id = self.nodes.len();
        let depth = self.node(parent).depth + 1;
        let mut node = Node::new(name, kind, parent, scope, depth);
        // A repeat's own slot is the first of its rows; its scope is made after it.
        if kind != NodeKind::Repeat
            && let Some(outer) = self.scopes.get_mut(scope)
        {
            node.slot = outer.slots;
            outer.slots += 1;
        }
        self.nodes.push(node);
        if let Some(outer) = self.nodes.get_mut(parent) {
            outer.children.push(id);
        }
        self.names.entry(name.to_owned()).or_default().push(id);
        id
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&self.no_node)
    }

    pub(crate) fn scope(&self, id: ScopeId) -> &Scope {
        self.scopes.get(id).unwrap_or(&self.no_scope)
    }

    pub(crate) fn asked(&self, id: QuestionId) -> Option<&Asked> {
        self.questions.get(id)
    }

    /// Returns the scope that a node stands in: for a repeat the one around it.
    pub(crate) fn outer_scope(&self, node: NodeId) -> ScopeId {
        let node = self.node(node);
        match node.kind {
            NodeKind::Repeat => self.scope(node.scope).parent,
            NodeKind::Form | NodeKind::Group | NodeKind::Question(_) => node.scope,
        }
    }

    /// Returns the innermost scope that two scopes share.
    pub(crate) fn common(&self, mut a: ScopeId, mut b: ScopeId) -> ScopeId {
        while a != b {
            if self.scope(a).depth >= self.scope(b).depth {
                a = self.scope(a).parent;
            } else {
                b = self.scope(b).parent;
            }
        }
        a
    }

    /// Returns the scopes from below `outer` down to `inner`.
    pub(crate) fn chain(&self, outer: ScopeId, inner: ScopeId) -> Vec<ScopeId> {
        let mut chain = Vec::new();
        let mut at = inner;
        while at != outer && at != ROOT {
            chain.push(at);
            at = self.scope(at).parent;
        }
        chain.reverse();
        chain
    }

    /// Finds the node of a name that is nearest to another: in the innermost common scope, then the innermost common
    /// group, then first in the form.
    pub(crate) fn nearest(&self, name: &str, from: NodeId) -> Option<NodeId> {
        let scope = self.node(from).scope;
        let known = self.names.get(name)?;
        if let [only] = known.as_slice() {
            return Some(*only);
        }
        known.iter().copied().rev().max_by_key(|&id| {
            let common = self.common(scope, self.outer_scope(id));
            (self.scope(common).depth, self.common_depth(from, id))
        })
    }

    /// Counts the levels that two nodes share.
    fn common_depth(&self, mut a: NodeId, mut b: NodeId) -> usize {
        while a != b {
            if self.node(a).depth >= self.node(b).depth {
                a = self.node(a).parent;
            } else {
                b = self.node(b).parent;
            }
        }
        self.node(a).depth
    }

    /// Finds the scope of a repeat by its key in its outer scope.
    pub(crate) fn inner_scope(&self, outer: ScopeId, key: &str) -> Option<ScopeId> {
        self.scope(outer).inner.iter().copied().find(|&inner| self.scope(inner).key == key)
    }

    /// Finds the question of a key in a scope.
    pub(crate) fn question_at(&self, scope: ScopeId, key: &str) -> Option<QuestionId> {
        self.scope(scope).keys.get(key).copied()
    }

    /// Returns the keys of a scope's questions, in byte order.
    pub(crate) fn keys(&self, scope: ScopeId) -> impl Iterator<Item = (&str, QuestionId)> {
        self.scope(scope).keys.iter().map(|(key, question)| (key.as_str(), *question))
    }

    /// Returns all names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}
