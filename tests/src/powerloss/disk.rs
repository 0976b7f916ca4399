//! What a disk holds: what was synced for certain, the rest by chance.

use super::{Deed, Entry, SECTOR};
use crate::sim::dice::Dice;
use anyhow::Result;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// One file's bytes, whatever it is called.
#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// Done since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Wrote(u64, Vec<u8>),
    Cut(u64),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder,
}

/// A change of names that its folder's sync makes durable; a rename within one folder is one change.
#[derive(Clone, Debug)]
struct Naming {
    folder: PathBuf,
    removes: Option<PathBuf>,
    adds: Option<(PathBuf, Node)>,
}

/// A disk under a running program.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    contents: Vec<Content>,
    /// The files by their numbers of today: a number is given again.
    numbers: BTreeMap<u64, usize>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    unsynced_names: Vec<Naming>,
}

fn folder_of(name: &Path) -> PathBuf {
    name.parent().map(Path::to_owned).unwrap_or_default()
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    if let Some(place) = content.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// The pieces of a write that a disk writes whole.
fn sectors(mut offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(at(SECTOR - offset % SECTOR).min(bytes.len()));
        pieces.push((offset, piece));
        offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        bytes = rest;
    }
    pieces
}

impl Disk {
    /// A disk on which some folders were made long ago.
    #[must_use]
    pub fn with_folders(folders: &[&str]) -> Self {
        let names: BTreeMap<_, _> = folders.iter().map(|name| (PathBuf::from(name), Node::Folder)).collect();
        Self { durable_names: names.clone(), names, ..Self::default() }
    }

    /// Lets one thing be done to it.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.deed {
            Deed::Made(number, name) => {
                self.numbers.insert(*number, self.contents.len());
                let node = Node::File(self.contents.len());
                self.contents.push(Content::default());
                self.name(Naming { folder: folder_of(name), removes: None, adds: Some((name.clone(), node)) });
            }
            Deed::Wrote(number, offset, bytes) => self.change(*number, Change::Wrote(*offset, bytes.clone())),
            Deed::Cut(number, length) => self.change(*number, Change::Cut(*length)),
            Deed::Synced(number) => {
                if let Some(content) = self.content(*number) {
                    for change in std::mem::take(&mut content.unsynced) {
                        match change {
                            Change::Wrote(offset, bytes) => write(&mut content.durable, at(offset), &bytes),
                            Change::Cut(length) => content.durable.resize(at(length), 0),
                        }
                    }
                }
            }
            Deed::SyncedNames(folder) => {
                let all = std::mem::take(&mut self.unsynced_names);
                for naming in all {
                    if naming.folder == *folder {
                        rename(&mut self.durable_names, &naming);
                    } else {
                        self.unsynced_names.push(naming);
                    }
                }
            }
            Deed::Renamed(from, to) => {
                let Some(node) = self.names.get(from).copied() else { return };
                let (old, new) = (folder_of(from), folder_of(to));
                if old == new {
                    self.name(Naming { folder: old, removes: Some(from.clone()), adds: Some((to.clone(), node)) });
                } else {
                    self.name(Naming { folder: new, removes: None, adds: Some((to.clone(), node)) });
                    self.name(Naming { folder: old, removes: Some(from.clone()), adds: None });
                }
            }
            Deed::Linked(from, to) => {
                let Some(node) = self.names.get(from).copied() else { return };
                self.name(Naming { folder: folder_of(to), removes: None, adds: Some((to.clone(), node)) });
            }
            Deed::Removed(name) => {
                self.name(Naming { folder: folder_of(name), removes: Some(name.clone()), adds: None });
            }
            Deed::MadeFolder(name) => {
                let adds = Some((name.clone(), Node::Folder));
                self.name(Naming { folder: folder_of(name), removes: None, adds });
            }
            Deed::Prints => {}
        }
    }

    fn name(&mut self, naming: Naming) {
        rename(&mut self.names, &naming);
        self.unsynced_names.push(naming);
    }

    fn content(&mut self, number: u64) -> Option<&mut Content> {
        self.contents.get_mut(*self.numbers.get(&number)?)
    }

    fn change(&mut self, number: u64, change: Change) {
        if let Some(content) = self.content(number) {
            content.unsynced.push(change);
        }
    }

    /// The power is cut: writes what is left into a folder. Of what was not synced, so many thousandths are there.
    ///
    /// # Errors
    /// If the real disk fails.
    pub fn cut_power(&self, thousandths: u32, dice: &mut Dice, to: &Path) -> Result<()> {
        let mut names = self.durable_names.clone();
        for naming in &self.unsynced_names {
            if dice.chance(thousandths) {
                rename(&mut names, naming);
            }
        }
        std::fs::create_dir_all(to)?;
        // A folder stands before what is in it.
        for (name, node) in &names {
            let is_reached = name.parent().is_none_or(|folder| to.join(folder).is_dir());
            match node {
                Node::Folder if is_reached => std::fs::create_dir_all(to.join(name))?,
                Node::File(number) if is_reached => {
                    let Some(content) = self.contents.get(*number) else { continue };
                    std::fs::write(to.join(name), content.left(thousandths, dice))?;
                }
                Node::Folder | Node::File(_) => {}
            }
        }
        Ok(())
    }
}

fn rename(names: &mut BTreeMap<PathBuf, Node>, naming: &Naming) {
    if let Some(name) = &naming.removes {
        names.remove(name);
    }
    if let Some((name, node)) = &naming.adds {
        names.insert(name.clone(), *node);
    }
}

impl Content {
    fn left(&self, thousandths: u32, dice: &mut Dice) -> Vec<u8> {
        let mut left = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Wrote(offset, bytes) => {
                    for (offset, piece) in sectors(*offset, bytes) {
                        if dice.chance(thousandths) {
                            write(&mut left, at(offset), piece);
                        }
                    }
                }
                Change::Cut(length) if dice.chance(thousandths) => left.resize(at(*length), 0),
                Change::Cut(_) => {}
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(deeds: Vec<Deed>) -> Disk {
        let mut disk = Disk::default();
        for deed in deeds {
            disk.apply(&Entry { end: 0, deed });
        }
        disk
    }

    fn left(disk: &Disk, thousandths: u32) -> BTreeMap<String, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        disk.cut_power(thousandths, &mut Dice::new(1), folder.path()).unwrap();
        let files =
            std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
    }

    #[test]
    fn a_disk_keeps_what_was_synced_and_the_rest_by_chance() {
        let name = PathBuf::from("a");
        let made = vec![Deed::Made(7, name.clone()), Deed::Wrote(7, 0, vec![1; 600])];
        assert!(left(&disk(made.clone()), 0).is_empty(), "no name without a sync of its folder");
        let mut named = made;
        named.push(Deed::SyncedNames(PathBuf::new()));
        assert_eq!(left(&disk(named.clone()), 0)["a"].len(), 0, "no byte without a sync of the file");
        named.push(Deed::Synced(7));
        named.push(Deed::Wrote(7, 512, vec![2; 512]));
        let synced = disk(named.clone());
        assert_eq!(left(&synced, 0)["a"], vec![1; 600]);
        assert_eq!(left(&synced, 1000)["a"], [vec![1; 512], vec![2; 512]].concat());
        named.push(Deed::Renamed(name.clone(), "b".into()));
        assert!(left(&disk(named.clone()), 0).contains_key("a"));
        assert!(left(&disk(named.clone()), 1000).contains_key("b"));
        // The number is given again: the old file is another one.
        named.extend([Deed::SyncedNames(PathBuf::new()), Deed::Made(7, name), Deed::Synced(7)]);
        assert_eq!(left(&disk(named), 0)["b"], vec![1; 600]);
    }
}
