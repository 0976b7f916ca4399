//! The laws, checked against the oracle once everything has settled (docs/ARCHITECTURE.md lists them).

use super::{
    dice::Dice,
    naive::{self, Stamped},
    world::World,
};
use anyhow::{Context, Result};
use server::domain::{catalogue::Catalogue, derive};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use sync_protocol::{
    Change, Dot, Hash, HouseholdId, Op, Record, RecordId, ReplicaId, Stamp,
    chain::{digest, link},
    wire::Request,
};

/// What became of a change on the server, by the number in its table.
const APPLIED: i64 = 0;
const QUARANTINED: i64 = 1;
const ESCROW: i64 = 2;
const SUPERSEDED: i64 = 3;

/// Who sees which area, as assigned or as its leader.
pub(super) const SEEN: &str =
    "(SELECT enumerator, area FROM assignment UNION SELECT enumerator, area FROM lead) AS seen";

/// A change in the server's log.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) dot: Dot,
    state: i64,
    /// Somebody else than its author brought it, without all that comes before it.
    is_apart: bool,
    pub(super) hash: Hash,
    stamp: Stamp,
    pub(super) bytes: Vec<u8>,
}

impl World {
    /// Checks every law.
    ///
    /// # Errors
    /// If a store fails.
    pub fn check_laws(&mut self) -> Result<()> {
        let log = self.log()?;
        self.note_reached()?;
        for row in &log {
            self.oracle.note(row.hash, row.dot, row.bytes.clone(), BTreeMap::new());
        }
        self.acked_is_there(&log);
        self.saved_is_there(&log);
        self.replaced_was_seen(&log);
        let records = records(&log);
        self.views_agree(&records)?;
        self.clocks_only_show(&records);
        self.devices_agree(&log, &records)?;
        self.devices_see_their_scope(&log)?;
        self.proved_is_there()?;
        self.derived_follows()
    }

    pub(super) fn log(&mut self) -> Result<Vec<Row>> {
        let query = "SELECT uuid, seq, state, hash, received_ms, skew_ms, bytes, seq > head FROM change
                     JOIN replica ON replica.id = change.replica ORDER BY uuid, seq";
        let conn = self.office.connection()?;
        let mut query = conn.prepare(query)?;
        let rows = query.query_map([], |row| {
            Ok(Row {
                dot: Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? },
                state: row.get(2)?,
                is_apart: row.get(7)?,
                hash: Hash(row.get(3)?),
                stamp: Stamp { received_ms: row.get(4)?, skew_ms: row.get(5)? },
                bytes: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The hashes of everything that the server holds, wherever it holds it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn held(&mut self) -> Result<BTreeSet<Hash>> {
        let conn = self.office.connection()?;
        let mut held = BTreeSet::new();
        let mut query = conn.prepare("SELECT hash FROM change UNION SELECT hash FROM branch")?;
        for hash in query.query_map([], |row| row.get::<_, [u8; 32]>(0))? {
            held.insert(Hash(hash?));
        }
        let mut query = conn.prepare("SELECT body FROM parked")?;
        let bodies = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<Result<Vec<_>, _>>()?;
        for body in bodies {
            let request = Request::from_bytes(&body).map_err(|problem| anyhow::anyhow!("parked: {problem}"))?;
            for batch in request.batches {
                let mut previous = batch.before;
                for (seq, change) in (batch.first..).zip(&batch.changes) {
                    if let sync_protocol::chain::Carried::Bytes(bytes) = change {
                        previous = link(previous, batch.replica, seq, digest(bytes));
                        held.insert(previous);
                    }
                }
            }
        }
        Ok(held)
    }

    /// Law L1: what was acked is in the log, byte for byte, and the log's chains are whole.
    fn acked_is_there(&mut self, log: &[Row]) {
        let mut previous = (Dot { replica: ReplicaId(uuid::Uuid::nil()), seq: 0 }, Hash::default());
        let mut wrong = Vec::new();
        let mut held: BTreeMap<(ReplicaId, u64), Hash> = BTreeMap::new();
        for row in log {
            held.insert((row.dot.replica, row.dot.seq), row.hash);
            if row.dot.replica == super::hubs::EVE {
                wrong.push("the log has words of somebody whom nobody vouched for".into());
            }
            if row.is_apart {
                continue;
            }
            if row.dot.replica != previous.0.replica {
                previous = (Dot { replica: row.dot.replica, seq: 0 }, Hash::default());
            }
            let hash = link(previous.1, row.dot.replica, row.dot.seq, digest(&row.bytes));
            if row.dot.seq != previous.0.seq + 1 || hash != row.hash {
                wrong.push(format!("the log's chain breaks at {}", row.dot));
            }
            previous = (row.dot, row.hash);
        }
        for ((replica, seq), hash) in &self.oracle.acked {
            if held.get(&(*replica, *seq)) != Some(hash) {
                let is_other = held.contains_key(&(*replica, *seq));
                wrong.push(format!("{replica}:{seq} was acked; the log has another one there: {is_other}"));
            }
        }
        for what in wrong {
            self.oracle.broken("L1", what);
        }
    }

    /// Laws L2, L6 and L7: every save of every life is applied once, or kept where a coordinator finds it.
    fn saved_is_there(&mut self, log: &[Row]) {
        let mut became: BTreeMap<Hash, Vec<(Dot, i64)>> = BTreeMap::new();
        for row in log {
            became.entry(self.oracle.root(row.hash)).or_default().push((row.dot, row.state));
        }
        let alive: Vec<bool> = self.phones.iter().map(|phone| phone.is_alive).collect();
        let mut wrong = Vec::new();
        for hash in self.oracle.owed(|life| alive.get(life) == Some(&true)) {
            let known = became.get(&hash).map_or(&[][..], Vec::as_slice);
            if !known.iter().any(|(_, state)| *state != SUPERSEDED) {
                let dot = self.oracle.saves.get(&hash).map(|save| save.dot.to_string()).unwrap_or_default();
                wrong.push(format!("the save {dot} is just gone: {known:?}"));
            }
        }
        for (hash, known) in &became {
            let applied = known.iter().filter(|(_, state)| *state == APPLIED);
            if applied.clone().count() > 1 {
                let dot = self.oracle.saves.get(hash).map(|save| save.dot.to_string()).unwrap_or_default();
                let dots: Vec<String> = applied.map(|(dot, _)| dot.to_string()).collect();
                wrong.push(format!("the save {dot} counts more than once: {dots:?}"));
            }
        }
        for what in wrong {
            self.oracle.broken("L2", what);
        }
    }

    /// Law L2: whoever replaces an answer had it on the screen.
    fn replaced_was_seen(&mut self, log: &[Row]) {
        let changes = self.known(log);
        let ambiguous = self.given_twice(log);
        let mut wrong = Vec::new();
        for row in log.iter().filter(|row| row.state == APPLIED) {
            let root = self.oracle.root(row.hash);
            let (Some(save), Some(change)) = (self.oracle.saves.get(&root), changes.get(&row.dot)) else { continue };
            for op in &change.ops {
                let Op::Set { path, preds, .. } = op else { continue };
                for pred in preds.iter().filter(|pred| !ambiguous.contains(pred)) {
                    let replaced = changes.get(pred).and_then(|change| value(change, path));
                    let shown = save.shown.get(&(change.record(), path.clone()));
                    let was_shown = replaced.is_some_and(|replaced| {
                        shown.is_some_and(|shown| shown.iter().any(|value| value.same_as(replaced)))
                    });
                    if !was_shown {
                        wrong.push(format!("{} replaces {pred} at {path}: {replaced:?} instead of {shown:?}", row.dot));
                    }
                }
            }
        }
        for what in wrong {
            self.oracle.broken("L2", what);
        }
    }

    /// Law L3 on the server: its merge is the naive one.
    fn views_agree(&mut self, records: &BTreeMap<RecordId, BTreeMap<Dot, Stamped>>) -> Result<()> {
        for (id, changes) in records {
            let merged = self.office.write(|tx, world| {
                let Some(key) = tx.record_key(*id)? else { return Ok(None) };
                Ok(Some(derive::merge(tx.changes_of(key.id)?, &world.catalogue)?))
            });
            let record = merged.map_err(super::office::problem)?.context("a record with changes")?;
            if record.canonical_view() != naive::view(changes) {
                self.oracle.broken("L3", difference(&format!("the server's {id}"), &record, changes));
            }
        }
        Ok(())
    }

    /// Law L4: other clocks and stamps leave the same values live.
    fn clocks_only_show(&mut self, records: &BTreeMap<RecordId, BTreeMap<Dot, Stamped>>) {
        let mut dice = Dice::new(1);
        for (id, changes) in records {
            let mut other = Record::new();
            for (change, _) in changes.values() {
                let mut change = change.clone();
                change.wall_ms = dice.between(-1_000_000_000_000, 4_000_000_000_000);
                let stamp = Stamp { received_ms: dice.between(0, 4_000_000_000_000), skew_ms: dice.between(-9, 9) };
                other.apply(change, dice.chance(800).then_some(stamp));
            }
            let sorted = |mut dots: Vec<Dot>| {
                dots.sort_unstable();
                dots
            };
            let live: BTreeMap<_, _> =
                naive::live(changes).into_iter().map(|(path, dots)| (path, sorted(dots))).collect();
            let other: BTreeMap<_, _> =
                other.answers().map(|(path, answer)| (path.clone(), sorted(answer.all()))).collect();
            if live != other {
                self.oracle.broken("L4", format!("other clocks leave other values live in {id}"));
            }
        }
    }

    /// Laws L3 and L2 on the devices: each shows the naive merge of what it holds, holds what it saved, and all that the
    /// server has of the households in its areas.
    fn devices_agree(&mut self, log: &[Row], records: &BTreeMap<RecordId, BTreeMap<Dot, Stamped>>) -> Result<()> {
        let rows: BTreeMap<Dot, &Row> = log.iter().map(|row| (row.dot, row)).collect();
        let changes = self.known(log);
        let lives: Vec<usize> = self.phones.iter().filter(|phone| phone.is_alive).map(|phone| phone.life).collect();
        let lost = self.oracle.lost.clone();
        let mut wrong = Vec::new();
        for life in lives {
            let expected = self.expected_on(life, log)?;
            let is_revoked = self.is_revoked(life)?;
            let books = self.oracle.lives.get(life).cloned().unwrap_or_default();
            let Self { phones, office, .. } = self;
            let phone = phones.get_mut(life).context("a life")?;
            let device = phone.device()?;
            let lines: Vec<_> = device.households()?.into_iter().chain(device.interviews()?).collect();
            let mut on_device: BTreeSet<Dot> = BTreeSet::new();
            for line in lines {
                let record = phone.device()?.record(line.id)?;
                let mut held: BTreeMap<Dot, Stamped> = BTreeMap::new();
                for (dot, origin) in record.changes() {
                    on_device.insert(dot);
                    let mut change = changes.get(&dot).cloned();
                    // What the dot means here may be what it meant before the restore, where this device is told no more of it.
                    // Of what is folded into a snapshot there are no bytes.
                    if let Some(meanings) = lost.get(&dot)
                        && let Some(bytes) = phone.stored(dot)?
                    {
                        let is_latest = rows.get(&dot).is_some_and(|row| row.bytes == bytes);
                        if expected.contains(&dot) && !is_latest {
                            wrong.push(("L3", format!("life {life} takes {dot} for what it meant before a restore")));
                        }
                        change = (is_latest || meanings.contains(&bytes))
                            .then(|| Change::from_stored(dot, &bytes).ok())
                            .flatten();
                    }
                    let Some(change) = change else {
                        wrong.push(("L3", format!("life {life} shows {dot}, which the server never had")));
                        continue;
                    };
                    let apart = rows.get(&dot).filter(|row| matches!(row.state, QUARANTINED | ESCROW) && !is_revoked);
                    // What a snapshot has folded in is not taken out of it (docs/decisions/0015).
                    if let Some(row) = apart.filter(|row| !books.holds_itself(row.hash))
                        && phone.stored(dot)?.as_deref() == Some(&row.bytes)
                        && !phone.has_snapshot(line.id)?
                    {
                        wrong.push(("L3", format!("life {life} shows {dot}, which the server keeps apart")));
                    }
                    // A stamp that its author never heard of is given anew after a restore.
                    let row = rows.get(&dot).filter(|row| row.state != ESCROW && !lost.contains_key(&dot));
                    let stamp = row.map(|row| row.stamp);
                    // A revoked device is not told the key of a server that was restored since: it can't prove these stamps.
                    let cannot_know = is_revoked && origin.stamp.is_none();
                    if stamp.is_some() && origin.stamp != stamp && !cannot_know {
                        let here = origin.stamp;
                        wrong.push(("L3", format!("life {life} has {dot} stamped {here:?}, the server {stamp:?}")));
                    }
                    held.insert(dot, (change, origin.stamp));
                }
                for dot in record.dead() {
                    on_device.insert(dot);
                    if let Some(change) = changes.get(&dot) {
                        held.insert(dot, (change.clone(), rows.get(&dot).map(|row| row.stamp)));
                    }
                }
                if record.canonical_view() != naive::view(&held) {
                    wrong.push(("L3", difference(&format!("{} on life {life}", line.id), &record, &held)));
                }
                let is_same = records.get(&line.id).is_some_and(|changes| changes.keys().eq(held.keys()));
                if is_same && (line.conflicts > 0) != office.is_in_conflict(line.id)? {
                    wrong.push(("L3", format!("life {life} and the server disagree on conflicts in {}", line.id)));
                }
            }
            for dot in expected.difference(&on_device) {
                wrong.push(("L3", format!("life {life} lacks {dot} (state {:?})", rows.get(dot).map(|row| row.state))));
            }
        }
        for (law, what) in wrong {
            self.oracle.broken(law, what);
        }
        Ok(())
    }

    /// The changes that the server has, and those that it lost in a restore.
    fn known(&self, log: &[Row]) -> BTreeMap<Dot, Change> {
        let lost = self.oracle.lost.iter().flat_map(|(dot, meanings)| meanings.iter().map(|bytes| (*dot, bytes)));
        let lost = lost.filter_map(|(dot, bytes)| Some((dot, Change::from_stored(dot, bytes).ok()?)));
        lost.chain(log.iter().filter_map(read)).collect()
    }

    /// Dots that meant another change before a restore.
    ///
    /// The server was brought back from a copy without that change, and so was its author, or a copy of the author wrote on:
    /// nothing that is left to either tells the dot from a free one, and it is given again. Who had seen the first change
    /// names the second one, unseen, in `preds`. No software can know better without a mark outside the copied files: it
    /// is the one case in which an answer may be replaced by somebody who was not shown it. It stays in the history.
    fn given_twice(&self, log: &[Row]) -> BTreeSet<Dot> {
        let mut meanings = self.oracle.lost.clone();
        for row in log.iter().filter(|row| self.oracle.lost.contains_key(&row.dot)) {
            meanings.entry(row.dot).or_default().insert(row.bytes.clone());
        }
        meanings.into_iter().filter(|(_, bytes)| bytes.len() > 1).map(|(dot, _)| dot).collect()
    }

    fn is_revoked(&mut self, life: usize) -> Result<bool> {
        let token = server::domain::people::hash_secret(&self.phone(life)?.token).0;
        let query = "SELECT 1 FROM device WHERE token = ?1 AND revoked_ms IS NOT NULL";
        Ok(self.office.connection()?.prepare(query)?.exists([token])?)
    }

    /// What a device must hold: what counts of the households in its areas, and what it saved itself.
    fn expected_on(&mut self, life: usize, log: &[Row]) -> Result<BTreeSet<Dot>> {
        let books = self.oracle.lives.get(life).cloned().unwrap_or_default();
        let phone = self.phone(life)?;
        let (who, token) = (phone.who.clone(), phone.token.clone());
        let known = self.office.write(|tx, _| server::domain::people::device(tx, &token));
        if known.is_ok_and(|device| device.revoked) {
            // What it dropped before, it is not given again.
            return Ok(BTreeSet::new());
        }
        let mut elsewhere = self.elsewhere(&who)?;
        let gone = households(log, &elsewhere);
        elsewhere.extend(self.given_elsewhere_alone(&who, log)?);
        // What counted before a restore and is kept apart since had been dropped with its household.
        let is_dropped = |row: &Row| {
            let home = read(row).map(|(_, change)| change.subject.household());
            matches!(row.state, QUARANTINED | ESCROW)
                && self.oracle.lost.contains_key(&row.dot)
                && home.is_some_and(|home| gone.contains(&home))
        };
        let mut expected: BTreeSet<Dot> = log
            .iter()
            .filter(|row| row.state != SUPERSEDED && books.holds_itself(row.hash))
            .filter(|row| !elsewhere.contains(&row.dot) && !is_dropped(row))
            .map(|row| row.dot)
            .collect();
        let query = format!(
            "SELECT DISTINCT replica.uuid, change.seq FROM {SEEN}
             JOIN placement ON placement.area = seen.area JOIN record ON record.household = placement.record
             JOIN change ON change.record = record.id JOIN replica ON replica.id = change.replica
             WHERE seen.enumerator = ?1 AND change.state = 0"
        );
        let conn = self.office.connection()?;
        let mut query = conn.prepare(&query)?;
        let dots = query.query_map([who], |row| Ok(Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? }))?;
        for dot in dots {
            expected.insert(dot?);
        }
        Ok(expected)
    }

    /// The changes of households that live where an enumerator sees nothing: their devices drop them once all is sent.
    fn elsewhere(&mut self, who: &str) -> Result<BTreeSet<Dot>> {
        let query = format!(
            "SELECT replica.uuid, change.seq FROM change JOIN replica ON replica.id = change.replica
             JOIN record ON record.id = change.record
             WHERE EXISTS (SELECT 1 FROM placement WHERE placement.record = record.household) AND NOT EXISTS
                (SELECT 1 FROM placement JOIN {SEEN} ON seen.area = placement.area
                 WHERE placement.record = record.household AND seen.enumerator = ?1)"
        );
        let conn = self.office.connection()?;
        let mut query = conn.prepare(&query)?;
        let dots = query.query_map([who], |row| Ok(Dot { replica: ReplicaId(row.get(0)?), seq: row.get(1)? }))?;
        Ok(dots.collect::<Result<_, _>>()?)
    }

    /// The changes of households of which every area that anybody ever gave, also in escrow or quarantine, is none of an enumerator's:
    /// they may have been dropped. What is kept apart of one that nobody gave an area may have been, too, before a restored server
    /// kept it apart.
    fn given_elsewhere_alone(&mut self, who: &str, log: &[Row]) -> Result<BTreeSet<Dot>> {
        let area: sync_protocol::Path = "area".parse()?;
        let seen = self.office.write(|tx, _| Ok(tx.seen_areas(who)?)).map_err(super::office::problem)?;
        let assigned: BTreeSet<String> = seen.into_iter().map(|seen| seen.code).collect();
        let mut named: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        let changes: Vec<(&Row, Change)> = log.iter().filter_map(|row| Some((row, read(row)?.1))).collect();
        for (_, change) in &changes {
            let code = value(change, &area).map(ToString::to_string);
            named.entry(change.subject.household()).or_default().extend(code);
        }
        let elsewhere = changes.iter().filter(|(row, change)| {
            let codes = named.get(&change.subject.household());
            let is_apart = matches!(row.state, QUARANTINED | ESCROW);
            codes.is_some_and(|codes| (is_apart || !codes.is_empty()) && codes.is_disjoint(&assigned))
        });
        Ok(elsewhere.map(|(row, _)| row.dot).collect())
    }

    /// Adds what stands in each area's bucket to what stood there before.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remember_buckets(&mut self) -> Result<()> {
        let conn = self.office.connection()?;
        let mut query = conn.prepare(
            "SELECT code, uuid, change.seq FROM bucket JOIN area ON area.id = bucket.area
             JOIN change ON change.id BETWEEN bucket.first AND bucket.first + bucket.count - 1
             JOIN replica ON replica.id = change.replica",
        )?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, Dot { replica: ReplicaId(row.get(1)?), seq: row.get(2)? }))
        })?;
        for row in rows {
            let (area, dot) = row?;
            self.stood.entry(area).or_default().insert(dot);
        }
        Ok(())
    }

    /// Law L8: what a device shows of others stood in a bucket that its enumerator was assigned at some time, and no
    /// household lives elsewhere by now, but where something of it waits for a person's decision.
    fn devices_see_their_scope(&mut self, log: &[Row]) -> Result<()> {
        let by_dot: BTreeMap<Dot, Hash> = log.iter().map(|row| (row.dot, row.hash)).collect();
        self.remember_buckets()?;
        let buckets = self.stood.clone();
        let lives: Vec<usize> = self.phones.iter().filter(|phone| phone.is_alive).map(|phone| phone.life).collect();
        let mut wrong = Vec::new();
        for life in lives {
            let books = self.oracle.lives.get(life).cloned().unwrap_or_default();
            let (who, token) = (self.phone(life)?.who.clone(), self.phone(life)?.token.clone());
            // By what the server means by a dot: on a phone it may be of another household, from before a restore.
            let elsewhere = households(log, &self.elsewhere(&who)?);
            let known = self.office.write(|tx, _| server::domain::people::device(tx, &token));
            let hears = known.is_ok_and(|device| !device.revoked);
            let areas = self.assigned.get(&who).cloned().unwrap_or_default();
            let device = self.phones.get_mut(life).context("a life")?.device()?;
            let undecided = |row: &&Row| matches!(row.state, QUARANTINED | ESCROW) && books.holds_itself(row.hash);
            let waits: Vec<&Row> = log.iter().filter(undecided).collect();
            for line in device.households()?.into_iter().chain(device.interviews()?) {
                // Of a household without an area its author alone knows. Where a copy of its phone gave it one, out of this
                // one's scope, this one is told nothing of it, and keeps what it saved itself.
                if hears && waits.is_empty() && line.area.is_some() && elsewhere.contains(&line.household) {
                    wrong
                        .push(format!("life {life} of {who} still shows {}, whose household lives elsewhere", line.id));
                }
                let dots: Vec<Dot> = device.record(line.id)?.changes().map(|(dot, _)| dot).collect();
                let is_own = |dot: &Dot| by_dot.get(dot).is_some_and(|hash| books.holds_itself(*hash));
                // A revoked phone is not told that a household left which it wrote about: a hub may tell it more of that.
                let hears_of_it = hears || !(elsewhere.contains(&line.household) && dots.iter().any(is_own));
                for dot in dots {
                    if self.oracle.lost.contains_key(&dot) {
                        continue; // The bucket that it stood in may be lost as well.
                    }
                    let in_scope = areas.iter().any(|area| buckets.get(area).is_some_and(|dots| dots.contains(&dot)));
                    // What a hub told of a household before the phone heard from the server that it had left stays as long as the
                    // household does: until somebody has decided about what the phone said of it.
                    let home = line.household.to_string();
                    let stays = || waits.iter().any(|row| String::from_utf8_lossy(&row.bytes).contains(&home));
                    if hears_of_it && !is_own(&dot) && !in_scope && !stays() {
                        wrong.push(format!("life {life} of {who} holds {dot}, of no area of theirs"));
                    }
                }
            }
        }
        for what in wrong {
            self.oracle.broken("L8", what);
        }
        Ok(())
    }

    /// Law L1, by DESIGN §5, rule 9: what a device that hears the server can prove of others is on the server, whatever that had
    /// forgotten.
    fn proved_is_there(&mut self) -> Result<()> {
        let held = self.held()?;
        let lives: Vec<usize> = self.phones.iter().filter(|phone| phone.is_alive).map(|phone| phone.life).collect();
        for life in lives {
            if self.is_revoked(life)? {
                continue;
            }
            for (hash, dot) in self.phone(life)?.proved()? {
                if !held.contains(&hash) {
                    self.oracle.broken("L1", format!("life {life} can prove {dot}, which the server has not"));
                }
            }
        }
        Ok(())
    }

    /// Everything that is derived follows from the changes, byte for byte.
    fn derived_follows(&mut self) -> Result<()> {
        let rebuilt = self.office.write(|tx, _| {
            let catalogue = Catalogue::refresh(&Arc::default(), tx)?;
            derive::rebuild(tx, &catalogue, |_| ())
        });
        let rebuilt = rebuilt.map_err(super::office::problem)?;
        if rebuilt.before != rebuilt.after {
            self.oracle.broken("L3", "what the server derived does not follow from its changes");
        }
        Ok(())
    }
}

fn read(row: &Row) -> Option<(Dot, Change)> {
    Some((row.dot, Change::from_stored(row.dot, &row.bytes).ok()?))
}

/// The households of some changes.
fn households(log: &[Row], dots: &BTreeSet<Dot>) -> BTreeSet<HouseholdId> {
    let rows = log.iter().filter(|row| dots.contains(&row.dot));
    rows.filter_map(|row| Some(read(row)?.1.subject.household())).collect()
}

fn value<'a>(change: &'a Change, path: &sync_protocol::Path) -> Option<&'a sync_protocol::Value> {
    change.ops.iter().find_map(|op| match op {
        Op::Set { path: at, value, .. } if at == path => Some(value),
        Op::Set { .. } | Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
    })
}

/// The applied changes of each record.
fn records(log: &[Row]) -> BTreeMap<RecordId, BTreeMap<Dot, Stamped>> {
    let mut records: BTreeMap<RecordId, BTreeMap<Dot, Stamped>> = BTreeMap::new();
    for row in log.iter().filter(|row| row.state == APPLIED) {
        if let Some((dot, change)) = read(row) {
            records.entry(change.record()).or_default().insert(dot, (change, Some(row.stamp)));
        }
    }
    records
}

fn difference(which: &str, record: &Record, changes: &BTreeMap<Dot, Stamped>) -> String {
    let real = String::from_utf8_lossy(&record.canonical_view()).into_owned();
    let naive = String::from_utf8_lossy(&naive::view(changes)).into_owned();
    let at = real.bytes().zip(naive.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.chars().skip(at.saturating_sub(80)).take(240).collect::<String>();
    format!("{which} is not the naive merge: …{} instead of …{}", around(&real), around(&naive))
}
