//! Nights over a bad line: the time that a night of 20 interviews takes on 2G, the bytes that a cut costs.

use super::{Figure, number};
use crate::{
    field::{Enumerator, Phone},
    line::{Counts, Cut, End, Line, Shape, Way},
    survey::Survey,
};
use anyhow::{Context, Result};
use client_core::{
    Line as Known,
    transport::{Http, Progress, Stage},
};
use std::{path::Path as File, time::Instant};

/// Nights over a line of our own that is shaped, and cut.
///
/// # Errors
/// If the server or a device fails.
pub async fn measure(folder: &File, figures: &mut Vec<Figure>) -> Result<()> {
    let survey = Survey::start_in(folder, 420, 1)?;
    let line = Line::to(&survey.server.url, Shape::two_g().times_as_fast(100), 1).await?;
    let mut person = enrol(&survey, &line, 1).await?;
    night(&survey, &line, &mut person, figures).await?;
    for night in 1..10 {
        work(&survey, &mut person, night * 20, 20)?;
        sync(&line, &mut person, |_| ()).await?;
    }
    down(&survey, &line, figures).await?;
    up(&survey, &line, &mut person, figures).await
}

async fn enrol(survey: &Survey, line: &Line, seed: u64) -> Result<Enumerator> {
    let (who, name) = (survey.who(0)?, format!("bench-{seed}"));
    let code = survey.office.device_code(&who)?;
    let phone = Phone::new(seed, 1_767_225_600_000, 0);
    Enumerator::enrol(&Http::new()?, &line.url, &code, &who, &name, &survey.file(&name), phone).await
}

fn work(survey: &Survey, person: &mut Enumerator, from: usize, count: usize) -> Result<()> {
    for home in survey.world.households().skip(from).take(count) {
        person.register(&home, home.id)?;
        person.interview(home.id, home.rounds.first().context("a round")?)?;
    }
    Ok(())
}

/// Syncs on a connection of its own; what crossed the line up and down, heads included, and the round trips.
async fn sync(line: &Line, person: &mut Enumerator, note: impl FnMut(&Progress)) -> Result<(u64, u64, u32)> {
    let before = line.counts();
    let (report, _) = Http::new()?.sync(&mut person.device, note).await?;
    let Counts { up, down, .. } = line.counts();
    Ok((up - before.up, down - before.down, report.round_trips))
}

/// An ordinary night on 2G as it is, and one with a single answer.
async fn night(survey: &Survey, line: &Line, person: &mut Enumerator, figures: &mut Vec<Figure>) -> Result<()> {
    sync(line, person, |_| ()).await?;
    work(survey, person, 0, 20)?;
    let shape = Shape::two_g();
    line.set(shape);
    let begun = Instant::now();
    let (up, down, round_trips) = sync(line, person, |_| ()).await?;
    let took = begun.elapsed().as_secs_f64();
    let needed = number((up + down) * 8) / number(shape.bits_a_second) + 2.0 * shape.round_trip.as_secs_f64();
    figures.push(Figure::at_most("two-g.night-up", number(up), "bytes with heads", None));
    figures.push(Figure::at_most("two-g.night", took, "s", None));
    figures.push(Figure::at_most("two-g.night-to-limit", took / needed, "of bytes + 2 trips", Some(1.25)));
    figures.push(Figure::at_most("two-g.night-round-trips", f64::from(round_trips), "round trips", Some(1.0)));
    line.set(Shape::two_g().times_as_fast(100));
    Ok(())
}

/// An upload of 200 interviews that is cut at 90%, against what it weighs.
async fn up(survey: &Survey, line: &Line, person: &mut Enumerator, figures: &mut Vec<Figure>) -> Result<()> {
    work(survey, person, 200, 200)?;
    let (whole, batch) = (person.weigh()?, person.device.known_line()?.batch);
    line.plan(Cut { way: Way::Up, after: whole / 10 * 9, end: End::Reset });
    let (up, _, _) = sync(line, person, |_| ()).await?;
    anyhow::ensure!(line.counts().cuts == 2, "the upload was not cut");
    again("two-g.cut-up-again", up.saturating_sub(whole), batch, figures);
    figures.push(Figure::at_most("two-g.cut-up-of", number(whole), "bytes", None));
    Ok(())
}

fn again(name: &'static str, bytes: u64, batch: u32, figures: &mut Vec<Figure>) {
    figures.push(Figure::at_most(name, number(bytes) / f64::from(batch), "of a batch", Some(1.0)));
}

/// A download of ten such nights, whole on one device and cut at 90% on another.
async fn down(survey: &Survey, line: &Line, figures: &mut Vec<Figure>) -> Result<()> {
    let mut whole = 0;
    for seed in [2, 3] {
        let mut person = enrol(survey, line, seed).await?;
        if whole > 0 {
            line.plan(Cut { way: Way::Down, after: whole / 10 * 9, end: End::Reset });
        }
        let before = line.counts().down;
        let mut pulled = 0;
        let note = |progress: &Progress| {
            if progress.stage == Stage::Sent {
                pulled = line.counts().down - before;
            }
        };
        sync(line, &mut person, note).await?;
        if whole > 0 {
            anyhow::ensure!(line.counts().cuts == 1, "the download was not cut");
            again("two-g.cut-down-again", pulled.saturating_sub(whole), Known::default().batch, figures);
            figures.push(Figure::at_most("two-g.cut-down-of", number(whole), "bytes", None));
        }
        whole = pulled;
    }
    Ok(())
}
