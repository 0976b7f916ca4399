//! The JSON of a change; `docs/PROTOCOL.md` is its specification.

use super::{Change, Op};
use crate::{
    ids::{Dot, FIRST_INTERVIEW, Hash, HouseholdId, QuestionnaireRef, Subject},
    limits::Limits,
    path::{Path, Place},
    problem::{Code, Problem},
    strict::{self, Members},
    value::Value,
};
use compact_str::CompactString;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// A name that stands as a JSON key or string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named<T>(T);

impl<T: fmt::Display> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, T> Deserialize<'de> for Named<T>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);
        impl<T> Visitor<'_> for Text<T>
        where
            T: std::str::FromStr,
            T::Err: fmt::Display,
        {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Named<T>, E> {
                // The name itself may be somebody's answer gone astray: it is not repeated in the error.
                text.parse().map(Named).map_err(|_ignored| E::custom("a name that is not one"))
            }
        }
        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}

impl<T: fmt::Display> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A dot as written: an own change by its bare number, another replica's as `replica:number`.
#[derive(Clone, Copy)]
enum WrittenDot {
    Own(u64),
    Other(Dot),
}

impl<'de> Deserialize<'de> for WrittenDot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DotVisitor;
        impl Visitor<'_> for DotVisitor {
            type Value = WrittenDot;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or `replica:number`")
            }
            fn visit_u64<E: de::Error>(self, seq: u64) -> Result<WrittenDot, E> {
                Ok(WrittenDot::Own(seq))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<WrittenDot, E> {
                text.parse().map(WrittenDot::Other).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(DotVisitor)
    }
}

impl Serialize for WrittenDot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(seq) => serializer.serialize_u64(*seq),
            Self::Other(dot) => serializer.collect_str(dot),
        }
    }
}

/// Answers, or what they replace, by place and name; both sorted.
type ByPlace<T> = Members<Named<Place>, Members<CompactString, T>>;

#[derive(Serialize)]
struct Written<'a> {
    household: HouseholdId,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    form: Named<&'a QuestionnaireRef>,
    by: &'a str,
    at: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    add: BTreeMap<Named<Place>, i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<Named<Place>, BTreeMap<&'a str, &'a Value>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    over: BTreeMap<Named<Place>, BTreeMap<&'a str, Vec<WrittenDot>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    remove: BTreeMap<Named<Place>, Vec<WrittenDot>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    note: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<WrittenVoid<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Hash>,
}

#[derive(Serialize)]
struct WrittenVoid<'a> {
    reason: &'a str,
    over: Vec<WrittenDot>,
}

pub(super) fn encode(change: &Change) -> Vec<u8> {
    let dots = |preds: &[Dot]| -> Vec<WrittenDot> {
        let mut preds = preds.to_vec();
        preds.sort_unstable();
        preds.dedup();
        preds
            .into_iter()
            .map(
                |dot| {
                    if dot.replica == change.dot.replica { WrittenDot::Own(dot.seq) } else { WrittenDot::Other(dot) }
                },
            )
            .collect()
    };
    let (round, purpose) = match &change.subject {
        Subject::Household(_) => (None, None),
        Subject::Interview { round, purpose, .. } => {
            (Some(round.as_str()), (purpose != FIRST_INTERVIEW).then_some(purpose.as_str()))
        }
    };
    let mut written = Written {
        household: change.subject.household(),
        round,
        purpose,
        form: Named(&change.questionnaire),
        by: &change.author,
        at: change.wall_ms,
        add: BTreeMap::new(),
        set: BTreeMap::new(),
        over: BTreeMap::new(),
        remove: BTreeMap::new(),
        note: Vec::new(),
        void: None,
        instead: change.instead_of,
    };
    for op in &change.ops {
        match op {
            Op::AddRow { row, order } => {
                written.add.insert(Named(row.clone()), *order);
            }
            Op::Set { path, value, preds } => {
                let place = Named(path.place().clone());
                if !preds.is_empty() {
                    written.over.entry(place.clone()).or_default().insert(path.name(), dots(preds));
                }
                written.set.entry(place).or_default().insert(path.name(), value);
            }
            Op::RemoveRow { row, preds } => {
                written.remove.insert(Named(row.clone()), dots(preds));
            }
            Op::Note { text } => written.note.push(text),
            Op::Void { reason, preds } => written.void = Some(WrittenVoid { reason, over: dots(preds) }),
        }
    }
    // Writing to memory fails only where a map key is no string, and every key here is one.
    serde_json::to_vec(&written).unwrap_or_default()
}

#[derive(Default)]
struct Read {
    household: Option<HouseholdId>,
    round: Option<CompactString>,
    purpose: Option<CompactString>,
    form: Option<Named<QuestionnaireRef>>,
    by: Option<CompactString>,
    at: Option<i64>,
    add: Members<Named<Place>, i64>,
    set: ByPlace<Value>,
    over: ByPlace<Vec<WrittenDot>>,
    remove: Members<Named<Place>, Vec<WrittenDot>>,
    note: Vec<String>,
    void: Option<ReadVoid>,
    instead: Option<Hash>,
}

#[derive(Deserialize)]
struct ReadVoid {
    reason: String,
    over: Vec<WrittenDot>,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut read = Read::default();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match key.as_ref() {
                "household" => read.household = Some(map.next_value()?),
                "round" => read.round = Some(map.next_value()?),
                "purpose" => read.purpose = Some(map.next_value()?),
                "form" => read.form = Some(map.next_value()?),
                "by" => read.by = Some(map.next_value()?),
                "at" => read.at = Some(map.next_value()?),
                "add" => read.add = map.next_value()?,
                "set" => read.set = map.next_value()?,
                "over" => read.over = map.next_value()?,
                "remove" => read.remove = map.next_value()?,
                "note" => read.note = map.next_value()?,
                "void" => read.void = Some(map.next_value()?),
                "instead" => read.instead = Some(map.next_value()?),
                _ => {
                    map.next_value::<strict::Anything>()?;
                }
            }
            if let Some(twice) = seen.replace(key) {
                return Err(de::Error::custom(format_args!("duplicate key `{twice}`")));
            }
        }
        Ok(read)
    }
}

pub(super) fn decode(dot: Dot, bytes: &[u8], limits: &Limits) -> Result<Change, Problem> {
    if bytes.len() > limits.change {
        return Err(Problem::new(
            Code::ChangeTooLarge,
            format!("{} bytes, at most {}: split the save", bytes.len(), limits.change),
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(Code::NotUtf8, format!("byte {} is no UTF-8", error.valid_up_to())))?;
    if strict::depth(bytes, limits.depth) > limits.depth {
        return Err(Problem::new(Code::TooDeep, format!("at most {} levels", limits.depth)));
    }
    let read: Read = serde_json::from_str(text).map_err(|error| Problem::json(&error))?;
    change(dot, read, limits)
}

fn change(dot: Dot, read: Read, limits: &Limits) -> Result<Change, Problem> {
    let missing = |field: &str| Problem::new(Code::WrongType, format!("`{field}` is missing"));
    let household = read.household.ok_or_else(|| missing("household"))?;
    let subject = match read.round {
        Some(round) => {
            let purpose = read.purpose.unwrap_or_else(|| FIRST_INTERVIEW.into());
            short("round", &round)?;
            short("purpose", &purpose)?;
            Subject::Interview { household, round, purpose }
        }
        None if read.purpose.is_some() => {
            return Err(Problem::new(Code::WrongType, "`purpose` stands without `round`"));
        }
        None => Subject::Household(household),
    };
    let Named(questionnaire) = read.form.ok_or_else(|| missing("form"))?;
    let author = read.by.ok_or_else(|| missing("by"))?;
    short("by", &author)?;

    let answers: usize = read.set.0.iter().map(|(_, names)| names.0.len()).sum();
    let mut ops = Vec::with_capacity(read.add.0.len() + answers);
    ops.extend(read.add.0.into_iter().map(|(Named(row), order)| Op::AddRow { row, order }));
    let mut over = BTreeMap::new();
    for (Named(place), names) in read.over.0 {
        for (name, dots) in names.0 {
            over.insert((place.clone(), name), dots);
        }
    }
    for (Named(place), names) in read.set.0 {
        for (name, value) in names.0 {
            let replaced =
                if over.is_empty() { None } else { over.remove(&(place.clone(), name.clone())) }.unwrap_or_default();
            let path = Path::new(place.clone(), name)
                .map_err(|_ignored| Problem::new(Code::WrongType, "`set` holds a name that is no question's"))?;
            let longest = value.longest_text();
            if longest > limits.text {
                let detail = format!("`{path}`: {longest} bytes, at most {}", limits.text);
                return Err(Problem::new(Code::ValueTooLong, detail));
            }
            ops.push(Op::Set { path, value, preds: preds(dot, replaced)? });
        }
    }
    if !over.is_empty() {
        return Err(Problem::new(Code::WrongType, "`over` names a question that `set` does not answer"));
    }
    for (Named(row), dots) in read.remove.0 {
        ops.push(Op::RemoveRow { row, preds: preds(dot, dots)? });
    }
    for text in read.note {
        if text.len() > limits.text {
            return Err(Problem::new(Code::ValueTooLong, format!("a note is longer than {} bytes", limits.text)));
        }
        ops.push(Op::Note { text });
    }
    if let Some(void) = read.void {
        short("void.reason", &void.reason)?;
        ops.push(Op::Void { reason: void.reason, preds: preds(dot, void.over)? });
    }
    for op in &ops {
        if let Op::AddRow { row, .. } | Op::RemoveRow { row, .. } = op
            && row.is_record()
        {
            return Err(Problem::new(Code::WrongType, "`add` or `remove` names no row"));
        }
    }
    Ok(Change {
        dot,
        subject,
        questionnaire,
        author,
        wall_ms: read.at.ok_or_else(|| missing("at"))?,
        ops,
        instead_of: read.instead,
    })
}

fn short(field: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 1024 {
        return Err(Problem::new(Code::WrongType, format!("`{field}` must have 1 to 1024 bytes")));
    }
    Ok(())
}

fn preds(dot: Dot, written: Vec<WrittenDot>) -> Result<Vec<Dot>, Problem> {
    written
        .into_iter()
        .map(|pred| {
            let pred = match pred {
                WrittenDot::Own(seq) => Dot { replica: dot.replica, seq },
                WrittenDot::Other(pred) => pred,
            };
            let own = pred.replica == dot.replica;
            if pred.seq == 0 || (own && pred.seq >= dot.seq) {
                return Err(Problem::new(Code::BadPred, format!("change {} replaces {}", dot.seq, pred.seq)));
            }
            Ok(pred)
        })
        .collect()
}
