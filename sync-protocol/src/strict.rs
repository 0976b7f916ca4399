//! JSON read strictly: a key that stands twice in one object is an error, not a silent loss.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use std::{collections::BTreeSet, fmt, marker::PhantomData};

/// Reads an object's members, sorted by key; two of one key are an error.
///
/// Canonical bytes have them in order already: then nothing is compared but neighbours.
pub(crate) fn members<'de, A, K, V>(mut access: A) -> Result<Vec<(K, V)>, A::Error>
where
    A: MapAccess<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    let mut members: Vec<(K, V)> = Vec::with_capacity(access.size_hint().unwrap_or(8).min(64));
    let mut is_sorted = true;
    while let Some((key, value)) = access.next_entry::<K, V>()? {
        is_sorted = is_sorted && members.last().is_none_or(|(last, _)| *last < key);
        members.push((key, value));
    }
    if !is_sorted {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let twice = members.iter().zip(members.iter().skip(1)).find(|((a, _), (b, _))| a == b);
        if let Some(((key, _), _)) = twice {
            return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
        }
    }
    Ok(members)
}

/// An object whose keys are all different, sorted by key.
pub(crate) struct Members<K, V>(pub(crate) Vec<(K, V)>);

impl<K, V> Default for Members<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K, V> Deserialize<'de> for Members<K, V>
where
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<K, V>(PhantomData<(K, V)>);
        impl<'de, K, V> Visitor<'de> for MembersVisitor<K, V>
        where
            K: Deserialize<'de> + Ord + fmt::Display,
            V: Deserialize<'de>,
        {
            type Value = Members<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                members(access).map(Members)
            }
        }
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// Any JSON that is well formed by these rules; what a later version of the protocol may have added.
pub(crate) struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnythingVisitor)
    }
}

struct AnythingVisitor;

impl<'de> Visitor<'de> for AnythingVisitor {
    type Value = Anything;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Anything, E> {
        Ok(Anything)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Anything, E> {
        Ok(Anything)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Anything, E> {
        Ok(Anything)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Anything, E> {
        Err(E::custom("a floating-point number; there are none in this protocol"))
    }
    fn visit_str<E>(self, _: &str) -> Result<Anything, E> {
        Ok(Anything)
    }
    fn visit_unit<E>(self) -> Result<Anything, E> {
        Ok(Anything)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Anything, A::Error> {
        while seq.next_element::<Anything>()?.is_some() {}
        Ok(Anything)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Anything, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = access.next_key::<String>()? {
            access.next_value::<Anything>()?;
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format_args!("duplicate key `{twice}`")));
            }
        }
        Ok(Anything)
    }
}

/// The first member of an object; the others are checked and passed over.
pub(crate) struct First<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
            type Value = First<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a member")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<First<T>, A::Error> {
                let first = access.next_entry::<String, T>()?;
                let (_, first) = first.ok_or_else(|| A::Error::custom("an object without a member"))?;
                while access.next_entry::<String, Anything>()?.is_some() {}
                Ok(First(first))
            }
        }
        deserializer.deserialize_map(FirstVisitor(PhantomData))
    }
}

/// The deepest nesting of arrays and objects in a JSON text, counted without parsing it.
///
/// At least that, where it is within `enough`: a text with few brackets is not looked at twice.
pub(crate) fn depth(json: &[u8], enough: usize) -> usize {
    let brackets = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if brackets <= enough {
        return brackets;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (true | false, _) => {}
        }
    }
    deepest
}
