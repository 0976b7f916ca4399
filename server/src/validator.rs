//! The thread that validates: woken after a commit, it works off the interviews that changed, and never makes an upload wait.
//!
//! The queue is a flag on the record, set in the transaction that changed it, so a server that dies loses nothing of it.
//! What ingest merged is handed over besides, as far as there is room, so that it need not be read and merged again.
//! Only the small counts go through the writer, behind whoever waits there.

use crate::{
    domain::{
        catalogue::Latest,
        validate::{Looked, Merged, look, look_at, settle},
    },
    readers::Readers,
    store::{StoreError, Waiting},
    writer::{WriteError, Writer},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// Most answers that are handed over and not looked at yet, some 200 bytes each; what comes on top is read again later.
/// Twice as many saved a tenth of the server's CPU while 200 devices brought 100 interviews each, and took 10 MiB more.
const HANDED: u64 = 16 << 10;
/// Most interviews that are looked at before their figures are stored.
const GROUP: usize = 64;

/// Tells the thread that there may be something to do; rung often, it is heard once. Clones share it.
#[derive(Clone, Debug, Default)]
struct Bell(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Debug, Default)]
struct Heard {
    rung: bool,
    ended: bool,
    handed: VecDeque<Merged>,
    /// Answers in what was handed over.
    answers: u64,
}

impl Bell {
    fn tell<T>(&self, what: impl FnOnce(&mut Heard) -> T) -> T {
        let told = what(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_one();
        told
    }

    /// Waits until it rings; false once the server ends.
    fn wait(&self) -> bool {
        let heard = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = self.0.1.wait_while(heard, |heard| !heard.rung && !heard.ended);
        let mut heard = heard.unwrap_or_else(PoisonError::into_inner);
        heard.rung = false;
        !heard.ended
    }

    fn is_ended(&self) -> bool {
        self.tell(|heard| heard.ended)
    }

    /// Takes some of what was handed over, the oldest first.
    fn take(&self) -> Vec<Merged> {
        self.tell(|heard| {
            let group: Vec<Merged> = heard.handed.drain(..heard.handed.len().min(GROUP)).collect();
            heard.answers -= group.iter().map(Merged::weight).sum::<u64>();
            group
        })
    }
}

/// The running thread; it ends, after the page at hand, when this is dropped.
#[derive(Debug)]
pub struct Validator {
    bell: Bell,
}

impl Validator {
    /// Starts the thread, which looks at once for what waits since the last life of the server.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(readers: Readers, writer: Writer, catalogue: Latest) -> std::io::Result<Self> {
        let bell = Bell::default();
        let worker = Worker { bell: bell.clone(), readers, writer, catalogue, failed: BTreeSet::new() };
        std::thread::Builder::new().name("validator".into()).spawn(move || worker.run())?;
        let validator = Self { bell };
        validator.wake();
        Ok(validator)
    }

    /// Has the thread look at what waits: something was committed.
    pub fn wake(&self) {
        self.bell.tell(|heard| heard.rung = true);
    }

    /// Takes over what was merged in a transaction that is committed; what there is no room for is found in the queue.
    pub fn hand_over(&self, merged: Vec<Merged>) {
        self.bell.tell(|heard| {
            heard.rung = true;
            for one in merged {
                if heard.answers >= HANDED {
                    break;
                }
                heard.answers += one.weight();
                heard.handed.push_back(one);
            }
        });
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.bell.tell(|heard| heard.ended = true);
    }
}

struct Worker {
    bell: Bell,
    readers: Readers,
    writer: Writer,
    catalogue: Latest,
    /// What could not be evaluated, as it was then: told once.
    failed: BTreeSet<Waiting>,
}

impl Worker {
    fn run(mut self) {
        while self.bell.wait() {
            if let Err(error) = self.drain() {
                // What waits goes on waiting: the next commit wakes the thread again.
                eprintln!("tenun-server: validation stopped for now: {error}");
            }
        }
    }

    /// Works the queue off once, page by page; what is handed over meanwhile goes first.
    fn drain(&mut self) -> Result<(), WriteError<StoreError>> {
        self.drain_handed()?;
        let mut after = 0;
        while !self.bell.is_ended() {
            let looked =
                self.readers.read(|tx| look(tx, &*self.catalogue.at(tx)?, after)).map_err(WriteError::Store)?;
            let Some(last) = looked.last else { break };
            after = last;
            self.settle(looked)?;
            self.drain_handed()?;
        }
        Ok(())
    }

    fn drain_handed(&mut self) -> Result<(), WriteError<StoreError>> {
        loop {
            let merged = self.bell.take();
            if merged.is_empty() {
                return Ok(());
            }
            let catalogue = self.readers.read(|tx| self.catalogue.at(tx)).map_err(WriteError::Store)?;
            self.settle(look_at(&merged, &catalogue))?;
        }
    }

    fn settle(&mut self, looked: Looked) -> Result<(), WriteError<StoreError>> {
        for waiting in looked.failed {
            if self.failed.insert(waiting) {
                eprintln!("tenun-server: record number {} can't be validated", waiting.record);
            }
        }
        if looked.counted.is_empty() {
            return Ok(());
        }
        self.writer.write_blocking(move |tx| settle(tx, &looked.counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open_writer;

    #[test]
    fn both_threads_end_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, thread) = Writer::start(open_writer(folder.path()).unwrap()).unwrap();
        let readers = Readers::new(folder.path().to_owned());
        let validator = Validator::start(readers, writer.clone(), Latest::default()).unwrap();
        drop(writer);
        drop(validator);
        thread.join().unwrap();
    }
}
