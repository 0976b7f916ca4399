//! A coordinator's decisions about interviews, as tests make them through the API.

use crate::{field::Enumerator, server::Coordinator, survey::Survey};
use anyhow::{Context, Result};
use client_core::Edit;
use serde_json::{Value as Json, json};
use sync_protocol::{HouseholdId, RecordId, Value};

/// A finished interview of a household where the first enumerator works alone, whose floor area is too large; it has been sent.
///
/// # Errors
/// If something fails on the way.
pub async fn submitted(survey: &Survey, person: &mut Enumerator, number: usize) -> Result<(HouseholdId, RecordId)> {
    let mut workers = survey.world.enumerators();
    let mut areas = workers.next().context("nobody works here")?.areas;
    let others: Vec<String> = workers.flat_map(|worker| worker.areas).collect();
    areas.retain(|area| !others.contains(area));
    let mut here = survey.world.households().filter(|household| areas.contains(&household.area));
    let household = here.nth(number).context("no such household")?;
    person.register(&household, household.id)?;
    let record = person.interview(household.id, household.rounds.first().context("no round")?)?;
    person.device.save(record, &person.code, &[Edit::set("floor_m2", Value::Integer(400))?])?;
    survey.sync(person).await?;
    Ok((HouseholdId(household.id), record))
}

/// Two enumerators with a phone each, a coordinator, and what the first one has submitted.
pub type OneOfTwo = (Survey, Enumerator, Enumerator, Coordinator, (HouseholdId, RecordId));

/// A survey of two enumerators, of whom the first has submitted an interview that was returned.
///
/// # Errors
/// If something fails on the way.
pub async fn returned_to_one_of_two() -> Result<OneOfTwo> {
    let survey = Survey::start(60, 2)?;
    let (mut a, b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let coordinator = survey.coordinator().await?;
    let sent = submitted(&survey, &mut a, 0).await?;
    let (status, problem) = decide(&coordinator, sent.1, "return", about_floor()).await?;
    anyhow::ensure!(status == 200, "it is not returned: {problem}");
    Ok((survey, a, b, coordinator, sent))
}

/// The review of an interview as the API has it.
///
/// # Errors
/// If the server refuses.
pub async fn review(coordinator: &Coordinator, record: RecordId) -> Result<Json> {
    let mut detail = coordinator.get(&format!("records/{record}")).await?;
    Ok(detail.get_mut("review").map(Json::take).unwrap_or_default())
}

/// Decides on what is there now; the status and the answer.
///
/// # Errors
/// If the server can't be asked.
pub async fn decide(coordinator: &Coordinator, record: RecordId, transition: &str, more: Json) -> Result<(u16, Json)> {
    let mut review = review(coordinator, record).await?;
    let seen = review.get_mut("seen").map(Json::take).unwrap_or_default();
    decide_on(coordinator, record, &seen, transition, more).await
}

/// Decides on what was seen; the status and the answer.
///
/// # Errors
/// If the server can't be asked.
pub async fn decide_on(
    coordinator: &Coordinator,
    record: RecordId,
    seen: &Json,
    transition: &str,
    mut more: Json,
) -> Result<(u16, Json)> {
    let fields = more.as_object_mut().context("a decision is an object")?;
    fields.insert("transition".into(), json!(transition));
    fields.insert("seen".into(), seen.clone());
    coordinator.post(&format!("records/{record}/review"), &more).await
}

/// A remark about the floor area.
#[must_use]
pub fn about_floor() -> Json {
    json!({ "remarks": [{ "path": "floor_m2", "text": "400 m2? Tolong ukur lagi" }] })
}

/// A remark about the interview as a whole.
#[must_use]
pub fn about_all() -> Json {
    json!({ "remarks": [{ "text": "Periksa lagi semuanya" }] })
}

/// What is different at a path, as a review shows it.
///
/// # Errors
/// If nothing is.
pub fn difference<'r>(review: &'r Json, path: &str) -> Result<&'r Json> {
    let all = review.get("differences").and_then(Json::as_array);
    let mut there = all.into_iter().flatten().filter(|one| one.get("path").and_then(Json::as_str) == Some(path));
    there.next().with_context(|| format!("nothing is different at {path}: {review}"))
}

/// The state of a review; empty where there is none.
#[must_use]
pub fn state(review: &Json) -> &str {
    review.get("state").and_then(Json::as_str).unwrap_or_default()
}

/// The transitions of a review, in order.
#[must_use]
pub fn steps(review: &Json) -> Vec<&str> {
    let log = review.get("log").and_then(Json::as_array).into_iter().flatten();
    log.filter_map(|line| line.get("transition")?.as_str()).collect()
}
