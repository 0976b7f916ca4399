//! Whatever is edited in whatever order: the record that is kept equals the record evaluated from scratch.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use proptest::prelude::*;
use questionnaire::{Compiled, Context, Evaluator, Instance, Questionnaire};
use serde_json::{Value, json};

/// The questions of the random forms, each with the repeat that it is in.
const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// Builds a form: `a`, `b` outside, `c` to `e` in the repeat `r`, `f`, `g` in `s` inside it, `h` in a group in the
/// repeat `t`, `i` and `j` outside again. An empty expression is left out.
fn form(relevant: &[String], calculation: &[String], constraint: &[String], counts: &[String]) -> Value {
    let cell = |text: &String, column: &str| json!({"text": text, "row": 9, "column": column});
    let question = |at: usize| {
        let name = NAMES[at];
        let mut question = json!({"name": name, "key": name, "kind": "text", "row": at + 2});
        let fields = question.as_object_mut().unwrap();
        if !relevant[at].is_empty() {
            fields.insert("relevant".into(), cell(&relevant[at], "relevant"));
        }
        if !calculation[at].is_empty() {
            fields.insert("calculation".into(), cell(&calculation[at], "calculation"));
        }
        if !constraint[at].is_empty() {
            fields.insert("constraint".into(), cell(&constraint[at], "constraint"));
            fields.insert("required".into(), cell(&constraint[(at + 1) % 10], "required"));
        }
        json!({"question": question})
    };
    let repeat = |at: usize, name: &str, children: Vec<Value>| {
        let mut repeat = json!({"name": name, "key": name, "row": at + 20, "children": children});
        let fields = repeat.as_object_mut().unwrap();
        if !counts[at].is_empty() {
            fields.insert("repeat_count".into(), cell(&counts[at], "repeat_count"));
        }
        if !counts[at + 3].is_empty() {
            fields.insert("relevant".into(), cell(&counts[at + 3], "relevant"));
        }
        json!({"repeat": repeat})
    };
    let inner = repeat(1, "s", vec![question(5), question(6)]);
    let group = json!({"group": {"name": "q", "row": 30, "relevant": cell(&relevant[8], "relevant"),
        "children": [question(7)]}});
    let group = if relevant[8].is_empty() { question(7) } else { group };
    let picked = json!({"question": {"name": "pick", "key": "pick", "row": 40, "kind": {"select_one":
        {"source": {"rows": {"name": "c", "repeats": ["r"], "shown": "c"}}}},
        "choice_filter": {"text": "${c} != 'x'", "row": 40, "column": "choice_filter"}}});
    json!({"id": "f", "version": "1", "lists": {}, "items": [
        question(0), question(1),
        repeat(0, "r", vec![question(2), question(3), question(4), inner]),
        repeat(2, "t", vec![group]),
        question(8), question(9), picked,
    ]})
}

/// Expressions over the names of the form; many make sense, some do not.
fn expression(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let name = prop::sample::select(names);
    let leaf = prop_oneof![
        4 => name.clone().prop_map(|name| format!("${{{name}}}")),
        1 => Just("${r}".to_owned()),
        1 => Just("${t}".to_owned()),
        1 => Just("${s}".to_owned()),
        1 => Just("position(..)".to_owned()),
        1 => (0..4_u8).prop_map(|number| number.to_string()),
        1 => Just("'x'".to_owned()),
        1 => Just(".".to_owned()),
        1 => name.prop_map(|name| format!("../{name}")),
        1 => Just("${pick}".to_owned()),
        1 => Just("jr:choice-name(${pick}, '${pick}')".to_owned()),
        1 => Just("once(random())".to_owned()),
        1 => Just("indexed-repeat(${c}, ${r}, ${a})".to_owned()),
        1 => Just("indexed-repeat(${f}, ${r}, ${b}, ${s}, 1)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec!["+", "=", "!=", "<", ">=", "and", "or", "|", "div"]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (
                prop::sample::select(vec![
                    "count",
                    "sum",
                    "max",
                    "string-length",
                    "not",
                    "concat",
                    "int",
                    "count-non-empty"
                ]),
                inner.clone()
            )
                .prop_map(|(name, a)| format!("{name}({a})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("if({a}, {b}, {c})")),
            (prop::sample::select(vec!["r", "t", "s"]), inner.clone())
                .prop_map(|(name, a)| format!("count(${{{name}}}[{a}])")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
        ]
    })
}

fn maybe(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => expression(names)]
}

/// An expression for each question, over any others.
fn any_order() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(maybe(&NAMES), 10)
}

/// An expression for each question, over those before it: fewer circles.
fn in_order() -> impl Strategy<Value = Vec<String>> {
    (1..=10).map(|at| maybe(&NAMES[..at.max(2) - 1]).boxed()).collect::<Vec<_>>()
}

#[derive(Clone, Debug)]
enum Edit {
    Set(usize, usize, usize, &'static str),
    Add(usize, usize, usize),
    Remove(usize, usize, usize),
    Move(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let text = prop::sample::select(vec!["", "0", "1", "2", "3", "x", "r0", "r1", "-1", "1.5"]);
    prop_oneof![
        4 => (0..11_usize, 0..3_usize, 0..3_usize, text).prop_map(|(q, a, b, t)| Edit::Set(q, a, b, t)),
        2 => (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(r, a, b)| Edit::Add(r, a, b)),
        1 => (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(r, a, b)| Edit::Remove(r, a, b)),
        1 => (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(r, a, b)| Edit::Move(r, a, b)),
    ]
}

/// Names the row of a repeat; the second number counts inside the first.
fn place(repeat: usize, outer: usize, inner: usize) -> String {
    match repeat {
        0 => format!("r/r{outer}"),
        1 => format!("r/r{outer}/s/s{inner}"),
        _ => format!("t/t{outer}"),
    }
}

fn apply(record: &mut Evaluator, edit: &Edit) {
    match *edit {
        Edit::Set(question, outer, inner, text) => {
            let path = match question {
                2..=4 => format!("{}/{}", place(0, outer, inner), NAMES[question]),
                5 | 6 => format!("{}/{}", place(1, outer, inner), NAMES[question]),
                7 => format!("{}/{}", place(2, outer, inner), NAMES[question]),
                10 => "pick".to_owned(),
                _ => NAMES[question].to_owned(),
            };
            let _ = record.set(&path.parse().unwrap(), text);
        }
        Edit::Add(repeat, outer, inner) => {
            let _ = record.add_row(&place(repeat, outer, inner).parse().unwrap());
        }
        Edit::Remove(repeat, outer, inner) => {
            let _ = record.remove_row(&place(repeat, outer, inner).parse().unwrap());
        }
        Edit::Move(repeat, outer, inner) => {
            let _ = record.move_row(&place(repeat, outer, inner).parse().unwrap(), inner);
        }
    }
}

fn compile([relevant, calculation, constraint, counts]: &[Vec<String>; 4]) -> Option<Compiled> {
    let form = form(relevant, calculation, constraint, counts);
    let questionnaire: Questionnaire = serde_json::from_value(form).unwrap();
    Compiled::new(&questionnaire).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_kept_record_equals_one_from_scratch(
        relevant in prop_oneof![any_order(), in_order()],
        calculation in prop_oneof![any_order(), in_order()],
        constraint in any_order(),
        counts in prop::collection::vec(maybe(&NAMES), 6),
        edits in prop::collection::vec(edit(), 1..40),
    ) {
        // What does not compile, alone or with the others, is left out: half of the random expressions stay.
        let mut rules = [vec![String::new(); 10], vec![String::new(); 10], vec![String::new(); 10], vec![String::new(); 6]];
        let all = [&relevant, &calculation, &constraint, &counts];
        let mut compiled = compile(&rules).unwrap();
        for at in 0..10 {
            for (kind, expressions) in all.iter().enumerate() {
                let Some(expression) = expressions.get(at).filter(|expression| !expression.is_empty()) else { continue };
                rules[kind][at].clone_from(expression);
                match compile(&rules) {
                    Some(more) => compiled = more,
                    None => rules[kind][at].clear(),
                }
            }
        }
        let context = Context { seed: 3, ..Context::default() };
            let mut kept = Evaluator::new(&compiled, &Instance::new(), context.clone());
            for edit in &edits {
                apply(&mut kept, edit);
                let fresh = Evaluator::new(&compiled, &kept.instance(), context.clone());
                prop_assert_eq!(kept.evaluation(), fresh.evaluation(), "after {:?}", edit);
            }
    }

    #[test]
    fn no_text_stops_the_compiler(text in "[-+*/()\\[\\]{}$,.|=<>! a-c0-9'\"_:]{0,40}") {
        let mut calculation = vec![String::new(); 10];
        calculation[8] = text;
        let empty = vec![String::new(); 10];
        let _ = compile(&[empty.clone(), calculation, empty.clone(), empty]);
    }

    #[test]
    fn no_string_stops_the_compiler(text in any::<String>()) {
        let mut calculation = vec![String::new(); 10];
        calculation[3] = text.clone();
        let empty = vec![String::new(); 10];
        let _ = compile(&[calculation.clone(), empty.clone(), calculation, empty]);
    }
}

#[test]
fn a_kept_household_equals_one_from_scratch() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kupang/kupang-household.xlsx");
    let Ok(bytes) = std::fs::read(file) else {
        println!("skipped: the Kupang questionnaire is not at hand");
        return;
    };
    let loaded = Questionnaire::read_xlsx(&bytes).unwrap();
    let compiled = Compiled::new(&loaded.questionnaire).unwrap();
    let paths: Vec<(Vec<String>, String)> = loaded
        .questionnaire
        .questions()
        .map(|(repeats, question)| (repeats.into_iter().map(str::to_owned).collect(), question.key.clone()))
        .collect();
    let texts = ["", "1", "2", "4", "5", "9", "30", "2024-05-06", "1 2", "0", "a0", "5371010107850002"];
    let context = Context::at("2026-03-02T10:00:00+08:00").unwrap();
    let mut kept = Evaluator::new(&compiled, &Instance::new(), context.clone());
    let mut seed = 7_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for turn in 0..1500 {
        let (repeats, key) = &paths[next(paths.len())];
        let row: String = repeats.iter().map(|repeat| format!("{repeat}/a{}/", next(4))).collect();
        if !row.is_empty() {
            let place = row.trim_end_matches('/').parse().unwrap();
            if next(12) == 0 {
                let _ = kept.remove_row(&place);
            } else {
                kept.add_row(&place).unwrap();
            }
        }
        let _ = kept.set(&format!("{row}{key}").parse().unwrap(), texts[next(texts.len())]);
        if turn % 3 == 0 {
            kept.set(&"consent".parse().unwrap(), "1").unwrap();
            kept.set(&"hh_size".parse().unwrap(), "3").unwrap();
        }
        let fresh = Evaluator::new(&compiled, &kept.instance(), context.clone());
        assert_eq!(kept.evaluation(), fresh.evaluation(), "turn {turn}: {row}{key}");
    }
}
