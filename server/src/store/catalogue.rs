//! Areas and questionnaires: what changes are checked against.

use super::{StoreError, Tx};
use rusqlite::{OptionalExtension, params};

/// One area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaRow {
    /// Its number in the store.
    pub id: i64,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// kota, kecamatan, kelurahan or rt.
    pub level: String,
    /// The code of the area around it.
    pub parent: Option<String>,
}

/// One questionnaire version.
#[derive(Clone, Debug)]
pub struct QuestionnaireRow {
    /// `id@version`.
    pub reference: String,
    /// The title.
    pub title: String,
    /// The questionnaire as devices get it.
    pub json: String,
}

/// An area's name behind that of the area around it, which is joined as `outer`.
pub(super) const AREA_NAME: &str = "coalesce(outer.name || ' · ', '') || area.name";

/// The setting that counts how often areas or questionnaires changed.
const CATALOGUE: &str = "catalogue";

impl Tx<'_> {
    /// Counts up with every change of areas or questionnaires.
    ///
    /// # Errors
    /// If the store fails.
    pub fn catalogue_version(&self) -> Result<u64, StoreError> {
        Ok(self.meta(CATALOGUE)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Says that areas or questionnaires changed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn raise_catalogue_version(&self) -> Result<(), StoreError> {
        self.set_meta(CATALOGUE, &self.catalogue_version()?.saturating_add(1).to_string())
    }

    /// Adds an area or gives it another name; true if it is new.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_area(&self, code: &str, name: &str, level: &str, parent: Option<&str>) -> Result<bool, StoreError> {
        let known = self.conn.prepare_cached("SELECT 1 FROM area WHERE code = ?1")?.exists([code])?;
        let mut put = self.conn.prepare_cached(
            "INSERT INTO area (code, name, level, parent) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (code) DO UPDATE SET name = excluded.name, level = excluded.level, parent = excluded.parent",
        )?;
        put.execute(params![code, name, level, parent])?;
        Ok(!known)
    }

    /// Every area, by code.
    ///
    /// # Errors
    /// If the store fails.
    pub fn areas(&self) -> Result<Vec<AreaRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT id, code, name, level, parent FROM area ORDER BY code")?;
        let rows = query.query_map([], |row| {
            Ok(AreaRow {
                id: row.get(0)?,
                code: row.get(1)?,
                name: row.get(2)?,
                level: row.get(3)?,
                parent: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An area's name behind that of the area around it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn area_name(&self, code: &str) -> Result<String, StoreError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT {AREA_NAME} FROM area LEFT JOIN area AS outer ON outer.code = area.parent WHERE area.code = ?1"
        ))?;
        Ok(query.query_row([code], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// The names of all questionnaire versions, in the order of loading.
    ///
    /// # Errors
    /// If the store fails.
    pub fn questionnaire_names(&self) -> Result<Vec<String>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT reference FROM questionnaire ORDER BY id")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a questionnaire version, which never changes from then on; false if it was there already.
    ///
    /// # Errors
    /// If the store fails.
    pub fn insert_questionnaire(
        &self,
        row: &QuestionnaireRow,
        workbook: &[u8],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO questionnaire (reference, title, json, workbook, loaded_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (reference) DO NOTHING",
        )?;
        Ok(put.execute(params![row.reference, row.title, row.json, workbook, now_ms])? == 1)
    }

    /// A questionnaire version as devices get it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn questionnaire(&self, reference: &str) -> Result<Option<QuestionnaireRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT reference, title, json FROM questionnaire WHERE reference = ?1")?;
        Ok(query.query_row([reference], questionnaire_row).optional()?)
    }

    /// Every questionnaire version, in the order of loading.
    ///
    /// # Errors
    /// If the store fails.
    pub fn questionnaires(&self) -> Result<Vec<QuestionnaireRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT reference, title, json FROM questionnaire ORDER BY id")?;
        let rows = query.query_map([], questionnaire_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn questionnaire_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<QuestionnaireRow> {
    Ok(QuestionnaireRow { reference: row.get(0)?, title: row.get(1)?, json: row.get(2)? })
}
