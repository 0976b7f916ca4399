//! Nights without a clock: whatever the window, the hour and the dice, a device syncs inside it, at its own moment, and
//! gives the line time after each failure.
#![allow(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use client_core::night::{Next, Night, Window};
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn window(from: i64, length: i64) -> Window {
    let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    format!("{}-{}", clock(from), clock(from + length)).parse().unwrap()
}

proptest! {
    #[test]
    fn a_night_syncs_inside_its_window_or_not_at_all(
        from in 0..1440_i64, length in 1..1440_i64, now in 0..40_000 * DAY, dice in prop::collection::vec(any::<u64>(), 1..40),
        took in 0..10 * MINUTE, busy in prop::option::of(0..10 * MINUTE),
    ) {
        let window = window(from, length);
        let (opens, closes) = window.at(now);
        prop_assert!(now < closes && closes - opens == length * MINUTE && opens - now < DAY);
        prop_assert_eq!((opens - from * MINUTE).rem_euclid(DAY), 0);
        let mut night = Night::plan(window, now, dice[0]);
        let (mut clock, mut before) = (now, None);
        for (failures, roll) in (1..).zip(&dice) {
            match night.next(clock) {
                Next::Wait(until) => {
                    prop_assert!(until > clock && until < closes);
                    prop_assert!(until >= opens);
                    clock = until;
                }
                Next::Closed => return Ok(()),
                Next::Sync => {}
            }
            prop_assert_eq!(night.next(clock), Next::Sync);
            prop_assert!((opens..closes).contains(&clock));
            if let Some(before) = before {
                let pause = clock - before;
                let most = (30_000_i64 << (failures - 2).min(20)).min(30 * MINUTE);
                prop_assert!(pause >= 1_000 + busy.unwrap_or(0), "{}", pause);
                prop_assert!(pause <= most + 1_000 + busy.unwrap_or(0), "{} after {} failures", pause, failures - 1);
            }
            clock += took;
            night.failed(clock, busy, *roll);
            before = Some(clock);
        }
    }

    #[test]
    fn a_window_is_written_as_it_is_read(from in 0..1440_i64, length in 1..1440_i64) {
        let window = window(from, length);
        prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
    }

    #[test]
    fn no_clock_makes_a_night_that_never_ends(now in any::<i64>(), later in any::<i64>(), roll in any::<u64>()) {
        let mut night = Night::plan(window(1320, 360), now, roll);
        night.failed(later, Some(i64::MAX), roll);
        if let Next::Wait(until) = night.next(later) {
            prop_assert!(until.saturating_sub(later) <= 2 * DAY);
        }
    }
}

#[test]
fn devices_that_start_together_do_not_sync_together() {
    let window = window(22 * 60, 360);
    let now = 20 * 60 * MINUTE;
    let mut moments = std::collections::BTreeSet::new();
    for device in 0..500_u64 {
        let night = Night::plan(window, now, device.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let Next::Wait(until) = night.next(now) else { panic!("not yet open") };
        moments.insert(until / MINUTE);
    }
    // Three quarters of six hours have 270 minutes.
    assert!(moments.len() > 200, "{}", moments.len());
    assert!(moments.last().unwrap() - moments.first().unwrap() > 250);
}

#[test]
fn what_is_no_window_is_refused() {
    for text in
        ["", "22:00", "22:00-22:00", "24:00-01:00", "22:60-23:00", "-", "9-10", "+1:00-02:00", "22:00-04:00-05:00"]
    {
        assert!(text.parse::<Window>().is_err(), "{text}");
    }
    assert!(" 9:05 - 10:00".parse::<Window>().is_ok());
}
