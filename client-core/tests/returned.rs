//! An interview that was returned, on the device alone: what waits, where it opens, what answers a remark.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use client_core::{Content, Device, Edit, Interview, host::Fixed};
use sync_protocol::{
    Change, Dot, HouseholdId, Limits, Op, Record, RecordId, ReplicaId, Stamp, Value,
    chain::SecretKey,
    engine::device::DeviceStore,
    remark::{About, Remark},
    wire::{Delivered, Enrolled, Reply, ReplyHeader, Returned, ReturnedList, Run},
};

const FORM: &str = r#"{"id":"f","version":"1","lists":{},"items":[
 {"question":{"name":"village","key":"village","kind":"text","row":2,"updates_household":"village"}},
 {"question":{"name":"amount","key":"amount","kind":"integer","row":3,"merge":{"group":"cost"}}},
 {"question":{"name":"unit","key":"unit","kind":"text","row":4,"merge":{"group":"cost"}}},
 {"repeat":{"name":"member","key":"member","row":5,"children":[
  {"question":{"name":"age","key":"age","kind":"integer","row":6}}]}}]}"#;

struct Phone {
    _folder: tempfile::TempDir,
    device: Device<Fixed>,
    home: HouseholdId,
    record: RecordId,
}

/// A phone with a finished interview.
fn phone() -> Phone {
    phone_of(1)
}

/// A phone whose chance is of its own, with a finished interview of its own.
fn phone_of(seed: u64) -> Phone {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(seed)).unwrap();
    let key = SecretKey::from_seed([3; 32]).public();
    let (token, enumerator) = ("token".into(), "KP001".into());
    let enrolled = Enrolled { token, enumerator, server: server(), server_key: key, limits: Limits::default() };
    device.enrolled("http://localhost", &enrolled).unwrap();
    device.store_questionnaire(FORM).unwrap();
    let home = device.register_household("KP001", &[("head", Value::text("Maria"))]).unwrap();
    let record = device.start_interview(home, "1", &"f@1".parse().unwrap(), "KP001").unwrap();
    let row = "member/a".parse().unwrap();
    let edits = [
        Edit::set("village", Value::text("Oesapa")).unwrap(),
        Edit::AddRow(row),
        Edit::set("member/a/age", Value::Integer(7)).unwrap(),
        Edit::Finish,
    ];
    device.save(record, "KP001", &edits).unwrap();
    Phone { _folder: folder, device, home, record }
}

fn server() -> ReplicaId {
    ReplicaId(uuid::Uuid::from_u128(9))
}

impl Phone {
    /// The server tells that the interview is returned, with remarks about these answers; an empty path: about all of it.
    fn returned(&mut self, paths: &[&str], whose: Option<&str>) -> Vec<Dot> {
        let (list, run) = self.told(paths, whose);
        let mut reply = reply();
        let remarks = list.interviews[0].remarks.clone();
        (reply.returned, reply.pulled) = (Some(list), vec![run]);
        self.device.absorb(&reply).unwrap();
        remarks
    }

    /// What the server tells of that: the list, and the remarks.
    fn told(&mut self, paths: &[&str], whose: Option<&str>) -> (ReturnedList, Run) {
        let subject = self.device.record(self.record).unwrap().subject().cloned().unwrap();
        let mut run = Run::to("area", 1);
        let mut remarks = Vec::new();
        for (seq, path) in (1..).zip(paths) {
            let about = if path.is_empty() { About::Record } else { About::Answer(path.parse().unwrap()) };
            let dot = Dot { replica: server(), seq };
            let change = Change {
                dot,
                subject: subject.clone(),
                questionnaire: "f@1".parse().unwrap(),
                author: "rini".into(),
                wall_ms: 5,
                ops: vec![Op::Note { text: Remark::note(&about, "benar?") }],
                instead_of: None,
            };
            let stamp = Stamp { received_ms: 5, skew_ms: 0 };
            run.changes.push(Delivered { replica: server(), seq, stamp, bytes: change.to_bytes() });
            remarks.push(dot);
        }
        let whose = whose.map(str::to_owned);
        let interviews = vec![Returned { record: self.record, whose, remarks }];
        (ReturnedList { version: "v1".into(), interviews }, run)
    }

    fn open(&mut self) -> Interview {
        Interview::open(&mut self.device, self.record, "KP001").unwrap()
    }

    /// The remarks that are not answered.
    fn waits(&mut self) -> usize {
        self.device.interviews().unwrap()[0].returned.as_ref().unwrap().open
    }

    /// The notes of the last change.
    fn said(&mut self) -> Vec<String> {
        let replica = self.device.status().unwrap().replica;
        let record = self.device.record(self.record).unwrap();
        let last = record.changes().map(|(dot, _)| dot).filter(|dot| dot.replica == replica).max().unwrap();
        record.notes().filter(|(dot, _)| *dot == last).map(|(_, note)| note.to_owned()).collect()
    }
}

fn reply() -> Reply {
    let header = ReplyHeader {
        tenun: 1,
        epoch: "e".into(),
        acked_through: 0,
        acked_hash: None,
        safe_through: 0,
        clock: 5,
        more: false,
    };
    Reply::new(header)
}

#[test]
fn a_save_answers_the_remarks_about_what_it_changes_and_each_once() {
    let mut phone = phone();
    let remarks = phone.returned(&["village", "member/a/age"], Some("KP001"));
    assert_eq!((phone.waits(), phone.device.position().unwrap().returned), (2, "v1".to_owned()));
    let edit = Edit::set("member/a/age", Value::Integer(8)).unwrap();
    phone.device.save(phone.record, "KP001", &[edit]).unwrap();
    assert_eq!(phone.said(), [format!("[re {}]", remarks[1])]);
    let edit = Edit::set("member/a/age", Value::Integer(9)).unwrap();
    phone.device.save(phone.record, "KP001", &[edit]).unwrap();
    assert_eq!((phone.said(), phone.waits()), (Vec::new(), 1), "it is answered already");
}

#[test]
fn a_row_that_is_removed_answers_what_was_remarked_in_it_and_finishing_again_all() {
    let mut phone = phone();
    let remarks = phone.returned(&["member/a/age", ""], None);
    phone.device.save(phone.record, "KP001", &[Edit::RemoveRow("member/a".parse().unwrap())]).unwrap();
    assert_eq!(phone.said(), [format!("[re {}]", remarks[0])]);
    phone.open().finish(&mut phone.device).unwrap();
    assert_eq!((phone.said(), phone.waits()), (vec![format!("[re {}]", remarks[1])], 0));
    // Once more there is nothing to say.
    let saved = phone.device.save(phone.record, "KP001", &[Edit::Finish]).unwrap();
    assert_eq!(saved, None);
}

#[test]
fn it_opens_at_the_question_of_the_remark_also_of_a_group_and_shows_it_there() {
    let mut phone = phone();
    let mut interview = phone.open();
    interview.go_to(&mut phone.device, &"member/a/age".parse().unwrap()).unwrap();
    interview.close(&mut phone.device).unwrap();
    let remarks = phone.returned(&["cost"], Some("KP001"));
    let mut interview = phone.open();
    assert_eq!(interview.position().to_string(), "amount");
    let Content::Questions(asked) = interview.screen().content else { panic!("a question") };
    assert_eq!((asked[0].remarks.len(), asked[0].remarks[0].by.as_str()), (1, "rini"));
    interview.answer(&mut phone.device, &"amount".parse().unwrap(), "5").unwrap();
    assert_eq!(phone.said(), [format!("[re {}]", remarks[0])]);
    interview.close(&mut phone.device).unwrap();
    assert_eq!(phone.open().position().to_string(), "amount", "answered: it opens where it was left");
}

#[test]
fn what_is_told_before_its_remark_has_come_waits_and_nobody_answers_what_they_have_not_seen() {
    let mut phone = phone();
    let (list, run) = phone.told(&["village"], Some("KP001"));
    let mut cut = reply();
    (cut.returned, cut.cut_off) = (Some(list), true);
    phone.device.absorb(&cut).unwrap();
    assert_eq!(phone.waits(), 1);
    let edits = [Edit::set("village", Value::text("Liliba")).unwrap(), Edit::Finish];
    phone.device.save(phone.record, "KP001", &edits).unwrap();
    assert_eq!(phone.waits(), 1);
    let mut rest = reply();
    rest.pulled = vec![run];
    phone.device.absorb(&rest).unwrap();
    assert_eq!((phone.waits(), phone.device.remarks(phone.record).unwrap().len()), (1, 1));
}

#[test]
fn a_remark_that_comes_in_behind_an_open_screen_waits_until_it_was_shown() {
    let mut phone = phone();
    let mut interview = phone.open();
    phone.returned(&["village", ""], Some("KP001"));
    interview.answer(&mut phone.device, &"village".parse().unwrap(), "Liliba").unwrap();
    assert_eq!((phone.said(), phone.waits()), (Vec::new(), 2));
    // The save took in what had come: from now on it is shown.
    interview.answer(&mut phone.device, &"village".parse().unwrap(), "Penfui").unwrap();
    assert_eq!(phone.waits(), 1);
    interview.finish(&mut phone.device).unwrap();
    assert_eq!(phone.waits(), 0);
}

#[test]
fn a_phone_that_was_only_told_how_the_interview_stands_shows_the_remark_and_answers_it() {
    let mut old = phone();
    let remarks = old.returned(&["village"], Some("KP001"));
    let mut stands = Vec::new();
    for id in [old.home.into(), old.record] {
        let mut record = Record::new();
        let merged = old.device.record(id).unwrap();
        // As a server has it: everything is stamped.
        let mut snapshot = merged.snapshot().unwrap();
        for (_, stamp) in &mut snapshot.changes {
            stamp.get_or_insert(Stamp { received_ms: 5, skew_ms: 0 });
        }
        record.take(snapshot);
        stands.push(record.snapshot().unwrap());
    }
    let mut new = phone_of(2);
    assert_ne!(new.record, old.record);
    let (list, _) = old.told(&["village"], Some("KP001"));
    let mut told = reply();
    let mut run = Run::to("area", 1);
    run.snapshots = stands;
    (told.returned, told.pulled) = (Some(list), vec![run]);
    new.device.absorb(&told).unwrap();
    (new.home, new.record) = (old.home, old.record);
    assert_eq!(new.device.remarks(new.record).unwrap()[0].text, "benar?");
    new.open().answer(&mut new.device, &"village".parse().unwrap(), "Liliba").unwrap();
    assert_eq!(new.said(), [format!("[re {}]", remarks[0])]);
    let household = new.device.record(new.home.into()).unwrap();
    let village = household.answer(&"village".parse().unwrap()).unwrap();
    assert_eq!(village.siblings.iter().map(|one| one.value.to_string()).collect::<Vec<_>>(), ["Liliba"]);
}

#[test]
fn what_is_mended_in_a_finished_interview_the_household_hears_at_once() {
    let mut phone = phone();
    phone.returned(&["village"], Some("KP001"));
    phone.open().answer(&mut phone.device, &"village".parse().unwrap(), "Liliba").unwrap();
    let household = phone.device.record(phone.home.into()).unwrap();
    let village = household.answer(&"village".parse().unwrap()).unwrap();
    assert_eq!(village.siblings.iter().map(|one| one.value.to_string()).collect::<Vec<_>>(), ["Liliba"]);
}

#[test]
fn what_waits_for_somebody_else_is_not_on_top_and_what_was_taken_back_waits_for_nobody() {
    let mut phone = phone();
    let other = phone.device.register_household("KP001", &[("head", Value::text("Agus"))]).unwrap();
    let other = phone.device.start_interview(other, "1", &"f@1".parse().unwrap(), "KP001").unwrap();
    let first = |phone: &mut Phone| phone.device.interviews().unwrap()[0].id;
    assert_eq!(first(&mut phone), other);
    phone.returned(&["village"], Some("KP002"));
    assert_eq!(first(&mut phone), other);
    phone.returned(&["village"], None);
    assert_eq!(first(&mut phone), phone.record);
    let mut taken_back = reply();
    taken_back.returned = Some(ReturnedList::default());
    phone.device.absorb(&taken_back).unwrap();
    assert_eq!((first(&mut phone), phone.device.position().unwrap().returned), (other, String::new()));
}
