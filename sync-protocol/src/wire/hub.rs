//! The messages by which a phone and a hub meet: `POST /v1/hub`, before they sync.

use super::Acked;
use crate::{
    chain::{Adoption, PublicKey, Signature},
    ids::{Hash, ReplicaId},
    pass::Pass,
};
use serde::{Deserialize, Serialize};

/// What a device shows of itself: its pass, and where it has taken a new name since, how the old one vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What the server says of it.
    pub pass: Pass,
    /// It forked, and the server has not made a pass for its new name yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adoption>,
    /// How the server's keys are vouched for, each by an earlier one: the other may know an older one only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouched: Vec<Adoption>,
}

impl Shown {
    /// The replica and the key that the device has today, if the pass leads to them.
    #[must_use]
    pub fn identity(&self) -> Option<(ReplicaId, PublicKey)> {
        match &self.adopt {
            None => Some((self.pass.replica, self.pass.key)),
            Some(adopt) if adopt.from == self.pass.replica && adopt.is_valid(&self.pass.key) => {
                Some((adopt.replica, adopt.key))
            }
            Some(_) => None,
        }
    }
}

/// A phone asks to sync with a hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The protocol version.
    pub tenun: u32,
    /// Who asks.
    #[serde(flatten)]
    pub shown: Shown,
    /// Drawn for this meeting: a public key of X25519 (RFC 7748).
    pub nonce: Hash,
    /// How far the server has told the phone that its history is held; nothing before it need come by the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<Acked>,
}

/// The hub answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version.
    pub tenun: u32,
    /// Whom the phone has reached.
    #[serde(flatten)]
    pub shown: Shown,
    /// Drawn for this meeting: a public key of X25519.
    pub nonce: Hash,
    /// How far the hub holds the phone's history, from what the phone says the server holds.
    pub acked_through: u64,
    /// `h(acked_through)` of the history that it holds: it counts for a guest whose own that is.
    pub acked_hash: Hash,
    /// Proves that the hub holds its key.
    pub signature: Signature,
}
