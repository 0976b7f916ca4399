//! What the server signs for devices that meet without it: the golden vectors of `fixtures/vectors/hub.json` hold here.
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use serde::Deserialize;
use std::collections::BTreeMap;
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Adoption, PublicKey, SecretKey, Signature},
    pass::{Meeting, Pass, Receipt, Side, Voucher},
    wire::{Enrol, Reply, Request},
};

#[derive(Deserialize)]
struct File {
    server: PublicKey,
    server_seed: Hash,
    passes: Vec<PassCase>,
    vouchers: Vec<VoucherCase>,
    receipts: Vec<ReceiptCase>,
    meetings: Vec<MeetingCase>,
    server_replica: ReplicaId,
    enrol: Enrol,
    request: Shown,
    reply: Told,
}

/// What a device shows to a server that was restored.
#[derive(Deserialize)]
struct Shown {
    bytes: String,
    held: BTreeMap<ReplicaId, u64>,
    adopt: Adoption,
    before: Adoption,
    pass: Pass,
    key: Voucher,
}

/// What a hub tells.
#[derive(Deserialize)]
struct Told {
    bytes: String,
    acked_hash: Hash,
    receipt: Receipt,
    key: Voucher,
}

#[derive(Deserialize)]
struct PassCase {
    name: String,
    pass: Pass,
    ok: bool,
}

#[derive(Deserialize)]
struct VoucherCase {
    name: String,
    voucher: Voucher,
    ok: bool,
}

#[derive(Deserialize)]
struct ReceiptCase {
    name: String,
    receipt: Receipt,
    ok: bool,
}

#[derive(Deserialize)]
struct MeetingCase {
    side: String,
    key: PublicKey,
    hub: ReplicaId,
    guest: ReplicaId,
    hub_nonce: Hash,
    guest_nonce: Hash,
    signature: Signature,
}

fn file() -> File {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors/hub.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn passes_vouchers_and_receipts_are_believed_exactly_where_the_vectors_say() {
    let File { server, server_seed, passes, vouchers, receipts, .. } = file();
    let key = SecretKey::from_seed(server_seed.0);
    for PassCase { name, pass, ok } in passes {
        assert_eq!(pass.is_signed(&[server]), ok, "{name}");
        assert!(!ok || pass.clone().signed(&key) == pass, "{name}");
    }
    for VoucherCase { name, voucher, ok } in vouchers {
        assert_eq!(voucher.is_signed(&[server]), ok, "{name}");
        assert!(!ok || voucher.clone().signed(&key) == voucher, "{name}");
    }
    for ReceiptCase { name, receipt, ok } in receipts {
        assert_eq!(receipt.is_signed(&server), ok, "{name}");
        assert!(!ok || Receipt::sign(receipt.replica, receipt.seq, receipt.hash, &key) == receipt, "{name}");
    }
}

#[test]
fn a_hub_and_its_guest_prove_their_keys_as_the_vectors_say() {
    for MeetingCase { side, key, hub, guest, hub_nonce, guest_nonce, signature } in file().meetings {
        let meeting = Meeting { hub, guest, hub_nonce, guest_nonce };
        let (this, other) = if side == "hub" { (Side::Hub, Side::Guest) } else { (Side::Guest, Side::Hub) };
        assert!(meeting.is_signed(this, &signature, &key), "{side}");
        assert!(!meeting.is_signed(other, &signature, &key), "{side}");
    }
}

#[test]
fn what_a_restored_server_is_shown_and_what_a_hub_tells_reads_and_writes_as_the_vectors_say() {
    let File { server, server_replica, enrol, request, reply, .. } = file();
    assert!(enrol.is_signed());
    assert!(!Enrol { code: "AB2CD-EF3GJ".into(), ..enrol.clone() }.is_signed());
    assert!(!Enrol { replica: server_replica, ..enrol.clone() }.is_signed());
    assert!(!Enrol { signature: None, ..enrol }.is_signed());
    let shown = Request::from_bytes(request.bytes.as_bytes()).unwrap();
    assert_eq!(shown.header.held, request.held);
    assert_eq!(
        (&shown.adoptions, &shown.passes, &shown.keys),
        (&vec![request.adopt, request.before], &vec![request.pass], &vec![request.key])
    );
    let adopt = shown.adoptions.first().unwrap();
    let before = shown.adoptions.last().unwrap();
    assert!(before.from_key.is_some_and(|key| before.is_valid(&key)), "what the device was before");
    assert!(adopt.from == server_replica && adopt.is_valid(&server), "a key of the server's own, in the life between");
    assert_eq!(String::from_utf8(shown.to_bytes()).unwrap(), request.bytes);

    let told = Reply::from_bytes(reply.bytes.as_bytes()).unwrap();
    assert_eq!(told.header.acked_hash, Some(reply.acked_hash));
    assert_eq!((&told.receipts, &told.keys), (&vec![reply.receipt], &vec![reply.key]));
    assert!(!told.cut_off);
    assert_eq!(String::from_utf8(told.to_bytes()).unwrap(), reply.bytes);
}
