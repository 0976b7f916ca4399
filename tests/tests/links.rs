//! A household that was registered twice: joined and parted again, while phones still work on either.
#![allow(
    clippy::panic_in_result_fn,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::Edit;
use end_to_end::{field::questionnaire, survey::Survey};
use serde_json::{Value as Json, json};
use sync_protocol::Value;

#[tokio::test]
async fn a_household_registered_twice_is_joined_parted_and_loses_nothing() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(0, "b").await?);
    let area = survey.area(0)?;
    let mut homes = Vec::new();
    for person in [&mut a, &mut b] {
        let fields = [("area", Value::text(&area)), ("head", Value::text("Maria Nalle"))];
        let home = person.device.register_household(&person.code, &fields)?;
        let record = person.device.start_interview(home, "1", &questionnaire(), &person.code)?;
        person.device.save(record, &person.code, &[Edit::set("floor", Value::text("1"))?])?;
        survey.sync(person).await?;
        homes.push((home, record));
    }
    let coordinator = survey.coordinator().await?;
    let [(first, _), (second, late)] = homes.as_slice() else { anyhow::bail!("two homes") };
    let joined = |detail: Json| detail["joined"].clone();
    assert!(joined(coordinator.get(&format!("records/{first}")).await?).is_null());

    // Linked both ways by two coordinators: a circle, and still one stands for both.
    assert_eq!(coordinator.post(&format!("households/{second}/link"), &json!({ "same_as": first })).await?.0, 204);
    let one = joined(coordinator.get(&format!("records/{first}")).await?);
    assert_eq!(one["first"], json!(first));
    assert_eq!(one["all"].as_array().map(Vec::len), Some(2));
    assert_eq!(coordinator.post(&format!("households/{first}/link"), &json!({ "same_as": second })).await?.0, 204);
    let circle = joined(coordinator.get(&format!("records/{late}")).await?);
    assert_eq!(circle["first"], json!(first.min(second)));

    // A phone goes on with the one that was linked away: it arrives, and both phones hear of the link.
    b.device.save(*late, &b.code, &[Edit::set("wall", Value::text("2"))?])?;
    survey.sync(&mut b).await?;
    survey.sync(&mut a).await?;
    let detail = coordinator.get(&format!("records/{late}")).await?;
    assert!(detail["answers"].as_array().is_some_and(|all| all.iter().any(|answer| answer["path"] == "wall")));
    assert_eq!(
        a.device.record((*second).into())?.canonical_view(),
        b.device.record((*second).into())?.canonical_view()
    );
    let csv = survey.file("csv");
    let to = csv.to_string_lossy().into_owned();
    survey.office.run("export", &["kupang-household@2026-1", "--to", &to])?;
    let mut lines = csv::Reader::from_path(csv.join("interviews.csv"))?;
    let column = lines.headers()?.iter().position(|name| name == "_same_as");
    let told: Vec<String> =
        lines.records().map(|line| Ok(line?[column.unwrap_or(0)].to_owned())).collect::<Result<_>>()?;
    assert_eq!(told.iter().filter(|other| **other == first.min(second).to_string()).count(), 1, "{told:?}");

    // Taken back, everything is as it was; what is not there is said.
    assert_eq!(coordinator.post(&format!("households/{first}/unlink"), &json!({})).await?.0, 204);
    assert_eq!(coordinator.post(&format!("households/{second}/unlink"), &json!({})).await?.0, 204);
    for (home, _) in &homes {
        assert!(joined(coordinator.get(&format!("records/{home}")).await?).is_null());
    }
    for (path, body) in [
        (format!("households/{first}/unlink"), json!({})),
        (format!("households/{first}/link"), json!({ "same_as": first })),
        (format!("households/{first}/link"), json!({ "same_as": uuid::Uuid::from_u128(5) })),
        (format!("households/{}/link", uuid::Uuid::from_u128(5)), json!({ "same_as": first })),
    ] {
        let (status, problem) = coordinator.post(&path, &body).await?;
        assert!((400..500).contains(&status), "{path} {body}: {status} {problem}");
    }
    let rebuilt = survey.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}
