//! The same answers, typed into our engine and into JavaRosa, the engine of the field's own applications.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]
#![allow(clippy::indexing_slicing, reason = "a test that can't go on should stop")]

mod answers;
mod compare;
mod differences;
mod driver;
mod expressions;
mod interview;
mod media;
mod tools;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use answers::Hints;
use anyhow::Result;
use compare::Difference;
use differences::Known;
use driver::JavaRosa;
use expressions::Expressions;
use interview::Interview;
use questionnaire::{Compiled, Questionnaire};
use tools::Tools;

/// What came out of the interviews on one workbook.
#[derive(Default)]
struct Outcome {
    interviews: usize,
    comparisons: usize,
    listed: usize,
    /// What is not listed: how often, and where it was met first.
    unlisted: BTreeMap<Difference, (usize, String)>,
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn cases() -> u64 {
    number_of("JAVAROSA_CASES").unwrap_or(40)
}

fn play(tools: &Tools, known: &Known, workbook: &Path, named: impl Fn(&str) -> Option<String>) -> Result<Outcome> {
    let name = workbook.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let form = tools.convert(workbook)?;
    let loaded = Questionnaire::read_xlsx_lenient(&std::fs::read(workbook)?).map_err(anyhow::Error::msg)?;
    let compiled =
        Compiled::lenient(Arc::new(loaded.questionnaire), media::make_up(&form)?).map_err(anyhow::Error::msg)?;
    let hints = Hints::read(compiled.questionnaire());
    let mut javarosa = JavaRosa::start(tools, &form)?;
    let mut outcome = Outcome::default();
    let only: Option<u64> = number_of("JAVAROSA_SEED");
    for seed in only.map_or(0..cases(), |seed| seed..seed + 1) {
        let mut interview = Interview::begin(&compiled, &hints, &mut javarosa, seed)?;
        outcome.interviews += 1;
        interview.fill()?;
        for step in 0..4 {
            let dump = interview.settle()?;
            let comparison = compare::compare(&interview, &dump);
            outcome.comparisons += comparison.count;
            for (mut difference, path) in comparison.differences {
                if let Some(name) = named(&difference.name) {
                    difference.name = name;
                }
                if known.knows(&name, &difference) {
                    outcome.listed += 1;
                } else {
                    let first = format!("seed {seed}, step {step}, {path}");
                    outcome.unlisted.entry(difference).or_insert((0, first)).0 += 1;
                }
            }
            if only.is_some() {
                println!("{}", interview.theirs.script);
            }
            if !dump.errors.is_empty() {
                break;
            }
            interview.edit()?;
        }
    }
    println!(
        "{name}: {} interviews, {} comparisons, {} listed differences, {} others",
        outcome.interviews,
        outcome.comparisons,
        outcome.listed,
        outcome.unlisted.len()
    );
    let mut last = "";
    for (Difference { name, what, ours, theirs }, (count, first)) in &outcome.unlisted {
        if last == name {
            continue;
        }
        last = name;
        let said: String = theirs.chars().take(230).collect();
        println!("  {what} of {name}: ours `{ours}`, theirs `{said}` ({count} times, first: {first})");
    }
    Ok(outcome)
}

#[test]
fn the_kupang_questionnaire_means_the_same_to_javarosa() -> Result<()> {
    let tools = Tools::find()?;
    let known = Known::read()?;
    let workbook = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/kupang/kupang-household.xlsx"));
    let outcome = play(&tools, &known, &workbook, |_| None)?;
    assert!(outcome.unlisted.is_empty());
    assert_eq!(known.stale(&["kupang-household".to_owned()]), [""; 0]);
    Ok(())
}

#[test]
fn the_workbooks_of_other_projects_mean_the_same_to_javarosa() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/domain/xlsforms");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: the shared material is not at hand");
        return Ok(());
    };
    let mut workbooks: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    workbooks.retain(|file| file.extension().is_some_and(|ending| ending == "xlsx" || ending == "xls"));
    workbooks.sort();
    let tools = Tools::find()?;
    let known = Known::read()?;
    for workbook in &workbooks {
        let name = workbook.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Ok(only) = std::env::var("ONLY")
            && !name.contains(&only)
        {
            continue;
        }
        match play(&tools, &known, workbook, |_| None) {
            Ok(_outcome) => {}
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

#[test]
fn every_expression_means_the_same_to_javarosa() -> Result<()> {
    let tools = Tools::find()?;
    let known = Known::read()?;
    let expressions = Expressions::write(tools.folder.path())?;
    let named = |name: &str| expressions.text(name).map(str::to_owned);
    let outcome = play(&tools, &known, &expressions.workbook, named)?;
    Ok(())
}
