//! Power cuts: the real programs write, what they do to their files is recorded, and disks are built as a power cut may
//! leave them.
//!
//! A disk keeps what was synced, and of the rest any part: each write is cut into sectors of 512 bytes and each sector is there or
//! not, on its own; names of files that were made, renamed or removed are there or not until their folder is synced.
//! That is more than most disks do, and all that they promise. The recording is done by `tests/powerloss/record.c`, which
//! is preloaded into the programs: Linux only.

mod disk;

pub use disk::Disk;

use anyhow::{Context, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The smallest piece that a disk writes whole, in bytes.
const SECTOR: u64 = 512;

/// What makes programs write down what they do to files.
#[derive(Debug)]
pub struct Recorder {
    below: PathBuf,
    library: PathBuf,
    journal: PathBuf,
}

impl Recorder {
    /// Builds the recorder for files below a folder; none where it can't work.
    ///
    /// # Errors
    /// If the C compiler fails.
    pub fn new(below: &Path, folder: &Path) -> Result<Option<Self>> {
        if !cfg!(target_os = "linux") {
            return Ok(None);
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("powerloss/record.c");
        let (library, journal) = (folder.join("record.so"), folder.join("journal"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let built = compiler.arg(&library).arg(&source).arg("-ldl").output().context("cc")?;
        ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Ok(Some(Self { below: below.to_owned(), library, journal }))
    }

    /// What a program needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("TENUN_RECORD_DIR", self.below.clone()),
            ("TENUN_RECORD_JOURNAL", self.journal.clone()),
        ]
    }

    /// How far the journal goes: everything that was done before this call is before it.
    ///
    /// # Errors
    /// If nothing was recorded yet.
    pub fn position(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.journal).context("nothing was recorded")?.len())
    }

    /// What was recorded so far.
    ///
    /// # Errors
    /// If the journal is none.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let bytes = std::fs::read(&self.journal)?;
        let (mut entries, mut at) = (Vec::new(), 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (deed, length) = read(rest, &self.below).context("a journal that breaks off")?;
            at += length;
            entries.push(Entry { end: u64::try_from(at)?, deed });
        }
        Ok(entries)
    }
}

/// One thing that a program did.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the journal was when it was done.
    pub end: u64,
    /// What it was.
    pub deed: Deed,
}

/// What a program did; names are relative to the folder that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Made a file, which has this number from now on.
    Made(u64, PathBuf),
    /// Wrote bytes at an offset.
    Wrote(u64, u64, Vec<u8>),
    /// Cut a file to a length, or stretched it.
    Cut(u64, u64),
    /// Synced a file.
    Synced(u64),
    /// Synced the names in a folder.
    SyncedNames(PathBuf),
    /// Gave a file another name.
    Renamed(PathBuf, PathBuf),
    /// Gave a file a second name.
    Linked(PathBuf, PathBuf),
    /// Removed a name.
    Removed(PathBuf),
    /// Made a folder.
    MadeFolder(PathBuf),
    /// Was about to tell somebody something.
    Prints,
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(take(bytes, 8)?.try_into().ok()?))
}

fn size(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_ne_bytes(take(bytes, 4)?.try_into().ok()?)).ok()
}

/// Reads one entry, and how long it is.
fn read(bytes: &[u8], below: &Path) -> Option<(Deed, usize)> {
    let mut rest = bytes;
    let kind = *take(&mut rest, 1)?.first()?;
    let (file, offset) = (number(&mut rest)?, number(&mut rest)?);
    let (name, data) = (size(&mut rest)?, size(&mut rest)?);
    let path = |bytes: &[u8]| Some(Path::new(std::str::from_utf8(bytes).ok()?).strip_prefix(below).ok()?.to_owned());
    let name = take(&mut rest, name)?;
    let data = take(&mut rest, data)?;
    let deed = match kind {
        b'C' => Deed::Made(file, path(name)?),
        b'W' => Deed::Wrote(file, offset, data.to_vec()),
        b'T' => Deed::Cut(file, offset),
        b'S' => Deed::Synced(file),
        b'D' => Deed::SyncedNames(path(name)?),
        b'R' => Deed::Renamed(path(name)?, path(data)?),
        b'L' => Deed::Linked(path(name)?, path(data)?),
        b'U' => Deed::Removed(path(name)?),
        b'M' => Deed::MadeFolder(path(name)?),
        b'O' => Deed::Prints,
        _ => return None,
    };
    Some((deed, bytes.len() - rest.len()))
}
