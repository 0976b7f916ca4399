//! Commands about workbooks: load one into a data directory, check one, try one on some answers.

use super::open;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use questionnaire::{Compiled, Context as Moment, Evaluation, Instance, Problem, Questionnaire, Tables};
use serde_json::{Map, Value as Json, json};
use server::{
    domain::{
        Failure,
        catalogue::{Catalogue, load_questionnaire},
        identity::Identity,
        ingest::World,
        migrate::{Moved, move_page},
    },
    state::now_ms,
    store,
};
use std::{
    collections::BTreeMap,
    path::{Path as File, PathBuf},
    sync::Arc,
};
use sync_protocol::{Limits, Path, Place, QuestionnaireRef};

/// What can be done with a workbook.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Load a workbook as a questionnaire version, which never changes from then on.
    Load {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        #[command(flatten)]
        workbook: Workbook,
    },
    /// Move all interviews of one version to a later one; no answer is lost.
    Move {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The version as id@version.
        from: String,
        /// The later version as id@version.
        to: String,
        /// Only say what would become of the answers.
        #[arg(long)]
        dry_run: bool,
    },
    /// List what is wrong with a workbook; ends with 0 when it can be loaded.
    Check {
        #[command(flatten)]
        workbook: Workbook,
        /// Answer as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show what the rules make of one record.
    Try {
        #[command(flatten)]
        workbook: Workbook,
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

/// A workbook, and how to read it.
#[derive(Args)]
pub(super) struct Workbook {
    /// The workbook.
    file: PathBuf,
    /// The folder with the files that come with it (CSV, GeoJSON, XML); NAME-media beside the workbook if it is left out.
    #[arg(long)]
    files: Option<PathBuf>,
    /// Open what is wrong in a harmless way, too, and say what was done about it.
    #[arg(long)]
    lenient: bool,
}

/// Runs a command about workbooks.
pub(super) fn run(command: Command) -> Result<()> {
    match command {
        Command::Load { data, workbook } => load(&data, &workbook),
        Command::Move { data, from, to, dry_run } => move_interviews(&data, &from, &to, dry_run),
        Command::Check { workbook, json } => check(&workbook, json),
        Command::Try { workbook, answers, now, language, json } => {
            try_out(&workbook, &answers, now.as_deref(), &language, json)
        }
    }
}

/// A workbook as far as it can be read, with everything that is wrong.
struct Read {
    bytes: Vec<u8>,
    questionnaire: Option<Arc<Questionnaire>>,
    compiled: Option<Compiled>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

fn read(workbook: &Workbook) -> Result<Read> {
    let file = &workbook.file;
    let bytes = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let mut read = Read { bytes, questionnaire: None, compiled: None, errors: Vec::new(), warnings: Vec::new() };
    let loaded = match workbook.lenient {
        true => Questionnaire::read_xlsx_lenient(&read.bytes),
        false => Questionnaire::read_xlsx(&read.bytes),
    };
    match loaded {
        Ok(loaded) => {
            let mut questionnaire = loaded.questionnaire;
            read.warnings = loaded.warnings;
            for (name, bytes) in files(workbook)? {
                read.errors.extend(questionnaire.add_file(&name, &bytes).err());
            }
            read.warnings.extend(questionnaire.missing_files());
            let questionnaire = Arc::new(questionnaire);
            let compile = if workbook.lenient { Compiled::lenient } else { Compiled::with_tables };
            match compile(questionnaire.clone(), Tables::new()) {
                Ok(compiled) => {
                    read.warnings.extend(compiled.warnings().iter().cloned());
                    read.compiled = Some(compiled);
                }
                Err(problems) => read.errors.extend(problems.errors().cloned()),
            }
            read.questionnaire = Some(questionnaire);
        }
        Err(problems) => {
            read.errors.extend(problems.errors().cloned());
            read.warnings.extend(problems.warnings().cloned());
        }
    }
    Ok(read)
}

/// The files that come with a workbook, by name; those that only screens show are passed over.
fn files(workbook: &Workbook) -> Result<BTreeMap<String, Vec<u8>>> {
    let folder = match &workbook.files {
        Some(folder) => folder.clone(),
        None => {
            let stem = workbook.file.file_stem().unwrap_or_default().to_string_lossy();
            let beside = workbook.file.with_file_name(format!("{stem}-media"));
            if !beside.is_dir() {
                return Ok(BTreeMap::new());
            }
            beside
        }
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if [".csv", ".geojson", ".xml"].iter().any(|ending| name.ends_with(ending)) {
            let bytes = std::fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

fn load(data: &File, workbook: &Workbook) -> Result<()> {
    let file = &workbook.file;
    let Read { bytes, questionnaire, errors, warnings, .. } = read(workbook)?;
    for problem in errors.iter().chain(&warnings) {
        eprintln!("{problem}");
    }
    let Some(questionnaire) = questionnaire.filter(|_| errors.is_empty()) else {
        bail!("{} is not loaded: mend what is listed above", file.display());
    };
    let mut conn = open(data)?;
    let (reference, catalogue) = store::in_transaction(&mut conn, |tx| {
        let catalogue = Catalogue::refresh(&Arc::default(), tx)?;
        Ok::<_, Failure>((load_questionnaire(tx, &questionnaire, &bytes, now_ms())?, catalogue))
    })?;
    println!("{reference}: {} questions", questionnaire.questions().count());
    // Interviews of any earlier version may be moved to this one.
    for (name, earlier) in catalogue.questionnaires().filter(|(name, _)| name.id == reference.id && **name < reference)
    {
        println!("compared with {name}, whose interviews stay with it until they are moved:");
        for difference in questionnaire.differences_from(earlier) {
            println!("  {difference}");
        }
    }
    Ok(())
}

fn move_interviews(data: &File, from: &str, to: &str, dry_run: bool) -> Result<()> {
    let (from, to): (QuestionnaireRef, QuestionnaireRef) = (from.parse()?, to.parse()?);
    let mut conn = open(data)?;
    let world = store::in_transaction(&mut conn, |tx| {
        let identity = Arc::new(Identity::load_or_make(tx)?);
        let catalogue = Catalogue::refresh(&Arc::default(), tx)?;
        Ok::<_, Failure>(World { catalogue, identity, limits: Limits::default() })
    })?;
    let (old, new) = (world.catalogue.questionnaire(&from), world.catalogue.questionnaire(&to));
    let (Some(old), Some(new)) = (old, new) else { bail!("load {from} and {to} first") };
    for difference in new.differences_from(old) {
        println!("{difference}");
    }
    let mut total = Moved::default();
    loop {
        // A page in a transaction of its own, so that a running server is not held up.
        let page = store::in_transaction(&mut conn, |tx| {
            move_page(tx, &from, &to, total.last.unwrap_or(0), dry_run, &world, now_ms())
        })?;
        if page.last.is_none() {
            break;
        }
        total.add(page);
        eprint!("\r{} interviews", total.moved);
    }
    eprintln!();
    for (question, answers) in &total.parked {
        println!("parked: {question}, {answers} answers");
    }
    println!("{} interviews {} {to}", total.moved, if dry_run { "would move to" } else { "moved to" });
    Ok(())
}

fn check(workbook: &Workbook, json: bool) -> Result<()> {
    let file = &workbook.file;
    let Read { questionnaire, errors, warnings, .. } = read(workbook)?;
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

fn try_out(workbook: &Workbook, answers: &File, now: Option<&str>, language: &str, as_json: bool) -> Result<()> {
    let file = &workbook.file;
    let read = read(workbook)?;
    for problem in &read.errors {
        eprintln!("{problem}");
    }
    let Some(compiled) = read.compiled else { bail!("{} can't be tried: mend what is listed above", file.display()) };
    let text = std::fs::read_to_string(answers).with_context(|| format!("{} can't be read", answers.display()))?;
    let answers: Map<String, Json> =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", answers.display()))?;
    let mut instance = Instance::new();
    fill(&mut instance, compiled.questionnaire(), &Place::record(), &answers)?;
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
        println!("{}: {} {message}", counted(&violation.path), violation.kind);
    }
    Ok(())
}

/// Takes answers nested by name over; the rows of a repeat are called 1, 2, 3 …
fn fill(
    instance: &mut Instance,
    questionnaire: &Questionnaire,
    place: &Place,
    answers: &Map<String, Json>,
) -> Result<()> {
    for (name, value) in answers {
        let path = Path::new(place.clone(), name.as_str())?;
        let known = match value {
            Json::Array(_) => questionnaire.has_place(&place.row(name, "1")?),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
                questionnaire.question_at(&path).is_some()
            }
        };
        if !known {
            eprintln!("there is no question or roster `{}`: left out", counted(&path));
            continue;
        }
        match value {
            Json::Array(rows) => {
                for (number, row) in (1..).zip(rows) {
                    let inner = place.row(name, &format!("{number}"))?;
                    instance.add_row(&inner);
                    let row = row.as_object().with_context(|| format!("{name}[{number}] is no object"))?;
                    fill(instance, questionnaire, &inner, row)?;
                }
            }
            Json::String(text) => instance.set(&path, text.as_str()),
            Json::Number(number) => instance.set(&path, number.to_string()),
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
