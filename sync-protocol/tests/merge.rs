//! The incremental merge against a naive reference model, on random histories (laws L2, L3, L4).
//!
//! Replicas edit offline, exchange some of what they have in any order, twice or not at all; changes are
//! held back as by a quarantine and arrive late. The reference merges a plain set of changes from scratch.
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
#![expect(clippy::indexing_slicing, reason = "indices are taken modulo the length")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Change, Dot, HouseholdId, Limits, Op, Path, Place, QuestionnaireRef, Record, ReplicaId, Snapshot, Stamp, Subject,
    Value,
    record::{Merge, Standing},
};
use uuid::Uuid;

const REPLICAS: usize = 4;

/// What one replica does.
#[derive(Clone, Debug)]
enum Action {
    Edit {
        path: u8,
        value: u8,
    },
    Resolve {
        path: u8,
        value: u8,
    },
    AddRow {
        row: u8,
    },
    RemoveRow {
        row: u8,
    },
    Note,
    Void,
    /// Takes from another replica those of its changes that the mask picks.
    Receive {
        from: u8,
        mask: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..8_u8, 0..4_u8).prop_map(|(path, value)| Action::Edit { path, value }),
        2 => (0..8_u8, 0..4_u8).prop_map(|(path, value)| Action::Resolve { path, value }),
        2 => (0..4_u8).prop_map(|row| Action::AddRow { row }),
        2 => (0..4_u8).prop_map(|row| Action::RemoveRow { row }),
        1 => Just(Action::Note),
        1 => Just(Action::Void),
        5 => (0..4_u8, any::<u64>()).prop_map(|(from, mask)| Action::Receive { from, mask }),
    ]
}

fn history() -> impl Strategy<Value = Vec<(u8, Action, i64)>> {
    prop::collection::vec((0..4_u8, action(), -1_000_000..1_000_000_i64), 1..60)
}

fn row(n: u8) -> Place {
    let member = Place::record().row("member", &format!("r{}", n % 2)).unwrap();
    if n < 2 { member } else { member.row("job", "j0").unwrap() }
}

/// Two answers of the record, and two in each of three rows.
fn path(n: u8) -> Path {
    let name = if n.is_multiple_of(2) { "floor" } else { "wall" };
    let place = if n < 2 { Place::record() } else { row(n / 2 - 1) };
    Path::new(place, name).unwrap()
}

fn value(n: u8) -> Value {
    // The first two are equal after normalisation.
    Value::text(["caf\u{e9}", "cafe\u{301}", "tin", "brick"][usize::from(n) % 4])
}

/// One replica: what it has, merged as it came.
#[derive(Default)]
struct Replica {
    record: Record,
    has: BTreeSet<Dot>,
    seq: u64,
}

/// A played history: every change, and what each author had seen.
#[derive(Default)]
struct Played {
    changes: BTreeMap<Dot, Change>,
    seen: BTreeMap<Dot, BTreeSet<Dot>>,
}

fn stamp_of(dot: Dot, change: &Change) -> Option<Stamp> {
    // Every third change has not reached the server yet.
    let stamp = Stamp { received_ms: 500_000 + i64::try_from(dot.seq).unwrap(), skew_ms: change.wall_ms / 2 };
    (!dot.seq.is_multiple_of(3)).then_some(stamp)
}

fn play(history: &[(u8, Action, i64)], wrong_clocks: bool) -> Played {
    let mut replicas: Vec<Replica> = (0..REPLICAS).map(|_| Replica::default()).collect();
    let mut played = Played::default();
    for (who, action, clock) in history {
        let at = usize::from(*who) % REPLICAS;
        if let Action::Receive { from, mask } = action {
            let from = usize::from(*from) % REPLICAS;
            let offered: Vec<Dot> = replicas[from].has.iter().copied().collect();
            // Backwards and doubled: the order of arrival must not matter.
            for (n, dot) in offered.iter().enumerate().rev().chain(offered.iter().enumerate()) {
                if mask >> (n % 64) & 1 == 1 {
                    let change = played.changes[dot].clone();
                    let stamp = stamp_of(*dot, &change);
                    replicas[at].record.apply(change, stamp);
                    replicas[at].has.insert(*dot);
                }
            }
            continue;
        }
        let replica = &mut replicas[at];
        let Some(op) = op(&replica.record, action) else {
            continue;
        };
        replica.seq += 1;
        let dot = Dot { replica: ReplicaId(Uuid::from_u128(u128::from(*who) + 1)), seq: replica.seq };
        let change = Change {
            dot,
            subject: Subject::Household(HouseholdId(Uuid::from_u128(77))),
            questionnaire: QuestionnaireRef::household_register(),
            author: format!("KP{who}").into(),
            wall_ms: if wrong_clocks { *clock } else { 0 },
            ops: vec![op],
            instead_of: None,
        };
        played.seen.insert(dot, replica.has.clone());
        let stamp = stamp_of(dot, &change);
        assert!(replica.record.apply(change.clone(), stamp));
        replica.has.insert(dot);
        played.changes.insert(dot, change);
    }
    played
}

fn op(record: &Record, action: &Action) -> Option<Op> {
    Some(match action {
        Action::Edit { path: n, value: v } => {
            let preds = record.answer(&path(*n)).map(|answer| answer.displayed()).unwrap_or_default();
            Op::Set { path: path(*n), value: value(*v), preds }
        }
        Action::Resolve { path: n, value: v } => {
            let preds = record.answer(&path(*n)).map(|answer| answer.all()).unwrap_or_default();
            Op::Set { path: path(*n), value: value(*v), preds }
        }
        Action::AddRow { row: n } => Op::AddRow { row: row(*n), order: i64::from(*n) },
        Action::RemoveRow { row: n } => {
            record.is_shown(&row(*n)).then(|| Op::RemoveRow { row: row(*n), preds: record.touched(&row(*n)) })?
        }
        Action::Note => Op::Note { text: "seen".into() },
        Action::Void => Op::Void { reason: "twice".into(), preds: record.changes().map(|(dot, _)| dot).collect() },
        Action::Receive { .. } => return None,
    })
}

fn merge<'a>(changes: impl Iterator<Item = &'a Change>) -> Record {
    let mut record = Record::new();
    for change in changes {
        record.apply(change.clone(), stamp_of(change.dot, change));
    }
    record
}

/// The naive reference: live values are those that no change names, by a look at every pair.
fn naive_live(played: &Played, path: &Path) -> BTreeSet<(Dot, Value)> {
    let sets = |change: &Change| {
        change.ops.iter().find_map(|op| match op {
            Op::Set { path: at, value, preds } if at == path => Some((value.clone(), preds.clone())),
            Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
        })
    };
    let all: Vec<_> = played.changes.iter().filter_map(|(dot, change)| Some((*dot, sets(change)?))).collect();
    let named = |dot: &Dot| all.iter().any(|(_, (_, preds))| preds.contains(dot));
    all.iter().filter(|(dot, _)| !named(dot)).map(|(dot, (value, _))| (*dot, value.clone())).collect()
}

/// The naive reference: a row is there if some change that touched it is in nobody's removal of it.
fn naive_alive(played: &Played, row: &Place) -> bool {
    let touches = |op: &Op| match op {
        Op::AddRow { row: at, .. } => row.contains(at),
        Op::Set { path, .. } => row.contains(path.place()),
        Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => false,
    };
    let removed: BTreeSet<Dot> = played
        .changes
        .values()
        .flat_map(|change| &change.ops)
        .filter_map(|op| match op {
            Op::RemoveRow { row: at, preds } if at == row => Some(preds.clone()),
            Op::RemoveRow { .. } | Op::AddRow { .. } | Op::Set { .. } | Op::Note { .. } | Op::Void { .. } => None,
        })
        .flatten()
        .collect();
    let alive = |place: &Place| -> bool {
        played.changes.values().any(|change| change.ops.iter().any(touches) && !removed.contains(&change.dot))
            && !place.is_record()
    };
    alive(row) && row.split().is_none_or(|(outer, _, _)| outer.is_record() || naive_alive(played, &outer))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_incremental_merge_is_the_naive_one(history in history()) {
        let played = play(&history, true);
        let record = merge(played.changes.values());
        for n in 0..8 {
            let live: BTreeSet<(Dot, Value)> = record
                .answer(&path(n))
                .map(|answer| answer.siblings.iter().map(|s| (s.dot, s.value.clone())).collect())
                .unwrap_or_default();
            prop_assert_eq!(&live, &naive_live(&played, &path(n)), "siblings of {}", path(n));
            let distinct = live.iter().any(|(_, a)| live.iter().any(|(_, b)| !a.same_as(b)));
            let conflict = record.answer(&path(n)).is_some_and(|answer| answer.is_conflict(Merge::Register));
            prop_assert_eq!(conflict, distinct);
        }
        for n in 0..4 {
            prop_assert_eq!(record.is_shown(&row(n)), naive_alive(&played, &row(n)), "row {}", row(n));
        }
    }

    #[test]
    fn order_repetition_and_delay_do_not_change_the_view(history in history(), seed in any::<u64>()) {
        let played = play(&history, true);
        let forward = merge(played.changes.values()).canonical_view();
        let backward = merge(played.changes.values().rev()).canonical_view();
        prop_assert_eq!(&forward, &backward);
        // Shuffled, doubled, some held back to the very end as by a quarantine.
        let mut shuffled: Vec<&Change> = played.changes.values().chain(played.changes.values()).collect();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let (late, early): (Vec<&Change>, Vec<&Change>) = shuffled.into_iter().partition(|change| change.dot.seq % 5 == 2);
        prop_assert_eq!(&forward, &merge(early.into_iter().chain(late)).canonical_view());
    }

    #[test]
    fn every_answer_is_live_or_replaced_by_somebody_who_saw_it(history in history()) {
        let played = play(&history, true);
        let record = merge(played.changes.values());
        for n in 0..8 {
            let path = path(n);
            let told = record.history(&path);
            for (at, (_, by)) in told.iter().enumerate() {
                let before = told[..at].iter().any(|(earlier, _)| by.contains(&earlier.dot));
                prop_assert!(!before, "what replaced a value stands before it, by a wrong clock");
            }
            let known: BTreeMap<Dot, Vec<Dot>> = told.into_iter().map(|(sibling, by)| (sibling.dot, by)).collect();
            for (dot, change) in &played.changes {
                let sets = change.ops.iter().any(|op| matches!(op, Op::Set { path: at, .. } if *at == path));
                if !sets {
                    continue;
                }
                let by = known.get(dot);
                prop_assert!(by.is_some(), "{} at {} is gone", dot, path);
                for replacing in by.into_iter().flatten() {
                    prop_assert!(played.seen[replacing].contains(dot), "{} replaced {} unseen", replacing, dot);
                }
            }
        }
    }

    #[test]
    fn clocks_change_only_which_sibling_is_shown(history in history()) {
        // The same actions, once with clocks at zero and once with clocks that lie. Which sibling is shown
        // steers later edits, so histories are compared that replace nothing.
        let edits: Vec<_> = history.into_iter().filter(|(_, action, _)| !matches!(action, Action::Receive { .. } | Action::Void)).collect();
        let (right, wrong) = (play(&edits, false), play(&edits, true));
        let (right, wrong) = (merge(right.changes.values()), merge(wrong.changes.values()));
        for n in 0..8 {
            let dots = |record: &Record| -> BTreeSet<Dot> {
                record.answer(&path(n)).map(|answer| answer.all().into_iter().collect()).unwrap_or_default()
            };
            prop_assert_eq!(dots(&right), dots(&wrong));
        }
        for n in 0..4 {
            prop_assert_eq!(right.is_shown(&row(n)), wrong.is_shown(&row(n)));
        }
    }

    #[test]
    fn a_snapshot_stands_for_exactly_the_changes_that_it_folds(
        history in history(), folded in any::<u64>(), here in any::<u64>(), later in any::<u64>()
    ) {
        let played = play(&history, true);
        let pick = |mask: u64| -> Vec<&Change> {
            let picked = played.changes.values().enumerate().filter(|(n, _)| mask >> (n % 64) & 1 == 1);
            picked.map(|(_, change)| change).collect()
        };
        let (folded, here, later) = (pick(folded), pick(here), pick(later));
        let Some(snapshot) = merge(folded.iter().copied()).snapshot() else { return Ok(()) };
        for change in played.changes.values() {
            prop_assert_eq!(snapshot.holds(change.dot), folded.iter().any(|one| one.dot == change.dot));
        }
        let written = serde_json::to_string(&snapshot).unwrap();
        let read: Snapshot = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&read, &snapshot);
        // What was here before, then the snapshot, then what comes after it, some of it for the second time.
        let mut record = merge(here.iter().copied());
        record.take(read);
        for change in later.iter().rev() {
            record.apply((*change).clone(), stamp_of(change.dot, change));
        }
        let all = merge(folded.iter().chain(&here).chain(&later).copied()).canonical_view();
        prop_assert_eq!(String::from_utf8(record.canonical_view()).unwrap(), String::from_utf8(all.clone()).unwrap());
        // A snapshot of that is the same again, and two that know of different changes join.
        let again = record.snapshot().unwrap();
        let mut whole = Record::new();
        whole.take(again.clone());
        prop_assert_eq!(&whole.canonical_view(), &all);
        let Some(other) = merge(here.iter().chain(&later).copied()).snapshot() else { return Ok(()) };
        for joined in [snapshot.clone().joined(other.clone()), other.joined(snapshot)] {
            let mut record = Record::new();
            record.take(joined);
            prop_assert_eq!(&record.canonical_view(), &all);
        }
    }

    #[test]
    fn canonical_bytes_come_back_as_they_were(history in history()) {
        for change in play(&history, true).changes.values() {
            let bytes = change.to_bytes();
            let read = Change::from_bytes(change.dot, &bytes, &Limits::default());
            prop_assert_eq!(read.unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn a_void_holds_until_somebody_edited_unseen(history in history()) {
        let played = play(&history, true);
        let record = merge(played.changes.values());
        let voids: Vec<&Change> = played.changes.values().filter(|c| matches!(c.ops[0], Op::Void { .. })).collect();
        let covered: BTreeSet<Dot> = voids
            .iter()
            .flat_map(|change| match &change.ops[0] {
                Op::Void { preds, .. } => preds.clone(),
                Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } => Vec::new(),
            })
            .chain(voids.iter().map(|change| change.dot))
            .collect();
        let expected = match (voids.is_empty(), played.changes.keys().all(|dot| covered.contains(dot))) {
            (true, _) => Standing::Valid,
            (false, true) => Standing::Void,
            (false, false) => Standing::KeptDespiteVoid,
        };
        prop_assert_eq!(record.standing(), expected);
    }
}
