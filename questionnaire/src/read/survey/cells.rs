//! One row of the survey sheet: its cells to a question, group or repeat, and the checks that need no other row.

use std::collections::BTreeMap;

use crate::model::{Expression, Group, Item, Kind, Merge, Question, Repeat, Text};
use crate::problem::ProblemCode;
use crate::read::choices::in_language;
use crate::read::columns::{Row, flag};
use crate::read::log::Log;
use crate::read::names::{is_key, is_xml_name};

pub(super) fn group(row: Row<'_>, name: String, log: &mut Log) -> Item {
    if row.cell("repeat_count").is_some() {
        log.soft(
            row.spot("repeat_count"),
            ProblemCode::ColumnMisplaced,
            "A group has no repeat_count.",
            "Make it a repeat (begin_repeat, end_repeat), or clear the cell.",
        );
    }
    if row.cell("tenun::was").is_some() {
        misplaced(row, "tenun::was", log);
    }
    Item::Group(Group {
        name,
        row: row.number(),
        label: row.text("label"),
        media: row.media(),
        relevant: row.condition("relevant"),
        read_only: row.condition("read_only"),
        appearance: row.word("appearance").unwrap_or_default().to_owned(),
        children: Vec::new(),
    })
}

pub(super) fn repeat(row: Row<'_>, name: String, log: &mut Log) -> Item {
    Item::Repeat(Repeat {
        key: String::new(),
        name,
        row: row.number(),
        label: row.text("label"),
        media: row.media(),
        relevant: row.condition("relevant"),
        read_only: row.condition("read_only"),
        appearance: row.word("appearance").unwrap_or_default().to_owned(),
        repeat_count: row.expression("repeat_count"),
        was: was(row, log),
        children: Vec::new(),
    })
}

pub(super) fn question(row: Row<'_>, name: String, kind: Kind, log: &mut Log) -> Question {
    Question {
        key: String::new(),
        row: row.number(),
        label: row.text("label"),
        hint: row.text("hint"),
        guidance: row.text("guidance"),
        media: row.media(),
        required: row.condition("required"),
        required_message: row.text("required_message"),
        relevant: row.condition("relevant"),
        constraint: row.expression("constraint"),
        constraint_message: row.text("constraint_message"),
        calculation: row.expression("calculation"),
        default: row.expression("default"),
        choice_filter: row.expression("choice_filter"),
        read_only: row.condition("read_only"),
        trigger: row.expression("trigger"),
        appearance: row.word("appearance").unwrap_or_default().to_owned(),
        parameters: parameters(row, log),
        attributes: row.others(),
        personal: personal(row, log),
        merge: merge(row, &kind, log),
        updates_household: household(row, &name, log),
        was: was(row, log),
        name,
        kind,
    }
}

/// Makes the text question that `or_other` asks for, as pyxform names it.
pub(super) fn other_text(question: &Question) -> Option<Question> {
    if !question.kind.select()?.or_other {
        return None;
    }
    let mut label = Text::default();
    for (language, _) in question.label.iter() {
        label.set(language, in_language(language, "Specify other.", "Sebutkan lainnya."));
    }
    if label.is_empty() {
        label.set("", "Specify other.");
    }
    let relevant = question.relevant.as_ref();
    Some(Question {
        name: format!("{}_other", question.name),
        key: String::new(),
        kind: Kind::Text,
        row: question.row,
        label,
        relevant: Some(Expression {
            text: format!("selected(${{{}}}, 'other')", question.name),
            row: question.row,
            column: relevant.map_or_else(|| "relevant".to_owned(), |relevant| relevant.column.clone()),
        }),
        hint: Text::default(),
        guidance: Text::default(),
        media: BTreeMap::new(),
        required: None,
        required_message: Text::default(),
        constraint: None,
        constraint_message: Text::default(),
        calculation: None,
        default: None,
        choice_filter: None,
        read_only: None,
        trigger: None,
        appearance: String::new(),
        parameters: BTreeMap::new(),
        attributes: BTreeMap::new(),
        personal: question.personal,
        merge: Merge::Alone,
        updates_household: None,
        was: Vec::new(),
    })
}

fn misplaced(row: Row<'_>, column: &'static str, log: &mut Log) {
    log.soft(
        row.spot(column),
        ProblemCode::ColumnMisplaced,
        format!("{column} has no meaning in this row."),
        "Clear the cell.",
    );
}

pub(super) fn check_frame_columns(row: Row<'_>, is_repeat: bool, log: &mut Log) {
    for column in ["tenun::merge", "tenun::personal", "tenun::household"] {
        // Whoever marks a whole group as personal must learn that it has no effect.
        if row.cell(column).is_some() {
            log.error(
                row.spot(column),
                ProblemCode::ColumnMisplaced,
                format!("{column} has no meaning for a {}.", if is_repeat { "repeat" } else { "group" }),
                "Write it at each question inside.",
            );
        }
    }
}

pub(super) fn check_question(row: Row<'_>, question: &Question, log: &mut Log) {
    if row.cell("repeat_count").is_some() {
        misplaced(row, "repeat_count", log);
    }
    if question.kind.is_shown()
        && question.label.is_empty()
        && question.media.is_empty()
        && question.hint.is_empty()
        && question.calculation.is_none()
    {
        log.warn(
            row.spot("label"),
            ProblemCode::LabelMissing,
            format!("The question {} has no label.", question.name),
            "Write what the enumerator is to read.",
        );
    }
    if !question.constraint_message.is_empty() && question.constraint.is_none() {
        log.warn(
            row.spot("constraint_message"),
            ProblemCode::MessageWithoutConstraint,
            format!("The question {} has a message but no constraint.", question.name),
            "Write the constraint, or clear the message.",
        );
    }
    if question.choice_filter.is_some() && question.kind.select().is_none() {
        log.warn(
            row.spot("choice_filter"),
            ProblemCode::ColumnMisplaced,
            format!("The question {} has a choice_filter but no choices.", question.name),
            "Clear the cell.",
        );
    }
    if question.kind == Kind::Calculate && question.calculation.is_none() && question.default.is_none() {
        log.soft(
            row.spot("calculation"),
            ProblemCode::CalculationMissing,
            format!("The calculate {} has no calculation.", question.name),
            "Write the expression, or use the type hidden.",
        );
    }
    if question.kind.is_attachment() {
        check_attachment(row, question, log);
    }
    if question.kind == Kind::Range {
        for name in ["start", "end", "step"] {
            if let Some(value) = question.parameters.get(name)
                && value.parse::<f64>().is_err()
            {
                log.error(
                    row.spot("parameters"),
                    ProblemCode::ParametersMalformed,
                    format!("The parameter {name} is {value}, which is no number."),
                    "Write for instance start=0 end=10 step=1.",
                );
            }
        }
    }
}

/// Checks what a question about an attachment asks for.
fn check_attachment(row: Row<'_>, question: &Question, log: &mut Log) {
    let given = |name: &str| question.parameters.get(name).map(String::as_str);
    let mut wrong = |message: String, fix: &str| {
        log.error(row.spot("parameters"), ProblemCode::ParametersMalformed, message, fix);
    };
    if let Some(value) = given("max-pixels")
        && value.parse::<u32>().map_or(true, |pixels| pixels == 0)
    {
        wrong(
            format!("The parameter max-pixels is {value}, which is no number of pixels."),
            "Write the longest edge in pixels, for instance max-pixels=1024.",
        );
    }
    if let Some(value) = given("metadata")
        && !matches!(value, "keep" | "strip")
    {
        wrong(
            format!("The parameter metadata is {value}."),
            "Write metadata=keep, or leave it out: then place, time and device are taken out of a picture.",
        );
    }
}

/// Reads `name=value` pairs that white space, commas or semicolons separate.
fn parameters(row: Row<'_>, log: &mut Log) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let Some(cell) = row.cell("parameters") else {
        return parameters;
    };
    let mut text = cell.text.trim().to_owned();
    for (loose, tight) in [(" =", "="), ("= ", "=")] {
        while text.contains(loose) {
            text = text.replace(loose, tight);
        }
    }
    for pair in text.split([' ', '\t', '\n', '\r', ',', ';']).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() && !parameters.contains_key(name) => {
                parameters.insert(name.to_owned(), value.to_owned());
            }
            Some(_) | None => log.error(
                row.spot("parameters"),
                ProblemCode::ParametersMalformed,
                format!("{pair} is no parameter, or one given twice."),
                "Write name=value, one after the other with a space between.",
            ),
        }
    }
    parameters
}

fn personal(row: Row<'_>, log: &mut Log) -> bool {
    let Some(cell) = row.cell("tenun::personal") else {
        return false;
    };
    flag(cell.text).unwrap_or_else(|| {
        log.error(
            row.spot("tenun::personal"),
            ProblemCode::FlagInvalid,
            format!("{} is neither yes nor no.", cell.text.trim()),
            "Write yes for personal data, or clear the cell.",
        );
        true
    })
}

fn merge(row: Row<'_>, kind: &Kind, log: &mut Log) -> Merge {
    let Some(name) = row.word("tenun::merge") else {
        return Merge::Alone;
    };
    let mut wrong = |message: String, fix: &str| {
        log.error(row.spot("tenun::merge"), ProblemCode::MergeInvalid, message, fix);
        Merge::Alone
    };
    if name == "union" {
        if matches!(kind, Kind::SelectMultiple(_)) {
            Merge::Union
        } else {
            wrong(format!("A {} can't be merged by union.", kind.name()), "Use union for a select_multiple only.")
        }
    } else if !is_xml_name(name) {
        wrong(
            format!("The name {name} of the merge group can't be used."),
            "Begin with a letter or _, go on with letters, digits, _, - or a point.",
        )
    } else if !kind.holds_value() || *kind == Kind::Calculate {
        wrong(format!("A {} has no answer to merge.", kind.name()), "Clear the cell.")
    } else if kind.is_attachment() {
        wrong(format!("A {} can't be a member of a merge group.", kind.name()), "Clear the cell.")
    } else {
        Merge::Group(name.to_owned())
    }
}

fn household(row: Row<'_>, name: &str, log: &mut Log) -> Option<String> {
    let text = row.word("tenun::household")?;
    match flag(text) {
        Some(true) => Some(name.to_owned()),
        Some(false) => None,
        None if is_xml_name(text) => Some(text.to_owned()),
        None => {
            log.error(
                row.spot("tenun::household"),
                ProblemCode::NameInvalid,
                format!("{text} can't be the name of a field of the household."),
                "Write yes, or a name of letters, digits and _.",
            );
            None
        }
    }
}

fn was(row: Row<'_>, log: &mut Log) -> Vec<String> {
    let mut earlier: Vec<String> = Vec::new();
    for text in row.word("tenun::was").unwrap_or_default().split_whitespace() {
        if is_key(text) {
            earlier.push(text.to_owned());
            continue;
        }
        log.error(
            row.spot("tenun::was"),
            ProblemCode::NameInvalid,
            format!("{text} can't have been the name of a question."),
            "Write the names that the question had before, with blanks between them, each with its group and a point before it if it needed one.",
        );
    }
    earlier
}
