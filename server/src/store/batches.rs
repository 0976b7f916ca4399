//! Batches as their authors signed them: what proves a chain, and what of it somebody may not see.

use super::{ReplicaRow, StoreError, Tx, log::hash};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Hash,
    chain::{Signature, Span, digest},
    engine::intake::Verified,
};

/// What somebody does not see of a span of changes.
#[derive(Clone, Debug, Default)]
pub struct Unseen {
    /// So many changes of the span are held at all.
    pub held: usize,
    /// The digests of those that are not seen, by seq.
    pub digests: BTreeMap<u64, Hash>,
}

impl Tx<'_> {
    /// Keeps the signature and hashes of a batch; of two of the same span the later one counts.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_batch(&self, replica: i64, verified: &Verified) -> Result<(), StoreError> {
        let Span { first, last, before, after, .. } = verified.span();
        let mut put = self.conn.prepare_cached(
            "INSERT INTO batch (replica, first, last, before, after, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET before = excluded.before, after = excluded.after, signature = excluded.signature
             WHERE after <> excluded.after",
        )?;
        put.execute(params![replica, first, last, before.0, after.0, verified.batch.signature.0.as_slice()])?;
        Ok(())
    }

    /// Forgets the batches that somebody carried and that end in a span, the first change not included, and there in another history
    /// than the one that is held.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_other_batches(&self, replica: i64, after: u64, through: u64) -> Result<(), StoreError> {
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM batch WHERE replica = ?1 AND carrier IS NOT NULL AND last > ?2 AND last <= ?3 AND EXISTS (
                SELECT 1 FROM change WHERE change.replica = ?1 AND seq = batch.last AND hash <> batch.after)",
        )?;
        forget.execute(params![replica, after, through])?;
        Ok(())
    }

    /// The batches of a replica that cover any of a span of changes, without their changes, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn batches_over(&self, row: &ReplicaRow, first: u64, last: u64) -> Result<Vec<(Span, Signature)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            // A few that begin before may reach into the span: re-sent batches are cut in other places.
            "SELECT first, last, before, after, signature FROM batch
             WHERE replica = ?1 AND first <= ?3 AND last >= ?2 AND first >=
                coalesce((SELECT min(first) FROM (SELECT first FROM batch WHERE replica = ?1 AND first <= ?2
                          ORDER BY first DESC LIMIT 4)), 0)
             ORDER BY first, last",
        )?;
        let rows = query.query_map(params![row.id, first, last], |cells| {
            let span = Span {
                replica: row.replica,
                first: cells.get(0)?,
                last: cells.get(1)?,
                before: hash(cells.get(2)?)?,
                after: hash(cells.get(3)?)?,
            };
            Ok((span, Signature(cells.get(4)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Of a span of changes those whose household lives in none of the areas that somebody sees, or that count for none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn unseen(&self, replica: i64, first: u64, last: u64, seen: &BTreeSet<i64>) -> Result<Unseen, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT seq, bytes, household FROM change LEFT JOIN record ON record.id = change.record
             WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3",
        )?;
        let mut rows = query.query(params![replica, first, last])?;
        let mut unseen = Unseen::default();
        let mut visible: BTreeMap<i64, bool> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            unseen.held += 1;
            if let Some(household) = row.get::<_, Option<i64>>(2)? {
                let is_visible = match visible.get(&household) {
                    Some(is_visible) => *is_visible,
                    None => !self.placement(household)?.is_disjoint(seen),
                };
                visible.insert(household, is_visible);
                if is_visible {
                    continue;
                }
            }
            let bytes = row.get_ref(1)?.as_blob().map_err(|_ignored| StoreError::Corrupt("a change's bytes"))?;
            unseen.digests.insert(row.get(0)?, digest(bytes));
        }
        Ok(unseen)
    }
}
