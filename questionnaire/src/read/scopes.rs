//! What can only be checked with the whole tree at hand: keys, merge groups, row choices.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::Table;
use super::log::{Log, Spot};
use super::names::MAX_KEY;
use crate::model::{ChoiceSource, Item, Kind, Merge, RowChoice, assign_keys};
use crate::problem::ProblemCode;

/// Gives every question its key, and checks what depends on keys.
pub(super) fn check(items: &mut [Item], survey: &Table<'_>, log: &mut Log) {
    let sheet = survey.sheet.name.as_str();
    for problem in assign_keys(items) {
        log.error(
            Spot::new(sheet, problem.row, survey.header("name")),
            ProblemCode::KeyClash,
            format!("Answers of this row and of row {} would both be stored as {}.", problem.first_row, problem.key),
            "Choose another name for one of the two.",
        );
    }
    let mut merges = Merges::default();
    merges.collect(items, &mut Vec::new());
    merges.check(survey, log);

    let mut earlier = BTreeMap::new();
    earlier_names(items, &mut Vec::new(), &mut earlier);
    check_earlier(&earlier, survey, log);

    let mut targets = BTreeMap::new();
    row_targets(items, &mut Vec::new(), &mut targets);
    resolve(items, &targets, survey, log);
}

/// Repeats' keys down to a scope.
type Path = Vec<String>;

#[derive(Default)]
struct Merges {
    groups: BTreeMap<String, Vec<(Path, u32)>>,
    keys: BTreeMap<(Path, String), u32>,
}

impl Merges {
    fn collect(&mut self, items: &[Item], path: &mut Path) {
        for item in items {
            match item {
                Item::Group(group) => self.collect(&group.children, path),
                Item::Repeat(repeat) => {
                    self.keys.insert((path.clone(), repeat.key.clone()), repeat.row);
                    path.push(repeat.key.clone());
                    self.collect(&repeat.children, path);
                    path.pop();
                }
                Item::Question(question) => {
                    self.keys.insert((path.clone(), question.key.clone()), question.row);
                    if let Merge::Group(name) = &question.merge {
                        self.groups.entry(name.clone()).or_default().push((path.clone(), question.row));
                    }
                }
            }
        }
    }

    fn check(self, survey: &Table<'_>, log: &mut Log) {
        for ((_, key), row) in &self.keys {
            // A name by itself was checked with its row.
            if key.len() > MAX_KEY && key.contains('.') {
                log.error(
                    Spot::new(&survey.sheet.name, *row, survey.header("name")),
                    ProblemCode::NameInvalid,
                    format!("With the groups that tell it apart the name is {} bytes long.", key.len()),
                    format!("Shorten it to {MAX_KEY}, or choose a name that no other group has."),
                );
            }
        }
        let header = survey.header("tenun::merge");
        for (name, members) in &self.groups {
            let Some((first_path, first_row)) = members.first() else {
                continue;
            };
            let spot = Spot::new(&survey.sheet.name, *first_row, header);
            if members.len() < 2 {
                log.error(
                    spot,
                    ProblemCode::MergeInvalid,
                    format!("The merge group {name} has one member only."),
                    "Write the same name at the other questions that belong together, or clear the cell.",
                );
            }
            if let Some((_, row)) = members.iter().find(|(path, _)| path != first_path) {
                log.error(
                    Spot::new(&survey.sheet.name, *row, header),
                    ProblemCode::MergeInvalid,
                    format!("The merge group {name} has members in two repeats (see row {first_row})."),
                    "A merge group lies in one repeat, or outside of all: use two names.",
                );
            }
            let paths: BTreeSet<&Path> = members.iter().map(|(path, _)| path).collect();
            if let Some(row) = paths.into_iter().find_map(|path| self.keys.get(&(path.clone(), name.clone()))) {
                log.error(
                    spot,
                    ProblemCode::KeyClash,
                    format!("The merge group {name} has the name of row {row}."),
                    "Choose another name for the merge group.",
                );
            }
        }
    }
}

/// Today's and earlier keys of a scope, each with the row that has or had it.
#[derive(Default)]
struct Names {
    today: BTreeMap<String, u32>,
    earlier: Vec<(String, u32)>,
}

fn earlier_names(items: &[Item], path: &mut Path, names: &mut BTreeMap<Path, Names>) {
    for item in items {
        let (key, was, row) = match item {
            Item::Group(group) => {
                earlier_names(&group.children, path, names);
                continue;
            }
            Item::Question(question) => (&question.key, &question.was, question.row),
            Item::Repeat(repeat) => (&repeat.key, &repeat.was, repeat.row),
        };
        let here = names.entry(path.clone()).or_default();
        here.today.insert(key.clone(), row);
        here.earlier.extend(was.iter().map(|earlier| (earlier.clone(), row)));
        if let Item::Repeat(repeat) = item {
            path.push(repeat.key.clone());
            earlier_names(&repeat.children, path, names);
            path.pop();
        }
    }
}

/// An earlier name must lead to one question of today, or an old answer would have two places to go to.
fn check_earlier(names: &BTreeMap<Path, Names>, survey: &Table<'_>, log: &mut Log) {
    for Names { today, earlier } in names.values() {
        let mut claimed: BTreeMap<&str, u32> = BTreeMap::new();
        for (name, row) in earlier {
            let taken = today.get(name).or(claimed.get(name.as_str())).copied();
            if let Some(other) = taken {
                log.error(
                    Spot::new(&survey.sheet.name, *row, survey.header("tenun::was")),
                    ProblemCode::EarlierNameTaken,
                    format!("{name} is the name of row {other}, now or before."),
                    "Each earlier name leads to one question: give the other question a name that was never used.",
                );
            }
            claimed.insert(name, *row);
        }
    }
}

/// Where the rows of a row choice are, by name.
type RowTargets = BTreeMap<String, (Path, Option<String>)>;

fn row_targets(items: &[Item], path: &mut Path, targets: &mut RowTargets) {
    for item in items {
        match item {
            Item::Group(group) => row_targets(&group.children, path, targets),
            Item::Repeat(repeat) => {
                path.push(repeat.key.clone());
                targets.entry(repeat.name.clone()).or_insert_with(|| (path.clone(), None));
                row_targets(&repeat.children, path, targets);
                path.pop();
            }
            Item::Question(question) if !path.is_empty() => {
                targets.entry(question.name.clone()).or_insert_with(|| (path.clone(), Some(question.key.clone())));
            }
            Item::Question(_) => {}
        }
    }
}

fn resolve(items: &mut [Item], targets: &RowTargets, survey: &Table<'_>, log: &mut Log) {
    for item in items {
        let question = match item {
            Item::Question(question) => question,
            Item::Group(group) => {
                resolve(&mut group.children, targets, survey, log);
                continue;
            }
            Item::Repeat(repeat) => {
                resolve(&mut repeat.children, targets, survey, log);
                continue;
            }
        };
        let row = question.row;
        if let Kind::SelectOne(select) | Kind::SelectMultiple(select) | Kind::Rank(select) = &mut question.kind
            && let ChoiceSource::Rows(RowChoice { name, repeats, shown }) = &mut select.source
        {
            if let Some((path, key)) = targets.get(name) {
                repeats.clone_from(path);
                shown.clone_from(key);
            } else {
                log.error(
                    Spot::new(&survey.sheet.name, row, survey.header("type")),
                    ProblemCode::RowChoiceInvalid,
                    format!("{name} is neither a repeat nor a question in one."),
                    "Name the repeat whose rows are to be chosen, or the question in it that names a row.",
                );
            }
        }
    }
}
