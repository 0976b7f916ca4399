//! The naive merge: the view of a record by the words of the protocol's section 5, from a plain list of changes.
//!
//! Slow, from scratch, and written without a look at the real one: both must say the same, byte for byte.

use serde_json::{Map, Value as Json, json};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use sync_protocol::{Change, Dot, Op, Path, Place, Stamp};

/// A change and the server's stamp for it.
pub type Stamped = (Change, Option<Stamp>);

/// The time that picks the winner: the greatest for what the server has not stamped.
fn time((change, stamp): &Stamped) -> i64 {
    match stamp {
        Some(stamp) => (change.wall_ms.saturating_sub(stamp.skew_ms)).min(stamp.received_ms),
        None => i64::MAX,
    }
}

/// The live values of every answer: those that no change names as replaced.
#[must_use]
pub fn live(changes: &BTreeMap<Dot, Stamped>) -> BTreeMap<Path, Vec<Dot>> {
    let mut set: BTreeMap<&Path, Vec<Dot>> = BTreeMap::new();
    let mut replaced: BTreeSet<(&Path, Dot)> = BTreeSet::new();
    for (dot, (change, _)) in changes {
        for op in &change.ops {
            if let Op::Set { path, preds, .. } = op {
                set.entry(path).or_default().push(*dot);
                replaced.extend(preds.iter().map(|pred| (path, *pred)));
            }
        }
    }
    let mut live = BTreeMap::new();
    for (path, mut dots) in set {
        dots.retain(|dot| !replaced.contains(&(path, *dot)));
        if !dots.is_empty() {
            dots.sort_by_key(|dot| Reverse((changes.get(dot).map_or(i64::MIN, time), *dot)));
            live.insert(path.clone(), dots);
        }
    }
    live
}

/// A row and every row around it.
fn around(place: &Place) -> Vec<Place> {
    let mut all = Vec::new();
    let mut at = place.clone();
    while let Some((outer, _, _)) = at.clone().split() {
        all.push(at);
        at = outer;
    }
    all
}

#[derive(Default)]
struct Row {
    touched: BTreeSet<Dot>,
    removed: BTreeSet<Dot>,
    adds: Vec<(Dot, i64)>,
}

fn rows(changes: &BTreeMap<Dot, Stamped>) -> BTreeMap<Place, Row> {
    let mut rows: BTreeMap<Place, Row> = BTreeMap::new();
    for (dot, (change, _)) in changes {
        for op in &change.ops {
            match op {
                Op::AddRow { row, order } => {
                    for place in around(row) {
                        rows.entry(place).or_default().touched.insert(*dot);
                    }
                    rows.entry(row.clone()).or_default().adds.push((*dot, *order));
                }
                Op::Set { path, .. } => {
                    for place in around(path.place()) {
                        rows.entry(place).or_default().touched.insert(*dot);
                    }
                }
                Op::RemoveRow { row, preds } => rows.entry(row.clone()).or_default().removed.extend(preds),
                Op::Note { .. } | Op::Void { .. } => {}
            }
        }
    }
    rows
}

fn is_shown(rows: &BTreeMap<Place, Row>, place: &Place) -> bool {
    around(place)
        .iter()
        .all(|place| rows.get(place).is_some_and(|row| row.touched.iter().any(|dot| !row.removed.contains(dot))))
}

/// The canonical view of a record.
#[must_use]
pub fn view(changes: &BTreeMap<Dot, Stamped>) -> Vec<u8> {
    let mut answers = Map::new();
    for (path, dots) in live(changes) {
        let siblings = dots.iter().filter_map(|dot| {
            let (change, stamp) = changes.get(dot)?;
            let value = change.ops.iter().find_map(|op| match op {
                Op::Set { path: at, value, .. } if *at == path => Some(value),
                Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
            })?;
            Some(json!({"value": value, "dot": dot.to_string(), "by": change.author, "at": change.wall_ms, "stamp": stamp}))
        });
        answers.insert(path.to_string(), siblings.collect());
    }
    let all = rows(changes);
    let (mut shown, mut removed) = (Map::new(), Vec::new());
    for (place, row) in &all {
        if is_shown(&all, place) {
            let last = row.adds.iter().max_by_key(|(dot, _)| (changes.get(dot).map(time), *dot));
            let order = last.map_or(i64::MAX, |(_, order)| *order);
            shown.insert(place.to_string(), json!({"order": order, "kept": !row.removed.is_empty()}));
        } else {
            removed.push(place.as_str());
        }
    }
    let mut notes: Vec<Json> = Vec::new();
    let (mut voids, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for (dot, (change, _)) in changes {
        for op in &change.ops {
            match op {
                Op::Note { text } => notes.push(json!({"dot": dot.to_string(), "text": text})),
                Op::Void { preds, .. } => {
                    voids.insert(*dot);
                    covered.extend(preds.iter().copied());
                }
                Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } => {}
            }
        }
    }
    let standing = if voids.is_empty() {
        "valid"
    } else if changes.keys().all(|dot| voids.contains(dot) || covered.contains(dot)) {
        "void"
    } else {
        "kept-despite-void"
    };
    let view = json!({
        "answers": answers, "rows": shown, "removed": removed, "notes": notes, "standing": standing,
        "changes": changes.len(),
    });
    view.to_string().into_bytes()
}
