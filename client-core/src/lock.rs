//! One sync at a time on a device's database, whoever started it, and one sending of photos beside it: locks of the operating
//! system on files beside it.
//!
//! They end with the process that holds them, however that ends. The files stay and are empty: removing one would let two
//! processes hold two locks of one name. A host without files brings its own.

use crate::error::Error;
use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind::Unsupported},
    path::{Path, PathBuf},
};

/// What is done by one process at a time.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Sending and receiving answers.
    Answers,
    /// Sending and receiving the bytes of photos and files.
    Photos,
}

/// The right to do that on one database; given back when dropped.
#[derive(Debug)]
pub(crate) struct SyncLock(#[expect(dead_code, reason = "closing it ends the lock")] Option<File>);

impl SyncLock {
    /// Takes the lock for answers of a database that is there. Photos under way don't hold it.
    ///
    /// # Errors
    /// [`Error::Syncing`] if somebody else holds it.
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        Self::take_for(database, Work::Answers)
    }

    /// Takes the lock for photos of a database that is there.
    ///
    /// # Errors
    /// [`Error::Syncing`] if somebody else holds it.
    pub(crate) fn take_for_photos(database: &Path) -> Result<Self, Error> {
        Self::take_for(database, Work::Photos)
    }

    fn take_for(database: &Path, work: Work) -> Result<Self, Error> {
        let failed = |error: io::Error| failed(database, work, &error);
        let file = open(database, work)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Some(file))),
                // A disk that knows no locks: two syncs at once cost bytes, no sync at all costs answers.
                Err(TryLockError::Error(error)) if error.kind() == Unsupported => return Ok(Self(None)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            // Somebody who only looks whether it is held is gone in a moment; who holds it is not.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(failed)?,
                Err(TryLockError::WouldBlock) => return Err(Error::Syncing),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Whether answers of a database are being sent or received.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub(crate) fn is_held(database: &Path) -> Result<bool, Error> {
        match open(database, Work::Answers)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) if error.kind() == Unsupported => Ok(false),
            Err(TryLockError::Error(error)) => Err(failed(database, Work::Answers, &error)),
        }
    }

    /// Waits until no answers of a database are being sent or received; blocks.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub(crate) fn wait(database: &Path) -> Result<(), Error> {
        open(database, Work::Answers)?.lock_shared().map_err(|error| failed(database, Work::Answers, &error))
    }
}

fn open(database: &Path, work: Work) -> Result<File, Error> {
    let file = File::options().create(true).truncate(false).write(true).open(beside(database, work));
    file.map_err(|error| failed(database, work, &error))
}

fn failed(database: &Path, work: Work, error: &io::Error) -> Error {
    Error::Lock(format!("{}: {error}", beside(database, work).display()))
}

/// The lock's file; links to one database lead to one lock.
fn beside(database: &Path, work: Work) -> PathBuf {
    let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    name.push(match work {
        Work::Answers => "-sync",
        Work::Photos => "-photos",
    });
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_sync_of_one_database_is_told_of_the_first_by_whichever_name() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("phone.sqlite"), folder.path().join("link.sqlite"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let first = SyncLock::take(&file)?;
        assert!(matches!(SyncLock::take(&file), Err(Error::Syncing)));
        assert!(matches!(SyncLock::take(&link), Err(Error::Syncing)));
        drop(first);
        SyncLock::take(&link)?;
        Ok(())
    }

    #[test]
    fn photos_hold_up_no_sync_of_answers_and_see_when_there_is_one() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("phone.sqlite");
        let _photos = SyncLock::take_for_photos(&file)?;
        assert!(matches!(SyncLock::take_for_photos(&file), Err(Error::Syncing)));
        assert!(!SyncLock::is_held(&file)?);
        let answers = SyncLock::take(&file)?;
        assert!(SyncLock::is_held(&file)?);
        let waits = std::thread::spawn({
            let file = file.clone();
            move || SyncLock::wait(&file).is_ok()
        });
        drop(answers);
        assert!(waits.join().unwrap() && !SyncLock::is_held(&file)?);
        Ok(())
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_syncing() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("phone.sqlite");
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    SyncLock::is_held(&file).unwrap();
                }
            });
            let taken = (0..2_000).all(|_| SyncLock::take(&file).is_ok());
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            looks.join().unwrap();
            assert!(taken);
        });
        Ok(())
    }
}
