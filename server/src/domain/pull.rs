//! The reply to a sync: what became of the changes, the device's scope, and what others did in its buckets.

use super::{
    carry::{Proving, apart, lacks},
    hubs,
    identity::Identity,
    ingest::Applied,
    review,
    snapshot::{self, Patience},
};
use crate::store::{Asks, Assigned, ChangeRow, ChangeState, Device, Seen, StoreError, TeamDevice, Tx};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    HouseholdId, Limits, ReplicaId,
    wire::{
        self, Area, Assignment, Cursor, Delivered, FirstVisit, Life, Outcome, Reply, ReplyHeader, RequestHeader, Run,
        Scope, VERSIONS, Verdict,
    },
};

/// Bytes of changes in one reply, before compression, unless the device wants less.
const BUDGET: usize = 512 << 10;
/// So many earlier names of a device are answered to.
const MOST_LIVES: usize = 100;
/// The least that a device may want.
const LEAST_BUDGET: usize = 16 << 10;

/// What the reply depends on beside the device and the store.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Who the server is.
    pub identity: &'a Identity,
    /// The sizes that devices are told.
    pub limits: &'a Limits,
    /// How long a history is told as it is.
    pub patience: Patience,
    /// The server's clock.
    pub now_ms: i64,
}

/// Makes the reply; reads a snapshot that is not older than the commit.
///
/// # Errors
/// If the store fails.
pub fn reply(
    tx: Tx<'_>,
    device: &Device,
    request: &RequestHeader,
    applied: Applied,
    terms: Terms<'_>,
) -> Result<Reply, StoreError> {
    let Terms { identity, limits, patience, now_ms } = terms;
    // A server that was restored is behind its device, and what it holds there may be another life's.
    let is_behind = request.acked.is_some_and(|acked| acked.seq > applied.acked_through);
    let behind = if is_behind { tx.replica(request.replica)? } else { None };
    let mut reply = Reply::new(ReplyHeader {
        tenun: *VERSIONS.end(),
        epoch: identity.epoch.clone(),
        acked_through: applied.acked_through,
        acked_hash: behind.map_or(Ok(None), |row| tx.hash_at(row.id, applied.acked_through))?,
        safe_through: tx.safe_through(request.replica)?,
        clock: now_ms,
        more: false,
    });
    reply.outcomes = applied.outcomes;
    reply.stamps = applied.stamps;
    reply.fork = applied.fork;
    reply.lives = lives(tx, device, &request.lives)?;
    // Every reply says it: where none is named, a device forgets whom it knew of.
    reply.barred = hubs::barred(tx, request, now_ms)?;
    if device.revoked {
        return Ok(reply);
    }
    let (scope, areas) = scope(tx, device, identity, limits)?;
    if scope.version != request.scope {
        reply.scope = Some(scope);
    }
    reply.outcomes.extend(decided(tx, request.replica, &request.waits)?);
    for (replica, waits) in request.waits_before.iter().take(MOST_LIVES) {
        if is_theirs(tx, device, *replica)? {
            reply.outcomes.extend(decided(tx, *replica, waits)?);
        }
    }
    reply.lacks = lacks(tx, request)?;
    let shared = if is_behind { 0 } else { applied.acked_through };
    reply.outcomes.extend(apart(tx, request, shared)?);
    // A forked device comes back under its new name: what the old name authored is no longer all its own,
    // and a cursor given now would pass over the other branch.
    if reply.fork.is_some() {
        return Ok(reply);
    }
    reply.team = tx.team(&device.enumerator)?.into_iter().map(team_device).collect();
    let seen: BTreeSet<i64> = areas.values().copied().collect();
    reply.returned = Some(review::returned_in(tx, device, &seen)?).filter(|list| list.version != request.returned);
    let is_hub = hubs::may_carry(tx, device, request)?;
    let mut proving = Proving::new(&seen, is_hub);
    let wanted = request.want.map_or(BUDGET, |want| usize::try_from(want).unwrap_or(usize::MAX));
    let budget = wanted.clamp(LEAST_BUDGET, BUDGET);
    // A run ends in a cursor: on a bad line it is what a cut costs.
    let (mut left, run) = (budget, budget / 4);
    let asks = Asks { replica: request.replica, dropped: request.dropped, shared };
    for (code, area) in areas {
        let given = request.cursors.get(&code).copied();
        // A device that comes from an older epoch is told every cursor, cut down to what the restore left.
        let (known, cut) = match given {
            Some(cursor) if request.epoch == identity.epoch => (Some(cursor), None),
            // Its snapshots were not all told, and the restored log does not know how far: they are told anew.
            Some(_) if request.snapshots.contains_key(&code) => (None, None),
            Some(cursor) => (None, tx.cut_cursor(&request.epoch, area, cursor)?),
            None => (None, None),
        };
        let mut cursor = known.or(cut).unwrap_or(0);
        if let Some(seq) = cut {
            reply.pulled.push(Run::to(&code, seq));
        }
        let known = known.or(cut);
        let told = request.snapshots.get(&code).filter(|_| known.is_some() && cut.is_none()).copied();
        if told.is_some() && left == 0 {
            reply.header.more = true;
            continue;
        }
        let departures = tx.departures(area, cursor)?;
        let gone = gone(tx, &departures, &seen)?;
        // A hub tells others what it can prove: a snapshot proves nothing.
        if left > 0 && (told.is_some() || (!is_hub && patience.is_over(tx, area, cursor)?)) {
            // The log goes on from where it ended in the backups when the first of the snapshots were told. Where these are no
            // more, the rest is told as it is now.
            let seq = if told.is_some() { cursor } else { tx.safe_bucket_head(area)? };
            let through = tx.safe_change()?.unwrap_or(i64::MAX);
            let departed = departures.iter().filter(|_| told.is_none());
            let mut moved = departed.filter_map(|(_, household)| gone.get(household).copied()).collect();
            let mut place = told.or(Some(0));
            while let Some(after) = place.filter(|_| left > 0) {
                let (snapshots, next, size) = snapshot::page(tx, area, after, left.min(run), through)?;
                left = left.saturating_sub(size);
                let at = Cursor { bucket: code.clone(), seq, after: next };
                let moved = std::mem::take(&mut moved);
                reply.pulled.push(Run { snapshots, moved, cursor: at, ..Run::to(&code, seq) });
                place = next;
            }
            if place.is_some() {
                reply.header.more = true;
                continue;
            }
            cursor = seq;
        }
        loop {
            if left == 0 {
                reply.header.more = reply.header.more || tx.bucket_head(area)? > cursor;
                break;
            }
            let pulled = tx.pull(area, cursor, asks, left.min(run), &departures)?;
            let size = pulled.changes.iter().map(|change| change.bytes.len()).sum::<usize>();
            left = left.saturating_sub(size);
            let through = pulled.through;
            if known != Some(through) && (through > cursor || known.is_none()) {
                let mut changes = pulled.changes;
                if !gone.is_empty() {
                    changes = still_seen(tx, changes, &gone)?;
                }
                let proofs = proving.proofs(tx, &changes)?;
                let delivered = changes.into_iter().map(|change| Delivered {
                    replica: change.dot.replica,
                    seq: change.dot.seq,
                    stamp: change.stamp,
                    bytes: change.bytes,
                });
                let moved = pulled.departed.iter().filter_map(|household| gone.get(household).copied()).collect();
                reply.pulled.push(Run { changes: delivered.collect(), proofs, moved, ..Run::to(&code, through) });
            }
            cursor = through;
            if !pulled.more {
                break;
            }
        }
    }
    hubs::add(tx, device, request, &mut reply, identity, now_ms)?;
    Ok(reply)
}

/// How far the server holds what a device wrote under earlier names; of one that it does not know, or that is somebody else's, nothing.
fn lives(tx: Tx<'_>, device: &Device, asked: &BTreeMap<ReplicaId, u64>) -> Result<Vec<Life>, StoreError> {
    let mut lives = Vec::new();
    for (replica, last) in asked.iter().take(MOST_LIVES) {
        let row = if is_theirs(tx, device, *replica)? { tx.replica(*replica)? } else { None };
        let acked_through = row.map_or(0, |row| row.head.min(*last));
        let acked_hash = row.map_or(Ok(None), |row| tx.hash_at(row.id, acked_through))?.unwrap_or_default();
        let safe_through = tx.safe_through(*replica)?.min(acked_through);
        lives.push(Life { replica: *replica, acked_through, acked_hash, safe_through });
    }
    Ok(lives)
}

/// Whether a name is of the same enumerator as a device.
fn is_theirs(tx: Tx<'_>, device: &Device, replica: ReplicaId) -> Result<bool, StoreError> {
    Ok(tx.bearer(replica)?.is_some_and(|bearer| bearer.enumerator == device.enumerator))
}

/// Of the households that left a bucket those that a device sees no more, by number: not the ones that live in another of its
/// areas, or came back. They are told no more, but that they left.
fn gone(tx: Tx<'_>, departures: &[(u64, i64)], seen: &BTreeSet<i64>) -> Result<BTreeMap<i64, HouseholdId>, StoreError> {
    let mut gone = BTreeMap::new();
    for (_, household) in departures {
        if tx.placement(*household)?.is_disjoint(seen) {
            gone.insert(*household, tx.household(*household)?);
        }
    }
    Ok(gone)
}

/// The changes that are of none of some households.
fn still_seen(
    tx: Tx<'_>,
    changes: Vec<ChangeRow>,
    gone: &BTreeMap<i64, HouseholdId>,
) -> Result<Vec<ChangeRow>, StoreError> {
    let mut seen = Vec::with_capacity(changes.len());
    for change in changes {
        if tx.household_of_change(change.id)?.is_none_or(|household| !gone.contains_key(&household)) {
            seen.push(change);
        }
    }
    Ok(seen)
}

/// What became of the changes that a device knows to wait for a coordinator's decision.
fn decided(tx: Tx<'_>, replica: ReplicaId, waits: &[u64]) -> Result<Vec<Outcome>, StoreError> {
    let Some(row) = tx.replica(replica)?.filter(|_| !waits.is_empty()) else { return Ok(Vec::new()) };
    let mut outcomes = Vec::new();
    for seq in waits {
        for (seq, state, _) in tx.states(row.id, *seq, seq.saturating_add(1))? {
            let verdict = match state {
                ChangeState::Applied => Verdict::Released,
                ChangeState::Superseded => Verdict::Superseded,
                ChangeState::Quarantined | ChangeState::Escrow => continue,
            };
            outcomes.push(Outcome { replica, seq, verdict, code: None, detail: String::new() });
        }
    }
    Ok(outcomes)
}

fn team_device(row: TeamDevice) -> wire::TeamDevice {
    let TeamDevice { device, enumerator, name, seen_ms, unsent } = row;
    wire::TeamDevice { device, enumerator, name, seen: seen_ms, unsent }
}

/// What the device works with, and the numbers of its areas by code.
fn scope(
    tx: Tx<'_>,
    device: &Device,
    identity: &Identity,
    limits: &Limits,
) -> Result<(Scope, BTreeMap<String, i64>), StoreError> {
    let mut areas = BTreeMap::new();
    let mut named: Vec<Area> = Vec::new();
    for Seen { area, code, name } in tx.seen_areas(&device.enumerator)? {
        named.push(Area { code: code.clone(), name });
        areas.insert(code, area);
    }
    let assignments = tx.assignments(&device.enumerator)?.into_iter();
    let assignments = assignments.map(|Assigned { code, round }| Assignment { area: code, round }).collect();
    let households = tx.assigned_households(&device.enumerator)?.into_iter();
    let households = households.map(|(household, round)| FirstVisit { household, round }).collect();
    let questionnaires = tx.questionnaire_names()?;
    let mut scope = Scope {
        version: String::new(),
        enumerator: device.enumerator.clone(),
        name: device.enumerator_name.clone(),
        areas: named,
        assignments,
        households,
        questionnaires,
        limits: limits.clone(),
        server: tx.own_replicas()?.into_iter().collect(),
        vouched: tx.vouched(identity.replica)?,
    };
    let content = serde_json::to_vec(&scope).unwrap_or_default();
    scope.version = hex::encode(Sha256::digest(content).get(..6).unwrap_or_default());
    Ok((scope, areas))
}
