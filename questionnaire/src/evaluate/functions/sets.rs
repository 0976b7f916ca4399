//! Functions over sets of nodes and lists of arguments.

use super::Arguments;
use crate::evaluate::code::ListName;
use crate::evaluate::value::Value;
use crate::number;

/// Adds up what is a number (ODK XForms, `sum`: empty answers don't count).
pub(super) fn sum(args: &Arguments<'_, '_>) -> Value {
    let zone = args.machine.zone();
    let numbers = args.values(0).into_iter().map(|value| value.to_number(zone));
    // Starting at zero: the sum of nothing prints no sign.
    Value::Number(numbers.filter(|number| !number.is_nan()).fold(0.0, |a, b| a + b))
}

/// Returns the least or greatest of what is a number, NaN where nothing is.
pub(super) fn extreme(args: &Arguments<'_, '_>, pick: fn(f64, f64) -> f64) -> Value {
    let zone = args.machine.zone();
    let numbers = args.values_from(0).into_iter().map(|value| value.to_number(zone));
    let found = numbers.filter(|number| !number.is_nan()).reduce(pick);
    Value::Number(found.unwrap_or(f64::NAN))
}

pub(super) fn count_non_empty(args: &Arguments<'_, '_>) -> Value {
    let zone = args.machine.zone();
    let nodes = args.nodes(0);
    let filled = nodes.iter().filter(|found| !args.machine.found(found).to_text(zone).is_empty());
    Value::Number(number::from_count(filled.count()))
}

/// Counts the conditions that hold (ODK XForms, `checklist`); -1 stands for no bound.
pub(super) fn checklist(args: &Arguments<'_, '_>) -> Value {
    let (least, most) = (args.number(0), args.number(1));
    let factors = args.values_from(2);
    let count = factors.iter().filter(|factor| factor.to_boolean()).count();
    let count = number::from_count(count);
    Value::Boolean((least < 0.0 || count >= least) && (most < 0.0 || count <= most))
}

/// Adds the weights of the conditions that hold (ODK XForms, `weighted-checklist`).
pub(super) fn weighted_checklist(args: &Arguments<'_, '_>) -> Value {
    let zone = args.machine.zone();
    let (least, most) = (args.number(0), args.number(1));
    let mut sum = 0.0;
    let mut at = 2;
    while args.has(at) {
        // Two sets of nodes go in pairs, too.
        let (factors, weights) = (args.values(at), args.values(at + 1));
        for (factor, weight) in factors.iter().zip(&weights) {
            if factor.to_boolean() {
                sum += weight.to_number(zone);
            }
        }
        at += 2;
    }
    Value::Boolean(sum >= least && sum <= most)
}

/// Looks a value up in a file (`pulldata(file, column, key column, key)`).
pub(super) fn pull(args: &Arguments<'_, '_>) -> Value {
    let machine = args.machine;
    let list = ListName::File(super::super::lists::stem(&args.text(0)).to_owned());
    let (column, key_column, key) = (args.text(1), args.text(2), args.text(3));
    if key.is_empty() {
        return Value::Empty;
    }
    machine.choice(&list, &key_column, &key).map(|choice| machine.column(choice, &column)).unwrap_or_default()
}

/// Shuffles in place with the generator that the specification names (ODK XForms, `randomize`): Park-Miller, Fisher-Yates.
pub(crate) fn shuffle<T>(items: &mut [T], seed: i64) {
    const MODULUS: i64 = 2_147_483_647;
    let mut state = seed % MODULUS;
    if state <= 0 {
        state += MODULUS - 1;
    }
    for last in (1..items.len()).rev() {
        state = state * 16_807 % MODULUS;
        let fraction = number::from_i64(state - 1) / number::from_i64(MODULUS - 1);
        let other = number::index(fraction * number::from_count(last + 1)).unwrap_or(0);
        items.swap(last, other.min(last));
    }
}
