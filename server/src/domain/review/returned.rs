//! What a device is told of returned interviews.
//!
//! It is told all that is returned in its areas whenever that is not what it was told last. So nothing has to be remembered of
//! any device: one that is new, that changed hands, or that a server before a restore told something else, is told right.

use crate::store::{Device, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use sync_protocol::wire::{Returned, ReturnedList};

/// Most interviews that one device is told at once, and most remarks with them: some 60 KB. More come when these are corrected; the
/// enumerator's own stand first.
const MOST: usize = 500;
const MOST_REMARKS: usize = 1000;

/// The returned interviews of households in a device's areas.
///
/// # Errors
/// If the store fails.
pub fn returned_in(tx: Tx<'_>, device: &Device, areas: &BTreeSet<i64>) -> Result<ReturnedList, StoreError> {
    let mut list = ReturnedList::default();
    let mut remarks = 0;
    for row in tx.returned(areas, &device.enumerator, MOST)? {
        remarks += row.remarks.len();
        if remarks > MOST_REMARKS && !list.interviews.is_empty() {
            break;
        }
        list.interviews.push(Returned { record: row.record, whose: row.whose, remarks: row.remarks });
    }
    if !list.interviews.is_empty() {
        let content = serde_json::to_vec(&list.interviews).unwrap_or_default();
        list.version = hex::encode(Sha256::digest(content).get(..6).unwrap_or_default());
    }
    Ok(list)
}
