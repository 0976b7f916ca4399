//! Whom the device believes: the server's keys, and what it signed to be shown to others (docs/decisions/0018).

use super::{enrolled, from_json, identity, meta, scope, to_json};
use crate::{
    error::Error,
    store::{GuestRow, Tx},
};
use sync_protocol::{
    ReplicaId,
    chain::{Adoption, PublicKey, trusted},
    pass::{Pass, Receipt, Voucher},
    wire::{Reply, Scope, Shown},
};

/// A guest's pass is asked for anew after so long, in milliseconds of the server's clock: a day.
const RENEW_MS: i64 = 86_400_000;
/// So many passes are asked for in one request.
const RENEW_MOST: usize = 100;

/// The server's keys that the device trusts: the one of its enrolment and those that lead on from it, the newest last.
pub(super) fn keys(tx: &Tx<'_>) -> Result<Vec<PublicKey>, Error> {
    Ok(with_learned(trusted(enrolled(tx)?.server_key, &told(tx)?), &learned(tx)?))
}

/// The keys that the server told, with those that other devices told of. Of these only one that the newest vouches for is newer: one
/// that leads on from an older key is of a life of the server that a restore has ended, whenever it is heard of.
fn with_learned(mut keys: Vec<PublicKey>, learned: &[Adoption]) -> Vec<PublicKey> {
    for adoption in learned {
        let is_known = keys.contains(&adoption.key) || !keys.iter().any(|key| adoption.is_valid(key));
        match keys.pop() {
            Some(newest) if is_known => keys.push(newest),
            Some(newest) if adoption.is_valid(&newest) => keys.extend([newest, adoption.key]),
            Some(newest) => keys.extend([adoption.key, newest]),
            None => {}
        }
    }
    keys
}

/// How the server's keys are vouched for, as far as the server or another device has told.
fn vouched(tx: &Tx<'_>) -> Result<Vec<Adoption>, Error> {
    let mut vouched = told(tx)?;
    vouched.extend(learned(tx)?);
    Ok(vouched)
}

fn told(tx: &Tx<'_>) -> Result<Vec<Adoption>, Error> {
    Ok(scope(tx)?.map(|scope| scope.vouched).unwrap_or_default())
}

/// How keys are vouched for that other devices told of, or that the server told of before it was restored.
pub(super) fn learned(tx: &Tx<'_>) -> Result<Vec<Adoption>, Error> {
    tx.meta(meta::VOUCHED)?.map_or(Ok(Vec::new()), |json| from_json(&json))
}

/// Keeps how those keys are vouched for that a server knows no more when it tells its scope: it was restored, and what it signed with
/// them in between is to be proved to it.
pub(super) fn keep_forgotten(tx: &Tx<'_>, scope: &Scope) -> Result<(), Error> {
    let learned = learned(tx)?;
    let kept = with_forgotten(told(tx)?, &scope.vouched, learned.clone());
    if kept.len() > learned.len() { tx.set_meta(meta::VOUCHED, &to_json(&kept)?) } else { Ok(()) }
}

/// What was told and is told no more, in front of what was learned: that may lead on from it.
fn with_forgotten(mut told: Vec<Adoption>, today: &[Adoption], learned: Vec<Adoption>) -> Vec<Adoption> {
    told.retain(|adoption| !today.contains(adoption) && !learned.contains(adoption));
    told.extend(learned);
    told
}

/// Takes over keys of the server that another device tells of; what nothing vouches for is passed over. A new one says that the
/// server was restored: it may lack what it acked before. Which of two that lead on from one key is today's, its word alone tells.
pub(super) fn learn(tx: &Tx<'_>, told: &[Adoption]) -> Result<Vec<PublicKey>, Error> {
    let mut known = keys(tx)?;
    let mut learned = learned(tx)?;
    let before = learned.len();
    for adoption in told {
        if !known.contains(&adoption.key) && known.iter().any(|key| adoption.is_valid(key)) {
            known.push(adoption.key);
            learned.push(adoption.clone());
        }
    }
    if learned.len() == before {
        return Ok(known);
    }
    tx.set_meta(meta::VOUCHED, &to_json(&learned)?)?;
    tx.set_meta(meta::DOUBTED, "1")?;
    // What hubs hold they said from there on.
    tx.doubt_peers()?;
    tx.doubt_lives()?;
    keys(tx)
}

/// The device's own pass, of this name or of the one before.
pub(super) fn own_pass(tx: &Tx<'_>) -> Result<Option<Pass>, Error> {
    tx.meta(meta::PASS)?.map(|json| from_json(&json)).transpose()
}

/// Until when the pass is good that the device has for its name of today; 0 if it has none.
pub(super) fn pass_until(tx: &Tx<'_>, replica: ReplicaId) -> Result<i64, Error> {
    Ok(own_pass(tx)?.filter(|pass| pass.replica == replica).map_or(0, |pass| pass.until))
}

/// What the device shows of itself; none if it has no pass that leads to its name of today.
pub(super) fn shown(tx: &Tx<'_>) -> Result<Option<Shown>, Error> {
    let Some(pass) = own_pass(tx)? else { return Ok(None) };
    let (replica, _) = identity(tx)?;
    let adopt: Option<Adoption> = match tx.meta(meta::ADOPTION)? {
        Some(json) if pass.replica != replica => Some(from_json(&json)?),
        Some(_) | None => None,
    };
    let shown = Shown { pass, adopt, vouched: vouched(tx)? };
    Ok(shown.identity().filter(|(named, _)| *named == replica).map(|_| shown))
}

/// When the device last heard of the server, by the server's clock.
pub(super) fn heard_ms(tx: &Tx<'_>) -> Result<i64, Error> {
    Ok(tx.meta(meta::HEARD)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Whether the server said that a device was revoked.
pub(super) fn is_barred(tx: &Tx<'_>, replica: ReplicaId) -> Result<bool, Error> {
    let barred: Vec<ReplicaId> = tx.meta(meta::BARRED)?.map_or(Ok(Vec::new()), |json| from_json(&json))?;
    Ok(barred.contains(&replica))
}

/// Takes over what the server's reply says of passes, and when it said so.
pub(super) fn hear(tx: &Tx<'_>, reply: &Reply) -> Result<(), Error> {
    tx.set_meta(meta::HEARD, &reply.header.clock.to_string())?;
    // Of a fork a server may have said nothing else.
    let is_whole = !reply.cut_off && reply.fork.is_none();
    if is_whole && (!reply.barred.is_empty() || tx.meta(meta::BARRED)?.is_some()) {
        tx.set_meta(meta::BARRED, &to_json(&reply.barred)?)?;
    }
    if !reply.passes.is_empty() || !reply.receipts.is_empty() || !reply.keys.is_empty() {
        let keys = keys(tx)?;
        take_passes(tx, &reply.passes, &keys, Some(reply.header.clock))?;
        keep_receipts(tx, &reply.receipts, &keys)?;
        keep_vouchers(tx, &reply.keys, &keys)?;
    }
    Ok(())
}

/// Guests whose passes are a day old: a hub takes new ones back to them, which say what areas they have by now.
pub(super) fn running_out(tx: &Tx<'_>) -> Result<Vec<ReplicaId>, Error> {
    let heard = heard_ms(tx)?;
    let mut running_out = Vec::new();
    for guest in tx.guests()? {
        let pass: Pass = from_json(&guest.pass)?;
        if pass.replica != guest.replica || heard.abs_diff(pass.from) > RENEW_MS.unsigned_abs() {
            running_out.push(guest.replica);
        }
        if running_out.len() >= RENEW_MOST {
            break;
        }
    }
    Ok(running_out)
}

/// Keeps passes that the server signed: the device's own, and those that a hub takes back to its guests. The newest counts, but
/// none that is of later than `now_ms`, where the server says what time it is: its clock was wrong when it made that.
pub(super) fn take_passes(tx: &Tx<'_>, passes: &[Pass], keys: &[PublicKey], now_ms: Option<i64>) -> Result<(), Error> {
    let (replica, key) = identity(tx)?;
    for pass in passes.iter().filter(|pass| pass.is_signed(keys)) {
        if pass.replica == replica && pass.key == key.public() {
            let is_newer = |own: &Pass| own.replica != replica || own.from <= pass.from || is_of_later(own, now_ms);
            if own_pass(tx)?.is_none_or(|own| is_newer(&own)) {
                tx.set_meta(meta::PASS, &to_json(pass)?)?;
                // What is pulled from now on comes without proofs: should it be a hub again, it begins anew.
                if !pass.hub {
                    tx.delete_meta(meta::HUB)?;
                }
            }
        } else if tx.guest(pass.replica)?.is_some() {
            let row = GuestRow { replica: pass.replica, pass: to_json(pass)?, adoption: None, seen_ms: None };
            keep_guest(tx, row, now_ms)?;
        }
    }
    Ok(())
}

fn is_of_later(pass: &Pass, now_ms: Option<i64>) -> bool {
    now_ms.is_some_and(|now_ms| pass.from > now_ms)
}

/// Keeps what a hub knows of a guest, with the newest pass that was seen of it; as [`take_passes`] does.
pub(super) fn keep_guest(tx: &Tx<'_>, row: GuestRow, now_ms: Option<i64>) -> Result<(), Error> {
    let Some(known) = tx.guest(row.replica)? else { return tx.put_guest(&row) };
    let (old, new): (Pass, Pass) = (from_json(&known.pass)?, from_json(&row.pass)?);
    // A pass for the very name is worth more than one for the name before.
    let is_older = (new.replica == row.replica, new.from) < (old.replica == row.replica, old.from);
    tx.put_guest(&if is_older && !is_of_later(&old, now_ms) { GuestRow { pass: known.pass, ..row } } else { row })
}

/// Keeps receipts of the server of today for those that are carried.
pub(super) fn keep_receipts(tx: &Tx<'_>, receipts: &[Receipt], keys: &[PublicKey]) -> Result<(), Error> {
    let Some(newest) = keys.last() else { return Ok(()) };
    for receipt in receipts.iter().filter(|receipt| receipt.is_signed(newest)) {
        let known = tx.receipt(receipt.replica)?.map(|json| from_json::<Receipt>(&json)).transpose()?;
        // What an older life of the server had signed gives way, whatever it said.
        if known.is_none_or(|known| known.seq <= receipt.seq || !known.is_signed(newest)) {
            tx.put_receipt(receipt.replica, receipt.seq, &to_json(receipt)?)?;
        }
    }
    Ok(())
}

/// Keeps the server's words for authors' keys.
pub(super) fn keep_vouchers(tx: &Tx<'_>, vouchers: &[Voucher], keys: &[PublicKey]) -> Result<(), Error> {
    for voucher in vouchers.iter().filter(|voucher| voucher.is_signed(keys)) {
        tx.put_voucher(voucher.replica, &to_json(voucher)?)?;
    }
    Ok(())
}

/// The key of an author, if the server vouches for it.
pub(super) fn author_key(tx: &Tx<'_>, replica: ReplicaId) -> Result<Option<PublicKey>, Error> {
    let voucher = tx.voucher(replica)?.map(|json| from_json::<Voucher>(&json)).transpose()?;
    Ok(voucher.map(|voucher| voucher.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::chain::SecretKey;

    #[test]
    fn a_key_of_a_life_that_a_restore_has_ended_is_never_the_newest() {
        let key = |seed: u8| SecretKey::from_seed([seed; 32]);
        let name = |number: u8| ReplicaId(uuid::Uuid::from_u128(number.into()));
        let leads = |from: u8, to: u8| Adoption::sign(name(to), key(to).public(), name(from), &key(from));
        let keys = |told: &[Adoption], learned: &[Adoption]| {
            let keys = with_learned(trusted(key(1).public(), told), learned);
            let number = |known: &PublicKey| (1..9).find(|seed| key(*seed).public() == *known).unwrap();
            keys.iter().map(number).collect::<Vec<u8>>()
        };
        assert_eq!(keys(&[], &[leads(1, 2)]), [1, 2], "a newer one, heard from another device");
        assert_eq!(keys(&[leads(1, 3)], &[leads(1, 2)]), [1, 2, 3], "the server was restored twice from one copy");
        assert_eq!(keys(&[leads(1, 3)], &[leads(1, 2), leads(2, 4)]), [1, 2, 4, 3]);
        assert_eq!(keys(&[leads(1, 3)], &[leads(3, 5), leads(1, 3), leads(7, 8)]), [1, 3, 5]);
        // It told of 2, a hub of 3; then it was restored, and tells of 4.
        let kept = with_forgotten(vec![leads(1, 2)], &[leads(1, 4)], vec![leads(2, 3)]);
        assert_eq!(keys(&[leads(1, 4)], &kept), [1, 2, 3, 4]);
    }
}
