//! Answers that were given under an earlier version of the questionnaire.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use questionnaire::{Compiled, Context, Difference, Instance, ProblemCode, Questionnaire, ViolationKind};
use rust_xlsxwriter::Workbook;
use sync_protocol::{
    Change, Dot, HouseholdId, Op, Path, Place, Record, ReplicaId, Subject, Value, ids::FIRST_INTERVIEW,
};

fn workbook(version: &str, survey: &[[&str; 4]], choices: &[&str]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("survey").unwrap();
    sheet.write_row(0, 0, ["type", "name", "tenun::was", "tenun::merge", "label"]).unwrap();
    for (row, cells) in (1..).zip(survey) {
        sheet.write_row(row, 0, *cells).unwrap();
        if !cells[1].is_empty() {
            sheet.write(row, 4, cells[1]).unwrap();
        }
    }
    let sheet = book.add_worksheet().set_name("choices").unwrap();
    sheet.write_row(0, 0, ["list_name", "name", "label"]).unwrap();
    for (row, choice) in (1..).zip(choices) {
        sheet.write_row(row, 0, ["floor", choice, choice]).unwrap();
    }
    let sheet = book.add_worksheet().set_name("settings").unwrap();
    sheet.write_row_matrix(0, 0, [["form_id", "version"], ["f", version]]).unwrap();
    book.save_to_buffer().unwrap()
}

fn read(version: &str, survey: &[[&str; 4]], choices: &[&str]) -> Questionnaire {
    Questionnaire::read_xlsx(&workbook(version, survey, choices))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .questionnaire
}

fn first() -> Questionnaire {
    read(
        "1",
        &[
            ["select_one floor", "floor", "", ""],
            ["integer", "rooms", "", ""],
            ["text", "colour", "", ""],
            ["text", "code", "", ""],
            ["decimal", "amount", "", "harvest"],
            ["text", "unit", "", "harvest"],
            ["begin_repeat", "member", "", ""],
            ["integer", "age", "", ""],
            ["end_repeat", "", "", ""],
        ],
        &["earth", "tiles", "wood"],
    )
}

/// Renames `floor`, the roster, `age` and `unit`; drops `colour`, the choice `wood`; makes `rooms` a text and `code` a number.
fn second() -> Questionnaire {
    read(
        "2",
        &[
            ["select_one floor", "material", "floor", ""],
            ["text", "rooms", "", ""],
            ["integer", "code", "", ""],
            ["decimal", "amount", "", "harvest"],
            ["text", "measure", "unit", "harvest"],
            ["begin_repeat", "person", "member", ""],
            ["integer", "years", "age", ""],
            ["text", "job", "", ""],
            ["end_repeat", "", "", ""],
        ],
        &["earth", "tiles"],
    )
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn change(replica: u8, seq: u64, version: &str, ops: Vec<Op>) -> Change {
    let household = "07070707-0707-0707-0707-070707070707".parse::<HouseholdId>().unwrap();
    Change {
        dot: Dot {
            replica: format!("00000000-0000-0000-0000-00000000000{replica}").parse::<ReplicaId>().unwrap(),
            seq,
        },
        subject: Subject::Interview { household, round: "1".into(), purpose: FIRST_INTERVIEW.into() },
        questionnaire: format!("f@{version}").parse().unwrap(),
        author: "KP001".into(),
        wall_ms: i64::try_from(seq).unwrap(),
        ops,
        instead_of: None,
    }
}

fn set(at: &str, value: Value, preds: &[Dot]) -> Op {
    Op::Set { path: path(at), value, preds: preds.to_vec() }
}

fn merged(form: &Questionnaire, changes: &[Change]) -> Record {
    let mut record = Record::new();
    for change in changes {
        record.apply(form.adopt(change.clone()), None);
    }
    record
}

fn old_answers() -> Change {
    let harvest = [("amount", Value::text("2.5")), ("unit", Value::text("karung"))];
    change(
        1,
        1,
        "1",
        vec![
            Op::AddRow { row: "member/a".parse().unwrap(), order: 1 },
            set("floor", Value::text("wood"), &[]),
            set("rooms", Value::Integer(3), &[]),
            set("colour", Value::text("blue"), &[]),
            set("code", Value::text("x7"), &[]),
            set("harvest", Value::Fields(harvest.map(|(name, value)| (name.to_owned(), value)).into()), &[]),
            set("member/a/age", Value::Integer(41), &[]),
        ],
    )
}

#[test]
fn a_renamed_question_and_a_renamed_roster_keep_their_answers() {
    let form = second();
    let record = merged(&form, &[old_answers()]);
    let instance = Instance::from_record(&record, &form);
    assert_eq!(instance.get(&path("person/a/years")), "41");
    assert_eq!(instance.get(&path("material")), "wood");
    assert_eq!((instance.get(&path("amount")), instance.get(&path("measure"))), ("2.5", "karung"));
    assert!(record.answer(&path("floor")).is_none());
}

#[test]
fn an_edit_under_the_old_version_meets_one_under_the_new_in_one_register() {
    let form = second();
    let old = old_answers();
    // One phone is on the new version and saw the answer, another is still on the old one and saw it, too.
    let new_edit = change(2, 1, "2", vec![set("material", Value::text("tiles"), &[old.dot])]);
    let old_edit = change(3, 1, "1", vec![set("floor", Value::text("earth"), &[old.dot])]);
    for order in [[&old, &new_edit, &old_edit], [&old_edit, &old, &new_edit], [&new_edit, &old_edit, &old]] {
        let record = merged(&form, &order.map(Clone::clone));
        let answer = record.answer(&path("material")).unwrap();
        let mut values: Vec<String> = answer.siblings.iter().map(|sibling| sibling.value.to_string()).collect();
        values.sort();
        assert_eq!(values, ["earth", "tiles"]);
    }
    // A row that was removed under the old name is removed under the new one.
    let removal = Op::RemoveRow { row: "member/a".parse().unwrap(), preds: vec![old.dot] };
    let record = merged(&form, &[old, change(3, 1, "1", vec![removal])]);
    assert!(!record.is_shown(&"person/a".parse::<Place>().unwrap()));
}

#[test]
fn what_is_not_asked_any_more_is_parked_and_nothing_is_lost() {
    let form = second();
    let record = merged(&form, &[old_answers()]);
    let parked: Vec<String> = form.parked(&record).iter().map(|(path, value)| format!("{path}={value}")).collect();
    assert_eq!(parked, ["colour=blue"]);
    assert_eq!(record.answer(&path("colour")).unwrap().siblings[0].value, &Value::text("blue"));
    assert_eq!(record.answers().count(), 6);
}

#[test]
fn a_changed_type_keeps_what_it_can_read_and_asks_again_for_the_rest_and_for_a_choice_that_is_gone() {
    let form = second();
    let record = merged(&form, &[old_answers()]);
    let evaluation =
        Compiled::new(&form).unwrap().evaluate(&Instance::from_record(&record, &form), &Context::default());
    let wrong: Vec<(String, ViolationKind)> =
        evaluation.violations.iter().map(|violation| (violation.path.to_string(), violation.kind)).collect();
    assert_eq!(wrong, [("material".to_owned(), ViolationKind::Choice), ("code".to_owned(), ViolationKind::Type)]);
    assert_eq!(Instance::from_record(&record, &form).get(&path("rooms")), "3");
}

#[test]
fn the_differences_between_two_versions_are_listed() {
    let told: Vec<String> = second().differences_from(&first()).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "person: was member, its answers stay",
            "material: was floor, its answers stay",
            "material: the choice wood is gone, whoever chose it is to be asked again",
            "rooms: was integer, is text; answers that are no text are to be asked again",
            "code: was text, is integer; answers that are no integer are to be asked again",
            "measure: was unit, its answers stay",
            "person/years: was member/age, its answers stay",
            "person/job: new, to be asked",
            "colour: gone, its answers are parked",
        ]
    );
    assert!(first().differences_from(&first()).is_empty());
    let json = serde_json::to_string(&Difference::Gone { question: "colour".into() }).unwrap();
    assert_eq!(json, r#"{"kind":"gone","question":"colour"}"#);
}

#[test]
fn a_question_may_have_had_several_names_but_none_that_another_one_has() {
    let form = read("3", &[["text", "c", "a b", ""]], &[]);
    let record = merged(&form, &[change(1, 1, "1", vec![set("a", Value::text("first"), &[])])]);
    assert_eq!(Instance::from_record(&record, &form).get(&path("c")), "first");
    for survey in [[["text", "b", "a", ""], ["text", "a", "", ""]], [["text", "b", "a", ""], ["text", "c", "a", ""]]] {
        let problems = Questionnaire::read_xlsx(&workbook("3", &survey, &[])).unwrap_err();
        let codes: Vec<ProblemCode> = problems.errors().map(|problem| problem.code).collect();
        assert_eq!(codes, [ProblemCode::EarlierNameTaken]);
    }
}

#[test]
fn a_version_that_would_join_two_questions_of_an_earlier_one_is_told() {
    let earlier = read("1", &[["text", "first", "", ""], ["text", "second", "", ""]], &[]);
    for later in
        [read("2", &[["text", "full", "first second", ""]], &[]), read("2", &[["text", "first", "second", ""]], &[])]
    {
        let joined = later.differences_from(&earlier).into_iter().any(|one| matches!(one, Difference::Joined { .. }));
        assert!(joined);
    }
}

#[test]
fn a_member_that_a_merge_group_has_no_more_is_parked_and_held_up_by_nobody() {
    let form = read("2", &[["decimal", "amount", "", "harvest"], ["text", "sort", "", "harvest"]], &[]);
    let record = merged(&form, &[old_answers()]);
    let parked: Vec<String> = form.parked(&record).iter().map(|(path, _)| path.to_string()).collect();
    assert!(parked.contains(&"harvest.unit".to_owned()), "{parked:?}");
    let harvest = record.answer(&path("harvest")).unwrap();
    assert!(form.check_value(&path("harvest"), harvest.siblings[0].value).is_ok());
    let alone = read("2", &[["text", "unit", "", ""]], &[]);
    let differences = alone.differences_from(&first());
    assert!(differences.contains(&Difference::Regrouped { question: "unit".into() }), "{differences:?}");
}
