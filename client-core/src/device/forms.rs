//! The questionnaires on a device: read once, their rules resolved once, records merged under them and moved between them.

use super::{Device, from_json, reread, scope, summary};
use crate::{
    error::Error,
    host::Host,
    store::{StoredChange, Tx},
};
use questionnaire::{Compiled, Difference, Instance, Questionnaire, Tables, merge_over};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{Change, Hash, Op, Path, Place, QuestionnaireRef, Record, RecordId, Snapshot};

/// The questionnaires that were read so far, by `id@version`.
#[derive(Debug, Default)]
pub(super) struct Forms {
    read: BTreeMap<String, Arc<Questionnaire>>,
    rules: BTreeMap<String, Compiled>,
}

/// What became of an interview that was moved to another version of its questionnaire.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// What is different between the versions.
    pub differences: Vec<Difference>,
    /// The answers that the new version does not ask for: kept, shown, exported.
    pub parked: Vec<String>,
}

impl Forms {
    /// A questionnaire; none where the device does not have it.
    pub(super) fn get(&mut self, tx: &Tx<'_>, reference: &str) -> Result<Option<Arc<Questionnaire>>, Error> {
        if let Some(read) = self.read.get(reference) {
            return Ok(Some(read.clone()));
        }
        let Some(json) = tx.questionnaire(reference)? else { return Ok(None) };
        let read: Arc<Questionnaire> = Arc::new(from_json(&json)?);
        self.read.insert(reference.into(), read.clone());
        Ok(Some(read))
    }

    /// A questionnaire as far as this program can read it: one that only a newer program reads holds up no sync.
    pub(super) fn readable(&mut self, tx: &Tx<'_>, reference: &str) -> Result<Option<Arc<Questionnaire>>, Error> {
        match self.get(tx, reference) {
            Err(Error::Corrupt(_)) => Ok(None),
            read => read,
        }
    }

    /// Merges a record from all its changes, read under the newest version among them.
    pub(super) fn merged(&mut self, tx: &Tx<'_>, id: RecordId) -> Result<Record, Error> {
        let snapshot = tx.snapshot(id)?.map(|json| from_json(&json)).transpose()?;
        self.merged_over(tx, id, snapshot)
    }

    /// Merges a record as [`Forms::merged`] does, where what the server told of it as it stood has been read already.
    pub(super) fn merged_over(
        &mut self,
        tx: &Tx<'_>,
        id: RecordId,
        snapshot: Option<Snapshot>,
    ) -> Result<Record, Error> {
        let all = tx.changes_of(id)?;
        self.merge(tx, snapshot, all)
    }

    /// Merges a record from what counts on the server, as far as it is here: own changes that wait there, or are not there yet,
    /// are left out.
    pub(super) fn merged_there(&mut self, tx: &Tx<'_>, id: RecordId) -> Result<Record, Error> {
        let snapshot = tx.snapshot(id)?.map(|json| from_json(&json)).transpose()?;
        let all = tx.changes_there(id)?;
        self.merge(tx, snapshot, all)
    }

    fn merge(&mut self, tx: &Tx<'_>, snapshot: Option<Snapshot>, all: Vec<StoredChange>) -> Result<Record, Error> {
        let (mut changes, mut superseded) = (Vec::new(), Vec::new());
        for stored in all {
            let change = (reread(stored.dot, &stored.bytes)?, stored.stamp);
            if stored.is_superseded { &mut superseded } else { &mut changes }.push(change);
        }
        // What another life authored again counts here until the other's comes, which it may not: it may be out of scope.
        let folded = snapshot.iter().flat_map(|snapshot| snapshot.instead_of.iter().copied());
        let again: BTreeSet<Hash> = changes.iter().filter_map(|(change, _)| change.instead_of).chain(folded).collect();
        superseded.retain(|(change, _)| {
            change.instead_of.is_none_or(|replaced| !again.contains(&replaced))
                && !changes.iter().any(|(other, _)| is_same_save(other, change))
        });
        changes.append(&mut superseded);
        let mut form = None;
        let folded = snapshot.as_ref().map(|snapshot| &snapshot.questionnaire);
        if let Some(newest) = changes.iter().map(|(change, _)| &change.questionnaire).chain(folded).max() {
            form = self.readable(tx, &newest.to_string())?;
        }
        Ok(merge_over(snapshot, changes, |_| form))
    }
}

/// Whether two changes are one save that two lives of a phone have authored under two names: all but what they replace is the same,
/// which each calls by its own names.
fn is_same_save(one: &Change, other: &Change) -> bool {
    let bare = |op: &Op| match op.clone() {
        Op::Set { path, value, .. } => Op::Set { path, value, preds: Vec::new() },
        Op::RemoveRow { row, .. } => Op::RemoveRow { row, preds: Vec::new() },
        Op::Void { reason, .. } => Op::Void { reason, preds: Vec::new() },
        op @ (Op::AddRow { .. } | Op::Note { .. }) => op,
    };
    one.dot.replica != other.dot.replica
        && (one.wall_ms, &one.author, &one.subject) == (other.wall_ms, &other.author, &other.subject)
        && one.ops.iter().map(bare).eq(other.ops.iter().map(bare))
}

impl<H: Host> Device<H> {
    /// A questionnaire by `id@version`.
    ///
    /// # Errors
    /// [`Error::UnknownQuestionnaire`] if it is not on this device.
    pub fn questionnaire(&mut self, reference: &str) -> Result<Arc<Questionnaire>, Error> {
        let Self { store, forms, .. } = self;
        store.read(|tx| forms.get(tx, reference))?.ok_or_else(|| Error::UnknownQuestionnaire(reference.into()))
    }

    /// The rules of a questionnaire, resolved; by `id@version`.
    ///
    /// # Errors
    /// [`Error::UnknownQuestionnaire`], or [`Error::BadAnswer`] where the rules can't be resolved.
    pub fn rules(&mut self, reference: &str) -> Result<Compiled, Error> {
        if let Some(known) = self.forms.rules.get(reference) {
            return Ok(known.clone());
        }
        let questionnaire = self.questionnaire(reference)?;
        let compiled = Compiled::lenient(questionnaire, Tables::new());
        let compiled = compiled.map_err(|problems| Error::BadAnswer(format!("{reference}: {problems}")))?;
        self.forms.rules.insert(reference.into(), compiled.clone());
        Ok(compiled)
    }

    /// Stores a questionnaire that the server gave out, and derives the lines of its records again.
    ///
    /// # Errors
    /// If it cannot be read, or the database fails.
    pub fn store_questionnaire(&mut self, json: &str) -> Result<(), Error> {
        let read: Questionnaire = from_json(json)?;
        let reference = format!("{}@{}", read.id, read.version);
        let Self { store, forms, .. } = self;
        store.write(|tx| {
            tx.put_questionnaire(&reference, json)?;
            forms.rules.remove(&reference);
            forms.read.insert(reference.clone(), Arc::new(read));
            // Changes may have come before the questionnaire that says how they merge.
            for record in tx.records_by(&reference)? {
                summary::refresh(tx, record, forms)?;
            }
            Ok(())
        })
    }

    /// The questionnaires in use that the device does not have yet.
    ///
    /// # Errors
    /// If the database fails.
    pub fn missing_questionnaires(&mut self) -> Result<Vec<String>, Error> {
        self.store.read(|tx| {
            let mut missing = Vec::new();
            for reference in scope(tx)?.map(|scope| scope.questionnaires).unwrap_or_default() {
                if tx.questionnaire(&reference)?.is_none() {
                    missing.push(reference);
                }
            }
            Ok(missing)
        })
    }

    /// The newest version of a questionnaire that is in use and on this device.
    ///
    /// # Errors
    /// If the database fails.
    pub fn newest_version(&mut self, form: &str) -> Result<Option<QuestionnaireRef>, Error> {
        let in_use = self.scope()?.map(|scope| scope.questionnaires).unwrap_or_default();
        let versions = in_use.iter().filter_map(|reference| reference.parse::<QuestionnaireRef>().ok());
        let mut versions: Vec<QuestionnaireRef> = versions.filter(|version| version.id == form).collect();
        versions.sort();
        versions.retain(|version| self.questionnaire(&version.to_string()).is_ok());
        Ok(versions.pop())
    }

    /// Moves an interview to a newer version of its questionnaire, as one change.
    ///
    /// Answers of questions that still exist stay, also under a new name; the others are parked. What must be asked
    /// again shows up as what is wrong or missing. What phones with the old version still send is read under the new one.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`], [`Error::UnknownQuestionnaire`], [`Error::BadAnswer`] where the version is not a newer one
    /// of the same questionnaire; or if the database fails. Nothing is saved then.
    pub fn move_interview(&mut self, record: RecordId, to: &QuestionnaireRef, author: &str) -> Result<Moved, Error> {
        let from = self.summary(record)?.questionnaire;
        let (old, new) = (self.questionnaire(&from)?, self.questionnaire(&to.to_string())?);
        if from.parse::<QuestionnaireRef>()? >= *to || old.id != new.id {
            return Err(Error::BadAnswer(format!("{to} is no newer version of {from}")));
        }
        self.save_under(record, to, author)?;
        let merged = self.record(record)?;
        Ok(Moved {
            differences: new.differences_from(&old),
            parked: new.parked(&merged).iter().map(|(path, _)| path.to_string()).collect(),
        })
    }

    /// The answers outside of repeats of the interview that this device saved last, for `${last-saved#…}`.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) fn last_saved(&mut self, form: &str, but: RecordId) -> Result<BTreeMap<String, String>, Error> {
        let Some(record) = self.store.read(|tx| tx.saved_last(form, but))? else {
            return Ok(BTreeMap::new());
        };
        let reference = self.summary(record)?.questionnaire;
        let Ok(questionnaire) = self.questionnaire(&reference) else {
            return Ok(BTreeMap::new());
        };
        let instance = Instance::from_record(&self.record(record)?, &questionnaire);
        let mut answers = BTreeMap::new();
        for (repeats, question) in questionnaire.questions() {
            if repeats.is_empty() {
                let path = Path::new(Place::record(), question.key.as_str())?;
                answers.insert(question.key.clone(), instance.get(&path).to_owned());
            }
        }
        Ok(answers)
    }
}
