//! The oracle: every save that was ever durable on a device, what its screen had shown, and every ack that was told.
//!
//! A save is named by its hash in its author's chain: a re-authored change leads back to the save that it replaces,
//! so that both count as one.

use super::phone::Hand;
use anyhow::Result;
use client_core::Device;
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Change, Dot, Hash, Path, RecordId, ReplicaId, Value,
    chain::{digest, link},
    engine::device::DeviceStore,
};

/// What a screen showed when something was saved: the values that the save may replace.
pub type Shown = BTreeMap<(RecordId, Path), Vec<Value>>;

/// One save of one life.
#[derive(Clone, Debug)]
pub struct Save {
    /// The dot that it was saved under.
    pub dot: Dot,
    /// The bytes as saved.
    pub bytes: Vec<u8>,
    /// The save that it says again.
    pub instead_of: Option<Hash>,
    /// What the screen showed.
    pub shown: Shown,
}

/// What one life of a device has authored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    replica: Option<ReplicaId>,
    /// The hashes of the changes of its replica of today.
    chain: Vec<Hash>,
    acked: u64,
    /// Every change that it authored itself, under whatever replica.
    own: BTreeSet<Hash>,
    /// The saves that it must bring home, by the hash of what was saved first.
    pub holds: BTreeSet<Hash>,
}

impl Life {
    /// Whether it authored this very change, not another that says the same.
    #[must_use]
    pub fn holds_itself(&self, hash: Hash) -> bool {
        self.own.contains(&hash)
    }
}

/// A law that did not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// What was seen.
    pub what: String,
}

/// The account of everything.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every save, by its hash.
    pub saves: BTreeMap<Hash, Save>,
    /// The lives of devices, by number.
    pub lives: Vec<Life>,
    /// What was told to be acked.
    pub acked: BTreeMap<(ReplicaId, u64), Hash>,
    /// What the server held and lost in a restore; some of it has come back since, and some of the dots mean something
    /// else now.
    pub lost: BTreeMap<Dot, BTreeSet<Vec<u8>>>,
    /// Hashes that the server was seen to hold.
    pub reached: BTreeSet<Hash>,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

impl Oracle {
    /// Notes that a law did not hold.
    pub fn broken(&mut self, law: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { law, what: what.into() });
    }

    /// The save that a change says again, at the end of the line.
    #[must_use]
    pub fn root(&self, hash: Hash) -> Hash {
        let mut at = hash;
        let mut steps = 0;
        while let Some(before) = self.saves.get(&at).and_then(|save| save.instead_of) {
            at = before;
            steps += 1;
            if steps > 1000 {
                break;
            }
        }
        at
    }

    /// The hashes of the first changes of a life's replica.
    #[must_use]
    pub fn chain_of(&self, life: usize, through: u64) -> Vec<Hash> {
        let through = usize::try_from(through).unwrap_or(usize::MAX);
        self.lives.get(life).map(|books| books.chain.iter().take(through).copied().collect()).unwrap_or_default()
    }

    /// Notes a save.
    pub fn note(&mut self, hash: Hash, dot: Dot, bytes: Vec<u8>, shown: Shown) {
        let instead_of = Change::from_stored(dot, &bytes).ok().and_then(|change| change.instead_of);
        self.saves.entry(hash).or_insert(Save { dot, bytes, instead_of, shown });
    }

    /// Brings the books of a life up to date with what is durable on its device.
    ///
    /// Nothing that was durable may be gone, and what the device takes for acked is noted.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(&mut self, life: usize, device: &mut Device<Hand>, shown: &Shown) -> Result<()> {
        let at = device.position()?;
        let mut books = self.lives.get(life).cloned().unwrap_or_default();
        if books.replica != Some(at.replica) {
            (books.replica, books.acked) = (Some(at.replica), 0);
            books.chain.clear();
        }
        let known = u64::try_from(books.chain.len())?;
        if at.last < known {
            self.broken("L2", format!("life {life}: {known} saves were durable, the device holds {}", at.last));
            books.chain.truncate(usize::try_from(at.last)?);
        }
        let acked_index = usize::try_from(at.acked_through)?.checked_sub(1);
        let mut previous = books.chain.last().copied().unwrap_or_default();
        if at.last > known {
            for (seq, bytes) in (known + 1..).zip(device.own_changes(known, usize::MAX)?) {
                previous = link(previous, at.replica, seq, digest(&bytes));
                books.chain.push(previous);
                self.note(previous, Dot { replica: at.replica, seq }, bytes, shown.clone());
                books.own.insert(previous);
                // What it says again it holds under the new name alone.
                let root = self.root(previous);
                if root != previous {
                    books.own.retain(|held| *held == previous || self.root(*held) != root);
                }
                books.holds.insert(self.root(previous));
            }
        }
        if let Some(hash) = acked_index.and_then(|index| books.chain.get(index))
            && *hash != at.acked_hash
        {
            self.broken("L1", format!("life {life}: change {} is another one than was saved", at.acked_through));
        }
        let safe = device.status()?.safe_through;
        if safe > at.acked_through {
            let acked = at.acked_through;
            self.broken("L6", format!("life {life}: {safe} changes are said to be safe, of {acked} that are acked"));
        }
        // A server that is behind tells a lower seq: that acks nothing, it says where to send from.
        let acked_before = books.acked.min(at.acked_through);
        for seq in acked_before + 1..=at.acked_through {
            let hash = usize::try_from(seq - 1).ok().and_then(|index| books.chain.get(index)).copied();
            let Some(hash) = hash else {
                self.broken("L1", format!("life {life}: change {seq} is acked and was never saved"));
                break;
            };
            let before = self.acked.insert((at.replica, seq), hash);
            if before.is_some_and(|before| before != hash) {
                self.broken("L1", format!("life {life}: {}:{seq} is acked to two branches", at.replica));
            }
        }
        books.acked = at.acked_through;
        if let Some(slot) = self.lives.get_mut(life) {
            *slot = books;
        }
        Ok(())
    }

    /// The saves that must be on the server in the end: those of lives that are not lost, and all that were acked.
    #[must_use]
    pub fn owed(&self, is_alive: impl Fn(usize) -> bool) -> BTreeSet<Hash> {
        let alive = self.lives.iter().enumerate().filter(|(life, _)| is_alive(*life));
        let mut owed: BTreeSet<Hash> = alive.flat_map(|(_, life)| life.holds.iter().copied()).collect();
        owed.extend(self.acked.values().map(|hash| self.root(*hash)));
        owed
    }
}
