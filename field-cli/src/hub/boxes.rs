//! Places for the boxes that phones send: so many at a time, which bounds the memory, and of one meeting so few that who has
//! overheard its token holds up that phone alone.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Boxes that are read and answered at a time.
const AT_ONCE: usize = 8;
/// Of one meeting: a phone whose line broke comes back before the hub has noticed.
const OF_ONE: usize = 2;

/// All places.
pub(super) struct Boxes {
    free: Semaphore,
    /// How many each meeting has or waits for.
    taken: Mutex<BTreeMap<String, usize>>,
}

impl Default for Boxes {
    fn default() -> Self {
        Self { free: Semaphore::new(AT_ONCE), taken: Mutex::default() }
    }
}

/// One place, while it is held.
pub(super) struct Place<'b> {
    _free: SemaphorePermit<'b>,
    _counted: Counted<'b>,
}

/// A place that a meeting has or waits for.
struct Counted<'b> {
    boxes: &'b Boxes,
    token: String,
}

impl Boxes {
    /// Waits for a place; none where the meeting has as many as one may have.
    pub(super) async fn enter(&self, token: &str) -> Option<Place<'_>> {
        self.count(token, |taken| if taken < OF_ONE { Some(taken + 1) } else { None })?;
        let counted = Counted { boxes: self, token: token.to_owned() };
        Some(Place { _free: self.free.acquire().await.ok()?, _counted: counted })
    }

    fn count(&self, token: &str, next: impl FnOnce(usize) -> Option<usize>) -> Option<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match next(taken.get(token).copied().unwrap_or(0))? {
            0 => taken.remove(token),
            some => taken.insert(token.to_owned(), some),
        };
        Some(())
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.boxes.count(&self.token, |taken| taken.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn one_meeting_takes_two_places_and_all_together_eight() {
        let boxes = Boxes::default();
        let enter = |token: &str| boxes.enter(token).now_or_never();
        let mut held: Vec<_> =
            ["a", "a", "b", "c", "d", "e", "f", "g"].map(|token| enter(token).unwrap().unwrap()).into();
        assert!(enter("a").unwrap().is_none(), "a third one of a meeting");
        assert!(enter("h").is_none(), "it waits");
        held.remove(0);
        assert!(enter("h").unwrap().is_some());
        assert!(enter("a").unwrap().is_some());
    }
}
