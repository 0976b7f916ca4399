//! The server under load: its store alone against bare rows, then over HTTP with many devices.

use super::{
    Figure, median, number, timed,
    workload::{Author, changes, parts, request, rows},
};
use crate::server::{Office, Running};
use anyhow::{Context, Result};
use fixtures::{Household, World};
use rusqlite::{Connection, params};
use server::{
    domain::{catalogue::Catalogue, identity::Identity, ingest, people, prepare, validate::Merged},
    store::{self, Device, Tx},
};
use std::{path::Path, sync::Arc, time::Duration};
use sync_protocol::{Limits, Record};

/// One device's upload, packed as it would travel.
pub(super) struct Upload {
    author: Author,
    changes: Vec<u8>,
    rows: Vec<u8>,
}

/// Makes the uploads of a world's enumerators, in parts that fit a request.
pub(super) fn uploads(world: &World, per_device: usize) -> Result<Vec<Upload>> {
    let mut uploads = Vec::new();
    let mut pending: Vec<Household> = Vec::new();
    let mut close = |pending: &mut Vec<Household>| -> Result<()> {
        let number = u64::try_from(uploads.len())?;
        let author = Author::new(number, "KP001");
        let changes = changes(&author, pending)?;
        uploads.push(Upload {
            changes: zstd::bulk::compress(&request(&author, &changes), 3)?,
            rows: zstd::bulk::compress(&rows(&changes), 3)?,
            author,
        });
        pending.clear();
        Ok(())
    };
    for household in world.households() {
        pending.push(household);
        if pending.len() == per_device {
            close(&mut pending)?;
        }
    }
    if !pending.is_empty() {
        close(&mut pending)?;
    }
    Ok(uploads)
}

/// The limit: every answer as one row, no index on answers, one transaction a device.
fn raw_rows(folder: &Path, uploads: &[Upload]) -> Result<Duration> {
    let file = folder.join("rows.sqlite");
    let mut conn = Connection::open(&file)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(
        "CREATE TABLE rec (n INTEGER PRIMARY KEY, id BLOB UNIQUE);
         CREATE TABLE ans (rec INTEGER, mem TEXT, field TEXT, val, dev INTEGER, ctr INTEGER, wall INTEGER)",
    )?;
    let (result, time) = timed(|| -> Result<()> {
        for (device, upload) in (0_i64..).zip(uploads) {
            let packed = zstd::stream::decode_all(upload.rows.as_slice())?;
            let tx = conn.transaction()?;
            {
                let mut record = tx.prepare_cached("INSERT INTO rec (id) VALUES (?1) ON CONFLICT DO NOTHING")?;
                let mut find = tx.prepare_cached("SELECT n FROM rec WHERE id = ?1")?;
                let mut insert = tx.prepare_cached("INSERT INTO ans VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
                let mut parts = parts(&packed);
                let (mut last, mut n): (&[u8], i64) = (&[], 0);
                while let (Some(id), Some(row), Some(name), Some(value), Some(seq), Some(wall)) =
                    (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
                {
                    if id != last {
                        record.execute([id])?;
                        n = find.query_row([id], |row| row.get(0))?;
                        last = id;
                    }
                    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
                    let int = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).unwrap_or(0);
                    insert.execute(params![n, text(row), text(name), text(value), device, int(seq), int(wall)])?;
                }
            }
            tx.commit()?;
        }
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
    });
    result?;
    Ok(time)
}

/// How many threads take the uploads in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// One does everything, as the limit's does.
    One,
    /// One unpacks, verifies and checks ahead of the one that writes, as in the server.
    Two,
}

/// Our store, with a device for each upload, before any of them came.
pub(super) struct Ready {
    pub(super) conn: Connection,
    reader: Connection,
    pub(super) world: ingest::World,
    devices: Vec<Device>,
}

/// Sets our store up.
pub(super) fn ready(folder: &Path, world: &World, uploads: &[Upload]) -> Result<Ready> {
    let data = folder.join("store");
    Office::new(&data).prepare(world, "benchmark")?;
    let mut conn = store::open_writer(&data)?;
    let identity = store::in_transaction(&mut conn, Identity::load_or_make)?;
    let mut devices = Vec::new();
    for upload in uploads {
        let device = store::in_transaction(&mut conn, |tx| {
            let number =
                tx.insert_device("KP001", "bench", people::hash_secret(&upload.author.replica.to_string()), 0)?;
            tx.insert_replica(upload.author.replica, Some(number), upload.author.key.public(), None)?;
            people::device(tx, &upload.author.replica.to_string())
        })?;
        devices.push(device);
    }
    let catalogue = store::in_transaction(&mut conn, |tx| Catalogue::refresh(&Arc::default(), tx))?;
    let world = ingest::World { catalogue, identity: Arc::new(identity), limits: Limits::default() };
    Ok(Ready { conn, reader: store::open_reader(&data)?, world, devices })
}

impl Ready {
    /// Takes everything in: unpack, verify, check, merge, find conflicts, fill buckets; one commit a device. What was
    /// merged is handed to `then` after each.
    pub(super) fn take_in(
        &mut self,
        uploads: &[Upload],
        threads: Threads,
        mut then: impl FnMut(&mut Connection, &ingest::World, Vec<Merged>) -> Result<()>,
    ) -> Result<Duration> {
        let Self { conn, reader, world, devices } = self;
        let mut prepared = devices.drain(..).zip(uploads).map(|(device, upload)| -> Result<_> {
            let body = zstd::stream::decode_all(upload.changes.as_slice())?;
            let tx = reader.transaction()?;
            Ok(prepare::prepare(Tx::new(&tx), device, &body, &world.catalogue, &world.limits)?)
        });
        let mut write = |prepared: Result<prepare::Prepared>| -> Result<()> {
            let prepared = prepared?;
            let applied = store::in_transaction(conn, |tx| ingest::apply(tx, prepared, world, 1_767_300_000_000))?;
            then(conn, world, applied.merged)
        };
        let (result, time) = timed(|| match threads {
            Threads::One => prepared.try_for_each(&mut write),
            Threads::Two => std::thread::scope(|scope| {
                let (send, receive) = std::sync::mpsc::sync_channel(2);
                // The writer has gone only where it failed, and says so itself.
                scope.spawn(move || prepared.all(|prepared| send.send(prepared).is_ok()));
                receive.iter().try_for_each(&mut write)
            }),
        });
        result?;
        let (result, checkpoint) = timed(|| conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        result?;
        Ok(time + checkpoint)
    }
}

/// Our store alone.
fn our_store(folder: &Path, world: &World, uploads: &[Upload], threads: Threads) -> Result<Duration> {
    ready(folder, world, uploads)?.take_in(uploads, threads, |_, _, _| Ok(()))
}

/// Store alone against bare rows, interleaved, on the folder's disk.
///
/// # Errors
/// If something can't be set up.
pub fn store_alone(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let (households, repetitions) = (2_000, 5);
    let world = World::new(11, households, 40);
    let uploads = uploads(&world, 50)?;
    let (mut ratios, mut two, mut ours, mut limit) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        let folder = tempfile::tempdir_in(folder)?;
        let raw = raw_rows(folder.path(), &uploads)?;
        let store = our_store(&folder.path().join("one"), &world, &uploads, Threads::One)?;
        let server = our_store(&folder.path().join("two"), &world, &uploads, Threads::Two)?;
        ratios.push(raw.as_secs_f64() / store.as_secs_f64());
        two.push(raw.as_secs_f64() / server.as_secs_f64());
        ours.push(number(households) / store.as_secs_f64());
        limit.push(number(households) / raw.as_secs_f64());
    }
    figures.push(Figure::at_least("ingest.rows-limit", median(limit), "households/s", None));
    figures.push(Figure::at_least("ingest.store", median(ours), "households/s", None));
    figures.push(Figure::at_least("ingest.store-to-limit", median(ratios), "ratio", Some(0.5)));
    figures.push(Figure::at_least("ingest.store-two-threads-to-limit", median(two), "ratio", Some(0.6)));

    let mut growth = Vec::new();
    for _ in 0..3 {
        let mut times = Vec::new();
        for households in [1_000, 10_000] {
            let folder = tempfile::tempdir_in(folder)?;
            let world = World::new(12, households, 40);
            times.push(our_store(folder.path(), &world, &self::uploads(&world, 50)?, Threads::One)?.as_secs_f64());
        }
        if let [one, ten] = times.as_slice() {
            growth.push(ten / one);
        }
    }
    figures.push(Figure::at_most("ingest.ten-times-the-households", median(growth), "times the time", Some(11.0)));
    Ok(())
}

/// Merging alone: households a second, from changes that are read already.
///
/// # Errors
/// If the fixtures fail.
pub fn merge(figures: &mut Vec<Figure>) -> Result<()> {
    let world = World::new(11, 500, 10);
    let author = Author::new(1, "KP001");
    let households: Vec<Household> = world.households().collect();
    let changes = changes(&author, &households)?;
    let mut times = Vec::new();
    for _ in 0..7 {
        let copies = changes.clone();
        let ((), time) = timed(|| {
            let mut record = Record::new();
            let mut at = None;
            for change in copies {
                let id = change.record();
                if at != Some(id) {
                    std::hint::black_box(
                        std::mem::take(&mut record).answers().filter(|(_, a)| a.siblings.len() > 1).count(),
                    );
                    at = Some(id);
                }
                record.apply(change, None);
            }
        });
        times.push(time.as_secs_f64() * 1e6 / number(500));
    }
    figures.push(Figure::at_most("merge.household", median(times), "µs", None));
    Ok(())
}

/// 200 devices at once over HTTP.
///
/// # Errors
/// If the server fails.
pub async fn over_http(folder: &Path, households: u64, figures: &mut Vec<Figure>) -> Result<()> {
    let devices = 200_usize;
    let folder = tempfile::tempdir_in(folder)?;
    let world = World::new(13, households, devices);
    let office = Office::new(folder.path().join("server"));
    office.prepare(&world, "benchmark")?;
    let server = office.serve(0)?;
    // Between two waves the server closes what is idle, after 5 seconds: by then this has closed it.
    let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(4)).build()?;
    let mut enrolled = Vec::new();
    for (number, person) in world.enumerators().enumerate() {
        let author = Author::new(u64::try_from(number)?, &person.code);
        let code = office.device_code(&person.code)?;
        let body = serde_json::json!({ "code": code, "replica": author.replica, "key": author.key.public() });
        let answer = client.post(format!("{}/v1/enrol", server.url)).body(body.to_string()).send().await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        let token = answer.get("token").and_then(|token| token.as_str()).context("no token")?.to_owned();
        enrolled.push((author, token));
    }
    let cpu_before = server.cpu_ms().unwrap_or(0);
    let mut busy = Duration::ZERO;
    let mut latencies = Vec::new();
    // Devices come in waves of a night's work, so that the benchmark itself stays small.
    let per_night = 100_u64;
    let mut seqs: Vec<(u64, sync_protocol::Hash)> = vec![(1, sync_protocol::Hash::default()); enrolled.len()];
    // The households of one enumerator stand together.
    let mut next: Vec<u64> = (0..=enrolled.len()).map(|enumerator| start_of(&world, enumerator)).collect();
    let ends: Vec<u64> = next.iter().skip(1).copied().collect();
    loop {
        let mut wave = Vec::new();
        for (at, (author, token)) in enrolled.iter().enumerate() {
            let (Some(from), Some(end), Some(seq)) = (next.get_mut(at), ends.get(at), seqs.get_mut(at)) else {
                continue;
            };
            let to = from.saturating_add(per_night).min(*end);
            let mine: Vec<Household> = (*from..to).filter_map(|index| world.household(index)).collect();
            *from = to;
            if !mine.is_empty() {
                wave.push((token.clone(), zstd::bulk::compress(&super::workload::night(author, &mine, seq)?, 3)?));
            }
        }
        if wave.is_empty() {
            break;
        }
        let (answers, time) = send_all(&client, &server.url, wave).await?;
        busy += time;
        latencies.extend(answers);
    }
    let cpu = server.cpu_ms().unwrap_or(0).saturating_sub(cpu_before);
    let per_household = number(cpu) / number(households);
    latencies.sort_by(f64::total_cmp);
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    figures.push(Figure::at_least("ingest.http", number(households) / busy.as_secs_f64(), "households/s", None));
    figures.push(Figure::at_most("ingest.http-cpu", per_household, "ms of CPU a household", Some(13.0 / 50.0)));
    figures.push(Figure::at_most("ingest.http-p99-to-median", p99 / median(latencies), "ratio", Some(10.0)));
    memory_and_lists(&server, &office, households, figures).await
}

/// The first household of an enumerator, by halving: they stand in the order of their enumerators.
fn start_of(world: &World, enumerator: usize) -> u64 {
    let (mut low, mut high) = (0, world.len());
    while low < high {
        let middle = low.midpoint(high);
        if world.household(middle).is_some_and(|household| household.enumerator < enumerator) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

async fn send_all(client: &reqwest::Client, url: &str, wave: Vec<(String, Vec<u8>)>) -> Result<(Vec<f64>, Duration)> {
    let begun = std::time::Instant::now();
    let tasks: Vec<_> = wave
        .into_iter()
        .map(|(token, body)| {
            let (client, url) = (client.clone(), format!("{url}/v1/sync"));
            tokio::spawn(async move {
                let sent = std::time::Instant::now();
                let request = client.post(url).bearer_auth(token).header("content-encoding", "zstd");
                let answer = request.header("accept-encoding", "zstd").body(body).send().await?.error_for_status()?;
                answer.bytes().await?;
                anyhow::Ok(sent.elapsed().as_secs_f64())
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.push(task.await??);
    }
    Ok((latencies, begun.elapsed()))
}

async fn memory_and_lists(server: &Running, office: &Office, households: u64, figures: &mut Vec<Figure>) -> Result<()> {
    let memory = number(server.memory_kib("VmHWM").unwrap_or(0)) / 1024.0;
    figures.push(Figure::at_most("ingest.http-memory", memory, "MiB at most", Some(150.0)));
    figures.push(Figure::at_least("ingest.http-households", number(households), "households", None));
    let size = std::fs::metadata(office.data().join(store::FILE))?.len();
    figures.push(Figure::at_most("store.bytes-a-household", number(size) / number(households), "bytes", None));
    let coordinator = crate::server::Coordinator::log_in(&server.url, "benchmark").await?;
    for (name, list) in [
        ("list.first-page", "records?kind=interview&limit=50"),
        ("list.conflicts", "records?conflicts=true&limit=50"),
        ("list.progress-by-area", "progress?by=area"),
    ] {
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = std::time::Instant::now();
            coordinator.get(list).await?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        figures.push(Figure::at_most(name, median(times), "ms", None));
    }
    Ok(())
}
