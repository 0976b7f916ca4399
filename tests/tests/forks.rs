//! Cloned and restored phones: both lives survive (law L7), and nothing is applied twice.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::Result;
use client_core::Edit;
use end_to_end::{
    raw::RawDevice,
    survey::{Survey, household},
};
use serde_json::{Value as Json, json};
use server::{
    domain::{Failure, catalogue::Catalogue, identity::Identity, ingest, people, prepare},
    store,
};
use std::sync::Arc;
use sync_protocol::{
    Code, Dot, Hash, HouseholdId, Limits, RecordId, ReplicaId, Value,
    chain::{Adoption, Batch, Carried, SecretKey},
    engine::reauthor::{Renumbered, reauthor},
    wire::{Acked, Have, Request, Verdict},
};

async fn forks(survey: &Survey) -> Result<u64> {
    let devices = survey.coordinator().await?.all("devices").await?;
    Ok(devices.iter().filter_map(|device| device.get("forks").and_then(Json::as_u64)).sum())
}

fn floor(value: &str) -> Result<Vec<Edit>> {
    Ok(vec![Edit::set("address", Value::text(value))?])
}

fn record_of(household: HouseholdId) -> RecordId {
    end_to_end::field::interview_of(household.0, 1)
}

/// A phone whose first change, a household, is on the server, and a copy of it made then.
async fn copied(survey: &Survey) -> Result<(RawDevice, RawDevice)> {
    let mut phone = survey.raw(0, 1).await?;
    let first = phone.batch(&[household(uuid::Uuid::from_u128(1), &survey.area(0)?, "Maria Lay")]);
    phone.push(&survey.server.url, vec![first]).await?;
    Ok((phone.clone(), phone))
}

/// What a copied phone sends once it knows of its fork: its bodies after the common change, under a new name.
fn again(copy: &RawDevice, common: u64, bodies: &[Vec<u8>], hashes: &[Hash], id: u8) -> Result<(RawDevice, Request)> {
    let mut new = copy.clone();
    new.replica = ReplicaId(uuid::Uuid::from_u128(id.into()));
    new.key = SecretKey::from_seed([id; 32]);
    (new.next, new.head) = (1, Hash::default());
    let numbered = Renumbered::new(common, new.replica, (common + 1..).take(bodies.len()));
    let mut authored = Vec::new();
    for ((seq, body), hash) in (1..).zip(bodies).zip(hashes) {
        let old = Dot { replica: copy.replica, seq: common + seq };
        authored.push(
            reauthor(old, body, *hash, Dot { replica: new.replica, seq }, |seq| numbered.rename(seq))?.to_bytes(),
        );
    }
    let batch = new.batch(&authored);
    let mut request = new.request(vec![batch]);
    request.adoptions = vec![Adoption::sign(new.replica, new.key.public(), copy.replica, &copy.key)];
    Ok((new, request))
}

#[tokio::test]
async fn both_lives_of_a_cloned_phone_survive() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut phone = survey.device(0, "phone").await?;
    let area = survey.area(0)?;
    let who = phone.code.clone();
    let household = phone.device.register_household(&who, &[("area", Value::text(&area))])?;
    let record = phone.device.start_interview(household, "1", &end_to_end::field::questionnaire(), &who)?;
    survey.sync(&mut phone).await?;
    phone.device.save(record, &who, &floor("before the copy, not sent")?)?;
    let (mut phone, mut copy) = phone.cloned(&survey.file("copy"))?;
    // Both go on under one replica; the copy's answer is made of an answer that both have.
    phone.device.save(record, &who, &floor("by the phone")?)?;
    copy.device.save(record, &who, &floor("by the copy")?)?;
    copy.device.save(record, &who, &[Edit::Note("from the copy".into())])?;
    assert_eq!(survey.sync(&mut phone).await?.forks, 0);
    let report = survey.sync(&mut copy).await?;
    assert_eq!(report.forks, 1, "the copy takes a new replica");
    survey.sync(&mut phone).await?;
    survey.sync(&mut copy).await?;
    assert_eq!(forks(&survey).await?, 1);
    for device in [&mut phone.device, &mut copy.device] {
        let merged = device.record(record)?;
        let answer = merged.answer(&"address".parse()?);
        let mut values: Vec<String> =
            answer.iter().flat_map(|answer| answer.siblings.iter().map(|s| s.value.to_string())).collect();
        values.sort();
        assert_eq!(values, ["by the copy", "by the phone"], "a conflict of both lives, nothing twice");
        assert_eq!(merged.notes().count(), 1);
        assert_eq!(merged.history(&"address".parse()?).len(), 3);
        assert_eq!(device.status()?.unsent, 0);
    }
    // Both go on writing, and nothing forks again.
    phone.device.save(record, &who, &floor("later, by the phone")?)?;
    copy.device.save(record, &who, &[Edit::set("hh_size", Value::Integer(4))?])?;
    assert_eq!(survey.sync(&mut phone).await?.forks + survey.sync(&mut copy).await?.forks, 0);
    assert_eq!(record, record_of(household));
    Ok(())
}

#[tokio::test]
async fn a_copy_whose_answers_were_lost_on_the_way_sends_them_again_without_doubling() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut phone = survey.device(0, "phone").await?;
    let who = phone.code.clone();
    let household = phone.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
    survey.sync(&mut phone).await?;
    let (mut phone, copy) = phone.cloned(&survey.file("copy"))?;
    phone.device.save(household.into(), &who, &[Edit::Note("phone".into())])?;
    survey.sync(&mut phone).await?;
    // The copy forks; then it is copied once more in that very state, and both copies sync.
    let mut copy = copy;
    copy.device.save(household.into(), &who, &[Edit::Note("copy".into())])?;
    let (mut copy, mut third) = copy.cloned(&survey.file("third"))?;
    survey.sync(&mut copy).await?;
    survey.sync(&mut third).await?;
    for person in [&mut phone, &mut copy, &mut third] {
        survey.sync(person).await?;
        let merged = person.device.record(household.into())?;
        let mut notes: Vec<&str> = merged.notes().map(|(_, text)| text).collect();
        notes.sort_unstable();
        assert_eq!(notes, ["copy", "phone"], "the branch was re-authored twice and applied once");
    }
    Ok(())
}

#[tokio::test]
async fn a_phone_restored_from_an_older_copy_loses_nothing_and_uses_no_seq_twice() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut phone = survey.device(0, "phone").await?;
    let who = phone.code.clone();
    let household = phone.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
    let (mut phone, mut restored) = phone.cloned(&survey.file("backup"))?;
    phone.device.save(household.into(), &who, &[Edit::set("head", Value::text("after the backup"))?])?;
    survey.sync(&mut phone).await?;
    drop(phone);
    // The phone is lost; its backup comes alive on a new one, syncs first, and writes afterwards.
    assert_eq!(survey.sync(&mut restored).await?.forks, 1);
    survey.sync(&mut restored).await?;
    let merged = restored.device.record(household.into())?;
    let head = merged.answer(&"head".parse()?);
    let shown = head.and_then(|answer| answer.siblings.first().map(|sibling| sibling.value.clone()));
    assert_eq!(shown, Some(Value::text("after the backup")), "what the server held came back");
    restored.device.save(household.into(), &who, &[Edit::set("head", Value::text("restored"))?])?;
    survey.sync(&mut restored).await?;
    let record = survey.coordinator().await?.get(&format!("records/{household}/history?path=head")).await?;
    let values: Vec<&Json> = record["values"].as_array().into_iter().flatten().map(|value| &value["value"]).collect();
    assert_eq!(values, [&json!("after the backup"), &json!("restored")]);
    Ok(())
}

#[tokio::test]
async fn a_branch_whose_phone_is_lost_is_released_once_whoever_returns() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let home = uuid::Uuid::from_u128(0x77);
    let mut phone = survey.raw(0, 1).await?;
    let first = phone.batch(&[household(home, &survey.area(0)?, "Maria Lay")]);
    phone.push(url, vec![first]).await?;
    let mut copy = phone.clone();
    let set = |head: &str, over: u64| {
        json!({ "household": home, "form": "household@1", "by": "KP001", "at": 5, "set": { "": { "head": head } },
            "over": { "": { "head": [over] } } })
        .to_string()
        .into_bytes()
    };
    let kept = phone.batch(&[set("by the phone", 1)]);
    phone.push(url, vec![kept]).await?;
    // The copy replaces the shared value, then its own, and is lost once it has sent them.
    let (before, bodies) = (copy.head, [set("by the copy", 1), set("by the copy, later", 2)]);
    let lost = copy.batch(&bodies);
    let hashes = lost.verify(&copy.key.public())?;
    assert_eq!(lost.before, before);
    assert_eq!(copy.push(url, vec![lost]).await?.fork.map(|fork| fork.common), Some(1));

    let coordinator = survey.coordinator().await?;
    let waiting = coordinator.all("branches").await?;
    assert_eq!((waiting.len(), &waiting[0]["changes"]), (1, &json!(2)));
    let release = format!("branches/{}/release", copy.replica);
    assert_eq!(coordinator.post(&release, &json!({})).await?, (200, json!({ "changes": 2 })));
    assert_eq!(coordinator.post(&release, &json!({})).await?.0, 404, "nothing waits any more");
    let shown = || async {
        let record = coordinator.get(&format!("records/{home}")).await?;
        let answers = record["answers"].as_array().cloned().unwrap_or_default();
        let head = answers.into_iter().find(|answer| answer["path"] == "head").unwrap_or_default();
        let siblings = head["siblings"].as_array().cloned().unwrap_or_default();
        let mut values: Vec<String> = siblings.iter().map(|s| s["value"].as_str().unwrap_or("").to_owned()).collect();
        values.sort();
        anyhow::Ok(values)
    };
    assert_eq!(shown().await?, ["by the copy, later", "by the phone"], "its own preds were renamed with it");

    // The phone is found after all, and authors its branch again: kept, acked, and not applied twice.
    let (found, request) = again(&copy, 1, &bodies, &hashes, 0x99)?;
    let reply = found.send(url, request.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.header.acked_through, 2);
    assert!(reply.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Superseded), "{:?}", reply.outcomes);
    assert_eq!(shown().await?, ["by the copy, later", "by the phone"]);
    Ok(())
}

#[tokio::test]
async fn a_copy_that_could_send_only_a_part_is_acked_no_further_than_what_both_lives_share() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let mut phone = survey.raw(0, 1).await?;
    let mut copy = phone.clone();
    let (shared, own) = (phone.batch(&[home(1), home(2)]), phone.batch(&[home(3)]));
    phone.push(url, vec![shared, own]).await?;
    // The copy has the same first two changes and two of its own, none of which it knows to be on the server.
    let parts = [copy.batch(&[home(1)]), copy.batch(&[home(2)]), copy.batch(&[home(4)]), copy.batch(&[home(5)])];
    let mut request = copy.request(parts[..1].to_vec());
    request.header.unsent = 4;
    let reply = copy.send(url, request.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.header.acked_through, 1, "of the others the server can't know whose they are");
    let mut request = copy.request(parts[1..].to_vec());
    request.header.unsent = 3;
    let reply = copy.send(url, request.to_bytes(), None).await?.reply()?;
    assert!(reply.scope.is_some(), "it names the key that stamps what both share");
    assert_eq!(reply.fork.map(|fork| fork.common), Some(2), "the first batch that differs tells where");
    assert_eq!(reply.header.acked_through, 2);
    Ok(())
}

#[tokio::test]
async fn what_comes_after_a_fork_in_one_request_waits_with_its_branch_in_whatever_order_it_is_carried() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, mut copy) = copied(&survey).await?;
    let own = phone.batch(&[home(2)]);
    phone.push(url, vec![own]).await?;
    // Its first batch differs from what the server holds, the others start past what it holds.
    let parts = [copy.batch(&[home(3)]), copy.batch(&[home(4)]), copy.batch(&[home(5)])];
    let reply = copy.push(url, parts.iter().rev().cloned().collect()).await?;
    assert_eq!(reply.fork.map(|fork| fork.common), Some(1));
    assert!(reply.outcomes.iter().all(|outcome| outcome.verdict != Verdict::Parked), "{:?}", reply.outcomes);
    let waiting = survey.coordinator().await?.all("branches").await?;
    assert_eq!(waiting[0]["changes"], json!(3));
    Ok(())
}

#[tokio::test]
async fn copies_that_learn_of_their_fork_before_they_have_sent_everything_count_once() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, mut copy) = copied(&survey).await?;
    let own = phone.batch(&[home(2)]);
    phone.push(url, vec![own]).await?;
    // Of the copy's two changes the server sees only the first before it says that the histories parted.
    let bodies = [home(3), home(4)];
    let hashes = copy.clone().batch(&bodies).verify(&copy.key.public())?;
    let part = copy.batch(&bodies[..1]);
    assert_eq!(copy.push(url, vec![part]).await?.fork.map(|fork| fork.common), Some(1));
    // The copy was copied once more in that very state: both author the same again.
    let mut verdicts = Vec::new();
    for id in [0x91, 0x92] {
        let (new, request) = again(&copy, 1, &bodies, &hashes, id)?;
        let reply = new.send(url, request.to_bytes(), None).await?.reply()?;
        verdicts.push(reply.outcomes.iter().map(|outcome| outcome.verdict).collect::<Vec<_>>());
    }
    assert_eq!(verdicts, [vec![], vec![Verdict::Superseded; 2]]);
    // What is left of the branch comes late, as from a carrier: it waits for nobody.
    let late = copy.batch(&bodies[1..]);
    copy.push(url, vec![late]).await?;
    assert!(survey.coordinator().await?.all("branches").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_two_lives_authored_again_in_quarantine_counts_once_when_both_are_released() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let mut phone = survey.raw(0, 1).await?;
    let mut copy = phone.clone();
    let own = phone.batch(&[household(uuid::Uuid::from_u128(1), &survey.area(0)?, "Maria Lay")]);
    phone.push(url, vec![own]).await?;
    let bodies = [household(uuid::Uuid::from_u128(2), "9999999999.001", "Yunus Bani")];
    let branch = copy.batch(&bodies);
    let hashes = branch.verify(&copy.key.public())?;
    assert!(copy.push(url, vec![branch]).await?.fork.is_some());
    for id in [0x91, 0x92] {
        let (new, request) = again(&copy, 0, &bodies, &hashes, id)?;
        let reply = new.send(url, request.to_bytes(), None).await?.reply()?;
        assert_eq!(reply.outcomes[0].verdict, Verdict::Quarantined);
    }
    let areas = survey.file("areas.csv");
    std::fs::write(&areas, "code,name,level,parent\n9999999999.001,RT 001,rt,9999999999\n")?;
    survey.office.run("areas", &[&areas.display().to_string()])?;
    let coordinator = survey.coordinator().await?;
    for waiting in coordinator.all("quarantine").await? {
        let release = format!("quarantine/{}/release", waiting["number"]);
        assert_eq!(coordinator.post(&release, &json!({})).await?.0, 204);
    }
    let record = coordinator.get(&format!("records/{}", uuid::Uuid::from_u128(2))).await?;
    assert_eq!(record["changes"], json!(1), "{record}");
    Ok(())
}

#[tokio::test]
async fn a_device_hears_what_arrived_of_its_own_history_and_nothing_of_another_life() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let mut phone = survey.raw(0, 1).await?;
    let mut copy = phone.clone();
    let (shared, own) = (phone.batch(&[home(1), home(2)]), phone.batch(&[home(3)]));
    let told = phone.push(url, vec![shared.clone(), own]).await?;
    // The copy sent the same two changes and one of its own, and heard nothing.
    let (same, other) = (copy.batch(&[home(1), home(2)]), copy.batch(&[home(4)]));
    let ask = async |haves: &[(u64, Hash)]| {
        let mut request = copy.request(Vec::new());
        request.header.unsent = 3;
        let have = |(seq, hash): &(u64, Hash)| Have { replica: copy.replica, after: 0, seq: *seq, hash: *hash };
        request.haves = haves.iter().map(have).collect();
        copy.send(url, request.to_bytes(), None).await?.reply()
    };
    let reply = ask(&[(2, same.after()), (3, other.after())]).await?;
    assert_eq!(reply.header.acked_through, 2, "what both share");
    assert_eq!(reply.stamps, told.stamps[..1], "with the stamps that it got");
    assert!(reply.fork.is_none() && reply.outcomes.is_empty());
    for unknown in [&[(3, other.after())][..], &[(2, Hash::default())], &[(9, same.after())]] {
        assert_eq!(ask(unknown).await?.stamps, [], "no stamp, no ack on the device");
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_hears_what_became_of_the_changes_that_both_lives_share() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128, area: &str| household(uuid::Uuid::from_u128(n), area, "Maria Lay");
    let mut phone = survey.raw(0, 1).await?;
    let mut copy = phone.clone();
    let (shared, own) = (phone.batch(&[home(1, &area), home(2, "9999")]), phone.batch(&[home(3, &area)]));
    phone.push(url, vec![shared, own]).await?;
    let other = copy.batch(&[home(1, &area), home(2, "9999"), home(4, &area)]);
    let told = copy.push(url, vec![other]).await?;
    assert_eq!(told.fork.map(|fork| fork.common), Some(2));
    let outcomes: Vec<(u64, Verdict)> = told.outcomes.iter().map(|outcome| (outcome.seq, outcome.verdict)).collect();
    assert_eq!(outcomes, [(2, Verdict::Quarantined)], "it waits for a coordinator, on this phone, too");
    Ok(())
}

#[tokio::test]
async fn a_phone_takes_another_name_where_its_other_life_was_carried_past_its_end() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, carrier) = (survey.raw(0, 1).await?, survey.raw(1, 2).await?);
    let shared = phone.batch(&[home(1)]);
    let mut other = phone.clone();
    phone.push(url, vec![shared.clone()]).await?;
    let mut asks = phone.request(Vec::new());
    asks.header.acked = Some(Acked { seq: 1, hash: shared.after() });
    let told = phone.send(url, asks.to_bytes(), None).await?.reply()?;
    assert_eq!((told.header.acked_through, told.fork), (1, None));

    // The copy writes on; somebody carries the later one of its two batches alone.
    other.batch(&[home(2)]);
    let late = other.batch(&[home(3)]);
    carrier.push(url, vec![late]).await?;
    let told = phone.send(url, asks.to_bytes(), None).await?.reply()?;
    assert_eq!(told.fork.map(|fork| fork.common), Some(1), "it would give the numbers of the other's changes again");
    // A phone that has something to send is asked for it first: it may be what is missing.
    asks.header.unsent = 1;
    assert_eq!(phone.send(url, asks.to_bytes(), None).await?.reply()?.fork, None);
    Ok(())
}

#[tokio::test]
async fn what_goes_on_from_a_branch_that_was_carried_is_of_that_branch() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, mut copy) = copied(&survey).await?;
    let carrier = survey.raw(1, 2).await?;
    let own = phone.batch(&[home(2)]);
    phone.push(url, vec![own]).await?;
    let other = copy.batch(&[home(3), home(4)]);
    carrier.push(url, vec![other]).await?;
    // A hub that gave those before gives what it got since by itself.
    let later = copy.batch(&[home(5)]);
    carrier.push(url, vec![later]).await?;
    let waiting = survey.coordinator().await?.all("branches").await?;
    assert_eq!(waiting[0]["changes"], json!(3));
    Ok(())
}

#[tokio::test]
async fn what_counts_already_since_it_was_carried_waits_in_no_branch() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, copy) = copied(&survey).await?;
    let carrier = survey.raw(1, 2).await?;
    let bodies = [home(3), home(4)];
    let mut apart = copy.clone();
    apart.batch(&bodies[..1]);
    let apart = apart.batch(&bodies[1..]);
    carrier.push(url, vec![apart]).await?;
    let own = phone.batch(&[home(2)]);
    phone.push(url, vec![own]).await?;
    let hashes = copy.clone().batch(&bodies).verify(&copy.key.public())?;
    let both = copy.clone().batch(&bodies);
    assert_eq!(copy.push(url, vec![both]).await?.fork.map(|fork| fork.common), Some(1));
    let coordinator = survey.coordinator().await?;
    let waiting = coordinator.all("branches").await?;
    assert_eq!(waiting[0]["changes"], json!(1), "the one that was carried counts");
    let (new, request) = again(&copy, 1, &bodies, &hashes, 0x91)?;
    let reply = new.send(url, request.to_bytes(), None).await?.reply()?;
    let verdicts: Vec<_> = reply.outcomes.iter().map(|outcome| (outcome.seq, outcome.verdict)).collect();
    assert_eq!(verdicts, [(2, Verdict::Superseded)]);
    assert!(coordinator.all("branches").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_save_and_its_re_authoring_in_one_request_count_once() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let copy = survey.raw(0, u64::MAX).await?;
    let bodies = [household(uuid::Uuid::from_u128(1), &survey.area(0)?, "Maria Lay")];
    let own = copy.clone().batch(&bodies);
    let (new, mut request) = again(&copy, 0, &bodies, &own.verify(&copy.key.public())?, 1)?;
    assert!(new.replica < copy.replica, "it is taken in first");
    request.batches.push(own);
    let reply = new.send(url, request.to_bytes(), None).await?.reply()?;
    assert_eq!(reply.outcomes.iter().map(|outcome| outcome.verdict).collect::<Vec<_>>(), [Verdict::Superseded]);
    Ok(())
}

/// Two devices say in the same moment that a name is theirs, each with a key of its own, and write under it.
#[test]
fn of_two_who_take_a_name_at_once_the_first_has_it_and_its_chain_holds_nothing_of_the_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let world = fixtures::World::new(7, 24, 2);
    let data = folder.path().join("server");
    end_to_end::server::Office::new(&data).prepare(&world, "tenun-ikat")?;
    let mut conn = store::open_writer(&data)?;
    let identity = store::in_transaction(&mut conn, Identity::load_or_make)?;
    let catalogue = store::in_transaction(&mut conn, |tx| Catalogue::refresh(&Arc::default(), tx))?;
    let world = ingest::World { catalogue, identity: Arc::new(identity), limits: Limits::default() };
    let name = ReplicaId(uuid::Uuid::from_u128(9));
    let mut requests = Vec::new();
    for number in 1..=3_u8 {
        let (old, key) = (ReplicaId(uuid::Uuid::from_u128(number.into())), SecretKey::from_seed([number; 32]));
        let new = SecretKey::from_seed([number + 10; 32]);
        let device = store::in_transaction(&mut conn, |tx| -> Result<_, Failure> {
            let token = people::hash_secret(&number.to_string());
            let device = tx.insert_device("KP001", "raced", token, 0)?;
            tx.insert_replica(old, Some(device), key.public(), None)?;
            people::device(tx, &number.to_string())
        })?;
        let change = household(uuid::Uuid::from_u128(number.into()), "", &format!("head {number}"));
        let batch = Batch::sign(name, 1, Hash::default(), vec![Carried::Bytes(change)], &new);
        // The third comes under its old name, and brings the new one's words beside.
        let speaks = if number == 3 { old } else { name };
        let mut request = Request::new(speaks, 0, vec![batch]);
        request.adoptions = vec![Adoption::sign(name, new.public(), old, &key)];
        requests.push((device, request.to_bytes()));
    }
    // All are read before any is applied.
    let mut prepared = Vec::new();
    for (device, body) in requests {
        prepared.push(store::in_transaction(&mut conn, |tx| {
            prepare::prepare(tx, device, &body, &world.catalogue, &world.limits)
        })?);
    }
    let mut apply = |prepared| store::in_transaction(&mut conn, |tx| ingest::apply(tx, prepared, &world, 1));
    let mut prepared = prepared.into_iter();
    let mut next = || apply(prepared.next().unwrap());
    assert_eq!(next()?.acked_through, 1);
    assert!(next().is_err_and(|error| error.to_string().contains("replica-taken")));
    let third = next()?;
    assert_eq!(
        third.outcomes.iter().map(|o| (o.replica, o.code)).collect::<Vec<_>>(),
        [(name, Some(Code::WrongReplica))]
    );
    let query = "SELECT group_concat(CAST(bytes AS TEXT)) FROM change";
    let held: String = conn.query_row(query, [], |row| row.get(0))?;
    assert!(held.contains("head 1") && !held.contains("head 2") && !held.contains("head 3"), "{held}");
    Ok(())
}

#[tokio::test]
async fn what_waited_under_an_earlier_name_is_released_where_its_household_is_out_of_sight_too() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut phone = survey.device(0, "phone").await?;
    let (who, there) = (phone.code.clone(), "9999999999.001");
    let household = phone.device.register_household(&who, &[("area", Value::text(there))])?;
    survey.sync(&mut phone).await?;
    let (mut phone, mut copy) = phone.cloned(&survey.file("copy"))?;
    for (person, note) in [(&mut phone, "phone"), (&mut copy, "copy")] {
        let other = person.device.register_household(&who, &[("area", Value::text(survey.area(0)?))])?;
        person.device.save(other.into(), &who, &[Edit::Note(note.into())])?;
        survey.sync(person).await?;
        assert_eq!(person.device.status()?.quarantined, 1, "{note}");
    }
    let areas = survey.file("areas.csv");
    std::fs::write(&areas, format!("code,name,level,parent\n{there},RT 001,rt,9999999999\n"))?;
    survey.office.run("areas", &[&areas.display().to_string()])?;
    let coordinator = survey.coordinator().await?;
    for waiting in coordinator.all("quarantine").await? {
        let release = format!("quarantine/{}/release", waiting["number"]);
        assert_eq!(coordinator.post(&release, &json!({})).await?.0, 204);
    }
    for person in [&mut phone, &mut copy] {
        survey.sync(person).await?;
        assert_eq!(person.device.status()?.quarantined, 0);
        assert!(!person.has(household)?, "its area is not theirs");
    }
    Ok(())
}

#[tokio::test]
async fn what_hubs_carry_of_two_lives_keeps_every_backup_verifiable() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let area = survey.area(0)?;
    let home = |n: u128| household(uuid::Uuid::from_u128(n), &area, "Maria Lay");
    let (mut phone, _) = copied(&survey).await?;
    let carriers = [survey.raw(1, 2).await?, survey.raw(1, 3).await?];
    // Saves that both lives share, and that were not sent when the phone was copied.
    let shared = [phone.batch(&[home(2)]), phone.batch(&[home(3)])];
    let mut copy = phone.clone();
    let own = [copy.batch(&[home(4)]), copy.batch(&[home(5)])];
    let after = |shared: &Batch, more: Vec<Carried>| {
        let changes = shared.changes.iter().cloned().chain(more).collect();
        Batch::sign(copy.replica, shared.first, shared.before, changes, &copy.key)
    };
    // The first has a digest of the other life's next change; the second, behind a change of this life that is here apart, all of it.
    let withheld = Carried::Withheld(Hash([7; 32]));
    carriers[0].push(url, vec![after(&shared[0], vec![withheld])]).await?;
    carriers[0].push(url, vec![own[0].clone()]).await?;
    let other = phone.batch(&[home(6), home(7)]);
    carriers[1].push(url, vec![after(&shared[1], other.changes)]).await?;
    let [first, second] = shared;
    let [third, fourth] = own;
    let reply = copy.push(url, vec![first, second, third, fourth]).await?;
    assert_eq!(reply.header.acked_through, 5, "{reply:?}");
    survey.backup()?;
    Ok(())
}

#[tokio::test]
async fn a_released_branch_replaces_what_its_author_had_seen_and_nothing_of_another_life() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let url = &survey.server.url;
    let (mut phone, mut second) = copied(&survey).await?;
    let home = uuid::Uuid::from_u128(1);
    let set = |head: &str, over: u64| {
        json!({ "household": home, "form": "household@1", "by": "KP001", "at": 5, "set": { "": { "head": head } },
            "over": { "": { "head": [over] } } })
        .to_string()
        .into_bytes()
    };
    let carrier = survey.raw(1, 2).await?;
    let own = phone.batch(&[set("one", 1)]);
    // A third life begins behind the first one's word, a second one before it.
    let mut third = phone.clone();
    let later = phone.batch(&[household(uuid::Uuid::from_u128(2), &survey.area(0)?, "Ana Bani")]);
    phone.push(url, vec![own, later]).await?;
    let branches = [second.batch(&[set("two", 1)]), third.batch(&[set("three", 2)])];
    carrier.push(url, branches.to_vec()).await?;
    let coordinator = survey.coordinator().await?;
    let release = format!("branches/{}/release", phone.replica);
    assert_eq!(coordinator.post(&release, &json!({})).await?, (200, json!({ "changes": 2 })));
    let record = coordinator.get(&format!("records/{home}")).await?;
    let answers = record["answers"].as_array().cloned().unwrap_or_default();
    let head = answers.into_iter().find(|answer| answer["path"] == "head").unwrap_or_default();
    let siblings = head["siblings"].as_array().cloned().unwrap_or_default();
    let mut values: Vec<String> = siblings.iter().map(|one| one["value"].as_str().unwrap_or("").to_owned()).collect();
    values.sort();
    assert_eq!(values, ["three", "two"], "{head}");
    Ok(())
}
