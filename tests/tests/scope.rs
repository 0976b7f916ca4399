//! What a device may see: what is taken away or moves away goes, once nothing of it is unsent, and comes back whole.
#![allow(
    clippy::panic_in_result_fn,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "assertions are what a test is for, and a helper of tests fails its test"
)]

use anyhow::Result;
use client_core::{Edit, transport::Http};
use end_to_end::{
    field::{Enumerator, questionnaire},
    server::{Coordinator, Office},
    survey::{self, Survey},
};
use serde_json::json;
use sync_protocol::{
    HouseholdId, RecordId, Value,
    engine::device::{Action, Event, Turn},
};

async fn interviewed(survey: &Survey, person: &mut Enumerator, area: &str) -> Result<(HouseholdId, RecordId)> {
    let home = person
        .device
        .register_household(&person.code, &[("area", Value::text(area)), ("head", Value::text("Maria Nalle"))])?;
    let record = person.device.start_interview(home, "1", &questionnaire(), &person.code)?;
    person.device.save(record, &person.code, &[Edit::set("floor", Value::text("1"))?])?;
    survey.sync(person).await?;
    Ok((home, record))
}

fn answers(person: &mut Enumerator, record: RecordId) -> Vec<(String, String)> {
    let record = person.device.record(record).unwrap();
    record.shown_answers().map(|(path, answer)| (path.to_string(), answer.siblings[0].value.to_string())).collect()
}

#[tokio::test]
async fn an_area_that_was_taken_away_goes_once_all_is_sent_and_comes_back_whole() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let (who, area) = (survey.who(0)?, survey.area(0)?);
    let (home, record) = interviewed(&survey, &mut a, &area).await?;
    let raw = survey.raw(1, 5).await?;
    survey.office.run("assign", &[&survey.who(1)?, &area])?;

    // Offline, with an answer that is not sent: it is sent before the household goes.
    a.device.save(record, &a.code, &[Edit::set("wall", Value::text("1"))?])?;
    survey.office.run("unassign", &[&who, &area])?;
    assert!(a.has(home)?);
    survey.sync(&mut a).await?;
    assert_eq!(a.device.status()?.unsent, 0);
    assert!(!a.has(home)?, "the area is not theirs any more");
    assert!(a.device.record(record).is_err() || a.device.summary(record).is_err());
    let coordinator = survey.coordinator().await?;
    let detail = coordinator.get(&format!("records/{record}")).await?;
    let paths: Vec<&str> = detail["answers"].as_array().unwrap().iter().map(|a| a["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"wall") && paths.contains(&"floor"), "{paths:?}");

    // Nothing was in a backup: the phone kept its own changes, and shows them again when the area is theirs again.
    let before = [("floor", "1"), ("wall", "1")].map(|(path, text)| (path.to_owned(), text.to_owned()));
    survey.office.run("assign", &[&who, &area])?;
    survey.sync(&mut a).await?;
    assert!(a.has(home)?);
    assert_eq!(answers(&mut a, record), before);

    // Now they are safe, and freed with the area; the server gives them back like anybody's.
    survey.back_up()?;
    survey.sync(&mut a).await?;
    survey.office.run("unassign", &[&who, &area])?;
    survey.sync(&mut a).await?;
    assert!(!a.has(home)?);
    survey.sync(&mut a).await?;
    survey.office.run("assign", &[&who, &area])?;
    survey.sync(&mut a).await?;
    assert_eq!(answers(&mut a, record), before);
    // The chain goes on where it was.
    a.device.save(record, &a.code, &[Edit::set("roof", Value::text("1"))?])?;
    survey.sync(&mut a).await?;
    assert_eq!((a.device.status()?.unsent, survey.sync(&mut a).await?.round_trips), (0, 1));
    drop(raw);
    Ok(())
}

#[tokio::test]
async fn a_screen_that_is_open_while_its_household_goes_loses_no_answer() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let (who, area) = (survey.who(0)?, survey.area(0)?);
    let (home, record) = interviewed(&survey, &mut a, &area).await?;
    let mut open = client_core::Interview::open(&mut a.device, record, &a.code)?;
    survey.office.run("unassign", &[&who, &area])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut a).await?;
    assert!(a.has(home)?, "somebody is at work on it");
    // Left by a crash long ago: it goes, and what is typed there all the same is kept and sent.
    a.device.host().wait_minutes(3 * 24 * 60);
    survey.sync(&mut a).await?;
    assert!(!a.has(home)?);
    open.answer(&mut a.device, &"wall".parse()?, "1")?;
    assert!(a.device.status()?.unsent > 0);
    survey.sync(&mut a).await?;
    assert_eq!(a.device.status()?.unsent, 0);
    let detail = survey.coordinator().await?.get(&format!("records/{record}")).await?;
    assert!(detail["answers"].as_array().unwrap().iter().any(|answer| answer["path"] == "wall"));
    Ok(())
}

#[tokio::test]
async fn a_household_that_moves_away_goes_and_one_that_moves_back_is_whole() -> Result<()> {
    let survey = Survey::start(24, 3)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let (here, there) = (survey.area(0)?, survey.area(2)?);
    let (home, record) = interviewed(&survey, &mut a, &here).await?;
    survey.office.run("assign", &[&survey.who(1)?, &here])?;
    survey.sync(&mut b).await?;
    b.device.save(home.into(), &b.code, &[Edit::set("area", Value::text(&there))?])?;
    survey.sync(&mut b).await?;

    a.device.save(record, &a.code, &[Edit::set("wall", Value::text("1"))?])?;
    let report = survey.sync(&mut a).await?;
    assert_eq!((report.round_trips, report.acked), (1, 1));
    assert!(!a.has(home)?, "it lives where this phone sees nothing");
    survey.sync(&mut b).await?;
    assert!(b.has(home)?, "both of its areas are theirs");

    b.device.save(record, &b.code, &[Edit::set("roof", Value::text("1"))?])?;
    b.device.save(home.into(), &b.code, &[Edit::set("area", Value::text(&here))?])?;
    survey.sync(&mut b).await?;
    survey.sync(&mut a).await?;
    assert!(a.has(home)?);
    assert_eq!(a.device.record(record)?.canonical_view(), b.device.record(record)?.canonical_view());
    Ok(())
}

#[tokio::test]
async fn a_leader_sees_the_team_and_an_assigned_household_comes_first() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let area = survey.area(0)?;
    interviewed(&survey, &mut a, &area).await?;
    let (second, _) = interviewed(&survey, &mut a, &area).await?;
    survey.office.run("assign", &[&survey.who(0)?, "--household", &second.to_string()])?;
    survey.sync(&mut a).await?;
    let lines = a.device.households()?;
    assert_eq!((lines[0].household, lines[0].assigned.as_slice()), (second, ["1".to_owned()].as_slice()));
    assert!(lines[1].assigned.is_empty());

    let kelurahan = area.split('.').next().unwrap();
    survey.office.run("enumerator", &["KP900", "Yohana Benu"])?;
    survey.office.run("lead", &["KP900", kelurahan])?;
    let code = survey.office.device_code("KP900")?;
    let phone = end_to_end::field::Phone::new(900, 1_767_225_600_000, 0);
    let file = survey.file("leader");
    let mut leader =
        Enumerator::enrol(&survey.http, &survey.server.url, &code, "KP900", "tablet", &file, phone).await?;
    survey.sync(&mut leader).await?;
    assert!(leader.has(second)?);
    let team = leader.device.team()?;
    assert!(team.iter().any(|device| device.enumerator == a.code && device.seen.is_some()), "{team:?}");
    // What a leader mends there is in scope.
    leader.device.save(second.into(), "KP900", &[Edit::set("head", Value::text("Yohana"))?])?;
    survey.sync(&mut leader).await?;
    let detail = survey.coordinator().await?.get(&format!("records/{second}")).await?;
    assert!(!detail.to_string().contains("out-of-scope"), "{detail}");
    Ok(())
}

#[tokio::test]
async fn a_household_that_its_phone_moves_back_before_it_hears_that_it_had_left_stays() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let mut a = survey.device(0, "a").await?;
    let (here, there) = (survey.area(0)?, survey.area(1)?);
    survey.office.run("unassign", &[&survey.who(0)?, &there]).ok();
    let (home, record) = interviewed(&survey, &mut a, &here).await?;
    // The answer to this is lost.
    a.device.save(home.into(), &a.code, &[Edit::set("area", Value::text(&there))?])?;
    let (server, token) = a.device.server()?;
    let begun = Turn::new("test").step(&mut a.device, Event::Begin, 1_767_225_600_000)?;
    let Action::Send(body) = begun else { anyhow::bail!("nothing to send") };
    let answer = reqwest::Client::new().post(format!("{server}/v1/sync")).bearer_auth(token).body(body).send().await?;
    assert!(answer.status().is_success());
    a.device.save(home.into(), &a.code, &[Edit::set("area", Value::text(&here))?])?;
    for _ in 0..2 {
        survey.sync(&mut a).await?;
        assert!(a.has(home)?, "it lives in their area");
    }
    assert_eq!(answers(&mut a, record), [("floor".to_owned(), "1".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_household_that_only_escrow_places_in_an_area_left_it_when_it_lives_elsewhere() -> Result<()> {
    let survey = Survey::start(24, 3)?;
    let url = &survey.server.url;
    let (here, there) = (survey.area(0)?, survey.area(2)?);
    let homes = [71, 72, 73].map(uuid::Uuid::from_u128);
    let mut lost = survey.raw(0, 61).await?;
    // Who sees the first area may have heard of all three by way of a hub, before the server was restored and the phone revoked.
    let neighbour = survey.raw(0, 62).await?;
    let mut other = survey.raw(2, 63).await?;
    survey.office.run("revoke", &["1"])?;
    let left = async || -> Result<Vec<HouseholdId>> {
        let reply = neighbour.push(url, Vec::new()).await?;
        Ok(reply.pulled.into_iter().flat_map(|run| run.moved).collect())
    };
    // Of one the server hears where it lives before it hears where the lost phone had it; of the others after that.
    let batch = other.batch(&[survey::household(homes[0], &there, "Ana")]);
    other.push(url, vec![batch]).await?;
    assert_eq!(left().await?, []);
    for _ in 0..2 {
        let batch = lost.batch(&homes.map(|home| survey::household(home, &here, "Ana")));
        lost.push(url, vec![batch]).await?;
        assert_eq!(left().await?, [HouseholdId(homes[0])]);
    }
    for (count, home) in (2..).zip(homes.into_iter().skip(1)) {
        for head in ["Ana", "Rita"] {
            let batch = other.batch(&[survey::household(home, &there, head)]);
            other.push(url, vec![batch]).await?;
            assert_eq!(left().await?, homes.into_iter().take(count).map(HouseholdId).collect::<Vec<_>>());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_household_whose_move_a_restore_put_apart_comes_back_to_who_works_where_it_lives_meanwhile() -> Result<()> {
    // The move was not in the backup, and is sent again, with its stamp or by a phone that never heard of one; or it was, and
    // waited there.
    for (waits, is_stamped) in [(false, true), (false, false), (true, true)] {
        let survey = Survey::start(24, 3)?;
        let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
        let mut c = survey.device(2, "c").await?;
        let (here, there) = (survey.area(0)?, "5371999999.001");
        survey.office.run("assign", &[&b.code, &here])?;
        survey.office.run("assign", &[&c.code, &here])?;
        let (home, record) = interviewed(&survey, &mut a, &here).await?;
        survey.sync(&mut b).await?;
        survey.sync(&mut c).await?;
        let (before, after) = (survey.backup()?, survey.file("after.sqlite"));
        b.device.save(home.into(), &b.code, &[Edit::set("area", Value::text(there))?])?;
        let (mut b, unheard) = b.cloned(&survey.file("unheard"))?;
        survey.sync(&mut b).await?;
        assert_eq!(b.device.status()?.quarantined, 1);
        survey.office.run("backup", &["--to", survey.file("later").to_str().unwrap()])?;
        let later = std::fs::read_dir(survey.file("later"))?.filter_map(|file| Some(file.ok()?.path()));
        std::fs::copy(later.into_iter().find(|file| file.extension().is_some_and(|e| e == "sqlite")).unwrap(), &after)?;
        let areas = survey.file("areas.csv");
        std::fs::write(&areas, format!("code,name,level,parent\n{there},RT 001,rt,\n"))?;
        let release = async |office: &Office, coordinator: &Coordinator, c: &str| -> Result<()> {
            office.run("areas", &[areas.to_str().unwrap()])?;
            office.run("assign", &[c, there])?;
            let number = coordinator.all("quarantine").await?[0]["number"].clone();
            assert_eq!(coordinator.post(&format!("quarantine/{number}/release"), &json!({})).await?.0, 204);
            Ok(())
        };
        release(&survey.office, &survey.coordinator().await?, &c.code).await?;
        for (phone, sees) in [(&mut a, false), (&mut c, true)] {
            survey.sync(phone).await?;
            assert_eq!(phone.has(home)?, sees, "it moved to where the other sees it");
        }

        let (parts, coordinator) = survey.into_parts().restored(if waits { &after } else { &before }).await?;
        let http = Http::new()?;
        let mut b = if is_stamped {
            b
        } else {
            // It is the first to bring it.
            let mut b = unheard;
            http.sync(&mut b.device, |_| ()).await?;
            b
        };
        // The second time each hears what the others brought.
        for _ in 0..2 {
            for phone in [&mut c, &mut b, &mut a] {
                http.sync(&mut phone.device, |_| ()).await?;
            }
        }
        for phone in [&mut a, &mut c] {
            assert!(phone.has(home)?, "waits: {waits}, stamped: {is_stamped}");
            assert_eq!(phone.device.summary(home.into())?.area.as_deref(), Some(&*here));
            assert_eq!(answers(phone, record), [("floor".to_owned(), "1".to_owned())]);
        }
        assert_eq!(b.device.status()?.quarantined, 1);
        release(&parts.office, &coordinator, &c.code).await?;
        for (phone, sees) in [(&mut a, false), (&mut c, true), (&mut b, false)] {
            http.sync(&mut phone.device, |_| ()).await?;
            assert_eq!(phone.has(home)?, sees, "released at last");
        }
        assert_eq!(c.device.summary(home.into())?.area.as_deref(), Some(there));
    }
    Ok(())
}
