//! A request read, verified and checked against the catalogue, before the writer's turn.
//!
//! Everything that costs time and needs no write happens here, on as many threads as there are.

use super::{
    Failure,
    catalogue::Catalogue,
    forgotten::{Forgotten, is_absent},
};
use crate::store::{Device, StoreError, Tx};
use std::collections::BTreeMap;
use sync_protocol::{
    Change, Dot, Limits, ReplicaId,
    chain::{Adoption, Batch, Carried, PublicKey},
    engine::intake::Verified,
    problem::{Code, Problem},
    wire::{Have, Outcome, Request, RequestHeader, Stamped, Verdict},
};

/// A request that may be applied.
#[derive(Debug)]
pub struct Prepared {
    /// Who sent it.
    pub device: Device,
    /// What its first line said.
    pub header: RequestHeader,
    /// Whom the server has forgotten since it was restored, by its own word.
    pub forgotten: Forgotten,
    /// New identities, each vouched for by a replica of this device.
    pub adoptions: Vec<Adoption>,
    /// Stamps that the server gave in an earlier epoch: its signature is right.
    pub stamps: Vec<Stamped>,
    /// What the device sent before and got no answer to.
    pub haves: Vec<Have>,
    /// Batches whose signature is right, with their changes read and checked.
    pub batches: Vec<Checked>,
    /// Batches that nothing may be believed of.
    pub refused: Vec<Outcome>,
    /// The body ended before its end.
    pub cut_off: bool,
}

/// A batch with its changes read and checked.
#[derive(Debug)]
pub struct Checked {
    /// The batch.
    pub verified: Verified,
    /// Its changes, or why one can't be applied; each is taken once.
    pub changes: Vec<Option<Result<Change, Problem>>>,
    /// The key that its signature fits.
    pub key: PublicKey,
    /// Another device than its author's brought it.
    pub is_carried: bool,
}

/// Reads and checks the changes of a batch.
#[must_use]
pub fn check(verified: Verified, key: PublicKey, catalogue: &Catalogue, limits: &Limits) -> Checked {
    let changes = verified
        .batch
        .changes
        .iter()
        .enumerate()
        .map(|(index, carried)| {
            let dot = Dot { replica: verified.batch.replica, seq: verified.seq(index) };
            Some(read(dot, carried, catalogue, limits))
        })
        .collect();
    Checked { verified, changes, key, is_carried: false }
}

fn read(dot: Dot, carried: &Carried, catalogue: &Catalogue, limits: &Limits) -> Result<Change, Problem> {
    match carried {
        Carried::Bytes(bytes) => {
            let change = Change::from_bytes(dot, bytes, limits)?;
            catalogue.check(&change, limits)?;
            Ok(change)
        }
        Carried::Withheld(_) => Err(Problem::new(Code::WrongType, "a hash stands in place of the change")),
    }
}

/// Reads a request and verifies what it holds.
///
/// # Errors
/// If the request as a whole makes no sense, or its replica is not one of the device's.
pub fn prepare(
    tx: Tx<'_>,
    device: Device,
    body: &[u8],
    catalogue: &Catalogue,
    limits: &Limits,
) -> Result<Prepared, Failure> {
    let request = Request::from_bytes(body)?;
    let forgotten = Forgotten::read(tx, &device, &request)?;
    let (known, carried) = (forgotten.own_names().collect(), forgotten.keys().collect());
    let mut keys = Keys { tx, device: &device, known, carried };
    let mut adoptions = Vec::new();
    for adoption in request.adoptions {
        // What a hub was told of others' names says nothing of its own: it is passed over where nothing vouches for it.
        if keys.of(adoption.from)?.is_none() {
            let is_own = keys.of(adoption.replica)?.is_some();
            if is_own || adoption.replica != request.header.replica {
                adoptions.extend(keys.carried(adoption, is_own)?);
            }
            continue;
        }
        if !keys.of(adoption.from)?.is_some_and(|old| adoption.is_valid(&old)) {
            let detail = format!("`adopt`: nothing vouches for {} as a replica of this device", adoption.replica);
            return Err(Failure::problem(Code::WrongReplica, detail));
        }
        let is_today = adoption.replica == request.header.replica;
        let is_taken = match tx.replica(adoption.replica)? {
            None => false,
            Some(row) if row.key != adoption.key => true,
            Some(row) => row.device != Some(device.id) && !is_absent(tx, &row, &device.enumerator)?,
        };
        if is_taken {
            if is_today {
                let detail = format!("`adopt`: {} is another device's: take another name", adoption.replica);
                return Err(Failure::problem(Code::ReplicaTaken, detail));
            }
            continue;
        }
        keys.known.insert(adoption.replica, adoption.key);
        adoptions.push(adoption);
    }
    if keys.of(request.header.replica)?.is_none() {
        let detail = format!("{}: enrol the device again", request.header.replica);
        return Err(Failure::problem(Code::WrongReplica, detail));
    }
    let (mut batches, mut refused) = (Vec::new(), Vec::new());
    for batch in request.batches {
        match verify(&mut keys, request.header.replica, batch)? {
            Ok((verified, key, is_carried)) => {
                batches.push(Checked { is_carried, ..check(verified, key, catalogue, limits) });
            }
            Err(outcome) => refused.push(outcome),
        }
    }
    let mut stamps = request.stamps;
    if !stamps.is_empty() {
        let mut own: Vec<PublicKey> = tx.own_replicas()?.into_iter().map(|(_, key)| key).collect();
        own.extend(forgotten.own_keys());
        stamps.retain(|stamped| stamped.is_signed(&own));
    }
    let (header, haves, cut_off) = (request.header, request.haves, request.cut_off);
    Ok(Prepared { device, header, forgotten, adoptions, stamps, haves, batches, refused, cut_off })
}

/// Verifies a batch: with which key, and whether another replica than the device's authored it. So is taken what another life of
/// the device wrote under a name that is not its own of `today` any more, where it has digests alone of some.
fn verify(
    keys: &mut Keys<'_>,
    today: ReplicaId,
    batch: Batch,
) -> Result<Result<(Verified, PublicKey, bool), Outcome>, StoreError> {
    let refuse = |batch: &Batch, problem: Problem| Outcome {
        replica: batch.replica,
        seq: batch.first,
        verdict: Verdict::Refused,
        code: Some(problem.code),
        detail: problem.detail,
    };
    let own = keys.of(batch.replica)?;
    let has_digests = batch.changes.iter().any(|change| matches!(change, Carried::Withheld(_)));
    let is_carried = own.is_none() || (has_digests && batch.replica != today);
    let key = match own.or(keys.carried.get(&batch.replica).copied()) {
        Some(key) => Some(key),
        None => keys.tx.replica(batch.replica)?.map(|row| row.key),
    };
    let Some(key) = key else {
        let detail = format!("nobody knows {}", batch.replica);
        return Ok(Err(refuse(&batch, Problem::new(Code::WrongReplica, detail))));
    };
    if !is_carried && has_digests {
        let problem = Problem::new(Code::WrongType, "a device sends its own changes whole");
        return Ok(Err(refuse(&batch, problem)));
    }
    Ok(match batch.verify(&key) {
        Ok(hashes) => Ok((Verified { batch, hashes }, key, is_carried)),
        Err(problem) => Err(refuse(&batch, problem)),
    })
}

/// Keys of the device's replicas.
struct Keys<'a> {
    tx: Tx<'a>,
    device: &'a Device,
    known: BTreeMap<ReplicaId, PublicKey>,
    /// Keys of other devices' new names, and of those whom the server has forgotten.
    carried: BTreeMap<ReplicaId, PublicKey>,
}

impl Keys<'_> {
    /// The new name of another device, which a hub was shown, or what the device itself was before under a name that is known of
    /// another one; none where nothing vouches for it, or there is nothing new in it.
    fn carried(&mut self, adoption: Adoption, is_own: bool) -> Result<Option<Adoption>, StoreError> {
        let known = self.tx.replica(adoption.from)?.filter(|row| row.device.is_some()).map(|row| row.key);
        let from = known.or(self.carried.get(&adoption.from).copied());
        let is_new = self.tx.replica(adoption.replica)?.is_none() && !self.carried.contains_key(&adoption.replica);
        if !from.is_some_and(|from| adoption.is_valid(&from)) || !(is_new || is_own) {
            return Ok(None);
        }
        if is_new {
            self.carried.insert(adoption.replica, adoption.key);
        }
        Ok(Some(adoption))
    }

    fn of(&mut self, replica: ReplicaId) -> Result<Option<PublicKey>, StoreError> {
        if let Some(key) = self.known.get(&replica) {
            return Ok(Some(*key));
        }
        let key = self.tx.replica(replica)?.filter(|row| row.device == Some(self.device.id)).map(|row| row.key);
        if let Some(key) = key {
            self.known.insert(replica, key);
        }
        Ok(key)
    }
}
