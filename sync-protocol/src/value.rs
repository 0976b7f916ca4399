//! What an answer can be.
//!
//! There are no floating-point numbers: a decimal is a text in canonical form, a coordinate an integer
//! of 1e-7 degree, an identifier a text that keeps its leading zeros (DESIGN §4).

use crate::strict;
use compact_str::CompactString;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use std::{collections::BTreeMap, fmt};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// One answer.
///
/// In JSON: a string, an integer, an array of strings, an object of single values, `null` for a cleared
/// answer, or `{"@":"refused"}` for another reason why there is none.
///
/// ```
/// use sync_protocol::Value;
/// let value: Value = serde_json::from_str(r#"{"lat":-101700000,"lon":1236000000}"#).unwrap();
/// assert_eq!(serde_json::to_string(&value).unwrap(), r#"{"lat":-101700000,"lon":1236000000}"#);
/// assert!(serde_json::from_str::<Value>("1.5").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Text, a choice's name, a date, a decimal, a row id: whatever the question's type makes of it.
    ///
    /// Most are a code of one or two letters: they stand here without an allocation of their own.
    Text(CompactString),
    /// A whole number.
    Integer(i64),
    /// The whole set of choices of a select multiple (in the order of the choice list), or a ranking.
    Choices(Vec<String>),
    /// Answers that only make sense together: a GPS fix, a merge group. No field holds fields.
    Fields(BTreeMap<String, Value>),
    /// There is no answer, and this is why.
    Missing(Missing),
}

/// Why there is no answer; the reasons are distinct answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// The question was passed over.
    NotAsked,
    /// The respondent refused.
    Refused,
    /// The respondent does not know.
    DontKnow,
    /// An earlier answer was taken away.
    Cleared,
}

impl Missing {
    /// The word on the wire, in exports and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::Refused => "refused",
            Self::DontKnow => "dont-know",
            Self::Cleared => "cleared",
        }
    }

    /// Reads the word that [`Missing::as_str`] writes.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::NotAsked, Self::Refused, Self::DontKnow, Self::Cleared].into_iter().find(|m| m.as_str() == word)
    }
}

impl Value {
    /// Makes a text answer.
    #[must_use]
    pub fn text(text: impl Into<CompactString>) -> Self {
        Self::Text(text.into())
    }

    /// Whether two answers say the same: equal after both are brought to Unicode's normal form C.
    ///
    /// ```
    /// use sync_protocol::Value;
    /// assert!(Value::text("caf\u{e9}").same_as(&Value::text("cafe\u{301}")));
    /// assert!(!Value::text("1").same_as(&Value::Integer(1)));
    /// ```
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => same_text(a, b),
            (Self::Choices(a), Self::Choices(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_text(a, b)),
            (Self::Fields(a), Self::Fields(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((ka, a), (kb, b))| same_text(ka, kb) && a.same_as(b))
            }
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Missing(a), Self::Missing(b)) => a == b,
            (Self::Text(_) | Self::Integer(_) | Self::Choices(_) | Self::Fields(_) | Self::Missing(_), _) => false,
        }
    }

    /// The longest text in the answer, in bytes: what the limit on text answers is about.
    #[must_use]
    pub fn longest_text(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Choices(choices) => choices.iter().map(String::len).sum(),
            Self::Fields(fields) => fields.values().map(Self::longest_text).max().unwrap_or(0),
            Self::Integer(_) | Self::Missing(_) => 0,
        }
    }
}

/// Writes the answer for people and for spreadsheets: choices separated by blanks, fields as `name=value`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Choices(choices) => f.write_str(&choices.join(" ")),
            Self::Fields(fields) => {
                for (n, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if n == 0 { "" } else { " " })?;
                }
                Ok(())
            }
            Self::Missing(missing) => write!(f, "@{}", missing.as_str()),
        }
    }
}

fn same_text(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if (a.is_ascii() && b.is_ascii())
        || (is_nfc_quick(a.chars()) == IsNormalized::Yes && is_nfc_quick(b.chars()) == IsNormalized::Yes)
    {
        return false;
    }
    a.nfc().eq(b.nfc())
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Choices(choices) => {
                let mut seq = serializer.serialize_seq(Some(choices.len()))?;
                for choice in choices {
                    seq.serialize_element(choice)?;
                }
                seq.end()
            }
            Self::Fields(fields) => serializer.collect_map(fields),
            Self::Missing(Missing::Cleared) => serializer.serialize_unit(),
            Self::Missing(missing) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("@", missing.as_str())?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { nested: false })
    }
}

struct ValueVisitor {
    nested: bool,
}

/// A value inside [`Value::Fields`], which may hold no fields itself.
struct Field(Value);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { nested: true }).map(Self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer: a string, an integer, a list of choices, an object of single values or null")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Integer).map_err(|_ignored| E::custom("an integer beyond 64 bits"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom("a floating-point number; a decimal is written as a string"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Missing(Missing::Cleared))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut choices = Vec::new();
        while let Some(choice) = seq.next_element::<String>()? {
            choices.push(choice);
        }
        Ok(Value::Choices(choices))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let fields: Vec<(String, Field)> = strict::members(map)?;
        if let [(key, Field(Value::Text(word)))] = fields.as_slice()
            && key == "@"
        {
            return match Missing::from_word(word) {
                Some(missing) if missing != Missing::Cleared => Ok(Value::Missing(missing)),
                Some(_) | None => Err(de::Error::custom("an unknown reason for a missing answer")),
            };
        }
        if self.nested {
            return Err(de::Error::custom("fields inside fields"));
        }
        if fields.iter().any(|(name, _)| name.is_empty() || name.starts_with('@')) {
            return Err(de::Error::custom("a field without a proper name"));
        }
        Ok(Value::Fields(fields.into_iter().map(|(name, Field(value))| (name, value)).collect()))
    }
}
