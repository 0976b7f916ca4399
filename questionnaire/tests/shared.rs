//! Real workbooks of other projects: every expression resolves, or the error is really theirs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use std::path::Path;
use std::sync::Arc;

use questionnaire::{Compiled, Context, Instance, ProblemCode, Questionnaire, Tables};

#[test]
fn the_expressions_of_other_projects_resolve() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/domain/xlsforms");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: the shared material is not at hand");
        return;
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".xlsx") && !name.ends_with(".xls") {
            continue;
        }
        let loaded = match Questionnaire::read_xlsx_lenient(&std::fs::read(&file).unwrap()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                println!("{name}: not read: {problems}");
                continue;
            }
        };
        let questionnaire = Arc::new(loaded.questionnaire);
        if let Err(problems) = Compiled::with_tables(questionnaire.clone(), Tables::new()) {
            // Names without ${} that nothing bears: other tools fail there, too, once the question is reached.
            println!("{name}:\n{problems}");
            for problem in problems.errors() {
                assert_eq!(problem.code, ProblemCode::PathUnknown, "{name}: {problem}");
                assert!(problem.row > 1 && !problem.column.is_empty(), "{name}: {problem}");
            }
        }
        let compiled = Compiled::lenient(questionnaire, Tables::new()).unwrap_or_else(|problems| panic!("{problems}"));
        let evaluation = compiled.evaluate(&Instance::new(), &Context::default());
        println!("{name}: {} questions outside of rows", evaluation.relevant.len());
    }
}
