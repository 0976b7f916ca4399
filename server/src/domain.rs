//! What the server decides; no HTTP and no SQL here.
//!
//! | module | what it owns |
//! |---|---|
//! | [`identity`] | the server as a replica: its name, key and epoch |
//! | [`catalogue`] | areas and questionnaires in memory, and the check of a change against them |
//! | [`prepare`] | a request read, verified and checked, before the writer's turn |
//! | [`ingest`] | the writer's turn: the log, the derived rows, the buckets |
//! | [`mod@derive`] | what a record's line says, and its rebuild |
//! | [`validate`] | what a record's questionnaire says of it, after the ack |
//! | [`pull`] | the reply: scope and buckets; `carry` adds what proves others' changes, and what a restored server lacks |
//! | [`snapshot`] | records as they stand, for devices that are far behind |
//! | [`people`] | enrolment, logins |
//! | `forgotten` | whom a restored server takes back by its own earlier word |
//! | `hubs` | what it signs for devices that meet without it |
//! | [`migrate`] | interviews moved to a later version of their questionnaire |
//! | [`review`] | coordinators' decisions, which are changes of the server's replica |
//! | [`households`] | households registered twice, joined and parted |
//! | [`detail`] | one record with siblings, provenance and history |
//! | [`export`] | CSV |
//! | [`attachments`] | photos and files: who may send and see them, orphans |
//! | [`backup`] | copies: taken, proved, brought back as a new epoch |

pub mod attachments;
pub mod backup;
mod carry;
pub mod catalogue;
pub mod derive;
pub mod detail;
pub mod export;
mod forgotten;
pub mod households;
mod hubs;
pub mod identity;
pub mod ingest;
pub mod migrate;
pub mod people;
pub mod prepare;
pub mod pull;
pub mod review;
pub mod snapshot;
pub mod validate;

use crate::store::StoreError;
use sync_protocol::problem::{Code, Problem};

/// Why something was not done; nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked is not possible, and why.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    /// Makes a failure of a code and a reason.
    pub fn problem(code: Code, detail: impl Into<String>) -> Self {
        Self::Problem(Problem::new(code, detail))
    }
}
