//! How the key of an answer is formed from its name and, where that is not enough, its groups.
//!
//! DESIGN §4: groups are no part of an answer's path, so that a question that moves to another group keeps its answers;
//! where two groups of one scope (the form, or one repeat) hold a question of one name, the group stands before it.

use std::collections::{BTreeMap, BTreeSet};

use super::Item;

/// Reports two rows whose answers would be stored under one key.
#[derive(Debug)]
pub(crate) struct KeyProblem {
    pub(crate) key: String,
    pub(crate) first_row: u32,
    pub(crate) row: u32,
}

/// One question or repeat of a scope: the groups above it, its name, its row.
struct Named {
    groups: Vec<String>,
    name: String,
    row: u32,
}

impl Named {
    fn key(&self, groups: usize) -> String {
        let skip = self.groups.len().saturating_sub(groups);
        let mut key = String::new();
        for group in self.groups.iter().skip(skip) {
            key.push_str(group);
            key.push('.');
        }
        key.push_str(&self.name);
        key
    }
}

/// Gives every question and repeat its key, and returns the clashes that are left.
pub(crate) fn assign_keys(items: &mut [Item]) -> Vec<KeyProblem> {
    let mut named = Vec::new();
    collect(items, &mut Vec::new(), &mut named);
    let keys = keys_of(&named);

    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, &Named> = BTreeMap::new();
    for (key, one) in keys.iter().zip(&named) {
        match seen.get(key.as_str()) {
            // The reader reports the same name twice in one group by itself.
            Some(first) if first.groups == one.groups && first.name == one.name => {}
            Some(first) => problems.push(KeyProblem { key: key.clone(), first_row: first.row, row: one.row }),
            None => {
                seen.insert(key, one);
            }
        }
    }
    let mut keys = keys.into_iter();
    set(items, &mut keys, &mut problems);
    problems
}

fn collect(items: &[Item], groups: &mut Vec<String>, named: &mut Vec<Named>) {
    for item in items {
        match item {
            Item::Group(group) => {
                groups.push(group.name.clone());
                collect(&group.children, groups, named);
                groups.pop();
            }
            Item::Question(_) | Item::Repeat(_) => {
                named.push(Named { groups: groups.clone(), name: item.name().to_owned(), row: item.row() });
            }
        }
    }
}

/// Puts as many groups before each name as it takes to tell it from the others, the nearest first.
fn keys_of(named: &[Named]) -> Vec<String> {
    let mut depth = vec![0_usize; named.len()];
    let mut keys: Vec<String> = named.iter().map(|one| one.key(0)).collect();
    loop {
        let mut count: BTreeMap<&str, u32> = BTreeMap::new();
        for key in &keys {
            *count.entry(key).or_default() += 1;
        }
        let shared: BTreeSet<String> =
            count.into_iter().filter(|&(_, count)| count > 1).map(|(key, _)| key.to_owned()).collect();
        let mut grew = false;
        for ((key, depth), one) in keys.iter_mut().zip(&mut depth).zip(named) {
            if shared.contains(key) && *depth < one.groups.len() {
                *depth += 1;
                *key = one.key(*depth);
                grew = true;
            }
        }
        if !grew {
            return keys;
        }
    }
}

fn set(items: &mut [Item], keys: &mut std::vec::IntoIter<String>, problems: &mut Vec<KeyProblem>) {
    for item in items {
        match item {
            Item::Group(group) => set(&mut group.children, keys, problems),
            Item::Question(question) => question.key = keys.next().unwrap_or_default(),
            Item::Repeat(repeat) => {
                repeat.key = keys.next().unwrap_or_default();
                problems.extend(assign_keys(&mut repeat.children));
            }
        }
    }
}
