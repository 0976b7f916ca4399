//! Who works where: areas and households of enumerators by round, and the areas of team leaders.
//!
//! Reading rights go by area; an assigned household only comes first in its enumerator's work (DESIGN §5, rule 6).

use super::{StoreError, Tx, catalogue::AREA_NAME};
use rusqlite::{OptionalExtension, params};
use sync_protocol::HouseholdId;

/// An area that an enumerator works through in a round.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Its code.
    pub code: String,
    /// The round.
    pub round: String,
}

/// An area that an enumerator sees.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The area's number in the store.
    pub area: i64,
    /// Its code.
    pub code: String,
    /// Its name behind that of the area around it.
    pub name: String,
}

/// A device of a leader's team, as the server saw it last.
#[derive(Clone, Debug)]
pub struct TeamDevice {
    /// Its number in the store.
    pub device: i64,
    /// Its enumerator's code.
    pub enumerator: String,
    /// That person's name.
    pub name: String,
    /// When it synced last, in milliseconds since 1970; none if it never did.
    pub seen_ms: Option<i64>,
    /// The changes that it had not sent then.
    pub unsent: u64,
}

/// The areas that an enumerator leads, and all inside of them.
const LED: &str = "WITH RECURSIVE led (id, code) AS (
    SELECT area.id, area.code FROM lead JOIN area ON area.id = lead.area WHERE enumerator = ?1
    UNION SELECT area.id, area.code FROM led JOIN area ON area.parent = led.code)";

impl Tx<'_> {
    fn area_number(&self, code: &str) -> Result<Option<i64>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id FROM area WHERE code = ?1")?;
        Ok(query.query_row([code], |row| row.get(0)).optional()?)
    }

    /// Assigns an area to an enumerator in a round; false if the area is not known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn assign(&self, enumerator: &str, area: &str, round: &str) -> Result<bool, StoreError> {
        let Some(area) = self.area_number(area)? else { return Ok(false) };
        let mut put = self.conn.prepare_cached(
            "INSERT INTO assignment (enumerator, area, round) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        put.execute(params![enumerator, area, round])?;
        Ok(true)
    }

    /// Takes an area from an enumerator in a round; false if it was not theirs.
    ///
    /// # Errors
    /// If the store fails.
    pub fn unassign(&self, enumerator: &str, area: &str, round: &str) -> Result<bool, StoreError> {
        let mut take = self.conn.prepare_cached(
            "DELETE FROM assignment WHERE enumerator = ?1 AND round = ?3
             AND area = (SELECT id FROM area WHERE code = ?2)",
        )?;
        Ok(take.execute([enumerator, area, round])? == 1)
    }

    /// Puts a household first in an enumerator's work in a round.
    ///
    /// # Errors
    /// If the store fails.
    pub fn assign_household(&self, enumerator: &str, household: HouseholdId, round: &str) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO household_assignment (enumerator, household, round) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?;
        put.execute(params![enumerator, household.0, round])?;
        Ok(())
    }

    /// Takes a household from an enumerator in a round; false if it was not theirs.
    ///
    /// # Errors
    /// If the store fails.
    pub fn unassign_household(
        &self,
        enumerator: &str,
        household: HouseholdId,
        round: &str,
    ) -> Result<bool, StoreError> {
        let mut take = self.conn.prepare_cached(
            "DELETE FROM household_assignment WHERE enumerator = ?1 AND household = ?2 AND round = ?3",
        )?;
        Ok(take.execute(params![enumerator, household.0, round])? == 1)
    }

    /// Makes an enumerator the leader of the team in an area; false if the area is not known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn lead(&self, enumerator: &str, area: &str) -> Result<bool, StoreError> {
        let Some(area) = self.area_number(area)? else { return Ok(false) };
        let mut put =
            self.conn.prepare_cached("INSERT INTO lead (enumerator, area) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        put.execute(params![enumerator, area])?;
        Ok(true)
    }

    /// Ends that an enumerator leads the team in an area; false if they did not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn unlead(&self, enumerator: &str, area: &str) -> Result<bool, StoreError> {
        let mut take = self.conn.prepare_cached(
            "DELETE FROM lead WHERE enumerator = ?1 AND area = (SELECT id FROM area WHERE code = ?2)",
        )?;
        Ok(take.execute([enumerator, area])? == 1)
    }

    /// What an enumerator is assigned, by area and round.
    ///
    /// # Errors
    /// If the store fails.
    pub fn assignments(&self, enumerator: &str) -> Result<Vec<Assigned>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT area.code, round FROM assignment JOIN area ON area.id = assignment.area
             WHERE enumerator = ?1 ORDER BY area.code, round",
        )?;
        let rows = query.query_map([enumerator], |row| Ok(Assigned { code: row.get(0)?, round: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The households that come first in an enumerator's work, by round and id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn assigned_households(&self, enumerator: &str) -> Result<Vec<(HouseholdId, String)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT household, round FROM household_assignment WHERE enumerator = ?1 ORDER BY round, household",
        )?;
        let rows = query.query_map([enumerator], |row| Ok((HouseholdId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The areas that an enumerator sees, by code: those assigned in any round, and all inside of those led.
    ///
    /// # Errors
    /// If the store fails.
    pub fn seen_areas(&self, enumerator: &str) -> Result<Vec<Seen>, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "{LED} SELECT area.id, area.code, {AREA_NAME}
             FROM (SELECT area FROM assignment WHERE enumerator = ?1 UNION SELECT id FROM led) AS seen
             CROSS JOIN area ON area.id = seen.area LEFT JOIN area AS outer ON outer.code = area.parent
             ORDER BY area.code"
        ))?;
        let rows = query
            .query_map([enumerator], |row| Ok(Seen { area: row.get(0)?, code: row.get(1)?, name: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The devices that are not revoked of those who are assigned an area that a leader leads, by person; none for others.
    ///
    /// # Errors
    /// If the store fails.
    pub fn team(&self, leader: &str) -> Result<Vec<TeamDevice>, StoreError> {
        // Most lead nobody: no look at all devices for them.
        if !self.conn.prepare_cached("SELECT 1 FROM lead WHERE enumerator = ?1")?.exists([leader])? {
            return Ok(Vec::new());
        }
        let mut query = self.conn.prepare_cached(&format!(
            "{LED} SELECT device.id, device.enumerator, enumerator.name, seen_ms, unsent
             FROM device JOIN enumerator ON enumerator.code = device.enumerator
             WHERE revoked_ms IS NULL AND device.enumerator <> ?1
             AND EXISTS (SELECT 1 FROM led JOIN assignment ON area = led.id WHERE enumerator = device.enumerator)
             ORDER BY enumerator.name, device.id"
        ))?;
        let rows = query.query_map([leader], |row| {
            Ok(TeamDevice {
                device: row.get(0)?,
                enumerator: row.get(1)?,
                name: row.get(2)?,
                seen_ms: row.get(3)?,
                unsent: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
