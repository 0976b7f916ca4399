//! Copied and restored phones at a hub: each life hears what the hub holds of it, and nothing of the other's.

use crate::village::{Village, meet, village};
use client_core::{Device, Edit, Hub, host::Fixed};
use std::collections::BTreeSet;
use sync_protocol::{
    Hash, HouseholdId, Value,
    chain::{Batch, Carried},
    engine::device::DeviceStore,
};

fn save(device: &mut Device<Fixed>, home: HouseholdId, heads: &[&str]) {
    for head in heads {
        device.save(home.into(), "KP001", &[Edit::set("head", Value::text(*head)).unwrap()]).unwrap();
    }
}

/// Whether a hub carries everything that a phone wrote after the server's ack; and the phone takes it to be there.
fn is_there(hub: &mut (Hub, Device<Fixed>), phone: &mut Device<Fixed>) -> bool {
    let carried: BTreeSet<Hash> = hub.1.give_back(usize::MAX).unwrap().iter().flat_map(Batch::hashes).collect();
    let at = phone.position().unwrap();
    let bodies = phone.own_changes(at.acked_through, usize::MAX).unwrap().into_iter().map(Carried::Bytes).collect();
    let own = Batch::sign(at.replica, at.acked_through + 1, at.acked_hash, bodies, &at.key);
    own.hashes().iter().all(|hash| carried.contains(hash))
}

#[test]
fn a_hub_acks_each_life_of_a_copied_phone_only_what_it_holds_of_that_life() {
    let Village { folder, office, mut hub, mut a, home, .. } = village();
    meet(&mut hub, &mut a, |_| ()).unwrap();
    office.hear_out(&mut hub.1, &mut [&mut a]);
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert_eq!(a.status().unwrap().acked_through, 1);
    drop(a);
    std::fs::copy(folder.path().join("a"), folder.path().join("copy")).unwrap();
    let open = |name: &str, seed: u64| Device::open(&folder.path().join(name), Fixed::new(seed)).unwrap();
    let (mut one, mut other) = (open("a", 50), open("copy", 51));
    save(&mut one, home, &["Maria Bani", "Maria Taek", "Maria Lay"]);
    meet(&mut hub, &mut one, |_| ()).unwrap();
    // As many of the other life's, then more; and the first life goes on, too.
    for heads in [&["Dorce Bani", "Dorce Taek"][..], &["Dorce Lay", "Dorce Nalle"]] {
        save(&mut other, home, heads);
        assert!(meet(&mut hub, &mut other, |_| ()).unwrap().is_some());
        assert!(is_there(&mut hub, &mut other), "{heads:?}");
        save(&mut one, home, &["Maria Nalle"]);
        assert!(meet(&mut hub, &mut one, |_| ()).unwrap().is_some());
        assert!(is_there(&mut hub, &mut one));
    }
}

#[test]
fn what_a_hub_says_to_hold_counts_only_where_it_names_the_history() {
    let Village { mut hub, mut a, home, .. } = village();
    save(&mut a, home, &["Maria Bani"]);
    meet(&mut hub, &mut a, |reply| reply.header.acked_hash = Some(Hash([7; 32]))).unwrap();
    assert_eq!(a.status().unwrap().hub, None);
    meet(&mut hub, &mut a, |reply| reply.header.acked_hash = None).unwrap();
    assert_eq!(a.status().unwrap().hub, None);
    meet(&mut hub, &mut a, |_| ()).unwrap();
    assert_eq!(a.status().unwrap().hub.as_deref(), Some("TIM-1"));
}
