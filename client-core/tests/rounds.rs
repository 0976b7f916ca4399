//! From one round to the next: the household and its roster come along.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use client_core::{Device, Edit, Interview, host::Fixed};
use sync_protocol::{HouseholdId, Path, Place, RecordId, Value};

const AUTHOR: &str = "KP001";

const FORM: &str = r#"{"id":"f","version":"1","lists":{},"items":[
 {"question":{"name":"village","key":"village","kind":"text","row":2,"updates_household":"village"}},
 {"repeat":{"name":"member","key":"member","row":3,"children":[
  {"question":{"name":"name","key":"name","kind":"text","row":4,"updates_household":"name"}},
  {"question":{"name":"age","key":"age","kind":"integer","row":5}},
  {"question":{"name":"mood","key":"mood","kind":"text","row":6,"default":{"text":"well","row":6,"column":"default"}}},
  {"repeat":{"name":"job","key":"job","row":7,"children":[
   {"question":{"name":"place","key":"place","kind":"text","row":8,"updates_household":"place"}}]}}]}}]}"#;

struct Home {
    device: Device<Fixed>,
    household: HouseholdId,
    _folder: tempfile::TempDir,
}

fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::open(&folder.path().join("device.sqlite"), Fixed::new(1)).unwrap();
    device.store_questionnaire(FORM).unwrap();
    let household = device.register_household(AUTHOR, &[("head", Value::text("Maria"))]).unwrap();
    Home { device, household, _folder: folder }
}

impl Home {
    fn round(&mut self, round: &str) -> (RecordId, Interview) {
        let form = "f@1".parse().unwrap();
        let record = self.device.start_interview(self.household, round, &form, AUTHOR).unwrap();
        (record, Interview::open(&mut self.device, record, AUTHOR).unwrap())
    }

    fn answer(&mut self, interview: &mut Interview, path: &str, text: &str) {
        let path: Path = path.parse().unwrap();
        interview.answer(&mut self.device, &path, text).unwrap();
    }

    fn shown(&mut self, record: impl Into<RecordId>) -> Vec<(String, String)> {
        let record = self.device.record(record.into()).unwrap();
        record.shown_answers().map(|(path, a)| (path.to_string(), a.siblings[0].value.to_string())).collect()
    }

    fn rows(&mut self, record: impl Into<RecordId>) -> Vec<String> {
        let record = self.device.record(record.into()).unwrap();
        record.all_rows().map(|row| row.place.to_string()).collect()
    }
}

#[test]
fn members_keep_their_rows_and_names_from_round_to_round() {
    let mut home = home();
    let (first, mut interview) = home.round("1");
    home.answer(&mut interview, "village", "Liliba");
    let ana = interview.add_row(&mut home.device, &Place::record(), "member").unwrap();
    home.answer(&mut interview, &format!("{ana}/name"), "Ana");
    home.answer(&mut interview, &format!("{ana}/age"), "7");
    let job = interview.add_row(&mut home.device, &ana, "job").unwrap();
    home.answer(&mut interview, &format!("{job}/place"), "market");
    let beni = interview.add_row(&mut home.device, &Place::record(), "member").unwrap();
    home.answer(&mut interview, &format!("{beni}/name"), "Beni");
    interview.finish(&mut home.device).unwrap();
    let household = home.household;
    assert_eq!(home.rows(household), home.rows(first));

    let (second, mut interview) = home.round("2");
    assert_eq!(home.rows(second), home.rows(first), "the same rows, before anything was asked");
    let shown = home.shown(second);
    for (path, text) in [
        ("village".to_owned(), "Liliba"),
        (format!("{ana}/name"), "Ana"),
        (format!("{ana}/mood"), "well"),
        (format!("{job}/place"), "market"),
        (format!("{beni}/name"), "Beni"),
    ] {
        assert!(shown.contains(&(path.clone(), text.to_owned())), "{path}: {shown:?}");
    }
    assert!(!shown.iter().any(|(path, _)| path.ends_with("/age")), "what is not the household's is asked anew");

    // One goes, one comes, one gets another name: the household has it for the third round.
    interview.remove_row(&mut home.device, &beni).unwrap();
    home.answer(&mut interview, &format!("{ana}/name"), "Anastasia");
    let citra = interview.add_row(&mut home.device, &Place::record(), "member").unwrap();
    home.answer(&mut interview, &format!("{citra}/name"), "Citra");
    interview.finish(&mut home.device).unwrap();
    let (third, _) = home.round("3");
    let mut expected = vec![ana.to_string(), job.to_string(), citra.to_string()];
    expected.sort();
    assert_eq!(home.rows(third), expected);
    assert!(home.shown(third).contains(&(format!("{ana}/name"), "Anastasia".to_owned())));
}

#[test]
fn a_row_that_came_to_the_household_meanwhile_stays() {
    let mut home = home();
    let (_, mut interview) = home.round("1");
    let ana = interview.add_row(&mut home.device, &Place::record(), "member").unwrap();
    home.answer(&mut interview, &format!("{ana}/name"), "Ana");
    // Another interview of the household, a back-check say, found somebody.
    let beni = Place::record().row("member", "beni").unwrap();
    let name = Edit::Set(Path::new(beni.clone(), "name").unwrap(), Value::text("Beni"));
    let household = home.household;
    home.device.save(household.into(), AUTHOR, &[Edit::AddRow(beni.clone()), name]).unwrap();
    interview.finish(&mut home.device).unwrap();
    let mut expected = vec![ana.to_string(), beni.to_string()];
    expected.sort();
    assert_eq!(home.rows(household), expected);
}
