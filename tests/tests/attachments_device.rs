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
    photos::{Tus, interview, jpeg, publish, sha256},
    survey::Survey,
};
use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
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
async fn a_revoked_phone_sends_the_photos_of_answers_that_count_and_no_others() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    // The one in escrow is smaller: it is tried first, and holds up nothing.
    let (counts, apart) = (jpeg(1, 90, 90), jpeg(2, 40, 40));
    sign(&mut author, record, "sign", &counts)?;
    survey.sync(&mut author).await?;
    survey.office.run("revoke", &["1"])?;
    sign(&mut author, record, "raw", &apart)?;
    survey.sync(&mut author).await?;
    let sent = survey.http.send_attachments(&mut author.device, |_| ()).await;
    assert!(sent.unwrap_err().to_string().contains("this device was revoked"), "of the other it is told why");
    assert_eq!(whereabouts(&mut author, &counts), Whereabouts::Sent);
    let coordinator = survey.coordinator().await?;
    let shown = coordinator.get(&format!("records/{record}")).await?;
    assert_eq!(shown["attachments"]["here"], 1, "{}", shown["attachments"]);
    assert_eq!(shown["attachments"]["to-come"], 0, "what is in escrow is on no page");
    let tus = Tus::new(&survey.server.url, &author.device.server()?.1)?;
    assert_eq!(tus.create(&apart, "image/jpeg")?.0.status, 403);
    assert_eq!(tus.get(&format!("/v1/attachments/{}", sha256(&counts)))?.status, 404, "nor does it see anything");
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
    assert_eq!(whereabouts(&mut author, &changed), Whereabouts::Lost);
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

#[tokio::test]
async fn a_coordinator_hears_which_photos_are_lost_on_their_phone_until_they_are_there_after_all() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let (gone, changed) = (jpeg(5, 50, 50), jpeg(6, 60, 60));
    sign(&mut author, record, "sign", &gone)?;
    sign(&mut author, record, "raw", &changed)?;
    std::fs::remove_file(original(&author, &gone))?;
    std::fs::write(original(&author, &changed), vec![0; changed.len()])?;
    let early = survey.http.send_attachments(&mut author.device, |_| ()).await?;
    assert_eq!((early.files, early.lost), (0, 0), "no answer there names them yet: they are told later");
    survey.sync(&mut author).await?;
    let coordinator = survey.coordinator().await?;
    let counted = async || -> Result<[i64; 3]> {
        let detail = coordinator.get(&format!("records/{record}")).await?;
        Ok(["to-come", "lost", "here"].map(|state| detail["attachments"][state].as_i64().unwrap_or(-1)))
    };
    assert_eq!(counted().await?, [2, 0, 0]);
    let sending = survey.http.send_attachments(&mut author.device, |_| ()).await?;
    assert_eq!((sending.files, sending.sent, sending.lost), (0, 0, 2));
    assert_eq!(counted().await?, [0, 2, 0], "nobody waits for them");
    assert_eq!(author.device.status()?.files_unsent, 0);
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?, Sending::default(), "told once");
    // A card that failed works again; and a colleague has the other one, and names it.
    std::fs::write(original(&author, &changed), &changed)?;
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?.sent, 1);
    let mut colleague = survey.device(0, "colleague").await?;
    sign(&mut colleague, record, "sign", &gone)?;
    survey.sync(&mut colleague).await?;
    assert_eq!(counted().await?, [1, 0, 1], "it is to come again: from them");
    assert_eq!(survey.http.send_attachments(&mut colleague.device, |_| ()).await?.sent, 1);
    assert_eq!(counted().await?, [0, 0, 2]);
    Ok(())
}

#[tokio::test]
async fn a_photo_that_outlived_its_phones_database_is_sent_all_the_same() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let photo = jpeg(9, 90, 90);
    sign(&mut author, record, "sign", &photo)?;
    survey.sync(&mut author).await?;
    let (file, who) = (author.file.clone(), author.code.clone());
    drop(author);
    for ending in ["", "-wal", "-shm"] {
        let mut part = file.clone().into_os_string();
        part.push(ending);
        let _ = std::fs::remove_file(part);
    }
    let (code, url) = (survey.office.device_code(&who)?, survey.server.url.clone());
    let phone = Phone::new(77, 1_767_225_600_000, 0);
    let mut again = Enumerator::enrol(&survey.http, &url, &code, &who, "again", &file, phone).await?;
    survey.sync(&mut again).await?;
    // Its area is somebody else's before the photo is on its way.
    let area = survey.area(0)?;
    survey.office.run("unassign", &[&who, &area])?;
    survey.sync(&mut again).await?;
    assert!(original(&again, &photo).exists(), "nobody else has it");
    assert_eq!(survey.http.send_attachments(&mut again.device, |_| ()).await?.sent, 1);
    survey.sync(&mut again).await?;
    survey.http.send_attachments(&mut again.device, |_| ()).await?;
    assert!(!original(&again, &photo).exists());
    let detail = survey.coordinator().await?.get(&format!("records/{record}")).await?.to_string();
    assert!(detail.contains(&sha256(&photo)) && detail.contains("\"state\":\"here\""), "{detail}");
    // Who works there now sees it, though the phone has another name by now than the record says.
    survey.office.run("assign", &[&survey.who(1)?, &area])?;
    let mut colleague = survey.device(1, "colleague").await?;
    let seen = survey.http.fetch_original(&mut colleague.device, sha256(&photo).parse()?).await?;
    assert_eq!(sha256(&seen), sha256(&photo));
    Ok(())
}

#[tokio::test]
async fn what_is_gone_from_the_servers_disk_is_taken_when_it_is_given_again() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let photo = jpeg(8, 80, 80);
    sign(&mut author, record, "sign", &photo)?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    let name = sha256(&photo);
    let there = survey.office.data().join("attachments").join(&name[..2]).join(&name);
    std::fs::remove_file(&there)?;
    // Taken again it is the same picture; it is offered, and asked for.
    sign(&mut author, record, "sign", &photo)?;
    assert_eq!(whereabouts(&mut author, &photo), Whereabouts::ToSend);
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?.sent, 1);
    assert_eq!(std::fs::read(&there)?, photo);
    Ok(())
}

/// What somebody on the way makes of a request.
enum Passage {
    /// It goes through, and its answer comes back.
    Free,
    /// It goes through, and nothing comes back.
    NoAnswer,
    /// It is too large for whoever stands there, who knows nothing of the server.
    TooLarge,
    /// It loses the part that it asks for, and so many bytes of the answer come back.
    Cut(u64),
}

/// Somebody on the way to the server who looks at each request's first line and the length of its body; the address, and how many bytes
/// of bodies went through.
fn gate(
    server: &str,
    decide: impl Fn(&str, usize) -> Passage + Send + Sync + 'static,
) -> Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (server, passed) = (server.trim_start_matches("http://").to_owned(), Arc::<AtomicUsize>::default());
    let (decide, counted) = (Arc::new(decide), passed.clone());
    std::thread::spawn(move || {
        for line in listener.incoming().flatten() {
            let (server, decide, counted) = (server.clone(), decide.clone(), counted.clone());
            std::thread::spawn(move || pass(&line, &server, &*decide, &counted));
        }
    });
    Ok((url, passed))
}

/// Lets one request through, or not; each has a line of its own.
fn pass(
    line: &TcpStream,
    server: &str,
    decide: &dyn Fn(&str, usize) -> Passage,
    passed: &AtomicUsize,
) -> io::Result<()> {
    let mut reader = BufReader::new(line);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut words = String::new();
        reader.read_line(&mut words)?;
        let (name, value) = words.split_once(':').unwrap_or((words.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "connection" => continue,
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _other => {}
        }
        head.push(words);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let passage = decide(&head[0], length);
    let mut line = line;
    match passage {
        Passage::TooLarge => {
            let page = "<html>Request Entity Too Large</html>";
            let head = "HTTP/1.1 413 Request Entity Too Large\r\nconnection: close\r\ncontent-type: text/html\r\n";
            return write!(line, "{head}content-length: {}\r\n\r\n{page}", page.len());
        }
        Passage::Cut(_) => head.retain(|words| !words.to_ascii_lowercase().starts_with("range:")),
        Passage::Free | Passage::NoAnswer => {}
    }
    passed.fetch_add(length, Ordering::Relaxed);
    let mut there = TcpStream::connect(server)?;
    write!(there, "{}connection: close\r\n\r\n", head.concat())?;
    there.write_all(&body)?;
    let most = match passage {
        Passage::NoAnswer => 0,
        Passage::Cut(most) => most,
        Passage::Free | Passage::TooLarge => u64::MAX,
    };
    let mut answer = Vec::new();
    there.read_to_end(&mut answer)?;
    io::copy(&mut answer.as_slice().take(most), &mut line)?;
    line.shutdown(std::net::Shutdown::Both)
}

/// An enumerator whose phone reaches the server through a gate, with an interview on the server.
async fn behind(survey: &Survey, url: &str) -> Result<(Enumerator, RecordId)> {
    let (who, file) = (survey.who(0)?, survey.file("behind"));
    let code = survey.office.device_code(&who)?;
    let phone = Phone::new(81, 1_767_225_600_000, 0);
    let mut person = Enumerator::enrol(&survey.http, url, &code, &who, "behind", &file, phone).await?;
    survey.sync(&mut person).await?;
    let (_, record) = interview(&mut person, &survey.area(0)?)?;
    Ok((person, record))
}

#[tokio::test]
async fn whoever_takes_no_large_request_on_the_way_gives_no_photo_up() -> Result<()> {
    let survey = survey()?;
    let choose = |_: &str, length: usize| if length > 70_000 { Passage::TooLarge } else { Passage::Free };
    let (url, _) = gate(&survey.server.url, choose)?;
    let (mut author, record) = behind(&survey, &url).await?;
    let photo = jpeg(5, 600, 600);
    assert!(photo.len() > 300_000);
    sign(&mut author, record, "raw", &photo)?;
    survey.sync(&mut author).await?;
    assert_eq!(survey.http.send_attachments(&mut author.device, |_| ()).await?.sent, 1);
    assert_eq!(whereabouts(&mut author, &photo), Whereabouts::Sent);
    Ok(())
}

#[tokio::test]
async fn a_photo_whose_last_answer_was_lost_is_asked_for_and_not_sent_again() -> Result<()> {
    let survey = survey()?;
    let is_deaf = Arc::new(AtomicBool::new(false));
    let deaf = is_deaf.clone();
    let choose = move |first: &str, _: usize| {
        if first.starts_with("PATCH ") {
            deaf.store(true, Ordering::Relaxed);
        }
        if deaf.load(Ordering::Relaxed) { Passage::NoAnswer } else { Passage::Free }
    };
    let (url, passed) = gate(&survey.server.url, choose)?;
    let (mut author, record) = behind(&survey, &url).await?;
    // Larger than what goes with the first request: its address comes back, its end does not.
    let photo = jpeg(6, 900, 900);
    assert!(photo.len() > 600_000);
    sign(&mut author, record, "raw", &photo)?;
    survey.sync(&mut author).await?;
    let sent = survey.http.send_attachments(&mut author.device, |_| ()).await;
    assert!(sent.as_ref().is_err_and(Error::is_unreachable), "{sent:?}");
    // The server that comes next remembers no upload that ended.
    let port = survey.server.port()?;
    let end_to_end::survey::Parts { office, server, folder, .. } = survey.into_parts();
    server.kill()?;
    let server = office.serve(port)?;
    is_deaf.store(false, Ordering::Relaxed);
    let before = passed.load(Ordering::Relaxed);
    assert_eq!(Http::new()?.send_attachments(&mut author.device, |_| ()).await?.sent, 1);
    let crossed = passed.load(Ordering::Relaxed) - before;
    assert_eq!(crossed, 0, "bytes of a photo of {}", photo.len());
    drop((server, folder));
    Ok(())
}

#[tokio::test]
async fn an_original_that_never_comes_whole_is_given_up() -> Result<()> {
    let survey = survey()?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = interview(&mut author, &survey.area(0)?)?;
    let photo = jpeg(7, 300, 300);
    sign(&mut author, record, "raw", &photo)?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    let choose = |first: &str, _: usize| {
        if first.starts_with("GET /v1/attachments/") { Passage::Cut(9_000) } else { Passage::Free }
    };
    let (url, _) = gate(&survey.server.url, choose)?;
    let (mut other, _) = behind(&survey, &url).await?;
    let fetched = survey.http.fetch_original(&mut other.device, sha256(&photo).parse()?).await;
    assert!(fetched.is_err_and(|error| error.is_unreachable()));
    Ok(())
}
