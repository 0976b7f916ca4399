//! What the device can give back to a restored server: proofs of others' changes, and its own earlier lives.

use super::{Error, Tx, to_hash};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Carried, Signature, Span},
    wire::{Lack, Proof},
};

/// So many proofs a phone keeps, the latest ones: a server is restored to a few days ago, not to last year. A hub keeps all: without
/// proof it tells nothing.
const MOST_PROOFS: u64 = 20_000;

/// A replica that the device was once, and how far the server and its backups hold what stands under it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifeRow {
    pub(crate) replica: ReplicaId,
    pub(crate) acked: u64,
    pub(crate) safe: u64,
}

pub(super) fn proof(row: &Row<'_>) -> rusqlite::Result<(Span, Signature)> {
    let span = Span {
        replica: ReplicaId(row.get(0)?),
        first: row.get(1)?,
        last: row.get(2)?,
        before: Hash(row.get(3)?),
        after: Hash(row.get(4)?),
    };
    Ok((span, Signature(row.get(5)?)))
}

impl Tx<'_> {
    /// Remembers the replica that the device was until now, with its secret, and how it vouches for the next one.
    pub(crate) fn end_life(&self, life: LifeRow, secret: &str, adoption: &str) -> Result<(), Error> {
        let LifeRow { replica, acked, safe } = life;
        let mut put = self.tx.prepare_cached(
            "INSERT OR IGNORE INTO life (replica, secret, adoption, acked, safe) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        put.execute(params![replica.0, secret, adoption, acked, safe])?;
        Ok(())
    }

    /// Notes how far the server holds what stands under an earlier name.
    pub(crate) fn set_life(&self, life: LifeRow) -> Result<(), Error> {
        let LifeRow { replica, acked, safe } = life;
        let mut put = self.tx.prepare_cached("UPDATE life SET acked = ?2, safe = ?3 WHERE replica = ?1")?;
        put.execute(params![replica.0, acked, safe])?;
        Ok(())
    }

    /// Forgets how far the server said that it holds what stands under earlier names.
    pub(crate) fn doubt_lives(&self) -> Result<(), Error> {
        self.tx.execute("UPDATE life SET acked = 0, safe = 0", [])?;
        Ok(())
    }

    /// The earlier names that something of this device stands under, each with its last seq.
    pub(crate) fn lives(&self) -> Result<BTreeMap<ReplicaId, u64>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, last FROM (SELECT replica, (SELECT seq FROM change
                WHERE change.replica = life.replica AND hash IS NOT NULL ORDER BY seq DESC LIMIT 1) AS last FROM life)
             WHERE last IS NOT NULL",
        )?;
        let rows = query.query_map([], |row| Ok((ReplicaId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A replica that the device was vouches for another one than it did.
    pub(crate) fn lead_elsewhere(&self, replica: ReplicaId, adoption: &str) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached("UPDATE life SET adoption = ?2 WHERE replica = ?1")?;
        put.execute(params![replica.0, adoption])?;
        Ok(())
    }

    /// How each replica that the device was vouches for the next one, in order.
    pub(crate) fn adoptions(&self) -> Result<Vec<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT adoption FROM life ORDER BY id")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The secret of a replica that the device was once.
    pub(crate) fn life(&self, replica: ReplicaId) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT secret FROM life WHERE replica = ?1")?;
        Ok(query.query_row([replica.0], |row| row.get(0)).optional()?)
    }

    /// Keeps what proves changes of others.
    pub(crate) fn keep_proof(&self, proof: &Proof) -> Result<(), Error> {
        let Proof { replica, first, last, before, after, signature, withheld, stamps } = proof;
        let mut put = self.tx.prepare_cached(
            "INSERT OR IGNORE INTO proof (replica, first, last, before, after, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        put.execute(params![replica.0, first, last, before.0, after.0, signature.0.as_slice()])?;
        for (seq, digest) in withheld {
            self.withhold(*replica, *seq, *digest)?;
        }
        stamps.iter().try_for_each(|stamped| self.stamp(stamped))?;
        Ok(())
    }

    /// Forgets the oldest proofs where there are very many.
    pub(crate) fn forget_old_proofs(&self) -> Result<(), Error> {
        let mut forget = self.tx.prepare_cached("DELETE FROM proof WHERE id <= (SELECT max(id) FROM proof) - ?1")?;
        forget.execute([MOST_PROOFS])?;
        Ok(())
    }

    /// Keeps the digest of a change that is not here, or not any more.
    pub(crate) fn withhold(&self, replica: ReplicaId, seq: u64, digest: Hash) -> Result<(), Error> {
        let mut put =
            self.tx.prepare_cached("INSERT OR IGNORE INTO withheld (replica, seq, digest) VALUES (?1, ?2, ?3)")?;
        put.execute(params![replica.0, seq, digest.0])?;
        Ok(())
    }

    /// The last seq of each replica of which the device holds changes: of others' it can prove most, and of all it must hear what
    /// does not count any more.
    pub(crate) fn held(&self) -> Result<BTreeMap<ReplicaId, u64>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, max(last) FROM proof GROUP BY replica UNION ALL
             SELECT replica, max(last) FROM carried WHERE given = 1 AND size > 0 GROUP BY replica UNION ALL
             SELECT replica, max(seq) FROM change GROUP BY replica",
        )?;
        let mut rows = query.query([])?;
        let mut held = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let last = held.entry(ReplicaId(row.get(0)?)).or_insert(0);
            *last = row.get::<_, u64>(1)?.max(*last);
        }
        Ok(held)
    }

    /// Notes what a restored server lacks.
    pub(crate) fn want(&self, lacks: &[Lack]) -> Result<(), Error> {
        self.tx.execute("DELETE FROM wanted", [])?;
        let mut put =
            self.tx.prepare_cached("INSERT OR REPLACE INTO wanted (replica, first, last) VALUES (?1, ?2, ?3)")?;
        for Lack { replica, first, last } in lacks {
            put.execute(params![replica.0, first, last])?;
        }
        Ok(())
    }

    /// What is wanted and was not given yet.
    pub(crate) fn wanted(&self) -> Result<Vec<Lack>, Error> {
        let mut query = self.tx.prepare_cached("SELECT replica, first, last FROM wanted ORDER BY replica, first")?;
        let rows = query
            .query_map([], |row| Ok(Lack { replica: ReplicaId(row.get(0)?), first: row.get(1)?, last: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes what a batch brought, or could not bring, from what is wanted.
    pub(crate) fn unwant(&self, replica: ReplicaId, first: u64, last: u64) -> Result<(), Error> {
        for lack in self.wanted()? {
            if lack.replica != replica || lack.last < first || lack.first > last {
                continue;
            }
            self.tx
                .prepare_cached("DELETE FROM wanted WHERE replica = ?1 AND first = ?2")?
                .execute(params![replica.0, lack.first])?;
            let mut put =
                self.tx.prepare_cached("INSERT OR REPLACE INTO wanted (replica, first, last) VALUES (?1, ?2, ?3)")?;
            if lack.first < first {
                put.execute(params![replica.0, lack.first, first.saturating_sub(1)])?;
            }
            if lack.last > last {
                put.execute(params![replica.0, last.saturating_add(1), lack.last])?;
            }
        }
        Ok(())
    }

    /// The first proof over any of a span of changes.
    pub(crate) fn proof_over(&self, lack: &Lack) -> Result<Option<(Span, Signature)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, first, last, before, after, signature FROM proof
             WHERE replica = ?1 AND first <= ?3 AND last >= ?2 ORDER BY first, last LIMIT 1",
        )?;
        Ok(query.query_row(params![lack.replica.0, lack.first, lack.last], proof).optional()?)
    }

    /// A span of changes as they can be carried; none where one of them is neither here nor known by its digest.
    pub(crate) fn carried(&self, replica: ReplicaId, first: u64, last: u64) -> Result<Option<Vec<Carried>>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT seq, bytes, NULL FROM change WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3 AND length(bytes) > 0
             UNION ALL SELECT seq, NULL, digest FROM withheld WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq",
        )?;
        let mut rows = query.query(params![replica.0, first, last])?;
        let mut carried: BTreeMap<u64, Carried> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let bytes: Option<Vec<u8>> = row.get(1)?;
            let digest: Option<Vec<u8>> = row.get(2)?;
            match (bytes, digest) {
                (Some(bytes), _) => {
                    carried.insert(row.get(0)?, Carried::Bytes(bytes));
                }
                (None, Some(digest)) => {
                    let digest = to_hash(&digest)?;
                    carried.entry(row.get(0)?).or_insert(Carried::Withheld(digest));
                }
                (None, None) => {}
            }
        }
        let whole = u64::try_from(carried.len()).unwrap_or(0) == last.saturating_sub(first).saturating_add(1);
        Ok(whole.then(|| carried.into_values().collect()))
    }
}
