//! What a device hears of requests that got no answer.

use super::{Applied, Turn};
use crate::store::{StampRow, StoreError};
use sync_protocol::{
    ReplicaId,
    engine::intake::Log,
    wire::{Have, RequestHeader, Stamped},
};

impl Turn<'_> {
    /// Tells the stamps of a span of changes.
    pub(super) fn tell_stamps(
        &self,
        (replica, id): (ReplicaId, i64),
        first: u64,
        last: u64,
        applied: &mut Applied,
    ) -> Result<(), StoreError> {
        for StampRow { first, last, stamp, signature } in self.tx.stamps(id, first, last)? {
            applied.stamps.push(Stamped { replica, first, last, stamp, signature });
        }
        Ok(())
    }

    /// Answers a device that does not know what arrived: the span that it proves to be its own and that is here, with
    /// its stamps.
    pub(super) fn arrived(
        &mut self,
        header: &RequestHeader,
        haves: Vec<Have>,
        applied: &mut Applied,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let replica = header.replica;
        let mut best: Option<Have> = None;
        for have in haves {
            let is_further = have.seq > best.as_ref().map_or(have.after, |best| best.seq);
            if have.replica == replica && is_further && self.hash_at(replica, have.seq)? == Some(have.hash) {
                best = Some(have);
            }
        }
        let Some(Have { after, seq, .. }) = best else { return Ok(None) };
        let (first, id) = (after.saturating_add(1), self.row(replica)?.id);
        self.tell_stamps((replica, id), first, seq, applied)?;
        Ok(Some((first, seq)))
    }
}
