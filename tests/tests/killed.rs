//! Law L1: an acked change is durable. The real server is killed at random moments under load, many times,
//! and every ack is checked afterwards, byte for byte.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::Result;
use client_core::{Host, host::Fixed};
use end_to_end::{
    raw::RawDevice,
    server::Office,
    survey::{Parts, Survey, household},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use sync_protocol::{ReplicaId, chain::Batch, wire::Run};
use tokio::sync::Notify;

/// Times that the server is killed.
const KILLS: u32 = 60;
const DEVICES: u64 = 4;

/// A device under load: what it has authored, and how far the server has acked it.
struct Loaded {
    device: RawDevice,
    area: String,
    bodies: Vec<Vec<u8>>,
    batches: Vec<Batch>,
    acked: u64,
}

impl Loaded {
    /// Authors a batch of a few changes.
    fn author(&mut self, random: &mut Fixed) {
        let mut count = [0; 1];
        random.random(&mut count);
        let bodies: Vec<Vec<u8>> = (0..1 + count[0] % 5)
            .map(|_| {
                let mut id = [0; 16];
                random.random(&mut id);
                let id = uuid::Builder::from_random_bytes(id).into_uuid();
                household(id, &self.area, &format!("head of {id}"))
            })
            .collect();
        self.batches.push(self.device.batch(&bodies));
        self.bodies.extend(bodies);
    }

    /// Sends everything that is not acked; true if the server answered.
    async fn send(&mut self, url: &str) -> bool {
        let unsent = self.batches.iter().filter(|batch| batch.last() > self.acked).cloned().collect();
        match self.device.push(url, unsent).await {
            Ok(reply) => {
                assert!(reply.header.acked_through >= self.acked, "an acked change is gone");
                self.acked = reply.header.acked_through;
                true
            }
            Err(_) => false,
        }
    }
}

/// Counts requests, and wakes who waits for a certain one.
#[derive(Default)]
struct Meter {
    sent: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Meter {
    fn tick(&self) {
        if self.sent.fetch_add(1, Ordering::SeqCst) + 1 >= self.target.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ack_survives_sixty_kills_under_load() -> Result<()> {
    let seed = 4_711;
    let mut random = Fixed::new(seed);
    let Parts { world, office, mut server, folder: _folder } = Survey::start(24, 2)?.into_parts();
    let areas: Vec<String> = world.areas().map(|area| area.code).collect();
    let mut loaded = Vec::new();
    for n in 0..DEVICES {
        let who = world.enumerators().next().unwrap().code;
        let device = RawDevice::enrol(&server.url, &office.device_code(&who)?, n + 1).await?;
        let area = areas.first().unwrap().clone();
        loaded.push(Loaded { device, area, bodies: Vec::new(), batches: Vec::new(), acked: 0 });
    }
    let mut answered = 0_u32;
    for _ in 0..KILLS {
        let meter = Arc::new(Meter::default());
        let mut dice = [0; 2];
        random.random(&mut dice);
        meter.target.store(u64::from(dice[0] % 24) + 1, Ordering::SeqCst);
        let spin = Duration::from_micros(u64::from(dice[1]) * 20);
        let mut tasks = Vec::new();
        for mut one in loaded {
            let (url, meter) = (server.url.clone(), meter.clone());
            let mut seed = [0; 8];
            random.random(&mut seed);
            let mut random = Fixed::new(u64::from_le_bytes(seed));
            tasks.push(tokio::spawn(async move {
                let mut answers = 0_u32;
                loop {
                    one.author(&mut random);
                    meter.tick();
                    if !one.send(&url).await {
                        // Whoever waits for the right moment must not wait for a device that has given up.
                        meter.reached.notify_one();
                        return (one, answers);
                    }
                    answers += 1;
                }
            }));
        }
        meter.reached.notified().await;
        // The moment within the request is random, too.
        let begun = Instant::now();
        while begun.elapsed() < spin {
            std::hint::spin_loop();
        }
        server.kill()?;
        loaded = Vec::new();
        for task in tasks {
            let (one, answers) = task.await?;
            answered += answers;
            loaded.push(one);
        }
        server = office.serve(0)?;
        for one in &mut loaded {
            assert!(one.send(&server.url).await, "the server does not answer after a restart");
        }
    }
    // Everything that was acked is there, byte for byte: a device of the same areas pulls it.
    let mut expected: BTreeMap<(ReplicaId, u64), Vec<u8>> = BTreeMap::new();
    for one in &mut loaded {
        assert!(one.send(&server.url).await);
        assert_eq!(one.acked, u64::try_from(one.bodies.len())?);
        for (seq, body) in (1..).zip(&one.bodies) {
            expected.insert((one.device.replica, seq), body.clone());
        }
    }
    let pulled = pull_everything(&office, &server.url, &world.enumerators().next().unwrap().code).await?;
    println!("seed {seed}: {KILLS} kills, {answered} answers before them, {} changes acked", expected.len());
    assert!(answered > KILLS, "the server was never under load");
    assert_eq!(pulled.len(), expected.len());
    assert!(pulled == expected, "a change came back other than it was sent");
    server.kill()?;
    let rebuilt = office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1], "what is derived does not follow from the changes");
    Ok(())
}

async fn pull_everything(office: &Office, url: &str, who: &str) -> Result<BTreeMap<(ReplicaId, u64), Vec<u8>>> {
    let device = RawDevice::enrol(url, &office.device_code(who)?, 99).await?;
    let (mut all, mut cursors, mut epoch) = (BTreeMap::new(), BTreeMap::new(), String::new());
    loop {
        let mut request = device.request(vec![]);
        request.header.cursors.clone_from(&cursors);
        request.header.epoch.clone_from(&epoch);
        let reply = device.send(url, request.to_bytes(), None).await?.reply()?;
        epoch.clone_from(&reply.header.epoch);
        for Run { changes, cursor, .. } in reply.pulled {
            for change in changes {
                all.insert((change.replica, change.seq), change.bytes);
            }
            cursors.insert(cursor.bucket, cursor.seq);
        }
        if !reply.header.more {
            return Ok(all);
        }
    }
}
