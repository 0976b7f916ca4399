//! Every decoder that meets bytes from outside, on whatever libFuzzer finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sync_protocol::{
    Change, Dot, Limits, ReplicaId,
    wire::{Reply, Request},
};

fuzz_target!(|bytes: &[u8]| {
    let dot = Dot { replica: ReplicaId(Default::default()), seq: 7 };
    if let Ok(change) = Change::from_bytes(dot, bytes, &Limits::default()) {
        let again = Change::from_bytes(dot, &change.to_bytes(), &Limits::default()).expect("what was written is read");
        assert_eq!(again.to_bytes(), change.to_bytes());
    }
    if let Ok(request) = Request::from_bytes(bytes) {
        for batch in &request.batches {
            let _ = batch.verify(&sync_protocol::chain::PublicKey([0; 32]));
        }
    }
    let _ = Reply::from_bytes(bytes);
});
