//! Dates and times: the calendar, reading ISO 8601, printing, format strings. All with a time zone that the caller gives.
//!
//! A date is the instant of its midnight in that zone, as in JavaRosa. No clock is read here.

use std::fmt::Write;

use crate::number;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// An instant, and whether a time of day belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since 1970-01-01T00:00Z.
    pub(crate) ms: i64,
    /// Tells whether a day is meant rather than an instant.
    pub(crate) day: bool,
}

/// Offset of local time from UTC, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(pub(crate) i32);

impl Zone {
    fn offset_ms(self) -> i64 {
        i64::from(self.0) * MINUTE_MS
    }
}

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian).
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a day; `None` where the calendar has no such day.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || day < 1 || !(-9999..=9999).contains(&year) {
        return None;
    }
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if day > length {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_shifted = (month + 9) % 12;
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

impl Moment {
    /// Returns the midnight that a day begins with.
    pub(crate) fn of_day(days: i64, zone: Zone) -> Self {
        Self { ms: days.saturating_mul(DAY_MS).saturating_sub(zone.offset_ms()), day: true }
    }

    /// Returns the instant of a number of days since 1970-01-01T00:00Z.
    pub(crate) fn of_fraction(days: f64) -> Self {
        Self { ms: number::trunc(days * 86_400_000.0), day: false }
    }

    /// Returns the day by the local calendar, counted from 1970-01-01.
    pub(crate) fn local_day(self, zone: Zone) -> i64 {
        self.ms.saturating_add(zone.offset_ms()).div_euclid(DAY_MS)
    }

    /// Returns the local midnight before the instant.
    pub(crate) fn midnight(self, zone: Zone) -> Self {
        Self::of_day(self.local_day(zone), zone)
    }

    /// Returns days and fraction since 1970-01-01T00:00Z (ODK XForms, `decimal-date-time`).
    pub(crate) fn fraction(self) -> f64 {
        number::from_i64(self.ms) / 86_400_000.0
    }

    /// Returns the part of the local day that has passed (ODK XForms, `decimal-time`).
    pub(crate) fn time_fraction(self, zone: Zone) -> f64 {
        number::from_i64(self.ms.saturating_add(zone.offset_ms()).rem_euclid(DAY_MS)) / 86_400_000.0
    }

    /// Reads a date, or a date with a time; what names no zone is local.
    pub(crate) fn parse(text: &str, zone: Zone) -> Option<Self> {
        let text = text.trim();
        let Some((date, time)) = text.split_once(['T', ' ']) else {
            return Some(Self::of_day(parse_date(text)?, zone));
        };
        let day = parse_date(date)?;
        let (in_day, own) = parse_time(time)?;
        let local = day.checked_mul(DAY_MS)?.checked_add(in_day)?;
        Some(Self { ms: local.checked_sub(own.unwrap_or(zone).offset_ms())?, day: false })
    }

    /// Prints a day as `2026-01-31`, an instant as `2026-01-31T08:00:00.000+08:00`.
    pub(crate) fn write(self, zone: Zone, out: &mut String) {
        let (year, month, day) = civil(self.local_day(zone));
        let _ = write!(out, "{year:04}-{month:02}-{day:02}");
        if self.day {
            return;
        }
        let (hour, minute, second, milli) = self.clock(zone);
        let (sign, offset) = if zone.0 < 0 { ('-', -zone.0) } else { ('+', zone.0) };
        let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}.{milli:03}{sign}{:02}:{:02}", offset / 60, offset % 60);
    }

    fn clock(self, zone: Zone) -> (i64, i64, i64, i64) {
        let in_day = self.ms.saturating_add(zone.offset_ms()).rem_euclid(DAY_MS);
        (in_day / 3_600_000, in_day / MINUTE_MS % 60, in_day / 1000 % 60, in_day % 1000)
    }

    /// Prints by a format string (ODK XForms, `format-date`); an escape that is not known stands as it is.
    pub(crate) fn format(self, format: &str, zone: Zone) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let name = |names: &[&'static str], at: i64| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or("")
        };
        let local = self.local_day(zone);
        let (year, month, day) = civil(local);
        let (hour, minute, second, milli) = self.clock(zone);
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let _ = match chars.next() {
                Some('%') => write!(out, "%"),
                Some('Y') => write!(out, "{year:04}"),
                Some('y') => write!(out, "{:02}", year.rem_euclid(100)),
                Some('m') => write!(out, "{month:02}"),
                Some('n') => write!(out, "{month}"),
                Some('b') => write!(out, "{}", name(&MONTHS, month - 1)),
                Some('d') => write!(out, "{day:02}"),
                Some('e') => write!(out, "{day}"),
                Some('H') => write!(out, "{hour:02}"),
                Some('h') => write!(out, "{hour}"),
                Some('M') => write!(out, "{minute:02}"),
                Some('S') => write!(out, "{second:02}"),
                Some('3') => write!(out, "{milli:03}"),
                Some('a') => write!(out, "{}", name(&DAYS, local.rem_euclid(7))),
                Some('W') => write!(out, "{}", iso_week(local)),
                Some(other) => write!(out, "%{other}"),
                None => write!(out, "%"),
            };
        }
        out
    }
}

/// Returns the ISO week of the year.
fn iso_week(day: i64) -> i64 {
    // The week belongs to the year of its Thursday; day 0 was a Thursday.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil(thursday);
    let first = days(year, 1, 1).unwrap_or(thursday);
    (thursday - first) / 7 + 1
}

/// Reads `2026-01-31` as days since 1970-01-01.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    days(digits(year)?, digits(month)?, digits(day)?)
}

/// Reads `08:30`, `08:30:15.250`, with `Z` or an offset behind it, as milliseconds in the day and that offset.
pub(crate) fn parse_time(text: &str) -> Option<(i64, Option<Zone>)> {
    let text = text.trim();
    let (clock, zone) = if let Some(clock) = text.strip_suffix('Z') {
        (clock, Some(Zone(0)))
    } else if let Some(at) = text.rfind(['+', '-']) {
        let (clock, offset) = text.split_at_checked(at)?;
        let negative = offset.starts_with('-');
        let offset = offset.get(1..)?;
        let (hours, minutes) = match offset.split_once(':') {
            Some((hours, minutes)) => (digits(hours)?, digits(minutes)?),
            None if offset.len() == 4 => (digits(offset.get(..2)?)?, digits(offset.get(2..)?)?),
            None => (digits(offset)?, 0),
        };
        if hours > 18 || minutes > 59 {
            return None;
        }
        let minutes = i32::try_from(hours * 60 + minutes).ok()?;
        (clock, Some(Zone(if negative { -minutes } else { minutes })))
    } else {
        (text, None)
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let (second, milli) = match parts.next() {
        None => (0, 0),
        Some(part) => match part.split_once('.') {
            None => (digits(part)?, 0),
            Some((second, fraction)) => {
                if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let three: String = fraction.chars().chain("000".chars()).take(3).collect();
                (digits(second)?, digits(&three)?)
            }
        },
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3_600_000 + minute * MINUTE_MS + second * 1000 + milli, zone))
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUPANG: Zone = Zone(480);

    fn shown(moment: Moment, zone: Zone) -> String {
        let mut out = String::new();
        moment.write(zone, &mut out);
        out
    }

    #[test]
    fn the_calendar_goes_both_ways() {
        for day in (-800_000..800_000).step_by(373) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2024, 2, 29), Some(19_782));
        assert_eq!(days(2023, 2, 29), None);
        assert_eq!(days(1900, 2, 29), None);
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2024, 13, 1), None);
    }

    #[test]
    fn times_are_read_with_their_zone() {
        let at = |text| Moment::parse(text, KUPANG);
        assert_eq!(at("1970-01-01").map(|m| m.ms), Some(-8 * 3_600_000));
        assert_eq!(at("1970-01-01T08:00").map(|m| m.ms), Some(0));
        assert_eq!(at("1970-01-01T00:00:00Z").map(|m| m.ms), Some(0));
        assert_eq!(at("1970-01-01T00:00:00.250-07:00").map(|m| m.ms), Some(7 * 3_600_000 + 250));
        assert_eq!(at("1970-01-01T05:30+0530").map(|m| m.ms), Some(0));
        for bad in [
            "",
            "1970",
            "1970-1",
            "70-01-01",
            "2023-02-29",
            "2023-02-28T25:00",
            "2023-02-28T",
            "2023-02-28T10:00:00.x",
            "2023-02-28T10:00+99:00",
            "२०२३-01-01",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_printed_and_formatted() {
        let moment = Moment::parse("2024-02-29T23:05:09.007Z", KUPANG).unwrap();
        assert_eq!(shown(moment, KUPANG), "2024-03-01T07:05:09.007+08:00");
        assert_eq!(shown(moment, Zone(-570)), "2024-02-29T13:35:09.007-09:30");
        assert_eq!(shown(moment.midnight(KUPANG), KUPANG), "2024-03-01");
        assert_eq!(
            moment.format("%Y|%y|%m|%n|%b|%d|%e|%H|%h|%M|%S|%3|%a|%W|%%|%q", KUPANG),
            "2024|24|03|3|Mar|01|1|07|7|05|09|007|Fri|9|%|%q"
        );
    }
}
