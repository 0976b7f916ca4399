//! What is wrong with a workbook is told all at once, each with its cell; and no bytes make the reader fall over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod book;

use book::{SETTINGS, book};
use proptest::prelude::*;
use questionnaire::{ProblemCode as Code, Questionnaire, Severity};
use rust_xlsxwriter::Workbook;

const WRONG: &[(&str, &str)] = &[
    (
        "survey",
        "
        type | name | label | relevant | constraint_message | repeat_count | parameters | Calculate | speling | tenun::personal
        intger | a | A
        text | | B
        text | 1c | C | ${nowhere} = 1 and ${a
        select_one missing | d | D
        select_one | e | E
        select_one empty | f | ${Zz}
        text | g | | | No
        text | g | G | | | 3
        range | h | H | | | | start=x step
        calculate | i
        end_repeat
        begin_group | j | J
        begin_repeat | | K
        text | zz | L | | | | | | | maybe
        end_group
        begin_repeat | m | M
        select_one_from_file x.doc | n | N
        select_one ${a} | o | O
        | p | P
        select_multiple spaced | q | Q
        ",
    ),
    (
        "choices",
        "
        list_name | name | label
        empty | | E
        yn | 1 | One
        yn | 1 | Again
        yn | 2
        | 3 | Three
        spaced | a b | AB
        ",
    ),
    ("settings", "title\nWrong"),
];

#[test]
fn every_problem_is_told_at_once_with_its_cell() {
    let problems = Questionnaire::read_xlsx(&book(WRONG)).unwrap_err();
    let told: Vec<(Severity, &str, u32, &str, Code)> =
        problems.0.iter().map(|p| (p.severity, p.sheet.as_str(), p.row, p.column.as_str(), p.code)).collect();
    let (error, warning) = (Severity::Error, Severity::Warning);
    assert_eq!(
        told,
        [
            (warning, "survey", 1, "speling", Code::ColumnUnknown),
            (error, "survey", 2, "type", Code::TypeUnknown),
            (error, "survey", 3, "name", Code::NameMissing),
            (error, "survey", 4, "name", Code::NameInvalid),
            (error, "survey", 4, "relevant", Code::ReferenceUnknown),
            (error, "survey", 4, "relevant", Code::ReferenceUnclosed),
            (error, "survey", 5, "type", Code::ListUnknown),
            (error, "survey", 6, "type", Code::ListMissing),
            (error, "survey", 7, "type", Code::ListEmpty),
            (error, "survey", 7, "label", Code::ReferenceUnknown),
            (warning, "survey", 8, "label", Code::LabelMissing),
            (warning, "survey", 8, "constraint_message", Code::MessageWithoutConstraint),
            (error, "survey", 9, "name", Code::NameTwice),
            (error, "survey", 9, "repeat_count", Code::ColumnMisplaced),
            (error, "survey", 10, "parameters", Code::ParametersMalformed),
            (error, "survey", 10, "parameters", Code::ParametersMalformed),
            (error, "survey", 11, "Calculate", Code::CalculationMissing),
            (error, "survey", 12, "type", Code::EndUnmatched),
            (error, "survey", 14, "name", Code::NameMissing),
            (error, "survey", 14, "type", Code::BeginUnclosed),
            (error, "survey", 15, "tenun::personal", Code::FlagInvalid),
            (error, "survey", 17, "type", Code::BeginUnclosed),
            (error, "survey", 18, "type", Code::ChoiceFileInvalid),
            (error, "survey", 19, "type", Code::RowChoiceInvalid),
            (error, "survey", 20, "type", Code::TypeMissing),
            (error, "choices", 2, "name", Code::ChoiceNameMissing),
            (error, "choices", 4, "name", Code::ChoiceNameTwice),
            (warning, "choices", 5, "label", Code::LabelMissing),
            (error, "choices", 6, "list_name", Code::ListMissing),
            (error, "choices", 7, "name", Code::ChoiceNameSpace),
            (error, "settings", 2, "form_id", Code::FormIdMissing),
            (warning, "settings", 2, "version", Code::VersionMissing),
        ]
    );
    for problem in &problems.0 {
        assert!(problem.message.ends_with('.') && !problem.fix.is_empty(), "{problem}");
    }
    let near = problems.0.iter().find(|problem| problem.code == Code::TypeUnknown).unwrap();
    assert_eq!(near.fix, "Did you mean integer?");
    let text = problems.to_string();
    assert!(text.contains("sheet survey, row 9, column name: The name g is already taken"), "{text}");
}

#[test]
fn the_lenient_reader_only_warns_of_what_is_harmless() {
    let bytes = book(&[
        (
            "survey",
            "
            type | name | label | caption
            speed violations | a | First | Second
            select_multiple yn | b | B
            calculate | c
            ",
        ),
        ("choices", "list name | name | label\nyn | 1 | One\nyn | 1 | Uno\nyn | a b | AB"),
    ]);
    let strict = Questionnaire::read_xlsx(&bytes).unwrap_err();
    let mut codes: Vec<Code> = strict.errors().map(|problem| problem.code).collect();
    codes.sort();
    let loaded = Questionnaire::read_xlsx_lenient(&bytes).unwrap();
    let mut warned: Vec<Code> = loaded.warnings.iter().map(|problem| problem.code).collect();
    warned.sort();
    warned.retain(|code| *code != Code::VersionMissing);
    assert_eq!(codes, warned);
    assert_eq!(
        codes,
        [
            Code::ColumnTwice,
            Code::FormIdMissing,
            Code::TypeUnknown,
            Code::ChoiceNameTwice,
            Code::ChoiceNameSpace,
            Code::CalculationMissing,
        ]
    );
    let questionnaire = loaded.questionnaire;
    assert_eq!((questionnaire.id.as_str(), questionnaire.version.as_str()), ("form", "1"));
    assert_eq!(questionnaire.question(&[], "a").unwrap().label.in_language(""), "First");
    assert_eq!(questionnaire.lists["yn"].get("1").unwrap().label.in_language(""), "One");
}

#[test]
fn a_missing_sheet_or_column_is_named() {
    let first = |bytes: Vec<u8>| {
        let problems = Questionnaire::read_xlsx(&bytes).unwrap_err();
        let problem = problems.errors().next().unwrap().clone();
        (problem.code, problem.sheet, problem.row, problem.column)
    };
    let owned = |code, sheet: &str, row, column: &str| (code, sheet.to_owned(), row, column.to_owned());
    assert_eq!(first(book(&[("Sheet1", "a"), SETTINGS])), owned(Code::SheetMissing, "survey", 0, ""));
    assert_eq!(
        first(book(&[("survey", "type | label\ntext | A"), SETTINGS])),
        owned(Code::ColumnMissing, "survey", 1, "name")
    );
    assert_eq!(
        first(book(&[("survey", "type | name | label\ntext | a | A"), ("choices", "list_name | label"), SETTINGS])),
        owned(Code::ColumnMissing, "choices", 1, "name")
    );
    assert_eq!(first(book(&[("survey", "type | name"), SETTINGS])), owned(Code::NoQuestions, "survey", 0, ""));
    assert_eq!(
        first(book(&[("survey", "type | name | label | tenun::personnal\ntext | a | A | yes"), SETTINGS])),
        owned(Code::ColumnUnknown, "survey", 1, "tenun::personnal")
    );
}

#[test]
fn groups_nested_too_deep_are_refused_and_the_deepest_allowed_travel_as_json() {
    let nested = |repeats: usize, groups: usize| {
        let mut survey = "type | name | label\n".to_owned();
        for at in 0..repeats {
            survey.push_str(&format!("begin_repeat | r{at} | R\n"));
        }
        for at in 0..groups {
            survey.push_str(&format!("begin_group | g{at} | G\n"));
        }
        survey.push_str("text | t | T\n");
        survey.push_str(&"end_group\n".repeat(groups));
        survey.push_str(&"end_repeat\n".repeat(repeats));
        Questionnaire::read_xlsx(&book(&[("survey", &survey), SETTINGS]))
    };
    let questionnaire = nested(8, 16).unwrap().questionnaire;
    let json = serde_json::to_string(&questionnaire).unwrap();
    assert_eq!(serde_json::from_str::<Questionnaire>(&json).unwrap(), questionnaire);
    for (repeats, groups, row) in [(0, 200, 26), (9, 0, 10), (8, 17, 26), (200, 3, 10)] {
        let problems = nested(repeats, groups).unwrap_err();
        let told: Vec<(Code, u32)> = problems.0.iter().map(|problem| (problem.code, problem.row)).collect();
        assert_eq!(told, [(Code::NestedTooDeep, row)], "{repeats} {groups}");
    }
}

#[test]
fn too_many_rows_are_refused_and_a_cell_in_the_last_corner_costs_nothing() {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.set_name("survey").unwrap();
    sheet.write_string(0, 0, "type").unwrap();
    sheet.write_string(0, 1, "name").unwrap();
    for row in 1..=200_001 {
        sheet.write_string(row, 0, "note").unwrap();
    }
    let problems = Questionnaire::read_xlsx(&workbook.save_to_buffer().unwrap()).unwrap_err();
    assert!(problems.errors().any(|problem| problem.code == Code::WorkbookTooLarge && problem.sheet == "survey"));

    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.set_name("survey").unwrap();
    for (column, cells) in [["type", "text"], ["name", "a"], ["label", "A"]].into_iter().enumerate() {
        for (row, cell) in (0..).zip(cells) {
            sheet.write_string(row, u16::try_from(column).unwrap(), cell).unwrap();
        }
    }
    sheet.write_string(1_048_575, 16_383, "far").unwrap();
    let loaded = Questionnaire::read_xlsx_lenient(&workbook.save_to_buffer().unwrap()).unwrap();
    let far = loaded.warnings.iter().find(|problem| problem.code == Code::ColumnUnknown).unwrap();
    assert_eq!((far.row, far.column.as_str()), (1_048_576, "XFD"));
}

#[test]
fn a_cut_off_workbook_is_an_error_at_every_length() {
    let bytes = book(&[("survey", "type | name | label\ntext | a | A"), SETTINGS]);
    assert!(Questionnaire::read_xlsx(&bytes).is_ok());
    for length in (0..bytes.len()).step_by(37) {
        assert!(Questionnaire::read_xlsx(&bytes[..length]).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), start in 0..3_usize) {
        let starts: [&[u8]; 3] = [b"", b"PK\x03\x04", &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]];
        let mut all = starts[start].to_vec();
        all.extend(bytes);
        prop_assert!(Questionnaire::read_xlsx(&all).is_err());
    }

    #[test]
    fn no_damage_makes_the_reader_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = book(WRONG);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Questionnaire::read_xlsx_lenient(&bytes);
    }

    #[test]
    fn no_text_in_a_cell_makes_the_reader_panic(cells in proptest::collection::vec("(type|begin_group|end_repeat|select_one|rank|text|name|\\$\\{|\\}|=|::|\\PC| ){0,6}", 12..40)) {
        let mut lines = vec!["type | name | label | parameters | relevant | tenun::merge".to_owned()];
        lines.extend(cells.chunks(6).map(|row| row.join("|")));
        let text = lines.join("\n");
        let _ = Questionnaire::read_xlsx_lenient(&book(&[("survey", &text), ("choices", &text), ("settings", &text)]));
    }
}

#[test]
fn what_a_picture_is_asked_for_must_make_sense() {
    let survey = "
        type | name | label | parameters | tenun::merge
        image | a | A | max-pixels=many
        image | b | B | max-pixels=0 metadata=some
        image | c | C | max-pixels=1024 metadata=keep
        audio | d | D | | both
        text | e | E | | both
        ";
    let problems = Questionnaire::read_xlsx(&book(&[("survey", survey), SETTINGS])).unwrap_err();
    let told: Vec<(u32, Code)> = problems.0.iter().map(|p| (p.row, p.code)).filter(|(row, _)| *row < 6).collect();
    let wrong = Code::ParametersMalformed;
    assert_eq!(told, [(2, wrong), (3, wrong), (3, wrong), (5, Code::MergeInvalid)]);
}
