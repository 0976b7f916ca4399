//! Photos on a device where something breaks: a card, one file of many, a sync of answers that comes in between.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::{
    Device, Edit, Error, Interview, Whereabouts,
    files::{Files, Folder},
    transport::{Http, Sending},
};
use end_to_end::{
    field::{Enumerator, Phone},
    photos::{interview, jpeg, publish, sha256},
    survey::Survey,
};
use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    time::Duration,
};
use sync_protocol::{Attachment, RecordId};

fn survey() -> Result<Survey> {
    let survey = Survey::start(200, 4)?;
    publish(&survey)?;
    Ok(survey)
}

/// Where a device keeps the original of some bytes.
fn original(person: &Enumerator, bytes: &[u8]) -> std::path::PathBuf {
    let mut folder = person.file.clone().into_os_string();
    folder.push("-attachments");
    let name = sha256(bytes);
    std::path::Path::new(&folder).join(&name[..2]).join(name)
}

/// Takes a picture in as it is, and saves the answer that names it.
fn sign(person: &mut Enumerator, record: RecordId, path: &str, bytes: &[u8]) -> Result<()> {
    let value = person.device.take(record, &path.parse()?, "a.jpg", bytes.to_vec())?;
    assert_eq!(Attachment::from_value(&value).unwrap().hash.to_string(), sha256(bytes), "it is small enough to stay");
    let author = person.code.clone();
    person.device.save(record, &author, &[Edit::set(path, value)?])?;
    Ok(())
}

/// Where the bytes of each attachment are, by their hash.
fn whereabouts(person: &mut Enumerator, bytes: &[u8]) -> Whereabouts {
    let lines = person.device.attachments().unwrap();
    lines.into_iter().find(|line| line.sha256.to_string() == sha256(bytes)).unwrap().at
}

/// A card that can't read one file any more.
#[derive(Debug)]
struct BadCard {
    rest: Folder,
    bad: String,
}

impl Files for BadCard {
    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.rest.put(name, bytes)
    }

    fn size(&mut self, name: &str) -> io::Result<Option<u64>> {
        self.rest.size(name)
    }

    fn read(&mut self, name: &str, from: u64, most: usize) -> io::Result<Vec<u8>> {
        if name.ends_with(&self.bad) { Err(ErrorKind::Other.into()) } else { self.rest.read(name, from, most) }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.rest.remove(name)
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_read_keeps_no_other_from_being_sent() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    // The smallest is tried first.
    let (bad, good) = (jpeg(1, 40, 40), jpeg(2, 90, 90));
    sign(&mut author, record, "sign", &bad)?;
    sign(&mut author, record, "raw", &good)?;
    survey.sync(&mut author).await?;
    author.device.set_files(Box::new(BadCard { rest: Folder::beside(&author.file), bad: sha256(&bad) }));
    let mut last = Sending::default();
    let sent = survey.http.send_attachments(&mut author.device, |now| last = now).await;
    assert!(matches!(sent, Err(Error::File(_))), "{sent:?}");
    assert_eq!((last.files, last.sent, last.failed), (2, 1, 1));
    assert_eq!(whereabouts(&mut author, &good), Whereabouts::Sent);
    author.device.set_files(Box::new(Folder::beside(&author.file)));
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?.sent, 1);
    Ok(())
}

#[tokio::test]
async fn a_sync_of_answers_goes_through_while_photos_are_being_sent() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let photo = jpeg(3, 900, 900);
    sign(&mut author, record, "raw", &photo)?;
    survey.sync(&mut author).await?;
    // Said while the photo is on its way, and sent before its next part leaves.
    let mut open = Interview::open(&mut author.device, record, &author.code)?;
    open.answer(&mut author.device, &"words".parse()?, "ada")?;
    let (file, mut synced) = (author.file.clone(), None);
    let sent = survey.http.send_attachments(&mut author.device, |now| {
        if now.through < now.bytes && synced.is_none() {
            let file = file.clone();
            let beside = std::thread::spawn(move || -> Result<u64> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let mut device = Device::open(&file, Phone::new(9, 1_767_225_600_000, 0))?;
                runtime.block_on(Http::new()?.sync(&mut device, |_| ()))?;
                Ok(device.status()?.unsent)
            });
            synced = Some(beside.join().unwrap());
        }
    });
    assert_eq!(sent.await?.sent, 1);
    assert_eq!(synced.unwrap()?, 0);
    Ok(())
}

#[tokio::test]
async fn a_server_that_falls_silent_keeps_nobody_waiting_for_a_picture() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let photo = jpeg(4, 90, 90);
    sign(&mut author, record, "raw", &photo)?;
    survey.sync(&mut author).await?;
    let mut other = survey.device(0, "other").await?;
    // Whoever listens there now hears, and says nothing.
    let port = survey.server.port()?;
    let end_to_end::survey::Parts { server, folder, .. } = survey.into_parts();
    server.kill()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || {
        for line in listener.incoming().flatten() {
            std::thread::spawn(move || io::copy(&mut &line, &mut io::sink()));
        }
    });
    let http = Http::with_patience(Duration::from_millis(200))?;
    assert!(http.fetch_thumbnails(&mut other.device).await.unwrap_err().is_unreachable());
    let hash = sha256(&photo).parse()?;
    assert!(http.fetch_original(&mut other.device, hash).await.unwrap_err().is_unreachable());
    drop(folder);
    Ok(())
}

#[tokio::test]
async fn a_photo_whose_bytes_were_lost_or_changed_can_be_given_again() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let (lost, changed, others) = (jpeg(5, 50, 50), jpeg(6, 60, 60), jpeg(7, 70, 70));
    sign(&mut author, record, "sign", &lost)?;
    sign(&mut author, record, "raw", &changed)?;
    sign(&mut author, record, "paper", &others)?;
    survey.sync(&mut author).await?;
    std::fs::remove_file(original(&author, &lost))?;
    let mut bytes = changed.clone();
    bytes[20] ^= 1;
    std::fs::write(original(&author, &changed), bytes)?;
    // The second is gone from the phone, too: its owner's colleague has it.
    std::fs::remove_file(original(&author, &others))?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    assert_eq!(whereabouts(&mut author, &lost), Whereabouts::Lost);
    assert_eq!(whereabouts(&mut author, &changed), Whereabouts::Refused("damaged".into()));
    for (path, bytes) in [("sign", &lost), ("raw", &changed)] {
        sign(&mut author, record, path, bytes)?;
        assert_eq!(whereabouts(&mut author, bytes), Whereabouts::ToSend);
    }
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?.sent, 2);
    let mut colleague = survey.device(0, "colleague").await?;
    sign(&mut colleague, record, "paper", &others)?;
    survey.sync(&mut colleague).await?;
    assert_eq!(survey.http.send_attachments(&mut colleague.device, |_| ()).await?.sent, 1);
    // Who may see the record sees it by the word of who has it.
    assert_eq!(
        sha256(&survey.http.fetch_original(&mut author.device, sha256(&others).parse()?).await?),
        sha256(&others)
    );
    Ok(())
}
