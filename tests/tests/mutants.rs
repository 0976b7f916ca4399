//! The list of mutations keeps up with the code: each still applies. `make mutants` tries them out.

use end_to_end::mutants::MUTANTS;
use std::{collections::BTreeSet, path::Path};

#[test]
fn every_mutation_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let failed =
        MUTANTS.iter().filter_map(|mutant| mutant.apply(|file| std::fs::read_to_string(root.join(file))).err());
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_law_is_broken_twice_under_names_of_their_own() {
    let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len(), "two mutations of one name");
    for law in ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9"] {
        let count = MUTANTS.iter().filter(|mutant| mutant.law == law).count();
        assert!(count >= 2, "{law} is broken {count} times");
    }
}
