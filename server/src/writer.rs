//! The one thread that writes: it runs what waits, commits it all at once and then answers each.
//!
//! The commit is what costs (`synchronous=FULL`); many devices share one (DESIGN §5, rule 1). Each task runs
//! in a savepoint, so that one that fails takes nothing else with it. Nobody hears of success before the
//! commit is durable.

use crate::store::{StoreError, Tx};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Tasks that may wait; whoever comes then is asked to come back later.
const QUEUE: usize = 1024;
/// Most tasks in one commit.
const GROUP: usize = 256;
/// No task waits longer for others to share its commit.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// Why a write did not happen; nothing of it is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The task itself failed.
    #[error(transparent)]
    Task(E),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// Too many wait.
    #[error("too many writes wait")]
    Busy,
    /// The writer has ended.
    #[error("the writer has ended")]
    Ended,
}

trait Task: Send {
    fn run(&mut self, tx: Tx<'_>) -> bool;
    fn answer(self: Box<Self>, committed: bool);
}

/// What a task comes to, once it is durable.
type Answer<T, E> = oneshot::Receiver<Result<T, WriteError<E>>>;

struct Write<T, E, F, A> {
    work: Option<F>,
    then: A,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<T, E, F, A> Task for Write<T, E, F, A>
where
    T: Send,
    E: Send,
    F: FnOnce(Tx<'_>) -> Result<T, E> + Send,
    A: FnOnce(&mut T) + Send,
{
    fn run(&mut self, tx: Tx<'_>) -> bool {
        self.result = self.work.take().map(|work| work(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: bool) {
        let answer = match self.result {
            Some(Ok(mut done)) if committed => {
                (self.then)(&mut done);
                Ok(done)
            }
            Some(Err(error)) => Err(WriteError::Task(error)),
            Some(Ok(_)) | None => Err(WriteError::Ended),
        };
        // Whoever asked may have hung up: what was committed stays committed.
        let _ = self.answer.send(answer);
    }
}

/// The way to the writing thread; clones share it.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Box<dyn Task>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread; it ends when the last way to it is gone.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(conn: Connection) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, waiting) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || run(conn, &waiting))?;
        Ok((Self { queue }, thread))
    }

    /// Runs `work` in a transaction that other tasks may share; returns once it is durable.
    ///
    /// # Errors
    /// If the task, the store or the queue fails: nothing is stored then.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.write_then(work, |_done| ()).await
    }

    /// Writes as [`Writer::write`] does; `then` sees what was done, on the writer's thread, once it is durable and before
    /// anyone is answered. It must be quick.
    ///
    /// # Errors
    /// If the task, the store or the queue fails: nothing is stored then.
    pub async fn write_then<T, E, F, A>(&self, work: F, then: A) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(Tx<'_>) -> Result<T, E> + Send + 'static,
        A: FnOnce(&mut T) + Send + 'static,
    {
        self.queue(work, then)?.await.unwrap_or(Err(WriteError::Ended))
    }

    /// Writes as [`Writer::write`] does, from a thread that may block; never call it from an async one.
    ///
    /// # Errors
    /// If the task, the store or the queue fails: nothing is stored then.
    pub fn write_blocking<T, E, F>(&self, work: F) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.queue(work, |_done| ())?.blocking_recv().unwrap_or(Err(WriteError::Ended))
    }

    fn queue<T, E, F, A>(&self, work: F, then: A) -> Result<Answer<T, E>, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(Tx<'_>) -> Result<T, E> + Send + 'static,
        A: FnOnce(&mut T) + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        match self.queue.try_send(Box::new(Write { work: Some(work), then, result: None, answer })) {
            Ok(()) => Ok(done),
            Err(TrySendError::Full(_)) => Err(WriteError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(WriteError::Ended),
        }
    }
}

fn run(mut conn: Connection, waiting: &Receiver<Box<dyn Task>>) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        let is_committed = match run_group(&mut conn, waiting, &mut group) {
            Ok(()) => true,
            Err(error) => {
                log_failure(&error);
                false
            }
        };
        for task in group {
            task.answer(is_committed);
        }
    }
}

/// Runs the group and whatever joins it meanwhile, then commits.
fn run_group(
    conn: &mut Connection,
    waiting: &Receiver<Box<dyn Task>>,
    group: &mut Vec<Box<dyn Task>>,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut next = 0;
    while let Some(task) = group.get_mut(next) {
        let savepoint = transaction.savepoint()?;
        if task.run(Tx::new(&savepoint)) {
            savepoint.commit()?;
        } else {
            savepoint.finish()?;
        }
        next += 1;
        if group.len() < GROUP && begun.elapsed() < GROUP_TIME {
            group.extend(waiting.try_recv());
        }
    }
    Ok(transaction.commit()?)
}

/// Reports a failed commit without anything of what was to be stored.
fn log_failure(error: &StoreError) {
    eprintln!("tenun-server: a commit failed, its senders were told to try again: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open_writer;

    #[tokio::test]
    async fn a_task_that_fails_takes_none_of_its_group_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, thread) = Writer::start(open_writer(folder.path()).unwrap()).unwrap();
        // The first task holds the writer until the others wait behind it, so that they are one group.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let first = writer.write(move |tx: Tx<'_>| {
            held.recv().ok();
            tx.set_meta("first", "1")
        });
        let good = writer.write(|tx: Tx<'_>| tx.set_meta("good", "1"));
        let bad = writer.write(|tx: Tx<'_>| {
            tx.set_meta("bad", "1")?;
            Err::<(), _>(StoreError::Corrupt("on purpose"))
        });
        let last = writer.write(|tx: Tx<'_>| tx.set_meta("last", "1"));
        let all = async {
            let all = futures_util::future::join4(first, good, bad, last);
            let mut all = std::pin::pin!(all);
            // Polled once, all four are queued.
            let queued =
                std::future::poll_fn(|context| std::task::Poll::Ready(all.as_mut().poll(context).is_pending()));
            assert!(queued.await);
            release.send(()).unwrap();
            all.await
        };
        let (first, good, bad, last) = all.await;
        assert!(first.is_ok() && good.is_ok() && last.is_ok());
        assert!(matches!(bad, Err(WriteError::Task(StoreError::Corrupt("on purpose")))));
        drop(writer);
        thread.join().unwrap();
        let conn = open_writer(folder.path()).unwrap();
        let tx = Tx::new(&conn);
        let stored: Vec<bool> =
            ["first", "good", "bad", "last"].iter().map(|key| tx.meta(key).unwrap().is_some()).collect();
        assert_eq!(stored, [true, true, false, true]);
    }
}
