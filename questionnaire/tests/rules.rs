//! Rules beyond single expressions: defaults, triggers, saved values, growing repeats, filters, merged records.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod support;

use std::sync::Arc;

use questionnaire::{Choice, ChoiceList, Compiled, Context, Evaluator, Instance, Questionnaire, Tables, ViolationKind};
use support::{SETTINGS, book};
use sync_protocol::{Missing, Path, Place};

fn read(survey: &str, choices: &str) -> Questionnaire {
    let bytes = book(&[("survey", survey), ("choices", choices), SETTINGS]);
    let loaded = Questionnaire::read_xlsx(&bytes).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.questionnaire
}

fn start(survey: &str, choices: &str) -> Evaluator {
    let compiled = Compiled::new(&read(survey, choices)).unwrap_or_else(|problems| panic!("{problems}"));
    Evaluator::new(&compiled, &Instance::new(), Context::at("2026-03-02T10:00:00+08:00").unwrap())
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

const NO_CHOICES: &str = "list_name | name | label\nnone | 1 | One";

#[test]
fn a_relevant_question_hides_what_hangs_on_it() {
    let mut record = start(
        "type | name | label | relevant | required | constraint | constraint_message
        text | a | A | | | |
        begin_group | g | G | ${a} = '1' | | |
        integer | b | B | | yes | . > ${low} | More than ${low}.
        end_group | | | | | |
        calculate | c | | | | |
        integer | low | Low | | | |"
            .replace("calculate | c | | | | |\n", "")
            .as_str(),
        NO_CHOICES,
    );
    assert!(!record.is_relevant(&path("b")));
    record.set(&path("a"), "1").unwrap();
    assert!(record.is_relevant(&path("b")) && record.is_required(&path("b")));
    assert_eq!(record.faults(&path("b")), [ViolationKind::Required]);
    record.set(&path("low"), "5").unwrap();
    record.set(&path("b"), "3").unwrap();
    let violations = record.violations();
    assert_eq!((violations.len(), violations[0].kind), (1, ViolationKind::Constraint));
    assert_eq!(violations[0].message.in_language(""), "More than 5.");
    record.set(&path("b"), "three").unwrap();
    assert_eq!(record.faults(&path("b")), [ViolationKind::Type]);
    record.set_missing(&path("b"), Missing::Refused).unwrap();
    assert!(record.violations().is_empty());
    record.set_missing(&path("b"), Missing::NotAsked).unwrap();
    assert_eq!(record.faults(&path("b")), [ViolationKind::Required]);
    record.set(&path("a"), "2").unwrap();
    assert!(record.violations().is_empty());
    assert!(record.set(&path("nowhere"), "1").is_err());
    assert!(record.set(&path("g/x/b"), "1").is_err());
}

#[test]
fn types_are_checked() {
    let mut record = start(
        "type | name | label | parameters
        integer | i | I |
        decimal | d | D |
        date | day | Day |
        time | clock | Clock |
        dateTime | when | When |
        geopoint | gps | GPS |
        geotrace | line | Line |
        range | slide | Slide | start=0;end=5;step=1",
        NO_CHOICES,
    );
    for (name, good, bad) in [
        ("i", vec!["0", "-7", "007", "123456789012345678"], vec!["1.0", "1e3", "٣", "--1", "x", "1 000"]),
        ("d", vec!["1.5", "-.5", "3"], vec!["1,5", "1e3", "abc", "."]),
        ("day", vec!["2024-02-29"], vec!["2023-02-29", "29-02-2024", "2024-2-9", "2024-02-29T00:00"]),
        ("clock", vec!["08:30", "08:30:00.000+08:00"], vec!["24:00", "8"]),
        ("when", vec!["2024-02-29T08:30:00.000+08:00"], vec!["2024-02-29", "today"]),
        ("gps", vec!["-10.1 123.6", "-10.1 123.6 35 4.5"], vec!["91 0", "0 181", "1", "a b", "1 2 3 4 5"]),
        ("line", vec!["0 0; 1 1", "0 0 0 0;1 1 0 0;"], vec!["0 0", "0 0; x"]),
        ("slide", vec!["0", "5"], vec!["-1", "6", "x"]),
    ] {
        for text in good {
            record.set(&path(name), text).unwrap();
            assert_eq!(record.faults(&path(name)), [], "{name} {text}");
        }
        for text in bad {
            record.set(&path(name), text).unwrap();
            assert_eq!(record.faults(&path(name)), [ViolationKind::Type], "{name} {text}");
        }
    }
}

#[test]
fn values_that_are_no_function_of_the_answers_are_saved() {
    let mut record = start(
        "type | name | label | calculation | trigger | default
        text | a | A | | |
        calculate | code | | once(uuid()) | |
        calculate | changed | | concat(${a}, '-', format-date(now(), '%H')) | ${a} |
        text | plain | P | | | unknown
        date | day | Day | | | today()
        text | copy | Copy | | | concat(${a}, '!')",
        NO_CHOICES,
    );
    let evaluation = record.evaluation();
    let code = evaluation.to_save[&path("code")].clone();
    assert_eq!(code.len(), 36);
    assert_eq!(evaluation.calculated[&path("code")], code);
    record.set(&path("code"), &code).unwrap();
    record.set(&path("a"), "x").unwrap();
    assert_eq!(record.value(&path("code")), code);
    assert!(record.evaluation().to_save.is_empty());

    assert_eq!(record.value(&path("changed")), "");
    assert_eq!(record.triggered_by(&path("a")), [(path("changed"), "x-10".to_owned())]);
    record.set(&path("changed"), "x-10").unwrap();
    assert_eq!(record.value(&path("changed")), "x-10");

    assert_eq!(record.default_value(&path("plain")).as_deref(), Some("unknown"));
    assert_eq!(record.default_value(&path("day")).as_deref(), Some("2026-03-02"));
    assert_eq!(record.default_value(&path("copy")).as_deref(), Some("x!"));
    assert_eq!(record.default_value(&path("a")), None);
}

#[test]
fn a_saved_calculation_that_reads_itself_is_a_circle() {
    let questionnaire = read(
        "type | name | label | calculation
        text | p | P |
        calculate | b | | if(once(random()), ${b}, ${p})",
        NO_CHOICES,
    );
    let problems = Compiled::new(&questionnaire).unwrap_err();
    assert_eq!(problems.0[0].code.as_str(), "expression-cycle");
    assert_eq!(problems.0[0].row, 3);
}

#[test]
fn once_outside_of_its_calculation_reads_the_answer() {
    let questionnaire = read(
        "type | name | label | relevant | constraint
        text | a | A | once(1) = 1 | once('x') = .",
        NO_CHOICES,
    );
    // The relevance hangs on the answer, and the answer counts only where it is relevant.
    let problems = Compiled::new(&questionnaire).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert_eq!(problems.0[0].code.as_str(), "expression-cycle");
}

#[test]
fn circles_are_named_with_all_that_is_in_them() {
    let questionnaire = read(
        "type | name | label | calculation | relevant
        calculate | a | | ${b} + 1 |
        calculate | b | | ${c} + 1 |
        begin_group | g | G | | ${a} > 1
        calculate | c | | 5 |
        text | t | T | |
        end_group | | | |",
        NO_CHOICES,
    );
    let problems = Compiled::new(&questionnaire).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert_eq!((problems.0[0].row, problems.0[0].column.as_str()), (2, "calculation"));
    for name in ["a", "b", "g"] {
        assert!(problems.0[0].message.contains(name), "{problems}");
    }
}

#[test]
fn a_repeat_that_counts_its_own_rows_asks_for_more_and_hides_none() {
    let mut record = start(
        "type | name | label | calculation | repeat_count
        calculate | rows | | count(${level}) |
        begin_repeat | level | Level | | if(${rows} = 0 or ${level}[position() = ${rows}]/more = '1', ${rows} + 1, ${rows})
        text | more | More? | |
        end_repeat | | | |",
        NO_CHOICES,
    );
    assert_eq!(record.row_count(&Place::record(), "level"), Some(1));
    assert_eq!(record.evaluation().missing[0].expected, 1);
    record.add_row(&place("level/a")).unwrap();
    assert!(record.evaluation().missing.is_empty());
    record.set(&path("level/a/more"), "1").unwrap();
    assert_eq!(record.row_count(&Place::record(), "level"), Some(2));
    assert_eq!(record.rows(&Place::record(), "level"), ["a"]);
}

#[test]
fn a_count_without_an_answer_hides_no_row() {
    let mut record = start(
        "type | name | label | calculation | repeat_count
        integer | size | Size | |
        begin_repeat | member | Member | | ${size}
        text | who | Who | |
        end_repeat | | | |
        calculate | found | | count(${member}) |",
        NO_CHOICES,
    );
    record.set(&path("size"), "1").unwrap();
    record.add_row(&place("member/a")).unwrap();
    record.add_row(&place("member/b")).unwrap();
    assert_eq!(record.value(&path("found")), "1");
    for (size, count, found) in [("", 2, "2"), ("-1", 0, "0"), ("2.9", 2, "2"), ("", 2, "2")] {
        record.set(&path("size"), size).unwrap();
        assert_eq!(record.row_count(&Place::record(), "member"), Some(count));
        assert_eq!(record.value(&path("found")), found);
        assert!(record.evaluation().missing.is_empty());
    }
}

#[test]
fn rows_refer_to_their_own_answers() {
    let mut record = start(
        "type | name | label | calculation | relevant
        begin_repeat | person | Person | |
        text | name | Name | |
        integer | age | Age | |
        begin_group | more | More | | ${age} > 10
        calculate | shout | | concat(${name}, '!', position(../..), ' of ', count(${person})) |
        begin_repeat | job | Job | |
        text | title | Title of ${name} | |
        calculate | full | | concat(${name}, ' ', ${title}, ' ', ../../../age) |
        end_repeat | | | |
        end_group | | | |
        end_repeat | | | |
        calculate | all | | join(';', ${full}) |
        calculate | others | | count(${person}[age > 18]) |",
        NO_CHOICES,
    );
    for (at, text) in [
        ("person/a/name", "Ana"),
        ("person/a/age", "30"),
        ("person/b/name", "Budi"),
        ("person/b/age", "12"),
        ("person/a/job/x/title", "guru"),
        ("person/b/job/x/title", "petani"),
    ] {
        let at = path(at);
        let mut around = Place::record();
        for (repeat, row) in at.place().steps() {
            around = around.row(repeat, row).unwrap();
            record.add_row(&around).unwrap();
        }
        record.set(&at, text).unwrap();
    }
    assert_eq!(record.value(&path("person/b/shout")), "Budi!2 of 2");
    assert_eq!(record.value(&path("all")), "Ana guru 30;Budi petani 12");
    assert_eq!(record.value(&path("others")), "1");
    record.set(&path("person/b/age"), "9").unwrap();
    assert_eq!(record.value(&path("all")), "Ana guru 30");
    record.move_row(&place("person/b"), 0).unwrap();
    record.set(&path("person/b/age"), "40").unwrap();
    assert_eq!(record.value(&path("person/b/shout")), "Budi!1 of 2");
    assert_eq!(record.value(&path("all")), "Budi petani 40;Ana guru 30");
    let label = record.evaluation();
    assert!(label.violations.is_empty());
    let text = questionnaire_label(&record, "person/a/job/x/title");
    assert_eq!(text, "Title of Ana");
    record.remove_row(&place("person/a")).unwrap();
    assert_eq!(record.value(&path("all")), "Budi petani 40");
}

fn questionnaire_label(record: &Evaluator, at: &str) -> String {
    let mut label = questionnaire::Text::default();
    label.set("", "Title of ${name}");
    record.text(&path(at), &label, "")
}

#[test]
fn long_lists_are_searched_by_their_index() {
    let mut choices = String::from("list_name | name | label | district\n");
    for at in 0..20_000 {
        choices.push_str(&format!("village | v{at} | Village {at} | d{}\n", at / 100));
    }
    choices.push_str("district | d1 | One |\ndistrict | d2 | Two |");
    let mut record = start(
        "type | name | label | choice_filter
        select_one district | district | District |
        select_one village | village | Village | district = ${district}
        calculate | none | |"
            .replace("\n        calculate | none | |", "")
            .as_str(),
        &choices,
    );
    record.set(&path("district"), "d2").unwrap();
    let offers = record.choices(&path("village"));
    assert_eq!((offers.len(), offers[0].name.as_str()), (100, "v200"));
    record.set(&path("village"), "v250").unwrap();
    assert_eq!(record.faults(&path("village")), []);
    record.set(&path("district"), "d1").unwrap();
    assert_eq!(record.faults(&path("village")), [ViolationKind::Choice]);
}

#[test]
fn files_that_come_with_the_form_are_looked_up() {
    let questionnaire = read(
        "type | name | label | calculation | parameters
        select_one_from_file schools.csv | school | School | | value=code, label=title
        calculate | pupils | | pulldata('schools', 'pupils', 'code', ${school}) |
        calculate | title | | instance('schools')/root/item[code = ${school}]/title |
        calculate | shown | | jr:choice-name(${school}, '${school}') |",
        NO_CHOICES,
    );
    let entry = |code: &str, title: &str, pupils: &str| Choice {
        attributes: [("code", code), ("title", title), ("pupils", pupils)]
            .map(|(column, text)| (column.to_owned(), text.to_owned()))
            .into(),
        ..Choice::default()
    };
    let list = ChoiceList::from(vec![entry("s1", "SD Oesapa", "210"), entry("s2", "SD Sikumana", "180")]);
    let tables = Tables::from([("schools".to_owned(), list)]);
    let compiled = Compiled::with_tables(Arc::new(questionnaire.clone()), tables).unwrap();
    let mut record = Evaluator::new(&compiled, &Instance::new(), Context::default());
    record.set(&path("school"), "s2").unwrap();
    assert_eq!(record.value(&path("pupils")), "180");
    assert_eq!(record.value(&path("title")), "SD Sikumana");
    assert_eq!(record.value(&path("shown")), "SD Sikumana");
    assert_eq!(record.choices(&path("school"))[0].label.in_language(""), "SD Oesapa");
    record.set(&path("school"), "s9").unwrap();
    assert_eq!(record.faults(&path("school")), [ViolationKind::Choice]);
    // Without the file nothing can be said.
    let compiled = Compiled::new(&questionnaire).unwrap();
    let mut record = Evaluator::new(&compiled, &Instance::new(), Context::default());
    record.set(&path("school"), "s9").unwrap();
    assert_eq!(record.faults(&path("school")), []);
}

#[test]
fn the_lenient_compiler_goes_on_past_dead_paths() {
    let questionnaire = read(
        "type | name | label | relevant | constraint
        text | a | A | nowhere != 'x' | regex(., '(?!x).*')",
        NO_CHOICES,
    );
    assert_eq!(Compiled::new(&questionnaire).unwrap_err().0.len(), 2);
    let compiled = Compiled::lenient(Arc::new(questionnaire), Tables::new()).unwrap();
    let codes: Vec<&str> = compiled.warnings().iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["pattern-invalid", "path-unknown"]);
    let mut answers = Instance::new();
    answers.set(&path("a"), "anything");
    let evaluation = compiled.evaluate(&answers, &Context::default());
    assert!(evaluation.relevant[&path("a")] && evaluation.violations.is_empty());
}

#[test]
fn a_column_that_a_list_lacks_is_empty() {
    let questionnaire = read(
        "type | name | label | choice_filter
        begin_group | location | L |
        text | v | V |
        end_group | | |
        select_one farm | farm | Farm | location = ${v} or location = -999",
        "list_name | name | label\nfarm | 1 | One\nfarm | 2 | Two",
    );
    let compiled = Compiled::lenient(Arc::new(questionnaire), Tables::new()).unwrap();
    let mut record = Evaluator::new(&compiled, &Instance::new(), Context::default());
    assert_eq!(record.choices(&path("farm")).len(), 2);
    record.set(&path("v"), "x").unwrap();
    assert_eq!(record.choices(&path("farm")).len(), 0);
}
