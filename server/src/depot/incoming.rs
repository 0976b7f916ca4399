//! All uploads under way, by device.
//!
//! Everything here blocks: call it on the depot's threads.

use super::{
    DepotError,
    upload::{Info, METADATA, Progress, Upload, metadata_of},
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use sync_protocol::Hash;

/// Most uploads under way of one device; an older one makes room.
const MOST: usize = 64;
/// Most that are done: they are only remembered for a client that did not hear of it.
const DONE_MOST: usize = 8;
/// All uploads under way.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    known: Mutex<Known>,
}

/// Uploads by device and name: what one device does costs nothing of how many others there are.
type Known = BTreeMap<i64, BTreeMap<String, Arc<Upload>>>;

impl Incoming {
    /// Finds what was under way when the server ended; a command beside a server looks at nothing.
    pub(super) fn open(folder: PathBuf, serves: bool) -> Result<Self, DepotError> {
        let (mut known, mut ids, mut said) = (Known::new(), BTreeSet::new(), Vec::new());
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
            let progress = Progress { offset, made: true, said: !info.metadata.is_empty(), ..Progress::default() };
            ids.insert(info.id.clone());
            known.entry(info.device).or_default().insert(info.id.clone(), Upload::new(info, file, progress));
        }
        // What was said of an upload that has ended, or whose file was never made.
        said.retain(|file| !file.file_stem().is_some_and(|id| ids.contains(&*id.to_string_lossy())));
        said.iter().try_for_each(std::fs::remove_file)?;
        Ok(Self { folder, known: Mutex::new(known) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device's uploads.
    fn of(&self, device: i64) -> Vec<Arc<Upload>> {
        self.known().get(&device).map(|own| own.values().cloned().collect()).unwrap_or_default()
    }

    /// Gives up what was not finished in time.
    pub fn give_up(&self, now_ms: i64) {
        let all: Vec<_> = self.known().values().flat_map(BTreeMap::values).cloned().collect();
        all.iter().filter(|upload| upload.expires_ms() <= now_ms).for_each(|upload| self.remove(upload));
    }

    /// Begins an upload; its file comes with its first bytes. Of a device that has too many under way the oldest goes.
    pub fn begin(&self, info: Info, swept: u64) -> Arc<Upload> {
        let progress = Progress { digest: Some(Sha256::new()), swept: Some(swept), ..Progress::default() };
        self.add(info, progress)
    }

    fn add(&self, info: Info, progress: Progress) -> Arc<Upload> {
        let mut own = self.of(info.device);
        own.retain(|old| {
            let goes_on = old.expires_ms() > info.begun_ms;
            if !goes_on {
                self.remove(old);
            }
            goes_on
        });
        let (done, under_way): (Vec<_>, Vec<_>) = own.iter().partition(|upload| upload.done().is_some());
        for (some, most) in [(done, DONE_MOST), (under_way, MOST)] {
            if some.len() >= most {
                let oldest = some.iter().min_by_key(|upload| upload.info.begun_ms);
                oldest.iter().for_each(|oldest| self.remove(oldest));
            }
        }
        let file = self.folder.join(info.file_name());
        let upload = Upload::new(info, file, progress);
        self.known().entry(upload.info.device).or_default().insert(upload.info.id.clone(), upload.clone());
        upload
    }

    /// Takes an upload as done that needs no bytes: the device has a right to what is here already.
    pub fn begin_done(&self, info: Info, hash: Hash) -> Arc<Upload> {
        let begun_ms = info.begun_ms;
        let upload = self.add(info, Progress { placed: true, ..Progress::default() });
        upload.set_done(hash, begun_ms);
        upload
    }

    /// An upload of a device that the same bytes were announced for, and that is not done.
    #[must_use]
    pub fn under_way(&self, like: &Info) -> Option<Arc<Upload>> {
        let mut found = self.of(like.device);
        found.retain(|upload| {
            let Info { length, hash, .. } = upload.info;
            (length, hash) == (like.length, like.hash) && hash.is_some() && upload.done().is_none()
        });
        found.sort_by_key(|upload| upload.offset());
        found.pop().filter(|upload| upload.info.expires_ms() > like.begun_ms)
    }

    /// An upload of a device by its name.
    #[must_use]
    pub fn find(&self, device: i64, id: &str) -> Option<Arc<Upload>> {
        self.known().get(&device).and_then(|own| own.get(id)).cloned()
    }

    /// Forgets an upload with its bytes, if they are not in their place.
    pub fn remove(&self, upload: &Upload) {
        if let Some(own) = self.known().get_mut(&upload.info.device) {
            own.remove(&upload.info.id);
        }
        let mut progress = upload.lock();
        // Whoever still appends may no more.
        progress.turn += 1;
        progress.open = None;
        // What can't be deleted is found again at the next start.
        if progress.made && !progress.placed {
            let _ = std::fs::remove_file(&upload.file);
        }
        if progress.said {
            let _ = std::fs::remove_file(upload.metadata());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depot::upload::{AppendError, Checksum, LIFE_MS};

    fn begin(incoming: &Incoming, id: &str, device: i64, begun_ms: i64) -> Arc<Upload> {
        let upload = incoming
            .begin(Info { id: id.into(), device, length: 10, hash: None, begun_ms, metadata: String::new() }, 0);
        upload.append(0, None).unwrap().end(false).unwrap();
        upload
    }

    fn sha1(bytes: &[u8]) -> Checksum {
        Checksum::Sha1(Box::default(), sha1::Digest::finalize(sha1::Sha1::new_with_prefix(bytes)).to_vec())
    }

    fn sha256(bytes: &[u8]) -> Checksum {
        Checksum::Sha256(Some(Box::default()), Sha256::digest(bytes).to_vec())
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
        let upload = incoming.find(1, "one").unwrap();
        assert!(matches!(upload.append(2, None), Err(AppendError::Offset(3))));
        let mut append = upload.append(3, None).unwrap();
        append.write(&[b"defghij".as_slice().into()]).unwrap();
        assert!(matches!(append.write(&[b"k".as_slice().into()]), Err(AppendError::TooLong)));
        append.end(true).unwrap();
        assert_eq!(upload.digest().unwrap(), Hash(Sha256::digest(b"abcdefghij").into()));
    }

    #[test]
    fn bytes_with_another_checksum_are_thrown_away_and_only_those() {
        let parts =
            [(b"abcdx", b"abcde", 0), (b"abcde", b"abcde", 5), (b"fghix", b"fghij", 5), (b"fghij", b"fghij", 10)];
        for checksum in [sha1, sha256] {
            let folder = tempfile::tempdir().unwrap();
            let incoming = Incoming::open(folder.path().to_owned(), true).unwrap();
            let upload = begin(&incoming, "one", 1, 0);
            for (bytes, announced, after) in parts {
                let from = upload.offset();
                let mut append = upload.append(from, Some(checksum(announced))).unwrap();
                append.write(&[bytes.as_slice().into()]).unwrap();
                assert_eq!(append.end(true).is_ok(), bytes == announced);
                assert_eq!(upload.offset(), after);
            }
            assert_eq!(upload.digest().unwrap(), Hash(Sha256::digest(b"abcdefghij").into()));
        }
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
        assert!(incoming.find(1, "n0").is_none() && incoming.find(1, "n1").is_some());
        begin(&incoming, "late", 2, LIFE_MS);
        assert!(incoming.find(2, "other").is_none(), "of the device itself when it begins another one");
        begin(&incoming, "third", 3, 1);
        incoming.give_up(LIFE_MS + 1);
        assert!(incoming.find(3, "third").is_none() && incoming.find(1, "n1").is_none(), "of all from time to time");
        assert!(incoming.find(1, "n2").is_some() && incoming.find(2, "late").is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), MOST);
    }
}
