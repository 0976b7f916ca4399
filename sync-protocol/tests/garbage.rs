//! Decoders survive whatever bytes arrive: they answer with a problem or a value, never with a panic.
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use proptest::prelude::*;
use sync_protocol::{
    Change, Dot, Limits,
    wire::{Reply, Request},
};

fn dot() -> Dot {
    "8c7a0a0e-8f6c-4b61-9a35-000000000001:7".parse().unwrap()
}

/// Bytes that are nearly right: pieces of real messages, cut, doubled and spoilt.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(r#"{"household":"8c7a0a0e-8f6c-4b61-9a35-0000000000aa","form":"household@1","by":"A","at":1"#.as_bytes().to_vec()),
        Just(br#","set":{"":{"floor":"4"}}"#.to_vec()),
        Just(br#","over":{"":{"floor":[3,"8c7a0a0e-8f6c-4b61-9a35-000000000002:1"]}}"#.to_vec()),
        Just(br#","remove":{"member/a":[1]}"#.to_vec()),
        Just(br#"{"tenun":1,"replica":"8c7a0a0e-8f6c-4b61-9a35-000000000001","clock":1}"#.to_vec()),
        Just(br#"{"batch":{"replica":"8c7a0a0e-8f6c-4b61-9a35-000000000001","first":18446744073709551615,"count":2"#.to_vec()),
        Just(br#"{"tenun":1,"epoch":"e","acked_through":1,"safe_through":0,"clock":1}"#.to_vec()),
        Just(br#"{"change":{"replica":"8c7a0a0e-8f6c-4b61-9a35-000000000001","seq":1,"received":1,"skew":0}}"#.to_vec()),
        Just(b"\n".to_vec()),
        Just(b"}".to_vec()),
        Just(vec![b'['; 200]),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn bytes_from_outside_never_panic(bytes in prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..300)]) {
        let limits = Limits::default();
        if let Ok(change) = Change::from_bytes(dot(), &bytes, &limits) {
            // What was read can be written, and read again as the same.
            let again = Change::from_bytes(dot(), &change.to_bytes(), &limits).unwrap();
            prop_assert_eq!(again.to_bytes(), change.to_bytes());
        }
        if let Ok(request) = Request::from_bytes(&bytes) {
            for batch in &request.batches {
                prop_assert!(batch.first >= 1 && !batch.changes.is_empty());
            }
        }
        let _ = Reply::from_bytes(&bytes);
    }
}
