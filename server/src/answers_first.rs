//! Answers go before photos: while requests with answers are worked on, uploads go on one block at a time.
//!
//! A request counts from when its body has come until its reply is packed: one on a slow line holds up nobody. What has waited for
//! long goes on whatever there is, so photos get through beside a busy night, too.

use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

/// How long the block that is next waits for a moment without answers.
const GAP: Duration = Duration::from_millis(20);
/// How long a block waits at most, with all that are before it.
const MOST: Duration = Duration::from_secs(2);

/// Who goes first; clones share it.
#[derive(Clone, Debug, Default)]
pub struct AnswersFirst {
    /// Requests with answers that are worked on.
    under_way: watch::Sender<usize>,
    /// Blocks go on one after the other.
    turn: Arc<Mutex<()>>,
}

/// A request with answers, as long as it is worked on.
#[derive(Debug)]
pub struct UnderWay(watch::Sender<usize>);

impl AnswersFirst {
    /// Says that a request with answers is worked on, until what it gives is dropped.
    #[must_use]
    pub fn begin(&self) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(self.under_way.clone())
    }

    /// Waits, before a block of an upload is taken in, until it may be.
    pub async fn give_way(&self) {
        let waiting = async {
            let mut under_way = self.under_way.subscribe();
            if *under_way.borrow_and_update() == 0 {
                return;
            }
            let _turn = self.turn.lock().await;
            // Both ways it goes on; the sender is here.
            let _ = timeout(GAP, under_way.wait_for(|count| *count == 0)).await;
        };
        let _ = timeout(MOST, waiting).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn a_block_waits_for_answers_and_no_longer_than_it_may() {
        let first = AnswersFirst::default();
        assert_eq!(first.give_way().now_or_never(), Some(()), "nothing is under way");
        let (one, two) = (first.begin(), first.begin());
        let mut block = Box::pin(first.give_way());
        drop(one);
        assert_eq!(block.as_mut().now_or_never(), None, "another one is under way");
        drop(two);
        assert_eq!(block.now_or_never(), Some(()));

        let _busy = first.begin();
        let begun = tokio::time::Instant::now();
        first.give_way().await;
        assert_eq!(begun.elapsed(), GAP);
        futures_util::future::join_all((0..1000).map(|_| first.give_way())).await;
        assert_eq!(begun.elapsed(), GAP + MOST);
    }
}
