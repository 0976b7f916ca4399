//! The quiet after the storm: the weather clears, disks are freed, and everything that can be sent is sent (law L5), to hubs, too.

use super::{dice::Dice, network::Ended, plan::Weather, world::World};
use anyhow::Result;
use sync_protocol::{engine::device::GaveUp, problem::Code};

/// Rounds of nights after which nothing may be new any more.
const ROUNDS: usize = 10;

impl World {
    /// Lets everything settle: every device that is alive syncs until nobody learns anything new.
    ///
    /// # Errors
    /// If something fails that nothing excuses.
    pub fn settle(&mut self) -> Result<()> {
        let mut dice = Dice::new(0);
        self.weather = Weather::CALM;
        self.office.bound_disk(None)?;
        let alive: Vec<usize> = self.phones.iter().filter(|phone| phone.is_alive).map(|phone| phone.life).collect();
        for life in &alive {
            self.phone(*life)?.bound_disk(None)?;
        }
        for life in &alive {
            self.meet_every_hub(*life, &mut dice)?;
        }
        self.drain(&alive, &mut dice)?;
        // What the network kept longest arrives when nobody waits for it.
        while !self.mail.is_empty() {
            self.deliver_late(&mut dice)?;
        }
        self.drain(&alive, &mut dice)
    }

    /// Whether the server may not know a device's names any more: it was restored; or somebody else was faster in a village with a
    /// name that the phone had before its name of today, and of which the server hears only now.
    pub(super) fn forgot(&self, code: Code) -> bool {
        let is_restored = self.tally.contains_key("server: restored from a backup");
        let is_robbed = self.tally.contains_key("hub: was lied to by a guest");
        (is_restored && code == Code::Unauthorised) || ((is_restored || is_robbed) && code == Code::WrongReplica)
    }

    fn drain(&mut self, alive: &[usize], dice: &mut Dice) -> Result<()> {
        for _ in 0..ROUNDS {
            let mut news = 0;
            for life in alive {
                if !self.phone(*life)?.is_alive {
                    continue;
                }
                self.pass(*life, 60_000)?;
                match self.night(*life, dice)? {
                    Ended::GaveUp(GaveUp::Rejected(problem)) if self.forgot(problem.code) => {
                        news += 1;
                        if !self.enrol_again(*life)? {
                            // A copy of it has enrolled in its name since: a person has to help.
                            self.phone(*life)?.lose();
                        }
                        continue;
                    }
                    Ended::Done(report) => news += report.acked + report.pulled + u64::from(report.forks),
                    ended @ (Ended::GaveUp(_) | Ended::Crashed | Ended::Full) => {
                        news += 1;
                        self.oracle.broken("L5", format!("life {life} can't sync on a good line: {ended:?}"));
                    }
                }
                let unsent = self.phone(*life)?.device()?.status()?.unsent;
                if unsent > 0 && self.oracle.violations.is_empty() {
                    self.oracle.broken("L5", format!("life {life} has {unsent} changes unsent after a good night"));
                }
            }
            if !self.oracle.violations.is_empty() {
                return Ok(());
            }
            if news == 0 {
                return Ok(());
            }
        }
        self.oracle.broken("L5", format!("after {ROUNDS} rounds of good nights there is still something new"));
        Ok(())
    }
}
