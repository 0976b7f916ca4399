//! What pages, the read API and exports read: lists with filters and keyset paging, counts, provenance.

use super::{StoreError, Tx, review::STATE};
use rusqlite::{OptionalExtension, Row, params};
use sync_protocol::{Dot, RecordId, ReplicaId};
use uuid::Uuid;

/// Which records a list shows; everything that is none passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Households, or interviews.
    pub interviews: Option<bool>,
    /// The area's code, or the beginning of one: a kelurahan's shows its RTs.
    pub area: Option<String>,
    /// The enumerator who saved first.
    pub enumerator: Option<String>,
    /// The round.
    pub round: Option<String>,
    /// Only those with conflicts to decide: of what is void nothing is decided.
    pub conflicts: bool,
    /// Only those that break rules of their questionnaire.
    pub violations: bool,
    /// Only those finished, or only those not.
    pub finished: Option<bool>,
    /// Only those that are void, or only those that count.
    pub void: Option<bool>,
    /// Only interviews whose review stands there, by the state's word; `waiting` are those that wait for a coordinator.
    pub review: Option<String>,
    /// Only those with a change that was unusual when it arrived, of this kind.
    pub flag: Option<String>,
    /// Only those whose household's name contains this.
    pub search: Option<String>,
    /// Only those of this household.
    pub household: Option<Uuid>,
    /// Only those that were last filled with this questionnaire, as `id@version`.
    pub questionnaire: Option<String>,
}

/// One line of a list of records.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecordRow {
    /// The number in the store, by which lists are paged.
    pub number: i64,
    /// The record's id.
    pub id: RecordId,
    /// The household's id.
    pub household: RecordId,
    /// The round of an interview.
    pub round: Option<String>,
    /// Why the interview was made.
    pub purpose: Option<String>,
    /// The questionnaire that it was last filled with.
    pub questionnaire: String,
    /// The head of the household.
    pub title: String,
    /// The household's area.
    pub area: Option<String>,
    /// That area's name.
    pub area_name: Option<String>,
    /// Who saved first.
    pub enumerator: String,
    /// The interview is finished.
    pub finished: bool,
    /// Answers with a live value.
    #[serde(rename = "answer_count")]
    pub answers: u32,
    /// Answers in conflict.
    pub conflicts: u32,
    /// Rules of the questionnaire that are broken.
    pub violations: u32,
    /// The rules were run since the last change; until then `violations` is the number from before it.
    pub validated: bool,
    /// Rows, or the record itself, kept against a concurrent removal.
    pub attention: u32,
    /// The record is void.
    pub void: bool,
    /// Where the review of an interview stands, by the state's word.
    pub review: Option<String>,
    /// Somebody decided about the interview, and its answers are others since.
    pub differs: bool,
    /// Changes applied.
    pub changes: u32,
    /// Receipt of the last change, in milliseconds since 1970.
    pub changed_ms: i64,
    /// What was unusual when its changes arrived.
    pub flags: Vec<String>,
}

/// What progress is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressBy {
    /// Enumeration areas.
    Area,
    /// Enumerators.
    Enumerator,
    /// Nothing: one line for all.
    Total,
}

/// One line of progress. What is void counts nowhere.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProgressRow {
    /// The area's or enumerator's code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Households registered.
    pub households: u64,
    /// Interviews begun.
    pub interviews: u64,
    /// Of these, finished.
    pub finished: u64,
    /// Answers in conflict.
    pub conflicts: u64,
    /// Rules that are broken.
    pub violations: u64,
    /// Interviews whose rules were not run since their last change: their violations are not counted yet.
    pub unvalidated: u64,
    /// Interviews that wait for a coordinator: submitted, in review, corrected.
    pub to_review: u64,
    /// Interviews that were returned and wait for the field.
    pub returned: u64,
    /// Interviews that are approved as they stand.
    pub approved: u64,
    /// Receipt of the last change.
    pub changed_ms: Option<i64>,
}

/// One device as coordinators see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeviceRow {
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub enumerator: String,
    /// That person's name.
    pub enumerator_name: String,
    /// Its last sync.
    pub seen_ms: Option<i64>,
    /// How far its clock was ahead then.
    pub skew_ms: Option<i64>,
    /// Changes that it had not sent when it last told.
    pub unsent: u64,
    /// The program on it.
    pub app: String,
    /// It was revoked.
    pub revoked: bool,
    /// Changes received from it.
    pub changes: u64,
    /// Times its history forked: cloned or restored.
    pub forks: u64,
    /// Rules that are broken in records that it changed.
    pub violations: u64,
    /// The beginning of the hash of all that it sent: its own status shows the same.
    pub receipt: Option<String>,
    /// Changes of other devices that it brought as a hub and that were new here.
    pub carried: u64,
}

/// One change in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct QuarantineRow {
    /// The change's number in the store.
    pub number: i64,
    /// Its replica.
    pub replica: ReplicaId,
    /// Its seq there.
    pub seq: u64,
    /// Why it is there.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Whose device sent it.
    pub enumerator: Option<String>,
    /// When it came.
    pub received_ms: i64,
}

/// One replica whose history forked, with changes that nobody has authored again yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BranchRow {
    /// The replica.
    pub replica: ReplicaId,
    /// The device that it lived on.
    pub device: String,
    /// Whose device it is.
    pub enumerator: String,
    /// Changes that wait.
    pub changes: u64,
    /// When the last of them came.
    pub received_ms: i64,
}

/// Where a change came from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ChangeSource {
    /// The device's name; `server` for a coordinator's change.
    pub device: String,
    /// What was unusual when it arrived.
    pub flags: Vec<String>,
}

/// The states in which an interview waits for a coordinator.
const WAITING: &str = "('submitted', 'in-review', 'corrected')";

/// What a [`RecordRow`] is read by.
fn record_sql() -> String {
    format!(
        "SELECT record.id, record.uuid, household.uuid, record.round, record.purpose, record.form,
    household.title, area.code, area.name, record.enumerator, record.finished, record.answers, record.conflicts,
    record.attention, record.void, record.changes, record.changed_ms, record.violations,
    record.validated OR record.round IS NULL,
    (SELECT group_concat(DISTINCT kind) FROM change JOIN flag ON flag.change = change.id WHERE change.record = record.id),
    {STATE}, coalesce(review.differs, 0)
    FROM record JOIN record AS household ON household.id = record.household
    LEFT JOIN area ON area.id = household.area LEFT JOIN review ON review.record = record.id"
    )
}

fn record_row(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    let flags: Option<String> = row.get(19)?;
    Ok(RecordRow {
        number: row.get(0)?,
        id: RecordId(row.get(1)?),
        household: RecordId(row.get(2)?),
        round: row.get(3)?,
        purpose: row.get(4)?,
        questionnaire: row.get(5)?,
        title: row.get(6)?,
        area: row.get(7)?,
        area_name: row.get(8)?,
        enumerator: row.get(9)?,
        finished: row.get(10)?,
        answers: row.get(11)?,
        conflicts: row.get(12)?,
        attention: row.get(13)?,
        void: row.get(14)?,
        changes: row.get(15)?,
        changed_ms: row.get(16)?,
        violations: row.get(17)?,
        validated: row.get(18)?,
        flags: flags.map(|flags| flags.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        review: row.get(20)?,
        differs: row.get(21)?,
    })
}

impl Tx<'_> {
    /// Records after a number, by number, at most `limit`: the next page starts after the last one's.
    ///
    /// # Errors
    /// If the store fails.
    pub fn records(&self, filter: &RecordFilter, after: i64, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
        // `area.code` is compared as a span, so that the index over codes serves a beginning, too.
        let mut query = self.conn.prepare_cached(&format!(
            "{} WHERE record.id > ?1
             AND (?2 IS NULL OR (record.round IS NOT NULL) = ?2)
             AND (?3 IS NULL OR (area.code >= ?3 AND area.code < ?3 || char(1114111)))
             AND (?4 IS NULL OR record.enumerator = ?4)
             AND (?5 IS NULL OR record.round = ?5)
             AND (?6 = 0 OR (record.conflicts > 0 AND NOT record.void))
             AND (?7 IS NULL OR (record.finished = ?7 AND record.round IS NOT NULL))
             AND (?8 IS NULL OR EXISTS (SELECT 1 FROM change JOIN flag ON flag.change = change.id
                                        WHERE change.record = record.id AND kind = ?8))
             AND (?9 IS NULL OR household.title LIKE '%' || ?9 || '%' ESCAPE '\\')
             AND (?10 IS NULL OR household.uuid = ?10)
             AND (?11 IS NULL OR record.form = ?11)
             AND (?12 = 0 OR record.violations > 0)
             AND (?13 IS NULL OR {STATE} = ?13 OR (?13 = 'waiting' AND {STATE} IN {WAITING}))
             AND (?14 IS NULL OR record.void = ?14)
             AND record.changes > 0 ORDER BY record.id LIMIT ?15",
            record_sql()
        ))?;
        let search =
            filter.search.as_deref().map(|text| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let rows = query.query_map(
            params![
                after,
                filter.interviews,
                filter.area,
                filter.enumerator,
                filter.round,
                filter.conflicts,
                filter.finished,
                filter.flag,
                search,
                filter.household,
                filter.questionnaire,
                filter.violations,
                filter.review,
                filter.void,
                limit
            ],
            record_row,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One record's line.
    ///
    /// # Errors
    /// If the store fails.
    pub fn record_row(&self, id: RecordId) -> Result<Option<RecordRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached(&format!("{} WHERE record.uuid = ?1 AND record.changes > 0", record_sql()))?;
        Ok(query.query_row([id.0], record_row).optional()?)
    }

    /// Progress by area or enumerator, or of all together.
    ///
    /// # Errors
    /// If the store fails.
    pub fn progress(&self, by: ProgressBy) -> Result<Vec<ProgressRow>, StoreError> {
        // An enumerator without a record has one line of nulls here.
        let counts = format!(
            "sum(record.round IS NULL AND NOT record.void), sum(record.round IS NOT NULL AND NOT record.void),
            sum(record.finished AND NOT record.void), sum(record.conflicts * (NOT record.void)),
            sum(record.violations), sum(record.validated = 0 AND record.round IS NOT NULL),
            max(record.changed_ms), sum({STATE} IN {WAITING}), sum({STATE} = 'returned'), sum({STATE} = 'approved')"
        );
        let review = "LEFT JOIN review ON review.record = record.id";
        let sql = match by {
            ProgressBy::Area => format!(
                "SELECT area.code, area.name, {counts} FROM area
                 JOIN record AS household ON household.area = area.id
                 JOIN record ON record.household = household.id AND record.changes > 0 {review}
                 GROUP BY area.id ORDER BY area.code"
            ),
            ProgressBy::Enumerator => format!(
                "SELECT enumerator.code, enumerator.name, {counts} FROM enumerator
                 LEFT JOIN record ON record.enumerator = enumerator.code AND record.changes > 0 {review}
                 GROUP BY enumerator.code ORDER BY enumerator.code"
            ),
            ProgressBy::Total => format!("SELECT '', '', {counts} FROM record {review} WHERE record.changes > 0"),
        };
        let mut query = self.conn.prepare_cached(&sql)?;
        let count = |row: &Row<'_>, at| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(at)?.unwrap_or(0));
        let rows = query.query_map([], |row| {
            Ok(ProgressRow {
                code: row.get(0)?,
                name: row.get(1)?,
                households: count(row, 2)?,
                interviews: count(row, 3)?,
                finished: count(row, 4)?,
                conflicts: count(row, 5)?,
                violations: count(row, 6)?,
                unvalidated: count(row, 7)?,
                changed_ms: row.get(8)?,
                to_review: count(row, 9)?,
                returned: count(row, 10)?,
                approved: count(row, 11)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every device.
    ///
    /// # Errors
    /// If the store fails.
    pub fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "WITH broken AS (
                 SELECT DISTINCT replica.device, record.id, record.violations FROM record
                 JOIN change ON change.record = record.id JOIN replica ON replica.id = change.replica
                 WHERE record.violations > 0)
             SELECT device.id, device.name, enumerator, enumerator.name, seen_ms, skew_ms, unsent, app,
             revoked_ms IS NOT NULL,
             (SELECT coalesce(sum(head), 0) FROM replica WHERE replica.device = device.id),
             (SELECT count(*) FROM replica WHERE replica.device = device.id AND adopted_from IS NOT NULL),
             coalesce(by_device.violations, 0),
             (SELECT lower(hex(substr(head_hash, 1, 6))) FROM replica WHERE replica.device = device.id AND head > 0
              ORDER BY replica.id DESC LIMIT 1),
             (SELECT coalesce(sum(last - first + 1), 0) FROM batch WHERE carrier = device.id)
             FROM device JOIN enumerator ON enumerator.code = device.enumerator
             LEFT JOIN (SELECT device, sum(violations) AS violations FROM broken GROUP BY device) AS by_device
             ON by_device.device = device.id ORDER BY enumerator, device.id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(DeviceRow {
                id: row.get(0)?,
                name: row.get(1)?,
                enumerator: row.get(2)?,
                enumerator_name: row.get(3)?,
                seen_ms: row.get(4)?,
                skew_ms: row.get(5)?,
                unsent: row.get(6)?,
                app: row.get(7)?,
                revoked: row.get(8)?,
                changes: row.get(9)?,
                forks: row.get(10)?,
                violations: row.get(11)?,
                receipt: row.get(12)?,
                carried: row.get(13)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Changes in quarantine that were not released, oldest first, at most `limit` after a number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn quarantine(&self, after: i64, limit: u32) -> Result<Vec<QuarantineRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT change.id, replica.uuid, seq, code, detail, device.enumerator, received_ms
             FROM quarantine JOIN change ON change.id = quarantine.change
             JOIN replica ON replica.id = change.replica LEFT JOIN device ON device.id = replica.device
             WHERE released_ms IS NULL AND change.id > ?1 ORDER BY change.id LIMIT ?2",
        )?;
        let rows = query.query_map(params![after, limit], |row| {
            Ok(QuarantineRow {
                number: row.get(0)?,
                replica: ReplicaId(row.get(1)?),
                seq: row.get(2)?,
                code: row.get(3)?,
                detail: row.get(4)?,
                enumerator: row.get(5)?,
                received_ms: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Branches with changes that their device has not authored again: it may be lost.
    ///
    /// # Errors
    /// If the store fails.
    pub fn branches(&self) -> Result<Vec<BranchRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT replica.uuid, coalesce(device.name, ''), coalesce(device.enumerator, ''), count(*), max(received_ms)
             FROM branch JOIN replica ON replica.id = branch.replica LEFT JOIN device ON device.id = replica.device
             WHERE reauthored IS NULL GROUP BY replica.id ORDER BY replica.id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(BranchRow {
                replica: ReplicaId(row.get(0)?),
                device: row.get(1)?,
                enumerator: row.get(2)?,
                changes: row.get(3)?,
                received_ms: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The device behind a change, and what was unusual about it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn change_source(&self, dot: Dot) -> Result<Option<ChangeSource>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT coalesce(device.name, 'server'), (SELECT group_concat(kind) FROM flag WHERE flag.change = change.id)
             FROM replica JOIN change ON change.replica = replica.id LEFT JOIN device ON device.id = replica.device
             WHERE replica.uuid = ?1 AND seq = ?2",
        )?;
        let row = query.query_row(params![dot.replica.0, dot.seq], |row| {
            let flags: Option<String> = row.get(1)?;
            Ok(ChangeSource {
                device: row.get(0)?,
                flags: flags.map(|flags| flags.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            })
        });
        Ok(row.optional()?)
    }
}
