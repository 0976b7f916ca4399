//! The list of known differences (`differences.md`), and which of its lines still say something.

use std::{cell::Cell, path::Path};

use anyhow::{Result, ensure};

use crate::compare::Difference;

/// The known differences; one line of a table each.
pub(crate) struct Known {
    entries: Vec<Entry>,
}

struct Entry {
    line: usize,
    workbook: String,
    name: String,
    what: String,
    ours: String,
    theirs: String,
    met: Cell<usize>,
}

impl Known {
    /// Reads the tables of the list.
    pub(crate) fn read() -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javarosa/differences.md");
        let mut entries = Vec::new();
        for (at, line) in std::fs::read_to_string(file)?.lines().enumerate() {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let ["", workbook, name, what, ours, theirs, reason, ""] = cells.as_slice() else { continue };
            if *workbook == "workbook" || workbook.starts_with("---") {
                continue;
            }
            ensure!(reason.len() > 20, "line {}: no reason", at + 1);
            let [workbook, name, what, ours, theirs] = [workbook, name, what, ours, theirs].map(|c| (*c).to_owned());
            entries.push(Entry { line: at + 1, workbook, name, what, ours, theirs, met: Cell::new(0) });
        }
        Ok(Self { entries })
    }

    /// Tells whether a difference is listed, and notes that it was met.
    pub(crate) fn knows(&self, workbook: &str, difference: &Difference) -> bool {
        let entry = self.entries.iter().find(|entry| {
            fits(&entry.workbook, workbook)
                && fits(&entry.name, &difference.name)
                && entry.what == difference.what
                && fits(&entry.ours, &difference.ours)
                && fits(&entry.theirs.replace("{ours}", &difference.ours), &difference.theirs)
        });
        if let Some(entry) = entry {
            entry.met.set(entry.met.get() + 1);
        }
        entry.is_some()
    }

    /// Returns the lines about the workbooks at hand that nothing met.
    pub(crate) fn stale(&self, workbooks: &[String]) -> Vec<String> {
        let at_hand = |entry: &&Entry| workbooks.iter().any(|workbook| fits(&entry.workbook, workbook));
        let stale = self.entries.iter().filter(at_hand).filter(|entry| entry.met.get() == 0);
        stale.map(|entry| format!("line {}: {} {} {}", entry.line, entry.workbook, entry.name, entry.what)).collect()
    }
}

/// Tells whether a text fits a pattern, in which `*` stands for anything and `#` for a digit.
fn fits(pattern: &str, text: &str) -> bool {
    let Some(sign) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[sign.len_utf8()..];
    if sign == '*' {
        return text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]));
    }
    let mut signs = text.chars();
    signs.next().is_some_and(|found| found == sign || sign == '#' && found.is_ascii_digit())
        && fits(rest, signs.as_str())
}
