//! The messages of `POST /v1/enrol`: a device becomes known to its server.

use crate::{
    chain::{PublicKey, SecretKey, Signature},
    ids::ReplicaId,
    limits::Limits,
};
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
    /// The key's signature over code, replica and key: only who holds the key goes on under a name that a restored server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl Enrol {
    /// Signs the question with the replica's key.
    #[must_use]
    pub fn signed(mut self, key: &SecretKey) -> Self {
        self.signature = Some(key.sign(&self.message()));
        self
    }

    /// Whether whoever asks holds the key.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signature.is_some_and(|signature| self.key.verify(&self.message(), &signature))
    }

    fn message(&self) -> Vec<u8> {
        let mut message = b"tenun enrol 1\0".to_vec();
        message.extend(self.replica.0.as_bytes());
        message.extend(self.key.0);
        message.extend(self.code.as_bytes());
        message
    }
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
