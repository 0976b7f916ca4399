//! One run of a plan; what a failing one needs to fail.

use super::{
    oracle::Violation,
    plan::{Event, Plan},
    world::World,
};
use anyhow::Result;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Instant,
};
use sync_protocol::{Hash, chain::digest};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What was done, and what went wrong, by kind.
    pub tally: BTreeMap<&'static str, u64>,
    /// The hash over everything that was saved, byte for byte: a replay gives the same.
    pub history: Hash,
}

/// Where databases of simulated worlds stand: a RAM disk where there is one.
#[must_use]
pub fn disk() -> PathBuf {
    let ram = PathBuf::from("/dev/shm");
    if ram.is_dir() { ram } else { std::env::temp_dir() }
}

/// Runs a plan from the beginning to the check of the laws.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    let ran = catch_unwind(AssertUnwindSafe(|| play(plan, &mut outcome)));
    let failed = match ran {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("a panic: {}", text.unwrap_or_default()))
        }
    };
    if let Some(what) = failed {
        outcome.violations.push(Violation { law: "run", what });
    }
    outcome
}

fn play(plan: &Plan, outcome: &mut Outcome) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("tenun-sim-").tempdir_in(disk())?;
    let mut world = World::new(folder.path(), plan.seed, plan.shape)?;
    let mut played = || -> Result<()> {
        for event in &plan.events {
            world.happen(*event)?;
            if !world.oracle.violations.is_empty() {
                return Ok(());
            }
        }
        world.settle()?;
        if world.oracle.violations.is_empty() {
            world.check_laws()?;
        }
        Ok(())
    };
    let played = played();
    outcome.violations = std::mem::take(&mut world.oracle.violations);
    outcome.tally = std::mem::take(&mut world.tally);
    let hashes: Vec<u8> = world.oracle.saves.keys().flat_map(|hash| hash.0).collect();
    outcome.history = digest(&hashes);
    *outcome.tally.entry("days").or_default() += u64::from(plan.shape.days);
    *outcome.tally.entry("devices").or_default() += u64::try_from(world.phones.len())?;
    played
}

/// The law that a run breaks first.
#[must_use]
pub fn first_law(outcome: &Outcome) -> Option<&'static str> {
    outcome.violations.first().map(|violation| violation.law)
}

/// Thins a failing plan out as far as it still breaks the same law and there is time; the numbers of the events that it needs.
#[must_use]
pub fn shrink(plan: &Plan, law: &'static str, until: Instant) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..plan.events.len()).collect();
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let (mut at, mut shrunk) = (0, false);
        while at < kept.len() {
            if Instant::now() >= until {
                return kept;
            }
            let fewer: Vec<usize> = kept
                .iter()
                .enumerate()
                .filter(|(n, _)| !(at..at + size).contains(n))
                .map(|(_, event)| *event)
                .collect();
            if first_law(&run(&keep(plan, &fewer))) == Some(law) {
                (kept, shrunk) = (fewer, true);
            } else {
                at += size;
            }
        }
        if size == 1 && !shrunk {
            return kept;
        }
        size = size.div_ceil(2).max(1);
    }
}

/// The plan with some of its events alone.
#[must_use]
pub fn keep(plan: &Plan, events: &[usize]) -> Plan {
    let events: Vec<Event> = events.iter().filter_map(|number| plan.events.get(*number)).copied().collect();
    Plan { events, ..plan.clone() }
}

/// What a failing run looks like to a person: how to replay it, what broke, what happened. Until then it is shrunk.
#[must_use]
pub fn report(plan: &Plan, law: &'static str, until: Instant) -> String {
    use std::fmt::Write;
    let kept = shrink(plan, law, until);
    let small = keep(plan, &kept);
    let outcome = run(&small);
    let numbers: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "law {law} is broken.\nreplay: SIM_SEED={} SIM_KEEP={} cargo test -p end-to-end --test simulator -- --nocapture\n{:?}\n",
        plan.seed,
        numbers.join(","),
        plan.shape
    );
    for (number, event) in kept.iter().zip(&small.events) {
        let _ = writeln!(text, "  {number}: day {}, {:?} of phone {}", event.day, event.act, event.phone);
    }
    for violation in outcome.violations.iter().take(12) {
        let _ = writeln!(text, "  {}: {}", violation.law, violation.what);
    }
    text
}
