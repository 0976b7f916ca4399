//! The derived line of each record in the lists.

use super::forms::Forms;
use crate::{
    error::Error,
    store::{RecordRow, Tx},
};
use questionnaire::merge_of;
use sync_protocol::{Path, Record, RecordId, Subject};

/// Derives the record's line again; a household's name and area also stand on its interviews' lines.
pub(super) fn refresh(tx: &Tx<'_>, id: RecordId, forms: &mut Forms) -> Result<(), Error> {
    let record = forms.merged(tx, id)?;
    put(tx, id, &record, forms)
}

/// Derives the line as [`refresh`] does, of a record that has been merged already.
pub(super) fn put(tx: &Tx<'_>, id: RecordId, record: &Record, forms: &mut Forms) -> Result<(), Error> {
    let Some(row) = summarise(tx, id, record, forms)? else {
        return tx.delete_record(id);
    };
    tx.put_record(&row)?;
    if row.round.is_none() {
        for mut interview in tx.interviews_of(row.household)? {
            interview.area.clone_from(&row.area);
            interview.title.clone_from(&row.title);
            tx.put_record(&interview)?;
        }
    }
    Ok(())
}

fn summarise(tx: &Tx<'_>, id: RecordId, record: &Record, forms: &mut Forms) -> Result<Option<RecordRow>, Error> {
    let Some(subject) = record.subject() else {
        return Ok(None);
    };
    let text = |name: &str| {
        let path = name.parse().ok()?;
        Some(record.answer(&path)?.siblings.first()?.value.to_string())
    };
    let form = record.questionnaire();
    let form = form.map(ToString::to_string).unwrap_or_default();
    let questionnaire = forms.readable(tx, &form)?;
    let questionnaire = questionnaire.as_deref();
    let (mut conflicts, mut answers) = (0, 0);
    for (path, answer) in record.shown_answers() {
        answers += 1;
        conflicts += u32::from(answer.is_conflict(merge_of(questionnaire, path)));
    }
    let household = RecordId(subject.household().0);
    let (round, purpose, area, title) = match subject {
        Subject::Household(_) => (None, None, text("area"), text("head").unwrap_or_default()),
        Subject::Interview { round, purpose, .. } => {
            let line = tx.record(household)?;
            let (area, title) = line.map_or((None, String::new()), |line| (line.area, line.title));
            (Some(round.to_string()), Some(purpose.to_string()), area, title)
        }
    };
    Ok(Some(RecordRow {
        id,
        household: household.0,
        round,
        purpose,
        form,
        area,
        title,
        finished: text(Path::FINISHED).is_some_and(|value| value == "yes"),
        conflicts,
        answers,
    }))
}
