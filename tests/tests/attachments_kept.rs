//! Photos and files in the long run: backups and restores, orphans, a bucket, exports, the terminal, other tus clients.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::{Context, Result};
use client_core::{Interview, Whereabouts};
use end_to_end::{
    bucket::Bucket,
    field::terminal,
    photos::{FORM, Tus, interview, jpeg, named, publish, sha256},
    raw::RawDevice,
    survey::{self, Survey},
};
use serde_json::{Value as Json, json};
use std::process::Command;
use sync_protocol::{RecordId, wire::Acked};

fn survey() -> Result<Survey> {
    let survey = Survey::start(200, 4)?;
    publish(&survey)?;
    Ok(survey)
}

fn value(bytes: &[u8]) -> Json {
    serde_json::to_value(named(bytes, "image/jpeg", "a.jpg").unwrap()).unwrap()
}

/// Where the server keeps some bytes.
fn object(survey: &Survey, bytes: &[u8]) -> std::path::PathBuf {
    let name = sha256(bytes);
    survey.office.data().join("attachments").join(&name[..2]).join(&name)
}

#[tokio::test]
async fn a_backup_holds_the_photos_and_a_restore_brings_them_back() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let mut open = Interview::open(&mut author.device, record, &author.code)?;
    open.attach(&mut author.device, &"sign".parse()?, "a.jpg", jpeg(1, 90, 90))?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    let first = author.device.attachments()?[0].sha256;
    let kept = author.device.original(first)?.unwrap();
    let backups = survey.file("backups");
    let to = backups.display().to_string();
    let taken = survey.office.run("backup", &["--to", &to, "--keep", "1"])?;
    assert!(taken.contains("1 attachments"), "{taken}");
    let copy = backups.join(taken.lines().next().unwrap());
    assert!(survey.office.verify(&copy)?.contains("1 attachments"));

    // What comes after the copy is sent again by its phone, whose server has forgotten it.
    open.attach(&mut author.device, &"raw".parse()?, "b.jpg", jpeg(2, 90, 90))?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    let second = author.device.attachments()?.into_iter().find(|line| line.sha256 != first).unwrap().sha256;

    let (url, port) = (survey.server.url.clone(), survey.server.port()?);
    let http = survey.http.clone();
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    server.kill()?;
    std::fs::remove_dir_all(office.data().join("attachments"))?;
    office.run("restore", &["--from", &copy.display().to_string()])?;
    let server = office.serve(port)?;
    assert_eq!(server.url, url);
    let coordinator = end_to_end::server::Coordinator::log_in(&url, survey::PASSWORD).await?;
    http.sync(&mut author.device, |_| ()).await?;
    let counted = coordinator.get(&format!("records/{record}")).await?["attachments"].clone();
    assert_eq!(counted, json!({ "here": 1, "to-come": 1, "refused": 0, "lost": 0 }));
    assert_eq!(author.device.attachments()?.iter().filter(|line| line.at == Whereabouts::ToSend).count(), 2);
    let sent = http.send_attachments(&mut author.device, |_| ()).await?;
    assert_eq!(sent.sent, 2);
    let counted = coordinator.get(&format!("records/{record}")).await?["attachments"].clone();
    assert_eq!(counted, json!({ "here": 2, "to-come": 0, "refused": 0, "lost": 0 }));
    let again = http.fetch_original(&mut author.device, second).await?;
    assert_eq!(sha256(&again), second.to_string());

    // Bytes that were changed on the disk of the copies are found.
    let stored = backups.join("attachments").join(&first.to_string()[..2]).join(first.to_string());
    assert_eq!(std::fs::read(&stored)?, kept);
    let mut other = kept.clone();
    other[20] ^= 1;
    std::fs::write(&stored, other)?;
    let failure = office.verify(&copy).unwrap_err().to_string();
    assert!(failure.contains("has other bytes"), "{failure}");
    std::fs::remove_file(&stored)?;
    assert!(office.verify(&copy).is_err());
    drop(folder);
    Ok(())
}

/// Syncs with nothing, and says how much is left to send.
async fn says_unsent(raw: &RawDevice, url: &str, unsent: u64) -> Result<()> {
    let mut request = raw.request(Vec::new());
    request.header.unsent = unsent;
    raw.send(url, request.to_bytes(), None).await?.reply()?;
    Ok(())
}

#[tokio::test]
async fn a_sweep_deletes_only_what_nobody_can_name_any_more() -> Result<()> {
    let survey = survey()?;
    let url = &survey.server.url;
    let photos: Vec<Vec<u8>> = (50..57).map(|seed| jpeg(seed, 60, 60)).collect();
    let [applied, unknown, parked, branch, escrow, orphan, replaced] = photos.as_slice() else { panic!("seven") };
    let mut raw = survey.raw(0, 41).await?;
    let tus = Tus::new(url, &raw.token)?;
    for photo in &photos {
        tus.upload(photo, "image/jpeg")?;
    }
    let sweep = |days: &str| survey.office.run("sweep-attachments", &["--days", days]);
    // Nobody has synced since: an answer that names them may be on its way.
    assert!(sweep("0")?.starts_with("0 attachments deleted"));
    let house = uuid::Uuid::from_u128(41);
    let answer = |form: &str, answers: Json| survey::interview(house, form, &answers);
    let bodies = [
        survey::household(house, &survey.area(0)?, "Ana"),
        answer(FORM, json!({ "house": value(replaced) })),
        answer(FORM, json!({ "sign": value(applied) })),
        answer("nowhere@1", json!({ "photo": value(unknown) })),
    ];
    let batch = raw.batch(&bodies);
    raw.push(url, vec![batch]).await?;
    // A batch past a gap, and another history of the same replica.
    let mut later = raw.clone();
    later.next += 5;
    let batch = later.batch(&[answer(FORM, json!({ "house": value(parked) }))]);
    later.push(url, vec![batch]).await?;
    let mut twin = raw.clone();
    let batch = raw.batch(&[answer(FORM, json!({ "words": "satu" }))]);
    raw.push(url, vec![batch]).await?;
    let batch = twin.batch(&[answer(FORM, json!({ "house": value(branch) }))]);
    twin.push(url, vec![batch]).await?;
    // A revoked device that had named one.
    let mut lost = survey.raw(0, 42).await?;
    Tus::new(url, &lost.token)?.upload(escrow, "image/jpeg")?;
    survey.office.run("revoke", &["2"])?;
    let batch = lost.batch(&[answer(FORM, json!({ "house": value(escrow) }))]);
    lost.push(url, vec![batch]).await?;

    says_unsent(&raw, url, 3).await?;
    assert!(sweep("0")?.starts_with("0 attachments deleted"));
    // Nor does one that takes for safe what is not here: it has not heard that the server was restored.
    let mut request = raw.request(Vec::new());
    request.header.acked = Some(Acked { seq: raw.next + 3, hash: raw.head });
    raw.send(url, request.to_bytes(), None).await?.reply()?;
    assert!(sweep("0")?.starts_with("0 attachments deleted"));
    says_unsent(&raw, url, 0).await?;
    assert!(sweep("30")?.starts_with("0 attachments deleted"));
    let dry = survey.office.run("sweep-attachments", &["--days", "0", "--dry-run"])?;
    assert!(dry.starts_with("1 attachments would be deleted"), "{dry}");
    assert!(object(&survey, orphan).exists());
    let swept = sweep("0")?;
    assert!(swept.starts_with("1 attachments deleted") && swept.contains("4 kept"), "{swept}");
    for photo in &photos {
        assert_eq!(object(&survey, photo).exists(), photo != orphan);
    }
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(orphan)))?.status, 404);
    // It may come again like any other.
    tus.upload(orphan, "image/jpeg")?;
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(orphan)))?.status, 200);
    Ok(())
}

#[tokio::test]
async fn what_a_device_has_that_was_not_heard_of_since_is_kept() -> Result<()> {
    let survey = survey()?;
    let url = &survey.server.url;
    let raw = survey.raw(0, 43).await?;
    let photo = jpeg(58, 60, 60);
    Tus::new(url, &raw.token)?.upload(&photo, "image/jpeg")?;
    says_unsent(&raw, url, 0).await?;
    let days_ago = |days: i64| -> Result<()> {
        let conn = rusqlite::Connection::open(survey.office.data().join("tenun.sqlite"))?;
        let (sent, seen) = (days * 86_400_000, (days - 1) * 86_400_000);
        Ok(conn.execute_batch(&format!(
            "UPDATE attachment SET stored_ms = stored_ms - {sent}; UPDATE attachment_holder SET since_ms = since_ms - {sent};
             UPDATE device SET seen_ms = seen_ms - {seen};"
        ))?)
    };
    // It sent a photo and synced the day after. Since then it may have saved an answer that names it, far from any network.
    days_ago(40)?;
    let sweep = || survey.office.run("sweep-attachments", &[]);
    assert!(sweep()?.starts_with("0 attachments deleted"));
    says_unsent(&raw, url, 0).await?;
    assert!(sweep()?.starts_with("1 attachments deleted"));
    assert!(!object(&survey, &photo).exists());
    Ok(())
}

#[tokio::test]
async fn what_a_killed_sweep_has_left_is_deleted_when_the_server_starts_and_taken_again() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 44).await?;
    let photo = jpeg(59, 60, 60);
    Tus::new(&survey.server.url, &raw.token)?.upload(&photo, "image/jpeg")?;
    let port = survey.server.port()?;
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    server.kill()?;
    let conn = rusqlite::Connection::open(office.data().join("tenun.sqlite"))?;
    conn.execute_batch(
        "DELETE FROM attachment_holder; INSERT INTO attachment_sweep (hash) SELECT hash FROM attachment; DELETE FROM attachment;",
    )?;
    let server = office.serve(port)?;
    let tus = Tus::new(&server.url, &raw.token)?;
    // Until it is deleted, the server asks to come again.
    loop {
        let (begun, path) = tus.create(&photo, "image/jpeg")?;
        assert_eq!(begun.status, 201);
        match tus.patch(&path, 0, &photo, None, None)?.status {
            204 => break,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(&photo)))?.body, photo);
    assert!(!conn.prepare("SELECT 1 FROM attachment_sweep")?.exists([])?);
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn a_bucket_holds_the_bytes_where_the_setting_says_so() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 51).await?;
    let before = jpeg(51, 80, 80);
    let rotten = jpeg(53, 80, 80);
    Tus::new(&survey.server.url, &raw.token)?.upload(&before, "image/jpeg")?;
    Tus::new(&survey.server.url, &raw.token)?.upload(&rotten, "image/jpeg")?;
    std::fs::write(object(&survey, &rotten), "rotten")?;
    let bucket = Bucket::open()?;
    let backups = survey.file("backups").display().to_string();
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let port = server.port()?;
    let variables = [
        ("AWS_ENDPOINT", bucket.url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "here-1"),
    ];
    let office = office.with_environment(variables.map(|(name, value)| (name, value.into())).to_vec());
    let refused = office.run("move-attachments", &["--to", "s3://photos/survey"]).unwrap_err().to_string();
    assert!(refused.contains("a server runs"), "{refused}");
    server.kill()?;
    // One whose bytes have rotted keeps none of the others, and nothing is switched unless somebody says so.
    let refused = office.run("move-attachments", &["--to", "s3://photos/survey"]).unwrap_err().to_string();
    assert!(refused.contains(&sha256(&rotten)) && refused.contains("1 copied, 0 were there, 1 lacking"), "{refused}");
    let moved = office.run("move-attachments", &["--to", "s3://photos/survey", "--give-up-lacking"])?;
    assert!(moved.contains("0 attachments copied, 1 were there"), "{moved}");
    std::fs::remove_dir_all(office.data().join("attachments"))?;

    let server = office.serve(port)?;
    let tus = Tus::new(&server.url, &raw.token)?;
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(&rotten)))?.status, 404);
    let after = jpeg(52, 80, 80);
    // Larger than one part of an upload to S3.
    let large = [b"%PDF-1.7 ".to_vec(), (0..11_u32 << 18).flat_map(u32::to_le_bytes).collect()].concat();
    tus.upload(&after, "image/jpeg")?;
    tus.upload(&large, "application/pdf")?;
    let held = bucket.objects();
    assert_eq!(bucket.in_parts(), 1);
    for bytes in [&before, &after, &large] {
        let name = sha256(bytes);
        assert!(held.get(&format!("survey/{}/{name}", &name[..2])) == Some(bytes));
        let address = format!("/v1/attachments/{name}");
        assert!(tus.get(&address)?.body == *bytes);
        let rest = tus.call("GET", &address, &[("range", "bytes=7-")], b"", None)?;
        assert_eq!((rest.status, Some(rest.body.as_slice())), (206, bytes.get(7..)));
    }
    let small = tus.get(&format!("/v1/attachments/{}/thumbnail", sha256(&after)))?;
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/jpeg")));
    let taken = office.run("backup", &["--to", &backups])?;
    assert!(taken.contains("3 attachments"), "{taken}");
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn the_terminal_takes_photos_and_the_desk_exports_their_names() -> Result<()> {
    let survey = survey()?;
    let db = survey.file("terminal");
    let field = |arguments: &[&str]| -> Result<Json> {
        let output = terminal(&db)?.arg("--json").args(arguments).output()?;
        let text = String::from_utf8(output.stdout)?;
        serde_json::from_str(&text).with_context(|| format!("{arguments:?}: {text}"))
    };
    let code = survey.office.device_code(&survey.who(0)?)?;
    field(&["enroll", "--server", &survey.server.url, "--code", &code])?;
    field(&["sync"])?;
    let household = field(&["register", "--area", &survey.area(0)?, "head=Maria Lay"])?["household"].clone();
    let record = field(&["start", household.as_str().unwrap(), "--questionnaire", FORM])?["record"].clone();
    let record = record.as_str().unwrap().to_owned();
    let photo = survey.file("rumah.jpg");
    std::fs::write(&photo, jpeg(61, 900, 600))?;
    let page = survey.file("page.jpg");
    std::fs::write(&page, "<!doctype html><html></html>")?;
    field(&["set", &record, &format!("house={}", photo.display()), "words=ada"])?;
    let row = format!("inside={}", photo.display());
    field(&["add-row", &record, "room", &row])?;
    let refused = field(&["set", &record, &format!("sign={}", page.display())])?;
    assert_eq!(refused["error"]["kind"], "used-wrongly");
    let missing = field(&["set", &record, "sign=/nowhere.jpg"])?;
    assert_eq!(missing["error"]["kind"], "used-wrongly");
    assert_eq!(field(&["attachments"])?["attachments"][0]["at"], "to-send");

    // Only answers, then everything.
    assert_eq!(field(&["sync", "--answers-only"])?["attachments"], Json::Null);
    let columns = export(&survey)?;
    let hash = columns["house_sha256"].clone();
    assert_eq!((columns["house"].as_str(), columns["house_here"].as_str()), ("rumah.jpg", "0"));
    assert_eq!(columns["house_type"], "image/jpeg");
    let sent = field(&["sync"])?["attachments"].clone();
    assert_eq!((&sent["files"], &sent["sent"], &sent["stopped"]), (&json!(1), &json!(1), &Json::Null));
    assert_eq!(export(&survey)?["house_here"], "1");
    let to = survey.file("again.jpg");
    field(&["attachments", "--get", &hash, "--to", &to.display().to_string()])?;
    let again = image::load_from_memory(&std::fs::read(&to)?)?;
    assert_eq!((again.width(), again.height()), (400, 267));
    // Held in the terminal: the path of a file is an answer, and what is wrong with one is said in the form's language.
    let mut held = terminal(&db)?
        .args(["interview", &record])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let lines = format!(":g sign\n{}\n{}\n:q\n", page.display(), photo.display());
    std::io::Write::write_all(&mut held.stdin.take().unwrap(), lines.as_bytes())?;
    let shown = String::from_utf8(held.wait_with_output()?.stdout)?;
    assert!(shown.contains("at most 20 MiB") && shown.contains("type text/html is not taken"), "{shown}");
    let device = field(&["attachments"])?;
    assert_eq!(device["attachments"].as_array().unwrap().len(), 2);
    let _: RecordId = record.parse()?;
    Ok(())
}

/// The only line of the exported interviews, by column.
fn export(survey: &Survey) -> Result<std::collections::BTreeMap<String, String>> {
    let to = survey.file("exported");
    survey.office.run("export", &[FORM, "--to", &to.display().to_string()])?;
    let mut reader = csv::Reader::from_path(to.join("interviews.csv"))?;
    Ok(reader.deserialize().next().context("a line")??)
}

#[tokio::test]
#[ignore = "needs the tus client of others: sh tests/tus.sh, then run it with --ignored"]
async fn any_tus_client_works() -> Result<()> {
    let tools = std::env::current_exe()?.ancestors().nth(3).context("the build folder")?.join("tus");
    let python = tools.join("bin/python");
    anyhow::ensure!(python.is_file(), "the tus client of others is not installed: sh tests/tus.sh");
    let survey = survey()?;
    let raw = survey.raw(0, 71).await?;
    let photo = jpeg(71, 900, 900);
    let file = survey.file("photo.jpg");
    std::fs::write(&file, &photo)?;
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attachments/tus_client.py");
    let output = Command::new(&python)
        .arg(script)
        .args([&format!("{}/v1/uploads", survey.server.url), &raw.token, &file.display().to_string(), &sha256(&photo)])
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tus = Tus::new(&survey.server.url, &raw.token)?;
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(&photo)))?.body, photo);
    Ok(())
}

#[tokio::test]
async fn a_sweep_after_a_restore_waits_until_devices_have_synced_with_that_server() -> Result<()> {
    let survey = survey()?;
    let url = survey.server.url.clone();
    let photo = jpeg(90, 60, 60);
    let mut raw = survey.raw(0, 43).await?;
    Tus::new(&url, &raw.token)?.upload(&photo, "image/jpeg")?;
    let house = uuid::Uuid::from_u128(43);
    let batch = raw.batch(&[survey::household(house, &survey.area(0)?, "Ana")]);
    raw.push(&url, vec![batch]).await?;
    says_unsent(&raw, &url, 0).await?;
    let backup = survey.backup()?;
    // What the server of then acked names it; the one of today has not heard of that yet.
    let named = raw.batch(&[survey::interview(house, FORM, &json!({ "house": value(&photo) }))]);
    raw.push(&url, vec![named.clone()]).await?;
    let (parts, _) = survey.into_parts().restored(&backup).await?;
    let sweep = || parts.office.run("sweep-attachments", &["--days", "0"]);
    assert!(sweep()?.starts_with("0 attachments deleted"));
    raw.push(&url, vec![named]).await?;
    says_unsent(&raw, &url, 0).await?;
    assert!(sweep()?.starts_with("0 attachments deleted"));
    assert_eq!(Tus::new(&url, &raw.token)?.get(&format!("/v1/attachments/{}", sha256(&photo)))?.status, 200);
    Ok(())
}
