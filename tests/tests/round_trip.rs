//! The main job over real HTTP: answers arrive, conflicts show up, decisions come back.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use client_core::Edit;
use end_to_end::{
    account::Account,
    field::Enumerator,
    survey::{Survey, household, interview},
};
use serde_json::{Value as Json, json};
use sync_protocol::{HouseholdId, RecordId, Value, wire::Verdict};
use uuid::Uuid;

#[tokio::test]
async fn a_conflict_goes_to_the_coordinator_and_the_decision_comes_back() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    // The first area of the second enumerator is held by both.
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let form = end_to_end::field::questionnaire();
    let record = a.device.start_interview(home, "1", &form, &a.code)?;
    a.device.save(record, &a.code, &[Edit::set("floor", Value::text("1"))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    a.device.save(record, &a.code, &[Edit::set("floor", Value::text("2"))?])?;
    b.device.save(record, &b.code, &[Edit::set("floor", Value::text("3"))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;

    let coordinator = survey.coordinator().await?;
    let listed = coordinator.all("records?conflicts=true").await?;
    assert_eq!(listed.len(), 1);
    let shown = coordinator.get(&format!("records/{record}")).await?;
    let answer = shown["answers"].as_array().unwrap().iter().find(|answer| answer["path"] == "floor").unwrap();
    assert_eq!(answer["conflict"], true);
    let dots: Vec<&str> = answer["siblings"].as_array().unwrap().iter().map(|s| s["dot"].as_str().unwrap()).collect();
    assert_eq!(dots.len(), 2);
    let keep = answer["siblings"].as_array().unwrap().iter().find(|s| s["value"] == "2").unwrap()["dot"].clone();

    // A decision on a page that is out of date is refused.
    let stale = json!({ "path": "floor", "keep": keep, "shown": [keep] });
    let (status, problem) = coordinator.post(&format!("records/{record}/resolve"), &stale).await?;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale")));
    let decision = json!({ "path": "floor", "keep": keep, "shown": dots });
    assert_eq!(coordinator.post(&format!("records/{record}/resolve"), &decision).await?.0, 204);
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "I asked the village head." })).await?;
    assert!(coordinator.all("records?conflicts=true").await?.is_empty());

    // The enumerator who did not know of it edits meanwhile: the conflict opens again, nothing is lost.
    b.device.save(record, &b.code, &[Edit::set("floor", Value::text("4"))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let merged = a.device.record(record)?;
    let shown = merged.answer(&"floor".parse()?).unwrap();
    assert_eq!(*shown.siblings[0].value, Value::text("2"), "the decision arrived");
    assert_eq!(shown.siblings[0].origin.author, "rini");
    assert_eq!(merged.notes().count(), 1);
    assert_eq!(coordinator.all("records?conflicts=true").await?.len(), 1, "a later sibling reopens the conflict");
    let history = coordinator.get(&format!("records/{record}/history?path=floor")).await?;
    assert_eq!(history["values"].as_array().unwrap().len(), 5);
    Ok(())
}

#[tokio::test]
async fn every_answer_of_a_small_survey_is_found_again_on_every_device() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut people = vec![survey.device(0, "a").await?, survey.device(1, "b").await?];
    for home in survey.world.households() {
        let person = &mut people[home.enumerator];
        person.register(&home, home.id)?;
        for round in &home.rounds {
            person.interview(home.id, round)?;
        }
    }
    let mut account = Account::default();
    for person in &mut people {
        let unsent = person.device.unsent()?.len();
        assert_eq!(unsent, person.device.households()?.len() + person.device.interviews()?.len());
        let report = survey.sync(person).await?;
        assert!(person.device.unsent()?.is_empty());
        assert_eq!(report.round_trips, 1, "an ordinary night is one round trip");
        assert_eq!(person.device.status()?.unsent, 0);
        account.merge(person.account.clone());
    }
    assert!(account.len() > 2000, "{} answers", account.len());
    // Nothing in it was refused, and the server derives the same from the changes alone.
    let coordinator = survey.coordinator().await?;
    assert_eq!(coordinator.all("quarantine").await?, Vec::<Json>::new());
    let devices = coordinator.all("devices").await?;
    assert!(devices.iter().all(|device| device["unsent"] == 0), "{devices:?}");
    assert_eq!(coordinator.all("records?kind=household").await?.len(), 12);
    for person in &mut people {
        // A device sees its areas and nothing else (law L8).
        survey.sync(person).await?;
        let areas: Vec<String> = person.device.scope()?.unwrap().areas.into_iter().map(|area| area.code).collect();
        for household in person.device.households()? {
            let area = household.area.unwrap();
            assert!(areas.contains(&area), "{area} is not one of {areas:?}");
        }
        assert_eq!(person.account.lost_on(&mut person.device)?, Vec::<String>::new());
    }
    let office = survey.office.clone();
    let Json::Array(before) = coordinator.get("records").await?["items"].clone() else { unreachable!() };
    let rebuilt = office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(coordinator.get("records").await?["items"], Json::Array(before));
    Ok(())
}

#[tokio::test]
async fn a_batch_past_a_gap_waits_and_joins() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut device = survey.raw(0, 1).await?;
    let area = survey.area(0)?;
    let batches: Vec<_> =
        (0..4).map(|n| device.batch(&[household(Uuid::from_u128(n + 1), &area, "Maria Lay")])).collect();
    for late in [3, 1, 2] {
        let reply = device.push(url, vec![batches[late].clone()]).await?;
        assert_eq!(reply.header.acked_through, 0);
        assert_eq!(reply.outcomes[0].verdict, Verdict::Parked);
    }
    // Twice, as after a lost answer.
    for _ in 0..2 {
        assert_eq!(device.push(url, vec![batches[0].clone()]).await?.header.acked_through, 4);
    }
    assert_eq!(survey.coordinator().await?.all("records").await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_doubled_request_at_the_same_moment_is_applied_once() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = survey.server.url.clone();
    let mut device = survey.raw(0, 1).await?;
    let area = survey.area(0)?;
    let bodies: Vec<_> = (0..20).map(|n| household(Uuid::from_u128(n + 1), &area, "Maria Lay")).collect();
    let batch = device.batch(&bodies);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (device, url, batch) = (device.clone(), url.clone(), batch.clone());
            tokio::spawn(async move { device.push(&url, vec![batch]).await })
        })
        .collect();
    let mut stamps = Vec::new();
    for task in tasks {
        let reply = task.await??;
        assert_eq!(reply.header.acked_through, 20);
        stamps.push(reply.stamps);
    }
    assert!(stamps.windows(2).all(|two| two[0] == two[1]), "a stamp is issued once and given back");
    let records = survey.coordinator().await?.all("records").await?;
    assert_eq!(records.len(), 20);
    assert!(records.iter().all(|record| record["changes"] == 1));
    Ok(())
}

#[tokio::test]
async fn a_change_released_from_quarantine_still_counts() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut device = survey.raw(0, 1).await?;
    let home = Uuid::from_u128(5);
    let first = device.batch(&[
        household(home, "5371999999.001", "In a new area"),
        interview(home, "kupang-household@2026-1", &json!({ "address": "Jl. Baru" })),
    ]);
    let reply = device.push(url, vec![first]).await?;
    assert_eq!(reply.outcomes[0].code.unwrap().as_str(), "unknown-area");
    let coordinator = survey.coordinator().await?;
    let waiting = coordinator.all("quarantine").await?;
    let number = waiting[0]["number"].as_i64().unwrap();
    let (status, problem) = coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?;
    assert_eq!((status, problem["code"].as_str()), (400, Some("unknown-area")), "not before the area is loaded");
    let areas = survey.file("areas.csv");
    std::fs::write(&areas, "code,name,level,parent\n5371999999.001,RT 001,rt,\n")?;
    survey.office.run("areas", &[&areas.display().to_string()])?;
    assert_eq!(coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?.0, 204);
    let records = coordinator.all("records?area=5371999999").await?;
    assert_eq!(records.len(), 2, "the household and its interview found each other");
    assert_eq!(records[0]["title"], "In a new area");
    assert!(coordinator.all("quarantine").await?.is_empty());
    assert_eq!(coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?.0, 404);
    Ok(())
}

/// What a household says of its address.
fn address(person: &mut Enumerator, home: HouseholdId) -> Result<Vec<String>> {
    let household = person.device.record(home.into())?;
    let answer = household.answer(&"address".parse()?).context("an address")?;
    let mut texts: Vec<String> = answer.siblings.iter().map(|sibling| sibling.value.to_string()).collect();
    texts.sort();
    Ok(texts)
}

/// One finishes an interview with an address and tells the household; another phone, which has not heard of that, says another one, and
/// may tell the household by itself. A coordinator keeps one of the two.
async fn decided(keep: &str, is_told: bool) -> Result<(Survey, Enumerator, HouseholdId, RecordId)> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    a.device.save(record, &a.code, &[Edit::set("address", Value::text("RT 1"))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    a.device.save(record, &a.code, &[Edit::set("address", Value::text("RT 2"))?, Edit::Finish])?;
    b.device.save(record, &b.code, &[Edit::set("address", Value::text("RT 3"))?])?;
    if is_told {
        b.device.save(home.into(), &b.code, &[Edit::set("address", Value::text("RT 3"))?])?;
    }
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let coordinator = survey.coordinator().await?;
    let shown = coordinator.get(&format!("records/{record}")).await?;
    let mut answers = shown.get("answers").and_then(Json::as_array).context("answers")?.iter();
    let answer = answers.find(|answer| answer["path"] == "address").context("the address")?;
    let siblings = answer["siblings"].as_array().context("siblings")?;
    let dots: Vec<&Json> = siblings.iter().map(|sibling| &sibling["dot"]).collect();
    let kept = siblings.iter().find(|sibling| sibling["value"] == keep).context("a sibling")?["dot"].clone();
    let decision = json!({ "path": "address", "keep": kept, "shown": dots });
    assert_eq!(coordinator.post(&format!("records/{record}/resolve"), &decision).await?.0, 204);
    survey.sync(&mut a).await?;
    Ok((survey, a, home, record))
}

#[tokio::test]
async fn the_household_hears_what_a_coordinator_decides_about_a_finished_interview() -> Result<()> {
    let (_survey, mut a, home, record) = decided("RT 3", false).await?;
    assert_eq!(address(&mut a, home)?, ["RT 3"]);
    // It was the interview's word: a correction takes its place.
    a.device.save(record, &a.code, &[Edit::set("address", Value::text("RT 4"))?])?;
    assert_eq!(address(&mut a, home)?, ["RT 4"]);
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_told_the_household_a_decision_about_an_interview_leaves_there() -> Result<()> {
    let (_survey, mut a, home, _) = decided("RT 2", true).await?;
    assert_eq!(address(&mut a, home)?, ["RT 2", "RT 3"]);
    Ok(())
}

#[tokio::test]
async fn an_edit_out_of_scope_is_accepted_and_flagged() -> Result<()> {
    let survey = Survey::start(60, 2)?;
    let url = &survey.server.url;
    // The last area of the second enumerator is not the first one's.
    let theirs = survey.world.enumerators().nth(1).unwrap().areas;
    let mine = survey.world.enumerators().next().unwrap().areas;
    let foreign = theirs.iter().find(|area| !mine.contains(area)).unwrap();
    let mut device = survey.raw(0, 1).await?;
    let batch = device.batch(&[household(Uuid::from_u128(9), foreign, "Far away")]);
    let reply = device.push(url, vec![batch]).await?;
    assert_eq!((reply.header.acked_through, reply.outcomes.len()), (1, 0));
    let flagged = survey.coordinator().await?.all("records?flag=out-of-scope").await?;
    assert_eq!(flagged.len(), 1);
    assert_eq!(flagged[0]["flags"], json!(["out-of-scope"]));
    // Also where somebody else brings it, in whose areas it is.
    let carrier = survey.raw(1, 2).await?;
    let batch = device.batch(&[
        household(Uuid::from_u128(10), foreign, "Further"),
        household(Uuid::from_u128(11), &mine[0], "At home"),
    ]);
    carrier.push(url, vec![batch]).await?;
    let flagged = survey.coordinator().await?.all("records?flag=out-of-scope").await?;
    assert_eq!(flagged.len(), 2);
    Ok(())
}

#[tokio::test]
async fn device_and_desk_show_the_same_receipt_when_everything_arrived() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut a = survey.device(0, "a").await?;
    assert_eq!(a.device.status()?.receipt, None);
    a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    survey.sync(&mut a).await?;
    let coordinator = survey.coordinator().await?;
    let receipt = || async { anyhow::Ok(coordinator.get("devices").await?["items"][0]["receipt"].clone()) };
    let first = a.device.status()?.receipt;
    assert!(first.is_some());
    assert_eq!(receipt().await?, json!(first));
    a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    assert_eq!(a.device.status()?.receipt, first, "what was not sent is in no receipt");
    survey.sync(&mut a).await?;
    assert_ne!(a.device.status()?.receipt, first);
    assert_eq!(receipt().await?, json!(a.device.status()?.receipt));
    Ok(())
}
