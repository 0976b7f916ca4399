//! What happens in a simulated world: a list of events that follows from a seed and can be thinned out.
//!
//! Each event carries its own seed, so that leaving others out changes it as little as may be: that is what
//! makes a failing list shrink.

use super::dice::Dice;
use sync_protocol::engine::device::Sizes;

/// One kind of thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An enumerator works: a few saves.
    Work,
    /// A device syncs, over a line that does what lines do.
    Night,
    /// A device's clock is set, jumps by years, stops.
    Clock,
    /// A device is copied: both go on.
    Clone,
    /// A copy of a device is put away.
    Backup,
    /// A device is lost and its copy comes alive.
    Restore,
    /// A device is thrown away, and its enumerator enrols a new one.
    Reinstall,
    /// An enumerator is given an area.
    Give,
    /// An area is taken from an enumerator.
    Take,
    /// An enumerator becomes the leader of an area.
    Lead,
    /// An enumerator leads an area no more.
    Unlead,
    /// An enumerator is sent to a household first, or no longer.
    FirstVisit,
    /// Two households are found to be one.
    Link,
    /// A household is found to be none of those that it was joined with.
    Unlink,
    /// A new version of the questionnaire is published.
    Publish,
    /// An area is loaded that households named before.
    LoadArea,
    /// A device is revoked.
    Revoke,
    /// A coordinator looks at a conflict.
    Look,
    /// A coordinator decides a conflict as it looked a while ago.
    Decide,
    /// A coordinator adds a remark.
    Remark,
    /// A coordinator releases a change from quarantine.
    Release,
    /// A coordinator releases the branch of a device that may not return.
    ReleaseBranch,
    /// Somebody sends nonsense.
    Garbage,
    /// The server is killed between requests.
    Crash,
    /// The server's store is backed up and the copy verified; the last few are kept.
    ServerBackup,
    /// The server is lost, and one of the kept backups is brought back.
    ServerRestore,
    /// The server's clock is set.
    ServerClock,
    /// The server's disk fills up, or is freed.
    ServerDisk,
    /// A device's disk fills up, or is freed.
    PhoneDisk,
    /// A letter arrives that the network had kept.
    Mail,
    /// A program that is none of ours syncs as a device: changes that nobody can read.
    Stranger,
}

/// What happens beside work and nights, with how often in comparison.
const EXTRAS: [(Act, usize); 29] = [
    (Act::Clock, 3),
    (Act::Clone, 2),
    (Act::Backup, 4),
    (Act::Restore, 3),
    (Act::Reinstall, 1),
    (Act::Give, 2),
    (Act::Take, 2),
    (Act::Lead, 1),
    (Act::Unlead, 1),
    (Act::FirstVisit, 1),
    (Act::Link, 3),
    (Act::Unlink, 2),
    (Act::Publish, 1),
    (Act::LoadArea, 1),
    (Act::Revoke, 1),
    (Act::Look, 5),
    (Act::Decide, 5),
    (Act::Remark, 1),
    (Act::Release, 2),
    (Act::ReleaseBranch, 2),
    (Act::Garbage, 3),
    (Act::Crash, 2),
    (Act::ServerBackup, 4),
    (Act::ServerRestore, 2),
    (Act::ServerClock, 1),
    (Act::ServerDisk, 2),
    (Act::PhoneDisk, 3),
    (Act::Mail, 4),
    (Act::Stranger, 2),
];

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The day, from 0.
    pub day: u32,
    /// What happens.
    pub act: Act,
    /// To which of the devices that are alive then.
    pub phone: usize,
    /// What chance it has.
    pub seed: u64,
}

/// How often what goes wrong, in a thousand times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// A request is lost.
    pub lost: u32,
    /// A request is kept by the network and arrives later.
    pub delayed: u32,
    /// A request arrives twice.
    pub doubled: u32,
    /// A request is cut in the middle.
    pub cut: u32,
    /// Batches of a request arrive in another order, or not all.
    pub carried: u32,
    /// A reply is lost.
    pub reply_lost: u32,
    /// A reply is cut in the middle.
    pub reply_cut: u32,
    /// The server is killed at one of its named points.
    pub killed: u32,
    /// A device is killed around a durable write.
    pub crash: u32,
    /// A save is one that the server can't apply.
    pub poison: u32,
}

/// The shape of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Devices at the beginning.
    pub phones: usize,
    /// Enumerators; some have several devices.
    pub enumerators: usize,
    /// Areas that are loaded at the beginning.
    pub areas: usize,
    /// Days of work.
    pub days: u32,
    /// What goes wrong.
    pub weather: Weather,
    /// The sizes of requests.
    pub sizes: Sizes,
    /// Some saves hold hundreds of kilobytes.
    pub heavy: bool,
    /// Clocks are wrong.
    pub clocks: bool,
    /// Phones keep marks outside the files that are copied.
    pub marks: bool,
    /// Every screen shows all siblings, so that nothing that people do depends on a clock.
    pub all_siblings: bool,
}

/// Everything that a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that it follows from.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// The events, in order.
    pub events: Vec<Event>,
}

impl Plan {
    /// Makes the plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let crowd = dice.chance(10);
        let phones = if crowd { 100 + dice.below(150) } else { 2 + dice.below(8) };
        let days = if crowd { 2 } else { u32::try_from(2 + dice.below(5)).unwrap_or(2) };
        let sizes = if dice.chance(700) {
            let (first, batch) = (1 << (10 + dice.below(5)), 1 << (8 + dice.below(3)));
            Sizes { first, batch, least: batch / 2, most: batch * 4 }
        } else {
            Sizes::default()
        };
        let shape = Shape {
            phones,
            enumerators: 1 + dice.below(phones),
            areas: if crowd { 20 } else { 1 + dice.below(4) },
            days,
            weather: Weather::of(&mut dice),
            sizes,
            heavy: !crowd && dice.chance(60),
            clocks: dice.chance(700),
            marks: dice.chance(300),
            all_siblings: false,
        };
        let wanted: Vec<(Act, usize)> = EXTRAS.into_iter().filter(|_| dice.chance(600)).collect();
        let mut events = Vec::new();
        let (busy, nights) = (300 + dice.below(600), 200 + dice.below(700));
        let extras = if dice.chance(150) { 0 } else { dice.below(phones * 2) + 2 };
        for day in 0..days {
            let mut today = Vec::new();
            for phone in 0..phones {
                for (act, often) in [(Act::Work, busy), (Act::Work, busy / 2), (Act::Night, nights)] {
                    if dice.below(1000) < often {
                        today.push(Event { day, act, phone, seed: dice.roll() });
                    }
                }
            }
            for _ in 0..extras {
                let sum: usize = wanted.iter().map(|(_, weight)| weight).sum();
                let mut left = dice.below(sum);
                let act = wanted.iter().find(|(_, weight)| {
                    let is_it = left < *weight;
                    left = left.saturating_sub(*weight);
                    is_it
                });
                if let Some((act, _)) = act {
                    today.push(Event { day, act: *act, phone: dice.below(phones), seed: dice.roll() });
                }
            }
            for at in (1..today.len()).rev() {
                today.swap(at, dice.below(at + 1));
            }
            events.extend(today);
        }
        Self { seed, shape, events }
    }
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        lost: 0,
        delayed: 0,
        doubled: 0,
        cut: 0,
        carried: 0,
        reply_lost: 0,
        reply_cut: 0,
        killed: 0,
        crash: 0,
        poison: 0,
    };

    /// Weather in which each thing mostly never happens, or often.
    fn of(dice: &mut Dice) -> Self {
        let mut often = || {
            let much = u32::try_from(20 + dice.below(230)).unwrap_or(0);
            if dice.chance(500) { much } else { 0 }
        };
        Self {
            lost: often(),
            delayed: often(),
            doubled: often(),
            cut: often(),
            carried: often(),
            reply_lost: often(),
            reply_cut: often(),
            killed: often(),
            crash: often(),
            poison: often(),
        }
    }
}
