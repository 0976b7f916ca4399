//! The thread that validates: after each commit it works off the records that changed, and never makes an upload wait.
//!
//! The queue is a flag on the record, set in the transaction that changed it, so a server that dies loses nothing of it.
//! Records are looked at on readers' snapshots; only the small counts go through the writer, behind whoever waits there.

use crate::{
    domain::{
        catalogue::Latest,
        validate::{Looked, look, settle},
    },
    readers::Readers,
    store::{StoreError, Waiting},
    writer::{WriteError, Writer},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// Tells the thread that there may be something to do; rung often, it is heard once. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Debug, Default)]
struct Heard {
    rung: bool,
    ended: bool,
}

impl Bell {
    /// Says that something was committed.
    pub fn ring(&self) {
        self.tell(|heard| heard.rung = true);
    }

    fn end(&self) {
        self.tell(|heard| heard.ended = true);
    }

    fn tell(&self, what: impl FnOnce(&mut Heard)) {
        what(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_one();
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
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).ended
    }
}

/// The running thread; it ends, at the next record, when this is dropped.
#[derive(Debug)]
pub struct Validator {
    bell: Bell,
}

impl Validator {
    /// Starts the thread, which looks at once for what waits since the last life of the server.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(bell: Bell, readers: Readers, writer: Writer, catalogue: Latest) -> std::io::Result<Self> {
        let worker = Worker { bell: bell.clone(), readers, writer, catalogue, failed: BTreeSet::new() };
        bell.ring();
        std::thread::Builder::new().name("validator".into()).spawn(move || worker.run())?;
        Ok(Self { bell })
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.bell.end();
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
                // What waits goes on waiting: the next commit rings again.
                eprintln!("tenun-server: validation stopped for now: {error}");
            }
        }
    }

    /// Works the queue off once, page by page.
    fn drain(&mut self) -> Result<(), WriteError<StoreError>> {
        let mut after = 0;
        while !self.bell.is_ended() {
            let look = self.readers.read(|tx| look(tx, &*self.catalogue.at(tx)?, after));
            let Looked { counted, failed, last } = look.map_err(WriteError::Store)?;
            let Some(last) = last else { return Ok(()) };
            after = last;
            for waiting in failed {
                if self.failed.insert(waiting) {
                    eprintln!("tenun-server: record number {} can't be validated", waiting.record);
                }
            }
            if !counted.is_empty() {
                self.writer.write_blocking(move |tx| settle(tx, &counted))?;
            }
        }
        Ok(())
    }
}
