//! Photos where something breaks: a server that dies before it has listed one, requests that come at once, bytes that rot.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use end_to_end::{
    photos::{FORM, Tus, jpeg, named, publish, sha256},
    server::{Coordinator, Office, Running},
    survey::{self, Survey},
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

fn survey() -> Result<Survey> {
    let survey = Survey::start(200, 4)?;
    publish(&survey)?;
    Ok(survey)
}

/// Where a folder of attachments keeps some bytes.
fn object(folder: &Path, bytes: &[u8]) -> PathBuf {
    let name = sha256(bytes);
    folder.join("attachments").join(&name[..2]).join(&name)
}

/// Whether the server gives out some bytes as they are.
fn is_served(tus: &Tus, bytes: &[u8]) -> Result<bool> {
    Ok(tus.get(&format!("/v1/attachments/{}", sha256(bytes)))?.body == bytes)
}

/// What the client said of an upload when it began.
fn said(bytes: &[u8]) -> String {
    format!("sha256 {},filetype {}", STANDARD.encode(sha256(bytes)), STANDARD.encode("image/jpeg"))
}

/// Changes one byte of a file, as a bad disk does.
fn rot(file: &Path) -> Result<()> {
    let mut bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    bytes[20] ^= 1;
    Ok(std::fs::write(file, bytes)?)
}

/// The file of an upload under way.
fn upload_file(office: &Office, id: &str) -> Result<PathBuf> {
    let mut files =
        std::fs::read_dir(office.data().join("attachments/incoming"))?.filter_map(|file| Some(file.ok()?.path()));
    let is_it = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(id) && !name.ends_with(".metadata")
    };
    files.find(is_it).context("the upload's file")
}

/// An upload whose last byte is on the disk of a server that died before it listed the bytes; its path.
fn whole_and_not_listed(office: &Office, server: Running, token: &str, bytes: &[u8]) -> Result<(Running, String)> {
    let port = server.port()?;
    let tus = Tus::new(&server.url, token)?;
    let (_, path) = tus.create(bytes, "image/jpeg")?;
    assert_eq!(tus.patch(&path, 0, &bytes[..1000], None, None)?.status, 204);
    server.kill()?;
    std::fs::write(upload_file(office, path.rsplit('/').next().unwrap())?, bytes)?;
    Ok((office.serve(port)?, path))
}

#[tokio::test]
async fn an_upload_that_is_whole_is_told_so_only_once_it_is_listed() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 5).await?;
    let bytes = jpeg(3, 300, 300);
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let (server, path) = whole_and_not_listed(&office, server, &raw.token, &bytes)?;
    let tus = Tus::new(&server.url, &raw.token)?;
    let metadata = format!("sha256 {},resume", STANDARD.encode(sha256(&bytes)));
    let length = bytes.len().to_string();
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", length.as_str()), ("upload-metadata", &metadata)];
    let resumed = tus.call("POST", "/v1/uploads", &headers, b"", None)?;
    assert_eq!((resumed.status, resumed.offset(), resumed.header("location")), (201, Some(bytes.len()), Some(&*path)));
    assert_eq!(
        tus.head(&path)?.header("upload-metadata"),
        Some(&*said(&bytes)),
        "word for word, also by the next server"
    );
    assert!(is_served(&tus, &bytes)?);
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn requests_that_end_an_upload_at_once_all_hear_that_it_is_there() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 6).await?;
    let bytes = jpeg(4, 1500, 1500);
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let (server, path) = whole_and_not_listed(&office, server, &raw.token, &bytes)?;
    let tus = Tus::new(&server.url, &raw.token)?;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..12)
            .map(|number| {
                let (tus, path, end) = (&tus, &path, bytes.len());
                scope.spawn(move || match number % 3 {
                    0 => tus.patch(path, end, b"", None, None),
                    _ => tus.head(path),
                })
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Result<_>>()
    })?;
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 204) && answer.offset() == Some(bytes.len()), "{answer:?}");
    }
    assert_eq!(sha256(&std::fs::read(object(office.data(), &bytes))?), sha256(&bytes));
    assert_eq!(std::fs::read_dir(office.data().join("attachments/incoming"))?.count(), 0);
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn rotten_and_missing_photos_keep_no_answer_from_being_backed_up_and_restored() -> Result<()> {
    let survey = survey()?;
    let mut raw = survey.raw(0, 7).await?;
    let tus = Tus::new(&survey.server.url, &raw.token)?;
    let photos: Vec<Vec<u8>> = (30..34).map(|seed| jpeg(seed, 90, 90)).collect();
    let [rotten, again, lost, mended] = photos.as_slice() else { panic!("four") };
    let mut answers = serde_json::Map::new();
    for (path, photo) in ["house", "sign", "raw", "paper"].iter().zip(&photos) {
        answers.insert((*path).to_owned(), serde_json::to_value(named(photo, "image/jpeg", "a.jpg")?)?);
        tus.upload(photo, "image/jpeg")?;
    }
    let house = uuid::Uuid::from_u128(7);
    let record = survey::interview(house, FORM, &Json::Object(answers));
    let batch = raw.batch(&[survey::household(house, &survey.area(0)?, "Ana"), record]);
    raw.push(&survey.server.url, vec![batch]).await?;
    let backups = survey.file("backups");
    let to = backups.display().to_string();
    let data = survey.office.data().to_owned();

    // The copy counts, and says what it lacks.
    rot(&object(&data, rotten))?;
    let backup = || survey.office.run("backup", &["--to", &to]);
    let told = backup().unwrap_err().to_string();
    assert!(told.contains(&sha256(rotten)) && told.contains("it has other bytes"), "{told}");
    assert!(!told.contains(&sha256(again)), "{told}");
    // What rots in the folder of copies is copied again.
    rot(&object(&backups, again))?;
    let told = backup().unwrap_err().to_string();
    assert!(told.contains(&sha256(rotten)) && !told.contains(&sha256(again)), "{told}");
    assert_eq!(sha256(&std::fs::read(object(&backups, again))?), sha256(again));
    let copies = std::fs::read_dir(&backups)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut copies: Vec<_> = copies.filter(|path| path.extension().is_some_and(|end| end == "sqlite")).collect();
    copies.sort();
    assert_eq!(copies.len(), 2);
    std::fs::remove_file(object(&backups, lost))?;
    let told = survey.office.verify(&copies[1]).unwrap_err().to_string();
    assert!(told.contains(&sha256(rotten)) && told.contains(&sha256(lost)), "{told}");

    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let port = server.port()?;
    server.kill()?;
    std::fs::remove_file(object(&data, lost))?;
    rot(&object(&data, mended))?;
    let restored = office.run("restore", &["--from", &copies[1].display().to_string()])?;
    assert!(restored.contains(&sha256(rotten)) && restored.contains(&sha256(lost)), "{restored}");
    assert!(!restored.contains(&sha256(mended)), "{restored}");
    let server = office.serve(port)?;
    let coordinator = Coordinator::log_in(&server.url, survey::PASSWORD).await?;
    let records = coordinator.all("records?kind=interview").await?;
    let about = format!("records/{}", records[0]["id"].as_str().unwrap());
    let counted = coordinator.get(&about).await?["attachments"].clone();
    assert_eq!(counted, json!({ "here": 2, "to-come": 2, "refused": 0, "lost": 0 }));
    // The phones offer theirs again; what is here need not be sent, what rots makes room.
    for photo in &photos {
        let begun = tus.create(photo, "image/jpeg")?.0;
        let is_here = [again, mended].contains(&photo);
        assert_eq!(begun.offset(), Some(if is_here { photo.len() } else { 0 }));
        tus.upload(photo, "image/jpeg")?;
        assert!(is_served(&tus, photo)?);
    }
    let counted = coordinator.get(&about).await?["attachments"].clone();
    assert_eq!(counted, json!({ "here": 4, "to-come": 0, "refused": 0, "lost": 0 }));
    assert!(office.run("backup", &["--to", &to])?.contains("4 attachments"));
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_answers_and_no_photos() -> Result<()> {
    let survey = survey()?;
    let mut raw = survey.raw(0, 8).await?;
    let bytes = jpeg(8, 300, 300);
    let (_, path) = Tus::new(&survey.server.url, &raw.token)?.create(&bytes, "image/jpeg")?;
    assert_eq!(Tus::new(&survey.server.url, &raw.token)?.patch(&path, 0, &bytes[..1000], None, None)?.status, 204);
    let area = survey.area(0)?;
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    server.kill()?;
    // A reserve that no disk has.
    let server = office.serve_with(0, &["--keep-free", "17592186044415"])?;
    let tus = Tus::new(&server.url, &raw.token)?;
    for answer in [tus.create(&jpeg(9, 30, 30), "image/jpeg")?.0, tus.patch(&path, 1000, &bytes[1000..], None, None)?] {
        assert_eq!((answer.status, &*answer.code()), (503, "no-space"));
        assert_eq!(answer.header("retry-after"), Some("3600"));
    }
    assert_eq!(tus.head(&path)?.offset(), Some(1000));
    let batch = raw.batch(&[survey::household(uuid::Uuid::from_u128(8), &area, "Ana")]);
    assert_eq!(raw.push(&server.url, vec![batch]).await?.header.acked_through, 1);
    server.kill()?;
    let server = office.serve(0)?;
    assert_eq!(Tus::new(&server.url, &raw.token)?.patch(&path, 1000, &bytes[1000..], None, None)?.status, 204);
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn what_was_not_finished_in_time_is_given_up_when_the_server_starts() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 9).await?;
    let bytes = jpeg(10, 300, 300);
    let tus = Tus::new(&survey.server.url, &raw.token)?;
    let (_, path) = tus.create(&bytes, "image/jpeg")?;
    tus.patch(&path, 0, &bytes[..1000], None, None)?;
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let port = server.port()?;
    server.kill()?;
    let incoming = office.data().join("attachments/incoming");
    let id = path.rsplit('/').next().unwrap();
    std::fs::rename(upload_file(&office, id)?, incoming.join(format!("{id}.1.{}.1000.", bytes.len())))?;
    let _server = office.serve(port)?;
    assert_eq!(std::fs::read_dir(&incoming)?.count(), 0);
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn no_device_says_of_others_photos_that_they_do_not_come() -> Result<()> {
    let survey = survey()?;
    let url = &survey.server.url;
    let (mut owner, other) = (survey.raw(0, 10).await?, survey.raw(0, 11).await?);
    let house = uuid::Uuid::from_u128(10);
    let value = serde_json::to_value(named(b"to come", "image/jpeg", "a.jpg")?)?;
    let record = survey::interview(house, FORM, &json!({ "house": value }));
    let batch = owner.batch(&[survey::household(house, &survey.area(0)?, "Ana"), record]);
    let lost = Tus::new(url, &owner.token)?.give_up(b"to come", "image/jpeg")?;
    assert_eq!(lost.status, 404, "no answer names it yet: it is to be told again");
    owner.push(url, vec![batch]).await?;
    let coordinator = survey.coordinator().await?;
    let about = format!("records/{}", coordinator.all("records?kind=interview").await?[0]["id"].as_str().unwrap());
    let told = async || anyhow::Ok(coordinator.get(&about).await?["attachments"].clone());
    for (token, lost) in [(&other.token, 0), (&owner.token, 1)] {
        let answer = Tus::new(url, token)?.give_up(b"to come", "image/jpeg")?;
        assert_eq!((answer.status, answer.header("location")), (if lost == 1 { 204 } else { 404 }, None));
        assert_eq!(told().await?, json!({ "here": 0, "to-come": 1 - lost, "refused": 0, "lost": lost }));
    }
    for (token, refused) in [(&other.token, 0), (&owner.token, 1)] {
        assert_eq!(Tus::new(url, token)?.create(b"to come", "application/x-msdownload")?.0.status, 415);
        assert_eq!(told().await?, json!({ "here": 0, "to-come": 0, "refused": refused, "lost": 1 - refused }));
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_file_is_served_empty_and_no_part_past_the_end() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 12).await?;
    let tus = Tus::new(&survey.server.url, &raw.token)?;
    let some = jpeg(12, 30, 30);
    tus.upload(&some, "image/jpeg")?;
    tus.upload(b"", "text/csv")?;
    let part = |bytes: &[u8], range: &str| {
        tus.call("GET", &format!("/v1/attachments/{}", sha256(bytes)), &[("range", range)], b"", None)
    };
    assert_eq!((part(b"", "bytes=0-")?.status, part(b"", "bytes=0-")?.body.len()), (200, 0));
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(b"")))?.status, 200);
    let past = part(&some, &format!("bytes={}-", some.len()))?;
    assert_eq!((past.status, past.header("content-range")), (416, Some(&*format!("bytes */{}", some.len()))));
    assert_eq!(part(&some, &format!("bytes={}-", some.len() - 1))?.status, 206);
    Ok(())
}

#[tokio::test]
async fn an_upload_whose_time_is_over_says_so_once_and_begins_anew() -> Result<()> {
    let survey = survey()?;
    let raw = survey.raw(0, 13).await?;
    let bytes = jpeg(13, 30, 30);
    let survey::Parts { office, server, folder, .. } = survey.into_parts();
    let (tus, port) = (Tus::new(&server.url, &raw.token)?, server.port()?);
    let (_, path) = tus.create(&bytes, "image/jpeg")?;
    assert_eq!(tus.patch(&path, 0, &bytes[..10], None, None)?.status, 204);
    server.kill()?;
    // Nearly seven days later: its file's name says when it began.
    let file = upload_file(&office, path.rsplit('/').next().unwrap())?;
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    let begun_ms: i64 = parts[3].parse()?;
    parts[3] = (begun_ms - 7 * 86_400_000 + 8_000).to_string();
    std::fs::rename(&file, file.with_file_name(parts.join(".")))?;
    let _server = office.serve(port)?;
    // Its own answers are the clock.
    let mut went_on = false;
    let told = loop {
        let answer = tus.patch(&path, 99, b"", None, None)?;
        if answer.code() != "wrong-offset" {
            break answer;
        }
        went_on = true;
    };
    assert!(went_on, "it was not over when the server began");
    assert_eq!((told.status, told.code().as_str()), (410, "upload-expired"));
    assert_eq!(tus.head(&path)?.status, 404);
    assert_eq!(std::fs::read_dir(file.parent().unwrap())?.count(), 0);
    tus.upload(&bytes, "image/jpeg")?;
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(&bytes)))?.body, bytes);
    drop(folder);
    Ok(())
}
