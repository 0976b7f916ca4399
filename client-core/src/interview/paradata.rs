//! How long each screen was up and what was changed on it: what other tools call `audit.csv`.
//!
//! It stays on the device. The columns are those of the ODK audit log (docs.getodk.org/form-audit-log).

use crate::{device::Device, error::Error, host::Host};
use sync_protocol::RecordId;

/// What an [`Event`] tells of, by the names of the ODK audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The interview was opened the first time on this device.
    FormStart,
    /// It was opened again.
    FormResume,
    /// It was left.
    FormExit,
    /// It was finished.
    FormFinalize,
    /// A screen was up.
    Question,
    /// The list of a roster's rows was up.
    Repeat,
    /// A row was added.
    AddRepeat,
    /// A row was removed.
    DeleteRepeat,
    /// The enumerator jumped to another screen.
    Jump,
    /// The end of the form was up.
    EndScreen,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::FormStart => "form start",
            Self::FormResume => "form resume",
            Self::FormExit => "form exit",
            Self::FormFinalize => "form finalize",
            Self::Question => "question",
            Self::Repeat => "repeat",
            Self::AddRepeat => "add repeat",
            Self::DeleteRepeat => "delete repeat",
            Self::Jump => "jump",
            Self::EndScreen => "end screen",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What happened, by its name in the log.
    pub(crate) kind: String,
    /// Where; empty for the form as a whole.
    pub(crate) node: String,
    /// When it began, by the device's clock, in milliseconds since 1970.
    pub(crate) start_ms: i64,
    /// When it ended, where it took time.
    pub(crate) end_ms: Option<i64>,
    /// The answer before and after.
    pub(crate) change: Option<(String, String)>,
}

impl Event {
    pub(super) fn moment(kind: EventKind, now_ms: i64) -> Self {
        Self { kind: kind.name().to_owned(), node: String::new(), start_ms: now_ms, end_ms: None, change: None }
    }
}

impl<H: Host> Device<H> {
    /// The log of an interview on this device, as `audit.csv` has it: event, node, start, end, old and new value.
    ///
    /// # Errors
    /// If the database fails.
    pub fn audit(&mut self, record: RecordId) -> Result<String, Error> {
        let events = self.store.read(|tx| tx.events(record))?;
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |error: csv::Error| Error::Corrupt(error.to_string());
        writer.write_record(["event", "node", "start", "end", "old-value", "new-value"]).map_err(failed)?;
        for event in events {
            let (before, after) = event.change.unwrap_or_default();
            let end = event.end_ms.map(|end| end.to_string()).unwrap_or_default();
            let start = event.start_ms.to_string();
            writer.write_record([event.kind.as_str(), &event.node, &start, &end, &before, &after]).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| Error::Corrupt(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| Error::Corrupt(error.to_string()))
    }
}
