//! What the `type` column means: today's names, old aliases, lists.

use crate::model::{ChoiceSource, Kind, Metadata, RowChoice, Select};

/// What one row of the survey sheet is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowType {
    Question(Kind),
    BeginGroup,
    BeginRepeat,
    EndGroup,
    EndRepeat,
    /// A select that names no list.
    NoList,
    /// A select whose file has an ending that is not known.
    BadFile(String),
    Unknown,
}

#[derive(Clone, Copy)]
enum Selects {
    One,
    Multiple,
    Rank,
}

#[derive(Clone, Copy)]
enum From {
    List,
    File,
    External,
}

/// The longer of two that start alike stands first.
const SELECTS: &[(&str, Selects, From)] = &[
    ("add select one prompt using", Selects::One, From::List),
    ("add select multiple prompt using", Selects::Multiple, From::List),
    ("add select multiple", Selects::Multiple, From::List),
    ("add select one", Selects::One, From::List),
    ("select all that apply from", Selects::Multiple, From::List),
    ("select all that apply", Selects::Multiple, From::List),
    ("select multiple from file", Selects::Multiple, From::File),
    ("select multiple external", Selects::Multiple, From::External),
    ("select multiple from", Selects::Multiple, From::List),
    ("select multiple using", Selects::Multiple, From::List),
    ("select multiple", Selects::Multiple, From::List),
    ("select one from file", Selects::One, From::File),
    ("select one external", Selects::One, From::External),
    ("select one from", Selects::One, From::List),
    ("select one using", Selects::One, From::List),
    ("select one", Selects::One, From::List),
    ("select1", Selects::One, From::List),
    ("rank", Selects::Rank, From::List),
];

/// Reads a type as written.
pub(super) fn row_type(text: &str) -> RowType {
    let text = text.trim();
    // The same length as the text, so that positions agree.
    let plain = text.to_ascii_lowercase().replace(['_', '\t', '\n'], " ");
    if let Some(frame) = frame(&plain) {
        return frame;
    }
    for (start, what, from) in SELECTS {
        let Some(after) = plain.strip_prefix(start) else {
            continue;
        };
        // `select_one from_home` names the list `from_home`.
        let rest = text.get(text.len().saturating_sub(after.len())..).unwrap_or_default();
        if rest.is_empty() {
            return RowType::NoList;
        }
        if rest.starts_with(char::is_whitespace) {
            return select(*what, *from, rest.trim());
        }
    }
    simple(&plain).map_or(RowType::Unknown, RowType::Question)
}

fn frame(plain: &str) -> Option<RowType> {
    let words: Vec<&str> = plain.split_whitespace().collect();
    match words.as_slice() {
        ["begin", "group"] | ["begingroup" | "group"] => Some(RowType::BeginGroup),
        ["end", "group"] | ["endgroup"] => Some(RowType::EndGroup),
        ["begin", "repeat" | "lgroup"] | ["begin", "looped", "group"] | ["beginrepeat" | "repeat" | "lgroup"] => {
            Some(RowType::BeginRepeat)
        }
        ["end", "repeat" | "lgroup"] | ["end", "looped", "group"] | ["endrepeat"] => Some(RowType::EndRepeat),
        _ => None,
    }
}

fn select(what: Selects, from: From, rest: &str) -> RowType {
    let (list, or_other) = without_or_other(rest);
    if list.is_empty() {
        return RowType::NoList;
    }
    let source = match from {
        From::External => ChoiceSource::External(list.to_owned()),
        From::File => {
            // A file's name may be followed by nothing else.
            let lower = list.to_ascii_lowercase();
            if ![".csv", ".xml", ".geojson"].iter().any(|ending| lower.ends_with(ending)) {
                return RowType::BadFile(list.to_owned());
            }
            ChoiceSource::File(list.to_owned())
        }
        From::List => match list.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
            Some(name) => {
                ChoiceSource::Rows(RowChoice { name: name.trim().to_owned(), repeats: Vec::new(), shown: None })
            }
            None => ChoiceSource::List(list.to_owned()),
        },
    };
    let select = Select { source, or_other };
    RowType::Question(match what {
        Selects::One => Kind::SelectOne(select),
        Selects::Multiple => Kind::SelectMultiple(select),
        Selects::Rank => Kind::Rank(select),
    })
}

fn without_or_other(rest: &str) -> (&str, bool) {
    let plain = rest.to_ascii_lowercase().replace('_', " ");
    for ending in ["or specify other", "or other"] {
        if let Some(before) = plain.strip_suffix(ending)
            && (before.is_empty() || before.ends_with(char::is_whitespace))
        {
            return (rest.get(..before.len()).unwrap_or_default().trim(), true);
        }
    }
    (rest, false)
}

/// Reads a type that names no list; takes `_` for a space and ignores what old forms put around.
fn simple(plain: &str) -> Option<Kind> {
    let mut words: Vec<&str> = plain.split_whitespace().collect();
    if let [first, .., last] = words.as_slice()
        && *first == "add"
        && matches!(*last, "prompt" | "question")
    {
        words.pop();
        words.remove(0);
    } else if matches!(words.as_slice(), ["q" | "get", _, ..]) {
        words.remove(0);
    }
    let name = words.join(" ");
    let name = name.strip_prefix("uri:").unwrap_or(&name);
    Some(match name {
        "integer" | "int" | "number" | "percentage" => Kind::Integer,
        "decimal" => Kind::Decimal,
        "range" => Kind::Range,
        "text" | "string" => Kind::Text,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "datetime" | "date time" => Kind::DateTime,
        "geopoint" | "location" | "gps" => Kind::GeoPoint,
        "geotrace" => Kind::GeoTrace,
        "geoshape" => Kind::GeoShape,
        "image" | "photo" | "picture" | "signature" => Kind::Image,
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "file" => Kind::File,
        "barcode" => Kind::Barcode,
        "acknowledge" | "trigger" => Kind::Acknowledge,
        "note" => Kind::Note,
        "calculate" | "calculation" => Kind::Calculate,
        "hidden" => Kind::Hidden,
        "xml-external" | "xml external" => Kind::XmlExternal,
        "csv-external" | "csv external" => Kind::CsvExternal,
        "start time" => Kind::Metadata(Metadata::Start),
        "end time" => Kind::Metadata(Metadata::End),
        "device id" | "imei" => Kind::Metadata(Metadata::DeviceId),
        "phone number" => Kind::Metadata(Metadata::PhoneNumber),
        "sim id" | "sim serial" => Kind::Metadata(Metadata::SimSerial),
        "subscriber id" => Kind::Metadata(Metadata::SubscriberId),
        other => Kind::Metadata(Metadata::from_name(&other.replace(' ', "-"))?),
    })
}

/// Finds the known type that a misspelt one was probably meant to be.
pub(super) fn nearest(text: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "integer",
        "decimal",
        "range",
        "text",
        "date",
        "time",
        "dateTime",
        "geopoint",
        "geotrace",
        "geoshape",
        "select_one",
        "select_multiple",
        "rank",
        "image",
        "audio",
        "video",
        "file",
        "barcode",
        "acknowledge",
        "note",
        "calculate",
        "hidden",
        "begin_group",
        "end_group",
        "begin_repeat",
        "end_repeat",
        "xml-external",
        "csv-external",
    ];
    let first = text.split_whitespace().next().unwrap_or(text).to_lowercase();
    NAMES
        .iter()
        .chain(Metadata::NAMES)
        .map(|name| (distance(&first, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

/// Counts the letters to change, add or drop between two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(40).enumerate() {
        let mut next = vec![i + 1];
        for ((y, pair), left) in b.iter().zip(row.windows(2)).zip(1..) {
            let (diagonal, above) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
            let before = next.get(left - 1).copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
