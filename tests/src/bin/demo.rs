//! The demonstration: three enumerators, two offline days, nightly syncs, and the trouble of the field.
//!
//! Everything is real: the server process, the devices, HTTP between them. At the end each answer that was
//! typed is looked up on a device that pulled everything, and what was planted is held against what the
//! server shows its coordinators.

use anyhow::{Context, Result, bail};
use client_core::transport::{Http, Traffic};
use end_to_end::{
    account::Account,
    field::{Enumerator, Phone, interview_of},
    night::{Night, sync_all},
    server::{COORDINATOR, Coordinator, Office, Running},
};
use fixtures::{Trouble, World};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, path::PathBuf};
use sync_protocol::{Path, RecordId};

/// Households of the demonstration.
const HOUSEHOLDS: u64 = 60;
/// Enumerators of the demonstration.
const ENUMERATORS: usize = 3;
const DAY_MS: i64 = 86_400_000;

/// What the surroundings ask for.
struct Wish {
    port: u16,
    once: bool,
    json: bool,
    folder: PathBuf,
}

impl Wish {
    fn read() -> Result<Self> {
        let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
        let port = std::env::var("PORT").ok().filter(|port| !port.is_empty());
        let port = port.map_or(Ok(8080), |port| port.parse()).context("PORT is a number from 1 to 65535")?;
        let folder = std::env::var("DEMO_DIR").unwrap_or_else(|_| "demo-data".into());
        Ok(Self { port, once: is_set("ONCE"), json: is_set("JSON"), folder: folder.into() })
    }
}

fn main() -> std::process::ExitCode {
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(demo()));
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let wish = Wish::read()?;
    if std::net::TcpListener::bind(("127.0.0.1", wish.port)).is_err() {
        bail!(
            "port {} of 127.0.0.1 is taken: choose another, such as `make demo PORT={}`",
            wish.port,
            wish.port.wrapping_add(1)
        );
    }
    if wish.folder.exists() {
        std::fs::remove_dir_all(&wish.folder)?;
    }
    let world = World::new(2026, HOUSEHOLDS, ENUMERATORS);
    let password = password()?;
    say("A new office: areas, questionnaire, enumerators, assignments.");
    let office = Office::new(wish.folder.join("server"));
    office.prepare(&world, &password)?;
    let server = office.serve(wish.port)?;
    let summary = survey(&world, &office, &server, &wish.folder, &password).await?;
    summary.print();
    if !wish.once {
        println!("\nThe coordinator's desk: {}", server.url);
        println!("  name      {COORDINATOR}\n  password  {password}");
        println!("  (Ctrl-C ends the server; the data stays in {})", wish.folder.display());
    }
    if wish.json {
        println!("{}", summary.json());
    }
    if !wish.once {
        server.wait()?;
    }
    Ok(())
}

fn password() -> Result<String> {
    use client_core::Host;
    let mut bytes = [0; 6];
    client_core::host::System::default().random(&mut bytes);
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn say(what: &str) {
    println!("• {what}");
}

/// What the demonstration found.
#[derive(Debug, Default)]
struct Summary {
    households: usize,
    interviews: usize,
    answers: usize,
    lost: usize,
    conflicts_planted: usize,
    conflicts_found: usize,
    duplicates_planted: usize,
    forks_planted: usize,
    forks_found: u64,
    out_of_scope_planted: usize,
    out_of_scope_found: usize,
    wrong_clocks_planted: usize,
    wrong_clocks_found: usize,
    quarantined: usize,
    up: u64,
    down: u64,
    nights: usize,
    round_trips: u32,
    server_memory_kib: u64,
    server_cpu_ms: u64,
}

/// An office, its devices, and what they do in two days.
async fn survey(
    world: &World,
    office: &Office,
    server: &Running,
    folder: &std::path::Path,
    password: &str,
) -> Result<Summary> {
    let http = Http::new()?;
    let now = now_ms();
    let trouble: Vec<Trouble> = world.trouble().collect();
    let mut summary = Summary::default();
    let mut people = Vec::new();
    for person in world.enumerators() {
        let code = office.device_code(&person.code)?;
        let file = folder.join(format!("{}.sqlite", person.code));
        let seed = u64::try_from(person.index)?;
        let phone = Phone::new(seed, now - 2 * DAY_MS, clock_offset(&trouble, person.index));
        people.push(Enumerator::enrol(&http, &server.url, &code, &person.code, &person.device, &file, phone).await?);
    }
    sync_all(&http, &mut people.iter_mut().collect::<Vec<_>>(), now).await?;

    // What is edited on the second day must have been seen by both editors on the first night.
    let first: BTreeSet<u64> =
        world.households().filter(|home| is_first_day(world, home.index, &trouble)).map(|h| h.index).collect();
    say("Day 1, offline: enumerators interview households.");
    work(world, &mut people, now - 2 * DAY_MS, |index| first.contains(&index), &trouble, &mut summary)?;
    let mut copies = Vec::new();
    for (index, person) in std::mem::take(&mut people).into_iter().enumerate() {
        let is_cloned =
            trouble.iter().any(|t| matches!(t, Trouble::ClonedPhone { enumerator, .. } if *enumerator == index));
        if is_cloned {
            let copy = folder.join(format!("{}-copy.sqlite", person.code));
            let (original, copy) = person.cloned(&copy)?;
            people.push(original);
            copies.push(copy);
        } else {
            people.push(person);
        }
    }
    say("Night 1: the phones sync over HTTP.");
    let nights = sync_all(&http, &mut people.iter_mut().collect::<Vec<_>>(), now - DAY_MS).await?;
    summary.add(&nights);
    // In the morning each fetches what the others sent in the night.
    summary.add_traffic(&sync_all(&http, &mut people.iter_mut().collect::<Vec<_>>(), now - DAY_MS).await?);

    say(
        "Day 2, offline: more interviews, and trouble: conflicting edits, a twin, a copied phone, an edit out of scope.",
    );
    work(world, &mut people, now - DAY_MS, |index| !first.contains(&index), &trouble, &mut summary)?;
    let planted = plant(world, &mut people, &mut copies, &trouble, &mut summary)?;
    say("Night 2: the phones sync, the copied one with its other life.");
    let nights = sync_all(&http, &mut people.iter_mut().collect::<Vec<_>>(), now).await?;
    summary.add(&nights);
    for copy in &mut copies {
        summary.add_traffic(&sync_all(&http, &mut [copy], now).await?);
    }
    summary.add_traffic(&sync_all(&http, &mut people.iter_mut().collect::<Vec<_>>(), now).await?);

    say("A team leader's new tablet pulls everything, and every answer is looked up on it.");
    let mut account = Account::default();
    for person in people.iter().chain(&copies) {
        account.merge(person.account.clone());
    }
    summary.answers = account.len();
    let mut leader = leader(&http, office, server, world, folder, now).await?;
    let lost = account.lost_on(&mut leader.device)?;
    for answer in lost.iter().take(10) {
        eprintln!("lost: {answer}");
    }
    summary.lost = lost.len();
    summary.look(&Coordinator::log_in(&server.url, password).await?, &planted).await?;
    summary.server_memory_kib = server.memory_kib("VmHWM").unwrap_or(0);
    summary.server_cpu_ms = server.cpu_ms().unwrap_or(0);
    Ok(summary)
}

fn clock_offset(trouble: &[Trouble], person: usize) -> i64 {
    let offset = |trouble: &Trouble| match trouble {
        Trouble::WrongClock { enumerator, offset_minutes } => {
            (*enumerator == person).then_some(offset_minutes * 60_000)
        }
        Trouble::ConflictingEdits { .. }
        | Trouble::RegisteredTwice { .. }
        | Trouble::ClonedPhone { .. }
        | Trouble::OutOfScopeEdit { .. } => None,
    };
    trouble.iter().find_map(offset).unwrap_or(0)
}

/// Half of the sample, and every household that trouble is planted in.
fn is_first_day(world: &World, index: u64, trouble: &[Trouble]) -> bool {
    let is_troubled = trouble.iter().any(|trouble| match trouble {
        Trouble::ConflictingEdits { household, .. }
        | Trouble::OutOfScopeEdit { household, .. }
        | Trouble::ClonedPhone { household, .. } => *household == index,
        Trouble::RegisteredTwice { .. } | Trouble::WrongClock { .. } => false,
    });
    is_troubled || world.household(index).and_then(|home| home.rounds.first().map(|i| i.day == 0)).unwrap_or(false)
}

/// One day of work of everybody.
fn work(
    world: &World,
    people: &mut [Enumerator],
    morning: i64,
    today: impl Fn(u64) -> bool,
    trouble: &[Trouble],
    summary: &mut Summary,
) -> Result<()> {
    for person in people.iter_mut() {
        person.device.host().set_time(morning);
    }
    for household in world.households().filter(|household| today(household.index)) {
        let person = people.get_mut(household.enumerator).context("an enumerator who is not there")?;
        person.register(&household, household.id)?;
        if let Some(interview) = household.rounds.first() {
            person.interview(household.id, interview)?;
            summary.interviews += 1;
        }
        summary.households += 1;
        if summary.households.is_multiple_of(10) {
            say(&format!("  {} of {} households", summary.households, world.len()));
        }
        for twin in trouble {
            if let Trouble::RegisteredTwice { household: index, twin, enumerator } = twin
                && *index == household.index
            {
                let person = people.get_mut(*enumerator).context("an enumerator who is not there")?;
                person.register(&household, *twin)?;
                if let Some(interview) = household.rounds.first() {
                    person.interview(*twin, interview)?;
                    summary.interviews += 1;
                }
                summary.duplicates_planted += 1;
            }
        }
    }
    Ok(())
}

/// What was planted, to be found again.
#[derive(Default)]
struct Planted {
    conflicts: BTreeSet<(RecordId, Path)>,
    out_of_scope: BTreeSet<RecordId>,
}

/// Plants the trouble of the second day.
fn plant(
    world: &World,
    people: &mut [Enumerator],
    copies: &mut [Enumerator],
    trouble: &[Trouble],
    summary: &mut Summary,
) -> Result<Planted> {
    let mut planted = Planted::default();
    let home = |index: u64| world.household(index).context("a household that is not there");
    for trouble in trouble {
        match trouble {
            Trouble::ConflictingEdits { household, round, path, values } => {
                let record = interview_of(home(*household)?.id, *round);
                for (person, value) in values {
                    let person = people.get_mut(*person).context("an enumerator who is not there")?;
                    person.set(record, path, value)?;
                }
                planted.conflicts.insert((record, path.clone()));
            }
            Trouble::OutOfScopeEdit { household, round, enumerator, path, value } => {
                let home = home(*household)?;
                let person = people.get_mut(*enumerator).context("an enumerator who is not there")?;
                let household = sync_protocol::HouseholdId(home.id);
                let code = person.code.clone();
                let record = person.device.start_interview(
                    household,
                    &round.to_string(),
                    &end_to_end::field::questionnaire(),
                    &code,
                )?;
                person.set(record, path, value)?;
                planted.out_of_scope.insert(record);
            }
            Trouble::ClonedPhone { household, path, value, enumerator, .. } => {
                let code = &people.get(*enumerator).context("an enumerator who is not there")?.code;
                let copy = copies.iter_mut().find(|copy| copy.code == *code).context("a copy that is not there")?;
                copy.set(interview_of(home(*household)?.id, 1), path, value)?;
                summary.forks_planted += 1;
            }
            Trouble::WrongClock { .. } => summary.wrong_clocks_planted += 1,
            Trouble::RegisteredTwice { .. } => {}
        }
    }
    summary.conflicts_planted = planted.conflicts.len();
    summary.out_of_scope_planted = planted.out_of_scope.len();
    Ok(planted)
}

/// A new device that is assigned every area.
async fn leader(
    http: &Http,
    office: &Office,
    server: &Running,
    world: &World,
    folder: &std::path::Path,
    now: i64,
) -> Result<Enumerator> {
    office.run("enumerator", &["KT001", "Team leader"])?;
    let areas: Vec<String> = world.areas().map(|area| area.code).collect();
    let mut arguments = vec!["KT001"];
    arguments.extend(areas.iter().map(String::as_str));
    office.run("assign", &arguments)?;
    let code = office.device_code("KT001")?;
    let phone = Phone::new(99, now, 0);
    let file = folder.join("leader.sqlite");
    let mut leader = Enumerator::enrol(http, &server.url, &code, "KT001", "tablet", &file, phone).await?;
    sync_all(http, &mut [&mut leader], now).await?;
    Ok(leader)
}

impl Summary {
    fn add(&mut self, nights: &[Night]) {
        self.nights += nights.len();
        self.round_trips += nights.iter().map(|night| night.report.round_trips).sum::<u32>();
        self.add_traffic(nights);
    }

    fn add_traffic(&mut self, nights: &[Night]) {
        for Night { traffic: Traffic { up, down }, .. } in nights {
            self.up += up;
            self.down += down;
        }
    }

    /// Looks at what a coordinator is shown.
    async fn look(&mut self, coordinator: &Coordinator, planted: &Planted) -> Result<()> {
        for (record, path) in &planted.conflicts {
            let record = coordinator.get(&format!("records/{record}")).await?;
            let answers = record.get("answers").and_then(Json::as_array).context("no answers")?;
            let is_found = answers.iter().any(|answer| {
                answer.get("path").and_then(Json::as_str) == Some(&path.to_string())
                    && answer.get("conflict").and_then(Json::as_bool) == Some(true)
            });
            self.conflicts_found += usize::from(is_found);
        }
        let flagged = coordinator.all("records?flag=out-of-scope").await?;
        let flagged: BTreeSet<&str> = flagged.iter().filter_map(|r| r.get("id").and_then(Json::as_str)).collect();
        self.out_of_scope_found =
            planted.out_of_scope.iter().filter(|id| flagged.contains(id.to_string().as_str())).count();
        let devices = coordinator.all("devices").await?;
        self.forks_found = devices.iter().filter_map(|device| device.get("forks").and_then(Json::as_u64)).sum();
        let skewed =
            |device: &&Json| device.get("skew_ms").and_then(Json::as_i64).is_some_and(|skew| skew.abs() > DAY_MS * 300);
        self.wrong_clocks_found = devices.iter().filter(skewed).count();
        self.quarantined = coordinator.all("quarantine").await?.len();
        Ok(())
    }

    fn per_household(&self, bytes: u64) -> u64 {
        bytes / u64::try_from(self.households.max(1)).unwrap_or(1)
    }

    fn json(&self) -> Json {
        let nights = u32::try_from(self.nights.max(1)).unwrap_or(1);
        json!({
            "households": self.households, "interviews": self.interviews, "answers": self.answers,
            "answers_lost": self.lost, "conflicts_planted": self.conflicts_planted,
            "conflicts_found": self.conflicts_found, "duplicates_planted": self.duplicates_planted,
            "forks_planted": self.forks_planted, "forks_found": self.forks_found,
            "out_of_scope_planted": self.out_of_scope_planted, "out_of_scope_found": self.out_of_scope_found,
            "wrong_clocks_planted": self.wrong_clocks_planted, "wrong_clocks_found": self.wrong_clocks_found,
            "quarantined": self.quarantined,
            "bytes_up_per_household": self.per_household(self.up),
            "bytes_down_per_household": self.per_household(self.down),
            "round_trips_per_night": f64::from(self.round_trips) / f64::from(nights),
            "server_memory_mib": self.server_memory_kib / 1024, "server_cpu_ms": self.server_cpu_ms,
        })
    }

    fn print(&self) {
        let nights = u32::try_from(self.nights.max(1)).unwrap_or(1);
        println!("\n  households         {:>7}   in {} interviews", self.households, self.interviews);
        println!("  answers typed      {:>7}   lost: {}", self.answers, self.lost);
        println!("  conflicts          {:>7}   planted, {} found", self.conflicts_planted, self.conflicts_found);
        println!("  registered twice   {:>7}   planted", self.duplicates_planted);
        println!("  copied phones      {:>7}   planted, {} found", self.forks_planted, self.forks_found);
        println!("  edits out of scope {:>7}   planted, {} found", self.out_of_scope_planted, self.out_of_scope_found);
        println!("  wrong clocks       {:>7}   planted, {} found", self.wrong_clocks_planted, self.wrong_clocks_found);
        println!(
            "  bytes a household  {:>7}   up, {} down",
            self.per_household(self.up),
            self.per_household(self.down)
        );
        println!(
            "  round trips        {:>7.2}   a night of one phone",
            f64::from(self.round_trips) / f64::from(nights)
        );
        println!(
            "  server             {:>7}   MiB of memory, {} ms of CPU",
            self.server_memory_kib / 1024,
            self.server_cpu_ms
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "the demonstration happens now")]
fn now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
