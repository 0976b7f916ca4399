//! Uploads under way: each a file that grows; its name says what is to come.
//!
//! An upload goes on at the length of its file, so a process that was killed forgets nothing that it wrote. What was
//! written is on the disk before an offset is acknowledged. Everything here blocks: call it on the depot's threads.

use super::{DepotError, objects::hash_of};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use sync_protocol::Hash;
use tokio::sync::{OwnedMutexGuard, watch};

/// Most uploads under way of one device; an older one makes room.
const MOST: usize = 64;
/// How long an upload may take from its beginning.
const LIFE_MS: i64 = 7 * 86_400_000;

/// How the file beside an upload ends that keeps what its client said of it.
const METADATA: &str = "metadata";

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
    fn file_name(&self) -> String {
        let Self { id, device, length, hash, begun_ms, metadata: _ } = self;
        let hash = hash.map(|hash| hash.to_string()).unwrap_or_default();
        format!("{id}.{device}.{length}.{begun_ms}.{hash}")
    }

    fn from_file_name(name: &str) -> Option<Self> {
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
    file: PathBuf,
    progress: Mutex<Progress>,
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
struct Progress {
    offset: u64,
    /// The file has been made: it is never made a second time, or it would take the place of what was given its name.
    made: bool,
    /// Counts those who append: the latest one alone may.
    turn: u64,
    /// Of all bytes up to the offset; none after a restart.
    digest: Option<Sha256>,
    open: Option<File>,
    /// The hash of all bytes, once all are here.
    whole: Option<Hash>,
    placed: bool,
    /// How many orphans had ever been deleted when the upload began; none after a restart.
    swept: Option<u64>,
    done: Option<Hash>,
}

/// Where what a client said of an upload is kept, beside its file.
fn metadata_of(folder: &Path, id: &str) -> PathBuf {
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
    /// SHA-256.
    Sha256(Box<Sha256>, Vec<u8>),
}

impl Checksum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(digest, _) => sha1::Digest::update(digest.as_mut(), bytes),
            Self::Sha256(digest, _) => digest.update(bytes),
        }
    }

    fn fits(self) -> bool {
        match self {
            Self::Sha1(digest, wanted) => sha1::Digest::finalize(*digest).as_slice() == wanted,
            Self::Sha256(digest, wanted) => digest.finalize().as_slice() == wanted,
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
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new(info: Info, file: PathBuf, progress: Progress) -> Arc<Self> {
        let (busy, waiting) = (Arc::default(), watch::Sender::new(0));
        Arc::new(Self { info, file, progress: Mutex::new(progress), busy, waiting })
    }

    /// Opens the file, which is made once.
    fn reopen(&self, progress: &mut Progress) -> io::Result<File> {
        if !progress.made && !self.info.metadata.is_empty() {
            std::fs::write(self.metadata(), &self.info.metadata)?;
        }
        let open = OpenOptions::new().write(true).create_new(!progress.made).open(&self.file)?;
        progress.made = true;
        Ok(open)
    }

    fn metadata(&self) -> PathBuf {
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
        self.lock().done
    }

    /// How many orphans had ever been deleted when the upload began, if it began in this life of the server.
    #[must_use]
    pub fn swept_before(&self) -> Option<u64> {
        self.lock().swept
    }

    /// Notes that the attachment is listed.
    pub fn set_done(&self, hash: Hash) {
        let mut progress = self.lock();
        (progress.done, progress.offset) = (Some(hash), self.info.length);
    }

    /// Takes a turn at a byte; whoever had one before may append no more.
    ///
    /// # Errors
    /// [`AppendError::Offset`].
    pub fn append(self: &Arc<Self>, offset: u64, checksum: Option<Checksum>) -> Result<Append, AppendError> {
        let mut progress = self.lock();
        if offset != progress.offset {
            return Err(AppendError::Offset(progress.offset));
        }
        progress.turn += 1;
        let (turn, before) = (progress.turn, progress.digest.clone());
        drop(progress);
        Ok(Append { upload: self.clone(), turn, from: offset, before, checksum })
    }

    /// The hash of a whole upload whose bytes are safe on the disk, and whether they are in their place already.
    ///
    /// # Errors
    /// If the file fails.
    pub(super) fn digest(&self) -> Result<(Hash, bool), DepotError> {
        let mut progress = self.lock();
        if let Some(hash) = progress.done {
            return Ok((hash, true));
        }
        // Nobody appends from here on.
        progress.turn += 1;
        progress.open = None;
        let hash = match progress.whole {
            Some(hash) => hash,
            None => hash_of(&mut File::open(&self.file)?)?,
        };
        progress.whole = Some(hash);
        Ok((hash, progress.placed))
    }

    /// Whether the hash is known without a look at the file.
    pub(super) fn is_hashed(&self) -> bool {
        self.lock().whole.is_some()
    }

    /// The name of the file.
    pub(super) fn file_name(&self) -> String {
        self.info.file_name()
    }

    pub(super) fn placed(&self) {
        self.lock().placed = true;
        // There may never have been any.
        let _ = std::fs::remove_file(self.metadata());
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
        let offset = progress.offset;
        let mut file = match progress.open.take() {
            Some(file) => file,
            None => upload.reopen(&mut progress)?,
        };
        let written =
            file.seek(SeekFrom::Start(offset)).and_then(|_| pieces.iter().try_for_each(|piece| file.write_all(piece)));
        if let Err(error) = written {
            // A full disk: what the file holds beyond the offset does not count.
            let _ = file.set_len(offset);
            return Err(error.into());
        }
        progress.open = Some(file);
        progress.offset = end;
        for piece in pieces {
            if let Some(digest) = &mut progress.digest {
                digest.update(piece);
            }
            if let Some(checksum) = &mut self.checksum {
                checksum.update(piece);
            }
        }
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
        let fits = !is_whole || self.checksum.is_none_or(Checksum::fits);
        if progress.placed {
            // The bytes are where they belong: a request without any changes nothing.
            return if fits { Ok(progress.offset) } else { Err(AppendError::Checksum) };
        }
        let file = match progress.open.take() {
            Some(file) => file,
            // Nothing has come, or nothing is to come.
            None => self.upload.reopen(&mut progress)?,
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

/// All uploads under way.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Arc<Upload>>>,
}

impl Incoming {
    /// Finds what was under way when the server ended; a command beside a server looks at nothing.
    pub(super) fn open(folder: PathBuf, serves: bool) -> Result<Self, DepotError> {
        let (mut known, mut said) = (BTreeMap::new(), Vec::new());
        if !serves {
            return Ok(Self { folder, known: Mutex::new(known) });
        }
        for entry in std::fs::read_dir(&folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|ending| ending == METADATA) {
                said.push(file);
                continue;
            }
            let Some(mut info) = file.file_name().and_then(|name| Info::from_file_name(name.to_str()?)) else {
                continue;
            };
            // What a full disk left beyond the end is no part of it.
            let offset = std::fs::metadata(&file)?.len().min(info.length);
            info.metadata = std::fs::read_to_string(metadata_of(&folder, &info.id)).unwrap_or_default();
            let progress = Progress { offset, made: true, ..Progress::default() };
            known.insert(info.id.clone(), Upload::new(info, file, progress));
        }
        // What was said of an upload that has ended, or whose file was never made.
        said.retain(|file| !file.file_stem().is_some_and(|id| known.contains_key(&*id.to_string_lossy())));
        said.iter().try_for_each(std::fs::remove_file)?;
        Ok(Self { folder, known: Mutex::new(known) })
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Upload>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up what was not finished in time.
    pub fn give_up(&self, now_ms: i64) {
        let expired = |upload: &&Arc<Upload>| upload.info.expires_ms() <= now_ms;
        let expired: Vec<_> = self.known().values().filter(expired).cloned().collect();
        expired.iter().for_each(|upload| self.remove(upload));
    }

    /// Begins an upload; its file comes with its first bytes. The oldest goes of a device that has too many under way.
    pub fn begin(&self, info: Info, swept: u64) -> Arc<Upload> {
        let progress = Progress { digest: Some(Sha256::new()), swept: Some(swept), ..Progress::default() };
        self.add(info, progress)
    }

    fn add(&self, info: Info, progress: Progress) -> Arc<Upload> {
        self.give_up(info.begun_ms);
        for old in self.superfluous(info.device) {
            self.remove(&old);
        }
        let file = self.folder.join(info.file_name());
        let upload = Upload::new(info, file, progress);
        self.known().insert(upload.info.id.clone(), upload.clone());
        upload
    }

    /// Takes an upload as done that needs no bytes: the device has a right to what is here already.
    pub fn begin_done(&self, info: Info, hash: Hash) -> Arc<Upload> {
        let progress = Progress { offset: info.length, done: Some(hash), placed: true, ..Progress::default() };
        self.add(info, progress)
    }

    fn superfluous(&self, device: i64) -> Vec<Arc<Upload>> {
        let known = self.known();
        let mut own: Vec<_> = known.values().filter(|upload| upload.info.device == device).collect();
        // What is done is only remembered for a client that did not hear of it.
        own.sort_by_key(|upload| (upload.done().is_none(), upload.info.begun_ms));
        let surplus = own.len().saturating_sub(MOST - 1);
        own.into_iter().take(surplus).cloned().collect()
    }

    /// An upload of a device that the same bytes were announced for, and that is not done.
    #[must_use]
    pub fn under_way(&self, like: &Info) -> Option<Arc<Upload>> {
        let is_like = |upload: &&Arc<Upload>| {
            let Info { device, length, hash, .. } = upload.info;
            (device, length, hash) == (like.device, like.length, like.hash) && hash.is_some()
        };
        let known = self.known();
        let mut found: Vec<_> = known.values().filter(is_like).filter(|upload| upload.done().is_none()).collect();
        found.sort_by_key(|upload| upload.offset());
        found.last().map(|upload| Arc::clone(upload)).filter(|upload| upload.info.expires_ms() > like.begun_ms)
    }

    /// An upload by its name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Upload>> {
        self.known().get(id).cloned()
    }

    /// Forgets an upload with its bytes, if they are not in their place.
    pub fn remove(&self, upload: &Upload) {
        self.known().remove(&upload.info.id);
        let mut progress = upload.lock();
        // Whoever still appends may no more.
        progress.turn += 1;
        progress.open = None;
        // They may be in their place, or never have been made.
        let _ = std::fs::remove_file(&upload.file);
        let _ = std::fs::remove_file(upload.metadata());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(incoming: &Incoming, id: &str, device: i64, begun_ms: i64) -> Arc<Upload> {
        let upload = incoming
            .begin(Info { id: id.into(), device, length: 10, hash: None, begun_ms, metadata: String::new() }, 0);
        upload.append(0, None).unwrap().end(false).unwrap();
        upload
    }

    fn sha1(bytes: &[u8]) -> Checksum {
        Checksum::Sha1(Box::default(), sha1::Digest::finalize(sha1::Sha1::new_with_prefix(bytes)).to_vec())
    }

    #[test]
    fn an_upload_goes_on_where_its_file_ends_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        let upload = begin(&incoming, "one", 1, 0);
        let mut append = upload.append(0, None).unwrap();
        append.write(&[b"abc".as_slice().into()]).unwrap();
        assert_eq!(append.end(false).unwrap(), 3);
        drop((upload, incoming));

        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        let upload = incoming.find("one").unwrap();
        assert!(matches!(upload.append(2, None), Err(AppendError::Offset(3))));
        let mut append = upload.append(3, None).unwrap();
        append.write(&[b"defghij".as_slice().into()]).unwrap();
        assert!(matches!(append.write(&[b"k".as_slice().into()]), Err(AppendError::TooLong)));
        append.end(true).unwrap();
        assert_eq!(upload.digest().unwrap().0, Hash(Sha256::digest(b"abcdefghij").into()));
    }

    #[test]
    fn bytes_with_another_checksum_are_thrown_away_and_only_those() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        let upload = begin(&incoming, "one", 1, 0);
        for (bytes, announced, after) in [(b"abcde", b"abcde", 5), (b"fghix", b"fghij", 5), (b"fghij", b"fghij", 10)] {
            let from = upload.offset();
            let mut append = upload.append(from, Some(sha1(announced))).unwrap();
            append.write(&[bytes.as_slice().into()]).unwrap();
            assert_eq!(append.end(true).is_ok(), bytes == announced);
            assert_eq!(upload.offset(), after);
        }
        assert_eq!(upload.digest().unwrap().0, Hash(Sha256::digest(b"abcdefghij").into()));
    }

    #[test]
    fn who_comes_later_goes_on_and_who_was_cut_off_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        let upload = begin(&incoming, "one", 1, 0);
        let mut first = upload.append(0, None).unwrap();
        first.write(&[b"ab".as_slice().into()]).unwrap();
        let mut second = upload.append(2, None).unwrap();
        assert!(matches!(first.write(&[b"c".as_slice().into()]), Err(AppendError::Overtaken)));
        second.write(&[b"cd".as_slice().into()]).unwrap();
        assert!(matches!(first.end(true), Err(AppendError::Overtaken)));
        assert_eq!(second.end(true).unwrap(), 4);
    }

    #[test]
    fn a_file_that_was_given_its_place_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        let upload = begin(&incoming, "one", 1, 0);
        let mut append = upload.append(0, None).unwrap();
        append.write(&[b"abcdefghij".as_slice().into()]).unwrap();
        append.end(true).unwrap();
        // Given its place between two requests, and before the upload knows of it.
        std::fs::rename(&upload.file, folder.path().join("placed")).unwrap();
        assert!(upload.append(10, None).unwrap().end(true).is_err());
        upload.placed();
        let mut append = upload.append(10, None).unwrap();
        append.write(&[]).unwrap();
        assert_eq!(append.end(true).unwrap(), 10);
        assert!(!upload.file.exists());
    }

    #[test]
    fn what_expired_and_what_is_too_much_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
        begin(&incoming, "other", 2, 0);
        for number in 0..=i64::try_from(MOST).unwrap() {
            begin(&incoming, &format!("n{number}"), 1, number);
        }
        assert!(incoming.find("n0").is_none() && incoming.find("n1").is_some() && incoming.find("other").is_some());
        begin(&incoming, "late", 3, LIFE_MS);
        assert!(incoming.find("other").is_none() && incoming.find("n1").is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), MOST + 1);
    }
}
