//! A simulated world: one server, its devices, the network's letters, and time that only events move.

use super::{
    dice::Dice,
    laws::SEEN,
    office::{self, Office},
    oracle::{Oracle, Shown},
    phone::{Hand, Phone},
    plan::{Act, Event, Shape, Weather},
};
use anyhow::{Context, Result};
use client_core::Hub;
use server::domain::review::Resolution;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use sync_protocol::{Code, Dot, RecordId, ReplicaId, Value, chain::PublicKey};

/// Where a world's time begins.
const BEGINNING: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A request that the network keeps.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The token that came with it.
    pub token: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// A conflict as a coordinator saw it.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The record.
    pub record: RecordId,
    /// What would be decided.
    pub resolution: Resolution,
    /// The values that were shown.
    pub shown: Vec<Value>,
}

/// A simulated world.
#[derive(Debug)]
pub struct World {
    /// Its shape.
    pub shape: Shape,
    /// What goes wrong; calm once everything is to settle.
    pub weather: Weather,
    /// The server.
    pub office: Office,
    /// Every life of every device.
    pub phones: Vec<Phone>,
    /// The account.
    pub oracle: Oracle,
    /// Letters under way.
    pub mail: Vec<Letter>,
    /// What was done, and what went wrong, by kind.
    pub tally: BTreeMap<&'static str, u64>,
    /// The true time.
    pub now_ms: i64,
    /// What the server's clock shows less what it should.
    pub office_offset_ms: i64,
    /// The areas that each enumerator was assigned at some time.
    pub assigned: BTreeMap<String, BTreeSet<String>>,
    /// What stood in each area's bucket before a restore: a device may have pulled it.
    pub stood: BTreeMap<String, BTreeSet<Dot>>,
    /// What coordinators have looked at.
    pub looked: Vec<Looked>,
    /// The hubs' meetings, by life.
    pub hubs: BTreeMap<usize, Hub>,
    /// How far a hub has told a guest that it holds its changes, by their lives; and what the guest was called.
    pub hub_acks: BTreeMap<(usize, usize), u64>,
    /// What a guest said to a hub last that is safe on the server, by their lives.
    pub safe: BTreeMap<(usize, usize), u64>,
    /// What each guest was called when it met a hub last.
    pub named: BTreeMap<usize, Option<(ReplicaId, PublicKey)>>,
    /// Replies of hubs that a liar remembers.
    pub overheard: Vec<Vec<u8>>,
    /// Numbers the answers, so that each is one of its kind.
    pub answers: u64,
    folder: PathBuf,
    dice: Dice,
}

impl World {
    /// Sets a world up in a folder.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn new(folder: &Path, seed: u64, shape: Shape) -> Result<Self> {
        let mut dice = Dice::new(seed ^ 0x5DEE_CE66);
        let office = Office::open(folder, &shape, &mut dice, BEGINNING)?;
        let mut world = Self {
            shape,
            weather: shape.weather,
            office,
            phones: Vec::new(),
            oracle: Oracle::default(),
            mail: Vec::new(),
            tally: BTreeMap::new(),
            now_ms: BEGINNING,
            office_offset_ms: 0,
            assigned: BTreeMap::new(),
            stood: BTreeMap::new(),
            looked: Vec::new(),
            hubs: BTreeMap::new(),
            hub_acks: BTreeMap::new(),
            safe: BTreeMap::new(),
            named: BTreeMap::new(),
            overheard: Vec::new(),
            answers: 0,
            folder: folder.to_owned(),
            dice,
        };
        for number in 0..shape.phones {
            let who = office::enumerator(number % shape.enumerators);
            let mut dice = Dice::new(world.dice.roll());
            world.enrol(&who, &mut dice)?;
        }
        for number in 0..shape.hubs {
            let mut dice = Dice::new(seed ^ u64::try_from(number)? ^ 0x48_55_42);
            world.enrol(&office::leader(number), &mut dice)?;
        }
        world.note_assignments()?;
        Ok(world)
    }

    /// Counts something that was done or went wrong.
    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// The phone of a life.
    ///
    /// # Errors
    /// If there is none.
    pub fn phone(&mut self, life: usize) -> Result<&mut Phone> {
        self.phones.get_mut(life).context("no such life")
    }

    /// What the server's clock shows.
    #[must_use]
    pub fn office_ms(&self) -> i64 {
        self.now_ms.saturating_add(self.office_offset_ms)
    }

    /// Lets a little time pass, for a phone, too.
    ///
    /// # Errors
    /// If the phone is lost.
    pub fn pass(&mut self, life: usize, ms: i64) -> Result<()> {
        self.now_ms = self.now_ms.saturating_add(ms);
        let now_ms = self.now_ms;
        self.phone(life)?.device()?.host().now_ms = now_ms;
        Ok(())
    }

    /// Enrols a new phone of an enumerator: its life.
    ///
    /// # Errors
    /// If the device fails.
    pub fn enrol(&mut self, who: &str, dice: &mut Dice) -> Result<usize> {
        let life = self.phones.len();
        let mut phone = Phone::new(&self.folder, life, who, Hand::new(self.now_ms, self.shape.marks, dice))?;
        let ask = phone.device()?.enrolment(&format!("CODE-{life}"), &format!("phone {life}"))?;
        let now_ms = self.office_ms();
        let answer = self.office.enrol(who, &ask, now_ms)?;
        phone.device()?.enrolled("sim", &answer)?;
        phone.token.clone_from(&answer.token);
        self.phones.push(phone);
        self.oracle.lives.push(super::oracle::Life::default());
        Ok(life)
    }

    /// Enrols a phone again whose enrolment the server forgot in a restore; false where a copy of it did so before.
    ///
    /// # Errors
    /// If the device fails.
    pub fn enrol_again(&mut self, life: usize) -> Result<bool> {
        self.count("phone: enrolled again after a restore");
        let (now_ms, who) = (self.office_ms(), self.phone(life)?.who.clone());
        let again = self.tally.values().sum::<u64>();
        let ask = self.phone(life)?.device()?.enrolment(&format!("AGAIN-{life}-{again}"), "again")?;
        match self.office.enrol(&who, &ask, now_ms) {
            Ok(answer) => {
                let phone = self.phone(life)?;
                phone.device()?.enrolled("sim", &answer)?;
                phone.token.clone_from(&answer.token);
                Ok(true)
            }
            Err(failure) if office::problem_code(&failure) == Some(Code::WrongReplica) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Notes who is assigned what, before anybody may have heard of it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn note_assignments(&mut self) -> Result<()> {
        let people = (0..self.shape.enumerators).map(office::enumerator);
        for who in people.chain((0..self.shape.hubs).map(office::leader)) {
            let conn = self.office.connection()?;
            let mut query = conn
                .prepare(&format!("SELECT code FROM {SEEN} JOIN area ON area.id = seen.area WHERE enumerator = ?1"))?;
            let codes = query.query_map([&who], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            self.assigned.entry(who).or_default().extend(codes);
        }
        Ok(())
    }

    /// Reads what is durable on a phone into the books.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_books(&mut self, life: usize, shown: &Shown) -> Result<()> {
        let Self { phones, oracle, .. } = self;
        oracle.read(life, phones.get_mut(life).context("no such life")?.device()?, shown)
    }

    /// The life of the so-manieth phone that is alive, if any is.
    fn alive(&self, number: usize) -> Option<usize> {
        let alive: Vec<usize> = self.phones.iter().filter(|phone| phone.is_alive).map(|phone| phone.life).collect();
        alive.get(number.checked_rem(alive.len())?).copied()
    }

    /// Lets one event happen.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn happen(&mut self, event: Event) -> Result<()> {
        let mut dice = Dice::new(event.seed);
        let morning = BEGINNING + i64::from(event.day + 1) * DAY;
        if self.now_ms < morning {
            self.now_ms = morning;
            self.note_reached()?;
        }
        self.now_ms += dice.between(1, 10 * MINUTE);
        let Some(life) = self.alive(event.phone) else { return Ok(()) };
        self.pass(life, MINUTE)?;
        match event.act {
            Act::Work => self.work(life, &mut dice),
            Act::Night => self.night(life, &mut dice).map(|_| ()),
            Act::Clock => self.set_clock(life, &mut dice),
            Act::Clone => self.clone_phone(life, &mut dice),
            Act::Backup => self.back_up(life),
            Act::Restore => self.restore(life, &mut dice),
            Act::Reinstall => self.reinstall(life, &mut dice),
            Act::PhoneDisk => {
                let left = dice.chance(600).then(|| dice.roll() % 40_000);
                self.count("phone: disk full or freed");
                self.phone(life)?.bound_disk(left)
            }
            Act::Mail => self.deliver_late(&mut dice),
            Act::Meet => self.meet_some_hub(life, &mut dice),
            Act::Garbage => self.garbage(life, &mut dice),
            Act::Stranger => self.stranger(life, &mut dice),
            Act::Give
            | Act::Take
            | Act::Lead
            | Act::Unlead
            | Act::FirstVisit
            | Act::Link
            | Act::Unlink
            | Act::Publish
            | Act::LoadArea
            | Act::Revoke
            | Act::Look
            | Act::Decide
            | Act::Remark
            | Act::Release
            | Act::ReleaseBranch
            | Act::Crash
            | Act::ServerBackup
            | Act::ServerRestore
            | Act::ServerClock
            | Act::ServerDisk => self.at_the_office(event.act, life, &mut dice),
        }
    }

    fn set_clock(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        if !self.shape.clocks {
            return Ok(());
        }
        let years = dice.between(-20, 20) * 365 * DAY;
        let hand = self.phone(life)?.device()?.host();
        let kind = match dice.below(5) {
            0 => {
                (hand.offset_ms, hand.frozen) = (0, None);
                "clock: set right"
            }
            1 => {
                hand.offset_ms = dice.between(-DAY, DAY);
                "clock: hours off"
            }
            2 => {
                hand.frozen = Some(hand.now_ms.saturating_add(hand.offset_ms));
                "clock: frozen"
            }
            3 => {
                hand.offset_ms = hand.offset_ms.saturating_add(dice.between(-5 * DAY, 5 * DAY));
                "clock: jumped"
            }
            _ => {
                (hand.offset_ms, hand.frozen) = (years, None);
                "clock: years off"
            }
        };
        self.count(kind);
        Ok(())
    }

    fn clone_phone(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        self.count("phone: cloned");
        let books = self.oracle.lives.get(life).cloned().unwrap_or_default();
        let copy = self.phone(life)?.copy()?;
        self.come_alive(life, &copy, books, dice)
    }

    fn back_up(&mut self, life: usize) -> Result<()> {
        let books = self.oracle.lives.get(life).cloned().unwrap_or_default();
        let phone = self.phone(life)?;
        phone.backup = Some((phone.copy()?, books));
        Ok(())
    }

    fn restore(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        let Some((copy, books)) = self.phone(life)?.backup.clone() else { return Ok(()) };
        self.count("phone: restored from a copy");
        self.come_alive(life, &copy, books, dice)?;
        self.phone(life)?.lose();
        Ok(())
    }

    fn come_alive(&mut self, life: usize, copy: &Path, books: super::oracle::Life, dice: &mut Dice) -> Result<()> {
        let new = self.phones.len();
        let phone = self.phone(life)?.from_copy(copy, new, dice)?;
        self.phones.push(phone);
        self.oracle.lives.push(books);
        self.read_books(new, &Shown::new())
    }

    fn reinstall(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        self.count("phone: re-installed");
        let who = self.phone(life)?.who.clone();
        self.office.bound_disk(None)?;
        self.enrol(&who, dice)?;
        self.phone(life)?.lose();
        Ok(())
    }
}
