//! The messages of `POST /v1/enrol`: a device becomes known to its server.

use crate::{chain::PublicKey, ids::ReplicaId, limits::Limits};
use serde::{Deserialize, Serialize};

/// A device asks to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The one-time code that a coordinator gave out.
    pub code: String,
    /// The device's replica.
    pub replica: ReplicaId,
    /// The replica's key, made on the device.
    pub key: PublicKey,
    /// What the device is called in lists.
    #[serde(default)]
    pub name: String,
}

/// The server knows the device from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The device's secret for the `Authorization: Bearer` header; the server keeps only its hash.
    pub token: String,
    /// The enumerator whose device it is.
    pub enumerator: String,
    /// The server's replica …
    pub server: ReplicaId,
    /// … and its key: coordinators' decisions and stamps are signed with it.
    pub server_key: PublicKey,
    /// The sizes that the device checks when the enumerator saves.
    #[serde(default)]
    pub limits: Limits,
}
