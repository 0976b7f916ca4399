//! Location paths and references: through the form, through lists of choices.

use std::sync::Arc;

use super::{Candidate, Here, Resolver, Source, Spot, empty};
use crate::evaluate::code::{Code, FormPath, From, Hop, ListName, ListPath};
use crate::evaluate::form::{NodeId, NodeKind, QuestionId, ROOT, ScopeId};
use crate::expr::{Ast, Axis, Path, Start, Step};
use crate::problem::ProblemCode;

/// A path on its way: the node reached, and through which repeats.
struct Cursor {
    from: From,
    node: NodeId,
    bound: ScopeId,
    hops: Vec<Hop>,
    filters: Vec<Code>,
    /// Tells whether repeats that the reader stands in are bound to its rows (absolute paths).
    absolute: bool,
}

impl Resolver<'_> {
    pub(super) fn question_of(&self, node: NodeId) -> Option<QuestionId> {
        match self.form.node(node).kind {
            NodeKind::Question(question) => Some(question),
            NodeKind::Form | NodeKind::Group | NodeKind::Repeat => None,
        }
    }

    pub(super) fn path(&mut self, path: &Path, here: Here) -> Code {
        let cursor = match &path.start {
            Start::Inner(inner) => {
                if let Ast::Call(name, arguments) = inner.as_ref()
                    && name == "instance"
                {
                    return self.instance(arguments, path, here);
                }
                if !matches!(inner.as_ref(), Ast::Call(name, none) if name == "current" && none.is_empty()) {
                    // Steps after any other call, or a filter on it.
                    return self.nothing(
                        ProblemCode::ExpressionInvalid,
                        "A path can't begin with this expression.",
                        "Begin it with ${name}, ., .., current() or instance('…').",
                    );
                }
                self.at(here.spot, From::Current)
            }
            Start::Reference(name) => match self.reference(name, here) {
                Some(cursor) => cursor,
                None => return self.unknown_reference(name),
            },
            Start::Root => {
                let mut cursor = self.start(here);
                cursor.node = ROOT;
                cursor.bound = ROOT;
                cursor.absolute = true;
                // The first step names the form, whatever it is called.
                let Some((_, rest)) = path.steps.split_first() else {
                    return empty();
                };
                return self.walk(cursor, rest, here);
            }
            Start::Here if matches!(here.candidate, Candidate::Item) => {
                return self.column(&path.steps);
            }
            Start::Here => self.start(here),
        };
        let mut cursor = cursor;
        for filter in &path.filters {
            self.filter(&mut cursor, filter, here);
        }
        self.walk(cursor, &path.steps, here)
    }

    /// Begins at the candidate of the predicate, or where the expression stands.
    fn start(&self, here: Here) -> Cursor {
        match here.candidate {
            Candidate::Node { node, .. } => {
                let scope = self.form.node(node).scope;
                self.at(Spot { node, scope }, From::Candidate)
            }
            Candidate::None | Candidate::Item => self.at(here.spot, From::Current),
        }
    }

    fn at(&self, spot: Spot, from: From) -> Cursor {
        Cursor { from, node: spot.node, bound: spot.scope, hops: Vec::new(), filters: Vec::new(), absolute: false }
    }

    /// Finds what `${name}` means.
    fn reference(&self, name: &str, here: Here) -> Option<Cursor> {
        let form = self.form;
        let depth = |scope: ScopeId| form.scope(scope).depth;
        let mut from = From::Current;
        let mut target = form.nearest(name, here.spot.node)?;
        let mut bound = form.common(here.spot.scope, form.outer_scope(target));
        if let Candidate::Node { node, first, .. } = here.candidate {
            let other = form.nearest(name, node)?;
            let shared = form.common(form.node(node).scope, form.outer_scope(other));
            // As pyxform and JavaRosa have it: the reader's own row, if it has one of this name, else the candidate's.
            if depth(shared) > depth(bound) || (first && depth(shared) == depth(bound)) {
                (from, target, bound) = (From::Candidate, other, shared);
            }
        }
        let mut scopes = form.chain(bound, form.outer_scope(target));
        if form.node(target).kind == NodeKind::Repeat {
            scopes.push(form.node(target).scope);
        }
        Some(Cursor {
            from,
            node: target,
            bound,
            hops: scopes.into_iter().map(|scope| Hop { scope, filters: Vec::new() }).collect(),
            filters: Vec::new(),
            absolute: false,
        })
    }

    /// Resolves what an argument names without reading it: a question, group or repeat.
    pub(super) fn target(&mut self, ast: &Ast, here: Here) -> Option<(From, NodeId)> {
        let Ast::Path(path) = ast else { return None };
        let cursor = match &path.start {
            Start::Reference(name) if path.steps.is_empty() => self.reference(name, here)?,
            Start::Root => {
                let mut node = ROOT;
                for step in path.steps.iter().skip(1) {
                    node = self.child(node, &step.axis)?;
                }
                let mut cursor = self.start(here);
                cursor.node = node;
                cursor
            }
            Start::Here => {
                let mut cursor = self.start(here);
                for step in &path.steps {
                    cursor.node = self.child(cursor.node, &step.axis)?;
                }
                cursor
            }
            Start::Reference(_) | Start::Inner(_) => return None,
        };
        Some((cursor.from, cursor.node))
    }

    fn child(&self, node: NodeId, axis: &Axis) -> Option<NodeId> {
        match axis {
            Axis::Itself => Some(node),
            Axis::Parent => Some(self.form.node(node).parent),
            Axis::Child(name) => {
                let children = &self.form.node(node).children;
                children.iter().copied().find(|&child| self.form.node(child).name == *name)
            }
            Axis::AnyChild => None,
        }
    }

    fn walk(&mut self, mut cursor: Cursor, steps: &[Step], here: Here) -> Code {
        for (at, step) in steps.iter().enumerate() {
            let rest = steps.get(at + 1..).unwrap_or_default();
            match &step.axis {
                Axis::Itself => {}
                Axis::Parent => self.parent(&mut cursor),
                Axis::Child(name) => {
                    let Some(child) = self.child(cursor.node, &step.axis) else {
                        return self.unknown_step(cursor.node, name);
                    };
                    let last = rest.is_empty() && step.predicates.is_empty();
                    self.descend(&mut cursor, child, here, last || !step.predicates.is_empty());
                }
                Axis::AnyChild => {
                    return self.any_child(&cursor, step, rest, here);
                }
            }
            for predicate in &step.predicates {
                self.filter(&mut cursor, predicate, here);
            }
        }
        self.finish(cursor, here)
    }

    fn any_child(&mut self, cursor: &Cursor, step: &Step, rest: &[Step], here: Here) -> Code {
        if !cursor.hops.iter().all(|hop| hop.filters.is_empty()) || !cursor.filters.is_empty() {
            return self.nothing(
                ProblemCode::ExpressionInvalid,
                "A * can't follow a condition in square brackets.",
                "Name the children that are meant.",
            );
        }
        let mut parts = Vec::new();
        for &child in &self.form.node(cursor.node).children {
            let mut branch = Cursor {
                from: cursor.from,
                node: cursor.node,
                bound: cursor.bound,
                hops: cursor.hops.iter().map(|hop| Hop { scope: hop.scope, filters: Vec::new() }).collect(),
                filters: Vec::new(),
                absolute: cursor.absolute,
            };
            self.descend(&mut branch, child, here, true);
            for predicate in &step.predicates {
                self.filter(&mut branch, predicate, here);
            }
            // Only children that have the next step count.
            let fits = rest.iter().try_fold(child, |node, step| self.child(node, &step.axis));
            if fits.is_some() {
                parts.push(self.walk(branch, rest, here));
            }
        }
        Code::Union(parts)
    }

    fn parent(&self, cursor: &mut Cursor) {
        let node = self.form.node(cursor.node);
        if node.kind == NodeKind::Repeat {
            if cursor.hops.pop().is_none() {
                cursor.bound = self.form.scope(node.scope).parent;
            }
        } else {
            cursor.filters.clear();
        }
        cursor.node = node.parent;
    }

    fn descend(&self, cursor: &mut Cursor, child: NodeId, here: Here, spread: bool) {
        let node = self.form.node(child);
        cursor.node = child;
        if node.kind != NodeKind::Repeat {
            return;
        }
        let around = match (cursor.from, here.candidate) {
            (From::Candidate, Candidate::Node { node, .. }) => self.form.node(node).scope,
            (From::Candidate | From::Current, _) => here.spot.scope,
        };
        let inside = self.form.common(around, node.scope) == node.scope;
        if cursor.absolute && inside && cursor.hops.is_empty() && !spread {
            cursor.bound = node.scope;
        } else {
            cursor.hops.push(Hop { scope: node.scope, filters: Vec::new() });
        }
    }

    fn filter(&mut self, cursor: &mut Cursor, predicate: &Ast, here: Here) {
        let candidate =
            Candidate::Node { node: cursor.node, fixed: self.fixed(cursor.from, cursor.bound, here), first: false };
        let code = self.code(predicate, Here { spot: here.spot, candidate });
        let is_repeat = self.form.node(cursor.node).kind == NodeKind::Repeat;
        match cursor.hops.last_mut() {
            Some(hop) if is_repeat => hop.filters.push(code),
            Some(_) | None => cursor.filters.push(code),
        }
    }

    /// Returns the innermost scope whose row reader and start of a path share.
    fn fixed(&self, from: From, bound: ScopeId, here: Here) -> ScopeId {
        match (from, here.candidate) {
            (From::Candidate, Candidate::Node { fixed, .. }) => self.form.common(fixed, bound),
            (From::Candidate | From::Current, _) => bound,
        }
    }

    fn unknown_step(&mut self, node: NodeId, name: &str) -> Code {
        let around = &self.form.node(node).name;
        let place = if around.is_empty() { "The form".to_owned() } else { around.clone() };
        self.nothing(
            ProblemCode::PathUnknown,
            format!("{place} holds no question or group {name}."),
            format!("Correct the path, or write ${{{name}}} if the question stands elsewhere."),
        )
    }

    fn finish(&mut self, cursor: Cursor, here: Here) -> Code {
        let common = self.fixed(cursor.from, cursor.bound, here);
        for hop in &cursor.hops {
            self.need(Source::Rows(hop.scope), common);
        }
        let node = self.form.node(cursor.node);
        let (kind, scope) = (node.kind, node.scope);
        if cursor.from == From::Current && cursor.bound == here.spot.scope {
            self.own_row = true;
        }
        match kind {
            NodeKind::Question(question) => {
                self.need(Source::Cell(question), common);
                if cursor.hops.is_empty() && cursor.filters.is_empty() {
                    return Code::Cell { from: cursor.from, question, scope: cursor.bound };
                }
            }
            NodeKind::Group => self.need(Source::Node(cursor.node), common),
            NodeKind::Repeat if cursor.hops.is_empty() => {
                // The row itself: where it stands among its siblings.
                let outer = self.form.scope(scope).parent;
                let common = self.form.common(common, outer);
                self.need(Source::Rows(scope), common);
            }
            NodeKind::Repeat | NodeKind::Form => {}
        }
        Code::Nodes(Box::new(FormPath {
            from: cursor.from,
            bound: cursor.bound,
            hops: cursor.hops,
            target: cursor.node,
            filters: cursor.filters,
        }))
    }

    /// Resolves a path that starts at an entry of a list.
    fn column(&mut self, steps: &[Step]) -> Code {
        let mut column = None;
        for step in steps {
            match &step.axis {
                Axis::Itself => {}
                Axis::Child(name) if column.is_none() && step.predicates.is_empty() => {
                    column = Some(name.clone());
                }
                Axis::Child(_) | Axis::Parent | Axis::AnyChild => {
                    return self.nothing(
                        ProblemCode::PathUnknown,
                        "This path leads out of the list of choices.",
                        "Name a column of the choices, or write ${name} for a question.",
                    );
                }
            }
        }
        Code::Column(Arc::from(column.unwrap_or_else(|| "name".to_owned())))
    }

    /// Resolves `instance('list')/root/item[…]/column`.
    fn instance(&mut self, arguments: &[Ast], path: &Path, here: Here) -> Code {
        let [Ast::Text(id)] = arguments else {
            return self.nothing(
                ProblemCode::FunctionArguments,
                "instance() takes the name of a list in quotes.",
                "Write instance('list')/root/item[…]/column.",
            );
        };
        let Some(list) = self.list_named(id) else {
            return self.nothing(
                ProblemCode::ListUnknown,
                format!("There is no list or file {id}."),
                "Correct the name in instance(), or add the list.",
            );
        };
        let mut filters = Vec::new();
        let mut column = None;
        for (at, step) in path.steps.iter().enumerate() {
            match (&step.axis, at) {
                (Axis::Child(_), 0) | (Axis::Itself, _) => {}
                (Axis::Child(_), 1) => {
                    for predicate in &step.predicates {
                        let inner = Here { spot: here.spot, candidate: Candidate::Item };
                        filters.push(self.code(predicate, inner));
                    }
                }
                (Axis::Child(name), 2) => column = Some(Arc::from(name.as_str())),
                _ => {
                    return self.nothing(
                        ProblemCode::PathUnknown,
                        format!("This is no path through the list {id}."),
                        "Write instance('list')/root/item[…]/column.",
                    );
                }
            }
        }
        let key = filters.first().and_then(|filter| self.list_key(&list, filter));
        Code::Items(Box::new(ListPath { list, filters, column, key }))
    }

    fn list_named(&self, id: &str) -> Option<ListName> {
        if self.questionnaire.lists.contains_key(id) {
            return Some(ListName::Choices(id.to_owned()));
        }
        if self.questionnaire.external_lists.contains_key(id) {
            return Some(ListName::External(id.to_owned()));
        }
        self.lists.knows_file(id).then(|| ListName::File(id.to_owned()))
    }
}
