//! `make mutants`: breaks every law on purpose, in a copy of the tree, and expects a test to notice.
//!
//! `MUTANT=NAME` tries one alone and prints what its test said.

use anyhow::{Context, Result, bail};
use end_to_end::mutants::{Fate, MUTANTS, Mutant, Test, Tree};
use std::{collections::BTreeSet, path::Path, time::Instant};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository's root")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let wanted = std::env::var("MUTANT").unwrap_or_default();
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(|mutant| wanted.is_empty() || mutant.name == wanted).collect();
    if mutants.is_empty() {
        bail!("there is no mutation called {wanted}");
    }
    let tree = Tree::copied(root, &target.join("mutants"))?;
    let tests: BTreeSet<Test> = mutants.iter().map(|mutant| mutant.test).collect();
    println!("{} tests must be green before anything is broken", tests.len());
    for test in tests {
        tree.must_be_green(test)?;
    }
    let mut missed = Vec::new();
    for mutant in &mutants {
        let begun = Instant::now();
        let (fate, said) = tree.try_out(mutant)?;
        println!(
            "{}  {:<28} {:<24} by {:?} in {} s",
            mutant.law,
            mutant.name,
            fate.word(),
            mutant.test,
            begun.elapsed().as_secs()
        );
        if fate != Fate::Caught {
            missed.push(mutant.name);
        }
        if fate != Fate::Caught || !wanted.is_empty() {
            println!("{said}");
        }
    }
    println!("{} of {} mutations are caught", mutants.len() - missed.len(), mutants.len());
    if missed.is_empty() { Ok(()) } else { bail!("not caught: {}", missed.join(", ")) }
}
