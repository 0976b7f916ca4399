//! What the server signs so that devices can believe each other where there is no network: who a device is, whose a key is,
//! how far a history is safe.
//!
//! A hub shows these to phones, and phones to hubs; nobody but the server can make one (docs/decisions/0018).

use crate::{
    chain::{PublicKey, SecretKey, Signature},
    ids::{Hash, ReplicaId},
};
use serde::{Deserialize, Serialize};

/// How long a pass is good, in milliseconds of the server's clock: 30 days.
pub const LIFETIME_MS: i64 = 30 * 86_400_000;

/// Collects what a signature covers: a name, then each part with its length where that is not fixed.
struct Message(Vec<u8>);

impl Message {
    fn new(name: &str) -> Self {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        Self(bytes)
    }

    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.count(text.len()).fixed(text.as_bytes())
    }

    fn count(self, count: usize) -> Self {
        self.fixed(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes())
    }
}

/// The server's word for one device: who it is, and which areas it may exchange changes of with other devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The device's replica …
    pub replica: ReplicaId,
    /// … and its key.
    pub key: PublicKey,
    /// The enumerator's code.
    pub enumerator: String,
    /// What people call the device.
    pub name: String,
    /// It may be a hub.
    pub hub: bool,
    /// The areas whose changes it may see, in order.
    pub areas: Vec<String>,
    /// When it was made, by the server's clock, in milliseconds since 1970.
    pub from: i64,
    /// Until when it is good, by the server's clock.
    pub until: i64,
    /// The server's signature over all of that.
    pub signature: Signature,
}

impl Pass {
    /// Signs a pass; what its signature was before does not matter.
    #[must_use]
    pub fn signed(mut self, server: &SecretKey) -> Self {
        self.signature = server.sign(&self.message());
        self
    }

    fn message(&self) -> Vec<u8> {
        let Self { replica, key, enumerator, name, hub, areas, from, until, signature: _ } = self;
        let message = Message::new("tenun pass 1")
            .fixed(replica.0.as_bytes())
            .fixed(&key.0)
            .fixed(&[u8::from(*hub)])
            .fixed(&from.to_be_bytes())
            .fixed(&until.to_be_bytes())
            .text(enumerator)
            .text(name)
            .count(areas.len());
        areas.iter().fold(message, |message, area| message.text(area)).0
    }

    /// Whether one of the server's keys signed it.
    #[must_use]
    pub fn is_signed(&self, server: &[PublicKey]) -> bool {
        let message = self.message();
        server.iter().any(|key| key.verify(&message, &self.signature))
    }

    /// Whether it has run out, for somebody who last heard of the server at `heard_ms` by the server's clock.
    ///
    /// Nobody's own clock counts: it may be years off. Who has not heard of the server for long takes longer to notice, and
    /// what gets in meanwhile the server keeps apart (DESIGN §5, rule 7).
    #[must_use]
    pub fn has_run_out(&self, heard_ms: i64) -> bool {
        heard_ms > self.until
    }

    /// The areas that both passes cover.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Vec<String> {
        self.areas.iter().filter(|area| other.areas.contains(area)).cloned().collect()
    }
}

/// The server's word for whose a key is: with it what an author signed can be believed, whoever brings it, and by a server that was
/// restored and has forgotten the author, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The replica …
    pub replica: ReplicaId,
    /// … and its key.
    pub key: PublicKey,
    /// The code of its device's enumerator; empty for the server's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub enumerator: String,
    /// What people call the device.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The names that the device had before this one, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<ReplicaId>,
    /// The server's signature over all of that.
    pub signature: Signature,
}

impl Voucher {
    /// Signs a voucher; what its signature was before does not matter.
    #[must_use]
    pub fn signed(mut self, server: &SecretKey) -> Self {
        self.signature = server.sign(&self.message());
        self
    }

    /// Whether one of the server's keys signed it.
    #[must_use]
    pub fn is_signed(&self, server: &[PublicKey]) -> bool {
        let message = self.message();
        server.iter().any(|key| key.verify(&message, &self.signature))
    }

    fn message(&self) -> Vec<u8> {
        let Self { replica, key, enumerator, name, earlier, signature: _ } = self;
        let message = Message::new("tenun key 1").fixed(replica.0.as_bytes()).fixed(&key.0).text(enumerator).text(name);
        // Most devices had no other name: what was signed before these were named stays right.
        let message = if earlier.is_empty() { message } else { message.count(earlier.len()) };
        earlier.iter().fold(message, |message, name| message.fixed(name.0.as_bytes())).0
    }
}

/// The server's word that it holds a history and that all of it counts.
///
/// The hash names the history: a copy of a phone that wrote something else can't take it for its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose history.
    pub replica: ReplicaId,
    /// The last change of it that the server holds, with everything before it.
    pub seq: u64,
    /// `h(seq)`.
    pub hash: Hash,
    /// The server's signature over all of that.
    pub signature: Signature,
}

impl Receipt {
    /// Says that the server holds a history through `seq`.
    #[must_use]
    pub fn sign(replica: ReplicaId, seq: u64, hash: Hash, server: &SecretKey) -> Self {
        Self { replica, seq, hash, signature: server.sign(&receipt_message(replica, seq, hash)) }
    }

    /// Whether this key of the server signed it. The newest one is what counts: an older life of the server may have held what
    /// the one of today lacks.
    #[must_use]
    pub fn is_signed(&self, server: &PublicKey) -> bool {
        server.verify(&receipt_message(self.replica, self.seq, self.hash), &self.signature)
    }
}

fn receipt_message(replica: ReplicaId, seq: u64, hash: Hash) -> Vec<u8> {
    Message::new("tenun receipt 1").fixed(replica.0.as_bytes()).fixed(&seq.to_be_bytes()).fixed(&hash.0).0
}

/// Which side of a meeting signs that it holds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The device that was asked.
    Hub,
    /// The device that asks.
    Guest,
}

/// A hub and its guest, with what each drew for this meeting: what both sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The hub's replica.
    pub hub: ReplicaId,
    /// The guest's replica.
    pub guest: ReplicaId,
    /// What the hub drew.
    pub hub_nonce: Hash,
    /// What the guest drew.
    pub guest_nonce: Hash,
}

impl Meeting {
    fn message(&self, side: Side) -> Vec<u8> {
        let name = match side {
            Side::Hub => "tenun hub 1",
            Side::Guest => "tenun guest 1",
        };
        Message::new(name)
            .fixed(&self.hub_nonce.0)
            .fixed(&self.guest_nonce.0)
            .fixed(self.hub.0.as_bytes())
            .fixed(self.guest.0.as_bytes())
            .0
    }

    /// Proves that one side holds its key.
    #[must_use]
    pub fn sign(&self, side: Side, key: &SecretKey) -> Signature {
        key.sign(&self.message(side))
    }

    /// Whether that side held its key.
    #[must_use]
    pub fn is_signed(&self, side: Side, signature: &Signature, key: &PublicKey) -> bool {
        key.verify(&self.message(side), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn pass() -> (Pass, SecretKey) {
        let server = SecretKey::from_seed([9; 32]);
        let pass = Pass {
            replica: ReplicaId(Uuid::from_u128(1)),
            key: SecretKey::from_seed([1; 32]).public(),
            enumerator: "KP001".into(),
            name: "TIM-3".into(),
            hub: true,
            areas: vec!["5371041001.001".into(), "5371041001.002".into()],
            from: 1,
            until: 2,
            signature: Signature([0; 64]),
        };
        (pass.signed(&server), server)
    }

    #[test]
    fn a_pass_with_any_part_altered_is_not_the_servers() {
        let (pass, server) = pass();
        let keys = [server.public()];
        assert!(pass.is_signed(&keys));
        let altered = [
            Pass { replica: ReplicaId(Uuid::from_u128(2)), ..pass.clone() },
            Pass { key: server.public(), ..pass.clone() },
            Pass { enumerator: "KP00".into(), name: "1TIM-3".into(), ..pass.clone() },
            Pass { hub: false, ..pass.clone() },
            Pass { areas: vec!["5371041001.0015371041001.002".into()], ..pass.clone() },
            Pass { from: 0, ..pass.clone() },
            Pass { until: i64::MAX, ..pass.clone() },
        ];
        for one in altered {
            assert!(!one.is_signed(&keys), "{one:?}");
        }
    }

    #[test]
    fn one_side_can_t_answer_for_the_other_nor_a_receipt_for_another_history() {
        let (hub, guest) = (ReplicaId(Uuid::from_u128(1)), ReplicaId(Uuid::from_u128(2)));
        let meeting = Meeting { hub, guest, hub_nonce: Hash([1; 32]), guest_nonce: Hash([2; 32]) };
        let key = SecretKey::from_seed([3; 32]);
        let signature = meeting.sign(Side::Hub, &key);
        assert!(meeting.is_signed(Side::Hub, &signature, &key.public()));
        assert!(!meeting.is_signed(Side::Guest, &signature, &key.public()));
        let again = Meeting { hub_nonce: Hash([4; 32]), ..meeting };
        assert!(!again.is_signed(Side::Hub, &signature, &key.public()));
        let receipt = Receipt::sign(guest, 5, Hash([5; 32]), &key);
        assert!(receipt.is_signed(&key.public()));
        assert!(!Receipt { hash: Hash([6; 32]), ..receipt.clone() }.is_signed(&key.public()));
        assert!(!Receipt { seq: 6, ..receipt }.is_signed(&key.public()));
    }
}
