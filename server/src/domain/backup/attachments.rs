//! The bytes of attachments in backups: a folder beside the copies, shared by all of them, since bytes never change.

use super::{Failure, failed, look};
use crate::{
    depot::{Depot, DepotError, FOLDER, hash_of},
    store::{AttachmentRow, Tx},
};
use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use sync_protocol::Hash;

/// Attachments that are read from a list at once.
const PAGE: usize = 1000;
/// What keeps a backup and a sweep apart.
const LOCK: &str = "attachments.lock";

/// Keeps backups and sweeps of a data directory apart, until the file is dropped.
///
/// # Errors
/// If the file can't be made.
pub fn lock(data: &Path) -> Result<File, Failure> {
    let path = data.join(LOCK);
    let held = File::create(&path).and_then(|file| file.lock().map(|()| file));
    held.map_err(|error| failed(&path, &error))
}

/// Where the bytes of an attachment are in a folder of copies.
fn place(folder: &Path, hash: Hash) -> PathBuf {
    let name = hash.to_string();
    folder.join(FOLDER).join(name.get(..2).unwrap_or_default()).join(name)
}

/// Calls `look` with every attachment that a store lists.
fn each(tx: Tx<'_>, mut look: impl FnMut(AttachmentRow) -> Result<(), Failure>) -> Result<u64, Failure> {
    let (mut after, mut count) = (None, 0);
    if !tx.knows_attachments()? {
        return Ok(count);
    }
    loop {
        let page = tx.attachments(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.hash);
        for row in page {
            look(row)?;
            count += 1;
        }
    }
}

/// A photo or file that a copy lists and whose bytes are not there, or are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The SHA-256 that its bytes should have.
    pub hash: Hash,
    /// What is wrong.
    pub why: String,
}

impl Lacking {
    /// Says what is wrong with the bytes of a hash.
    #[must_use]
    pub fn of(hash: Hash, error: DepotError) -> Self {
        let why = match error {
            DepotError::Missing => "its bytes are missing".to_owned(),
            DepotError::Io(error) if error.kind() == io::ErrorKind::NotFound => "its bytes are missing".to_owned(),
            DepotError::OtherHash => "it has other bytes".to_owned(),
            error @ (DepotError::Io(_)
            | DepotError::Store(_)
            | DepotError::Address(_)
            | DepotError::Ended
            | DepotError::Unreached) => error.to_string(),
        };
        Self { hash, why }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attachment {}: {}", self.hash, self.why)
    }
}

/// What is right, and what is not; one that is wrong keeps none of the others from being looked at.
#[derive(Debug, Default)]
struct Found {
    right: u64,
    lacking: Vec<Lacking>,
}

impl Found {
    fn note(&mut self, hash: Hash, found: Result<(), DepotError>) {
        match found {
            Ok(()) => self.right += 1,
            Err(error) => self.lacking.push(Lacking::of(hash, error)),
        }
    }
}

/// Whether a file has the bytes of a hash.
fn check(file: &Path, hash: Hash) -> Result<(), DepotError> {
    if hash_of(&mut File::open(file)?)? == hash { Ok(()) } else { Err(DepotError::OtherHash) }
}

/// Copies what a copy of the database lists and the folder does not hold with its hash; each is hashed on the way.
pub(super) fn copy(copy: &Path, folder: &Path, depot: &Depot) -> Result<(u64, Vec<Lacking>), Failure> {
    // A store that can't be reached at all is not waited for once a photo.
    let reached = depot.wait(depot.has(Hash::default())).map(drop);
    let mut found = Found::default();
    let copied = |hash: Hash, file: &Path| -> Result<(), DepotError> {
        super::durable_folder(file.parent().unwrap_or(folder))?;
        let unfinished = file.with_extension("unfinished");
        let _ = std::fs::remove_file(&unfinished);
        super::private(&unfinished)?;
        depot.wait(depot.copy_to(hash, &unfinished)).inspect_err(|_| {
            let _ = std::fs::remove_file(&unfinished);
        })?;
        Ok(super::rename(&unfinished, file)?)
    };
    look(copy, |tx| {
        each(tx, |row| {
            let file = place(folder, row.hash);
            let kept = match (check(&file, row.hash), &reached) {
                (Err(_), Ok(())) => copied(row.hash, &file),
                (kept, _) => kept,
            };
            found.note(row.hash, kept);
            Ok(())
        })
    })?;
    if let Err(error) = reached {
        eprintln!("tenun-server: {error}: photos and files that are new in it are not copied");
    }
    Ok((found.right, found.lacking))
}

/// Looks whether the bytes of every attachment that a copy lists are in the folder, each with its hash.
pub(super) fn verify(tx: Tx<'_>, folder: &Path) -> Result<(u64, Vec<Lacking>), Failure> {
    let mut found = Found::default();
    each(tx, |row| {
        found.note(row.hash, check(&place(folder, row.hash), row.hash));
        Ok(())
    })?;
    Ok((found.right, found.lacking))
}

/// Brings back the bytes that a restored database lists; what has them nowhere is taken off its list, so that its devices
/// offer it again. What the store holds besides stays, and is listed again: a change that names it may come back from a phone. So may
/// one that names what is listed: all of it counts as stored now, so that a sweep waits for whoever may have named it.
pub(super) fn bring(tx: Tx<'_>, folder: &Path, depot: &Depot, now_ms: i64) -> Result<(u64, Vec<Lacking>), Failure> {
    let (mut found, mut listed) = (Found::default(), BTreeSet::new());
    // What a sweep was about to delete when the copy was taken may have been sent again since.
    tx.attachments_swept()?.into_iter().try_for_each(|hash| tx.end_attachment_sweep(hash))?;
    let held = depot.wait(depot.objects());
    each(tx, |row| {
        found.note(
            row.hash,
            match &held {
                Ok(_) => depot.wait(depot.bring(row.hash, &place(folder, row.hash))).map(drop),
                Err(_) => Err(DepotError::Unreached),
            },
        );
        listed.insert(row.hash);
        tx.put_attachment(row, None, now_ms)?;
        Ok(())
    })?;
    match held {
        Ok(held) => {
            found.lacking.iter().try_for_each(|lacking| tx.forget_attachment(lacking.hash))?;
            for (hash, size) in held {
                if !listed.contains(&hash) && depot.wait(async { Ok(depot.holds(hash).await) })? {
                    tx.put_attachment(AttachmentRow { hash, size }, None, now_ms)?;
                }
            }
        }
        // It is not known to have lost anything: what is listed stays so.
        Err(error) => eprintln!("tenun-server: {error}: what it holds was not looked at"),
    }
    Ok((found.right, found.lacking))
}

/// Removes from a folder of copies what none of its copies lists any more.
pub(super) fn prune(folder: &Path) -> Result<(), Failure> {
    let io = |error: io::Error| failed(folder, &error);
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "sqlite") {
            look(&path, |tx| {
                each(tx, |row| {
                    named.insert(row.hash);
                    Ok(())
                })
            })?;
        }
    }
    let shelves = folder.join(FOLDER);
    if !shelves.is_dir() {
        return Ok(());
    }
    for shelf in std::fs::read_dir(&shelves).map_err(io)? {
        for entry in std::fs::read_dir(shelf.map_err(io)?.path()).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let hash = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Hash>().ok());
            if hash.is_none_or(|hash| !named.contains(&hash)) {
                std::fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
            }
        }
    }
    Ok(())
}
