//! A returned interview in the field: who is told of it, whatever became of the household, the phone or the server meanwhile.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::{Context, Result};
use client_core::Edit;
use end_to_end::{
    field::Enumerator,
    review::{about_floor, decide, difference, returned_to_one_of_two, review, state, steps, submitted},
    server::{Coordinator, Office},
    survey::{PASSWORD, Survey, interview},
};
use rust_xlsxwriter::Workbook;
use serde_json::{Value as Json, json};
use std::path::Path as File;
use sync_protocol::{RecordId, Value};

/// The returned interviews on a phone, each with whether it is the enumerator's and how many remarks wait.
fn returned(person: &mut Enumerator) -> Result<Vec<(RecordId, bool, usize)>> {
    let lines = person.device.interviews()?.into_iter();
    let returned = lines.filter_map(|line| line.returned.map(|mark| (line.id, mark.mine, mark.open)));
    Ok(returned.collect())
}

#[tokio::test]
async fn a_household_that_moved_takes_its_returned_interview_along() -> Result<()> {
    let (survey, mut a, mut b, _, (home, record)) = returned_to_one_of_two().await?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    assert_eq!((returned(&mut a)?, returned(&mut b)?), (vec![(record, true, 1)], Vec::new()));
    // It moves to where only the other one works.
    let there = survey.world.enumerators().nth(1).context("a second enumerator")?.areas;
    let here = survey.world.enumerators().next().context("a first one")?.areas;
    let area = there.iter().find(|area| !here.contains(area)).context("an area of their own")?;
    a.device.save(home.into(), &a.code, &[Edit::set("area", Value::text(area))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    assert_eq!(returned(&mut b)?, [(record, true, 1)]);
    survey.sync(&mut a).await?;
    assert_eq!(returned(&mut a)?, []);
    // What is derived anew is the same.
    survey.office.run("rebuild", &[])?;
    let raw = survey.raw(1, 1).await?.push(&survey.server.url, Vec::new()).await?;
    assert_eq!(raw.returned.context("told")?.interviews[0].record, record);
    Ok(())
}

#[tokio::test]
async fn a_late_correction_of_who_was_reassigned_counts_marked_beside_the_new_ones() -> Result<()> {
    let (survey, mut a, mut b, coordinator, (_, record)) = returned_to_one_of_two().await?;
    let area = a.device.summary(record)?.area.context("an area")?;
    survey.office.run("assign", &[&b.code, &area])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    // Both correct it; the first one's phone comes home after the area was taken away.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.office.run("unassign", &[&a.code, &area])?;
    b.device.save(record, &b.code, &[Edit::set("floor_m2", Value::Integer(44))?])?;
    survey.sync(&mut b).await?;
    survey.sync(&mut a).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    let line = coordinator.all("records?flag=out-of-scope").await?;
    assert_eq!(
        (&line[0]["id"], &line[0]["conflicts"]),
        (&json!(record), &json!(1)),
        "nobody's answer is lost: {line:?}"
    );
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 409);
    assert_eq!(returned(&mut a)?, []);
    Ok(())
}

#[tokio::test]
async fn a_second_return_adds_to_the_first_and_one_that_is_taken_back_waits_for_nobody() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    let second = json!({ "remarks": [{ "path": "address", "text": "RT berapa?" }] });
    assert_eq!(decide(&coordinator, record, "return", second).await?.0, 200);
    survey.sync(&mut a).await?;
    assert_eq!(returned(&mut a)?, [(record, true, 2)]);
    a.device.save(record, &a.code, &[Edit::set("address", Value::text("RT 3"))?])?;
    survey.sync(&mut a).await?;
    assert_eq!((returned(&mut a)?, state(&review(&coordinator, record).await?)), (vec![(record, true, 1)], "returned"));

    assert_eq!(decide(&coordinator, record, "withdraw", json!({})).await?, (200, json!({ "state": "in-review" })));
    survey.sync(&mut a).await?;
    assert_eq!(returned(&mut a)?, []);
    // What the enumerator mends now is an ordinary change; it can be returned anew.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("in-review", vec!["return", "return", "withdraw"]));
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut a).await?;
    assert_eq!(returned(&mut a)?, [(record, true, 1)]);
    // More than anybody answers in one visit is refused, and nothing of it is kept.
    let many: Vec<Json> = (0..100).map(|at| json!({ "text": format!("{at}") })).collect();
    let (status, problem) = decide(&coordinator, record, "return", json!({ "remarks": many })).await?;
    assert_eq!((status, &problem["code"]), (400, &json!("wrong-type")));
    assert_eq!(review(&coordinator, record).await?["remarks"].as_array().unwrap().len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_interview_in_conflict_is_approved_once_somebody_has_decided() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(0, "b").await?);
    let coordinator = survey.coordinator().await?;
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    survey.sync(&mut b).await?;
    for (phone, floor) in [(&mut a, 41), (&mut b, 42)] {
        let who = phone.code.clone();
        phone.device.save(record, &who, &[Edit::set("floor_m2", Value::Integer(floor))?])?;
        survey.sync(phone).await?;
    }
    let possible = review(&coordinator, record).await?["possible"].clone();
    assert!(!possible.as_array().unwrap().contains(&json!("approve")), "{possible}");
    let (status, problem) = decide(&coordinator, record, "approve", json!({})).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("review-state")));
    survey.sync(&mut a).await?;
    a.device.save(record, &a.code, &[Edit::Resolve("floor_m2".parse()?, Value::Integer(42))])?;
    survey.sync(&mut a).await?;
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn whoever_answered_a_remark_once_has_seen_it_in_what_they_change_later_too() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(0, "b").await?);
    let coordinator = survey.coordinator().await?;
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    survey.sync(&mut b).await?;
    b.device.save(record, &b.code, &[Edit::set("address", Value::text("RT 9"))?])?;
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut a).await?;
    let why = Edit::Note("diukur ulang".into());
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(39))?, why])?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let now = review(&coordinator, record).await?;
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((&floor["after"], &floor["had_seen"]), (&json!([40]), &json!(true)));
    assert_eq!(floor["why"], json!(["diukur ulang"]), "said with the first of two changes");
    assert_eq!(difference(&now, "address")?["had_seen"], json!(false), "the other phone had not heard of it");
    Ok(())
}

#[tokio::test]
async fn an_ordinary_remark_is_no_return_and_a_released_branch_speaks_for_the_field() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let url = &survey.server.url;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (home, record) = submitted(&survey, &mut a, 0).await?;
    for text in ["[re floor_m2] 400?", " [re] semua"] {
        let (status, problem) = coordinator.post(&format!("records/{record}/remark"), &json!({ "text": text })).await?;
        assert_eq!((status, &problem["code"]), (400, &json!("wrong-type")));
    }
    // A phone and its copy: what the copy remarked is released in its words, and an approval did not see it.
    let mut phone = survey.raw(0, 1).await?;
    let note = |text: &str| {
        let mut body: Json = serde_json::from_slice(&interview(home.0, "kupang-household@2026-1", &json!({}))).unwrap();
        body["note"] = json!([text]);
        body.to_string().into_bytes()
    };
    let mut copy = phone.clone();
    for (life, text) in [(&mut phone, "pindah"), (&mut copy, "rumah kosong")] {
        let batch = life.batch(&[note(text)]);
        life.push(url, vec![batch]).await?;
    }
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);
    assert_eq!(coordinator.post(&format!("branches/{}/release", copy.replica), &json!({})).await?.0, 200);
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("in-review", vec!["approve", "reopen"]));
    assert_eq!(now["differences"][0]["path"], json!("@remarks"));
    Ok(())
}

/// Publishes a questionnaire of one question.
fn publish_pigs(office: &Office, file: &File) -> Result<()> {
    let mut book = Workbook::new();
    let survey = book.add_worksheet().set_name("survey")?;
    survey.write_row_matrix(0, 0, [["type", "name", "label"], ["integer", "n_pigs", "Pigs"]])?;
    book.add_worksheet().set_name("settings")?.write_row_matrix(0, 0, [["form_id", "version"], ["pigs", "2026-1"]])?;
    book.save(file)?;
    office.run("questionnaire load", &[file.to_str().context("a path")?])?;
    Ok(())
}

#[tokio::test]
async fn a_return_that_comes_back_by_way_of_quarantine_is_taken_up_when_it_is_released() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, mut raw) = (survey.device(0, "a").await?, survey.raw(0, 1).await?);
    let (home, _) = submitted(&survey, &mut a, 0).await?;
    let backup = survey.backup()?;
    // A questionnaire that the copy does not have, an interview under it, and its return.
    let file = survey.file("pigs.xlsx");
    publish_pigs(&survey.office, &file)?;
    let batch = raw.batch(&[interview(home.0, "pigs@2026-1", &json!({ "n_pigs": 400, "@finished": "yes" }))]);
    assert_eq!(raw.push(&survey.server.url, vec![batch]).await?.outcomes, []);
    let coordinator = survey.coordinator().await?;
    let listed = coordinator.all("records?kind=interview").await?;
    let pigs = listed.iter().find(|one| one["questionnaire"] == "pigs@2026-1").context("the interview")?;
    let record: RecordId = pigs["id"].as_str().context("its id")?.parse()?;
    let remarks = json!({ "remarks": [{ "path": "n_pigs", "text": "400?" }] });
    assert_eq!(decide(&coordinator, record, "return", remarks).await?.0, 200);
    survey.sync(&mut a).await?;

    let parts = survey.into_parts();
    let port = parts.server.port()?;
    parts.server.kill()?;
    parts.office.run("restore", &["--from", backup.to_str().context("a path")?])?;
    let server = parts.office.serve(port)?;
    let http = client_core::transport::Http::new()?;
    http.sync(&mut a.device, |_| ()).await?;
    http.sync(&mut a.device, |_| ()).await?;
    let coordinator = Coordinator::log_in(&server.url, PASSWORD).await?;
    let waiting = coordinator.all("quarantine").await?;
    assert_eq!(waiting.len(), 2, "the interview and the remark: {waiting:?}");
    publish_pigs(&parts.office, &file)?;
    for change in waiting {
        let release = format!("quarantine/{}/release", change["number"]);
        assert_eq!(coordinator.post(&release, &json!({})).await?.0, 204);
    }
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("returned", vec!["recall"]));
    drop(parts.folder);
    Ok(())
}

#[tokio::test]
async fn what_was_changed_without_sight_of_a_second_return_says_so_and_the_log_names_who_answered() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    let two =
        json!({ "remarks": [{ "path": "floor_m2", "text": "400?" }, { "path": "address", "text": "RT berapa?" }] });
    assert_eq!(decide(&coordinator, record, "return", two).await?.0, 200);
    survey.sync(&mut a).await?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    let third = json!({ "remarks": [{ "path": "floor_m2", "text": "Masih aneh" }] });
    assert_eq!(decide(&coordinator, record, "return", third).await?.0, 200);
    // Their phone has not heard of that one.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!(difference(&now, "floor_m2")?["had_seen"], json!(false));
    assert!(now["returned_ms"].as_i64() > now["since_ms"].as_i64(), "{now}");
    // Now it has.
    let why = Edit::Note("diukur dengan meteran".into());
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(42))?, why])?;
    a.device.save(record, &a.code, &[Edit::set("address", Value::text("RT 3"))?])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!(difference(&now, "floor_m2")?["had_seen"], json!(true));
    let last = now["log"].as_array().and_then(|log| log.last()).context("a log")?;
    assert_eq!((state(&now), &last["transition"], &last["who"]), ("corrected", &json!("answer"), &json!(a.code)));
    Ok(())
}
