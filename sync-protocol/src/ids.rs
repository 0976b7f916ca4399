//! Names of things: replicas, dots, records, questionnaires and hashes.
//!
//! Identifiers are never made up here: random ones come from the host, derived ones (an interview's id,
//! a hash) are pure functions.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};
use thiserror::Error;
use uuid::Uuid;

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Uuid::parse_str(text).map(Self).map_err(|_ignored| BadName::new("a UUID", text))
            }
        }
    };
}

uuid_name! {
    /// Names one installed database that authors changes; a re-installed or restored device is a new one.
    ReplicaId
}
uuid_name! {
    /// Names one household through all rounds.
    HouseholdId
}
uuid_name! {
    /// Names one record: a household's own id, or an interview's derived one (see [`Subject::record`]).
    RecordId
}

/// A household's record has the household's id.
impl From<HouseholdId> for RecordId {
    fn from(household: HouseholdId) -> Self {
        Self(household.0)
    }
}

/// Says that a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected}, found `{found}`")]
pub struct BadName {
    /// What was expected, for people.
    pub expected: &'static str,
    /// What stood there, cut to 64 characters.
    pub found: String,
}

impl BadName {
    pub(crate) fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(64).collect() }
    }
}

/// Names a change: the replica that authored it and its place in that replica's count.
///
/// Every answer that a change sets is named by the change's dot together with the answer's path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The author's replica.
    pub replica: ReplicaId,
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.seq)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Dot {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::new("a dot such as `replica:7`", text);
        let (replica, seq) = text.split_once(':').ok_or_else(bad)?;
        let seq: u64 = seq.parse().map_err(|_ignored| bad())?;
        if seq == 0 {
            return Err(bad());
        }
        Ok(Self { replica: replica.parse()?, seq })
    }
}

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_ignored| BadName::new("64 hexadecimal digits", text))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Dot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Names one immutable version of a questionnaire; written `id@version`.
///
/// Versions are ordered as people read them: `2026-9` comes before `2026-10`.
///
/// ```
/// # use sync_protocol::QuestionnaireRef;
/// let version = |text: &str| text.parse::<QuestionnaireRef>().unwrap();
/// assert!(version("f@2026-9") < version("f@2026-10"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QuestionnaireRef {
    /// The form id of the workbook's settings sheet.
    pub id: CompactString,
    /// Its version there.
    pub version: CompactString,
}

impl QuestionnaireRef {
    /// Names the household register, the built-in questionnaire of household records.
    #[must_use]
    pub fn household_register() -> Self {
        Self { id: "household".into(), version: "1".into() }
    }
}

impl Ord for QuestionnaireRef {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id).then_with(|| in_reading_order(&self.version, &other.version))
    }
}

impl PartialOrd for QuestionnaireRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders texts with their runs of digits as numbers; texts that differ in zeros alone by their bytes.
fn in_reading_order(a: &str, b: &str) -> Ordering {
    let run = |text: &str| {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let first = text.as_bytes().first().is_some_and(is_digit);
        text.bytes().take_while(|byte| is_digit(byte) == first).count()
    };
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        // A run ends at an ASCII digit or begins with one, so that it ends between two characters.
        let ((one, after), (other, rest)) = (left.split_at(run(left)), right.split_at(run(right)));
        let digits = |text: &str| text.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let order = if digits(one) && digits(other) {
            let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        } else {
            one.cmp(other)
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (after, rest);
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

impl fmt::Display for QuestionnaireRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

impl fmt::Debug for QuestionnaireRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for QuestionnaireRef {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.rsplit_once('@') {
            Some((id, version)) if !id.is_empty() && !version.is_empty() && text.len() <= 256 => {
                Ok(Self { id: id.into(), version: version.into() })
            }
            Some(_) | None => Err(BadName::new("a questionnaire such as `household-survey@3`", text)),
        }
    }
}

/// The purpose of the ordinary interview of a household in a round.
pub const FIRST_INTERVIEW: &str = "interview";

/// Says which record a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The household's entry in the register.
    Household(HouseholdId),
    /// One interview of a household.
    Interview {
        /// The household that was interviewed.
        household: HouseholdId,
        /// The round, as the survey names it: `1`, `2`, …
        round: CompactString,
        /// [`FIRST_INTERVIEW`], `back-check`, …
        purpose: CompactString,
    },
}

impl Subject {
    /// Names the household that the record hangs on.
    #[must_use]
    pub fn household(&self) -> HouseholdId {
        match self {
            Self::Household(household) | Self::Interview { household, .. } => *household,
        }
    }

    /// Derives the record's id.
    ///
    /// An interview's is the UUIDv5, in the namespace of its household, of
    /// `questionnaire/round/purpose`: two enumerators who interview one household meet in one record
    /// (DESIGN §4).
    #[must_use]
    pub fn record(&self, questionnaire_id: &str) -> RecordId {
        match self {
            Self::Household(household) => RecordId(household.0),
            Self::Interview { household, round, purpose } => {
                let name = format!("{questionnaire_id}/{round}/{purpose}");
                RecordId(Uuid::new_v5(&household.0, name.as_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_reading_order;

    #[test]
    fn versions_come_in_the_order_that_people_read() {
        let ordered =
            ["", "1", "01a", "1b", "2", "10", "2026-1", "2026-9", "2026-10", "2026-10.1", "v2", "v10", "é1", "é2"];
        for (at, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(in_reading_order(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        assert!(in_reading_order("01", "1").is_lt(), "what differs is never equal");
    }
}
