//! An interview typed into the real terminal program, on the Kupang questionnaire.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::{Context, Result};
use end_to_end::{field::terminal, review::decide, survey::Survey};
use serde_json::Value as Json;
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A phone driven by `tenun-field` alone.
struct Phone {
    db: PathBuf,
}

impl Phone {
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = terminal(&self.db)?;
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    fn json(&self, arguments: &[&str]) -> Result<Json> {
        let output = self.command(&[&["--json"], arguments].concat())?.output()?;
        let text = String::from_utf8(output.stdout)?;
        serde_json::from_str(&text).with_context(|| format!("{arguments:?}: {text}"))
    }

    /// Types lines into an interview until the input ends; what was on the screen.
    fn types(&self, record: &str, language: &str, lines: &[&str]) -> Result<String> {
        let mut child = self.command(&["interview", record, "--language", language])?.spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        for line in lines {
            writeln!(input, "{line}")?;
        }
        drop(input);
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn start(survey: &Survey) -> Result<(Self, String)> {
        let phone = Self { db: survey.file("terminal") };
        let code = survey.office.device_code(&survey.who(0)?)?;
        phone.json(&["enroll", "--server", &survey.server.url, "--code", &code])?;
        phone.json(&["sync"])?;
        let household = phone.json(&["register", "--area", &survey.area(0)?, "head=Maria Lay"])?["household"].clone();
        let record = phone.json(&["start", household.as_str().unwrap(), "--round", "1"])?["record"].clone();
        Ok((phone, record.as_str().unwrap().to_owned()))
    }
}

/// The lines of a short interview, up to the first member's name.
const UNTIL_MEMBERS: [&str; 22] = [
    "Oebobo",
    "Liliba",
    "004",
    "012",
    "0123",
    "7",
    "",
    "Jl. El Tari",
    ":r", // place
    "+",
    "2026-01-15",
    "lengkap",
    "",  // one visit, which was complete
    "1", // consent
    "Maria Lay",
    "",
    "2",
    "12",  // respondent
    "two", // no number: asked again
    "2",
    "Maria Lay",
    "",
];

#[tokio::test]
async fn an_interview_typed_into_the_terminal_reaches_the_coordinator() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, record) = Phone::start(&survey)?;
    let shown = phone.types(&record, "id", &UNTIL_MEMBERS)?;
    assert!(shown.contains("Kecamatan") && shown.contains("! `hh_size` takes an integer"), "{shown}");
    assert!(shown.contains("Hubungan Maria Lay dengan kepala keluarga"), "{shown}");

    // A child of 200 years is kept and told of; so are all the answers that are still to come.
    let shown = phone.types(&record, "en", &["2", "200", "", ":p", ":f"])?;
    assert!(shown.contains("! Age in completed years: Enter a value from 0 to 110."), "{shown}");
    let wrong = phone.json(&["problems", &record, "--language", "en"])?;
    let kinds: Vec<(&str, &str)> = wrong["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flaw| (flaw["kind"].as_str().unwrap(), flaw["message"].as_str().unwrap()))
        .collect();
    assert!(kinds.contains(&("constraint", "Enter a value from 0 to 110.")), "{kinds:?}");
    assert!(kinds.iter().filter(|(kind, _)| *kind == "required").count() > 10, "{kinds:?}");

    phone.json(&["sync"])?;
    let coordinator = survey.coordinator().await?;
    let detail = coordinator.get(&format!("records/{record}")).await?;
    let answers = detail["answers"].as_array().unwrap();
    let value = |path: &str| {
        let found = answers.iter().find(|answer| {
            let at = answer["path"].as_str().unwrap();
            at == path || (path.starts_with('/') && at.ends_with(path))
        });
        found.map(|answer| answer["value"].clone()).unwrap_or_default()
    };
    let area = serde_json::json!({"kecamatan": "537104", "kelurahan": value("area_chain")["kelurahan"], "rt": "012", "rw": "004"});
    assert_eq!(value("area_chain"), area);
    assert_eq!(value("gps"), serde_json::json!({"@": "refused"}));
    assert_eq!(value("head_name"), "Maria Lay");
    assert_eq!(value("/m_age"), 200);
    assert_eq!(answers.iter().filter(|answer| answer["path"].as_str().unwrap().ends_with("/m_name")).count(), 1);
    assert_eq!(detail["finished"], true);

    // Returned, it says so after the next sync, and shows the remarks together before it is finished again.
    let remarks = serde_json::json!({ "remarks": [
        { "path": "address", "text": "Nomor rumah?" }, { "path": "head_name", "text": "Ejaan?" },
    ] });
    assert_eq!(decide(&coordinator, record.parse()?, "return", remarks).await?.0, 200);
    let synced = phone.command(&["sync", "--language", "id"])?.output()?;
    let synced = String::from_utf8(synced.stdout)?;
    assert!(synced.contains("1 wawancara dikembalikan untuk diperbaiki"), "{synced}");
    let shown = phone.types(&record, "id", &["Jl. El Tari 7", ":f"])?;
    assert!(shown.contains("Catatan dari rini: Nomor rumah? (perbaiki"), "it opens there: {shown}");
    assert!(shown.contains("Catatan dari rini: Ejaan?") && shown.contains("semua catatan di atas"), "{shown}");
    let open = || Ok::<_, anyhow::Error>(phone.json(&["interviews"])?["records"][0]["returned"]["open"].clone());
    assert_eq!(open()?, 1, "what was not finished yet answers nothing");
    phone.types(&record, "id", &[":f", ":f"])?;
    assert_eq!(open()?, 0);

    // A remark about the whole interview is answered on whatever question is open; words that are too long end nothing.
    phone.json(&["sync"])?;
    let remarks = serde_json::json!({ "remarks": [{ "path": "", "text": "Siapa yang menjawab?" }] });
    assert_eq!(decide(&coordinator, record.parse()?, "return", remarks).await?.0, 200);
    phone.json(&["sync"])?;
    assert_eq!(open()?, 1);
    let long = format!(":n {}", "x".repeat(2 << 20));
    let shown = phone.types(&record, "id", &[&long, ":a Ibu sendiri"])?;
    assert!(shown.contains("Siapa yang menjawab?"), "{shown}");
    assert_eq!(open()?, 0);

    let log = phone.json(&["audit", &record])?["csv"].as_str().unwrap().to_owned();
    for expected in ["form start,", "question,/data/a_ident/kecamatan,", "form resume,", "form finalize,"] {
        assert!(log.lines().any(|line| line.starts_with(expected)), "{expected} in {log}");
    }
    Ok(())
}

#[tokio::test]
async fn an_interview_that_is_killed_opens_at_the_same_question_with_every_answer() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, record) = Phone::start(&survey)?;
    let mut child = phone.command(&["interview", &record, "--language", "id"])?.spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    for line in UNTIL_MEMBERS.iter().take(8) {
        writeln!(input, "{line}")?;
    }
    // The question after the last answer is on the screen: all before it is saved.
    wait_for(&mut child, "Titik koordinat rumah")?;
    child.kill()?;
    child.wait()?;
    let screen = phone.json(&["interview", &record])?;
    assert_eq!(screen["position"], "gps");
    assert_eq!(screen["language"], "Bahasa Indonesia (id)");
    let shown = phone.json(&["show", &record])?;
    let address = shown["answers"].as_array().unwrap().iter().find(|answer| answer["path"] == "address").unwrap();
    assert_eq!(address["value"], "Jl. El Tari");
    Ok(())
}

fn wait_for(child: &mut Child, wanted: &str) -> Result<()> {
    let output = BufReader::new(child.stdout.take().context("no output")?);
    for line in output.lines() {
        if line?.contains(wanted) {
            return Ok(());
        }
    }
    anyhow::bail!("the program ended before it said {wanted}")
}
