//! Random answers: mostly what the questionnaire's own rules look at, now and then what they forbid.

use std::collections::{BTreeMap, BTreeSet};

use questionnaire::{Item, Kind, Metadata, Question, Questionnaire};

/// A small generator (SplitMix64), so that a seed gives the same interviews on every machine.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from(self.bits() % limit).unwrap_or(0)
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }
}

/// What the expressions of a questionnaire say of its questions, by name.
#[derive(Default)]
pub(crate) struct Hints {
    /// Values that an expression compares a question with.
    compared: BTreeMap<String, BTreeSet<String>>,
    /// Questions that a number of rows hangs on.
    counts: BTreeSet<String>,
}

impl Hints {
    pub(crate) fn read(questionnaire: &Questionnaire) -> Self {
        let mut hints = Self::default();
        let mut calculations = BTreeMap::new();
        let mut waiting = Vec::new();
        visit(questionnaire.items(), &mut |item| {
            let texts = match item {
                Item::Question(question) => {
                    if let Some(calculation) = &question.calculation {
                        calculations.insert(question.name.clone(), calculation.text.clone());
                    }
                    if let Some(constraint) = &question.constraint {
                        // In its own constraint a question is a dot.
                        let text = constraint.text.replace(". ", &format!("${{{}}} ", question.name));
                        hints.note(&text);
                    }
                    vec![&question.relevant, &question.calculation, &question.choice_filter, &question.required]
                }
                Item::Group(group) => vec![&group.relevant],
                Item::Repeat(repeat) => {
                    waiting.extend(repeat.repeat_count.iter().flat_map(|count| names(&count.text)));
                    vec![&repeat.relevant]
                }
            };
            for text in texts.into_iter().flatten() {
                hints.note(&text.text);
            }
        });
        // What a calculation is compared with, the questions that it reads are to hold, too.
        for (name, calculation) in &calculations {
            let values = hints.compared.get(name).cloned().unwrap_or_default();
            for read in names(calculation) {
                hints.compared.entry(read).or_default().extend(values.iter().cloned());
            }
        }
        while let Some(name) = waiting.pop() {
            if let Some(calculation) = calculations.get(&name)
                && !hints.counts.contains(&name)
            {
                waiting.extend(names(calculation));
            }
            hints.counts.insert(name);
        }
        hints
    }

    /// Notes what stands behind each `${name}`: an operator or comma, then a text or number.
    fn note(&mut self, text: &str) {
        for part in text.split("${").skip(1) {
            let Some((name, rest)) = part.split_once('}') else { continue };
            let rest = rest.trim_start_matches([' ', '=', '!', '<', '>', ',']);
            let value: String = match rest.chars().next() {
                Some(quote @ ('\'' | '"')) => rest.chars().skip(1).take_while(|sign| *sign != quote).collect(),
                Some(_) => rest.chars().take_while(|sign| sign.is_ascii_digit() || "-.".contains(*sign)).collect(),
                None => continue,
            };
            if !value.is_empty() && value.len() < 40 {
                self.compared.entry(name.trim().to_owned()).or_default().insert(value);
            }
        }
    }

    /// Makes up an answer, as XLSForm text; empty for none.
    ///
    /// `offered` are the choices of a select just now, `all` those of its list.
    pub(crate) fn answer(
        &self,
        chance: &mut Chance,
        question: &Question,
        offered: &[String],
        all: &[String],
    ) -> String {
        if chance.percent(8) {
            return String::new();
        }
        let compared: Vec<&String> = self.compared.get(&question.name).into_iter().flatten().collect();
        match &question.kind {
            Kind::SelectOne(_) => choice(chance, &compared, offered, all),
            Kind::SelectMultiple(_) | Kind::Rank(_) => {
                let most = if self.counts.contains(&question.name) { 2 } else { 4 };
                let mut chosen: Vec<String> = Vec::new();
                for _ in 0..=chance.below(most) {
                    let one = choice(chance, &compared, offered, all);
                    if !one.is_empty() && !chosen.contains(&one) {
                        chosen.push(one);
                    }
                }
                chosen.join(" ")
            }
            Kind::Integer | Kind::Range if self.counts.contains(&question.name) => {
                chance.pick(&["0", "1", "2", "3", "-1", ""]).copied().unwrap_or_default().to_owned()
            }
            Kind::Integer => integer(chance, &compared).to_string(),
            Kind::Range if is_whole(question) => integer(chance, &compared).to_string(),
            Kind::Decimal | Kind::Range => decimal(chance, &compared),
            Kind::Date | Kind::Metadata(Metadata::Today) => date(chance),
            Kind::Time => {
                chance.pick(&["06:30:00.000+08:00", "23:59:00.000+08:00"]).copied().unwrap_or_default().to_owned()
            }
            Kind::DateTime | Kind::Metadata(Metadata::Start | Metadata::End) => {
                format!("{}T{:02}:15:00.000+08:00", date(chance), chance.below(24))
            }
            Kind::GeoPoint => format!("-10.{} 123.{} {} 4.5", chance.below(999), chance.below(999), chance.below(40)),
            Kind::GeoTrace => "1 2 3 4; 1.001 2.001 3 4".to_owned(),
            Kind::GeoShape => "1 2 0 4; 1 2.001 0 4; 1.001 2.001 0 4; 1 2 0 4".to_owned(),
            Kind::Acknowledge => "OK".to_owned(),
            Kind::Image | Kind::Audio | Kind::Video | Kind::File => "file.jpg".to_owned(),
            Kind::Text
            | Kind::Barcode
            | Kind::Note
            | Kind::Calculate
            | Kind::Hidden
            | Kind::Metadata(_)
            | Kind::XmlExternal
            | Kind::CsvExternal => text(chance, &compared),
        }
    }
}

/// Calls `look` with every item of a questionnaire.
fn visit<'a>(items: &'a [Item], look: &mut impl FnMut(&'a Item)) {
    for item in items {
        look(item);
        match item {
            Item::Question(_) => {}
            Item::Group(group) => visit(&group.children, look),
            Item::Repeat(repeat) => visit(&repeat.children, look),
        }
    }
}

fn names(text: &str) -> Vec<String> {
    text.split("${").skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// Tells whether a range takes whole numbers only.
fn is_whole(question: &Question) -> bool {
    !["start", "end", "step"].iter().any(|name| question.parameters.get(*name).is_some_and(|text| text.contains('.')))
}

fn choice(chance: &mut Chance, compared: &[&String], offered: &[String], all: &[String]) -> String {
    let wanted: Vec<&String> = compared.iter().copied().filter(|one| offered.contains(one)).collect();
    let picked = match chance.below(100) {
        0..70 if !wanted.is_empty() => chance.pick(&wanted).map(|one| (*one).clone()),
        0..94 if !offered.is_empty() => chance.pick(offered).cloned(),
        _ => chance.pick(all).cloned(),
    };
    picked.unwrap_or_default()
}

fn integer(chance: &mut Chance, compared: &[&String]) -> i64 {
    let known: Vec<i64> = compared.iter().filter_map(|text| text.parse().ok()).collect();
    let step = i64::try_from(chance.below(3)).unwrap_or(0) - 1;
    match chance.below(10) {
        0..5 if !known.is_empty() => chance.pick(&known).copied().unwrap_or(0) + step,
        0..7 => i64::try_from(chance.below(20)).unwrap_or(0) - 1,
        7 => i64::try_from(chance.below(150)).unwrap_or(0),
        8 => 1000 * i64::try_from(chance.below(9000)).unwrap_or(0),
        _ => chance.pick(&[-3, 0, 999_999_999]).copied().unwrap_or(0),
    }
}

fn decimal(chance: &mut Chance, compared: &[&String]) -> String {
    let whole = integer(chance, compared);
    match chance.below(4) {
        0 => format!("{whole}.5"),
        1 => format!("{whole}.{}", chance.below(1000) * 10 + 1),
        _ => whole.to_string(),
    }
}

fn date(chance: &mut Chance) -> String {
    let year = match chance.below(4) {
        0 => 2026,
        1 => 1940 + chance.below(100),
        _ => 2019 + chance.below(8),
    };
    format!("{year}-{:02}-{:02}", 1 + chance.below(12), 1 + chance.below(28))
}

fn text(chance: &mut Chance, compared: &[&String]) -> String {
    const TEXTS: &[&str] = &[
        "Ana",
        "Budi Nalle",
        "Oebobo 3",
        "é🌾",
        "it's",
        "007",
        "0",
        "1",
        "12.5",
        "-2",
        "08123456789",
        "+62812345678",
        "5371010101990001",
        "5371014112880003",
        "004",
        "0021",
        "a b c",
        "a@b.id",
        "2024-02-29",
        "true",
    ];
    if !compared.is_empty() && chance.percent(30) {
        return chance.pick(compared).map(|one| (*one).clone()).unwrap_or_default();
    }
    chance.pick(TEXTS).copied().unwrap_or_default().to_owned()
}
