//! What a device hears of its changes that the server had before: their stamps, and what became of them.

use super::{Applied, Turn};
use crate::store::{ChangeState, ReplicaRow, StoreError, Tx};
use sync_protocol::{
    ReplicaId,
    engine::intake::Log,
    problem::Code,
    wire::{Have, Outcome, RequestHeader, Verdict},
};

/// What of a span of a replica's changes is kept apart: in quarantine, or in escrow.
///
/// # Errors
/// If the store fails.
pub fn apart(tx: Tx<'_>, replica: &ReplicaRow, first: u64, last: u64) -> Result<Vec<Outcome>, StoreError> {
    let outcomes = tx.kept_apart(replica.id, first, last)?.into_iter().map(|held| outcome(replica.replica, held));
    Ok(outcomes.filter(|outcome| super::is_apart(outcome.verdict)).collect())
}

/// What became of a change that is held.
fn outcome(replica: ReplicaId, (seq, held, code): (u64, ChangeState, Option<String>)) -> Outcome {
    let verdict = match held {
        ChangeState::Applied => Verdict::Duplicate,
        ChangeState::Quarantined => Verdict::Quarantined,
        ChangeState::Escrow => Verdict::Escrow,
        ChangeState::Superseded => Verdict::Superseded,
    };
    let code = code.and_then(|code| Code::ALL.iter().copied().find(|known| known.as_str() == code));
    Outcome { replica, seq, verdict, code, detail: String::new() }
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
        applied.stamps.extend(self.tx.stamps(id, first, last)?.into_iter().map(|row| row.of(replica)));
        Ok(())
    }

    /// Tells what became of a span of changes, the last one not included, as far as `told` says.
    pub(super) fn tell_states(
        &mut self,
        (replica, id): (ReplicaId, i64),
        first: u64,
        end: u64,
        told: impl Fn(Verdict) -> bool,
    ) -> Result<(), StoreError> {
        for held in self.tx.states(id, first, end)? {
            let outcome = outcome(replica, held);
            if told(outcome.verdict) {
                self.outcomes.push(outcome);
            }
        }
        Ok(())
    }

    /// Answers a device that does not know what arrived: the span that it proves to be its own and that is here, with
    /// its stamps and what was not plainly accepted of it.
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
        self.tell_states((replica, id), first, seq.saturating_add(1), |verdict| verdict != Verdict::Duplicate)?;
        Ok(Some((first, seq)))
    }
}
