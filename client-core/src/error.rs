//! What can go wrong on a device, and what its owner can do about it.

use sync_protocol::{ids::BadName, problem::Problem};
use thiserror::Error;

/// A failure of a device; each says what happened and what to do.
#[derive(Debug, Error)]
pub enum Error {
    /// The database failed; what was saved before is safe.
    #[error("the device's database failed: {0}; free some space or restart, then try again")]
    Database(#[from] rusqlite::Error),
    /// The database is newer than this program.
    #[error("the device's database has schema {found}, this program knows {known}: install the newer program")]
    NewerSchema {
        /// The schema found.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// The database could not be read; it was moved aside, not deleted.
    #[error("the device's database could not be opened ({reason}); it was kept as {kept}: give it to your coordinator")]
    SetAside {
        /// Why.
        reason: String,
        /// Where it is now.
        kept: String,
    },
    /// Something stored is not what was written.
    #[error("the device's database holds something unreadable ({0}): give the file to your coordinator")]
    Corrupt(String),
    /// The device has no server yet.
    #[error("this device is not enrolled; enrol it with the code that your coordinator gives you")]
    NotEnrolled,
    /// There is no such record on this device.
    #[error("there is no record {0} on this device; sync, or check its id")]
    UnknownRecord(String),
    /// There is no such questionnaire on this device.
    #[error("the questionnaire {0} is not on this device; sync first")]
    UnknownQuestionnaire(String),
    /// A question, row or value is not right.
    #[error("{0}")]
    BadAnswer(String),
    /// A name is malformed.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// A save is larger than the server would take.
    #[error("this save is too large ({0}): save it in parts")]
    TooLarge(Problem),
    /// A file can't be an answer.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// The server could not be reached.
    #[error("the server could not be reached ({0}); nothing is lost, try later")]
    Unreachable(String),
    /// The server has too much to do.
    #[error("the server is busy; nothing is lost, try again in {after_s} seconds")]
    Busy {
        /// How long it asks to be left alone, in seconds.
        after_s: u64,
    },
    /// Another sync of this device is under way.
    #[error("a sync of this device is running already; wait for it")]
    Syncing,
    /// The lock against a second sync could not be taken.
    #[error("the file that keeps syncs apart failed ({0}); free some space, then try again")]
    Lock(String),
    /// A sync with a hub can't be.
    #[error(transparent)]
    Hub(#[from] HubProblem),
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(Problem),
    /// The sync ended early.
    #[error(transparent)]
    GaveUp(#[from] sync_protocol::engine::device::GaveUp),
}

/// Why this device can't sync with a hub, or be one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HubProblem {
    /// The server has not said yet who the device is.
    #[error("the server has to know this device before it meets a hub: sync with the server once")]
    NoPass,
    /// Nothing that the server signed says who was reached.
    #[error(
        "what answered at this address is no hub that the server knows: check the address, or ask your team leader"
    )]
    Unknown,
    /// It is a device, but no hub.
    #[error("{0} may not be a hub: only devices of team leaders are")]
    NoHub(String),
    /// It was a hub.
    #[error("{0} is no hub any more, or has not met the server for long: it has to sync with the server first")]
    RunOut(String),
    /// The hub turned the device away, and said why.
    #[error("this hub turned the phone away: {0}")]
    TurnedAway(String),
    /// The hub takes no more of this device.
    #[error("{0} takes no more of this phone now: sync with the server, nothing is lost")]
    Full(String),
    /// It told of a restore of the server, which may lack what the greeting said is safe there.
    #[error("the server was restored since this phone met it: greet the hub again")]
    Doubted,
    /// The hub may not see all of the device's areas.
    #[error("{hub} does not cover your area {area}: sync with the hub of your team, or with the server")]
    Elsewhere {
        /// The hub.
        hub: String,
        /// An area that is none of its.
        area: String,
    },
}

/// What is wrong with a file that was to be an answer; told when it is taken, not at night.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It is larger than an attachment may be.
    #[error("this file has {size} bytes, and at most {most} are taken: make it smaller or shorter")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// Most bytes.
        most: u64,
    },
    /// Its media type is not what the question takes.
    #[error("a file of the type {0} is not taken here: set the camera to JPEG, or choose another file")]
    Type(String),
    /// The record has as many attachments as it may.
    #[error("an interview holds at most {0} files: take one away first")]
    TooMany(usize),
    /// It says that it is a picture and can't be read as one.
    #[error("this picture can't be read: take it again")]
    Unreadable,
    /// The picture is too large to be worked on here.
    #[error("this picture has more pixels than the device can handle: take it smaller")]
    TooManyPixels,
    /// The answer names bytes that this device does not have.
    #[error("this file was never taken in on this device: choose the file itself")]
    NotTaken,
    /// There is no such file.
    #[error("there is no file {0}: check the path")]
    NotThere(String),
    /// The file can't be read or kept.
    #[error("the file can't be read or kept ({0}): check the space that is left")]
    Storage(String),
}

impl Error {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        use sync_protocol::engine::device::GaveUp;
        matches!(self, Self::Unreachable(_) | Self::Busy { .. } | Self::GaveUp(GaveUp::NoAnswer | GaveUp::NoProgress))
    }
}
