//! How far a hub holds the history of a guest.

use crate::{
    error::Error,
    store::{CarriedRow, Tx},
};
use sync_protocol::{Hash, ReplicaId, wire::Acked};

/// How far the hub holds a history without a gap, from where the server holds it. It never takes back what the server has.
pub(super) fn held_through(tx: &Tx<'_>, replica: ReplicaId, safe: Option<Acked>) -> Result<u64, Error> {
    let (mut through, mut hash) = safe.map_or((0, Hash::default()), |safe| (safe.seq, safe.hash));
    let mut rows = tx.carried_beyond(replica, through)?;
    loop {
        let mut next = None;
        for CarriedRow { id, span } in rows.iter().filter(|row| row.span.first <= through.saturating_add(1)) {
            if span.first == through.saturating_add(1) {
                if span.before == hash {
                    next = Some((span.last, span.after));
                    break;
                }
                continue;
            }
            // It was cut in another place: it goes on from here if it holds the same change there.
            let Some(batch) = tx.carried_batch(*id)? else { continue };
            let links = (batch.first..).zip(batch.hashes());
            if links.into_iter().any(|link| link == (through, hash)) {
                next = Some((span.last, span.after));
                break;
            }
        }
        let Some(further) = next else { return Ok(through) };
        (through, hash) = further;
        rows.retain(|row| row.span.last > through);
    }
}
