//! Links between households registered twice: deterministic, reversible, safe in circles.
#![allow(clippy::indexing_slicing, reason = "what is not there fails the test")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{HouseholdId, households::joined};
use uuid::Uuid;

fn home(n: u8) -> HouseholdId {
    HouseholdId(Uuid::from_u128(u128::from(n)))
}

fn links(pairs: &[(u8, u8)]) -> BTreeMap<HouseholdId, BTreeSet<HouseholdId>> {
    let mut links: BTreeMap<HouseholdId, BTreeSet<HouseholdId>> = BTreeMap::new();
    for (from, to) in pairs {
        links.entry(home(*from)).or_default().insert(home(*to));
    }
    links
}

#[test]
fn a_circle_has_one_that_stands_for_all_and_a_chain_its_end() {
    let circle = joined(&links(&[(3, 1), (1, 2), (2, 3)]));
    assert!(circle.values().all(|first| *first == home(1)) && circle.len() == 3);
    let chain = joined(&links(&[(1, 5), (5, 9), (2, 9)]));
    assert!(chain.values().all(|first| *first == home(9)) && chain.len() == 4);
    assert!(joined(&links(&[(1, 1)])).is_empty(), "a household is itself anyway");
}

proptest! {
    #[test]
    fn whoever_is_joined_has_one_first_and_taking_a_link_back_undoes_it(
        pairs in prop::collection::vec((0..12_u8, 0..12_u8), 0..20), extra in (0..12_u8, 0..12_u8)
    ) {
        let before = joined(&links(&pairs));
        for (from, to) in pairs.iter().filter(|(from, to)| from != to) {
            prop_assert_eq!(before[&home(*from)], before[&home(*to)]);
        }
        for (member, first) in &before {
            prop_assert_eq!(before[first], *first, "{:?}", member);
        }
        // Nothing is joined that no path of links joins: components by repeated relabelling.
        let mut label: BTreeMap<u8, u8> = (0..12).map(|n| (n, n)).collect();
        for _ in 0..12 {
            for (from, to) in &pairs {
                let least = label[from].min(label[to]);
                label.insert(*from, least);
                label.insert(*to, least);
            }
        }
        for a in 0..12 {
            for b in 0..12 {
                let together = a != b && before.contains_key(&home(a)) && before.get(&home(a)) == before.get(&home(b));
                prop_assert_eq!(together, a != b && label[&a] == label[&b]);
            }
        }
        let mut more = pairs.clone();
        more.push(extra);
        let _ = joined(&links(&more));
        more.pop();
        prop_assert_eq!(joined(&links(&more)), before);
    }
}
