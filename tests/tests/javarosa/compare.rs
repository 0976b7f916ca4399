//! Holds what the two engines say of one record side by side.

use questionnaire::{ChoiceSource, Item, Kind, Question, ViolationKind};
use sync_protocol::Path;

use crate::{
    driver::{Dump, Node},
    interview::{Interview, Spot},
};

/// One thing that the engines see differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// The question's or repeat's name.
    pub(crate) name: String,
    /// `relevance`, `value`, `verdict`, `choices`, `rows` or `refused`; `stale` where it is none once JavaRosa works
    /// everything out anew.
    pub(crate) what: &'static str,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// How much was compared, and how much of it says something.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) count: usize,
    /// Questions that both find relevant; of them those that must be answered, and whose answer breaks a constraint.
    pub(crate) relevant: usize,
    pub(crate) required: usize,
    pub(crate) constraint: usize,
}

/// Holds both sides of one record together, and notes what differs.
struct Side<'a> {
    interview: &'a Interview<'a>,
    dump: &'a Dump,
    comparison: &'a mut Comparison,
    differences: Vec<(Difference, String)>,
}

/// Compares everything that both engines say; returns what differs, with its path.
pub(crate) fn compare(
    comparison: &mut Comparison,
    interview: &Interview<'_>,
    dump: &Dump,
) -> Vec<(Difference, String)> {
    let refused = |(command, said): &(String, String)| {
        let name = command.split(['/', ' ']).next_back().unwrap_or_default().to_owned();
        (Difference { name, what: "refused", ours: String::new(), theirs: said.clone() }, command.clone())
    };
    if !dump.errors.is_empty() {
        // It stopped in the middle of its calculations: nothing that follows from them can be compared.
        return dump.errors.iter().map(refused).collect();
    }
    let mut side = Side { interview, dump, comparison, differences: Vec::new() };
    for spot in interview.spots() {
        match spot.item {
            Item::Question(question) => {
                if let Ok(path) = Path::new(spot.place.clone(), question.key.as_str()) {
                    side.question(&spot, question, &path);
                }
            }
            Item::Repeat(_) => {
                let name = spot.theirs();
                let theirs = (1..).take_while(|row| dump.rows.contains_key(&format!("{name}[{row}]"))).count();
                let ours = interview.row_count(&name);
                side.hold(&spot, "rows", &ours.to_string(), &theirs.to_string(), ours == theirs);
            }
            Item::Group(_) => {}
        }
    }
    side.differences
}

impl Side<'_> {
    fn hold(&mut self, spot: &Spot<'_>, what: &'static str, ours: &str, theirs: &str, same: bool) {
        self.comparison.count += 1;
        if !same {
            let name = spot.item.name().to_owned();
            let difference = Difference { name, what, ours: ours.to_owned(), theirs: theirs.to_owned() };
            self.differences.push((difference, spot.theirs()));
        }
    }

    fn question(&mut self, spot: &Spot<'_>, question: &Question, path: &Path) {
        let Some(node) = self.dump.nodes.get(&spot.theirs()) else {
            // Files beside the form have no node.
            if !matches!(question.kind, Kind::XmlExternal | Kind::CsvExternal) {
                self.hold(spot, "rows", "a question", "no such node", false);
            }
            return;
        };
        let ours = &self.interview.ours;
        let relevant = ours.is_relevant(path);
        let word = |relevant: bool| if relevant { "relevant" } else { "irrelevant" };
        self.hold(spot, "relevance", word(relevant), word(node.relevant), relevant == node.relevant);
        if !relevant || !node.relevant {
            return;
        }
        if question.kind.holds_value() {
            let value = ours.value(path);
            let same = is_same(&value, &node.value);
            self.hold(spot, "value", &value, &node.value, same);
        }
        self.comparison.relevant += 1;
        let verdict = verdict(&ours.faults(path));
        // A calculation has no screen that could ask for it.
        if question.kind.is_shown() {
            let theirs = spoken(node, question);
            self.comparison.required += usize::from(theirs == "required");
            self.comparison.constraint += usize::from(theirs == "constraint");
            self.hold(spot, "verdict", verdict, theirs, verdict == theirs);
        }
        if let (Some(select), Some(theirs)) = (question.kind.select(), self.dump.choices.get(&spot.theirs())) {
            let offers = ours.choices(path).into_iter();
            let mut offered: Vec<String> = match &select.source {
                // JavaRosa offers the answers that name the rows, ours the rows themselves.
                ChoiceSource::Rows(_) => offers.map(|offer| offer.label.in_language("").to_owned()).collect(),
                ChoiceSource::List(_) | ChoiceSource::File(_) | ChoiceSource::External(_) => {
                    offers.map(|offer| offer.name).collect()
                }
            };
            let mut theirs = theirs.clone();
            if question.parameters.contains_key("randomize") {
                offered.sort();
                theirs.sort();
            }
            self.hold(spot, "choices", &offered.join(" "), &theirs.join(" "), offered == theirs);
        }
    }
}

/// Reads an answer's faults as JavaRosa's verdict, which has no word for a wrong type or a choice that is not offered.
fn verdict(faults: &[ViolationKind]) -> &'static str {
    if faults.contains(&ViolationKind::Required) {
        "required"
    } else if faults.contains(&ViolationKind::Constraint) {
        "constraint"
    } else {
        "ok"
    }
}

fn spoken<'n>(node: &'n Node, question: &Question) -> &'n str {
    // A note that is required holds no answer, and no one can be asked for it.
    if node.verdict == "required" && !question.kind.holds_value() { "ok" } else { &node.verdict }
}

/// Tells whether two values are the same: as text, or as numbers (several of a fix or line) to nine digits.
fn is_same(ours: &str, theirs: &str) -> bool {
    if ours == theirs {
        return true;
    }
    let numbers = |text: &str| -> Option<Vec<f64>> {
        let parts = text.split([' ', ';']).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().ok().filter(|number: &f64| number.is_finite())).collect()
    };
    let (Some(ours), Some(theirs)) = (numbers(ours), numbers(theirs)) else { return false };
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
    !ours.is_empty() && ours.len() == theirs.len() && ours.iter().zip(&theirs).all(close)
}
