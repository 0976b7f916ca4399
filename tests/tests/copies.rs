//! A copy of a device's files notices itself before it writes, by the mark that its machine does not have (DESIGN §5, rule 2):
//! the real program, on machines of its own.
#![expect(clippy::panic_in_result_fn, clippy::indexing_slicing, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use end_to_end::{field::terminal, survey::Survey};
use serde_json::{Value as Json, json};
use std::path::Path;

fn field(db: &Path, arguments: &[&str]) -> Result<Json> {
    let output = terminal(db)?.arg("--json").args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).with_context(|| format!("{arguments:?}: {text}"))
}

fn text(answer: &Json, member: &str) -> Result<String> {
    Ok(answer[member].as_str().with_context(|| format!("{answer} has no {member}"))?.to_owned())
}

/// Enrols a phone that has sent a household.
fn begin(survey: &Survey, phone: &Path) -> Result<String> {
    let code = survey.office.device_code(&survey.who(0)?)?;
    field(phone, &["enroll", "--server", &survey.server.url, "--code", &code])?;
    let household = text(&field(phone, &["register", "--area", &survey.area(0)?, "head=Maria Lay"])?, "household")?;
    field(phone, &["sync"])?;
    Ok(household)
}

async fn remarks(survey: &Survey, household: &str) -> Result<Vec<String>> {
    let detail = survey.coordinator().await?.get(&format!("records/{household}")).await?;
    let notes = detail["notes"].as_array().with_context(|| detail.to_string())?.clone();
    Ok(notes.iter().filter_map(|note| note["text"].as_str()).map(str::to_owned).collect())
}

#[tokio::test]
async fn a_copy_on_another_machine_takes_a_name_of_its_own_before_it_writes() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, copy) = (survey.file("phone.db"), survey.file("copy.db"));
    let household = begin(&survey, &phone)?;
    field(&phone, &["note", &household, "before the copy, not sent"])?;
    let name = text(&field(&phone, &["status"])?, "replica")?;
    std::fs::copy(&phone, &copy)?;
    let status = field(&copy, &["status"])?;
    assert_ne!(text(&status, "replica")?, name);
    assert_eq!(status["unsent"], json!(1), "what was not sent goes with it, under the new name");
    assert_eq!(text(&field(&copy, &["status"])?, "replica")?, text(&status, "replica")?, "once is enough");
    assert_eq!(text(&field(&phone, &["status"])?, "replica")?, name, "the phone is what it was");
    // The copy is copied again before the server has heard of it, and is lost.
    let third = survey.file("third.db");
    std::fs::copy(&copy, &third)?;
    assert_ne!(text(&field(&third, &["status"])?, "replica")?, text(&status, "replica")?);
    field(&third, &["sync"])?;

    field(&copy, &["note", &household, "by the copy"])?;
    field(&phone, &["note", &household, "by the phone"])?;
    for device in [&copy, &phone, &copy, &phone] {
        assert_eq!(field(device, &["sync"])?["forks"], json!(0), "the server has nothing to find out");
    }
    let mut seen = remarks(&survey, &household).await?;
    seen.sort();
    assert_eq!(seen, ["before the copy, not sent", "by the copy", "by the phone"], "each once");
    for device in [&copy, &phone] {
        let status = field(device, &["status"])?;
        assert_eq!((&status["unsent"], &status["conflicts"]), (&json!(0), &json!(0)));
        let shown = field(device, &["show", &household])?.to_string();
        assert_eq!(shown.matches("before the copy, not sent").count(), 1, "once on the phones, too: {shown}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_phone_had_not_sent_when_it_was_copied_stands_once_on_the_copy_also_where_the_phone_was_faster()
-> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, copy) = (survey.file("phone.db"), survey.file("copy.db"));
    let household = begin(&survey, &phone)?;
    field(&phone, &["note", &household, "before the copy, not sent"])?;
    std::fs::copy(&phone, &copy)?;
    field(&copy, &["status"])?;
    for device in [&phone, &copy, &phone, &copy] {
        field(device, &["sync"])?;
    }
    for device in [&copy, &phone] {
        let shown = field(device, &["show", &household])?.to_string();
        assert_eq!(shown.matches("before the copy, not sent").count(), 1, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn an_older_copy_in_place_of_the_files_uses_no_number_twice() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, backup) = (survey.file("phone.db"), survey.file("backup"));
    let household = begin(&survey, &phone)?;
    std::fs::copy(&phone, &backup)?;
    field(&phone, &["note", &household, "after the backup"])?;
    field(&phone, &["sync"])?;
    let name = text(&field(&phone, &["status"])?, "replica")?;
    std::fs::copy(&backup, &phone)?;
    // It writes before it hears from anybody.
    field(&phone, &["note", &household, "after the restore"])?;
    assert_ne!(text(&field(&phone, &["status"])?, "replica")?, name);
    assert_eq!(field(&phone, &["sync"])?["forks"], json!(0));
    assert_eq!(remarks(&survey, &household).await?.len(), 2);
    let shown = field(&phone, &["show", &household])?.to_string();
    assert!(shown.contains("after the backup") && shown.contains("after the restore"), "{shown}");
    Ok(())
}
