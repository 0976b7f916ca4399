//! Whether every `${name}` in the workbook means something.

use std::collections::BTreeSet;

use super::columns::{Row, Table, Target};
use super::log::{Log, Spot};
use super::settings::Settings;
use crate::model::Item;
use crate::problem::ProblemCode;

/// Checks the references in survey, choices and settings.
pub(super) fn check(
    items: &[Item],
    survey: &Table<'_>,
    choices: Option<&Table<'_>>,
    settings: &Settings,
    log: &mut Log,
) {
    let mut names = BTreeSet::new();
    collect(items, &mut names);
    let rows = survey.rows().filter(|row| !super::survey::is_disabled(*row));
    for row in rows.chain(choices.into_iter().flat_map(Table::rows)) {
        check_row(row, &names, log);
    }
    if let Some(name) = &settings.instance_name {
        check_text(&name.text, settings.spot("instance_name"), &names, log);
    }
}

fn collect<'a>(items: &'a [Item], names: &mut BTreeSet<&'a str>) {
    for item in items {
        names.insert(item.name());
        match item {
            Item::Question(_) => {}
            Item::Group(group) => collect(&group.children, names),
            Item::Repeat(repeat) => collect(&repeat.children, names),
        }
    }
}

fn check_row(row: Row<'_>, names: &BTreeSet<&str>, log: &mut Log) {
    for (target, cell) in row.cells() {
        // Row choices in the type column have their own check.
        if matches!(target, Target::Ignored | Target::Plain("type" | "name" | "list_name")) {
            continue;
        }
        check_text(cell.text, Spot::new(row.sheet(), row.number(), cell.header), names, log);
    }
}

fn check_text(text: &str, spot: Spot<'_>, names: &BTreeSet<&str>, log: &mut Log) {
    let mut told = BTreeSet::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let Some((inside, next)) = after.split_once('}').filter(|(inside, _)| !inside.contains("${")) else {
            log.error(
                spot,
                ProblemCode::ReferenceUnclosed,
                "A ${ has no } after its name.",
                "Write the name in braces: ${name}.",
            );
            rest = after;
            continue;
        };
        rest = next;
        let name = inside.trim();
        let name = name.strip_prefix("last-saved#").unwrap_or(name);
        if !names.contains(name) && told.insert(name) {
            let alike = names.iter().find(|known| known.eq_ignore_ascii_case(name));
            let fix = match alike {
                Some(known) => format!("Write ${{{known}}}: capital letters count."),
                None => "Correct the name, or add the question.".to_owned(),
            };
            log.error(spot, ProblemCode::ReferenceUnknown, format!("There is no question or group {name}."), fix);
        }
    }
}
