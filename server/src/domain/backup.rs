//! Copies of the store: taken beside a running server, proved from end to end, brought back as a new epoch.
//!
//! What a verified copy holds is what devices are told to be safe (DESIGN §5, rule 9; law L6).

mod attachments;

pub use attachments::{Lacking, lock};

use super::{Failure, identity::Identity, ingest};
use crate::store::{self, BackupRow, LogEnd, StoreError, Tx};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::{Path, PathBuf},
};
use sync_protocol::{
    Hash, ReplicaId,
    chain::{digest, link},
    problem::Code,
};

/// What a copy was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How far each replica's chain goes.
    pub heads: Vec<(ReplicaId, u64)>,
    /// How far the log goes.
    pub end: LogEnd,
    /// Changes, each of them with the hash that its author's chain gives it.
    pub changes: u64,
    /// Batches, each of them with its author's signature.
    pub batches: u64,
    /// Photos and files whose bytes lie beside it, each with its hash.
    pub attachments: u64,
    /// Those that it lists and whose bytes are not so: no answer depends on them.
    pub lacking: Vec<Lacking>,
    /// The life of the log that it is a copy of.
    pub epoch: String,
}

/// A copy that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where it is.
    pub file: PathBuf,
    /// What it holds.
    pub verified: Verified,
    /// Older ones that were removed.
    pub removed: Vec<String>,
    /// Older ones that somebody else removed: what they made safe counts no more.
    pub vanished: Vec<String>,
}

fn failed(file: &Path, error: &io::Error) -> Failure {
    Failure::problem(Code::Internal, format!("{}: {error}", file.display()))
}

/// Takes a copy into a folder, verifies it, and only then counts it and removes what is older than the last `keep`.
///
/// The bytes of photos and files follow after that: a copy of all answers counts whatever became of a photo, and says which
/// it lacks.
///
/// # Errors
/// If the copy can't be written or is not sound; the older ones are kept then.
pub fn take(data: &Path, folder: &Path, keep: usize, now_ms: i64, progress: impl FnMut(f64)) -> Result<Taken, Failure> {
    durable_folder(folder).map_err(|error| failed(folder, &error))?;
    let folder = folder.canonicalize().map_err(|error| failed(folder, &error))?;
    let file = folder.join(format!("tenun-{now_ms}.sqlite"));
    let unfinished = folder.join(format!("tenun-{now_ms}.unfinished"));
    remove_unfinished(&folder).map_err(|error| failed(&folder, &error))?;
    private(&unfinished).map_err(|error| failed(&unfinished, &error))?;
    // No sweep deletes meanwhile what the copy lists.
    let _held = attachments::lock(data)?;
    let depot = crate::state::depot(data, &mut store::open_writer(data)?, None)?;
    let verified =
        store::copy(data, &unfinished, progress).map_err(Failure::from).and_then(|()| look(&unfinished, verify_store));
    let mut verified = match verified {
        Ok(verified) => verified,
        Err(failure) => {
            // The older copies count on; this one would only mislead.
            let _ = std::fs::remove_file(&unfinished);
            return Err(failure);
        }
    };
    durable_rename(&unfinished, &file)?;
    let name = file.display().to_string();
    let mut conn = store::open_writer(data)?;
    let (removed, vanished) = store::in_transaction(&mut conn, |tx| {
        tx.insert_backup(&name, now_ms, &verified.heads, &verified.end)?;
        // What lies elsewhere is another schedule's, or on a disk that is not here now: it counts on.
        let here = tx.backups()?.into_iter().filter(|backup| Path::new(&backup.file).parent() == Some(&folder));
        let (there, vanished): (Vec<BackupRow>, Vec<BackupRow>) =
            here.partition(|backup| Path::new(&backup.file).try_exists().unwrap_or(true));
        let surplus = there.len().saturating_sub(keep.max(1));
        let removed: Vec<BackupRow> = there.into_iter().take(surplus).collect();
        for backup in removed.iter().chain(&vanished) {
            tx.forget_backup(backup.id)?;
        }
        Ok::<_, Failure>((removed, vanished))
    })?;
    // First what they make safe counts no more, then they go.
    for backup in &removed {
        std::fs::remove_file(&backup.file).map_err(|error| failed(Path::new(&backup.file), &error))?;
    }
    (verified.attachments, verified.lacking) = attachments::copy(&file, &folder, &depot)?;
    if !removed.is_empty() {
        attachments::prune(&folder)?;
    }
    let names = |backups: Vec<BackupRow>| backups.into_iter().map(|backup| backup.file).collect();
    Ok(Taken { file, verified, removed: names(removed), vanished: names(vanished) })
}

/// Removes what copies that were broken off left behind.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tenun-"));
        if is_ours && path.extension().is_some_and(|ending| ending.to_string_lossy().starts_with("unfinished")) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes an empty file that only its owner reads: a copy holds the server's key and all answers.
fn private(file: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// Makes a folder and those around it that are not there, each with its name on the disk when this returns.
fn durable_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let around = folder.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    durable_folder(around)?;
    std::fs::create_dir(folder)?;
    File::open(around)?.sync_all()
}

/// Gives a file its name for good: its bytes and then the name are on the disk when this returns.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    std::fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn durable_rename(from: &Path, to: &Path) -> Result<(), Failure> {
    rename(from, to).map_err(|error| failed(to, &error))
}

/// Proves a copy: the file is sound, every chain is whole, every batch is signed by its author. Which of the photos and files
/// that it lists lie beside it with their hashes, and which do not, is part of what is found.
///
/// # Errors
/// What is wrong with it, first of all.
pub fn verify(file: &Path) -> Result<Verified, Failure> {
    look(file, |tx| {
        let mut verified = verify_store(tx)?;
        (verified.attachments, verified.lacking) = attachments::verify(tx, file.parent().unwrap_or(Path::new("")))?;
        Ok(verified)
    })
}

/// Looks into a copy.
fn look<T>(file: &Path, looks: impl FnOnce(Tx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    store::in_snapshot(&mut store::open_copy(file)?, looks)
}

fn wrong(what: String) -> Failure {
    Failure::problem(Code::Internal, format!("this is no sound backup: {what}"))
}

fn verify_store(tx: Tx<'_>) -> Result<Verified, Failure> {
    if let Some(damage) = tx.damage()? {
        return Err(wrong(damage));
    }
    let mut verified = Verified {
        heads: Vec::new(),
        end: tx.log_end()?,
        changes: 0,
        batches: 0,
        attachments: 0,
        lacking: Vec::new(),
        epoch: Identity::epoch(tx)?.unwrap_or_default(),
    };
    for replica in tx.replicas()? {
        let row = tx.replica(replica)?.ok_or(StoreError::Corrupt("a replica"))?;
        // What is apart from the chain joins it when its author or somebody else brings what is missing.
        let mut batches = tx.batches_over(&row, 1, row.head)?;
        batches.retain(|(span, _)| span.last <= row.head);
        // The hashes at the ends of batches are all that is kept of a chain.
        let mut ends: BTreeMap<u64, Hash> = BTreeMap::from([(0, Hash::default())]);
        let wanted: BTreeSet<u64> =
            batches.iter().flat_map(|(span, _)| [span.first.saturating_sub(1), span.last]).collect();
        let (mut seq, mut hash) = (0, Hash::default());
        let mut broken = None;
        tx.each_change(&row, |at, stored, bytes| {
            (seq, hash) = (seq + 1, link(hash, replica, seq + 1, digest(bytes)));
            if (at, stored) != (seq, hash) && broken.is_none() {
                broken = Some(at);
            }
            if wanted.contains(&seq) {
                ends.insert(seq, hash);
            }
            Ok(())
        })?;
        if let Some(at) = broken.or(((seq, hash) != (row.head, row.head_hash)).then_some(seq)) {
            return Err(wrong(format!("the chain of {replica} is broken at change {at}")));
        }
        for (span, signature) in &batches {
            let end = |seq: u64| ends.get(&seq);
            let fits = end(span.first.saturating_sub(1)) == Some(&span.before) && end(span.last) == Some(&span.after);
            if !fits || !span.is_signed(signature, &row.key) {
                return Err(wrong(format!(
                    "the batch {} to {} of {replica} is not its author's",
                    span.first, span.last
                )));
            }
        }
        verified.heads.push((replica, row.head));
        verified.changes += row.head;
        verified.batches += u64::try_from(batches.len()).unwrap_or(u64::MAX);
    }
    Ok(verified)
}

/// What a restore did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What was brought back.
    pub verified: Verified,
    /// The new life of the log.
    pub epoch: String,
    /// Where the database that was there before is now, if there was one.
    pub aside: Option<PathBuf>,
}

/// Brings a copy back as the store of a data directory; what was there is moved aside, never deleted.
///
/// Photos and files come back with it, those whose bytes are right in one of the two places; of the others a record says that
/// they are still to come, and the devices that have them offer them again.
///
/// A new epoch begins, under a new replica of the server: devices notice that the log is shorter than it was, and send
/// again what it lacks. The caller holds the data directory's lock, so that no server runs on it.
///
/// # Errors
/// If the copy is not sound or a file can't be moved; the store is as it was then.
pub fn restore(data: &Path, from: &Path, now_ms: i64) -> Result<Restored, Failure> {
    let mut verified = look(from, verify_store)?;
    let incoming = data.join(store::RESTORING);
    let copied = (|| -> io::Result<()> {
        // Of a restore that was broken off, the journal too: it would be played into this copy.
        for part in parts_of(&incoming) {
            std::fs::remove_file(part)?;
        }
        private(&incoming)?;
        std::fs::copy(from, &incoming)?;
        File::open(&incoming)?.sync_all()
    })();
    copied.map_err(|error| failed(&incoming, &error))?;
    // The new epoch begins in the copy, so that the data directory never holds a log that continues an old one.
    let mut conn = store::open_file(&incoming)?;
    let depot = crate::state::depot(data, &mut conn, None)?;
    let folder = from.parent().unwrap_or(Path::new(""));
    let epoch = store::in_transaction(&mut conn, |tx| {
        (verified.attachments, verified.lacking) = attachments::bring(tx, folder, &depot, now_ms)?;
        let epoch = Identity::begin_epoch(tx, now_ms)?;
        ingest::bring_back_all(tx)?;
        Ok::<_, Failure>(epoch)
    })?;
    store::close_into_one_file(conn)?;
    let aside = set_aside(data, now_ms)?;
    durable_rename(&incoming, &store::file(data))?;
    Ok(Restored { verified, epoch, aside })
}

/// The files of a database that are there: its journals first.
fn parts_of(file: &Path) -> Vec<PathBuf> {
    let named = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["-wal", "-shm", "-journal", ""].into_iter().map(named).filter(|part| part.exists()).collect()
}

/// Moves the database with its journal to a folder of its own: all of it is there for good before anything is taken away
/// here, and all is taken away for good when this returns, so that no journal is left to be played into another file.
fn set_aside(data: &Path, now_ms: i64) -> Result<Option<PathBuf>, Failure> {
    let parts = parts_of(&store::file(data));
    if parts.is_empty() {
        return Ok(None);
    }
    let folder = data.join(format!("before-restore-{now_ms}"));
    let moved = (|| -> io::Result<()> {
        durable_folder(&folder)?;
        for part in &parts {
            let to = folder.join(part.file_name().unwrap_or_default());
            // Not every file system has second names for a file.
            std::fs::hard_link(part, &to).or_else(|_| std::fs::copy(part, &to).map(drop))?;
            File::open(&to)?.sync_all()?;
        }
        File::open(&folder)?.sync_all()?;
        parts.iter().try_for_each(std::fs::remove_file)?;
        File::open(data)?.sync_all()
    })();
    moved.map_err(|error| failed(&folder, &error))?;
    Ok(Some(folder))
}
