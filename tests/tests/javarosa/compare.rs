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
    /// `relevance`, `value`, `verdict`, `choices`, `rows` or `refused`.
    pub(crate) what: &'static str,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// How much was compared, and what came out differently (with the path).
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) count: usize,
    pub(crate) differences: Vec<(Difference, String)>,
}

impl Comparison {
    fn hold(&mut self, spot: &Spot<'_>, what: &'static str, ours: &str, theirs: &str, same: bool) {
        self.count += 1;
        if !same {
            let name = spot.item.name().to_owned();
            let difference = Difference { name, what, ours: ours.to_owned(), theirs: theirs.to_owned() };
            self.differences.push((difference, spot.theirs()));
        }
    }
}

/// Compares everything that both engines say.
pub(crate) fn compare(interview: &Interview<'_>, dump: &Dump) -> Comparison {
    let mut comparison = Comparison::default();
    for (command, said) in &dump.errors {
        let name = command.split(['/', ' ']).next_back().unwrap_or_default().to_owned();
        let difference = Difference { name, what: "refused", ours: String::new(), theirs: said.clone() };
        comparison.differences.push((difference, command.clone()));
    }
    if !dump.errors.is_empty() {
        // It stopped in the middle of its calculations: nothing that follows from them can be compared.
        return comparison;
    }
    for spot in interview.spots() {
        match spot.item {
            Item::Question(question) => {
                if let Ok(path) = Path::new(spot.place.clone(), question.key.as_str()) {
                    compare_question(&mut comparison, interview, dump, &spot, question, &path);
                }
            }
            Item::Repeat(_) => {
                let name = spot.theirs();
                let theirs = (1..).take_while(|row| dump.rows.contains_key(&format!("{name}[{row}]"))).count();
                let ours = interview.row_count(&name);
                comparison.hold(&spot, "rows", &ours.to_string(), &theirs.to_string(), ours == theirs);
            }
            Item::Group(_) => {}
        }
    }
    comparison
}

fn compare_question(
    comparison: &mut Comparison,
    interview: &Interview<'_>,
    dump: &Dump,
    spot: &Spot<'_>,
    question: &Question,
    path: &Path,
) {
    let Some(node) = dump.nodes.get(&spot.theirs()) else {
        // Files beside the form have no node.
        if !matches!(question.kind, Kind::XmlExternal | Kind::CsvExternal) {
            comparison.hold(spot, "rows", "a question", "no such node", false);
        }
        return;
    };
    let ours = &interview.ours;
    let relevant = ours.is_relevant(path);
    let word = |relevant: bool| if relevant { "relevant" } else { "irrelevant" };
    comparison.hold(spot, "relevance", word(relevant), word(node.relevant), relevant == node.relevant);
    if !relevant || !node.relevant {
        return;
    }
    if question.kind.holds_value() {
        let value = ours.value(path);
        let same = is_same(&value, &node.value);
        comparison.hold(spot, "value", &value, &node.value, same);
    }
    let verdict = verdict(&ours.faults(path));
    // A calculation has no screen that could ask for it.
    if question.kind.is_shown() {
        let theirs = spoken(node, question);
        comparison.hold(spot, "verdict", verdict, theirs, verdict == theirs);
    }
    if let (Some(select), Some(theirs)) = (question.kind.select(), dump.choices.get(&spot.theirs())) {
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
        comparison.hold(spot, "choices", &offered.join(" "), &theirs.join(" "), offered == theirs);
    }
}

/// Reads an answer's faults as JavaRosa's verdict: it has no word for a wrong type, nor for a choice that is not offered.
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
