//! One interview, typed into both engines.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use questionnaire::{
    ChoiceSource, Compiled, Context, Evaluator, Instance, Item, Kind, Question, Questionnaire, Repeat,
};
use sync_protocol::{Path, Place};

use crate::{
    answers::{Chance, Hints},
    driver::{Dump, JavaRosa, NOW},
};

/// Most rows that a repeat gets by chance, and at all.
const ROWS: usize = 3;
const MOST_ROWS: usize = 40;

/// A question or repeat in one place; the prefix is the way there as JavaRosa writes it.
#[derive(Clone)]
pub(crate) struct Spot<'a> {
    pub(crate) item: &'a Item,
    pub(crate) place: Place,
    pub(crate) prefix: String,
}

impl Spot<'_> {
    pub(crate) fn theirs(&self) -> String {
        format!("{}{}", self.prefix, self.item.name())
    }
}

pub(crate) struct Interview<'a> {
    questionnaire: &'a Questionnaire,
    hints: &'a Hints,
    pub(crate) ours: Evaluator,
    pub(crate) theirs: &'a mut JavaRosa,
    chance: Chance,
    /// How many rows there are on both sides, by JavaRosa's path of the repeat; their ids are `1`, `2`, ….
    rows: BTreeMap<String, usize>,
    /// How many answers JavaRosa took away because they were no longer offered.
    pub(crate) forgotten: usize,
}

impl<'a> Interview<'a> {
    /// Begins with an empty record on both sides.
    pub(crate) fn begin(compiled: &'a Compiled, hints: &'a Hints, theirs: &'a mut JavaRosa, seed: u64) -> Result<Self> {
        let ours = Evaluator::new(compiled, &Instance::new(), Context::at(NOW).context("an instant")?);
        theirs.begin(seed)?;
        let questionnaire = compiled.questionnaire();
        let mut interview =
            Self { questionnaire, hints, ours, theirs, chance: Chance::new(seed), rows: BTreeMap::new(), forgotten: 0 };
        interview.open(questionnaire.items(), &Place::record(), "")?;
        interview.theirs.reopen()?;
        Ok(interview)
    }

    /// Makes a new record or row the same on both sides: no repeat has a row yet, defaults are set (by JavaRosa itself,
    /// too), and the device has filled nothing in.
    fn open(&mut self, items: &'a [Item], place: &Place, prefix: &str) -> Result<()> {
        for item in items {
            match item {
                Item::Question(question) => {
                    let path = Path::new(place.clone(), question.key.as_str())?;
                    let default = self.ours.default_value(&path).unwrap_or_default();
                    self.ours.set(&path, &default)?;
                    if matches!(question.kind, Kind::Metadata(_)) {
                        self.theirs.set(&format!("{prefix}{}", question.name), &default)?;
                    }
                }
                Item::Group(group) => self.open(&group.children, place, &format!("{prefix}{}/", group.name))?,
                Item::Repeat(repeat) => self.theirs.rows(&format!("{prefix}{}", repeat.name), 0)?,
            }
        }
        Ok(())
    }

    /// Answers from the first question to the last, as an enumerator does.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.fill_items(self.questionnaire.items(), &Place::record(), "")
    }

    fn fill_items(&mut self, items: &'a [Item], place: &Place, prefix: &str) -> Result<()> {
        for item in items {
            match item {
                Item::Question(question) => {
                    let path = Path::new(place.clone(), question.key.as_str())?;
                    let percent = if self.ours.is_relevant(&path) { 92 } else { 6 };
                    if self.chance.percent(percent) {
                        self.answer(question, &path, prefix)?;
                    }
                }
                Item::Group(group) => self.fill_items(&group.children, place, &format!("{prefix}{}/", group.name))?,
                Item::Repeat(repeat) => {
                    let asked = self.ours.row_count(place, &repeat.key);
                    let count = asked.unwrap_or_else(|| self.chance.below(ROWS + 1)).min(MOST_ROWS);
                    self.resize(repeat, place, prefix, count)?;
                    for row in 1..=count {
                        let inside = place.row(&repeat.key, &row.to_string())?;
                        self.fill_items(&repeat.children, &inside, &format!("{prefix}{}[{row}]/", repeat.name))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes some answers and numbers of rows here and there.
    pub(crate) fn edit(&mut self) -> Result<()> {
        for _ in 0..=self.chance.below(6) {
            let spots = self.spots();
            let Some(spot) = self.chance.pick(&spots).cloned() else { break };
            match spot.item {
                Item::Question(question) => {
                    self.answer(question, &Path::new(spot.place, question.key.as_str())?, &spot.prefix)?;
                }
                Item::Repeat(repeat) if repeat.repeat_count.is_none() => {
                    let count = self.chance.below(ROWS + 1);
                    self.resize(repeat, &spot.place, &spot.prefix, count)?;
                }
                Item::Repeat(_) | Item::Group(_) => {}
            }
        }
        Ok(())
    }

    /// Lists every question and repeat, in every row.
    pub(crate) fn spots(&self) -> Vec<Spot<'a>> {
        let mut spots = Vec::new();
        self.add_spots(self.questionnaire.items(), &Place::record(), "", &mut spots);
        spots
    }

    fn add_spots(&self, items: &'a [Item], place: &Place, prefix: &str, spots: &mut Vec<Spot<'a>>) {
        for item in items {
            match item {
                Item::Question(_) => spots.push(Spot { item, place: place.clone(), prefix: prefix.to_owned() }),
                Item::Group(group) => {
                    self.add_spots(&group.children, place, &format!("{prefix}{}/", group.name), spots);
                }
                Item::Repeat(repeat) => {
                    spots.push(Spot { item, place: place.clone(), prefix: prefix.to_owned() });
                    for row in 1..=self.row_count(&format!("{prefix}{}", repeat.name)) {
                        if let Ok(inside) = place.row(&repeat.key, &row.to_string()) {
                            let prefix = format!("{prefix}{}[{row}]/", repeat.name);
                            self.add_spots(&repeat.children, &inside, &prefix, spots);
                        }
                    }
                }
            }
        }
    }

    /// Returns how many rows a repeat has, by JavaRosa's path.
    pub(crate) fn row_count(&self, repeat: &str) -> usize {
        self.rows.get(repeat).copied().unwrap_or(0)
    }

    fn answer(&mut self, question: &Question, path: &Path, prefix: &str) -> Result<()> {
        if question.calculation.is_some() || !question.kind.holds_value() {
            return Ok(());
        }
        let (mut offered, mut all) = (Vec::new(), Vec::new());
        if let Some(select) = question.kind.select() {
            offered = self.ours.choices(path).into_iter().map(|offer| offer.name).collect();
            if let ChoiceSource::List(list) = &select.source {
                let list = self.questionnaire.lists.get(list);
                all = list.into_iter().flat_map(|list| list.choices()).map(|choice| choice.name.clone()).collect();
            }
        }
        let text = self.hints.answer(&mut self.chance, question, &offered, &all);
        let before = self.ours.value(path);
        self.ours.set(path, &text)?;
        if before != text {
            for (triggered, value) in self.ours.triggered_by(path) {
                self.ours.set(&triggered, &value)?;
            }
        }
        self.theirs.set(&format!("{prefix}{}", question.name), &text)
    }

    /// Gives a repeat so many rows on both sides.
    fn resize(&mut self, repeat: &'a Repeat, place: &Place, prefix: &str, count: usize) -> Result<()> {
        let name = format!("{prefix}{}", repeat.name);
        let found = self.row_count(&name);
        for row in (count + 1..=found).rev() {
            self.ours.remove_row(&place.row(&repeat.key, &row.to_string())?)?;
            let inside = format!("{name}[{row}]/");
            self.rows.retain(|known, _| !known.starts_with(&inside));
        }
        self.theirs.rows(&name, count)?;
        self.rows.insert(name.clone(), count);
        for row in found + 1..=count {
            let inside = place.row(&repeat.key, &row.to_string())?;
            self.ours.add_row(&inside)?;
            self.open(&repeat.children, &inside, &format!("{name}[{row}]/"))?;
        }
        Ok(())
    }

    /// Gives every repeat as many rows as its count asks for, then has JavaRosa do the same by itself.
    ///
    /// Looking at a list of choices, JavaRosa takes away an answer that is not offered any more. We keep and flag it;
    /// it is taken away here, too, so that what hangs on it can be compared.
    pub(crate) fn settle(&mut self) -> Result<Dump> {
        loop {
            while self.settle_one()? {}
            self.theirs.walk()?;
            let dump = self.theirs.dump()?;
            let (forgot, drew) = (self.forget(&dump)?, self.draw(&dump)?);
            if !dump.errors.is_empty() || !(forgot || drew) {
                return Ok(dump);
            }
        }
    }

    fn forget(&mut self, dump: &Dump) -> Result<bool> {
        let mut changed = false;
        for spot in self.spots() {
            let Item::Question(question) = spot.item else { continue };
            let path = Path::new(spot.place.clone(), question.key.as_str())?;
            let Some(node) = dump.nodes.get(&spot.theirs()) else { continue };
            let mine = self.ours.value(&path);
            let kept = |one: &str| mine.split(' ').any(|known| known == one);
            if question.kind.select().is_some()
                && question.calculation.is_none()
                && mine != node.value
                && node.value.split_whitespace().all(kept)
            {
                self.ours.set(&path, &node.value)?;
                // Where it takes an answer away by itself, it does not look again at what hangs on it.
                self.theirs.set(&spot.theirs(), &node.value)?;
                self.forgotten += 1;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Takes over what JavaRosa drew by chance, as the answer that such a calculation is saved as.
    fn draw(&mut self, dump: &Dump) -> Result<bool> {
        let mut changed = false;
        let to_save = self.ours.evaluation().to_save;
        for spot in self.spots() {
            let path = Path::new(spot.place.clone(), spot.item.name())?;
            let node = dump.nodes.get(&spot.theirs()).filter(|node| node.relevant && !node.value.is_empty());
            if let (true, Some(node)) = (to_save.contains_key(&path), node) {
                // A small number has an exponent there, which no answer of ours has.
                let number = node.value.parse::<f64>().ok().filter(|_| node.value.contains('E'));
                self.ours.set(&path, &number.map_or(node.value.clone(), |number| number.to_string()))?;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn settle_one(&mut self) -> Result<bool> {
        for spot in self.spots() {
            let Item::Repeat(repeat) = spot.item else { continue };
            let Some(wanted) = self.ours.row_count(&spot.place, &repeat.key) else { continue };
            let found = self.row_count(&spot.theirs());
            // Rows of an irrelevant repeat stay.
            let is_kept = !self.ours.is_repeat_relevant(&spot.place, &repeat.key);
            if wanted != found && !is_kept && wanted <= MOST_ROWS {
                self.resize(repeat, &spot.place, &spot.prefix, wanted)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
