//! What a device sends: who it is, how far it has pulled, and its batches.

use super::{Lines, Stamped, VERSIONS, frame_name, read_frame, read_line, write_line};
use crate::{
    chain::{Adoption, Batch, Carried, Signature},
    ids::{Hash, ReplicaId},
    pass::{Pass, Voucher},
    problem::{Code, Problem},
    strict::Anything,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first line of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    /// The protocol version.
    pub tenun: u32,
    /// The replica that syncs.
    pub replica: ReplicaId,
    /// The device's clock now, in milliseconds since 1970.
    pub clock: i64,
    /// The program and its version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// How many changes the device had not sent when it made this request, those in it included.
    #[serde(default)]
    pub unsent: u64,
    /// The version of the scope that the device has; empty before the first sync.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The version of the returned interviews that the device was told; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub returned: String,
    /// The epoch in which the cursors were given; empty before the first sync.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub epoch: String,
    /// How far each bucket was pulled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cursors: BTreeMap<String, u64>,
    /// How far the device takes its changes for acked, where no batch says it: a server that was restored may hold another
    /// life's changes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked: Option<Acked>,
    /// The buckets of which snapshots are being told, and how far (see [`super::Cursor::after`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, u64>,
    /// Own changes up to this seq may have been dropped with an area that was taken away: they are pulled like others'.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Own changes that the device knows to wait for a coordinator's decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<u64>,
    /// Likewise, of those under the names that the device had before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits_before: BTreeMap<ReplicaId, Vec<u64>>,
    /// What the device has: the last seq of each replica. It is told once in each new epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<ReplicaId, u64>,
    /// The names that the device had before, each with the last seq of what is its own under it: it hears how far the server holds
    /// that (see [`super::Life`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lives: BTreeMap<ReplicaId, u64>,
    /// How many bytes of changes the reply should bring at most, before compression; none: as many as the server likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<u64>,
    /// Until when the pass is good that the device has for this replica; 0 if it has none. A device that shows no pass to hubs
    /// says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<i64>,
    /// The device is a hub: it is told the log with all that proves it, and receipts of what it carried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hub: bool,
    /// Phones whose passes a hub has seen running out: it takes new ones back to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renew: Vec<ReplicaId>,
    /// The replicas that a hub carries changes of without a receipt, each with the seq up to which it has one or needs none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carries: BTreeMap<ReplicaId, u64>,
}

/// A device asks whether the server has a part of its history already: what it sent got no answer.
///
/// The hash proves that the history is the device's own up to there. A server that does not know the question passes it
/// over, and the device sends again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// The replica that syncs.
    pub replica: ReplicaId,
    /// The device knows that the server has the changes up to here …
    pub after: u64,
    /// … and asks for those up to here.
    pub seq: u64,
    /// `h(seq)`.
    pub hash: Hash,
}

/// Where a device takes its history for acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// The last acked seq, from 1.
    pub seq: u64,
    /// `h(seq)` of the device's own history.
    pub hash: Hash,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who syncs, and how far it is.
    pub header: RequestHeader,
    /// New identities of forked devices, to be known before their batches.
    pub adoptions: Vec<Adoption>,
    /// What the server says of authors whose batches somebody else brings: a hub to another, or to a server that was restored …
    pub passes: Vec<Pass>,
    /// … and of authors whose changes the device can prove.
    pub keys: Vec<Voucher>,
    /// Stamps that the server gave to these changes in an earlier epoch: it was restored, and takes them back.
    pub stamps: Vec<Stamped>,
    /// What the device sent before and got no answer to.
    pub haves: Vec<Have>,
    /// The changes.
    pub batches: Vec<Batch>,
    /// The body ended before its end: batches before the cut are whole.
    pub cut_off: bool,
}

#[derive(Serialize)]
struct BatchFrame {
    batch: BatchHeader,
}

#[derive(Serialize, Deserialize)]
struct BatchHeader {
    replica: ReplicaId,
    first: u64,
    count: usize,
    before: Hash,
    signature: Signature,
}

#[derive(Serialize)]
struct AdoptFrame {
    adopt: Adoption,
}

#[derive(Serialize)]
struct PassFrame {
    pass: Pass,
}

#[derive(Serialize)]
struct KeyFrame {
    key: Voucher,
}

#[derive(Serialize)]
struct StampFrame {
    stamp: Stamped,
}

#[derive(Serialize)]
struct HaveFrame {
    have: Have,
}

#[derive(Serialize)]
struct EndFrame {
    end: (),
}

impl Request {
    /// Makes a request of a replica that has pulled nothing yet and says no more of itself than its clock.
    #[must_use]
    pub fn new(replica: ReplicaId, clock: i64, batches: Vec<Batch>) -> Self {
        let header = RequestHeader {
            tenun: *VERSIONS.end(),
            replica,
            clock,
            app: String::new(),
            unsent: 0,
            scope: String::new(),
            returned: String::new(),
            epoch: String::new(),
            cursors: BTreeMap::new(),
            acked: None,
            snapshots: BTreeMap::new(),
            dropped: 0,
            waits: Vec::new(),
            waits_before: BTreeMap::new(),
            held: BTreeMap::new(),
            lives: BTreeMap::new(),
            want: None,
            pass: None,
            hub: false,
            renew: Vec::new(),
            carries: BTreeMap::new(),
        };
        Self {
            header,
            adoptions: Vec::new(),
            passes: Vec::new(),
            keys: Vec::new(),
            stamps: Vec::new(),
            haves: Vec::new(),
            batches,
            cut_off: false,
        }
    }

    /// Writes the request, not compressed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_line(&mut out, &self.header);
        for adopt in &self.adoptions {
            write_line(&mut out, &AdoptFrame { adopt: adopt.clone() });
        }
        for pass in &self.passes {
            write_line(&mut out, &PassFrame { pass: pass.clone() });
        }
        for key in &self.keys {
            write_line(&mut out, &KeyFrame { key: key.clone() });
        }
        for stamp in &self.stamps {
            write_line(&mut out, &StampFrame { stamp: stamp.clone() });
        }
        for have in &self.haves {
            write_line(&mut out, &HaveFrame { have: have.clone() });
        }
        for batch in &self.batches {
            let header = BatchHeader {
                replica: batch.replica,
                first: batch.first,
                count: batch.changes.len(),
                before: batch.before,
                signature: batch.signature,
            };
            write_line(&mut out, &BatchFrame { batch: header });
            for change in &batch.changes {
                match change {
                    Carried::Bytes(bytes) => {
                        out.extend(bytes);
                        out.push(b'\n');
                    }
                    Carried::Withheld(digest) => write_line(&mut out, digest),
                }
            }
        }
        write_line(&mut out, &EndFrame { end: () });
        out
    }

    /// Reads a request, as far as it goes.
    ///
    /// # Errors
    /// If the header is not one, or a line between whole frames is no frame. A body that ends too early is
    /// no error: see [`Request::cut_off`]. Frames that this version does not know are passed over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Problem> {
        let mut lines = Lines::new(bytes);
        let Some(first) = lines.next() else {
            return Err(Problem::new(Code::CutOff, "the request has no whole first line"));
        };
        let header: RequestHeader = read_line(first, "the first line")?;
        if !VERSIONS.contains(&header.tenun) {
            return Err(Problem::new(
                Code::UnsupportedProtocol,
                format!("`tenun` is {}; this server speaks {} to {}", header.tenun, VERSIONS.start(), VERSIONS.end()),
            ));
        }
        let mut request = Self {
            header,
            adoptions: Vec::new(),
            passes: Vec::new(),
            keys: Vec::new(),
            stamps: Vec::new(),
            haves: Vec::new(),
            batches: Vec::new(),
            cut_off: true,
        };
        while let Some(line) = lines.next() {
            match frame_name(line) {
                Some("batch") => match read_batch(line, &mut lines)? {
                    Some(batch) => request.batches.push(batch),
                    None => return Ok(request),
                },
                Some("adopt") => request.adoptions.push(read_frame(line, "`adopt`")?),
                Some("pass") => request.passes.push(read_frame(line, "`pass`")?),
                Some("key") => request.keys.push(read_frame(line, "`key`")?),
                Some("stamp") => request.stamps.push(read_frame(line, "`stamp`")?),
                Some("have") => request.haves.push(read_frame(line, "`have`")?),
                Some("end") => {
                    read_line::<Anything>(line, "`end`")?;
                    request.cut_off = !lines.is_at_end();
                    return Ok(request);
                }
                Some(_) => {
                    read_line::<Anything>(line, "a frame")?;
                }
                None => return Err(Problem::new(Code::MalformedJson, "a line that is no frame")),
            }
        }
        Ok(request)
    }
}

/// Reads one batch; none if the body ends in it.
fn read_batch(line: &[u8], lines: &mut Lines<'_>) -> Result<Option<Batch>, Problem> {
    let header: BatchHeader = read_frame(line, "`batch`")?;
    if header.first == 0 || header.count == 0 {
        return Err(Problem::new(Code::WrongType, "`batch`: `first` and `count` start at 1"));
    }
    let mut changes = Vec::new();
    for _ in 0..header.count {
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        let withheld = line.starts_with(b"\"").then(|| serde_json::from_slice::<Hash>(line).ok()).flatten();
        changes.push(withheld.map_or_else(|| Carried::Bytes(line.to_vec()), Carried::Withheld));
    }
    let BatchHeader { replica, first, before, signature, .. } = header;
    Ok(Some(Batch { replica, first, before, changes, signature }))
}
