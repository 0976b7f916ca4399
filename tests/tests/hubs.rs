//! Hubs: phones sync where there is no network, and what they gave is carried to the server; the real hub over real HTTP.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::Edit;
use end_to_end::{
    field::{Enumerator, questionnaire},
    hub::Running,
    survey::Survey,
};
use sync_protocol::{HouseholdId, RecordId, Value};

/// Registers a household in an area and begins its interview.
fn interviewed(person: &mut Enumerator, area: &str, head: &str) -> Result<(HouseholdId, RecordId)> {
    let answers = [("area", Value::text(area)), ("head", Value::text(head))];
    let home = person.device.register_household(&person.code, &answers)?;
    let record = person.device.start_interview(home, "1", &questionnaire(), &person.code)?;
    person.device.save(record, &person.code, &[Edit::set("floor", Value::text("1"))?])?;
    Ok((home, record))
}

fn has(person: &mut Enumerator, home: HouseholdId) -> bool {
    person.device.households().unwrap().iter().any(|line| line.household == home)
}

/// A survey in which two enumerators share an area, and their leader has a hub.
async fn village() -> Result<(Survey, Enumerator, Enumerator, Enumerator, String)> {
    let survey = Survey::start(24, 2)?;
    let area = survey.area(0)?;
    survey.office.run("assign", &[&survey.who(1)?, &area])?;
    let leader = survey.leader("KP900", "TIM-3", &[0, 1]).await?;
    let (a, b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    Ok((survey, leader, a, b, area))
}

#[tokio::test]
async fn what_phones_give_to_a_hub_reaches_the_server_and_each_other_with_receipts() -> Result<()> {
    let (survey, mut leader, mut a, mut b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    let (of_a, _) = interviewed(&mut a, &area, "Maria Nalle")?;
    let (of_b, record) = interviewed(&mut b, &area, "Yohanis Taek")?;
    let met = survey.meet(&mut a, &hub).await?;
    survey.meet(&mut b, &hub).await?;
    assert_eq!((met.hub.as_str(), met.report.acked), ("TIM-3", 3));
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_hub, status.interviews_on_server), (1, 0), "on a hub is not on the server");
    assert_eq!((status.hub.as_deref(), status.unsent), (Some("TIM-3"), 3));
    assert!(!has(&mut a, of_b), "what the server has not seen is told to nobody");

    // The leader finds a network.
    survey.sync(&mut leader).await?;
    assert!(has(&mut leader, of_a) && has(&mut leader, of_b));
    assert!(leader.device.load()?.iter().all(|load| load.waiting == 0));
    let coordinator = survey.coordinator().await?;
    assert_eq!(coordinator.get(&format!("records/{record}")).await?["answers"][0]["path"], "floor");

    // Back in the village the phones hear that it is safe, and of each other.
    survey.meet(&mut a, &hub).await?;
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_server, status.unsent, status.hub), (1, 0, None));
    assert!(has(&mut a, of_b));
    let shown = a.device.record(record)?;
    assert_eq!(*shown.answer(&"floor".parse()?).unwrap().siblings[0].value, Value::text("1"));

    // By the server itself there is nothing more to send, and nothing changes.
    let report = survey.sync(&mut a).await?;
    assert_eq!((report.acked, report.forks), (0, 0));
    assert_eq!(a.device.record(record)?.canonical_view(), shown.canonical_view());
    Ok(())
}
