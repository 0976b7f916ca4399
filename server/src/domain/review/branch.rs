//! Releasing the branches of a replica: what each of their changes had seen goes by the hashes that lead to it.

use super::author_batch;
use crate::{
    domain::{Failure, ingest::World},
    store::{BranchChange, ReplicaRow, StoreError, Tx},
};
use sync_protocol::{
    Dot, Hash, ReplicaId,
    chain::{digest, link},
    engine::reauthor::{Renamed, reauthor},
    problem::Code,
};

/// Releases the branches of a replica whose device does not return: the server authors their changes again, in the
/// name of who saved them (DESIGN §5, rule 2). A device that returns later finds them superseded.
///
/// Gives how many changes were authored again; one that can't be read stays held.
///
/// # Errors
/// [`Code::NotFound`] if nothing of the replica waits.
pub fn release_branch(tx: Tx<'_>, replica: ReplicaId, world: &World, now_ms: i64) -> Result<u64, Failure> {
    let none = || Failure::problem(Code::NotFound, "no branch of this replica waits");
    let row = tx.replica(replica)?.ok_or_else(none)?;
    let branch = tx.branch_changes(row.id)?;
    let own = tx.replica(world.identity.replica)?.ok_or(StoreError::Corrupt("the server's own replica"))?;
    // Which dot each change of the branches has now; none of one that can't be read.
    let (mut names, mut changes): (Vec<Option<Dot>>, Vec<_>) = (Vec::new(), Vec::new());
    let before = before_each(tx, &row, &branch)?;
    for (at, held) in branch.iter().enumerate() {
        let next = own.head.saturating_add(u64::try_from(changes.len()).unwrap_or(u64::MAX)).saturating_add(1);
        let again = Dot { replica: own.replica, seq: next };
        let old = Dot { replica, seq: held.seq };
        let rename = |seq: u64| renamed(&branch, &before, &names, at, seq);
        let name = match held.again {
            Some(dot) => Some(dot),
            None => reauthor(old, &held.bytes, held.hash, again, rename).ok().map(|mut change| {
                // The server's changes have no skew: the clock of the device is corrected here, once.
                change.wall_ms = change.wall_ms.saturating_sub(held.skew_ms);
                changes.push(change);
                again
            }),
        };
        names.push(name);
    }
    if changes.is_empty() {
        return Err(none());
    }
    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    author_batch(tx, changes, world, now_ms)?;
    Ok(count)
}

/// What its author had written right before a change of a branch.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// What stands in the replica's chain.
    Chain,
    /// Another change of a branch, by its place among them.
    Branch(usize),
    /// Something that is not here.
    Unknown,
}

/// What was before each change of a replica's branches, which come by seq.
fn before_each(tx: Tx<'_>, row: &ReplicaRow, branch: &[BranchChange]) -> Result<Vec<Before>, StoreError> {
    let mut before = Vec::with_capacity(branch.len());
    for held in branch {
        let earlier = held.seq.saturating_sub(1);
        let leads = |hash: Hash| link(hash, row.replica, held.seq, digest(&held.bytes)) == held.hash;
        let chain = if earlier == 0 { Some(Hash::default()) } else { tx.hash_at(row.id, earlier)? };
        before.push(if chain.is_some_and(leads) {
            Before::Chain
        } else {
            let first = branch.partition_point(|one| one.seq < earlier);
            let mut candidates = (first..).zip(branch.iter().skip(first)).take_while(|(_, one)| one.seq == earlier);
            candidates.find(|(_, one)| leads(one.hash)).map_or(Before::Unknown, |(at, _)| Before::Branch(at))
        });
    }
    Ok(before)
}

/// What becomes of a pred of its own author in a change of a branch. Where nobody can tell what it named, nothing is replaced: at
/// worst that is a conflict (law L2).
fn renamed(branch: &[BranchChange], before: &[Before], names: &[Option<Dot>], mut at: usize, seq: u64) -> Renamed {
    loop {
        match before.get(at) {
            Some(Before::Chain) if branch.get(at).is_some_and(|one| seq < one.seq) => return Renamed::Kept,
            Some(Before::Branch(earlier)) => {
                if branch.get(*earlier).is_some_and(|one| one.seq == seq) {
                    return names.get(*earlier).copied().flatten().map_or(Renamed::Unknown, Renamed::To);
                }
                at = *earlier;
            }
            Some(Before::Chain | Before::Unknown) | None => return Renamed::Unknown,
        }
    }
}
