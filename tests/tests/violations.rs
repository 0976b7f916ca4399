//! Two honest halves make one impossible whole: what broke is listed with who gave what, and goes away when mended.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use anyhow::{Context as _, Result};
use client_core::Edit;
use end_to_end::{
    bench::workload::{Author, changes},
    field::{Enumerator, questionnaire},
    survey::{Parts, Survey, household, interview},
};
use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire};
use serde_json::{Value as Json, json};
use server::store;
use std::collections::BTreeMap;
use sync_protocol::{Record, RecordId, Value};
use uuid::Uuid;

/// Saves texts and numbers on a device.
fn save(person: &mut Enumerator, record: RecordId, answers: &[(&str, Value)]) -> Result<()> {
    let edits: Result<Vec<Edit>, _> =
        answers.iter().map(|(path, value)| Ok::<_, anyhow::Error>(Edit::set(path, value.clone())?)).collect();
    person.device.host().wait_minutes(2);
    person.device.save(record, &person.code, &edits?)?;
    Ok(())
}

fn text(value: &str) -> Value {
    Value::text(value)
}

/// An answer that a rule reads: its path, its value, who gave it.
type Read = (String, Json, String);

/// The broken rules of a record: path, kind, and what each reads.
fn broken(record: &Json) -> Vec<(String, String, Vec<Read>)> {
    let word = |json: &Json, name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let read = |read: &Json| (word(read, "path"), read["value"].clone(), word(read, "author"));
    let rules = record["broken"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            let reads = rule["reads"].as_array().unwrap().iter().map(read).collect();
            (word(rule, "path"), word(rule, "kind"), reads)
        })
        .collect()
}

/// The figures of all records together, once everything is validated.
async fn total(survey: &Survey) -> Result<Json> {
    let coordinator = survey.coordinator().await?;
    coordinator.validated().await?;
    Ok(coordinator.get("progress?by=total").await?["items"][0].clone())
}

#[tokio::test]
async fn two_honest_halves_make_an_impossible_whole_until_one_is_mended() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    // The first area of the second enumerator is held by both.
    let home = a.device.register_household(&a.code, &[("area", text(&survey.area(1)?))])?;
    let record = a.device.start_interview(home, "1", &questionnaire(), &a.code)?;
    let rows = ["visit/v1", "member/m1"].map(|row| Edit::AddRow(row.parse().unwrap()));
    a.device.save(record, &a.code, &rows)?;
    let visit = [("visit/v1/v_date", text("2026-01-05")), ("visit/v1/v_result", text("1"))];
    save(&mut a, record, &visit)?;
    save(&mut a, record, &[("consent", text("1")), ("hh_size", Value::Integer(1))])?;
    save(&mut a, record, &[("member/m1/m_name", text("Ana")), ("member/m1/m_age", Value::Integer(4))])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    assert_eq!(
        total(&survey).await?["violations"],
        0,
        "an interview under way lacks answers, and breaks no rule by that"
    );

    // Apart, each is right: a child born before the visit; a visit that was earlier.
    save(&mut a, record, &[("member/m1/m_birthdate", text("2026-01-03"))])?;
    save(&mut b, record, &[("visit/v1/v_date", text("2025-12-29"))])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let coordinator = survey.coordinator().await?;
    coordinator.validated().await?;
    let listed = coordinator.all("records?violations=true").await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["violations"], &listed[0]["conflicts"], &listed[0]["validated"]),
        (&json!(1), &json!(0), &json!(true))
    );
    let shown = coordinator.get(&format!("records/{record}")).await?;
    let reads = vec![
        ("member/m1/m_birthdate".to_owned(), json!("2026-01-03"), a.code.clone()),
        ("visit/v1/v_date".to_owned(), json!("2025-12-29"), b.code.clone()),
    ];
    assert_eq!(broken(&shown), [("member/m1/m_birthdate".to_owned(), "constraint".to_owned(), reads)]);
    let rule = &shown["broken"][0];
    assert!(rule["message"]["English (en)"].as_str().unwrap().contains("visit"), "{rule}");
    assert!(rule["label"]["Bahasa Indonesia (id)"].as_str().unwrap().starts_with("Tanggal lahir"), "{rule}");
    assert_eq!((&rule["reads"][0]["device"], &rule["reads"][1]["device"]), (&json!("a"), &json!("b")));
    for (by, code) in [("enumerator", &a.code), ("area", &survey.area(1)?)] {
        let progress = coordinator.get(&format!("progress?by={by}")).await?;
        let mut lines = progress["items"].as_array().unwrap().iter();
        let line = lines.find(|line| line["code"] == **code).context("no line")?;
        assert_eq!(line["violations"], 1, "{by}");
    }
    let devices = coordinator.all("devices").await?;
    assert!(devices.iter().all(|device| device["violations"] == 1), "both had a hand in it: {devices:?}");

    // Nothing was refused or changed; whoever mends it needs no coordinator.
    assert!(coordinator.all("quarantine").await?.is_empty());
    survey.sync(&mut a).await?;
    save(&mut a, record, &[("member/m1/m_birthdate", text("2021-06-03"))])?;
    survey.sync(&mut a).await?;
    assert_eq!(total(&survey).await?["violations"], 0);
    assert!(coordinator.all("records?violations=true").await?.is_empty());
    assert_eq!(broken(&coordinator.get(&format!("records/{record}")).await?), []);
    Ok(())
}

#[tokio::test]
async fn what_is_required_counts_once_the_interview_is_finished_and_nothing_does_once_it_is_void() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let mut a = survey.device(0, "a").await?;
    let home = a.device.register_household(&a.code, &[("area", text(&survey.area(0)?))])?;
    let record = a.device.start_interview(home, "1", &questionnaire(), &a.code)?;
    a.device.save(record, &a.code, &[Edit::AddRow("visit/v1".parse()?), Edit::set("visit/v1/v_result", text("1"))?])?;
    survey.sync(&mut a).await?;
    assert_eq!(total(&survey).await?["violations"], 0);
    a.device.save(record, &a.code, &[Edit::Finish])?;
    survey.sync(&mut a).await?;
    let coordinator = survey.coordinator().await?;
    let shown = coordinator.get(&format!("records/{record}")).await?;
    let consent = broken(&shown).into_iter().find(|(path, _, _)| path == "consent").context("consent is required")?;
    let why = vec![("visit/v1/v_result".to_owned(), json!("1"), a.code.clone())];
    assert_eq!(consent, ("consent".to_owned(), "required".to_owned(), why), "and why it is asked");
    let counted = u64::try_from(broken(&shown).len())?;
    assert_eq!(total(&survey).await?["violations"], counted, "the list agrees with the record's page");
    let counts = |line: Json| ["households", "interviews", "finished", "violations"].map(|what| line[what].clone());
    assert_eq!(json!(counts(total(&survey).await?)), json!([1, 1, 1, counted]));
    a.device.save(record, &a.code, &[Edit::Void { reason: "the wrong house".into() }])?;
    survey.sync(&mut a).await?;
    assert_eq!(json!(counts(total(&survey).await?)), json!([1, 0, 0, 0]));
    for by in ["enumerator", "area"] {
        let lines = coordinator.get(&format!("progress?by={by}")).await?["items"].clone();
        let begun = lines.as_array().unwrap().iter().map(|line| line["interviews"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(begun, 0, "{by}");
    }
    // Each number leads to its records, and what is void is still found.
    assert!(coordinator.all("records?kind=interview&void=false").await?.is_empty());
    assert_eq!(coordinator.all("records?kind=interview").await?.len(), 1);
    assert_eq!(coordinator.all("records?void=true").await?[0]["id"], json!(record));
    Ok(())
}

/// An interview whose age breaks its rule.
fn impossible(home: Uuid) -> Vec<u8> {
    let mut body: Json = serde_json::from_slice(&interview(home, "kupang-household@2026-1", &json!({}))).unwrap();
    body["add"] = json!({ "visit/v1": 1, "member/m1": 1 });
    body["set"] = json!({
        "": { "consent": "1", "hh_size": 1 },
        "member/m1": { "m_age": 999 },
        "visit/v1": { "v_date": "2026-01-05", "v_result": "1" },
    });
    serde_json::to_vec(&body).unwrap()
}

#[tokio::test]
async fn a_server_that_is_killed_with_a_full_queue_works_it_off_in_its_next_life() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let area = survey.area(0)?;
    let mut device = survey.raw(0, 1).await?;
    let Parts { office, mut server, folder: _folder, .. } = survey.into_parts();
    let (mut sent, mut waited) = (0_u64, 0);
    // The moment of death is what it is; only a death with records in the queue shows anything: it is made longer each time.
    for life in 0..20_u128 {
        let count = 150 * u64::try_from(life + 1)?.min(10);
        let homes = (0..u128::from(count)).map(|n| Uuid::from_u128(life << 32 | n));
        let bodies: Vec<_> = homes.flat_map(|home| [household(home, &area, "Maria Lay"), impossible(home)]).collect();
        let batch = device.batch(&bodies);
        let reply = device.push(&server.url, vec![batch]).await?;
        server.kill()?;
        sent += count;
        assert_eq!((reply.header.acked_through, reply.outcomes.len()), (sent * 2, 0), "nothing is refused");
        let mut conn = store::open_writer(office.data())?;
        waited = store::in_transaction(&mut conn, |tx| tx.count_waiting())?;
        drop(conn);
        server = office.serve(0)?;
        if waited > 0 {
            break;
        }
    }
    assert!(waited > 0, "the server never died with a full queue");
    println!("{waited} of {sent} records waited when the server died");
    let coordinator = end_to_end::server::Coordinator::log_in(&server.url, end_to_end::survey::PASSWORD).await?;
    coordinator.validated().await?;
    let listed = coordinator.all("records?violations=true").await?;
    assert_eq!(u64::try_from(listed.len())?, sent);
    assert!(listed.iter().all(|record| record["violations"] == 1 && record["validated"] == true));
    assert!(coordinator.all("quarantine").await?.is_empty());

    // A rebuild makes the same, byte for byte, and whatever waits then is no difference.
    let before = coordinator.all("records").await?;
    server.kill()?;
    let hashes = |rebuilt: String| -> Vec<String> {
        rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    };
    let first = hashes(office.run("rebuild", &[])?);
    assert_eq!(first[0], first[1]);
    let second = hashes(office.run("rebuild", &[])?);
    assert_eq!(first, second);
    let server = office.serve(0)?;
    let coordinator = end_to_end::server::Coordinator::log_in(&server.url, end_to_end::survey::PASSWORD).await?;
    assert_eq!(coordinator.all("records").await?, before);
    Ok(())
}

#[tokio::test]
async fn an_export_names_what_is_broken_beside_the_conflicts() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let mut device = survey.raw(0, 1).await?;
    let home = Uuid::from_u128(7);
    let batch = device.batch(&[household(home, &survey.area(0)?, "Maria Lay"), impossible(home)]);
    device.push(&survey.server.url, vec![batch]).await?;
    let folder = survey.file("export");
    survey.office.run("export", &["kupang-household@2026-1", "--to", &folder.display().to_string()])?;
    for (table, expected) in [("interviews", ""), ("member", "m_age: constraint")] {
        let mut reader = csv::Reader::from_path(folder.join(format!("{table}.csv")))?;
        let header = reader.headers()?.clone();
        let line = reader.records().next().context("no line")??;
        let line: BTreeMap<&str, &str> = header.iter().zip(&line).collect();
        assert_eq!(line["_violations"], expected, "{table}");
    }
    Ok(())
}

#[test]
fn a_household_evaluates_the_same_straight_from_the_merge_as_from_its_texts() -> Result<()> {
    let loaded = Questionnaire::read_xlsx(fixtures::source::WORKBOOK)?;
    let compiled = Compiled::new(&loaded.questionnaire)?;
    let homes: Vec<_> = fixtures::World::new(5, 60, 3).households().collect();
    let mut records: BTreeMap<RecordId, Record> = BTreeMap::new();
    for change in changes(&Author::new(1, "KP001"), &homes)? {
        records.entry(change.record()).or_default().apply(change, None);
    }
    let context = Context::at("2026-03-01T09:30:00+08:00").context("a time")?;
    for (id, record) in &records {
        let texts = Evaluator::new(&compiled, &Instance::from_record(record, &loaded.questionnaire), context.clone());
        let straight = Evaluator::of_record(&compiled, record, context.clone());
        assert_eq!(straight.instance(), texts.instance(), "{id}");
        assert_eq!(straight.evaluation(), texts.evaluation(), "{id}");
    }
    Ok(())
}
