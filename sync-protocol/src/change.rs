//! One save of one record by one replica, and its canonical bytes.
//!
//! The bytes as authored are what is stored, hashed and relayed, never a re-serialisation: what a newer
//! program adds passes through an older one unharmed. `docs/PROTOCOL.md` describes the JSON.

mod json;

use compact_str::CompactString;

use crate::{
    ids::{Dot, Hash, QuestionnaireRef, RecordId, Subject},
    limits::Limits,
    path::{Path, Place},
    problem::Problem,
    value::Value,
};

/// One save of one record by one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The change's own name.
    pub dot: Dot,
    /// Which record it is about.
    pub subject: Subject,
    /// The questionnaire that its author filled.
    pub questionnaire: QuestionnaireRef,
    /// The person who saved it, by the survey's code for them.
    pub author: CompactString,
    /// The author's clock, in milliseconds since 1970; advisory, it may be years off (law L4).
    pub wall_ms: i64,
    /// What was done: at most one [`Op::Set`] a path, sorted as the canonical bytes have them.
    pub ops: Vec<Op>,
    /// The hash `h(n)` of the change of a forked branch that this one replaces (DESIGN §5, rule 2).
    pub instead_of: Option<Hash>,
}

/// One thing done in a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Makes a roster row.
    AddRow {
        /// The new row.
        row: Place,
        /// Rows are shown in the order of this number, then of their ids.
        order: i64,
    },
    /// Answers a question.
    Set {
        /// Which question, where.
        path: Path,
        /// The answer.
        value: Value,
        /// The answers that the author saw and replaces, each by the dot of its change.
        preds: Vec<Dot>,
    },
    /// Removes a roster row with all that its author saw in it; a concurrent edit keeps the row.
    RemoveRow {
        /// The row.
        row: Place,
        /// The changes seen in the row.
        preds: Vec<Dot>,
    },
    /// Adds a remark to the record; remarks only ever add up.
    Note {
        /// The remark.
        text: String,
    },
    /// Voids the whole record; a concurrent edit keeps it, flagged.
    Void {
        /// Why, for people.
        reason: String,
        /// The changes seen in the record.
        preds: Vec<Dot>,
    },
}

impl Change {
    /// The record that the change is about.
    #[must_use]
    pub fn record(&self) -> RecordId {
        self.subject.record(&self.questionnaire.id)
    }

    /// Writes the canonical bytes: one line of JSON without blanks, members in a fixed order.
    ///
    /// Replica and seq are not in them: the batch implies both.
    ///
    /// ```
    /// # use sync_protocol::{change::{Change, Op}, *};
    /// let change = Change {
    ///     dot: "8c7a0a0e-8f6c-4b61-9a35-000000000001:2".parse().unwrap(),
    ///     subject: Subject::Household("8c7a0a0e-8f6c-4b61-9a35-0000000000aa".parse().unwrap()),
    ///     questionnaire: QuestionnaireRef::household_register(),
    ///     author: "KP001".into(),
    ///     wall_ms: 1_767_225_600_000,
    ///     ops: vec![Op::Set {
    ///         path: "head".parse().unwrap(),
    ///         value: Value::text("Maria Nalle"),
    ///         preds: vec!["8c7a0a0e-8f6c-4b61-9a35-000000000001:1".parse().unwrap()],
    ///     }],
    ///     instead_of: None,
    /// };
    /// let bytes = change.to_bytes();
    /// assert_eq!(
    ///     String::from_utf8_lossy(&bytes),
    ///     r#"{"household":"8c7a0a0e-8f6c-4b61-9a35-0000000000aa","form":"household@1","by":"KP001","at":1767225600000,"set":{"":{"head":"Maria Nalle"}},"over":{"":{"head":[1]}}}"#
    /// );
    /// assert_eq!(Change::from_bytes(change.dot, &bytes, &Limits::default()).unwrap(), change);
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads a change from its bytes; members that this version does not know are passed over.
    ///
    /// # Errors
    /// The first problem that keeps the change from being applied: it goes to quarantine with that code.
    pub fn from_bytes(dot: Dot, bytes: &[u8], limits: &Limits) -> Result<Self, Problem> {
        json::decode(dot, bytes, limits)
    }

    /// Reads a change back that was accepted once, whatever the limits are today.
    ///
    /// # Errors
    /// As [`Change::from_bytes`], but never for a size.
    pub fn from_stored(dot: Dot, bytes: &[u8]) -> Result<Self, Problem> {
        let unlimited = Limits { change: usize::MAX, text: usize::MAX, depth: 128, ..Limits::default() };
        json::decode(dot, bytes, &unlimited)
    }
}
