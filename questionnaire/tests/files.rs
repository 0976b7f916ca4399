//! The files that come with a form.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

use questionnaire::{Compiled, Context, Evaluator, Instance, ProblemCode, Questionnaire, ViolationKind};
use serde_json::json;
use sync_protocol::Path;

fn form() -> Questionnaire {
    let from_file = |name: &str, file: &str| {
        json!({"question": {"name": name, "key": name, "kind": {"select_one": {"source": {"file": file}}}, "row": 2,
            "choice_filter": {"text": "village = ${village} or ${village} = ''", "row": 2, "column": "choice_filter"}}})
    };
    let calculation = |name: &str, text: &str| {
        json!({"question": {"name": name, "key": name, "kind": "calculate", "row": 4,
            "calculation": {"text": text, "row": 4, "column": "calculation"}}})
    };
    let form = json!({"id": "f", "version": "1", "lists": {}, "items": [
        {"question": {"name": "village", "key": "village", "kind": "text", "row": 3}},
        from_file("school", "schools.csv"), from_file("well", "wells.geojson"), from_file("road", "roads.xml"),
        calculation("pupils", "pulldata('schools', 'pupils', 'code', ${village})"),
        calculation("depth", "instance('wells')/root/item[id = ${well}]/depth"),
        calculation("label", "jr:choice-name(${school}, '${school}')"),
    ]});
    serde_json::from_value(form).unwrap()
}

const SCHOOLS: &str = "\u{feff}name,label,village,code,pupils\ns1,\"SD \"\"Liliba\"\", 1\",liliba,liliba,210\ns2,SD Oesapa,oesapa,oesapa,95\n";
const WELLS: &str = r#"{"type":"FeatureCollection","features":[
 {"type":"Feature","properties":{"id":"w1","title":"Sumur besar","village":"liliba","depth":12},"geometry":{"type":"Point","coordinates":[123.6,-10.17]}},
 {"type":"Feature","id":7,"properties":{"title":"Sumur kecil","village":"oesapa"},"geometry":null}]}"#;
const ROADS: &str = "<?xml version=\"1.0\"?><root><item><name>r1</name><label>Jl. A &amp; B&#33;</label><village>liliba</village></item><!-- one more --><item><name>r2</name><label><![CDATA[Jl. <C>]]></label><village>oesapa</village></item></root>";

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn offered(record: &Evaluator, question: &str) -> Vec<(String, String)> {
    let offers = record.choices(&path(question));
    offers.into_iter().map(|offer| (offer.name, offer.label.in_language("").to_owned())).collect()
}

#[test]
fn choices_look_ups_and_labels_come_from_files() {
    let mut form = form();
    assert_eq!(
        form.missing_files().iter().map(|problem| problem.code).collect::<Vec<_>>(),
        [ProblemCode::FileMissing; 3]
    );
    form.add_file("schools.csv", SCHOOLS.as_bytes()).unwrap();
    form.add_file("wells.geojson", WELLS.as_bytes()).unwrap();
    form.add_file("roads.xml", ROADS.as_bytes()).unwrap();
    assert!(form.missing_files().is_empty());
    // A version is whole by itself: its files travel with it.
    let form: Questionnaire = serde_json::from_str(&serde_json::to_string(&form).unwrap()).unwrap();

    let mut record = Evaluator::new(&Compiled::new(&form).unwrap(), &Instance::new(), Context::default());
    assert_eq!(offered(&record, "school").len(), 2);
    record.set(&path("village"), "liliba").unwrap();
    let pair = |name: &str, label: &str| vec![(name.to_owned(), label.to_owned())];
    assert_eq!(offered(&record, "school"), pair("s1", "SD \"Liliba\", 1"));
    assert_eq!(offered(&record, "well"), pair("w1", "Sumur besar"));
    assert_eq!(offered(&record, "road"), pair("r1", "Jl. A & B!"));
    record.set(&path("village"), "oesapa").unwrap();
    assert_eq!(offered(&record, "road"), pair("r2", "Jl. <C>"));
    assert_eq!(offered(&record, "well"), pair("7", "Sumur kecil"));
    assert_eq!(record.value(&path("pupils")), "95");
    record.set(&path("school"), "s1").unwrap();
    assert_eq!(record.faults(&path("school")), [ViolationKind::Choice]);
    assert_eq!(record.value(&path("label")), "SD \"Liliba\", 1");
    record.set(&path("well"), "w1").unwrap();
    assert_eq!(record.value(&path("depth")), "12");
}

#[test]
fn a_point_is_written_as_an_answer_holds_it() {
    let mut form = form();
    form.add_file("wells.geojson", WELLS.as_bytes()).unwrap();
    assert_eq!(form.files["wells"].get("w1").unwrap().attributes["geometry"], "-10.17 123.6 0 0");
}

#[test]
fn a_file_that_cannot_be_read_says_where_and_leaves_the_form_as_it_was() {
    let mut form = form();
    for (name, bytes, expected) in [
        ("schools.csv", &b""[..], "has no row of headers"),
        ("schools.csv", b"name,label\na,\xff\n", "can't be read"),
        ("wells.geojson", b"{", "is no JSON"),
        ("wells.geojson", b"{}", "is no collection of features"),
        ("roads.xml", b"<root><item>", "ends in the middle"),
        ("roads.xml", b"<root><item><name>&ghost;</name></item></root>", "unknown entity ghost"),
        ("roads.xml", b"<root></item>", "is no XML"),
        ("roads.doc", b"", "is neither"),
        ("roads", b"", "is neither"),
    ] {
        let problem = form.add_file(name, bytes).unwrap_err();
        assert!(problem.to_string().contains(expected), "{problem}");
        assert_eq!((problem.code, problem.sheet.as_str()), (ProblemCode::ChoiceFileInvalid, name));
    }
    assert!(form.files.is_empty());
}

#[test]
fn a_look_up_finds_the_first_of_a_hundred_thousand_entries() {
    let mut form = form();
    let mut csv = String::from("name,code,pupils\n");
    for n in 0..100_000 {
        csv.push_str(&format!("s{n},c{},{n}\n", n / 2));
    }
    form.add_file("schools.csv", csv.as_bytes()).unwrap();
    let mut record = Evaluator::new(&Compiled::new(&form).unwrap(), &Instance::new(), Context::default());
    for (code, pupils) in [("c49999", "99998"), ("c0", "0"), ("c50000", ""), ("", "")] {
        record.set(&path("village"), code).unwrap();
        assert_eq!(record.value(&path("pupils")), pupils, "{code}");
    }
}
