//! Functions over text. Positions count characters, not bytes.

use regex::{Regex, RegexBuilder};

use crate::evaluate::machine::Machine;
use crate::evaluate::value::Value;
use crate::moment::Zone;
use crate::number;

/// Largest compiled pattern, in bytes.
const PATTERN_MAX: usize = 1 << 20;

/// Compiles a pattern that must match a whole text (ODK XForms, `regex`).
///
/// `\d`, `\w` and `\s` mean ASCII, as in Java: a phone number is written with 0 to 9.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let mut plain = String::with_capacity(text.len() + 16);
    plain.push_str(r"\A(?:");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('d') => plain.push_str("[0-9]"),
            Some('D') => plain.push_str("[^0-9]"),
            Some('w') => plain.push_str("[0-9A-Za-z_]"),
            Some('W') => plain.push_str("[^0-9A-Za-z_]"),
            Some('s') => plain.push_str(r"[ \t\n\x0B\x0C\r]"),
            Some('S') => plain.push_str(r"[^ \t\n\x0B\x0C\r]"),
            // Java takes a backslash before any sign for that sign.
            Some(sign) if sign.is_ascii_punctuation() => {
                plain.push_str(&regex::escape(sign.encode_utf8(&mut [0; 4])));
            }
            Some(' ') => plain.push(' '),
            Some(other) => {
                plain.push('\\');
                plain.push(other);
            }
            None => plain.push('\\'),
        }
    }
    plain.push_str(r")\z");
    RegexBuilder::new(&plain).size_limit(PATTERN_MAX).build().map_err(|error| {
        if let regex::Error::CompiledTooBig(_) = error {
            return "it is too large".to_owned();
        }
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        reason.trim_start_matches("error: ").to_owned()
    })
}

/// Tells whether a choice is among those of an answer (ODK XForms, `selected`).
pub(super) fn selected(answer: &Value, choice: &Value, zone: Zone) -> Value {
    let (answer, choice) = (answer.to_text(zone), choice.to_text(zone));
    let choice = choice.trim();
    Value::Boolean(if choice.is_empty() {
        answer.trim().is_empty()
    } else {
        answer.split_whitespace().any(|one| one == choice)
    })
}

pub(super) fn join(separator: &str, values: &[Value], zone: Zone) -> String {
    let mut joined = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&value.to_text(zone));
    }
    joined
}

/// Returns the characters from `start` to before `end`, counted from 0, below zero from the end (ODK XForms, `substr`).
pub(super) fn substr(text: &str, start: f64, end: Option<f64>) -> String {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let from_end = |at: f64| {
        let at = number::trunc(at);
        let at = if at < 0 { at.saturating_add(length) } else { at };
        usize::try_from(at.clamp(0, length)).unwrap_or(0)
    };
    let start = from_end(start);
    let end = end.map_or(usize::MAX, from_end);
    text.chars().skip(start).take(end.saturating_sub(start)).collect()
}

/// Returns the characters at positions counted from 1, rounded (XPath 1.0, `substring`).
pub(super) fn substring(text: &str, start: f64, length: Option<f64>) -> String {
    let first = number::round(start, 0);
    let after = length.map_or(f64::INFINITY, |length| first + number::round(length, 0));
    text.chars()
        .enumerate()
        .filter(|(at, _)| {
            let position = number::from_count(at + 1);
            position >= first && position < after
        })
        .map(|(_, c)| c)
        .collect()
}

pub(super) fn translate(text: &str, from: &str, to: &str) -> String {
    text.chars()
        .filter_map(|c| match from.chars().position(|known| known == c) {
            None => Some(c),
            Some(at) => to.chars().nth(at),
        })
        .collect()
}

/// Prints a number with commas between thousands.
pub(super) fn thousands(number: f64) -> String {
    if number.is_nan() {
        return String::new();
    }
    let text = number::to_text(number);
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = match rest.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (rest, None),
    };
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Makes a random UUID of version 4.
pub(super) fn uuid(machine: &Machine<'_>) -> String {
    let high = machine.random_bits() & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = machine.random_bits() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let hex = format!("{high:016x}{low:016x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Makes a random text of letters and digits.
pub(super) fn random_letters(machine: &Machine<'_>, length: usize) -> String {
    const SIGNS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..length)
        .filter_map(|_| {
            let at = usize::try_from(machine.random_bits() % 36).ok()?;
            SIGNS.get(at).copied().map(char::from)
        })
        .collect()
}
