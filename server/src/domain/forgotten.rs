//! Whom a restored server has forgotten, and takes back by its own earlier word: authors that became known after the backup, and
//! its own names in lives that a restore has ended (docs/decisions/0014).
//!
//! What proves a change is its author's key, and whose a key is the server says: without this it could not believe what others
//! hold of them.

use crate::store::{Device, ReplicaRow, StoreError, Tx};
use std::collections::BTreeMap;
use sync_protocol::{
    ReplicaId,
    chain::{Adoption, PublicKey},
    pass::{Pass, Voucher},
    wire::{Enrol, Request},
};

/// So many of each kind are looked at in one request: each is a signature to check.
const MOST: usize = 2_000;

/// So many say whence one name comes.
const RIVALS: usize = 16;

/// What a request proves of what was forgotten.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// How the server's own names of ended lives are vouched for, the oldest first.
    lives: Vec<Adoption>,
    /// Authors, by the server's word.
    authors: BTreeMap<ReplicaId, Author>,
    /// What the device itself was before it took its name, the latest first.
    own: Vec<(ReplicaId, PublicKey)>,
}

/// An author by the server's earlier word.
#[derive(Clone, Debug)]
struct Author {
    key: PublicKey,
    enumerator: String,
    /// What people called the device.
    name: String,
    /// The names that it had before, the latest first.
    earlier: Vec<ReplicaId>,
}

impl Forgotten {
    /// Reads what a request shows. What is known, and what the server did not sign, is passed over.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(tx: Tx<'_>, device: &Device, request: &Request) -> Result<Self, StoreError> {
        let mut forgotten = Self::default();
        if request.adoptions.is_empty() && request.passes.is_empty() && request.keys.is_empty() {
            return Ok(forgotten);
        }
        let mut own: BTreeMap<ReplicaId, PublicKey> = tx.own_replicas()?.into_iter().collect();
        for adoption in request.adoptions.iter().take(MOST) {
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
                let Voucher { replica, key, enumerator, name, earlier, signature: _ } = voucher.clone();
                forgotten.authors.entry(replica).or_insert(Author { key, enumerator, name, earlier });
            }
        }
        for pass in request.passes.iter().take(MOST) {
            let is_new = tx.replica(pass.replica)?.is_none() && !forgotten.authors.contains_key(&pass.replica);
            if is_new && pass.is_signed(&keys) {
                let Pass { replica, key, enumerator, name, .. } = pass.clone();
                let earlier = forgotten.before(tx, replica, request)?.into_iter().collect();
                forgotten.authors.entry(replica).or_insert(Author { key, enumerator, name, earlier });
            }
        }
        forgotten.own = own_names(tx, device, request)?;
        Ok(forgotten)
    }

    /// What a device was before it took a name, by an adoption of the request that the key of that one signed.
    fn before(&self, tx: Tx<'_>, replica: ReplicaId, request: &Request) -> Result<Option<ReplicaId>, StoreError> {
        for adoption in request.adoptions.iter().filter(|adoption| adoption.replica == replica).take(RIVALS) {
            let introduced = self.authors.get(&adoption.from).map(|author| author.key);
            let known = tx.replica(adoption.from)?.filter(|row| row.device.is_some()).map(|row| row.key);
            if known.or(introduced).is_some_and(|key| adoption.is_valid(&key)) {
                return Ok(Some(adoption.from));
            }
        }
        Ok(None)
    }

    /// The keys of the server's own lives that it is reminded of.
    pub fn own_keys(&self) -> impl Iterator<Item = PublicKey> {
        self.lives.iter().map(|life| life.key)
    }

    /// Earlier names of the device itself, with their keys.
    pub fn own_names(&self) -> impl Iterator<Item = (ReplicaId, PublicKey)> {
        self.own.iter().copied()
    }

    /// Whose keys it is reminded of beside those.
    pub fn keys(&self) -> impl Iterator<Item = (ReplicaId, PublicKey)> {
        let authors = self.authors.iter().map(|(replica, author)| (*replica, author.key));
        self.lives.iter().map(|life| (life.replica, life.key)).chain(authors)
    }

    /// Makes them known again. An author whose device the backup does not know by an earlier name gets one that is absent: it has
    /// no token until it enrols again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remember(self, tx: Tx<'_>, device: i64, now_ms: i64) -> Result<(), StoreError> {
        for life in self.lives {
            if let (None, Some(from)) = (tx.replica(life.replica)?, tx.replica(life.from)?) {
                tx.insert_replica(life.replica, None, life.key, Some(from.id))?;
                tx.set_vouched(life.replica, life.signature)?;
            }
        }
        for (replica, key) in self.own {
            if tx.replica(replica)?.is_none() {
                tx.insert_replica(replica, Some(device), key, None)?;
            }
        }
        let mut authors: Vec<(ReplicaId, Author)> = self.authors.into_iter().collect();
        authors.sort_by_key(|(_, author)| author.earlier.len());
        for (replica, Author { key, enumerator, name, earlier }) in authors {
            if tx.replica(replica)?.is_some() {
                continue;
            }
            // Added after the backup, too: the coordinator gives the name again.
            if !tx.has_enumerator(&enumerator)? {
                tx.put_enumerator(&enumerator, &enumerator)?;
            }
            let mut lives_on = None;
            for earlier in &earlier {
                let device = tx.replica(*earlier)?.and_then(|row| row.device);
                // Who has enrolled since may be another life, or somebody who took the name: they are let in apart.
                if let (None, Some(device)) = (lives_on, device)
                    && tx.is_in_backup(device, &enumerator)?
                {
                    lives_on = Some(device);
                }
            }
            let from = earlier.first().map_or(Ok(None), |from| tx.replica(*from))?.map(|row| row.id);
            let device = match lives_on {
                Some(device) => device,
                None => tx.insert_absent_device(&enumerator, &name, replica, now_ms)?,
            };
            tx.insert_replica(replica, Some(device), key, from)?;
        }
        Ok(())
    }
}

/// What a device says that it was before it took a name that is known for its own: each is signed by the key of the one before.
fn own_names(tx: Tx<'_>, device: &Device, request: &Request) -> Result<Vec<(ReplicaId, PublicKey)>, StoreError> {
    let mut names: Vec<(ReplicaId, PublicKey)> = Vec::new();
    for adoption in request.adoptions.iter().rev().take(MOST) {
        let Some(key) = adoption.from_key.filter(|key| adoption.is_valid(key)) else { continue };
        let row = tx.replica(adoption.replica)?;
        let is_own = row.is_some_and(|row| row.device == Some(device.id) && row.key == adoption.key)
            || names.contains(&(adoption.replica, adoption.key));
        if is_own && tx.replica(adoption.from)?.is_none() {
            names.push((adoption.from, key));
        }
    }
    Ok(names)
}

/// The absent device on which a replica lives, where whoever enrols for its enumerator holds the replica's key.
///
/// # Errors
/// If the store fails.
pub(super) fn absent_device(
    tx: Tx<'_>,
    row: &ReplicaRow,
    ask: &Enrol,
    enumerator: &str,
) -> Result<Option<i64>, StoreError> {
    let is_theirs = row.key == ask.key && ask.is_signed() && is_absent(tx, row, enumerator)?;
    Ok(row.device.filter(|_| is_theirs))
}

/// Whether a replica was made known by others' word alone, as one of an enumerator's: its device itself says whose it is.
///
/// # Errors
/// If the store fails.
pub(super) fn is_absent(tx: Tx<'_>, row: &ReplicaRow, enumerator: &str) -> Result<bool, StoreError> {
    Ok(row.device.map_or(Ok(None), |device| tx.absent_device(device))?.is_some_and(|of| of == enumerator))
}
