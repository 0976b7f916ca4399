//! Bad input gets a clear error, loses nothing that was good, and blocks nothing behind it (laws L5 and L9).
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::Result;
use end_to_end::survey::{Survey, household, interview};
use serde_json::{Value as Json, json};
use sync_protocol::wire::Verdict;
use uuid::Uuid;

const FORM: &str = "kupang-household@2026-1";

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + n)
}

#[tokio::test]
async fn a_bad_change_is_kept_acked_and_named_while_its_neighbours_count() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let (url, area) = (survey.server.url.clone(), survey.area(0)?);
    let mut device = survey.raw(0, 1).await?;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let with = |members: &str| {
        format!(r#"{{"household":"{}","form":"household@1","by":"KP001","at":1,{members}}}"#, id(1)).into_bytes()
    };
    let long = "a".repeat(9 << 10);
    let huge = "b".repeat(300 << 10);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("malformed-json", b"{\"household\":".to_vec()),
        ("malformed-json", b"not json at all".to_vec()),
        ("wrong-type", b"[1,2,3]".to_vec()),
        ("wrong-type", with(r#""set":{"":{"head":1.5}}"#)),
        ("wrong-type", with(r#""set":{"":{"head":true}}"#)),
        ("wrong-type", with(r#""set":["head"]"#)),
        ("duplicate-key", with(r#""set":{"":{"head":"A","head":"B"}}"#)),
        ("duplicate-key", with(r#""by":"KP002""#)),
        ("too-deep", with(&format!(r#""future":{deep}"#))),
        ("not-utf8", [b"{\"household\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat()),
        ("unknown-questionnaire", interview(id(1), "nobody-knows@1", &json!({ "floor": "1" }))),
        ("unknown-question", interview(id(1), FORM, &json!({ "no_such_question": "1" }))),
        ("unknown-area", household(id(2), "9999999999.001", "Nobody")),
        ("wrong-value-type", interview(id(1), FORM, &json!({ "floor_m2": "forty" }))),
        ("wrong-value-type", interview(id(1), FORM, &json!({ "assets": "1" }))),
        ("value-too-long", interview(id(1), FORM, &json!({ "address": long }))),
        ("change-too-large", with(&format!(r#""future":"{huge}""#))),
        ("bad-pred", with(r#""set":{"":{"head":"A"}},"over":{"":{"head":[4000]}}"#)),
    ];
    // Good ones stand between the bad ones, in the same batch.
    let mut bodies = vec![household(id(1), &area, "Maria Lay")];
    for (_, body) in &cases {
        bodies.push(body.clone());
        bodies.push(interview(id(1), FORM, &json!({ "address": format!("house {}", bodies.len()) })));
    }
    let total = u64::try_from(bodies.len())?;
    let reply = device.clone().push(&url, vec![device.batch(&bodies)]).await?;
    assert_eq!(reply.header.acked_through, total, "everything is acked");
    let found: Vec<(u64, &str)> =
        reply.outcomes.iter().map(|outcome| (outcome.seq, outcome.code.map_or("", |code| code.as_str()))).collect();
    let expected: Vec<(u64, &str)> = (2..).step_by(2).zip(cases.iter().map(|(code, _)| *code)).collect();
    assert_eq!(found, expected);
    assert!(reply.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Quarantined));
    assert!(reply.outcomes.iter().all(|outcome| !outcome.detail.contains("forty")), "a detail repeats an answer");
    // The good ones count, and the bad ones wait for a coordinator.
    let coordinator = survey.coordinator().await?;
    let records = coordinator.all("records?kind=interview").await?;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["changes"], json!(cases.len()));
    assert_eq!(coordinator.all("quarantine").await?.len(), cases.len());
    // A re-send is acked again and changes nothing.
    let again = device.push(&url, vec![]).await?;
    assert_eq!(again.header.acked_through, total);
    assert_eq!(coordinator.all("quarantine").await?.len(), cases.len());
    Ok(())
}

#[tokio::test]
async fn what_a_newer_program_adds_is_kept_as_it_came() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut device = survey.raw(0, 1).await?;
    let body = format!(
        r#"{{ "future":{{"a":[1,"2.5",null]}}, "by":"KP001","at":1,"household":"{}","form":"household@1","set":{{"":{{"area":"{}"}}}} }}"#,
        id(1),
        survey.area(0)?
    );
    let reply = device.clone().push(&survey.server.url, vec![device.batch(&[body.clone().into_bytes()])]).await?;
    assert!(reply.outcomes.is_empty(), "{:?}", reply.outcomes);
    // Another device gets the very bytes.
    let other = survey.raw(0, 2).await?;
    let pulled = other.push(&survey.server.url, vec![]).await?.pulled;
    let bytes: Vec<&[u8]> = pulled.iter().flat_map(|run| run.changes.iter().map(|c| c.bytes.as_slice())).collect();
    assert_eq!(bytes, [body.as_bytes()]);
    Ok(())
}

#[tokio::test]
async fn a_request_that_makes_no_sense_gets_a_problem_document() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut device = survey.raw(0, 1).await?;
    let good = household(id(1), &survey.area(0)?, "Maria Lay");
    let request = device.clone().request(vec![device.batch(&[good])]).to_bytes();
    let text = String::from_utf8(request.clone())?;
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 3)?;
    let gzip_bomb = gzip(&vec![b' '; 64 << 20]);
    let packed = zstd::bulk::compress(&request, 3)?;
    // A frame that begins well and goes on with a kind of block that does not exist.
    let broken = [&packed[..packed.len().min(6)], &[0xff; 64]].concat();
    let cases: Vec<(&str, u16, Vec<u8>, Option<&str>)> = vec![
        ("malformed-json", 400, b"no json\n".to_vec(), None),
        ("cut-off", 400, Vec::new(), None),
        ("wrong-type", 400, b"{\"tenun\":\"one\"}\n".to_vec(), None),
        ("duplicate-key", 400, text.replacen("{\"tenun\":1,", "{\"tenun\":1,\"tenun\":1,", 1).into_bytes(), None),
        ("unsupported-protocol", 426, text.replacen("\"tenun\":1", "\"tenun\":99", 1).into_bytes(), None),
        ("not-utf8", 400, b"\xff\xfe\n".to_vec(), None),
        ("too-deep", 400, format!("{}\n", "[".repeat(1000)).into_bytes(), None),
        ("request-too-large", 413, vec![b' '; 5 << 20], None),
        ("request-too-large", 413, bomb, Some("zstd")),
        ("request-too-large", 413, gzip_bomb, Some("gzip")),
        ("bad-encoding", 400, broken, Some("zstd")),
        ("bad-encoding", 400, request.clone(), Some("gzip")),
        ("bad-encoding", 400, request.clone(), Some("br")),
    ];
    for (code, status, body, coding) in cases {
        let answer = device.send(url, body, coding).await?;
        assert_eq!((answer.code().as_str(), answer.status), (code, status), "{coding:?}");
        assert_eq!(answer.content_type, "application/problem+json");
        let document: Json = serde_json::from_slice(&answer.body)?;
        for member in ["type", "title", "status", "detail"] {
            assert!(document.get(member).is_some(), "{code} has no {member}");
        }
    }
    // After all that, the good request counts, packed either way.
    let answer = device.send(url, packed, Some("zstd")).await?.reply()?;
    assert_eq!(answer.header.acked_through, 1);
    let answer = device.send(url, gzip(&request), Some("gzip")).await?.reply()?;
    assert_eq!(answer.header.acked_through, 1);
    assert_eq!(answer.outcomes[0].verdict, Verdict::Duplicate);
    Ok(())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn tokens_and_replicas_of_others_open_nothing() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut mine = survey.raw(0, 1).await?;
    let mut theirs = survey.raw(1, 2).await?;
    let body = household(id(1), &survey.area(0)?, "Maria Lay");

    let mut stranger = mine.clone();
    stranger.token = "0".repeat(64);
    assert_eq!(stranger.send(url, stranger.request(vec![]).to_bytes(), None).await?.code(), "unauthorised");

    // My token with their replica as the one who syncs. What they signed I may carry: it counts for them, and acks me nothing.
    // What nobody known signed is refused.
    let mut thief = theirs.clone();
    thief.token.clone_from(&mine.token);
    assert_eq!(thief.send(url, thief.request(vec![]).to_bytes(), None).await?.code(), "wrong-replica");
    let carried = theirs.batch(std::slice::from_ref(&body));
    let own = mine.batch(std::slice::from_ref(&body));
    let mut nobody = mine.clone();
    nobody.replica = sync_protocol::ReplicaId(id(77));
    let unknown = nobody.batch(std::slice::from_ref(&body));
    let reply = mine.push(url, vec![carried, unknown, own]).await?;
    assert_eq!(reply.outcomes.len(), 1, "{:?}", reply.outcomes);
    assert_eq!(
        (reply.outcomes[0].verdict, reply.outcomes[0].replica),
        (Verdict::Refused, sync_protocol::ReplicaId(id(77)))
    );
    assert_eq!(reply.outcomes[0].code.unwrap().as_str(), "wrong-replica");
    assert_eq!(reply.header.acked_through, 1, "my own batch counts beside them");
    let heard = theirs.push(url, vec![]).await?;
    assert_eq!(heard.header.acked_through, 1, "and theirs counts for them");

    // A batch that somebody tampered with, and one signed with another key.
    let mut tampered = mine.clone().batch(std::slice::from_ref(&body));
    tampered.changes[0] = sync_protocol::chain::Carried::Bytes(household(id(1), &survey.area(0)?, "Somebody Else"));
    let reply = mine.push(url, vec![tampered]).await?;
    assert_eq!(reply.outcomes[0].code.unwrap().as_str(), "bad-signature");
    let mut forger = mine.clone();
    forger.key = theirs.key.clone();
    let forged = forger.batch(&[body]);
    let reply = mine.push(url, vec![forged]).await?;
    assert_eq!(reply.outcomes[0].code.unwrap().as_str(), "bad-signature");
    assert_eq!(reply.header.acked_through, 1);

    // A used-up code enrols nobody.
    let code = survey.office.device_code(&survey.who(0)?)?;
    end_to_end::raw::RawDevice::enrol(url, &code, 9).await?;
    assert!(end_to_end::raw::RawDevice::enrol(url, &code, 10).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_revoked_device_pulls_nothing_and_its_changes_are_kept_apart() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut device = survey.raw(0, 1).await?;
    let first = device.batch(&[household(id(1), &survey.area(0)?, "Maria Lay")]);
    device.push(url, vec![first]).await?;
    survey.office.run("revoke", &["1"])?;
    let second = device.batch(&[household(id(2), &survey.area(0)?, "Yunus Bani")]);
    let reply = device.push(url, vec![second]).await?;
    assert_eq!(reply.header.acked_through, 2);
    assert_eq!(reply.outcomes[0].verdict, Verdict::Escrow);
    assert!(reply.scope.is_none() && reply.pulled.is_empty());
    assert_eq!(survey.coordinator().await?.all("records").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn of_a_body_that_is_cut_off_the_whole_batches_are_kept() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    for (packed, seed) in [(false, 1), (true, 2)] {
        let mut device = survey.raw(0, seed).await?;
        let batches: Vec<_> =
            (0..3).map(|n| device.batch(&[household(id(u128::from(seed) * 10 + n), &area, "Maria Lay")])).collect();
        let whole = device.request(batches.clone()).to_bytes();
        let two = device.request(batches[..2].to_vec()).to_bytes();
        // Somewhere inside the third batch.
        let cut = whole[..two.len() + 40].to_vec();
        let body = if packed {
            // A stream that was flushed, then cut in the middle of what follows.
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
            std::io::Write::write_all(&mut encoder, &cut)?;
            std::io::Write::flush(&mut encoder)?;
            encoder.get_ref().clone()
        } else {
            cut
        };
        let answer = device.send(url, body, packed.then_some("zstd")).await?;
        assert_eq!((answer.status, answer.code().as_str()), (400, "cut-off"), "{packed}");
        assert_eq!(device.push(url, vec![]).await?.header.acked_through, 2, "{packed}");
        assert_eq!(device.push(url, vec![batches[2].clone()]).await?.header.acked_through, 3);
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_keeps_the_whole_batches() -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let survey = Survey::start(12, 2)?;
    let mut device = survey.raw(0, 1).await?;
    let area = survey.area(0)?;
    let batches: Vec<_> = (0..2).map(|n| device.batch(&[household(id(n), &area, "Maria Lay")])).collect();
    let whole = device.request(batches.clone()).to_bytes();
    let one = device.request(batches[..1].to_vec()).to_bytes();
    let address = survey.server.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let head = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        device.token,
        whole.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&whole[..one.len() + 30]).await?;
    // The phone's half of the connection ends; the server's answer, if any, is read to its end.
    socket.shutdown().await?;
    socket.read_to_end(&mut Vec::new()).await?;
    assert_eq!(device.push(&survey.server.url, vec![]).await?.header.acked_through, 1);
    Ok(())
}

#[tokio::test]
async fn an_unknown_query_parameter_is_named() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let coordinator = survey.coordinator().await?;
    for list in ["records?colour=red", "progress?by=planet", "records?limit=many"] {
        let error = coordinator.get(list).await.unwrap_err();
        assert!(error.to_string().contains("400"), "{list}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_leads_nowhere_answers_browsers_with_a_page_and_programs_with_a_problem() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let client = reqwest::Client::new();
    for (path, accept, kind) in [
        ("/records/x/y", "text/html,*/*;q=0.8", "text/html"),
        ("/nothing<here", "text/html", "text/html"),
        ("/nothing", "*/*", "application/problem+json"),
        ("/v1/nothing", "text/html", "application/problem+json"),
        ("/api/v1/nothing", "text/html", "application/problem+json"),
    ] {
        let request = client.get(format!("{}{path}", survey.server.url)).header("accept", accept);
        let answer = request.header("accept-language", "id").send().await?;
        assert_eq!(answer.status(), 404, "{path}");
        let said = answer.headers()["content-type"].to_str()?.to_owned();
        assert!(said.starts_with(kind), "{path}: {said}");
        let text = answer.text().await?;
        assert!(
            kind != "text/html" || (text.contains("Yang dicari tidak ada di sini.") && !text.contains("<here")),
            "{text}"
        );
    }
    Ok(())
}
