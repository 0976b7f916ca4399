//! A copy of the repository that may be broken, built apart: the work tree is never touched, whenever this ends.

use super::{Fate, Mutant, Test};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Seeds that a mutation gets in the simulator.
const SEEDS: &str = "200";

/// The copy.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Brings the copy up to date with the work tree, in a folder that keeps what was built there.
    ///
    /// # Errors
    /// If git does not list the files or the disk fails.
    pub fn copied(root: &Path, folder: &Path) -> Result<Self> {
        let tree = Self { root: root.to_owned(), copy: folder.join("tree"), target: folder.join("target") };
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()?;
        ensure!(listed.status.success(), "git lists no files");
        let names = String::from_utf8(listed.stdout)?;
        let names: BTreeSet<&str> =
            names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()).collect();
        for name in &names {
            tree.put(name, &std::fs::read(root.join(name))?)?;
        }
        // What an older copy had and the work tree has not.
        let mut folders = vec![tree.copy.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.strip_prefix(&tree.copy)?.to_str().context("a file's name")?.to_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !names.contains(name.as_str()) {
                    std::fs::remove_file(path)?;
                }
            }
        }
        Ok(tree)
    }

    /// Writes a file of the copy, unless it is so already: what is not written is not built again.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let to = self.copy.join(name);
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        std::fs::create_dir_all(to.parent().context("a folder")?)?;
        std::fs::write(&to, bytes).with_context(|| name.to_owned())
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        let command = command.args(arguments).current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target);
        // Nobody steps through a mutation: without debug information it is built sooner and takes less of the disk.
        let command =
            command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "1").env("RUST_BACKTRACE", "0");
        Ok(command.env("SIM_SEEDS", SEEDS).env("SIM_SHRINK", "0").output()?)
    }

    /// Runs a test on the copy as it is: none if it does not compile, else whether it is green, and what it said.
    fn run(&self, test: Test) -> Result<Option<(bool, String)>> {
        let (builds, run) = test.commands();
        for build in builds {
            if !self.cargo(&build)?.status.success() {
                return Ok(None);
            }
        }
        let output = self.cargo(&run)?;
        let said = [output.stdout, output.stderr].concat();
        Ok(Some((output.status.success(), String::from_utf8_lossy(&said).into_owned())))
    }

    /// Makes sure that a test is green without any mutation, and runs something at all.
    ///
    /// # Errors
    /// If it is red: it would prove nothing.
    pub fn must_be_green(&self, test: Test) -> Result<()> {
        match self.run(test)? {
            Some((true, said)) => {
                ensure!(said.contains(" passed") && !said.contains(" 0 passed"), "{test:?} runs no test: {said}");
                Ok(())
            }
            Some((false, said)) => anyhow::bail!("{test:?} is red without any mutation: {said}"),
            None => anyhow::bail!("the tree does not compile for {test:?}"),
        }
    }

    /// Applies a mutation, runs its test, and takes it back.
    ///
    /// # Errors
    /// If the disk or cargo fails.
    pub fn try_out(&self, mutant: &Mutant) -> Result<(Fate, String)> {
        let mutated = match mutant.apply(|file| std::fs::read_to_string(self.root.join(file))) {
            Ok(mutated) => mutated,
            Err(why) => return Ok((Fate::NotApplied, why)),
        };
        for (file, text) in &mutated {
            self.put(file, text.as_bytes())?;
        }
        let ran = self.run(mutant.test);
        for file in mutated.keys() {
            self.put(file, &std::fs::read(self.root.join(file))?)?;
        }
        Ok(match ran? {
            None => (Fate::NotCompiled, String::new()),
            Some((true, said)) => (Fate::Survived, said),
            Some((false, said)) if said.contains(mutant.says) => (Fate::Caught, said),
            Some((false, said)) => (Fate::OtherRed, said),
        })
    }
}
