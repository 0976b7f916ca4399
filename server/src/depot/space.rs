//! What is left on the disk: photos leave room for answers, and unfinished ones are given up in time.

use super::Depot;
use std::{io, path::Path, sync::Arc, time::Duration};

/// How often unfinished uploads are looked through.
const EVERY: Duration = Duration::from_secs(3600);

/// How much of the disk stays free of photos and files that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reserve {
    /// 1 GiB, or a twentieth of the disk where that is more.
    #[default]
    Usual,
    /// So many bytes.
    Bytes(u64),
}

impl Reserve {
    fn bytes(self, disk: u64) -> u64 {
        match self {
            Self::Usual => (disk / 20).max(1 << 30),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Bytes that are free on a folder's disk for this process, and bytes of the disk.
#[cfg(unix)]
fn free(folder: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

/// Where the operating system is not asked, nothing is held back.
#[cfg(not(unix))]
fn free(_folder: &Path) -> io::Result<(u64, u64)> {
    Ok((u64::MAX, 0))
}

impl Depot {
    /// Whether so many bytes may still come: answers need the disk more.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn has_room(&self, bytes: u64) -> io::Result<bool> {
        let (free, disk) = free(&self.shared.folder)?;
        Ok(free.checked_sub(bytes).is_some_and(|left| left >= self.shared.reserve.bytes(disk)))
    }

    /// Gives up uploads that were not finished in time: now, and from time to time as long as the depot lives.
    pub fn give_up_in_time(&self, now_ms: fn() -> i64) {
        self.incoming().give_up(now_ms());
        let (Some(runtime), shared) = (&self.shared.runtime, Arc::downgrade(&self.shared)) else { return };
        runtime.spawn(async move {
            let mut hours = tokio::time::interval(EVERY);
            hours.tick().await;
            loop {
                hours.tick().await;
                let Some(shared) = shared.upgrade() else { return };
                shared.incoming.give_up(now_ms());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depot::Place;

    #[test]
    fn the_reserve_is_a_twentieth_of_a_large_disk_and_a_gibibyte_of_a_small_one() {
        assert_eq!(Reserve::Usual.bytes(10 << 30), 1 << 30);
        assert_eq!(Reserve::Usual.bytes(100 << 30), 5 << 30);
        assert_eq!(Reserve::Bytes(7).bytes(100 << 30), 7);
    }

    #[test]
    fn what_would_touch_the_reserve_has_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let depot = |reserve| Depot::open(folder.path(), Place::Folder, Some(reserve)).unwrap();
        assert!(depot(Reserve::Bytes(0)).has_room(1).unwrap());
        assert!(!depot(Reserve::Bytes(0)).has_room(u64::MAX).unwrap());
        assert!(!depot(Reserve::Bytes(u64::MAX)).has_room(0).unwrap());
    }
}
