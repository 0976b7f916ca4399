//! The files that come with a form: CSV, GeoJSON and XML, as lists whose entries have columns.
//!
//! `select_one_from_file`, `csv-external`, `pulldata()` and `instance()` read them by their name without its ending. A questionnaire
//! holds them, so that a version is whole by itself.

use serde_json::Value as Json;

use crate::model::{Choice, ChoiceList, ChoiceSource, Kind, Questionnaire};
use crate::problem::{Problem, ProblemCode, Severity};

/// Most entries that are read of one file.
const MAX_ENTRIES: usize = 1_000_000;

impl Questionnaire {
    /// Reads a file that comes with the form; one of the same name is replaced.
    ///
    /// The ending says what it is: `.csv` with a row of headers; `.geojson`, whose features are entries with `id` and `title`;
    /// `.xml` with a root of items, each of them a set of named texts.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, where the file can't be read; the problem names its row.
    ///
    /// ```
    /// # use questionnaire::Questionnaire;
    /// # let json = r#"{"id":"f","version":"1","lists":{},"items":[]}"#;
    /// let mut form: Questionnaire = serde_json::from_str(json)?;
    /// form.add_file("schools.csv", b"name,label,village\ns1,SD Liliba,liliba\n").map_err(|problem| problem.message)?;
    /// assert_eq!(form.files["schools"].get("s1").unwrap().attributes["village"], "liliba");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        let read = match name.rsplit_once('.') {
            Some((stem, "csv")) => csv(bytes).map(|entries| (stem, entries)),
            Some((stem, "geojson")) => geojson(bytes).map(|entries| (stem, entries)),
            Some((stem, "xml")) => xml(bytes).map(|entries| (stem, entries)),
            Some(_) | None => Err((0, "is neither .csv nor .geojson nor .xml".to_owned())),
        };
        let (stem, entries) = read.map_err(|(row, what)| Problem {
            severity: Severity::Error,
            sheet: name.to_owned(),
            row,
            column: String::new(),
            code: ProblemCode::ChoiceFileInvalid,
            message: format!("The file {name} {what}."),
            fix: "Correct it, or save it again as UTF-8.".to_owned(),
        })?;
        self.files.insert(stem.to_owned(), ChoiceList::from(entries));
        Ok(())
    }

    /// Warns of each file that a question reads its choices from and that is not there.
    #[must_use]
    pub fn missing_files(&self) -> Vec<Problem> {
        let mut missing = Vec::new();
        for (_, question) in self.questions() {
            let file = match (question.kind.select().map(|select| &select.source), &question.kind) {
                (Some(ChoiceSource::File(file)), _) => file.clone(),
                (_, Kind::CsvExternal) => format!("{}.csv", question.name),
                (_, Kind::XmlExternal) => format!("{}.xml", question.name),
                (_, _) => continue,
            };
            let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
            if !self.files.contains_key(stem) {
                missing.push(Problem {
                    severity: Severity::Warning,
                    sheet: "survey".to_owned(),
                    row: question.row,
                    column: "type".to_owned(),
                    code: ProblemCode::FileMissing,
                    message: format!("The file {file} is not there: {} has no choices.", question.name),
                    fix: "Put it into the folder of files that come with the workbook.".to_owned(),
                });
            }
        }
        missing
    }
}

/// A row, and what is wrong with it, to be read after the file's name.
type Wrong = (u32, String);

fn csv(bytes: &[u8]) -> Result<Vec<Choice>, Wrong> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let wrong = |error: ::csv::Error| {
        let row = error.position().map_or(0, |position| u32::try_from(position.line()).unwrap_or(0));
        (row, format!("can't be read ({error})"))
    };
    let headers: Vec<String> = reader.headers().map_err(wrong)?.iter().map(|header| header.trim().to_owned()).collect();
    if headers.iter().all(String::is_empty) {
        return Err((1, "has no row of headers".to_owned()));
    }
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let row = record.position().map_or(0, |position| u32::try_from(position.line()).unwrap_or(0));
        let cells = headers.iter().zip(record.iter()).map(|(header, cell)| (header.clone(), cell.to_owned()));
        push(&mut entries, entry(cells, row))?;
    }
    Ok(entries)
}

fn geojson(bytes: &[u8]) -> Result<Vec<Choice>, Wrong> {
    let json: Json = serde_json::from_slice(bytes)
        .map_err(|error| (u32::try_from(error.line()).unwrap_or(0), format!("is no JSON ({error})")))?;
    let features = json.get("features").and_then(Json::as_array);
    let features = features.ok_or_else(|| (0, "is no collection of features".to_owned()))?;
    let mut entries = Vec::new();
    for feature in features {
        let properties = feature.get("properties").and_then(Json::as_object).into_iter().flatten();
        let mut cells: Vec<(String, String)> = properties.map(|(key, value)| (key.clone(), plain(value))).collect();
        if let Some(id) = feature.get("id") {
            cells.push(("id".to_owned(), plain(id)));
        }
        cells.push(("geometry".to_owned(), feature.get("geometry").map(geometry).unwrap_or_default()));
        let mut choice = entry(cells.into_iter(), 0);
        let column = |name: &str| choice.attributes.get(name).cloned().unwrap_or_default();
        let (name, label) = (column("id"), column("title"));
        choice.name = name;
        choice.label.set("", label);
        push(&mut entries, choice)?;
    }
    Ok(entries)
}

/// Writes a geometry as an answer holds it: `latitude longitude altitude accuracy`, points with `;` between them.
fn geometry(geometry: &Json) -> String {
    fn points(coordinates: &Json, out: &mut Vec<String>) {
        let Some(parts) = coordinates.as_array() else { return };
        match parts.as_slice() {
            [Json::Number(longitude), Json::Number(latitude), rest @ ..] => {
                let altitude = rest.first().map_or_else(|| "0".to_owned(), plain);
                out.push(format!("{latitude} {longitude} {altitude} 0"));
            }
            parts => parts.iter().for_each(|part| points(part, out)),
        }
    }
    let mut out = Vec::new();
    geometry.get("coordinates").iter().for_each(|coordinates| points(coordinates, &mut out));
    out.join("; ")
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

/// Reads a root of items; deeper elements give their text to the column that they stand in.
fn xml(bytes: &[u8]) -> Result<Vec<Choice>, Wrong> {
    use quick_xml::events::Event;
    let bytes = std::str::from_utf8(bytes).map_err(|_ignored| (0, "is no UTF-8".to_owned()))?;
    let mut reader = quick_xml::Reader::from_str(bytes);
    let wrong = |error: &dyn std::fmt::Display| (0, format!("is no XML ({error})"));
    let mut entries = Vec::new();
    let (mut depth, mut column, mut text) = (0_usize, String::new(), String::new());
    let mut cells: Vec<(String, String)> = Vec::new();
    loop {
        match reader.read_event().map_err(|error| wrong(&error))? {
            Event::Start(element) => {
                depth += 1;
                if depth == 3 {
                    column = element.local_name().as_ref().to_owned();
                    text.clear();
                }
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(name) => {
                let known = quick_xml::escape::resolve_predefined_entity(&name);
                match (known, name.resolve_char_ref().map_err(|error| wrong(&error))?) {
                    (Some(known), _) => text.push_str(known),
                    (None, Some(letter)) => text.push(letter),
                    (None, None) => return Err((0, format!("names the unknown entity {}", &*name))),
                }
            }
            Event::End(_) => {
                if depth == 3 {
                    cells.push((std::mem::take(&mut column), text.trim().to_owned()));
                } else if depth == 2 {
                    push(&mut entries, entry(std::mem::take(&mut cells).into_iter(), 0))?;
                }
                depth = depth.saturating_sub(1);
            }
            Event::Eof if depth == 0 => return Ok(entries),
            Event::Eof => return Err((0, "ends in the middle".to_owned())),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn push(entries: &mut Vec<Choice>, entry: Choice) -> Result<(), Wrong> {
    if entries.len() == MAX_ENTRIES {
        return Err((0, format!("has more than {MAX_ENTRIES} entries")));
    }
    entries.push(entry);
    Ok(())
}

/// Makes an entry of its cells: every column can be asked for, `name` is the value, `label` what people read.
fn entry(cells: impl Iterator<Item = (String, String)>, row: u32) -> Choice {
    let mut choice = Choice { row, ..Choice::default() };
    for (column, cell) in cells {
        if column == "name" {
            choice.name = cell;
            continue;
        }
        match column.strip_prefix("label::") {
            Some(language) => choice.label.set(language.trim(), cell.as_str()),
            None if column == "label" => choice.label.set("", cell.as_str()),
            None => {}
        }
        if !column.is_empty() && !cell.is_empty() {
            choice.attributes.insert(column, cell);
        }
    }
    choice
}
