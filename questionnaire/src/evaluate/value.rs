//! What an expression comes to, and the conversions between text, number, truth and date.
//!
//! XPath 1.0 section 4 with the deviations of ODK XForms (data type conversion): a date is a number of days, an empty
//! answer an empty text.

use std::borrow::Cow;
use std::sync::Arc;

use crate::moment::{Moment, Zone};
use crate::number;

/// The value of an expression or of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) enum Value {
    /// No answer; an empty text.
    #[default]
    Empty,
    Text(Arc<str>),
    Number(f64),
    Boolean(bool),
    Moment(Moment),
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    /// Tells whether there is nothing: an empty text or NaN.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Number(number) => number.is_nan(),
            Self::Boolean(_) | Self::Moment(_) => false,
        }
    }

    pub(crate) fn to_boolean(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => number::is_true(*number),
            Self::Boolean(truth) => *truth,
            Self::Moment(_) => true,
        }
    }

    /// Returns the number; a date counts days since 1970-01-01, an instant the day that it is in.
    pub(crate) fn to_number(&self, zone: Zone) -> f64 {
        match self {
            Self::Empty => f64::NAN,
            Self::Text(text) => number::from_text(text),
            Self::Number(number) => *number,
            Self::Boolean(truth) => f64::from(u8::from(*truth)),
            Self::Moment(moment) => number::from_i64(moment.local_day(zone)),
        }
    }

    pub(crate) fn to_text(&self, zone: Zone) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number::to_text(*number)),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Moment(moment) => {
                let mut out = String::new();
                moment.write(zone, &mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Tells whether two values are equal (XPath 1.0, section 3.4, for single values).
    pub(crate) fn equals(&self, other: &Self, zone: Zone) -> bool {
        match (self, other) {
            (Self::Boolean(_), _) | (_, Self::Boolean(_)) => self.to_boolean() == other.to_boolean(),
            (Self::Number(_), _) | (_, Self::Number(_)) => number::same(self.to_number(zone), other.to_number(zone)),
            (Self::Text(a), Self::Text(b)) => a == b,
            // A day and an instant, or a date and its text.
            (Self::Empty | Self::Text(_) | Self::Moment(_), _) => self.to_text(zone) == other.to_text(zone),
        }
    }

    /// Tells whether nothing at all differs; NaN is the same as NaN.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits(),
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Moment(a), Self::Moment(b)) => a == b,
            (Self::Empty | Self::Text(_) | Self::Number(_) | Self::Boolean(_) | Self::Moment(_), _) => false,
        }
    }
}
