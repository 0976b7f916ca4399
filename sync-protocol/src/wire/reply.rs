//! What the server answers: how far it holds the device's changes, what it made of them, and what others did.

use super::{Lines, frame_name, read_frame, read_line, write_line};
use crate::{
    chain::{Adoption, PublicKey, Signature, SignedStamp},
    ids::{Dot, Hash, HouseholdId, RecordId, ReplicaId},
    limits::Limits,
    pass::{Pass, Receipt, Voucher},
    problem::{Code, Problem},
    record::{Snapshot, Stamp},
    strict::Anything,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One life of the server's log between restores.
pub type Epoch = String;

/// The first line of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyHeader {
    /// The protocol version.
    pub tenun: u32,
    /// The epoch of the cursors in this reply.
    pub epoch: Epoch,
    /// Every change of the device up to this seq is durable on the server.
    pub acked_through: u64,
    /// `h(acked_through)` of the history that is held; a hub says it, since a copied phone may have another of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_hash: Option<Hash>,
    /// Every change of the device up to this seq is in a verified backup, too.
    pub safe_through: u64,
    /// The server's clock, in milliseconds since 1970.
    pub clock: i64,
    /// There is more to pull: ask again.
    #[serde(default)]
    pub more: bool,
}

/// What became of a change that was not plainly accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The change, by its replica …
    pub replica: ReplicaId,
    /// … and seq.
    pub seq: u64,
    /// What happened.
    pub verdict: Verdict,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_code")]
    pub code: Option<Code>,
    /// For people: names fields, never holds answers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Reads a code; one that only a newer server knows is none.
fn known_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Code>, D::Error> {
    let word = std::borrow::Cow::<str>::deserialize(deserializer)?;
    Ok(Code::ALL.iter().copied().find(|code| code.as_str() == word))
}

/// What happened to a change or batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Held already, byte for byte: acked.
    Duplicate,
    /// Kept and acked, but not applied until a coordinator releases it.
    Quarantined,
    /// Kept and acked, apart from the survey's data.
    Escrow,
    /// Belongs to an erased record: acked, not kept.
    Purged,
    /// Kept until the changes before it arrive: not acked yet.
    Parked,
    /// Kept and acked, but never applied: what it replaces was authored again by another life of the device.
    /// The device leaves it out of its own view, too.
    Superseded,
    /// Not kept: `seq` is the first of the batch.
    Refused,
    /// It was in quarantine and counts now: a coordinator released it.
    Released,
    /// Something that a newer server says; the change is kept as it is.
    #[serde(other)]
    Unknown,
}

/// The device's history has another branch on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The replica whose history forked.
    pub replica: ReplicaId,
    /// The last seq that both branches share.
    pub common: u64,
}

/// When the server received some of the device's own changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Whose changes.
    pub replica: ReplicaId,
    /// The first change that the stamp is for.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The times.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The server's signature over all of that.
    pub signature: Signature,
}

impl Stamped {
    /// Whether one of the server's keys signed it.
    #[must_use]
    pub fn is_signed(&self, server: &[PublicKey]) -> bool {
        let signed = SignedStamp { stamp: self.stamp, signature: self.signature };
        server.iter().any(|key| signed.is_valid(self.replica, self.first, self.last, key))
    }
}

/// A change of another replica, pulled from a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The author's replica.
    pub replica: ReplicaId,
    /// The change's seq there.
    pub seq: u64,
    /// When the server received it.
    pub stamp: Stamp,
    /// The bytes as authored.
    pub bytes: Vec<u8>,
}

/// What proves changes of a run: the batch of their author that they came in, as its author signed it. With it whoever holds
/// them can give them back to a server that lost them (DESIGN §5, rule 9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The author's replica.
    pub replica: ReplicaId,
    /// The seq of the batch's first change.
    pub first: u64,
    /// The seq of its last one.
    pub last: u64,
    /// `h(first - 1)`.
    pub before: Hash,
    /// `h(last)`.
    pub after: Hash,
    /// The author's signature.
    pub signature: Signature,
    /// The digests of the batch's changes that are not in this run, by seq.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<u64, Hash>,
    /// The stamps of its changes, as the server signed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stamps: Vec<Stamped>,
}

/// How far the server holds what a device wrote under a name that it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// That name.
    pub replica: ReplicaId,
    /// It holds the changes up to here, as far as the device asked …
    pub acked_through: u64,
    /// … and this is h(`acked_through`) of what it holds: of a copied phone it may be another life's.
    pub acked_hash: Hash,
    /// The changes up to here are in a verified backup, too.
    pub safe_through: u64,
}

/// Changes of a replica that a restored server does not hold, as far as it can tell from what a device said it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// Whose changes.
    pub replica: ReplicaId,
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// What others did in one bucket, in the order of delivery, up to a cursor: the device stores all of it with the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Records as they stand, where that is less than all that happened to them.
    pub snapshots: Vec<Snapshot>,
    /// Their changes.
    pub changes: Vec<Delivered>,
    /// What proves those that are in no verified backup yet.
    pub proofs: Vec<Proof>,
    /// Households that left the bucket for where the device sees nothing: it drops them once nothing of them is unsent.
    pub moved: Vec<HouseholdId>,
    /// How far the bucket is pulled.
    pub cursor: Cursor,
}

impl Run {
    /// A run that only says how far the bucket is pulled.
    #[must_use]
    pub fn to(bucket: impl Into<String>, seq: u64) -> Self {
        Self {
            snapshots: Vec::new(),
            changes: Vec::new(),
            proofs: Vec::new(),
            moved: Vec::new(),
            cursor: Cursor { bucket: bucket.into(), seq, after: None },
        }
    }
}

/// How far a bucket is pulled, once everything before this frame is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The bucket.
    pub bucket: String,
    /// The cursor in it.
    pub seq: u64,
    /// Snapshots of the bucket's records are being told, so far through this place: ask for the rest with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// One enumeration area as the device shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// The code, which also names the bucket.
    pub code: String,
    /// Its name and those of the areas around it.
    pub name: String,
}

/// What an enumerator is to work through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The area.
    pub area: String,
    /// The round.
    pub round: String,
}

/// A household that comes first in an enumerator's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstVisit {
    /// The household.
    pub household: HouseholdId,
    /// The round.
    pub round: String,
}

/// A device of a leader's team, as the server saw it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamDevice {
    /// Its number, as coordinators see it.
    pub device: i64,
    /// Its enumerator's code.
    pub enumerator: String,
    /// That person's name.
    pub name: String,
    /// When it synced last, by the server's clock, in milliseconds since 1970; none if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i64>,
    /// The changes that it had not sent then.
    pub unsent: u64,
}

/// The interviews in the device's areas that coordinators returned: all of them, sent when they differ from what the device
/// was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedList {
    /// Names this content; empty where there is none.
    pub version: String,
    /// The interviews, those that were returned first on top.
    pub interviews: Vec<Returned>,
}

/// An interview that a coordinator returned to be corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The interview.
    pub record: RecordId,
    /// Whose it is; none where the enumerator who began it does not work there any more: then it is for everyone who does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
    /// The remarks that it was returned with, by their changes (see [`crate::remark`]).
    pub remarks: Vec<Dot>,
}

/// What a device works with; sent when it differs from what the device has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Names this content.
    pub version: String,
    /// The enumerator's code.
    pub enumerator: String,
    /// The enumerator's name.
    pub name: String,
    /// The areas whose records the device sees.
    pub areas: Vec<Area>,
    /// What is to be done there.
    pub assignments: Vec<Assignment>,
    /// The households that come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub households: Vec<FirstVisit>,
    /// The questionnaires in use, as `id@version`; each is fetched once.
    pub questionnaires: Vec<String>,
    /// The server's limits.
    pub limits: Limits,
    /// The server's own replica and key, by epoch: coordinators' decisions are its changes.
    pub server: BTreeMap<ReplicaId, PublicKey>,
    /// How each of these is vouched for by the one before it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouched: Vec<Adoption>,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How far the server is.
    pub header: ReplyHeader,
    /// Changes that were not plainly accepted.
    pub outcomes: Vec<Outcome>,
    /// Stamps of the device's own changes.
    pub stamps: Vec<Stamped>,
    /// The device's history forked.
    pub fork: Option<Fork>,
    /// How far the server holds what the device wrote under earlier names.
    pub lives: Vec<Life>,
    /// What the server lacks of what the device said it holds of others.
    pub lacks: Vec<Lack>,
    /// What the device works with, if it changed.
    pub scope: Option<Scope>,
    /// The interviews that were returned, if they changed.
    pub returned: Option<ReturnedList>,
    /// The devices of the team that the enumerator leads; none for others.
    pub team: Vec<TeamDevice>,
    /// The device's own pass, made anew, and those of phones that a hub asked for.
    pub passes: Vec<Pass>,
    /// Replicas whose devices were revoked and whose passes have not run out: a hub that is one of them is none any more.
    pub barred: Vec<ReplicaId>,
    /// How far the histories are safe that a hub carried, or that of the phone that asks a hub.
    pub receipts: Vec<Receipt>,
    /// Whose keys signed what is proved in this reply.
    pub keys: Vec<Voucher>,
    /// What others did, in the order of delivery.
    pub pulled: Vec<Run>,
    /// The reply ended before its end: what is here is whole and may be used; ask again.
    pub cut_off: bool,
}

#[derive(Serialize)]
struct ChangeFrame {
    change: ChangeHeader,
}

#[derive(Serialize, Deserialize)]
struct Moved {
    household: HouseholdId,
}

#[derive(Serialize, Deserialize)]
struct ChangeHeader {
    replica: ReplicaId,
    seq: u64,
    #[serde(flatten)]
    stamp: Stamp,
}

/// The frames that are one object each.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Frame {
    Outcome(Outcome),
    Stamp(Stamped),
    Fork(Fork),
    Life(Life),
    Scope(Scope),
    Returned(ReturnedList),
    Team(Vec<TeamDevice>),
    Pass(Pass),
    Barred(Vec<ReplicaId>),
    Receipt(Receipt),
    Key(Voucher),
    Lack(Lack),
    Proof(Proof),
    Snapshot(Snapshot),
    Moved(Moved),
    Cursor(Cursor),
    End(()),
}

impl Reply {
    /// Makes a reply that holds nothing but its header.
    #[must_use]
    pub fn new(header: ReplyHeader) -> Self {
        Self {
            header,
            outcomes: Vec::new(),
            stamps: Vec::new(),
            fork: None,
            lives: Vec::new(),
            lacks: Vec::new(),
            scope: None,
            returned: None,
            team: Vec::new(),
            passes: Vec::new(),
            barred: Vec::new(),
            receipts: Vec::new(),
            keys: Vec::new(),
            pulled: Vec::new(),
            cut_off: false,
        }
    }

    /// Writes the reply, not compressed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_line(&mut out, &self.header);
        for outcome in &self.outcomes {
            write_line(&mut out, &Frame::Outcome(outcome.clone()));
        }
        for stamp in &self.stamps {
            write_line(&mut out, &Frame::Stamp(stamp.clone()));
        }
        if let Some(fork) = &self.fork {
            write_line(&mut out, &Frame::Fork(fork.clone()));
        }
        for life in &self.lives {
            write_line(&mut out, &Frame::Life(*life));
        }
        for lack in &self.lacks {
            write_line(&mut out, &Frame::Lack(lack.clone()));
        }
        if let Some(scope) = &self.scope {
            write_line(&mut out, &Frame::Scope(scope.clone()));
        }
        if let Some(returned) = &self.returned {
            write_line(&mut out, &Frame::Returned(returned.clone()));
        }
        if !self.team.is_empty() {
            write_line(&mut out, &Frame::Team(self.team.clone()));
        }
        for pass in &self.passes {
            write_line(&mut out, &Frame::Pass(pass.clone()));
        }
        if !self.barred.is_empty() {
            write_line(&mut out, &Frame::Barred(self.barred.clone()));
        }
        for receipt in &self.receipts {
            write_line(&mut out, &Frame::Receipt(receipt.clone()));
        }
        for key in &self.keys {
            write_line(&mut out, &Frame::Key(key.clone()));
        }
        for Run { snapshots, changes, proofs, moved, cursor } in &self.pulled {
            for snapshot in snapshots {
                write_line(&mut out, &Frame::Snapshot(snapshot.clone()));
            }
            for change in changes {
                let Delivered { replica, seq, stamp, bytes } = change;
                let header = ChangeHeader { replica: *replica, seq: *seq, stamp: *stamp };
                write_line(&mut out, &ChangeFrame { change: header });
                out.extend(bytes);
                out.push(b'\n');
            }
            for proof in proofs {
                write_line(&mut out, &Frame::Proof(proof.clone()));
            }
            for household in moved {
                write_line(&mut out, &Frame::Moved(Moved { household: *household }));
            }
            write_line(&mut out, &Frame::Cursor(cursor.clone()));
        }
        write_line(&mut out, &Frame::End(()));
        out
    }

    /// Reads a reply, as far as it goes.
    ///
    /// # Errors
    /// If the header or a whole frame is not what it should be: nothing of the reply may be used then.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Problem> {
        let mut lines = Lines::new(bytes);
        let Some(first) = lines.next() else {
            return Err(Problem::new(Code::CutOff, "the reply has no whole first line"));
        };
        let mut reply = Self { cut_off: true, ..Self::new(read_line(first, "the first line")?) };
        let (mut snapshots, mut changes, mut proofs, mut moved) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        while let Some(line) = lines.next() {
            match frame_name(line) {
                Some("change") => {
                    let ChangeHeader { replica, seq, stamp } = read_frame(line, "`change`")?;
                    let Some(bytes) = lines.next() else {
                        return Ok(reply);
                    };
                    changes.push(Delivered { replica, seq, stamp, bytes: bytes.to_vec() });
                }
                Some("outcome") => reply.outcomes.push(read_frame(line, "`outcome`")?),
                Some("stamp") => reply.stamps.push(read_frame(line, "`stamp`")?),
                Some("fork") => reply.fork = Some(read_frame(line, "`fork`")?),
                Some("life") => reply.lives.push(read_frame(line, "`life`")?),
                Some("scope") => reply.scope = Some(read_frame(line, "`scope`")?),
                Some("returned") => reply.returned = Some(read_frame(line, "`returned`")?),
                Some("team") => reply.team = read_frame(line, "`team`")?,
                Some("pass") => reply.passes.push(read_frame(line, "`pass`")?),
                Some("barred") => reply.barred = read_frame(line, "`barred`")?,
                Some("receipt") => reply.receipts.push(read_frame(line, "`receipt`")?),
                Some("key") => reply.keys.push(read_frame(line, "`key`")?),
                Some("lack") => reply.lacks.push(read_frame(line, "`lack`")?),
                Some("snapshot") => snapshots.push(read_frame(line, "`snapshot`")?),
                Some("proof") => proofs.push(read_frame(line, "`proof`")?),
                Some("moved") => moved.push(read_frame::<Moved>(line, "`moved`")?.household),
                Some("cursor") => {
                    let cursor = read_frame(line, "`cursor`")?;
                    let (snapshots, changes) = (std::mem::take(&mut snapshots), std::mem::take(&mut changes));
                    let (proofs, moved) = (std::mem::take(&mut proofs), std::mem::take(&mut moved));
                    reply.pulled.push(Run { snapshots, changes, proofs, moved, cursor });
                }
                Some("end") => {
                    read_line::<Anything>(line, "`end`")?;
                    reply.cut_off = false;
                    return Ok(reply);
                }
                Some(_) => {
                    read_line::<Anything>(line, "a frame")?;
                }
                None => return Err(Problem::new(Code::MalformedJson, "a line that is no frame")),
            }
        }
        Ok(reply)
    }
}
