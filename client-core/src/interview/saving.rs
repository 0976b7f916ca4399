//! How an interview saves: what one save holds, beside what was typed.

use super::{Interview, metadata_of, moment};
use crate::{
    device::{Device, Edit},
    error::Error,
    host::Host,
};
use questionnaire::{Merge, Metadata, text_of};
use std::collections::BTreeMap;
use sync_protocol::{Missing, Path, Place, Record, Value};

/// What one save will hold.
#[derive(Default)]
pub(super) struct Writes {
    rows: Vec<Place>,
    answers: BTreeMap<Path, Value>,
    /// The answer whose siblings were all shown.
    pub(super) resolves: Option<Path>,
}

/// Where a question inside of repeats is answered: the shown rows, outer ones first; the record itself outside of repeats.
pub(crate) fn places(record: &Record, repeats: &[&str]) -> Vec<Place> {
    let mut places = vec![Place::record()];
    for repeat in repeats {
        let rows = places.iter().flat_map(|outer| record.rows(outer, repeat));
        places = rows.map(|row| row.place.clone()).collect();
    }
    places
}

impl Interview {
    /// Saves what a form begins with, as one change.
    pub(super) fn begin<H: Host>(&mut self, device: &mut Device<H>) -> Result<Option<u64>, Error> {
        let now = moment(device);
        let mut writes = Writes::default();
        let kinds = [Metadata::Start, Metadata::Today, Metadata::Username, Metadata::DeviceId];
        for (path, kind) in metadata_of(&self.questionnaire, &kinds) {
            let known = self.rules.context().properties.get(kind.name()).cloned();
            let text = if kind == Metadata::Today { Some(now.today_text()) } else { known };
            self.put_computed(&mut writes, &path, &text.unwrap_or_else(|| now.now_text()));
        }
        self.put_household(device, &mut writes);
        self.put_defaults(&mut writes, &Place::record());
        self.save(device, writes)
    }

    /// Puts what is known of the household in the questions that update it, to be confirmed rather than asked again: its
    /// roster rows come with it, under the ids that they have had since the first round.
    fn put_household<H: Host>(&mut self, device: &mut Device<H>, writes: &mut Writes) {
        let household = self.merged.subject().map(|subject| subject.household());
        let Some(household) = household.and_then(|id| device.record(id.into()).ok()) else { return };
        let questionnaire = self.questionnaire.clone();
        for (repeats, question) in questionnaire.questions() {
            let Some(field) = &question.updates_household else { continue };
            for place in places(&household, &repeats) {
                if !place.is_record() && !writes.rows.contains(&place) && self.rules.add_row(&place).is_ok() {
                    writes.rows.push(place.clone());
                    self.put_defaults(writes, &place);
                }
                let (Ok(path), Ok(field)) =
                    (Path::new(place.clone(), question.key.as_str()), Path::new(place, field.as_str()))
                else {
                    continue;
                };
                let known = household.answer(&field).and_then(|answer| Some(text_of(answer.siblings.first()?.value)));
                if let Some(known) = known {
                    self.put_computed(writes, &path, &known);
                }
            }
        }
    }

    /// Puts the defaults of the questions in a place that have no answer.
    pub(super) fn put_defaults(&mut self, writes: &mut Writes, place: &Place) {
        let keys: Vec<String> = {
            let here: Vec<&str> = place.steps().map(|(repeat, _)| repeat).collect();
            let inside = self.questionnaire.questions().filter(|(repeats, _)| *repeats == here);
            inside
                .filter(|(_, question)| question.default.is_some())
                .map(|(_, question)| question.key.clone())
                .collect()
        };
        for key in keys {
            let Ok(path) = Path::new(place.clone(), key.as_str()) else { continue };
            if self.rules.value(&path).is_empty()
                && let Some(text) = self.rules.default_value(&path)
            {
                self.put_computed(writes, &path, &text);
            }
        }
    }

    /// Makes rows at the end of a repeat, with the defaults in them, as one change.
    pub(super) fn make_rows<H: Host>(
        &mut self,
        device: &mut Device<H>,
        outer: &Place,
        repeat: &str,
        count: usize,
    ) -> Result<Vec<Place>, Error> {
        let mut writes = Writes::default();
        let mut rows = Vec::new();
        for _ in 0..count {
            let row = device.new_row(outer, repeat)?;
            self.rules.add_row(&row).map_err(|unknown| Error::BadAnswer(unknown.to_string()))?;
            self.put_defaults(&mut writes, &row);
            writes.rows.push(row.clone());
            rows.push(row);
        }
        self.save(device, writes)?;
        Ok(rows)
    }

    /// Puts what a person typed.
    pub(super) fn put(&mut self, writes: &mut Writes, path: &Path, text: &str) -> Result<(), Error> {
        let question = self.question(path)?;
        let value = questionnaire::parse_answer(&question.kind, text);
        let value = value.map_err(|expected| Error::BadAnswer(format!("`{path}` takes {expected}")))?;
        self.put_value(writes, path, value)
    }

    /// Puts what the form itself computed; what is no value of the question's type is left out.
    pub(super) fn put_computed(&mut self, writes: &mut Writes, path: &Path, text: &str) {
        // A default such as an image's file name may be no answer: the question then begins empty.
        let _ = self.put(writes, path, text);
    }

    fn put_value(&mut self, writes: &mut Writes, path: &Path, value: Value) -> Result<(), Error> {
        let set = match &value {
            Value::Missing(missing) => self.rules.set_missing(path, *missing),
            Value::Text(_) | Value::Integer(_) | Value::Choices(_) | Value::Fields(_) => {
                self.rules.set(path, &text_of(&value))
            }
        };
        set.map_err(|unknown| Error::BadAnswer(unknown.to_string()))?;
        let Merge::Group(group) = self.question(path)?.merge.clone() else {
            writes.answers.insert(path.clone(), value);
            return Ok(());
        };
        let group = Path::new(path.place().clone(), group)?;
        // A member's register is the whole group: what the others hold stays.
        let held = || match self.merged.answer(&group).and_then(|answer| answer.siblings.first().map(|s| s.value)) {
            Some(Value::Fields(fields)) => fields.clone(),
            Some(_) | None => BTreeMap::new(),
        };
        let mut fields = match writes.answers.remove(&group) {
            Some(Value::Fields(fields)) => fields,
            Some(_) | None => held(),
        };
        if matches!(value, Value::Missing(Missing::Cleared)) {
            fields.remove(path.name());
        } else {
            fields.insert(path.name().to_owned(), value);
        }
        let whole = if fields.is_empty() { Value::Missing(Missing::Cleared) } else { Value::Fields(fields) };
        writes.answers.insert(group, whole);
        Ok(())
    }

    pub(super) fn edits(&self, writes: Writes) -> Vec<Edit> {
        let Writes { rows, answers, resolves } = writes;
        let set = |(path, value)| {
            let resolve = resolves.as_ref() == Some(&path);
            if resolve { Edit::Resolve(path, value) } else { Edit::Set(path, value) }
        };
        rows.into_iter().map(Edit::AddRow).chain(answers.into_iter().map(set)).collect()
    }

    /// Saves, with the values that are to be kept from now on (`once`, `random`); gives the change's seq. Takes the record anew
    /// where that fails, or where others changed it meanwhile.
    pub(super) fn save<H: Host>(&mut self, device: &mut Device<H>, mut writes: Writes) -> Result<Option<u64>, Error> {
        if self.rules.keeps_values() {
            for (path, text) in self.rules.evaluation().to_save {
                self.put_computed(&mut writes, &path, &text);
            }
        }
        let edits = self.edits(writes);
        let seen = self.merged.changes().count();
        let saved = device.save_seen(self.record, &self.author, &edits, &self.merged, &self.form());
        if let Ok(seq) = &saved {
            let merged = device.record(self.record)?;
            if merged.changes().count() == seen + usize::from(seq.is_some()) {
                self.merged = merged;
                return saved;
            }
        }
        self.refresh(device)?;
        saved
    }
}
