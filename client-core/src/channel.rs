//! A sealed channel between a phone and a hub over whatever network there is in a village: nobody in between reads or alters.
//!
//! Each side draws a key of X25519 for the meeting and signs both with its device's key (see [`Meeting`]): who is on the other
//! end is proved by the server's pass. Each message is one box of XChaCha20-Poly1305.
//!
//! [`Meeting`]: sync_protocol::pass::Meeting

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use sync_protocol::Hash;
use x25519_dalek::{PublicKey, StaticSecret};

/// Bytes in front of each box: the number that chance drew for it.
const NONCE: usize = 24;

/// What one side draws for a meeting, from 32 random bytes of its host.
#[derive(Clone)]
pub struct Ephemeral(StaticSecret);

impl std::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ephemeral(…)")
    }
}

impl Ephemeral {
    /// Takes what was drawn.
    #[must_use]
    pub fn new(drawn: [u8; 32]) -> Self {
        Self(StaticSecret::from(drawn))
    }

    /// What the other side is shown.
    #[must_use]
    pub fn nonce(&self) -> Hash {
        Hash(PublicKey::from(&self.0).to_bytes())
    }

    /// The channel to whoever has shown `other`; none where that is no key that anybody drew.
    #[must_use]
    pub fn channel(&self, other: Hash) -> Option<Channel> {
        let shared = self.0.diffie_hellman(&PublicKey::from(other.0));
        let (own, least) = (self.nonce(), self.nonce().0.min(other.0));
        let most = own.0.max(other.0);
        shared.was_contributory().then(|| {
            let mut key = Sha256::new();
            key.update(b"tenun channel 1\0");
            key.update(shared.as_bytes());
            key.update(least);
            key.update(most);
            Channel(XChaCha20Poly1305::new(&key.finalize()))
        })
    }
}

/// A channel that only its two ends can read and write.
#[derive(Clone)]
pub struct Channel(XChaCha20Poly1305);

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel(…)")
    }
}

/// A message is not what the other end of the channel sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message was altered on its way")]
pub struct Altered;

impl Channel {
    /// Seals a message with 24 bytes drawn for it; `answers` is the box that it answers, empty for a question, so that no old
    /// answer passes for a new one.
    ///
    /// # Errors
    /// If the message is larger than a box may be.
    pub fn seal(&self, drawn: [u8; NONCE], answers: &[u8], message: &[u8]) -> Result<Vec<u8>, Altered> {
        let payload = Payload { msg: message, aad: head(answers) };
        let mut sealed = self.0.encrypt(&XNonce::from(drawn), payload).map_err(|_ignored| Altered)?;
        sealed.splice(0..0, drawn);
        Ok(sealed)
    }

    /// Opens a message that the other end sealed.
    ///
    /// # Errors
    /// [`Altered`] if it is anything else.
    pub fn open(&self, answers: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Altered> {
        let (drawn, boxed) = sealed.split_at_checked(NONCE).ok_or(Altered)?;
        let drawn: [u8; NONCE] = drawn.try_into().map_err(|_ignored| Altered)?;
        let payload = Payload { msg: boxed, aad: head(answers) };
        self.0.decrypt(&XNonce::from(drawn), payload).map_err(|_ignored| Altered)
    }
}

/// What names a box: the number that was drawn for it.
fn head(sealed: &[u8]) -> &[u8] {
    sealed.get(..NONCE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_read_each_other_and_nobody_else_does() {
        let (hub, guest, eve) = (Ephemeral::new([1; 32]), Ephemeral::new([2; 32]), Ephemeral::new([3; 32]));
        let (there, back) = (guest.channel(hub.nonce()).unwrap(), hub.channel(guest.nonce()).unwrap());
        let asked = there.seal([7; 24], &[], b"halo").unwrap();
        assert_eq!(back.open(&[], &asked).unwrap(), b"halo");
        let answered = back.seal([8; 24], &asked, b"selamat").unwrap();
        assert_eq!(there.open(&asked, &answered).unwrap(), b"selamat");
        let other = there.seal([9; 24], &[], b"halo").unwrap();
        assert_eq!(there.open(&other, &answered), Err(Altered), "an old answer");
        assert_eq!(back.open(&[], &answered), Err(Altered), "an answer is no question");
        assert!(eve.channel(hub.nonce()).unwrap().open(&[], &asked).is_err());
        for at in 0..asked.len() {
            let mut altered = asked.clone();
            altered[at] ^= 1;
            assert_eq!(back.open(&[], &altered), Err(Altered));
        }
        assert!(guest.channel(Hash::default()).is_none(), "a key that nobody drew");
    }
}
