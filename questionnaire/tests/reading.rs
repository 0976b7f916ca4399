//! What the reader makes of good workbooks: values, aliases, languages, row choices.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

#[path = "support/book.rs"]
mod book;

use book::{SETTINGS, book};
use questionnaire::{ChoiceSource, Item, Kind, Merge, Metadata, Questionnaire};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

fn read(sheets: &[(&str, &str)]) -> Questionnaire {
    let loaded = Questionnaire::read_xlsx(&book(sheets)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    loaded.questionnaire
}

#[test]
fn a_cells_text_survives_as_the_spreadsheet_shows_it() {
    let mut workbook = Workbook::new();
    let survey = workbook.add_worksheet().set_name("survey").unwrap();
    for (column, header) in ["type", "name", "label"].into_iter().enumerate() {
        survey.write_string(0, u16::try_from(column).unwrap(), header).unwrap();
    }
    survey.write_string(1, 0, "select_one wilayah").unwrap();
    survey.write_string(1, 1, "area").unwrap();
    survey.write_string(1, 2, "  Two  spaces\nand a line ").unwrap();
    let choices = workbook.add_worksheet().set_name("choices").unwrap();
    for (column, header) in ["list_name", "name", "label", "since", "at", "open"].into_iter().enumerate() {
        choices.write_string(0, u16::try_from(column).unwrap(), header).unwrap();
    }
    for row in 1..=4 {
        choices.write_string(row, 0, "wilayah").unwrap();
    }
    choices.write_number(1, 1, 1.0).unwrap();
    choices.write_string(1, 2, "One").unwrap();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    choices.write_datetime_with_format(1, 3, ExcelDateTime::from_ymd(2025, 3, 31).unwrap(), &day).unwrap();
    let time = Format::new().set_num_format("hh:mm");
    choices.write_datetime_with_format(1, 4, ExcelDateTime::from_hms(7, 30, 0).unwrap(), &time).unwrap();
    choices.write_boolean(1, 5, true).unwrap();
    choices.write_string(2, 1, "0710301").unwrap();
    choices.write_string(2, 2, "Zero first").unwrap();
    choices.write_number(3, 1, 2.5).unwrap();
    choices.write_number(3, 2, 2025.0).unwrap();
    choices.write_number(4, 1, -0.0).unwrap();
    choices.write_string(4, 2, "Nothing").unwrap();
    let settings = workbook.add_worksheet().set_name("settings").unwrap();
    settings.write_string(0, 0, "form_id").unwrap();
    settings.write_string(0, 1, "version").unwrap();
    settings.write_string(1, 0, "cells").unwrap();
    settings.write_number(1, 1, 2_025_110_301.0).unwrap();

    let loaded = Questionnaire::read_xlsx(&workbook.save_to_buffer().unwrap()).unwrap();
    let questionnaire = loaded.questionnaire;
    assert_eq!(questionnaire.version, "2025110301");
    let area = questionnaire.question(&[], "area").unwrap();
    assert_eq!(area.label.in_language(""), "  Two  spaces\nand a line ");
    let list = &questionnaire.lists["wilayah"];
    let names: Vec<&str> = list.choices().iter().map(|choice| choice.name.as_str()).collect();
    assert_eq!(names, ["1", "0710301", "2.5", "0"]);
    let first = list.get("1").unwrap();
    assert_eq!(first.attributes["since"], "2025-03-31");
    assert_eq!(first.attributes["at"], "07:30:00");
    assert_eq!(first.attributes["open"], "TRUE");
    assert_eq!(list.get("2.5").unwrap().label.in_language(""), "2025");
    assert_eq!(list.get("3"), None);
}

#[test]
fn old_headers_and_types_mean_what_they_always_meant() {
    let questionnaire = read(&[
        (
            "Survey",
            "
            Command | NAME | Caption | Constraint Message | constraint | Relevance | bind:required | read only
            begin group | a | A
            q int | n | N | Small | . < 9
            string | t | T | | | ${n} > 1
            add date prompt | d | D | | | | yes
            location | l | L | | | | | yes
            photo | p | P
            select one from yn | s1 | S
            select_one yn | s2 | S
            select1 yn | s3 | S
            select all that apply from yn | m1 | M
            add select multiple prompt using yn | m2 | M
            select_one from_home | s4 | S
            datetime | dt | D
            get device id | dev
            start time | st
            begin lgroup | r | R
            acknowledge | k | K
            end lgroup
            repeat | r2 | R2
            trigger | k2 | K
            end repeat
            end group
            ",
        ),
        ("Choices", "list name | value | label\nyn | 1 | Yes\nyn | 2 | No\nfrom_home | 1 | One"),
        ("Settings", "id_string | title | version\nold | Old form | 3"),
    ]);
    assert_eq!((questionnaire.id.as_str(), questionnaire.title.as_str()), ("old", "Old form"));
    let kind = |key: &str| questionnaire.question(&[], key).unwrap().kind.clone();
    assert_eq!(kind("n"), Kind::Integer);
    assert_eq!(kind("t"), Kind::Text);
    assert_eq!(kind("d"), Kind::Date);
    assert_eq!(kind("l"), Kind::GeoPoint);
    assert_eq!(kind("p"), Kind::Image);
    assert_eq!(kind("dt"), Kind::DateTime);
    assert_eq!(kind("dev"), Kind::Metadata(Metadata::DeviceId));
    assert_eq!(kind("st"), Kind::Metadata(Metadata::Start));
    for (key, list) in [("s1", "yn"), ("s2", "yn"), ("s3", "yn"), ("s4", "from_home")] {
        assert!(matches!(kind(key), Kind::SelectOne(select) if select.source == ChoiceSource::List(list.to_owned())));
    }
    for key in ["m1", "m2"] {
        assert!(matches!(kind(key), Kind::SelectMultiple(_)));
    }
    let n = questionnaire.question(&[], "n").unwrap();
    assert_eq!(n.label.in_language(""), "N");
    assert_eq!(n.constraint_message.in_language(""), "Small");
    let relevant = questionnaire.question(&[], "t").unwrap().relevant.clone().unwrap();
    assert_eq!((relevant.text.as_str(), relevant.row, relevant.column.as_str()), ("${n} > 1", 4, "Relevance"));
    assert_eq!(questionnaire.question(&[], "d").unwrap().required.as_ref().unwrap().text, "true()");
    assert!(questionnaire.question(&[], "l").unwrap().read_only.is_some());
    assert_eq!(questionnaire.question(&["r"], "k").unwrap().kind, Kind::Acknowledge);
    assert_eq!(questionnaire.question(&["r2"], "k2").unwrap().kind, Kind::Acknowledge);
}

#[test]
fn texts_are_read_in_every_language_and_fall_back_to_the_default() {
    let questionnaire = read(&[
        (
            "survey",
            "
            type | name | label | label::English (en) | hint:English (en) | media::image::English (en) | required_message::English (en) | guidance_hint | bind::jr:constraintMsg::English (en) | constraint
            text | a | Nama | Name | Full name | a.png | Needed | Baca KTP | No digits | regex(., '^[^0-9]*$')
            text | b | Alamat
            ",
        ),
        ("settings", "form_id | version | default_language\nf | 1 | Bahasa Indonesia (id)"),
    ]);
    assert_eq!(questionnaire.languages, ["Bahasa Indonesia (id)", "English (en)"]);
    assert_eq!(questionnaire.default_language, "Bahasa Indonesia (id)");
    let a = questionnaire.question(&[], "a").unwrap();
    assert_eq!(a.label.get("Bahasa Indonesia (id)"), Some("Nama"));
    assert_eq!(a.label.in_language("English (en)"), "Name");
    assert_eq!(a.hint.in_language("English (en)"), "Full name");
    assert_eq!(a.media["image"].in_language("English (en)"), "a.png");
    assert_eq!(a.required_message.in_language("English (en)"), "Needed");
    assert_eq!(a.constraint_message.in_language("English (en)"), "No digits");
    assert_eq!(questionnaire.text(&a.guidance, "English (en)"), "Baca KTP");
    let b = questionnaire.question(&[], "b").unwrap();
    assert_eq!(questionnaire.text(&b.label, "English (en)"), "Alamat");
}

#[test]
fn nested_repeats_are_found_by_path_and_groups_are_no_part_of_it() {
    let questionnaire = read(&[
        (
            "survey",
            "
            type | name | label | repeat_count
            begin_group | outer | Outer
            begin_repeat | members | Members | ${size}
            text | name | Name
            begin_group | inner | Inner
            begin_repeat | jobs | Jobs
            integer | hours | Hours
            end_repeat
            end_group
            end_repeat
            integer | size | Size
            end_group
            select_one ${name} | head | Who is the head?
            select_one ${jobs} | job | Which job?
            ",
        ),
        SETTINGS,
    ]);
    let paths: Vec<(Vec<&str>, &str)> =
        questionnaire.questions().map(|(repeats, question)| (repeats, question.key.as_str())).collect();
    assert_eq!(
        paths,
        [
            (vec!["members"], "name"),
            (vec!["members", "jobs"], "hours"),
            (vec![], "size"),
            (vec![], "head"),
            (vec![], "job"),
        ]
    );
    assert_eq!(questionnaire.question(&["members", "jobs"], "hours").unwrap().row, 7);
    assert_eq!(questionnaire.question(&["jobs"], "hours"), None);
    assert_eq!(questionnaire.question(&[], "members"), None);
    assert_eq!(questionnaire.repeat(&["members"]).unwrap().repeat_count.as_ref().unwrap().text, "${size}");
    assert_eq!(questionnaire.repeat(&["members", "jobs"]).unwrap().name, "jobs");
    assert_eq!(questionnaire.repeat(&[]), None);
    let rows = |key: &str| {
        let select = questionnaire.question(&[], key).unwrap().kind.select();
        let Some(ChoiceSource::Rows(rows)) = select.map(|select| &select.source) else {
            panic!("{key} is no row choice");
        };
        rows.clone()
    };
    assert_eq!((rows("head").repeats, rows("head").shown), (vec!["members".to_owned()], Some("name".to_owned())));
    assert_eq!(rows("job").repeats, ["members", "jobs"]);
    assert_eq!(rows("job").shown, None);
    assert!(matches!(questionnaire.items(), [Item::Group(_), Item::Question(_), Item::Question(_)]));
}

#[test]
fn or_other_adds_the_choice_and_the_text_beside_it() {
    let questionnaire = read(&[
        ("survey", "type | name | label::Bahasa Indonesia (id)\nselect_one work or_other | work | Kerja"),
        ("choices", "list_name | name | label::Bahasa Indonesia (id)\nwork | 1 | Tani"),
        SETTINGS,
    ]);
    let other = questionnaire.lists["work"].get("other").unwrap();
    assert_eq!(other.label.in_language("Bahasa Indonesia (id)"), "Lainnya");
    let text = questionnaire.question(&[], "work_other").unwrap();
    assert_eq!(text.kind, Kind::Text);
    assert_eq!(text.relevant.as_ref().unwrap().text, "selected(${work}, 'other')");
}

#[test]
fn choices_come_from_lists_files_and_the_external_sheet() {
    let questionnaire = read(&[
        (
            "survey",
            "
            type | name | label | choice_filter | parameters
            select_one_from_file desa.csv | desa | Desa | kec=${kec} | value=kode label=nama
            select_one_external kota | kec | Kota
            select_multiple_from_file a b.geojson | many | Many
            rank things | order | Order | | randomize=true, seed = 3
            ",
        ),
        ("choices", "list_name | name | label | image\nthings | a | A\nthings | b | | b.png"),
        ("external_choices", "list_name | name | prov\nkota | 5371 | 53"),
        SETTINGS,
    ]);
    let source = |key: &str| questionnaire.question(&[], key).unwrap().kind.select().unwrap().source.clone();
    assert_eq!(source("desa"), ChoiceSource::File("desa.csv".to_owned()));
    assert_eq!(source("kec"), ChoiceSource::External("kota".to_owned()));
    assert_eq!(source("many"), ChoiceSource::File("a b.geojson".to_owned()));
    assert_eq!(questionnaire.external_lists["kota"].get("5371").unwrap().attributes["prov"], "53");
    let order = questionnaire.question(&[], "order").unwrap();
    assert_eq!(order.parameters["seed"], "3");
    assert_eq!(order.parameters["randomize"], "true");
}

#[test]
fn own_columns_mark_personal_data_updates_and_renames() {
    let questionnaire = read(&[
        (
            "survey",
            "
            type | name | label | tenun::personal | tenun::household | tenun::was | tenun::merge
            text | head | Head | yes | head_name | kepala
            text | address | Address | no | yes
            select_multiple yn | tools | Tools | | | | union
            begin_repeat | people | People | | | members
            text | name | Name | Yes | | group.name
            end_repeat
            ",
        ),
        ("choices", "list_name | name | label\nyn | 1 | One"),
        SETTINGS,
    ]);
    let head = questionnaire.question(&[], "head").unwrap();
    assert!(head.personal);
    assert_eq!(head.updates_household.as_deref(), Some("head_name"));
    assert_eq!(head.was, ["kepala"]);
    let address = questionnaire.question(&[], "address").unwrap();
    assert!(!address.personal);
    assert_eq!(address.updates_household.as_deref(), Some("address"));
    assert_eq!(questionnaire.question(&[], "tools").unwrap().merge, Merge::Union);
    assert_eq!(questionnaire.repeat(&["people"]).unwrap().was, ["members"]);
    assert!(questionnaire.question(&["people"], "name").unwrap().personal);
}

#[test]
fn no_is_a_condition_only_where_it_hides() {
    let mut workbook = Workbook::new();
    let survey = workbook.add_worksheet().set_name("survey").unwrap();
    survey.write_row(0, 0, ["type", "name", "label", "required", "relevant"]).unwrap();
    survey.write_row(1, 0, ["text", "never", "Never asked", "no"]).unwrap();
    survey.write_boolean(1, 4, false).unwrap();
    let settings = workbook.add_worksheet().set_name("settings").unwrap();
    settings.write_row_matrix(0, 0, [["form_id", "version"], ["no", "1"]]).unwrap();
    let questionnaire = Questionnaire::read_xlsx(&workbook.save_to_buffer().unwrap()).unwrap().questionnaire;
    let never = questionnaire.question(&[], "never").unwrap();
    assert_eq!(never.required, None);
    assert_eq!(never.relevant.as_ref().map(|relevant| relevant.text.as_str()), Some("false()"));
}
