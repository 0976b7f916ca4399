//! What a newer version makes of answers that were given under an earlier one.
//!
//! A renamed question or roster (column `tenun::was`) keeps its answers: they are read under today's key, whoever gave them
//! and whenever, so that an edit from a phone with the old version meets one from a phone with the new version in one
//! register. A question that is gone leaves its answers parked: kept, shown, exported, never evaluated. Where a type changed, an
//! answer counts if its text is a value of the new type; else it is kept and to be asked again, as is a choice that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use sync_protocol::{
    Change, Dot, Op, Path, Place, QuestionnaireRef, Record, Snapshot, Stamp, Value,
    remark::{About, Remark},
};

use crate::model::{ChoiceSource, Item, Kind, Questionnaire, Register};

/// Says what became of one thing between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// A question that the earlier version did not ask.
    New {
        /// Its key, with those of its rosters before it.
        question: String,
    },
    /// A question that is not asked any more: its answers are parked.
    Gone {
        /// Its key in the earlier version.
        question: String,
    },
    /// A question or roster under another key: its answers go with it.
    Renamed {
        /// Its key now.
        question: String,
        /// Its key in the earlier version.
        was: String,
    },
    /// A question of another type: an answer counts if its text is a value of the new type.
    Retyped {
        /// Its key now.
        question: String,
        /// The type in the earlier version.
        from: String,
        /// The type now.
        to: String,
    },
    /// A question of another merge group: its answers are parked under the register that they were in.
    Regrouped {
        /// Its key.
        question: String,
    },
    /// A question that would take over the answers of several, of which all but one would be lost: the version can't be used.
    Joined {
        /// Its key now.
        question: String,
        /// The keys in the earlier version.
        were: Vec<String>,
    },
    /// A choice that is not offered any more: whoever chose it is to be asked again.
    ChoiceGone {
        /// The question's key now.
        question: String,
        /// The choice.
        choice: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New { question } => write!(f, "{question}: new, to be asked"),
            Self::Gone { question } => write!(f, "{question}: gone, its answers are parked"),
            Self::Renamed { question, was } => write!(f, "{question}: was {was}, its answers stay"),
            Self::Retyped { question, from, to } => {
                write!(f, "{question}: was {from}, is {to}; answers that are no {to} are to be asked again")
            }
            Self::Regrouped { question } => {
                write!(f, "{question}: of another merge group, answers given before are parked")
            }
            Self::Joined { question, were } => {
                write!(f, "{question}: was {} at once, and can take over the answers of one only", were.join(" and "))
            }
            Self::ChoiceGone { question, choice } => {
                write!(f, "{question}: the choice {choice} is gone, whoever chose it is to be asked again")
            }
        }
    }
}

/// Merges a record from its changes, all of them read under the newest version among them.
///
/// So the view is a function of the changes, of their stamps and of that version (DESIGN §5, rule 11). Where `find` does
/// not have the version, changes are read as they stand.
pub fn merge_under(
    changes: Vec<(Change, Option<Stamp>)>,
    find: impl FnOnce(&QuestionnaireRef) -> Option<Arc<Questionnaire>>,
) -> Record {
    merge_over(None, changes, find)
}

/// Merges a record from a snapshot and the changes that are here besides, as [`merge_under`] does from all of them.
pub fn merge_over(
    snapshot: Option<Snapshot>,
    changes: Vec<(Change, Option<Stamp>)>,
    find: impl FnOnce(&QuestionnaireRef) -> Option<Arc<Questionnaire>>,
) -> Record {
    let folded = snapshot.as_ref().map(|snapshot| &snapshot.questionnaire);
    let newest = changes.iter().map(|(change, _)| &change.questionnaire).chain(folded).max();
    let form = newest.and_then(find);
    let mut record = Record::new();
    for (change, stamp) in changes {
        let change = match &form {
            Some(form) => form.adopt(change),
            None => change,
        };
        record.apply(change, stamp);
    }
    if let Some(snapshot) = snapshot {
        record.take(match &form {
            Some(form) => form.adopt_snapshot(snapshot),
            None => snapshot,
        });
    }
    record
}

impl Questionnaire {
    /// Reads a change under this version: what it names by an earlier key it names by today's.
    ///
    /// The change is taken for its place in the merged record only; its stored bytes stay as they were authored.
    #[must_use]
    pub fn adopt(&self, mut change: Change) -> Change {
        if self.has_renamed() {
            for op in &mut change.ops {
                match op {
                    Op::Set { path, value, .. } => {
                        *path = self.path_today(path);
                        self.rename_fields(path, value);
                    }
                    Op::AddRow { row, .. } | Op::RemoveRow { row, .. } => *row = self.place_today(row),
                    Op::Note { text } => self.rename_remarked(text),
                    Op::Void { .. } => {}
                }
            }
        }
        change
    }

    /// A remark about a question stays beside it.
    fn rename_remarked(&self, note: &mut String) {
        let remark = Remark::read(note);
        let Some(About::Answer(path)) = &remark.about else { return };
        let today = self.path_today(path);
        if today != *path {
            *note = Remark::note(&About::Answer(today), remark.text);
        }
    }

    /// Reads a snapshot under this version, as [`Questionnaire::adopt`] reads a change.
    fn adopt_snapshot(&self, snapshot: Snapshot) -> Snapshot {
        if !self.has_renamed() {
            return snapshot;
        }
        let Snapshot { changes, replaced, touched, removed, .. } = snapshot;
        let today = |rows: BTreeSet<(Place, Dot)>| rows.into_iter().map(|(row, dot)| (self.place_today(&row), dot));
        Snapshot {
            changes: changes.into_iter().map(|(change, stamp)| (self.adopt(change), stamp)).collect(),
            replaced: replaced.into_iter().map(|(path, dot)| (self.path_today(&path), dot)).collect(),
            touched: today(touched).collect(),
            removed: today(removed).collect(),
            ..snapshot
        }
    }

    fn place_today(&self, place: &Place) -> Place {
        let (mut today, mut repeats) = (Place::record(), Vec::new());
        for (repeat, row) in place.steps() {
            let repeat = self.renamed(&repeats, repeat).unwrap_or(repeat);
            repeats.push(repeat);
            // A key that the reader took is a name.
            match today.row(repeat, row) {
                Ok(inner) => today = inner,
                Err(_) => return place.clone(),
            }
        }
        today
    }

    fn path_today(&self, path: &Path) -> Path {
        let place = self.place_today(path.place());
        let repeats: Vec<&str> = place.steps().map(|(repeat, _)| repeat).collect();
        // A question that became a member of a merge group has no register of its own to go to.
        let name = self.renamed(&repeats, path.name()).filter(|today| self.register(&repeats, today).is_some());
        let name = name.unwrap_or_else(|| path.name()).to_owned();
        Path::new(place, name).unwrap_or_else(|_| path.clone())
    }

    /// Renames the members of a merge group inside its value.
    fn rename_fields(&self, path: &Path, value: &mut Value) {
        let Value::Fields(fields) = value else { return };
        let repeats: Vec<&str> = path.place().steps().map(|(repeat, _)| repeat).collect();
        let Some(Register::Group { members, .. }) = self.register(&repeats, path.name()) else { return };
        let renamed: Vec<(String, String)> = fields
            .keys()
            .filter(|key| members.get(key).is_none())
            .filter_map(|key| Some((key.clone(), self.renamed(&repeats, key)?.to_owned())))
            .filter(|(_, today)| members.get(today).is_some())
            .collect();
        for (earlier, today) in renamed {
            if let Some(value) = fields.remove(&earlier) {
                fields.entry(today).or_insert(value);
            }
        }
    }

    /// Returns the shown answers that this version has no question for, in order: they are parked.
    ///
    /// Of a merge group these are the members that it has no more, as `group.member`.
    #[must_use]
    pub fn parked<'a>(&self, record: &'a Record) -> Vec<(Path, &'a Value)> {
        let mut parked = Vec::new();
        for (path, answer) in record.shown_answers() {
            let Some(value) = answer.siblings.first().map(|sibling| sibling.value) else { continue };
            match (self.register_at(path), value) {
                (None, value) if !path.is_reserved() => parked.push((path.clone(), value)),
                (Some(Register::Group { members, .. }), Value::Fields(fields)) => {
                    let gone = fields.iter().filter(|(name, _)| members.get(name).is_none());
                    parked.extend(gone.filter_map(|(name, value)| {
                        Some((Path::new(path.place().clone(), format!("{}.{name}", path.name())).ok()?, value))
                    }));
                }
                (_, _) => {}
            }
        }
        parked
    }

    /// Lists what is different from an earlier version, in form order, what is gone last.
    #[must_use]
    pub fn differences_from(&self, earlier: &Self) -> Vec<Difference> {
        let before: BTreeMap<String, &crate::Question> = earlier.by_key();
        let renamed_places = self.places_by_earlier(self.items(), "", "");
        let mut used = BTreeSet::new();
        let renamed = renamed_places.iter().flat_map(|(today, before)| before.iter().map(move |was| (today, was)));
        let renamed = renamed
            .filter(|(today, was)| today != was && earlier.repeat(&was.split('/').collect::<Vec<_>>()).is_some());
        let mut differences: Vec<Difference> =
            renamed.map(|(today, was)| Difference::Renamed { question: today.clone(), was: was.clone() }).collect();
        for (key, question) in self.in_order() {
            let (place, name) = key.rsplit_once('/').map_or(("", key.as_str()), |(place, name)| (place, name));
            let places =
                std::iter::once(place).chain(renamed_places.get(place).into_iter().flatten().map(String::as_str));
            let names: Vec<&str> = std::iter::once(name).chain(question.was.iter().map(String::as_str)).collect();
            let candidates = places.flat_map(|place| names.iter().map(move |name| join(place, name)));
            let mut were: Vec<(String, &crate::Question)> =
                candidates.filter_map(|was| before.get(&was).map(|old| (was, *old))).collect();
            were.dedup_by(|(one, _), (other, _)| one == other);
            if were.len() > 1 {
                let were = were.iter().map(|(was, _)| was.clone()).collect();
                differences.push(Difference::Joined { question: key.clone(), were });
            }
            let first = if were.is_empty() { None } else { Some(were.swap_remove(0)) };
            let Some((was, old)) = first else {
                if question.kind.is_shown() && question.kind.holds_value() {
                    differences.push(Difference::New { question: key });
                }
                continue;
            };
            used.insert(was.clone());
            // A renamed roster was told of once.
            if was.rsplit('/').next() != Some(name) {
                differences.push(Difference::Renamed { question: key.clone(), was });
            }
            if old.kind.name() != question.kind.name() {
                let (from, to) = (old.kind.name().to_owned(), question.kind.name().to_owned());
                differences.push(Difference::Retyped { question: key.clone(), from, to });
            }
            if old.merge != question.merge && (is_member(old) || is_member(question)) {
                differences.push(Difference::Regrouped { question: key.clone() });
            }
            let (then, now) = (earlier.choice_names(&old.kind), self.choice_names(&question.kind));
            let gone = then.difference(&now).map(|choice| (*choice).to_owned());
            differences.extend(gone.map(|choice| Difference::ChoiceGone { question: key.clone(), choice }));
        }
        let gone = earlier.in_order().into_iter().filter(|(key, question)| {
            !used.contains(key) && question.kind.holds_value() && !matches!(question.kind, Kind::Calculate)
        });
        differences.extend(gone.map(|(question, _)| Difference::Gone { question }));
        differences
    }

    fn in_order(&self) -> Vec<(String, &crate::Question)> {
        self.questions().map(|(repeats, question)| (join(&repeats.join("/"), &question.key), question)).collect()
    }

    fn by_key(&self) -> BTreeMap<String, &crate::Question> {
        self.in_order().into_iter().collect()
    }

    /// The earlier keys of each renamed repeat, with those of the repeats around it, by today's.
    fn places_by_earlier(&self, items: &[Item], today: &str, before: &str) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for item in items {
            match item {
                Item::Group(group) => {
                    for (today, before) in self.places_by_earlier(&group.children, today, before) {
                        found.entry(today).or_default().extend(before);
                    }
                }
                Item::Repeat(repeat) => {
                    let here = join(today, &repeat.key);
                    for earlier in std::iter::once(&repeat.key).chain(&repeat.was) {
                        let was = join(before, earlier);
                        for (today, before) in self.places_by_earlier(&repeat.children, &here, &was) {
                            found.entry(today).or_default().extend(before);
                        }
                        found.entry(here.clone()).or_default().push(was);
                    }
                }
                Item::Question(_) => {}
            }
        }
        found
    }

    fn choice_names(&self, kind: &Kind) -> BTreeSet<&str> {
        let list = match kind.select().map(|select| &select.source) {
            Some(ChoiceSource::List(name)) => self.lists.get(name),
            Some(ChoiceSource::External(name)) => self.external_lists.get(name),
            Some(ChoiceSource::Rows(_) | ChoiceSource::File(_)) | None => None,
        };
        list.map(|list| list.choices().iter().map(|choice| choice.name.as_str()).collect()).unwrap_or_default()
    }
}

fn is_member(question: &crate::Question) -> bool {
    matches!(question.merge, crate::Merge::Group(_))
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") }
}
