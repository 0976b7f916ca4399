//! Changes whose dot came to mean another one: server and author were both restored, and the dot was given again.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, params};
use sync_protocol::{Dot, RecordId, ReplicaId, Stamp};

impl Tx<'_> {
    /// Gives a held dot to the change that the server has there, if that is another one, and keeps what was held apart;
    /// the record that it was part of. What this device wrote itself stays: it goes on under another name instead.
    pub(crate) fn displace(
        &self,
        dot: Dot,
        record: RecordId,
        stamp: Stamp,
        bytes: &[u8],
    ) -> Result<Option<RecordId>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT record, bytes FROM change WHERE replica = ?1 AND seq = ?2 AND hash IS NULL AND bytes <> ?3",
        )?;
        let at = params![dot.replica.0, dot.seq, bytes];
        let held = query.query_row(at, |row| Ok((RecordId(row.get(0)?), row.get::<_, Vec<u8>>(1)?))).optional()?;
        let Some((before, held)) = held else { return Ok(None) };
        let mut keep = self.tx.prepare_cached("INSERT INTO displaced (replica, seq, bytes) VALUES (?1, ?2, ?3)")?;
        keep.execute(params![dot.replica.0, dot.seq, held])?;
        let mut put = self.tx.prepare_cached(
            "UPDATE change SET record = ?3, received_ms = ?4, skew_ms = ?5, verdict = NULL, bytes = ?6
             WHERE replica = ?1 AND seq = ?2",
        )?;
        put.execute(params![dot.replica.0, dot.seq, record.0, stamp.received_ms, stamp.skew_ms, bytes])?;
        // What proved the other one proves nothing any more; what proves this one may go by the same name.
        let mut forget =
            self.tx.prepare_cached("DELETE FROM proof WHERE replica = ?1 AND ?2 BETWEEN first AND last")?;
        forget.execute(params![dot.replica.0, dot.seq])?;
        Ok(Some(before))
    }

    /// What is kept apart, with the dot that it had, in the order in which it was displaced.
    pub(crate) fn displaced(&self) -> Result<Vec<(Dot, Vec<u8>)>, Error> {
        let mut query = self.tx.prepare_cached("SELECT replica, seq, bytes FROM displaced ORDER BY id")?;
        let rows = query.query_map([], |row| {
            Ok((Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? }, row.get::<_, Vec<u8>>(2)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use sync_protocol::{
        Hash,
        chain::{Batch, Carried, SecretKey},
        wire::{Lack, Proof},
    };

    #[test]
    fn what_takes_the_place_of_another_change_takes_that_of_its_proof() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("phone.sqlite"))?;
        let (replica, key) = (ReplicaId(uuid::Uuid::from_u128(1)), SecretKey::from_seed([1; 32]));
        let (stamp, record) = (Stamp { received_ms: 1, skew_ms: 0 }, RecordId(uuid::Uuid::from_u128(2)));
        let dot = Dot { replica, seq: 1 };
        let proof = |bytes: &[u8]| {
            let batch = Batch::sign(replica, 1, Hash::default(), vec![Carried::Bytes(bytes.to_vec())], &key);
            Proof {
                replica,
                first: 1,
                last: 1,
                before: batch.before,
                after: batch.after(),
                signature: batch.signature,
                withheld: std::collections::BTreeMap::new(),
                stamps: Vec::new(),
            }
        };
        store.write(|tx| {
            tx.insert_change(dot, record, None, Some(stamp), b"{}")?;
            tx.keep_proof(&proof(b"{}"))?;
            assert_eq!(tx.displace(dot, record, stamp, b"[]")?, Some(record));
            tx.keep_proof(&proof(b"[]"))?;
            let kept = tx.proof_over(&Lack { replica, first: 1, last: 1 })?;
            assert_eq!(kept.map(|(span, _)| span.after), Some(proof(b"[]").after));
            Ok(())
        })
    }
}
