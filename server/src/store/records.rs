//! Records: which there are, what is derived of each, where it is placed, and the buckets that devices pull.

use super::{ChangeRow, ChangeState, StoreError, Tx, log::change_row};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;
use sync_protocol::{Dot, Hash, HouseholdId, RecordId, ReplicaId, Subject};

/// A record's number in the store, and its household's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The record.
    pub id: i64,
    /// The household's record; a household names itself.
    pub household: i64,
}

impl RecordKey {
    /// Whether this is the household's own record.
    #[must_use]
    pub fn is_household(self) -> bool {
        self.id == self.household
    }
}

/// What is derived of a record's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The questionnaire that it was last filled with.
    pub form: String,
    /// The head of a household.
    pub title: String,
    /// The shown area of a household.
    pub area: Option<i64>,
    /// Every area among a household's siblings.
    pub placement: BTreeSet<i64>,
    /// The households that a household is said to be, by its live links.
    pub same_as: BTreeSet<HouseholdId>,
    /// Who saved first.
    pub enumerator: String,
    /// The interview is finished.
    pub finished: bool,
    /// Answers with a live value.
    pub answers: u32,
    /// The paths in conflict.
    pub conflicts: Vec<String>,
    /// Rows, or the record itself, kept against a concurrent removal.
    pub attention: u32,
    /// The record is void.
    pub void: bool,
    /// Changes applied.
    pub changes: u32,
    /// Receipt of the last change.
    pub changed_ms: i64,
}

/// Who asks for a bucket: what it authored and holds is left out.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    /// Its replica.
    pub replica: ReplicaId,
    /// Of its own changes those up to this seq may have been dropped with an area: it is told them like others'.
    pub dropped: u64,
    /// Up to here they are known to be its own, not another life's. Of these it is told those of households that ever left a
    /// bucket: it may have heard of that, and this is how it hears that the household is back.
    pub shared: u64,
}

/// A stretch of a bucket.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Its changes, in order.
    pub changes: Vec<ChangeRow>,
    /// The households that left the bucket in it, by number.
    pub departed: Vec<i64>,
    /// The cursor behind it.
    pub through: u64,
    /// There is more.
    pub more: bool,
}

impl Tx<'_> {
    /// The number that the next new record gets; the caller counts on from there in its transaction.
    ///
    /// # Errors
    /// If the store fails.
    pub fn next_record(&self) -> Result<i64, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM record")?;
        Ok(query.query_row([], |row| row.get(0))?)
    }

    /// Adds a record with what is derived of it; it waits to be validated from then on.
    ///
    /// # Errors
    /// If the store fails, or the record is there already.
    pub fn insert_record(
        &self,
        key: RecordKey,
        id: RecordId,
        subject: &Subject,
        derived: &Derived,
    ) -> Result<(), StoreError> {
        let (round, purpose) = match subject {
            Subject::Household(_) => (None, None),
            Subject::Interview { round, purpose, .. } => (Some(round.as_str()), Some(purpose.as_str())),
        };
        let mut put = self.conn.prepare_cached(
            "INSERT INTO record (id, uuid, household, round, purpose, form, title, area, enumerator, finished, answers,
             conflicts, attention, void, changes, changed_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        put.execute(params![
            key.id,
            id.0,
            key.household,
            round,
            purpose,
            derived.form,
            derived.title,
            derived.area,
            derived.enumerator,
            derived.finished,
            derived.answers,
            derived.conflicts.len(),
            derived.attention,
            derived.void,
            derived.changes,
            derived.changed_ms
        ])?;
        self.insert_lists(key, derived)
    }

    /// A record's number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn record_key(&self, id: RecordId) -> Result<Option<RecordKey>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id, household FROM record WHERE uuid = ?1")?;
        let row = query.query_row([id.0], |row| Ok(RecordKey { id: row.get(0)?, household: row.get(1)? }));
        Ok(row.optional()?)
    }

    /// Whether a hash names a change that counts in a record.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_applied_in(&self, record: RecordId, hash: Hash) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT 1 FROM record JOIN change ON change.record = record.id
             WHERE uuid = ?1 AND hash = ?2 AND state = 0",
        )?;
        Ok(query.exists(params![record.0, hash.0])?)
    }

    /// Whether a change that counts says again what a change says that waits.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_change_said_again(&self, change: i64) -> Result<bool, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT 1 FROM change JOIN said_again USING (hash) WHERE change.id = ?1")?;
        Ok(query.exists([change])?)
    }

    /// Every record's number, in order, for a rebuild: those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn record_keys(&self, after: i64, limit: usize) -> Result<Vec<RecordKey>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT id, household FROM record WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let rows =
            query.query_map(params![after, limit], |row| Ok(RecordKey { id: row.get(0)?, household: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores what is derived of a record that is there; it waits to be validated from then on.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_derived(&self, key: RecordKey, derived: &Derived) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE record SET form = ?2, title = ?3, area = ?4, enumerator = ?5, finished = ?6, answers = ?7,
             conflicts = ?8, attention = ?9, void = ?10, changes = ?11, changed_ms = ?12, validated = 0 WHERE id = ?1",
        )?;
        put.execute(params![
            key.id,
            derived.form,
            derived.title,
            derived.area,
            derived.enumerator,
            derived.finished,
            derived.answers,
            derived.conflicts.len(),
            derived.attention,
            derived.void,
            derived.changes,
            derived.changed_ms
        ])?;
        self.conn.prepare_cached("DELETE FROM conflict WHERE record = ?1")?.execute([key.id])?;
        if key.is_household() {
            self.conn.prepare_cached("DELETE FROM placement WHERE record = ?1")?.execute([key.id])?;
            self.conn.prepare_cached("DELETE FROM link WHERE record = ?1")?.execute([key.id])?;
        }
        self.insert_lists(key, derived)?;
        if key.is_household() { self.place_returned(key.id) } else { Ok(()) }
    }

    fn insert_lists(&self, key: RecordKey, derived: &Derived) -> Result<(), StoreError> {
        for path in &derived.conflicts {
            let mut put = self.conn.prepare_cached("INSERT INTO conflict (record, path) VALUES (?1, ?2)")?;
            put.execute(params![key.id, path])?;
        }
        for area in &derived.placement {
            let mut put = self.conn.prepare_cached("INSERT INTO placement (record, area) VALUES (?1, ?2)")?;
            put.execute([key.id, *area])?;
        }
        for other in &derived.same_as {
            let mut put = self.conn.prepare_cached("INSERT INTO link (record, other) VALUES (?1, ?2)")?;
            put.execute(params![key.id, other.0])?;
        }
        Ok(())
    }

    /// The links from a household and to it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn links_of(&self, household: HouseholdId) -> Result<Vec<(HouseholdId, HouseholdId)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT uuid, other FROM record JOIN link ON link.record = record.id WHERE uuid = ?1
             UNION SELECT uuid, other FROM link JOIN record ON record.id = link.record WHERE other = ?1",
        )?;
        let rows = query.query_map([household.0], |row| Ok((HouseholdId(row.get(0)?), HouseholdId(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything derived, as one text a record, in order: what a rebuild must reproduce byte for byte.
    ///
    /// # Errors
    /// If the store fails.
    pub fn derived_text(&self, record: i64) -> Result<String, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT json_array(hex(uuid), form, title, area, enumerator, finished, answers, conflicts, attention, void,
             changes, changed_ms, violations, validated, (SELECT json_group_array(path) FROM conflict WHERE record = record.id),
             (SELECT json_group_array(area) FROM placement WHERE record = record.id),
             (SELECT json_group_array(area || ' ' || record) FROM returned WHERE household = record.id),
             (SELECT json_group_array(hex(hash) || device) FROM attachment_name WHERE record = record.id),
             (SELECT json_group_array(hex(other)) FROM link WHERE record = record.id))
             FROM record WHERE id = ?1",
        )?;
        Ok(query.query_row([record], |row| row.get(0))?)
    }

    /// Forgets everything derived.
    ///
    /// # Errors
    /// If the store fails.
    pub fn clear_derived(&self) -> Result<(), StoreError> {
        self.conn.execute_batch(
            "DELETE FROM conflict; DELETE FROM placement; DELETE FROM link; DELETE FROM returned; DELETE FROM attachment_name;
             UPDATE record SET form = '', title = '', area = NULL, enumerator = '', finished = 0, answers = 0,
             conflicts = 0, attention = 0, void = 0, changes = 0, changed_ms = 0, violations = 0, validated = 0;",
        )?;
        Ok(())
    }

    /// The areas in which a household is placed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn placement(&self, household: i64) -> Result<BTreeSet<i64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT area FROM placement WHERE record = ?1")?;
        let rows = query.query_map([household], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every applied change of a household and its interviews, in the order of arrival.
    ///
    /// # Errors
    /// If the store fails.
    pub fn changes_of_household(&self, household: i64) -> Result<Vec<i64>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT change.id FROM record JOIN change ON change.record = record.id
             WHERE record.household = ?1 AND state = 0 ORDER BY change.id",
        )?;
        let rows = query.query_map([household], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Looks at each change that is in quarantine or escrow.
    ///
    /// # Errors
    /// If the store fails.
    pub fn each_kept_apart(&self, mut look: impl FnMut(Dot, &[u8])) -> Result<(), StoreError> {
        let mut query = self.conn.prepare(
            "SELECT uuid, seq, bytes FROM change JOIN replica ON replica.id = change.replica WHERE state IN (?1, ?2)",
        )?;
        let mut rows = query.query([ChangeState::Quarantined.number(), ChangeState::Escrow.number()])?;
        while let Some(row) = rows.next()? {
            let dot = Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? };
            look(dot, row.get_ref(2)?.as_blob().unwrap_or_default());
        }
        Ok(())
    }

    /// The household that a change is about, by number; none where it does not count.
    ///
    /// # Errors
    /// If the store fails.
    pub fn household_of_change(&self, change: i64) -> Result<Option<i64>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT household FROM change JOIN record ON record.id = change.record WHERE change.id = ?1",
        )?;
        Ok(query.query_row([change], |row| row.get(0)).optional()?)
    }

    /// The last seq given out in a bucket.
    ///
    /// # Errors
    /// If the store fails.
    pub fn bucket_head(&self, area: i64) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT head FROM area WHERE id = ?1")?;
        Ok(query.query_row([area], |row| row.get(0))?)
    }

    /// Raises a bucket's head, in the transaction that appended to it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_bucket_head(&self, area: i64, head: u64) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE area SET head = ?2 WHERE id = ?1")?.execute(params![area, head])?;
        Ok(())
    }

    /// Appends a run of changes, numbered without gaps, to a bucket; `seq` is the last one's.
    ///
    /// # Errors
    /// If the store fails.
    pub fn append_to_bucket(&self, area: i64, seq: u64, first: i64, count: u64) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("INSERT INTO bucket (area, seq, first, count) VALUES (?1, ?2, ?3, ?4)")?;
        put.execute(params![area, seq, first, count])?;
        Ok(())
    }

    /// What a bucket holds after a cursor: as many changes as fit into `budget` bytes but at least one, and who left it
    /// meanwhile, of `departures` (see [`Tx::departures`]). What the device that asks has itself is left out.
    ///
    /// # Errors
    /// If the store fails.
    pub fn pull(
        &self,
        area: i64,
        after: u64,
        asks: Asks,
        budget: usize,
        departures: &[(u64, i64)],
    ) -> Result<Pulled, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT change.id, replica.uuid, change.seq, received_ms, skew_ms, bytes,
             bucket.seq - bucket.count + 1 + change.id - bucket.first AS at
             FROM bucket JOIN change ON change.id BETWEEN bucket.first AND bucket.first + bucket.count - 1
             JOIN replica ON replica.id = change.replica
             WHERE area = ?1 AND bucket.seq > ?2 AND at > ?2 ORDER BY bucket.seq, change.id",
        )?;
        // Own changes are many, departures few: mostly there is nothing to look up.
        let anybody_left = self.conn.prepare_cached("SELECT 1 FROM departure")?.exists([])?;
        let mut rows = query.query(params![area, after])?;
        let mut pulled = Pulled { changes: Vec::new(), departed: Vec::new(), through: after, more: false };
        let mut size = 0_usize;
        while let Some(row) = rows.next()? {
            let (author, seq): (uuid::Uuid, u64) = (row.get(1)?, row.get(2)?);
            let is_own = author == asks.replica.0 && seq > asks.dropped;
            if !is_own || (anybody_left && seq <= asks.shared && self.has_departed(row.get(0)?)?) {
                let change = change_row(row)?;
                size = size.saturating_add(change.bytes.len());
                if size > budget && !pulled.changes.is_empty() {
                    pulled.more = true;
                    break;
                }
                pulled.changes.push(change);
            }
            pulled.through = row.get(6)?;
        }
        for (seq, household) in departures.iter().filter(|(seq, _)| *seq > after) {
            if pulled.more && *seq > pulled.through {
                break;
            }
            pulled.departed.push(*household);
            pulled.through = pulled.through.max(*seq);
        }
        Ok(pulled)
    }

    fn has_departed(&self, change: i64) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT 1 FROM change JOIN record ON record.id = change.record
             JOIN departure ON departure.household = record.household WHERE change.id = ?1",
        )?;
        Ok(query.exists([change])?)
    }

    /// The households that left a bucket after a cursor, by number, each at its seq, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn departures(&self, area: i64, after: u64) -> Result<Vec<(u64, i64)>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT seq, household FROM departure WHERE area = ?1 AND seq > ?2 ORDER BY seq")?;
        let rows = query.query_map(params![area, after], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a household ever left a bucket.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_left(&self, area: i64, household: i64) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM departure WHERE household = ?1 AND area = ?2")?;
        Ok(query.exists(params![household, area])?)
    }

    /// Notes that a change in escrow places a household that has no place yet in an area.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_escrow_area(&self, household: HouseholdId, area: i64) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("INSERT OR IGNORE INTO escrow_area (household, area) VALUES (?1, ?2)")?;
        put.execute(params![household.0, area])?;
        Ok(())
    }

    /// The areas in which changes in escrow have placed a household before it had a place; they are forgotten with that.
    ///
    /// # Errors
    /// If the store fails.
    pub fn take_escrow_areas(&self, household: HouseholdId) -> Result<Vec<i64>, StoreError> {
        let mut query = self.conn.prepare_cached("DELETE FROM escrow_area WHERE household = ?1 RETURNING area")?;
        let rows = query.query_map([household.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many households live in an area, as it is shown.
    ///
    /// # Errors
    /// If the store fails.
    pub fn households_in(&self, area: i64) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT count(*) FROM record WHERE area = ?1 AND round IS NULL")?;
        Ok(query.query_row([area], |row| row.get(0))?)
    }

    /// The households that live in an area by any of their siblings, by number: those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn households_of(&self, area: i64, after: u64, limit: usize) -> Result<Vec<i64>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id FROM record WHERE area = ?1 AND round IS NULL AND id > ?2 UNION
             SELECT record.id FROM record JOIN placement ON placement.record = record.id
             WHERE record.conflicts > 0 AND record.round IS NULL AND placement.area = ?1 AND record.id > ?2
             ORDER BY 1 LIMIT ?3",
        )?;
        let rows = query.query_map(params![area, after, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A household's own record and its interviews, by number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn records_of(&self, household: i64) -> Result<Vec<i64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id FROM record WHERE household = ?1 ORDER BY id")?;
        let rows = query.query_map([household], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes in a bucket, at its next seq, that a household left it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_departure(&self, area: i64, seq: u64, household: i64) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached("INSERT INTO departure (area, seq, household) VALUES (?1, ?2, ?3)")?;
        put.execute(params![area, seq, household])?;
        Ok(())
    }

    /// A household by its number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn household(&self, number: i64) -> Result<HouseholdId, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT uuid FROM record WHERE id = ?1")?;
        Ok(HouseholdId(query.query_row([number], |row| row.get(0))?))
    }
}
