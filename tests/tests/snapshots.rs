//! A device that is far behind takes records as they stand: it shows the same as one that followed all along.
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
    survey::{Survey, household},
};
use serde_json::json;
use sync_protocol::{Path, Place, RecordId, Value, engine::device::DeviceStore, wire::Reply};

/// A year of work on a few households of one area: far more changes than answers that live.
async fn busy(survey: &Survey, person: &mut Enumerator, homes: usize, saves: u32) -> Result<Vec<RecordId>> {
    let mut records = Vec::new();
    for number in 0..homes {
        let home = person.device.register_household(
            &person.code,
            &[("area", Value::text(survey.area(0)?)), ("head", Value::text(format!("Head {number}")))],
        )?;
        records.push(home.into());
        records.push(person.device.start_interview(home, "1", &questionnaire(), &person.code)?);
    }
    for save in 0..saves {
        for record in records.iter().skip(1).step_by(2) {
            let row = Place::record().row("member", &format!("row{}", save % 3))?;
            let mut edits = vec![Edit::set("years_here", Value::Integer(i64::from(save)))?];
            if save < 3 {
                edits.push(Edit::AddRow(row.clone()));
            }
            if save == 7 {
                edits.push(Edit::RemoveRow(Place::record().row("member", "row2")?));
            } else if save % 3 != 2 {
                edits.push(Edit::Set(Path::new(row, "m_age")?, Value::Integer(i64::from(save % 90))));
            }
            person.device.save(*record, &person.code, &edits)?;
        }
    }
    survey.sync(person).await?;
    Ok(records)
}

fn shown(person: &mut Enumerator, records: &[RecordId]) -> Vec<String> {
    let view = |record: &RecordId| person.device.record(*record).unwrap().canonical_view();
    records.iter().map(view).map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[tokio::test]
async fn a_new_device_shows_the_same_from_a_fraction_of_the_history() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut old = survey.device(0, "old").await?;
    let records = busy(&survey, &mut old, 5, 100).await?;
    survey.back_up()?;
    let mut new = survey.device(0, "new").await?;
    survey.sync(&mut old).await?;
    assert_eq!(shown(&mut new, &records), shown(&mut old, &records));
    let stored: i64 =
        rusqlite::Connection::open(&new.file)?.query_row("SELECT count(*) FROM change", [], |r| r.get(0))?;
    assert_eq!(stored, 0, "no history came, only records as they stand");

    // From there on it is a device like any other: it edits over what it shows, and what others do comes as changes.
    new.device.save(records[1], &new.code, &[Edit::set("years_here", Value::Integer(55))?])?;
    survey.sync(&mut new).await?;
    old.device.save(records[3], &old.code, &[Edit::set("years_here", Value::Integer(66))?])?;
    survey.sync(&mut old).await?;
    survey.sync(&mut new).await?;
    assert_eq!(shown(&mut new, &records), shown(&mut old, &records));
    assert_eq!(new.device.status()?.conflicts, 0);
    Ok(())
}

#[tokio::test]
async fn a_device_that_was_away_for_a_year_pushes_first_and_keeps_what_it_had_not_sent() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let (mut old, mut away) = (survey.device(0, "old").await?, survey.device(0, "away").await?);
    let records = busy(&survey, &mut old, 3, 4).await?;
    survey.sync(&mut away).await?;
    // It works offline and is put in a drawer; the others go on for long.
    away.device.save(records[1], &away.code, &[Edit::set("years_here", Value::Integer(77))?])?;
    busy(&survey, &mut old, 3, 150).await?;
    for save in 0..300 {
        old.device.save(records[1], &old.code, &[Edit::set("years_here", Value::Integer(save))?])?;
    }
    survey.sync(&mut old).await?;
    survey.back_up()?;
    let report = survey.sync(&mut away).await?;
    assert_eq!((report.acked, away.device.status()?.unsent), (1, 0));
    survey.sync(&mut old).await?;
    assert_eq!(shown(&mut away, &records), shown(&mut old, &records));
    let years = away.device.record(records[1])?;
    let years = years.answer(&"years_here".parse()?).unwrap().siblings.len();
    assert_eq!(years, 2, "what it had typed a year ago is beside what came since");
    Ok(())
}

#[tokio::test]
async fn snapshots_that_are_cut_off_go_on_where_they_were_and_the_quarantined_is_a_hole() -> Result<()> {
    let survey = Survey::start(12, 1)?;
    let mut old = survey.device(0, "old").await?;
    let records = busy(&survey, &mut old, 90, 3).await?;
    for record in records.iter().skip(1).step_by(2) {
        old.device.save(*record, &old.code, &[Edit::Note("a long story ".repeat(600))])?;
    }
    survey.sync(&mut old).await?;
    // A change that waits for its area, of a household that counts otherwise.
    let mut raw = survey.raw(0, 9).await?;
    let home = uuid::Uuid::from_u128(99);
    let good = household(home, &survey.area(0)?, "Rosalina");
    let bad = json!({ "household": home, "form": "household@1", "by": "KP001", "at": 5,
        "set": { "": { "area": "9999", "head": "Yohana" } }, "over": { "": { "head": [1] } } });
    let batch = raw.batch(&[good, bad.to_string().into_bytes()]);
    raw.push(&survey.server.url, vec![batch]).await?;
    survey.back_up()?;

    let code = survey.office.device_code(&old.code)?;
    let phone = end_to_end::field::Phone::new(5, 1_767_225_600_000, 0);
    let (http, url, file) = (&survey.http, &survey.server.url, survey.file("new"));
    let mut new = Enumerator::enrol(http, url, &code, &old.code, "new", &file, phone).await?;
    // The line breaks in each reply; what was whole before the break counts.
    let (server, token) = new.device.server()?;
    let mut turn = sync_protocol::engine::device::Turn::new("test");
    let mut event = sync_protocol::engine::device::Event::Begin;
    let mut pages = 0;
    for number in 0.. {
        let action = turn.step(&mut new.device, event, 1_767_225_600_000)?;
        let sync_protocol::engine::device::Action::Send(body) = action else { break };
        let client = reqwest::Client::new();
        let answer = client.post(format!("{server}/v1/sync")).bearer_auth(&token).body(body).send().await?;
        let answer = answer.bytes().await?.to_vec();
        pages += u32::from(Reply::from_bytes(&answer).unwrap().header.more);
        let cut = if number % 2 == 0 { answer.len() * 9 / 10 } else { answer.len() };
        event = sync_protocol::engine::device::Event::Answered(answer[..cut].to_vec());
        anyhow::ensure!(number < 40, "it goes round in circles");
    }
    assert!(pages > 0, "the snapshots fill more than one reply");
    assert!(new.device.position()?.snapshots.is_empty(), "all of them were told");
    survey.sync(&mut new).await?;
    survey.sync(&mut old).await?;
    assert_eq!(shown(&mut new, &records), shown(&mut old, &records));
    let head = |person: &mut Enumerator| {
        let record = person.device.record(RecordId(home)).unwrap();
        let head = record.answer(&"head".parse().unwrap()).unwrap();
        head.siblings.iter().map(|sibling| sibling.value.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(head(&mut new), ["Rosalina"]);

    // The area is loaded and the change released: it was no part of any snapshot, and counts now.
    let areas = survey.file("late.csv");
    std::fs::write(&areas, "code,name,level,parent\n9999,Late,rt,\n")?;
    survey.office.run("areas", &[areas.to_str().unwrap()])?;
    survey.office.run("assign", &[&old.code, "9999"])?;
    let coordinator = survey.coordinator().await?;
    let waiting = coordinator.all("quarantine").await?;
    let number = waiting[0]["number"].as_i64().unwrap();
    assert_eq!(coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?.0, 204);
    survey.sync(&mut new).await?;
    survey.sync(&mut old).await?;
    assert_eq!(head(&mut new), ["Yohana"]);
    assert_eq!(shown(&mut new, &[RecordId(home)]), shown(&mut old, &[RecordId(home)]));
    Ok(())
}
