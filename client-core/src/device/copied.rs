//! A copy of the device's files notices itself before it writes, where the host keeps a mark that the copy left behind
//! (DESIGN §5, rule 2). Elsewhere the server finds it out.

use super::{acked, forms::Forms, identity, meta, set_identity, summary, sync};
use crate::{
    error::Error,
    host::{Host, Marked},
    store::Tx,
};
use std::collections::BTreeSet;
use sync_protocol::ReplicaId;

/// Goes on under a new replica where these files were copied here, or are older than what was written here since; gives
/// the replica and its last seq, to be marked.
pub(super) fn notice<H: Host>(tx: &Tx<'_>, host: &mut H, forms: &mut Forms) -> Result<(ReplicaId, u64), Error> {
    let (replica, _) = identity(tx)?;
    let (last, _) = tx.head(replica)?;
    let is_copy = match host.marked(replica) {
        Marked::Unknown => false,
        // Files from before there were marks have none anywhere.
        Marked::Never => tx.meta(meta::MARKED)?.is_some(),
        Marked::Through(seq) => seq > last,
    };
    if is_copy && tx.meta(meta::ENROLLED)?.is_none() && last == 0 {
        // Files that were prepared once and put on many devices: each is a device of its own.
        set_identity(tx, host)?;
    } else if is_copy {
        let mut touched = BTreeSet::new();
        sync::go_on(tx, host, acked(tx)?, &mut touched)?;
        for touched in touched {
            summary::refresh(tx, touched.record, forms)?;
        }
    }
    tx.set_meta(meta::MARKED, "1")?;
    let (replica, _) = identity(tx)?;
    Ok((replica, tx.head(replica)?.0))
}
