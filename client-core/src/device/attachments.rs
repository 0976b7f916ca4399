//! Photos, recordings and files on the device: taken in before the save that names them, sent after the answers.

use super::Device;
use crate::{
    error::{Error, FileProblem},
    host::Host,
    store::{AttachmentRow, LOST, Tx, Whose},
};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use sync_protocol::{
    Attachment, Change, Hash, Limits, Op, Path, Record, RecordId, Value,
    attachment::{sniff, tidy_name},
};

/// Where the bytes of an attachment are, as far as this device knows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whereabouts {
    /// On this device, still to be sent.
    ToSend,
    /// On the server, by its word.
    Sent,
    /// The server does not take it, for this reason; its bytes stay here.
    Refused(String),
    /// This device named it and has lost its bytes.
    Lost,
    /// Somebody else's, and here: fetched by hand.
    Fetched,
    /// Somebody else's; a small picture of it is here.
    Thumbnail,
    /// Somebody else's; on the server, or still to come there.
    Elsewhere,
}

/// One attachment that a record names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AttachmentLine {
    /// The record.
    pub record: RecordId,
    /// SHA-256 of the bytes.
    pub sha256: Hash,
    /// How many bytes.
    pub size: u64,
    /// The media type.
    #[serde(rename = "type")]
    pub media: String,
    /// What the file was called.
    pub name: Option<String>,
    /// Where its bytes are.
    pub at: Whereabouts,
}

/// What the server has not got.
pub(crate) struct ToSend {
    /// Its bytes are here.
    pub(crate) here: Vec<AttachmentRow>,
    /// They should be and are not, and the server was not told.
    pub(crate) lost: Vec<AttachmentRow>,
}

/// The name of an original among the device's files.
pub(crate) fn original(hash: Hash) -> String {
    let name = hash.to_string();
    format!("{}/{name}", name.get(..2).unwrap_or_default())
}

fn thumbnail(hash: Hash) -> String {
    format!("thumbnails/{hash}.jpg")
}

impl<H: Host> Device<H> {
    /// Takes a file in as the answer to a question: checks type, size and number, makes of a picture what the questionnaire
    /// asks for, and keeps the bytes. Gives the value to be saved; nothing is part of the record before that.
    ///
    /// # Errors
    /// [`Error::File`] says what is wrong with the file; [`Error::BadAnswer`] where the question takes none.
    pub fn take(&mut self, record: RecordId, path: &Path, file: &str, bytes: Vec<u8>) -> Result<Value, Error> {
        let summary = self.summary(record)?;
        let questionnaire = self.questionnaire(&summary.questionnaire)?;
        let question = questionnaire.question_at(path).filter(|question| question.kind.is_attachment());
        let question = question.ok_or_else(|| Error::BadAnswer(format!("`{path}` takes no file")))?;
        let limits = self.limits()?;
        let media = media_type(file, &bytes, &question.kind);
        if !question.kind.takes(media) || !limits.types.iter().any(|known| known == media) {
            return Err(FileProblem::Type(media.to_owned()).into());
        }
        let others = attachments_of(&self.record(record)?).filter(|(at, _)| at != path).count();
        if others >= limits.attachments {
            return Err(FileProblem::TooMany(limits.attachments).into());
        }
        let (bytes, media) = made(bytes, media, question)?;
        check_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX), &limits)?;
        let hash = Hash(Sha256::digest(&bytes).into());
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let named = Attachment { hash, size, media, name: tidy_name(file) };
        // What a failing card has changed is written anew.
        if !self.is_sound(hash).unwrap_or(false) {
            self.files.put(&original(hash), &bytes).map_err(kept)?;
        }
        self.store.write(|tx| tx.note_attachment(&named, Whose::Taken))?;
        Ok(named.to_value())
    }

    /// Checks the size of a file before it is read: what is larger than any attachment may be, and would not be scaled.
    ///
    /// # Errors
    /// [`FileProblem::TooLarge`].
    pub fn check_file(&mut self, record: RecordId, path: &Path, size: u64) -> Result<(), Error> {
        /// A picture that is scaled may be larger before, but not without bounds.
        const SCALED_MAX: u64 = 100 << 20;
        let summary = self.summary(record)?;
        let questionnaire = self.questionnaire(&summary.questionnaire)?;
        let is_scaled = questionnaire.question_at(path).is_some_and(|question| question.max_pixels().is_some());
        if is_scaled && size <= SCALED_MAX { Ok(()) } else { check_size(size, &self.limits()?) }
    }

    /// Every attachment that a record on this device names, and where its bytes are.
    ///
    /// # Errors
    /// If the database or the host fails.
    pub fn attachments(&mut self) -> Result<Vec<AttachmentLine>, Error> {
        let rows = self.store.read(|tx| tx.attachments())?;
        let mut lines = Vec::new();
        for (record, row) in rows {
            let is_here = self.has_original(&row.named).map_err(kept)?;
            let at = match (row.own, row.refused) {
                (true, Some(code)) if code == LOST => Whereabouts::Lost,
                (true, Some(code)) => Whereabouts::Refused(code),
                (true, None) if row.sent => Whereabouts::Sent,
                (true, None) if is_here => Whereabouts::ToSend,
                (true, None) => Whereabouts::Lost,
                (false, _) if is_here => Whereabouts::Fetched,
                (false, _) if row.thumbnail == 1 => Whereabouts::Thumbnail,
                (false, _) => Whereabouts::Elsewhere,
            };
            let Attachment { hash: sha256, size, media, name } = row.named;
            lines.push(AttachmentLine { record, sha256, size, media, name, at });
        }
        Ok(lines)
    }

    /// The bytes of an original that is on this device.
    ///
    /// # Errors
    /// If it is not here, or the host fails.
    pub fn original(&mut self, hash: Hash) -> Result<Option<Vec<u8>>, Error> {
        self.file(&original(hash))
    }

    /// The small picture of an attachment, a JPEG, if it is on this device.
    ///
    /// # Errors
    /// If the host fails.
    pub fn thumbnail(&mut self, hash: Hash) -> Result<Option<Vec<u8>>, Error> {
        self.file(&thumbnail(hash))
    }

    fn file(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.files.size(name).map_err(kept)? {
            Some(_) => Ok(Some(self.files.read(name, 0, usize::MAX).map_err(kept)?)),
            None => Ok(None),
        }
    }

    /// Deletes the files of what others photographed in records that this device may not see any more; not what it may be the only one
    /// to have, which is sent first.
    pub(crate) fn delete_dropped_files(&mut self) -> Result<(), Error> {
        let dropped = self.store.read(|tx| tx.attachments_dropped())?;
        if dropped.is_empty() {
            return Ok(());
        }
        let mut unsent = self.store.read(|tx| tx.attachments_to_send())?;
        unsent.retain(|row| row.refused.is_none() && self.has_original(&row.named).unwrap_or(false));
        let unsent: BTreeSet<Hash> = unsent.into_iter().map(|row| row.named.hash).collect();
        // First the files: what is listed is found again after a crash.
        for AttachmentRow { named: Attachment { hash, .. }, .. } in dropped {
            if unsent.contains(&hash) {
                continue;
            }
            for name in [original(hash), thumbnail(hash)] {
                self.files.remove(&name).map_err(kept)?;
            }
            self.store.write(|tx| tx.drop_attachment(hash))?;
        }
        Ok(())
    }

    /// Whether a file of an original's size is here; what a card has changed has its size.
    fn has_original(&mut self, named: &Attachment) -> std::io::Result<bool> {
        Ok(self.files.size(&original(named.hash))? == Some(named.size))
    }

    /// What is to be sent; also what came back as somebody else's of a database that was lost here while its files were not: where
    /// no picture of it was to be had, the server may lack it.
    pub(crate) fn attachments_to_send(&mut self) -> Result<ToSend, Error> {
        /// A card that failed may have had thousands: they take turns.
        const LOST_AT_ONCE: usize = 100;
        let mut all = ToSend { here: Vec::new(), lost: Vec::new() };
        for mut row in self.store.read(|tx| tx.attachments_to_send())? {
            let hash = row.named.hash;
            if row.refused.is_some() {
                if self.is_sound(hash).unwrap_or(false) {
                    self.store.write(|tx| tx.set_found(hash))?;
                    (row.refused, row.upload) = (None, Some(String::new()));
                    all.here.push(row);
                }
                continue;
            }
            match self.has_original(&row.named) {
                Ok(true) => all.here.push(row),
                Ok(false) if row.own && all.lost.len() < LOST_AT_ONCE => all.lost.push(row),
                // A card that can't be read now may be read later.
                Ok(false) | Err(_) => {}
            }
        }
        Ok(all)
    }

    /// Takes away a copy that its card has changed of what somebody else photographed.
    pub(crate) fn drop_copy(&mut self, hash: Hash) -> Result<(), Error> {
        self.files.remove(&original(hash)).map_err(kept)
    }

    /// A part of an original.
    pub(crate) fn part(&mut self, hash: Hash, from: u64, most: usize) -> Result<Vec<u8>, Error> {
        self.files.read(&original(hash), from, most).map_err(kept)
    }

    /// Whether an original still has its hash; a card that fails changes bytes.
    pub(crate) fn is_sound(&mut self, hash: Hash) -> Result<bool, Error> {
        Ok(self.original(hash)?.is_some_and(|bytes| Hash(Sha256::digest(&bytes).into()) == hash))
    }

    pub(crate) fn keep_original(&mut self, hash: Hash, bytes: &[u8]) -> Result<(), Error> {
        if Hash(Sha256::digest(bytes).into()) != hash {
            return Err(Error::Unreachable("the attachment arrived broken".into()));
        }
        self.files.put(&original(hash), bytes).map_err(kept)?;
        let now_ms = self.host.now_ms();
        self.store.write(|tx| tx.set_sent(hash, now_ms))
    }

    /// Keeps a thumbnail, or that there is none.
    pub(crate) fn keep_thumbnail(&mut self, hash: Hash, bytes: Option<&[u8]>) -> Result<(), Error> {
        if let Some(bytes) = bytes {
            self.files.put(&thumbnail(hash), bytes).map_err(kept)?;
        }
        self.store.write(|tx| tx.set_thumbnail(hash, if bytes.is_some() { 1 } else { 2 }))
    }
}

fn kept(error: std::io::Error) -> Error {
    FileProblem::Storage(error.kind().to_string()).into()
}

fn check_size(size: u64, limits: &Limits) -> Result<(), Error> {
    let most = u64::try_from(limits.attachment).unwrap_or(u64::MAX);
    if size > most { Err(FileProblem::TooLarge { size, most }.into()) } else { Ok(()) }
}

#[cfg(feature = "native")]
fn made(bytes: Vec<u8>, media: &str, question: &questionnaire::Question) -> Result<(Vec<u8>, String), Error> {
    use crate::picture::{Wanted, prepare};
    let wanted = Wanted { max_pixels: question.max_pixels(), keeps_metadata: question.keeps_metadata() };
    Ok(prepare(bytes, media, wanted)?)
}

/// A host without its own means has scaled and stripped the picture before.
#[cfg(not(feature = "native"))]
fn made(bytes: Vec<u8>, media: &str, _question: &questionnaire::Question) -> Result<(Vec<u8>, String), Error> {
    Ok((bytes, media.to_owned()))
}

/// The media type of a file: what its bytes show; else, for what shows nothing, what its name says.
fn media_type(file: &str, bytes: &[u8], kind: &questionnaire::Kind) -> &'static str {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let is_audio = *kind == questionnaire::Kind::Audio;
    match (sniff(bytes), ending.as_str()) {
        // A recording may stand in the container of a film.
        (Some("video/mp4"), _) if is_audio => "audio/mp4",
        (Some("video/webm"), _) if is_audio => "audio/webm",
        (Some("video/3gpp"), _) if is_audio => "audio/3gpp",
        (Some(shown), _) => shown,
        (None, "csv") if std::str::from_utf8(bytes).is_ok() => "text/csv",
        (None, "txt") if std::str::from_utf8(bytes).is_ok() => "text/plain",
        (None, _) => "application/octet-stream",
    }
}

/// The attachments that a record shows, each at its path.
fn attachments_of(record: &Record) -> impl Iterator<Item = (Path, Attachment)> + '_ {
    record
        .shown_answers()
        .filter_map(|(path, answer)| Some((path.clone(), Attachment::from_value(answer.siblings.first()?.value)?)))
}

/// Notes what a change of somebody else names.
pub(super) fn note_pulled(tx: &Tx<'_>, change: &Change) -> Result<(), Error> {
    for named in Attachment::of_ops(&change.ops) {
        tx.note_attachment(&named, Whose::Others)?;
        tx.use_attachment(named.hash, change.record())?;
    }
    Ok(())
}

/// Whether a value names what was taken in here: it is said anew also where the record says so already, since the word of a
/// device that has the bytes is what shows them to others.
pub(super) fn is_given_again(tx: &Tx<'_>, value: &Value) -> Result<bool, Error> {
    Attachment::from_value(value).map_or(Ok(false), |named| tx.is_taken(named.hash))
}

/// Checks what a save names, and notes that this device sends it. The limits may have changed since it was taken in; bytes
/// that this device never had can't be named, but for those that the record names already.
pub(super) fn check_saved(
    tx: &Tx<'_>,
    record: &Record,
    id: RecordId,
    ops: &[Op],
    limits: &Limits,
) -> Result<(), Error> {
    let mut added = Vec::new();
    for op in ops {
        let Op::Set { path, value, .. } = op else { continue };
        let Some(named) = Attachment::from_value(value) else { continue };
        let known = tx.attachment(named.hash)?.filter(|row| row.named.size == named.size);
        let known = known.ok_or(FileProblem::NotTaken)?;
        check_size(named.size, limits)?;
        if !limits.types.contains(&named.media) {
            return Err(FileProblem::Type(named.media).into());
        }
        added.push(path);
        // What the record names already is sent by whoever named it first, or by who took it in again.
        let is_taken = tx.is_taken(named.hash)?;
        if is_taken || !tx.is_attachment_of(named.hash, id)? {
            // So is what another record named that somebody else photographed.
            tx.note_attachment(&named, if is_taken || known.own { Whose::Own } else { Whose::Others })?;
            tx.use_attachment(named.hash, id)?;
        }
    }
    let others = attachments_of(record).filter(|(path, _)| !added.contains(&path)).count();
    if !added.is_empty() && others.saturating_add(added.len()) > limits.attachments {
        return Err(FileProblem::TooMany(limits.attachments).into());
    }
    Ok(())
}
