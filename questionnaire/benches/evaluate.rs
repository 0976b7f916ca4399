//! How long the rules of the Kupang questionnaire take: loading, a household as a whole, one answer.
//!
//! `cargo bench -p questionnaire --bench evaluate`; medians of many runs on this machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may stop where it can't go on"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire};

fn median(mut run: impl FnMut(), times: usize) -> Duration {
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    taken.sort();
    taken[taken.len() / 2]
}

/// A household with members and children under five, every question answered somehow.
fn household(questionnaire: &Questionnaire, members: usize, children: usize) -> Instance {
    let mut household = Instance::new();
    let mut fill = |place: &str, repeats: &[&str]| {
        for (_, question) in questionnaire.questions().filter(|(of, _)| of == repeats) {
            let text = match question.kind.name() {
                "select_one" | "select_multiple" => "1",
                "date" => "2025-02-01",
                "text" => "5371010101990001",
                "geopoint" => "-10.17 123.6 35 4.5",
                "integer" if question.key == "hh_size" => "5",
                "integer" | "decimal" => "3",
                _ => continue,
            };
            household.set(&format!("{place}{}", question.key).parse().unwrap(), text);
        }
    };
    fill("", &[]);
    fill("visit/v1/", &["visit"]);
    for member in 0..members {
        fill(&format!("member/m{member}/"), &["member"]);
    }
    for child in 0..children {
        fill(&format!("child/c{child}/"), &["child"]);
    }
    household
}

fn main() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kupang/kupang-household.xlsx");
    let bytes = std::fs::read(file).unwrap();
    let questionnaire = Questionnaire::read_xlsx(&bytes).unwrap().questionnaire;
    let compiled = Compiled::new(&questionnaire).unwrap();
    let context = Context::at("2026-03-02T10:00:00+08:00").unwrap();
    let household = household(&questionnaire, 5, 2);

    let read = median(|| drop(black_box(Questionnaire::read_xlsx(&bytes).unwrap())), 50);
    println!("read the workbook            {read:>12.1?}");
    let compile = median(|| drop(black_box(Compiled::new(&questionnaire).unwrap())), 200);
    println!("resolve all expressions      {compile:>12.1?}");
    let keep = median(|| drop(black_box(Evaluator::new(&compiled, &household, context.clone()))), 2000);
    println!("evaluate a household         {keep:>12.1?}");
    let full = median(|| drop(black_box(compiled.evaluate(&household, &context))), 2000);
    println!("evaluate and report it       {full:>12.1?}");

    let mut kept = Evaluator::new(&compiled, &household, context.clone());
    let mut all: Vec<(Duration, String)> = Vec::new();
    for path in kept.evaluation().relevant.into_keys() {
        let texts = if kept.value(&path) == "1" { ["2", "1"] } else { ["2", "3"] };
        let mut turn = 0;
        let taken = median(
            || {
                turn += 1;
                kept.set(&path, texts[turn % 2]).unwrap();
            },
            101,
        );
        all.push((taken, path.to_string()));
    }
    all.sort();
    let (middle, _) = &all[all.len() / 2];
    println!("one answer, median of all    {middle:>12.1?}");
    let (most, path) = &all[all.len() - 1];
    println!("one answer, the slowest      {most:>12.1?}  {path}");
}
