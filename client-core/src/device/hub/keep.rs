//! What a hub keeps of a request: batches as their authors signed them, and who those authors are. What it tells stands in
//! [`super`].

use super::Met;
use crate::{
    device::{from_json, identity, scope, to_json, trust},
    error::Error,
    store::{GuestRow, Tx},
};
use sync_protocol::{
    Code, ReplicaId,
    chain::{Adoption, Batch, Carried, PublicKey, Span},
    pass::Pass,
    problem::Problem,
    wire::{Outcome, Request, Verdict},
};

/// A batch is kept up to this size, in bytes of changes: it can't be cut on the way, and the hub's own line may be 2G.
const BATCH_MOST: usize = 512 << 10;
/// So many bytes of an author's batches wait here at most: ten thousand interviews that the server has not seen.
const WAITING_MOST: u64 = 64 << 20;
/// So many names are believed by one pass: a phone that the server has not met meanwhile was not copied more often.
const NAMES_MOST: usize = 16;
/// What a digest in place of a change takes in a request, in bytes.
const DIGEST: usize = 66;

/// Keeps what a request brings: how many changes were new, and the batches that nothing may be believed of.
pub(super) fn keep(tx: &Tx<'_>, met: &Met, request: &Request, now_ms: i64) -> Result<(u64, Vec<Outcome>), Error> {
    let guest = met.meeting.guest;
    let keys = trust::keys(tx)?;
    let row =
        GuestRow { replica: guest, pass: to_json(&met.pass)?, adoption: met.adoption.clone(), seen_ms: Some(now_ms) };
    trust::keep_guest(tx, row, None)?;
    // Who else's batches come with it, by what the server says of them.
    for pass in request.passes.iter().filter(|pass| pass.is_signed(&keys)) {
        let row = GuestRow { replica: pass.replica, pass: to_json(pass)?, adoption: None, seen_ms: None };
        trust::keep_guest(tx, row, None)?;
    }
    for adopt in &request.adoptions {
        let (from, known) = (key_of(tx, met, adopt.from)?, known_key(tx, adopt.replica)?);
        // A guest says itself where its name comes from; of others the first word counts, and the server's before that.
        let may_say = if adopt.replica == guest { adopt.key == met.key } else { known.is_none() };
        if may_say
            && !is_own(tx, adopt.replica)?
            && from.is_some_and(|from| adopt.is_valid(&from))
            && let Some(before) = tx.guest(adopt.from)?
            && may_take_name(tx, adopt.replica, &from_json::<Pass>(&before.pass)?)?
        {
            let row = GuestRow { replica: adopt.replica, adoption: Some(to_json(adopt)?), seen_ms: None, ..before };
            trust::keep_guest(tx, row, None)?;
        }
    }
    request.stamps.iter().filter(|stamped| stamped.is_signed(&keys)).try_for_each(|stamped| tx.stamp(stamped))?;
    let (mut kept, mut refusals) = (0, Vec::new());
    for batch in &request.batches {
        match verify(tx, met, batch)? {
            Ok(_) if tx.waiting_bytes(batch.replica)? > WAITING_MOST => refusals.push(refusal(
                batch,
                Problem::new(Code::Busy, "64 MiB of this phone wait here: sync it with the server"),
            )),
            Ok(span) => {
                if tx.carry(batch, &span)? {
                    kept += u64::try_from(batch.changes.len()).unwrap_or(0);
                }
                tx.set_handed(&span, guest, false)?;
            }
            Err(problem) => refusals.push(refusal(batch, problem)),
        }
    }
    Ok((kept, refusals))
}

fn refusal(batch: &Batch, problem: Problem) -> Outcome {
    let (replica, seq) = (batch.replica, batch.first);
    Outcome { replica, seq, verdict: Verdict::Refused, code: Some(problem.code), detail: problem.detail }
}

/// Whether a device may be known by a name: it is already, or its pass does not stand for too many.
pub(super) fn may_take_name(tx: &Tx<'_>, replica: ReplicaId, pass: &Pass) -> Result<bool, Error> {
    Ok(replica == pass.replica || tx.guest(replica)?.is_some() || tx.names_under(pass.replica)? < NAMES_MOST)
}

/// Whether a name is the hub's own, of today or of before: under it nobody else brings anything.
pub(super) fn is_own(tx: &Tx<'_>, replica: ReplicaId) -> Result<bool, Error> {
    Ok(identity(tx)?.0 == replica || tx.life(replica)?.is_some())
}

/// The key of a replica: as the server says, in its voucher or its pass, or else as the first that told of it vouched.
pub(super) fn known_key(tx: &Tx<'_>, replica: ReplicaId) -> Result<Option<PublicKey>, Error> {
    if let Some(key) = trust::author_key(tx, replica)? {
        return Ok(Some(key));
    }
    let Some(guest) = tx.guest(replica)? else { return Ok(None) };
    let pass: Pass = from_json(&guest.pass)?;
    if pass.replica == replica {
        return Ok(Some(pass.key));
    }
    let adopt = guest.adoption.map(|json| from_json::<Adoption>(&json)).transpose()?;
    Ok(adopt.filter(|adopt| adopt.replica == replica).map(|adopt| adopt.key))
}

fn key_of(tx: &Tx<'_>, met: &Met, replica: ReplicaId) -> Result<Option<PublicKey>, Error> {
    if replica == met.meeting.guest { Ok(Some(met.key)) } else { known_key(tx, replica) }
}

/// What the author of a batch signed, or why nothing of it may be believed.
fn verify(tx: &Tx<'_>, met: &Met, batch: &Batch) -> Result<Result<Span, Problem>, Error> {
    if is_own(tx, batch.replica)? {
        return Ok(Err(Problem::new(Code::WrongReplica, "that is a name of this hub")));
    }
    let Some(key) = key_of(tx, met, batch.replica)? else {
        return Ok(Err(Problem::new(Code::WrongReplica, format!("nothing says whose {} is", batch.replica))));
    };
    let size = |change: &Carried| if let Carried::Bytes(bytes) = change { bytes.len() } else { DIGEST };
    if batch.changes.iter().map(size).sum::<usize>() > BATCH_MOST.max(most(tx)?) {
        return Ok(Err(Problem::new(Code::RequestTooLarge, "a batch for a hub holds 512 KiB of changes at most")));
    }
    // A signature covers digests as well as what they stand for: taken for the batch, they would keep the changes themselves out.
    if batch.changes.iter().any(|change| matches!(change, Carried::Withheld(_))) {
        return Ok(Err(Problem::new(Code::WrongType, "a hub takes changes whole")));
    }
    Ok(batch.verify(&key).map(|hashes| batch.span_to(hashes.last().copied().unwrap_or(batch.before))))
}

/// The largest change that the server takes, in bytes.
fn most(tx: &Tx<'_>) -> Result<usize, Error> {
    Ok(scope(tx)?.map_or(0, |scope| scope.limits.change))
}
