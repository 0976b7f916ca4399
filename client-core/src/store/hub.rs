//! What a hub keeps: the batches that it carries as their authors signed them, its guests' passes, receipts, authors' keys.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Batch, Span},
    wire::{Lack, Request},
};

/// Batches that the server has are kept as long as they take no more bytes than this together: a restored server may ask for
/// them.
const GIVEN_MOST: u64 = 64 << 20;
/// What the server refused is not offered again for so long, in milliseconds: a day.
const REFUSED_MS: i64 = 86_400_000;
/// So many replicas are asked about in one request.
const CARRIES_MOST: u32 = 200;

/// A batch that is carried, without its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CarriedRow {
    pub(crate) id: i64,
    pub(crate) span: Span,
}

/// A device whose pass was seen, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuestRow {
    pub(crate) replica: ReplicaId,
    pub(crate) pass: String,
    pub(crate) adoption: Option<String>,
    pub(crate) seen_ms: Option<i64>,
}

/// What a hub carries of one author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoadRow {
    pub(crate) replica: ReplicaId,
    /// Changes.
    pub(crate) changes: u64,
    /// Of these, changes in batches that the server does not have.
    pub(crate) waiting: u64,
}

fn carried(row: &Row<'_>) -> rusqlite::Result<CarriedRow> {
    let span = Span {
        replica: ReplicaId(row.get(1)?),
        first: row.get(2)?,
        last: row.get(3)?,
        before: Hash(row.get(4)?),
        after: Hash(row.get(5)?),
    };
    Ok(CarriedRow { id: row.get(0)?, span })
}

fn place(row: &Row<'_>) -> rusqlite::Result<(u64, Hash)> {
    Ok((row.get(0)?, Hash(row.get(1)?)))
}

fn batch(body: &[u8]) -> Result<Batch, Error> {
    let corrupt = || Error::Corrupt("a carried batch".into());
    Request::from_bytes(body).map_err(|_ignored| corrupt())?.batches.into_iter().next().ok_or_else(corrupt)
}

impl Tx<'_> {
    /// Keeps a batch as its author signed it; false if it is here already. One whose body had made room is to be given again: a
    /// server that was restored may lack it.
    pub(crate) fn carry(&self, batch: &Batch, span: &Span) -> Result<bool, Error> {
        let Span { replica, first, last, before, after } = *span;
        let body = Request::new(replica, 0, vec![batch.clone()]).to_bytes();
        let mut put = self.tx.prepare_cached(
            "INSERT INTO carried (replica, first, last, before, after, size, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO NOTHING",
        )?;
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let row = params![replica.0, first, last, before.0, after.0, size, body];
        Ok(put.execute(row)? == 1 || (self.forget_emptied(span)? && put.execute(row)? == 1))
    }

    /// Forgets a batch whose body made room; false if it has one.
    fn forget_emptied(&self, span: &Span) -> Result<bool, Error> {
        let Span { replica, first, last, before, after } = *span;
        let row = params![replica.0, first, last, before.0, after.0];
        let of = "replica = ?1 AND first = ?2 AND last = ?3 AND before = ?4 AND after = ?5 AND length(body) = 0";
        let mut handed = self
            .tx
            .prepare_cached(&format!("DELETE FROM handed WHERE batch IN (SELECT id FROM carried WHERE {of})"))?;
        handed.execute(row)?;
        Ok(self.tx.prepare_cached(&format!("DELETE FROM carried WHERE {of}"))?.execute(row)? > 0)
    }

    /// The ends of the batches that are here and go on from a place in a history, the longest last.
    pub(crate) fn carried_after(&self, replica: ReplicaId, seq: u64, hash: Hash) -> Result<Vec<(u64, Hash)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT last, after FROM carried WHERE replica = ?1 AND first = ?2 AND before = ?3 AND last >= first
             AND length(body) > 0 ORDER BY last",
        )?;
        let rows = query.query_map(params![replica.0, seq.saturating_add(1), hash.0], place)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The places before the batches that are here and end in a place in a history, the longest last.
    pub(crate) fn carried_before(&self, replica: ReplicaId, seq: u64, hash: Hash) -> Result<Vec<(u64, Hash)>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT first - 1, before FROM carried WHERE replica = ?1 AND last = ?2 AND after = ?3 AND first <= last
             AND length(body) > 0 ORDER BY first DESC",
        )?;
        let rows = query.query_map(params![replica.0, seq, hash.0], place)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Batches of a replica that hold a seq and reach beyond it, the longest first.
    pub(crate) fn carried_across(&self, replica: ReplicaId, seq: u64, most: usize) -> Result<Vec<CarriedRow>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT id, replica, first, last, before, after FROM carried WHERE replica = ?1 AND first <= ?2 AND last > ?2
             ORDER BY last DESC, id LIMIT ?3",
        )?;
        let rows = query.query_map(params![replica.0, seq, most], carried)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A batch with its changes; none where they had to make room.
    pub(crate) fn carried_batch(&self, id: i64) -> Result<Option<Batch>, Error> {
        let mut query = self.tx.prepare_cached("SELECT body FROM carried WHERE id = ?1 AND length(body) > 0")?;
        let body: Option<Vec<u8>> = query.query_row([id], |row| row.get(0)).optional()?;
        body.map(|body| batch(&body)).transpose()
    }

    /// The first batch that brings some of a span of changes.
    pub(crate) fn carried_over(&self, lack: &Lack) -> Result<Option<Batch>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT body FROM carried WHERE replica = ?1 AND first <= ?3 AND last >= ?2 AND length(body) > 0
             ORDER BY first, id LIMIT 1",
        )?;
        let body: Option<Vec<u8>> =
            query.query_row(params![lack.replica.0, lack.first, lack.last], |row| row.get(0)).optional()?;
        body.map(|body| batch(&body)).transpose()
    }

    /// Bytes of an author's batches that the server does not have.
    pub(crate) fn waiting_bytes(&self, author: ReplicaId) -> Result<u64, Error> {
        let mut sum =
            self.tx.prepare_cached("SELECT coalesce(sum(size), 0) FROM carried WHERE replica = ?1 AND given = 0")?;
        Ok(sum.query_row([author.0], |row| row.get(0))?)
    }

    /// Batches that the server does not have, in the order in which they came: as many as fit, at least one. What it refused is
    /// offered again a day later, by its own clock: it may know the author by then.
    pub(crate) fn to_give(&self, budget: usize, heard_ms: i64) -> Result<Vec<Batch>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT body FROM carried WHERE given = 0 AND coalesce(nullif(refused_ms, 0) NOT BETWEEN ?1 - ?2 AND ?1, 1) ORDER BY id",
        )?;
        fitting(&mut query.query(params![heard_ms, REFUSED_MS])?, budget)
    }

    /// Batches that neither the server nor a hub has, but none of the hub's own, nor of an author who works outside these areas: what
    /// a hub carries, its leader can read.
    pub(crate) fn to_hand(&self, hub: ReplicaId, areas: &[String], budget: usize) -> Result<Vec<Batch>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT body FROM carried WHERE given = 0 AND replica <> ?1
             AND NOT EXISTS (SELECT 1 FROM handed WHERE batch = carried.id AND hub = ?1)
             AND NOT EXISTS (SELECT 1 FROM guest JOIN json_each(guest.pass, '$.areas') AS area
                WHERE guest.replica = carried.replica AND area.value NOT IN (SELECT value FROM json_each(?2)))
             ORDER BY id",
        )?;
        fitting(&mut query.query(params![hub.0, serde_json::Value::from(areas.to_vec()).to_string()])?, budget)
    }

    /// Whether there is something to give to the server.
    pub(crate) fn has_to_give(&self, heard_ms: i64) -> Result<bool, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT 1 FROM carried WHERE given = 0 AND coalesce(nullif(refused_ms, 0) NOT BETWEEN ?1 - ?2 AND ?1, 1)",
        )?;
        Ok(query.exists(params![heard_ms, REFUSED_MS])?)
    }

    /// The server refused a batch: it stays here. It is offered once more with all that is known of its author, and then it waits.
    pub(crate) fn set_not_taken(&self, span: &Span, heard_ms: i64) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "UPDATE carried SET given = 0, refused_ms = iif(refused_ms IS NULL, 0, ?6)
             WHERE replica = ?1 AND first = ?2 AND last = ?3 AND before = ?4 AND after = ?5",
        )?;
        put.execute(params![span.replica.0, span.first, span.last, span.before.0, span.after.0, heard_ms])?;
        Ok(())
    }

    /// Whether the server has refused something of an author: it may not know them, or not any more.
    pub(crate) fn was_refused(&self, author: ReplicaId) -> Result<bool, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT 1 FROM carried WHERE replica = ?1 AND refused_ms IS NOT NULL")?;
        Ok(query.exists([author.0])?)
    }

    /// The server was restored: what it refused it may take now, and it may lack what it had; of a life that is no part of any
    /// chain nobody could tell.
    pub(crate) fn give_again(&self) -> Result<(), Error> {
        self.tx.execute("UPDATE carried SET given = 0, refused_ms = NULL WHERE length(body) > 0", [])?;
        Ok(())
    }

    /// The server has a batch. The oldest of those that it has make room.
    pub(crate) fn set_given(&self, span: &Span) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "UPDATE carried SET given = 1, refused_ms = NULL
             WHERE replica = ?1 AND first = ?2 AND last = ?3 AND before = ?4 AND after = ?5",
        )?;
        put.execute(params![span.replica.0, span.first, span.last, span.before.0, span.after.0])?;
        Ok(())
    }

    /// Makes room: of the batches that the server has the oldest lose their bodies.
    pub(crate) fn make_room(&self) -> Result<(), Error> {
        let mut sum =
            self.tx.prepare_cached("SELECT coalesce(sum(size), 0) FROM carried WHERE given = 1 AND size > 0")?;
        let mut size: u64 = sum.query_row([], |row| row.get(0))?;
        while size > GIVEN_MOST {
            let mut empty = self.tx.prepare_cached(
                "UPDATE carried SET body = x'', size = 0 WHERE id =
                 (SELECT id FROM carried WHERE given = 1 AND size > 0 ORDER BY id LIMIT 1)",
            )?;
            if empty.execute([])? == 0 {
                break;
            }
            size = sum.query_row([], |row| row.get(0))?;
        }
        Ok(())
    }

    /// Notes that a hub has a batch, or that it took it not, in this meeting.
    pub(crate) fn set_handed(&self, span: &Span, hub: ReplicaId, is_refused: bool) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO handed (batch, hub, refused) SELECT id, ?6, ?7 FROM carried
             WHERE replica = ?1 AND first = ?2 AND last = ?3 AND before = ?4 AND after = ?5
             ON CONFLICT DO UPDATE SET refused = min(refused, excluded.refused)",
        )?;
        put.execute(params![span.replica.0, span.first, span.last, span.before.0, span.after.0, hub.0, is_refused])?;
        Ok(())
    }

    /// A hub is met again: what it took not it may take now.
    pub(crate) fn hand_again(&self, hub: ReplicaId) -> Result<(), Error> {
        self.tx.execute("DELETE FROM handed WHERE hub = ?1 AND refused = 1", [hub.0])?;
        Ok(())
    }

    /// The replicas that are carried without a receipt, each with the seq up to which it has one or needs none.
    pub(crate) fn carries(&self) -> Result<BTreeMap<ReplicaId, u64>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT carried.replica, max(coalesce(receipt.seq, 0), min(first) - 1) FROM carried
             LEFT JOIN receipt ON receipt.replica = carried.replica
             WHERE last > coalesce(receipt.seq, 0) GROUP BY carried.replica ORDER BY max(id) DESC LIMIT ?1",
        )?;
        let rows = query.query_map([CARRIES_MOST], |row| Ok((ReplicaId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is carried, author by author.
    pub(crate) fn load(&self) -> Result<Vec<LoadRow>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, sum(last - first + 1), sum(iif(given, 0, last - first + 1)) FROM carried GROUP BY replica",
        )?;
        let rows = query.query_map([], |row| {
            Ok(LoadRow { replica: ReplicaId(row.get(0)?), changes: row.get(1)?, waiting: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the server's word for how far it holds a history.
    pub(crate) fn put_receipt(&self, replica: ReplicaId, seq: u64, body: &str) -> Result<(), Error> {
        let mut put =
            self.tx.prepare_cached("INSERT OR REPLACE INTO receipt (replica, seq, body) VALUES (?1, ?2, ?3)")?;
        put.execute(params![replica.0, seq, body])?;
        Ok(())
    }

    pub(crate) fn receipt(&self, replica: ReplicaId) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT body FROM receipt WHERE replica = ?1")?;
        Ok(query.query_row([replica.0], |row| row.get(0)).optional()?)
    }

    /// Forgets all receipts: the server was restored, and says anew what it holds.
    pub(crate) fn clear_receipts(&self) -> Result<(), Error> {
        self.tx.execute("DELETE FROM receipt", [])?;
        Ok(())
    }

    /// Keeps the pass of a device that was met, or that another hub carries for. How its name was vouched for first stays.
    pub(crate) fn put_guest(&self, guest: &GuestRow) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO guest (replica, pass, adoption, seen_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (replica) DO UPDATE
             SET pass = excluded.pass, adoption = coalesce(adoption, excluded.adoption),
             seen_ms = coalesce(excluded.seen_ms, seen_ms)",
        )?;
        put.execute(params![guest.replica.0, guest.pass, guest.adoption, guest.seen_ms])?;
        Ok(())
    }

    /// How many names a hub knows by the one pass of a device.
    pub(crate) fn names_under(&self, pass: ReplicaId) -> Result<usize, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT count(*) FROM guest WHERE json_extract(pass, '$.replica') = ?1")?;
        Ok(query.query_row([pass.to_string()], |row| row.get(0))?)
    }

    pub(crate) fn guest(&self, replica: ReplicaId) -> Result<Option<GuestRow>, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT replica, pass, adoption, seen_ms FROM guest WHERE replica = ?1")?;
        Ok(query.query_row([replica.0], guest).optional()?)
    }

    /// The devices that were met, the latest first.
    pub(crate) fn guests(&self) -> Result<Vec<GuestRow>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT replica, pass, adoption, seen_ms FROM guest WHERE seen_ms IS NOT NULL ORDER BY seen_ms DESC, replica",
        )?;
        Ok(query.query_map([], guest)?.collect::<Result<_, _>>()?)
    }

    /// Keeps the server's word for an author's key.
    pub(crate) fn put_voucher(&self, replica: ReplicaId, body: &str) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached("INSERT OR REPLACE INTO voucher (replica, body) VALUES (?1, ?2)")?;
        put.execute(params![replica.0, body])?;
        Ok(())
    }

    pub(crate) fn voucher(&self, replica: ReplicaId) -> Result<Option<String>, Error> {
        let mut query = self.tx.prepare_cached("SELECT body FROM voucher WHERE replica = ?1")?;
        Ok(query.query_row([replica.0], |row| row.get(0)).optional()?)
    }
}

fn guest(row: &Row<'_>) -> rusqlite::Result<GuestRow> {
    Ok(GuestRow { replica: ReplicaId(row.get(0)?), pass: row.get(1)?, adoption: row.get(2)?, seen_ms: row.get(3)? })
}

/// Reads batches as long as they fit, at least one.
fn fitting(rows: &mut rusqlite::Rows<'_>, budget: usize) -> Result<Vec<Batch>, Error> {
    let (mut batches, mut size) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(0)?;
        size = size.saturating_add(body.len());
        if size > budget && !batches.is_empty() {
            break;
        }
        batches.push(batch(&body)?);
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use sync_protocol::chain::{Carried, SecretKey};

    #[test]
    fn a_batch_whose_body_made_room_is_not_said_to_be_here_and_is_given_again_when_it_comes_again() -> Result<(), Error>
    {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("hub.sqlite"))?;
        let (replica, key) = (ReplicaId(uuid::Uuid::from_u128(1)), SecretKey::from_seed([1; 32]));
        let batch = Batch::sign(replica, 1, Hash::default(), vec![Carried::Bytes(b"{}".to_vec())], &key);
        let span = batch.span();
        store.write(|tx| {
            assert!(tx.carry(&batch, &span)? && !tx.carry(&batch, &span)?);
            tx.set_given(&span)?;
            assert_eq!(tx.carried_after(replica, 0, Hash::default())?, [(1, span.after)]);
            tx.tx.execute("UPDATE carried SET body = x'', size = 0", [])?;
            assert_eq!(tx.carried_after(replica, 0, Hash::default())?, []);
            assert!(tx.carry(&batch, &span)? && tx.has_to_give(0)?);
            Ok(())
        })
    }
}
