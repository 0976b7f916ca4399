//! What a finished interview says of its household, and what it leaves alone there: that which the enumerator has not seen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use client_core::{Device, Edit, Interview, host::Fixed};
use sync_protocol::{
    Change, Dot, HouseholdId, Missing, Op, RecordId, ReplicaId, Stamp, Subject, Value,
    engine::device::DeviceStore,
    wire::{Delivered, Reply, ReplyHeader, Run},
};

const FORM: &str = r#"{"id":"f","version":"1","lists":{},"items":[
 {"question":{"name":"village","key":"village","kind":"text","row":2,"updates_household":"village"}},
 {"question":{"name":"amount","key":"amount","kind":"integer","row":3,"merge":{"group":"cost"},"updates_household":"amount"}},
 {"question":{"name":"unit","key":"unit","kind":"text","row":4,"merge":{"group":"cost"},"updates_household":"unit"}},
 {"repeat":{"name":"member","key":"member","row":5,"children":[
  {"question":{"name":"name","key":"name","kind":"text","row":6,"updates_household":"name"}}]}}]}"#;

struct Home {
    device: Device<Fixed>,
    household: HouseholdId,
    _folder: tempfile::TempDir,
}

/// A household in one village, of which somebody else knows the rest.
fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(1)).unwrap();
    device.store_questionnaire(FORM).unwrap();
    let known = [("village", "Oesapa"), ("unit", "kg")].map(|(name, text)| (name, Value::text(text)));
    let household = device.register_household("KP001", &known).unwrap();
    Home { device, household, _folder: folder }
}

impl Home {
    /// An interview of a round, as it begins; it has not been asked anything.
    fn begin(&mut self, round: &str) -> RecordId {
        let record = self.device.start_interview(self.household, round, &"f@1".parse().unwrap(), "KP001").unwrap();
        Interview::open(&mut self.device, record, "KP001").unwrap();
        record
    }

    /// The enumerator answers, on the screen that shows the answer.
    fn answers(&mut self, record: RecordId, path: &str, text: &str) {
        let mut interview = Interview::open(&mut self.device, record, "KP001").unwrap();
        interview.answer(&mut self.device, &path.parse().unwrap(), text).unwrap();
    }

    fn finish(&mut self, record: RecordId) {
        Interview::open(&mut self.device, record, "KP001").unwrap().finish(&mut self.device).unwrap();
    }

    /// Somebody else says something about the household, having seen what it shows.
    fn is_told(&mut self, path: &str, value: Value) {
        self.device.save(self.household.into(), "KP002", &[Edit::set(path, value).unwrap()]).unwrap();
    }

    /// What the household shows, in the order of the texts.
    fn says(&mut self, path: &str) -> Vec<String> {
        let household = self.device.record(self.household.into()).unwrap();
        let answer = household.answer(&path.parse().unwrap());
        let siblings = answer.iter().flat_map(|answer| &answer.siblings);
        let mut texts: Vec<String> = siblings.map(|sibling| sibling.value.to_string()).collect();
        texts.sort();
        texts
    }
}

#[test]
fn what_is_mended_after_the_end_takes_the_place_of_what_the_interview_said_before() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    assert_eq!(home.says("village"), ["Oesapa"], "an interview that is under way says nothing");
    home.finish(record);
    assert_eq!(home.says("village"), ["Liliba"]);
    for text in ["Penfui", "Liliba", "Naimata"] {
        home.answers(record, "village", text);
        assert_eq!(home.says("village"), [text]);
    }
    home.finish(record);
    assert_eq!(home.says("village"), ["Naimata"]);
}

#[test]
fn what_is_taken_back_after_the_end_the_household_says_no_more() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    home.answers(record, "amount", "3");
    home.answers(record, "unit", "ton");
    home.finish(record);
    home.is_told("unit", Value::text("kg"));
    for (path, missing) in [("village", Missing::Refused), ("cost", Missing::Cleared)] {
        home.device.save(record, "KP001", &[Edit::set(path, Value::Missing(missing)).unwrap()]).unwrap();
    }
    assert_eq!(home.says("village"), [Value::Missing(Missing::Refused).to_string()]);
    assert_eq!(home.says("amount"), [Value::Missing(Missing::Cleared).to_string()]);
    assert_eq!(home.says("unit"), ["kg"], "somebody else's word");
    // The next round begins with nothing, and what is said then takes the place.
    home.answers(record, "village", "Penfui");
    assert_eq!(home.says("village"), ["Penfui"]);
    let other = home.begin("2");
    home.device.save(other, "KP001", &[Edit::set("village", Value::Missing(Missing::DontKnow)).unwrap()]).unwrap();
    home.finish(other);
    assert_eq!(home.says("village"), ["Penfui"], "an interview that has said nothing takes nothing back");
}

#[test]
fn a_correction_leaves_alone_whatever_it_is_not_about() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    home.answers(record, "amount", "3");
    home.finish(record);
    // Others put right what the interview began with, and what it said.
    home.is_told("village", Value::text("Oesapa"));
    home.is_told("unit", Value::text("ton"));
    home.answers(record, "amount", "4");
    assert_eq!(
        (home.says("amount"), home.says("village"), home.says("unit")),
        (vec!["4".to_owned()], vec!["Oesapa".to_owned()], vec!["ton".to_owned()])
    );
    home.finish(record);
    assert_eq!((home.says("village"), home.says("unit")), (vec!["Oesapa".to_owned()], vec!["ton".to_owned()]));
    // It began with the same word, but this one was said after it.
    home.answers(record, "village", "Penfui");
    assert_eq!(home.says("village"), ["Oesapa", "Penfui"]);
}

#[test]
fn what_was_typed_and_mended_before_the_end_was_nobodys_word_about_the_household() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Penfui");
    home.answers(record, "village", "Liliba");
    home.is_told("village", Value::text("Penfui"));
    home.finish(record);
    assert_eq!(home.says("village"), ["Liliba", "Penfui"]);
}

#[test]
fn what_stands_in_the_interviews_own_conflict_stays_until_somebody_resolves_it() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    home.finish(record);
    // Another phone with the same interview said something else, and told it.
    let merged = home.device.record(record).unwrap();
    let village = "village".parse().unwrap();
    let shown = merged.answer(&village).unwrap().displayed();
    let other = |subject: Subject, form: &str, seq: u64, value: &str, preds: Vec<Dot>| {
        let dot = Dot { replica: ReplicaId(uuid::Uuid::from_u128(8)), seq };
        let ops = vec![Op::Set { path: "village".parse().unwrap(), value: Value::text(value), preds }];
        let questionnaire = form.parse().unwrap();
        let change = Change { dot, subject, questionnaire, author: "KP001".into(), wall_ms: 1, ops, instead_of: None };
        let stamp = Stamp { received_ms: 1, skew_ms: 0 };
        Delivered { replica: dot.replica, seq, stamp, bytes: change.to_bytes() }
    };
    let before = merged.history(&village).first().map(|(one, _)| one.dot).into_iter().collect();
    assert_ne!(shown, before);
    let mut run = Run::to("area", 1);
    run.changes.push(other(merged.subject().cloned().unwrap(), "f@1", 1, "Sikumana", before));
    run.changes.push(other(Subject::Household(home.household), "household@1", 2, "Sikumana", Vec::new()));
    let header = ReplyHeader {
        tenun: 1,
        epoch: "e".into(),
        acked_through: 0,
        acked_hash: None,
        safe_through: 0,
        clock: 5,
        more: false,
    };
    let mut reply = Reply::new(header);
    reply.pulled = vec![run];
    home.device.absorb(&reply).unwrap();
    assert_eq!(home.says("village"), ["Liliba", "Sikumana"]);
    // An ordinary edit replaces what it shows.
    home.answers(record, "village", "Penfui");
    assert_eq!(home.says("village"), ["Penfui", "Sikumana"]);
    // Who sees both decides, for the household, too.
    let mut interview = Interview::open(&mut home.device, record, "KP001").unwrap();
    interview.resolve(&mut home.device, &village, "Penfui").unwrap();
    assert_eq!(home.says("village"), ["Penfui"]);
}

#[test]
fn a_correction_stands_beside_what_the_enumerator_has_not_seen_and_is_in_no_conflict_with_itself() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    home.finish(record);
    let next = home.begin("2");
    home.answers(next, "village", "Sikumana");
    home.finish(next);
    for text in ["Penfui", "Naimata"] {
        home.answers(record, "village", text);
        assert_eq!(home.says("village"), [text, "Sikumana"], "the next round has it otherwise");
    }
    // Who sees both decides, and it stays decided.
    let village = Edit::Resolve("village".parse().unwrap(), Value::text("Sikumana"));
    home.device.save(home.household.into(), "rini", &[village]).unwrap();
    home.answers(record, "unit", "sak");
    home.finish(record);
    assert_eq!((home.says("village"), home.says("unit")), (vec!["Sikumana".to_owned()], vec!["sak".to_owned()]));
}

#[test]
fn a_row_that_somebody_brought_back_stays_when_an_interview_without_it_is_finished_again() {
    let mut home = home();
    let row = "member/ana".parse().unwrap();
    let name = Edit::set("member/ana/name", Value::text("Ana")).unwrap();
    home.device.save(home.household.into(), "KP002", &[Edit::AddRow(row), name]).unwrap();
    let record = home.begin("1");
    let row = "member/ana".parse().unwrap();
    Interview::open(&mut home.device, record, "KP001").unwrap().remove_row(&mut home.device, &row).unwrap();
    home.finish(record);
    assert_eq!(home.device.record(home.household.into()).unwrap().all_rows().count(), 0);
    home.device.save(home.household.into(), "rini", &[Edit::AddRow(row)]).unwrap();
    home.answers(record, "village", "Liliba");
    home.finish(record);
    assert_eq!(home.device.record(home.household.into()).unwrap().all_rows().count(), 1);
}

#[test]
fn what_is_said_of_the_household_itself_is_no_interviews_word_also_where_the_clock_stands_still() {
    let mut home = home();
    let record = home.begin("1");
    home.answers(record, "village", "Liliba");
    // Right behind the save of the interview, by the same person, in the same moment.
    let told = Edit::set("village", Value::text("Penfui")).unwrap();
    home.device.save(home.household.into(), "KP001", &[told]).unwrap();
    home.finish(record);
    assert_eq!(home.says("village"), ["Liliba", "Penfui"]);
}
