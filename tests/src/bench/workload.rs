//! The same households twice: as the signed changes that a device sends, and as bare rows.

use crate::field::questionnaire;
use anyhow::Result;
use client_core::{Host, host::Fixed};
use fixtures::Household;
use std::collections::BTreeMap;
use sync_protocol::{
    Change, Dot, Hash, HouseholdId, Op, Path, Place, QuestionnaireRef, ReplicaId, Subject, Value,
    chain::{Batch, Carried, SecretKey},
    ids::FIRST_INTERVIEW,
    wire::Request,
};

/// A device that exists only to have authored what it sends.
#[derive(Debug, Clone)]
pub struct Author {
    /// Its replica.
    pub replica: ReplicaId,
    /// Its key.
    pub key: SecretKey,
    /// Its enumerator.
    pub who: String,
}

impl Author {
    /// Makes an author whose key follows from a number.
    #[must_use]
    pub fn new(number: u64, who: &str) -> Self {
        let mut random = Fixed::new(number.wrapping_mul(7919).wrapping_add(13));
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        random.random(&mut id);
        random.random(&mut seed);
        let replica = ReplicaId(uuid::Builder::from_random_bytes(id).into_uuid());
        Self { replica, key: SecretKey::from_seed(seed), who: who.to_owned() }
    }
}

/// The changes of some households in the first round, in the order of their saves.
///
/// # Errors
/// If a household of the fixtures holds a name that is none.
pub fn changes(author: &Author, households: &[Household]) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut wall_ms = 1_767_225_600_000;
    for household in households {
        let id = HouseholdId(household.id);
        let mut add = |subject: Subject, questionnaire: QuestionnaireRef, wall_ms: i64, ops: Vec<Op>| {
            let seq = u64::try_from(changes.len()).unwrap_or(u64::MAX).saturating_add(1);
            let dot = Dot { replica: author.replica, seq };
            changes.push(Change {
                dot,
                subject,
                questionnaire,
                author: author.who.as_str().into(),
                wall_ms,
                ops,
                instead_of: None,
            });
            dot
        };
        let fields = [
            ("address", Value::text(&household.address)),
            ("area", Value::text(&household.area)),
            ("cluster", Value::text(&household.cluster)),
            ("gps", household.gps.clone()),
            ("head", Value::text(&household.head)),
        ];
        let set = |(name, value): (&str, Value)| -> Result<Op> {
            Ok(Op::Set { path: Path::new(Place::record(), name)?, value, preds: Vec::new() })
        };
        let ops = fields.into_iter().map(set).collect::<Result<_>>()?;
        add(Subject::Household(id), QuestionnaireRef::household_register(), wall_ms, ops);
        let Some(interview) = household.rounds.first() else { continue };
        let subject = Subject::Interview {
            household: id,
            round: interview.round.to_string().into(),
            purpose: FIRST_INTERVIEW.into(),
        };
        let mut latest: BTreeMap<Path, Dot> = BTreeMap::new();
        for save in &interview.saves {
            wall_ms += i64::from(save.minutes_since_previous) * 60_000;
            let mut ops: Vec<Op> = Vec::new();
            ops.extend(save.rows.iter().map(|row| Op::AddRow { row: row.place.clone(), order: row.order.into() }));
            for (path, value) in &save.answers {
                let preds = latest.get(path).copied().into_iter().collect();
                ops.push(Op::Set { path: path.clone(), value: value.clone(), preds });
            }
            let dot = add(subject.clone(), questionnaire(), wall_ms, ops);
            latest.extend(save.answers.iter().map(|(path, _)| (path.clone(), dot)));
        }
        let finished = set((Path::FINISHED, Value::text("yes")))?;
        add(subject, questionnaire(), wall_ms, vec![finished]);
    }
    Ok(changes)
}

/// The request that sends changes from the first on, as a device would.
#[must_use]
pub fn request(author: &Author, changes: &[Change]) -> Vec<u8> {
    request_from(author, changes, &mut (1, Hash::default()))
}

/// One night's request of a device that has sent changes before: `next` is its next seq and the hash there.
///
/// # Errors
/// If a household of the fixtures holds a name that is none.
pub fn night(author: &Author, households: &[Household], next: &mut (u64, Hash)) -> Result<Vec<u8>> {
    let mut changes = changes(author, households)?;
    let offset = next.0.saturating_sub(1);
    for change in &mut changes {
        change.dot.seq += offset;
        for op in &mut change.ops {
            if let Op::Set { preds, .. } = op {
                preds.iter_mut().for_each(|pred| pred.seq += offset);
            }
        }
    }
    Ok(request_from(author, &changes, next))
}

fn request_from(author: &Author, changes: &[Change], next: &mut (u64, Hash)) -> Vec<u8> {
    let mut batches = Vec::new();
    let (mut first, mut before) = *next;
    let mut pending = Vec::new();
    let mut size = 0;
    let mut close = |pending: &mut Vec<Carried>| {
        let batch = Batch::sign(author.replica, first, before, std::mem::take(pending), &author.key);
        (first, before) = (batch.last() + 1, batch.after());
        batches.push(batch);
    };
    for change in changes {
        let bytes = change.to_bytes();
        if size + bytes.len() > 384 << 10 {
            close(&mut pending);
            size = 0;
        }
        size += bytes.len();
        pending.push(Carried::Bytes(bytes));
    }
    if !pending.is_empty() {
        close(&mut pending);
    }
    *next = (first, before);
    Request::new(author.replica, 1_767_225_600_000, batches).to_bytes()
}

/// The final answers of some households as plain JSON, one object each: the yardstick of the wire.
#[must_use]
pub fn final_json(households: &[Household]) -> Vec<u8> {
    let mut out = Vec::new();
    for household in households {
        let mut object = serde_json::Map::new();
        object.insert("id".into(), household.id.to_string().into());
        for (name, value) in household.register() {
            object.insert(name.to_string(), serde_json::to_value(value).unwrap_or_default());
        }
        for (path, value) in household.rounds.first().map(|interview| interview.answers()).unwrap_or_default() {
            let value = serde_json::to_value(value).unwrap_or_default();
            match path.place().split() {
                None => {
                    object.insert(path.name().to_owned(), value);
                }
                Some((_, repeat, row)) => {
                    let rows = object.entry(repeat).or_insert_with(|| serde_json::json!({}));
                    if let Some(rows) = rows.as_object_mut() {
                        let row = rows.entry(row).or_insert_with(|| serde_json::json!({}));
                        if let Some(row) = row.as_object_mut() {
                            row.insert(path.name().to_owned(), value);
                        }
                    }
                }
            }
        }
        out.extend(serde_json::Value::Object(object).to_string().into_bytes());
        out.push(b'\n');
    }
    out
}

/// Every answer of the changes as one row each, packed: what the raw row store takes.
///
/// A row: the record's 16 bytes, then length-prefixed row id, name and value as JSON, then seq and clock.
#[must_use]
pub fn rows(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |part: &[u8]| {
        out.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(part);
    };
    for change in changes {
        let record = change.record();
        for op in &change.ops {
            if let Op::Set { path, value, .. } = op {
                put(record.0.as_bytes());
                put(path.place().as_str().as_bytes());
                put(path.name().as_bytes());
                put(value.to_string().as_bytes());
                put(&change.dot.seq.to_le_bytes());
                put(&change.wall_ms.to_le_bytes());
            }
        }
    }
    out
}

/// Splits what [`rows`] packed.
pub fn parts(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_at_checked(2)?;
        let length = usize::from(u16::from_le_bytes(length.try_into().ok()?));
        let (part, tail) = tail.split_at_checked(length)?;
        rest = tail;
        Some(part)
    })
}
