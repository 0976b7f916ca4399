//! Where an answer stands: its place (the record, or a roster row in it) and its name.
//!
//! Written `floor`, or inside a row `member/k3j9d8s7/m_age`; rows may nest. Groups are no part of a
//! path, so a question that moves to another group keeps its answers (DESIGN §4).

use crate::ids::BadName;
use compact_str::CompactString;
use std::{fmt, str::FromStr, sync::Arc};

/// Longest name of a question or repeat, in bytes.
const NAME_MAX: usize = 128;
/// Longest id of a roster row, in bytes.
const ROW_MAX: usize = 36;
/// Deepest nesting of repeats.
const DEPTH_MAX: usize = 8;

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_MAX
        && (text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'))
            || text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@')))
}

fn is_row(text: &str) -> bool {
    !text.is_empty() && text.len() <= ROW_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The record itself, or one roster row in it: pairs of repeat and row id, outermost first.
///
/// ```
/// use sync_protocol::Place;
/// let child = Place::record().row("member", "k3j9").unwrap().row("job", "a1").unwrap();
/// assert_eq!(child.to_string(), "member/k3j9/job/a1");
/// assert_eq!(child.steps().collect::<Vec<_>>(), [("member", "k3j9"), ("job", "a1")]);
/// ```
///
/// A clone shares its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place(Option<Arc<str>>);

impl Place {
    /// The place of answers that stand in no repeat.
    #[must_use]
    pub fn record() -> Self {
        Self::default()
    }

    /// Whether this is the record itself.
    #[must_use]
    pub fn is_record(&self) -> bool {
        self.0.is_none()
    }

    /// Names a row of a repeat that stands in this place.
    ///
    /// # Errors
    /// If the repeat's name or the row's id is not one, or rows nest deeper than 8.
    pub fn row(&self, repeat: &str, row: &str) -> Result<Self, BadName> {
        if !is_name(repeat) {
            return Err(BadName::new("the name of a repeat", repeat));
        }
        if !is_row(row) {
            return Err(BadName::new("a row id of 1 to 36 letters and digits", row));
        }
        if self.steps().count() >= DEPTH_MAX {
            return Err(BadName::new("at most 8 nested repeats", repeat));
        }
        Ok(Self::of(&match self.as_str() {
            "" => format!("{repeat}/{row}"),
            outer => format!("{outer}/{repeat}/{row}"),
        }))
    }

    fn of(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }

    /// Whether two places are known to be one without a look at their texts.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Walks the repeats and row ids, outermost first.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.as_str().split('/').filter(|part| !part.is_empty());
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// Splits the innermost row off: the place around it, its repeat and its id.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str, &str)> {
        let (head, row) = self.as_str().rsplit_once('/')?;
        Some(match head.rsplit_once('/') {
            Some((outer, repeat)) => (Self::of(outer), repeat, row),
            None => (Self::record(), head, row),
        })
    }

    /// Whether `other` is this place or lies in it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_record()
            || other.as_str().strip_prefix(self.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The written form; empty for the record itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:?})", self.as_str())
    }
}

impl FromStr for Place {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Ok(Self::record());
        }
        let mut parts = text.split('/');
        let mut depth = 0;
        while let Some(repeat) = parts.next() {
            depth += 1;
            let named = is_name(repeat) && parts.next().is_some_and(is_row);
            if !named || depth > DEPTH_MAX {
                return Err(BadName::new("a row such as `member/k3j9`", text));
            }
        }
        Ok(Self::of(text))
    }
}

/// Names one answer of a record.
///
/// ```
/// use sync_protocol::Path;
/// let age: Path = "member/k3j9/m_age".parse().unwrap();
/// assert_eq!((age.place().as_str(), age.name()), ("member/k3j9", "m_age"));
/// assert!("member/m_age".parse::<Path>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    place: Place,
    // Names are short: they stand here without an allocation of their own.
    name: CompactString,
}

impl Path {
    /// Names an answer in a place.
    ///
    /// # Errors
    /// If `name` is no name of a question.
    pub fn new(place: Place, name: impl Into<CompactString>) -> Result<Self, BadName> {
        let name = name.into();
        if !is_name(&name) {
            return Err(BadName::new("the name of a question", &name));
        }
        Ok(Self { place, name })
    }

    /// The record or row that the answer stands in.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The question's key in its place.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the name is one of the protocol's own, such as [`Path::FINISHED`], and no question's.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.name.starts_with('@')
    }

    /// The reserved answer that says an interview is finished: its value is `yes`.
    pub const FINISHED: &'static str = "@finished";

    /// The reserved answer of a household's record that says which other household it is, by its id: it was registered twice
    /// (see [`crate::households`]).
    pub const SAME_AS: &'static str = "@same-as";
}

impl serde::Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_record() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.place, self.name) }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

impl FromStr for Path {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.rsplit_once('/') {
            Some((place, name)) => Self::new(place.parse()?, name),
            None => Self::new(Place::record(), text),
        }
    }
}
