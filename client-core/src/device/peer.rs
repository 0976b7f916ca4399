//! A sync with a hub: the same turn as with the server, from where the device stands with that hub.
//!
//! A hub's word counts for little. Its ack says that it holds the changes; they are on the server when the server's own
//! receipt says so, whoever brings that. Changes of others are taken as their authors signed them and the server stamped them.
//! Nothing is ever taken away on a hub's word (docs/decisions/0018).

use super::{
    Device, acked, attachments, from_json, identity, meta, relay, reread, scope, set_acked, summary,
    sync::{self, own_through},
    trust,
};
use crate::{
    error::{Error, HubProblem},
    host::Host,
    store::{PeerRow, Tx},
};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Code, Dot, Hash, RecordId, ReplicaId, Stamp,
    chain::{Adoption, Batch, Carried, PublicKey, Signature, Span},
    engine::device::{Absorbed, DeviceStore, Introductions, Position, Sizes},
    pass::{Meeting, Pass, Side, Voucher},
    wire::{Acked, Delivered, Greeting, Outcome, Proof, Reply, Run, Stamped, VERSIONS, Welcome},
};

/// The sizes of a turn with a hub, in bytes before compression.
///
/// A signed batch can't be cut by who carries it: here it is made of the size that the worst of lines takes, since the hub's
/// own line may be one.
pub const SIZES: Sizes = Sizes { first: 2 << 20, batch: 136 << 10, least: 34 << 10, most: 136 << 10 };

/// A hub that the device has met and believes.
#[derive(Clone, Debug)]
pub struct MetHub {
    /// What people call it.
    pub name: String,
    /// The areas that both may see.
    areas: Vec<String>,
    meeting: Meeting,
    /// Proves to the hub that the device holds its key.
    pub proof: Signature,
}

/// A device in a meeting with a hub: what the turn runs over.
#[derive(Debug)]
pub struct Visit<'d, H> {
    device: &'d mut Device<H>,
    met: &'d MetHub,
}

impl<H: Host> Device<H> {
    /// What the device says to a hub that it would sync with; `nonce` was drawn for this meeting.
    ///
    /// # Errors
    /// [`HubProblem::NoPass`] until the device has synced with the server under the name that it has now.
    pub fn greeting(&mut self, nonce: Hash) -> Result<Greeting, Error> {
        self.store.read(|tx| {
            let shown = trust::shown(tx)?.ok_or(HubProblem::NoPass)?;
            let (replica, _) = identity(tx)?;
            let seq = acked(tx)?;
            let safe = tx.hash_at(replica, seq)?.filter(|_| seq > 0).map(|hash| Acked { seq, hash });
            Ok(Greeting { tenun: *VERSIONS.end(), shown, nonce, safe })
        })
    }

    /// Believes a hub's answer, or does not.
    ///
    /// # Errors
    /// [`HubProblem`], where the hub is none by the server's word, or not one for this device; [`HubProblem::Doubted`] to be greeted
    /// again.
    pub fn meet(&mut self, greeting: &Greeting, welcome: &Welcome) -> Result<MetHub, Error> {
        // Kept whatever comes of the meeting.
        let (keys, acked) =
            self.store.write(|tx| Ok::<_, Error>((trust::learn(tx, &welcome.shown.vouched)?, acked(tx)?)))?;
        if greeting.safe.is_some_and(|safe| safe.seq > acked) {
            return Err(HubProblem::Doubted.into());
        }
        self.store.write(|tx| {
            let (replica, own_key) = identity(tx)?;
            let pass = &welcome.shown.pass;
            let (hub, key) = welcome.shown.identity().filter(|_| pass.is_signed(&keys)).ok_or(HubProblem::Unknown)?;
            let meeting = Meeting { hub, guest: replica, hub_nonce: welcome.nonce, guest_nonce: greeting.nonce };
            if !meeting.is_signed(Side::Hub, &welcome.signature, &key) {
                return Err(HubProblem::Unknown.into());
            }
            if !pass.hub || hub == replica {
                return Err(HubProblem::NoHub(pass.name.clone()).into());
            }
            let mut areas = covered(tx, pass, &greeting.shown.pass)?;
            // What was taken from it since the pass was made it does not pull any more.
            let scope = scope(tx)?.map(|scope| scope.areas).unwrap_or_default();
            areas.retain(|area| scope.iter().any(|seen| seen.code == *area));
            let epoch = tx.peer(hub, replica)?.map(|peer| peer.epoch).unwrap_or_default();
            let acked = own_through(tx, replica, welcome.acked_through, Some(welcome.acked_hash))?;
            tx.put_peer(&PeerRow { hub, name: pass.name.clone(), acked, epoch }, replica)?;
            tx.hand_again(hub)?;
            Ok(MetHub { name: pass.name.clone(), areas, meeting, proof: meeting.sign(Side::Guest, &own_key) })
        })
    }

    /// The device as it syncs with a hub that it has met: a turn may be run over it.
    pub fn visit<'d>(&'d mut self, met: &'d MetHub) -> Visit<'d, H> {
        Visit { device: self, met }
    }
}

/// The areas of a device that would sync with a hub; all of them must be the hub's, since it reads what it carries.
fn covered(tx: &Tx<'_>, hub: &Pass, own: &Pass) -> Result<Vec<String>, Error> {
    if trust::is_barred(tx, hub.replica)? || hub.has_run_out(trust::heard_ms(tx)?) {
        return Err(HubProblem::RunOut(hub.name.clone()).into());
    }
    let shared = own.shared(hub);
    match own.areas.iter().find(|area| !shared.contains(area)) {
        Some(area) => Err(HubProblem::Elsewhere { hub: hub.name.clone(), area: area.clone() }.into()),
        None => Ok(shared),
    }
}

impl<H: Host> Visit<'_, H> {
    /// The device.
    pub fn device(&mut self) -> &mut Device<H> {
        self.device
    }
}

impl<H: Host> DeviceStore for Visit<'_, H> {
    type Error = Error;

    fn position(&mut self) -> Result<Position, Error> {
        let Self { device, met } = self;
        let hub = &met.meeting.hub;
        device.store.read(|tx| {
            let (replica, key) = identity(tx)?;
            let peer = tx.peer(*hub, replica)?.ok_or(HubProblem::Unknown)?;
            let acked_through = acked(tx)?.max(peer.acked);
            let (last, _) = tx.head(replica)?;
            let is_hub = relay::is_hub(tx)?;
            Ok(Position {
                replica,
                key,
                acked_through,
                acked_hash: tx.hash_at(replica, acked_through)?.unwrap_or_default(),
                last,
                scope: String::new(),
                epoch: peer.epoch,
                cursors: tx.peer_cursors(*hub)?,
                snapshots: BTreeMap::new(),
                dropped: 0,
                waits: Vec::new(),
                waits_before: BTreeMap::new(),
                returned: String::new(),
                lives: BTreeMap::new(),
                held: BTreeMap::new(),
                gives_back: is_hub && !tx.to_hand(*hub, &met.areas, 0)?.is_empty(),
                adoption: tx.meta(meta::ADOPTION)?.map(|json| from_json(&json)).transpose()?,
                // The hub's welcome says what arrived.
                in_doubt: Vec::new(),
                pass: None,
                hub: is_hub,
                renew: Vec::new(),
                carries: if is_hub { tx.carries()? } else { BTreeMap::new() },
            })
        })
    }

    fn own_changes(&mut self, after: u64, budget: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.device.own_changes(after, budget)
    }

    fn stamps(&mut self, replica: ReplicaId, first: u64, last: u64) -> Result<Vec<Stamped>, Error> {
        self.device.stamps(replica, first, last)
    }

    fn adoptions(&mut self) -> Result<Vec<Adoption>, Error> {
        self.device.adoptions()
    }

    fn rename(&mut self) -> Result<bool, Error> {
        // Whose a name is the server says.
        Ok(false)
    }

    fn give_back(&mut self, budget: usize) -> Result<Vec<Batch>, Error> {
        let (hub, areas) = (self.met.meeting.hub, &self.met.areas);
        self.device.store.read(|tx| tx.to_hand(hub, areas, budget))
    }

    fn introductions(&mut self, batches: &[Span], _held: &[ReplicaId]) -> Result<Introductions, Error> {
        self.device.store.read(|tx| {
            let mut shown = Introductions::default();
            for author in batches.iter().map(|span| span.replica).collect::<BTreeSet<_>>() {
                if let Some(guest) = tx.guest(author)? {
                    shown.passes.push(from_json(&guest.pass)?);
                    shown.adoptions.extend(guest.adoption.map(|json| from_json(&json)).transpose()?);
                }
            }
            Ok(shown)
        })
    }

    fn given(&mut self, batches: &[Span], refused: &[Span]) -> Result<(), Error> {
        let hub = self.met.meeting.hub;
        let handed = |span: &Span, tx: &Tx<'_>| tx.set_handed(span, hub, refused.contains(span));
        self.device.store.write(|tx| batches.iter().try_for_each(|span| handed(span, tx)))
    }

    fn sending(&mut self, _ends: &[u64]) -> Result<(), Error> {
        Ok(())
    }

    fn absorb(&mut self, reply: &Reply) -> Result<Absorbed, Error> {
        let Self { device, met } = self;
        let (hub, areas) = (&met.meeting.hub, &met.areas);
        let Device { store, host, forms, .. } = &mut **device;
        let (absorbed, is_full) = store.write(|tx| {
            let (replica, _) = identity(tx)?;
            let keys = trust::keys(tx)?;
            let mut peer = tx.peer(*hub, replica)?.ok_or(HubProblem::Unknown)?;
            if peer.epoch != reply.header.epoch {
                tx.clear_peer_cursors(*hub)?;
                peer.epoch.clone_from(&reply.header.epoch);
            }
            peer.acked = own_through(tx, replica, reply.header.acked_through, reply.header.acked_hash)?;
            tx.put_peer(&peer, replica)?;
            trust::take_passes(tx, &reply.passes, &keys, None)?;
            let is_hub = relay::is_hub(tx)?;
            if is_hub {
                trust::keep_receipts(tx, &reply.receipts, &keys)?;
            }
            trust::keep_vouchers(tx, &reply.keys, &keys)?;
            take_receipt(tx, reply, &keys, is_hub)?;
            let mut absorbed = Absorbed::default();
            let mut touched = BTreeSet::new();
            // The hub goes by the newest pass: what was taken from the device since, or given and the server has not said so yet, is passed
            // over, and not told again. The server tells all of it.
            let told = trust::own_pass(tx)?.map(|pass| pass.areas).unwrap_or_default();
            for run in &reply.pulled {
                if areas.contains(&run.cursor.bucket) {
                    let (new, records) = take_run(tx, run, &reply.keys, &keys)?;
                    absorbed.pulled += new;
                    touched.extend(records);
                } else if !told.contains(&run.cursor.bucket) {
                    continue;
                }
                tx.set_peer_cursor(*hub, &run.cursor.bucket, run.cursor.seq)?;
            }
            for touched in &touched {
                summary::refresh(tx, touched.record, forms)?;
            }
            if is_hub {
                let records = touched.iter().map(|touched| touched.record).collect();
                relay::extend(tx, host, forms, reply, &records)?;
            } else {
                tx.forget_old_proofs()?;
            }
            if absorbed.pulled > 0 {
                // The server may have been restored and lack what this brought: it is told what the device can prove.
                tx.set_meta(meta::TELLS, "1")?;
            }
            let is_busy = |outcome: &Outcome| outcome.replica == replica && outcome.code == Some(Code::Busy);
            Ok((absorbed, reply.outcomes.iter().any(is_busy)))
        })?;
        // What came with it is stored; sent again, it would be refused again.
        if is_full { Err(HubProblem::Full(met.name.clone()).into()) } else { Ok(absorbed) }
    }
}

/// Takes own changes for acked as far as a receipt of the server names this very history and their stamps are here.
fn take_receipt(tx: &Tx<'_>, reply: &Reply, keys: &[PublicKey], is_hub: bool) -> Result<(), Error> {
    let (replica, _) = identity(tx)?;
    let acked = acked(tx)?;
    let mut named = acked;
    for receipt in reply.receipts.iter().filter(|receipt| receipt.replica == replica) {
        let is_of_today = keys.last().is_some_and(|newest| receipt.is_signed(newest));
        if is_of_today && tx.hash_at(replica, receipt.seq)? == Some(receipt.hash) {
            named = named.max(receipt.seq);
        }
    }
    let is_proved = |stamped: &&Stamped| {
        let is_own = stamped.replica == replica && stamped.first <= named;
        (is_own || (is_hub && stamped.replica != replica)) && stamped.is_signed(keys)
    };
    let stamps: Vec<&Stamped> = reply.stamps.iter().filter(is_proved).collect();
    let through = named.min(sync::stamped_through(&stamps, replica, acked));
    for stamped in &stamps {
        tx.stamp_through(stamped, if stamped.replica == replica { named } else { stamped.last })?;
    }
    if through > acked {
        set_acked(tx, through)?;
        tx.clear_verdicts(replica, acked, through)?;
    }
    Ok(())
}

/// Takes the changes of a run that are proved; how many were new, and the records that they touch.
fn take_run(
    tx: &Tx<'_>,
    run: &Run,
    vouchers: &[Voucher],
    keys: &[PublicKey],
) -> Result<(u64, BTreeSet<sync::Touched>), Error> {
    let (own, _) = identity(tx)?;
    let (mut new, mut touched) = (0, BTreeSet::new());
    // What this device signed it proves itself; another life's proof would give its changes the other's stamps.
    for proof in run.proofs.iter().filter(|proof| proof.replica != own) {
        let Some(proved) = proved(run, proof, vouchers, keys) else { continue };
        for Proved { change, stamp } in proved.changes {
            let dot = Dot { replica: change.replica, seq: change.seq };
            // What this device wrote it knows itself, whatever name it had.
            if dot.replica == own || tx.life(dot.replica)?.is_some() {
                continue;
            }
            let read = reread(dot, &change.bytes).ok();
            let household = read.as_ref().map(|read| read.subject.household().0);
            // It left by the server's word, and comes back by the server's word.
            if household.map_or(Ok(false), |household| tx.has_left(household))? {
                continue;
            }
            let record = read.as_ref().map_or(RecordId(uuid::Uuid::nil()), |read| read.record());
            if tx.insert_change(dot, record, None, Some(stamp), &change.bytes)? {
                new += 1;
                if let Some(read) = &read {
                    attachments::note_pulled(tx, read)?;
                    touched.insert(sync::Touched::by(read));
                }
            }
        }
        tx.keep_proof(&proved.proof)?;
    }
    Ok((new, touched))
}

/// What a proof proves of a run.
struct Proved<'r> {
    change: &'r Delivered,
    stamp: Stamp,
}

struct ProvedRun<'r> {
    changes: Vec<Proved<'r>>,
    /// The proof, with the stamps that the server signed.
    proof: Proof,
}

/// Checks a proof: its author signed exactly these changes, and the server stamped them. None where anything is amiss.
fn proved<'r>(run: &'r Run, proof: &Proof, vouchers: &[Voucher], keys: &[PublicKey]) -> Option<ProvedRun<'r>> {
    let Proof { replica, first, last, before, after, signature, withheld, stamps } = proof;
    let voucher = vouchers.iter().find(|voucher| voucher.replica == *replica && voucher.is_signed(keys))?;
    let delivered: BTreeMap<u64, &Delivered> =
        run.changes.iter().filter(|change| change.replica == *replica).map(|change| (change.seq, change)).collect();
    // A span of any length can be claimed: no more is looked at than there is.
    let count = usize::try_from(last.checked_sub(*first)?).ok()?.checked_add(1)?;
    if count > delivered.len().saturating_add(withheld.len()) {
        return None;
    }
    let changes = (*first..=*last).map(|seq| match delivered.get(&seq) {
        Some(change) => Some(Carried::Bytes(change.bytes.clone())),
        None => withheld.get(&seq).copied().map(Carried::Withheld),
    });
    let changes: Vec<Carried> = changes.collect::<Option<_>>()?;
    let span = Span { replica: *replica, first: *first, last: *last, before: *before, after: *after };
    if !span.is_proved(changes, *signature, &voucher.key) {
        return None;
    }
    let mut stamps: Vec<Stamped> = stamps.clone();
    stamps.retain(|stamped| stamped.replica == *replica && stamped.is_signed(keys));
    let stamp_of = |seq: u64| stamps.iter().find(|stamped| (stamped.first..=stamped.last).contains(&seq));
    let changes = delivered
        .range(*first..=*last)
        .filter_map(|(seq, change)| Some(Proved { change, stamp: stamp_of(*seq)?.stamp }))
        .collect();
    // Digests of what is not in the batch are nobody's word.
    let withheld = withheld.range(*first..=*last).map(|(seq, digest)| (*seq, *digest)).collect();
    Some(ProvedRun { changes, proof: Proof { stamps, withheld, ..proof.clone() } })
}
