//! Numbers as expressions know them: conversion from and to text, rounding, the few conversions that lose precision.
//!
//! The only place of the crate that converts between floating point and integers.

use std::fmt::Write;

/// The distance below which two numbers are the same, and a number is whole.
const TINY: f64 = 1e-12;

/// Reads a number as XPath does, with the comma that some keyboards give (ODK XForms, data type conversion).
///
/// No exponent, no plus sign, no infinity; anything else is NaN.
pub(crate) fn from_text(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b',')) {
        return f64::NAN;
    }
    if text.contains(',') {
        return text.replace(',', ".").parse().unwrap_or(f64::NAN);
    }
    text.parse().unwrap_or(f64::NAN)
}

/// Appends a number as ODK prints it: no exponent, whole numbers without a point.
pub(crate) fn write_text(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number < 0.0 { "-Infinity" } else { "Infinity" });
    } else if number.abs() < TINY {
        out.push('0');
    } else {
        let whole = number.trunc();
        let shown = if (number - whole).abs() < TINY { whole } else { number };
        // Rust prints the shortest digits that read back the same, never with an exponent.
        let _ = write!(out, "{shown}");
    }
}

/// Returns a number as ODK prints it.
pub(crate) fn to_text(number: f64) -> String {
    let mut out = String::new();
    write_text(number, &mut out);
    out
}

/// Tells whether two numbers are the same but for rounding.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < TINY
}

/// Tells whether a number counts as true.
pub(crate) fn is_true(number: f64) -> bool {
    !number.is_nan() && number.abs() > TINY
}

/// Returns a count as a number.
pub(crate) fn from_count(count: usize) -> f64 {
    from_i64(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Returns a whole number as floating point; exact up to 2^53.
#[expect(clippy::as_conversions, reason = "no other conversion exists; rounding to the nearest is what is meant")]
pub(crate) fn from_i64(number: i64) -> f64 {
    number as f64
}

/// Cuts the fraction off; NaN gives 0, what is too large the largest.
#[expect(clippy::as_conversions, reason = "no other conversion exists; it saturates, which is what is meant")]
pub(crate) fn trunc(number: f64) -> i64 {
    number as i64
}

/// Cuts the fraction off for use as a position; `None` for NaN and what is negative.
pub(crate) fn index(number: f64) -> Option<usize> {
    if number.is_nan() {
        return None;
    }
    usize::try_from(trunc(number)).ok()
}

/// Returns 53 random bits as a number from 0 to below 1.
pub(crate) fn fraction(bits: u64) -> f64 {
    from_i64(i64::try_from(bits >> 11).unwrap_or(0)) / 9_007_199_254_740_992.0
}

/// Rounds to decimal places as spreadsheets do (ODK XForms, `round`): halves go up, below zero towards zero.
///
/// Works on the decimal digits, so that 1.005 with two places is 1.01 though its binary form lies below.
pub(crate) fn round(number: f64, places: i64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    let Ok(places) = i32::try_from(places) else {
        return f64::NAN;
    };
    if !(-30..=30).contains(&places) {
        return f64::NAN;
    }
    let text = number.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let keep = i64::try_from(whole.len()).unwrap_or(0).saturating_add(i64::from(places));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let Ok(keep) = usize::try_from(keep) else {
        return 0.0;
    };
    if keep >= digits.len() {
        return number;
    }
    let (kept, cut) = digits.split_at(keep);
    let up = match cut.first() {
        Some(b'5') if number < 0.0 => cut.iter().skip(1).any(|digit| *digit != b'0'),
        Some(digit) => *digit >= b'5',
        None => false,
    };
    let mut kept = kept.to_vec();
    if up {
        let mut carry = true;
        for digit in kept.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                carry = false;
                break;
            }
        }
        if carry {
            kept.insert(0, b'1');
        }
    }
    let mut shown = if kept.is_empty() { "0".to_owned() } else { String::from_utf8(kept).unwrap_or_default() };
    let _ = write!(shown, "e{}", -places);
    let magnitude: f64 = shown.parse().unwrap_or(f64::NAN);
    if number < 0.0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_without_exponent_or_empty_fraction() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-7.0, "-7"),
            (1.5, "1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (1e-13, "0"),
            (3.000_000_000_000_01, "3"),
            (3.000_000_000_01, "3.00000000001"),
            (5_371_010_101_990_001.0, "5371010101990001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(to_text(number), text);
        }
    }

    #[test]
    fn text_becomes_a_number_or_nan() {
        for (text, number) in [("7", 7.0), (" -1.5 ", -1.5), (".5", 0.5), ("5.", 5.0), ("1,5", 1.5), ("007", 7.0)] {
            assert!(same(from_text(text), number), "{text}");
        }
        for text in ["", " ", "abc", "1e3", "+1", "--1", "1.2.3", "Infinity", "-", "٣"] {
            assert!(from_text(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn rounding_works_on_decimal_digits() {
        for (number, places, expected) in [
            (1.005, 2, 1.01),
            (2.5, 0, 3.0),
            (-2.5, 0, -2.0),
            (-2.6, 0, -3.0),
            (-2.51, 0, -3.0),
            (0.5, 0, 1.0),
            (0.49, 0, 0.0),
            (9.99, 1, 10.0),
            (1234.5, -2, 1200.0),
            (1250.0, -2, 1300.0),
            (50.0, -2, 100.0),
            (49.0, -2, 0.0),
            (5.0, -3, 0.0),
            (1.0, 3, 1.0),
            (33.33, -1, 30.0),
        ] {
            assert!(same(round(number, places), expected), "round({number}, {places})");
        }
        assert!(round(1.0, 31).is_nan());
        assert!(round(f64::NAN, 0).is_nan());
        assert!(round(f64::INFINITY, 2).is_infinite());
    }
}
