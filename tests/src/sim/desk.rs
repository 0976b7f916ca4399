//! What the office does, and what strangers send it: decisions, releases, assignments, nonsense.

use super::{
    dice::Dice,
    office,
    oracle::Shown,
    plan::Act,
    world::{Letter, Looked, World},
};
use anyhow::Result;
use serde_json::json;
use server::domain::{Failure, derive, review};
use std::collections::BTreeSet;
use sync_protocol::{
    Code, Dot, Hash, Path, RecordId, ReplicaId,
    chain::{Batch, Carried, SecretKey},
    engine::device::DeviceStore,
    problem::Class,
    wire::Request,
};

impl World {
    /// Lets something happen at the office.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn at_the_office(&mut self, act: Act, life: usize, dice: &mut Dice) -> Result<()> {
        let who = self.phone(life)?.who.clone();
        let area = office::area(dice.below(self.shape.areas));
        let now_ms = self.office_ms();
        let done = match act {
            Act::Give => {
                self.count("area given");
                self.office.write(|tx, _| Ok(tx.assign(&who, &area, "1")?)).map(|_| ())
            }
            Act::Take => {
                self.count("area taken away");
                self.office.write(|tx, _| Ok(tx.unassign(&who, &area, "1")?)).map(|_| ())
            }
            Act::Lead => {
                self.count("leader named");
                self.office.write(|tx, _| Ok(tx.lead(&who, &area)?)).map(|_| ())
            }
            Act::Unlead => {
                self.count("leader taken off");
                self.office.write(|tx, _| Ok(tx.unlead(&who, &area)?)).map(|_| ())
            }
            Act::FirstVisit => {
                self.count("household to visit first");
                self.first_visit(&who, dice)
            }
            Act::Link | Act::Unlink => return self.link(act, dice),
            Act::Publish => {
                self.count("questionnaire published");
                return self.office.bound_disk(None).and_then(|()| self.office.publish(2, now_ms));
            }
            Act::LoadArea => {
                self.count("area loaded");
                let area = office::area(self.shape.areas + dice.below(2));
                self.office.write(|tx, _| {
                    tx.put_area(&area, "late", "rt", None)?;
                    tx.assign(&who, &area, "1")?;
                    Ok(tx.raise_catalogue_version()?)
                })
            }
            Act::Revoke => {
                self.count("device revoked");
                let token = self.phone(life)?.token.clone();
                self.office
                    .write(|tx, _| {
                        let device = server::domain::people::device(tx, &token)?;
                        Ok(tx.revoke_device(device.id, now_ms)?)
                    })
                    .map(|_| ())
            }
            Act::Look => return self.look(dice),
            Act::Decide => return self.decide(dice),
            Act::Remark => self.remark(dice),
            Act::Release => self.release(dice),
            Act::ReleaseBranch => self.release_branch(dice),
            Act::Crash => {
                self.count("server: killed between requests");
                return self.office.die();
            }
            Act::ServerBackup => {
                self.count("server: backed up");
                return self.office.back_up(now_ms);
            }
            Act::ServerRestore => return self.restore_office(dice),
            Act::ServerClock => {
                if self.shape.clocks {
                    self.count("clock: the server's set");
                    self.office_offset_ms = dice.between(-40, 40) * 24 * 3_600_000;
                }
                Ok(())
            }
            Act::ServerDisk => {
                self.count("server: disk full or freed");
                let left = dice.chance(500).then(|| dice.between(0, 10));
                return self.office.bound_disk(left);
            }
            Act::Work
            | Act::Night
            | Act::Clock
            | Act::Clone
            | Act::Backup
            | Act::Restore
            | Act::Reinstall
            | Act::Garbage
            | Act::PhoneDisk
            | Act::Meet
            | Act::Mail
            | Act::Stranger => Ok(()),
        };
        self.excuse(done)?;
        self.note_assignments()
    }

    /// The server's disk dies, and a kept backup takes its place (law L6).
    fn restore_office(&mut self, dice: &mut Dice) -> Result<()> {
        let now_ms = self.office_ms();
        self.note_reached()?;
        let before = self.log()?;
        self.remember_buckets()?;
        if !self.office.restore(dice, now_ms)? {
            return Ok(());
        }
        self.count("server: restored from a backup");
        // What the backup holds apart has no dot yet, or another one: it may not get this one again.
        let after: BTreeSet<Hash> = self.log()?.into_iter().map(|row| row.hash).collect();
        for row in before.into_iter().filter(|row| !after.contains(&row.hash)) {
            // What is acked and not safe is the devices' to bring again.
            self.oracle.acked.remove(&(row.dot.replica, row.dot.seq));
            self.oracle.note(row.hash, row.dot, row.bytes.clone(), Shown::new());
            self.oracle.lost.entry(row.dot).or_default().insert(row.bytes);
        }
        self.oracle.reached = self.held()?;
        for life in 0..self.phones.len() {
            self.check_safe(life)?;
        }
        self.note_assignments()
    }

    /// Law L6: what a device was told to be safe is in every backup that can be brought back.
    fn check_safe(&mut self, life: usize) -> Result<()> {
        let phone = self.phone(life)?;
        if !phone.is_alive {
            return Ok(());
        }
        let status = phone.device()?.status()?;
        let safe = self.oracle.chain_of(life, status.safe_through);
        let gone = safe.iter().filter(|hash| !self.oracle.reached.contains(hash)).count();
        if gone > 0 {
            self.oracle.broken("L6", format!("life {life} was told that {gone} changes are safe which are gone"));
        }
        Ok(())
    }

    /// A full disk and what has changed meanwhile are no faults of the server.
    pub(super) fn excuse(&mut self, done: Result<(), Failure>) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(Failure::Store(_)) => {
                self.count("server: could not store");
                Ok(())
            }
            Err(Failure::Problem(problem)) => {
                // `NotFound` and `Stale` are among these.
                let is_for_a_person = problem.code.class() == Class::Person;
                anyhow::ensure!(is_for_a_person, "the office failed: {problem}");
                Ok(())
            }
        }
    }

    /// A coordinator opens a record in conflict, and goes for a coffee.
    fn look(&mut self, dice: &mut Dice) -> Result<()> {
        let pick = dice.roll();
        let looked = self.office.write(|tx, world| {
            let filter = server::store::RecordFilter { conflicts: true, ..Default::default() };
            let rows = tx.records(&filter, 0, 50)?;
            let mut dice = Dice::new(pick);
            let Some(row) = dice.pick(&rows) else { return Ok(None) };
            let Some(key) = tx.record_key(row.id)? else { return Ok(None) };
            let record = derive::merge(tx.changes_of(key.id)?, &world.catalogue)?;
            let mut answers = record.answers().filter(|(_, answer)| answer.siblings.len() > 1);
            let count = record.answers().filter(|(_, answer)| answer.siblings.len() > 1).count();
            let Some((path, answer)) = answers.nth(dice.below(count)) else { return Ok(None) };
            let mut dots = answer.all();
            dots.sort_unstable();
            let Some(keep) = dice.pick(&dots) else { return Ok(None) };
            Ok(Some(Looked {
                record: row.id,
                resolution: review::Resolution {
                    path: path.to_string(),
                    keep: keep.to_string(),
                    shown: dots.iter().map(ToString::to_string).collect(),
                },
                shown: answer.siblings.iter().map(|sibling| sibling.value.clone()).collect(),
            }))
        });
        if let Ok(Some(looked)) = looked {
            self.count("coordinator looked");
            self.looked.push(looked);
        }
        Ok(())
    }

    /// The coordinator comes back and decides what the screen still shows: a sibling may have come meanwhile.
    fn decide(&mut self, dice: &mut Dice) -> Result<()> {
        if self.looked.is_empty() {
            return Ok(());
        }
        let Looked { record, resolution, shown } = self.looked.swap_remove(dice.below(self.looked.len()));
        let now_ms = self.office_ms();
        let head = self.own_head()?;
        let told = self.told(record)?;
        let done = self.office.write(|tx, world| review::resolve(tx, record, &resolution, "rini", world, now_ms));
        self.count(match &done {
            Ok(()) => "coordinator decided",
            Err(_) => "coordinator decided too late",
        });
        if done.is_ok() {
            // What the household hears stands behind the decision.
            self.note_own(head + 1, &Shown::from([((record, resolution.path.parse()?), shown)]))?;
            if self.own_head()? > head + 1 {
                self.note_own(head + 2, &told)?;
            }
        }
        self.excuse(done)
    }

    /// What a decision about an interview may replace in its household: what the interview says of it, or said before.
    fn told(&mut self, record: RecordId) -> Result<Shown> {
        let (head, said): (Path, Path) = ("head".parse()?, "head_now".parse()?);
        let told = self.office.write(|tx, world| {
            let Some(key) = tx.record_key(record)? else { return Ok(Shown::new()) };
            let merged = derive::merge(tx.changes_of(key.id)?, &world.catalogue)?;
            let Some(subject) = merged.subject() else { return Ok(Shown::new()) };
            let held = merged.history(&said).into_iter().map(|(sibling, _)| sibling.value.clone());
            Ok(Shown::from([((subject.household().into(), head), held.collect())]))
        });
        Ok(told.map_err(office::problem)?)
    }

    /// The number of the server's last change.
    pub(super) fn own_head(&mut self) -> Result<u64> {
        let query =
            "SELECT coalesce(max(seq), 0) FROM change JOIN replica ON replica.id = change.replica WHERE uuid = ?1";
        let replica = self.office.replica();
        Ok(self.office.connection()?.query_row(query, [replica.0], |row| row.get(0))?)
    }

    /// Notes a change of the server as a save that is durable.
    pub(super) fn note_own(&mut self, seq: u64, shown: &Shown) -> Result<()> {
        let replica = self.office.replica();
        let query =
            "SELECT hash, bytes FROM change JOIN replica ON replica.id = change.replica WHERE uuid = ?1 AND seq = ?2";
        let row = self.office.connection()?.query_row(query, rusqlite::params![replica.0, seq], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let (hash, bytes) = row?;
        let hash = Hash(hash);
        self.oracle.note(hash, Dot { replica, seq }, bytes, shown.clone());
        self.oracle.acked.insert((replica, seq), hash);
        Ok(())
    }

    fn remark(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let now_ms = self.office_ms();
        let pick = dice.roll();
        self.office.write(|tx, world| {
            let rows = tx.records(&server::store::RecordFilter::default(), 0, 50)?;
            match Dice::new(pick).pick(&rows) {
                Some(row) => review::remark(tx, row.id, "call them", "rini", world, now_ms),
                None => Ok(()),
            }
        })
    }

    fn release(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let now_ms = self.office_ms();
        let pick = dice.roll();
        let done = self.office.write(|tx, world| {
            let rows = tx.quarantine(0, 50)?;
            match Dice::new(pick).pick(&rows) {
                // What can't be read can't be released either, and says why.
                Some(row) => match review::release(tx, row.number, "rini", world, now_ms) {
                    Err(Failure::Problem(problem))
                        if problem.code.as_str() == row.code && problem.code.class() == Class::Bug =>
                    {
                        Err(Failure::problem(Code::NotFound, problem.to_string()))
                    }
                    done => done,
                },
                None => Err(Failure::problem(Code::NotFound, "nothing waits")),
            }
        });
        if done.is_ok() {
            self.count("quarantine: released");
        }
        done
    }

    fn release_branch(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let now_ms = self.office_ms();
        let pick = dice.roll();
        let done = self.office.write(|tx, world| {
            let rows = tx.branches()?;
            match Dice::new(pick).pick(&rows) {
                Some(row) => review::release_branch(tx, row.replica, world, now_ms),
                None => Err(Failure::problem(Code::NotFound, "nothing waits")),
            }
        });
        if done.is_ok() {
            self.count("branch released");
        }
        done.map(|_| ())
    }

    /// Law L9: nonsense gets a stable code, and leaves the store as it was.
    ///
    /// # Errors
    /// If the store fails.
    pub fn garbage(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        self.count("garbage");
        let token = self.phone(life)?.token.clone();
        let at = self.phone(life)?.device()?.position()?;
        let replica = at.replica;
        let good = Request::new(replica, 0, Vec::new()).to_bytes();
        let text = String::from_utf8_lossy(&good).into_owned();
        let stranger = ReplicaId(uuid::Uuid::from_u128(u128::from(dice.roll())));
        let batch = |key: &SecretKey| {
            let carried = vec![Carried::Bytes(b"{}".to_vec())];
            Batch::sign(replica, at.last + 1, at.acked_hash, carried, key)
        };
        let forged = Request::new(replica, 0, vec![batch(&SecretKey::from_seed([7; 32]))]).to_bytes();
        let mut noise = vec![0; 1 + dice.below(200)];
        dice.fill(&mut noise);
        let (token, body, wanted): (String, Vec<u8>, Option<&[Code]>) = match dice.below(9) {
            0 => ("0".repeat(64), good, Some(&[Code::Unauthorised])),
            1 => (token, Request::new(stranger, 0, Vec::new()).to_bytes(), Some(&[Code::WrongReplica])),
            2 => (token, b"{\"tenun\":".to_vec(), Some(&[Code::CutOff])),
            3 => (
                token,
                text.replacen("\"tenun\":1", "\"tenun\":99", 1).into_bytes(),
                Some(&[Code::UnsupportedProtocol]),
            ),
            4 => (
                token,
                text.replacen("\"clock\"", "\"tenun\":1,\"clock\"", 1).into_bytes(),
                Some(&[Code::DuplicateKey]),
            ),
            5 => (token, format!("{}\n", "[".repeat(100)).into_bytes(), Some(&[Code::TooDeep])),
            6 => {
                noise.insert(0, 0xFF);
                noise.push(b'\n');
                (token, noise, Some(&[Code::NotUtf8, Code::MalformedJson, Code::CutOff, Code::TooDeep]))
            }
            7 => (token, text.replacen("\"replica\":\"", "\"replica\":\"x", 1).into_bytes(), Some(&[Code::WrongType])),
            _ => (token, forged, None),
        };
        let before = self.office.digest()?;
        let calm = std::mem::replace(&mut self.weather.killed, 0);
        let mail = std::mem::take(&mut self.mail);
        let answer = self.post(&Letter { token, body: body.clone() }, dice)?;
        (self.weather.killed, self.mail) = (calm, mail);
        let after = self.office.digest()?;
        let said = match &answer {
            Some(Err(problem)) => Some(problem.code),
            Some(Ok(_)) | None => None,
        };
        let disk_is_full = said == Some(Code::Internal);
        // A server that was restored may have forgotten the device.
        let is_forgotten = said.is_some_and(|code| self.forgot(code));
        let as_wanted = is_forgotten
            || match wanted {
                Some(codes) => said.is_some_and(|code| codes.contains(&code)),
                // A phone that has just taken a new replica may not have told the server of it.
                None => said.is_none_or(|code| code == Code::WrongReplica) || disk_is_full,
            };
        if !as_wanted || before != after {
            let sent = String::from_utf8_lossy(&body).into_owned();
            self.oracle.broken("L9", format!("{sent:?} was answered {said:?} and left {after} of {before}"));
        }
        Ok(())
    }

    /// A program that is none of ours, with a device of its own: some of what it sends nobody can read.
    ///
    /// # Errors
    /// If the store fails.
    pub fn stranger(&mut self, life: usize, dice: &mut Dice) -> Result<()> {
        let Some(household) = self.some_household(life, dice)? else { return Ok(()) };
        self.count("poison: unreadable");
        let who = self.phone(life)?.who.clone();
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        dice.fill(&mut id);
        dice.fill(&mut seed);
        let replica = ReplicaId(uuid::Builder::from_random_bytes(id).into_uuid());
        let key = SecretKey::from_seed(seed);
        let code = format!("STRANGER-{replica}");
        let ask =
            sync_protocol::wire::Enrol { code, replica, key: key.public(), name: "stranger".into(), signature: None };
        let now_ms = self.office_ms();
        let Ok(enrolled) = self.office.enrol(&who, &ask, now_ms) else { return Ok(()) };
        let good = json!({ "household": household.0, "form": "household@1", "by": who, "at": 5, "set": { "": { "stranger": replica.to_string() } } });
        let bodies: Vec<Vec<u8>> = vec![
            b"{\"not\":\"a change\"}".to_vec(),
            b"{\"household\":1.5}".to_vec(),
            b"no json at all".to_vec(),
            good.to_string().into_bytes(),
        ];
        let count = u64::try_from(bodies.len())?;
        let carried = bodies.into_iter().map(Carried::Bytes).collect();
        let batch = Batch::sign(replica, 1, Hash::default(), carried, &key);
        let hashes = batch.verify(&key.public()).map_err(|problem| anyhow::anyhow!("{problem}"))?;
        let letter = Letter { token: enrolled.token, body: Request::new(replica, 0, vec![batch]).to_bytes() };
        let Some(Ok(reply)) = self.post(&letter, dice)? else { return Ok(()) };
        let reply = sync_protocol::wire::Reply::from_bytes(&reply).map_err(|problem| anyhow::anyhow!("{problem}"))?;
        if reply.header.acked_through != count {
            self.oracle.broken(
                "L5",
                format!("{} of {count} changes got past the unreadable ones", reply.header.acked_through),
            );
        }
        for (seq, hash) in (1..).zip(hashes) {
            self.oracle.acked.insert((replica, seq), hash);
        }
        Ok(())
    }

    /// Law L2 between the days: what the server was seen to hold it still holds.
    ///
    /// # Errors
    /// If the store fails.
    pub fn note_reached(&mut self) -> Result<()> {
        let held = self.held()?;
        let gone = self.oracle.reached.difference(&held).count();
        if gone > 0 {
            self.oracle.broken("L2", format!("{gone} changes that the server held are gone from it"));
        }
        self.oracle.reached = held;
        Ok(())
    }
}
