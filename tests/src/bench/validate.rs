//! Validation: a household from scratch, one answer of one that is kept, and what the queue takes from ingest.

use super::{
    Figure,
    ingest::{Ready, Threads, ready, uploads},
    median, number, timed,
    workload::{Author, changes},
};
use crate::field::questionnaire;
use anyhow::{Context, Result};
use fixtures::{Household, World};
use questionnaire::{Compiled, Questionnaire, Tables};
use server::{domain::validate, store};
use std::{path::Path, sync::Arc, time::Duration};
use sync_protocol::{Record, RecordId, Stamp};

/// Every figure of validation.
///
/// # Errors
/// If something can't be set up.
pub fn measure(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let loaded = Questionnaire::read_xlsx(fixtures::source::WORKBOOK)?;
    let compiled = Compiled::with_tables(Arc::new(loaded.questionnaire), Tables::new())?;
    let records = interviews()?;
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
        let (broken, time) = timed(|| validate::evaluator(record, compiled).broken(record).len());
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

/// Ingest alone; ingest with what it merged validated behind each commit, as the server's thread does, but on the same
/// core; and a whole queue that must be read again, as after a restart.
fn beside_ingest(folder: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let households = 2_000;
    let world = World::new(11, households, 40);
    let uploads = uploads(&world, 50)?;
    let (mut ratios, mut behind, mut queue) = (Vec::new(), Vec::new(), Vec::new());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / number(households);
    for _ in 0..7 {
        let plain_folder = tempfile::tempdir_in(folder)?;
        let mut plain = ready(plain_folder.path(), &world, &uploads)?;
        let alone = plain.take_in(&uploads, Threads::One, |_, _, _| Ok(()))?;
        let (drained, again) = timed(|| drain(&mut plain));
        drained?;
        let folder = tempfile::tempdir_in(folder)?;
        let mut both = ready(folder.path(), &world, &uploads)?;
        let together = both.take_in(&uploads, Threads::One, |conn, world, merged| {
            let looked = validate::look_at(&merged, &world.catalogue);
            Ok(store::in_transaction(conn, |tx| validate::settle(tx, &looked.counted))?)
        })?;
        for ready in [&mut plain, &mut both] {
            let waiting = store::in_transaction(&mut ready.conn, |tx| tx.count_waiting())?;
            anyhow::ensure!(waiting == 0, "{waiting} records wait still");
        }
        ratios.push(alone.as_secs_f64() / together.as_secs_f64());
        behind.push(each(together.saturating_sub(alone)));
        queue.push(each(again));
    }
    figures.push(Figure::at_most("validate.behind-ingest", median(behind), "µs a household", None));
    figures.push(Figure::at_most("validate.queue-read-again", median(queue), "µs a household", None));
    figures.push(Figure::at_least("ingest.validated-to-plain", median(ratios), "ratio", Some(0.667)));
    Ok(())
}

/// Works a whole queue off from the store, a commit a page.
fn drain(ready: &mut Ready) -> Result<()> {
    let mut after = 0;
    loop {
        let look = |tx: store::Tx<'_>| validate::look(tx, &ready.world.catalogue, after);
        let looked = store::in_transaction(&mut ready.conn, look)?;
        let Some(last) = looked.last else { return Ok(()) };
        after = last;
        store::in_transaction(&mut ready.conn, |tx| validate::settle(tx, &looked.counted))?;
    }
}
