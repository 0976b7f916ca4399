//! The same answers, typed into our engine and into JavaRosa, the engine of the field's own applications.
//!
//! pyxform converts each workbook; the validator that it ships holds JavaRosa, which `Driver.java` runs in a process
//! of its own. Random interviews, each from a seed: the form is filled from top to bottom, then changed here and there,
//! and after each round everything that both say is compared: which rows there are, what is relevant, values,
//! verdicts, choices. What differs must stand in `differences.md`, with the reason.
//!
//! | variable | what it does |
//! |---|---|
//! | `JAVAROSA_CASES` | the number of interviews per workbook, instead of what each test has |
//! | `JAVAROSA_SEED` | plays this interview alone, and prints what JavaRosa was told |
//! | `JAVAROSA_ONLY` | a part of the name of the workbook of another project that is played alone |
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

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
use compare::{Comparison, Difference};
use differences::Known;
use driver::JavaRosa;
use expressions::Expressions;
use interview::Interview;
use questionnaire::{Compiled, Questionnaire};
use tools::Tools;

/// Interviews per workbook: of our own questionnaire, of our lists of cases, of other projects.
const KUPANG: u64 = 240;
const CASES: u64 = 60;
const OTHERS: u64 = 40;
/// Rounds of changes in each interview.
const ROUNDS: usize = 4;

/// What came out of the interviews on one workbook.
#[derive(Default)]
struct Outcome {
    interviews: usize,
    compared: Comparison,
    forgotten: usize,
    listed: usize,
    /// What is not listed: how often, and where it was met first.
    unlisted: BTreeMap<Difference, (usize, String)>,
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn stem(workbook: &Path) -> String {
    workbook.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Plays the interviews on one workbook; `named` says what a question is called in the list of differences.
fn play(
    tools: &Tools,
    known: &Known,
    workbook: &Path,
    interviews: u64,
    named: impl Fn(&str) -> Option<String>,
) -> Result<Outcome> {
    let name = stem(workbook);
    let form = tools.convert(workbook)?;
    let loaded = Questionnaire::read_xlsx_lenient(&std::fs::read(workbook)?).map_err(anyhow::Error::msg)?;
    let tables = media::make_up(&form)?;
    let compiled = Compiled::lenient(Arc::new(loaded.questionnaire), tables).map_err(anyhow::Error::msg)?;
    let hints = Hints::read(compiled.questionnaire());
    let mut javarosa = JavaRosa::start(tools, &form)?;
    let mut outcome = Outcome::default();
    let only = number_of("JAVAROSA_SEED");
    let seeds = only.map_or(0..number_of("JAVAROSA_CASES").unwrap_or(interviews), |seed| seed..seed + 1);
    for seed in seeds {
        let mut interview = Interview::begin(&compiled, &hints, &mut javarosa, seed)?;
        interview.fill()?;
        for round in 0..ROUNDS {
            let dump = interview.settle()?;
            let mut found = Vec::new();
            for (mut difference, path) in compare::compare(&mut outcome.compared, &interview, &dump) {
                difference.name = named(&difference.name).unwrap_or(difference.name);
                if known.knows(&name, &difference) {
                    outcome.listed += 1;
                } else {
                    found.push((difference, path));
                }
            }
            let reopened = !found.is_empty();
            if reopened {
                mark_stale(&mut interview, &mut found)?;
            }
            for (difference, path) in found {
                if known.knows(&name, &difference) {
                    outcome.listed += 1;
                } else {
                    let first = format!("seed {seed}, round {round}, {path}");
                    outcome.unlisted.entry(difference).or_insert((0, first)).0 += 1;
                }
            }
            if only.is_some() {
                println!("{}", interview.theirs.script);
            }
            // Opened again, it has drawn by chance anew.
            if reopened || !dump.errors.is_empty() {
                break;
            }
            interview.edit()?;
        }
        outcome.interviews += 1;
        outcome.forgotten += interview.forgotten;
    }
    Ok(outcome)
}

/// Calls those differences stale that are gone once JavaRosa works everything out anew.
fn mark_stale(interview: &mut Interview<'_>, found: &mut [(Difference, String)]) -> Result<()> {
    interview.theirs.reopen()?;
    let dump = interview.theirs.dump()?;
    let left = compare::compare(&mut Comparison::default(), interview, &dump);
    for (difference, path) in found {
        let stays = left.iter().any(|(other, at)| at == path && other.what == difference.what);
        if !stays && difference.what != "refused" {
            difference.what = "stale";
        }
    }
    Ok(())
}

/// Prints what came out; false if there is a difference that is not listed.
fn tell(name: &str, outcome: &Outcome) -> bool {
    let Outcome { interviews, compared, forgotten, listed, unlisted } = outcome;
    println!(
        "{name}: {interviews} interviews, {} comparisons ({} relevant, {} required, {} constraints broken), \
         {forgotten} answers no longer offered, {listed} listed differences, {} others",
        compared.count,
        compared.relevant,
        compared.required,
        compared.constraint,
        unlisted.len()
    );
    let mut last = "";
    for (Difference { name, what, ours, theirs }, (count, first)) in unlisted {
        // Of each question the first says enough.
        if last != name {
            println!("  {what} of {name}: ours `{ours}`, JavaRosa `{theirs}` ({count} times, first: {first})");
        }
        last = name;
    }
    unlisted.is_empty()
}

/// Checks that every line of the list about these workbooks was met.
fn check_stale(known: &Known, interviews: u64, workbooks: &[String]) {
    let all =
        number_of("JAVAROSA_SEED").is_none() && number_of("JAVAROSA_CASES").is_none_or(|cases| cases >= interviews);
    if all {
        let stale = known.stale(workbooks);
        assert!(stale.is_empty(), "differences that are none any more: {stale:#?}");
    }
}

fn check_one(tools: &Tools, workbook: &Path, interviews: u64, named: impl Fn(&str) -> Option<String>) -> Result<()> {
    let known = Known::read()?;
    let name = stem(workbook);
    let outcome = play(tools, &known, workbook, interviews, named)?;
    assert!(tell(&name, &outcome), "{name}: differences that are not listed");
    check_stale(&known, interviews, &[name]);
    Ok(())
}

#[test]
fn the_kupang_questionnaire_means_the_same_to_javarosa() -> Result<()> {
    let tools = Tools::find()?;
    let workbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kupang/kupang-household.xlsx");
    check_one(&tools, &workbook, KUPANG, |_| None)
}

#[test]
fn every_expression_means_the_same_to_javarosa() -> Result<()> {
    let tools = Tools::find()?;
    let expressions = Expressions::write(tools.folder.path())?;
    check_one(&tools, &expressions.workbook, CASES, |name| expressions.text(name).map(str::to_owned))
}

#[test]
fn conditions_hang_on_each_other_as_in_javarosa() -> Result<()> {
    let tools = Tools::find()?;
    let workbook = expressions::conditions(tools.folder.path())?;
    check_one(&tools, &workbook, CASES, |_| None)
}

#[test]
fn the_workbooks_of_other_projects_mean_the_same_to_javarosa() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/domain/xlsforms");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: the shared material is not at hand");
        return Ok(());
    };
    let only = std::env::var("JAVAROSA_ONLY").unwrap_or_default();
    let mut workbooks: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    workbooks.retain(|file| file.extension().is_some_and(|ending| ending == "xlsx" || ending == "xls"));
    workbooks.retain(|file| stem(file).contains(&only));
    workbooks.sort();
    let (tools, known) = (Tools::find()?, Known::read()?);
    let mut differing = Vec::new();
    for workbook in &workbooks {
        let outcome = play(&tools, &known, workbook, OTHERS, |_| None)?;
        if !tell(&stem(workbook), &outcome) {
            differing.push(stem(workbook));
        }
    }
    assert!(differing.is_empty(), "differences that are not listed: {differing:?}");
    check_stale(&known, OTHERS, &workbooks.iter().map(|workbook| stem(workbook)).collect::<Vec<_>>());
    Ok(())
}
