//! Another name for a device whose new one somebody else has: a new name is heard by others before the server hears of it, and
//! whoever tells the server first has it.

use super::{Device, from_json, from_secret, identity, meta, summary, sync, to_json};
use crate::{error::Error, host::Host, store::Tx};
use std::collections::BTreeSet;
use sync_protocol::chain::Adoption;

/// Goes on under another name, which is vouched for by the one before the taken one; everything is authored again under it.
/// False where nothing leads to the taken name.
pub(super) fn rename<H: Host>(device: &mut Device<H>) -> Result<bool, Error> {
    let Device { store, host, forms, .. } = device;
    store.write(|tx| {
        let mut touched = BTreeSet::new();
        let Some(adoption) = adoption_to_today(tx)? else { return Ok(false) };
        let Some(secret) = tx.life(adoption.from)? else { return Ok(false) };
        sync::go_on(tx, host, 0, &mut touched)?;
        let (new, key) = identity(tx)?;
        let vouched = to_json(&Adoption::sign(new, key.public(), adoption.from, &from_secret(&secret)?))?;
        tx.lead_elsewhere(adoption.from, &vouched)?;
        tx.set_meta(meta::ADOPTION, &vouched)?;
        touched.iter().try_for_each(|touched| summary::refresh(tx, touched.record, forms))?;
        Ok(true)
    })
}

/// How the name of today is vouched for; none for the first one.
fn adoption_to_today(tx: &Tx<'_>) -> Result<Option<Adoption>, Error> {
    let (today, _) = identity(tx)?;
    let adoptions: Vec<Adoption> = tx.adoptions()?.iter().map(|json| from_json(json)).collect::<Result<_, _>>()?;
    Ok(adoptions.into_iter().find(|adoption| adoption.replica == today))
}
