//! The real server in process: its store and its domain, without HTTP and threads, and the ways to kill it.

use super::{dice::Dice, disk, forms, plan::Shape};
use anyhow::{Context, Result, anyhow};
use rusqlite::Connection;
use server::{
    domain::{
        Failure, backup,
        catalogue::{Catalogue, load_questionnaire},
        identity::Identity,
        ingest::{self, Applied},
        people,
        prepare::{self, Prepared},
        pull::{self, Terms},
        snapshot::Patience,
    },
    store::{self, Device, FILE, StoreError, Tx},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use sync_protocol::{
    Code, Hash, Limits, ReplicaId,
    chain::{Adoption, SecretKey},
    problem::Problem,
    wire::{Enrol, Enrolled, RequestHeader},
};

/// Copies of the server's store that are kept.
const KEPT: usize = 2;

/// The server.
#[derive(Debug)]
pub struct Office {
    root: PathBuf,
    lives: u32,
    copies: u32,
    conn: Option<Connection>,
    catalogue: Arc<Catalogue>,
    identity: Arc<Identity>,
    limits: Limits,
}

/// A request that is committed and has no reply yet.
#[derive(Debug)]
pub struct Taken {
    device: Device,
    header: RequestHeader,
    applied: Applied,
    cut_off: bool,
}

/// The code of an area.
#[must_use]
pub fn area(number: usize) -> String {
    format!("5371041{number:03}.001")
}

/// The code of an enumerator.
#[must_use]
pub fn enumerator(number: usize) -> String {
    format!("KP{:03}", number + 1)
}

/// The area that team leaders lead.
const LED: &str = "5371041999.001";

/// The code of a team leader, whose devices are hubs.
#[must_use]
pub fn leader(number: usize) -> String {
    format!("KT{:03}", number + 1)
}

/// Whether somebody is a team leader.
#[must_use]
pub fn leads(who: &str) -> bool {
    who.starts_with("KT")
}

/// The server's own failure as a device hears of it.
#[must_use]
pub fn problem(failure: Failure) -> Problem {
    match failure {
        Failure::Problem(problem) => problem,
        Failure::Store(_) => Problem::new(Code::Internal, "try again later"),
    }
}

/// The code of a failure that is not the store's.
#[must_use]
pub fn problem_code(failure: &Failure) -> Option<Code> {
    match failure {
        Failure::Problem(problem) => Some(problem.code),
        Failure::Store(_) => None,
    }
}

impl Office {
    /// Sets a server up: areas, the first questionnaire, enumerators and what they are assigned.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(root: &Path, shape: &Shape, dice: &mut Dice, now_ms: i64) -> Result<Self> {
        let data = root.join("server-0");
        std::fs::create_dir_all(&data)?;
        let mut conn = store::open_writer(&data)?;
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        dice.fill(&mut id);
        dice.fill(&mut seed);
        let identity = store::in_transaction(&mut conn, |tx| {
            let replica = ReplicaId(uuid::Builder::from_random_bytes(id).into_uuid());
            // The names under which the server finds its identity: made here, since it would make one by real chance.
            tx.set_meta("server_replica", &replica.to_string())?;
            tx.set_meta("server_secret", &Hash(seed).to_string())?;
            tx.set_meta("epoch", "first")?;
            tx.insert_replica(replica, None, SecretKey::from_seed(seed).public(), None)?;
            Identity::load_or_make(tx)
        })?;
        let mut office = Self {
            root: root.to_owned(),
            lives: 0,
            copies: 0,
            conn: Some(conn),
            catalogue: Arc::default(),
            identity: Arc::new(identity),
            limits: Limits::default(),
        };
        office.publish(1, now_ms)?;
        office.write(|tx, _| {
            for number in 0..shape.areas {
                tx.put_area(&area(number), &format!("RT {number}"), "rt", None)?;
            }
            tx.raise_catalogue_version()?;
            for number in 0..shape.enumerators {
                tx.put_enumerator(&enumerator(number), &format!("Enumerator {number}"))?;
                tx.assign(&enumerator(number), &area(number % shape.areas), "1")?;
                tx.assign(&enumerator(number), &area(dice.below(shape.areas)), "1")?;
            }
            tx.put_area(LED, "The team's office", "rt", None)?;
            for number in 0..shape.hubs {
                tx.put_enumerator(&leader(number), &format!("Leader {number}"))?;
                // What makes them leaders is an area that nobody takes from them; all others are given and taken like anybody's.
                tx.lead(&leader(number), LED)?;
                tx.assign(&leader(number), LED, "1")?;
                for number_of_area in 0..shape.areas {
                    tx.assign(&leader(number), &area(number_of_area), "1")?;
                }
            }
            Ok(())
        })?;
        Ok(office)
    }

    fn data(&self) -> PathBuf {
        self.root.join(format!("server-{}", self.lives))
    }

    fn file(&self) -> PathBuf {
        self.data().join(FILE)
    }

    /// The connection, to look at tables or to bound the disk.
    ///
    /// # Errors
    /// Never: the server is open between events.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        self.conn.as_mut().context("the server is closed")
    }

    /// The server's own replica.
    #[must_use]
    pub fn replica(&self) -> ReplicaId {
        self.identity.replica
    }

    /// What ingest works with.
    fn world(&mut self) -> Result<ingest::World, StoreError> {
        let conn = self.conn.as_mut().ok_or(StoreError::Corrupt("the server is closed"))?;
        let tx = conn.transaction()?;
        self.catalogue = Catalogue::refresh(&self.catalogue, Tx::new(&tx))?;
        Ok(ingest::World {
            catalogue: self.catalogue.clone(),
            identity: self.identity.clone(),
            limits: self.limits.clone(),
        })
    }

    /// Runs one write of a coordinator or operator.
    ///
    /// # Errors
    /// What the write fails with.
    pub fn write<T>(&mut self, work: impl FnOnce(Tx<'_>, &ingest::World) -> Result<T, Failure>) -> Result<T, Failure> {
        let world = self.world()?;
        let conn = self.conn.as_mut().ok_or(StoreError::Corrupt("the server is closed"))?;
        store::in_transaction(conn, |tx| work(tx, &world))
    }

    /// Publishes a version of the questionnaire.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn publish(&mut self, version: u32, now_ms: i64) -> Result<()> {
        let (questionnaire, workbook) = forms::form(version)?;
        self.write(|tx, _| load_questionnaire(tx, questionnaire, workbook, now_ms))?;
        Ok(())
    }

    /// Enrols a device of an enumerator.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn enrol(&mut self, who: &str, ask: &Enrol, now_ms: i64) -> Result<Enrolled, Failure> {
        self.write(|tx, world| {
            tx.insert_device_code(people::hash_secret(&ask.code), who, now_ms.saturating_add(1))?;
            people::enrol(tx, ask, &world.identity, &world.limits, now_ms)
        })
    }

    /// A questionnaire as devices get it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn questionnaire(&mut self, reference: &str) -> Result<Option<String>> {
        let tx = self.connection()?.transaction()?;
        Ok(Tx::new(&tx).questionnaire(reference)?.map(|row| row.json))
    }

    /// Reads, verifies and checks a request: the first of the three steps of `POST /v1/sync`.
    ///
    /// # Errors
    /// What the server answers with.
    pub fn take_in(&mut self, token: &str, body: &[u8]) -> Result<Prepared, Failure> {
        let world = self.world()?;
        let conn = self.conn.as_mut().ok_or(StoreError::Corrupt("the server is closed"))?;
        let tx = conn.transaction().map_err(StoreError::from)?;
        let tx = Tx::new(&tx);
        let device = people::device(tx, token)?;
        prepare::prepare(tx, device, body, &world.catalogue, &world.limits)
    }

    /// The second step: the writer's turn, durable when it returns.
    ///
    /// # Errors
    /// What the server answers with; nothing is stored then.
    pub fn commit(&mut self, prepared: Prepared, now_ms: i64) -> Result<Taken, Failure> {
        let (device, header, cut_off) = (prepared.device.clone(), prepared.header.clone(), prepared.cut_off);
        let applied = self.write(|tx, world| ingest::apply(tx, prepared, world, now_ms))?;
        Ok(Taken { device, header, applied, cut_off })
    }

    /// The third step: the reply.
    ///
    /// # Errors
    /// What the server answers with.
    pub fn reply(&mut self, taken: Taken, now_ms: i64) -> Result<Vec<u8>, Failure> {
        let Taken { device, header, applied, cut_off } = taken;
        if cut_off {
            return Err(Failure::problem(Code::CutOff, "whole batches before the cut were kept: send the rest"));
        }
        let (identity, limits) = (self.identity.clone(), self.limits.clone());
        let conn = self.conn.as_mut().ok_or(StoreError::Corrupt("the server is closed"))?;
        let tx = conn.transaction().map_err(StoreError::from)?;
        // Now and then the office has no patience with a history of more than a few changes.
        let impatient = Patience { at_first: 1, changes: 3, per_household: 0 };
        let patience = if now_ms % 3 == 0 { impatient } else { Patience::default() };
        let terms = Terms { identity: &identity, limits: &limits, patience, now_ms };
        let reply = pull::reply(Tx::new(&tx), &device, &header, applied, terms)?;
        Ok(reply.to_bytes())
    }

    /// Takes a request in and is killed before the commit.
    ///
    /// # Errors
    /// If the server does not come back.
    pub fn die_before_commit(&mut self, prepared: Prepared, now_ms: i64) -> Result<()> {
        let world = self.world()?;
        let conn = self.connection()?;
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // What it would have answered nobody hears.
        let _ = ingest::apply(Tx::new(&tx), prepared, &world, now_ms);
        drop(tx);
        let mark = disk::mark(&self.file());
        self.crash(mark, 1000)
    }

    /// Takes a request in and is killed in the commit: so many thousandths of it reached the disk.
    ///
    /// # Errors
    /// If the server does not come back.
    pub fn die_in_commit(&mut self, prepared: Prepared, now_ms: i64, thousandths: u64) -> Result<()> {
        let mark = disk::mark(&self.file());
        let _ = self.commit(prepared, now_ms);
        self.crash(mark, thousandths)
    }

    /// Is killed between two requests.
    ///
    /// # Errors
    /// If the server does not come back.
    pub fn die(&mut self) -> Result<()> {
        let mark = disk::mark(&self.file());
        self.crash(mark, 1000)
    }

    fn crash(&mut self, mark: disk::Mark, thousandths: u64) -> Result<()> {
        let before = self.file();
        self.lives += 1;
        std::fs::create_dir_all(self.data())?;
        disk::copy_torn(&before, &self.file(), mark, thousandths)?;
        self.conn = None;
        disk::remove(&before);
        let mut conn = store::open_writer(&self.data())?;
        self.identity = Arc::new(store::in_transaction(&mut conn, Identity::load_or_make)?);
        self.catalogue = Arc::default();
        self.conn = Some(conn);
        Ok(())
    }

    /// Takes a copy beside the running server, proves it, and removes what is older than the last few.
    ///
    /// # Errors
    /// If the copy is not sound.
    pub fn back_up(&mut self, now_ms: i64) -> Result<()> {
        self.copies += 1;
        // Each copy has a name of its own, whatever the clock says.
        let folder = self.root.join(format!("backup-{}", self.copies));
        backup::take(&self.data(), &folder, KEPT, now_ms, |_| ())?;
        Ok(())
    }

    /// Is lost, and comes back from one of the copies that are kept; false where there is none.
    ///
    /// # Errors
    /// If the copy is not sound.
    pub fn restore(&mut self, dice: &mut Dice, now_ms: i64) -> Result<bool> {
        let mut kept = self.write(|tx, _| Ok(tx.backups()?))?;
        // A copy may know of older ones that were removed after it was taken.
        kept.retain(|copy| Path::new(&copy.file).exists());
        let Some(copy) = dice.pick(&kept) else { return Ok(false) };
        self.conn = None;
        self.lives += 1;
        std::fs::create_dir_all(self.data())?;
        let meta = |key: &str| -> Result<String, Failure> {
            let conn = Connection::open(&copy.file).map_err(StoreError::from)?;
            let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
            Ok(value.map_err(StoreError::from)?)
        };
        let corrupt = |_| StoreError::Corrupt("the copy's identity");
        let before: ReplicaId = meta("server_replica")?.parse().map_err(corrupt)?;
        let secret: Hash = meta("server_secret")?.parse().map_err(corrupt)?;
        backup::restore(&self.data(), Path::new(&copy.file), now_ms)?;
        let mut conn = store::open_writer(&self.data())?;
        let drawn = store::in_transaction(&mut conn, Identity::load_or_make)?.replica;
        // The new identity was drawn by real chance: the world draws it again.
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        dice.fill(&mut id);
        dice.fill(&mut seed);
        let replica = ReplicaId(uuid::Builder::from_random_bytes(id).into_uuid());
        let public = SecretKey::from_seed(seed).public();
        conn.execute(
            "UPDATE replica SET uuid = ?2, key = ?3 WHERE uuid = ?1",
            rusqlite::params![drawn.0, replica.0, public.0],
        )?;
        let epoch = format!("epoch-{}", self.lives);
        let vouched = Adoption::sign(replica, public, before, &SecretKey::from_seed(secret.0));
        self.identity = Arc::new(store::in_transaction(&mut conn, |tx| {
            tx.set_vouched(replica, vouched.signature)?;
            tx.set_meta("server_replica", &replica.to_string())?;
            tx.set_meta("server_secret", &Hash(seed).to_string())?;
            tx.set_meta("epoch", &epoch)?;
            Identity::load_or_make(tx)
        })?);
        self.catalogue = Arc::default();
        self.conn = Some(conn);
        Ok(true)
    }

    /// Fills the disk up to what is stored now and a little more, or frees it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn bound_disk(&mut self, pages_left: Option<i64>) -> Result<()> {
        let conn = self.connection()?;
        let used: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = pages_left.map_or(0xFFFF_FFFE, |left| used.saturating_add(left));
        conn.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))?;
        Ok(())
    }

    /// Whether the server lists a record as one in conflict.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_in_conflict(&mut self, record: sync_protocol::RecordId) -> Result<bool> {
        let tx = self.connection()?.transaction()?;
        Ok(Tx::new(&tx).record_row(record)?.is_some_and(|row| row.conflicts > 0))
    }

    /// How many rows each table of the truth holds: what nonsense must leave as it is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn digest(&mut self) -> Result<String> {
        let tables =
            ["replica", "batch", "stamp", "record", "change", "quarantine", "parked", "branch", "bucket", "flag"];
        let conn = self.connection()?;
        let counts = tables.map(|table| conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)));
        let counts: Vec<i64> = counts.into_iter().collect::<Result<_, _>>().map_err(|error| anyhow!(error))?;
        Ok(format!("{counts:?}"))
    }
}
