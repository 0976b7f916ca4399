//! The bytes of attachments in backups: a folder beside the copies, shared by all of them, since bytes never change.

use super::{Failure, failed, wrong};
use crate::{
    depot::{Depot, FOLDER, hash_of},
    store::{self, AttachmentRow, Tx},
};
use std::{
    collections::BTreeSet,
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

/// Copies what a copy of the database lists and the folder does not hold yet; each is hashed on the way.
pub(super) fn copy(copy: &Path, folder: &Path, depot: &Depot) -> Result<(), Failure> {
    let mut conn = store::open_copy(copy)?;
    let transaction = conn.transaction().map_err(store::StoreError::from)?;
    each(Tx::new(&transaction), |row| {
        let file = place(folder, row.hash);
        if std::fs::metadata(&file).is_ok_and(|found| found.len() == row.size) {
            return Ok(());
        }
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        let unfinished = file.with_extension("unfinished");
        depot.wait(depot.copy_to(row.hash, &unfinished))?;
        super::durable_rename(&unfinished, &file)
    })?;
    Ok(())
}

/// Proves that the bytes of every attachment that a copy lists are in the folder, each with its hash.
pub(super) fn verify(tx: Tx<'_>, folder: &Path) -> Result<u64, Failure> {
    each(tx, |row| {
        let found = File::open(place(folder, row.hash)).and_then(|mut file| hash_of(&mut file));
        match found {
            Ok(hash) if hash == row.hash => Ok(()),
            Ok(_) => Err(wrong(format!("attachment {} has other bytes", row.hash))),
            Err(error) => Err(wrong(format!("attachment {} can't be read: {error}", row.hash))),
        }
    })
}

/// Brings back the bytes that a restored database lists. What the store holds besides stays, and is listed again: a change
/// that names it may come back from a phone.
pub(super) fn bring(tx: Tx<'_>, folder: &Path, depot: &Depot, now_ms: i64) -> Result<(), Failure> {
    let mut listed = BTreeSet::new();
    each(tx, |row| {
        depot.wait(depot.bring(row.hash, &place(folder, row.hash)))?;
        listed.insert(row.hash);
        Ok(())
    })?;
    for (hash, size) in depot.wait(depot.objects())? {
        if !listed.contains(&hash) {
            tx.put_attachment(AttachmentRow { hash, size }, None, now_ms)?;
        }
    }
    Ok(())
}

/// Removes from a folder of copies what none of its copies lists any more.
pub(super) fn prune(folder: &Path) -> Result<(), Failure> {
    let io = |error: io::Error| failed(folder, &error);
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "sqlite") {
            let mut conn = store::open_copy(&path)?;
            let transaction = conn.transaction().map_err(store::StoreError::from)?;
            each(Tx::new(&transaction), |row| {
                named.insert(row.hash);
                Ok(())
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
