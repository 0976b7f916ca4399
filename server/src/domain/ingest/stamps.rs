//! Which stamp a change gets: the one of an earlier epoch that came with it, or else this turn's; each once (DESIGN §4).

use super::Turn;
use crate::store::{StampRow, StoreError};
use sync_protocol::{ReplicaId, Stamp, chain::SignedStamp, wire::Stamped};

impl Turn<'_> {
    /// The stamp of a change: the one that it got in an earlier epoch, or else this turn's.
    pub(super) fn stamp_of(&self, replica: ReplicaId, seq: u64) -> Stamp {
        let given = self.given.iter().find(|s| s.replica == replica && (s.first..=s.last).contains(&seq));
        given.map_or(self.stamp, |given| given.stamp)
    }

    /// Keeps the stamps of what a batch added: those that came with it, and one for each stretch that has none.
    fn stamp(&self, replica: ReplicaId, id: i64, from: u64, to: u64) -> Result<(), StoreError> {
        let mut next = from;
        while next <= to {
            let ahead = self.given.iter().filter(|s| s.replica == replica && s.last >= next && s.first <= to);
            let given = ahead.min_by_key(|s| s.first);
            let free = given.map_or(to, |given| given.first.saturating_sub(1));
            if next <= free {
                let signed = SignedStamp::sign(self.stamp, replica, next, free, &self.world.identity.key);
                let row = StampRow { first: next, last: free, stamp: self.stamp, signature: signed.signature };
                self.tx.insert_stamp(id, &row)?;
            }
            if let Some(Stamped { first, last, stamp, signature, .. }) = given {
                // Of what was stamped together a part may be here already, with a stamp of its own: the rest keeps its times.
                let part = (next.max(*first), to.min(*last));
                let resigned =
                    || SignedStamp::sign(*stamp, replica, part.0, part.1, &self.world.identity.key).signature;
                let signature = if part == (*first, *last) { *signature } else { resigned() };
                self.tx.insert_stamp(id, &StampRow { first: part.0, last: part.1, stamp: *stamp, signature })?;
            }
            next = given.map_or(to, |given| given.last).saturating_add(1);
        }
        Ok(())
    }

    pub(super) fn stamp_added(&mut self, replica: ReplicaId, id: i64) -> Result<(), StoreError> {
        std::mem::take(&mut self.added).into_iter().try_for_each(|(from, to)| self.stamp(replica, id, from, to))
    }
}
