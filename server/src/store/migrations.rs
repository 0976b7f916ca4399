//! The server's schema, by numbered steps; steps are only ever added.

use super::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// The least SQLite: before it, a race in resetting the WAL could lose commits.
const LEAST_SQLITE: i32 = 3_051_003;

/// Step `n` (from 0) brings the schema from version `n` to `n + 1`.
const STEPS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_validation.sql"),
    include_str!("schema/0003_backups.sql"),
    include_str!("schema/0004_said_again.sql"),
    include_str!("schema/0005_scope.sql"),
    include_str!("schema/0006_carried.sql"),
    include_str!("schema/0007_links.sql"),
    include_str!("schema/0008_attachments.sql"),
    include_str!("schema/0009_backed_up.sql"),
    include_str!("schema/0010_review.sql"),
    include_str!("schema/0011_hubs.sql"),
    include_str!("schema/0012_returned.sql"),
    include_str!("schema/0013_said_before.sql"),
    include_str!("schema/0014_lost.sql"),
];

/// Checks that this program can read a database that it may not change.
pub(super) fn check(conn: &Connection) -> Result<(), StoreError> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => Err(StoreError::Corrupt("it is no database of this program")),
        found if found > known => Err(StoreError::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

/// Brings a database to this program's schema, each step in a transaction of its own.
pub(super) fn run(conn: &mut Connection) -> Result<(), StoreError> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(StoreError::OldSqlite(rusqlite::version().to_owned()));
    }
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    for (version, step) in (1_u32..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}
