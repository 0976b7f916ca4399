//! Loading a workbook, beside the field's own converter in the same run.

use super::{Figure, median, timed};
use crate::server::program;
use anyhow::{Context, Result, ensure};
use questionnaire::{Compiled, Questionnaire, Tables};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// Converts a workbook three times and prints the median in seconds; the start of the interpreter is not counted.
const CONVERT: &str = "
import sys, time
from pyxform import xls2xform
def one():
    begun = time.perf_counter()
    xls2xform.convert(sys.argv[1])
    return time.perf_counter() - begun
one()
print(sorted(one() for _ in range(3))[1])
";

/// Reads and resolves workbooks, and compares.
///
/// # Errors
/// If a workbook can't be read.
pub fn measure(figures: &mut Vec<Figure>) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = root.join("../shared/domain/xlsforms");
    let kupang = root.join("fixtures/kupang/kupang-household.xlsx");
    let names = [
        // The largest that pyxform converts as it is, and the one with the most questions.
        (
            "workbook.load-largest",
            "workbook.pyxform-to-load-largest",
            shared.join("databrew__bohemia__smallcensusb.xlsx"),
        ),
        (
            "workbook.load-longest",
            "workbook.pyxform-to-load-longest",
            shared.join("stats4sd__tape-data-system__TAPE---Ethiopia.xlsx"),
        ),
        ("workbook.load-kupang", "workbook.pyxform-to-load-kupang", kupang),
    ];
    for (name, against, workbook) in names {
        if !workbook.is_file() {
            eprintln!("{} is not here: left out", workbook.display());
            continue;
        }
        let ours = load(&workbook)?;
        figures.push(Figure::at_most(name, ours * 1000.0, "ms", None));
        let Ok(python) = program("pyxform/bin/python") else {
            eprintln!("pyxform is missing: sh tests/pyxform.sh installs it");
            continue;
        };
        let theirs = convert(&python, &workbook)?;
        let ratio = theirs / ours;
        figures.push(Figure::at_least(against, ratio, "times as fast", Some(20.0)));
    }
    Ok(())
}

/// Seconds to read a workbook and resolve its rules, warm, as pyxform is.
fn load(workbook: &PathBuf) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..12 {
        // What was loaded goes away after the clock has stopped.
        let (loaded, time) = timed(|| -> Result<Compiled> {
            let read = Questionnaire::read_xlsx(&std::fs::read(workbook)?);
            let loaded = read.map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
            let compiled = Compiled::lenient(Arc::new(loaded.questionnaire), Tables::new());
            compiled.map_err(|wrong| anyhow::anyhow!("{wrong}"))
        });
        ensure!(loaded?.questionnaire().questions().count() > 0, "a workbook without questions");
        times.push(time.as_secs_f64());
    }
    Ok(median(times))
}

fn convert(python: &PathBuf, workbook: &PathBuf) -> Result<f64> {
    let output = Command::new(python).args(["-c", CONVERT]).arg(workbook).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().with_context(|| format!("pyxform: {}", String::from_utf8_lossy(&output.stderr)))
}
