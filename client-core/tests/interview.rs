//! The interview session on a device alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use client_core::{Asked, Content, Device, Edit, Interview, Position, host::Fixed};
use std::path::Path as File;
use sync_protocol::{Path, Place, RecordId, Value};

const AUTHOR: &str = "KP001";

/// A form with all that a session treats in its own way.
const FORM: &str = r#"{"id":"f","version":"1","lists":{"yn":[{"name":"1","label":{"en":"Yes","id":"Ya"}},{"name":"0","label":{"en":"No","id":"Tidak"}}]},
 "languages":["id","en"],"default_language":"id","items":[
 {"question":{"name":"start","key":"start","kind":{"metadata":"start"},"row":2}},
 {"question":{"name":"audit","key":"audit","kind":{"metadata":"audit"},"row":3,"parameters":{"track-changes":"true"}}},
 {"question":{"name":"village","key":"village","kind":"text","row":4,"label":{"id":"Desa","en":"Village"},"default":{"text":"Liliba","row":4,"column":"default"}}},
 {"group":{"name":"house","row":5,"appearance":"field-list","label":{"id":"Rumah","en":"House"},"children":[
  {"question":{"name":"floor","key":"floor","kind":"integer","row":6,"label":{"id":"Luas","en":"Floor"},
   "constraint":{"text":". > 0 and . < 1000","row":6,"column":"constraint"},"constraint_message":{"id":"Lebih dari 0","en":"More than 0"}}},
  {"question":{"name":"owner","key":"owner","kind":{"select_one":{"source":{"list":"yn"}}},"row":7,"label":{"id":"Milik sendiri?","en":"Owned?"},"required":{"text":"true()","row":7,"column":"required"}}},
  {"question":{"name":"rent","key":"rent","kind":"integer","row":8,"label":{"id":"Sewa","en":"Rent"},"relevant":{"text":"${owner} = '0'","row":8,"column":"relevant"}}}]}},
 {"question":{"name":"size","key":"size","kind":"integer","row":9,"label":{"id":"Jumlah","en":"Size"}}},
 {"repeat":{"name":"member","key":"member","row":10,"label":{"id":"Anggota","en":"Member"},"repeat_count":{"text":"${size}","row":10,"column":"repeat_count"},"children":[
  {"question":{"name":"name","key":"name","kind":"text","row":11,"label":{"id":"Nama","en":"Name"},"personal":true}},
  {"question":{"name":"mood","key":"mood","kind":"text","row":12,"label":{"id":"${name} bagaimana?","en":"How is ${name}?"},"default":{"text":"well","row":12,"column":"default"}}}]}},
 {"repeat":{"name":"animal","key":"animal","row":13,"label":{"id":"Ternak","en":"Animal"},"children":[
  {"question":{"name":"kind","key":"kind","kind":"text","row":14,"label":{"id":"Jenis","en":"Kind"}}}]}},
 {"question":{"name":"amount","key":"amount","kind":"decimal","row":15,"label":{"id":"Panen","en":"Harvest"},"merge":{"group":"harvest"}}},
 {"question":{"name":"unit","key":"unit","kind":"text","row":16,"label":{"id":"Satuan","en":"Unit"},"merge":{"group":"harvest"}}},
 {"question":{"name":"seen","key":"seen","kind":"calculate","row":17,"calculation":{"text":"concat(${floor}, '!')","row":17,"column":"calculation"},"trigger":{"text":"${floor}","row":17,"column":"trigger"}}},
 {"question":{"name":"lot","key":"lot","kind":"calculate","row":18,"calculation":{"text":"once(random())","row":18,"column":"calculation"}}}]}"#;

struct Home {
    folder: tempfile::TempDir,
    device: Device<Fixed>,
    record: RecordId,
}

fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let mut device = open(folder.path());
    device.store_questionnaire(FORM).unwrap();
    let household = device.register_household(AUTHOR, &[("head", Value::text("Maria"))]).unwrap();
    let record = device.start_interview(household, "1", &"f@1".parse().unwrap(), AUTHOR).unwrap();
    Home { folder, device, record }
}

fn open(folder: &File) -> Device<Fixed> {
    Device::open(&folder.join("device.sqlite"), Fixed::new(1)).unwrap()
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn stored(home: &mut Home, at: &str) -> Option<String> {
    let record = home.device.record(home.record).unwrap();
    record.answer(&path(at)).map(|answer| questionnaire::text_of(answer.siblings[0].value))
}

fn asked(interview: &Interview) -> Vec<Asked> {
    match interview.screen().content {
        Content::Questions(asked) => asked,
        other @ (Content::Rows { .. } | Content::End) => panic!("{other:?} asks nothing"),
    }
}

/// Goes on to the screen of a position.
fn walk_to(home: &mut Home, interview: &mut Interview, wanted: &str) {
    for _ in 0..50 {
        if interview.position().to_string() == wanted {
            return;
        }
        interview.next(&mut home.device).unwrap();
    }
    panic!("{wanted} is not on the way");
}

#[test]
fn the_first_opening_saves_what_the_form_begins_with_and_the_second_does_not() {
    let mut home = home();
    let before = home.device.status().unwrap().saved;
    Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    assert_eq!(home.device.status().unwrap().saved, before + 1);
    assert_eq!(stored(&mut home, "village").as_deref(), Some("Liliba"));
    let start = stored(&mut home, "start").unwrap();
    assert!(start.starts_with("2026-01-01T"), "{start}");
    let lot = stored(&mut home, "lot").unwrap();
    Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    assert_eq!(home.device.status().unwrap().saved, before + 1);
    assert_eq!(stored(&mut home, "lot").as_deref(), Some(lot.as_str()));
}

#[test]
fn a_field_list_is_one_screen_and_shows_what_an_answer_makes_relevant() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    walk_to(&mut home, &mut interview, "floor");
    let paths = |interview: &Interview| asked(interview).iter().map(|q| q.path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&interview), ["floor", "owner"]);
    interview.answer(&mut home.device, &path("owner"), "0").unwrap();
    assert_eq!(paths(&interview), ["floor", "owner", "rent"]);
    assert_eq!(interview.screen().headings, ["Rumah"]);
    interview.set_language("en").unwrap();
    assert_eq!(interview.screen().headings, ["House"]);
    assert!(interview.set_language("fr").is_err());
}

#[test]
fn a_wrong_answer_is_kept_told_at_once_and_found_again() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    let flaws = interview.answer(&mut home.device, &path("floor"), "5000").unwrap();
    assert_eq!(flaws[0].message, "Lebih dari 0");
    assert_eq!(stored(&mut home, "floor").as_deref(), Some("5000"));
    walk_to(&mut home, &mut interview, ".");
    let problems: Vec<String> = interview.problems().iter().map(|flaw| flaw.position.to_string()).collect();
    assert_eq!(problems, ["floor", "owner"]);
    let first = interview.first_problem().unwrap();
    interview.go_to(&mut home.device, &first).unwrap();
    assert!(interview.answer(&mut home.device, &path("floor"), "36").unwrap().is_empty());
    interview.answer(&mut home.device, &path("owner"), "1").unwrap();
    assert_eq!(interview.first_problem(), None);
}

#[test]
fn what_is_no_value_of_the_type_is_not_saved_and_says_what_is() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    let before = home.device.status().unwrap().saved;
    let error = interview.answer(&mut home.device, &path("floor"), "big").unwrap_err();
    assert_eq!(error.to_string(), "`floor` takes an integer");
    for unknown in ["roof", "member/nobody/name", "lot", "start"] {
        assert!(interview.answer(&mut home.device, &path(unknown), "1").is_err(), "{unknown}");
    }
    assert_eq!(home.device.status().unwrap().saved, before);
}

#[test]
fn rows_that_a_count_asks_for_are_there_when_one_comes_to_them() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    walk_to(&mut home, &mut interview, "size");
    interview.answer(&mut home.device, &path("size"), "2").unwrap();
    interview.next(&mut home.device).unwrap();
    let name = asked(&interview)[0].path.clone();
    assert_eq!((name.name(), interview.screen().headings[0].as_str()), ("name", "Anggota 1"));
    interview.answer(&mut home.device, &name, "Ana").unwrap();
    interview.next(&mut home.device).unwrap();
    assert_eq!(asked(&interview)[0].label, "Ana bagaimana?");
    assert_eq!(asked(&interview)[0].answer, "well");
    assert_eq!(interview.screen().headings, ["Anggota 1: Ana"]);
    // A smaller count hides a row, it takes nothing away.
    interview.answer(&mut home.device, &path("size"), "0").unwrap();
    assert_eq!(stored(&mut home, &name.to_string()).as_deref(), Some("Ana"));
    interview.answer(&mut home.device, &path("size"), "2").unwrap();
    let rows = home.device.record(home.record).unwrap().rows(&Place::record(), "member").len();
    assert_eq!(rows, 2);
}

#[test]
fn rows_are_added_and_removed_by_hand_where_no_count_says_how_many() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    walk_to(&mut home, &mut interview, "animal+");
    let row = interview.add_row(&mut home.device, &Place::record(), "animal").unwrap();
    let kind = Path::new(row.clone(), "kind").unwrap();
    assert_eq!(*interview.position(), Position::Question(kind.clone()));
    interview.answer(&mut home.device, &kind, "babi").unwrap();
    interview.next(&mut home.device).unwrap();
    let Content::Rows { rows, open, label } = interview.screen().content else { panic!("the list of rows") };
    assert_eq!((rows[0].title.as_str(), open, label.as_str()), ("babi", true, "Ternak"));
    interview.remove_row(&mut home.device, &row).unwrap();
    assert_eq!(interview.position().to_string(), "animal+");
    assert!(!home.device.record(home.record).unwrap().is_shown(&row));
    assert!(interview.add_row(&mut home.device, &Place::record(), "ghost").is_err());
}

#[test]
fn a_member_of_a_merge_group_leaves_the_others_as_they_are() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    interview.answer(&mut home.device, &path("amount"), "2.50").unwrap();
    interview.answer(&mut home.device, &path("unit"), "karung").unwrap();
    interview.answer(&mut home.device, &path("amount"), "@refused").unwrap();
    let record = home.device.record(home.record).unwrap();
    let harvest = record.answer(&path("harvest")).unwrap().siblings[0].value.clone();
    assert_eq!(serde_json::to_string(&harvest).unwrap(), r#"{"amount":{"@":"refused"},"unit":"karung"}"#);
    interview.answer(&mut home.device, &path("amount"), "").unwrap();
    interview.answer(&mut home.device, &path("unit"), "").unwrap();
    let record = home.device.record(home.record).unwrap();
    assert!(matches!(record.answer(&path("harvest")).unwrap().siblings[0].value, Value::Missing(_)));
}

#[test]
fn an_answer_brings_what_it_triggers_in_the_same_change() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    let before = home.device.status().unwrap().saved;
    interview.answer(&mut home.device, &path("floor"), "36").unwrap();
    assert_eq!(home.device.status().unwrap().saved, before + 1);
    assert_eq!(stored(&mut home, "seen").as_deref(), Some("36!"));
}

#[test]
fn an_interview_opens_where_it_was_left_even_if_that_is_no_longer_asked() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    walk_to(&mut home, &mut interview, "animal+");
    let row = interview.add_row(&mut home.device, &Place::record(), "animal").unwrap();
    drop(interview);
    home.device = open(home.folder.path());
    let interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    assert_eq!(*interview.position(), Position::Question(Path::new(row.clone(), "kind").unwrap()));
    drop(interview);
    home.device.save(home.record, AUTHOR, &[Edit::RemoveRow(row)]).unwrap();
    let interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    assert_ne!(*interview.position(), Position::End);
}

#[test]
fn an_answer_does_not_replace_what_its_screen_did_not_show() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    // Saved behind the session's back, as a sync in another window would.
    home.device.save(home.record, "KP002", &[Edit::set("village", Value::text("Oesapa")).unwrap()]).unwrap();
    interview.answer(&mut home.device, &path("village"), "Lasiana").unwrap();
    let siblings =
        |home: &mut Home| home.device.record(home.record).unwrap().answer(&path("village")).unwrap().siblings.len();
    assert_eq!(siblings(&mut home), 2);
    interview.refresh(&mut home.device).unwrap();
    interview.go_to(&mut home.device, &Position::Question(path("village"))).unwrap();
    assert_eq!(asked(&interview)[0].siblings.len(), 2);
    interview.resolve(&mut home.device, &path("village"), "Oesapa").unwrap();
    assert_eq!(siblings(&mut home), 1);
}

#[test]
fn what_is_known_of_the_household_stands_in_the_questions_that_update_it() {
    let mut home = home();
    home.device
        .store_questionnaire(
            r#"{"id":"g","version":"1","lists":{},"items":[
             {"question":{"name":"head_name","key":"head_name","kind":"text","row":2,"updates_household":"head"}}]}"#,
        )
        .unwrap();
    let household = home.device.summary(home.record).unwrap().household;
    let record = home.device.start_interview(household, "1", &"g@1".parse().unwrap(), AUTHOR).unwrap();
    let mut interview = Interview::open(&mut home.device, record, AUTHOR).unwrap();
    assert_eq!(asked(&interview)[0].answer, "Maria");
    interview.answer(&mut home.device, &path("head_name"), "Maria Lay").unwrap();
    interview.finish(&mut home.device).unwrap();
    let register = home.device.record(household.into()).unwrap();
    assert_eq!(*register.answer(&path("head")).unwrap().siblings[0].value, Value::text("Maria Lay"));
}

#[test]
fn the_log_of_time_has_each_screen_with_its_changes_and_no_personal_answer() {
    let mut home = home();
    let mut interview = Interview::open(&mut home.device, home.record, AUTHOR).unwrap();
    interview.answer(&mut home.device, &path("village"), "Oesapa").unwrap();
    walk_to(&mut home, &mut interview, "size");
    interview.answer(&mut home.device, &path("size"), "1").unwrap();
    interview.next(&mut home.device).unwrap();
    let name = asked(&interview)[0].path.clone();
    interview.answer(&mut home.device, &name, "Ana, the elder").unwrap();
    interview.close(&mut home.device).unwrap();
    let log = home.device.audit(home.record).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["event", "node", "start", "end", "old-value", "new-value"]);
    let events: Vec<(&str, &str, &str, &str)> = lines[1..].iter().map(|l| (l[0], l[1], l[4], l[5])).collect();
    assert_eq!(
        events,
        [
            ("form start", "", "", ""),
            ("question", "/data/village", "Liliba", "Oesapa"),
            ("question", "/data/house/floor", "", ""),
            ("question", "/data/house/owner", "", ""),
            ("question", "/data/size", "", "1"),
            ("question", "/data/member[1]/name", "", ""),
            ("form exit", "", "", ""),
        ]
    );
    let (start, end): (i64, i64) = (lines[2][2].parse().unwrap(), lines[2][3].parse().unwrap());
    assert!(start > 0 && end > start);
}

#[test]
fn a_look_writes_nothing() {
    let mut home = home();
    let interview = Interview::look(&mut home.device, home.record, AUTHOR).unwrap();
    assert_eq!(interview.position().to_string(), "village");
    assert_eq!(home.device.audit(home.record).unwrap().lines().count(), 1);
    assert_eq!(home.device.status().unwrap().saved, 2);
}

#[test]
fn a_list_of_many_choices_is_searched_by_label() {
    let mut home = home();
    let villages: Vec<String> =
        (0..100_000).map(|n| format!(r#"{{"name":"{n}","label":{{"":"Desa {n}"}}}}"#)).collect();
    let form = format!(
        r#"{{"id":"v","version":"1","lists":{{"village":[{}]}},"items":[
         {{"question":{{"name":"village","key":"village","kind":{{"select_one":{{"source":{{"list":"village"}}}}}},"row":2}}}}]}}"#,
        villages.join(",")
    );
    home.device.store_questionnaire(&form).unwrap();
    let household = home.device.summary(home.record).unwrap().household;
    let record = home.device.start_interview(household, "1", &"v@1".parse().unwrap(), AUTHOR).unwrap();
    let mut interview = Interview::open(&mut home.device, record, AUTHOR).unwrap();
    let found = interview.choices(&path("village"), "desa 9999", 3);
    assert_eq!(found.offered[0], ("9999".to_owned(), "Desa 9999".to_owned()));
    assert_eq!((found.offered.len(), found.more), (3, 8));
    assert!(interview.answer(&mut home.device, &path("village"), "99999").unwrap().is_empty());
    assert!(!interview.answer(&mut home.device, &path("village"), "100000").unwrap().is_empty());
}

#[test]
fn what_is_wrong_names_the_answers_that_make_it_so_and_who_gave_them() {
    let mut home = home();
    let form = r#"{"id":"m","version":"1","lists":{},"items":[
     {"question":{"name":"age","key":"age","kind":"integer","row":2}},
     {"question":{"name":"married","key":"married","kind":"text","row":3,
       "constraint":{"text":". != 'yes' or ${age} >= 16","row":3,"column":"constraint"}}}]}"#;
    home.device.store_questionnaire(form).unwrap();
    let household = home.device.summary(home.record).unwrap().household;
    let record = home.device.start_interview(household, "1", &"m@1".parse().unwrap(), AUTHOR).unwrap();
    let mut interview = Interview::open(&mut home.device, record, AUTHOR).unwrap();
    interview.answer(&mut home.device, &path("age"), "20").unwrap();
    assert!(interview.answer(&mut home.device, &path("married"), "yes").unwrap().is_empty());
    home.device.save(record, "KP002", &[Edit::set("age", Value::Integer(7)).unwrap()]).unwrap();
    interview.refresh(&mut home.device).unwrap();
    let [flaw] = interview.problems().try_into().unwrap();
    let reads: Vec<(String, String, String)> =
        flaw.reads.into_iter().map(|given| (given.label, given.text, given.author)).collect();
    let given = |label: &str, text: &str, by: &str| (label.to_owned(), text.to_owned(), by.to_owned());
    assert_eq!(reads, [given("married", "yes", "KP001"), given("age", "7", "KP002")]);
}
