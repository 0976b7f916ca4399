//! The lists of choices as expressions search them: by column, quickly however long they are.

use std::collections::{BTreeMap, BTreeSet};

use super::code::ListName;
use crate::model::{Choice, ChoiceList, ChoiceSource, Kind, Questionnaire};

/// Entries of the files that come with a form, by file name without its ending.
pub type Tables = BTreeMap<String, ChoiceList>;

/// The lists of a questionnaire, its files, and the indexes that its expressions use.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    tables: Tables,
    files: BTreeSet<String>,
    indexes: Vec<Index>,
}

/// Positions of a list's entries, by the text of one column and then by position.
#[derive(Debug)]
struct Index {
    list: ListName,
    column: String,
    order: Vec<usize>,
}

impl Lists {
    pub(crate) fn new(questionnaire: &Questionnaire, tables: Tables) -> Self {
        let mut files: BTreeSet<String> = tables.keys().chain(questionnaire.files.keys()).cloned().collect();
        for (_, question) in questionnaire.questions() {
            if let Some(ChoiceSource::File(file)) = question.kind.select().map(|select| &select.source) {
                files.insert(stem(file).to_owned());
            }
            if matches!(question.kind, Kind::CsvExternal | Kind::XmlExternal) {
                files.insert(question.name.clone());
            }
        }
        Self { tables, files, indexes: Vec::new() }
    }

    pub(crate) fn knows_file(&self, id: &str) -> bool {
        self.files.contains(stem(id))
    }

    /// Returns the position of the index over a column, which is new if need be.
    pub(crate) fn index(&mut self, list: &ListName, column: &str) -> usize {
        let known = self.indexes.iter().position(|index| index.list == *list && index.column == column);
        known.unwrap_or_else(|| {
            self.indexes.push(Index { list: list.clone(), column: column.to_owned(), order: Vec::new() });
            self.indexes.len() - 1
        })
    }

    /// Sorts what the indexes need; called once all expressions are resolved.
    pub(crate) fn build(&mut self, questionnaire: &Questionnaire) {
        let mut indexes = std::mem::take(&mut self.indexes);
        for index in &mut indexes {
            let choices = self.get(questionnaire, &index.list);
            let mut order: Vec<usize> = (0..choices.len()).collect();
            order.sort_by_key(|&at| choices.get(at).map(|choice| cell(choice, &index.column)));
            index.order = order;
        }
        self.indexes = indexes;
    }

    /// Returns the entries of a list; none where a file was not given.
    pub(crate) fn get<'a>(&'a self, questionnaire: &'a Questionnaire, list: &ListName) -> &'a [Choice] {
        self.list(questionnaire, list).map(ChoiceList::choices).unwrap_or_default()
    }

    pub(crate) fn list<'a>(&'a self, questionnaire: &'a Questionnaire, list: &ListName) -> Option<&'a ChoiceList> {
        match list {
            ListName::Choices(name) => questionnaire.lists.get(name),
            ListName::External(name) => questionnaire.external_lists.get(name),
            ListName::File(name) => self.tables.get(stem(name)).or_else(|| questionnaire.files.get(stem(name))),
        }
    }

    /// Returns the first entry whose column holds a text: at once where there is an index over it, else by looking at all.
    pub(crate) fn find<'a>(
        &'a self,
        questionnaire: &'a Questionnaire,
        list: &ListName,
        column: &str,
        wanted: &str,
    ) -> Option<&'a Choice> {
        let choices = self.list(questionnaire, list)?;
        if column == "name" {
            return choices.get(wanted);
        }
        let index = self.indexes.iter().position(|index| index.list == *list && index.column == column);
        match index {
            Some(index) => self.search(choices.choices(), index, wanted).next(),
            None => choices.choices().iter().find(|choice| cell(choice, column) == wanted),
        }
    }

    /// Returns what a column of an index holds, in byte order; none where a file was not given.
    pub(crate) fn names(&self, questionnaire: &Questionnaire, list: &ListName, index: usize) -> Option<Vec<String>> {
        let choices = self.list(questionnaire, list)?.choices();
        let index = self.indexes.get(index)?;
        let text = |at: &usize| choices.get(*at).map(|choice| cell(choice, &index.column).to_owned());
        Some(index.order.iter().filter_map(text).collect())
    }

    /// Yields the entries whose column of the index holds a text, in the order of the list.
    pub(crate) fn search<'a, 'w>(
        &'a self,
        choices: &'a [Choice],
        index: usize,
        wanted: &'w str,
    ) -> impl Iterator<Item = &'a Choice> + use<'a, 'w> {
        let (order, column) =
            self.indexes.get(index).map(|index| (index.order.as_slice(), index.column.as_str())).unwrap_or_default();
        let text = move |at: usize| choices.get(at).map_or("", |choice| cell(choice, column));
        let start = order.partition_point(|&at| text(at) < wanted);
        order
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(move |&&at| text(at) == wanted)
            .filter_map(|&at| choices.get(at))
    }
}

/// Returns a column of an entry; `label` is not one, as it has languages.
pub(crate) fn cell<'a>(choice: &'a Choice, column: &str) -> &'a str {
    if column == "name" {
        return &choice.name;
    }
    choice.attributes.get(column).map_or("", String::as_str)
}

/// Returns a file name without its ending.
pub(crate) fn stem(file: &str) -> &str {
    for ending in [".csv", ".xml", ".geojson"] {
        if let Some(stem) = file.strip_suffix(ending) {
            return stem;
        }
    }
    file
}
