//! The SQL of the server: nothing outside this module knows any.
//!
//! [`Tx`] is one transaction, for reading or writing; its methods are grouped by what they are about:
//! `attachments`, `log` (changes, replicas, stamps), `records` (what is derived, buckets), `people` (enumerators, devices,
//! accounts), `assignments` (who works where), `backups` (copies, epochs), `hubs` (passes, carriers), `catalogue` (areas, questionnaires),
//! `lists` (what pages and exports read), `review` (decisions about interviews), `validation` (its queue).

mod assignments;
mod attachments;
mod backups;
mod batches;
mod catalogue;
mod hubs;
mod lists;
mod log;
mod migrations;
mod people;
mod records;
mod review;
mod validation;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::path::Path;

pub use assignments::{Assigned, Seen, TeamDevice};
pub use attachments::AttachmentRow;
pub use backups::{BackupRow, LogEnd, copy, file, open_copy};
pub use batches::Unseen;
pub use catalogue::{AreaRow, QuestionnaireRow};
pub use hubs::Bearer;
pub use lists::{BranchRow, ChangeSource, DeviceRow, ProgressBy, ProgressRow, QuarantineRow, RecordFilter, RecordRow};
pub use log::{BranchChange, ChangeInsert, ChangeRow, ChangeState, NewChange, ReplicaRow, StampRow};
pub use people::{Account, Device};
pub use records::{Asks, Derived, Pulled, RecordKey};
pub use review::{ReturnedRow, ReviewEvent, ReviewRow, Worker};
pub use validation::Waiting;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite failed. Its text may hold data: log the code alone.
    #[error("the database failed ({})", code(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A newer program wrote the database.
    #[error("the database has schema {found}, this program knows {known}: install the newer program")]
    NewerSchema {
        /// The schema found.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// The SQLite that is linked could lose commits.
    #[error("SQLite {0} is too old to be safe: build with the bundled one")]
    OldSqlite(String),
    /// A restore was broken off.
    #[error("a restore into this data directory did not finish: run the restore again")]
    UnfinishedRestore,
    /// Something stored is not what was written.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(&'static str),
}

fn code(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(error) => format!("{:?}, extended code {}", error.code, error.extended_code),
        None => "not SQLite's own error".to_owned(),
    }
}

/// The name of the database in the data directory.
pub const FILE: &str = "tenun.sqlite";

/// The name that a copy has while it is brought back: as long as it is there, nothing else may begin.
pub const RESTORING: &str = "restoring.sqlite";

/// Opens the database for writing; makes it if it is not there, and brings its schema up to date.
///
/// # Errors
/// If the file can't be opened or a newer program wrote it.
pub fn open_writer(data: &Path) -> Result<Connection, StoreError> {
    if data.join(RESTORING).exists() {
        return Err(StoreError::UnfinishedRestore);
    }
    open_file(&data.join(FILE))
}

/// Opens a database by its file, as [`open_writer`] does.
///
/// # Errors
/// If the file can't be opened or a newer program wrote it.
pub fn open_file(file: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open(file)?;
    conn.busy_timeout(std::time::Duration::from_secs(30))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    keep_prepared(&conn)?;
    migrations::run(&mut conn)?;
    Ok(conn)
}

/// Folds the journal into the file and closes it, so that it can be moved.
///
/// # Errors
/// If it can't be written.
pub fn close_into_one_file(conn: Connection) -> Result<(), StoreError> {
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.close().map_err(|(_, error)| error.into())
}

/// Opens the database for reading alone.
///
/// # Errors
/// If the file can't be opened.
pub fn open_reader(data: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(data.join(FILE), flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(30))?;
    conn.pragma_update(None, "cache_size", -4096)?;
    keep_prepared(&conn)?;
    Ok(conn)
}

/// Has each statement prepared once. Without that promise of one plan for all values SQLite prepares a statement again for each value that it
/// compares with the condition of a partial index.
fn keep_prepared(conn: &Connection) -> Result<(), StoreError> {
    conn.set_prepared_statement_cache_capacity(128);
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Runs `work` in one transaction of its own: for commands that run beside a server or without one.
///
/// # Errors
/// What `work` fails with; nothing is stored then.
pub fn in_transaction<T, E: From<StoreError>>(
    conn: &mut Connection,
    work: impl FnOnce(Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
    let result = work(Tx::new(&transaction))?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(result)
}

/// Runs `look` on a snapshot: it holds up nobody who writes, however long it takes.
///
/// # Errors
/// What `look` fails with.
pub fn in_snapshot<T, E: From<StoreError>>(
    conn: &mut Connection,
    look: impl FnOnce(Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Deferred).map_err(StoreError::from)?;
    look(Tx::new(&transaction))
}

/// One transaction, whoever began it.
#[derive(Clone, Copy, Debug)]
pub struct Tx<'a> {
    conn: &'a Connection,
}

impl<'a> Tx<'a> {
    /// Speaks for a connection that is in a transaction.
    #[must_use]
    pub fn new(conn: &'a Connection) -> Self {
        Self { conn }
    }

    /// A setting of the server.
    ///
    /// # Errors
    /// If the store fails.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Sets a setting of the server.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
        put.execute([key, value])?;
        Ok(())
    }
}
