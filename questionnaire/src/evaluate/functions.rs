//! The functions of the ODK XForms specification (<https://getodk.github.io/xforms-spec/#xpath-functions>).
//!
//! What can't be computed gives NaN or an empty text, never an error: a half-filled form is the ordinary case.

mod digest;
mod geo;
mod sets;
mod text;
mod time;

use super::code::Code;
use super::machine::{Found, Frame, Machine};
use super::value::Value;
use crate::expr::Function;
use crate::number;

pub(crate) use self::sets::shuffle;
pub(crate) use self::text::pattern;

/// Arguments that are evaluated when they are needed.
struct Arguments<'m, 'a> {
    machine: &'m Machine<'a>,
    codes: &'a [Code],
    frame: &'m Frame<'a>,
}

impl<'a> Arguments<'_, 'a> {
    fn value(&self, at: usize) -> Value {
        self.codes.get(at).map(|code| self.machine.value(code, self.frame)).unwrap_or_default()
    }

    fn text(&self, at: usize) -> String {
        self.value(at).to_text(self.machine.zone()).into_owned()
    }

    fn number(&self, at: usize) -> f64 {
        self.value(at).to_number(self.machine.zone())
    }

    fn truth(&self, at: usize) -> bool {
        self.codes.get(at).is_some_and(|code| self.machine.truth(code, self.frame))
    }

    fn has(&self, at: usize) -> bool {
        at < self.codes.len()
    }

    /// Evaluates the arguments from a position on, a set of nodes to all its values.
    fn values_from(&self, at: usize) -> Vec<Value> {
        self.codes.get(at..).unwrap_or_default().iter().flat_map(|code| self.machine.values(code, self.frame)).collect()
    }

    fn values(&self, at: usize) -> Vec<Value> {
        self.codes.get(at).map(|code| self.machine.values(code, self.frame)).unwrap_or_default()
    }

    fn nodes(&self, at: usize) -> Vec<Found<'a>> {
        self.codes.get(at).map(|code| self.machine.nodes(code, self.frame)).unwrap_or_default()
    }
}

/// Calls a function.
pub(crate) fn call<'a>(machine: &Machine<'a>, function: Function, codes: &'a [Code], frame: &Frame<'a>) -> Value {
    let arguments = Arguments { machine, codes, frame };
    let args = &arguments;
    let zone = machine.zone();
    let math = |f: fn(f64) -> f64| Value::Number(f(args.number(0)));
    match function {
        Function::True => Value::Boolean(true),
        Function::False => Value::Boolean(false),
        Function::Not => Value::Boolean(!args.truth(0)),
        Function::Boolean => Value::Boolean(args.truth(0)),
        Function::BooleanFromString => {
            let text = args.text(0);
            Value::Boolean(text.eq_ignore_ascii_case("true") || text == "1")
        }
        Function::If => args.value(if args.truth(0) { 1 } else { 2 }),
        Function::Coalesce => {
            let mut value = Value::Empty;
            for at in 0..codes.len() {
                value = args.value(at);
                if !value.is_empty() {
                    break;
                }
            }
            value
        }
        Function::Checklist => sets::checklist(args),
        Function::WeightedChecklist => sets::weighted_checklist(args),
        Function::Selected => text::selected(&args.value(0), &args.value(1), zone),
        Function::SelectedAt => {
            let at = number::index(args.number(1));
            let text = args.text(0);
            let chosen = at.and_then(|at| text.split_whitespace().nth(at));
            Value::text(chosen.unwrap_or(""))
        }
        Function::CountSelected => Value::Number(number::from_count(args.text(0).split_whitespace().count())),
        Function::Text => Value::text(args.text(0)),
        Function::Concat => Value::text(text::join("", &args.values_from(0), zone)),
        Function::Join => Value::text(text::join(&args.text(0), &args.values_from(1), zone)),
        Function::Substr => {
            let end = args.has(2).then(|| args.number(2));
            Value::text(text::substr(&args.text(0), args.number(1), end))
        }
        Function::Substring => {
            let length = args.has(2).then(|| args.number(2));
            Value::text(text::substring(&args.text(0), args.number(1), length))
        }
        Function::SubstringBefore => {
            let text = args.text(0);
            Value::text(text.split_once(&args.text(1)).map_or("", |(before, _)| before))
        }
        Function::SubstringAfter => {
            let text = args.text(0);
            Value::text(text.split_once(&args.text(1)).map_or("", |(_, after)| after))
        }
        Function::StringLength => {
            let value = args.value(0);
            Value::Number(number::from_count(value.to_text(zone).chars().count()))
        }
        Function::NormalizeSpace => {
            let text = args.text(0);
            let words: Vec<&str> = text.split_whitespace().collect();
            Value::text(words.join(" "))
        }
        Function::Translate => Value::text(text::translate(&args.text(0), &args.text(1), &args.text(2))),
        Function::Contains => Value::Boolean(args.text(0).contains(&args.text(1))),
        Function::StartsWith => Value::Boolean(args.text(0).starts_with(&args.text(1))),
        Function::EndsWith => Value::Boolean(args.text(0).ends_with(&args.text(1))),
        Function::UpperCase => Value::text(args.text(0).to_uppercase()),
        Function::LowerCase => Value::text(args.text(0).to_lowercase()),
        Function::Regex => {
            let pattern = pattern(&args.text(1));
            Value::Boolean(pattern.is_ok_and(|pattern| pattern.is_match(&args.text(0))))
        }
        Function::Digest => {
            let encoding = if args.has(2) { args.text(2) } else { "base64".to_owned() };
            Value::text(digest::digest(&args.text(0), &args.text(1), &encoding))
        }
        Function::Base64Decode => Value::text(digest::base64_decode(&args.text(0))),
        Function::ThousandsSep => Value::text(text::thousands(args.number(0))),
        Function::Number => Value::Number(args.number(0)),
        Function::Int => math(f64::trunc),
        Function::Round => {
            let places = if args.has(1) { number::trunc(args.number(1)) } else { 0 };
            Value::Number(number::round(args.number(0), places))
        }
        Function::Floor => math(f64::floor),
        Function::Ceiling => math(f64::ceil),
        Function::Abs => math(f64::abs),
        Function::Pow => Value::Number(args.number(0).powf(args.number(1))),
        Function::Sqrt => math(f64::sqrt),
        Function::Exp => math(f64::exp),
        Function::Exp10 => Value::Number(10_f64.powf(args.number(0))),
        Function::Log => math(f64::ln),
        Function::Log10 => math(f64::log10),
        Function::Sin => math(f64::sin),
        Function::Cos => math(f64::cos),
        Function::Tan => math(f64::tan),
        Function::Asin => math(f64::asin),
        Function::Acos => math(f64::acos),
        Function::Atan => math(f64::atan),
        Function::Atan2 => Value::Number(args.number(0).atan2(args.number(1))),
        Function::Pi => Value::Number(std::f64::consts::PI),
        Function::Random => Value::Number(number::fraction(machine.random_bits())),
        Function::Today => Value::Moment(machine.context.now().midnight(zone)),
        Function::Now => Value::Moment(machine.context.now()),
        Function::Date => time::date(&args.value(0), zone),
        Function::DateTime => time::date_time(&args.value(0), zone),
        Function::DecimalDateTime => time::decimal_date_time(&args.value(0), zone),
        Function::DecimalTime => time::decimal_time(&args.value(0), zone),
        Function::FormatDate => time::format(&args.value(0), &args.text(1), zone),
        Function::Count => Value::Number(number::from_count(args.nodes(0).len())),
        Function::CountNonEmpty => sets::count_non_empty(args),
        Function::Sum => sets::sum(args),
        Function::Min => sets::extreme(args, f64::min),
        Function::Max => sets::extreme(args, f64::max),
        Function::Position => match args.nodes(0).first() {
            Some(Found::Node { node, row }) => {
                Value::Number(number::from_count(machine.state.position(machine.form, *node, *row)))
            }
            Some(Found::Item(..)) => Value::Number(1.0),
            None if codes.is_empty() => Value::Number(number::from_count(frame.position)),
            None => Value::Number(0.0),
        },
        Function::Last => Value::Number(number::from_count(frame.size)),
        Function::Randomize => args.shuffled().first().map(|found| machine.found(found)).unwrap_or_default(),
        Function::PullData => sets::pull(args),
        Function::Area => geo::area(&args.values(0), zone),
        Function::Distance => geo::distance(&args.values_from(0), zone),
        Function::Geofence => geo::geofence(&args.text(0), &args.text(1)),
        Function::Uuid => {
            if args.has(0) {
                let length = number::index(args.number(0)).unwrap_or(0).min(256);
                Value::text(text::random_letters(machine, length))
            } else {
                Value::text(text::uuid(machine))
            }
        }
        Function::Property => {
            let name = args.text(0);
            let known = machine.context.properties.get(&name);
            Value::text(known.map_or("", String::as_str))
        }
        Function::Depend => args.value(0),
        // Resolved to codes of their own.
        Function::ChoiceName
        | Function::Itext
        | Function::IndexedRepeat
        | Function::Instance
        | Function::Current
        | Function::Once
        | Function::Version => Value::Empty,
    }
}

impl<'a> Arguments<'_, 'a> {
    /// Evaluates the nodes of a shuffling as a whole.
    fn shuffled(&self) -> Vec<Found<'a>> {
        let mut nodes = self.nodes(0);
        let seed = if self.has(1) {
            number::trunc(self.number(1))
        } else {
            i64::try_from(self.machine.random_bits() >> 33).unwrap_or(1)
        };
        shuffle(&mut nodes, seed);
        nodes
    }
}
