//! What the device does with records that it may not see any more: it drops them, once nothing of them is unsent.
//!
//! Own changes stay in the log, under no line of the lists, until the server has them in a verified backup: it may be
//! restored and ask for them again (laws L6 and L8).

use super::{forms::Forms, identity, meta, number};
use crate::{error::Error, store::Tx};
use std::collections::BTreeSet;
use sync_protocol::{RecordId, Value, wire::Scope};
use uuid::Uuid;

/// An interview with no event for this long was left by a crash, and is not being held.
const HELD_MS: i64 = 86_400_000;

/// Drops what is out of scope, and frees the log of what was dropped as far as it is safe.
pub(super) fn drop_lost(tx: &Tx<'_>, scope: &Scope, forms: &mut Forms, now_ms: i64) -> Result<(), Error> {
    let areas: BTreeSet<&str> = scope.areas.iter().map(|area| area.code.as_str()).collect();
    for bucket in tx.cursors()?.keys() {
        if !areas.contains(bucket.as_str()) {
            tx.delete_cursor(bucket)?;
        }
    }
    let (replica, _) = identity(tx)?;
    let (acked, held_since) = (number(tx, meta::ACKED)?, now_ms.saturating_sub(HELD_MS));
    let moved = tx.moved()?;
    let outside = tx.households()?.into_iter().filter(|(_, area)| area.as_deref().is_some_and(|a| !areas.contains(a)));
    let candidates: BTreeSet<Uuid> = outside.map(|(household, _)| household).chain(moved.iter().copied()).collect();
    for household in candidates {
        let lost = moved.contains(&household) || is_outside(tx, household, &areas, forms)?;
        // The server has all of it, decided, and nobody is at work on it.
        if lost && !tx.has_unsettled(household, replica, acked)? && !tx.is_held(household, held_since)? {
            let last = tx.last_own(household, replica)?.unwrap_or(0);
            tx.set_meta(meta::DROPPED, &last.max(number(tx, meta::DROPPED)?).to_string())?;
            tx.drop_household(household)?;
            tx.set_meta(meta::DROPPING, "1")?;
        }
    }
    if tx.meta(meta::DROPPING)?.is_some() {
        let (freed, left) = tx.free_dropped(replica, number(tx, meta::SAFE)?)?;
        if let Some(seq) = freed {
            tx.set_meta(meta::FREED, &seq.max(number(tx, meta::FREED)?).to_string())?;
        }
        if !left {
            tx.delete_meta(meta::DROPPING)?;
        }
    }
    Ok(())
}

/// Whether no area that the household is said to live in is one of the device's.
fn is_outside(tx: &Tx<'_>, household: Uuid, areas: &BTreeSet<&str>, forms: &mut Forms) -> Result<bool, Error> {
    let record = forms.merged(tx, RecordId(household))?;
    let Some(answer) = record.answer(&"area".parse()?) else { return Ok(false) };
    let is_inside = |value: &Value| matches!(value, Value::Text(code) if areas.contains(code.as_str()));
    Ok(!answer.siblings.iter().any(|sibling| is_inside(sibling.value)))
}
