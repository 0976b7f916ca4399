//! The files that a form looks things up in: nobody gave them to us, so they are made up, the same for both engines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use anyhow::Result;
use questionnaire::{Choice, ChoiceList, Tables};

/// What the expressions of a form say of one file.
#[derive(Default)]
struct Columns {
    keys: BTreeSet<String>,
    others: BTreeSet<String>,
    /// The keys that are written out in an expression.
    values: BTreeSet<String>,
}

/// Writes the CSV files that a converted form names beside it, and returns them as tables of ours.
pub(crate) fn make_up(form: &Path) -> Result<Tables> {
    let text = std::fs::read_to_string(form)?;
    let mut files: BTreeMap<String, Columns> = BTreeMap::new();
    for part in text.split("jr://file-csv/").skip(1) {
        if let Some((name, _)) = part.split_once(".csv") {
            files.entry(name.to_owned()).or_default();
        }
    }
    for part in text.split("pulldata(").skip(1) {
        let quoted: Vec<&str> = part.split([')', '\'']).collect();
        let [_, file, _, column, _, key, comma, rest @ ..] = quoted.as_slice() else { continue };
        let columns = files.entry((*file).to_owned()).or_default();
        columns.keys.insert((*key).to_owned());
        columns.others.insert((*column).to_owned());
        if let ([value, ..], true) = (rest, comma.trim() == ",") {
            columns.values.insert((*value).to_owned());
        }
    }
    let mut tables = Tables::new();
    for (name, mut columns) in files {
        columns.values.extend((1..=4).map(|key| key.to_string()));
        let headers: Vec<&String> = columns.keys.iter().chain(columns.others.difference(&columns.keys)).collect();
        let mut csv = headers.iter().map(|header| header.as_str()).collect::<Vec<_>>().join(",");
        let mut choices = Vec::new();
        for (row, value) in columns.values.iter().enumerate() {
            let cells: Vec<String> = headers
                .iter()
                .enumerate()
                .map(|(at, header)| if columns.keys.contains(*header) { value.clone() } else { cell(row, at) })
                .collect();
            let _ = write!(csv, "\n{}", cells.join(","));
            let attributes: BTreeMap<String, String> =
                headers.iter().map(|header| (*header).clone()).zip(cells).collect();
            let name = attributes.get("name").cloned().unwrap_or_default();
            choices.push(Choice { name, attributes, ..Choice::default() });
        }
        std::fs::write(form.with_file_name(format!("{name}.csv")), csv)?;
        tables.insert(name, ChoiceList::from(choices));
    }
    Ok(tables)
}

/// Makes up what stands in a column that is no key: numbers and texts.
fn cell(row: usize, column: usize) -> String {
    match (row + column) % 3 {
        0 => format!("{row}.5"),
        1 => format!("{row}"),
        _ => format!("teks {row}"),
    }
}
