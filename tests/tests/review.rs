//! A correction's way home: returned with a remark, on top of the phone's list, mended at the question, seen by the coordinator as
//! before, after and why; and what becomes of it where people are faster, somewhere else, or lose their phones.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::{Context, Result};
use client_core::{Content, Edit, Interview};
use end_to_end::{
    field::{Enumerator, questionnaire},
    review::{
        about_all, about_floor, decide, decide_on, difference, returned_to_one_of_two, review, state, steps, submitted,
    },
    server::Coordinator,
    survey::{Survey, interview},
};
use serde_json::{Value as Json, json};
use sync_protocol::{
    RecordId, Value,
    engine::device::{Action, Event, Turn},
    remark::{About, Remark},
    wire::Verdict,
};

#[tokio::test]
async fn a_returned_interview_is_on_top_opens_at_the_question_and_comes_home_corrected() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (other, first) = submitted(&survey, &mut a, 0).await?;
    let (home, record) = submitted(&survey, &mut a, 1).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "submitted");
    let on_top = |a: &mut Enumerator| a.device.interviews().map(|lines| lines[0].id);
    let (first, home, record) = if on_top(&mut a)? == first { (first, home, record) } else { (record, other, first) };

    let remarks = json!({ "remarks": [
        { "path": "floor_m2", "text": "400 m2? Tolong ukur lagi" }, { "path": "address", "text": "RT berapa?" },
    ] });
    assert_eq!(decide(&coordinator, record, "return", remarks).await?, (200, json!({ "state": "returned" })));
    assert_eq!(review(&coordinator, record).await?["waits_for"][0]["enumerator"], json!(a.code));
    assert_eq!(survey.sync(&mut a).await?.round_trips, 1);

    // On top of the list, and it opens at the question with the remark beside it.
    let line = &a.device.interviews()?[0];
    let mark = line.returned.as_ref().unwrap();
    assert_eq!((line.id, mark.mine, mark.open), (record, true, 2));
    let mut interview = Interview::open(&mut a.device, record, &a.code)?;
    assert_eq!(interview.position().to_string(), "floor_m2");
    let Content::Questions(asked) = interview.screen().content else { anyhow::bail!("a question") };
    let [remark] = asked[0].remarks.as_slice() else { anyhow::bail!("one remark beside the question") };
    assert_eq!(
        (remark.text.as_str(), remark.by.as_str(), remark.answered),
        ("400 m2? Tolong ukur lagi", "rini", false)
    );

    // One is corrected, and the reason said; the other is answered by an answer, which the household hears of.
    let remark = remark.id;
    interview.answer(&mut a.device, &"floor_m2".parse()?, "40")?;
    interview.reply(&mut a.device, remark, "salah ketik: 40")?;
    assert_eq!(a.device.interviews()?[0].returned.as_ref().unwrap().open, 1);
    interview.close(&mut a.device)?;
    let mut interview = Interview::open(&mut a.device, record, &a.code)?;
    assert_eq!(interview.position().to_string(), "address", "the next remark that is not answered");
    interview.answer(&mut a.device, &"address".parse()?, "Jl. Baru RT 3")?;
    interview.close(&mut a.device)?;
    assert_eq!(on_top(&mut a)?, first, "nothing waits on it any more, before anything is sent");
    survey.sync(&mut a).await?;

    // The coordinator sees before, after, why, and by whom.
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("corrected", vec!["return", "answer"]));
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((&floor["before"], &floor["after"]), (&json!([400]), &json!([40])));
    assert_eq!((&floor["why"], &floor["had_seen"]), (&json!(["salah ketik: 40"]), &json!(true)));
    assert_eq!((&floor["by"]["author"], &floor["by"]["device"]), (&json!(a.code), &json!("a")));
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);

    // The correction stands in the household, and in the next round's interview as it begins.
    let household = coordinator.get(&format!("records/{home}")).await?;
    let address = household["answers"].as_array().unwrap().iter().find(|one| one["path"] == "address").unwrap();
    assert_eq!(address["value"], json!("Jl. Baru RT 3"));
    survey.sync(&mut a).await?;
    assert!(a.device.interviews()?.iter().all(|line| line.returned.is_none()));
    // A night in which nothing is returned pays nothing for it.
    let Action::Send(night) = Turn::new("test").step(&mut a.device, Event::Begin, 0)? else {
        anyhow::bail!("a request")
    };
    assert!(!String::from_utf8(night)?.contains("returned"));
    let next = a.device.start_interview(home, "2", &questionnaire(), &a.code)?;
    Interview::open(&mut a.device, next, &a.code)?;
    let preloaded = a.device.record(next)?;
    assert_eq!(preloaded.answer(&"address".parse()?).unwrap().siblings[0].value, &Value::text("Jl. Baru RT 3"));
    Ok(())
}

#[tokio::test]
async fn an_answer_in_words_or_finishing_again_answers_a_remark_too() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    let remarks =
        json!({ "remarks": [{ "text": "Apakah ada anggota lain?" }, { "path": "floor_m2", "text": "400?" }] });
    assert_eq!(decide(&coordinator, record, "return", remarks).await?.0, 200);
    survey.sync(&mut a).await?;
    let remarks = a.device.remarks(record)?;
    let mut interview = Interview::open(&mut a.device, record, &a.code)?;
    assert_eq!(interview.screen().remarks.len(), 1, "what is about the whole stands on every screen");
    interview.reply(&mut a.device, remarks[0].id, "Tidak ada")?;
    survey.sync(&mut a).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "returned", "one of two is answered");
    interview.finish(&mut a.device)?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!(state(&now), "corrected");
    let answered: Vec<bool> = now["remarks"].as_array().unwrap().iter().map(|one| one["answered"] == true).collect();
    assert_eq!(answered, [true, true]);
    assert_eq!(now["remarks"][0]["replies"][0]["text"], json!("Tidak ada"));
    Ok(())
}

#[tokio::test]
async fn of_two_coordinators_at_once_the_second_is_told_who_decided_what() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, first) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    let second = survey.coordinator().await?;
    let (mine, theirs) =
        (review(&first, record).await?["seen"].clone(), review(&second, record).await?["seen"].clone());
    assert_eq!(decide_on(&first, record, &mine, "approve", json!({})).await?.0, 200);
    let (status, problem) = decide_on(&second, record, &theirs, "return", about_floor()).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("stale")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`approve` by rini at 20") && detail.contains("approved now"), "{detail}");
    // Nothing of the refused decision is there.
    let now = coordinator_notes(&second, record).await?;
    assert!(now.is_empty(), "{now:?}");
    // What nobody may do where it stands is said, too.
    let (status, problem) = decide(&second, record, "take", json!({})).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("review-state")));
    let (status, problem) = decide(&second, record, "reopen", json!({})).await?;
    assert_eq!((status, &problem["code"]), (403, &json!("forbidden")));
    Ok(())
}

async fn coordinator_notes(coordinator: &Coordinator, record: RecordId) -> Result<Vec<Json>> {
    Ok(coordinator.get(&format!("records/{record}")).await?["notes"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_correction_that_was_faster_than_an_approval_makes_it_stale() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    let seen = review(&coordinator, record).await?["seen"].clone();
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    let (status, problem) = decide_on(&coordinator, record, &seen, "approve", json!({})).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("stale")));
    assert!(problem["detail"].as_str().unwrap().contains("an answer changed"), "{problem}");
    assert_eq!(state(&review(&coordinator, record).await?), "submitted");
    Ok(())
}

#[tokio::test]
async fn a_correction_that_comes_after_an_approval_puts_it_back_to_review_with_the_difference() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);
    // The same answer again, and a coordinator's own remark, are no other answers.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(400))?, Edit::Finish])?;
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "bagus" })).await?;
    survey.sync(&mut a).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "approved");

    let why = Edit::Note("diukur ulang".into());
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?, why])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("in-review", vec!["approve", "reopen"]));
    let floor = difference(&now, "floor_m2")?;
    assert_eq!(
        (&floor["before"], &floor["after"], &floor["why"]),
        (&json!([400]), &json!([40]), &json!(["diukur ulang"]))
    );
    assert!(coordinator.get("records?review=nonsense").await.is_err());
    let listed = coordinator.all("records?review=in-review").await?;
    assert_eq!((listed.len(), &listed[0]["differs"]), (1, &json!(true)));
    // Approved again as it stands now, it stays so, also when everything is derived again.
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);
    survey.office.run("rebuild", &[])?;
    assert_eq!(coordinator.all("records?review=approved").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_change_by_someone_who_had_not_seen_the_remark_leaves_the_interview_returned_and_says_so() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    // Typed before the phone was told, sent in the sync that tells it.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!(state(&now), "returned");
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((&floor["after"], &floor["had_seen"]), (&json!([41]), &json!(false)));
    assert_eq!(a.device.interviews()?[0].returned.as_ref().unwrap().open, 1);
    // The enumerator confirms it by a word; nothing else is needed.
    let remark = a.device.remarks(record)?[0].id;
    let reply = Remark::note(&About::Remark(remark), "sudah: 41");
    a.device.save(record, &a.code, &[Edit::Note(reply)])?;
    survey.sync(&mut a).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    Ok(())
}

#[tokio::test]
async fn a_returned_interview_goes_to_whoever_works_there_now() -> Result<()> {
    let (survey, mut a, mut b, coordinator, (_, record)) = returned_to_one_of_two().await?;
    let area = a.device.summary(record)?.area.context("an area")?;
    let elsewhere = survey.raw(1, 1).await?.push(&survey.server.url, Vec::new()).await?;
    assert_eq!(elsewhere.returned, None, "who sees nothing of the area is told nothing of it");
    survey.office.run("assign", &[&b.code, &area])?;
    // Both see it; it is the one's who began it.
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let mine = |person: &mut Enumerator| -> Vec<bool> {
        let lines = person.device.interviews().unwrap();
        lines.iter().filter_map(|line| line.returned.as_ref()).map(|mark| mark.mine).collect()
    };
    assert_eq!((mine(&mut a), mine(&mut b)), (vec![true], vec![false]));

    survey.office.run("unassign", &[&a.code, &area])?;
    survey.sync(&mut b).await?;
    assert_eq!(mine(&mut b), [true], "it is theirs now");
    let waits = review(&coordinator, record).await?["waits_for"].clone();
    assert_eq!(
        waits.as_array().unwrap().iter().map(|one| one["enumerator"].clone()).collect::<Vec<_>>(),
        [json!(b.code)]
    );
    survey.sync(&mut a).await?;
    assert!(mine(&mut a).is_empty());
    survey.office.run("unassign", &[&b.code, &area])?;
    assert_eq!(
        review(&coordinator, record).await?["waits_for"],
        json!([]),
        "the coordinator sees that nobody is there"
    );

    survey.office.run("assign", &[&b.code, &area])?;
    survey.sync(&mut b).await?;
    b.device.save(record, &b.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut b).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    Ok(())
}

#[tokio::test]
async fn a_lost_phone_leaves_the_return_to_the_next_one() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut lost, coordinator) = (survey.device(0, "lost").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut lost, 0).await?;
    let area = lost.device.summary(record)?.area.context("an area")?;
    survey.office.run("assign", &[&survey.who(1)?, &area])?;
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut lost).await?;
    // Corrected on the lost phone, and not sent before it was revoked: kept apart, and the return holds.
    lost.device.save(record, &lost.code, &[Edit::set("floor_m2", Value::Integer(39))?])?;
    let device = coordinator.get("devices").await?["items"][0]["id"].to_string();
    survey.office.run("revoke", &[&device])?;
    survey.sync(&mut lost).await?;
    let waits = review(&coordinator, record).await?;
    assert_eq!(state(&waits), "returned");
    let of: Vec<&Json> = waits["waits_for"].as_array().unwrap().iter().map(|worker| &worker["enumerator"]).collect();
    assert_eq!(of.len(), 2, "whoever works there, as phones are told: {of:?}");

    let mut next = survey.device(0, "next").await?;
    let line = &next.device.interviews()?[0];
    assert_eq!((line.id, line.returned.as_ref().unwrap().mine), (record, true));
    assert_eq!(review(&coordinator, record).await?["waits_for"].as_array().map(Vec::len), Some(1), "theirs again");
    assert_eq!(next.device.status()?.returned, 1);
    next.device.save(record, &next.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    assert_eq!(next.device.status()?.returned, 0, "nothing waits on the phone any more");
    survey.sync(&mut next).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    Ok(())
}

#[tokio::test]
async fn a_return_that_was_answered_and_forgotten_with_its_interview_is_answered_when_it_comes_back() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(0, "b").await?);
    let backup = survey.backup()?;
    // None of this is in the backup, and its author is lost.
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&survey.coordinator().await?, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut a).await?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    let http = client_core::transport::Http::new()?;
    http.sync(&mut b.device, |_| ()).await?;
    http.sync(&mut b.device, |_| ()).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("corrected", vec!["recall", "answer"]));
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((&floor["before"], &floor["after"]), (&json!([400]), &json!([40])));
    drop(parts);
    Ok(())
}

#[tokio::test]
async fn a_void_that_a_restored_server_forgot_comes_back_as_the_offices_own() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "take", json!({})).await?.0, 200);
    let backup = survey.backup()?;
    assert_eq!(decide(&coordinator, record, "void", json!({ "reason": "uji coba" })).await?.0, 200);
    survey.sync(&mut a).await?;
    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    let http = client_core::transport::Http::new()?;
    http.sync(&mut a.device, |_| ()).await?;
    http.sync(&mut a.device, |_| ()).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("void", vec!["take"]));
    assert!(coordinator.all("records?flag=discarded").await?.is_empty(), "the field did not void it");
    drop(parts);
    Ok(())
}

#[tokio::test]
async fn a_return_that_a_restored_server_forgot_is_found_again_by_the_phone_that_was_told() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    let (_, other) = submitted(&survey, &mut a, 1).await?;
    assert_eq!(decide(&coordinator, other, "return", about_floor()).await?.0, 200);
    let folder = survey.file("backups");
    survey.office.run("backup", &["--to", folder.to_str().unwrap()])?;
    let backup = std::fs::read_dir(&folder)?.next().unwrap()?.path();
    // None of this is in the backup: one return, and one approval.
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    assert_eq!(decide(&coordinator, other, "approve", json!({})).await?.0, 200);
    survey.sync(&mut a).await?;
    let returned = |a: &mut Enumerator| -> Vec<RecordId> {
        let lines = a.device.interviews().unwrap();
        lines.into_iter().filter(|line| line.returned.is_some()).map(|line| line.id).collect()
    };
    assert_eq!(returned(&mut a), [record]);

    let parts = survey.into_parts();
    let port = parts.server.port()?;
    parts.server.kill()?;
    parts.office.run("restore", &["--from", backup.to_str().unwrap()])?;
    let server = parts.office.serve(port)?;
    let coordinator = Coordinator::log_in(&server.url, end_to_end::survey::PASSWORD).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "submitted");
    assert_eq!(state(&review(&coordinator, other).await?), "returned");

    // What is returned now is told; what the phone alone knows of comes back with its remark.
    let http = client_core::transport::Http::new()?;
    http.sync(&mut a.device, |_| ()).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("returned", vec!["recall"]));
    assert_eq!(now["remarks"][0]["text"], json!("400 m2? Tolong ukur lagi"));
    http.sync(&mut a.device, |_| ()).await?;
    let mut both = returned(&mut a);
    both.sort();
    let mut expected = [record, other];
    expected.sort();
    assert_eq!(both, expected);
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    http.sync(&mut a.device, |_| ()).await?;
    assert_eq!(state(&review(&coordinator, record).await?), "corrected");
    drop(parts.folder);
    Ok(())
}

#[tokio::test]
async fn a_correction_that_was_in_quarantine_counts_once_it_is_released() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (home, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    let remark = review(&coordinator, record).await?["remarks"][0]["id"].as_str().context("a remark")?.to_owned();

    // A phone that never heard of such lists is told all the same; it names the remark, and a question that nobody knows.
    let mut raw = survey.raw(0, 1).await?;
    let mut body: Json =
        serde_json::from_slice(&interview(home.0, "kupang-household@2026-1", &json!({ "nosuch": 1 })))?;
    body["note"] = json!([format!("[re {remark}] sudah diukur")]);
    let batch = raw.batch(&[body.to_string().into_bytes()]);
    let reply = raw.push(&survey.server.url, vec![batch]).await?;
    assert_eq!(reply.outcomes[0].verdict, Verdict::Quarantined);
    assert_eq!(reply.returned.context("told")?.interviews[0].record, record);
    assert_eq!(state(&review(&coordinator, record).await?), "returned");
    let number = coordinator.all("quarantine").await?[0]["number"].clone();
    assert_eq!(coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?.0, 204);
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), &now["remarks"][0]["replies"][0]["text"]), ("corrected", &json!("sudah diukur")));
    Ok(())
}

#[tokio::test]
async fn a_void_is_final_until_somebody_who_had_not_seen_it_edits() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    let (status, problem) = decide(&coordinator, record, "void", json!({})).await?;
    assert_eq!((status, &problem["code"]), (400, &json!("wrong-type")));
    assert_eq!(decide(&coordinator, record, "void", json!({ "reason": "uji coba" })).await?.0, 200);
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 409);
    assert_eq!(coordinator.all("records?review=void").await?.len(), 1);
    // What would make it count again unawares is refused, or passes it over.
    let (status, problem) =
        coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "kenapa?" })).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("review-state")));
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("in-review", vec!["void", "revive"]));
    // A draft that was void and is kept is no more finished than before.
    let home = a.device.summary(record)?.household;
    let draft = a.device.start_interview(home, "9", &questionnaire(), &a.code)?;
    a.device.save(draft, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    assert_eq!(decide(&coordinator, draft, "void", json!({ "reason": "uji coba" })).await?.0, 200);
    a.device.save(draft, &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    survey.sync(&mut a).await?;
    assert_eq!(decide(&coordinator, draft, "approve", json!({})).await?.0, 409);
    Ok(())
}

#[tokio::test]
async fn what_the_field_voids_after_a_decision_is_logged_and_marked() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "approve", json!({})).await?.0, 200);
    a.device.save(record, &a.code, &[Edit::Void { reason: "rumah yang salah".into() }])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("void", vec!["approve", "discard"]));
    let marked = coordinator.all("records?flag=discarded").await?;
    assert_eq!(marked[0]["id"], json!(record));
    // An edit after that brings it back to a coordinator, not to the approval.
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    assert_eq!((state(&now), steps(&now)), ("in-review", vec!["approve", "discard", "revive"]));
    Ok(())
}

#[tokio::test]
async fn the_difference_names_who_gave_what_is_shown_and_goes_back_to_the_first_return() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "return", about_all()).await?.0, 200);
    survey.sync(&mut a).await?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    survey.sync(&mut a).await?;
    // Somebody else returns it once more before it has come home.
    assert_eq!(decide(&coordinator, record, "return", about_floor()).await?.0, 200);
    survey.sync(&mut a).await?;
    // One gives an answer in a row, and somebody who has not seen that takes the row out later: it is kept.
    let mut b = survey.device(0, "b").await?;
    survey.sync(&mut b).await?;
    let row = a.device.record(record)?.all_rows().next().context("a row")?.place.clone();
    let age = format!("{row}/m_age");
    a.device.save(record, &a.code, &[Edit::set(&age, Value::Integer(8))?])?;
    survey.sync(&mut a).await?;
    b.device.save(record, "KP900", &[Edit::RemoveRow(row.clone())])?;
    survey.sync(&mut b).await?;
    let now = review(&coordinator, record).await?;
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((&floor["before"], &floor["after"]), (&json!([400]), &json!([40])));
    assert_eq!(difference(&now, &age)?["by"]["author"], json!(a.code));
    let kept = difference(&now, row.as_str())?;
    assert_eq!((&kept["before"], &kept["after"]), (&json!([]), &json!(["kept"])));
    Ok(())
}

#[tokio::test]
async fn what_is_corrected_before_the_interview_is_finished_again_was_done_in_sight_of_the_remark() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let (mut a, coordinator) = (survey.device(0, "a").await?, survey.coordinator().await?);
    let (_, record) = submitted(&survey, &mut a, 0).await?;
    assert_eq!(decide(&coordinator, record, "return", about_all()).await?.0, 200);
    survey.sync(&mut a).await?;
    let remark = a.device.remarks(record)?[0].id;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?])?;
    a.device.save(record, &a.code, &[Edit::Note(Remark::note(&About::Remark(remark), "sudah"))])?;
    survey.sync(&mut a).await?;
    let now = review(&coordinator, record).await?;
    let floor = difference(&now, "floor_m2")?;
    assert_eq!((state(&now), &floor["had_seen"]), ("corrected", &json!(true)));
    Ok(())
}
