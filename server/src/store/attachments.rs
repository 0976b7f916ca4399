//! Attachments: whose bytes are here, which records name them, which devices have them.

use super::{Device, StoreError, Tx};
use rusqlite::{OptionalExtension, params};
use sync_protocol::{Hash, ReplicaId};

/// The setting that counts deleted orphans.
const SWEPT: &str = "attachments_swept";

/// An attachment whose bytes are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachmentRow {
    /// SHA-256 of its bytes.
    pub hash: Hash,
    /// How many bytes.
    pub size: u64,
}

impl Tx<'_> {
    /// Notes that an applied change of a record names an attachment, by whose word: that of the device of the replica that
    /// authored it, else that of the device whose branch held it under this hash.
    ///
    /// # Errors
    /// If the store fails.
    pub fn name_attachment(
        &self,
        hash: Hash,
        record: i64,
        author: ReplicaId,
        branch: Option<Hash>,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO attachment_name (hash, record, device)
             VALUES (?1, ?2, coalesce(
                (SELECT device FROM replica WHERE uuid = ?3),
                (SELECT device FROM branch JOIN replica ON replica.id = branch.replica WHERE branch.hash = ?4),
                0)) ON CONFLICT DO NOTHING",
        )?;
        put.execute(params![hash.0, record, author.0, branch.map(|hash| hash.0)])?;
        Ok(())
    }

    /// An attachment whose bytes are here.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachment(&self, hash: Hash) -> Result<Option<AttachmentRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT size FROM attachment WHERE hash = ?1")?;
        Ok(query.query_row([hash.0], |row| Ok(AttachmentRow { hash, size: row.get(0)? })).optional()?)
    }

    /// Whether the store is of a program that knew attachments: an older copy does not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn knows_attachments(&self) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'attachment'")?;
        Ok(query.exists([])?)
    }

    /// Attachments whose bytes are here, by hash: those after one, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachments(&self, after: Option<Hash>, limit: usize) -> Result<Vec<AttachmentRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT hash, size FROM attachment WHERE hash > ?1 ORDER BY hash LIMIT ?2")?;
        let after = after.map(|hash| hash.0.to_vec()).unwrap_or_default();
        let rows = query
            .query_map(params![after, limit], |row| Ok(AttachmentRow { hash: Hash(row.get(0)?), size: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Lists an attachment whose bytes are in their place, and who proved to have them; false while a sweep is about to
    /// delete what had the same name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_attachment(&self, row: AttachmentRow, device: Option<i64>, now_ms: i64) -> Result<bool, StoreError> {
        let AttachmentRow { hash, size } = row;
        if self.conn.prepare_cached("SELECT 1 FROM attachment_sweep WHERE hash = ?1")?.exists([hash.0])? {
            return Ok(false);
        }
        let mut put = self.conn.prepare_cached(
            "INSERT INTO attachment (hash, size, stored_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (hash) DO UPDATE SET stored_ms = excluded.stored_ms",
        )?;
        put.execute(params![hash.0, size, now_ms])?;
        if let Some(device) = device {
            let mut hold = self.conn.prepare_cached(
                "INSERT INTO attachment_holder (hash, device, since_ms) VALUES (?1, ?2, ?3)
                 ON CONFLICT (hash, device) DO UPDATE SET since_ms = excluded.since_ms",
            )?;
            hold.execute(params![hash.0, device, now_ms])?;
        }
        self.conn.prepare_cached("DELETE FROM attachment_refusal WHERE hash = ?1")?.execute([hash.0])?;
        self.conn.prepare_cached("DELETE FROM attachment_loss WHERE hash = ?1")?.execute([hash.0])?;
        Ok(true)
    }

    /// Whether a device may see an attachment: it has sent it, or a record of its areas names it by the word of an enumerator
    /// who has it, on this phone or another. A hash alone opens nothing: whoever writes it into a record of their own must have the bytes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn may_see_attachment(&self, device: &Device, hash: Hash) -> Result<bool, StoreError> {
        if device.revoked {
            return Ok(false);
        }
        let mut query = self.conn.prepare_cached(
            "WITH RECURSIVE led (id, code) AS (
                SELECT area.id, area.code FROM lead JOIN area ON area.id = lead.area WHERE enumerator = ?3
                UNION SELECT area.id, area.code FROM led JOIN area ON area.parent = led.code)
             SELECT 1 FROM attachment_holder WHERE hash = ?1 AND device = ?2
             UNION ALL
             SELECT 1 FROM attachment_name AS name JOIN record ON record.id = name.record
             JOIN placement ON placement.record = record.household
             WHERE name.hash = ?1
             AND placement.area IN (SELECT area FROM assignment WHERE enumerator = ?3 UNION SELECT id FROM led)
             AND EXISTS (SELECT 1 FROM attachment_holder AS holder
                JOIN device AS has ON has.id = holder.device JOIN device AS names ON names.id = name.device
                WHERE holder.hash = name.hash AND has.enumerator = names.enumerator) LIMIT 1",
        )?;
        Ok(query.exists(params![hash.0, device.id, device.enumerator])?)
    }

    /// Whether an applied change of a device names an attachment.
    ///
    /// # Errors
    /// If the store fails.
    pub fn names_attachment(&self, device: i64, hash: Hash) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM attachment_name WHERE hash = ?1 AND device = ?2")?;
        Ok(query.exists(params![hash.0, device])?)
    }

    /// Whether an applied change of a record names an attachment.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_attachment_of(&self, hash: Hash, record: i64) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM attachment_name WHERE hash = ?1 AND record = ?2")?;
        Ok(query.exists(params![hash.0, record])?)
    }

    /// Notes that an attachment was offered and not taken, if a record names it by the word of the device that offered it: no
    /// device says of others' photos that they don't come, nor of what no record asks for.
    ///
    /// # Errors
    /// If the store fails.
    pub fn refuse_attachment(&self, hash: Hash, device: i64, code: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO attachment_refusal (hash, code, told_ms) SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM attachment WHERE hash = ?1)
             AND EXISTS (SELECT 1 FROM attachment_name WHERE hash = ?1 AND device = ?4)",
        )?;
        put.execute(params![hash.0, code, now_ms, device])?;
        Ok(())
    }

    /// Why an attachment was not taken, if it was offered.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachment_refusal(&self, hash: Hash) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT code FROM attachment_refusal WHERE hash = ?1")?;
        Ok(query.query_row([hash.0], |row| row.get(0)).optional()?)
    }

    /// Notes that a device has lost the bytes of an attachment; false where no record that counts names them by the word of that
    /// device. Whether they are here it does not learn by this.
    ///
    /// # Errors
    /// If the store fails.
    pub fn lose_attachment(&self, hash: Hash, device: i64, now_ms: i64) -> Result<bool, StoreError> {
        if !self.names_attachment(device, hash)? {
            return Ok(false);
        }
        let mut put = self
            .conn
            .prepare_cached("INSERT OR REPLACE INTO attachment_loss (hash, device, told_ms) VALUES (?1, ?2, ?3)")?;
        put.execute(params![hash.0, device, now_ms])?;
        Ok(true)
    }

    /// Whether all devices by whose word records name an attachment have lost its bytes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_attachment_lost(&self, hash: Hash) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM attachment_loss WHERE hash = ?1) AND NOT EXISTS (
                SELECT 1 FROM attachment_name AS name LEFT JOIN attachment_loss AS loss
                ON loss.hash = name.hash AND loss.device = name.device
                WHERE name.hash = ?1 AND name.device <> 0 AND loss.device IS NULL)",
        )?;
        Ok(query.exists([hash.0])?)
    }

    /// What may be an orphan: named by no applied change, and all who have it have synced with nothing left to send when it had
    /// been here for `keep_ms` and longer, so that what they saved meanwhile has come. Where nobody is known to have it, that is
    /// asked of every device.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachment_orphans(&self, now_ms: i64, keep_ms: i64) -> Result<Vec<AttachmentRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT hash, size FROM attachment WHERE stored_ms < ?1 - ?2
             AND NOT EXISTS (SELECT 1 FROM attachment_name AS name WHERE name.hash = attachment.hash)
             AND NOT EXISTS (
                SELECT 1 FROM device LEFT JOIN attachment_holder AS holder
                ON holder.device = device.id AND holder.hash = attachment.hash
                WHERE (holder.device IS NOT NULL OR NOT EXISTS (
                    SELECT 1 FROM attachment_holder AS other WHERE other.hash = attachment.hash))
                AND (device.unsent > 0
                    OR coalesce(device.seen_ms, 0) - ?2 <= max(attachment.stored_ms, coalesce(holder.since_ms, 0))))
             ORDER BY hash",
        )?;
        let rows = query
            .query_map([now_ms, keep_ms], |row| Ok(AttachmentRow { hash: Hash(row.get(0)?), size: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Shows the bytes of every change that is kept anywhere: applied, quarantined, in escrow or superseded, of these the ones
    /// after a number; parked ones and those of branches. Gives the number of the last change.
    ///
    /// # Errors
    /// If the store fails.
    pub fn each_kept_body(&self, after: i64, mut look: impl FnMut(&[u8])) -> Result<i64, StoreError> {
        let mut last = after;
        let mut query = self.conn.prepare("SELECT id, bytes FROM change WHERE id > ?1 ORDER BY id")?;
        let mut rows = query.query([after])?;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            look(row.get_ref(1)?.as_blob().unwrap_or_default());
        }
        for query in ["SELECT bytes FROM branch", "SELECT body FROM parked"] {
            let mut query = self.conn.prepare(query)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                look(row.get_ref(0)?.as_blob().unwrap_or_default());
            }
        }
        Ok(last)
    }

    /// Takes an attachment off the list.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_attachment(&self, hash: Hash) -> Result<(), StoreError> {
        self.conn.execute("DELETE FROM attachment WHERE hash = ?1", [hash.0])?;
        self.conn.execute("DELETE FROM attachment_holder WHERE hash = ?1", [hash.0])?;
        Ok(())
    }

    /// Takes an orphan off the list; its bytes are to be deleted next.
    ///
    /// # Errors
    /// If the store fails.
    pub fn begin_attachment_sweep(&self, hash: Hash) -> Result<(), StoreError> {
        self.forget_attachment(hash)?;
        self.conn.execute("INSERT OR IGNORE INTO attachment_sweep (hash) VALUES (?1)", [hash.0])?;
        Ok(())
    }

    /// What a sweep took off the list and did not delete yet, also one that was broken off.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachments_swept(&self) -> Result<Vec<Hash>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT hash FROM attachment_sweep ORDER BY hash")?;
        let rows = query.query_map([], |row| Ok(Hash(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The bytes of an orphan are gone.
    ///
    /// # Errors
    /// If the store fails.
    pub fn end_attachment_sweep(&self, hash: Hash) -> Result<(), StoreError> {
        self.conn.execute("DELETE FROM attachment_sweep WHERE hash = ?1", [hash.0])?;
        self.set_meta(SWEPT, &self.attachments_ever_swept()?.saturating_add(1).to_string())
    }

    /// How many orphans were ever deleted: as long as it stays, what was put in its place is there.
    ///
    /// # Errors
    /// If the store fails.
    pub fn attachments_ever_swept(&self) -> Result<u64, StoreError> {
        Ok(self.meta(SWEPT)?.and_then(|count| count.parse().ok()).unwrap_or(0))
    }
}
