//! When to sync by itself: a nightly window, each device at its own moment in it, and again after a failure with growing
//! pauses until it is done or the window closes.
//!
//! No clock and no chance in here: the host says what time it is and rolls the dice, so that nights can be tested.

use std::{fmt, str::FromStr};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// The longest pause after the first failure, in milliseconds; it doubles with each further one …
const FIRST_PAUSE: i64 = 30_000;
/// … up to this.
const LONGEST_PAUSE: i64 = 30 * MINUTE;
/// The shortest pause: a line that just broke needs a moment.
const SHORTEST_PAUSE: i64 = 1_000;

/// The hours of a day in which a device syncs by itself, in its local time; may reach past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Milliseconds from midnight to its beginning.
    from: i64,
    /// How long it lasts.
    length: i64,
}

/// What is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected two different times of day, such as 21:00-04:30")]
pub struct BadWindow;

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let (from, until) = text.split_once('-').ok_or(BadWindow)?;
        let (from, until) = (minutes(from)?, minutes(until)?);
        let length = (until - from).rem_euclid(24 * 60);
        if length == 0 { Err(BadWindow) } else { Ok(Self { from: from * MINUTE, length: length * MINUTE }) }
    }
}

fn minutes(text: &str) -> Result<i64, BadWindow> {
    let (hour, minute) = text.trim().split_once(':').ok_or(BadWindow)?;
    let number = |digits: &str, below: i64| {
        let is_plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_plain { digits.parse::<i64>().ok() } else { None };
        number.filter(|number| *number < below).ok_or(BadWindow)
    };
    Ok(number(hour, 24)? * 60 + number(minute, 60)?)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |ms: i64| (ms / MINUTE / 60 % 24, ms / MINUTE % 60);
        let ((h1, m1), (h2, m2)) = (clock(self.from), clock(self.from + self.length));
        write!(f, "{h1:02}:{m1:02}-{h2:02}:{m2:02}")
    }
}

impl Window {
    /// The window that is open at a local time, or else the next one: when it opens and closes.
    ///
    /// ```
    /// let window: client_core::night::Window = "22:00-04:00".parse().unwrap();
    /// let hour = 3_600_000;
    /// assert_eq!(window.at(3 * hour), (-2 * hour, 4 * hour)); // opened yesterday
    /// assert_eq!(window.at(4 * hour), (22 * hour, 28 * hour));
    /// ```
    #[must_use]
    pub fn at(&self, local_ms: i64) -> (i64, i64) {
        let opens = local_ms.saturating_sub(local_ms.saturating_sub(self.from).rem_euclid(DAY));
        let closes = opens.saturating_add(self.length);
        if local_ms < closes { (opens, closes) } else { (opens.saturating_add(DAY), closes.saturating_add(DAY)) }
    }
}

/// The longest pause after so many failures in a row; the pause itself is drawn from all below it (full jitter), so that
/// devices that failed together do not come back together.
fn longest_pause(failures: u32) -> i64 {
    let doubled = FIRST_PAUSE.saturating_mul(1_i64.checked_shl(failures.saturating_sub(1).min(30)).unwrap_or(1));
    doubled.min(LONGEST_PAUSE)
}

/// A number from 0 to below `bound`, of a random one.
fn below(bound: i64, random: u64) -> i64 {
    let bound = u64::try_from(bound).unwrap_or(0).max(1);
    i64::try_from(random % bound).unwrap_or(0)
}

/// What the host does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until this local time, then ask again; a host that slept longer asks then.
    Wait(i64),
    /// Sync now, and tell what came of it.
    Sync,
    /// The window closed: nothing is lost, the next night goes on where this one ended.
    Closed,
}

/// One night of one device.
///
/// Times are local: milliseconds since 1970 plus what local time is ahead of UTC. A clock that jumps makes the night earlier
/// or later, or ends it; it loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Night {
    at: i64,
    opens: i64,
    closes: i64,
    failures: u32,
}

impl Night {
    /// Plans the night: a moment of the device's own in the first three quarters of what is left of the window, or of the
    /// next one.
    ///
    /// ```
    /// use client_core::night::{Next, Night, Window};
    /// let window: Window = "00:00-04:00".parse().unwrap();
    /// let mut night = Night::plan(window, 0, 7_200_000);
    /// assert_eq!(night.next(0), Next::Wait(7_200_000));
    /// assert_eq!(night.next(7_200_000), Next::Sync);
    /// night.failed(7_205_000, None, 10_000);
    /// assert_eq!(night.next(7_205_000), Next::Wait(7_216_000));
    /// ```
    #[must_use]
    pub fn plan(window: Window, local_ms: i64, random: u64) -> Self {
        let (opens, closes) = window.at(local_ms);
        let from = opens.max(local_ms);
        let at = from.saturating_add(below(closes.saturating_sub(from) / 4 * 3, random));
        Self { at, opens, closes, failures: 0 }
    }

    /// When the window that the night is in closes, in local time.
    #[must_use]
    pub fn closes(&self) -> i64 {
        self.closes
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What to do at a local time.
    #[must_use]
    pub fn next(&self, local_ms: i64) -> Next {
        // A clock that was set back leads to no night that lasts for months.
        let is_over = local_ms >= self.closes || self.at >= self.closes || local_ms < self.opens.saturating_sub(DAY);
        if is_over {
            Next::Closed
        } else if local_ms >= self.at {
            Next::Sync
        } else {
            Next::Wait(self.at)
        }
    }

    /// Notes that a sync failed, and when the server asked to be left alone for a while, for how long in milliseconds.
    pub fn failed(&mut self, local_ms: i64, retry_after_ms: Option<i64>, random: u64) {
        self.failures = self.failures.saturating_add(1);
        let jitter = below(longest_pause(self.failures), random).saturating_add(SHORTEST_PAUSE);
        // What the server asks for comes first, the jitter on top: all of its devices were told the same.
        let pause = retry_after_ms.unwrap_or(0).clamp(0, DAY).saturating_add(jitter);
        self.at = local_ms.saturating_add(pause);
    }

    /// Notes that a sync brought something though it failed: the line works, the pauses begin anew.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }
}
