//! The log: replicas, changes as authored, stamps, branches, parked batches, quarantine.

use super::{StoreError, Tx};
use rusqlite::{CachedStatement, OptionalExtension, Row, params};
use sync_protocol::{
    Dot, Hash, ReplicaId, Stamp,
    chain::{PublicKey, Signature},
    wire::Stamped,
};

/// A replica that the server knows.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaRow {
    /// Its number in the store.
    pub id: i64,
    /// Its name.
    pub replica: ReplicaId,
    /// The device it lives on; none for the server's own.
    pub device: Option<i64>,
    /// The key that signs its batches.
    pub key: PublicKey,
    /// The last contiguous seq.
    pub head: u64,
    /// `h(head)`.
    pub head_hash: Hash,
    /// The last seq that is held beyond `head`, behind a gap: somebody else carried it here.
    pub apart: u64,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeState {
    /// It counts.
    Applied,
    /// Kept until a coordinator releases it.
    Quarantined,
    /// Pushed by a revoked device: kept apart.
    Escrow,
    /// A second re-authoring of a branch: kept, never applied.
    Superseded,
}

impl ChangeState {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Applied => 0,
            Self::Quarantined => 1,
            Self::Escrow => 2,
            Self::Superseded => 3,
        }
    }

    fn of(number: i64) -> Option<Self> {
        [Self::Applied, Self::Quarantined, Self::Escrow, Self::Superseded].into_iter().find(|s| s.number() == number)
    }
}

/// A stored change.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// Its number in the store.
    pub id: i64,
    /// Its name.
    pub dot: Dot,
    /// When the server received it.
    pub stamp: Stamp,
    /// The bytes as authored.
    pub bytes: Vec<u8>,
}

/// A change to be appended, but for what became of it.
#[derive(Clone, Copy, Debug)]
pub struct NewChange<'b> {
    /// The author's replica, by its number.
    pub replica: i64,
    /// The seq there.
    pub seq: u64,
    /// When it was received.
    pub stamp: Stamp,
    /// `h(seq)`.
    pub hash: Hash,
    /// The bytes as authored.
    pub bytes: &'b [u8],
}

/// Appends changes, in one transaction.
pub struct ChangeInsert<'a>(CachedStatement<'a>);

impl std::fmt::Debug for ChangeInsert<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChangeInsert")
    }
}

impl ChangeInsert<'_> {
    /// Appends a change; its number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn run(&mut self, new: NewChange<'_>, record: Option<i64>, state: ChangeState) -> Result<i64, StoreError> {
        let NewChange { replica, seq, stamp, hash, bytes } = new;
        let state = state.number();
        Ok(self.0.insert(params![replica, seq, record, state, stamp.received_ms, stamp.skew_ms, hash.0, bytes])?)
    }
}

/// A change of a branch: held apart, beside the one that kept its dot.
#[derive(Clone, Debug)]
pub struct BranchChange {
    /// Its seq in the branch.
    pub seq: u64,
    /// `h(seq)` of the branch.
    pub hash: Hash,
    /// How far the device's clock was ahead when it was received.
    pub skew_ms: i64,
    /// The bytes as authored.
    pub bytes: Vec<u8>,
    /// The dot under which it was authored again, if it was.
    pub again: Option<Dot>,
}

/// A stamp that the server issued.
#[derive(Clone, Copy, Debug)]
pub struct StampRow {
    /// The first change.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The times.
    pub stamp: Stamp,
    /// The server's signature.
    pub signature: Signature,
}

impl StampRow {
    /// The stamp as devices are told it, of a replica's changes.
    #[must_use]
    pub fn of(self, replica: ReplicaId) -> Stamped {
        let Self { first, last, stamp, signature } = self;
        Stamped { replica, first, last, stamp, signature }
    }
}

pub(super) fn hash(bytes: Vec<u8>) -> rusqlite::Result<Hash> {
    bytes.try_into().map(Hash).map_err(|_ignored| rusqlite::Error::InvalidQuery)
}

fn replica_row(row: &Row<'_>) -> rusqlite::Result<ReplicaRow> {
    Ok(ReplicaRow {
        id: row.get(0)?,
        replica: ReplicaId(row.get(1)?),
        device: row.get(2)?,
        key: PublicKey(row.get(3)?),
        head: row.get(4)?,
        head_hash: hash(row.get(5)?)?,
        apart: row.get(6)?,
    })
}

pub(super) fn read_states(mut rows: rusqlite::Rows<'_>) -> Result<Vec<(u64, ChangeState, Option<String>)>, StoreError> {
    let mut states = Vec::new();
    while let Some(row) = rows.next()? {
        let state = ChangeState::of(row.get(1)?).ok_or(StoreError::Corrupt("a change's state"))?;
        states.push((row.get(0)?, state, row.get(2)?));
    }
    Ok(states)
}

pub(super) fn change_row(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    Ok(ChangeRow {
        id: row.get(0)?,
        dot: Dot { replica: ReplicaId(row.get(1)?), seq: row.get(2)? },
        stamp: Stamp { received_ms: row.get(3)?, skew_ms: row.get(4)? },
        bytes: row.get(5)?,
    })
}

impl<'a> Tx<'a> {
    /// A replica by its name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn replica(&self, replica: ReplicaId) -> Result<Option<ReplicaRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT id, uuid, device, key, head, head_hash, apart FROM replica WHERE uuid = ?1")?;
        Ok(query.query_row([replica.0], replica_row).optional()?)
    }

    /// Makes a replica known; its number.
    ///
    /// # Errors
    /// If the store fails, or the replica is known already.
    pub fn insert_replica(
        &self,
        replica: ReplicaId,
        device: Option<i64>,
        key: PublicKey,
        adopted_from: Option<i64>,
    ) -> Result<i64, StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO replica (uuid, device, key, adopted_from, head_hash) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        Ok(put.insert(params![replica.0, device, key.0, adopted_from, Hash::default().0])?)
    }

    /// Notes which replica a device was before, where that was not known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_adopted_from(&self, replica: i64, from: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE replica SET adopted_from = ?2 WHERE id = ?1 AND adopted_from IS NULL AND id <> ?2",
        )?;
        put.execute([replica, from])?;
        Ok(())
    }

    /// Gives a replica that was made known by others' word alone to the device whose it is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_replica_device(&self, replica: i64, device: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE replica SET device = ?2 WHERE id = ?1")?.execute([replica, device])?;
        Ok(())
    }

    /// Moves the end of a replica's chain.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_head(&self, replica: i64, head: u64, hash: Hash) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("UPDATE replica SET head = ?2, head_hash = ?3 WHERE id = ?1")?;
        put.execute(params![replica, head, hash.0])?;
        Ok(())
    }

    /// Notes the last seq that is held beyond the end of a replica's chain.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_apart(&self, replica: i64, apart: u64) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE replica SET apart = ?2 WHERE id = ?1")?.execute(params![replica, apart])?;
        Ok(())
    }

    /// The seqs of a replica's changes that are held beyond `after`, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn seqs_after(&self, replica: i64, after: u64) -> Result<Vec<u64>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT seq FROM change WHERE replica = ?1 AND seq > ?2 ORDER BY seq")?;
        let rows = query.query_map(params![replica, after], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// `h(seq)` of a change that is held.
    ///
    /// # Errors
    /// If the store fails.
    pub fn hash_at(&self, replica: i64, seq: u64) -> Result<Option<Hash>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT hash FROM change WHERE replica = ?1 AND seq = ?2")?;
        Ok(query.query_row(params![replica, seq], |row| hash(row.get(0)?)).optional()?)
    }

    /// What became of the changes of a replica from `first` up to before `end`: seq, state, why it is in quarantine.
    ///
    /// # Errors
    /// If the store fails.
    pub fn states(
        &self,
        replica: i64,
        first: u64,
        end: u64,
    ) -> Result<Vec<(u64, ChangeState, Option<String>)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT seq, state, code FROM change LEFT JOIN quarantine ON quarantine.change = change.id
             WHERE replica = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq",
        )?;
        read_states(query.query(params![replica, first, end])?)
    }

    /// Gets ready to append changes: ingest appends many in a row.
    ///
    /// # Errors
    /// If the store fails.
    pub fn change_insert(self) -> Result<ChangeInsert<'a>, StoreError> {
        Ok(ChangeInsert(self.conn.prepare_cached(
            "INSERT INTO change (replica, seq, record, state, received_ms, skew_ms, hash, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?))
    }

    /// Changes what became of a change, and of which record it is a part.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_change_state(&self, change: i64, state: ChangeState, record: Option<i64>) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("UPDATE change SET state = ?2, record = ?3 WHERE id = ?1")?;
        put.execute(params![change, state.number(), record])?;
        Ok(())
    }

    /// Every applied change of a record, in the order of arrival.
    ///
    /// # Errors
    /// If the store fails.
    pub fn changes_of(&self, record: i64) -> Result<Vec<ChangeRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT change.id, replica.uuid, seq, received_ms, skew_ms, bytes
             FROM change JOIN replica ON replica.id = change.replica WHERE record = ?1 ORDER BY change.id",
        )?;
        let rows = query.query_map([record], change_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a hash names a change in its place in a history that a replica continues, or that another one continues, too: a name
    /// that somebody else has by now was left for another, and a hub may have carried what was said under it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_held_by_kin(&self, replica: ReplicaId, hash: Hash) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "WITH RECURSIVE kin (replica) AS (
                SELECT adopted_from FROM replica WHERE uuid = ?1
                UNION SELECT adopted_from FROM kin JOIN replica ON replica.id = kin.replica
                UNION SELECT replica.id FROM kin JOIN replica ON replica.adopted_from = kin.replica)
             SELECT 1 FROM kin JOIN change USING (replica) WHERE hash = ?2",
        )?;
        Ok(query.exists(params![replica.0, hash.0])?)
    }

    /// Keeps a stamp that was issued; one that comes back in parts is kept once.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_stamp(&self, replica: i64, row: &StampRow) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO stamp (replica, first, last, received_ms, skew_ms, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
        )?;
        let StampRow { first, last, stamp, signature } = row;
        put.execute(params![replica, first, last, stamp.received_ms, stamp.skew_ms, signature.0.as_slice()])?;
        Ok(())
    }

    /// The stamps of a span of changes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn stamps(&self, replica: i64, first: u64, last: u64) -> Result<Vec<StampRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT first, last, received_ms, skew_ms, signature FROM stamp
             WHERE replica = ?1 AND first <= ?3 AND last >= ?2 ORDER BY first",
        )?;
        let rows = query.query_map(params![replica, first, last], |row| {
            let signature: Vec<u8> = row.get(4)?;
            Ok(StampRow {
                first: row.get(0)?,
                last: row.get(1)?,
                stamp: Stamp { received_ms: row.get(2)?, skew_ms: row.get(3)? },
                signature: Signature(signature.try_into().map_err(|_ignored| rusqlite::Error::InvalidQuery)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps a change in quarantine.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_quarantine(&self, change: i64, code: &str, detail: &str) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("INSERT INTO quarantine (change, code, detail) VALUES (?1, ?2, ?3)")?;
        put.execute(params![change, code, detail])?;
        Ok(())
    }

    /// A change that is in quarantine and was not released.
    ///
    /// # Errors
    /// If the store fails.
    pub fn quarantined_change(&self, change: i64) -> Result<Option<ChangeRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT change.id, replica.uuid, seq, received_ms, skew_ms, bytes
             FROM change JOIN replica ON replica.id = change.replica
             JOIN quarantine ON quarantine.change = change.id
             WHERE change.id = ?1 AND state = 1 AND released_ms IS NULL",
        )?;
        Ok(query.query_row([change], change_row).optional()?)
    }

    /// Notes who released a change from quarantine.
    ///
    /// # Errors
    /// If the store fails.
    pub fn release(&self, change: i64, by: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("UPDATE quarantine SET released_by = ?2, released_ms = ?3 WHERE change = ?1")?;
        put.execute(params![change, by, now_ms])?;
        Ok(())
    }

    /// Keeps a batch that starts past a gap, once.
    ///
    /// # Errors
    /// If the store fails.
    pub fn park(&self, replica: i64, first: u64, last: u64, body: &[u8], now_ms: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO parked (replica, first, last, body, received_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?;
        put.execute(params![replica, first, last, body, now_ms])?;
        Ok(())
    }

    /// Takes out a parked batch that holds change `next`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn unpark(&self, replica: i64, next: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut take = self.conn.prepare_cached(
            "DELETE FROM parked WHERE rowid = (SELECT rowid FROM parked
             WHERE replica = ?1 AND first <= ?2 AND last >= ?2 LIMIT 1) RETURNING body",
        )?;
        Ok(take.query_row(params![replica, next], |row| row.get(0)).optional()?)
    }

    /// Keeps a change of another branch, once, with the hash that it says again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn hold_branch(&self, new: NewChange<'_>, instead: Option<Hash>) -> Result<(), StoreError> {
        let NewChange { replica, seq, stamp, hash, bytes } = new;
        let mut put = self.conn.prepare_cached(
            "INSERT INTO branch (replica, seq, hash, instead, received_ms, skew_ms, bytes, reauthored)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT change FROM said_again WHERE hash IN (?3, ?4))) ON CONFLICT DO NOTHING",
        )?;
        let instead = instead.map(|hash| hash.0);
        put.execute(params![replica, seq, hash.0, instead, stamp.received_ms, stamp.skew_ms, bytes])?;
        Ok(())
    }

    /// Whether a branch of a replica holds a change by this seq and hash.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_on_branch(&self, replica: i64, seq: u64, hash: Hash) -> Result<bool, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT 1 FROM branch WHERE replica = ?1 AND seq = ?2 AND hash = ?3")?;
        Ok(query.exists(params![replica, seq, hash.0])?)
    }

    /// Whether anything was ever authored again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn any_said_again(&self) -> Result<bool, StoreError> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM said_again")?.exists([])?)
    }

    /// Whether a change that counts says again what a hash names.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_said_again(&self, hash: Hash) -> Result<bool, StoreError> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM said_again WHERE hash = ?1")?.exists([hash.0])?)
    }

    /// Every change of a replica's branches, by seq, each with the dot under which it was authored again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn branch_changes(&self, replica: i64) -> Result<Vec<BranchChange>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT branch.seq, branch.hash, branch.skew_ms, branch.bytes, again.uuid, change.seq FROM branch
             LEFT JOIN change ON change.id = reauthored LEFT JOIN replica AS again ON again.id = change.replica
             WHERE branch.replica = ?1 ORDER BY branch.seq, branch.hash",
        )?;
        let rows = query.query_map([replica], |row| {
            let again: Option<uuid::Uuid> = row.get(4)?;
            let seq: Option<u64> = row.get(5)?;
            Ok(BranchChange {
                seq: row.get(0)?,
                hash: hash(row.get(1)?)?,
                skew_ms: row.get(2)?,
                bytes: row.get(3)?,
                again: again.zip(seq).map(|(replica, seq)| Dot { replica: ReplicaId(replica), seq }),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes which change says again what a hash names.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_said_again(&self, hash: Hash, change: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("INSERT INTO said_again (hash, change) VALUES (?1, ?2)")?;
        put.execute(params![hash.0, change])?;
        let mut put = self.conn.prepare_cached("UPDATE branch SET reauthored = ?2 WHERE hash = ?1 OR instead = ?1")?;
        put.execute(params![hash.0, change])?;
        Ok(())
    }

    /// Marks a change as unusual, for coordinators.
    ///
    /// # Errors
    /// If the store fails.
    pub fn flag(&self, change: i64, kind: &str, detail: &str) -> Result<(), StoreError> {
        let mut put = self
            .conn
            .prepare_cached("INSERT INTO flag (change, kind, detail) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
        put.execute(params![change, kind, detail])?;
        Ok(())
    }
}
