//! Benchmarks: figures against the limit measured in the same run.
//!
//! | module | what it measures |
//! |---|---|
//! | [`workload`] | nothing: it makes the households, as changes and as rows |
//! | [`ingest`] | the server: store alone, over HTTP, memory, growth |
//! | [`validate`] | the rules: a household, an answer, the queue beside ingest |
//! | [`workbook`] | loading a workbook, beside pyxform |
//! | [`growth`] | the first sync of a new device, an ordinary one behind a million changes |
//! | [`photos`] | photos beside answers |
//! | [`hub`] | a hub that serves 30 phones; signatures |
//! | [`device`] | the device: save, open, upload, a night with nothing new |
//! | [`mod@line`] | nights over a line like 2G, and what a cut costs |

pub mod device;
pub mod growth;
pub mod hub;
pub mod ingest;
pub mod line;
pub mod photos;
pub mod validate;
pub mod workbook;
pub mod workload;

use std::time::{Duration, Instant};

/// One figure, with what it should reach.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Figure {
    /// Its name, stable.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
    /// What an issue asks for, if one does.
    pub target: Option<f64>,
    /// Which way is better: `higher` or `lower`.
    pub better: &'static str,
}

impl Figure {
    /// A figure that should be at least its target.
    #[must_use]
    pub fn at_least(name: &'static str, value: f64, unit: &'static str, target: Option<f64>) -> Self {
        Self { name, value, unit, target, better: "higher" }
    }

    /// A figure that should be at most its target.
    #[must_use]
    pub fn at_most(name: &'static str, value: f64, unit: &'static str, target: Option<f64>) -> Self {
        Self { name, value, unit, target, better: "lower" }
    }

    /// Whether the target is reached; a figure without one always is.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.target
            .is_none_or(|target| if self.better == "higher" { self.value >= target } else { self.value <= target })
    }
}

/// Prints the figures as a table, and as one JSON line if asked.
pub fn print(figures: &[Figure], json: bool) {
    println!("\n{:<44} {:>12} {:<22} {:>10}", "figure", "value", "unit", "target");
    for figure in figures {
        let sign = if figure.better == "higher" { "≥" } else { "≤" };
        let target = figure.target.map(|target| format!("{sign} {target}")).unwrap_or_default();
        let mark = if figure.is_reached() { "" } else { "   not reached" };
        println!("{:<44} {:>12.3} {:<22} {target:>10}{mark}", figure.name, figure.value, figure.unit);
    }
    if json {
        println!("{}", serde_json::json!({ "figures": figures }));
    }
}

/// Wall time of some work.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed())
}

/// CPU time that this process used so far, user and system.
#[must_use]
pub fn own_cpu() -> Duration {
    Duration::from_millis(crate::server::cpu_ms("self").unwrap_or(0))
}

/// Bytes that this process asked to read so far.
#[must_use]
pub fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0)
}

/// The middle of some values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A count as a number to reckon with.
#[must_use]
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub fn number(count: u64) -> f64 {
    count as f64
}
