//! The hubs that this device has met: how far each holds its changes, and how far it has pulled there.

use super::{Error, Tx};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;
use sync_protocol::ReplicaId;

/// A hub that this device has met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerRow {
    pub(crate) hub: ReplicaId,
    /// What people call it.
    pub(crate) name: String,
    /// The hub holds this device's changes up to here.
    pub(crate) acked: u64,
    /// The epoch of the cursors there.
    pub(crate) epoch: String,
}

impl Tx<'_> {
    /// What is known of a hub, for this device's replica of today.
    pub(crate) fn peer(&self, hub: ReplicaId, replica: ReplicaId) -> Result<Option<PeerRow>, Error> {
        let mut query =
            self.tx.prepare_cached("SELECT name, iif(replica = ?2, acked, 0), epoch FROM peer WHERE hub = ?1")?;
        let row = query.query_row(params![hub.0, replica.0], |row| {
            Ok(PeerRow { hub, name: row.get(0)?, acked: row.get(1)?, epoch: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    pub(crate) fn put_peer(&self, peer: &PeerRow, replica: ReplicaId) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO peer (hub, name, replica, acked, epoch) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (hub) DO UPDATE
             SET name = excluded.name, replica = excluded.replica, acked = excluded.acked, epoch = excluded.epoch",
        )?;
        put.execute(params![peer.hub.0, peer.name, replica.0, peer.acked, peer.epoch])?;
        Ok(())
    }

    /// Forgets how far the hubs said that they hold this device's changes.
    pub(crate) fn doubt_peers(&self) -> Result<(), Error> {
        self.tx.execute("UPDATE peer SET acked = 0", [])?;
        Ok(())
    }

    /// The hubs that hold changes of a replica beyond a seq, the one that holds most first.
    pub(crate) fn peers_beyond(&self, replica: ReplicaId, acked: u64) -> Result<Vec<PeerRow>, Error> {
        let mut query = self.tx.prepare_cached(
            "SELECT hub, name, acked, epoch FROM peer WHERE replica = ?1 AND acked > ?2 ORDER BY acked DESC, name",
        )?;
        let rows = query.query_map(params![replica.0, acked], |row| {
            Ok(PeerRow { hub: ReplicaId(row.get(0)?), name: row.get(1)?, acked: row.get(2)?, epoch: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn peer_cursors(&self, hub: ReplicaId) -> Result<BTreeMap<String, u64>, Error> {
        let mut query = self.tx.prepare_cached("SELECT bucket, seq FROM peer_cursor WHERE hub = ?1")?;
        let rows = query.query_map([hub.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_peer_cursor(&self, hub: ReplicaId, bucket: &str, seq: u64) -> Result<(), Error> {
        let mut put =
            self.tx.prepare_cached("INSERT OR REPLACE INTO peer_cursor (hub, bucket, seq) VALUES (?1, ?2, ?3)")?;
        put.execute(params![hub.0, bucket, seq])?;
        Ok(())
    }

    pub(crate) fn clear_peer_cursors(&self, hub: ReplicaId) -> Result<(), Error> {
        self.tx.prepare_cached("DELETE FROM peer_cursor WHERE hub = ?1")?.execute([hub.0])?;
        Ok(())
    }
}
