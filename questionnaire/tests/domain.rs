//! Real workbooks, where the material that they belong to is at hand: nothing of it is in the repository.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use std::path::{Path, PathBuf};

use questionnaire::{ChoiceSource, Questionnaire};

fn domain() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/domain"));
    if path.is_dir() {
        return Some(path.to_owned());
    }
    println!("skipped: the shared material is not at hand");
    None
}

#[test]
fn the_kupang_household_questionnaire_loads_without_a_problem() {
    let Some(domain) = domain() else { return };
    let bytes = std::fs::read(domain.join("kupang-household.xlsx")).unwrap();
    let loaded = Questionnaire::read_xlsx(&bytes).unwrap_or_else(|problems| panic!("{problems}"));
    for warning in &loaded.warnings {
        println!("{warning}");
    }
    let questionnaire = loaded.questionnaire;
    assert!(questionnaire.questions().count() > 150);
    assert_eq!(questionnaire.languages.len(), 2);
    for (repeats, question) in questionnaire.questions() {
        assert_eq!(questionnaire.question(&repeats, &question.key), Some(question));
        if let Some(ChoiceSource::List(list)) = question.kind.select().map(|select| &select.source) {
            assert!(questionnaire.lists.contains_key(list));
        }
    }
    let json = serde_json::to_string(&questionnaire).unwrap();
    assert_eq!(serde_json::from_str::<Questionnaire>(&json).unwrap(), questionnaire);
}

#[test]
fn the_workbooks_of_other_projects_load_leniently() {
    let Some(domain) = domain() else { return };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(domain.join("xlsforms")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        if !file.extension().is_some_and(|ending| ending == "xlsx" || ending == "xls") {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        for (mode, result) in
            [("strict", Questionnaire::read_xlsx(&bytes)), ("lenient", Questionnaire::read_xlsx_lenient(&bytes))]
        {
            match result {
                Ok(loaded) => println!(
                    "{name}: {mode}: {} questions, {} warnings",
                    loaded.questionnaire.questions().count(),
                    loaded.warnings.len()
                ),
                Err(problems) => {
                    println!("{name}: {mode}: {} errors", problems.errors().count());
                    for problem in problems.errors() {
                        // Every error must lead to a cell.
                        assert!(problem.row > 0 || problem.sheet.is_empty() || problem.column.is_empty());
                        println!("    {problem}");
                        assert_eq!(mode, "strict", "{name}: {problem}");
                    }
                }
            }
        }
    }
}
