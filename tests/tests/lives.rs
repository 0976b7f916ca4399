//! What one life of a phone knows of another's, and of its own, after the server was restored.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::Result;
use client_core::transport::Http;
use end_to_end::survey::{Survey, household};
use serde_json::json;
use sync_protocol::{
    ReplicaId, Value,
    chain::{Adoption, Batch, Carried, SecretKey},
    wire::Verdict,
};

#[tokio::test]
async fn a_copy_gives_back_what_its_lost_original_wrote_where_it_knows_a_part_by_its_digest_alone() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let mut phone = survey.raw(0, 1).await?;
    let first = phone.batch(&[home(1)]);
    phone.push(url, vec![first]).await?;
    let mut copy = phone.clone();
    copy.replica = ReplicaId(uuid::Uuid::from_u128(0x77));
    copy.key = SecretKey::from_seed([0x77; 32]);
    let mut request = copy.request(Vec::new());
    request.adoptions = vec![Adoption::sign(copy.replica, copy.key.public(), phone.replica, &phone.key)];
    copy.send(url, request.to_bytes(), None).await?.reply()?;
    // What the phone wrote later, and the server of today has not got: the copy has pulled the first and the last.
    let lost = phone.batch(&[home(2), home(3), home(4)]);
    let mut changes = lost.changes.clone();
    changes[1] = Carried::Withheld(changes[1].digest());
    let reply = copy.push(url, vec![Batch { changes, ..lost }]).await?;
    assert!(reply.outcomes.iter().all(|outcome| outcome.verdict != Verdict::Refused), "{:?}", reply.outcomes);
    let coordinator = survey.coordinator().await?;
    for n in [2_u128, 4] {
        let record = coordinator.get(&format!("records/{}", uuid::Uuid::from_u128(n))).await?;
        assert_eq!(record["changes"], json!(1), "{record}");
    }
    Ok(())
}

#[tokio::test]
async fn an_author_whose_phone_is_ahead_of_the_backup_hears_what_waits_there_again() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut phone = survey.device(0, "phone").await?;
    let (who, there) = (phone.code.clone(), "9999999999.001");
    phone.device.register_household(&who, &[("area", Value::text(there))])?;
    survey.sync(&mut phone).await?;
    assert_eq!(phone.device.status()?.quarantined, 1);
    let before = survey.backup()?;
    let areas = survey.file("areas.csv");
    std::fs::write(&areas, format!("code,name,level,parent\n{there},RT 001,rt,9999999999\n"))?;
    survey.office.run("areas", &[&areas.display().to_string()])?;
    let number = survey.coordinator().await?.all("quarantine").await?[0]["number"].clone();
    let released = survey.coordinator().await?.post(&format!("quarantine/{number}/release"), &json!({})).await?;
    assert_eq!(released.0, 204);
    for _ in 0..2 {
        phone.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
        survey.sync(&mut phone).await?;
    }
    let status = phone.device.status()?;
    assert_eq!((status.quarantined, status.acked_through), (0, 3));

    let (_parts, coordinator) = survey.into_parts().restored(&before).await?;
    assert_eq!(coordinator.all("quarantine").await?.len(), 1);
    Http::new()?.sync(&mut phone.device, |_| ()).await?;
    let status = phone.device.status()?;
    assert_eq!((status.quarantined, status.acked_through), (1, 3));
    Ok(())
}

#[tokio::test]
async fn a_phone_that_was_revoked_says_that_what_it_sent_since_waits() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut phone = survey.device(0, "phone").await?;
    let who = phone.code.clone();
    survey.sync(&mut phone).await?;
    survey.office.run("revoke", &["1"])?;
    phone.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
    survey.sync(&mut phone).await?;
    let status = phone.device.status()?;
    assert_eq!((status.unsent, status.quarantined), (0, 1));
    Ok(())
}
