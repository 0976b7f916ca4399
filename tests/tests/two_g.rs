//! Nights on 2G: over a line that is slow, far and breaks, everything arrives and nothing begins again from zero.
//!
//! The lines here are faster than 2G, so that tests take seconds; what is asserted are bytes and answers, never time.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use client_core::{
    Device, Error, Line as Known,
    transport::{Http, Progress, Stage},
};
use end_to_end::{
    account::Account,
    field::{Enumerator, Phone, terminal},
    line::{Counts, Cut, End, Line, Shape, Way},
    survey::{Survey, household},
};
use std::{process::Command, time::Duration};
use sync_protocol::{
    engine::device::DeviceStore,
    wire::{Have, Verdict},
};

/// Heads of HTTP, a question about what arrived, the header lines: what a request costs beside its batches.
const AROUND: u64 = 2 << 10;

/// Long enough for a server that is busy with other tests, short enough for silent cuts.
fn http() -> Result<Http> {
    Ok(Http::with_patience(Duration::from_secs(3))?)
}

/// A survey whose disk is memory where there is one: what is tested is the line.
fn survey(households: u64, enumerators: usize) -> Result<Survey> {
    let memory = std::path::PathBuf::from("/dev/shm");
    let disk = if memory.is_dir() { memory } else { std::env::temp_dir() };
    Survey::start_in(&disk, households, enumerators)
}

async fn enrol(survey: &Survey, line: &Line, number: usize, name: &str) -> Result<Enumerator> {
    let who = survey.who(number)?;
    let code = survey.office.device_code(&who)?;
    let phone = Phone::new(number.try_into()?, 1_767_225_600_000, 0);
    let http = http()?;
    let mut person = Enumerator::enrol(&http, &line.url, &code, &who, name, &survey.file(name), phone).await?;
    http.sync(&mut person.device, |_| ()).await?;
    Ok(person)
}

/// Interviews of a world, typed into a device as its enumerator's.
fn work(survey: &Survey, person: &mut Enumerator, from: usize, count: usize) -> Result<()> {
    for home in survey.world.households().skip(from).take(count) {
        person.register(&home, home.id)?;
        person.interview(home.id, home.rounds.first().context("a round")?)?;
    }
    Ok(())
}

fn since(now: Counts, before: Counts) -> Counts {
    Counts {
        connections: now.connections - before.connections,
        lost: now.lost - before.lost,
        cuts: now.cuts - before.cuts,
        up: now.up - before.up,
        down: now.down - before.down,
    }
}

#[tokio::test]
async fn an_ordinary_night_is_one_connection_and_one_round_trip() -> Result<()> {
    let survey = survey(40, 2)?;
    let line = Line::to(&survey.server.url, Shape::two_g().times_as_fast(50), 1).await?;
    let mut person = enrol(&survey, &line, 0, "a").await?;
    work(&survey, &mut person, 0, 20)?;
    let (before, needed) = (line.counts(), person.weigh()?);
    let mut steps = Vec::new();
    // A way of its own: the night begins with a new connection.
    let (report, traffic) = http()?.sync(&mut person.device, |progress| steps.push(*progress)).await?;
    let night = since(line.counts(), before);
    assert_eq!((report.round_trips, night.connections), (1, 1));
    assert!(traffic.up.abs_diff(needed) < 40, "{traffic:?} for {needed}");
    assert!(night.up <= needed + AROUND, "{night:?} for {needed}");
    // People hear of it: how much goes out, and that all of it is there.
    let (first, last) = (steps.first().unwrap(), steps.last().unwrap());
    assert_eq!((first.records_sent, first.records), (0, 40));
    assert_eq!((last.records_sent, last.traffic), (40, traffic));
    let known = person.device.known_line()?;
    assert!(known.up > 0 && known.round_trip_ms > 0, "{known:?}");
    Ok(())
}

/// Cuts one upload of 180 interviews at 90%.
async fn cut_upload(end: End) -> Result<()> {
    let survey = survey(180, 1)?;
    let line = Line::to(&survey.server.url, Shape::two_g().times_as_fast(100), 2).await?;
    let mut person = enrol(&survey, &line, 0, "a").await?;
    work(&survey, &mut person, 0, 180)?;
    let (before, needed, known) = (line.counts(), person.weigh()?, person.device.known_line()?);
    assert!(needed > 2 * u64::from(known.batch), "{needed} bytes are not enough for several batches");
    line.plan(Cut { way: Way::Up, after: needed / 10 * 9, end });
    let (report, _) = http()?.sync(&mut person.device, |_| ()).await?;
    let night = since(line.counts(), before);
    assert_eq!(night.cuts, 1);
    assert!(report.round_trips >= 2 && person.device.status()?.unsent == 0);
    let again = night.up.saturating_sub(needed);
    assert!(again <= u64::from(known.batch) + 2 * AROUND, "{again} bytes again of {needed} after {end:?}");
    assert!(person.device.known_line()?.batch < known.batch * 2, "a cut makes no batch larger");
    // What was cut is whole on the server: another device of the enumerator sees every answer.
    let mut other = survey.device(0, "b").await?;
    assert_eq!(person.account.lost_on(&mut other.device)?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn an_upload_that_is_reset_at_90_percent_costs_one_batch_again() -> Result<()> {
    cut_upload(End::Reset).await
}

#[tokio::test]
async fn an_upload_that_is_closed_at_90_percent_costs_one_batch_again() -> Result<()> {
    cut_upload(End::Close).await
}

#[tokio::test]
async fn a_download_that_is_cut_at_90_percent_costs_one_batch_again() -> Result<()> {
    let survey = survey(160, 1)?;
    let mut author = survey.device(0, "author").await?;
    for night in 0..8 {
        work(&survey, &mut author, night * 20, 20)?;
        survey.sync(&mut author).await?;
    }
    // The same download whole, for comparison.
    let shape = Shape::two_g().times_as_fast(100);
    let (mut needed, mut around) = (0, 0);
    for (seed, name, end) in [(91, "whole", None), (92, "reset", Some(End::Reset)), (93, "close", Some(End::Close))] {
        let line = Line::to(&survey.server.url, shape, 3).await?;
        let code = survey.office.device_code(&survey.who(0)?)?;
        let phone = Phone::new(seed, 1_767_225_600_000, 0);
        let (file, http) = (survey.file(name), http()?);
        let mut person = Enumerator::enrol(&http, &line.url, &code, "KP001", name, &file, phone).await?;
        let before = line.counts();
        if let Some(end) = end {
            line.plan(Cut { way: Way::Down, after: needed / 10 * 9, end });
        }
        let mut pulled = 0;
        let note = |progress: &Progress| {
            if progress.stage == Stage::Sent {
                pulled = progress.traffic.down;
            }
        };
        let (report, _) = self::http()?.sync(&mut person.device, note).await?;
        let night = since(line.counts(), before);
        assert_eq!(author.account.lost_on(&mut person.device)?, Vec::<String>::new(), "{name}");
        if end.is_none() {
            assert!(pulled > 2 * u64::from(Known::default().batch), "{pulled} bytes are not enough");
            (needed, around) = (pulled, night.down - pulled);
            continue;
        }
        assert!(night.cuts == 1 && report.round_trips >= 2);
        let again = night.down.saturating_sub(needed + around);
        assert!(again <= u64::from(Known::default().batch) + AROUND, "{again} bytes again of {needed}, {name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_sync_whose_process_dies_goes_on_where_it_was_cut() -> Result<()> {
    let survey = survey(100, 1)?;
    let line = Line::to(&survey.server.url, Shape::two_g().times_as_fast(100), 4).await?;
    let mut person = enrol(&survey, &line, 0, "a").await?;
    work(&survey, &mut person, 0, 100)?;
    let (before, needed, known) = (line.counts(), person.weigh()?, person.device.known_line()?);
    line.plan(Cut { way: Way::Up, after: needed / 10 * 9, end: End::Close });
    let http_1 = http()?;
    tokio::select! {
        biased;
        _ = line.until(|counts| counts.cuts > before.cuts) => {}
        done = http_1.sync(&mut person.device, |_| ()) => panic!("{done:?} before the cut"),
    }
    let phone = person.device.host().clone();
    let Enumerator { device, file, account, .. } = person;
    drop(device);
    let mut device = Device::open(&file, phone)?;
    assert!(!device.position()?.in_doubt.is_empty(), "what was sent is remembered");
    http()?.sync(&mut device, |_| ()).await?;
    let again = since(line.counts(), before).up.saturating_sub(needed);
    assert!(again <= u64::from(known.batch) + 2 * AROUND, "{again} bytes again of {needed}");
    let mut other = survey.device(0, "b").await?;
    assert_eq!(account.lost_on(&mut other.device)?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn several_days_of_work_get_through_a_terrible_line() -> Result<()> {
    let survey = survey(260, 2)?;
    let good = Shape::two_g().times_as_fast(100);
    let terrible = Shape { lost: 50, cut: 800, within: 12 << 10, silence: true, ..good };
    let line = Line::to(&survey.server.url, good, 11).await?;
    let mut people = vec![enrol(&survey, &line, 0, "a").await?, enrol(&survey, &line, 1, "b").await?];
    // The speed of the line is known from a good day.
    for (number, person) in people.iter_mut().enumerate() {
        work(&survey, person, number * 130 + 120, 10)?;
        http()?.sync(&mut person.device, |_| ()).await?;
    }
    line.set(terrible);
    for (after, end) in [(9_000, End::Silence), (30_000, End::Reset), (15_000, End::Close)] {
        line.plan(Cut { way: Way::Up, after, end });
    }
    line.plan(Cut { way: Way::Down, after: 20, end: End::Reset });
    // What the bytes need, and a batch for each cut on top, as large as batches were when that sync began.
    let (mut account, mut most) = (Account::default(), 0);
    let (before, mut needed) = (line.counts(), 0);
    let mut done_before = 0;
    for day in [60, 10, 10, 10, 10, 10] {
        for (number, person) in people.iter_mut().enumerate() {
            work(&survey, person, number * 130 + done_before, day)?;
            needed += person.weigh()?;
            // Nobody is there: try after try, as a night would start them.
            for tries in 1.. {
                assert!(tries < 60, "no way through, {:?}", line.counts());
                let (begun, known) = (line.counts(), person.device.known_line()?);
                let done = Http::with_patience(Duration::from_secs(1))?.sync(&mut person.device, |_| ()).await;
                let this = since(line.counts(), begun);
                most += this.cuts * u64::from(known.batch) + this.connections * AROUND;
                match done {
                    Ok(_) => break,
                    Err(error) if error.is_unreachable() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            assert_eq!(person.device.status()?.unsent, 0);
        }
        done_before += day;
    }
    let nights = since(line.counts(), before);
    most += needed;
    println!("{nights:?}, {needed} bytes needed, {most} allowed");
    assert!(nights.cuts + nights.lost > 5, "{nights:?}: this line is not terrible");
    assert!(nights.up <= most, "{nights:?} for {needed}: something began again from zero");
    for person in &people {
        account.merge(person.account.clone());
    }
    line.set(good);
    for (number, person) in people.iter().enumerate() {
        let mut other = survey.device(number, &format!("looks-{number}")).await?;
        let mine: Vec<String> = person.account.lost_on(&mut other.device)?;
        assert_eq!(mine, Vec::<String>::new());
    }
    assert!(account.len() > 2_000, "{}", account.len());
    Ok(())
}

#[tokio::test]
async fn one_sync_at_a_time_however_it_was_started() -> Result<()> {
    let survey = survey(12, 1)?;
    let good = Shape::two_g().times_as_fast(100);
    let line = Line::to(&survey.server.url, good, 6).await?;
    let mut person = enrol(&survey, &line, 0, "a").await?;
    work(&survey, &mut person, 0, 4)?;
    let Enumerator { device, file, .. } = person;
    drop(device);
    let tenun_field = |arguments: &[&str]| -> Result<Command> {
        let mut command = terminal(&file)?;
        command.args(arguments).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::null());
        Ok(command)
    };
    // A sync in another process, on a line that has gone silent.
    line.plan(Cut { way: Way::Up, after: 100, end: End::Silence });
    let cuts = line.counts().cuts;
    let mut first = tenun_field(&["sync"])?.spawn()?;
    line.until(|counts| counts.cuts > cuts).await?;
    let second = tokio::process::Command::from(tenun_field(&["--json", "sync"])?).output().await?;
    assert_eq!(second.status.code(), Some(4));
    let told: serde_json::Value = serde_json::from_slice(&second.stdout)?;
    assert_eq!(told["error"]["kind"], "syncing");
    let mut here = Device::open(&file, Phone::new(3, 1_767_225_600_000, 0))?;
    assert!(matches!(http()?.sync(&mut here, |_| ()).await, Err(Error::Syncing)));
    // Work goes on meanwhile, and so does everything once the first is killed.
    here.register_household("KP001", &[])?;
    first.kill()?;
    first.wait()?;
    let third = tokio::process::Command::from(tenun_field(&["--json", "sync"])?).output().await?;
    assert_eq!(third.status.code(), Some(0));
    assert_eq!(here.status()?.unsent, 0);
    // And in one process.
    let mut there = Device::open(&file, Phone::new(4, 1_767_225_600_000, 0))?;
    line.plan(Cut { way: Way::Up, after: 100, end: End::Silence });
    let cuts = line.counts().cuts;
    let (one, other) = (http()?, http()?);
    tokio::select! {
        biased;
        refused = async {
            line.until(|counts| counts.cuts > cuts).await?;
            Ok::<_, anyhow::Error>(other.sync(&mut there, |_| ()).await)
        } => assert!(matches!(refused?, Err(Error::Syncing))),
        done = one.sync(&mut here, |_| ()) => panic!("{done:?} over a silent line"),
    }
    other.sync(&mut there, |_| ()).await?;
    Ok(())
}

#[tokio::test]
async fn a_device_that_asks_what_arrived_hears_what_was_quarantined_of_it() -> Result<()> {
    let survey = survey(12, 2)?;
    let (url, area) = (&survey.server.url, survey.area(0)?);
    let mut device = survey.raw(0, 1).await?;
    let bodies = [(1, area.as_str()), (2, "9999999999.001"), (3, area.as_str())]
        .map(|(n, area)| household(uuid::Uuid::from_u128(n), area, "Maria Lay"));
    let batch = device.batch(&bodies);
    // Its reply is lost.
    device.push(url, vec![batch.clone()]).await?;
    let mut question = device.request(Vec::new());
    question.header.unsent = 3;
    question.haves = vec![Have { replica: device.replica, after: 0, seq: 3, hash: batch.after() }];
    let reply = device.send(url, question.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.header.acked_through, 3);
    let told: Vec<_> = reply.outcomes.iter().map(|outcome| (outcome.seq, outcome.verdict)).collect();
    assert_eq!(told, [(2, Verdict::Quarantined)]);
    Ok(())
}
