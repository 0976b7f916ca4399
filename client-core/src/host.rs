//! Clock and randomness of the device: given by its host, never read here.

/// What the device asks of the machine that it runs on.
pub trait Host {
    /// The wall clock, in milliseconds since 1970; it may be years off.
    fn now_ms(&mut self) -> i64;

    /// Local time less UTC, in minutes; UTC where the host has no zone.
    fn offset_minutes(&mut self) -> i32 {
        0
    }

    /// Fills a buffer with random bytes that nobody can guess.
    fn random(&mut self, buffer: &mut [u8]);
}

/// The host of a program with an operating system.
#[cfg(feature = "native")]
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

#[cfg(feature = "native")]
impl Host for System {
    #[expect(clippy::disallowed_methods, reason = "this is the place where a native device reads its clock")]
    fn now_ms(&mut self) -> i64 {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    fn offset_minutes(&mut self) -> i32 {
        let now = jiff::Timestamp::from_millisecond(self.now_ms()).unwrap_or_default();
        jiff::tz::TimeZone::system().to_offset(now).seconds() / 60
    }

    #[expect(clippy::expect_used, reason = "without randomness ids would collide and answers be lost: stop instead")]
    fn random(&mut self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system has no randomness");
    }
}

/// A host for tests and examples: a clock that ticks one second a look, and numbers from a seed.
///
/// Its numbers can be guessed: never use it for a real device.
#[derive(Clone, Debug)]
pub struct Fixed {
    now_ms: i64,
    state: u64,
}

impl Fixed {
    /// Makes a host whose clock starts on 2026-01-01.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { now_ms: 1_767_225_600_000, state: seed }
    }
}

impl Host for Fixed {
    fn now_ms(&mut self) -> i64 {
        self.now_ms += 1000;
        self.now_ms
    }

    fn random(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            // The mixing step of SplitMix64 (Steele, Lea, Flood 2014).
            self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (mixed ^ (mixed >> 31)).to_le_bytes()[0];
        }
    }
}
