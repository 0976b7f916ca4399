//! Answers as the record holds them, seen through the questionnaire: which register a path names, which
//! values it takes, how its siblings merge, and how the text of a screen or spreadsheet becomes a value.

use crate::{Kind, Merge, Metadata, Question, Questionnaire, Register};
use std::collections::BTreeMap;
use sync_protocol::{
    Attachment, Missing, Path, Place, Value,
    problem::{Code, Problem},
    record,
};

/// Deepest nesting of repeats, as the protocol bounds it.
const DEPTH: usize = 8;

/// Calls `look` with the repeats of a place, without allocating.
fn with_repeats<T>(place: &Place, look: impl FnOnce(&[&str]) -> T) -> T {
    let mut repeats = [""; DEPTH];
    let mut count = 0;
    for ((repeat, _), slot) in place.steps().zip(&mut repeats) {
        *slot = repeat;
        count += 1;
    }
    look(repeats.get(..count).unwrap_or(&[]))
}

/// How siblings at a path come together, where the questionnaire may not be at hand: then a person decides.
#[must_use]
pub fn merge_of(questionnaire: Option<&Questionnaire>, path: &Path) -> record::Merge {
    questionnaire.map_or(record::Merge::Register, |questionnaire| questionnaire.merge_of(path))
}

impl Questionnaire {
    /// The register that a path names.
    #[must_use]
    pub fn register_at(&self, path: &Path) -> Option<Register<'_>> {
        with_repeats(path.place(), |repeats| self.register(repeats, path.name()))
    }

    /// The question that a path names, also where it is a member of a merge group.
    #[must_use]
    pub fn question_at(&self, path: &Path) -> Option<&Question> {
        with_repeats(path.place(), |repeats| self.question(repeats, path.name()))
    }

    /// Whether a place is a row of a repeat of this questionnaire.
    #[must_use]
    pub fn has_place(&self, place: &Place) -> bool {
        place.is_record() || with_repeats(place, |repeats| self.repeat(repeats).is_some())
    }

    /// How siblings at a path come together: united only where the questionnaire asks for it (DESIGN §4).
    #[must_use]
    pub fn merge_of(&self, path: &Path) -> record::Merge {
        match self.register_at(path) {
            Some(Register::One(Question { merge: Merge::Union, .. })) => record::Merge::Union,
            Some(Register::One(_) | Register::Group { .. }) | None => record::Merge::Register,
        }
    }

    /// Checks that a path names a register and that the value is of its type.
    ///
    /// Relevance, constraints and choice lists are not looked at: breaking them is flagged, never refused.
    ///
    /// # Errors
    /// [`Code::UnknownQuestion`] or [`Code::WrongValueType`]; the detail names the path, never the value.
    pub fn check_value(&self, path: &Path, value: &Value) -> Result<(), Problem> {
        if path.is_reserved() {
            return Ok(());
        }
        let wrong = |expected: &str| Err(Problem::new(Code::WrongValueType, format!("`{path}` takes {expected}")));
        match (self.register_at(path), value) {
            (None, _) => {
                let detail = format!("{}@{} has no question `{path}`", self.id, self.version);
                Err(Problem::new(Code::UnknownQuestion, detail))
            }
            (Some(_), Value::Missing(_)) => Ok(()),
            (Some(Register::One(question)), value) => match mismatch(&question.kind, value) {
                Some(expected) => wrong(expected),
                None => Ok(()),
            },
            (Some(Register::Group { members, .. }), Value::Fields(fields)) => {
                for (key, value) in fields {
                    // A member that an earlier version had is kept, as any field that is not known.
                    let Some(member) = members.get(key) else { continue };
                    if matches!(value, Value::Missing(_)) {
                        continue;
                    }
                    if let Some(expected) = mismatch(&member.kind, value) {
                        return Err(Problem::new(Code::WrongValueType, format!("`{path}.{key}` takes {expected}")));
                    }
                }
                Ok(())
            }
            (Some(Register::Group { .. }), Value::Text(_) | Value::Integer(_) | Value::Choices(_)) => {
                wrong("an object of its members")
            }
        }
    }

    /// Turns XLSForm text (what a screen, a script or a spreadsheet holds) into the value for a path.
    ///
    /// `@refused`, `@dont-know`, `@not-asked` and the empty text (cleared) are the missing values; the members
    /// of a merge group are written `member=text`, separated by `;`.
    ///
    /// # Errors
    /// [`Code::UnknownQuestion`] or [`Code::WrongValueType`].
    pub fn parse_value(&self, path: &Path, text: &str) -> Result<Value, Problem> {
        let wrong = |expected: &str| Problem::new(Code::WrongValueType, format!("`{path}` takes {expected}"));
        match self.register_at(path) {
            None => {
                let detail = format!("{}@{} has no question `{path}`", self.id, self.version);
                Err(Problem::new(Code::UnknownQuestion, detail))
            }
            Some(Register::One(question)) => parse_answer(&question.kind, text).map_err(wrong),
            Some(Register::Group { members, .. }) => {
                if let Some(missing) = missing(text) {
                    return Ok(Value::Missing(missing));
                }
                let mut fields = BTreeMap::new();
                for part in text.split(';') {
                    let (key, text) = part.split_once('=').ok_or_else(|| wrong("`member=value;member=value`"))?;
                    let member = members.get(key.trim()).ok_or_else(|| wrong("only members of its merge group"))?;
                    fields.insert(member.key.clone(), parse_answer(&member.kind, text.trim()).map_err(wrong)?);
                }
                Ok(Value::Fields(fields))
            }
        }
    }
}

/// Turns XLSForm text into a value of a kind of question; on failure says what the kind takes.
///
/// `@refused`, `@dont-know`, `@not-asked` and the empty text (cleared) are the missing values.
///
/// # Errors
/// What is expected instead, to be read after "takes".
///
/// ```
/// use questionnaire::{Kind, parse_answer};
/// assert_eq!(parse_answer(&Kind::Decimal, "2.50").unwrap().to_string(), "2.5");
/// assert_eq!(parse_answer(&Kind::Integer, "two"), Err("an integer"));
/// ```
pub fn parse_answer(kind: &Kind, text: &str) -> Result<Value, &'static str> {
    missing(text).map_or_else(|| parse(kind, text), |missing| Ok(Value::Missing(missing)))
}

fn missing(text: &str) -> Option<Missing> {
    if text.is_empty() { Some(Missing::Cleared) } else { text.strip_prefix('@').and_then(Missing::from_word) }
}

/// What a kind of question takes, if the value is not that.
fn mismatch(kind: &Kind, value: &Value) -> Option<&'static str> {
    match kind {
        Kind::Integer => (!matches!(value, Value::Integer(_))).then_some("an integer"),
        Kind::Decimal | Kind::Range => match value {
            Value::Integer(_) => None,
            Value::Text(text) if decimal(text).as_deref() == Some(text) => None,
            Value::Text(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => {
                Some("a decimal in its shortest form, as text")
            }
        },
        Kind::Date => match value {
            Value::Text(text) if is_date(text) => None,
            Value::Text(_) | Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => {
                Some("a date such as 2026-11-24")
            }
        },
        Kind::GeoPoint | Kind::Metadata(Metadata::StartGeopoint | Metadata::BackgroundGeopoint) => match value {
            Value::Fields(fields) if is_fix(fields) => None,
            Value::Text(_) | Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => {
                Some("a GPS fix: lat and lon in 1e-7 degree, alt and acc in millimetres")
            }
        },
        Kind::SelectMultiple(_) | Kind::Rank(_) => (!matches!(value, Value::Choices(_))).then_some("a list of choices"),
        Kind::Note | Kind::XmlExternal | Kind::CsvExternal => Some("no answer"),
        Kind::Image | Kind::Audio | Kind::Video | Kind::File => {
            Attachment::from_value(value).is_none().then_some("a file that was taken in")
        }
        Kind::Calculate | Kind::Hidden | Kind::Metadata(_) => {
            (!matches!(value, Value::Text(_) | Value::Integer(_))).then_some("a text or an integer")
        }
        Kind::Text
        | Kind::Time
        | Kind::DateTime
        | Kind::GeoTrace
        | Kind::GeoShape
        | Kind::SelectOne(_)
        | Kind::Barcode
        | Kind::Acknowledge => (!matches!(value, Value::Text(_))).then_some("a text"),
    }
}

fn parse(kind: &Kind, text: &str) -> Result<Value, &'static str> {
    let value = match kind {
        Kind::Integer => Value::Integer(text.trim().parse().map_err(|_ignored| "an integer")?),
        Kind::Decimal | Kind::Range => Value::text(decimal(text.trim()).ok_or("a decimal such as 2.5")?),
        Kind::GeoPoint | Kind::Metadata(Metadata::StartGeopoint | Metadata::BackgroundGeopoint) => fix(text)?,
        Kind::Image | Kind::Audio | Kind::Video | Kind::File => {
            text.parse::<Attachment>().map_err(|_ignored| "a file that was taken in")?.to_value()
        }
        Kind::SelectMultiple(_) | Kind::Rank(_) => Value::Choices(text.split_whitespace().map(str::to_owned).collect()),
        Kind::Text
        | Kind::Date
        | Kind::Time
        | Kind::DateTime
        | Kind::GeoTrace
        | Kind::GeoShape
        | Kind::SelectOne(_)
        | Kind::Barcode
        | Kind::Acknowledge
        | Kind::Note
        | Kind::Calculate
        | Kind::Hidden
        | Kind::Metadata(_)
        | Kind::XmlExternal
        | Kind::CsvExternal => Value::text(text),
    };
    match mismatch(kind, &value) {
        Some(expected) => Err(expected),
        None => Ok(value),
    }
}

/// Brings a decimal to its one canonical form: no sign before zero, no zeros that say nothing.
fn decimal(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.trim_end_matches('0');
    let sign = if whole == "0" && fraction.is_empty() { "" } else { sign };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut next = |length: usize, most: u32| {
        parts.next().is_some_and(|part| {
            part.len() == length
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|number: u32| (1..=most).contains(&number))
        })
    };
    next(4, 9999) && next(2, 12) && next(2, 31) && parts.next().is_none()
}

fn is_fix(fields: &BTreeMap<String, Value>) -> bool {
    let within =
        |name: &str, most: i64| matches!(fields.get(name), Some(Value::Integer(number)) if number.abs() <= most);
    within("lat", 900_000_000)
        && within("lon", 1_800_000_000)
        && fields.iter().all(|(name, value)| {
            matches!(name.as_str(), "lat" | "lon" | "alt" | "acc") && matches!(value, Value::Integer(_))
        })
}

/// Reads `lat lon alt acc` in degrees and metres.
fn fix(text: &str) -> Result<Value, &'static str> {
    const EXPECTED: &str = "a GPS fix such as `-10.17 123.6 35 4.5`";
    let mut fields = BTreeMap::new();
    let scales = [("lat", 7), ("lon", 7), ("alt", 3), ("acc", 3)];
    let parts: Vec<&str> = text.split_whitespace().collect();
    if !(2..=4).contains(&parts.len()) {
        return Err(EXPECTED);
    }
    for ((name, scale), part) in scales.into_iter().zip(parts) {
        fields.insert(name.to_owned(), Value::Integer(scaled(part, scale).ok_or(EXPECTED)?));
    }
    Ok(Value::Fields(fields))
}

/// Reads a decimal as an integer of `10^-scale`, cutting further digits.
fn scaled(text: &str, scale: usize) -> Option<i64> {
    let text = decimal(text)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(scale).collect();
    format!("{whole}{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{decimal, fix, is_date};

    #[test]
    fn a_decimal_has_one_form() {
        let forms = [("1.50", "1.5"), ("007", "7"), ("-0.0", "0"), (".5", "0.5"), ("-2.", "-2"), ("0710301", "710301")];
        for (text, canonical) in forms {
            assert_eq!(decimal(text).as_deref(), Some(canonical), "{text}");
        }
        for text in ["", "-", ".", "1e3", "1,5", "--1", "NaN"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_fix_is_read_in_degrees_and_kept_in_integers() {
        let fix = serde_json::to_string(&fix("-10.1772 123.6070001 35 4.5").unwrap()).unwrap();
        assert_eq!(fix, r#"{"acc":4500,"alt":35000,"lat":-101772000,"lon":1236070001}"#);
    }

    #[test]
    fn a_date_has_four_two_and_two_digits() {
        assert!(is_date("2026-02-28"));
        for text in ["2026-2-28", "2026-13-01", "2026-00-10", "26-01-01", "2026-01-01x"] {
            assert!(!is_date(text), "{text}");
        }
    }
}
