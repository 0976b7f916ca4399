//! Answers for people: labels of questions and choices in the page's language, numbers, dates, places.

use super::{
    moments,
    words::{Language, counted, fill},
};
use crate::domain::{detail::AnswerDetail, review::State};
use maud::{Markup, html};
use questionnaire::{ChoiceSource, Kind, Members, Question, Questionnaire, Register, Text};
use std::collections::BTreeMap;
use sync_protocol::{Attachment, Missing, Path, Place, Value};

/// The language of a questionnaire that comes closest to the page's.
pub(super) fn spoken(questionnaire: &Questionnaire, language: Language) -> &str {
    let code = language.code();
    let marked = format!("({code})");
    let close = |named: &&String| named.ends_with(&marked) || named.as_str() == code;
    questionnaire.languages.iter().find(close).unwrap_or(&questionnaire.default_language)
}

/// The answers of one record, with the questionnaire that explains them.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub(super) questionnaire: Option<&'a Questionnaire>,
    pub(super) language: Language,
    /// The paths in the order of the questionnaire, rows in theirs.
    pub(super) order: Vec<Path>,
    /// The answers by path.
    pub(super) answers: BTreeMap<Path, &'a AnswerDetail>,
    /// The names of areas by code.
    pub(super) areas: BTreeMap<String, String>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    One(&'a Question),
    Group(Members<'a>),
    /// The questionnaire does not know it.
    Unknown,
}

impl<'a> Sheet<'a> {
    /// What the questionnaire asks at a path.
    pub(super) fn asked(&self, path: &Path) -> Asked<'a> {
        match self.questionnaire.and_then(|questionnaire| questionnaire.register_at(path)) {
            Some(Register::One(question)) => Asked::One(question),
            Some(Register::Group { members, .. }) => Asked::Group(members),
            None if path.place().is_record() => match self.of_household(path.name()) {
                Some(question) => Asked::One(question),
                None => Asked::Unknown,
            },
            None => Asked::Unknown,
        }
    }

    /// The question that feeds a field of the household.
    fn of_household(&self, field: &str) -> Option<&'a Question> {
        let mut questions = self.questionnaire?.questions();
        questions.find(|(_, question)| question.updates_household.as_deref() == Some(field)).map(|(_, found)| found)
    }

    /// A text of the questionnaire; what it quotes of other answers is put in.
    pub(super) fn text(&self, text: &Text, place: &Place) -> String {
        let Some(questionnaire) = self.questionnaire else { return String::new() };
        let text = questionnaire.text(text, spoken(questionnaire, self.language));
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            filled.push_str(before);
            filled.push_str(&self.quoted(name.trim(), place).unwrap_or_else(|| "…".to_owned()));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The answer that a label quotes: of the same row, or of what is around it.
    fn quoted(&self, name: &str, place: &Place) -> Option<String> {
        let path = Path::new(place.clone(), name).ok()?;
        if let Asked::One(Question { calculation: Some(calculation), .. }) = self.asked(&path)
            && calculation.text.trim() == "position(..)"
        {
            return self.position(place).map(|at| at.to_string());
        }
        match (self.answers.get(&path), place.split()) {
            (Some(answer), _) => Some(self.plain(&answer.value, self.asked(&path))),
            (None, Some((outer, _, _))) => self.quoted(name, &outer),
            (None, None) => None,
        }
    }

    /// The label of a question, or its key where it has none.
    pub(super) fn label(&self, question: &Question, place: &Place) -> String {
        let label = self.text(&question.label, place);
        if label.is_empty() { question.key.clone() } else { label }
    }

    /// What a person calls the answer at a path.
    pub(super) fn heading(&self, path: &Path) -> String {
        match self.asked(path) {
            Asked::One(question) => self.label(question, path.place()),
            Asked::Group(members) => {
                let labels: Vec<_> = members.iter().map(|member| self.label(member, path.place())).collect();
                labels.join(" · ")
            }
            Asked::Unknown if path.name() == crate::domain::catalogue::AREA => self.language.words().area.to_owned(),
            Asked::Unknown => path.name().to_owned(),
        }
    }

    /// The rows that a place lies in, by name: `Member 2: Maria`.
    pub(super) fn rows(&self, place: &Place) -> Option<String> {
        let (outer, _, _) = place.split()?;
        let repeats: Vec<_> = place.steps().map(|(repeat, _)| repeat).collect();
        let repeat = self.questionnaire.and_then(|questionnaire| questionnaire.repeat(&repeats));
        let label = repeat.map(|repeat| self.text(&repeat.label, &outer)).unwrap_or_default();
        let label = if label.is_empty() { self.language.words().row } else { &label };
        let at = self.position(place).unwrap_or(0);
        let name = self.row_name(place).map(|name| format!(": {name}")).unwrap_or_default();
        let around = self.rows(&outer).map(|outer| format!("{outer} › ")).unwrap_or_default();
        Some(format!("{around}{label} {at}{name}"))
    }

    /// The rows of a repeat that hold answers, in their order.
    pub(super) fn rows_of(&self, outer: &Place, repeat: &str) -> Vec<Place> {
        let depth = outer.steps().count();
        let mut rows = Vec::new();
        for path in self.order.iter().filter(|path| outer.contains(path.place())) {
            if let Some((name, id)) = path.place().steps().nth(depth)
                && name == repeat
                && let Ok(row) = outer.row(name, id)
                && !rows.contains(&row)
            {
                rows.push(row);
            }
        }
        rows
    }

    /// Which row of its repeat a place is, from 1.
    fn position(&self, place: &Place) -> Option<usize> {
        let (outer, repeat, _) = place.split()?;
        self.rows_of(&outer, repeat).iter().position(|row| row == place).map(|at| at + 1)
    }

    /// A row's first text, or else its first answer.
    pub(super) fn row_name(&self, place: &Place) -> Option<String> {
        let asked = self.order.iter().filter(|path| path.place() == place).filter_map(|path| match self.asked(path) {
            Asked::One(question) => Some((path, question)),
            Asked::Group(_) | Asked::Unknown => None,
        });
        let (path, question) = asked.min_by_key(|(_, question)| question.kind != Kind::Text)?;
        Some(self.plain(&self.answers.get(path)?.value, Asked::One(question)))
    }

    /// A value as plain text.
    pub(super) fn plain(&self, value: &Value, asked: Asked<'_>) -> String {
        let words = self.language.words();
        match (value, asked) {
            (Value::Missing(reason), _) => match reason {
                Missing::NotAsked => words.not_asked,
                Missing::Refused => words.refused,
                Missing::DontKnow => words.dont_know,
                Missing::Cleared => words.cleared,
            }
            .to_owned(),
            (Value::Text(text), Asked::One(question)) => {
                self.labelled(text, question).unwrap_or_else(|| text.to_string())
            }
            (Value::Text(text), Asked::Group(_) | Asked::Unknown) => {
                self.areas.get(text.as_str()).cloned().unwrap_or_else(|| text.to_string())
            }
            (Value::Integer(number), _) => grouped(*number, self.language),
            (Value::Choices(names), asked) => {
                let of = |name: &String| match asked {
                    Asked::One(question) => self.labelled(name, question).unwrap_or_else(|| name.clone()),
                    Asked::Group(_) | Asked::Unknown => name.clone(),
                };
                if names.is_empty() { "–".to_owned() } else { names.iter().map(of).collect::<Vec<_>>().join("; ") }
            }
            (Value::Fields(fields), Asked::Group(members)) => {
                let part = |(name, value): (&String, &Value)| match members.get(name) {
                    Some(member) => self.plain(value, Asked::One(member)),
                    None => self.plain(value, Asked::Unknown),
                };
                fields.iter().map(part).collect::<Vec<_>>().join(" · ")
            }
            (value @ Value::Fields(fields), Asked::One(_) | Asked::Unknown) => match Attachment::from_value(value) {
                Some(named) => named.name.unwrap_or_else(|| named.hash.to_string()),
                None => self.fix(fields),
            },
        }
    }

    /// The label of what a text stands for: a choice, a row, a date; none where it stands for itself.
    fn labelled(&self, text: &str, question: &Question) -> Option<String> {
        let language = self.language;
        let Some(select) = question.kind.select() else {
            return match question.kind == Kind::Decimal {
                true => Some(text.replacen('.', language.words().decimal_mark, 1)),
                false if question.kind == Kind::Date => moments::date(text, language),
                false => None,
            };
        };
        match &select.source {
            ChoiceSource::List(list) => self.choice(self.questionnaire?.lists.get(list)?.get(text)?),
            ChoiceSource::External(list) => self.choice(self.questionnaire?.external_lists.get(list)?.get(text)?),
            ChoiceSource::Rows(rows) => {
                let repeat = rows.repeats.last()?;
                let is_row =
                    |path: &&Path| path.place().split().is_some_and(|(_, of, row)| of == repeat && row == text);
                self.row_name(self.answers.keys().find(is_row)?.place())
            }
            ChoiceSource::File(_) => None,
        }
    }

    fn choice(&self, choice: &questionnaire::Choice) -> Option<String> {
        let label = self.text(&choice.label, &Place::record());
        (!label.is_empty()).then_some(label)
    }

    /// A GPS fix in degrees; other fields one by one.
    fn fix(&self, fields: &BTreeMap<String, Value>) -> String {
        let degrees = |name: &str| match fields.get(name) {
            Some(Value::Integer(tiny)) => Some(scaled(*tiny, 7)),
            Some(Value::Text(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_)) | None => None,
        };
        let (Some(lat), Some(lon)) = (degrees("lat"), degrees("lon")) else {
            let part = |(name, value): (&String, &Value)| format!("{name}: {}", self.plain(value, Asked::Unknown));
            return fields.iter().map(part).collect::<Vec<_>>().join(" · ");
        };
        match fields.get("acc") {
            Some(Value::Integer(acc)) => format!("{lat}, {lon} (± {} m)", (acc.saturating_add(500)) / 1000),
            Some(Value::Text(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_)) | None => {
                format!("{lat}, {lon}")
            }
        }
    }

    /// A value with the raw code beside it, where the two differ.
    pub(super) fn shown(&self, value: &Value, asked: Asked<'_>) -> Markup {
        let plain = self.plain(value, asked);
        let code = match (value, asked) {
            (Value::Text(code), Asked::One(question)) if question.kind.select().is_some() && *code != plain => {
                Some(code.to_string())
            }
            (Value::Choices(codes), _) if !codes.is_empty() => Some(codes.join(" ")),
            (Value::Text(code), Asked::Unknown) if *code != plain => Some(code.to_string()),
            (_, _) => None,
        };
        let is_missing = matches!(value, Value::Missing(_));
        html! {
            @if is_missing { em class="missing" { (plain) } } @else { (plain) }
            @if let Some(code) = code { " " small class="code" { (code) } }
        }
    }
}

/// A whole number with its thousands apart, if it has more than four digits.
pub(super) fn grouped(number: i64, language: Language) -> String {
    let digits = number.unsigned_abs().to_string();
    if digits.len() < 5 {
        return number.to_string();
    }
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push_str(language.words().thousands);
        }
        out.push(digit);
    }
    out
}

/// A count for a table.
pub(super) fn count(number: u64, language: Language) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX), language)
}

/// An integer of 10^-`places` as a decimal.
fn scaled(number: i64, places: usize) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or((&digits, ""));
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{whole}.{}", part.get(..5).unwrap_or(part))
}

/// The marks of a record: what a coordinator should notice.
pub(super) fn marks(row: &crate::store::RecordRow, language: Language) -> Markup {
    let words = language.words();
    html! {
        @if row.conflicts > 0 {
            span class="tag bad" { (counted(u64::from(row.conflicts), words.n_conflicts)) }
        }
        @if row.violations > 0 {
            span class="tag warn" { (counted(u64::from(row.violations), words.n_broken)) }
        }
        @if !row.validated { span class="tag" { (words.unchecked) } }
        @if row.attention > 0 { span class="tag warn" { (fill(words.attention, row.attention)) } }
        @for flag in &row.flags { span class="tag warn" { (flag_name(flag, language)) } }
        @if row.void && row.review.is_none() { span class="tag bad" { (words.void) } }
        @if let Some(state) = &row.review { (state_tag(state, language)) }
        @if row.differs { span class="tag warn" { (words.changed_since) } }
    }
}

/// Where the review of an interview stands, by the state's word.
pub(super) fn state_tag(state: &str, language: Language) -> Markup {
    let known = State::from_word(state);
    let class = match known {
        Some(State::Draft | State::Submitted | State::InReview) | None => "tag",
        Some(State::Returned | State::Corrected) => "tag warn",
        Some(State::Approved) => "tag good",
        Some(State::Void) => "tag bad",
    };
    html! { span class=(class) { (known.map_or(state, |state| state_name(state, language))) } }
}

/// What a state of the review is called.
pub(super) fn state_name(state: State, language: Language) -> &'static str {
    let words = language.words();
    match state {
        State::Draft => words.draft,
        State::Submitted => words.submitted,
        State::InReview => words.in_review,
        State::Returned => words.returned,
        State::Corrected => words.corrected,
        State::Approved => words.approved,
        State::Void => words.void,
    }
}

/// What was unusual when a change arrived, in words.
pub(super) fn flag_name(flag: &str, language: Language) -> &str {
    match flag {
        "out-of-scope" => language.words().out_of_scope,
        "discarded" => language.words().discarded,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped_as_the_reader_writes_them() {
        assert_eq!(grouped(2026, Language::Indonesian), "2026");
        assert_eq!(grouped(1_250_000, Language::Indonesian), "1.250.000");
        assert_eq!(grouped(-12_500, Language::English), "-12,500");
    }

    #[test]
    fn degrees_keep_their_sign_below_one() {
        assert_eq!(scaled(-101_772_000, 7), "-10.17720");
        assert_eq!(scaled(-1_772_000, 7), "-0.17720");
        assert_eq!(scaled(1_236_070_001, 7), "123.60700");
    }
}
