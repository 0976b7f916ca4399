//! Hubs: phones sync where there is no network, and what they gave is carried to the server; the real hub over real HTTP.
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
    hub::Running,
    raw::RawDevice,
    survey::{Survey, household},
};
use sync_protocol::{
    HouseholdId, RecordId, Value,
    chain::{Adoption, SecretKey},
    engine::device::DeviceStore,
    wire::{Fork, Reply, ReplyHeader},
};
use tokio::sync::Mutex;

/// One test at a time: a program that another test is just starting holds all that is open for a moment, the lock of a sync
/// among it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Registers a household in an area and begins its interview.
fn interviewed(person: &mut Enumerator, area: &str, head: &str) -> Result<(HouseholdId, RecordId)> {
    let answers = [("area", Value::text(area)), ("head", Value::text(head))];
    let home = person.device.register_household(&person.code, &answers)?;
    let record = person.device.start_interview(home, "1", &questionnaire(), &person.code)?;
    person.device.save(record, &person.code, &[Edit::set("floor", Value::text("1"))?])?;
    Ok((home, record))
}

/// A survey in which two enumerators share an area, and their leader has a hub.
async fn village() -> Result<(Survey, Enumerator, Enumerator, Enumerator, String)> {
    let survey = Survey::start(24, 2)?;
    let area = survey.area(0)?;
    survey.office.run("assign", &[&survey.who(1)?, &area])?;
    let leader = survey.leader("KP900", "TIM-3", &[0, 1]).await?;
    let (a, b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    Ok((survey, leader, a, b, area))
}

#[tokio::test]
async fn what_phones_give_to_a_hub_reaches_the_server_and_each_other_with_receipts() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, mut b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    let (of_a, _) = interviewed(&mut a, &area, "Maria Nalle")?;
    let (of_b, record) = interviewed(&mut b, &area, "Yohanis Taek")?;
    let met = survey.meet(&mut a, &hub).await?;
    survey.meet(&mut b, &hub).await?;
    assert_eq!((met.hub.as_str(), met.report.acked), ("TIM-3", 3));
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_hub, status.interviews_on_server), (1, 0), "on a hub is not on the server");
    assert_eq!((status.hub.as_deref(), status.unsent), (Some("TIM-3"), 3));
    assert!(!a.has(of_b)?, "what the server has not seen is told to nobody");

    // The leader finds a network.
    survey.sync(&mut leader).await?;
    assert!(leader.has(of_a)? && leader.has(of_b)?);
    assert!(leader.device.load()?.iter().all(|load| load.waiting == 0));
    let coordinator = survey.coordinator().await?;
    assert_eq!(coordinator.get(&format!("records/{record}")).await?["answers"][0]["path"], "floor");
    let devices = coordinator.get("devices").await?;
    let tablet = devices["items"].as_array().unwrap().iter().find(|device| device["name"] == "TIM-3").unwrap();
    assert_eq!(tablet["carried"], 6, "the coordinators see what came by which hub");

    // Back in the village the phones hear that it is safe, and of each other.
    survey.meet(&mut a, &hub).await?;
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_server, status.unsent, status.hub), (1, 0, None));
    assert!(a.has(of_b)?);
    let shown = a.device.record(record)?;
    assert_eq!(*shown.answer(&"floor".parse()?).unwrap().siblings[0].value, Value::text("1"));

    // By the server itself there is nothing more to send, and nothing changes.
    let report = survey.sync(&mut a).await?;
    assert_eq!((report.acked, report.forks), (0, 0));
    assert_eq!(a.device.record(record)?.canonical_view(), shown.canonical_view());
    Ok(())
}

#[tokio::test]
async fn by_any_path_in_any_order_and_doubled_it_arrives_once() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut first, mut a, mut b, area) = village().await?;
    let mut second = survey.leader("KP901", "TIM-4", &[0, 1]).await?;
    let (hub, other) = (Running::start(&first.file)?, Running::start(&second.file)?);
    let (home, record) = interviewed(&mut a, &area, "Maria Nalle")?;
    survey.meet(&mut a, &hub).await?;
    a.device.save(record, &a.code, &[Edit::set("wall", Value::text("2"))?])?;
    // The same and more to another hub; then the hubs meet, both ways.
    survey.meet(&mut a, &other).await?;
    survey.meet(&mut first, &other).await?;
    survey.meet(&mut second, &hub).await?;
    survey.meet(&mut first, &other).await?;

    // The second leader is at the server first, then the phone itself, then the first leader.
    survey.sync(&mut second).await?;
    let report = survey.sync(&mut a).await?;
    assert_eq!((report.forks, a.device.status()?.unsent), (0, 0));
    survey.sync(&mut first).await?;
    for leader in [&mut first, &mut second] {
        assert!(leader.has(home)?);
        assert!(leader.device.load()?.iter().all(|load| load.waiting == 0));
    }
    let coordinator = survey.coordinator().await?;
    let history = coordinator.get(&format!("records/{record}/history?path=wall")).await?;
    assert_eq!(history["values"].as_array().unwrap().len(), 1);
    // A phone that has only met the first hub hears by it what the second one carried.
    survey.meet(&mut b, &hub).await?;
    assert!(b.has(home)?);
    Ok(())
}

#[tokio::test]
async fn a_receipt_goes_from_hub_to_hub_to_the_phone() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut far, mut a, _, area) = village().await?;
    let mut near = survey.leader("KP901", "TIM-4", &[0, 1]).await?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    let in_village = Running::start(&near.file)?;
    survey.meet(&mut a, &in_village).await?;
    // The hub of the village never sees the server again: another one comes by.
    let on_the_road = Running::start(&far.file)?;
    survey.meet(&mut near, &on_the_road).await?;
    survey.sync(&mut far).await?;
    survey.meet(&mut near, &on_the_road).await?;
    survey.meet(&mut a, &in_village).await?;
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_server, status.unsent), (1, 0));
    Ok(())
}

#[tokio::test]
async fn both_lives_of_a_copied_phone_come_through_a_hub_and_count_once() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _, area) = village().await?;
    let (_, record) = interviewed(&mut a, &area, "Maria Nalle")?;
    survey.sync(&mut a).await?;
    let (mut original, mut copy) = a.cloned(&survey.file("copy"))?;
    let hub = Running::start(&leader.file)?;
    original.device.save(record, &original.code, &[Edit::set("wall", Value::text("1"))?])?;
    copy.device.save(record, &copy.code, &[Edit::set("wall", Value::text("2"))?])?;
    survey.meet(&mut original, &hub).await?;
    survey.meet(&mut copy, &hub).await?;
    survey.sync(&mut leader).await?;
    // The receipt names the one history; the other life is not deceived by it.
    survey.meet(&mut original, &hub).await?;
    survey.meet(&mut copy, &hub).await?;
    assert_eq!((original.device.status()?.unsent, copy.device.status()?.unsent), (0, 1));
    assert_eq!(survey.sync(&mut copy).await?.forks, 1);
    survey.meet(&mut copy, &hub).await?;
    survey.sync(&mut leader).await?;
    let coordinator = survey.coordinator().await?;
    let history = coordinator.get(&format!("records/{record}/history?path=wall")).await?;
    let mut values: Vec<&str> =
        history["values"].as_array().unwrap().iter().map(|v| v["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_hub_that_is_lost_takes_nothing_with_it_and_one_that_is_killed_has_what_it_acked() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, mut b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    survey.meet(&mut a, &hub).await?;
    hub.kill()?;
    let hub = Running::start(&leader.file)?;
    let met = survey.meet(&mut a, &hub).await?;
    assert_eq!((met.report.acked, a.device.status()?.interviews_on_hub), (0, 1), "it is on the hub still");
    let (home, _) = interviewed(&mut b, &area, "Yohanis Taek")?;
    survey.meet(&mut b, &hub).await?;
    survey.sync(&mut leader).await?;
    // The tablet falls into the sea with what came later.
    b.device.save(home.into(), &b.code, &[Edit::set("head", Value::text("Yohanis Bani"))?])?;
    survey.meet(&mut b, &hub).await?;
    drop(hub);
    assert_eq!(b.device.status()?.unsent, 1);
    survey.sync(&mut b).await?;
    let coordinator = survey.coordinator().await?;
    assert!(coordinator.get(&format!("records/{home}")).await?.to_string().contains("Yohanis Bani"));
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_coordinator_is_no_receipt_and_what_a_revoked_phone_gave_is_kept_apart() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, mut b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    interviewed(&mut a, "9999999999.001", "Nowhere")?;
    interviewed(&mut b, &area, "Yohanis Taek")?;
    survey.meet(&mut a, &hub).await?;
    survey.meet(&mut b, &hub).await?;
    let coordinator = survey.coordinator().await?;
    let devices = coordinator.get("devices").await?["items"].as_array().unwrap().clone();
    let number = devices.iter().find(|device| device["name"] == "b").unwrap()["id"].clone();
    survey.office.run("revoke", &[&number.to_string()])?;
    survey.sync(&mut leader).await?;
    survey.meet(&mut a, &hub).await?;
    let status = a.device.status()?;
    assert_eq!(
        (status.interviews_on_server, status.unsent),
        (1, 3),
        "the first interview counts; the rest waits for a person"
    );
    // Its author hears why from the server itself.
    survey.sync(&mut a).await?;
    let status = a.device.status()?;
    assert!(status.unsent == 0 && status.quarantined > 0, "{status:?}");
    let met = survey.meet(&mut b, &hub).await?;
    assert_eq!((met.report.pulled, b.device.status()?.interviews_on_server), (0, 0), "a revoked phone is told nothing");
    Ok(())
}

#[tokio::test]
async fn only_a_leader_s_device_is_a_hub_and_only_for_areas_that_it_covers() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let survey = Survey::start(60, 4)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(2, "b").await?);
    assert!(Running::start(&b.file).is_err(), "an enumerator's phone is no hub");
    let leader = survey.leader("KP900", "TIM-3", &[0]).await?;
    let hub = Running::start(&leader.file)?;
    survey.meet(&mut a, &hub).await?;
    interviewed(&mut b, &survey.area(2)?, "Yohanis Taek")?;
    let refused = survey.meet(&mut b, &hub).await;
    assert!(refused.unwrap_err().to_string().contains("does not cover"));
    assert_eq!(b.device.status()?.hub, None);
    Ok(())
}

#[tokio::test]
async fn a_phone_and_a_hub_talk_in_sealed_boxes() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, leader, mut a, _, area) = village().await?;
    let mut hub = Running::start(&leader.file)?;
    let heard = end_to_end::hub::Overheard::start(&hub.url)?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    survey.http.sync_with_hub(&mut a.device, &heard.url, |_| ()).await?;
    assert_eq!(hub.tells()?["synced"]["kept"], 3);
    let bytes = heard.bytes();
    let is_there = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(is_there(b"POST /v1/sync") && is_there(a.code.as_bytes()), "the greeting is in the open");
    assert!(!is_there(b"Maria Nalle") && !is_there(b"\"batch\""));
    Ok(())
}

#[tokio::test]
async fn what_the_server_keeps_apart_of_a_hub_s_own_is_told_to_no_phone() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    let (home, record) = interviewed(&mut leader, &area, "Maria Nalle")?;
    leader.device.save(record, &leader.code, &[Edit::set("no_such_question", Value::text("1"))?])?;
    survey.sync(&mut leader).await?;
    assert_eq!(leader.device.status()?.quarantined, 1);
    survey.meet(&mut a, &hub).await?;
    assert!(a.has(home)?);
    let shown = a.device.record(record)?;
    assert_eq!(shown.changes().count(), 2, "begun and answered; the third waits for a coordinator");
    Ok(())
}

#[tokio::test]
async fn what_a_hub_was_told_of_its_own_name_stops_no_sync() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let survey = Survey::start(12, 2)?;
    let (code, other) = (survey.office.device_code(&survey.who(0)?)?, survey.office.device_code(&survey.who(1)?)?);
    let mut hub = RawDevice::enrol(&survey.server.url, &code, 1).await?;
    let liar = RawDevice::enrol(&survey.server.url, &other, 2).await?;
    let (area, eve) = (survey.area(0)?, SecretKey::from_seed([66; 32]));
    let batch = hub.batch(&[household(uuid::Uuid::from_u128(1), &area, "Maria Nalle")]);
    let mut request = hub.request(vec![batch]);
    request.adoptions = vec![Adoption::sign(hub.replica, eve.public(), liar.replica, &liar.key)];
    let reply = hub.send(&survey.server.url, request.to_bytes(), None).await?.reply()?;
    assert_eq!((reply.header.acked_through, reply.outcomes.len()), (1, 0));
    Ok(())
}

#[tokio::test]
async fn what_a_revoked_hub_carries_stays_there_until_another_one_brings_it() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    let (home, _) = interviewed(&mut a, &area, "Maria Nalle")?;
    survey.meet(&mut a, &hub).await?;
    let coordinator = survey.coordinator().await?;
    let devices = coordinator.get("devices").await?["items"].as_array().unwrap().clone();
    let number = devices.iter().find(|device| device["name"] == "TIM-3").unwrap()["id"].clone();
    survey.office.run("revoke", &[&number.to_string()])?;
    survey.sync(&mut leader).await?;
    let load = leader.device.load()?;
    assert_eq!(load.iter().map(|load| load.waiting).collect::<Vec<_>>(), [3]);
    // The phone falls into the sea: another leader meets the tablet.
    drop(a);
    let mut second = survey.leader("KP901", "TIM-4", &[0, 1]).await?;
    let other = Running::start(&second.file)?;
    survey.meet(&mut leader, &other).await?;
    survey.sync(&mut second).await?;
    assert!(coordinator.get(&format!("records/{home}")).await?.to_string().contains("Maria Nalle"));
    Ok(())
}

#[tokio::test]
async fn a_restored_server_takes_what_a_hub_carries_of_a_phone_that_it_has_forgotten() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, _, _, area) = village().await?;
    let backup = survey.backup()?;
    // It enrols after the backup, meets the hub, and is lost; and another one that had met the server with all that it has.
    let (mut late, mut known) = (survey.device(0, "late").await?, survey.device(1, "known").await?);
    let hub = Running::start(&leader.file)?;
    let (home, _) = interviewed(&mut late, &area, "Maria Nalle")?;
    let (other, _) = interviewed(&mut known, &area, "Yohanis Taek")?;
    survey.sync(&mut known).await?;
    survey.sync(&mut leader).await?;
    survey.meet(&mut late, &hub).await?;
    drop((late, known));

    let (_parts, coordinator) = survey.into_parts().restored(&backup).await?;
    client_core::transport::Http::new()?.sync(&mut leader.device, |_| ()).await?;
    assert!(leader.device.load()?.iter().all(|load| load.waiting == 0), "{:?}", leader.device.load()?);
    for (home, head) in [(home, "Maria Nalle"), (other, "Yohanis Taek")] {
        assert!(coordinator.get(&format!("records/{home}")).await?.to_string().contains(head), "{head}");
    }
    Ok(())
}

#[tokio::test]
async fn a_restored_server_takes_what_a_guest_alone_heard_of_a_phone_that_it_has_forgotten() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _, area) = village().await?;
    let backup = survey.backup()?;
    let mut late = survey.device(1, "late").await?;
    let (home, _) = interviewed(&mut late, &area, "Maria Nalle")?;
    survey.sync(&mut late).await?;
    let hub = Running::start(&leader.file)?;
    survey.sync(&mut leader).await?;
    survey.meet(&mut a, &hub).await?;
    assert!(a.has(home)?);
    drop((late, leader, hub));

    let (_parts, coordinator) = survey.into_parts().restored(&backup).await?;
    client_core::transport::Http::new()?.sync(&mut a.device, |_| ()).await?;
    assert!(coordinator.get(&format!("records/{home}")).await?.to_string().contains("Maria Nalle"));
    Ok(())
}

#[tokio::test]
async fn what_a_server_lost_that_it_had_acked_comes_back_from_a_phone_that_meets_hubs_alone() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _, area) = village().await?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    survey.sync(&mut a).await?;
    let backup = survey.backup()?;
    let (home, _) = interviewed(&mut a, &area, "Yohanis Taek")?;
    survey.sync(&mut a).await?;
    assert_eq!((a.device.status()?.interviews_on_server, a.device.status()?.unsent), (2, 0));

    let http = client_core::transport::Http::new()?;
    let (_parts, coordinator) = survey.into_parts().restored(&backup).await?;
    http.sync(&mut leader.device, |_| ()).await?;
    let hub = Running::start(&leader.file)?;
    http.sync_with_hub(&mut a.device, &hub.url, |_| ()).await?;
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_hub, status.interviews_on_server), (2, 0), "of today's server nothing is known");
    http.sync(&mut leader.device, |_| ()).await?;
    assert!(coordinator.get(&format!("records/{home}")).await?.to_string().contains("Yohanis Taek"));
    http.sync_with_hub(&mut a.device, &hub.url, |_| ()).await?;
    let status = a.device.status()?;
    assert_eq!((status.interviews_on_server, status.unsent, status.hub), (2, 0, None));
    // By the server itself there is nothing more to send.
    let report = http.sync(&mut a.device, |_| ()).await?.0;
    assert_eq!((report.acked, report.forks), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_hub_whose_disk_is_nearly_full_takes_nothing_and_loses_nothing() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, leader, mut a, _, area) = village().await?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    let hub = Running::start_with(&leader.file, "127.0.0.1:0", &["--keep-free", "1000000000"])?;
    let full = survey.meet(&mut a, &hub).await.unwrap_err();
    assert!(full.to_string().contains("takes no more"), "{full}");
    hub.kill()?;
    assert_eq!((a.device.status()?.interviews_on_hub, a.device.status()?.unsent), (0, 3));
    let hub = Running::start(&leader.file)?;
    survey.meet(&mut a, &hub).await?;
    assert_eq!(a.device.status()?.interviews_on_hub, 1);
    Ok(())
}

#[tokio::test]
async fn a_phone_greets_again_where_the_hub_was_started_anew_in_the_middle_of_its_sync() -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, leader, mut a, _, area) = village().await?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    let mut hub = Running::start(&leader.file)?;
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", between.local_addr()?);
    // Whoever stands between phone and hub lets greetings through, and ends the hub when the first sync comes.
    let forward = async {
        let mut syncs = 0;
        loop {
            let (mut phone, _) = between.accept().await.unwrap();
            let mut line = tokio::net::TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).await.unwrap();
            let (mut asked, mut answered) = ([0; 16384], [0; 16384]);
            loop {
                tokio::select! {
                    read = phone.read(&mut asked) => {
                        let Ok(count @ 1..) = read else { break };
                        syncs += usize::from(asked[..count].starts_with(b"POST /v1/sync"));
                        if syncs == 1 {
                            syncs += 1;
                            hub.kill().unwrap();
                            hub = Running::start(&leader.file).unwrap();
                            break;
                        }
                        line.write_all(&asked[..count]).await.unwrap();
                    }
                    read = line.read(&mut answered) => {
                        let Ok(count @ 1..) = read else { break };
                        phone.write_all(&answered[..count]).await.unwrap();
                    }
                }
            }
        }
    };
    let synced = tokio::select! {
        synced = survey.http.sync_with_hub(&mut a.device, &url, |_| ()) => synced?,
        never = forward => never,
    };
    assert_eq!((synced.report.acked, a.device.status()?.interviews_on_hub), (3, 1));
    Ok(())
}

#[tokio::test]
async fn strangers_who_begin_to_send_and_stop_keep_no_phone_from_a_hub() -> Result<()> {
    use std::io::Write;
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, leader, mut a, _b, area) = village().await?;
    let hub = Running::start(&leader.file)?;
    interviewed(&mut a, &area, "Maria Nalle")?;
    let address = hub.url.strip_prefix("http://").unwrap();
    let mut strangers = Vec::new();
    for _ in 0..64 {
        let mut stranger = std::net::TcpStream::connect(address)?;
        stranger.write_all(
            b"POST /v1/sync HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer 00\r\ncontent-length: 4000000\r\n\r\nx",
        )?;
        strangers.push(stranger);
    }
    assert_eq!(survey.meet(&mut a, &hub).await?.report.acked, 3);
    Ok(())
}

#[tokio::test]
async fn a_phone_whose_new_name_somebody_else_has_taken_goes_on_under_another_and_loses_nothing() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, mut leader, mut a, _b, area) = village().await?;
    let (_, record) = interviewed(&mut a, &area, "Maria Nalle")?;
    survey.sync(&mut a).await?;
    let (mut original, mut copy) = a.cloned(&survey.file("copy"))?;
    original.device.save(record, &original.code, &[Edit::set("wall", Value::text("1"))?])?;
    copy.device.save(record, &copy.code, &[Edit::set("wall", Value::text("2"))?])?;
    survey.sync(&mut original).await?;
    // The copy has heard that it is one; before it says its new name to the server, it says it in the village, in the open.
    let at = copy.device.position()?;
    let mut reply = Reply::new(ReplyHeader {
        tenun: 1,
        epoch: at.epoch,
        acked_through: at.acked_through,
        acked_hash: None,
        safe_through: 0,
        clock: 0,
        more: false,
    });
    reply.fork = Some(Fork { replica: at.replica, common: at.acked_through });
    copy.device.absorb(&Reply { cut_off: false, ..reply })?;
    let hub = Running::start(&leader.file)?;
    survey.meet(&mut copy, &hub).await?;
    let name = copy.device.position()?.replica;
    assert_ne!(name, at.replica);
    let code = survey.office.device_code(&survey.who(1)?)?;
    let liar = RawDevice::enrol(&survey.server.url, &code, 1).await?;
    let mut theft = liar.request(Vec::new());
    theft.adoptions = vec![Adoption::sign(name, SecretKey::from_seed([66; 32]).public(), liar.replica, &liar.key)];
    liar.send(&survey.server.url, theft.to_bytes(), None).await?.reply()?;

    survey.sync(&mut leader).await?;
    assert_eq!(leader.device.load()?.iter().map(|load| load.waiting).sum::<u64>(), 1, "what nobody believes is kept");
    let report = survey.sync(&mut copy).await?;
    assert_eq!((report.forks, copy.device.status()?.unsent), (1, 0));
    assert_ne!(copy.device.position()?.replica, name);
    assert_eq!(survey.sync(&mut copy).await?.forks, 0);
    let coordinator = survey.coordinator().await?;
    let history = coordinator.get(&format!("records/{record}/history?path=wall")).await?;
    let mut values: Vec<&str> =
        history["values"].as_array().unwrap().iter().map(|v| v["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, ["1", "2"]);
    // By that name hubs know it, too.
    copy.device.save(record, &copy.code, &[Edit::set("floor", Value::text("3"))?])?;
    assert_eq!(survey.meet(&mut copy, &hub).await?.report.acked, 1);
    Ok(())
}

#[tokio::test]
async fn whoever_syncs_hears_who_was_revoked() -> Result<()> {
    let _one = ONE_AT_A_TIME.lock().await;
    let survey = Survey::start(12, 2)?;
    let code = survey.office.device_code(&survey.who(0)?)?;
    let device = RawDevice::enrol(&survey.server.url, &code, 1).await?;
    survey.office.run("revoke", &["1"])?;
    let mut request = device.request(Vec::new());
    request.header.pass = Some(0);
    let reply = device.send(&survey.server.url, request.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.barred, [device.replica]);
    Ok(())
}

#[tokio::test]
async fn whoever_answers_a_greeting_without_end_fills_no_phone() -> Result<()> {
    use std::io::{Read, Write};
    let _one = ONE_AT_A_TIME.lock().await;
    let (survey, _leader, mut a, _b, _area) = village().await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let stranger = std::thread::spawn(move || {
        let (mut phone, _) = listener.accept().unwrap();
        let _ = phone.read(&mut [0; 4096]);
        let mut sent = 0;
        let _ = phone.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while sent < 64 << 20 && phone.write_all(&[b' '; 4096]).is_ok() {
            sent += 4096;
        }
        sent
    });
    assert!(survey.http.sync_with_hub(&mut a.device, &url, |_| ()).await.is_err());
    // The phone's end of the line is closed on this thread.
    let sent = tokio::task::spawn_blocking(|| stranger.join().unwrap()).await?;
    assert!(sent < 32 << 20, "the phone hung up");
    Ok(())
}
