//! What a remark is about: the record, one of its answers, or another remark.
//!
//! A remark is a note of a change. One that is about something says so at its beginning, in brackets: `[re]` the record as a
//! whole, `[re floor]` an answer, `[re REPLICA:SEQ]` the remark in that change, which it answers. So an answer to a remark
//! names what it saw, as an answer to a question does by its preds, and no clock is asked who was first. A program that
//! knows nothing of this shows a text that people can read all the same.

use crate::{ids::Dot, path::Path, record::Record};
use std::fmt;

/// What a remark is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The record as a whole.
    Record,
    /// One answer.
    Answer(Path),
    /// The remark in this change: this one answers it.
    Remark(Dot),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => f.write_str("[re]"),
            Self::Answer(path) => write!(f, "[re {path}]"),
            Self::Remark(dot) => write!(f, "[re {dot}]"),
        }
    }
}

/// One remark as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark<'a> {
    /// What it is about; none where it does not say.
    pub about: Option<About>,
    /// The text without its beginning in brackets; empty where an answer was mended and nothing more was said.
    pub text: &'a str,
}

impl<'a> Remark<'a> {
    /// Reads a note; what does not begin as the module says is a text about nothing in particular.
    ///
    /// ```
    /// # use sync_protocol::remark::{About, Remark};
    /// let remark = Remark::read("[re member/k3j9/m_age] Older than her mother?");
    /// assert_eq!(remark.about, Some(About::Answer("member/k3j9/m_age".parse().unwrap())));
    /// assert_eq!(remark.text, "Older than her mother?");
    /// assert_eq!(Remark::read("[read this]").about, None);
    /// ```
    #[must_use]
    pub fn read(note: &'a str) -> Self {
        Self::marked(note).unwrap_or(Self { about: None, text: note })
    }

    fn marked(note: &'a str) -> Option<Self> {
        let (named, text) = note.strip_prefix("[re")?.split_once(']')?;
        let about = match named.strip_prefix(' ') {
            None if named.is_empty() => About::Record,
            None => return None,
            Some(name) => match (name.parse::<Dot>(), name.parse::<Path>()) {
                (Ok(dot), _) => About::Remark(dot),
                (Err(_), Ok(path)) => About::Answer(path),
                (Err(_), Err(_)) => return None,
            },
        };
        Some(Self { about: Some(about), text: text.trim_start() })
    }

    /// Writes the note of a remark.
    ///
    /// ```
    /// # use sync_protocol::remark::{About, Remark};
    /// assert_eq!(Remark::note(&About::Answer("floor".parse().unwrap()), "Really earth?"), "[re floor] Really earth?");
    /// assert_eq!(Remark::note(&About::Record, ""), "[re]");
    /// ```
    #[must_use]
    pub fn note(about: &About, text: &str) -> String {
        format!("{about} {}", text.trim()).trim_end().to_owned()
    }
}

impl Record {
    /// The remarks, in the order of their changes, each with what it is about.
    pub fn remarks(&self) -> impl Iterator<Item = (Dot, Remark<'_>)> {
        self.notes().map(|(dot, note)| (dot, Remark::read(note)))
    }

    /// What answers a remark: the changes that name it, with what they say beside.
    pub fn replies(&self, to: Dot) -> impl Iterator<Item = (Dot, &str)> {
        let named = move |about: Option<About>| about == Some(About::Remark(to));
        self.remarks().filter_map(move |(dot, remark)| named(remark.about).then_some((dot, remark.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dot = "8c7a0a0e-8f6c-4b61-9a35-000000000001:12".parse().unwrap();
        for about in [About::Record, About::Answer("member/k3j9/m_age".parse().unwrap()), About::Remark(dot)] {
            for text in ["", "Tolong cek lagi", "[re] bracketed", "two\nlines"] {
                let note = Remark::note(&about, text);
                assert_eq!(Remark::read(&note), Remark { about: Some(about.clone()), text }, "{note}");
            }
        }
    }

    #[test]
    fn a_text_that_only_looks_alike_is_about_nothing() {
        for note in
            ["", "[re", "[reply] yes", "re floor]", "[re  floor] x", "[re a b] x", " [re floor] x", "[Re floor]"]
        {
            assert_eq!(Remark::read(note), Remark { about: None, text: note });
        }
    }
}
