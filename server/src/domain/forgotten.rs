//! Whom a restored server has forgotten, and takes back by its own earlier word: authors that became known after the backup, and
//! its own names in lives that a restore has ended (docs/decisions/0014).
//!
//! What proves a change is its author's key, and whose a key is the server says: without this it could not believe what others
//! hold of them.

use crate::store::{ReplicaRow, StoreError, Tx};
use std::collections::BTreeMap;
use sync_protocol::{
    ReplicaId,
    chain::{Adoption, PublicKey},
    pass::{Pass, Voucher},
    wire::Request,
};

/// So many authors are looked at in one request: each is a signature to check.
const MOST: usize = 2_000;

/// What a request proves of what was forgotten.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// How the server's own names of ended lives are vouched for, the oldest first.
    lives: Vec<Adoption>,
    /// Authors, by the server's word.
    authors: Vec<Voucher>,
}

impl Forgotten {
    /// Reads what a request shows. What is known, and what the server did not sign, is passed over.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(tx: Tx<'_>, request: &Request) -> Result<Self, StoreError> {
        let mut forgotten = Self::default();
        if request.adoptions.is_empty() && request.passes.is_empty() && request.keys.is_empty() {
            return Ok(forgotten);
        }
        let mut own: BTreeMap<ReplicaId, PublicKey> = tx.own_replicas()?.into_iter().collect();
        for adoption in &request.adoptions {
            let is_own = own.get(&adoption.from).is_some_and(|from| adoption.is_valid(from));
            if is_own && tx.replica(adoption.replica)?.is_none() {
                own.insert(adoption.replica, adoption.key);
                forgotten.lives.push(adoption.clone());
            }
        }
        let keys: Vec<PublicKey> = own.into_values().collect();
        for voucher in request.keys.iter().take(MOST) {
            // The server's own names come by their adoptions.
            if !voucher.enumerator.is_empty() && tx.replica(voucher.replica)?.is_none() && voucher.is_signed(&keys) {
                forgotten.authors.push(voucher.clone());
            }
        }
        for pass in request.passes.iter().take(MOST) {
            if tx.replica(pass.replica)?.is_none() && pass.is_signed(&keys) {
                let Pass { replica, key, enumerator, name, signature, .. } = pass.clone();
                forgotten.authors.push(Voucher { replica, key, enumerator, name, signature });
            }
        }
        Ok(forgotten)
    }

    /// The keys of the server's own lives that it is reminded of.
    pub fn own_keys(&self) -> impl Iterator<Item = PublicKey> {
        self.lives.iter().map(|life| life.key)
    }

    /// Whose keys it is reminded of.
    pub fn keys(&self) -> impl Iterator<Item = (ReplicaId, PublicKey)> {
        let authors = self.authors.iter().map(|author| (author.replica, author.key));
        self.lives.iter().map(|life| (life.replica, life.key)).chain(authors)
    }

    /// Makes them known again. An author's device is absent: it has no token, until it enrols again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remember(self, tx: Tx<'_>, now_ms: i64) -> Result<(), StoreError> {
        for life in self.lives {
            if let (None, Some(from)) = (tx.replica(life.replica)?, tx.replica(life.from)?) {
                tx.insert_replica(life.replica, None, life.key, Some(from.id))?;
                tx.set_vouched(life.replica, life.signature)?;
            }
        }
        for Voucher { replica, key, enumerator, name, .. } in self.authors {
            if tx.replica(replica)?.is_some() {
                continue;
            }
            // Added after the backup, too: the coordinator gives the name again.
            if !tx.has_enumerator(&enumerator)? {
                tx.put_enumerator(&enumerator, &enumerator)?;
            }
            let device = tx.insert_absent_device(&enumerator, &name, replica, now_ms)?;
            tx.insert_replica(replica, Some(device), key, None)?;
        }
        Ok(())
    }
}

/// The absent device on which a replica lives, where an enumerator's device may say that it is this one.
///
/// # Errors
/// If the store fails.
pub(super) fn claimable(
    tx: Tx<'_>,
    row: &ReplicaRow,
    key: PublicKey,
    enumerator: &str,
) -> Result<Option<i64>, StoreError> {
    let Some(device) = row.device.filter(|_| row.key == key) else { return Ok(None) };
    Ok(tx.absent_device(device)?.filter(|of| of == enumerator).map(|_| device))
}
