//! A server that is restored from an older backup: devices notice, and send again what it lacks, and only that.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::Edit;
use end_to_end::{
    field::Enumerator,
    server::Coordinator,
    survey::{PASSWORD, Survey, household},
};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use sync_protocol::{Path, Place, RecordId, Value, wire::Enrol};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// The files of a folder of backups.
fn backups(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

async fn view(coordinator: &Coordinator, record: RecordId) -> Result<Json> {
    let detail = coordinator.get(&format!("records/{record}")).await?;
    let answers = detail["answers"].as_array().unwrap().iter().map(|answer| {
        let siblings = answer["siblings"].as_array().unwrap().iter();
        let siblings: Vec<Json> =
            siblings.map(|s| json!([s["dot"], s["value"], s["received_ms"], s["effective_ms"]])).collect();
        json!([answer["path"], siblings])
    });
    Ok(answers.collect())
}

#[tokio::test]
async fn what_a_restored_server_lacks_comes_back_with_the_stamps_that_it_had() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let form = end_to_end::field::questionnaire();
    let record = a.device.start_interview(home, "1", &form, &a.code)?;
    a.device.save(record, &a.code, &[Edit::set("floor", Value::text("1"))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;

    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);
    assert!(survey.office.verify(&backup)?.contains("sound"));

    // All of this is acked, and not in the backup.
    for (number, person) in [&mut a, &mut b].into_iter().enumerate() {
        let row = Place::record().row("member", &format!("row{number}"))?;
        let edits = [
            Edit::set("floor", Value::text(format!("{}", number + 2)))?,
            Edit::AddRow(row.clone()),
            Edit::Set(Path::new(row, "m_name")?, Value::text("Ana")),
        ];
        person.device.save(record, &person.code, &edits)?;
        survey.sync(person).await?;
    }
    survey.sync(&mut a).await?;
    let coordinator = survey.coordinator().await?;
    let before = view(&coordinator, record).await?;
    let (a_acked, b_acked) = (a.device.status()?.acked_through, b.device.status()?.acked_through);

    // Another office runs on the backup, under the same address.
    let parts = survey.into_parts();
    let port = parts.server.port()?;
    parts.server.kill()?;
    let told = parts.office.run("restore", &["--from", backup.to_str().unwrap()])?;
    assert!(told.contains("begins"), "{told}");
    let server = parts.office.serve(port)?;
    let http = client_core::transport::Http::new()?;
    let coordinator = Coordinator::log_in(&server.url, PASSWORD).await?;
    assert_ne!(view(&coordinator, record).await?, before);

    // B edits before it knows of the restore: what it sends begins past what the server has.
    b.device.save(record, &b.code, &[Edit::set("wall", Value::text("1"))?])?;
    let (report, _) = http.sync(&mut b.device, |_| ()).await?;
    assert_eq!(b.device.status()?.acked_through, b_acked + 1);
    assert_eq!(b.device.status()?.unsent, 0);
    assert!(report.round_trips <= 3, "{report:?}");
    let (report, _) = http.sync(&mut a.device, |_| ()).await?;
    assert_eq!((a.device.status()?.acked_through, a.device.status()?.unsent), (a_acked, 0));
    // A's cursors were cut to the backup, not to nothing: only what came back since is new to the bucket.
    assert!(report.pulled <= 1, "{report:?}");
    http.sync(&mut b.device, |_| ()).await?;

    let mut after = view(&coordinator, record).await?;
    let wall = after.as_array_mut().unwrap().iter().position(|answer| answer[0] == "wall").unwrap();
    after.as_array_mut().unwrap().remove(wall);
    assert_eq!(after, before, "every answer is back, with its dot and its stamp");
    for person in [&mut a, &mut b] {
        let merged = person.device.record(record)?;
        assert_eq!(merged.answer(&path("floor")).unwrap().siblings.len(), 2);
    }
    let shown = |person: &mut Enumerator| person.device.record(record).map(|merged| merged.canonical_view());
    assert!(shown(&mut a)? == shown(&mut b)?, "both show the same");
    let rebuilt = parts.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    drop(parts.folder);
    Ok(())
}

#[tokio::test]
async fn a_decision_after_the_restore_is_a_new_dot_whatever_was_decided_before() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    let folder = survey.back_up()?;
    let remark = json!({ "text": "before" });
    survey.coordinator().await?.post(&format!("records/{record}/remark"), &remark).await?;
    survey.sync(&mut a).await?;

    let parts = survey.into_parts();
    let port = parts.server.port()?;
    parts.server.kill()?;
    parts.office.run("restore", &["--from", backups(&folder)?[0].to_str().unwrap()])?;
    let server = parts.office.serve(port)?;
    let http = client_core::transport::Http::new()?;
    let coordinator = Coordinator::log_in(&server.url, PASSWORD).await?;
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "after" })).await?;
    http.sync(&mut a.device, |_| ()).await?;
    let merged = a.device.record(record)?;
    let mut notes: Vec<&str> = merged.notes().map(|(_, text)| text).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["after", "before"]);
    let detail = coordinator.get(&format!("records/{record}")).await?.to_string();
    assert!(detail.contains("before") && detail.contains("after"), "the phone gave back what the office had lost");
    drop(parts.folder);
    Ok(())
}

#[tokio::test]
async fn a_restore_leaves_no_journal_behind_and_a_device_takes_the_stamps_of_the_new_epoch() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    let folder = survey.back_up()?;
    let parts = survey.into_parts();
    let port = parts.server.port()?;
    // Killed, it leaves a journal; its database is lost.
    parts.server.kill()?;
    std::fs::rename(parts.office.data().join("tenun.sqlite"), parts.folder.path().join("lost"))?;
    assert!(parts.office.data().join("tenun.sqlite-wal").exists());
    let told = parts.office.run("restore", &["--from", backups(&folder)?[0].to_str().unwrap()])?;
    let epoch = told.split("epoch ").last().unwrap().split(' ').next().unwrap().to_owned();
    let server = parts.office.serve(port)?;
    // A device that is not behind sends one change: its stamp is by the new key.
    let http = client_core::transport::Http::new()?;
    a.device.save(record, &a.code, &[Edit::set("floor", Value::text("1"))?])?;
    http.sync(&mut a.device, |_| ()).await?;
    let merged = a.device.record(record)?;
    assert!(merged.changes().all(|(_, origin)| origin.stamp.is_some()), "a stamp is missing");
    server.kill()?;
    let again = parts.folder.path().join("again");
    let sound = parts.office.run("backup", &["--to", again.to_str().unwrap()])?;
    assert!(sound.contains(&epoch), "{epoch} in {sound}");
    Ok(())
}

/// A request that the network had kept brings the first of two changes, which had been stamped together before the restore.
#[tokio::test]
async fn of_what_was_stamped_together_the_part_that_comes_later_keeps_its_stamp() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let phone = survey.raw(0, 5).await?;
    let folder = survey.back_up()?;
    let bodies = [1, 2].map(|n| household(uuid::Uuid::from_u128(n), &survey.area(0).unwrap(), "Maria"));
    let (mut late, mut alone) = (phone.clone(), phone.clone());
    let both = phone.clone().batch(&bodies);
    let reply = phone.push(&survey.server.url, vec![both]).await?;
    let stamps = reply.stamps;
    assert_eq!((stamps.len(), stamps[0].first, stamps[0].last), (1, 1, 2));

    let parts = survey.into_parts();
    let port = parts.server.port()?;
    parts.server.kill()?;
    parts.office.run("restore", &["--from", backups(&folder)?[0].to_str().unwrap()])?;
    let server = parts.office.serve(port)?;
    // The connection to the server that was killed is found to be dead by whoever uses it next.
    let _ = late.send(&server.url, Vec::new(), None).await;
    let first = late.batch(&bodies[..1]);
    assert_eq!(late.push(&server.url, vec![first]).await?.header.acked_through, 1);
    alone.batch(&bodies[..1]);
    let second = alone.batch(&bodies[1..]);
    let mut request = alone.request(vec![second]);
    request.stamps.clone_from(&stamps);
    let reply = alone.send(&server.url, request.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.header.acked_through, 2);
    // Without a stamp for it, no device would take the ack for one.
    let again: Vec<_> = reply.stamps.iter().map(|stamped| (stamped.first, stamped.last, stamped.stamp)).collect();
    assert_eq!(again, [(2, 2, stamps[0].stamp)]);
    Ok(())
}

#[tokio::test]
async fn a_device_knows_what_is_safe_by_the_oldest_backup_that_is_kept() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut a = survey.device(0, "a").await?;
    let folder = survey.file("backups");
    let to = folder.to_str().unwrap().to_owned();
    let mut heads = Vec::new();
    for number in 0..3 {
        let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
        a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
        survey.sync(&mut a).await?;
        heads.push(a.device.status()?.acked_through);
        survey.office.run("backup", &["--to", &to, "--keep", "2"])?;
        survey.sync(&mut a).await?;
        let oldest_kept = heads[usize::saturating_sub(number, 1)];
        assert_eq!(a.device.status()?.safe_through, oldest_kept);
        assert_eq!(a.device.status()?.interviews_backed_up, u64::try_from(number.saturating_sub(1))? + 1);
    }
    assert_eq!(backups(&folder)?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_copy_that_was_altered_is_no_backup_and_a_running_server_is_not_restored() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut a = survey.device(0, "a").await?;
    a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    survey.sync(&mut a).await?;
    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);
    let error = survey.office.run("restore", &["--from", backup.to_str().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("a server runs on"), "{error}");

    for (sql, expected) in [
        (
            "UPDATE change SET bytes = CAST(replace(bytes, 'area', 'AREA') AS BLOB) WHERE id = 1",
            "is broken at change 1",
        ),
        ("DELETE FROM change WHERE id = (SELECT max(id) FROM change)", "is broken at change"),
        ("UPDATE batch SET signature = zeroblob(64)", "is not its author's"),
        ("UPDATE replica SET head = head + 1 WHERE device IS NOT NULL", "is broken at change"),
        ("PRAGMA user_version = 99", "install the newer program"),
    ] {
        let altered = survey.file("altered.sqlite");
        std::fs::copy(&backup, &altered)?;
        rusqlite::Connection::open(&altered)?.execute_batch(&format!("PRAGMA foreign_keys = off; {sql}"))?;
        let error = survey.office.verify(&altered).unwrap_err().to_string();
        assert!(error.contains(expected), "{sql}: {error}");
        std::fs::remove_file(&altered)?;
    }
    std::fs::write(survey.file("noise"), [7; 8192])?;
    assert!(survey.office.verify(&survey.file("noise")).is_err());
    Ok(())
}

#[tokio::test]
async fn what_only_another_phone_holds_of_a_lost_one_is_given_back_with_proof() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    // Both see the one area, only A the other: of A's batch B sees a part.
    let (shared, private) = (survey.area(1)?, survey.area(0)?);
    survey.office.run("unassign", &[&survey.who(1)?, &private]).ok();
    let form = end_to_end::field::questionnaire();
    let home = a.device.register_household(&a.code, &[("area", Value::text(&shared))])?;
    let record = a.device.start_interview(home, "1", &form, &a.code)?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);

    // One night of A after the backup: a household that B does not see stands between two answers that it does.
    a.device.save(record, &a.code, &[Edit::set("floor", Value::text("1"))?])?;
    let hidden = a.device.register_household(&a.code, &[("area", Value::text(&private))])?;
    a.device.save(record, &a.code, &[Edit::set("wall", Value::text("2"))?])?;
    survey.sync(&mut a).await?;
    let coordinator = survey.coordinator().await?;
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "well done" })).await?;
    survey.sync(&mut b).await?;
    let before = view(&coordinator, record).await?;
    let a_acked = a.device.status()?.acked_through;

    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    assert_ne!(view(&coordinator, record).await?, before, "the backup is older");
    let http = client_core::transport::Http::new()?;
    let (report, _) = http.sync(&mut b.device, |_| ()).await?;
    assert!(report.round_trips <= 4, "{report:?}");
    assert_eq!(view(&coordinator, record).await?, before, "with its dots and stamps, while A is away");
    let detail = coordinator.get(&format!("records/{record}")).await?.to_string();
    assert!(detail.contains("well done"), "what a coordinator decided after the backup is back, too");
    assert!(coordinator.get(&format!("records/{}", RecordId::from(hidden))).await.is_err(), "B never had that");
    assert_eq!(http.sync(&mut b.device, |_| ()).await?.0.round_trips, 1, "nothing is given twice");

    // A was not lost after all: the chain closes, and nothing counts twice.
    http.sync(&mut a.device, |_| ()).await?;
    assert_eq!((a.device.status()?.acked_through, a.device.status()?.unsent), (a_acked, 0));
    assert_eq!(view(&coordinator, record).await?, before);
    assert!(coordinator.get(&format!("records/{}", RecordId::from(hidden))).await.is_ok());
    http.sync(&mut b.device, |_| ()).await?;
    let shown = |person: &mut Enumerator| person.device.record(record).map(|merged| merged.canonical_view());
    assert!(shown(&mut a)? == shown(&mut b)?, "both show the same");
    let again = parts.folder.path().join("again");
    parts.office.run("backup", &["--to", again.to_str().unwrap()])?;
    assert!(parts.office.verify(&backups(&again)?.remove(0))?.contains("sound"));
    let rebuilt = parts.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}

#[tokio::test]
async fn what_a_phone_wrote_under_an_earlier_name_is_given_back_too() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);
    let form = end_to_end::field::questionnaire();
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
    let record = a.device.start_interview(home, "1", &form, &a.code)?;
    survey.sync(&mut a).await?;
    // A copy goes on elsewhere, and this one notices: it has another name from now on.
    let copy = survey.file("copy");
    rusqlite::Connection::open(&a.file)?.execute("VACUUM INTO ?1", [copy.to_str().unwrap()])?;
    let phone = end_to_end::field::Phone::new(77, 1_767_225_700_000, 0);
    let mut other = Enumerator::unenrolled(client_core::Device::open(&copy, phone)?, &copy, &a.code);
    other.device.save(record, &a.code, &[Edit::set("floor", Value::text("1"))?])?;
    survey.sync(&mut other).await?;
    a.device.save(record, &a.code, &[Edit::set("wall", Value::text("1"))?])?;
    let forked = survey.sync(&mut a).await?;
    assert_eq!(forked.forks, 1);
    let coordinator = survey.coordinator().await?;
    let before = view(&coordinator, record).await?;
    drop(other);

    let (_parts, coordinator) = survey.into_parts().restored(&backup).await?;
    assert!(coordinator.get(&format!("records/{record}")).await.is_err(), "the backup knows nothing of it");
    let http = client_core::transport::Http::new()?;
    http.sync(&mut a.device, |_| ()).await?;
    assert_eq!(view(&coordinator, record).await?, before, "also what the copy did, which is gone");
    Ok(())
}

#[tokio::test]
async fn receipts_of_what_stands_under_an_earlier_name_say_what_server_and_backups_hold() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let mut a = survey.device(0, "a").await?;
    let empty = survey.file("empty.sqlite");
    std::fs::copy(survey.backup()?, &empty)?;
    let form = end_to_end::field::questionnaire();
    let begin = |a: &mut Enumerator| -> Result<RecordId> {
        let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(0)?))])?;
        Ok(a.device.start_interview(home, "1", &form, &a.code)?)
    };
    let receipts = |a: &mut Enumerator| -> Result<(u64, u64, u64)> {
        let status = a.device.status()?;
        Ok((status.interviews, status.interviews_on_server, status.interviews_backed_up))
    };
    let record = begin(&mut a)?;
    survey.sync(&mut a).await?;
    let (mut a, mut copy) = a.cloned(&survey.file("copy"))?;
    copy.device.save(record, &copy.code, &[Edit::set("floor", Value::text("1"))?])?;
    survey.sync(&mut copy).await?;
    begin(&mut a)?;
    assert_eq!(survey.sync(&mut a).await?.forks, 1);
    assert_eq!(receipts(&mut a)?, (2, 2, 0), "no backup has seen either");
    survey.office.run("backup", &["--to", survey.file("backups").to_str().unwrap(), "--keep", "1"])?;
    survey.sync(&mut a).await?;
    assert_eq!(receipts(&mut a)?, (2, 2, 2));

    let (_parts, _coordinator) = survey.into_parts().restored(&empty).await?;
    client_core::transport::Http::new()?.sync(&mut a.device, |_| ()).await?;
    assert_eq!(receipts(&mut a)?, (2, 2, 0), "sent and given back, and in no backup that is left");
    Ok(())
}

#[tokio::test]
async fn what_others_hold_of_a_phone_that_enrolled_after_the_backup_comes_back_and_it_may_enrol_again() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut b = survey.device(1, "b").await?;
    survey.sync(&mut b).await?;
    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);
    // A person and a phone that the backup does not know, in B's area.
    let area = survey.area(1)?;
    survey.office.run("enumerator", &["KP777", "Yohana Bria"])?;
    survey.office.run("assign", &["KP777", &area])?;
    let phone = end_to_end::field::Phone::new(55, 1_767_225_600_000, 0);
    let (http, url) = (&survey.http, survey.server.url.clone());
    let code = survey.office.device_code("KP777")?;
    let mut late = Enumerator::enrol(http, &url, &code, "KP777", "late", &survey.file("late"), phone).await?;
    survey.sync(&mut late).await?;
    let home = late.device.register_household(&late.code, &[("area", Value::text(&area))])?;
    let record = late.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &late.code)?;
    survey.sync(&mut late).await?;
    survey.sync(&mut b).await?;
    let coordinator = survey.coordinator().await?;
    let before = view(&coordinator, record).await?;

    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    assert!(coordinator.get(&format!("records/{record}")).await.is_err(), "the backup knows nothing of it");
    let http = client_core::transport::Http::new()?;
    http.sync(&mut b.device, |_| ()).await?;
    assert_eq!(view(&coordinator, record).await?, before, "with dots and stamps, and who said it");
    let devices = coordinator.get("devices").await?.to_string();
    assert!(devices.contains("late") && devices.contains("KP777"), "{devices}");

    // It was not lost after all: with a new code it goes on where it was. Nobody else does, who knows no more than its public key, nor
    // a device of another enumerator.
    assert!(http.sync(&mut late.device, |_| ()).await.is_err(), "its token is of a life that has ended");
    let code = parts.office.device_code("KP777")?;
    let ask = late.device.enrolment(&code, "late")?;
    let enrol = async |ask: Enrol| -> Result<u16> {
        let request = reqwest::Client::new().post(format!("{url}/v1/enrol"));
        let answer = request.body(serde_json::to_vec(&ask)?).send().await?;
        Ok(answer.status().as_u16())
    };
    assert_eq!(enrol(Enrol { signature: None, ..ask.clone() }).await?, 403);
    let other = parts.office.device_code(&b.code)?;
    assert_eq!(enrol(late.device.enrolment(&other, "late")?).await?, 403);
    http.enrol(&mut late.device, &url, &code, "late").await?;
    parts.office.run("assign", &["KP777", &area])?;
    late.device.save(record, &late.code, &[Edit::set("floor", Value::text("1"))?])?;
    http.sync(&mut late.device, |_| ()).await?;
    assert_eq!(late.device.status()?.unsent, 0);
    let detail = coordinator.get(&format!("records/{record}")).await?.to_string();
    assert!(detail.contains("floor"), "{detail}");
    let rebuilt = parts.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}

#[tokio::test]
async fn a_server_restored_twice_takes_back_what_it_said_in_the_life_between() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    let folder = survey.back_up()?;
    let backup = backups(&folder)?.remove(0);
    let url = survey.server.url.clone();

    // In the life between, a coordinator says something, and a new phone writes something: B alone heard of both.
    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    let http = client_core::transport::Http::new()?;
    http.sync(&mut a.device, |_| ()).await?;
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "between" })).await?;
    let (phone, file) = (end_to_end::field::Phone::new(55, 1_767_225_600_000, 0), parts.folder.path().join("late"));
    let code = parts.office.device_code(&b.code)?;
    let mut late = Enumerator::enrol(&http, &url, &code, &b.code, "late", &file, phone).await?;
    http.sync(&mut late.device, |_| ()).await?;
    late.device.save(record, &late.code, &[Edit::set("floor", Value::text("1"))?])?;
    http.sync(&mut late.device, |_| ()).await?;
    http.sync(&mut b.device, |_| ()).await?;
    let before = view(&coordinator, record).await?;
    drop(late);

    let (parts, coordinator) = parts.restored(&backup).await?;
    assert_ne!(view(&coordinator, record).await?, before, "the backup is older");
    http.sync(&mut b.device, |_| ()).await?;
    http.sync(&mut a.device, |_| ()).await?;
    assert_eq!(view(&coordinator, record).await?, before, "with the stamps of the life between");
    let detail = coordinator.get(&format!("records/{record}")).await?.to_string();
    assert!(detail.contains("between"), "{detail}");
    // Whose word is the newest stays clear: what is decided now reaches everybody, stamped by the life of today.
    coordinator.post(&format!("records/{record}/remark"), &json!({ "text": "today" })).await?;
    for person in [&mut a, &mut b] {
        http.sync(&mut person.device, |_| ()).await?;
        assert!(person.device.record(record)?.notes().any(|(_, text)| text == "today"), "{}", person.code);
        assert_eq!(person.device.status()?.unsent, 0);
    }
    let rebuilt = parts.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}

#[tokio::test]
async fn a_phone_that_took_its_name_after_the_backup_gives_back_what_it_was_before_and_nothing_counts_twice()
-> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut c = survey.device(1, "c").await?;
    survey.sync(&mut c).await?;
    let backup = survey.backup()?;
    // It enrols, writes, and is copied: by now it has another name, and C has heard it under both.
    let mut a = survey.device(0, "a").await?;
    let home = a.device.register_household(&a.code, &[("area", Value::text(survey.area(1)?))])?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    let copy = survey.file("copy");
    rusqlite::Connection::open(&a.file)?.execute("VACUUM INTO ?1", [copy.to_str().unwrap()])?;
    let phone = end_to_end::field::Phone::new(77, 1_767_225_700_000, 0);
    let mut other = Enumerator::unenrolled(client_core::Device::open(&copy, phone)?, &copy, &a.code);
    for (person, question) in [(&mut other, "floor"), (&mut a, "wall")] {
        let edits = [Edit::set(question, Value::text("1"))?, Edit::Note(question.into())];
        person.device.save(record, &person.code, &edits)?;
        survey.sync(person).await?;
    }
    survey.sync(&mut c).await?;
    let coordinator = survey.coordinator().await?;
    let before = view(&coordinator, record).await?;
    let notes = async |coordinator: &Coordinator| -> Result<usize> {
        Ok(coordinator.get(&format!("records/{record}")).await?["notes"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(notes(&coordinator).await?, 2);
    let url = survey.server.url.clone();

    let (parts, coordinator) = survey.into_parts().restored(&backup).await?;
    let http = client_core::transport::Http::new()?;
    http.sync(&mut c.device, |_| ()).await?;
    assert_eq!(view(&coordinator, record).await?, before, "what C heard of both lives");
    let code = parts.office.device_code(&a.code)?;
    http.enrol(&mut a.device, &url, &code, "a").await?;
    http.sync(&mut a.device, |_| ()).await?;
    http.sync(&mut c.device, |_| ()).await?;
    assert_eq!((view(&coordinator, record).await?, notes(&coordinator).await?), (before, 2));
    assert_eq!(a.device.status()?.unsent, 0);
    let devices = coordinator.get("devices").await?;
    let named = devices["items"].as_array().unwrap().iter().filter(|device| device["name"] == "a").count();
    assert_eq!(named, 2, "{devices}");
    // The other life is let in, too, under the name that it kept.
    let code = parts.office.device_code(&other.code)?;
    http.enrol(&mut other.device, &url, &code, "other").await?;
    other.device.save(record, &other.code, &[Edit::Note("still here".into())])?;
    http.sync(&mut other.device, |_| ()).await?;
    assert_eq!((other.device.status()?.unsent, notes(&coordinator).await?), (0, 3));

    // Once more, and with nobody's word left, nor anybody but the phone: what it wrote under the name before is its own to give.
    let (parts, coordinator) = parts.restored(&backup).await?;
    drop((c, other));
    rusqlite::Connection::open(&a.file)?.execute("DELETE FROM voucher", [])?;
    let code = parts.office.device_code(&a.code)?;
    http.enrol(&mut a.device, &url, &code, "a").await?;
    http.sync(&mut a.device, |_| ()).await?;
    assert_eq!(notes(&coordinator).await?, 2);
    let rebuilt = parts.office.run("rebuild", &[])?;
    let hashes: Vec<&str> = rebuilt.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hashes[0], hashes[1]);
    Ok(())
}
