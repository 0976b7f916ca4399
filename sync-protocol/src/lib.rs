//! The record CRDT of Tenun, its canonical bytes, its wire messages and both halves of the sync engine.
//!
//! Everything here is a pure function of its arguments: no input or output, no clock, no randomness,
//! no async. Server, device, hub and simulator run this same code (DESIGN §5).
//!
//! | module | what it owns |
//! |---|---|
//! | [`ids`] | names of things: replicas, dots, records, questionnaires, hashes |
//! | [`path`], [`value`] | where an answer stands and what it can be |
//! | [`attachment`] | how a record names a photo or a file whose bytes travel apart |
//! | [`change`] | one save of one record, its operations and its canonical bytes |
//! | [`record`] | the merge: changes in, siblings, rows, conflicts and the merged view out |
//! | [`remark`] | what a remark is about, and which remarks are answered |
//! | [`households`] | which households are one, by the links between them |
//! | [`chain`] | the hash chain of a replica and its signed batches |
//! | [`wire`] | the messages of `POST /v1/sync` |
//! | [`engine`] | the sans-IO sync engine: [`engine::intake`] receives, [`engine::device`] sends |
//! | [`limits`], [`problem`] | the sizes that bound everything, the codes of what can go wrong |

pub mod attachment;
pub mod chain;
pub mod change;
pub mod engine;
pub mod households;
pub mod ids;
pub mod limits;
pub mod path;
pub mod problem;
pub mod record;
pub mod remark;
mod strict;
pub mod value;
pub mod wire;

pub use attachment::Attachment;
pub use change::{Change, Op};
pub use ids::{Dot, Hash, HouseholdId, QuestionnaireRef, RecordId, ReplicaId, Subject};
pub use limits::Limits;
pub use path::{Path, Place};
pub use problem::Code;
pub use record::{Record, Sibling, Snapshot, Stamp};
pub use value::{Missing, Value};
