//! `make soak SECONDS=60`: seeds of the simulator without end; replay one with `SIM_SEED`, start elsewhere with `SIM_FROM`.

use end_to_end::sim::soak::{number, soak};
use std::{process::ExitCode, time::Duration};

fn main() -> ExitCode {
    let seconds = number("SECONDS").unwrap_or(60);
    // Other seeds than those of `make test`, unless somebody says so.
    let from = number("SIM_FROM").unwrap_or(1_000_000);
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let soaked = soak(from, u64::MAX, Duration::from_secs(seconds), threads, number("SIM_GO_ON").is_none());
    print!("{}", soaked.figures());
    for report in soaked.reports() {
        println!("{report}");
    }
    if soaked.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
