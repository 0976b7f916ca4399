//! Real workbooks of other projects: every expression resolves, or the error is really theirs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails its test")]

use std::path::Path;

use questionnaire::{Compiled, Context, Instance, Questionnaire};

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
        match Compiled::new(&loaded.questionnaire) {
            Ok(compiled) => {
                let evaluation = compiled.evaluate(&Instance::new(), &Context::default());
                println!("{name}: {} questions", evaluation.relevant.len());
            }
            Err(problems) => println!("{name}:\n{problems}"),
        }
    }
}
