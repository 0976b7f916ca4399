//! Keys, registers, and the JSON that carries them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod book;

use book::{SETTINGS, book};
use questionnaire::{ProblemCode, Questionnaire, Register};

fn read(survey: &str) -> Questionnaire {
    Questionnaire::read_xlsx(&book(&[("survey", survey), SETTINGS]))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .questionnaire
}

fn codes(survey: &str) -> Vec<(ProblemCode, u32)> {
    Questionnaire::read_xlsx(&book(&[("survey", survey), SETTINGS]))
        .unwrap_err()
        .errors()
        .map(|problem| (problem.code, problem.row))
        .collect()
}

const TWO_PARENTS: &str = "
    type | name | label
    begin_group | father | Father
    integer | age | Age
    begin_group | work | Work
    text | place | Place
    end_group
    end_group
    begin_group | mother | Mother
    integer | age | Age
    begin_group | work | Work
    text | place | Place
    end_group
    text | mood | Mood
    end_group
    begin_repeat | children | Children
    integer | age | Age
    end_repeat
";

#[test]
fn a_name_in_two_groups_gets_as_many_groups_as_tell_it_apart() {
    let questionnaire = read(TWO_PARENTS);
    let keys: Vec<String> = questionnaire.questions().map(|(_, question)| question.key.clone()).collect();
    assert_eq!(keys, ["father.age", "father.work.place", "mother.age", "mother.work.place", "mood", "age"]);
    assert_eq!(questionnaire.question(&[], "mother.age").unwrap().row, 9);
    assert_eq!(questionnaire.question(&[], "age"), None);
    assert_eq!(questionnaire.question(&["children"], "age").unwrap().row, 16);
}

#[test]
fn a_merge_group_is_one_register_and_its_members_are_none() {
    let questionnaire = read(
        "
        type | name | label | tenun::merge
        begin_repeat | plots | Plots
        decimal | amount | Amount | yield
        text | crop | Crop
        text | unit | Unit | yield
        end_repeat
    ",
    );
    let Some(Register::Group { name, members }) = questionnaire.register(&["plots"], "yield") else {
        panic!("no group");
    };
    assert_eq!(name, "yield");
    assert_eq!(members.iter().map(|question| question.key.as_str()).collect::<Vec<_>>(), ["amount", "unit"]);
    assert_eq!(members.get("unit").unwrap().row, 5);
    assert!(questionnaire.register(&["plots"], "amount").is_none());
    assert!(questionnaire.question(&["plots"], "amount").is_some());
    assert!(matches!(questionnaire.register(&["plots"], "crop"), Some(Register::One(question)) if question.row == 4));
    assert!(questionnaire.register(&[], "yield").is_none());
    assert!(questionnaire.question(&["plots"], "yield").is_none());
}

#[test]
fn a_questionnaire_is_the_same_after_a_journey_as_json_and_ignores_fields_of_later_versions() {
    let questionnaire = read(TWO_PARENTS);
    let mut json = serde_json::to_value(&questionnaire).unwrap();
    json["of_tomorrow"] = serde_json::json!({"a": [1]});
    json["items"][0]["group"]["of_tomorrow"] = 1.into();
    let back: Questionnaire = serde_json::from_value(json).unwrap();
    assert_eq!(back, questionnaire);
    assert_eq!(back.question(&[], "mother.age"), questionnaire.question(&[], "mother.age"));
}

#[test]
fn json_with_one_key_twice_is_refused() {
    let mut json = serde_json::to_value(read(TWO_PARENTS)).unwrap();
    json["items"][1]["group"]["children"][2]["question"]["key"] = "father.age".into();
    let error = serde_json::from_value::<Questionnaire>(json).unwrap_err();
    assert!(error.to_string().contains("father.age"), "{error}");
}

#[test]
fn merge_groups_of_one_member_in_two_repeats_or_of_a_taken_name_are_errors() {
    assert_eq!(
        codes(
            "
            type | name | label | tenun::merge
            text | a | A | alone
            text | b | B | apart
            begin_repeat | r | R
            text | c | C | apart
            end_repeat
            text | d | D | taken
            text | e | E | taken
            text | taken | T
            text | f | F | union
            note | g | G | a b
            note | h | H | notes
        "
        ),
        [
            (ProblemCode::MergeInvalid, 2),
            (ProblemCode::MergeInvalid, 5),
            (ProblemCode::KeyClash, 7),
            (ProblemCode::MergeInvalid, 10),
            (ProblemCode::MergeInvalid, 11),
            (ProblemCode::MergeInvalid, 12),
        ]
    );
}

#[test]
fn names_that_would_share_a_key_are_errors() {
    assert_eq!(
        codes(
            "
            type | name | label
            begin_group | g | G
            text | n | N
            text | n | N again
            end_group
            begin_group | h | H
            text | n | N
            end_group
            text | h.n | Point
            text | roster | R
            begin_repeat | roster | R
            text | x | X
            end_repeat
        "
        ),
        [(ProblemCode::NameTwice, 4), (ProblemCode::KeyClash, 9), (ProblemCode::NameTwice, 11)]
    );
}
