//! What a long history costs: the first sync of a new device, and an ordinary one behind a million changes.

use super::{
    Figure,
    ingest::{Threads, Upload, ready, uploads},
    number, own_cpu,
    workload::{Author, final_json},
};
use crate::{
    field::{Enumerator, Phone},
    night::sync_all,
    survey::Survey,
};
use anyhow::{Context, Result};
use fixtures::{Household, World};
use rusqlite::Connection;
use serde_json::json;
use server::{
    domain::{
        ingest, people, prepare,
        pull::{self, Terms},
        snapshot::Patience,
    },
    store::{self, Device, Tx},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use sync_protocol::{
    Hash,
    chain::{Batch, Carried},
    wire::{Reply, Request},
};

const NOW: i64 = 1_767_225_600_000;

/// The first sync of a device, and a sync behind many changes.
///
/// # Errors
/// If the server or a device fails.
pub async fn measure(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    first_sync(folder, figures).await?;
    behind_many_changes(folder, figures)
}

/// What a new device of a survey of 2,000 interviewed households receives, and what taking it in costs.
async fn first_sync(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let survey = Survey::start_in(folder, 2_000, 1)?;
    let mut person = survey.device(0, "old").await?;
    // The questionnaire is fetched once, whatever the survey holds.
    let code = survey.office.device_code(&person.code)?;
    let (http, url) = (&survey.http, &survey.server.url);
    let phone = Phone::new(4711, NOW, 0);
    let mut new = Enumerator::enrol(http, url, &code, &person.code, "new", &survey.file("new"), phone).await?;
    sync_all(http, &mut [&mut new], NOW).await?;
    let households: Vec<Household> = survey.world.households().collect();
    for household in &households {
        person.register(household, household.id)?;
        if let Some(interview) = household.rounds.first() {
            person.interview(household.id, interview)?;
        }
    }
    sync_all(http, &mut [&mut person], NOW).await?;
    // As every night: what is in no backup yet comes with what proves it.
    survey.back_up()?;
    let plain = u64::try_from(zstd::bulk::compress(&final_json(&households), 3)?.len())?;
    let before = own_cpu();
    let nights = sync_all(http, &mut [&mut new], NOW).await?;
    let cpu = (own_cpu() - before).as_secs_f64();
    let night = nights.first().context("a night")?;
    let known = new.device.interviews()?.len();
    anyhow::ensure!(known == households.len(), "{known} of {} interviews arrived", households.len());
    let of_plain = number(night.traffic.down) / number(plain);
    figures.push(Figure::at_most("first-sync.bytes", of_plain, "of plain JSON", Some(1.2)));
    figures.push(Figure::at_most("first-sync.cpu", cpu, "s of CPU", Some(1.0)));
    figures.push(Figure::at_most("first-sync.round-trips", f64::from(night.report.round_trips), "round trips", None));
    Ok(())
}

/// What one sync with one changed answer reads, behind ten thousand and behind a million changes of the same survey: its areas,
/// people and devices are the same, what they have sent is not.
fn behind_many_changes(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let world = World::new(12, 83_000, 2_075);
    let sent = uploads(&world, 50)?;
    let (few, few_changes) = sync_behind(folder, &world, &sent, 16)?;
    let (many, many_changes) = sync_behind(folder, &world, &sent, sent.len())?;
    figures.push(Figure::at_least("growth.changes", number(many_changes), "changes", Some(1_000_000.0)));
    figures.push(Figure::at_least("growth.changes-before", number(few_changes), "changes", None));
    figures.push(Figure::at_most("growth.pages-before", number(few.pages), "pages", None));
    figures.push(Figure::at_most("growth.pages", number(many.pages) / number(few.pages), "times the pages", Some(1.2)));
    figures.push(Figure::at_most("growth.steps", number(many.steps) / number(few.steps), "times the steps", Some(1.2)));
    Ok(())
}

/// What a sync cost the store.
struct Cost {
    /// Pages read from the file, with nothing in memory.
    pages: u64,
    /// Instructions of SQLite's machine: each row that is looked at is some.
    steps: u64,
}

/// A device of an enumerator with two areas, that has pulled everything.
struct Visitor {
    author: Author,
    device: Device,
    request: Request,
}

/// What a sync costs behind so many uploads, and the changes in them.
fn sync_behind(folder: &Path, world: &World, sent: &[Upload], count: usize) -> Result<(Cost, u64)> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut ready = ready(folder.path(), world, sent)?;
    ready.take_in(sent.get(..count).context("uploads")?, Threads::Two, |_, _, _| Ok(()))?;
    let (world, data) = (ready.world, folder.path().join("store"));
    let changes: u64 = ready.conn.query_row("SELECT count(*) FROM change", [], |row| row.get(0))?;
    drop(ready.conn);

    let mut conn = store::open_writer(&data)?;
    let mut visitor = visitor(&mut conn, &world, "KP001")?;
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    drop(conn);

    let mut conn = store::open_writer(&data)?;
    Ok((cost(&mut conn, &world, &mut visitor)?, changes))
}

fn visitor(conn: &mut Connection, world: &ingest::World, who: &str) -> Result<Visitor> {
    let author = Author::new(1_000_000, who);
    let device = store::in_transaction(conn, |tx| -> Result<_, server::domain::Failure> {
        let number = tx.insert_device(who, "bench", people::hash_secret(who), 0)?;
        tx.insert_replica(author.replica, Some(number), author.key.public(), None)?;
        people::device(tx, who)
    })?;
    let request = Request::new(author.replica, NOW, Vec::new());
    let mut visitor = Visitor { author, device, request };
    loop {
        let reply = sync(conn, world, &visitor)?;
        let header = &mut visitor.request.header;
        header.epoch.clone_from(&reply.header.epoch);
        if let Some(scope) = &reply.scope {
            header.scope.clone_from(&scope.version);
        }
        for run in reply.pulled {
            header.snapshots.remove(&run.cursor.bucket);
            if let Some(after) = run.cursor.after {
                header.snapshots.insert(run.cursor.bucket.clone(), after);
            }
            header.cursors.insert(run.cursor.bucket, run.cursor.seq);
        }
        if !reply.header.more {
            return Ok(visitor);
        }
    }
}

fn sync(conn: &mut Connection, world: &ingest::World, visitor: &Visitor) -> Result<Reply> {
    let device = &visitor.device;
    let prepared = store::in_transaction(conn, |tx| {
        prepare::prepare(tx, device.clone(), &visitor.request.to_bytes(), &world.catalogue, &world.limits)
    })?;
    let header = prepared.header.clone();
    let applied = store::in_transaction(conn, |tx| ingest::apply(tx, prepared, world, NOW))?;
    let tx = conn.transaction()?;
    let (identity, limits) = (&world.identity, &world.limits);
    let terms = Terms { identity, limits, patience: Patience::default(), now_ms: NOW };
    Ok(pull::reply(Tx::new(&tx), device, &header, applied, terms)?)
}

/// What a sync costs that brings one household.
fn cost(conn: &mut Connection, world: &ingest::World, visitor: &mut Visitor) -> Result<Cost> {
    let Visitor { author, request, .. } = visitor;
    let area = request.header.cursors.keys().next().context("no area")?;
    let body = json!({ "household": uuid::Uuid::from_u128(7), "form": "household@1",
        "by": "KP001", "at": NOW, "set": { "": { "area": area, "head": "Maria Nalle" } } });
    let change = Carried::Bytes(body.to_string().into_bytes());
    request.batches = vec![Batch::sign(author.replica, 1, Hash::default(), vec![change], &author.key)];
    request.header.unsent = 1;
    let steps = Arc::new(AtomicU64::new(0));
    let count = steps.clone();
    let tick = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    conn.progress_handler(1, Some(tick))?;
    let read = super::bytes_read();
    let reply = sync(conn, world, visitor)?;
    let pages = (super::bytes_read() - read) / 4096;
    anyhow::ensure!(reply.header.acked_through == 1 && !reply.header.more, "the sync did not do its work");
    Ok(Cost { pages, steps: steps.load(Ordering::Relaxed) })
}
