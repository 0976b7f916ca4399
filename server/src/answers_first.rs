//! Answers go before photos: while requests with answers come in, uploads go on one block at a time, and between those requests.
//!
//! A request counts from when its body has come until its reply is packed: one on a slow line holds up nobody. What has waited for
//! long goes on whatever there is, so photos get through beside a busy night, too.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard, watch},
    time::{Instant, timeout},
};

/// How long after the last answers more are expected.
const SOON: Duration = Duration::from_millis(500);
/// How long the block that is next waits for a moment without answers.
const GAP: Duration = Duration::from_millis(20);
/// How long a block waits at most, with all that are before it.
const MOST: Duration = Duration::from_secs(2);

/// Who goes first; clones share it.
#[derive(Clone, Debug, Default)]
pub struct AnswersFirst {
    /// Requests with answers that are worked on.
    under_way: watch::Sender<usize>,
    /// When the last of them ended.
    ended: Arc<Mutex<Option<Instant>>>,
    /// Blocks go on one after the other.
    turn: Arc<Turn<()>>,
}

/// A request with answers, as long as it is worked on.
#[derive(Debug)]
pub struct UnderWay(AnswersFirst);

impl AnswersFirst {
    /// Says that a request with answers is worked on, until what it gives is dropped.
    #[must_use]
    pub fn begin(&self) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(self.clone())
    }

    /// Waits, before a block of an upload is written, until it may be; the next block may once what this gives is dropped.
    pub async fn give_way(&self) -> Option<OwnedMutexGuard<()>> {
        let mut under_way = self.under_way.subscribe();
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if *under_way.borrow_and_update() == 0 && ended.is_none_or(|ended| ended.elapsed() > SOON) {
            return None;
        }
        let waiting = async {
            let turn = self.turn.clone().lock_owned().await;
            // Both ways it goes on; the sender is here.
            let _ = timeout(GAP, under_way.wait_for(|count| *count == 0)).await;
            turn
        };
        timeout(MOST, waiting).await.ok()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.under_way.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn a_block_waits_for_answers_and_no_longer_than_it_may() {
        let first = AnswersFirst::default();
        assert!(first.give_way().now_or_never().unwrap().is_none(), "nothing is under way, or was");
        let (one, two) = (first.begin(), first.begin());
        let mut block = Box::pin(first.give_way());
        drop(one);
        assert!(block.as_mut().now_or_never().is_none(), "another one is under way");
        drop(two);
        let turn = block.now_or_never().unwrap();
        assert!(turn.is_some());
        assert!(first.give_way().now_or_never().is_none(), "more answers may come: one block at a time");
        drop(turn);
        assert!(first.give_way().now_or_never().unwrap().is_some());
        tokio::time::advance(SOON * 2).await;
        assert!(first.give_way().now_or_never().unwrap().is_none(), "no more came");

        let _busy = first.begin();
        let begun = Instant::now();
        let turn = first.give_way().await;
        assert!((GAP..MOST).contains(&begun.elapsed()));
        futures_util::future::join_all((0..100).map(|_| first.give_way())).await;
        assert!(
            (MOST..2 * MOST).contains(&begun.elapsed()),
            "one that takes for ever holds up none for longer than that"
        );
        drop(turn);
    }
}
