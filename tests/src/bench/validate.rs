//! Validation: a household from scratch, one answer of one that is kept, and what the queue takes from ingest.

use super::{
    Figure,
    ingest::{Filled, filled, uploads},
    median, number, timed,
    workload::{Author, changes},
};
use crate::field::questionnaire;
use anyhow::{Context, Result};
use fixtures::{Household, World};
use questionnaire::{Compiled, Questionnaire, Tables};
use server::{domain::validate, store};
use std::{path::Path, sync::Arc};
use sync_protocol::{Record, RecordId, Stamp};

/// Every figure of validation.
///
/// # Errors
/// If something can't be set up.
pub fn measure(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let loaded = Questionnaire::read_xlsx(fixtures::source::WORKBOOK)?;
    let compiled = Compiled::with_tables(Arc::new(loaded.questionnaire), Tables::new())?;
    let records = interviews()?;
    split(&records, &compiled);
    full(&records, &compiled, figures);
    incremental(&records, &compiled, figures)?;
    beside_ingest(folder, figures)
}

/// Merged interviews of a small world.
fn interviews() -> Result<Vec<Record>> {
    let world = World::new(11, 300, 10);
    let author = Author::new(1, "KP001");
    let households: Vec<Household> = world.households().collect();
    let stamp = Stamp { received_ms: 1_767_300_000_000, skew_ms: 0 };
    let mut records: Vec<(RecordId, Record)> = Vec::new();
    for change in changes(&author, &households)? {
        let id = change.record();
        if records.last().is_none_or(|(last, _)| *last != id) {
            records.push((id, Record::new()));
        }
        if let Some((_, record)) = records.last_mut() {
            record.apply(change, Some(stamp));
        }
    }
    let id = questionnaire().id;
    let is_interview = |record: &Record| record.changes().any(|(_, origin)| origin.questionnaire.id == id);
    Ok(records.into_iter().map(|(_, record)| record).filter(is_interview).collect())
}

/// From the merged record to what is broken.
fn full(records: &[Record], compiled: &Compiled, figures: &mut Vec<Figure>) {
    let mut times = Vec::new();
    for record in records.iter().chain(records) {
        let (broken, time) = timed(|| validate::violations(record, &validate::evaluator(record, compiled)).len());
        std::hint::black_box(broken);
        times.push(time.as_secs_f64() * 1e6);
    }
    figures.push(Figure::at_most("validate.full", median(times), "µs a household", Some(1000.0)));
}

/// One answer of a household that is kept evaluated, over all its answers.
fn incremental(records: &[Record], compiled: &Compiled, figures: &mut Vec<Figure>) -> Result<()> {
    let mut times = Vec::new();
    for record in records.iter().take(20) {
        let mut kept = validate::evaluator(record, compiled);
        let evaluation = kept.evaluation();
        for path in evaluation.relevant.keys() {
            let before = kept.value(path);
            let other = if before == "1" { "2" } else { "1" };
            let (set, time) = timed(|| kept.set(path, other));
            set?;
            times.push(time.as_secs_f64() * 1e6);
            kept.set(path, &before)?;
        }
    }
    times.sort_by(f64::total_cmp);
    let slow = times.get(times.len() * 99 / 100).copied().context("no answers")?;
    figures.push(Figure::at_most("validate.incremental", median(times), "µs an answer", Some(100.0)));
    figures.push(Figure::at_most("validate.incremental-p99", slow, "µs an answer", None));
    Ok(())
}

/// Ingest alone, and the same ingest with the queue worked off behind it: how much of the throughput is left.
fn beside_ingest(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let households = 2_000;
    let world = World::new(11, households, 40);
    let uploads = uploads(&world, 50)?;
    let (mut ratios, mut drains) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let folder = tempfile::tempdir_in(folder)?;
        let Filled { mut conn, world, time } = filled(folder.path(), &world, &uploads)?;
        let (drained, drain) = timed(|| -> Result<()> {
            let mut after = 0;
            loop {
                let looked = store::in_transaction(&mut conn, |tx| validate::look(tx, &world.catalogue, after))?;
                let Some(last) = looked.last else { return Ok(()) };
                after = last;
                store::in_transaction(&mut conn, |tx| validate::settle(tx, &looked.counted))?;
            }
        });
        drained?;
        let waiting = store::in_transaction(&mut conn, |tx| tx.count_waiting())?;
        anyhow::ensure!(waiting == 0, "{waiting} records wait still");
        ratios.push(time.as_secs_f64() / (time + drain).as_secs_f64());
        drains.push(drain.as_secs_f64() * 1e6 / number(households));
    }
    figures.push(Figure::at_most("validate.queue", median(drains), "µs a household", None));
    figures.push(Figure::at_least("ingest.validated-to-plain", median(ratios), "ratio", Some(0.667)));
    Ok(())
}

fn split(records: &[Record], compiled: &Compiled) {
    let q = compiled.questionnaire();
    let mut t = [0.0; 6];
    let reps = std::env::var("REPS").ok().and_then(|t| t.parse().ok()).unwrap_or(4);
    for _ in 0..reps {
        for r in records {
            let (c, a) = timed(|| validate::context(r, q));
            let (e, d) = timed(|| questionnaire::Evaluator::of_record(compiled, r, c));
            let (n, f) = timed(|| validate::violations(r, &e).len());
            std::hint::black_box(n);
            let ((), g) = timed(|| drop(e));
            for (t, d) in t.iter_mut().zip([a, d, f, g]) {
                *t += d.as_secs_f64() * 1e6;
            }
        }
    }
    let n = number(u64::try_from(records.len() * reps).unwrap());
    println!("context {:.1} new {:.1} violations {:.1} drop {:.1}", t[0] / n, t[1] / n, t[2] / n, t[3] / n);
    let mut kinds = std::collections::BTreeMap::new();
    for r in records {
        for v in validate::violations(r, &validate::evaluator(r, compiled)) {
            *kinds.entry((v.path.name().to_owned(), v.kind)).or_insert(0) += 1;
        }
    }
    println!("{kinds:?}");
    if reps > 4 {
        std::process::exit(0)
    }
}
