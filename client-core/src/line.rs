//! What a device has learned of its line: how large a batch it takes, how fast it is. Kept from night to night.

use std::time::Duration;
use sync_protocol::engine::device::Sizes;

/// A batch on the wire when nothing is known of the line, in bytes.
const MIDDLE: u32 = 32 << 10;
/// A batch on the wire is never larger than this, in bytes …
const MOST: u32 = 64 << 10;
/// … and not smaller, but where even such ones fail again and again.
const LEAST: u32 = 16 << 10;
/// The smallest that the engine ever makes of that.
const BOTTOM: u32 = LEAST / 4;
/// How small answers become when nothing is known, in hundredths: 20 interviews of the Kupang questionnaire are 8.5 times as
/// large before compression, 100 are 10.5 times.
const PACKING: u32 = 850;
/// A request takes about this long at most, so that people hear of each piece, and a reverse proxy that collects bodies
/// gets them.
const REQUEST: u64 = 60;
/// Requests are never larger than this before compression: half of what a server takes.
const REQUEST_MOST: usize = 2 << 20;
/// Batches in a request while the line's speed is not known.
const REQUEST_BATCHES: usize = 4;
/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 500;
/// Bytes from which on a speed can be told from a round trip.
const TELLING: u64 = 4 << 10;
/// Bytes before compression from which on a ratio tells something of the next.
const TELLING_RAW: u64 = 32 << 10;

/// A line, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Line {
    /// A batch, in bytes on the wire.
    pub batch: u32,
    /// Bytes before compression for 100 on the wire.
    pub packing: u32,
    /// Bytes a second to the server; 0 where it is not known.
    pub up: u32,
    /// Bytes a second from the server; 0 where it is not known.
    pub down: u32,
    /// A round trip in milliseconds; 0 where it is not known.
    pub round_trip_ms: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { batch: MIDDLE, packing: PACKING, up: 0, down: 0, round_trip_ms: 0 }
    }
}

/// One request and its reply, as they crossed the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossing {
    /// Bytes of the request before compression.
    pub raw_up: u64,
    /// Bytes of the request.
    pub up: u64,
    /// Bytes of the reply.
    pub down: u64,
    /// From the beginning to the reply's head.
    pub until_head: Duration,
    /// From the reply's head to its end.
    pub reply: Duration,
}

impl Line {
    /// The sizes to begin a turn with.
    ///
    /// ```
    /// let sizes = client_core::Line::default().sizes();
    /// assert!(sizes.least < sizes.batch && sizes.batch < sizes.most && sizes.most <= sizes.first);
    /// ```
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let batch = self.raw(self.batch.clamp(BOTTOM, MOST));
        let request = if self.up == 0 {
            batch.saturating_mul(REQUEST_BATCHES)
        } else {
            usize::try_from(u64::from(self.up) * REQUEST * u64::from(self.packing()) / 100).unwrap_or(usize::MAX)
        };
        let first = request.min(REQUEST_MOST).max(batch);
        Sizes { first, batch, least: self.raw(LEAST).min(batch), most: self.raw(MOST).max(batch) }
    }

    /// Takes over the batch that a turn ended with, in bytes before compression.
    pub fn keep_batch(&mut self, raw: usize) {
        let wire = u64::try_from(raw).unwrap_or(u64::MAX).saturating_mul(100).div_ceil(u64::from(self.packing()));
        self.batch = u32::try_from(wire).unwrap_or(MOST).clamp(BOTTOM, MOST);
    }

    /// Learns from what crossed the line: half of what is known gives way to what was seen.
    pub fn learn(&mut self, seen: &Crossing) {
        let head_ms = millis(seen.until_head);
        if seen.up.max(seen.down) < TELLING {
            self.round_trip_ms = blend(self.round_trip_ms, head_ms);
        }
        if seen.up >= TELLING {
            let sending = head_ms.saturating_sub(u64::from(self.round_trip_ms)).max(1);
            self.up = blend(self.up, seen.up.saturating_mul(1000) / sending);
        }
        if seen.down >= TELLING {
            self.down = blend(self.down, seen.down.saturating_mul(1000) / millis(seen.reply).max(1));
        }
        if seen.raw_up >= TELLING_RAW && seen.up > 0 {
            self.packing = blend(self.packing, seen.raw_up.saturating_mul(100) / seen.up);
        }
    }

    /// How long a request of so many bytes may go without an answer, beyond a person's patience: at a quarter of the speed
    /// that is known, or at that of the slowest line.
    #[must_use]
    pub fn transit(&self, bytes: u64) -> Duration {
        let slow = (u64::from(self.up) / 4).max(SLOWEST);
        Duration::from_millis(bytes.saturating_mul(1000) / slow)
    }

    /// About how long it takes to send so many bytes of changes (before compression); none while that is not known.
    #[must_use]
    pub fn left(&self, raw_up: u64) -> Option<Duration> {
        let wire = raw_up.saturating_mul(100) / u64::from(self.packing());
        let sending = wire.saturating_mul(1000).checked_div(u64::from(self.up))?;
        Some(Duration::from_millis(sending.saturating_add(self.round_trip_ms.into())))
    }

    /// About how long the rest of a reply takes; none while that is not known.
    #[must_use]
    pub fn left_down(&self, bytes: u64) -> Option<Duration> {
        Some(Duration::from_millis(bytes.saturating_mul(1000).checked_div(self.down.into())?))
    }

    fn packing(&self) -> u32 {
        self.packing.clamp(100, 2000)
    }

    fn raw(&self, wire: u32) -> usize {
        let raw = u64::from(wire) * u64::from(self.packing()) / 100;
        usize::try_from(raw).unwrap_or(usize::MAX)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Half of what is known and half of what was seen; all of what was seen where nothing is known.
fn blend(known: u32, seen: u64) -> u32 {
    let seen = u32::try_from(seen).unwrap_or(u32::MAX);
    if known == 0 { seen } else { known / 2 + seen / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_of_a_2g_line_is_learned_and_bounds_a_request() {
        let mut line = Line::default();
        let small = Crossing { up: 300, down: 100, until_head: Duration::from_millis(920), ..Crossing::default() };
        line.learn(&small);
        assert_eq!(line.round_trip_ms, 920);
        let night = Crossing {
            raw_up: 98_000,
            up: 17_000,
            down: 200,
            until_head: Duration::from_millis(7_720),
            ..Crossing::default()
        };
        line.learn(&night);
        assert_eq!(line.up, 2_500);
        // A minute of 20 kbit/s, before compression.
        assert!((1_000_000..1_100_000).contains(&line.sizes().first), "{:?}", line.sizes());
        assert_eq!(line.left(290_000).map(|left| left.as_secs()), Some(17), "{line:?}");
    }

    #[test]
    fn a_batch_comes_back_as_it_was_kept_and_never_leaves_its_bounds() {
        let mut line = Line::default();
        for wire in [4, 16, 32, 64] {
            line.keep_batch(line.raw(wire << 10));
            assert_eq!(line.batch >> 10, wire);
        }
        line.keep_batch(usize::MAX);
        assert_eq!(line.batch, MOST);
        line.keep_batch(0);
        assert_eq!(line.batch, BOTTOM);
        line = Line { packing: 0, up: u32::MAX, ..line };
        assert!(line.sizes().first <= REQUEST_MOST);
    }
}
