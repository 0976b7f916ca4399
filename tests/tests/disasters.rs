//! Two disasters at once: the server comes back from a backup, and a phone from a copy or as one.
//!
//! What was acked in between is then only where somebody still holds it. Both lives' answers survive wherever a copy
//! of them did (laws L2, L6, L7).
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use client_core::{Device, Edit, transport::Http};
use end_to_end::{
    field::{Enumerator, Phone},
    server::{Coordinator, Office, Running},
    survey::{PASSWORD, Parts, Survey},
};
use sync_protocol::{HouseholdId, RecordId, Value};

/// A survey whose server has forgotten everything since its backup.
struct After {
    office: Office,
    server: Running,
    http: Http,
    coordinator: Coordinator,
    _folder: tempfile::TempDir,
}

/// The server's disk dies, and the backup takes its place.
async fn restore(survey: Survey) -> Result<After> {
    let backup = std::fs::read_dir(survey.file("backups"))?.next().context("a backup")??.path();
    let Parts { office, server, folder, .. } = survey.into_parts();
    let port = server.port()?;
    server.kill()?;
    office.run("restore", &["--from", backup.to_str().context("a path")?])?;
    let server = office.serve(port)?;
    let coordinator = Coordinator::log_in(&server.url, PASSWORD).await?;
    Ok(After { office, server, http: Http::new()?, coordinator, _folder: folder })
}

impl After {
    /// Syncs devices, in their order, as often as needed for each to hear of the others.
    async fn sync<const N: usize>(&self, people: [&mut Enumerator; N]) -> Result<()> {
        let mut people = people;
        for _ in 0..2 {
            for person in &mut people {
                self.http.sync(&mut person.device, |_| ()).await?;
            }
        }
        Ok(())
    }

    /// The remarks on a record, as the server has them.
    async fn remarks(&self, record: RecordId) -> Result<Vec<String>> {
        let detail = self.coordinator.get(&format!("records/{record}")).await?;
        let notes = detail.get("notes").and_then(serde_json::Value::as_array).context("no notes")?;
        let text = |note: &serde_json::Value| note.get("text").and_then(serde_json::Value::as_str).map(str::to_owned);
        let mut notes: Vec<String> = notes.iter().filter_map(text).collect();
        notes.sort_unstable();
        Ok(notes)
    }

    /// What is derived follows from the changes.
    fn rebuilds(self) -> Result<()> {
        self.server.kill()?;
        let rebuilt = self.office.run("rebuild", &[])?;
        let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hashes.first(), hashes.get(1));
        Ok(())
    }
}

fn remarks(device: &mut Device<Phone>, record: RecordId) -> Result<Vec<String>> {
    let merged = device.record(record)?;
    let mut notes: Vec<String> = merged.notes().map(|(_, text)| text.to_owned()).collect();
    notes.sort_unstable();
    Ok(notes)
}

fn say(person: &mut Enumerator, record: RecordId, texts: &[&str]) -> Result<()> {
    let who = person.code.clone();
    for text in texts {
        person.device.save(record, &who, &[Edit::Note((*text).to_owned())])?;
    }
    Ok(())
}

/// A phone with one household on the server, another phone, and a backup of that moment.
async fn begun(survey: &Survey) -> Result<(Enumerator, Enumerator, HouseholdId)> {
    let (mut phone, other) = (survey.device(0, "phone").await?, survey.device(0, "other").await?);
    let who = phone.code.clone();
    let home = phone.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
    survey.sync(&mut phone).await?;
    survey.back_up()?;
    Ok((phone, other, home))
}

/// What two copies of a phone say, one of them acked by a server that then forgets it.
async fn both_survive(first: &[&str], second: &[&str]) -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, _, home) = begun(&survey).await?;
    let (mut phone, mut copy) = phone.cloned(&survey.file("copy"))?;
    say(&mut phone, home.into(), first)?;
    survey.sync(&mut phone).await?;
    assert_eq!(phone.device.status()?.unsent, 0);
    let after = restore(survey).await?;
    // The copy takes the dots that the server no longer knows.
    say(&mut copy, home.into(), second)?;
    after.sync([&mut copy]).await?;
    after.sync([&mut phone, &mut copy]).await?;
    let mut all: Vec<&str> = first.iter().chain(second).copied().collect();
    all.sort_unstable();
    assert_eq!(after.remarks(home.into()).await?, all, "on the server");
    for person in [&mut phone, &mut copy] {
        assert_eq!(remarks(&mut person.device, home.into())?, all);
        assert_eq!(person.device.status()?.unsent, 0);
    }
    after.rebuilds()
}

#[tokio::test]
async fn an_acked_life_survives_a_copy_that_said_as_much_to_the_restored_server() -> Result<()> {
    both_survive(&["phone"], &["copy"]).await
}

#[tokio::test]
async fn an_acked_life_survives_a_copy_that_said_more_to_the_restored_server() -> Result<()> {
    both_survive(&["phone 1", "phone 2"], &["copy 1", "copy 2", "copy 3"]).await
}

#[tokio::test]
async fn an_acked_life_survives_a_copy_that_said_less_to_the_restored_server() -> Result<()> {
    both_survive(&["phone 1", "phone 2", "phone 3"], &["copy"]).await
}

/// Server and phone both come back from copies that lack a change: nobody can tell its dot from a free one, and it is
/// given again. Another phone had pulled what it meant before.
#[tokio::test]
async fn what_server_and_phone_both_forgot_survives_where_another_phone_holds_it() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (phone, mut witness, home) = begun(&survey).await?;
    let (mut phone, mut restored) = phone.cloned(&survey.file("copy"))?;
    say(&mut phone, home.into(), &["forgotten"])?;
    survey.sync(&mut phone).await?;
    survey.sync(&mut witness).await?;
    assert_eq!(remarks(&mut witness.device, home.into())?, ["forgotten"]);
    drop(phone);
    let after = restore(survey).await?;
    say(&mut restored, home.into(), &["said later"])?;
    after.sync([&mut restored, &mut witness]).await?;
    // All agree on what the dot means now, and no answer to it is taken for one to the other.
    assert_eq!(after.remarks(home.into()).await?, ["said later"]);
    assert_eq!(remarks(&mut restored.device, home.into())?, ["said later"]);
    assert_eq!(remarks(&mut witness.device, home.into())?, ["said later"]);
    // What it meant before is kept by the phone that had it, byte for byte.
    let apart = witness.device.displaced()?;
    let texts: Vec<String> = apart.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts.iter().all(|text| text.contains("forgotten")), "{texts:?}");
    assert_eq!(witness.device.status()?.displaced, 1);
    after.rebuilds()
}

/// A life that had to leave a name holds what was saved under it: where the server forgets that, it is sent again, though
/// the phone that kept the name is gone.
#[tokio::test]
async fn what_was_saved_under_a_name_that_was_left_comes_back_to_a_restored_server() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (mut phone, _, home) = begun(&survey).await?;
    say(&mut phone, home.into(), &["before the copy"])?;
    survey.sync(&mut phone).await?;
    let (mut phone, mut copy) = phone.cloned(&survey.file("copy"))?;
    say(&mut phone, home.into(), &["phone"])?;
    say(&mut copy, home.into(), &["copy"])?;
    survey.sync(&mut phone).await?;
    assert_eq!(survey.sync(&mut copy).await?.forks, 1);
    drop(phone);
    let after = restore(survey).await?;
    after.sync([&mut copy]).await?;
    assert_eq!(after.remarks(home.into()).await?, ["before the copy", "copy", "phone"]);
    after.rebuilds()
}
