//! Builds small workbooks for tests: one text per sheet, cells between bars.

use rust_xlsxwriter::Workbook;

/// Builds a workbook of sheets, each a name and lines of cells between `|`; the first line holds the headers.
pub(crate) fn book(sheets: &[(&str, &str)]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    for (name, text) in sheets {
        let sheet = workbook.add_worksheet();
        sheet.set_name(*name).unwrap();
        for (row, line) in text.trim().lines().enumerate() {
            for (column, cell) in line.split('|').enumerate() {
                let cell = cell.trim();
                if !cell.is_empty() {
                    sheet.write_string(u32::try_from(row).unwrap(), u16::try_from(column).unwrap(), cell).unwrap();
                }
            }
        }
    }
    workbook.save_to_buffer().unwrap()
}

/// Settings that no check objects to.
pub(crate) const SETTINGS: (&str, &str) = ("settings", "form_id | version\nsurvei | 1");
