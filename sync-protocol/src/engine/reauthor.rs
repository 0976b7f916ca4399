//! A forked history goes on under a new name.

use crate::{
    change::{Change, Op},
    ids::{Dot, Hash, ReplicaId},
    problem::Problem,
};
use std::collections::BTreeMap;

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

/// How a device numbers its branch anew: what it holds after the last common change becomes 1, 2, 3 … of the new replica.
#[derive(Clone, Debug)]
pub struct Renumbered {
    common: u64,
    new: ReplicaId,
    numbers: BTreeMap<u64, u64>,
}

impl Renumbered {
    /// Numbers the changes that are held, by their seqs in ascending order.
    #[must_use]
    pub fn new(common: u64, new: ReplicaId, held: impl Iterator<Item = u64>) -> Self {
        Self { common, new, numbers: held.zip(1..).collect() }
    }

    /// What becomes of an own pred.
    #[must_use]
    pub fn rename(&self, seq: u64) -> Renamed {
        match self.numbers.get(&seq) {
            Some(number) => Renamed::To(Dot { replica: self.new, seq: *number }),
            None if seq <= self.common => Renamed::Kept,
            None => Renamed::Unknown,
        }
    }
}
