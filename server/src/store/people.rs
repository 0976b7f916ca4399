//! People and their devices: enumerators, one-time codes, tokens, accounts, sessions.
//!
//! Codes and tokens stand here as SHA-256 only; passwords as Argon2 strings.

use super::{StoreError, Tx};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use sync_protocol::{Hash, ReplicaId};

/// A device that holds a valid token.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number in the store.
    pub id: i64,
    /// Whose device it is.
    pub enumerator: String,
    /// That person's name.
    pub enumerator_name: String,
    /// It was revoked: its pushes go to escrow, and it pulls nothing.
    pub revoked: bool,
}

/// A coordinator's account.
#[derive(Clone, Debug)]
pub struct Account {
    /// The login, which also is the author of the coordinator's changes.
    pub name: String,
    /// The password as an Argon2 string.
    pub password: String,
}

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device { id: row.get(0)?, enumerator: row.get(1)?, enumerator_name: row.get(2)?, revoked: row.get(3)? })
}

impl Tx<'_> {
    /// The names of all enumerators, by code.
    ///
    /// # Errors
    /// If the store fails.
    pub fn enumerator_names(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT code, name FROM enumerator")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds an enumerator or gives them another name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_enumerator(&self, code: &str, name: &str) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO enumerator (code, name) VALUES (?1, ?2) ON CONFLICT (code) DO UPDATE SET name = excluded.name",
        )?;
        put.execute([code, name])?;
        Ok(())
    }

    /// Whether an enumerator is known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_enumerator(&self, code: &str) -> Result<bool, StoreError> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM enumerator WHERE code = ?1")?.exists([code])?)
    }

    /// Keeps a one-time code.
    ///
    /// # Errors
    /// If the store fails, or the enumerator is not known.
    pub fn insert_device_code(&self, code: Hash, enumerator: &str, expires_ms: i64) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("INSERT INTO device_code (hash, enumerator, expires_ms) VALUES (?1, ?2, ?3)")?;
        put.execute(params![code.0, enumerator, expires_ms])?;
        Ok(())
    }

    /// Uses a one-time code up: the enumerator's code, if it was good.
    ///
    /// # Errors
    /// If the store fails.
    pub fn use_device_code(&self, code: Hash, now_ms: i64) -> Result<Option<String>, StoreError> {
        let mut take = self.conn.prepare_cached(
            "UPDATE device_code SET used_ms = ?2 WHERE hash = ?1 AND used_ms IS NULL AND expires_ms > ?2
             RETURNING enumerator",
        )?;
        Ok(take.query_row(params![code.0, now_ms], |row| row.get(0)).optional()?)
    }

    /// Adds a device; its number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_device(&self, enumerator: &str, name: &str, token: Hash, now_ms: i64) -> Result<i64, StoreError> {
        let mut put = self
            .conn
            .prepare_cached("INSERT INTO device (enumerator, name, token, enrolled_ms) VALUES (?1, ?2, ?3, ?4)")?;
        Ok(put.insert(params![enumerator, name, token.0, now_ms])?)
    }

    /// Adds a device that is known by a restored server's own earlier word alone; its number. It has no token: what stands in its
    /// place is no hash, so nothing opens it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_absent_device(
        &self,
        enumerator: &str,
        name: &str,
        replica: ReplicaId,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let mut put = self
            .conn
            .prepare_cached("INSERT INTO device (enumerator, name, token, enrolled_ms) VALUES (?1, ?2, ?3, ?4)")?;
        Ok(put.insert(params![enumerator, name, replica.0, now_ms])?)
    }

    /// The enumerator of a device, if it is absent.
    ///
    /// # Errors
    /// If the store fails.
    pub fn absent_device(&self, device: i64) -> Result<Option<String>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT enumerator FROM device WHERE id = ?1 AND length(token) < 32")?;
        Ok(query.query_row([device], |row| row.get(0)).optional()?)
    }

    /// Whether a device is an enumerator's and was enrolled before the server was restored last.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_in_backup(&self, device: i64, enumerator: &str) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT 1 FROM device WHERE id = ?1 AND enumerator = ?2 AND length(token) = 32
             AND enrolled_ms <= (SELECT max(ended_ms) FROM epoch)",
        )?;
        Ok(query.exists(params![device, enumerator])?)
    }

    /// Gives an absent device that has come back its token. Whoever gave the code out knew of it, if it was revoked.
    ///
    /// # Errors
    /// If the store fails.
    pub fn enrol_absent_device(&self, device: i64, name: &str, token: Hash, now_ms: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE device SET name = ?2, token = ?3, enrolled_ms = ?4, revoked_ms = NULL WHERE id = ?1",
        )?;
        put.execute(params![device, name, token.0, now_ms])?;
        Ok(())
    }

    /// The device that holds a token.
    ///
    /// # Errors
    /// If the store fails.
    pub fn device_by_token(&self, token: Hash) -> Result<Option<Device>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT device.id, enumerator, enumerator.name, revoked_ms IS NOT NULL
             FROM device JOIN enumerator ON enumerator.code = device.enumerator WHERE token = ?1",
        )?;
        Ok(query.query_row([token.0], device).optional()?)
    }

    /// Notes what a device told in a sync.
    ///
    /// # Errors
    /// If the store fails.
    pub fn device_seen(
        &self,
        device: i64,
        now_ms: i64,
        skew_ms: i64,
        app: &str,
        unsent: u64,
    ) -> Result<(), StoreError> {
        let mut put = self
            .conn
            .prepare_cached("UPDATE device SET seen_ms = ?2, skew_ms = ?3, app = ?4, unsent = ?5 WHERE id = ?1")?;
        put.execute(params![device, now_ms, skew_ms, app, unsent])?;
        Ok(())
    }

    /// Whether a device was revoked.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_revoked(&self, device: i64) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM device WHERE id = ?1 AND revoked_ms IS NOT NULL")?;
        Ok(query.exists([device])?)
    }

    /// Revokes a device; false if there is none of that number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn revoke_device(&self, device: i64, now_ms: i64) -> Result<bool, StoreError> {
        let mut put =
            self.conn.prepare_cached("UPDATE device SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1")?;
        Ok(put.execute(params![device, now_ms])? == 1)
    }

    /// Adds a coordinator or sets a new password.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_account(&self, account: &Account, now_ms: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO account (name, password, created_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET password = excluded.password",
        )?;
        put.execute(params![account.name, account.password, now_ms])?;
        self.conn.prepare_cached("DELETE FROM session WHERE account = ?1")?.execute([&account.name])?;
        Ok(())
    }

    /// A coordinator's account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT name, password FROM account WHERE name = ?1")?;
        let row = query.query_row([name], |row| Ok(Account { name: row.get(0)?, password: row.get(1)? }));
        Ok(row.optional()?)
    }

    /// Begins a session, and forgets those that are over.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_session(&self, token: Hash, account: &str, now_ms: i64, expires_ms: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM session WHERE expires_ms < ?1")?.execute([now_ms])?;
        let mut put =
            self.conn.prepare_cached("INSERT INTO session (token, account, expires_ms) VALUES (?1, ?2, ?3)")?;
        put.execute(params![token.0, account, expires_ms])?;
        Ok(())
    }

    /// Whose session a token is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn session(&self, token: Hash, now_ms: i64) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT account FROM session WHERE token = ?1 AND expires_ms > ?2")?;
        Ok(query.query_row(params![token.0, now_ms], |row| row.get(0)).optional()?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the store fails.
    pub fn delete_session(&self, token: Hash) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM session WHERE token = ?1")?.execute([token.0])?;
        Ok(())
    }
}
