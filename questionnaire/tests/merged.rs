//! From a merged record to the text that the rules look at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod support;

use std::collections::BTreeMap;

use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire};
use serde_json::from_str;
use support::{SETTINGS, book};
use sync_protocol::{Change, Dot, Missing, Op, Path, Place, QuestionnaireRef, Record, Subject, Value};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

/// Makes the change of this number; all are of one replica and one household.
fn change(seq: u64, ops: Vec<Op>) -> Change {
    let replica = from_str(r#""00000000-0000-0000-0000-000000000001""#).unwrap();
    let household = from_str(r#""00000000-0000-0000-0000-000000000002""#).unwrap();
    Change {
        dot: Dot { replica, seq },
        subject: Subject::Household(household),
        questionnaire: QuestionnaireRef { id: "survei".into(), version: "1".into() },
        author: "e1".into(),
        wall_ms: 0,
        ops,
        instead_of: None,
    }
}

#[test]
fn a_merged_record_is_read_with_its_rows_and_groups() {
    let survey = "type | name | label | tenun::merge | calculation
        geopoint | gps | GPS | |
        select_multiple some | many | Many | union |
        decimal | amount | Amount | harvest |
        text | unit | Unit | harvest |
        text | why | Why | |
        begin_repeat | member | Member | |
        integer | age | Age | |
        end_repeat | | | |
        calculate | ages | | | join(' ', ${age})";
    let choices = "list_name | name | label\nsome | 1 | One\nsome | 2 | Two";
    let bytes = book(&[("survey", survey), ("choices", choices), SETTINGS]);
    let questionnaire = Questionnaire::read_xlsx(&bytes).unwrap().questionnaire;

    let answers = r#"{"gps":{"lat":-101772000,"lon":1236070001,"alt":35000,"acc":4500},
        "harvest":{"amount":"2.5","unit":"kg"},"many":["1","2"],"gone":"of another version",
        "member/b/age":7,"member/a/age":41,"member/z/age":99}"#;
    let answers: BTreeMap<String, Value> = from_str(answers).unwrap();
    let mut ops: Vec<Op> =
        answers.into_iter().map(|(at, value)| Op::Set { path: path(&at), value, preds: Vec::new() }).collect();
    let value = Value::Missing(Missing::Refused);
    ops.push(Op::Set { path: path("why"), value, preds: Vec::new() });
    ops.push(Op::AddRow { row: place("member/b"), order: 1 });
    ops.push(Op::AddRow { row: place("member/a"), order: 2 });
    let first = change(1, ops);
    let preds = vec![first.dot];
    let mut record = Record::new();
    record.apply(first, None);
    record.apply(change(2, vec![Op::RemoveRow { row: place("member/z"), preds }]), None);

    let instance = Instance::from_record(&record, &questionnaire);
    for (at, text) in [
        ("gps", "-10.1772 123.6070001 35 4.5"),
        ("many", "1 2"),
        ("amount", "2.5"),
        ("unit", "kg"),
        ("why", ""),
        ("gone", ""),
        ("member/a/age", "41"),
        ("member/z/age", ""),
    ] {
        assert_eq!(instance.get(&path(at)), text, "{at}");
    }
    let compiled = Compiled::new(&questionnaire).unwrap();
    let evaluation = compiled.evaluate(&instance, &Context::default());
    assert_eq!(evaluation.calculated.get(&path("ages")).map(String::as_str), Some("7 41"));
    assert!(evaluation.violations.is_empty());
    // The short way gives the same.
    let straight = Evaluator::of_record(&compiled, &record, Context::default());
    assert_eq!(straight.evaluation(), evaluation);
    assert_eq!(straight.instance(), Evaluator::new(&compiled, &instance, Context::default()).instance());
}
