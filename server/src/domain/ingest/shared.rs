//! How far a device may be told that its history is held.

use sync_protocol::{engine::intake::Intake, wire::RequestHeader};

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
