//! Laws L1 and L6 under power loss: whatever a disk drops of what was not synced, acks, saves and backups hold.
//!
//! `tests/tests/killed.rs` shows the same for a program that is killed: then the operating system still writes what it was given.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use end_to_end::{
    field,
    powerloss::{Deed, Disk, Entry, Recorder},
    raw::RawDevice,
    server::{Office, Running},
    sim::{dice::Dice, run::disk},
    survey::{PASSWORD, household},
};
use fixtures::World;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use sync_protocol::{ReplicaId, chain::Batch};

/// How much of what was not synced is there: nothing, some, most, all; in thousandths.
const LEFT: [u32; 4] = [0, 300, 800, 1000];

/// A server whose files are recorded, and a device that speaks to it.
struct Recorded {
    root: tempfile::TempDir,
    aside: tempfile::TempDir,
    recorder: Recorder,
    world: World,
    office: Office,
}

impl Recorded {
    /// None where nothing can be recorded.
    fn new() -> Result<Option<Self>> {
        let (root, aside) = (tempfile::tempdir_in(disk())?, tempfile::tempdir_in(disk())?);
        let Some(recorder) = Recorder::new(root.path(), aside.path())? else {
            println!("left out: power cuts are recorded on Linux only");
            return Ok(None);
        };
        let world = World::new(7, 12, 1);
        let office = Office::new(root.path().join("server")).with_environment(recorder.environment());
        office.prepare(&world, PASSWORD)?;
        Ok(Some(Self { root, aside, recorder, world, office }))
    }

    fn who(&self) -> Result<String> {
        Ok(self.world.enumerators().next().context("an enumerator")?.code)
    }

    /// Cuts the power after an entry; the folder that is left.
    fn cut(&self, disk: &Disk, left: u32, dice: &mut Dice) -> Result<PathBuf> {
        let to = self.aside.path().join("cut");
        if to.exists() {
            std::fs::remove_dir_all(&to)?;
        }
        disk.cut_power(left, dice, &to)?;
        Ok(to)
    }
}

/// What one device sent, and how far it was acked when.
struct Sent {
    device: RawDevice,
    bodies: Vec<Vec<u8>>,
    batches: Vec<Batch>,
    /// Where the journal was when an ack was read, and what it acked.
    acks: Vec<(u64, u64)>,
}

impl Sent {
    async fn begin(recorded: &Recorded, server: &Running) -> Result<Self> {
        let code = recorded.office.device_code(&recorded.who()?)?;
        let device = RawDevice::enrol(&server.url, &code, 1).await?;
        let position = recorded.recorder.position()?;
        Ok(Self { device, bodies: Vec::new(), batches: Vec::new(), acks: vec![(position, 0)] })
    }

    async fn push(&mut self, recorded: &Recorded, server: &Running, count: usize) -> Result<()> {
        let area = recorded.world.areas().next().context("an area")?.code;
        let first = self.bodies.len();
        let bodies: Vec<Vec<u8>> = (first..first + count)
            .map(|n| {
                household(uuid::Uuid::from_u64_pair(7, u64::try_from(n).unwrap_or(0)), &area, &format!("head {n}"))
            })
            .collect();
        let batch = self.device.batch(&bodies);
        self.bodies.extend(bodies);
        self.batches.push(batch.clone());
        let reply = self.device.push(&server.url, vec![batch]).await?;
        self.acks.push((recorded.recorder.position()?, reply.header.acked_through));
        Ok(())
    }

    /// How many changes were acked at a place of the journal; none before the device was enrolled.
    fn acked_at(&self, position: u64) -> Option<u64> {
        self.acks.iter().filter(|(at, _)| *at <= position).map(|(_, acked)| *acked).max()
    }
}

/// The bodies of a replica's changes in a server's database, which must be sound.
fn changes(database: &Path, replica: ReplicaId) -> Result<Vec<Vec<u8>>> {
    let conn = rusqlite::Connection::open(database)?;
    let damage: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(damage, "ok", "{}", database.display());
    let query = "SELECT bytes FROM change JOIN replica ON replica.id = change.replica WHERE uuid = ?1 ORDER BY seq";
    let mut query = conn.prepare(query)?;
    Ok(query.query_map([replica.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn assert_rebuilds(office: &Office) -> Result<()> {
    let rebuilt = office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes.first(), hashes.get(1), "what is derived does not follow from the changes");
    Ok(())
}

#[tokio::test]
async fn every_ack_and_every_backup_survives_a_power_cut() -> Result<()> {
    let Some(recorded) = Recorded::new()? else { return Ok(()) };
    let ready = recorded.recorder.position()?;
    let server = recorded.office.serve(0)?;
    let mut sent = Sent::begin(&recorded, &server).await?;
    let folder = recorded.root.path().join("backups").join("nightly");
    let mut backed_up = (u64::MAX, 0);
    // Enough for the log to be folded into the database by itself, twice.
    for round in 0..60 {
        sent.push(&recorded, &server, 1 + round % 40).await?;
        if round == 40 {
            recorded.office.run("backup", &["--to", folder.to_str().context("a path")?])?;
            backed_up = (recorded.recorder.position()?, sent.bodies.len());
        }
    }
    server.kill()?;
    let entries = recorded.recorder.entries()?;
    let (mut dice, mut disk) = (Dice::new(4711), Disk::with_folders(&["server"]));
    let (mut cuts, mut checked, mut healed) = (0, 0, 0);
    for (number, entry) in entries.iter().enumerate() {
        disk.apply(entry);
        let is_ack = sent.acks.iter().any(|(at, _)| *at == entry.end) || entry.end == backed_up.0;
        if entry.end < ready || !(is_ack || number % 41 == 0) {
            continue;
        }
        let left = LEFT[cuts % LEFT.len()];
        cuts += 1;
        let cut = recorded.cut(&disk, left, &mut dice)?;
        let acked = sent.acked_at(entry.end);
        let there = changes(&cut.join("server/tenun.sqlite"), sent.device.replica)?;
        assert!(
            there.len() >= usize::try_from(acked.unwrap_or(0))? && sent.bodies.starts_with(&there),
            "{acked:?} changes were acked, {} are there after the power was cut at {number} with {left} of 1000",
            there.len()
        );
        checked += acked.unwrap_or(0);
        let office = Office::new(cut.join("server"));
        if cuts % 12 == 0 {
            assert_rebuilds(&office)?;
        }
        if entry.end >= backed_up.0 && cuts % 3 == 0 {
            let copies: Vec<PathBuf> = std::fs::read_dir(cut.join("backups/nightly"))
                .context("the backups are gone")?
                .map(|file| Ok(file?.path()))
                .collect::<Result<_>>()?;
            let is_backup = copies.len() == 1 && copies[0].extension().is_some_and(|ending| ending == "sqlite");
            assert!(is_backup, "{copies:?} is no backup");
            assert!(office.verify(&copies[0])?.contains("sound"));
            assert!(changes(&copies[0], sent.device.replica)?.len() >= backed_up.1);
        }
        if cuts % 25 == 0 && acked.is_some() {
            // The real server goes on from there, and its device sends again what it lacks.
            let server = office.serve(0)?;
            let reply = sent.device.push(&server.url, sent.batches.clone()).await?;
            assert_eq!(reply.header.acked_through, u64::try_from(sent.bodies.len())?);
            server.kill()?;
            healed += 1;
        }
    }
    println!("{} deeds, {cuts} power cuts, {checked} acks looked up, {healed} servers went on", entries.len());
    assert!(cuts > 60 && healed > 2);
    Ok(())
}

#[tokio::test]
async fn a_restore_that_the_power_is_cut_in_leaves_the_old_store_or_the_new_one() -> Result<()> {
    let Some(recorded) = Recorded::new()? else { return Ok(()) };
    let server = recorded.office.serve(0)?;
    let mut sent = Sent::begin(&recorded, &server).await?;
    let backups = recorded.root.path().join("backups");
    sent.push(&recorded, &server, 3).await?;
    recorded.office.run("backup", &["--to", backups.to_str().context("a path")?])?;
    sent.push(&recorded, &server, 4).await?;
    server.kill()?;
    let begun = recorded.recorder.position()?;
    let backup = std::fs::read_dir(&backups)?.next().context("a backup")??.path();
    recorded.office.run("restore", &["--from", backup.to_str().context("a path")?])?;
    let done = recorded.recorder.position()?;
    let name = backup.file_name().context("a name")?;
    let entries = recorded.recorder.entries()?;
    let (mut dice, mut disk) = (Dice::new(11), Disk::with_folders(&["server"]));
    let (mut old, mut new, mut again) = (0, 0, 0);
    for entry in entries.iter() {
        disk.apply(entry);
        // What is only written may be there or not in one way: what changes names is tried in many.
        let tries = match entry.deed {
            _ if entry.end < begun => 0,
            Deed::Wrote(..) | Deed::Cut(..) => usize::from(entry.end % 7 == 0),
            Deed::Made(..) | Deed::Synced(_) | Deed::SyncedNames(_) | Deed::MadeFolder(_) | Deed::Prints => 3,
            Deed::Renamed(..) | Deed::Linked(..) | Deed::Removed(_) => 16,
        };
        for left in LEFT.iter().cycle().take(tries) {
            let cut = recorded.cut(&disk, *left, &mut dice)?;
            let (data, copy) = (cut.join("server"), cut.join("backups").join(name));
            let office = Office::new(&data);
            // The program says itself whether a restore was broken off: then it is done once more.
            let mut is_new = false;
            if let Err(error) = office.run("rebuild", &[]) {
                assert!(entry.end < done, "after the restore: {error}");
                assert!(error.to_string().contains("restore"), "{error}");
                office.run("restore", &["--from", copy.to_str().context("a path")?])?;
                (is_new, again) = (true, again + 1);
            }
            assert_rebuilds(&office)?;
            let there = changes(&data.join("tenun.sqlite"), sent.device.replica)?.len();
            assert!(there == 3 && (is_new || entry.end > begun) || there == 7 && entry.end < done, "{there} changes");
            // It is the one or the other, nothing of both.
            let ended: u64 = rusqlite::Connection::open(data.join("tenun.sqlite"))?.query_row(
                "SELECT count(*) FROM epoch",
                [],
                |row| row.get(0),
            )?;
            assert_eq!(ended, u64::from(there == 3), "{there} changes, {ended} epochs have ended");
            (old, new) = (old + u32::from(there == 7), new + u32::from(there == 3));
            // What was there before is never deleted.
            let kept: Vec<usize> = databases(&data)?
                .iter()
                .map(|file| Ok(changes(file, sent.device.replica)?.len()))
                .collect::<Result<_>>()?;
            assert!(kept.contains(&7), "the old store is gone, {left} of 1000 at {:?}: {kept:?}", entry.deed);
        }
    }
    println!("the old store {old} times, the new one {new} times, restored again {again} times");
    assert!(old > 0 && new > 0);
    Ok(())
}

/// The databases of a data directory and of the folders in it.
fn databases(data: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![data.join("tenun.sqlite")];
    for entry in std::fs::read_dir(data)? {
        found.push(entry?.path().join("tenun.sqlite"));
    }
    found.retain(|file| file.exists());
    Ok(found)
}

/// A device driven by the real program, whose files are recorded.
struct Terminal<'a> {
    db: PathBuf,
    recorder: &'a Recorder,
}

impl Terminal<'_> {
    fn run(&self, arguments: &[&str], typed: &str) -> Result<serde_json::Value> {
        use std::io::Write;
        let mut command = field::terminal(&self.db)?;
        command.envs(self.recorder.environment()).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // It may have ended before it reads anything.
        let _ = child.stdin.take().context("no input")?.write_all(typed.as_bytes());
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    fn name(&self, arguments: &[&str], of: &str) -> Result<String> {
        let answer = self.run(&[&["--json"], arguments].concat(), "")?;
        Ok(answer.get(of).and_then(serde_json::Value::as_str).context("no name")?.to_owned())
    }
}

/// What a device's database holds of its own, which must be sound; nothing where there is none yet.
fn saves(database: &Path) -> Result<Vec<Vec<u8>>> {
    if !database.exists() {
        return Ok(Vec::new());
    }
    let conn = rusqlite::Connection::open(database)?;
    let damage: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(damage, "ok");
    let tables: u32 =
        conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'change'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let mut query = conn.prepare("SELECT bytes FROM change WHERE hash IS NOT NULL ORDER BY seq")?;
    Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn every_save_on_a_device_survives_a_power_cut() -> Result<()> {
    let Some(recorded) = Recorded::new()? else { return Ok(()) };
    let server = recorded.office.serve(0)?;
    let code = recorded.office.device_code(&recorded.who()?)?;
    // The device's files alone are recorded from here on.
    let (root, aside) = (tempfile::tempdir_in(disk())?, tempfile::tempdir_in(disk())?);
    let recorder = Recorder::new(root.path(), aside.path())?.context("a recorder")?;
    let terminal = Terminal { db: root.path().join("phone.sqlite"), recorder: &recorder };
    terminal.run(&["enroll", "--server", &server.url, "--code", &code], "")?;
    terminal.run(&["sync"], "")?;
    let area = recorded.world.areas().next().context("an area")?.code;
    let home = terminal.name(&["register", "--area", &area, "head=Maria Lay"], "household")?;
    let record = terminal.name(&["start", &home, "--round", "1"], "record")?;
    for number in 0..6 {
        terminal.run(&["note", &record, &format!("visit {number}")], "")?;
    }
    // One program that stays open over many saves: nothing is folded into the database in between.
    let typed = ["Oebobo", "Liliba", "004", "012", "0123", "7", "", "Jl. El Tari", ":r", "+", "2026-01-15", "lengkap"];
    terminal.run(&["interview", &record, "--language", "id"], &format!("{}\n", typed.join("\n")))?;
    terminal.run(&["sync"], "")?;
    terminal.run(&["note", &record, "after the sync"], "")?;
    server.kill()?;

    let entries: Vec<Entry> = recorder.entries()?;
    let (mut dice, mut disk) = (Dice::new(5), Disk::default());
    let (mut cuts, mut most, cut) = (0, 0, aside.path().join("cut"));
    let look = |disk: &Disk, left: u32, dice: &mut Dice| -> Result<Vec<Vec<u8>>> {
        if cut.exists() {
            std::fs::remove_dir_all(&cut)?;
        }
        disk.cut_power(left, dice, &cut)?;
        saves(&cut.join("phone.sqlite"))
    };
    for (number, entry) in entries.iter().enumerate() {
        disk.apply(entry);
        let tells = entry.deed == Deed::Prints;
        if !tells && number % 23 > 0 {
            continue;
        }
        // Whatever had been saved when somebody was told something is there, however little the disk kept.
        let told = if tells { look(&disk, 1000, &mut dice)? } else { Vec::new() };
        let there = look(&disk, LEFT[cuts % 3], &mut dice)?;
        assert!(there.starts_with(&told), "{} saves were told, {} are there at {number}", told.len(), there.len());
        (cuts, most) = (cuts + 1, most.max(told.len()));
    }
    println!("{} deeds, {cuts} power cuts, up to {most} saves", entries.len());
    assert!(most >= 18 && cuts > 60, "{most} saves, {cuts} cuts");
    // The real program opens what is left.
    let output = field::terminal(&aside.path().join("cut/phone.sqlite"))?.args(["--json", "status"]).output()?;
    let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(status.get("saved").and_then(serde_json::Value::as_u64) >= Some(u64::try_from(most)?), "{status}");
    Ok(())
}
