//! A forked history goes on under a new name.

use crate::{
    change::{Change, Op},
    ids::{Dot, Hash},
    problem::Problem,
};

/// What becomes of a pred of the branch's own replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// It is shared by both histories and stays.
    Kept,
    /// It was authored again under this dot.
    To(Dot),
    /// Nobody can tell what it named: it is left out, and a conflict at worst is what remains.
    Unknown,
}

/// Re-authors one change of a losing branch as change `new`.
///
/// Its own preds are renamed by `rename`, and it names the hash that it replaces, so that branch and
/// re-authoring are never both applied (DESIGN §5, rule 2).
///
/// # Errors
/// If the bytes cannot be read: such a change was in quarantine and stays there with its branch.
pub fn reauthor(
    old: Dot,
    bytes: &[u8],
    hash: Hash,
    new: Dot,
    rename: impl Fn(u64) -> Renamed,
) -> Result<Change, Problem> {
    let mut change = Change::from_stored(old, bytes)?;
    let renamed = |pred: Dot| {
        let fate = if pred.replica == old.replica { rename(pred.seq) } else { Renamed::Kept };
        match fate {
            Renamed::Kept => Some(pred),
            Renamed::To(dot) => Some(dot),
            Renamed::Unknown => None,
        }
    };
    change.dot = new;
    for op in &mut change.ops {
        match op {
            Op::Set { preds, .. } | Op::RemoveRow { preds, .. } | Op::Void { preds, .. } => {
                *preds = std::mem::take(preds).into_iter().filter_map(renamed).collect();
            }
            Op::AddRow { .. } | Op::Note { .. } => {}
        }
    }
    change.instead_of = Some(hash);
    Ok(change)
}

/// How a device numbers its branch anew: change `common + k` becomes change `k` of the new replica.
pub fn after(common: u64, new: crate::ids::ReplicaId) -> impl Fn(u64) -> Renamed {
    move |seq| match seq.checked_sub(common) {
        None | Some(0) => Renamed::Kept,
        Some(seq) => Renamed::To(Dot { replica: new, seq }),
    }
}
