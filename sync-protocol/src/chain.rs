//! The hash chain of a replica and the signed batches that carry it.
//!
//! `h(0)` is 32 zero bytes and `h(n) = SHA-256(h(n−1) ‖ replica ‖ n ‖ SHA-256(bytes))`. Both sides compute
//! it and nobody sends it: a batch names the hash before it, and the author's signature covers that and the hash after it, so
//! anyone may carry a batch and nobody can forge one (DESIGN §4).

use crate::{
    ids::{BadName, Hash, ReplicaId},
    problem::{Code, Problem},
    record::Stamp,
};
use ed25519_dalek::{Signer, SigningKey, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

/// Hashes the bytes of one change.
#[must_use]
pub fn digest(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// Extends a replica's chain by change `seq`, whose bytes have this digest.
#[must_use]
pub fn link(previous: Hash, replica: ReplicaId, seq: u64, digest: Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous.0);
    hasher.update(replica.0.as_bytes());
    hasher.update(seq.to_be_bytes());
    hasher.update(digest.0);
    Hash(hasher.finalize().into())
}

/// A change as a batch carries it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Carried {
    /// The bytes as authored.
    Bytes(Vec<u8>),
    /// The digest alone, where the carrier may not see the change or it was purged.
    Withheld(Hash),
}

impl Carried {
    /// The digest of the change.
    #[must_use]
    pub fn digest(&self) -> Hash {
        match self {
            Self::Bytes(bytes) => digest(bytes),
            Self::Withheld(digest) => *digest,
        }
    }
}

/// A signature of 64 bytes, written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::str::FromStr for Signature {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut bytes = [0; 64];
        let read = hex::decode_to_slice(text, &mut bytes);
        read.map(|()| Self(bytes)).map_err(|_ignored| BadName::new("128 hexadecimal digits", text))
    }
}

impl serde::Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|_ignored| serde::de::Error::custom("a signature is 128 hexadecimal digits"))
    }
}

/// The secret key of a replica; made on the device at enrolment, never sent.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes the key from 32 random bytes of the host.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The seed, to be stored.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The public key of a replica; 32 bytes, written as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hash(self.0).serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Hash::deserialize(deserializer).map(|hash| Self(hash.0))
    }
}

impl PublicKey {
    pub(crate) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok())
    }
}

/// Consecutive changes of one replica, as they travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose changes they are.
    pub replica: ReplicaId,
    /// The seq of the first change, from 1.
    pub first: u64,
    /// `h(first − 1)`.
    pub before: Hash,
    /// The changes, at least one.
    pub changes: Vec<Carried>,
    /// The author's signature over all of that, by `h(last)`.
    pub signature: Signature,
}

impl Batch {
    /// Makes and signs a batch.
    #[must_use]
    pub fn sign(replica: ReplicaId, first: u64, before: Hash, changes: Vec<Carried>, key: &SecretKey) -> Self {
        Self::sign_span(replica, first, before, changes, key).0
    }

    /// Makes and signs a batch, and tells what the signature covers.
    #[must_use]
    pub fn sign_span(
        replica: ReplicaId,
        first: u64,
        before: Hash,
        changes: Vec<Carried>,
        key: &SecretKey,
    ) -> (Self, Span) {
        let mut batch = Self { replica, first, before, changes, signature: Signature([0; 64]) };
        let span = batch.span();
        batch.signature = key.sign(&span.message());
        (batch, span)
    }

    /// The seq of the last change.
    #[must_use]
    pub fn last(&self) -> u64 {
        last_of(self.first, self.changes.len())
    }

    /// `h(n)` of each change, as the batch leads to it; nothing is verified.
    #[must_use]
    pub fn hashes(&self) -> Vec<Hash> {
        hashes(self.replica, self.first, self.before, &self.changes)
    }

    /// `h(last)`, as the batch leads to it: all its changes are hashed for that.
    #[must_use]
    pub fn after(&self) -> Hash {
        self.hashes().last().copied().unwrap_or(self.before)
    }

    /// What the signature covers: all changes are hashed for that.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span_to(self.after())
    }

    /// What the signature covers, of a batch that is known to lead to this hash.
    #[must_use]
    pub fn span_to(&self, after: Hash) -> Span {
        let Self { replica, first, before, .. } = *self;
        Span { replica, first, last: self.last(), before, after }
    }

    /// Checks that the author signed where the changes lead; gives `h(n)` of each.
    ///
    /// # Errors
    /// [`Code::BadSignature`]: nothing of the batch may be believed.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<Hash>, Problem> {
        let hashes = self.hashes();
        let span = hashes.last().map(|after| self.span_to(*after)).filter(|_| self.first > 0);
        if !span.is_some_and(|span| span.is_signed(&self.signature, key)) {
            let detail = format!("changes {} to {} of {}", self.first, self.last(), self.replica);
            return Err(Problem::new(Code::BadSignature, detail));
        }
        Ok(hashes)
    }
}

fn last_of(first: u64, count: usize) -> u64 {
    first.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)).saturating_sub(1)
}

fn hashes(replica: ReplicaId, first: u64, before: Hash, changes: &[Carried]) -> Vec<Hash> {
    let mut hash = before;
    let seqs = first..=u64::MAX;
    changes
        .iter()
        .zip(seqs)
        .map(|(change, seq)| {
            hash = link(hash, replica, seq, change.digest());
            hash
        })
        .collect()
}

/// A stretch of a replica's chain, without its changes: what the signature of a batch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The author's replica.
    pub replica: ReplicaId,
    /// The seq of the first change.
    pub first: u64,
    /// The seq of the last one.
    pub last: u64,
    /// `h(first - 1)`.
    pub before: Hash,
    /// `h(last)`.
    pub after: Hash,
}

impl Span {
    fn message(&self) -> Vec<u8> {
        let mut message = b"tenun batch 1\0".to_vec();
        message.extend(self.replica.0.as_bytes());
        message.extend(self.first.to_be_bytes());
        message.extend(self.last.to_be_bytes());
        message.extend(self.before.0);
        message.extend(self.after.0);
        message
    }

    /// Whether these changes lead through it, and its author signed that.
    #[must_use]
    pub fn is_proved(&self, changes: Vec<Carried>, signature: Signature, key: &PublicKey) -> bool {
        let Self { replica, first, before, after, .. } = *self;
        let hashes = Batch { replica, first, before, changes, signature }.verify(key);
        hashes.is_ok_and(|hashes| hashes.last() == Some(&after))
    }

    /// Tells whether its author signed it.
    #[must_use]
    pub fn is_signed(&self, signature: &Signature, key: &PublicKey) -> bool {
        key.verify(&self.message(), signature)
    }
}

/// What the server says of a batch that it received: when, and how far the device's clock was off.
///
/// Issued once per received batch, kept and given back on a re-send (DESIGN §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedStamp {
    /// The times.
    pub stamp: Stamp,
    /// The server's signature over the times, the replica and the span of seqs.
    pub signature: Signature,
}

impl SignedStamp {
    /// Stamps changes `first` to `last` of a replica.
    #[must_use]
    pub fn sign(stamp: Stamp, replica: ReplicaId, first: u64, last: u64, key: &SecretKey) -> Self {
        Self { stamp, signature: key.sign(&stamp_message(stamp, replica, first, last)) }
    }

    /// Whether the server with this key issued the stamp for these changes.
    #[must_use]
    pub fn is_valid(&self, replica: ReplicaId, first: u64, last: u64, key: &PublicKey) -> bool {
        key.verify(&stamp_message(self.stamp, replica, first, last), &self.signature)
    }
}

fn stamp_message(stamp: Stamp, replica: ReplicaId, first: u64, last: u64) -> Vec<u8> {
    let mut message = b"tenun stamp 1\0".to_vec();
    message.extend(replica.0.as_bytes());
    message.extend(first.to_be_bytes());
    message.extend(last.to_be_bytes());
    message.extend(stamp.received_ms.to_be_bytes());
    message.extend(stamp.skew_ms.to_be_bytes());
    message
}

/// A forked device's new identity, vouched for by its old key (DESIGN §5, rule 2).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Adoption {
    /// The new replica.
    pub replica: ReplicaId,
    /// Its key.
    pub key: PublicKey,
    /// The replica whose history it continues.
    pub from: ReplicaId,
    /// The old key's signature over both ids and the new key.
    pub signature: Signature,
    /// The old key, for a server that may have forgotten the old replica: whoever is known by the new name says by it what it
    /// was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_key: Option<PublicKey>,
}

impl Adoption {
    /// Vouches for a new replica with the old one's key.
    #[must_use]
    pub fn sign(replica: ReplicaId, key: PublicKey, from: ReplicaId, old: &SecretKey) -> Self {
        Self { replica, key, from, signature: old.sign(&adoption_message(replica, key, from)), from_key: None }
    }

    /// Whether the owner of the old replica's key made this.
    #[must_use]
    pub fn is_valid(&self, old: &PublicKey) -> bool {
        old.verify(&adoption_message(self.replica, self.key, self.from), &self.signature)
    }
}

/// The keys that may be trusted by whoever trusts one: those that it vouches for, directly or through others, in the order of the
/// adoptions. The last one is the newest.
#[must_use]
pub fn trusted(known: PublicKey, adoptions: &[Adoption]) -> Vec<PublicKey> {
    let mut keys = vec![known];
    for adoption in adoptions {
        if !keys.contains(&adoption.key) && keys.iter().any(|key| adoption.is_valid(key)) {
            keys.push(adoption.key);
        }
    }
    keys
}

fn adoption_message(replica: ReplicaId, key: PublicKey, from: ReplicaId) -> Vec<u8> {
    let mut message = b"tenun adoption 1\0".to_vec();
    message.extend(replica.0.as_bytes());
    message.extend(key.0);
    message.extend(from.0.as_bytes());
    message
}
