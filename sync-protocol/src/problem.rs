//! The stable codes of everything that can be wrong with what came from outside.
//!
//! A code never changes its meaning; texts may. Each code says what the sender can do: [`Class`].

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $class:ident, $title:literal;)*) => {
        /// What is wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the protocol's documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code's word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Who can do something about it.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// One short sentence for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

/// What the receiver of a problem should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again later; nothing is lost.
    Retry,
    /// A person must act: a coordinator, or whoever enrols devices.
    Person,
    /// The program is too old for what it is asked.
    Upgrade,
    /// One of the two programs is at fault.
    Bug,
}

codes! {
    /// A line is no JSON.
    MalformedJson = "malformed-json", Bug, "This is not well-formed JSON.";
    /// An object names one member twice.
    DuplicateKey = "duplicate-key", Bug, "An object holds one key twice.";
    /// JSON nests deeper than the limit.
    TooDeep = "too-deep", Bug, "The JSON nests too deep.";
    /// Bytes that are no UTF-8.
    NotUtf8 = "not-utf8", Bug, "The text is not valid UTF-8.";
    /// A member is missing, or has another type or form than the protocol says.
    WrongType = "wrong-type", Bug, "A field is missing or has the wrong type.";
    /// A pred names a change that its author cannot have seen.
    BadPred = "bad-pred", Bug, "An operation replaces a change that comes after it.";
    /// The change is larger than the limit.
    ChangeTooLarge = "change-too-large", Bug, "The change is larger than a change may be.";
    /// A text answer is longer than the limit.
    ValueTooLong = "value-too-long", Bug, "A text answer is longer than an answer may be.";
    /// More rows than a repeat may hold.
    TooManyRows = "too-many-rows", Person, "A repeat holds more rows than it may.";
    /// The questionnaire is not on this server.
    UnknownQuestionnaire = "unknown-questionnaire", Person, "The questionnaire is not on this server.";
    /// The area is not on this server.
    UnknownArea = "unknown-area", Person, "The area is not on this server.";
    /// The questionnaire has no such question.
    UnknownQuestion = "unknown-question", Person, "The questionnaire has no such question.";
    /// The value does not fit the question's type.
    WrongValueType = "wrong-value-type", Person, "The value does not fit the question's type.";
    /// The batch's signature is not the replica's.
    BadSignature = "bad-signature", Bug, "The batch's signature does not belong to its replica.";
    /// The batch belongs to another branch of the replica's history.
    Fork = "fork", Retry, "The replica has another history on this server: it was cloned or restored.";
    /// The batch starts past the end of what the server holds.
    Gap = "gap", Retry, "Changes before this batch are missing; it is kept until they arrive.";
    /// The replica is not one of the sender's.
    WrongReplica = "wrong-replica", Person, "This replica does not belong to this device.";
    /// Another device has told the server of this new replica before: the sender takes another one.
    ReplicaTaken = "replica-taken", Person, "Another device has this replica: the device takes another one by itself.";
    /// The changes were removed by a recorded legal act.
    Purged = "purged", Person, "The record was erased by a recorded legal act.";
    /// The device was revoked: its changes are kept apart.
    Escrow = "escrow", Person, "The device was revoked: its changes are kept apart.";
    /// No token, or one that the server does not know.
    Unauthorised = "unauthorised", Person, "The device or person is not known here.";
    /// Known, but not allowed to do this.
    Forbidden = "forbidden", Person, "This is not allowed for this account.";
    /// The one-time code is wrong, used or too old.
    BadDeviceCode = "bad-device-code", Person, "The one-time code is wrong, used or too old.";
    /// The protocol version is not spoken here.
    UnsupportedProtocol = "unsupported-protocol", Upgrade, "This protocol version is not spoken here.";
    /// The request is larger than the limit.
    RequestTooLarge = "request-too-large", Bug, "The request is larger than a request may be.";
    /// The compressed body is broken, or its encoding is not spoken here.
    BadEncoding = "bad-encoding", Bug, "The body's compression is broken or not spoken here.";
    /// The body ended before its end; whole batches before that were kept.
    CutOff = "cut-off", Retry, "The body was cut off; whole batches before the cut were kept.";
    /// A query parameter is not understood.
    BadQuery = "bad-query", Bug, "A query parameter is not understood.";
    /// There is no such thing.
    NotFound = "not-found", Person, "There is no such thing here.";
    /// What was shown has changed meanwhile.
    Stale = "stale", Person, "What was shown has changed meanwhile: look again.";
    /// The review does not stand where this step is possible.
    ReviewState = "review-state", Person, "This step is not possible where the review stands.";
    /// An attachment is larger than the limit.
    AttachmentTooLarge = "attachment-too-large", Person, "The attachment is larger than an attachment may be.";
    /// An attachment has a media type that is not taken here.
    AttachmentType = "attachment-type", Person, "Attachments of this media type are not taken here.";
    /// Bytes do not have the checksum or hash that was announced for them.
    ChecksumMismatch = "checksum-mismatch", Retry, "The bytes do not have the checksum that was announced.";
    /// An upload goes on at another byte than the one that was sent.
    WrongOffset = "wrong-offset", Retry, "The upload goes on at another byte: ask where.";
    /// An upload was not finished in time.
    UploadExpired = "upload-expired", Retry, "The upload was not finished in time: begin again.";
    /// A version of tus that is not spoken here.
    UnsupportedUpload = "unsupported-upload", Upgrade, "Uploads speak tus 1.0.0 here.";
    /// The disk keeps what is left of it for answers.
    NoSpace = "no-space", Retry, "The server has no space for photos and files now; answers are taken.";
    /// The server is too busy.
    Busy = "busy", Retry, "The server is busy: try again later.";
    /// The server failed.
    Internal = "internal", Bug, "The server failed; nothing was half applied.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code with the place and the reason, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// What is wrong.
    pub code: Code,
    /// Where, why, and what to do; names fields, never holds answers.
    pub detail: String,
}

impl Problem {
    /// Makes a problem.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Sorts a JSON error into a code; the detail names line, column and field, never a value.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let code = match error.classify() {
            serde_json::error::Category::Data if text.starts_with("duplicate") => Code::DuplicateKey,
            serde_json::error::Category::Data => Code::WrongType,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Code::MalformedJson,
        };
        Self::new(code, without_values(&text))
    }
}

/// Cuts what serde quotes of the input (`invalid type: string "…"`): it may be an answer.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                if !quoted {
                    out.push('…');
                }
                quoted = !quoted;
            }
            _ if quoted => {}
            other => out.push(other),
        }
    }
    out
}
