//! What a screen calls: who this device is, what it holds, how safe that is.
//!
//! Capturing answers is in `device/capture.rs`, absorbing a sync in `device/sync.rs`.

mod attachments;
mod capture;
mod carried;
mod copied;
mod forms;
mod household;
mod hub;
mod peer;
mod relay;
mod rename;
mod returned;
mod scope;
mod summary;
mod sync;
mod trust;

pub(crate) use attachments::ToSend;
pub use attachments::{AttachmentLine, Whereabouts};
pub use capture::Edit;
use forms::Forms;
pub use forms::Moved;
pub use hub::{Answered, Failure, Hub, Load};
pub use peer::{MetHub, SIZES as HUB_SIZES, Visit};
pub(crate) use returned::lines as remark_lines;
pub use returned::{RemarkLine, ReturnedMark};

use crate::{
    error::Error,
    files::Files,
    host::Host,
    line::Line,
    store::{LifeRow, RecordRow, Store, Tx},
};
use std::{collections::BTreeMap, path::Path};
use sync_protocol::{
    Change, Dot, HouseholdId, Record, RecordId, ReplicaId,
    chain::{Adoption, SecretKey},
    wire::{Enrol, Enrolled, FirstVisit, Scope, TeamDevice},
};
use uuid::Uuid;

/// Keys of the `meta` table.
mod meta {
    pub(super) const REPLICA: &str = "replica";
    /// The host has been given a mark of this database, if it keeps any.
    pub(super) const MARKED: &str = "marked";
    pub(super) const SECRET: &str = "secret";
    pub(super) const ACKED: &str = "acked_through";
    pub(super) const SAFE: &str = "safe_through";
    pub(super) const EPOCH: &str = "epoch";
    pub(super) const SCOPE: &str = "scope";
    /// The interviews that were returned, as the server told them last, as JSON.
    pub(super) const RETURNED: &str = "returned";
    pub(super) const ENROLLED: &str = "enrolled";
    pub(super) const SERVER: &str = "server";
    pub(super) const ADOPTION: &str = "adoption";
    pub(super) const IN_DOUBT: &str = "in_doubt";
    pub(super) const LINE: &str = "line";
    /// The last own seq in a household that was dropped.
    pub(super) const DROPPED: &str = "dropped_through";
    /// The last own seq of those that were freed.
    pub(super) const FREED: &str = "freed_through";
    /// Own changes of dropped households wait in the log until they are safe.
    pub(super) const DROPPING: &str = "dropping";
    /// A new epoch has begun, and the server was not told yet what the device can prove.
    pub(super) const TELLS: &str = "tells_held";
    /// The devices of the team that the enumerator leads, as JSON.
    pub(super) const TEAM: &str = "team";
    /// What the server says of this device, to be shown to hubs and guests.
    pub(super) const PASS: &str = "pass";
    /// Replicas whose devices were revoked.
    pub(super) const BARRED: &str = "barred";
    /// When the device last heard of the server, by the server's clock.
    pub(super) const HEARD: &str = "heard_ms";
    /// Adoptions of server keys that other devices told of.
    pub(super) const VOUCHED: &str = "vouched";
    /// The server has begun another life since it acked, and has not spoken of this device in it.
    pub(super) const DOUBTED: &str = "acks_doubted";
    /// The device is a hub; the epoch of its feed.
    pub(super) const HUB: &str = "hub";
}

/// An enumerator's device: one database, one replica.
#[derive(Debug)]
pub struct Device<H> {
    pub(crate) store: Store,
    #[cfg(feature = "native")]
    pub(crate) file: std::path::PathBuf,
    host: H,
    forms: Forms,
    files: Box<dyn Files>,
}

/// How many changes and interviews are saved, sent and safe.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// The device's replica.
    pub replica: ReplicaId,
    /// The enumerator, once enrolled.
    pub enumerator: Option<String>,
    /// Changes authored on this device.
    pub saved: u64,
    /// Of these, changes that the server has not acked.
    pub unsent: u64,
    /// The last seq that the server has acked.
    pub acked_through: u64,
    /// The beginning of `h(acked_through)`: what the coordinators' page shows for the device, if both hold the same.
    pub receipt: Option<String>,
    /// The last seq that is in a verified backup of the server.
    pub safe_through: u64,
    /// Interviews with answers from this device.
    pub interviews: u64,
    /// Of these, interviews whose every change is durable on the server.
    pub interviews_on_server: u64,
    /// Of these, interviews whose every change is in a verified backup, too.
    pub interviews_backed_up: u64,
    /// The hub that holds changes which the server does not have as far as this device knows; of several the one that holds
    /// most.
    pub hub: Option<String>,
    /// Interviews whose every change is on that hub or on the server; a hub may be lost.
    pub interviews_on_hub: u64,
    /// Records with a conflict.
    pub conflicts: u64,
    /// Photos and files of this device's saves whose bytes the server does not have, as far as this device knows.
    pub files_unsent: u64,
    /// Interviews that a coordinator has returned to this enumerator, or to all who work there, and that wait to be corrected.
    pub returned: u64,
    /// Own changes that the server keeps without applying them.
    pub quarantined: u64,
    /// Changes of others that are kept apart: see [`Device::displaced`].
    pub displaced: u64,
}

/// One line of a list of records.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecordSummary {
    /// The record.
    pub id: RecordId,
    /// Its household.
    pub household: HouseholdId,
    /// The round, for an interview.
    pub round: Option<String>,
    /// The questionnaire that it was last filled with.
    pub questionnaire: String,
    /// The household's area.
    pub area: Option<String>,
    /// What people call it: the head of the household.
    pub title: String,
    /// The enumerator finished the interview.
    pub finished: bool,
    /// Answers with distinct siblings.
    pub conflicts: u32,
    /// Answers given.
    pub answers: u32,
    /// The rounds in which the household comes first in the enumerator's work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assigned: Vec<String>,
    /// A coordinator returned the interview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<ReturnedMark>,
}

impl From<RecordRow> for RecordSummary {
    fn from(row: RecordRow) -> Self {
        Self {
            id: row.id,
            household: HouseholdId(row.household),
            round: row.round,
            questionnaire: row.form,
            area: row.area,
            title: row.title,
            finished: row.finished,
            conflicts: row.conflicts,
            answers: row.answers,
            assigned: Vec::new(),
            returned: None,
        }
    }
}

impl<H: Host> Device<H> {
    /// Opens the device's database, or makes it with a new replica and key. One that was copied, or brought back from
    /// a copy, goes on under a new replica, where the host keeps marks ([`Host::marked`]).
    ///
    /// # Errors
    /// [`Error::SetAside`] if the file is no readable database: it is kept under another name, and the next
    /// call makes a new one. [`Error::NewerSchema`] if a newer program wrote it.
    pub fn open(path: &Path, mut host: H) -> Result<Self, Error> {
        let mut store = Store::open(path)?;
        let mut forms = Forms::default();
        let (replica, last) = store.write(|tx| {
            if tx.meta(meta::REPLICA)?.is_none() {
                set_identity(tx, &mut host)?;
            }
            copied::notice(tx, &mut host, &mut forms)
        })?;
        host.mark(replica, last);
        #[cfg(feature = "native")]
        let files = Box::new(crate::files::Folder::beside(path));
        #[cfg(not(feature = "native"))]
        let files = Box::new(crate::files::NoFiles);
        Ok(Self {
            store,
            #[cfg(feature = "native")]
            file: path.to_owned(),
            host,
            forms,
            files,
        })
    }

    /// Gives the device another place for the bytes of photos and files than the folder beside its database.
    pub fn set_files(&mut self, files: Box<dyn Files>) {
        self.files = files;
    }

    /// The host, to set its clock in tests.
    pub fn host(&mut self) -> &mut H {
        &mut self.host
    }

    /// Bounds the size of the database until it is closed, where the host has little space to give; a save that
    /// does not fit fails, and nothing of it is stored.
    ///
    /// # Errors
    /// If the database fails.
    pub fn limit_bytes(&mut self, most: u64) -> Result<(), Error> {
        self.store.limit_bytes(most)
    }

    /// What the device sends to be enrolled.
    ///
    /// # Errors
    /// If the database fails.
    pub fn enrolment(&mut self, code: &str, name: &str) -> Result<Enrol, Error> {
        self.store.read(|tx| {
            let (replica, key) = identity(tx)?;
            let ask = Enrol { code: code.into(), replica, key: key.public(), name: name.into(), signature: None };
            Ok(ask.signed(&key))
        })
    }

    /// Takes over what the server answered to the enrolment.
    ///
    /// # Errors
    /// If the database fails.
    pub fn enrolled(&mut self, server: &str, answer: &Enrolled) -> Result<(), Error> {
        self.store.write(|tx| {
            tx.set_meta(meta::SERVER, server.trim_end_matches('/'))?;
            tx.set_meta(meta::ENROLLED, &to_json(answer)?)
        })
    }

    /// The server's address and this device's token there.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`] before the enrolment.
    pub fn server(&mut self) -> Result<(String, String), Error> {
        self.store.read(|tx| {
            let server = tx.meta(meta::SERVER)?.ok_or(Error::NotEnrolled)?;
            Ok((server, enrolled(tx)?.token))
        })
    }

    /// What the device works with: areas, assignments, questionnaires; none before the first sync.
    ///
    /// # Errors
    /// If the database fails.
    pub fn scope(&mut self) -> Result<Option<Scope>, Error> {
        self.store.read(scope)
    }

    /// What is known of the line to the server; the ordinary one before the first sync.
    ///
    /// # Errors
    /// If the database fails.
    pub fn known_line(&mut self) -> Result<Line, Error> {
        let line = self.store.read(|tx| tx.meta(meta::LINE))?;
        // It is advice: what can't be read is learned again.
        Ok(line.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
    }

    /// Keeps what was learned of the line for the next sync.
    ///
    /// # Errors
    /// If the database fails.
    pub fn keep_line(&mut self, line: &Line) -> Result<(), Error> {
        self.store.write(|tx| tx.set_meta(meta::LINE, &to_json(line)?))
    }

    /// What is still to be sent: records, and bytes of their changes before compression.
    ///
    /// # Errors
    /// If the database fails.
    pub fn to_send(&mut self) -> Result<(u64, u64), Error> {
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            let acked = acked(tx)?;
            Ok((tx.unsent_records(replica, acked)?, tx.unsent_bytes(replica, acked)?))
        })
    }

    /// The devices of the team that this enumerator leads, as the server told last; none for others.
    ///
    /// # Errors
    /// If the database fails.
    pub fn team(&mut self) -> Result<Vec<TeamDevice>, Error> {
        self.store.read(|tx| tx.meta(meta::TEAM)?.map_or(Ok(Vec::new()), |json| from_json(&json)))
    }

    /// How many changes and interviews are saved, sent and safe: from this database alone.
    ///
    /// # Errors
    /// If the database fails.
    pub fn status(&mut self) -> Result<Status, Error> {
        let returned = self.returned()?.into_iter().filter(|(_, mark)| mark.mine && mark.open > 0).count();
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            let (last, _) = tx.head(replica)?;
            let acked_through = acked(tx)?;
            let safe_through = number(tx, meta::SAFE)?.min(acked_through);
            let hub = tx.peers_beyond(replica, acked_through)?.into_iter().next();
            let on_hub = hub.as_ref().map_or(acked_through, |hub| hub.acked);
            let receipts = tx.interview_receipts(replica, [on_hub, acked_through, safe_through])?;
            let enumerator = tx.meta(meta::ENROLLED)?.map(|_| enrolled(tx)).transpose()?.map(|e| e.enumerator);
            Ok(Status {
                replica,
                files_unsent: tx.files_unsent()?,
                returned: u64::try_from(returned).unwrap_or(u64::MAX),
                enumerator,
                saved: tx.saved()?,
                unsent: last.saturating_sub(acked_through),
                acked_through,
                receipt: tx.hash_at(replica, acked_through)?.filter(|_| acked_through > 0).map(short),
                safe_through,
                interviews: receipts.interviews,
                interviews_on_server: receipts.on_server,
                interviews_backed_up: receipts.backed_up,
                hub: hub.map(|hub| hub.name),
                interviews_on_hub: receipts.on_hub,
                conflicts: u64::try_from(tx.conflicted()?.len()).unwrap_or(u64::MAX),
                quarantined: tx.quarantined()?,
                displaced: u64::try_from(tx.displaced()?.len()).unwrap_or(u64::MAX),
            })
        })
    }

    /// Changes whose dot means another one now: the server and their author's phone were both restored from copies that
    /// lacked them, and the author wrote on. Nobody but the phones that pulled them before has them still.
    ///
    /// # Errors
    /// If the database fails.
    pub fn displaced(&mut self) -> Result<Vec<(Dot, Vec<u8>)>, Error> {
        self.store.read(|tx| tx.displaced())
    }

    /// The households on this device: those that are assigned first, then by area and name.
    ///
    /// # Errors
    /// If the database fails.
    pub fn households(&mut self) -> Result<Vec<RecordSummary>, Error> {
        self.store.read(|tx| {
            let first = scope(tx)?.map(|scope| scope.households).unwrap_or_default();
            let mut rounds: BTreeMap<HouseholdId, Vec<String>> = BTreeMap::new();
            for FirstVisit { household, round } in first {
                rounds.entry(household).or_default().push(round);
            }
            let mut lines: Vec<RecordSummary> = tx.records(false)?.into_iter().map(Into::into).collect();
            for line in &mut lines {
                line.assigned = rounds.remove(&line.household).unwrap_or_default();
            }
            lines.sort_by_key(|line| line.assigned.is_empty());
            Ok(lines)
        })
    }

    /// The interviews on this device: those first that were returned and wait for this enumerator, then by area and household.
    ///
    /// # Errors
    /// If the database fails.
    pub fn interviews(&mut self) -> Result<Vec<RecordSummary>, Error> {
        let mut lines: Vec<RecordSummary> =
            self.store.read(|tx| Ok(tx.records(true)?.into_iter().map(Into::into).collect()))?;
        let mut order = BTreeMap::new();
        for (place, (record, mark)) in self.returned()?.into_iter().enumerate() {
            order.insert(record, (place, mark));
        }
        for line in &mut lines {
            line.returned = order.get(&line.id).map(|(_, mark)| mark.clone());
        }
        let waits = |line: &RecordSummary| line.returned.as_ref().is_some_and(|mark| mark.mine && mark.open > 0);
        lines.sort_by_key(|line| match order.get(&line.id) {
            Some((place, _)) if waits(line) => *place,
            Some(_) | None => usize::MAX,
        });
        Ok(lines)
    }

    /// The records with changes that the server has not acked.
    ///
    /// # Errors
    /// If the database fails.
    pub fn unsent(&mut self) -> Result<Vec<RecordSummary>, Error> {
        self.store.read(|tx| {
            let (replica, _) = identity(tx)?;
            Ok(tx.unsent(replica, acked(tx)?)?.into_iter().map(Into::into).collect())
        })
    }

    /// The records with conflicts.
    ///
    /// # Errors
    /// If the database fails.
    pub fn conflicts(&mut self) -> Result<Vec<RecordSummary>, Error> {
        self.store.read(|tx| Ok(tx.conflicted()?.into_iter().map(Into::into).collect()))
    }

    /// One line about a record.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`] if it is not on this device.
    pub fn summary(&mut self, id: RecordId) -> Result<RecordSummary, Error> {
        self.store.read(|tx| Ok(tx.record(id)?.ok_or_else(|| Error::UnknownRecord(id.to_string()))?.into()))
    }

    /// One record, merged from all its changes on this device.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`] if it is not on this device.
    pub fn record(&mut self, id: RecordId) -> Result<Record, Error> {
        let Self { store, forms, .. } = self;
        let record = store.read(|tx| forms.merged(tx, id))?;
        if record.subject().is_none() {
            return Err(Error::UnknownRecord(id.to_string()));
        }
        Ok(record)
    }
}

/// The first six bytes of a hash, for people to compare.
fn short(hash: sync_protocol::Hash) -> String {
    hash.to_string().chars().take(12).collect()
}

/// Reads a stored change back.
fn reread(dot: Dot, bytes: &[u8]) -> Result<Change, Error> {
    Change::from_stored(dot, bytes).map_err(|problem| Error::Corrupt(problem.to_string()))
}

fn identity(tx: &Tx<'_>) -> Result<(ReplicaId, SecretKey), Error> {
    let replica = tx.meta(meta::REPLICA)?.unwrap_or_default().parse()?;
    Ok((replica, from_secret(&tx.meta(meta::SECRET)?.unwrap_or_default())?))
}

fn from_secret(secret: &str) -> Result<SecretKey, Error> {
    let secret: sync_protocol::Hash = secret.parse()?;
    Ok(SecretKey::from_seed(secret.0))
}

/// Gives the device a new replica and key.
fn set_identity<H: Host>(tx: &Tx<'_>, host: &mut H) -> Result<(ReplicaId, SecretKey), Error> {
    let replica = ReplicaId(random_uuid(host));
    host.mark(replica, 0);
    let mut seed = [0; 32];
    host.random(&mut seed);
    tx.set_meta(meta::REPLICA, &replica.to_string())?;
    tx.set_meta(meta::SECRET, &sync_protocol::Hash(seed).to_string())?;
    set_acked(tx, 0)?;
    tx.set_meta(meta::SAFE, "0")?;
    tx.delete_meta(meta::DROPPED)?;
    tx.delete_meta(meta::FREED)?;
    Ok((replica, SecretKey::from_seed(seed)))
}

/// Goes on as a new replica, which the old one vouches for; what the device was is remembered, with what stays under that name up
/// to `common`: the server holds it. Cursors start anew: what stood under the old name was not pulled.
fn renew_identity<H: Host>(tx: &Tx<'_>, host: &mut H, common: u64) -> Result<ReplicaId, Error> {
    let (old, old_key) = identity(tx)?;
    let life = LifeRow { replica: old, acked: common, safe: number(tx, meta::SAFE)?.min(common) };
    let (new, new_key) = set_identity(tx, host)?;
    let adoption = to_json(&Adoption::sign(new, new_key.public(), old, &old_key))?;
    tx.end_life(life, &sync_protocol::Hash(old_key.seed()).to_string(), &adoption)?;
    tx.set_meta(meta::ADOPTION, &adoption)?;
    tx.clear_cursors()?;
    Ok(new)
}

fn random_uuid<H: Host>(host: &mut H) -> Uuid {
    let mut bytes = [0; 16];
    host.random(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn enrolled(tx: &Tx<'_>) -> Result<Enrolled, Error> {
    from_json(&tx.meta(meta::ENROLLED)?.ok_or(Error::NotEnrolled)?)
}

fn scope(tx: &Tx<'_>) -> Result<Option<Scope>, Error> {
    tx.meta(meta::SCOPE)?.map(|json| from_json(&json)).transpose()
}

fn number(tx: &Tx<'_>, key: &str) -> Result<u64, Error> {
    Ok(tx.meta(key)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The last own seq that the server holds, as far as is known. What it acked before it was restored it may lack: as long as it has
/// not spoken of this device since, only what was freed counts, which was in a backup.
fn acked(tx: &Tx<'_>) -> Result<u64, Error> {
    number(tx, if tx.meta(meta::DOUBTED)?.is_some() { meta::FREED } else { meta::ACKED })
}

/// Notes how far the server of today holds the device's own changes, by its word.
fn set_acked(tx: &Tx<'_>, seq: u64) -> Result<(), Error> {
    tx.set_meta(meta::ACKED, &seq.to_string())?;
    tx.delete_meta(meta::DOUBTED)
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::Corrupt(error.to_string()))
}
