//! A simulated phone: a real device on a real database, and what happens to phones.

use super::{dice::Dice, disk};
use anyhow::{Context, Result};
use client_core::{Device, Host};
use rusqlite::OptionalExtension;
use std::path::{Path, PathBuf};
use sync_protocol::Dot;

/// The clock and the chance of a phone.
#[derive(Clone, Debug)]
pub struct Hand {
    /// The true time, in milliseconds since 1970.
    pub now_ms: i64,
    /// What the clock shows less what it should.
    pub offset_ms: i64,
    /// The clock stands still and shows this.
    pub frozen: Option<i64>,
    dice: Dice,
}

impl Host for Hand {
    fn now_ms(&mut self) -> i64 {
        self.frozen.unwrap_or_else(|| self.now_ms.saturating_add(self.offset_ms))
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.dice.fill(buffer);
    }
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
    pub fn new(folder: &Path, life: usize, who: &str, now_ms: i64, dice: &mut Dice) -> Result<Self> {
        let hand = Hand { now_ms, offset_ms: 0, frozen: None, dice: Dice::new(dice.roll()) };
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
        let query = "SELECT bytes FROM change WHERE replica = ?1 AND seq = ?2";
        Ok(conn.query_row(query, rusqlite::params![dot.replica.0, dot.seq], |row| row.get(0)).optional()?)
    }

    fn next_file(&mut self) -> PathBuf {
        self.copies += 1;
        self.folder.join(format!("phone-{}-{}.sqlite", self.life, self.copies))
    }

    /// Notes how long the database's journal is.
    #[must_use]
    pub(super) fn mark(&self) -> disk::Mark {
        disk::mark(&self.file)
    }

    /// Is killed in the last transaction since the mark, of which so many thousandths reached the disk; comes back.
    ///
    /// # Errors
    /// If the device can't be opened again: nothing excuses that.
    pub(super) fn crash(&mut self, mark: disk::Mark, thousandths: u64) -> Result<()> {
        let to = self.next_file();
        disk::copy_torn(&self.file, &to, mark, thousandths)?;
        let hand = self.device()?.host().clone();
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

    /// Another phone on a copied database: its chance goes its own way, its clock is the copied phone's.
    ///
    /// # Errors
    /// If the disk fails or the device can't be opened.
    pub fn from_copy(&mut self, copy: &Path, life: usize, dice: &mut Dice) -> Result<Self> {
        let file = self.folder.join(format!("phone-{life}.sqlite"));
        disk::copy(copy, &file)?;
        let mut hand = self.device()?.host().clone();
        hand.dice = Dice::new(dice.roll());
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
