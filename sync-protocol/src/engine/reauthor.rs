//! A forked history goes on under a new name.

use crate::{
    change::{Change, Op},
    ids::{Dot, Hash, ReplicaId},
    limits::Limits,
    problem::Problem,
};

/// Re-authors one change of a losing branch as change `seq` of a new replica.
///
/// Its own preds past the last common seq are renamed with it, and it names the hash that it replaces, so
/// that branch and re-authoring are never both applied (DESIGN §5, rule 2). `offset` is the common seq:
/// change `common + k` becomes change `k`.
///
/// # Errors
/// If the bytes cannot be read: such a change was in quarantine and stays there with its branch.
pub fn reauthor(old: Dot, bytes: &[u8], hash: Hash, new: ReplicaId, common: u64) -> Result<Change, Problem> {
    let unlimited = Limits { change: usize::MAX, text: usize::MAX, depth: 128, ..Limits::default() };
    let mut change = Change::from_bytes(old, bytes, &unlimited)?;
    let rename = |dot: &mut Dot| {
        if dot.replica == old.replica && dot.seq > common {
            *dot = Dot { replica: new, seq: dot.seq.saturating_sub(common) };
        }
    };
    change.dot = Dot { replica: new, seq: old.seq.saturating_sub(common) };
    for op in &mut change.ops {
        match op {
            Op::Set { preds, .. } | Op::RemoveRow { preds, .. } | Op::Void { preds, .. } => {
                preds.iter_mut().for_each(rename);
            }
            Op::AddRow { .. } | Op::Note { .. } => {}
        }
    }
    change.instead_of = Some(hash);
    Ok(change)
}
