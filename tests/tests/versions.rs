//! A newer version of a questionnaire is published while phones work with the old one.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::{Content, Device, Edit, Interview};
use end_to_end::{
    field::{Enumerator, Phone},
    review::{decide, difference, review, state},
    survey::Survey,
};
use rust_xlsxwriter::Workbook;
use serde_json::Value as Json;
use std::path::Path as File;
use sync_protocol::{Path, Place, QuestionnaireRef, RecordId, Value};

fn publish(survey: &Survey, version: &str, rows: &[[&str; 3]], choices: &[&str]) -> Result<String> {
    let file = survey.file(&format!("pigs-{version}.xlsx"));
    workbook(&file, version, rows, choices)?;
    survey.office.run("questionnaire load", &[file.to_str().unwrap()])
}

fn workbook(file: &File, version: &str, rows: &[[&str; 3]], choices: &[&str]) -> Result<()> {
    let mut book = Workbook::new();
    let survey = book.add_worksheet().set_name("survey")?;
    survey.write_row(0, 0, ["type", "name", "tenun::was", "label", "required"])?;
    for (at, row) in (1..).zip(rows) {
        survey.write_row(at, 0, *row)?;
        survey.write_row(at, 3, [row[1], if row[1].starts_with("n_") { "yes" } else { "" }])?;
    }
    let sheet = book.add_worksheet().set_name("choices")?;
    sheet.write_row(0, 0, ["list_name", "name", "label"])?;
    for (at, choice) in (1..).zip(choices) {
        sheet.write_row(at, 0, ["breed", choice, choice])?;
    }
    book.add_worksheet().set_name("settings")?.write_row_matrix(0, 0, [["form_id", "version"], ["pigs", version]])?;
    book.save(file)?;
    Ok(())
}

const OLD: [[&str; 3]; 6] = [
    ["select_one breed", "breed", ""],
    ["integer", "n_pigs", ""],
    ["text", "colour", ""],
    ["begin_repeat", "sty", ""],
    ["integer", "size", ""],
    ["end_repeat", "", ""],
];
const NEW: [[&str; 3]; 7] = [
    ["select_one breed", "kind", "breed"],
    ["integer", "n_pigs", ""],
    ["begin_repeat", "pen", "sty"],
    ["integer", "area", "size"],
    ["end_repeat", "", ""],
    ["text", "n_keeper", ""],
    ["note", "thanks", ""],
];

fn answers(detail: &Json) -> Vec<(String, String, bool, usize)> {
    let all = detail["answers"].as_array().unwrap().iter().map(|answer| {
        let value = answer["value"].as_str().map_or_else(|| answer["value"].to_string(), str::to_owned);
        let siblings = answer["siblings"].as_array().unwrap().len();
        (answer["path"].as_str().unwrap().to_owned(), value, answer["parked"].as_bool().unwrap(), siblings)
    });
    all.collect()
}

struct Field {
    survey: Survey,
    a: Enumerator,
    b: Enumerator,
    record: RecordId,
}

/// Two phones that hold one interview, filled under the first version.
async fn field() -> Result<Field> {
    let survey = Survey::start(24, 2)?;
    publish(&survey, "2026-9", &OLD, &["bali", "landrace"])?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let record = a.device.start_interview(home, "1", &"pigs@2026-9".parse()?, &a.code)?;
    let row = Place::record().row("sty", "s1")?;
    let edits = [
        Edit::set("breed", Value::text("landrace"))?,
        Edit::set("n_pigs", Value::Integer(3))?,
        Edit::set("colour", Value::text("black"))?,
        Edit::AddRow(row.clone()),
        Edit::Set(Path::new(row, "size")?, Value::Integer(12)),
        Edit::Finish,
    ];
    a.device.save(record, &a.code, &edits)?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    Ok(Field { survey, a, b, record })
}

#[tokio::test]
async fn an_interview_stays_with_its_version_until_it_is_moved_and_a_phone_with_the_old_one_syncs_on() -> Result<()> {
    let Field { survey, mut a, mut b, record } = field().await?;
    let told = publish(&survey, "2026-10", &NEW, &["bali"])?;
    for expected in ["kind: was breed", "the choice landrace is gone", "colour: gone", "pen: was sty", "n_keeper: new"]
    {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    let coordinator = survey.coordinator().await?;
    let detail = coordinator.get(&format!("records/{record}")).await?;
    assert_eq!(detail["questionnaire"], "pigs@2026-9");
    assert_eq!(detail["broken"], serde_json::json!([]));

    // A goes to the new version; B, who has not heard of it, corrects two answers under the old one.
    survey.sync(&mut a).await?;
    let to: QuestionnaireRef = "pigs@2026-10".parse()?;
    assert_eq!(a.device.newest_version("pigs")?, Some(to.clone()));
    let moved = a.device.move_interview(record, &to, &a.code)?;
    assert_eq!(moved.parked, ["colour"]);
    a.device.save(record, &a.code, &[Edit::set("kind", Value::text("bali"))?])?;
    b.device.save(record, &b.code, &[Edit::set("breed", Value::text("bali"))?])?;
    let size = Path::new(Place::record().row("sty", "s1")?, "size")?;
    b.device.save(record, &b.code, &[Edit::Set(size, Value::Integer(15))])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    survey.sync(&mut a).await?;

    let detail = coordinator.get(&format!("records/{record}")).await?;
    assert_eq!(detail["questionnaire"], "pigs@2026-10");
    let expected = [
        ("kind", "bali", false, 2),
        ("n_pigs", "3", false, 1),
        ("pen/s1/area", "15", false, 1),
        ("colour", "black", true, 1),
    ];
    let mut found = answers(&detail);
    found.sort();
    let mut expected: Vec<_> =
        expected.into_iter().map(|(path, value, parked, n)| (path.to_owned(), value.to_owned(), parked, n)).collect();
    expected.sort();
    assert_eq!(found, expected);
    // What must be asked again is told; the parked answer is nobody's fault.
    let broken: Vec<(&str, &str)> = detail["broken"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["path"].as_str().unwrap(), one["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(broken, [("n_keeper", "required")]);
    for person in [&mut a, &mut b] {
        let merged = person.device.record(record)?;
        assert!(merged.answer(&"breed".parse()?).is_none() && merged.answer(&"kind".parse()?).is_some());
    }
    let mut interview = Interview::open(&mut b.device, record, &b.code)?;
    interview.go_to(&mut b.device, &"n_keeper".parse()?)?;
    let Content::Questions(asked) = interview.screen().content else { panic!("a question") };
    assert_eq!(asked[0].label, "n_keeper");

    let folder = survey.file("export");
    let to = folder.to_str().unwrap();
    survey.office.run("export", &["pigs@2026-10", "--to", to, "--personal"])?;
    let interviews = std::fs::read_to_string(folder.join("interviews.csv"))?;
    assert!(interviews.lines().nth(1).unwrap().ends_with("colour: black,,submitted"), "{interviews}");
    survey.office.run("export", &["pigs@2026-10", "--to", to])?;
    let interviews = std::fs::read_to_string(folder.join("interviews.csv"))?;
    assert!(interviews.lines().nth(1).unwrap().ends_with(",colour,,submitted"), "{interviews}");
    Ok(())
}

#[tokio::test]
async fn the_office_moves_all_interviews_of_a_version_and_says_first_what_that_parks() -> Result<()> {
    let Field { survey, mut a, mut b, record } = field().await?;
    publish(&survey, "2026-10", &NEW, &["bali"])?;
    let coordinator = survey.coordinator().await?;
    let told = survey.office.run("questionnaire move", &["pigs@2026-9", "pigs@2026-10", "--dry-run"])?;
    assert!(told.contains("parked: colour, 1 answers") && told.contains("1 interviews would move"), "{told}");
    assert_eq!(coordinator.get(&format!("records/{record}")).await?["questionnaire"], "pigs@2026-9");
    survey.office.run("questionnaire move", &["pigs@2026-9", "pigs@2026-10"])?;
    let detail = coordinator.get(&format!("records/{record}")).await?;
    assert_eq!(detail["questionnaire"], "pigs@2026-10");
    let broken = detail["broken"].as_array().unwrap();
    let kinds: Vec<&str> = broken.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["choice", "required"]);
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    assert_eq!(a.device.summary(record)?.questionnaire, "pigs@2026-10");
    assert_eq!(a.device.record(record)?.canonical_view(), b.device.record(record)?.canonical_view());
    for (arguments, expected) in [
        (["pigs@2026-10", "pigs@2026-9"], "no later version"),
        (["pigs@2026-9", "pigs@2026-11"], "load"),
        (["pigs@2026-9", "kupang-household@2026-1"], "no later version"),
    ] {
        let error = survey.office.run("questionnaire move", &arguments).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let rebuilt = survey.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}

#[tokio::test]
async fn a_version_never_changes_and_comes_after_those_that_are_there() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    publish(&survey, "2026-10", &NEW, &["bali"])?;
    publish(&survey, "2026-10", &NEW, &["bali"])?;
    let error = publish(&survey, "2026-10", &OLD, &["bali"]).unwrap_err().to_string();
    assert!(error.contains("published already with other content"), "{error}");
    let error = publish(&survey, "2026-9", &OLD, &["bali"]).unwrap_err().to_string();
    assert!(error.contains("pigs@2026-10 is published already"), "{error}");
    // One question can't take over the answers of two.
    let joined = [["text", "all", "kind n_keeper"]];
    let error = publish(&survey, "2026-11", &joined, &["bali"]).unwrap_err().to_string();
    assert!(error.contains("was kind and n_keeper at once"), "{error}");
    Ok(())
}

#[test]
fn a_phone_that_cannot_read_a_newer_questionnaire_goes_on_with_its_records() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut device = Device::open(&folder.path().join("device"), Phone::new(1, 1_767_225_600_000, 0))?;
    device.store_questionnaire(r#"{"id":"f","version":"1","lists":{},"items":[]}"#)?;
    let error = device.store_questionnaire(r#"{"id":"f","version":"2","lists":{},"items":[{"hologram":{}}]}"#);
    assert!(error.is_err());
    let home = device.register_household("KP001", &[("head", Value::text("Maria"))])?;
    let record = device.start_interview(home, "1", &"f@2".parse()?, "KP001")?;
    device.save(record, "KP001", &[Edit::Note("still here".into())])?;
    assert_eq!(device.record(record)?.notes().count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_question_of_another_name_keeps_its_remark_and_an_approval_holds() -> Result<()> {
    let Field { survey, mut a, mut b, record } = field().await?;
    let coordinator = survey.coordinator().await?;
    a.device.save(record, &a.code, &[Edit::Finish])?;
    survey.sync(&mut a).await?;
    assert_eq!(decide(&coordinator, record, "approve", serde_json::json!({})).await?.0, 200);
    publish(&survey, "2026-10", &NEW, &["bali"])?;
    survey.office.run("questionnaire move", &["pigs@2026-9", "pigs@2026-10"])?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), &now["differences"]), ("approved", &serde_json::json!([])), "no answer is another one");

    let about = serde_json::json!({ "remarks": [{ "path": "kind", "text": "Bali?" }] });
    assert_eq!(decide(&coordinator, record, "return", about).await?.0, 200);
    survey.sync(&mut b).await?;
    let remark = b.device.remarks(record)?.remove(0);
    assert_eq!(remark.path.map(|path| path.to_string()).as_deref(), Some("kind"));
    b.device.save(record, &b.code, &[Edit::set("kind", Value::text("bali"))?])?;
    survey.sync(&mut b).await?;
    let now = review(&coordinator, record).await?;
    let kind = difference(&now, "kind")?;
    assert_eq!((state(&now), &kind["by"]["author"]), ("corrected", &serde_json::json!(b.code)));
    Ok(())
}

#[tokio::test]
async fn a_remark_about_a_question_goes_with_it_to_its_next_name() -> Result<()> {
    let Field { survey, mut a, record, .. } = field().await?;
    let coordinator = survey.coordinator().await?;
    a.device.save(record, &a.code, &[Edit::Finish])?;
    survey.sync(&mut a).await?;
    let about = serde_json::json!({ "remarks": [{ "path": "breed", "text": "Bali?" }] });
    assert_eq!(decide(&coordinator, record, "return", about).await?.0, 200);
    publish(&survey, "2026-10", &NEW, &["bali"])?;
    survey.office.run("questionnaire move", &["pigs@2026-9", "pigs@2026-10"])?;
    survey.sync(&mut a).await?;
    let remark = a.device.remarks(record)?.remove(0);
    assert_eq!(remark.path.map(|path| path.to_string()).as_deref(), Some("kind"));
    a.device.save(record, &a.code, &[Edit::set("kind", Value::text("bali"))?])?;
    survey.sync(&mut a).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    Ok(())
}
