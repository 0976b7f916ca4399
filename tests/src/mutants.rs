//! The laws, broken on purpose: a list of mutations, and what applies them one by one to a copy of the tree.
//!
//! A mutation names its place by the text that stands there, not by a line: it survives what changes around it, and says
//! so when its own text is gone. `make mutants` expects each to be caught (docs/ARCHITECTURE.md).

mod list;
mod tree;

pub use list::MUTANTS;
pub use tree::Tree;

/// One edit of one file.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// The file, from the repository's root.
    pub file: &'static str,
    /// What stands there, once.
    pub old: &'static str,
    /// What takes its place.
    pub new: &'static str,
}

/// The test that must turn red.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// The seeds of the simulator.
    Simulator,
    /// An end-to-end test by its file and the beginning of its name, with the real programs.
    Process(&'static str, &'static str),
    /// A test of sync-protocol by its file and the beginning of its name.
    Protocol(&'static str, &'static str),
    /// A test of client-core by its file and the beginning of its name.
    Device(&'static str, &'static str),
    /// A unit test of the server by its name.
    Server(&'static str),
}

/// A law broken on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The law that it breaks.
    pub law: &'static str,
    /// What somebody might have thought.
    pub why: &'static str,
    /// What it changes.
    pub edits: &'static [Edit],
    /// What must turn red.
    pub test: Test,
    /// What the red test says, so that it is red for this.
    pub says: &'static str,
}

/// What became of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The test turned red and said why.
    Caught,
    /// The test stayed green.
    Survived,
    /// The test turned red and said something else.
    OtherRed,
    /// The mutated program does not compile.
    NotCompiled,
    /// A text that it replaces is not there, or not once.
    NotApplied,
}

impl Fate {
    /// The fate in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::OtherRed => "RED FOR ANOTHER REASON",
            Self::NotCompiled => "DOES NOT COMPILE",
            Self::NotApplied => "DOES NOT APPLY",
        }
    }
}

impl Mutant {
    /// The files as it leaves them.
    ///
    /// # Errors
    /// What is not there exactly once.
    pub fn apply(
        &self,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<std::collections::BTreeMap<&'static str, String>, String> {
        let mut files = std::collections::BTreeMap::new();
        for Edit { file, old, new } in self.edits {
            let text = match files.remove(file) {
                Some(text) => text,
                None => read(file).map_err(|error| format!("{file}: {error}"))?,
            };
            match text.matches(old).count() {
                1 => files.insert(*file, text.replacen(old, new, 1)),
                count => return Err(format!("{}: {file} has {count} times: {old}", self.name)),
            };
        }
        Ok(files)
    }
}

impl Test {
    /// The arguments for cargo: what is built first, and what is run then.
    #[must_use]
    pub fn commands(self) -> (Vec<Vec<&'static str>>, Vec<&'static str>) {
        let test = |package, file, name| vec!["test", "--quiet", "-p", package, "--test", file, "--", name];
        let build = |package, file| vec!["test", "--quiet", "--no-run", "-p", package, "--test", file];
        let programs = vec!["build", "--quiet", "-p", "server", "-p", "field-cli"];
        match self {
            Self::Simulator => {
                (vec![build("end-to-end", "simulator")], test("end-to-end", "simulator", "the_laws_hold"))
            }
            Self::Process(file, name) => (vec![programs, build("end-to-end", file)], test("end-to-end", file, name)),
            Self::Protocol(file, name) => (vec![build("sync-protocol", file)], test("sync-protocol", file, name)),
            Self::Device(file, name) => (vec![build("client-core", file)], test("client-core", file, name)),
            Self::Server(name) => (
                vec![vec!["test", "--quiet", "--no-run", "-p", "server", "--lib"]],
                vec!["test", "--quiet", "-p", "server", "--lib", "--", name],
            ),
        }
    }
}
