//! The questionnaires of a simulated survey: small, with every kind of answer that merges in a way of its own.

use anyhow::{Result, anyhow};
use questionnaire::Questionnaire;
use rust_xlsxwriter::Workbook;
use std::sync::OnceLock;
use sync_protocol::QuestionnaireRef;

/// The name of the questionnaire's version; versions count from 1.
#[must_use]
pub fn name(version: u32) -> QuestionnaireRef {
    QuestionnaireRef { id: "sim".into(), version: version.to_string().into() }
}

/// Reads one of the two versions; each is read once.
///
/// # Errors
/// If a workbook is none.
pub fn form(version: u32) -> Result<&'static (Questionnaire, Vec<u8>)> {
    static FIRST: OnceLock<Option<(Questionnaire, Vec<u8>)>> = OnceLock::new();
    static SECOND: OnceLock<Option<(Questionnaire, Vec<u8>)>> = OnceLock::new();
    let slot = if version == 1 { &FIRST } else { &SECOND };
    slot.get_or_init(|| {
        let workbook = workbook(version).ok()?;
        let questionnaire = Questionnaire::read_xlsx(&workbook).ok()?.questionnaire;
        Some((questionnaire, workbook))
    })
    .as_ref()
    .ok_or_else(|| anyhow!("the questionnaire of the simulator can't be read"))
}

/// The second version asks for the roof and no longer for the rooms.
fn workbook(version: u32) -> Result<Vec<u8>> {
    let changed = if version == 1 { ["integer", "rooms"] } else { ["text", "roof"] };
    let survey = [
        ["text", "floor", "", ""],
        [changed[0], changed[1], "", ""],
        ["text", "head_now", "", "head"],
        ["select_multiple crops", "crops", "union", ""],
        ["select_multiple crops", "animals", "", ""],
        ["integer", "amount", "harvest", ""],
        ["text", "unit", "harvest", ""],
        ["begin_repeat", "member", "", ""],
        ["text", "m_name", "", ""],
        ["begin_repeat", "job", "", ""],
        ["text", "j_name", "", ""],
        ["end_repeat", "", "", ""],
        ["end_repeat", "", "", ""],
    ];
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("survey")?;
    sheet.write_row(0, 0, ["type", "name", "tenun::merge", "tenun::household", "label"])?;
    for (row, cells) in (1..).zip(survey) {
        sheet.write_row(row, 0, cells)?;
        if cells[0] != "end_repeat" {
            sheet.write(row, 4, cells[1])?;
        }
    }
    let sheet = book.add_worksheet().set_name("choices")?;
    sheet.write_row(0, 0, ["list_name", "name", "label"])?;
    for (row, choice) in (1..).zip(["maize", "rice", "beans", "cassava"]) {
        sheet.write_row(row, 0, ["crops", choice, choice])?;
    }
    let sheet = book.add_worksheet().set_name("settings")?;
    let version = version.to_string();
    sheet.write_row_matrix(0, 0, [["form_id", "version"], ["sim", version.as_str()]])?;
    Ok(book.save_to_buffer()?)
}
