//! Times and spans in words: Kupang's time (WITA), whatever the server's time zone is.

use super::words::{Language, counted, fill};
use jiff::{Timestamp, civil::DateTime, tz::Offset};
use maud::{Markup, html};

/// Central Indonesia.
const WITA: Offset = Offset::constant(8);
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A device's clock that is off by less needs no word.
pub(super) const CLOCK_TOLERANCE: u64 = 10 * MINUTE;

fn civil(ms: i64) -> Option<DateTime> {
    Timestamp::from_millisecond(ms).ok().map(|moment| WITA.to_datetime(moment))
}

/// A month's short name.
fn month(number: i8, language: Language) -> &'static str {
    let at = usize::try_from(number).unwrap_or(1).saturating_sub(1);
    language.words().months.split(' ').nth(at).unwrap_or("")
}

/// `24 Nov 2026 14.05`.
pub(super) fn moment(ms: i64, language: Language) -> String {
    let Some(at) = civil(ms) else { return ms.to_string() };
    let (words, month) = (language.words(), month(at.month(), language));
    format!("{} {month} {} {:02}{}{:02}", at.day(), at.year(), at.hour(), words.time_separator, at.minute())
}

/// A moment as an element that programs can read, too.
pub(super) fn time(ms: i64, language: Language) -> Markup {
    let exact = Timestamp::from_millisecond(ms).map(|moment| moment.to_string()).unwrap_or_default();
    html! { time datetime=(exact) { (moment(ms, language)) } }
}

/// A moment as a distance from now, with the exact one on request.
pub(super) fn ago(ms: i64, now_ms: i64, language: Language) -> Markup {
    let words = language.words();
    let passed = now_ms.saturating_sub(ms);
    let text = match u64::try_from(passed) {
        Ok(passed) if passed < MINUTE => words.just_now.to_owned(),
        Ok(passed) if passed < 7 * DAY => fill(words.ago, span(passed, language)),
        Ok(_) | Err(_) => moment(ms, language),
    };
    let exact = Timestamp::from_millisecond(ms).map(|moment| moment.to_string()).unwrap_or_default();
    html! { time datetime=(exact) title=(moment(ms, language)) { (text) } }
}

/// A span in its largest fitting unit: `6 tahun`, `3 hari`, `40 menit`.
pub(super) fn span(ms: u64, language: Language) -> String {
    let words = language.words();
    let year = DAY.saturating_mul(365);
    let (unit, word) = match ms {
        _ if ms >= 2 * year || ms.abs_diff(year) < 10 * DAY => (year, words.unit_year),
        _ if ms >= 2 * DAY => (DAY, words.unit_day),
        _ if ms >= 2 * HOUR => (HOUR, words.unit_hour),
        _ => (MINUTE, words.unit_minute),
    };
    counted(ms.saturating_add(unit / 2) / unit, word)
}

/// How far a clock is off, in words; none where it is right.
pub(super) fn clock(skew_ms: i64, language: Language) -> Option<String> {
    let (off, words) = (skew_ms.unsigned_abs(), language.words());
    if off < CLOCK_TOLERANCE {
        return None;
    }
    let direction = if skew_ms > 0 { words.clock_ahead } else { words.clock_behind };
    Some(fill(direction, span(off, language)))
}

/// An ISO date of an answer, as people write it; other texts are no date.
pub(super) fn date(text: &str, language: Language) -> Option<String> {
    let date: jiff::civil::Date = text.parse().ok()?;
    Some(format!("{} {} {}", date.day(), month(date.month(), language), date.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_kupang() {
        assert_eq!(moment(1_795_531_274_849, Language::Indonesian), "24 Nov 2026 22.41");
        assert_eq!(moment(1_795_531_274_849, Language::English), "24 Nov 2026 22:41");
    }

    #[test]
    fn a_clock_that_is_off_is_said_in_words() {
        assert_eq!(clock(188_620_796_875, Language::Indonesian).as_deref(), Some("6 tahun di depan"));
        assert_eq!(clock(-188_620_796_875, Language::English).as_deref(), Some("6 years behind"));
        assert_eq!(clock(3_600_000, Language::English).as_deref(), Some("60 minutes ahead"));
        assert_eq!(clock(-3_124, Language::English), None);
    }

    #[test]
    fn one_of_a_unit_is_singular() {
        assert_eq!(span(365 * DAY, Language::English), "1 year");
        assert_eq!(span(3 * DAY, Language::English), "3 days");
        assert_eq!(span(20_000, Language::English), "0 minutes");
    }
}
