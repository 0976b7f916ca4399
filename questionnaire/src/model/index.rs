//! The look-up by path: from repeats and a key to the question or register, without allocating.
//!
//! Built once when a questionnaire is made; holds positions in the tree of items, never copies.

use std::collections::BTreeMap;

use super::{Clash, Item, Merge, Question, Questionnaire, Repeat};

/// Positions among the children, from the root to an item.
type Route = Box<[usize]>;

#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The form first, then its repeats in form order.
    scopes: Vec<Scope>,
    /// All questions in form order, with the position of their scope.
    questions: Vec<(usize, Route)>,
}

/// The form or one repeat: what is asked there for one row.
#[derive(Clone, Debug, Default)]
struct Scope {
    repeats: Vec<String>,
    route: Route,
    inner: BTreeMap<String, usize>,
    entries: BTreeMap<String, Entry>,
    /// Today's keys of questions and repeats by those of earlier versions.
    was: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
enum Entry {
    Question(Route),
    Member(Route),
    Group(Vec<Route>),
}

impl Index {
    pub(super) fn build(items: &[Item]) -> Result<Self, Clash> {
        let mut index = Self { scopes: vec![Scope::default()], questions: Vec::new() };
        index.add(items, 0, &mut Vec::new())?;
        Ok(index)
    }

    fn add(&mut self, items: &[Item], scope: usize, route: &mut Vec<usize>) -> Result<(), Clash> {
        for (at, item) in items.iter().enumerate() {
            route.push(at);
            match item {
                Item::Group(group) => self.add(&group.children, scope, route)?,
                Item::Question(question) => self.add_question(question, scope, route)?,
                Item::Repeat(repeat) => {
                    let inner = self.add_repeat(repeat, scope, route)?;
                    self.add(&repeat.children, inner, route)?;
                }
            }
            route.pop();
        }
        Ok(())
    }

    fn add_question(&mut self, question: &Question, scope: usize, route: &[usize]) -> Result<(), Clash> {
        self.questions.push((scope, route.into()));
        let Some(scope) = self.scopes.get_mut(scope) else {
            return Ok(());
        };
        let entry = match &question.merge {
            Merge::Alone | Merge::Union => Entry::Question(route.into()),
            Merge::Group(name) => {
                scope.join(name, route, question.row)?;
                Entry::Member(route.into())
            }
        };
        if scope.inner.contains_key(&question.key) || scope.entries.contains_key(&question.key) {
            let merge = matches!(scope.entries.get(&question.key), Some(Entry::Group(_)));
            return Err(scope.clash(&question.key, question.row, merge));
        }
        scope.entries.insert(question.key.clone(), entry);
        scope.was.extend(question.was.iter().map(|earlier| (earlier.clone(), question.key.clone())));
        Ok(())
    }

    fn add_repeat(&mut self, repeat: &Repeat, outer: usize, route: &[usize]) -> Result<usize, Clash> {
        let inner = self.scopes.len();
        let mut repeats = Vec::new();
        if let Some(scope) = self.scopes.get_mut(outer) {
            if scope.inner.contains_key(&repeat.key) || scope.entries.contains_key(&repeat.key) {
                let merge = matches!(scope.entries.get(&repeat.key), Some(Entry::Group(_)));
                return Err(scope.clash(&repeat.key, repeat.row, merge));
            }
            scope.inner.insert(repeat.key.clone(), inner);
            scope.was.extend(repeat.was.iter().map(|earlier| (earlier.clone(), repeat.key.clone())));
            repeats.clone_from(&scope.repeats);
        }
        repeats.push(repeat.key.clone());
        self.scopes.push(Scope { repeats, route: route.into(), ..Scope::default() });
        Ok(inner)
    }

    fn scope(&self, repeats: &[&str]) -> Option<&Scope> {
        let mut scope = self.scopes.first()?;
        for repeat in repeats {
            scope = self.scopes.get(*scope.inner.get(*repeat)?)?;
        }
        Some(scope)
    }
}

impl Scope {
    fn join(&mut self, name: &str, route: &[usize], row: u32) -> Result<(), Clash> {
        if self.inner.contains_key(name) {
            return Err(self.clash(name, row, true));
        }
        match self.entries.get_mut(name) {
            Some(Entry::Group(routes)) => routes.push(route.into()),
            Some(Entry::Question(_) | Entry::Member(_)) => return Err(self.clash(name, row, true)),
            None => {
                self.entries.insert(name.to_owned(), Entry::Group(vec![route.into()]));
            }
        }
        Ok(())
    }

    fn clash(&self, key: &str, row: u32, merge: bool) -> Clash {
        Clash { repeats: self.repeats.clone(), key: key.to_owned(), row, merge }
    }
}

fn find<'a>(items: &'a [Item], route: &[usize]) -> Option<&'a Item> {
    let (&first, rest) = route.split_first()?;
    let mut item = items.get(first)?;
    for &at in rest {
        item = match item {
            Item::Group(group) => group.children.get(at)?,
            Item::Repeat(repeat) => repeat.children.get(at)?,
            Item::Question(_) => return None,
        };
    }
    Some(item)
}

fn find_question<'a>(items: &'a [Item], route: &[usize]) -> Option<&'a Question> {
    match find(items, route)? {
        Item::Question(question) => Some(question),
        Item::Group(_) | Item::Repeat(_) => None,
    }
}

/// Names what is stored at a path: the unit that concurrent changes replace as a whole.
#[derive(Clone, Copy, Debug)]
pub enum Register<'a> {
    /// The answer to one question.
    One(&'a Question),
    /// The answers of a merge group: an object of the members' values by their keys.
    Group {
        /// The name of the merge group, which is the register's key.
        name: &'a str,
        /// The questions that make it up.
        members: Members<'a>,
    },
}

/// The members of a merge group, in form order.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    items: &'a [Item],
    routes: &'a [Route],
}

impl<'a> Members<'a> {
    /// Yields the members in form order.
    pub fn iter(self) -> impl Iterator<Item = &'a Question> {
        self.routes.iter().filter_map(move |route| find_question(self.items, route))
    }

    /// Returns the member of this key.
    pub fn get(self, key: &str) -> Option<&'a Question> {
        self.iter().find(|question| question.key == key)
    }
}

impl Questionnaire {
    /// Returns the question at a path: the keys of its repeats, outermost first, and its own key.
    ///
    /// A member of a merge group is found by its own key, too, though no answer is stored there (see
    /// [`Questionnaire::register`]). Does not allocate.
    pub fn question(&self, repeats: &[&str], key: &str) -> Option<&Question> {
        match self.index.scope(repeats)?.entries.get(key)? {
            Entry::Question(route) | Entry::Member(route) => find_question(&self.items, route),
            Entry::Group(_) => None,
        }
    }

    /// Returns the register at a path: a question that stands alone, or a merge group by its name.
    ///
    /// `None` at the key of a member of a merge group: its value is inside the group's. Does not allocate.
    pub fn register(&self, repeats: &[&str], key: &str) -> Option<Register<'_>> {
        match self.index.scope(repeats)?.entries.get_key_value(key)? {
            (_, Entry::Question(route)) => find_question(&self.items, route).map(Register::One),
            (name, Entry::Group(routes)) => {
                Some(Register::Group { name, members: Members { items: &self.items, routes } })
            }
            (_, Entry::Member(_)) => None,
        }
    }

    /// Returns the repeat at a path; `None` for the form itself. Does not allocate.
    pub fn repeat(&self, repeats: &[&str]) -> Option<&Repeat> {
        match find(&self.items, &self.index.scope(repeats)?.route)? {
            Item::Repeat(repeat) => Some(repeat),
            Item::Group(_) | Item::Question(_) => None,
        }
    }

    /// Returns today's key of what an earlier version knew by another one in a place, if it was renamed.
    pub(crate) fn renamed(&self, repeats: &[&str], earlier: &str) -> Option<&str> {
        self.index.scope(repeats)?.was.get(earlier).map(String::as_str)
    }

    /// Tells whether anything was renamed since an earlier version.
    pub(crate) fn has_renamed(&self) -> bool {
        self.index.scopes.iter().any(|scope| !scope.was.is_empty())
    }

    /// Yields all questions in form order, each with the keys of its repeats.
    pub fn questions(&self) -> impl Iterator<Item = (Vec<&str>, &Question)> {
        self.index.questions.iter().filter_map(|(scope, route)| {
            let repeats = self.index.scopes.get(*scope)?.repeats.iter().map(String::as_str).collect();
            Some((repeats, find_question(&self.items, route)?))
        })
    }
}
