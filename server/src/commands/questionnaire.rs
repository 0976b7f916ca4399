//! Commands about workbooks: load one into a data directory, check one, try one on some answers.

use super::open;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use questionnaire::{Compiled, Context as Moment, Evaluation, Instance, Problem, Questionnaire};
use serde_json::{Map, Value as Json, json};
use server::{domain::catalogue::load_questionnaire, state::now_ms, store};
use std::path::{Path as File, PathBuf};
use sync_protocol::{Path, Place};

/// What can be done with a workbook.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Load a workbook as a questionnaire version, which never changes from then on.
    Load {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The workbook.
        file: PathBuf,
    },
    /// List what is wrong with a workbook; ends with 0 when it can be loaded.
    Check {
        /// The workbook.
        file: PathBuf,
        /// Answer as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show what the rules make of one record.
    Try {
        /// The workbook.
        file: PathBuf,
        /// The answers as JSON, nested by name, a repeat as a list of objects, values as XLSForm text.
        #[arg(long)]
        answers: PathBuf,
        /// What now() is, in ISO 8601; the clock of this machine if it is left out.
        #[arg(long)]
        now: Option<String>,
        /// The language of messages; the questionnaire's own if it is left out.
        #[arg(long, default_value = "")]
        language: String,
        /// Answer as one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command about workbooks.
pub(super) fn run(command: Command) -> Result<()> {
    match command {
        Command::Load { data, file } => load(&data, &file),
        Command::Check { file, json } => check(&file, json),
        Command::Try { file, answers, now, language, json } => {
            try_out(&file, &answers, now.as_deref(), &language, json)
        }
    }
}

/// A workbook as far as it can be read, with everything that is wrong.
struct Read {
    bytes: Vec<u8>,
    questionnaire: Option<Questionnaire>,
    compiled: Option<Compiled>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

fn read(file: &File) -> Result<Read> {
    let bytes = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let mut read = Read { bytes, questionnaire: None, compiled: None, errors: Vec::new(), warnings: Vec::new() };
    match Questionnaire::read_xlsx(&read.bytes) {
        Ok(loaded) => {
            read.warnings = loaded.warnings;
            match Compiled::new(&loaded.questionnaire) {
                Ok(compiled) => read.compiled = Some(compiled),
                Err(problems) => read.errors.extend(problems.errors().cloned()),
            }
            read.questionnaire = Some(loaded.questionnaire);
        }
        Err(problems) => {
            read.errors.extend(problems.errors().cloned());
            read.warnings.extend(problems.warnings().cloned());
        }
    }
    Ok(read)
}

fn load(data: &File, file: &File) -> Result<()> {
    let Read { bytes, questionnaire, errors, warnings, .. } = read(file)?;
    for problem in errors.iter().chain(&warnings) {
        eprintln!("{problem}");
    }
    let Some(questionnaire) = questionnaire.filter(|_| errors.is_empty()) else {
        bail!("{} is not loaded: mend what is listed above", file.display());
    };
    let mut conn = open(data)?;
    let reference = store::in_transaction(&mut conn, |tx| load_questionnaire(tx, &questionnaire, &bytes, now_ms()))?;
    println!("{reference}: {} questions", questionnaire.questions().count());
    Ok(())
}

fn check(file: &File, json: bool) -> Result<()> {
    let Read { questionnaire, errors, warnings, .. } = read(file)?;
    let questions = questionnaire.map_or(0, |questionnaire| questionnaire.questions().count());
    if json {
        let ok = errors.is_empty();
        println!("{}", json!({ "ok": ok, "questions": questions, "errors": errors, "warnings": warnings }));
    } else {
        for problem in errors.iter().chain(&warnings) {
            println!("{problem}");
        }
        println!("{questions} questions, {} errors, {} warnings", errors.len(), warnings.len());
    }
    if errors.is_empty() { Ok(()) } else { bail!("{} can't be loaded as it is", file.display()) }
}

fn try_out(file: &File, answers: &File, now: Option<&str>, language: &str, as_json: bool) -> Result<()> {
    let read = read(file)?;
    for problem in &read.errors {
        eprintln!("{problem}");
    }
    let Some(compiled) = read.compiled else { bail!("{} can't be tried: mend what is listed above", file.display()) };
    let text = std::fs::read_to_string(answers).with_context(|| format!("{} can't be read", answers.display()))?;
    let answers: Map<String, Json> =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", answers.display()))?;
    let mut instance = Instance::new();
    fill(&mut instance, &Place::record(), &answers)?;
    let mut moment = match now {
        Some(now) => {
            Moment::at(now).with_context(|| format!("`{now}` is no instant such as 2026-03-01T09:30:00+08:00"))?
        }
        None => Moment { now_ms: now_ms(), ..Moment::default() },
    };
    language.clone_into(&mut moment.language);
    let evaluation = compiled.evaluate(&instance, &moment);
    if as_json {
        println!("{}", document(&evaluation, compiled.questionnaire(), language));
        return Ok(());
    }
    for (path, value) in &evaluation.calculated {
        println!("{} = {value}", counted(path));
    }
    for violation in &evaluation.violations {
        let message = compiled.questionnaire().text(&violation.message, language);
        println!("{}: {:?} {message}", counted(&violation.path), violation.kind);
    }
    Ok(())
}

/// Takes answers nested by name over; the rows of a repeat are called 1, 2, 3 …
fn fill(instance: &mut Instance, place: &Place, answers: &Map<String, Json>) -> Result<()> {
    for (name, value) in answers {
        match value {
            Json::Array(rows) => {
                for (number, row) in (1..).zip(rows) {
                    let inner = place.row(name, &format!("{number}"))?;
                    instance.add_row(&inner);
                    let row = row.as_object().with_context(|| format!("{name}[{number}] is no object"))?;
                    fill(instance, &inner, row)?;
                }
            }
            Json::String(text) => instance.set(&Path::new(place.clone(), name.as_str())?, text.as_str()),
            Json::Number(number) => instance.set(&Path::new(place.clone(), name.as_str())?, number.to_string()),
            Json::Null => {}
            Json::Bool(_) | Json::Object(_) => bail!("`{name}` is neither text nor a list of rows"),
        }
    }
    Ok(())
}

/// A path with its rows counted: `members[1]/age`.
fn counted(path: &Path) -> String {
    let rows: String = path.place().steps().map(|(repeat, row)| format!("{repeat}[{row}]/")).collect();
    format!("{rows}{}", path.name())
}

fn document(evaluation: &Evaluation, questionnaire: &Questionnaire, language: &str) -> Json {
    let relevant: Map<String, Json> =
        evaluation.relevant.iter().map(|(path, is)| (counted(path), Json::Bool(*is))).collect();
    let calculated: Map<String, Json> =
        evaluation.calculated.iter().map(|(path, text)| (counted(path), Json::String(text.clone()))).collect();
    let violations: Vec<Json> = evaluation
        .violations
        .iter()
        .map(|violation| {
            let message = questionnaire.text(&violation.message, language);
            json!({ "path": counted(&violation.path), "kind": violation.kind, "message": message })
        })
        .collect();
    json!({ "relevant": relevant, "calculated": calculated, "violations": violations })
}
