//! The Kupang questionnaire: its rules on a household made by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use std::path::Path;

use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire, ViolationKind};

fn kupang() -> Option<Compiled> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kupang/kupang-household.xlsx");
    let Ok(bytes) = std::fs::read(file) else {
        println!("skipped: the Kupang questionnaire is not at hand");
        return None;
    };
    let loaded = Questionnaire::read_xlsx(&bytes).unwrap_or_else(|problems| panic!("{problems}"));
    Some(Compiled::new(&loaded.questionnaire).unwrap_or_else(|problems| panic!("{problems}")))
}

/// A household of four: a couple, a boy at school, a girl of one year.
fn household() -> Instance {
    let mut household = Instance::new();
    let answers = [
        ("kecamatan", "537103"),
        ("kelurahan", "5371031010"),
        ("rw", "004"),
        ("rt", "012"),
        ("cluster", "0021"),
        ("hh_no", "7"),
        ("head_name", "Yohanis"),
        ("address", "Jl. Palapa 3"),
        ("visit/v1/v_date", "2026-03-01"),
        ("visit/v1/v_result", "4"),
        ("visit/v2/v_date", "2026-03-02"),
        ("visit/v2/v_result", "1"),
        ("consent", "1"),
        ("resp_name", "Maria"),
        ("kk_have", "1"),
        ("kk_no", "5371010101990001"),
        ("years_here", "12"),
        ("hh_size", "4"),
        ("member/a/m_name", "Yohanis"),
        ("member/a/m_relation", "1"),
        ("member/a/m_sex", "1"),
        ("member/a/m_age", "41"),
        ("member/a/m_school", "3"),
        ("member/a/m_level", "3"),
        ("member/a/m_grade", "8"),
        ("member/a/m_work", "1"),
        ("member/a/m_status", "4"),
        ("member/a/m_income", "2500000"),
        ("member/a/m_jkn", "1"),
        ("member/a/m_nik", "5371010107850002"),
        ("member/b/m_name", "Maria"),
        ("member/b/m_relation", "2"),
        ("member/b/m_sex", "2"),
        ("member/b/m_age", "38"),
        ("member/b/m_school", "3"),
        ("member/b/m_level", "2"),
        ("member/b/m_grade", "3"),
        ("member/b/m_work", "2"),
        ("member/b/m_nik", "5371010107880003"),
        ("member/c/m_name", "Petrus"),
        ("member/c/m_relation", "3"),
        ("member/c/m_sex", "1"),
        ("member/c/m_age", "9"),
        ("member/c/m_school", "2"),
        ("member/c/m_level", "1"),
        ("member/c/m_grade", "3"),
        ("member/c/m_aid_edu", "1"),
        ("member/d/m_name", "Ana"),
        ("member/d/m_relation", "3"),
        ("member/d/m_sex", "2"),
        ("member/d/m_age", "1"),
        ("member/d/m_birthdate", "2025-02-01"),
        ("child/x/c_member", "d"),
        ("child/x/c_hb0", "1"),
        ("child/x/c_bcg", "1"),
        ("child/x/c_opv", "4"),
        ("child/x/c_ipv", "1"),
        ("child/x/c_dpt", "3"),
        ("child/x/c_mr", "1"),
        ("child/x/c_muac", "120"),
        ("child/x/c_bgm", "2"),
        ("fx_staple", "140000"),
        ("fx_protein", "70000"),
        ("fx_veg", "35000"),
        ("fx_other", "28000"),
        ("fx_tobacco", "7000"),
        ("nx_house", "300000"),
        ("nx_transport", "100000"),
        ("nx_misc", "50000"),
        ("ax_edu", "600000"),
        ("ax_health", "120000"),
        ("ax_cloth", "240000"),
        ("ax_social", "240000"),
        ("inc_other", "500000"),
        ("assets", "1 2 9"),
        ("water", "6"),
        ("water_min", "10"),
        ("toilet", "1"),
        ("closet", "1"),
        ("sewage", "1"),
        ("light", "1"),
        ("fuel", "8"),
        ("floor", "3"),
        ("wall", "1"),
        ("roof", "1"),
        ("child_death", "2"),
        ("tr_any", "1"),
        ("tr_member", "b"),
        ("tr_gain", "100000"),
        ("tr_after", "2"),
    ];
    for (path, text) in answers {
        household.set(&path.parse().unwrap(), text);
    }
    household
}

#[test]
fn a_household_made_by_hand_gives_the_expected_calculations() {
    let Some(compiled) = kupang() else { return };
    let context = Context::at("2026-03-02T10:00:00+08:00").unwrap();
    let evaluation = compiled.evaluate(&household(), &context);
    let value = |path: &str| evaluation.calculated.get(&path.parse().unwrap()).map(String::as_str);
    for (path, expected) in [
        ("visit_no", "2"),
        ("result", "1"),
        ("int_date", "2026-03-02"),
        ("kk_local", "1"),
        ("member/a/m_line", "1"),
        ("member/d/m_line", "4"),
        ("member/a/m_years", "12"),
        ("member/b/m_years", "8"),
        ("member/c/m_years", "2"),
        ("member/d/m_years", "0"),
        ("member/a/m_nik_dd", "1"),
        ("member/a/m_nik_bad", "0"),
        // The day of a woman's number is raised by 40; hers is not.
        ("member/b/m_nik_bad", "1"),
        ("n_member", "4"),
        ("n_head", "1"),
        ("n_u5", "1"),
        ("n_work", "2"),
        ("n_oos", "0"),
        ("n_eduaid", "1"),
        ("n_pbi", "1"),
        ("dep_ratio", "1"),
        ("food_month", "1200000"),
        ("nonfood_month", "550000"),
        ("pce", "437500"),
        ("inc_total", "3000000"),
        ("tr_name", "Maria"),
        ("p1_help", "1"),
        ("child/x/c_name", "Ana"),
        ("child/x/c_age", "1"),
        ("child/x/c_months", "12"),
        ("child/x/c_basic", "1"),
        ("child/x/c_1223_ok", "1"),
        ("child/x/c_under", "1"),
        ("n_1223_ok", "1"),
        ("n_under", "1"),
        ("d_years", "0"),
        ("d_water", "1"),
        ("d_asset", "0"),
        ("mpi_score", "0.2778"),
        ("mpi_poor", "0"),
        ("fcs", ""),
    ] {
        assert_eq!(value(path), Some(expected), "{path}");
    }
    assert!(evaluation.relevant[&"member/b/m_nik_warn".parse().unwrap()]);
    assert!(!evaluation.relevant[&"member/a/m_nik_warn".parse().unwrap()]);
    assert!(!evaluation.relevant[&"head_warn".parse().unwrap()]);
    assert!(evaluation.missing.is_empty());
    let broken: Vec<_> = evaluation
        .violations
        .iter()
        .filter(|violation| violation.kind != ViolationKind::Required)
        .map(|violation| (violation.path.to_string(), violation.kind))
        .collect();
    assert_eq!(broken, []);
}

#[test]
fn rows_beyond_the_count_are_hidden_and_missing_ones_are_told() {
    let Some(compiled) = kupang() else { return };
    let mut record = Evaluator::new(&compiled, &household(), Context::default());
    record.set(&"hh_size".parse().unwrap(), "2").unwrap();
    assert_eq!(record.value(&"n_member".parse().unwrap()), "2");
    assert_eq!(record.value(&"n_u5".parse().unwrap()), "0");
    assert!(!record.evaluation().relevant.contains_key(&"member/d/m_age".parse().unwrap()));
    assert!(!record.is_shown(&"child/x".parse().unwrap()));
    record.set(&"hh_size".parse().unwrap(), "6").unwrap();
    let evaluation = record.evaluation();
    assert_eq!(evaluation.missing.len(), 1);
    assert_eq!((evaluation.missing[0].expected, evaluation.missing[0].found), (6, 4));
    assert_eq!(record.value(&"n_u5".parse().unwrap()), "1");
}

#[test]
fn choices_follow_the_other_answers() {
    let Some(compiled) = kupang() else { return };
    let mut record = Evaluator::new(&compiled, &household(), Context::default());
    let child = "child/x/c_member".parse().unwrap();
    let offers: Vec<_> =
        record.choices(&child).into_iter().map(|offer| (offer.name, offer.label.in_language("").to_owned())).collect();
    assert_eq!(offers, [("d".to_owned(), "Ana".to_owned())]);
    record.set(&child, "a").unwrap();
    assert_eq!(record.faults(&child), [ViolationKind::Choice]);

    let kelurahan = "kelurahan".parse().unwrap();
    let before = record.choices(&kelurahan);
    assert!(before.iter().all(|offer| offer.name.starts_with("537103")));
    assert!(before.len() > 3);
    record.set(&"kecamatan".parse().unwrap(), "537101").unwrap();
    assert!(record.choices(&kelurahan).iter().all(|offer| offer.name.starts_with("537101")));
    assert_eq!(record.faults(&kelurahan), [ViolationKind::Choice]);
    assert_eq!(record.instance_name().as_deref(), Some("5371031010-012-0021-7"));
}
