//! The survey sheet: rows to the tree of questions, groups and repeats.
//!
//! Owns what depends on the rows before and after; a row's own cells are read in `survey/cells.rs`.

mod cells;

use std::collections::BTreeMap;

use self::cells::{check_frame_columns, check_question, group, other_text, question, repeat};
use super::columns::{Row, Table, flag};
use super::log::{Log, Spot};
use super::names::is_xml_name;
use super::types::{RowType, nearest, row_type};
use crate::model::{Group, Item, Kind, Metadata, Repeat};
use crate::problem::ProblemCode;

/// Deepest nesting of groups and repeats; JSON readers stop not far behind.
const MAX_DEPTH: usize = 24;
/// Deepest nesting of repeats, as the paths of the sync protocol have it.
const MAX_REPEATS: usize = 8;

/// Reads the tree of items.
pub(super) fn read(table: &Table<'_>, log: &mut Log) -> Vec<Item> {
    let mut tree = Tree { open: vec![Frame::default()], too_deep: 0 };
    for row in table.rows() {
        if !is_disabled(row) {
            tree.add(row, log);
        }
    }
    let items = tree.finish(table, log);
    if items.is_empty() && !log.has_errors() {
        log.error(
            Spot::new(&table.sheet.name, 0, ""),
            ProblemCode::NoQuestions,
            "The survey sheet has no questions.",
            "Add a row per question below the headers.",
        );
    }
    items
}

/// Tells whether a row is switched off by the column `disabled`.
pub(super) fn is_disabled(row: Row<'_>) -> bool {
    row.cell("disabled").is_some_and(|cell| flag(cell.text) == Some(true))
}

/// A group or repeat that is not closed yet; the first one is the form.
#[derive(Default)]
struct Frame {
    /// The group or repeat without its children; none for the form, or where the row could not be used.
    item: Option<Item>,
    is_repeat: bool,
    row: u32,
    name: String,
    children: Vec<Item>,
    /// The rows of the names inside.
    names: BTreeMap<String, u32>,
}

struct Tree {
    open: Vec<Frame>,
    /// How many groups are open that were too deep to keep.
    too_deep: usize,
}

impl Tree {
    fn add(&mut self, row: Row<'_>, log: &mut Log) {
        let Some(cell) = row.cell("type") else {
            if row.cell("name").is_some() || !row.text("label").is_empty() {
                log.error(
                    row.spot("type"),
                    ProblemCode::TypeMissing,
                    "The row has no type.",
                    "Write what is asked for, for instance text, integer or select_one list.",
                );
            }
            return;
        };
        match row_type(cell.text) {
            RowType::BeginGroup => self.begin(row, false, log),
            RowType::BeginRepeat => self.begin(row, true, log),
            RowType::EndGroup => self.end(row, false, log),
            RowType::EndRepeat => self.end(row, true, log),
            RowType::Question(kind) => self.question(row, kind, log),
            RowType::NoList => log.error(
                row.spot("type"),
                ProblemCode::ListMissing,
                format!("The type {} names no list.", cell.text.trim()),
                "Write the list's name after it: select_one list.",
            ),
            RowType::BadFile(file) => log.error(
                row.spot("type"),
                ProblemCode::ChoiceFileInvalid,
                format!("The file {file} is of no known format."),
                "Use a file that ends in .csv, .xml or .geojson.",
            ),
            RowType::Unknown => {
                let text = cell.text.trim();
                let fix = match nearest(text) {
                    Some(name) => format!("Did you mean {name}?"),
                    None => "Use a type of XLSForm: text, integer, select_one list, begin_group and so on.".to_owned(),
                };
                log.soft(row.spot("type"), ProblemCode::TypeUnknown, format!("The type {text} is not known."), fix);
                // The names of what comes later must still be found.
                self.question(row, Kind::Metadata(Metadata::Unknown(text.to_owned())), log);
            }
        }
    }

    fn begin(&mut self, row: Row<'_>, is_repeat: bool, log: &mut Log) {
        let repeats = self.open.iter().filter(|frame| frame.is_repeat).count();
        let too_deep = self.open.len() > MAX_DEPTH || (is_repeat && repeats >= MAX_REPEATS);
        if too_deep || self.too_deep > 0 {
            if self.too_deep == 0 {
                log.error(
                    row.spot("type"),
                    ProblemCode::NestedTooDeep,
                    format!("At most {MAX_DEPTH} groups, and {MAX_REPEATS} repeats among them, lie inside each other."),
                    "Nest less deeply.",
                );
            }
            self.too_deep += 1;
            return;
        }
        let name = match row.word("name") {
            None if !is_repeat => Some(format!("group_row_{}", row.number())),
            _ => self.name(row, log),
        };
        let mut frame = Frame { is_repeat, row: row.number(), ..Frame::default() };
        if let Some(name) = name {
            frame.name.clone_from(&name);
            frame.item = Some(if is_repeat { repeat(row, name, log) } else { group(row, name, log) });
        }
        check_frame_columns(row, is_repeat, log);
        self.open.push(frame);
    }

    fn end(&mut self, row: Row<'_>, is_repeat: bool, log: &mut Log) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let what = if is_repeat { "repeat" } else { "group" };
        let matching = self.open.iter().skip(1).rposition(|frame| frame.is_repeat == is_repeat);
        let Some(at) = matching else {
            log.error(
                row.spot("type"),
                ProblemCode::EndUnmatched,
                format!("The row closes a {what}, but none is open."),
                format!("Delete the row, or add its begin_{what}."),
            );
            return;
        };
        // What was opened inside and not closed is closed here, and reported.
        while self.open.len() > at + 2 {
            self.close_unclosed(row.sheet(), row.spot("type").column, log);
        }
        self.close();
    }

    fn close_unclosed(&mut self, sheet: &str, header: &str, log: &mut Log) {
        if let Some(frame) = self.open.last() {
            let what = if frame.is_repeat { "repeat" } else { "group" };
            log.error(
                Spot::new(sheet, frame.row, header),
                ProblemCode::BeginUnclosed,
                format!("The {what} {} is not closed in its place.", frame.name),
                format!("Add a row end_{what} after its last question."),
            );
        }
        self.close();
    }

    fn close(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        let item = match frame.item {
            Some(Item::Group(group)) => Item::Group(Group { children: frame.children, ..group }),
            Some(Item::Repeat(repeat)) => Item::Repeat(Repeat { children: frame.children, ..repeat }),
            Some(Item::Question(_)) | None => {
                // The row was in error; its questions are kept for the other checks.
                if let Some(outer) = self.open.last_mut() {
                    outer.children.extend(frame.children);
                }
                return;
            }
        };
        if let Some(outer) = self.open.last_mut() {
            outer.children.push(item);
        }
    }

    fn finish(mut self, table: &Table<'_>, log: &mut Log) -> Vec<Item> {
        while self.open.len() > 1 {
            self.close_unclosed(&table.sheet.name, table.header("type"), log);
        }
        self.open.pop().map(|form| form.children).unwrap_or_default()
    }

    /// Reads and checks the name of a row; `None` where the row has none.
    fn name(&mut self, row: Row<'_>, log: &mut Log) -> Option<String> {
        let Some(name) = row.word("name") else {
            log.error(
                row.spot("name"),
                ProblemCode::NameMissing,
                "The row has no name.",
                "Write a name of letters, digits and _ that no other question has.",
            );
            return None;
        };
        if !is_xml_name(name) {
            log.error(
                row.spot("name"),
                ProblemCode::NameInvalid,
                format!("The name {name} can't be used."),
                "Begin with a letter or _, go on with letters, digits, _, - or a point.",
            );
        }
        if let Some(frame) = self.open.last_mut() {
            if let Some(first) = frame.names.get(name) {
                log.error(
                    row.spot("name"),
                    ProblemCode::NameTwice,
                    format!("The name {name} is already taken in this group, by row {first}."),
                    "Choose another name.",
                );
            } else {
                frame.names.insert(name.to_owned(), row.number());
            }
        }
        Some(name.to_owned())
    }

    fn question(&mut self, row: Row<'_>, kind: Kind, log: &mut Log) {
        let name = match row.word("name") {
            // A note without a name is common, and holds no answer.
            None if kind == Kind::Note => Some(format!("note_row_{}", row.number())),
            _ => self.name(row, log),
        };
        let Some(name) = name else { return };
        let question = question(row, name, kind, log);
        check_question(row, &question, log);
        let other = other_text(&question);
        if let Some(frame) = self.open.last_mut() {
            frame.children.push(Item::Question(Box::new(question)));
            if let Some(other) = other {
                frame.names.entry(other.name.clone()).or_insert(other.row);
                frame.children.push(Item::Question(Box::new(other)));
            }
        }
    }
}
