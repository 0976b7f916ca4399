//! The server as a replica: coordinators' decisions are changes that it authors and signs (DESIGN §4).

use super::Failure;
use crate::store::{StoreError, Tx};
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Adoption, SecretKey},
    wire::Epoch,
};

const REPLICA: &str = "server_replica";
const SECRET: &str = "server_secret";
const EPOCH: &str = "epoch";

/// Who the server is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its replica.
    pub replica: ReplicaId,
    /// Its key.
    pub key: SecretKey,
    /// The life of its log between restores.
    pub epoch: Epoch,
}

impl Identity {
    /// Reads the identity, or makes one for a new data directory.
    ///
    /// # Errors
    /// If the store fails or there is no randomness.
    pub fn load_or_make(tx: Tx<'_>) -> Result<Self, Failure> {
        if tx.meta(REPLICA)?.is_none() {
            make(tx, None)?;
        }
        let corrupt = |_| StoreError::Corrupt("the server's identity");
        let replica = tx.meta(REPLICA)?.unwrap_or_default().parse().map_err(corrupt)?;
        let secret: Hash = tx.meta(SECRET)?.unwrap_or_default().parse().map_err(corrupt)?;
        Ok(Self { replica, key: SecretKey::from_seed(secret.0), epoch: tx.meta(EPOCH)?.unwrap_or_default() })
    }
}

impl Identity {
    /// The epoch of a store; none before the first start.
    ///
    /// # Errors
    /// If the store fails.
    pub fn epoch(tx: Tx<'_>) -> Result<Option<Epoch>, StoreError> {
        tx.meta(EPOCH)
    }

    /// Begins a new epoch in a copy that is brought back: the server goes on as a new replica, so that no dot is issued
    /// twice, and notes how far each bucket goes, so that older cursors can be cut down to it.
    ///
    /// # Errors
    /// If the store fails or there is no randomness.
    pub fn begin_epoch(tx: Tx<'_>, now_ms: i64) -> Result<Epoch, Failure> {
        let old = Self::load_or_make(tx)?;
        tx.end_epoch(&old.epoch, now_ms)?;
        make(tx, Some(&old))
    }
}

/// Makes the server a new replica in a new epoch, vouched for by the key of the one before.
fn make(tx: Tx<'_>, before: Option<&Identity>) -> Result<Epoch, Failure> {
    let replica = ReplicaId(uuid::Builder::from_random_bytes(random()?).into_uuid());
    let key = SecretKey::from_seed(random()?);
    let epoch = hex::encode(random::<4>()?);
    tx.set_meta(REPLICA, &replica.to_string())?;
    tx.set_meta(SECRET, &Hash(key.seed()).to_string())?;
    tx.set_meta(EPOCH, &epoch)?;
    let from = before.map_or(Ok(None), |before| tx.replica(before.replica))?.map(|row| row.id);
    tx.insert_replica(replica, None, key.public(), from)?;
    if let Some(before) = before {
        let vouched = Adoption::sign(replica, key.public(), before.replica, &before.key);
        tx.set_vouched(replica, vouched.signature)?;
    }
    Ok(epoch)
}

/// Random bytes of the operating system.
///
/// # Errors
/// If it has none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_ignored| {
        Failure::problem(sync_protocol::Code::Internal, "the operating system has no randomness")
    })?;
    Ok(bytes)
}
