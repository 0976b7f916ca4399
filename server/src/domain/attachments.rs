//! Photos, recordings, files: who may send and see them, what a record says of their bytes, what may be swept away.

use super::{Failure, backup::Lacking};
use crate::{
    depot::{
        Depot, DepotError,
        upload::{Info, Upload},
    },
    store::{AttachmentRow, Device, StoreError, Tx, in_snapshot, in_transaction},
};
use serde::Serialize;
use std::collections::BTreeSet;
use sync_protocol::{Attachment, Change, Hash, Limits, attachment::is_media_type, problem::Code};

impl From<DepotError> for Failure {
    fn from(error: DepotError) -> Self {
        match error {
            DepotError::Missing => Self::problem(Code::NotFound, "the bytes of this attachment are not here"),
            DepotError::OtherHash => Self::problem(
                Code::ChecksumMismatch,
                "the whole upload has another SHA-256 than the one announced: it was thrown away, begin again",
            ),
            error @ (DepotError::Io(_)
            | DepotError::Store(_)
            | DepotError::Address(_)
            | DepotError::Unreached
            | DepotError::Ended) => {
                eprintln!("tenun-server: {error}");
                Self::problem(Code::Internal, "try again later; the operator finds the reason in the log")
            }
        }
    }
}

/// Notes which attachments a change of a record names: by the word of its author's device, and where the server authored
/// again what a branch held, of the branch's. What a coordinator decides adds nobody's word to those that stand.
///
/// # Errors
/// If the store fails.
pub fn note(tx: Tx<'_>, record: i64, change: &Change) -> Result<(), StoreError> {
    let (author, branch) = (change.dot.replica, change.instead_of);
    Attachment::of_ops(&change.ops).try_for_each(|named| tx.name_attachment(named.hash, record, author, branch))
}

/// What a record knows of the bytes of an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// They are here, with the right hash.
    Here,
    /// They are still to come from the device that named them.
    ToCome,
    /// They were offered and not taken.
    Refused,
    /// Whoever named them has lost them, by the word of their devices.
    Lost,
}

/// An attachment as a record shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentDetail {
    /// The SHA-256 of its bytes.
    pub sha256: Hash,
    /// How many bytes, by the record's word.
    pub size: u64,
    /// The media type, by the record's word.
    #[serde(rename = "type")]
    pub media: String,
    /// What the file was called.
    pub name: Option<String>,
    /// Where its bytes are.
    pub state: State,
    /// Why they were refused, by the protocol's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// How many attachments of a record are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counted {
    /// Here.
    pub here: u32,
    /// Still to come.
    pub to_come: u32,
    /// Not taken.
    pub refused: u32,
    /// Lost on the device.
    pub lost: u32,
}

impl Counted {
    /// Counts.
    pub fn of<'a>(attachments: impl Iterator<Item = &'a AttachmentDetail>) -> Self {
        attachments.fold(Self::default(), |mut counted, attachment| {
            match attachment.state {
                State::Here => counted.here += 1,
                State::ToCome => counted.to_come += 1,
                State::Refused => counted.refused += 1,
                State::Lost => counted.lost += 1,
            }
            counted
        })
    }
}

/// What is known of an attachment that a record names.
///
/// # Errors
/// If the store fails.
pub fn look_up(tx: Tx<'_>, named: Attachment) -> Result<AttachmentDetail, StoreError> {
    let Attachment { hash, size, media, name } = named;
    let (state, code) = match (tx.attachment(hash)?, tx.attachment_refusal(hash)?) {
        (Some(_), _) => (State::Here, None),
        (None, Some(code)) => (State::Refused, Some(code)),
        (None, None) if tx.is_attachment_lost(hash)? => (State::Lost, None),
        (None, None) => (State::ToCome, None),
    };
    Ok(AttachmentDetail { sha256: hash, size, media, name, state, code })
}

/// What a device offers to send.
#[derive(Clone, Debug)]
pub struct Offer {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-256, if it was announced.
    pub hash: Option<Hash>,
    /// Their media type, if it was announced.
    pub media: Option<String>,
    /// The device has begun to send them and has not heard where.
    pub resume: bool,
    /// The device has lost the bytes that it named.
    pub lost: bool,
    /// What the client said of it, word for word.
    pub metadata: String,
}

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The bytes are to be sent.
    Send,
    /// They are here, and the device may know that.
    Have(Hash),
    /// They are not taken.
    Refuse(Code),
    /// This device has lost them: records say so.
    Lost,
}

/// Lets a device send; one that was revoked, only what answers of it name that count: they came before, or were released since.
///
/// # Errors
/// [`Code::Forbidden`] for what else a revoked device would send; or if the store fails.
pub fn check_sender(tx: Tx<'_>, device: &Device, hash: Option<Hash>) -> Result<(), Failure> {
    if !device.revoked || hash.map_or(Ok(false), |hash| tx.names_attachment(device.id, hash))? {
        return Ok(());
    }
    Err(Failure::problem(Code::Forbidden, "this device was revoked: ask your coordinator"))
}

/// Decides about an offer. Bytes that are here already need not be sent again, but only by a device that has a right to
/// them: from the others nothing is learnt of what is here.
///
/// # Errors
/// As [`check_sender`]'s; [`Code::NotFound`] where nothing waits for what is lost.
pub fn offered(tx: Tx<'_>, device: &Device, offer: &Offer, limits: &Limits, now_ms: i64) -> Result<Answer, Failure> {
    check_sender(tx, device, offer.hash)?;
    if let Some(code) = refusal(offer, limits) {
        if let Some(hash) = offer.hash {
            tx.refuse_attachment(hash, device.id, code.as_str(), now_ms)?;
        }
        return Ok(Answer::Refuse(code));
    }
    if let Some(hash) = offer.hash
        && let Some(row) = tx.attachment(hash)?
        && row.size == offer.length
        && tx.may_see_attachment(device, hash)?
        // Who has lost them proves nothing.
        && (offer.lost || tx.put_attachment(row, Some(device.id), now_ms)?)
    {
        return Ok(Answer::Have(hash));
    }
    if offer.lost {
        return if offer.hash.map_or(Ok(false), |hash| tx.lose_attachment(hash, device.id, now_ms))? {
            Ok(Answer::Lost)
        } else {
            Err(Failure::problem(Code::NotFound, "no answer that counts waits for these bytes by this device's word"))
        };
    }
    Ok(Answer::Send)
}

/// Why bytes like these are not taken.
fn refusal(offer: &Offer, limits: &Limits) -> Option<Code> {
    if offer.length > u64::try_from(limits.attachment).unwrap_or(u64::MAX) {
        return Some(Code::AttachmentTooLarge);
    }
    let is_taken = |media: &String| is_media_type(media) && limits.types.contains(media);
    if offer.media.as_ref().is_none_or(is_taken) { None } else { Some(Code::AttachmentType) }
}

/// Whether there is nothing to decide about an offer, as for most: it is within the limits and new here, so the bytes are to be sent.
///
/// # Errors
/// As [`check_sender`]'s.
pub fn is_to_be_sent(tx: Tx<'_>, device: &Device, offer: &Offer, limits: &Limits) -> Result<bool, Failure> {
    check_sender(tx, device, offer.hash)?;
    Ok(!offer.lost
        && refusal(offer, limits).is_none()
        && offer.hash.map_or(Ok(None), |hash| tx.attachment(hash))?.is_none())
}

/// What an upload is called from its beginning.
///
/// # Errors
/// If the operating system gives no randomness.
pub fn begin(device: i64, offer: &Offer, now_ms: i64) -> Result<Info, Failure> {
    let id = hex::encode(super::identity::random::<16>()?);
    let Offer { length, hash, ref metadata, .. } = *offer;
    Ok(Info { id, device, length, hash, begun_ms: now_ms, metadata: metadata.clone() })
}

/// Lists an attachment whose bytes are in their place; whether no sweep can have deleted them meanwhile.
///
/// # Errors
/// [`Code::Busy`] while a sweep deletes what has the same name; or if the store fails.
pub fn list(tx: Tx<'_>, upload: &Upload, hash: Hash, now_ms: i64) -> Result<bool, Failure> {
    let row = AttachmentRow { hash, size: upload.info.length };
    if tx.put_attachment(row, Some(upload.info.device), now_ms)? {
        return Ok(upload.swept_before() == Some(tx.attachments_ever_swept()?));
    }
    Err(Failure::problem(Code::Busy, "try again in a minute"))
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Attachments that were deleted, and their bytes.
    pub deleted: Vec<AttachmentRow>,
    /// Those that look like orphans and are kept, since a change that is in no view may name them.
    pub kept: u64,
}

/// Which of some hashes stand in a change that is kept anywhere: applied, quarantined, in escrow, superseded, parked or of
/// a branch, also in one that can't be read here; and the last change that was looked at.
fn named_anywhere(tx: Tx<'_>, wanted: &BTreeSet<Hash>, after: i64) -> Result<(BTreeSet<Hash>, i64), StoreError> {
    let mut named = BTreeSet::new();
    let last = tx.each_kept_body(after, |body| named.extend(hashes_in(body).filter(|hash| wanted.contains(hash))))?;
    Ok((named, last))
}

/// Everything in some bytes that could be a hash: 64 hexadecimal digits, wherever they stand.
fn hashes_in(bytes: &[u8]) -> impl Iterator<Item = Hash> {
    let runs = bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= 64);
    runs.flat_map(|run| run.windows(64)).filter_map(|digits| {
        let text = std::str::from_utf8(digits).ok()?.to_ascii_lowercase();
        text.parse().ok()
    })
}

/// What a move did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Copied now.
    pub copied: u64,
    /// There already.
    pub there: u64,
    /// Neither place has the bytes of these.
    pub lacking: Vec<Lacking>,
}

/// Copies the bytes of all attachments from one place to another, by a file in between; each is hashed on the way. One that has
/// none, or others, keeps none of the rest from being copied.
///
/// # Errors
/// If a store or the file fails; what was copied by then is not copied again.
pub fn copy_all(
    conn: &mut rusqlite::Connection,
    from: &Depot,
    to: &Depot,
    between: &std::path::Path,
) -> Result<Moved, Failure> {
    let (mut moved, mut after) = (Moved::default(), None);
    loop {
        let page = in_transaction(conn, |tx| tx.attachments(after, 1000))?;
        let Some(last) = page.last() else { break };
        after = Some(last.hash);
        for row in page {
            if to.wait(async { Ok(to.holds(row.hash).await) })? {
                moved.there += 1;
                continue;
            }
            match from.wait(from.copy_to(row.hash, between)) {
                Ok(()) => {}
                Err(error @ (DepotError::Missing | DepotError::OtherHash)) => {
                    moved.lacking.push(Lacking::of(row.hash, error));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            to.wait(to.bring(row.hash, between))?;
            moved.copied += 1;
        }
    }
    // It may never have been made.
    let _ = std::fs::remove_file(between);
    Ok(moved)
}

/// Takes what is lacking off the list: records say that it is still to come, and it is taken when it is given again.
///
/// # Errors
/// If the store fails; nothing is taken off then.
pub fn give_up(tx: Tx<'_>, lacking: &[Lacking]) -> Result<(), Failure> {
    lacking.iter().try_for_each(|one| tx.forget_attachment(one.hash))?;
    Ok(())
}

/// Deletes what nobody can name any more: it has been here for longer than `keep_ms`, its devices have been heard of after that
/// with nothing left to send, and no change that is kept anywhere names it. Each is taken off the list first, so that none is
/// listed without its bytes. The caller holds the lock of the bytes.
///
/// # Errors
/// If the store fails; what was taken off the list by then is deleted by [`finish_sweep`].
pub fn sweep(
    conn: &mut rusqlite::Connection,
    depot: &Depot,
    now_ms: i64,
    keep_ms: i64,
    dry_run: bool,
) -> Result<Swept, Failure> {
    let hashes = |rows: &[AttachmentRow]| rows.iter().map(|row| row.hash).collect::<BTreeSet<_>>();
    // Every change is looked through: on a snapshot, which holds up nobody who writes.
    let (mut rows, last, kept) = in_snapshot(conn, |tx| {
        let mut rows = tx.attachment_orphans(now_ms, keep_ms)?;
        let (named, last) = if rows.is_empty() { (BTreeSet::new(), 0) } else { named_anywhere(tx, &hashes(&rows), 0)? };
        rows.retain(|row| !named.contains(&row.hash));
        Ok::<_, Failure>((rows, last, named.len()))
    })?;
    let kept = u64::try_from(kept).unwrap_or(u64::MAX);
    if dry_run {
        return Ok(Swept { deleted: rows, kept });
    }
    in_transaction(conn, |tx| {
        // Devices may have synced since: what came is looked at with the list held.
        let still = hashes(&tx.attachment_orphans(now_ms, keep_ms)?);
        let (named, _) = named_anywhere(tx, &hashes(&rows), last)?;
        rows.retain(|row| still.contains(&row.hash) && !named.contains(&row.hash));
        rows.iter().try_for_each(|row| tx.begin_attachment_sweep(row.hash))?;
        Ok::<_, Failure>(())
    })?;
    finish_sweep(conn, depot)?;
    Ok(Swept { deleted: rows, kept })
}

/// Deletes what a sweep took off the list, also one that was broken off: until then nobody can send it again. The caller
/// holds the lock of the bytes.
///
/// # Errors
/// If the store fails, or that of the bytes; what can be deleted is deleted all the same.
pub fn finish_sweep(conn: &mut rusqlite::Connection, depot: &Depot) -> Result<(), Failure> {
    let mut failed = None;
    for hash in in_transaction(conn, |tx| tx.attachments_swept())? {
        match depot.wait(depot.delete(hash)) {
            Ok(()) => in_transaction(conn, |tx| tx.end_attachment_sweep(hash))?,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_looks_through_all_changes_while_others_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = crate::store::open_writer(folder.path()).unwrap();
        let mut sweeper = crate::store::open_writer(folder.path()).unwrap();
        let depot = Depot::open(folder.path(), crate::depot::Place::Folder, None).unwrap();
        let looked = in_transaction(&mut writer, |tx| {
            tx.put_attachment(AttachmentRow { hash: Hash([1; 32]), size: 1 }, None, 0)?;
            sweep(&mut sweeper, &depot, 1, 0, true)
        });
        // It sees what was there before.
        assert_eq!(looked.unwrap(), Swept::default());
        assert_eq!(sweep(&mut sweeper, &depot, 1, 0, true).unwrap().deleted.len(), 1);
    }

    #[test]
    fn a_hash_is_found_wherever_it_stands() {
        let hash = Hash([0xab; 32]);
        for text in [format!("{{\"sha256\":\"{hash}\""), format!("00{hash}ff"), hash.to_string().to_uppercase()] {
            assert!(hashes_in(text.as_bytes()).any(|found| found == hash), "{text}");
        }
        assert_eq!(hashes_in(b"abc").count(), 0);
    }
}
