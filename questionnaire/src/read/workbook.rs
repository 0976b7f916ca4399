//! From bytes to sheets of text: the only file that knows the spreadsheet library.
//!
//! Bytes come from outside: nothing here may panic or grow without bound, whatever they are. A cell's text survives as
//! it is shown in the spreadsheet: `0710301` keeps its zero, the number 1 is `1`.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, DataRef, ExcelDateTime, Reader, Xls, Xlsx};

use super::log::{Log, Spot};
use crate::problem::ProblemCode;

/// Most rows with text that one sheet may have.
pub(super) const MAX_ROWS: usize = 200_000;
/// Most bytes that one cell may hold.
pub(super) const MAX_CELL: usize = 64 * 1024;
/// Most bytes of text in all sheets together.
pub(super) const MAX_TEXT: usize = 128 * 1024 * 1024;
/// Most bytes of the file, and of what its parts say they unpack to.
const MAX_FILE: usize = 64 * 1024 * 1024;
const MAX_UNPACKED: u64 = 1024 * 1024 * 1024;

/// Holds one sheet: the header row and the rows below it that hold text.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) header_row: u32,
    /// Column positions with their headers, in order.
    pub(super) headers: Vec<(u32, String)>,
    pub(super) rows: Vec<RawRow>,
}

/// Holds one row: its number as the spreadsheet shows it, and the texts by column position.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    pub(super) number: u32,
    pub(super) cells: Vec<(u32, String)>,
}

/// The sheets that a form is made of.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    pub(super) survey: Option<Sheet>,
    pub(super) choices: Option<Sheet>,
    pub(super) external: Option<Sheet>,
    pub(super) settings: Option<Sheet>,
    /// The names of all sheets, to help who misspelt one.
    pub(super) names: Vec<String>,
}

impl Sheets {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Sheet>> {
        match name.trim().to_lowercase().replace([' ', '-'], "_").as_str() {
            "survey" => Some(&mut self.survey),
            "choices" | "columns" | "choices_and_columns" => Some(&mut self.choices),
            "external_choices" => Some(&mut self.external),
            "settings" => Some(&mut self.settings),
            _ => None,
        }
    }
}

/// Reads the sheets, or says in the log why not.
pub(super) fn open(bytes: &[u8], log: &mut Log) -> Option<Sheets> {
    if bytes.len() > MAX_FILE || unpacked_size(bytes) > MAX_UNPACKED {
        too_large(log, "", "the file");
        return None;
    }
    // The spreadsheet library promises no panic on damaged bytes, but did not always keep it.
    let read = catch_unwind(AssertUnwindSafe(|| {
        if bytes.starts_with(b"PK") {
            read_xlsx(bytes, log)
        } else if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
            read_xls(bytes, log)
        } else {
            Err("it is neither .xlsx nor .xls".to_owned())
        }
    }));
    match read {
        Ok(Ok(sheets)) => Some(sheets),
        Ok(Err(why)) => {
            log.error(
                Spot::new("", 0, ""),
                ProblemCode::NotAWorkbook,
                format!("The file can't be read as a workbook: {why}."),
                "Open it in a spreadsheet program and save it as .xlsx, without a password.",
            );
            None
        }
        Err(_panic) => {
            log.error(
                Spot::new("", 0, ""),
                ProblemCode::NotAWorkbook,
                "The file is damaged.",
                "Open it in a spreadsheet program and save it again as .xlsx.",
            );
            None
        }
    }
}

fn too_large(log: &mut Log, sheet: &str, what: &str) {
    log.error(
        Spot::new(sheet, 0, ""),
        ProblemCode::WorkbookTooLarge,
        format!(
            "There is more in {what} than is read: at most {MAX_ROWS} rows in a sheet and {} MiB of text.",
            MAX_TEXT / 1024 / 1024
        ),
        "Delete what the form does not need, or move long lists to a file (select_one_from_file).",
    );
}

/// Adds up what the parts of a zip archive say they unpack to.
fn unpacked_size(bytes: &[u8]) -> u64 {
    let mut total = 0_u64;
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|four| four == b"PK\x01\x02") {
        rest = rest.get(at..).unwrap_or_default();
        if let Some(size) = rest.get(24..28).and_then(|size| <[u8; 4]>::try_from(size).ok()) {
            total = total.saturating_add(u64::from(u32::from_le_bytes(size)));
        }
        rest = rest.get(46..).unwrap_or_default();
    }
    total
}

fn read_xlsx(bytes: &[u8], log: &mut Log) -> Result<Sheets, String> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut sheets = Sheets { names: book.sheet_names(), ..Sheets::default() };
    let mut text_left = MAX_TEXT;
    for name in sheets.names.clone() {
        let Some(slot) = sheets.slot(&name) else {
            continue;
        };
        let mut filler = Filler::new(&name, text_left);
        let mut reader = book.worksheet_cells_reader(&name).map_err(|error| error.to_string())?;
        while let Some(cell) = reader.next_cell().map_err(|error| error.to_string())? {
            let (row, column) = cell.get_position();
            if !filler.add(row, column, cell.get_value(), log) {
                break;
            }
        }
        text_left = filler.text_left;
        slot.get_or_insert(filler.finish(log));
    }
    Ok(sheets)
}

fn read_xls(bytes: &[u8], log: &mut Log) -> Result<Sheets, String> {
    let mut book: Xls<_> = Xls::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut sheets = Sheets { names: book.sheet_names(), ..Sheets::default() };
    let mut text_left = MAX_TEXT;
    for name in sheets.names.clone() {
        let Some(slot) = sheets.slot(&name) else {
            continue;
        };
        let range = book.worksheet_range(&name).map_err(|error| error.to_string())?;
        let (first_row, first_column) = range.start().unwrap_or_default();
        let mut filler = Filler::new(&name, text_left);
        for (row, column, value) in range.used_cells() {
            let row = first_row.saturating_add(u32::try_from(row).unwrap_or(u32::MAX));
            let column = first_column.saturating_add(u32::try_from(column).unwrap_or(u32::MAX));
            if !filler.add(row, column, &as_ref(value), log) {
                break;
            }
        }
        text_left = filler.text_left;
        slot.get_or_insert(filler.finish(log));
    }
    Ok(sheets)
}

/// Collects cells in reading order to a sheet, within the limits.
struct Filler {
    sheet: Sheet,
    rows: Vec<RawRow>,
    text_left: usize,
    full: bool,
}

impl Filler {
    fn new(name: &str, text_left: usize) -> Self {
        Self { sheet: Sheet { name: name.to_owned(), ..Sheet::default() }, rows: Vec::new(), text_left, full: false }
    }

    /// Adds a cell; `false` when the sheet is too large to go on.
    fn add(&mut self, row: u32, column: u32, value: &DataRef<'_>, log: &mut Log) -> bool {
        let number = row.saturating_add(1);
        if let DataRef::Error(error) = value {
            log.error(
                Spot::new(&self.sheet.name, number, &column_letters(column)),
                ProblemCode::CellError,
                format!("The cell holds the spreadsheet error {error}."),
                "Mend the formula or type the value.",
            );
            return true;
        }
        let Some(text) = cell_text(value) else {
            return true;
        };
        if text.trim().is_empty() {
            return true;
        }
        if text.len() > MAX_CELL {
            log.error(
                Spot::new(&self.sheet.name, number, &column_letters(column)),
                ProblemCode::CellTooLong,
                format!("The cell holds {} bytes; at most {MAX_CELL} are read.", text.len()),
                "Shorten the text.",
            );
            return true;
        }
        let is_new = self.rows.last().is_none_or(|row| row.number != number);
        let Some(left) = self.text_left.checked_sub(text.len().saturating_add(32)) else {
            self.full = true;
            return false;
        };
        if is_new && self.rows.len() > MAX_ROWS {
            self.full = true;
            return false;
        }
        self.text_left = left;
        if is_new {
            self.rows.push(RawRow { number, cells: Vec::new() });
        }
        if let Some(row) = self.rows.last_mut() {
            row.cells.push((column, text));
        }
        true
    }

    fn finish(mut self, log: &mut Log) -> Sheet {
        if self.full {
            too_large(log, &self.sheet.name, "the sheet");
        }
        let mut rows = self.rows.into_iter();
        if let Some(header) = rows.next() {
            self.sheet.header_row = header.number;
            self.sheet.headers = header.cells.into_iter().map(|(at, text)| (at, text.trim().to_owned())).collect();
        }
        self.sheet.rows = rows.collect();
        self.sheet
    }
}

/// Returns the letters that a spreadsheet shows above a column.
pub(super) fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = column;
    loop {
        letters.push(char::from_digit(rest % 26 + 10, 36).unwrap_or('?').to_ascii_uppercase());
        rest /= 26;
        if rest == 0 {
            break;
        }
        rest -= 1;
    }
    letters.into_iter().rev().collect()
}

fn as_ref(value: &Data) -> DataRef<'_> {
    match value {
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => DataRef::SharedString(text),
        Data::Bool(flag) => DataRef::Bool(*flag),
        Data::DateTime(moment) => DataRef::DateTime(*moment),
        Data::Error(error) => DataRef::Error(error.clone()),
        Data::Empty => DataRef::Empty,
    }
}

/// Returns what the cell shows, `None` for an empty one.
fn cell_text(value: &DataRef<'_>) -> Option<String> {
    match value {
        DataRef::Int(number) => Some(number.to_string()),
        DataRef::Float(number) => Some(number_text(*number)),
        DataRef::String(text) => Some(text.clone()),
        DataRef::SharedString(text) => Some((*text).to_owned()),
        DataRef::Bool(true) => Some("TRUE".to_owned()),
        DataRef::Bool(false) => Some("FALSE".to_owned()),
        DataRef::DateTime(moment) => Some(moment_text(moment)),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Some(text.clone()),
        DataRef::Error(_) | DataRef::Empty => None,
    }
}

fn number_text(number: f64) -> String {
    // A whole number prints without a point; others as short as they read back.
    let text = format!("{number}");
    if text == "-0" { "0".to_owned() } else { text }
}

fn moment_text(moment: &ExcelDateTime) -> String {
    let number = moment.as_f64();
    if moment.is_duration() || !number.is_finite() {
        return number_text(number);
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    if (0.0..1.0).contains(&number) {
        time
    } else if number.fract() == 0.0 {
        date
    } else {
        format!("{date}T{time}")
    }
}
