//! One sync at a time on a device's database, whoever started it: a lock of the operating system on a file beside it.
//!
//! It ends with the process that holds it, however that ends. The file stays and is empty: removing it would let two
//! processes hold two locks of one name. A host without files brings its own.

use crate::error::Error;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

/// The right to sync one database; given back when dropped.
#[derive(Debug)]
pub(crate) struct SyncLock(#[expect(dead_code, reason = "closing it ends the lock")] Option<File>);

impl SyncLock {
    /// Takes the lock of a database that is there.
    ///
    /// # Errors
    /// [`Error::Syncing`] if somebody else holds it.
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Lock(format!("{}: {error}", beside(database).display()));
        let file = File::options().create(true).truncate(false).write(true).open(beside(database)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(Error::Syncing),
            // A disk that knows no locks: two syncs at once cost bytes, no sync at all costs answers.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(Self(None)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// The lock's file; links to one database lead to one lock.
fn beside(database: &Path) -> PathBuf {
    let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    name.push("-sync");
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
}
