//! All rules of a questionnaire, resolved: what is run for which node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::code::{Code, ListName};
use super::form::{Form, NodeId, NodeKind, QuestionId, ROOT, ScopeId};
use super::graph::{Graph, Work, around};
use super::lists::{Lists, Tables};
use super::resolve::{Need, Resolved, Resolver, Source, Spot};
use crate::model::{ChoiceSource, Expression, Kind, Questionnaire};
use crate::problem::{Problem, ProblemCode, Problems, Severity};

/// The resolved rules of one question.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) calculation: Option<Code>,
    /// Tells whether the value is no function of the answers, and so kept as an answer.
    pub(crate) saved: bool,
    /// The questions whose change makes the calculation run; then it runs at no other time.
    pub(crate) triggers: Vec<QuestionId>,
    pub(crate) constraint: Option<Code>,
    pub(crate) required: Option<Code>,
    pub(crate) filter: Option<Code>,
    /// The rows that are offered, for a row choice.
    pub(crate) rows: Option<ScopeId>,
    /// The list that is offered, and the index over its names.
    pub(crate) list: Option<(ListName, usize)>,
    /// The values that are offered, in byte order, where no filter takes any away.
    pub(crate) names: Option<Vec<String>>,
    /// The index that narrows the filter down, with the value to look for.
    pub(crate) key: Option<super::code::ListKey>,
    pub(crate) default: Option<Code>,
    pub(crate) reads: Reads,
}

/// What the rules that an answer can break read, each besides the answer itself.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) constraint: BTreeSet<Need>,
    pub(crate) required: BTreeSet<Need>,
    pub(crate) choice: BTreeSet<Need>,
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) questionnaire: Arc<Questionnaire>,
    pub(crate) form: Form,
    pub(crate) lists: Lists,
    pub(crate) graph: Graph,
    pub(crate) rules: Vec<Rules>,
    /// Relevance by node.
    pub(crate) relevant: Vec<Option<Code>>,
    pub(crate) read_only: Vec<Option<Code>>,
    /// The number of rows by scope.
    pub(crate) counts: Vec<Option<Code>>,
    /// Tells by scope whether the repeat's relevance looks at the row.
    pub(crate) by_row: Vec<bool>,
    /// The repeats whose count is computed from their own rows: it asks for more, but hides none.
    pub(crate) open: BTreeSet<ScopeId>,
    pub(crate) instance_name: Option<Code>,
    pub(crate) warnings: Vec<Problem>,
    no_rules: Rules,
}

type Works = BTreeMap<Work, BTreeSet<Need>>;

/// Everything that is found out on the way to a program.
struct Builder<'a> {
    form: &'a Form,
    questionnaire: &'a Questionnaire,
    lists: Lists,
    problems: Vec<Problem>,
    works: Works,
    lenient: bool,
}

impl Builder<'_> {
    fn resolve(&mut self, run: impl FnOnce(&mut Resolver<'_>) -> Option<Resolved>) -> Option<Resolved> {
        run(&mut Resolver::new(self.form, self.questionnaire, &mut self.lists, &mut self.problems, self.lenient))
    }

    fn need(&mut self, work: Work, needs: BTreeSet<Need>) {
        self.works.entry(work).or_default().extend(needs);
    }
}

impl Program {
    pub(crate) fn build(questionnaire: Arc<Questionnaire>, tables: Tables, lenient: bool) -> Result<Self, Problems> {
        let form = Form::new(&questionnaire);
        let lists = Lists::new(&questionnaire, tables);
        let mut builder = Builder {
            form: &form,
            questionnaire: &questionnaire,
            lists,
            problems: Vec::new(),
            works: Works::new(),
            lenient,
        };
        let nodes = form.nodes.len();
        let mut relevant: Vec<Option<Code>> = Vec::with_capacity(nodes);
        let mut read_only = Vec::with_capacity(nodes);
        let mut counts: Vec<Option<Code>> = form.scopes.iter().map(|_| None).collect();
        let mut by_row = vec![false; form.scopes.len()];
        for (id, node) in form.nodes.iter().enumerate() {
            let (code, own_row) = builder.relevance(id);
            relevant.push(code);
            if let Some(flag) = by_row.get_mut(node.scope)
                && node.kind == NodeKind::Repeat
            {
                *flag = own_row;
            }
            let spot = builder.spot(id);
            let code = builder.expression(node.read_only.as_ref(), spot);
            read_only.push(code.map(|resolved| resolved.code));
            if node.kind == NodeKind::Repeat {
                let count = builder.count(id);
                if let Some(slot) = counts.get_mut(node.scope) {
                    *slot = count;
                }
            }
        }
        let mut rules: Vec<Rules> = (0..form.questions.len()).map(|question| builder.rules(question)).collect();
        let name = questionnaire
            .instance_name
            .as_ref()
            .and_then(|name| builder.resolve(|resolver| resolver.resolve_setting(name)))
            .map(|resolved| resolved.code);
        let Builder { mut lists, mut problems, works, .. } = builder;
        let mut open = BTreeSet::new();
        let graph = order(&form, works, &mut open).unwrap_or_else(|cycles| {
            problems.extend(cycles.iter().filter_map(|cycle| describe(&form, cycle)));
            Graph::default()
        });
        problems.sort_by(|a, b| (&a.sheet, a.row, &a.column).cmp(&(&b.sheet, b.row, &b.column)));
        let problems = Problems(problems);
        if problems.errors().next().is_some() {
            return Err(problems);
        }
        lists.build(&questionnaire);
        for rules in &mut rules {
            if let (Some((list, index)), None) = (&rules.list, &rules.filter) {
                rules.names = lists.names(&questionnaire, list, *index);
            }
        }
        Ok(Self {
            questionnaire,
            form,
            lists,
            graph,
            rules,
            relevant,
            read_only,
            counts,
            by_row,
            open,
            instance_name: name,
            warnings: problems.0,
            no_rules: Rules::default(),
        })
    }

    pub(crate) fn rules(&self, question: QuestionId) -> &Rules {
        self.rules.get(question).unwrap_or(&self.no_rules)
    }
}

impl Builder<'_> {
    fn spot(&self, node: NodeId) -> Spot {
        Spot { node, scope: self.form.node(node).scope }
    }

    fn expression(&mut self, expression: Option<&Expression>, spot: Spot) -> Option<Resolved> {
        let expression = expression?;
        self.resolve(|resolver| resolver.resolve(expression, spot))
    }

    /// Resolves a node's relevance and notes what it hangs on.
    fn relevance(&mut self, id: NodeId) -> (Option<Code>, bool) {
        let form = self.form;
        let node = form.node(id);
        let resolved = self.expression(node.relevant.as_ref(), self.spot(id));
        let (code, needs, own_row) = match resolved {
            Some(resolved) => (Some(resolved.code), resolved.needs, resolved.own_row),
            None => (None, BTreeSet::new(), false),
        };
        let outer = around(form, id);
        match node.kind {
            NodeKind::Form => {}
            NodeKind::Group | NodeKind::Question(_) => {
                self.need(Work::Relevant(id), needs);
                self.need(Work::Relevant(id), outer.into_iter().collect());
            }
            NodeKind::Repeat => {
                let (rows, whole) = (Work::Row(node.scope), Work::Repeat(node.scope));
                let parent = form.scope(node.scope).parent;
                for source in [Source::Repeat(node.scope), Source::Count(node.scope)] {
                    let common = parent;
                    self.need(rows, BTreeSet::from([Need { source, common }]));
                }
                let source = Source::Repeat(node.scope);
                let whole_first = Need { source, common: parent };
                self.need(Work::Count(node.scope), BTreeSet::from([whole_first]));
                self.need(if own_row { rows } else { whole }, needs);
                self.need(whole, outer.into_iter().collect());
            }
        }
        (code, own_row)
    }

    fn count(&mut self, id: NodeId) -> Option<Code> {
        let form = self.form;
        let node = form.node(id);
        let spot = Spot { node: id, scope: form.scope(node.scope).parent };
        let resolved = self.expression(node.repeat_count.as_ref(), spot)?;
        self.need(Work::Count(node.scope), resolved.needs);
        Some(resolved.code)
    }

    fn rules(&mut self, id: QuestionId) -> Rules {
        let mut rules = Rules::default();
        let form = self.form;
        let Some(asked) = form.asked(id) else {
            return rules;
        };
        let question = &asked.question;
        let spot = self.spot(asked.node);
        let own = Need { source: Source::Cell(id), common: asked.scope };
        rules.triggers = self.triggers(question.trigger.as_ref(), asked.node);
        let calculation = question
            .calculation
            .as_ref()
            .and_then(|calculation| self.resolve(|resolver| resolver.resolve_calculation(calculation, spot)));
        if let Some(resolved) = calculation {
            if rules.triggers.is_empty() {
                rules.saved = resolved.volatile;
                let mut needs = resolved.needs;
                needs.insert(Need { source: Source::Node(asked.node), common: asked.scope });
                self.need(Work::Value(id), needs);
            }
            rules.calculation = Some(resolved.code);
        }
        let mut checked = BTreeSet::from([own]);
        if let Some(resolved) = self.expression(question.constraint.as_ref(), spot) {
            rules.reads.constraint = resolved.needs;
            rules.constraint = Some(resolved.code);
        }
        if let Some(resolved) = self.expression(question.required.as_ref(), spot) {
            rules.reads.required = resolved.needs;
            rules.required = Some(resolved.code);
        }
        self.choices(id, &mut rules);
        let Reads { constraint, required, choice } = &rules.reads;
        checked.extend(constraint.iter().chain(required).chain(choice));
        self.need(Work::Check(id), checked);
        rules.default = self.default(question.default.as_ref(), spot);
        rules
    }

    /// Resolves where the choices come from and which are offered.
    fn choices(&mut self, id: QuestionId, rules: &mut Rules) {
        let form = self.form;
        let Some(asked) = form.asked(id) else { return };
        let question = &asked.question;
        let Some(select) = question.kind.select() else {
            return;
        };
        let spot = self.spot(asked.node);
        let filter = question.choice_filter.as_ref();
        if let ChoiceSource::Rows(row_choice) = &select.source {
            let mut scope = ROOT;
            for key in &row_choice.repeats {
                let Some(inner) = form.inner_scope(scope, key) else {
                    return;
                };
                scope = inner;
            }
            rules.rows = Some(scope);
            let common = form.common(asked.scope, form.scope(scope).parent);
            for inner in form.chain(common, scope) {
                rules.reads.choice.insert(Need { source: Source::Rows(inner), common });
            }
            let resolved =
                filter.and_then(|filter| self.resolve(|resolver| resolver.resolve_row_filter(filter, spot, scope)));
            if let Some(resolved) = resolved {
                rules.reads.choice.extend(resolved.needs);
                rules.filter = Some(resolved.code);
            }
            return;
        }
        let Some(list) = super::choices::list_of(&select.source) else {
            return;
        };
        let (name, _) = super::choices::columns(question);
        let names = self.lists.index(&list, name);
        let resolved = filter.and_then(|filter| self.resolve(|resolver| resolver.resolve_filter(filter, spot)));
        if let Some(resolved) = resolved {
            rules.key = self.resolve_key(&list, &resolved.code);
            rules.reads.choice.extend(resolved.needs);
            rules.filter = Some(resolved.code);
        }
        rules.list = Some((list, names));
    }

    fn resolve_key(&mut self, list: &ListName, filter: &Code) -> Option<super::code::ListKey> {
        Resolver::new(self.form, self.questionnaire, &mut self.lists, &mut self.problems, self.lenient)
            .list_key(list, filter)
    }

    /// Resolves a default that is computed; any other is a text as it stands.
    fn default(&mut self, expression: Option<&Expression>, spot: Spot) -> Option<Code> {
        let expression = expression?;
        let text = expression.text.trim();
        let calls = text
            .split('(')
            .next()
            .is_some_and(|name| text.contains('(') && crate::expr::Function::from_name(name.trim()).is_some());
        if !text.contains("${") && !calls {
            return Some(Code::Text(Arc::from(text)));
        }
        self.resolve(|resolver| resolver.resolve(expression, spot)).map(|resolved| resolved.code)
    }

    /// Finds the questions that a trigger names, in `${…}` each.
    fn triggers(&mut self, trigger: Option<&Expression>, node: NodeId) -> Vec<QuestionId> {
        let Some(trigger) = trigger else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut rest = trigger.text.as_str();
        while let Some((_, after)) = rest.split_once("${") {
            let Some((name, next)) = after.split_once('}') else {
                break;
            };
            rest = next;
            match self.form.nearest(name.trim(), node).map(|id| self.form.node(id).kind) {
                Some(NodeKind::Question(question)) => found.push(question),
                Some(NodeKind::Form | NodeKind::Group | NodeKind::Repeat) | None => {
                    self.problems.push(Problem {
                        severity: Severity::Error,
                        sheet: "survey".to_owned(),
                        row: trigger.row,
                        column: trigger.column.clone(),
                        code: ProblemCode::ReferenceUnknown,
                        message: format!("The trigger {name} is no question."),
                        fix: "Write the name of a question: ${name}.".to_owned(),
                    });
                }
            }
        }
        found
    }
}

/// Orders the steps; a repeat whose count hangs on its own rows is opened, so that the count hides none of them.
///
/// JavaRosa asks for rows one by one, and such forms ask for another row as long as the last one says so.
fn order(form: &Form, mut works: Works, open: &mut BTreeSet<ScopeId>) -> Result<Graph, Vec<Vec<Work>>> {
    loop {
        let cycles = match Graph::build(form, &works) {
            Ok(graph) => return Ok(graph),
            Err(cycles) => cycles,
        };
        let closed = cycles.iter().flatten().find_map(|work| match work {
            Work::Count(scope) if !open.contains(scope) => Some(*scope),
            Work::Count(_) | Work::Relevant(_) | Work::Repeat(_) | Work::Row(_) | Work::Value(_) | Work::Check(_) => {
                None
            }
        });
        let Some(scope) = closed else {
            return Err(cycles);
        };
        open.insert(scope);
        if let Some(needs) = works.get_mut(&Work::Row(scope)) {
            needs.retain(|need| need.source != Source::Count(scope));
        }
    }
}

/// Says which expressions go round in a circle, at the first of them in the form.
fn describe(form: &Form, cycle: &[Work]) -> Option<Problem> {
    let place = |work: &Work| -> Option<(String, &Expression)> {
        let node = match *work {
            Work::Relevant(node) => node,
            Work::Repeat(scope) | Work::Row(scope) | Work::Count(scope) => form.scope(scope).node,
            Work::Value(question) | Work::Check(question) => form.asked(question)?.node,
        };
        let (name, node) = (form.node(node).name.clone(), form.node(node));
        let expression = match (*work, node.kind) {
            (Work::Value(_), NodeKind::Question(question)) => form.asked(question)?.question.calculation.as_ref(),
            (Work::Count(_), _) => node.repeat_count.as_ref(),
            _ => node.relevant.as_ref(),
        };
        Some((name, expression?))
    };
    let mut places: Vec<(String, &Expression)> = cycle.iter().filter_map(place).collect();
    places.dedup_by(|a, b| a.0 == b.0);
    let (_, expression) = places.iter().min_by_key(|(_, expression)| expression.row)?;
    let mut names: Vec<&str> = places.iter().rev().map(|(name, _)| name.as_str()).collect();
    if let Some(first) = names.first().copied() {
        names.push(first);
    }
    Some(Problem {
        severity: Severity::Error,
        sheet: "survey".to_owned(),
        row: expression.row,
        column: expression.column.clone(),
        code: ProblemCode::ExpressionCycle,
        message: format!("Expressions hang on each other in a circle: {}.", names.join(" → ")),
        fix: "Break the circle: take one of the references out.".to_owned(),
    })
}

/// Tells whether a kind of question is answered by a person.
pub(crate) fn is_answered(kind: &Kind) -> bool {
    kind.is_shown() && kind.holds_value()
}
