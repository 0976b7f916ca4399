//! Readers: a few connections that look at snapshots, while the writer writes.

use crate::store::{self, StoreError, Tx};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Connections kept open.
const KEPT: usize = 4;

/// A pool of reading connections; clones share it.
#[derive(Clone, Debug)]
pub struct Readers {
    data: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Makes a pool for the database in a data directory.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        Self { data, idle: Arc::default() }
    }

    /// Runs `look` on one snapshot. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// If the store or `look` fails.
    pub fn read<T, E: From<StoreError>>(&self, look: impl FnOnce(Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => store::open_reader(&self.data)?,
        };
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Deferred).map_err(StoreError::from)?;
        let result = look(Tx::new(&transaction));
        transaction.finish().map_err(StoreError::from)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(conn);
        }
        result
    }
}
