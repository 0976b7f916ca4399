//! Seeds of the simulator, for as long as there is time: the laws hold in every world.

use end_to_end::sim::{
    plan::Plan,
    run::{first_law, keep, report, run},
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn the_laws_hold_in_every_seeded_world() {
    if let Some(seed) = number("SIM_SEED") {
        let mut plan = Plan::new(seed);
        if let Ok(list) = std::env::var("SIM_KEEP") {
            let kept: Vec<usize> = list.split(',').filter_map(|number| number.parse().ok()).collect();
            plan = keep(&plan, &kept);
        }
        let outcome = run(&plan);
        println!("{:#?}", outcome.tally);
        if let Some(law) = first_law(&outcome) {
            panic!("{:#?}\n{}", outcome.violations, report(&plan, law));
        }
        return;
    }
    let patience = Duration::from_secs(number("SIM_SECONDS").unwrap_or(120));
    let (begun, next) = (Instant::now(), AtomicU64::new(number("SIM_FROM").unwrap_or(1)));
    let from = next.load(Ordering::SeqCst);
    let (stop, tally, failed) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while begun.elapsed() < patience && !stop.load(Ordering::SeqCst) {
                    let plan = Plan::new(next.fetch_add(1, Ordering::SeqCst));
                    let outcome = run(&plan);
                    for (what, count) in &outcome.tally {
                        *tally.lock().unwrap().entry(*what).or_insert(0) += count;
                    }
                    if let Some(law) = first_law(&outcome) {
                        stop.store(true, Ordering::SeqCst);
                        failed.lock().unwrap().push((plan, law));
                    }
                }
            });
        }
    });
    println!("{} seeds from {from} in {} s", next.load(Ordering::SeqCst) - from, begun.elapsed().as_secs());
    for (what, count) in tally.lock().unwrap().iter() {
        println!("  {what:<45} {count:>9}");
    }
    let failed = failed.into_inner().unwrap();
    let texts: Vec<String> = failed.iter().map(|(plan, law)| report(plan, law)).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
}
