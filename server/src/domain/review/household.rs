//! What a coordinator's decision about an answer of a finished interview says of its household.

use questionnaire::{Questionnaire, text_of};
use sync_protocol::{Dot, Missing, Op, Path, Record, Sibling, Value};

/// The answers of the household that follow the decision: of the questions marked `tenun::household` those of which the household
/// shows the interview's own word, or, where it has told none, what it began with. What else it shows is somebody else's, also
/// where it is the same value (law L2): the coordinator has decided about this interview.
pub(super) fn told(
    questionnaire: &Questionnaire,
    interview: &Record,
    household: &Record,
    path: &Path,
    kept: &Value,
) -> Vec<Op> {
    let here: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
    let mut ops = Vec::new();
    for (_, question) in questionnaire.questions().filter(|(repeats, _)| *repeats == here) {
        let Some(field) = question.updates_household.as_ref() else { continue };
        let (Some(value), Ok(field)) = (question.part(kept), Path::new(path.place().clone(), field.as_str())) else {
            continue;
        };
        // A question that fell away takes nothing back.
        if question.register() != path.name() || *value == Value::Missing(Missing::NotAsked) {
            continue;
        }
        let history = household.history(&field);
        let held = interview.history(path);
        let values = held.iter().filter_map(|(one, _)| question.part(one.value));
        let ever: Vec<String> = values.filter(|value| !matches!(value, Value::Missing(_))).map(text_of).collect();
        let has_said = |one: &Sibling<'_>| interview.has_said(one, |value| ever.contains(&text_of(value)));
        let has_told = history.iter().any(|(one, _)| has_said(one));
        let live = history.iter().filter(|(_, replaced_by)| replaced_by.is_empty()).map(|(one, _)| one);
        let own = live.filter(|one| match has_told {
            true => has_said(one),
            false => ever.first() == Some(&text_of(one.value)),
        });
        let (mut preds, mut gives_up) = (Vec::<Dot>::new(), false);
        for one in own {
            preds.push(one.dot);
            gives_up |= *one.value != *value;
        }
        if gives_up {
            ops.push(Op::Set { path: field, value: value.clone(), preds });
        }
    }
    ops
}
