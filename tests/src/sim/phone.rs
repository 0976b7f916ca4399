//! A simulated phone: a real device on a real database, and what happens to phones.

use super::{dice::Dice, disk};
use anyhow::{Context, Result};
use client_core::{Device, Host, host::Marked};
use rusqlite::OptionalExtension;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use sync_protocol::{
    Dot, Hash, RecordId, ReplicaId,
    chain::{digest, link},
};

/// The clock and the chance of a phone.
#[derive(Clone, Debug)]
pub struct Hand {
    /// The true time, in milliseconds since 1970.
    pub now_ms: i64,
    /// What the clock shows less what it should.
    pub offset_ms: i64,
    /// The clock stands still and shows this.
    pub frozen: Option<i64>,
    /// What this machine has marked outside the device's files; none where it keeps no marks.
    marks: Option<BTreeMap<ReplicaId, u64>>,
    dice: Dice,
}

impl Host for Hand {
    fn now_ms(&mut self) -> i64 {
        self.frozen.unwrap_or_else(|| self.now_ms.saturating_add(self.offset_ms))
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.dice.fill(buffer);
    }

    fn marked(&mut self, replica: ReplicaId) -> Marked {
        match &self.marks {
            Some(marks) => marks.get(&replica).map_or(Marked::Never, |seq| Marked::Through(*seq)),
            None => Marked::Unknown,
        }
    }

    fn mark(&mut self, replica: ReplicaId, seq: u64) {
        if let Some(marks) = &mut self.marks {
            marks.insert(replica, seq);
        }
    }
}

impl Hand {
    /// A phone's, whose clock is right. It keeps marks, or has no place for any.
    #[must_use]
    pub fn new(now_ms: i64, keeps_marks: bool, dice: &mut Dice) -> Self {
        let marks = keeps_marks.then(BTreeMap::new);
        Self { now_ms, offset_ms: 0, frozen: None, marks, dice: Dice::new(dice.roll()) }
    }
}

/// What is durable on a phone at a moment.
#[derive(Debug)]
pub(super) struct Moment {
    journal: disk::Mark,
    marks: Option<BTreeMap<ReplicaId, u64>>,
}

/// One life of a phone: a copy that comes alive is another one.
#[derive(Debug)]
pub struct Phone {
    /// Its place among all lives.
    pub life: usize,
    /// Its enumerator.
    pub who: String,
    /// Its token.
    pub token: String,
    /// It is still there.
    pub is_alive: bool,
    /// The files that were put away, and the books as they were then.
    pub backup: Option<(PathBuf, super::oracle::Life)>,
    folder: PathBuf,
    copies: u32,
    file: PathBuf,
    device: Option<Device<Hand>>,
}

impl Phone {
    /// A phone with an empty database.
    ///
    /// # Errors
    /// If the device can't be opened.
    pub fn new(folder: &Path, life: usize, who: &str, hand: Hand) -> Result<Self> {
        let mut phone = Self {
            life,
            who: who.to_owned(),
            token: String::new(),
            is_alive: true,
            backup: None,
            folder: folder.to_owned(),
            copies: 0,
            file: folder.join(format!("phone-{life}.sqlite")),
            device: None,
        };
        phone.device = Some(Device::open(&phone.file, hand)?);
        Ok(phone)
    }

    /// The device.
    ///
    /// # Errors
    /// If the phone is lost.
    pub fn device(&mut self) -> Result<&mut Device<Hand>> {
        self.device.as_mut().context("this phone is lost")
    }

    /// The bytes that the database holds under a dot.
    ///
    /// # Errors
    /// If the database fails.
    pub fn stored(&self, dot: Dot) -> Result<Option<Vec<u8>>> {
        let conn = rusqlite::Connection::open(&self.file)?;
        // Of what was freed, and came back folded into a snapshot, there are none.
        let query = "SELECT bytes FROM change WHERE replica = ?1 AND seq = ?2 AND length(bytes) > 0";
        Ok(conn.query_row(query, rusqlite::params![dot.replica.0, dot.seq], |row| row.get(0)).optional()?)
    }

    /// Whether a record is here as the server told that it stood.
    ///
    /// # Errors
    /// If the database fails.
    pub fn has_snapshot(&self, record: RecordId) -> Result<bool> {
        let conn = rusqlite::Connection::open(&self.file)?;
        Ok(conn.prepare("SELECT 1 FROM snapshot WHERE record = ?1")?.exists([record.0])?)
    }

    /// What the database can prove of others' changes: where each stands in its author's chain.
    ///
    /// # Errors
    /// If the database fails.
    pub fn proved(&self) -> Result<BTreeMap<Hash, Dot>> {
        let conn = rusqlite::Connection::open(&self.file)?;
        let mut spans = conn.prepare("SELECT replica, first, last, before, after FROM proof")?;
        let mut digests = conn.prepare(
            "SELECT bytes, NULL FROM change WHERE replica = ?1 AND seq = ?2 AND length(bytes) > 0
             UNION ALL SELECT NULL, digest FROM withheld WHERE replica = ?1 AND seq = ?2",
        )?;
        let mut proved = BTreeMap::new();
        let mut rows = spans.query([])?;
        while let Some(row) = rows.next()? {
            let (replica, first, last): (ReplicaId, u64, u64) = (ReplicaId(row.get(0)?), row.get(1)?, row.get(2)?);
            let mut hash = Hash(row.get(3)?);
            let mut here = BTreeMap::new();
            for seq in first..=last {
                let found = digests.query_row(rusqlite::params![replica.0, seq], |row| {
                    Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?))
                });
                let digest = match found.optional()? {
                    Some((Some(bytes), _)) => {
                        let digest = digest(&bytes);
                        here.insert(link(hash, replica, seq, digest), Dot { replica, seq });
                        digest
                    }
                    Some((None, Some(withheld))) => Hash(withheld),
                    // It was dropped with its household: the batch can't be given whole.
                    Some((None, None)) | None => {
                        here.clear();
                        break;
                    }
                };
                hash = link(hash, replica, seq, digest);
            }
            // Where another life of a copied phone has the number by now, the span leads elsewhere: it proves nothing any more.
            if hash != Hash(row.get(4)?) {
                here.clear();
            }
            proved.append(&mut here);
        }
        Ok(proved)
    }

    fn next_file(&mut self) -> PathBuf {
        self.copies += 1;
        self.folder.join(format!("phone-{}-{}.sqlite", self.life, self.copies))
    }

    /// Notes how long the database's journal is, and what is marked.
    ///
    /// # Errors
    /// If the phone is lost.
    pub(super) fn moment(&mut self) -> Result<Moment> {
        Ok(Moment { journal: disk::mark(&self.file), marks: self.device()?.host().marks.clone() })
    }

    /// Is killed in the last transaction since a moment, of which so many thousandths reached the disk; comes back.
    ///
    /// # Errors
    /// If the device can't be opened again: nothing excuses that.
    pub(super) fn crash(&mut self, before: Moment, thousandths: u64) -> Result<()> {
        let to = self.next_file();
        disk::copy_torn(&self.file, &to, before.journal, thousandths)?;
        let mut hand = self.device()?.host().clone();
        // A save is marked when its commit is through, a new replica before it has written anything.
        for (replica, seq) in hand.marks.iter_mut().flatten() {
            *seq = before.marks.as_ref().and_then(|marks| marks.get(replica)).copied().unwrap_or(0);
        }
        self.device = None;
        disk::remove(&self.file);
        self.file = to;
        self.device = Some(Device::open(&self.file, hand)?);
        Ok(())
    }

    /// Copies the database as it stands: the name of the copy.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn copy(&mut self) -> Result<PathBuf> {
        let to = self.next_file();
        disk::copy(&self.file, &to)?;
        Ok(to)
    }

    /// Another phone on a copied database: its chance goes its own way, its clock is the copied phone's; it was marked nowhere.
    ///
    /// # Errors
    /// If the disk fails or the device can't be opened.
    pub fn from_copy(&mut self, copy: &Path, life: usize, dice: &mut Dice) -> Result<Self> {
        let file = self.folder.join(format!("phone-{life}.sqlite"));
        disk::copy(copy, &file)?;
        let mut hand = self.device()?.host().clone();
        hand.dice = Dice::new(dice.roll());
        hand.marks = hand.marks.map(|_| BTreeMap::new());
        Ok(Self {
            life,
            who: self.who.clone(),
            token: self.token.clone(),
            is_alive: true,
            backup: None,
            folder: self.folder.clone(),
            copies: 0,
            device: Some(Device::open(&file, hand)?),
            file,
        })
    }

    /// Is lost with all that is on it.
    pub fn lose(&mut self) {
        self.is_alive = false;
        self.device = None;
    }

    /// Fills the disk up to what is stored now and a little more, or frees it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn bound_disk(&mut self, bytes_left: Option<u64>) -> Result<()> {
        let used = std::fs::metadata(&self.file).map(|file| file.len()).unwrap_or(0);
        self.device()?.limit_bytes(bytes_left.map_or(u64::MAX, |left| used.saturating_add(left)))?;
        Ok(())
    }
}
