//! What an evaluation is told about the world: the clock, the zone, chance, the device, the language.

use std::collections::BTreeMap;

use crate::moment::{Moment, Zone};

/// Holds all that expressions read and that is no answer.
///
/// The same record with the same context gives the same evaluation, on every machine. An interview gives the clock and
/// zone that were saved with it, not those of the machine that looks at it (DESIGN §4).
///
/// ```
/// use questionnaire::Context;
/// let context = Context::at("2026-03-01T09:30:00+08:00").unwrap();
/// assert_eq!(context.offset_minutes, 480);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What `now()` is, in milliseconds since 1970-01-01T00:00Z; `today()` is its day in the zone.
    pub now_ms: i64,
    /// Local time minus UTC, in minutes.
    pub offset_minutes: i32,
    /// Where `random()`, `uuid()` and `randomize()` begin; another place in the form gives other numbers.
    pub seed: u64,
    /// The language of `jr:choice-name` and labels; where it is empty or unknown, the form's default.
    pub language: String,
    /// What `property()` and the metadata questions know of the device: `deviceid`, `username`, …
    pub properties: BTreeMap<String, String>,
    /// The answers of the record saved last, by key, for `${last-saved#…}`.
    pub last_saved: BTreeMap<String, String>,
}

impl Context {
    /// Makes a context of an instant in ISO 8601; what names no zone is UTC. `None` where the text is no instant.
    pub fn at(now: &str) -> Option<Self> {
        let now_ms = Moment::parse(now, Zone(0))?.ms;
        let (_, time) = now.split_once(['T', ' ']).unwrap_or((now, ""));
        let offset_minutes = crate::moment::parse_time(time).and_then(|(_, zone)| zone).map_or(0, |zone| zone.0);
        Some(Self { now_ms, offset_minutes, ..Self::default() })
    }

    /// Returns `now()` as an answer of `start` or `end` holds it: local time with its zone.
    ///
    /// ```
    /// # use questionnaire::Context;
    /// let context = Context::at("2026-03-01T09:30:00.000+08:00").unwrap();
    /// assert_eq!(context.now_text(), "2026-03-01T09:30:00.000+08:00");
    /// assert_eq!(context.today_text(), "2026-03-01");
    /// ```
    #[must_use]
    pub fn now_text(&self) -> String {
        let mut text = String::new();
        self.now().write(self.zone(), &mut text);
        text
    }

    /// Returns `today()` as an answer holds it.
    #[must_use]
    pub fn today_text(&self) -> String {
        let mut text = String::new();
        Moment::of_day(self.now().local_day(self.zone()), self.zone()).write(self.zone(), &mut text);
        text
    }

    pub(crate) fn zone(&self) -> Zone {
        Zone(self.offset_minutes)
    }

    pub(crate) fn now(&self) -> Moment {
        Moment { ms: self.now_ms, day: false }
    }

    pub(crate) fn last_saved_text(&self, key: &str) -> &str {
        self.last_saved.get(key).map_or("", String::as_str)
    }
}
