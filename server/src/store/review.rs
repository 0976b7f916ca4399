//! The review of interviews: where each stands, and every transition that was made.

use super::{StoreError, Tx};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeSet;
use sync_protocol::{Dot, Hash, RecordId, ReplicaId};

/// Where a record's review stands, as the lists have it: `record` and `review` are joined; none for a household.
pub(super) const STATE: &str = "CASE WHEN record.round IS NULL THEN NULL WHEN record.void THEN 'void'
    WHEN review.state IS NOT NULL THEN review.state WHEN record.finished THEN 'submitted' ELSE 'draft' END";

/// What is decided about an interview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRow {
    /// The state that the decisions led to, by its word.
    pub state: String,
    /// The remarks of a return that holds, by their changes.
    pub remarks: Vec<Dot>,
    /// The answers are others than at the decision.
    pub differs: bool,
    /// The decision that differences are shown against.
    pub decision: ReviewEvent,
}

/// One transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewEvent {
    /// Its number; 0 for one that is to be added.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The coordinator; empty where the server noticed it.
    pub who: String,
    /// Its name.
    pub transition: String,
    /// The state before.
    pub before: String,
    /// The state after.
    pub after: String,
    /// The hash of the answers then.
    pub view: Hash,
    /// The changes that they were merged from: numbers and spans of numbers.
    pub seen: String,
    /// What was returned with it, by the changes of the remarks.
    pub remarks: Vec<Dot>,
}

/// An interview that was returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnedRow {
    /// The interview.
    pub record: RecordId,
    /// Who began it, if they work in an area of the household.
    pub whose: Option<String>,
    /// The remarks.
    pub remarks: Vec<Dot>,
}

/// Somebody who works in an area of a household.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Worker {
    /// Their code.
    pub enumerator: String,
    /// Their name.
    pub name: String,
    /// When a device of theirs that is not revoked synced last, in milliseconds since 1970.
    pub seen_ms: Option<i64>,
}

const EVENT: &str = "event.id, at_ms, who, transition, before, after, view, seen, event.remarks";

fn event(row: &Row<'_>) -> rusqlite::Result<ReviewEvent> {
    Ok(ReviewEvent {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        who: row.get(2)?,
        transition: row.get(3)?,
        before: row.get(4)?,
        after: row.get(5)?,
        view: Hash(row.get(6)?),
        seen: row.get(7)?,
        remarks: dots(&row.get::<_, String>(8)?),
    })
}

fn dots(text: &str) -> Vec<Dot> {
    text.split(' ').filter_map(|dot| dot.parse().ok()).collect()
}

fn written(dots: &[Dot]) -> String {
    dots.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Whose a record of the query is to correct; null where it is everybody's who works there.
const WHOSE: &str = "(SELECT assignment.enumerator FROM assignment
    JOIN placement ON placement.area = assignment.area AND placement.record = record.household
    WHERE assignment.enumerator = record.enumerator
    AND (assignment.round = record.round OR NOT EXISTS (SELECT 1 FROM assignment AS other
        WHERE other.area = assignment.area AND other.round = record.round))
    AND EXISTS (SELECT 1 FROM device WHERE device.enumerator = record.enumerator AND revoked_ms IS NULL)
    LIMIT 1)";

impl Tx<'_> {
    /// The state of a record's review by its word; none for a household.
    ///
    /// # Errors
    /// If the store fails.
    pub fn review_state(&self, record: i64) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT {STATE} FROM record LEFT JOIN review ON review.record = record.id WHERE record.id = ?1"
        ))?;
        Ok(query.query_row([record], |row| row.get(0)).optional()?.flatten())
    }

    /// What is decided about a record; none where nobody decided anything.
    ///
    /// # Errors
    /// If the store fails.
    pub fn review(&self, record: i64) -> Result<Option<ReviewRow>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT {EVENT}, state, review.remarks, differs FROM review
             JOIN review_event AS event ON event.id = review.event WHERE review.record = ?1"
        ))?;
        let row = query.query_row([record], |row| {
            Ok(ReviewRow {
                decision: event(row)?,
                state: row.get(9)?,
                remarks: dots(&row.get::<_, String>(10)?),
                differs: row.get(11)?,
            })
        });
        Ok(row.optional()?)
    }

    /// Every transition of a record, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn review_events(&self, record: i64) -> Result<Vec<ReviewEvent>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached(&format!("SELECT {EVENT} FROM review_event AS event WHERE record = ?1 ORDER BY id"))?;
        let rows = query.query_map([record], event)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last transition of a record.
    ///
    /// # Errors
    /// If the store fails.
    pub fn last_review_event(&self, record: i64) -> Result<Option<ReviewEvent>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT {EVENT} FROM review_event AS event WHERE record = ?1 ORDER BY id DESC LIMIT 1"
        ))?;
        Ok(query.query_row([record], event).optional()?)
    }

    /// Adds a transition; its number.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_review_event(&self, record: i64, event: &ReviewEvent) -> Result<i64, StoreError> {
        let ReviewEvent { id: _, at_ms, who, transition, before, after, view, seen, remarks } = event;
        let mut put = self.conn.prepare_cached(
            "INSERT INTO review_event (record, at_ms, who, transition, before, after, view, seen, remarks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        Ok(put.insert(params![record, at_ms, who, transition, before, after, view.0, seen, written(remarks)])?)
    }

    /// Notes where a review stands: its state, the decision that differences are shown against, the remarks of a return.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_review(&self, record: i64, state: &str, event: i64, remarks: &[Dot]) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO review (record, state, event, remarks, differs) VALUES (?1, ?2, ?3, ?4, 0)
             ON CONFLICT (record) DO UPDATE SET state = ?2, event = ?3, remarks = ?4",
        )?;
        put.execute(params![record, state, event, written(remarks)])?;
        self.place_returned(record)
    }

    /// Notes in which areas a household's returned interviews wait, after it moved or one of their reviews went on; by the number of
    /// the household or of an interview.
    pub(super) fn place_returned(&self, record: i64) -> Result<(), StoreError> {
        let of_household = "(SELECT household FROM record WHERE id = ?1)";
        self.conn
            .prepare_cached(&format!("DELETE FROM returned WHERE household = {of_household}"))?
            .execute([record])?;
        let mut put = self.conn.prepare_cached(&format!(
            "INSERT INTO returned (area, record, household) SELECT placement.area, record.id, record.household
             FROM record CROSS JOIN review ON review.record = record.id
             CROSS JOIN placement ON placement.record = record.household
             WHERE record.household = {of_household} AND review.state = 'returned'"
        ))?;
        put.execute([record])?;
        Ok(())
    }

    /// The changes of a record that the office made itself: not what it authored again for a phone whose branch was released.
    ///
    /// # Errors
    /// If the store fails.
    pub fn office_changes(&self, record: i64) -> Result<BTreeSet<Dot>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT replica.uuid, change.seq FROM change JOIN replica ON replica.id = change.replica
             WHERE change.record = ?1 AND replica.device IS NULL AND change.id NOT IN (SELECT change FROM said_again)",
        )?;
        let rows = query.query_map([record], |row| Ok(Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes whether the answers are others than at the decision.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_review_differs(&self, record: i64, differs: bool) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE review SET differs = ?2 WHERE record = ?1")?
            .execute(params![record, differs])?;
        Ok(())
    }

    /// At most `most` of the interviews that are returned in some areas: those first that one enumerator began, then those that
    /// were returned first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn returned(
        &self,
        areas: &BTreeSet<i64>,
        enumerator: &str,
        most: usize,
    ) -> Result<Vec<ReturnedRow>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT record.uuid, review.remarks, {WHOSE}
             FROM record JOIN review ON review.record = record.id
             WHERE record.id IN (SELECT record FROM returned WHERE area IN (SELECT value FROM json_each(?1)))
             AND record.void = 0 ORDER BY record.enumerator <> ?2, review.event LIMIT ?3"
        ))?;
        let areas = serde_json::Value::from(areas.iter().copied().collect::<Vec<i64>>()).to_string();
        let rows = query.query_map(params![areas, enumerator, most], |row| {
            Ok(ReturnedRow {
                record: RecordId(row.get(0)?),
                remarks: dots(&row.get::<_, String>(1)?),
                whose: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whose an interview is to correct: the enumerator's who began it, as long as they work there in its round with a phone.
    ///
    /// # Errors
    /// If the store fails.
    pub fn whose(&self, record: i64) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!("SELECT {WHOSE} FROM record WHERE record.id = ?1"))?;
        Ok(query.query_row([record], |row| row.get(0)).optional()?.flatten())
    }

    /// Who is assigned an area of a household, in any round, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn workers(&self, household: i64) -> Result<Vec<Worker>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT enumerator.code, enumerator.name,
             (SELECT max(seen_ms) FROM device WHERE device.enumerator = enumerator.code AND revoked_ms IS NULL)
             FROM enumerator WHERE code IN (SELECT enumerator FROM assignment
                JOIN placement ON placement.area = assignment.area WHERE placement.record = ?1) ORDER BY enumerator.name",
        )?;
        let rows = query.query_map([household], |row| {
            Ok(Worker { enumerator: row.get(0)?, name: row.get(1)?, seen_ms: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
