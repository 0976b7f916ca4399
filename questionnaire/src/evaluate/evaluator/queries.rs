//! What a screen asks of a record: values, choices, texts with answers in them, what to save.

use sync_protocol::{Missing, Path, Place};

use super::super::choices::Offer;
use super::super::form::{NodeId, NodeKind, QuestionId, ROOT};
use super::super::instance::{Answer, Branch, Instance};
use super::super::machine::Frame;
use super::super::report::{Evaluation, Violation, report, violations};
use super::super::state::{Faults, RowId};
use super::super::typed;
use super::Evaluator;
use crate::evaluate::ViolationKind;
use crate::model::Text;

impl Evaluator {
    /// Returns all that the rules say of the record, in form order.
    pub fn evaluation(&self) -> Evaluation {
        report(self)
    }

    /// Returns what is wrong, in form order: the violations of [`Evaluator::evaluation`] alone.
    pub fn violations(&self) -> Vec<Violation> {
        violations(self)
    }

    /// Returns the answers as they are now: those that are not relevant, too, and rows beyond the count.
    pub fn instance(&self) -> Instance {
        Instance { record: self.branch(ROOT) }
    }

    fn branch(&self, row: RowId) -> Branch {
        let mut branch = Branch::default();
        let at = self.state.row(row);
        let shape = self.program.form.scope(at.scope);
        for (&question, cell) in shape.questions.iter().zip(&at.cells) {
            let answer = match cell.missing {
                Some(missing) => Answer::Missing(missing),
                None if cell.given.is_none() => continue,
                None => Answer::Text(cell.text().to_owned()),
            };
            if let Some(asked) = self.program.form.asked(question) {
                branch.answers.insert(asked.question.key.clone(), answer);
            }
        }
        for (&inner, rows) in shape.inner.iter().zip(&at.inner) {
            if rows.ids.is_empty() {
                continue;
            }
            let key = self.program.form.scope(inner).key.clone();
            let roster = branch.rows.entry(key).or_default();
            for &row in &rows.ids {
                let id = self.state.row(row).id.to_string();
                roster.order.push(id.clone());
                roster.branches.insert(id, self.branch(row));
            }
        }
        branch
    }

    /// Returns the context that the record is evaluated in.
    pub fn context(&self) -> &super::Context {
        &self.context
    }

    /// Tells whether a question is relevant: its own condition and those of all that is around it.
    pub fn is_relevant(&self, path: &Path) -> bool {
        self.locate(path).is_some_and(|(row, question)| {
            let node = self.node_of(question);
            self.state.is_relevant(&self.program.form, row, node)
        })
    }

    /// Tells whether a row is shown: its repeat is relevant and the row not beyond the count.
    pub fn is_shown(&self, place: &Place) -> bool {
        self.row_at(place).is_some_and(|row| self.state.row(row).is_relevant(0))
    }

    /// Tells whether an answer must be given just now.
    pub fn is_required(&self, path: &Path) -> bool {
        self.locate(path).is_some_and(|(row, question)| {
            let node = self.node_of(question);
            let rules = self.program.rules(question);
            self.state.is_relevant(&self.program.form, row, node)
                && rules.required.as_ref().is_some_and(|required| {
                    let machine = self.program.machine(&self.state, &self.context);
                    machine.truth(required, &Frame::new(row, node))
                })
        })
    }

    /// Tells whether an answer can't be changed by hand: by its own condition or that of a group around it.
    pub fn is_read_only(&self, path: &Path) -> bool {
        let Some((row, question)) = self.locate(path) else {
            return false;
        };
        let form = &self.program.form;
        let machine = self.program.machine(&self.state, &self.context);
        let mut node = self.node_of(question);
        while node != ROOT {
            let at = form.node(node);
            if let Some(Some(code)) = self.program.read_only.get(node) {
                let row = self.state.climb(row, at.scope);
                if machine.truth(code, &Frame::new(row, node)) {
                    return true;
                }
            }
            node = at.parent;
        }
        false
    }

    /// Returns an answer or calculated value as text, also where it is not relevant.
    pub fn value(&self, path: &Path) -> String {
        let Some((row, question)) = self.locate(path) else {
            return String::new();
        };
        let cell = self.state.cell(&self.program.form, row, question);
        let rules = self.program.rules(question);
        if rules.calculation.is_some() && rules.triggers.is_empty() {
            cell.value.to_text(self.context.zone()).into_owned()
        } else {
            cell.text().to_owned()
        }
    }

    /// Returns why there is no answer, where somebody said why.
    pub fn missing(&self, path: &Path) -> Option<Missing> {
        let (row, question) = self.locate(path)?;
        self.state.cell(&self.program.form, row, question).missing
    }

    /// Returns what is wrong with one answer.
    pub fn faults(&self, path: &Path) -> Vec<ViolationKind> {
        let faults = self.locate(path).map(|(row, question)| self.state.cell(&self.program.form, row, question).faults);
        kinds(faults.unwrap_or_default())
    }

    /// Returns the choices that a question offers just now.
    pub fn choices(&self, path: &Path) -> Vec<Offer> {
        let Some((row, question)) = self.locate(path) else {
            return Vec::new();
        };
        let machine = self.program.machine(&self.state, &self.context);
        self.program.offers(&machine, question, row)
    }

    /// Returns the ids of a repeat's shown rows, in order.
    pub fn rows(&self, outer: &Place, repeat: &str) -> Vec<String> {
        let form = &self.program.form;
        let Some(row) = self.row_at(outer) else {
            return Vec::new();
        };
        let Some(scope) = form.inner_scope(self.state.row(row).scope, repeat) else {
            return Vec::new();
        };
        let shown = self.state.inner(row, form.scope(scope).slot).shown();
        shown
            .iter()
            .filter(|&&row| self.state.row(row).is_relevant(0))
            .map(|&row| self.state.row(row).id.to_string())
            .collect()
    }

    /// Tells whether a repeat is relevant, whether it has rows or not.
    pub fn is_repeat_relevant(&self, outer: &Place, repeat: &str) -> bool {
        let form = &self.program.form;
        let Some(row) = self.row_at(outer) else {
            return false;
        };
        let scope = form.inner_scope(self.state.row(row).scope, repeat);
        scope.is_some_and(|scope| self.state.inner(row, form.scope(scope).slot).relevant)
    }

    /// Returns how many rows the `repeat_count` of a repeat asks for; none where it has none.
    ///
    /// A count that has no number asks for the rows that are there.
    pub fn row_count(&self, outer: &Place, repeat: &str) -> Option<usize> {
        let form = &self.program.form;
        let row = self.row_at(outer)?;
        let scope = form.inner_scope(self.state.row(row).scope, repeat)?;
        let rows = self.state.inner(row, form.scope(scope).slot);
        let is_counted = matches!(self.program.counts.get(scope), Some(Some(_)));
        if is_counted { Some(rows.wanted.unwrap_or(rows.ids.len())) } else { None }
    }

    /// Tells whether some calculated values are to be saved as answers (`once`, `random`, `uuid`).
    pub fn keeps_values(&self) -> bool {
        self.program.rules.iter().any(|rules| rules.saved)
    }

    /// Returns the value that a question begins with: its default, computed where it is an expression.
    ///
    /// To be saved as an answer when the record or row is made (ODK XForms, `odk-instance-first-load`).
    pub fn default_value(&self, path: &Path) -> Option<String> {
        let (row, question) = self.locate(path)?;
        let asked = self.program.form.asked(question)?;
        let code = self.program.rules(question).default.as_ref()?;
        let machine = self.program.machine(&self.state, &self.context);
        let frame = Frame::new(row, asked.node);
        machine.seed(&frame);
        let zone = self.context.zone();
        let value = typed::calculated(&asked.question.kind, machine.value(code, &frame), zone);
        Some(value.to_text(zone).into_owned()).filter(|text| !text.is_empty())
    }

    /// Returns what is to be saved because an answer was changed by a person: triggered values with their paths.
    pub fn triggered_by(&self, path: &Path) -> Vec<(Path, String)> {
        let Some((row, changed)) = self.locate(path) else {
            return Vec::new();
        };
        let form = &self.program.form;
        let mut found = Vec::new();
        for (question, asked) in form.questions.iter().enumerate() {
            let rules = self.program.rules(question);
            if !rules.triggers.contains(&changed) || rules.calculation.is_none() {
                continue;
            }
            let common = form.common(self.state.row(row).scope, asked.scope);
            let from = self.state.climb(row, common);
            for row in self.state.descendants(form, from, asked.scope) {
                let value = self.program.calculate(question, row, &self.state, &self.context, false);
                let text = value.to_text(self.context.zone()).into_owned();
                if let Some(path) = self.path_of(row, &asked.question.key) {
                    found.push((path, text));
                }
            }
        }
        found
    }

    /// Returns a text in a language with the answers that `${…}` names in it, seen from a place or question.
    pub fn text(&self, at: &Path, text: &Text, language: &str) -> String {
        let (row, node) = match self.locate(at) {
            Some((row, question)) => (row, self.node_of(question)),
            None => {
                let row = self.row_at(at.place()).unwrap_or(ROOT);
                let scope = self.state.row(row).scope;
                (row, self.program.form.scope(scope).node)
            }
        };
        self.filled(self.program.questionnaire.text(text, language), row, node)
    }

    /// Returns the name of the record by the setting `instance_name`.
    pub fn instance_name(&self) -> Option<String> {
        let code = self.program.instance_name.as_ref()?;
        let machine = self.program.machine(&self.state, &self.context);
        let value = machine.value(code, &Frame::new(ROOT, ROOT));
        Some(value.to_text(self.context.zone()).into_owned())
    }

    /// Puts answers in the places that a text has for them.
    pub(crate) fn filled(&self, text: &str, row: RowId, node: NodeId) -> String {
        let machine = self.program.machine(&self.state, &self.context);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, next)) = after.split_once('}') else {
                rest = after;
                break;
            };
            let value = machine.named(name.trim(), row, node);
            out.push_str(&value.to_text(self.context.zone()));
            rest = next;
        }
        out.push_str(rest);
        out
    }

    pub(crate) fn path_of(&self, row: RowId, key: &str) -> Option<Path> {
        Path::new(self.place_of(row)?, key).ok()
    }

    fn place_of(&self, row: RowId) -> Option<Place> {
        let mut steps = Vec::new();
        let mut row = row;
        while row != ROOT {
            let at = self.state.row(row);
            steps.push((self.program.form.scope(at.scope).key.as_str(), at.id.clone()));
            row = at.parent;
        }
        let mut place = Place::record();
        for (repeat, id) in steps.iter().rev() {
            place = place.row(repeat, id).ok()?;
        }
        Some(place)
    }

    pub(super) fn node_of(&self, question: QuestionId) -> NodeId {
        let form = &self.program.form;
        let node = form.asked(question).map_or(ROOT, |asked| asked.node);
        debug_assert!(matches!(form.node(node).kind, NodeKind::Question(_) | NodeKind::Form));
        node
    }
}

pub(crate) fn kinds(faults: Faults) -> Vec<ViolationKind> {
    [
        (faults.kind, ViolationKind::Type),
        (faults.choice, ViolationKind::Choice),
        (faults.constraint, ViolationKind::Constraint),
        (faults.required, ViolationKind::Required),
    ]
    .into_iter()
    .filter(|(broken, _)| *broken)
    .map(|(_, kind)| kind)
    .collect()
}
