//! What a hub tells its guests: which changes are proved whole, and in which order each area's were noted.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;
use sync_protocol::{
    Dot, ReplicaId, Stamp,
    chain::{Signature, Span},
};
use uuid::Uuid;

/// A change that a hub tells.
#[derive(Clone, Debug)]
pub(crate) struct FeedRow {
    /// Its place in the feed.
    pub(crate) seq: u64,
    /// What chance drew for that place.
    pub(crate) mark: u64,
    pub(crate) dot: Dot,
    pub(crate) stamp: Stamp,
    pub(crate) bytes: Vec<u8>,
}

impl Tx<'_> {
    /// The proofs of a replica that something was missing of when it was looked last.
    pub(crate) fn unfinished_proofs(&self, replica: ReplicaId) -> Result<Vec<(Span, Signature)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, first, last, before, after, signature FROM proof WHERE replica = ?1 AND whole = 0",
        )?;
        let rows = query.query_map([replica.0], super::carried::proof)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that a proof proves is here.
    pub(crate) fn set_whole(&self, span: &Span) -> Result<(), Error> {
        let mut put =
            self.tx.prepare_cached("UPDATE proof SET whole = 1 WHERE replica = ?1 AND first = ?2 AND last = ?3")?;
        put.execute(params![span.replica.0, span.first, span.last])?;
        Ok(())
    }

    /// The last change of a replica that a proof covers.
    pub(crate) fn proved_through(&self, replica: ReplicaId) -> Result<u64, Error> {
        let mut query = self.tx.prepare_cached("SELECT coalesce(max(last), 0) FROM proof WHERE replica = ?1")?;
        Ok(query.query_row([replica.0], |row| row.get(0))?)
    }

    /// The households that a span of changes is about.
    pub(crate) fn households_of(&self, span: &Span) -> Result<BTreeSet<Uuid>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT DISTINCT household FROM change JOIN record ON record.id = change.record
             WHERE replica = ?1 AND seq BETWEEN ?2 AND ?3",
        )?;
        let rows = query.query_map(params![span.replica.0, span.first, span.last], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes in an area's feed what counts of a household, is proved, and does not stand there yet.
    pub(crate) fn feed(&self, area: &str, household: Uuid, mark: u64) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT OR IGNORE INTO feed (mark, area, replica, change)
             SELECT ?3, ?1, change.replica, change.seq FROM record JOIN change ON change.record = record.id
             WHERE household = ?2 AND received_ms IS NOT NULL AND verdict IS NULL AND EXISTS (SELECT 1 FROM proof
                WHERE proof.replica = change.replica AND first <= change.seq AND last >= change.seq AND whole = 1)
             ORDER BY change.id",
        )?;
        put.execute(params![area, household, mark])?;
        Ok(())
    }

    /// Takes a household out of the feeds of areas in which it does not live: should it come back, it is told whole.
    pub(crate) fn unfeed(&self, household: Uuid, areas: &BTreeSet<String>) -> Result<(), Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT DISTINCT feed.area FROM feed JOIN change ON change.replica = feed.replica AND change.seq = feed.change
             JOIN record ON record.id = change.record WHERE household = ?1",
        )?;
        let told: Vec<String> = query.query_map([household], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for area in told.iter().filter(|area| !areas.contains(*area)) {
            let mut delete = self.tx.prepare_cached(
                "DELETE FROM feed WHERE feed.area = ?1 AND EXISTS (SELECT 1 FROM change JOIN record ON record.id = change.record
                 WHERE change.replica = feed.replica AND change.seq = feed.change AND household = ?2)",
            )?;
            delete.execute(params![area, household])?;
        }
        Ok(())
    }

    /// Whether anything stands in any feed.
    pub(crate) fn is_fed(&self) -> Result<bool, Error> {
        Ok(self.tx.prepare_cached("SELECT 1 FROM feed")?.exists([])?)
    }

    /// Takes a change out of the feeds of all areas.
    pub(crate) fn unfeed_change(&self, dot: Dot) -> Result<(), Error> {
        let mut delete = self.tx.prepare_cached("DELETE FROM feed WHERE replica = ?1 AND change = ?2")?;
        delete.execute(params![dot.replica.0, dot.seq])?;
        Ok(())
    }

    /// What chance drew for a place in the feed.
    pub(crate) fn feed_mark(&self, seq: u64) -> Result<Option<u64>, Error> {
        let mut query = self.tx.prepare_cached("SELECT mark FROM feed WHERE seq = ?1")?;
        Ok(query.query_row([seq], |row| row.get(0)).optional()?)
    }

    /// An area's feed after a place, as much as fits into a budget but at least one change; what a replica wrote itself is
    /// passed over. True beside it where there is more.
    pub(crate) fn feed_after(
        &self,
        area: &str,
        after: u64,
        but: ReplicaId,
        budget: usize,
    ) -> Result<(Vec<FeedRow>, bool), Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT feed.seq, mark, feed.replica, change, received_ms, skew_ms, bytes
             FROM feed JOIN change ON change.replica = feed.replica AND change.seq = feed.change
             WHERE feed.area = ?1 AND feed.seq > ?2 AND feed.replica <> ?3 AND received_ms IS NOT NULL AND verdict IS NULL
             AND length(bytes) > 0 ORDER BY feed.seq",
        )?;
        let mut rows = query.query(params![area, after, but.0])?;
        let (mut told, mut size) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(6)?;
            size = size.saturating_add(bytes.len());
            if size > budget && !told.is_empty() {
                return Ok((told, true));
            }
            told.push(FeedRow {
                seq: row.get(0)?,
                mark: row.get(1)?,
                dot: Dot { replica: ReplicaId(row.get(2)?), seq: row.get(3)? },
                stamp: Stamp { received_ms: row.get(4)?, skew_ms: row.get(5)? },
                bytes,
            });
        }
        Ok((told, false))
    }

    /// The first whole batch over a change.
    pub(crate) fn whole_proof_over(&self, dot: Dot) -> Result<Option<(Span, Signature)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, first, last, before, after, signature FROM proof
             WHERE replica = ?1 AND first <= ?2 AND last >= ?2 AND whole = 1 ORDER BY first, last LIMIT 1",
        )?;
        Ok(query.query_row(params![dot.replica.0, dot.seq], super::carried::proof).optional()?)
    }
}
