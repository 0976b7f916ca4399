//! How far a device's own history is acked, and what it hears of requests that got no answer.

use super::{Applied, Turn};
use crate::store::{StampRow, StoreError};
use sync_protocol::{
    ReplicaId,
    engine::intake::{Intake, Log},
    wire::{Have, RequestHeader, Stamped},
};

/// How far the history that a device sent is the one that the server holds: an ack must not reach into another life's
/// changes, nor past those whose stamps the reply brings.
pub(super) struct Shared {
    unsent: u64,
    first: Option<u64>,
    through: Option<u64>,
    forked: bool,
}

impl Shared {
    pub(super) fn new(header: &RequestHeader) -> Self {
        Self { unsent: header.unsent, first: None, through: None, forked: false }
    }

    /// Notes what became of one of the device's own batches.
    pub(super) fn note(&mut self, first: u64, last: u64, intake: Intake) {
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
        let through = match intake {
            // The hash before the batch fits: so does everything before it.
            Intake::Held { .. } => last,
            Intake::Fork { common } => {
                self.forked = true;
                common
            }
            // A server that was restored: the device sends again from there.
            Intake::Parked { missing } => missing.saturating_sub(1),
        };
        self.through = Some(self.through.map_or(through, |known| known.max(through)));
    }

    /// The seq to ack, where the server's chain ends at `head`.
    pub(super) fn through(&self, head: u64) -> u64 {
        let Some((first, through)) = self.first.zip(self.through) else { return head };
        let sent_everything = through >= first.saturating_sub(1).saturating_add(self.unsent);
        if sent_everything && !self.forked { head } else { through.min(head) }
    }
}

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
