//! Exports: one line an interview, one line a row, calculated values computed, personal data left out.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::Result;
use client_core::Edit;
use end_to_end::{field::interview_of, survey::Survey};
use std::{collections::BTreeMap, path::Path};
use sync_protocol::Value;

type Line = BTreeMap<String, String>;

fn read(file: &Path) -> Result<Vec<Line>> {
    let mut reader = csv::Reader::from_path(file)?;
    let header = reader.headers()?.clone();
    let line = |record: csv::StringRecord| {
        header.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    Ok(reader.records().collect::<Result<Vec<_>, _>>()?.into_iter().map(line).collect())
}

#[tokio::test]
async fn an_export_holds_every_interview_and_every_row() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let mut people = vec![survey.device(0, "a").await?, survey.device(1, "b").await?];
    for home in survey.world.households() {
        let person = &mut people[home.enumerator];
        person.register(&home, home.id)?;
        person.interview(home.id, &home.rounds[0])?;
    }
    // An answer that is not relevant stays in the record, and a conflict shows in a column of its own.
    let home = survey.world.households().find(|home| home.rounds[0].answers().contains_key(&"tenure".parse().unwrap()));
    let home = home.unwrap();
    let record = interview_of(home.id, 1);
    let person = &mut people[home.enumerator];
    person.device.save(record, "KP001", &[Edit::set("tr_any", Value::text("2"))?])?;
    person.device.save(record, "KP001", &[Edit::set("tr_days", Value::Integer(5))?])?;
    for person in &mut people {
        survey.sync(person).await?;
    }
    let folder = survey.file("export");
    let to = folder.display().to_string();
    survey.office.run("export", &["kupang-household@2026-1", "--to", &to])?;
    let interviews = read(&folder.join("interviews.csv"))?;
    let members = read(&folder.join("member.csv"))?;
    assert_eq!(interviews.len(), 12);
    let all: usize = survey
        .world
        .households()
        .map(|home| {
            home.rounds[0]
                .saves
                .iter()
                .flat_map(|s| &s.rows)
                .filter(|r| r.place.as_str().starts_with("member/"))
                .count()
        })
        .sum();
    assert_eq!(members.len(), all);
    // What is calculated follows from what is in the same export.
    for line in interviews.iter().filter(|line| line["consent"] == "1") {
        let size = members.iter().filter(|member| member["interview"] == line["interview"]).count();
        assert_eq!(line["n_member"], size.to_string(), "{}", line["interview"]);
    }
    let line = interviews.iter().find(|line| line["interview"] == record.to_string()).unwrap();
    assert_eq!((line["tr_days"].as_str(), line["tr_any"].as_str()), ("", "2"));
    assert!(line["_irrelevant"].split(' ').any(|name| name == "tr_days"), "{}", line["_irrelevant"]);
    for personal in ["head_name", "address", "gps_lat", "resp_phone"] {
        assert!(!line.contains_key(personal), "{personal} is personal");
    }
    survey.office.run("export", &["kupang-household@2026-1", "--to", &to, "--personal", "--labels", "English (en)"])?;
    let labelled = read(&folder.join("interviews.csv"))?;
    let line = labelled.iter().find(|line| line["interview"] == record.to_string()).unwrap();
    assert_eq!(line["tr_any"], "No");
    assert_eq!(line["address"], home.address);
    assert!(line["gps_lat"].starts_with("-10."), "{}", line["gps_lat"]);
    Ok(())
}

#[tokio::test]
async fn an_unknown_questionnaire_or_table_is_named() -> Result<()> {
    let survey = Survey::start(12, 2)?;
    let error =
        survey.office.run("export", &["nothing@1", "--to", &survey.file("x").display().to_string()]).unwrap_err();
    assert!(error.to_string().contains("nothing@1"), "{error}");
    Ok(())
}
