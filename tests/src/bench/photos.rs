//! Photos beside answers: what they cost the answers, the memory, and the CPU for a byte.

use super::{Figure, number, own_cpu, workload::Author};
use crate::{
    photos::{jpeg, sha256},
    server::{Office, Running},
};
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fixtures::{Household, World};
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use sync_protocol::Hash;

/// Devices that sync answers, and as many that upload photos.
const DEVICES: usize = 50;
/// Photos of each.
const PHOTOS: usize = 20;
/// Bytes of a photo, about.
const SIZE: usize = 300_000;
/// So often the CPU for a photo is measured, each time between two runs of what it is compared with; their sums are compared.
const ROUNDS: u32 = 10;
/// Nights that each device syncs without photos beside it.
const NIGHTS: usize = 30;
/// From the end of one night of a device to its next: some 200 nights begin in a second.
const PAUSE: Duration = Duration::from_millis(250);

/// One device that speaks over HTTP.
struct Phone {
    author: Author,
    token: String,
}

/// 50 devices upload 20 photos of 300 KB each while 50 others sync answers.
///
/// # Errors
/// If the server fails.
pub async fn measure(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let world = World::new(17, 20_000, 2 * DEVICES);
    let office = Office::new(folder.path().join("server"));
    office.prepare(&world, "benchmark")?;
    let server = office.serve(0)?;
    let mut phones = Vec::new();
    for (index, person) in world.enumerators().enumerate() {
        phones.push(enrol(&server, &office, u64::try_from(index)?, &person.code).await?);
    }
    let senders = phones.split_off(DEVICES);
    let tokens: Vec<String> = senders.into_iter().map(|phone| phone.token).collect();

    let (mut least, mut used, mut alone, mut bytes) = (Duration::ZERO, 0, Duration::MAX, 0);
    for round in 0..ROUNDS {
        let photos = photos(round);
        bytes = photos.iter().map(Bytes::len).sum::<usize>();
        least += hash_and_write(folder.path(), &photos)? / 2;
        let before = server.cpu_ms().unwrap_or(0);
        alone = alone.min(upload(&server.url, tokens.clone(), photos.clone(), Arc::default()).await?);
        used += server.cpu_ms().unwrap_or(0).saturating_sub(before);
        least += hash_and_write(folder.path(), &photos)? / 2;
    }
    let ratio = number(used) / 1000.0 / least.as_secs_f64();

    let mut nights = Nights::new(&world);
    let without = nights.run(&server.url, &phones, |night| night < NIGHTS).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let (url, photos, flag) = (server.url.clone(), self::photos(ROUNDS), ended.clone());
    let beside = std::thread::spawn(move || -> Result<Duration> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(upload(&url, tokens, photos, flag))
    });
    let with = nights.run(&server.url, &phones, |_| !ended.load(Ordering::Relaxed)).await?;
    let time = beside.join().map_err(|_panicked| anyhow::anyhow!("the uploads ended early"))??;

    let rate = |time: Duration| number(u64::try_from(bytes).unwrap_or(0)) / time.as_secs_f64() / 1e6;
    figures.push(Figure::at_most("photos.answers-p99-without", p99(&without) * 1000.0, "ms", None));
    figures.push(Figure::at_most("photos.answers-p99-beside", p99(&with) * 1000.0, "ms", None));
    figures.push(Figure::at_most("photos.answers-p99-ratio", p99(&with) / p99(&without), "times without", Some(2.0)));
    figures.push(Figure::at_least("photos.answers-beside", number(u64::try_from(with.len())?), "nights", None));
    figures.push(Figure::at_least("photos.alone", rate(alone), "MB/s", None));
    figures.push(Figure::at_least("photos.beside-answers", rate(time), "MB/s", None));
    figures.push(Figure::at_most("photos.cpu-to-hash-and-write", ratio, "times the CPU", Some(2.0)));
    let memory = number(server.memory_kib("VmHWM").unwrap_or(0)) / 1024.0;
    figures.push(Figure::at_most("photos.memory", memory, "MiB at most", Some(200.0)));
    Ok(())
}

/// What photos cost at the least, in CPU: each hashed once, written once, safe on the disk, which its name is once its folder is. Each
/// processor has its share, as while the server takes them in: what they compete for costs as much.
fn hash_and_write(folder: &Path, photos: &[Bytes]) -> Result<Duration> {
    let folder = tempfile::tempdir_in(folder)?;
    let one = |name: String, photo: &[u8]| -> Result<()> {
        std::hint::black_box(Sha256::digest(photo));
        let mut file = std::fs::File::create_new(folder.path().join(name))?;
        file.write_all(photo)?;
        file.sync_data()?;
        Ok(std::fs::File::open(folder.path())?.sync_all()?)
    };
    let all = |thread: usize, own: &[Bytes]| {
        own.iter().enumerate().try_for_each(|(index, photo)| one(format!("{thread}-{index}"), photo))
    };
    let all = &all;
    let share = photos.len().div_ceil(std::thread::available_parallelism()?.get());
    let before = own_cpu();
    std::thread::scope(|threads| {
        let begin = |(thread, own)| threads.spawn(move || all(thread, own));
        let running: Vec<_> = photos.chunks(share).enumerate().map(begin).collect();
        let early = |_panicked| Err(anyhow::anyhow!("a thread ended early"));
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(early))
    })?;
    Ok(own_cpu() - before)
}

async fn enrol(server: &Running, office: &Office, index: u64, who: &str) -> Result<Phone> {
    let author = Author::new(index, who);
    let code = office.device_code(who)?;
    let body = serde_json::json!({ "code": code, "replica": author.replica, "key": author.key.public() });
    let client = reqwest::Client::new();
    let answer = client.post(format!("{}/v1/enrol", server.url)).body(body.to_string()).send().await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
    let token = answer.get("token").and_then(|token| token.as_str()).context("no token")?.to_owned();
    Ok(Phone { author, token })
}

/// A thousand photos: one picture with another ending each, behind the end where no decoder looks.
fn photos(round: u32) -> Vec<Bytes> {
    let picture = jpeg(round, 640, 640);
    let all = u32::try_from(DEVICES * PHOTOS).unwrap_or(u32::MAX);
    let one = |number: u32| {
        let mut photo = picture.clone();
        photo.resize(SIZE, 0);
        photo.extend(number.to_le_bytes());
        photo.extend(round.to_le_bytes());
        photo.into()
    };
    (0..all).map(one).collect()
}

/// Uploads all photos, each device one after the other; how long that took.
async fn upload(url: &str, tokens: Vec<String>, photos: Vec<Bytes>, ended: Arc<AtomicBool>) -> Result<Duration> {
    let client = reqwest::Client::new();
    let mut tasks = Vec::new();
    let mut photos = photos.into_iter().map(|photo| (sha256(&photo), photo)).collect::<Vec<_>>().into_iter();
    let begun = Instant::now();
    for token in tokens {
        let mine: Vec<(String, Bytes)> = photos.by_ref().take(PHOTOS).collect();
        let (client, url) = (client.clone(), format!("{url}/v1/uploads"));
        tasks.push(tokio::spawn(async move {
            for (hash, photo) in mine {
                let digest = hash.parse::<Hash>().map_err(anyhow::Error::msg)?.0;
                let metadata = format!("sha256 {},filetype {}", STANDARD.encode(&hash), STANDARD.encode("image/jpeg"));
                let request = client.post(&url).bearer_auth(&token).header("tus-resumable", "1.0.0");
                let request = request.header("upload-length", photo.len()).header("upload-metadata", metadata);
                let request = request.header("content-type", "application/offset+octet-stream");
                let request = request.header("upload-checksum", format!("sha256 {}", STANDARD.encode(digest)));
                request.body(photo).send().await?.error_for_status()?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    ended.store(true, Ordering::Relaxed);
    Ok(begun.elapsed())
}

/// What the devices have sent so far.
struct Nights {
    households: Vec<Vec<Household>>,
    next: Vec<(u64, Hash)>,
}

impl Nights {
    fn new(world: &World) -> Self {
        let mut households: Vec<Vec<Household>> = (0..DEVICES).map(|_| Vec::new()).collect();
        for household in world.households() {
            if let Some(own) = households.get_mut(household.enumerator) {
                own.push(household);
            }
        }
        Self { households, next: vec![(1, Hash::default()); DEVICES] }
    }

    /// Syncs one household a night on every device as long as `more` says; how long each sync took, in seconds.
    async fn run(&mut self, url: &str, phones: &[Phone], more: impl Fn(usize) -> bool) -> Result<Vec<f64>> {
        let (client, more) = (reqwest::Client::new(), &more);
        let devices = phones.iter().zip(&mut self.households).zip(&mut self.next).enumerate();
        let running = devices.map(|(index, ((phone, households), next))| {
            let (client, url) = (client.clone(), format!("{url}/v1/sync"));
            async move {
                let mut took = Vec::new();
                // They do not all begin at once.
                tokio::time::sleep(PAUSE.mul_f64(number(u64::try_from(index)?) / number(u64::try_from(DEVICES)?)))
                    .await;
                while more(took.len()) {
                    let Some(household) = households.pop() else { break };
                    let body = super::workload::night(&phone.author, &[household], next)?;
                    let body = zstd::bulk::compress(&body, 3)?;
                    let sent = Instant::now();
                    let request = client.post(&url).bearer_auth(&phone.token).header("content-encoding", "zstd");
                    let answer =
                        request.header("accept-encoding", "zstd").body(body).send().await?.error_for_status()?;
                    answer.bytes().await?;
                    took.push(sent.elapsed().as_secs_f64());
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(took)
            }
        });
        let all = futures_util::future::try_join_all(running).await?;
        Ok(all.into_iter().flatten().collect())
    }
}

fn p99(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}
