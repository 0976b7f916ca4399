//! Databases as a crash leaves them: copies of the files, the journal torn inside the last transaction.

use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How long a journal was before a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    journal: u64,
    touched: Option<SystemTime>,
}

fn journal(database: &Path) -> PathBuf {
    let mut name: OsString = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Notes how long the journal of a database is.
#[must_use]
pub(super) fn mark(database: &Path) -> Mark {
    Mark {
        journal: fs::metadata(journal(database)).map(|file| file.len()).unwrap_or(0),
        touched: fs::metadata(database).and_then(|file| file.modified()).ok(),
    }
}

/// Copies a database that is open, as it stands on the disk.
///
/// # Errors
/// If the disk fails.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{}", from.display()))?;
    if journal(from).exists() {
        fs::copy(journal(from), journal(to))?;
    }
    Ok(())
}

/// Copies a database as a crash during its last transaction leaves it: of what the journal grew by since the mark,
/// so many thousandths reached the disk.
///
/// A journal that began again, or was folded into the database meanwhile, is taken whole: the crash came later.
///
/// # Errors
/// If the disk fails.
pub(super) fn copy_torn(from: &Path, to: &Path, since: Mark, thousandths: u64) -> Result<()> {
    copy(from, to)?;
    let now = mark(from);
    if now.touched == since.touched && now.journal > since.journal && thousandths < 1000 {
        let kept = since.journal + (now.journal - since.journal) * thousandths / 1000;
        fs::OpenOptions::new().write(true).open(journal(to))?.set_len(kept)?;
    }
    Ok(())
}

/// Removes a database that is closed.
pub(super) fn remove(database: &Path) {
    for file in [database.to_owned(), journal(database)] {
        // What is left over goes with the folder.
        let _ = fs::remove_file(file);
    }
}
