//! Which answers a broken rule reads: what someone must look at to mend it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod support;

use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire, ViolationKind};
use support::{SETTINGS, book};

const SURVEY: &str = "type | name | label | relevant | required | constraint | calculation | choice_filter
    text | married | Married? | | | . != 'yes' or ${oldest} >= 16 | |
    select_one town | town | Town | | | | | province = ${province}
    text | province | Province | | | | |
    begin_group | asked | Asked | ${married} = 'yes' | | | |
    text | spouse | Spouse | ${province} = 'ntt' | yes | | |
    end_group | | | | | | |
    begin_repeat | member | Member | | | | |
    integer | age | Age | | | | |
    integer | work | Years of work | | | . <= ${grown} | |
    calculate | grown | | | | | ${age} - 10 |
    end_repeat | | | | | | |
    calculate | oldest | | | | | max(${age}) |";
const CHOICES: &str = "list_name | name | label | province\ntown | kupang | Kupang | ntt\ntown | dili | Dili | tl";

fn record(answers: &[(&str, &str)]) -> Evaluator {
    let bytes = book(&[("survey", SURVEY), ("choices", CHOICES), SETTINGS]);
    let questionnaire = Questionnaire::read_xlsx(&bytes).unwrap().questionnaire;
    let mut instance = Instance::new();
    for (path, text) in answers {
        instance.set(&path.parse().unwrap(), *text);
    }
    Evaluator::new(&Compiled::new(&questionnaire).unwrap(), &instance, Context::default())
}

/// Every violation with what it reads.
fn broken(record: &Evaluator) -> Vec<(String, ViolationKind, Vec<String>)> {
    let violations = record.violations().into_iter();
    violations
        .map(|broken| {
            let reads = record.reads(&broken.path, broken.kind).iter().map(ToString::to_string).collect();
            (broken.path.to_string(), broken.kind, reads)
        })
        .collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_constraint_is_followed_through_calculations_to_the_answers_of_its_own_row() {
    let record = record(&[("member/a/age", "12"), ("member/a/work", "5"), ("member/b/age", "40")]);
    let reads = texts(&["member/a/work", "member/a/age"]);
    assert_eq!(broken(&record), [("member/a/work".to_owned(), ViolationKind::Constraint, reads)]);
}

#[test]
fn a_rule_over_a_roster_reads_every_row_but_never_names_more_than_eight() {
    let mut answers = vec![("married", "yes"), ("province", "tl")];
    let paths: Vec<String> = (0..20).map(|n| format!("member/m{n}/age")).collect();
    answers.extend(paths.iter().take(2).map(|path| (path.as_str(), "7")));
    let reads = texts(&["married", "member/m0/age", "member/m1/age"]);
    assert_eq!(broken(&record(&answers)), [("married".to_owned(), ViolationKind::Constraint, reads)]);
    answers.extend(paths.iter().skip(2).map(|path| (path.as_str(), "7")));
    assert_eq!(broken(&record(&answers))[0].2.len(), 8);
}

#[test]
fn a_missing_answer_names_what_makes_its_question_relevant() {
    let record = record(&[("married", "yes"), ("member/a/age", "30"), ("province", "ntt")]);
    let reads = texts(&["province", "married"]);
    assert_eq!(broken(&record), [("spouse".to_owned(), ViolationKind::Required, reads)]);
}

#[test]
fn a_choice_that_is_not_offered_names_what_the_filter_reads() {
    let record = record(&[("town", "dili"), ("province", "ntt")]);
    let reads = texts(&["town", "province"]);
    assert_eq!(broken(&record), [("town".to_owned(), ViolationKind::Choice, reads)]);
}

#[test]
fn what_is_not_answered_or_not_relevant_is_not_named() {
    let none = record(&[("town", "dili")]);
    assert_eq!(broken(&none)[0].2, texts(&["town"]));
    assert_eq!(none.reads(&"nowhere".parse().unwrap(), ViolationKind::Choice), []);
}
