//! Answers as text and as values: what a type makes of a text, and whether the text is one of that type.

use std::sync::Arc;

use crate::model::{Kind, Metadata};
use crate::moment::{self, Moment, Zone};
use crate::number;

use super::value::Value;

/// Makes a value of an answer's text; a text that does not fit the type stays text, and is shared.
pub(crate) fn value_of(kind: &Kind, text: &Arc<str>, zone: Zone) -> Value {
    if text.is_empty() {
        return Value::Empty;
    }
    let as_text = || Value::Text(text.clone());
    match kind {
        Kind::Integer | Kind::Decimal | Kind::Range => {
            let number = number::from_text(text);
            if number.is_nan() { as_text() } else { Value::Number(number) }
        }
        Kind::Date | Kind::Metadata(Metadata::Today) => {
            moment::parse_date(text).map_or_else(as_text, |day| Value::Moment(Moment::of_day(day, zone)))
        }
        Kind::DateTime | Kind::Metadata(Metadata::Start | Metadata::End) => {
            Moment::parse(text, zone).map_or_else(as_text, Value::Moment)
        }
        Kind::Text
        | Kind::Time
        | Kind::GeoPoint
        | Kind::GeoTrace
        | Kind::GeoShape
        | Kind::SelectOne(_)
        | Kind::SelectMultiple(_)
        | Kind::Rank(_)
        | Kind::Image
        | Kind::Audio
        | Kind::Video
        | Kind::File
        | Kind::Barcode
        | Kind::Acknowledge
        | Kind::Note
        | Kind::Calculate
        | Kind::Hidden
        | Kind::Metadata(_)
        | Kind::XmlExternal
        | Kind::CsvExternal => as_text(),
    }
}

/// Makes the value that a calculation leaves in a question: nothing for an empty text and NaN.
pub(crate) fn calculated(kind: &Kind, value: Value, zone: Zone) -> Value {
    match value {
        Value::Number(number) if number.is_nan() => Value::Empty,
        Value::Number(number) if *kind == Kind::Integer && number.is_finite() => Value::Number(number.trunc()),
        Value::Text(text) => value_of(kind, &text, zone),
        Value::Empty | Value::Number(_) | Value::Boolean(_) | Value::Moment(_) => value,
    }
}

/// Tells whether a text is an answer of the type (choices have their own check).
pub(crate) fn fits(kind: &Kind, text: &str, zone: Zone) -> bool {
    match kind {
        Kind::Integer => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit())
        }
        Kind::Decimal | Kind::Range => !text.contains(',') && !number::from_text(text).is_nan(),
        Kind::Date | Kind::Metadata(Metadata::Today) => text.len() == 10 && moment::parse_date(text).is_some(),
        Kind::Time => moment::parse_time(text).is_some(),
        Kind::DateTime | Kind::Metadata(Metadata::Start | Metadata::End) => {
            Moment::parse(text, zone).is_some_and(|moment| !moment.day)
        }
        Kind::GeoPoint => is_point(text),
        Kind::GeoTrace | Kind::GeoShape => {
            let points = text.trim_end_matches([';', ' ']).split(';');
            let least = if *kind == Kind::GeoTrace { 2 } else { 4 };
            let mut count = 0;
            for point in points {
                if !is_point(point.trim()) {
                    return false;
                }
                count += 1;
            }
            count >= least
        }
        Kind::Text
        | Kind::SelectOne(_)
        | Kind::SelectMultiple(_)
        | Kind::Rank(_)
        | Kind::Image
        | Kind::Audio
        | Kind::Video
        | Kind::File
        | Kind::Barcode
        | Kind::Acknowledge
        | Kind::Note
        | Kind::Calculate
        | Kind::Hidden
        | Kind::Metadata(_)
        | Kind::XmlExternal
        | Kind::CsvExternal => true,
    }
}

/// Tells whether a text is `latitude longitude [altitude [accuracy]]`.
fn is_point(text: &str) -> bool {
    let numbers: Vec<f64> = text.split_whitespace().map(number::from_text).collect();
    if !(2..=4).contains(&numbers.len()) || numbers.iter().any(|number| number.is_nan()) {
        return false;
    }
    let within = |at: usize, limit: f64| numbers.get(at).is_some_and(|n| n.abs() <= limit);
    within(0, 90.0) && within(1, 180.0)
}
