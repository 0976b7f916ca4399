//! The JSON of a snapshot; `docs/PROTOCOL.md` is its specification.
//!
//! A member of a change that is left out is as in the change before it: so the saves of one interview cost little more than
//! their answers.

use super::Snapshot;
use crate::{
    change::{Change, Op},
    ids::{Dot, FIRST_INTERVIEW, Hash, HouseholdId, QuestionnaireRef, ReplicaId, Subject},
    path::{Path, Place},
    record::Stamp,
    value::Value,
};
use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// Something that stands as a JSON string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Text).map_err(|_ignored| D::Error::custom("a name that is not one"))
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    household: HouseholdId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<CompactString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<CompactString>,
    form: Text<QuestionnaireRef>,
    changes: Vec<WrittenChange>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dead: BTreeMap<ReplicaId, Vec<(u64, u64)>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replaced: BTreeMap<Text<Path>, Vec<Text<Dot>>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    touched: BTreeMap<Text<Place>, Vec<Text<Dot>>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    removed: BTreeMap<Text<Place>, Vec<Text<Dot>>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    covered: Vec<Text<Dot>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    instead: BTreeSet<Hash>,
}

#[derive(Serialize, Deserialize)]
struct WrittenChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replica: Option<ReplicaId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<CompactString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<Text<QuestionnaireRef>>,
    /// Received and skew; empty where the server has not seen the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Vec<i64>>,
    seq: u64,
    at: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    add: BTreeMap<Text<Place>, i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<Text<Place>, BTreeMap<CompactString, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    note: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    void: Option<String>,
}

fn by_name<N: Ord + Clone>(pairs: &BTreeSet<(N, Dot)>) -> BTreeMap<Text<N>, Vec<Text<Dot>>> {
    let mut by_name: BTreeMap<Text<N>, Vec<Text<Dot>>> = BTreeMap::new();
    for (name, dot) in pairs {
        by_name.entry(Text(name.clone())).or_default().push(Text(*dot));
    }
    by_name
}

fn pairs<N: Ord + Clone>(by_name: BTreeMap<Text<N>, Vec<Text<Dot>>>) -> BTreeSet<(N, Dot)> {
    let pairs = by_name.into_iter().flat_map(|(Text(name), dots)| dots.into_iter().map(move |d| (name.clone(), d.0)));
    pairs.collect()
}

/// Dots as spans of seqs by replica.
fn spans(dots: &BTreeSet<Dot>) -> BTreeMap<ReplicaId, Vec<(u64, u64)>> {
    let mut spans: BTreeMap<ReplicaId, Vec<(u64, u64)>> = BTreeMap::new();
    for dot in dots {
        let of_replica = spans.entry(dot.replica).or_default();
        match of_replica.last_mut() {
            Some((_, last)) if last.saturating_add(1) == dot.seq => *last = dot.seq,
            Some(_) | None => of_replica.push((dot.seq, dot.seq)),
        }
    }
    spans
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (round, purpose) = match &self.subject {
            Subject::Household(_) => (None, None),
            Subject::Interview { round, purpose, .. } => {
                (Some(round.clone()), (purpose != FIRST_INTERVIEW).then(|| purpose.clone()))
            }
        };
        let mut changes = Vec::with_capacity(self.changes.len());
        let mut before: Option<&(Change, Option<Stamp>)> = None;
        for one in &self.changes {
            let (change, stamp) = one;
            let same = |is: fn(&Change, &Change) -> bool| before.is_some_and(|(before, _)| is(before, change));
            let same_stamp = before.map_or(stamp.is_none(), |(_, before)| before == stamp);
            let mut written = WrittenChange {
                replica: (!same(|a, b| a.dot.replica == b.dot.replica)).then_some(change.dot.replica),
                by: (!same(|a, b| a.author == b.author)).then(|| change.author.clone()),
                form: (!same(|a, b| a.questionnaire == b.questionnaire)).then(|| Text(change.questionnaire.clone())),
                stamp: (!same_stamp).then(|| stamp.map_or(Vec::new(), |stamp| vec![stamp.received_ms, stamp.skew_ms])),
                seq: change.dot.seq,
                at: change.wall_ms,
                add: BTreeMap::new(),
                set: BTreeMap::new(),
                note: Vec::new(),
                void: None,
            };
            for op in &change.ops {
                match op {
                    Op::AddRow { row, order } => {
                        written.add.insert(Text(row.clone()), *order);
                    }
                    Op::Set { path, value, .. } => {
                        let place = written.set.entry(Text(path.place().clone())).or_default();
                        place.insert(path.name().into(), value.clone());
                    }
                    Op::Note { text } => written.note.push(text.clone()),
                    Op::Void { reason, .. } => written.void = Some(reason.clone()),
                    // What removals covered stands by row.
                    Op::RemoveRow { .. } => {}
                }
            }
            changes.push(written);
            before = Some(one);
        }
        let written = Written {
            household: self.subject.household(),
            round,
            purpose,
            form: Text(self.questionnaire.clone()),
            changes,
            dead: spans(&self.dead),
            replaced: by_name(&self.replaced),
            touched: by_name(&self.touched),
            removed: by_name(&self.removed),
            covered: self.covered.iter().map(|dot| Text(*dot)).collect(),
            instead: self.instead_of.clone(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let household = written.household;
        let subject = match written.round {
            Some(round) => {
                let purpose = written.purpose.unwrap_or_else(|| FIRST_INTERVIEW.into());
                Subject::Interview { household, round, purpose }
            }
            None => Subject::Household(household),
        };
        let (mut replica, mut author, mut form, mut stamp) = (None, None, None, None);
        let mut changes = Vec::with_capacity(written.changes.len());
        for one in written.changes {
            replica = one.replica.or(replica);
            author = one.by.or(author);
            form = one.form.map(|Text(form)| form).or(form);
            stamp = one.stamp.or(stamp);
            let missing = |what: &str| D::Error::custom(format_args!("the first change says no `{what}`"));
            let mut ops: Vec<Op> = one.add.into_iter().map(|(Text(row), order)| Op::AddRow { row, order }).collect();
            for (Text(place), names) in one.set {
                for (name, value) in names {
                    let path = Path::new(place.clone(), name);
                    let path = path.map_err(|_ignored| D::Error::custom("a name that is no question's"))?;
                    ops.push(Op::Set { path, value, preds: Vec::new() });
                }
            }
            ops.extend(one.note.into_iter().map(|text| Op::Note { text }));
            ops.extend(one.void.map(|reason| Op::Void { reason, preds: Vec::new() }));
            let change = Change {
                dot: Dot { replica: replica.ok_or_else(|| missing("replica"))?, seq: one.seq },
                subject: subject.clone(),
                questionnaire: form.clone().ok_or_else(|| missing("form"))?,
                author: author.clone().ok_or_else(|| missing("by"))?,
                wall_ms: one.at,
                ops,
                instead_of: None,
            };
            let stamp = match stamp.as_deref() {
                Some([received_ms, skew_ms]) => Some(Stamp { received_ms: *received_ms, skew_ms: *skew_ms }),
                Some(_) | None => None,
            };
            changes.push((change, stamp));
        }
        changes.sort_by_key(|(change, _)| change.dot);
        let dead = written.dead.into_iter().flat_map(|(replica, spans)| {
            spans.into_iter().flat_map(move |(first, last)| (first..=last).map(move |seq| Dot { replica, seq }))
        });
        // No record has so many changes: a span that says so is no span.
        let dead: BTreeSet<Dot> = dead.take(1_000_000).collect();
        Ok(Self {
            subject,
            questionnaire: written.form.0,
            changes,
            dead,
            replaced: pairs(written.replaced),
            touched: pairs(written.touched),
            removed: pairs(written.removed),
            covered: written.covered.into_iter().map(|Text(dot)| dot).collect(),
            instead_of: written.instead,
        })
    }
}
