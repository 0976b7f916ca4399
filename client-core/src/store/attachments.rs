//! What the device knows of attachments: which records name them, what is sent, what is here.

use super::{Error, Tx, to_hash};
use rusqlite::{OptionalExtension, Row, params};
use sync_protocol::{Attachment, Hash, RecordId};

/// Whose an attachment is, by how this device came to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Somebody else named it.
    Others,
    /// It was taken in here, and no save names it yet.
    Taken,
    /// A save of this device names it: this device sends it.
    Own,
}

/// Stands in a refusal's place where the bytes are lost here and the server was told.
pub(crate) const LOST: &str = "lost";

/// One attachment that some record names, or that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachmentRow {
    pub(crate) named: Attachment,
    /// A change of this device names it: this device sends it.
    pub(crate) own: bool,
    /// The server has all of it.
    pub(crate) sent: bool,
    /// The address of an upload under way; empty where one may have begun whose address did not come back, or where the server
    /// may have the bytes.
    pub(crate) upload: Option<String>,
    /// Why the server does not take it, or [`LOST`].
    pub(crate) refused: Option<String>,
    /// 0: not asked for with success; 1: here; 2: there is none.
    pub(crate) thumbnail: u8,
}

const ATTACHMENT: &str =
    "SELECT hash, size, type, name, own = 2, sent_ms IS NOT NULL, upload, refused, thumbnail FROM attachment";

fn attachment_row(row: &Row<'_>) -> rusqlite::Result<AttachmentRow> {
    Ok(AttachmentRow {
        named: Attachment { hash: Hash(row.get(0)?), size: row.get(1)?, media: row.get(2)?, name: row.get(3)? },
        own: row.get(4)?,
        sent: row.get(5)?,
        upload: row.get(6)?,
        refused: row.get(7)?,
        thumbnail: row.get(8)?,
    })
}

impl Tx<'_> {
    /// Notes an attachment that was taken in or that a change names. What is taken in anew is offered anew.
    pub(crate) fn note_attachment(&self, named: &Attachment, by: Whose) -> Result<(), Error> {
        let mut put = self.tx.prepare_cached(
            "INSERT INTO attachment (hash, size, type, name, own) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (hash) DO UPDATE SET own = max(own, excluded.own)",
        )?;
        if by == Whose::Taken {
            // Others may have called it something else, and have sent it, or not.
            let mut anew = self.tx.prepare_cached(
                "UPDATE attachment SET size = ?2, type = ?3, name = ?4, sent_ms = NULL, upload = '', refused = NULL
                 WHERE hash = ?1",
            )?;
            anew.execute(params![named.hash.0, named.size, named.media, named.name])?;
        }
        let own = match by {
            Whose::Others => 0,
            Whose::Taken => 1,
            Whose::Own => 2,
        };
        put.execute(params![named.hash.0, named.size, named.media, named.name, own])?;
        Ok(())
    }

    /// Notes that a record names an attachment.
    pub(crate) fn use_attachment(&self, hash: Hash, record: RecordId) -> Result<(), Error> {
        let mut put = self
            .tx
            .prepare_cached("INSERT INTO attachment_use (hash, record) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        put.execute(params![hash.0, record.0])?;
        Ok(())
    }

    pub(crate) fn attachment(&self, hash: Hash) -> Result<Option<AttachmentRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!("{ATTACHMENT} WHERE hash = ?1"))?;
        Ok(query.query_row([hash.0], attachment_row).optional()?)
    }

    /// Whether a record names an attachment in one of its changes here.
    pub(crate) fn is_attachment_of(&self, hash: Hash, record: RecordId) -> Result<bool, Error> {
        let mut query = self.tx.prepare_cached("SELECT 1 FROM attachment_use WHERE hash = ?1 AND record = ?2")?;
        Ok(query.exists(params![hash.0, record.0])?)
    }

    /// Every attachment that a record names, with the record.
    pub(crate) fn attachments(&self) -> Result<Vec<(RecordId, AttachmentRow)>, Error> {
        let mut query = self.tx.prepare_cached("SELECT record, hash FROM attachment_use ORDER BY record, hash")?;
        let uses = query.query_map([], |row| Ok((RecordId(row.get(0)?), row.get::<_, Vec<u8>>(1)?)))?;
        let mut found = Vec::new();
        for named in uses {
            let (record, hash) = named?;
            found.extend(self.attachment(to_hash(&hash)?)?.map(|row| (record, row)));
        }
        Ok(found)
    }

    /// Whether an attachment was taken in here, and no save of this device names it yet.
    pub(crate) fn is_taken(&self, hash: Hash) -> Result<bool, Error> {
        let mut query = self.tx.prepare_cached("SELECT 1 FROM attachment WHERE hash = ?1 AND own = 1")?;
        Ok(query.exists([hash.0])?)
    }

    /// What this device is to send, the smallest first; what failed by itself after all others, the latest last. Also what it has
    /// lost, which may be back.
    pub(crate) fn attachments_to_send(&self) -> Result<Vec<AttachmentRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!(
            "{ATTACHMENT} WHERE (own = 2 OR (own = 0 AND (thumbnail <> 1 OR upload = '')))
             AND sent_ms IS NULL AND (refused IS NULL OR refused = ?1)
             ORDER BY coalesce(asked_ms, 0), size, hash"
        ))?;
        Ok(query.query_map([LOST], attachment_row)?.collect::<Result<_, _>>()?)
    }

    /// How many files of own saves the server has not got, but for those that are known to be lost.
    pub(crate) fn files_unsent(&self) -> Result<u64, Error> {
        let query = "SELECT count(*) FROM attachment WHERE own = 2 AND sent_ms IS NULL AND refused IS NULL";
        Ok(self.tx.query_row(query, [], |row| row.get(0))?)
    }

    /// Others' attachments that no record here names any more.
    pub(crate) fn attachments_dropped(&self) -> Result<Vec<AttachmentRow>, Error> {
        let mut query = self
            .tx
            .prepare_cached(&format!("{ATTACHMENT} WHERE own = 0 AND hash NOT IN (SELECT hash FROM attachment_use)"))?;
        Ok(query.query_map([], attachment_row)?.collect::<Result<_, _>>()?)
    }

    /// Takes one of these off the list; its files are gone.
    pub(crate) fn drop_attachment(&self, hash: Hash) -> Result<(), Error> {
        // A record that came meanwhile may name it: then it is listed, and fetched again.
        self.tx.execute(
            "DELETE FROM attachment WHERE hash = ?1 AND own = 0 AND hash NOT IN (SELECT hash FROM attachment_use)",
            [hash.0],
        )?;
        self.tx.execute("UPDATE attachment SET thumbnail = 0 WHERE hash = ?1 AND thumbnail = 1", [hash.0])?;
        Ok(())
    }

    /// Pictures of others whose thumbnail is still to be had, those first that were not asked for, or longest ago.
    pub(crate) fn thumbnails_to_fetch(&self, most: usize) -> Result<Vec<AttachmentRow>, Error> {
        let mut query = self.tx.prepare_cached(&format!(
            "{ATTACHMENT} WHERE own = 0 AND thumbnail = 0 AND type IN ('image/jpeg', 'image/png', 'image/webp')
             AND hash IN (SELECT hash FROM attachment_use) ORDER BY coalesce(asked_ms, 0), hash LIMIT ?1"
        ))?;
        Ok(query.query_map([most], attachment_row)?.collect::<Result<_, _>>()?)
    }

    /// Notes when an attachment was asked for, or its sending failed.
    pub(crate) fn set_asked(&self, hash: Hash, now_ms: i64) -> Result<(), Error> {
        self.tx.execute("UPDATE attachment SET asked_ms = ?2 WHERE hash = ?1", params![hash.0, now_ms])?;
        Ok(())
    }

    pub(crate) fn set_thumbnail(&self, hash: Hash, thumbnail: u8) -> Result<(), Error> {
        self.tx.execute("UPDATE attachment SET thumbnail = ?2 WHERE hash = ?1", params![hash.0, thumbnail])?;
        Ok(())
    }

    pub(crate) fn set_upload(&self, hash: Hash, upload: Option<&str>) -> Result<(), Error> {
        self.tx.execute("UPDATE attachment SET upload = ?2 WHERE hash = ?1", params![hash.0, upload])?;
        Ok(())
    }

    pub(crate) fn set_sent(&self, hash: Hash, now_ms: i64) -> Result<(), Error> {
        let sql = "UPDATE attachment SET sent_ms = ?2, upload = NULL, refused = NULL WHERE hash = ?1";
        self.tx.execute(sql, params![hash.0, now_ms])?;
        Ok(())
    }

    /// What was lost is back.
    pub(crate) fn set_found(&self, hash: Hash) -> Result<(), Error> {
        self.tx.execute("UPDATE attachment SET refused = NULL, upload = '' WHERE hash = ?1", [hash.0])?;
        Ok(())
    }

    pub(crate) fn set_refused(&self, hash: Hash, code: &str) -> Result<(), Error> {
        let sql = "UPDATE attachment SET refused = ?2, upload = NULL WHERE hash = ?1";
        self.tx.execute(sql, params![hash.0, code])?;
        Ok(())
    }

    /// A server that was restored may lack what it had: everything is offered again, also what others photographed and is here.
    pub(crate) fn offer_attachments_again(&self) -> Result<(), Error> {
        self.tx.execute("UPDATE attachment SET sent_ms = NULL, upload = '', refused = NULL WHERE own <> 1", [])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn pictures_that_are_asked_for_in_vain_keep_no_other_from_its_turn() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("phone.sqlite"))?;
        store.write(|tx| {
            for number in 0..5 {
                let hash = Hash([number; 32]);
                let named = Attachment { hash, size: 1, media: "image/png".into(), name: None };
                tx.note_attachment(&named, Whose::Others)?;
                tx.use_attachment(hash, RecordId(uuid::Uuid::from_u128(1)))?;
            }
            let (mut asked, mut now_ms) = (Vec::new(), 0);
            for _night in 0..5 {
                for row in tx.thumbnails_to_fetch(2)? {
                    now_ms += 1;
                    tx.set_asked(row.named.hash, now_ms)?;
                    asked.push(row.named.hash.0[0]);
                }
            }
            assert_eq!(asked, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
            Ok(())
        })
    }
}
