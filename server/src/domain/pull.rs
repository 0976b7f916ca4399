//! The reply to a sync: what became of the changes, the device's scope, and what others did in its buckets.

use super::{identity::Identity, ingest::Applied};
use crate::store::{Assigned, Device, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use sync_protocol::{
    Limits,
    wire::{Area, Assignment, Cursor, Delivered, Reply, ReplyHeader, RequestHeader, Scope, VERSIONS},
};

/// Bytes of changes in one reply, before compression, unless the device wants less.
const BUDGET: usize = 512 << 10;
/// The least that a device may want.
const LEAST_BUDGET: usize = 16 << 10;

/// Makes the reply; reads a snapshot that is not older than the commit.
///
/// # Errors
/// If the store fails.
pub fn reply(
    tx: Tx<'_>,
    device: &Device,
    request: &RequestHeader,
    applied: Applied,
    identity: &Identity,
    limits: &Limits,
    now_ms: i64,
) -> Result<Reply, StoreError> {
    let mut reply = Reply::new(ReplyHeader {
        tenun: *VERSIONS.end(),
        epoch: identity.epoch.clone(),
        acked_through: applied.acked_through,
        safe_through: tx.safe_through(request.replica)?,
        clock: now_ms,
        more: false,
    });
    reply.outcomes = applied.outcomes;
    reply.stamps = applied.stamps;
    reply.fork = applied.fork;
    if device.revoked {
        return Ok(reply);
    }
    let (scope, areas) = scope(tx, device, limits)?;
    if scope.version != request.scope {
        reply.scope = Some(scope);
    }
    // A forked device comes back under its new name: what the old name authored is no longer all its own,
    // and a cursor given now would pass over the other branch.
    if reply.fork.is_some() {
        return Ok(reply);
    }
    let wanted = request.want.map_or(BUDGET, |want| usize::try_from(want).unwrap_or(usize::MAX));
    let budget = wanted.clamp(LEAST_BUDGET, BUDGET);
    // A run ends in a cursor: on a bad line it is what a cut costs.
    let (mut left, run) = (budget, budget / 4);
    for (code, area) in areas {
        let given = request.cursors.get(&code).copied();
        // A device that comes from an older epoch is told every cursor, cut down to what the restore left.
        let (known, cut) = match given {
            Some(cursor) if request.epoch == identity.epoch => (Some(cursor), None),
            Some(cursor) => (None, tx.cut_cursor(&request.epoch, area, cursor)?),
            None => (None, None),
        };
        let mut cursor = known.or(cut).unwrap_or(0);
        if let Some(seq) = cut {
            reply.pulled.push((Vec::new(), Cursor { bucket: code.clone(), seq }));
        }
        let known = known.or(cut);
        loop {
            if left == 0 {
                reply.header.more = reply.header.more || tx.bucket_head(area)? > cursor;
                break;
            }
            let (changes, through, more) = tx.pull(area, cursor, request.replica, left.min(run))?;
            let size = changes.iter().map(|change| change.bytes.len()).sum::<usize>();
            left = left.saturating_sub(size);
            if known != Some(through) && (through > cursor || known.is_none()) {
                let delivered = changes.into_iter().map(|change| Delivered {
                    replica: change.dot.replica,
                    seq: change.dot.seq,
                    stamp: change.stamp,
                    bytes: change.bytes,
                });
                reply.pulled.push((delivered.collect(), Cursor { bucket: code.clone(), seq: through }));
            }
            cursor = through;
            if !more {
                break;
            }
        }
    }
    Ok(reply)
}

/// What the device works with, and the numbers of its areas by code.
fn scope(tx: Tx<'_>, device: &Device, limits: &Limits) -> Result<(Scope, BTreeMap<String, i64>), StoreError> {
    let mut areas = BTreeMap::new();
    let (mut named, mut assignments): (Vec<Area>, Vec<Assignment>) = (Vec::new(), Vec::new());
    for Assigned { area, code, name, round } in tx.assignments(&device.enumerator)? {
        if areas.insert(code.clone(), area).is_none() {
            named.push(Area { code: code.clone(), name });
        }
        assignments.push(Assignment { area: code, round });
    }
    let questionnaires = tx.questionnaire_names()?;
    let mut scope = Scope {
        version: String::new(),
        enumerator: device.enumerator.clone(),
        name: device.enumerator_name.clone(),
        areas: named,
        assignments,
        questionnaires,
        limits: limits.clone(),
        server: tx.own_replicas()?.into_iter().collect(),
    };
    let content = serde_json::to_vec(&scope).unwrap_or_default();
    scope.version = hex::encode(Sha256::digest(content).get(..6).unwrap_or_default());
    Ok((scope, areas))
}
