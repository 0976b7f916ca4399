//! What a coordinator's decision about an answer of a finished interview says of its household.

use questionnaire::{Merge, Questionnaire, text_of};
use std::collections::BTreeSet;
use sync_protocol::{Dot, Op, Path, Record, Value};

/// The answers of the household that follow the decision: of the questions marked `tenun::household` those whose values the
/// household shows from this very conflict, kept or given up. What else it shows is somebody else's news (law L2).
pub(super) fn told(
    questionnaire: &Questionnaire,
    household: &Record,
    path: &Path,
    kept: &Value,
    shown: &[&Value],
) -> Vec<Op> {
    let here: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
    let mut ops = Vec::new();
    for (_, question) in questionnaire.questions().filter(|(repeats, _)| *repeats == here) {
        let Some(field) = question.updates_household.as_ref() else { continue };
        let (name, member) = match &question.merge {
            Merge::Group(group) => (group, Some(question.key.as_str())),
            Merge::Alone | Merge::Union => (&question.key, None),
        };
        let part = |value: &Value| match (member, value) {
            (Some(member), Value::Fields(fields)) => fields.get(member).cloned(),
            (_, value) => Some(value.clone()),
        };
        let (Some(value), Ok(field)) = (part(kept), Path::new(path.place().clone(), field.as_str())) else { continue };
        if name.as_str() != path.name() || matches!(value, Value::Missing(_)) {
            continue;
        }
        let Some(there) = household.answer(&field) else { continue };
        let in_conflict: BTreeSet<String> = shown.iter().filter_map(|one| part(one)).map(|one| text_of(&one)).collect();
        let decided = there.siblings.iter().filter(|one| in_conflict.contains(&text_of(one.value)));
        let (text, mut gives_up, mut preds) = (text_of(&value), false, Vec::<Dot>::new());
        for one in decided {
            gives_up |= text_of(one.value) != text;
            preds.push(one.dot);
        }
        if gives_up {
            ops.push(Op::Set { path: field, value, preds });
        }
    }
    ops
}
