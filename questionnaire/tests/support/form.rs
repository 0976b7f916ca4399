//! A small questionnaire with one calculation to try expressions in.

use questionnaire::{Compiled, Context, Instance, Problems, Questionnaire};
use serde_json::{Value, json};

/// Makes a questionnaire that holds a question of every type that expressions care about, and one calculation `out`.
pub(crate) fn form(expression: &str) -> Questionnaire {
    let question = |name: &str, kind: Value| json!({"question": {"name": name, "key": name, "kind": kind, "row": 2}});
    let select = |kind: &str| json!({kind: {"source": {"list": "fruit"}}});
    let choice = |name: &str, label: &str, tree: &str| {
        json!({"name": name, "label": {"English": label, "Indonesia": label.to_uppercase()},
            "attributes": {"tree": tree}})
    };
    let form = json!({
        "id": "try", "version": "7", "languages": ["English", "Indonesia"], "default_language": "English",
        "lists": {"fruit": [
            choice("a", "Apple", "tall"), choice("b", "Banana", "herb"), choice("c", "Cherry", "tall"),
        ]},
        "items": [
            question("x", json!("text")), question("y", json!("text")),
            question("n", json!("integer")), question("dec", json!("decimal")),
            question("day", json!("date")), question("clock", json!("time")), question("when", json!("date_time")),
            question("one", select("select_one")), question("many", select("select_multiple")),
            question("gps", json!("geo_point")), question("shape", json!("geo_shape")),
            {"repeat": {"name": "r", "key": "r", "row": 3, "children": [
                question("v", json!("integer")), question("w", json!("text")),
                {"question": {"name": "line", "key": "line", "kind": "calculate", "row": 4,
                    "calculation": {"text": "position(..)", "row": 4, "column": "calculation"}}},
                {"question": {"name": "twice", "key": "twice", "kind": "calculate", "row": 4,
                    "calculation": {"text": "${v} * 2", "row": 4, "column": "calculation"}}},
                {"repeat": {"name": "s", "key": "s", "row": 5, "children": [question("u", json!("integer"))]}},
            ]}},
            {"group": {"name": "g", "row": 6, "children": [
                {"question": {"name": "gone", "key": "gone", "kind": "text", "row": 7,
                    "relevant": {"text": "false()", "row": 7, "column": "relevant"}}},
            ]}},
            {"question": {"name": "out", "key": "out", "kind": "calculate", "row": 8,
                "calculation": {"text": expression, "row": 8, "column": "calculation"}}},
        ],
    });
    serde_json::from_value(form).unwrap()
}

/// The clock of Kupang on the leap day of 2024.
pub(crate) fn context() -> Context {
    let mut context = Context::at("2024-02-29T07:30:15.250+08:00").unwrap();
    context.seed = 42;
    context.properties.insert("deviceid".to_owned(), "tablet-7".to_owned());
    context.last_saved.insert("x".to_owned(), "before".to_owned());
    context
}

/// Answers that most cases share.
pub(crate) fn answers() -> Instance {
    let mut answers = Instance::new();
    for (path, text) in [
        ("x", "Kupang"),
        ("n", "7"),
        ("dec", "2.5"),
        ("day", "2024-02-29"),
        ("clock", "14:06:00.000+08:00"),
        ("when", "2024-02-29T12:00:00.000+08:00"),
        ("one", "b"),
        ("many", "a c"),
        ("gps", "-10.1772 123.607 35 4.5"),
        ("shape", "0 0 0 0; 0 0.001 0 0; 0.001 0.001 0 0; 0.001 0 0 0; 0 0 0 0"),
        ("gone", "never"),
        ("r/i/v", "10"),
        ("r/i/w", "first"),
        ("r/i/s/p/u", "1"),
        ("r/i/s/q/u", "2"),
        ("r/j/v", "20"),
        ("r/j/w", "second"),
        ("r/j/s/p/u", "3"),
        ("r/k/w", "third"),
    ] {
        answers.set(&path.parse().unwrap(), text);
    }
    answers
}

/// Computes an expression over the shared answers.
pub(crate) fn compute(expression: &str) -> Result<String, Problems> {
    let compiled = Compiled::new(&form(expression))?;
    let evaluation = compiled.evaluate(&answers(), &context());
    Ok(evaluation.calculated[&"out".parse().unwrap()].clone())
}
