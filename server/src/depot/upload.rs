//! One upload under way: a file that grows; its name says what is to come.
//!
//! It goes on at the length of its file, so a process that was killed forgets nothing that it wrote. What was written is on
//! the disk before an offset is acknowledged. Everything here blocks: call it on the depot's threads.

use super::{DepotError, objects::hash_of};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use sync_protocol::Hash;
use tokio::sync::{OwnedMutexGuard, watch};

/// How long an upload may take from its beginning.
pub(super) const LIFE_MS: i64 = 7 * 86_400_000;

/// How long one that is listed is remembered.
const DONE_LIFE_MS: i64 = 3_600_000;

/// How the file beside an upload ends that keeps what its client said of it.
pub(super) const METADATA: &str = "metadata";

/// What is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The upload's name, which nobody can guess.
    pub id: String,
    /// The device that sends it.
    pub device: i64,
    /// How many bytes.
    pub length: u64,
    /// The hash that was announced, if one was.
    pub hash: Option<Hash>,
    /// When it began.
    pub begun_ms: i64,
    /// What its client said of it, word for word: it hears the same when it asks.
    pub metadata: String,
}

impl Info {
    /// The name of the file.
    pub(super) fn file_name(&self) -> String {
        let Self { id, device, length, hash, begun_ms, metadata: _ } = self;
        let hash = hash.map(|hash| hash.to_string()).unwrap_or_default();
        format!("{id}.{device}.{length}.{begun_ms}.{hash}")
    }

    pub(super) fn from_file_name(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('.').collect();
        let [id, device, length, begun_ms, hash] = parts.as_slice() else { return None };
        let hash = if hash.is_empty() { None } else { Some(hash.parse().ok()?) };
        let (device, length, begun_ms) = (device.parse().ok()?, length.parse().ok()?, begun_ms.parse().ok()?);
        Some(Self { id: (*id).to_owned(), device, length, hash, begun_ms, metadata: String::new() })
    }

    /// When the upload is given up.
    #[must_use]
    pub fn expires_ms(&self) -> i64 {
        self.begun_ms.saturating_add(LIFE_MS)
    }
}

/// One upload under way.
#[derive(Debug)]
pub struct Upload {
    /// What is to come.
    pub info: Info,
    pub(super) file: PathBuf,
    progress: Mutex<Progress>,
    /// By which hash the attachment is listed, and since when: asked without waiting for whoever appends.
    done: OnceLock<(Hash, i64)>,
    /// Held by the request that appends.
    busy: Arc<tokio::sync::Mutex<()>>,
    /// Tells it that another one waits.
    waiting: watch::Sender<u64>,
}

/// One request's place at an upload: the only one while it is held.
#[derive(Debug)]
pub struct Place {
    _held: OwnedMutexGuard<()>,
    /// Changes when another request waits for the place.
    pub waiting: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) offset: u64,
    /// The file has been made: it is never made a second time, or it would take the place of what was given its name.
    pub(super) made: bool,
    /// What its client said of it is kept beside the file.
    pub(super) said: bool,
    /// Counts those who append: the latest one alone may.
    pub(super) turn: u64,
    /// Of all bytes up to the offset; none after a restart.
    pub(super) digest: Option<Sha256>,
    pub(super) open: Option<File>,
    /// The hash of all bytes, once all are here.
    pub(super) whole: Option<Hash>,
    pub(super) placed: bool,
    /// How many orphans had ever been deleted when the upload began; none after a restart.
    pub(super) swept: Option<u64>,
}

/// Where what a client said of an upload is kept, beside its file.
pub(super) fn metadata_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.{METADATA}"))
}

/// Why bytes were not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The upload goes on elsewhere.
    #[error("the upload goes on at byte {0}")]
    Offset(u64),
    /// Somebody else goes on with this upload by now.
    #[error("another request goes on with this upload")]
    Overtaken,
    /// More bytes than were announced.
    #[error("more bytes than were announced")]
    TooLong,
    /// The bytes have another checksum; they were thrown away.
    #[error("the bytes have another checksum")]
    Checksum,
    /// A file failed.
    #[error(transparent)]
    Depot(#[from] DepotError),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Depot(error.into())
    }
}

/// A checksum that a request announced for its bytes.
#[derive(Clone, Debug)]
pub enum Checksum {
    /// SHA-1, as every tus server knows it.
    Sha1(Box<sha1::Sha1>, Vec<u8>),
    /// SHA-256; without a digest of its own where the upload's is the same, since it began with this request.
    Sha256(Option<Box<Sha256>>, Vec<u8>),
}

impl Checksum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(digest, _) => sha1::Digest::update(digest.as_mut(), bytes),
            Self::Sha256(Some(digest), _) => digest.update(bytes),
            Self::Sha256(None, _) => {}
        }
    }

    fn fits(self, upload: Option<&Sha256>) -> bool {
        match self {
            Self::Sha1(digest, wanted) => sha1::Digest::finalize(*digest).as_slice() == wanted,
            Self::Sha256(digest, wanted) => {
                let digest = digest.as_deref().or(upload);
                digest.is_some_and(|digest| digest.clone().finalize().as_slice() == wanted)
            }
        }
    }
}

/// One request's turn at an upload.
#[derive(Debug)]
pub struct Append {
    upload: Arc<Upload>,
    turn: u64,
    from: u64,
    before: Option<Sha256>,
    checksum: Option<Checksum>,
}

impl Upload {
    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new(info: Info, file: PathBuf, progress: Progress) -> Arc<Self> {
        let (busy, waiting) = (Arc::default(), watch::Sender::new(0));
        Arc::new(Self { info, file, progress: Mutex::new(progress), done: OnceLock::new(), busy, waiting })
    }

    /// Opens the file, which is made once. What its client said of it is kept beside as long as bytes are missing behind `end`:
    /// of one that comes whole at once nobody asks any more.
    fn reopen(&self, progress: &mut Progress, end: u64) -> io::Result<File> {
        if !progress.made && !self.info.metadata.is_empty() && end < self.info.length {
            std::fs::write(self.metadata(), &self.info.metadata)?;
            progress.said = true;
        }
        let open = OpenOptions::new().write(true).create_new(!progress.made).open(&self.file)?;
        progress.made = true;
        Ok(open)
    }

    pub(super) fn metadata(&self) -> PathBuf {
        metadata_of(self.file.parent().unwrap_or(&self.file), &self.info.id)
    }

    /// Takes the place at the upload. Whoever has it is asked to leave, and first writes what has come: a device whose line
    /// broke comes back before the server has noticed.
    pub async fn enter(&self) -> Place {
        self.waiting.send_modify(|count| *count += 1);
        // From here on: who comes while this one gets the place is not overheard.
        let waiting = self.waiting.subscribe();
        Place { _held: self.busy.clone().lock_owned().await, waiting }
    }

    /// Where the upload goes on.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.lock().offset
    }

    /// The hash, once the attachment is listed.
    #[must_use]
    pub fn done(&self) -> Option<Hash> {
        self.done.get().map(|(hash, _)| *hash)
    }

    /// When the upload is forgotten: one that is listed, soon after; its client only may not have heard of it yet.
    #[must_use]
    pub fn expires_ms(&self) -> i64 {
        let done = self.done.get().map(|(_, done_ms)| done_ms.saturating_add(DONE_LIFE_MS));
        self.info.expires_ms().min(done.unwrap_or(i64::MAX))
    }

    /// How many orphans had ever been deleted when the upload began, if it began in this life of the server.
    #[must_use]
    pub fn swept_before(&self) -> Option<u64> {
        self.lock().swept
    }

    /// Notes that the attachment is listed.
    pub fn set_done(&self, hash: Hash, now_ms: i64) {
        let mut progress = self.lock();
        (progress.offset, progress.digest) = (self.info.length, None);
        self.done.get_or_init(|| (hash, now_ms));
    }

    /// Takes a turn at a byte; whoever had one before may append no more.
    ///
    /// # Errors
    /// [`AppendError::Offset`].
    pub fn append(self: &Arc<Self>, offset: u64, mut checksum: Option<Checksum>) -> Result<Append, AppendError> {
        let mut progress = self.lock();
        if offset != progress.offset {
            return Err(AppendError::Offset(progress.offset));
        }
        progress.turn += 1;
        let (turn, before) = (progress.turn, progress.digest.clone());
        drop(progress);
        if let Some(Checksum::Sha256(digest, _)) = &mut checksum
            && offset == 0
            && before.is_some()
        {
            *digest = None;
        }
        Ok(Append { upload: self.clone(), turn, from: offset, before, checksum })
    }

    /// The hash of a whole upload whose bytes are safe on the disk.
    ///
    /// # Errors
    /// If the file fails.
    pub(super) fn digest(&self) -> Result<Hash, DepotError> {
        if let Some(hash) = self.done() {
            return Ok(hash);
        }
        let mut progress = self.lock();
        // Nobody appends from here on.
        progress.turn += 1;
        progress.open = None;
        let hash = match progress.whole {
            Some(hash) => hash,
            // After a restart, and nobody knows whether what was written before is safe.
            None => {
                let mut file = File::open(&self.file)?;
                file.sync_all()?;
                hash_of(&mut file)?
            }
        };
        progress.whole = Some(hash);
        Ok(hash)
    }

    /// Whether all bytes are here.
    pub(super) fn is_whole(&self) -> bool {
        self.lock().offset == self.info.length
    }

    /// The hash by which the bytes have their place.
    pub(super) fn placed_as(&self) -> Option<Hash> {
        let placed = || {
            let progress = self.lock();
            progress.whole.filter(|_| progress.placed)
        };
        self.done().or_else(placed)
    }

    pub(super) fn placed(&self) {
        let mut progress = self.lock();
        progress.placed = true;
        if std::mem::take(&mut progress.said) {
            // What is left of it is cleared away at the next start.
            let _ = std::fs::remove_file(self.metadata());
        }
    }
}

impl Append {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`AppendError::Overtaken`], [`AppendError::TooLong`], or if the file fails.
    pub fn write(&mut self, pieces: &[Bytes]) -> Result<(), AppendError> {
        let upload = self.upload.clone();
        let mut progress = upload.lock();
        if progress.turn != self.turn {
            return Err(AppendError::Overtaken);
        }
        let size: usize = pieces.iter().map(Bytes::len).sum();
        let end = progress.offset.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        if end > upload.info.length {
            return Err(AppendError::TooLong);
        }
        if size == 0 {
            return Ok(());
        }
        // Hashed first: on its way to the file it is in the processor's cache then.
        let (mut digest, mut checksum) = (progress.digest.clone(), self.checksum.clone());
        for piece in pieces {
            if let Some(digest) = &mut digest {
                digest.update(piece);
            }
            if let Some(checksum) = &mut checksum {
                checksum.update(piece);
            }
        }
        let offset = progress.offset;
        let mut file = match progress.open.take() {
            Some(file) => file,
            None => upload.reopen(&mut progress, end)?,
        };
        let written = file.seek(SeekFrom::Start(offset)).and_then(|_| write_pieces(&mut file, pieces));
        if let Err(error) = written {
            // A full disk: what the file holds beyond the offset does not count.
            let _ = file.set_len(offset);
            return Err(error.into());
        }
        (progress.open, progress.offset, progress.digest) = (Some(file), end, digest);
        self.checksum = checksum;
        Ok(())
    }

    /// Ends the turn; what was appended is safe on the disk when this returns. `is_whole`: everything that the request
    /// announced has come. Of a request that was cut off what came is kept: its checksum can't be checked, the hash of
    /// the whole upload will be.
    ///
    /// # Errors
    /// [`AppendError::Checksum`]: the upload goes on where it did before; or if the file fails.
    pub fn end(self, is_whole: bool) -> Result<u64, AppendError> {
        let mut progress = self.upload.lock();
        if progress.turn != self.turn {
            return Err(AppendError::Overtaken);
        }
        let fits = !is_whole || self.checksum.is_none_or(|checksum| checksum.fits(progress.digest.as_ref()));
        if progress.placed {
            // The bytes are where they belong: a request without any changes nothing.
            return if fits { Ok(progress.offset) } else { Err(AppendError::Checksum) };
        }
        let file = match progress.open.take() {
            Some(file) => file,
            // Nothing has come, or nothing is to come.
            None => {
                let end = progress.offset;
                self.upload.reopen(&mut progress, end)?
            }
        };
        if !fits {
            (progress.offset, progress.digest) = (self.from, self.before);
            file.set_len(self.from)?;
        }
        file.sync_data()?;
        if progress.offset == self.upload.info.length {
            progress.whole = progress.digest.clone().map(|digest| Hash(digest.finalize().into()));
        }
        if fits { Ok(progress.offset) } else { Err(AppendError::Checksum) }
    }
}

/// Writes pieces one behind the other, as many at once as the operating system takes.
fn write_pieces(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
