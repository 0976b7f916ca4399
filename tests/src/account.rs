//! The account of every answer that was ever typed: the oracle of law L2.

use client_core::{Device, Host};
use std::collections::BTreeMap;
use sync_protocol::{Path, RecordId, Value};

/// Every answer typed on any device, by record and path.
#[derive(Debug, Default, Clone)]
pub struct Account {
    typed: BTreeMap<(RecordId, Path), Vec<Value>>,
}

impl Account {
    /// Notes an answer that was saved.
    pub fn note(&mut self, record: RecordId, path: &Path, value: &Value) {
        self.typed.entry((record, path.clone())).or_default().push(value.clone());
    }

    /// How many answers were typed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.typed.values().map(Vec::len).sum()
    }

    /// Whether nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }

    /// Takes over what another account noted.
    pub fn merge(&mut self, other: Self) {
        for (key, values) in other.typed {
            self.typed.entry(key).or_default().extend(values);
        }
    }

    /// The answers that a device does not hold, neither as live values nor in their history.
    ///
    /// # Errors
    /// If the device's database fails.
    pub fn lost_on<H: Host>(&self, device: &mut Device<H>) -> Result<Vec<String>, client_core::Error> {
        let mut lost = Vec::new();
        let mut held: Option<(RecordId, sync_protocol::Record)> = None;
        for ((record, path), values) in &self.typed {
            if held.as_ref().is_none_or(|(id, _)| id != record) {
                held = Some((*record, device.record(*record).unwrap_or_default()));
            }
            let Some((_, merged)) = &held else { continue };
            let history = merged.history(path);
            for value in values {
                if !history.iter().any(|(sibling, _)| sibling.value == value) {
                    lost.push(format!("{record} {path}"));
                }
            }
        }
        Ok(lost)
    }
}
