//! Many seeds, one after the other, on as many threads as are given, for as long as there is patience.

use super::{
    plan::Plan,
    run::{first_law, report, run},
};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Soaked {
    /// The first seed.
    pub from: u64,
    /// Seeds that were run.
    pub seeds: u64,
    /// How long it took.
    pub took: Duration,
    /// What was done, and what went wrong, by kind.
    pub tally: BTreeMap<&'static str, u64>,
    /// Plans that broke a law, and which one first.
    pub failed: Vec<(Plan, &'static str)>,
}

/// Reads a number from the environment.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.trim().parse().ok())
}

/// When shrinking one failing seed ends: `SIM_SHRINK` says after how many seconds (60). A large world takes many.
#[must_use]
pub fn shrunk_by() -> Instant {
    Instant::now() + Duration::from_secs(number("SIM_SHRINK").unwrap_or(60))
}

/// Runs seeds from one on, at most `most`, until the time is over, or until one fails where that is to end it.
#[must_use]
pub fn soak(from: u64, most: u64, patience: Duration, threads: usize, stop_at_first: bool) -> Soaked {
    let (begun, next, stop) = (Instant::now(), AtomicU64::new(from), AtomicBool::new(false));
    let soaked = Mutex::new(Soaked { from, ..Soaked::default() });
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while begun.elapsed() < patience && !stop.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from.saturating_add(most) {
                        break;
                    }
                    let plan = Plan::new(seed);
                    let outcome = run(&plan);
                    let mut soaked = soaked.lock().unwrap_or_else(PoisonError::into_inner);
                    soaked.seeds += 1;
                    for (what, count) in &outcome.tally {
                        *soaked.tally.entry(*what).or_insert(0) += count;
                    }
                    if let Some(law) = first_law(&outcome) {
                        stop.fetch_or(stop_at_first, Ordering::SeqCst);
                        soaked.failed.push((plan, law));
                    }
                }
            });
        }
    });
    let mut soaked = soaked.into_inner().unwrap_or_else(PoisonError::into_inner);
    soaked.took = begun.elapsed();
    soaked
}

impl Soaked {
    /// The figures, one a line.
    #[must_use]
    pub fn figures(&self) -> String {
        let mut text = format!("{} seeds from {} in {} s\n", self.seeds, self.from, self.took.as_secs());
        for (what, count) in &self.tally {
            let _ = writeln!(text, "  {what:<48} {count:>9}");
        }
        let _ = writeln!(text, "  {:<48} {:>9}", "violations", self.failed.len());
        for (plan, law) in &self.failed {
            let _ = writeln!(text, "  seed {}: {law}", plan.seed);
        }
        text
    }

    /// How each failing seed is replayed, shrunk to what it needs as far as there is time; the first few of them.
    #[must_use]
    pub fn reports(&self) -> Vec<String> {
        self.failed.iter().take(3).map(|(plan, law)| report(plan, law, shrunk_by())).collect()
    }
}
