//! What holds for a merged interview on every machine: its own time, and what counts as broken in it.

use sync_protocol::record::Standing;
use sync_protocol::{Path, Place, Record, Value};

use super::context::Context;
use super::evaluator::Evaluator;
use super::report::{Violation, ViolationKind};
use crate::model::{Kind, Metadata, Questionnaire};

/// Kupang's time (WITA): for interviews that saved no time, or none with its zone.
const ZONE: (&str, i32) = ("+08:00", 8 * 60);

impl Context {
    /// Makes the context of a merged interview: its own time and zone, never those of the machine that looks at it.
    ///
    /// The time that it saved when it was begun (`start`), or the day (`today`); else the first change's corrected time
    /// (DESIGN §4). So the result is a function of the changes, their stamps and the questionnaire alone.
    pub fn of_record(record: &Record, questionnaire: &Questionnaire) -> Self {
        let (zone, offset_minutes) = ZONE;
        let begun = saved(record, questionnaire, Metadata::Start);
        // A text that names its zone is no time with another one behind it.
        let begun = begun.and_then(|start| Self::at(&format!("{start}{zone}")).or_else(|| Self::at(&start)));
        let day = || Self::at(&format!("{}T00:00:00{zone}", saved(record, questionnaire, Metadata::Today)?));
        begun.or_else(day).unwrap_or_else(|| {
            let first = record.changes().map(|(_, origin)| origin.effective_ms()).min();
            Self { now_ms: first.unwrap_or(0), offset_minutes, ..Self::default() }
        })
    }
}

/// What the device itself filled in when the interview was begun.
fn saved(record: &Record, questionnaire: &Questionnaire, wanted: Metadata) -> Option<String> {
    let wanted = Kind::Metadata(wanted);
    let (_, question) = questionnaire.questions().find(|(_, question)| question.kind == wanted)?;
    let answer = record.answer(&Path::new(Place::record(), question.key.as_str()).ok()?)?;
    match answer.siblings.first()?.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_) => None,
    }
}

impl Evaluator {
    /// Returns what someone should mend in the record that this is the evaluation of, in form order.
    ///
    /// An interview still under way lacks answers by nature: what is required counts once it is finished. A void record
    /// has nothing to mend. Nothing is rejected or repaired for any of it.
    pub fn broken(&self, record: &Record) -> Vec<Violation> {
        if record.standing() == Standing::Void {
            return Vec::new();
        }
        let mut violations = self.violations();
        if !record.is_finished() {
            violations.retain(|violation| violation.kind != ViolationKind::Required);
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};
    use sync_protocol::{Change, Dot, Op, QuestionnaireRef, Stamp, Subject};

    use super::*;

    fn form() -> Questionnaire {
        let question = |name: &str, kind: &str| json!({ "question": { "name": name, "key": name, "kind": { "metadata": kind }, "row": 2 } });
        let items = [question("begun", "start"), question("day", "today")];
        from_value(json!({ "id": "f", "version": "1", "lists": {}, "items": items })).unwrap()
    }

    /// A record whose only change was made by a clock that is an hour ahead.
    fn record(answers: &[(&str, &str)]) -> Record {
        let set = |(name, text): &(&str, &str)| Op::Set {
            path: name.parse().unwrap(),
            value: Value::text(*text),
            preds: Vec::new(),
        };
        let replica = from_value(json!("8c7a0a0e-8f6c-4b61-9a35-000000000001")).unwrap();
        let change = Change {
            dot: Dot { replica, seq: 1 },
            subject: Subject::Household(from_value(json!("8c7a0a0e-8f6c-4b61-9a35-0000000000aa")).unwrap()),
            questionnaire: QuestionnaireRef { id: "f".into(), version: "1".into() },
            author: "KP001".into(),
            wall_ms: 1_772_330_400_000,
            ops: answers.iter().map(set).collect(),
            instead_of: None,
        };
        let mut record = Record::new();
        record.apply(change, Some(Stamp { received_ms: 1_800_000_000_000, skew_ms: 3_600_000 }));
        record
    }

    #[test]
    fn the_clock_is_the_interviews_own_and_the_zone_is_kupangs_unless_it_names_one() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("begun", "2026-02-01T09:30:00.000+09:00"), ("day", "2026-02-03")], "2026-02-01T09:30:00+09:00"),
            (&[("begun", "2026-02-01T09:30:00")], "2026-02-01T09:30:00+08:00"),
            (&[("begun", "2026-02-01T01:30:00Z")], "2026-02-01T01:30:00Z"),
            (&[("day", "2026-02-03")], "2026-02-03T00:00:00+08:00"),
            (&[], "2026-03-01T09:00:00+08:00"),
        ];
        for (answers, expected) in cases {
            assert_eq!(Context::of_record(&record(answers), &form()), Context::at(expected).unwrap(), "{answers:?}");
        }
    }
}
