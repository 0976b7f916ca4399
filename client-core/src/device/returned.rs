//! Interviews that coordinators returned: which, with which remarks, and what answers them.
//!
//! The server tells which interviews are returned, and names the remarks; those themselves come with the record. A remark is
//! answered by a change that names it ([`sync_protocol::remark`]): a save that mends the answer in question does so by itself, and
//! so does finishing the interview again. So the list on the device is right before anything is sent.

use super::{Device, Edit, enrolled, from_json, meta};
use crate::{error::Error, host::Host, store::Tx};
use sync_protocol::{
    Dot, Op, Path, Record, RecordId,
    remark::{About, Remark},
    wire::{Returned, ReturnedList},
};

/// A remark with which an interview was returned.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RemarkLine {
    /// Its name: the change that holds it.
    #[serde(rename = "remark")]
    pub id: Dot,
    /// The answer that it is about; none: the interview as a whole.
    pub path: Option<Path>,
    /// The remark.
    pub text: String,
    /// The coordinator.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// It is answered: in words, by another answer, or by finishing again.
    pub answered: bool,
    /// What was answered in words, each with who said it.
    pub replies: Vec<(String, String)>,
}

/// How a returned interview stands on this device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReturnedMark {
    /// It is for the enumerator of this device: theirs, or nobody else's.
    pub mine: bool,
    /// The remarks that are not answered yet.
    pub open: usize,
}

/// What the server told last.
pub(super) fn told(tx: &Tx<'_>) -> Result<ReturnedList, Error> {
    tx.meta(meta::RETURNED)?.map_or(Ok(ReturnedList::default()), |json| from_json(&json))
}

/// The remarks with which a record is returned; none where it is not.
pub(super) fn remarks_of(tx: &Tx<'_>, record: RecordId) -> Result<Vec<Dot>, Error> {
    let told = told(tx)?.interviews.into_iter().find(|returned| returned.record == record);
    Ok(told.map(|returned| returned.remarks).unwrap_or_default())
}

/// Remarks as a record holds them; one that has not come yet is left out.
pub(crate) fn lines(record: &Record, remarks: &[Dot]) -> Vec<RemarkLine> {
    let line = |dot: &Dot| {
        let (_, remark) = record.remarks().find(|(at, _)| at == dot)?;
        let origin = record.origin(*dot)?;
        let replies: Vec<(Dot, &str)> = record.replies(*dot).collect();
        let said = replies.iter().filter(|(_, text)| !text.is_empty());
        let by = |at: Dot| record.origin(at).map(|origin| origin.author.to_string()).unwrap_or_default();
        Some(RemarkLine {
            id: *dot,
            path: match remark.about {
                Some(About::Answer(path)) => Some(path),
                Some(About::Record | About::Remark(_)) | None => None,
            },
            text: remark.text.to_owned(),
            by: origin.author.to_string(),
            at: origin.wall_ms,
            answered: !replies.is_empty(),
            replies: said.map(|(at, text)| ((*text).to_owned(), by(*at))).collect(),
        })
    };
    remarks.iter().filter_map(line).collect()
}

/// Has a save name the remarks that it answers: those about the answers that it gives or takes away, and all when the interview is
/// finished again; of those that stood in the record as the screen showed it, since nobody answers what they have not seen.
pub(super) fn answer(seen: &Record, remarks: &[Dot], edits: &[Edit], ops: &mut Vec<Op>) {
    let finishes = edits.contains(&Edit::Finish);
    let mends = |path: &Path| {
        ops.iter().any(|op| match op {
            Op::Set { path: set, .. } => set == path,
            Op::RemoveRow { row, .. } => row == path.place() || row.contains(path.place()),
            Op::AddRow { .. } | Op::Note { .. } | Op::Void { .. } => false,
        })
    };
    let named = |dot: Dot| {
        let is_reply = |text: &str| Remark::read(text).about == Some(About::Remark(dot));
        ops.iter().any(|op| matches!(op, Op::Note { text } if is_reply(text)))
    };
    let lines = lines(seen, remarks);
    let open = lines.iter().filter(|line| !line.answered && !named(line.id));
    let answered = open.filter(|line| finishes || line.path.as_ref().is_some_and(mends));
    let notes: Vec<Op> = answered.map(|line| Op::Note { text: Remark::note(&About::Remark(line.id), "") }).collect();
    ops.extend(notes);
}

impl<H: Host> Device<H> {
    /// The remarks with which an interview is returned; none where it is not.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remarks(&mut self, record: RecordId) -> Result<Vec<RemarkLine>, Error> {
        let Self { store, forms, .. } = self;
        store.read(|tx| {
            let remarks = remarks_of(tx, record)?;
            Ok(if remarks.is_empty() { Vec::new() } else { lines(&forms.merged(tx, record)?, &remarks) })
        })
    }

    /// How the returned interviews on this device stand, those first that were returned first.
    pub(super) fn returned(&mut self) -> Result<Vec<(RecordId, ReturnedMark)>, Error> {
        let Self { store, forms, .. } = self;
        store.read(|tx| {
            let mut marks = Vec::new();
            for Returned { record, whose, remarks } in told(tx)?.interviews {
                if tx.record(record)?.is_none() {
                    continue;
                }
                let merged = forms.merged(tx, record)?;
                // One whose text is still on its way waits, too.
                let open = remarks.iter().filter(|dot| merged.replies(**dot).next().is_none()).count();
                let mine = match whose {
                    Some(whose) => whose == enrolled(tx)?.enumerator,
                    None => true,
                };
                marks.push((record, ReturnedMark { mine, open }));
            }
            Ok(marks)
        })
    }
}
