//! Workbooks of our own: single expressions (`expressions.txt`), so that every function is compared on many answers,
//! and conditions that hang on each other (`conditions.txt`).

use std::path::{Path, PathBuf};

use anyhow::Result;
use rust_xlsxwriter::Workbook;

/// Names of the calculations that JavaRosa works out one at a time, so that one that fails stops no other.
pub(crate) const APART: &str = "apart_";

/// The questions of all expressions; the calculations come in where `row` and `record` stand.
const SURVEY: &[[&str; 3]] = &[
    ["text", "x", ""],
    ["text", "y", ""],
    ["integer", "n", ""],
    ["integer", "m", ""],
    ["decimal", "dec", ""],
    ["date", "day", ""],
    ["date", "day2", ""],
    ["time", "clock", ""],
    ["dateTime", "when", ""],
    ["select_one fruit", "one", ""],
    ["select_multiple fruit", "many", ""],
    ["geopoint", "gps", ""],
    ["geotrace", "line", ""],
    ["geoshape", "shape", ""],
    ["begin_repeat", "r", ""],
    ["integer", "v", ""],
    ["text", "w", ""],
    ["date", "d", ""],
    ["begin_repeat", "s", ""],
    ["integer", "u", ""],
    ["end_repeat", "", ""],
    ["row", "", ""],
    ["end_repeat", "", ""],
    ["begin_group", "g", ""],
    ["text", "gone", "${n} > 2"],
    ["end_group", "", ""],
    ["record", "", ""],
];

const FRUIT: &[[&str; 5]] = &[
    ["list_name", "name", "label", "tree", "weight"],
    ["fruit", "a", "Apple", "tall", "3"],
    ["fruit", "b", "Banana", "herb", "2.5"],
    ["fruit", "c", "Cherry", "tall", ""],
];

/// The workbook, and its expressions by the names of their calculations.
pub(crate) struct Expressions {
    pub(crate) workbook: PathBuf,
    texts: Vec<String>,
}

impl Expressions {
    /// Writes the workbook into a folder.
    pub(crate) fn write(folder: &Path) -> Result<Self> {
        let texts = lines("expressions.txt")?;
        let mut book = Workbook::new();
        let survey = book.add_worksheet().set_name("survey")?;
        survey.write_row(0, 0, ["type", "name", "label", "relevant", "calculation"])?;
        let mut row = 1;
        for [kind, name, relevant] in SURVEY {
            if !matches!(*kind, "row" | "record") {
                survey.write_row(row, 0, [*kind, *name, *name, *relevant])?;
                row += 1;
                continue;
            }
            for (at, text) in texts.iter().enumerate() {
                let (inside, expression) = match text.strip_prefix("row: ") {
                    Some(expression) => (true, expression),
                    None => (false, text.as_str()),
                };
                if inside == (*kind == "row") {
                    survey.write_row(row, 0, ["calculate", &format!("{APART}{at}"), "", "", expression])?;
                    row += 1;
                }
            }
        }
        Ok(Self { workbook: finish(book, folder, "expressions")?, texts })
    }

    /// Returns the expression of a calculation.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name.strip_prefix(APART)?.parse::<usize>().ok()?).map(String::as_str)
    }
}

/// Writes the workbook of conditions into a folder.
pub(crate) fn conditions(folder: &Path) -> Result<PathBuf> {
    let mut book = Workbook::new();
    let survey = book.add_worksheet().set_name("survey")?;
    for (row, line) in (0..).zip(lines("conditions.txt")?) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for (column, cell) in (0..).zip(&cells) {
            survey.write(row, column, *cell)?;
        }
        // Each has its name for a label.
        survey.write(row, 20, if row == 0 { "label" } else { cells.get(1).copied().unwrap_or_default() })?;
    }
    finish(book, folder, "conditions")
}

/// Reads a list beside this file without its remarks.
fn lines(list: &str) -> Result<Vec<String>> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javarosa").join(list);
    let text = std::fs::read_to_string(list)?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

fn finish(mut book: Workbook, folder: &Path, name: &str) -> Result<PathBuf> {
    book.add_worksheet().set_name("choices")?.write_row_matrix(0, 0, FRUIT.to_vec())?;
    let settings = book.add_worksheet().set_name("settings")?;
    settings.write_row_matrix(0, 0, [["form_id", "version"], [name, "1"]])?;
    let workbook = folder.join(format!("{name}.xlsx"));
    book.save(&workbook)?;
    Ok(workbook)
}
