//! `tenun-field`: an enumerator's device in a terminal; the reference device, and what scripts drive.
//!
//! Text for people, `--json` for scripts: one JSON document on standard output, whose form `docs/FIELD.md`
//! describes. Ends with 0: done, 1: failed, 2: used wrongly, 3: the server could not be reached (nothing is
//! lost, try later), 4: a sync of this device is running already.

mod arguments;
mod attachments;
mod hub;
mod interview;
mod show;
mod sync;

use arguments::{Arguments, Assignment, Command};
use clap::Parser;
use client_core::{Device, Edit, Error, host::System, transport::Http};
use serde_json::{Value as Json, json};
use std::process::ExitCode;
use sync_protocol::{
    HouseholdId, Path, Place, QuestionnaireRef, RecordId, Value,
    remark::{About, Remark},
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tenun-field: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(answer) => {
            if arguments.json {
                println!("{}", answer.json);
            } else if !answer.text.is_empty() {
                println!("{}", answer.text);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let (code, word) = exit(&error);
            if arguments.json {
                println!("{}", json!({ "error": { "kind": word, "message": error.to_string() } }));
            }
            eprintln!("tenun-field: {error}");
            ExitCode::from(code)
        }
    }
}

/// The exit code of a failure, and its stable word.
fn exit(error: &Error) -> (u8, &'static str) {
    match error {
        error if error.is_unreachable() => (3, "unreachable"),
        Error::BadAnswer(_) | Error::BadName(_) | Error::TooLarge(_) | Error::File(_) => (2, "used-wrongly"),
        Error::Syncing => (4, "syncing"),
        Error::NotEnrolled => (1, "not-enrolled"),
        Error::UnknownRecord(_) | Error::UnknownQuestionnaire(_) => (1, "not-found"),
        Error::Hub(_) => (1, "hub"),
        Error::Refused(_) | Error::GaveUp(_) => (1, "refused"),
        Error::Database(_)
        | Error::NewerSchema { .. }
        | Error::SetAside { .. }
        | Error::Corrupt(_)
        | Error::Lock(_)
        | Error::Busy { .. }
        | Error::Unreachable(_) => (1, "failed"),
    }
}

/// What a command answers, for people and for scripts.
struct Answer {
    text: String,
    json: Json,
}

impl Answer {
    fn new(text: impl Into<String>, json: Json) -> Self {
        Self { text: text.into(), json }
    }
}

type Field = Device<System>;

async fn run(arguments: &Arguments) -> Result<Answer, Error> {
    let host = System::state_folder().map_or_else(System::default, |folder| System::with_marks(folder.join("marks")));
    let mut device = Device::open(&arguments.db, host)?;
    match &arguments.command {
        Command::Enroll { server, code, name } => enroll(&mut device, server, code, name).await,
        Command::Sync { hub, night, language, progress, answers_only } => {
            let how = match (arguments.json, progress) {
                (false, _) => sync::Telling::People,
                (true, false) => sync::Telling::Nobody,
                (true, true) => sync::Telling::Scripts,
            };
            match hub {
                Some(hub) => sync::with_hub(&mut device, hub, language.as_deref(), how).await,
                None => sync::run(&mut device, *night, language.as_deref(), how, *answers_only).await,
            }
        }
        Command::Hub { listen, keep_free, language } => {
            let disk = hub::Disk { file: arguments.db.clone(), keep_free: keep_free.saturating_mul(1 << 20) };
            hub::run(device, disk, listen, language.as_deref(), arguments.json).await
        }
        Command::Load { language } => hub::load(&mut device, language.as_deref()),
        Command::Attachments { get: None, .. } => attachments::list(&mut device),
        Command::Attachments { get: Some(hash), to } => attachments::get(&mut device, hash, to.as_deref()).await,
        Command::Status => status(&mut device),
        Command::Areas => areas(&mut device),
        Command::Team => Ok(show::team(&device.team()?)),
        Command::Households => Ok(show::list(&device.households()?)),
        Command::Interviews => Ok(show::list(&device.interviews()?)),
        Command::Unsent => Ok(show::list(&device.unsent()?)),
        Command::Conflicts => conflicts(&mut device),
        Command::Register { area, answers } => register(&mut device, area, answers),
        Command::Start { household, round, questionnaire } => {
            start(&mut device, household, round.as_deref(), questionnaire.as_deref())
        }
        Command::Set { record, answers, why } => save(&mut device, record, |device, record| {
            let mut edits = edits(device, record, answers, Edit::Set)?;
            edits.extend(why.clone().map(Edit::Note));
            Ok(edits)
        }),
        Command::Resolve { record, answers } => {
            save(&mut device, record, |device, record| edits(device, record, answers, Edit::Resolve))
        }
        Command::AddRow { record, repeat, answers } => add_row(&mut device, record, repeat, answers),
        Command::RemoveRow { record, row } => {
            let row: Place = row.parse()?;
            save(&mut device, record, |_, _| Ok(vec![Edit::RemoveRow(row)]))
        }
        Command::Note { record, text, on } => save(&mut device, record, |device, record| {
            let about = on.as_deref().map(|on| about(device, record, on)).transpose()?;
            Ok(vec![Edit::Note(about.map_or_else(|| text.clone(), |about| Remark::note(&about, text)))])
        }),
        Command::Finish { record } => save(&mut device, record, |_, _| Ok(vec![Edit::Finish])),
        Command::Interview { record, language } => {
            let hold = if arguments.json { interview::look } else { interview::run };
            hold(&mut device, record_id(record)?, language.as_deref())
        }
        Command::Problems { record, language } => {
            let records = match record {
                Some(record) => vec![record_id(record)?],
                None => device.interviews()?.into_iter().filter(|line| line.finished).map(|line| line.id).collect(),
            };
            interview::problems(&mut device, &records, language.as_deref())
        }
        Command::Audit { record } => {
            let csv = device.audit(record_id(record)?)?;
            Ok(Answer::new(csv.trim_end(), json!({ "csv": csv })))
        }
        Command::Move { record, to } => move_interview(&mut device, record, to.as_deref()),
        Command::Show { record } => {
            let id = record_id(record)?;
            let summary = device.summary(id)?;
            let questionnaire = device.questionnaire(&summary.questionnaire).ok();
            let remarks = device.remarks(id)?;
            Ok(show::record(&summary, &device.record(id)?, &remarks, questionnaire.as_deref()))
        }
    }
}

async fn enroll(device: &mut Field, server: &str, code: &str, name: &str) -> Result<Answer, Error> {
    let answer = Http::new()?.enrol(device, server, code, name).await?;
    let text = format!("This is the device of {} now. Sync to get areas and questionnaires.", answer.enumerator);
    Ok(Answer::new(text, json!({ "enumerator": answer.enumerator })))
}

fn status(device: &mut Field) -> Result<Answer, Error> {
    let status = device.status()?;
    Ok(Answer::new(show::receipt(&status), json!(status)))
}

fn areas(device: &mut Field) -> Result<Answer, Error> {
    let scope = device.scope()?;
    let areas = scope.as_ref().map(|scope| scope.areas.as_slice()).unwrap_or_default();
    let assignments = scope.as_ref().map(|scope| scope.assignments.as_slice()).unwrap_or_default();
    let mut text = String::new();
    for area in areas {
        let rounds: Vec<&str> = assignments.iter().filter(|a| a.area == area.code).map(|a| a.round.as_str()).collect();
        text.push_str(&format!("{}  {}  round {}\n", area.code, area.name, rounds.join(", ")));
    }
    if text.is_empty() {
        text.push_str("No areas yet: sync first.");
    }
    Ok(Answer::new(text.trim_end(), json!({ "areas": areas, "assignments": assignments })))
}

fn conflicts(device: &mut Field) -> Result<Answer, Error> {
    let (mut text, mut all) = (String::new(), Vec::new());
    for summary in device.conflicts()? {
        let questionnaire = device.questionnaire(&summary.questionnaire).ok();
        let record = device.record(summary.id)?;
        for conflict in show::conflicts(&summary, &record, questionnaire.as_deref()) {
            text.push_str(&conflict.text);
            text.push('\n');
            all.push(conflict.json);
        }
    }
    if all.is_empty() {
        text.push_str("No conflicts.");
    }
    Ok(Answer::new(text.trim_end(), json!({ "conflicts": all })))
}

fn register(device: &mut Field, area: &str, answers: &[Assignment]) -> Result<Answer, Error> {
    let author = device.enumerator()?;
    let mut fields = vec![("area", Value::text(area))];
    fields.extend(answers.iter().map(|answer| (answer.path.as_str(), Value::text(&answer.text))));
    let household = device.register_household(&author, &fields)?;
    Ok(Answer::new(household.to_string(), json!({ "household": household })))
}

fn start(
    device: &mut Field,
    household: &str,
    round: Option<&str>,
    questionnaire: Option<&str>,
) -> Result<Answer, Error> {
    let household: HouseholdId = household.parse()?;
    device.summary(household.into())?;
    let scope = device.scope()?;
    let newest = scope.as_ref().and_then(|scope| scope.questionnaires.last().map(String::as_str));
    let Some(questionnaire) = questionnaire.or(newest) else {
        return Err(Error::UnknownQuestionnaire("any".into()));
    };
    let assigned = scope.as_ref().and_then(|scope| scope.assignments.iter().map(|a| a.round.as_str()).max());
    let round = round.or(assigned).unwrap_or("1");
    let reference: QuestionnaireRef = questionnaire.parse()?;
    device.questionnaire(questionnaire)?;
    let author = device.enumerator()?;
    let record = device.start_interview(household, round, &reference, &author)?;
    Ok(Answer::new(record.to_string(), json!({ "record": record, "round": round, "questionnaire": questionnaire })))
}

fn move_interview(device: &mut Field, record: &str, to: Option<&str>) -> Result<Answer, Error> {
    let id = record_id(record)?;
    let now: QuestionnaireRef = device.summary(id)?.questionnaire.parse()?;
    let to = match to {
        Some(to) => to.parse()?,
        None => device.newest_version(&now.id)?.unwrap_or_else(|| now.clone()),
    };
    let author = device.enumerator()?;
    let moved = device.move_interview(id, &to, &author)?;
    let mut text = format!("{now} → {to}");
    for difference in &moved.differences {
        text.push_str(&format!("\n  {difference}"));
    }
    if !moved.parked.is_empty() {
        text.push_str(&format!("\nparked: {}", moved.parked.join(", ")));
    }
    Ok(Answer::new(text, json!({ "questionnaire": to.to_string(), "moved": moved })))
}

/// What a remark is about: another remark, or an answer.
/// What a remark is about: a remark that the record has, by its name, or an answer or a question of it.
fn about(device: &mut Field, record: RecordId, text: &str) -> Result<About, Error> {
    let none = |what: &str| Error::BadAnswer(format!("this record has no {what} `{text}`"));
    let merged = device.record(record)?;
    if let Ok(dot) = text.parse() {
        let is_there = merged.remarks().any(|(known, _)| known == dot);
        return if is_there { Ok(About::Remark(dot)) } else { Err(none("remark")) };
    }
    let path: Path = text.parse()?;
    if merged.answer(&path).is_none() {
        let form = device.summary(record)?.questionnaire;
        // The household's own answers are asked for by no questionnaire.
        let is_asked = device.questionnaire(&form).is_ok_and(|form| form.question_at(&path).is_some());
        if !is_asked {
            return Err(none("question"));
        }
    }
    Ok(About::Answer(path))
}

fn record_id(text: &str) -> Result<RecordId, Error> {
    Ok(text.parse()?)
}

/// Saves what `edits` makes of the record's questionnaire, as one change.
fn save(
    device: &mut Field,
    record: &str,
    edits: impl FnOnce(&mut Field, RecordId) -> Result<Vec<Edit>, Error>,
) -> Result<Answer, Error> {
    let id = record_id(record)?;
    let edits = edits(device, id)?;
    let author = device.enumerator()?;
    let seq = device.save(id, &author, &edits)?;
    let text = seq.map_or_else(|| "nothing changed".to_owned(), |seq| format!("saved as change {seq}"));
    Ok(Answer::new(text, json!({ "saved": seq })))
}

fn add_row(device: &mut Field, record: &str, repeat: &str, answers: &[Assignment]) -> Result<Answer, Error> {
    let id = record_id(record)?;
    let (outer, repeat) = match repeat.rsplit_once('/') {
        Some((outer, repeat)) => (outer.parse()?, repeat),
        None => (Place::record(), repeat),
    };
    let row = device.new_row(&outer, repeat)?;
    let mut all = vec![Edit::AddRow(row.clone())];
    let inside: Vec<Assignment> = answers
        .iter()
        .map(|answer| Assignment { path: format!("{row}/{}", answer.path), text: answer.text.clone() })
        .collect();
    all.extend(edits(device, id, &inside, Edit::Set)?);
    let author = device.enumerator()?;
    let seq = device.save(id, &author, &all)?;
    Ok(Answer::new(row.to_string(), json!({ "row": row.as_str(), "saved": seq })))
}

/// Reads `path=text` by the types of the record's questionnaire.
fn edits(
    device: &mut Field,
    record: RecordId,
    answers: &[Assignment],
    edit: fn(Path, Value) -> Edit,
) -> Result<Vec<Edit>, Error> {
    let summary = device.summary(record)?;
    let questionnaire = match summary.round {
        Some(_) => Some(device.questionnaire(&summary.questionnaire)?),
        None => None,
    };
    let mut edits = Vec::new();
    for answer in answers {
        let path: Path = answer.path.parse()?;
        let value = match &questionnaire {
            Some(questionnaire) if attachments::is_file(questionnaire, &path, &answer.text) => {
                attachments::take(device, record, &path, &answer.text)?
            }
            Some(questionnaire) => {
                questionnaire.parse_value(&path, &answer.text).map_err(|problem| Error::BadAnswer(problem.detail))?
            }
            None => Value::text(&answer.text),
        };
        edits.push(edit(path, value));
    }
    Ok(edits)
}
