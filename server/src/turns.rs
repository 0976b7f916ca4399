//! Requests of one device are taken in one after the other, in the order in which they were read.
//!
//! A device whose line broke asks at once how much of its request arrived: the answer must not be made while that is still
//! being stored. Tries to log in take turns in the same way, account by account.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Whose turn it is, by device.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<HashMap<String, Arc<Turn<()>>>>>);

/// A device's turn; the next request of the device waits until it is dropped.
#[derive(Debug)]
pub struct InTurn {
    turns: Turns,
    device: String,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until the requests of the device (named by whatever tells devices apart) that came before are done.
    pub async fn of(&self, device: String) -> InTurn {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(device.clone()).or_default().clone();
        let turn = turn.lock_owned().await;
        InTurn { turns: self.clone(), device, turn: Some(turn) }
    }
}

impl InTurn {
    /// Ends the turn so much later.
    pub fn keep_for(self, time: Duration) {
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            drop(self);
        });
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn = None;
        // Nobody waits: one is in the map, and nobody can take another meanwhile.
        if turns.get(&self.device).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_device_waits_for_itself_alone_and_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.of("a".into()).await;
        let _other = turns.of("b".into()).await;
        let (done, mut is_done) = tokio::sync::oneshot::channel();
        let (waiting, again) = (turns.clone(), turns.clone());
        let second = tokio::spawn(async move {
            let turn = waiting.of("a".into()).await;
            done.send(()).unwrap();
            drop(turn);
        });
        tokio::task::yield_now().await;
        assert!(is_done.try_recv().is_err());
        drop(first);
        second.await.unwrap();
        assert!(is_done.try_recv().is_ok());
        assert_eq!(again.0.lock().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn a_turn_that_is_kept_ends_later_and_holds_up_nobody_else() {
        tokio::time::pause();
        let (turns, begun) = (Turns::default(), tokio::time::Instant::now());
        turns.of("a".into()).await.keep_for(Duration::from_secs(1));
        drop(turns.of("b".into()).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(turns.of("a".into()).await);
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
