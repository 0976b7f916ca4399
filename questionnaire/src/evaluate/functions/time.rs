//! Functions over dates and times (ODK XForms, date and time functions).

use crate::evaluate::value::Value;
use crate::moment::{self, Moment, Zone};
use crate::number;

/// Returns the instant that a value means: a date with or without time, a number of days, a time of day.
fn moment(value: &Value, zone: Zone) -> Option<Moment> {
    match value {
        Value::Moment(moment) => Some(*moment),
        Value::Text(text) => Moment::parse(text, zone).or_else(|| {
            let (in_day, own) = moment::parse_time(text)?;
            let first = Moment::of_day(0, own.unwrap_or(zone));
            Some(Moment { ms: first.ms + in_day, day: false })
        }),
        Value::Number(days) if days.abs() <= 3_000_000.0 => Some(Moment::of_fraction(*days)),
        Value::Number(_) | Value::Empty | Value::Boolean(_) => None,
    }
}

pub(super) fn date(value: &Value, zone: Zone) -> Value {
    match value {
        Value::Number(days) if days.abs() <= 3_000_000.0 => Value::Moment(Moment::of_day(number::trunc(*days), zone)),
        Value::Number(_) => Value::Number(f64::NAN),
        Value::Moment(moment) => Value::Moment(moment.midnight(zone)),
        Value::Text(text) => {
            Moment::parse(text, zone).map_or(Value::Empty, |moment| Value::Moment(Moment { day: true, ..moment }))
        }
        Value::Empty | Value::Boolean(_) => Value::Empty,
    }
}

pub(super) fn date_time(value: &Value, zone: Zone) -> Value {
    moment(value, zone).map_or(Value::Empty, |moment| Value::Moment(Moment { day: false, ..moment }))
}

pub(super) fn decimal_date_time(value: &Value, zone: Zone) -> Value {
    if let Value::Number(days) = value {
        return Value::Number(*days);
    }
    moment(value, zone).map_or(Value::Empty, |moment| Value::Number(moment.fraction()))
}

pub(super) fn decimal_time(value: &Value, zone: Zone) -> Value {
    if let Value::Number(days) = value {
        return Value::Number(days - days.floor());
    }
    moment(value, zone).map_or(Value::Empty, |moment| Value::Number(moment.time_fraction(zone)))
}

pub(super) fn format(value: &Value, format: &str, zone: Zone) -> Value {
    moment(value, zone).map_or(Value::Empty, |moment| Value::text(moment.format(format, zone)))
}
