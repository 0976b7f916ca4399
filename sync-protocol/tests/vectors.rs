//! The golden vectors in `fixtures/vectors/`, which another implementation made from `docs/PROTOCOL.md`, hold here.
//!
//! Each test goes through its whole file and names every case that differs, not only the first.
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use sync_protocol::{
    Change, Dot, Hash, Limits, Op, Record, RecordId, ReplicaId, Stamp,
    chain::{self, Adoption, Batch, Carried, PublicKey, SecretKey, Signature, SignedStamp},
    engine::reauthor::{Renumbered, reauthor},
    problem::Problem,
    record::{Merge, Standing},
    wire::{Reply, Request},
};

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Collects what differs, so that one run tells everything.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check(&mut self, case: &str, what: &str, expected: &Json, found: &Json) {
        if expected != found {
            self.0.push(format!("{case}: {what}\n    expected {expected}\n    found    {found}"));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn code<T>(result: &Result<T, Problem>) -> Json {
    match result {
        Ok(_) => json!("ok"),
        Err(problem) => json!(problem.code.as_str()),
    }
}

/// Preds are a set: the files have them in ascending order, each once.
fn dots(dots: &[Dot]) -> Json {
    dots.iter().collect::<BTreeSet<_>>().into_iter().map(ToString::to_string).collect()
}

fn text(bytes: &[u8]) -> Json {
    json!(String::from_utf8_lossy(bytes))
}

/// The decoded form of the files.
fn decoded(change: &Change) -> Json {
    let (round, purpose) = match &change.subject {
        sync_protocol::Subject::Household(_) => (None, None),
        sync_protocol::Subject::Interview { round, purpose, .. } => {
            (Some(round), (purpose != sync_protocol::ids::FIRST_INTERVIEW).then_some(purpose))
        }
    };
    let op = |op: &Op| match op {
        Op::AddRow { row, order } => json!({"add": row.as_str(), "order": order}),
        Op::Set { path, value, preds } => json!({"set": path.to_string(), "value": value, "over": dots(preds)}),
        Op::RemoveRow { row, preds } => json!({"remove": row.as_str(), "over": dots(preds)}),
        Op::Note { text } => json!({"note": text}),
        Op::Void { reason, preds } => json!({"void": reason, "over": dots(preds)}),
    };
    json!({
        "household": change.subject.household(),
        "round": round,
        "purpose": purpose,
        "form": change.questionnaire.to_string(),
        "author": change.author,
        "at": change.wall_ms,
        "ops": change.ops.iter().map(op).collect::<Vec<_>>(),
        "instead": change.instead_of,
    })
}

#[derive(Deserialize)]
struct Changes {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    replica: ReplicaId,
    seq: u64,
    bytes: Option<String>,
    bytes_hex: Option<String>,
    repeat: Option<Repeat>,
    ok: bool,
    code: Option<String>,
    canonical: Option<bool>,
    record: Option<RecordId>,
    decoded: Option<Json>,
}

#[derive(Deserialize)]
struct Repeat {
    prefix: String,
    unit: String,
    count: usize,
    suffix: String,
}

impl Case {
    fn dot(&self) -> Dot {
        Dot { replica: self.replica, seq: self.seq }
    }

    fn input(&self) -> Vec<u8> {
        let hex = self.bytes_hex.as_ref().map(|digits| hex::decode(digits).unwrap());
        let repeat = self.repeat.as_ref().map(|r| [&*r.prefix, &*r.unit.repeat(r.count), &*r.suffix].concat());
        hex.or_else(|| self.bytes.clone().or(repeat).map(String::into_bytes)).unwrap()
    }
}

#[test]
fn changes_are_read_and_written_as_the_vectors_say() {
    let mut differences = Differences::default();
    for case in read::<Changes>("changes.json").cases.iter().filter(|case| case.ok) {
        let input = case.input();
        let change = match Change::from_bytes(case.dot(), &input, &Limits::default()) {
            Ok(change) => change,
            Err(problem) => {
                differences.check(&case.name, "is read", &json!("ok"), &json!(problem.to_string()));
                continue;
            }
        };
        if let Some(expected) = &case.decoded {
            differences.check(&case.name, "decoded", expected, &decoded(&change));
        }
        differences.check(&case.name, "record", &json!(case.record), &json!(change.record()));
        let written = change.to_bytes();
        if case.canonical == Some(true) {
            differences.check(&case.name, "written", &text(&input), &text(&written));
        } else {
            differences.check(&case.name, "is canonical", &json!(false), &json!(input == written));
            let again = Change::from_bytes(case.dot(), &written, &Limits::default());
            differences.check(&case.name, "read again", &decoded(&change), &decoded(&again.unwrap()));
        }
    }
    differences.none();
}

#[test]
fn bad_changes_are_refused_with_the_code_of_the_vectors() {
    let mut differences = Differences::default();
    for case in read::<Changes>("changes.json").cases.iter().filter(|case| !case.ok) {
        let found = Change::from_bytes(case.dot(), &case.input(), &Limits::default());
        differences.check(&case.name, "code", &json!(case.code), &code(&found));
    }
    differences.none();
}

#[derive(Deserialize)]
struct ChainFile {
    keys: Vec<Key>,
    changes: Vec<Linked>,
    batches: Vec<SignedBatch>,
    stamps: Vec<StampCase>,
    adoptions: Vec<AdoptionCase>,
    fork: ForkCase,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    seed: Hash,
    key: PublicKey,
}

#[derive(Deserialize)]
struct Linked {
    replica: ReplicaId,
    seq: u64,
    bytes: String,
    digest: Hash,
    h: Hash,
}

#[derive(Deserialize)]
struct SignedBatch {
    name: String,
    key: PublicKey,
    replica: ReplicaId,
    first: u64,
    last: u64,
    before: Hash,
    after: Hash,
    signature: Signature,
    changes: Vec<String>,
    ok: bool,
}

#[derive(Deserialize)]
struct StampCase {
    name: String,
    key: PublicKey,
    replica: ReplicaId,
    first: u64,
    last: u64,
    #[serde(flatten)]
    stamp: Stamp,
    signature: Signature,
    ok: bool,
}

#[derive(Deserialize)]
struct AdoptionCase {
    name: String,
    #[serde(flatten)]
    adoption: Adoption,
    from_key: PublicKey,
    ok: bool,
}

#[derive(Deserialize)]
struct ForkCase {
    replica: ReplicaId,
    common: u64,
    new_replica: ReplicaId,
    changes: Vec<Reauthored>,
}

#[derive(Deserialize)]
struct Reauthored {
    seq: u64,
    bytes: String,
    h: Hash,
    new_seq: u64,
    new_bytes: String,
    new_decoded: Json,
}

impl ChainFile {
    fn secret(&self, key: PublicKey) -> SecretKey {
        SecretKey::from_seed(self.keys.iter().find(|k| k.key == key).unwrap().seed.0)
    }
}

#[test]
fn keys_digests_and_links_are_those_of_the_vectors() {
    let mut differences = Differences::default();
    let file: ChainFile = read("chain.json");
    for key in &file.keys {
        let public = SecretKey::from_seed(key.seed.0).public();
        differences.check(&key.name, "public key", &json!(key.key), &json!(public));
    }
    let mut hash = Hash::default();
    for change in &file.changes {
        let name = format!("change {}", change.seq);
        let digest = chain::digest(change.bytes.as_bytes());
        hash = chain::link(hash, change.replica, change.seq, digest);
        differences.check(&name, "digest", &json!(change.digest), &json!(digest));
        differences.check(&name, "h", &json!(change.h), &json!(hash));
    }
    differences.none();
}

#[test]
fn batches_stamps_and_adoptions_are_believed_exactly_where_the_vectors_say() {
    let mut differences = Differences::default();
    let file: ChainFile = read("chain.json");
    for case in &file.batches {
        let changes: Vec<_> = case.changes.iter().map(|body| Carried::Bytes(body.clone().into_bytes())).collect();
        let &SignedBatch { replica, first, before, after, signature, .. } = case;
        let batch = Batch { replica, first, before, changes: changes.clone(), signature };
        let expected = if case.ok { "ok" } else { "bad-signature" };
        differences.check(&case.name, "verdict", &json!(expected), &code(&batch.verify(&case.key)));
        if case.ok {
            differences.check(&case.name, "last", &json!(case.last), &json!(batch.last()));
            differences.check(&case.name, "after", &json!(after), &json!(batch.after()));
            let signed = Batch::sign(replica, first, before, changes, &file.secret(case.key));
            differences.check(&case.name, "signature", &json!(signature), &json!(signed.signature));
        }
    }
    for case in &file.stamps {
        let &StampCase { key, replica, first, last, stamp, signature, .. } = case;
        let valid = SignedStamp { stamp, signature }.is_valid(replica, first, last, &key);
        differences.check(&case.name, "stamp is valid", &json!(case.ok), &json!(valid));
        if case.ok {
            let signed = SignedStamp::sign(stamp, replica, first, last, &file.secret(key));
            differences.check(&case.name, "signature", &json!(signature), &json!(signed.signature));
        }
    }
    for case in &file.adoptions {
        let valid = case.adoption.is_valid(&case.from_key);
        differences.check(&case.name, "adoption is valid", &json!(case.ok), &json!(valid));
        if case.ok {
            let Adoption { replica, key, from, .. } = case.adoption;
            let signed = Adoption::sign(replica, key, from, &file.secret(case.from_key));
            differences.check(&case.name, "adoption", &json!(case.adoption), &json!(signed));
        }
    }
    differences.none();
}

#[test]
fn a_forked_branch_is_authored_again_as_the_vectors_say() {
    let mut differences = Differences::default();
    let ForkCase { replica, common, new_replica, changes } = read::<ChainFile>("chain.json").fork;
    let numbered = Renumbered::new(common, new_replica, changes.iter().map(|case| case.seq));
    for case in changes {
        let name = format!("change {}", case.seq);
        let old = Dot { replica, seq: case.seq };
        let change =
            reauthor(old, case.bytes.as_bytes(), case.h, Dot { replica: new_replica, seq: old.seq - common }, |seq| {
                numbered.rename(seq)
            })
            .unwrap();
        let dot = Dot { replica: new_replica, seq: case.new_seq };
        differences.check(&name, "dot", &json!(dot.to_string()), &json!(change.dot.to_string()));
        differences.check(&name, "written", &json!(case.new_bytes), &text(&change.to_bytes()));
        let read = Change::from_bytes(dot, case.new_bytes.as_bytes(), &Limits::default()).unwrap();
        differences.check(&name, "decoded", &case.new_decoded, &decoded(&read));
    }
    differences.none();
}

#[derive(Deserialize)]
struct WireFile {
    requests: Vec<Message>,
    cut: CutCase,
    replies: Vec<Message>,
    bad: Vec<BadMessage>,
}

#[derive(Deserialize)]
struct Message {
    name: String,
    bytes: String,
    meaning: Json,
}

#[derive(Deserialize)]
struct CutCase {
    bytes: String,
    cuts: Vec<Cut>,
}

#[derive(Deserialize)]
struct Cut {
    offset: usize,
    header: bool,
    batches: usize,
    complete: bool,
}

#[derive(Deserialize)]
struct BadMessage {
    name: String,
    kind: String,
    bytes: String,
    code: String,
}

fn request_meaning(request: &Request) -> Json {
    let carried = |carried: &Carried| match carried {
        Carried::Bytes(bytes) => json!({"bytes": text(bytes)}),
        Carried::Withheld(digest) => json!({"digest": digest}),
    };
    let batch = |batch: &Batch| {
        json!({
            "replica": batch.replica, "first": batch.first, "count": batch.changes.len(), "before": batch.before,
            "signature": batch.signature,
            "changes": batch.changes.iter().map(carried).collect::<Vec<_>>(),
        })
    };
    let header = &request.header;
    let mut meaning = json!({
        "replica": header.replica, "clock": header.clock, "app": header.app, "unsent": header.unsent,
        "scope": header.scope, "epoch": header.epoch, "cursors": header.cursors, "acked": header.acked,
        "adopt": request.adoptions.first(),
        "batches": request.batches.iter().map(batch).collect::<Vec<_>>(), "complete": !request.cut_off,
    });
    let rare = json!({
        "returned": header.returned, "lives": header.lives, "waits_before": header.waits_before, "want": header.want,
        "haves": request.haves,
    });
    let is_said = |value: &Json| ![json!(null), json!(""), json!({}), json!([])].contains(value);
    let rare = rare.as_object().unwrap().clone().into_iter().filter(|(_, value)| is_said(value));
    meaning.as_object_mut().unwrap().extend(rare);
    meaning
}

/// A scope as far as the document describes it.
fn scope_meaning(scope: &Json) -> Json {
    let members = ["version", "enumerator", "name", "areas", "assignments", "questionnaires"];
    members.into_iter().map(|name| (name.to_owned(), scope.get(name).cloned().unwrap_or_default())).collect()
}

fn reply_meaning(reply: &Reply) -> Json {
    let pulled = |run: &sync_protocol::wire::Run| {
        let changes: Vec<_> = run
            .changes
            .iter()
            .map(|c| {
                json!({
                    "replica": c.replica, "seq": c.seq, "received": c.stamp.received_ms, "skew": c.stamp.skew_ms,
                    "bytes": text(&c.bytes),
                })
            })
            .collect();
        json!({"changes": changes, "cursor": run.cursor})
    };
    let header = &reply.header;
    json!({
        "epoch": header.epoch, "acked_through": header.acked_through, "safe_through": header.safe_through,
        "clock": header.clock, "more": header.more, "complete": !reply.cut_off, "outcome": reply.outcomes,
        "stamp": reply.stamps, "fork": reply.fork.iter().collect::<Vec<_>>(), "life": reply.lives,
        "returned": reply.returned.iter().collect::<Vec<_>>(),
        "scope": reply.scope.iter().map(|scope| scope_meaning(&json!(scope))).collect::<Vec<_>>(),
        "pulled": reply.pulled.iter().map(pulled).collect::<Vec<_>>(),
    })
}

/// Sorts the frames of a reply as [`Reply`] does: changes count with the cursor behind them.
fn sorted_frames(meaning: &Json) -> Json {
    let mut sorted = meaning.as_object().cloned().unwrap();
    let frames = sorted.remove("frames").unwrap();
    let mut by_kind: BTreeMap<&str, Vec<Json>> = ["outcome", "stamp", "fork", "life", "returned", "scope", "pulled"]
        .into_iter()
        .map(|kind| (kind, Vec::new()))
        .collect();
    let mut run = Vec::new();
    for frame in frames.as_array().unwrap() {
        let (kind, inner) = frame.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "change" => run.push(inner.clone()),
            "cursor" => {
                let closed = json!({"changes": std::mem::take(&mut run), "cursor": inner});
                by_kind.entry("pulled").or_default().push(closed);
            }
            "scope" => by_kind.entry("scope").or_default().push(scope_meaning(inner)),
            other => by_kind.get_mut(other).unwrap().push(inner.clone()),
        }
    }
    sorted.extend(by_kind.into_iter().map(|(kind, frames)| (kind.to_owned(), Json::Array(frames))));
    Json::Object(sorted)
}

#[test]
fn requests_mean_what_the_vectors_say() {
    let mut differences = Differences::default();
    for case in read::<WireFile>("wire.json").requests {
        match Request::from_bytes(case.bytes.as_bytes()) {
            Ok(request) => {
                differences.check(&case.name, "meaning", &case.meaning, &request_meaning(&request));
                differences.check(&case.name, "adoptions", &json!(true), &json!(request.adoptions.len() <= 1));
                let again = Request::from_bytes(&request.to_bytes());
                differences.check(&case.name, "read again", &json!(true), &json!(again == Ok(request)));
            }
            Err(problem) => differences.check(&case.name, "is read", &json!("ok"), &json!(problem.to_string())),
        }
    }
    differences.none();
}

#[test]
fn replies_mean_what_the_vectors_say() {
    let mut differences = Differences::default();
    for case in read::<WireFile>("wire.json").replies {
        match Reply::from_bytes(case.bytes.as_bytes()) {
            Ok(reply) => {
                differences.check(&case.name, "meaning", &sorted_frames(&case.meaning), &reply_meaning(&reply));
            }
            Err(problem) => differences.check(&case.name, "is read", &json!("ok"), &json!(problem.to_string())),
        }
    }
    differences.none();
}

#[test]
fn whole_batches_before_a_cut_survive() {
    let mut differences = Differences::default();
    let CutCase { bytes, cuts } = read::<WireFile>("wire.json").cut;
    let whole = Request::from_bytes(bytes.as_bytes()).unwrap();
    for cut in cuts {
        let found = match Request::from_bytes(bytes.as_bytes().get(..cut.offset).unwrap()) {
            Ok(request) => {
                let same = whole.batches.starts_with(&request.batches);
                json!([true, request.batches.len(), !request.cut_off, same])
            }
            Err(problem) => json!([false, 0, false, problem.code == sync_protocol::Code::CutOff]),
        };
        let expected = json!([cut.header, cut.batches, cut.complete, true]);
        differences.check(&format!("cut at {}", cut.offset), "header, batches, complete, same", &expected, &found);
    }
    differences.none();
}

#[test]
fn spoilt_messages_are_refused_with_the_code_of_the_vectors() {
    let mut differences = Differences::default();
    for case in read::<WireFile>("wire.json").bad {
        let found = if case.kind == "request" {
            code(&Request::from_bytes(case.bytes.as_bytes()))
        } else {
            code(&Reply::from_bytes(case.bytes.as_bytes()))
        };
        differences.check(&format!("{}: {}", case.kind, case.name), "code", &json!(case.code), &found);
    }
    differences.none();
}

#[derive(Deserialize)]
struct MergeFile {
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    record: RecordId,
    changes: Vec<Arrival>,
    view: Json,
}

#[derive(Deserialize)]
struct Arrival {
    replica: ReplicaId,
    seq: u64,
    bytes: String,
    stamp: Option<Stamp>,
}

impl Arrival {
    fn change(&self) -> Change {
        let dot = Dot { replica: self.replica, seq: self.seq };
        Change::from_bytes(dot, self.bytes.as_bytes(), &Limits::default()).unwrap()
    }
}

fn merge<'a>(changes: impl Iterator<Item = &'a Arrival>) -> Record {
    let mut record = Record::new();
    for arrival in changes {
        record.apply(arrival.change(), arrival.stamp);
    }
    record
}

fn view(record: &Record) -> Json {
    let answers: BTreeMap<String, Json> = record
        .answers()
        .map(|(path, answer)| {
            let siblings: Vec<_> =
                answer.siblings.iter().map(|s| json!({"dot": s.dot.to_string(), "value": s.value})).collect();
            (path.to_string(), json!({"siblings": siblings, "conflict": answer.is_conflict(Merge::Register)}))
        })
        .collect();
    let repeats: BTreeSet<_> = record
        .all_rows()
        .filter_map(|row| row.place.split().map(|(outer, repeat, _)| (outer, repeat.to_owned())))
        .collect();
    let rows: Vec<_> = repeats
        .iter()
        .map(|(outer, repeat)| {
            let rows = record.rows(outer, repeat);
            let rows: Vec<_> = rows.iter().map(|row| json!({"row": row.place.as_str(), "kept": row.kept})).collect();
            json!({"place": outer.as_str(), "repeat": repeat, "rows": rows})
        })
        .collect();
    let standing = match record.standing() {
        Standing::Valid => "valid",
        Standing::Void => "void",
        Standing::KeptDespiteVoid => "kept-despite-void",
    };
    let notes: Vec<_> = record.notes().map(|(dot, note)| json!({"dot": dot.to_string(), "note": note})).collect();
    json!({"answers": answers, "rows": rows, "standing": standing, "notes": notes})
}

#[test]
fn records_merge_as_the_vectors_say_in_any_order() {
    let mut differences = Differences::default();
    for case in read::<MergeFile>("merge.json").scenarios {
        for arrival in &case.changes {
            let change = arrival.change();
            differences.check(&case.name, "record", &json!(case.record), &json!(change.record()));
            differences.check(&case.name, "written", &json!(arrival.bytes), &text(&change.to_bytes()));
        }
        let orders = [
            ("as listed", merge(case.changes.iter())),
            ("backwards", merge(case.changes.iter().rev())),
            ("twice", merge(case.changes.iter().chain(&case.changes))),
        ];
        for (order, record) in orders {
            let found = view(&record);
            for part in ["answers", "rows", "standing", "notes"] {
                let what = format!("{part}, {order}");
                let expected = case.view.get(part).unwrap();
                differences.check(&case.name, &what, expected, found.get(part).unwrap());
            }
        }
    }
    differences.none();
}
