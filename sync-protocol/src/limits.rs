//! The sizes that bound everything that comes from outside (DESIGN §5).

use serde::{Deserialize, Serialize};

/// Limits of one server, told to its devices, which check them when the enumerator saves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest change, in bytes.
    pub change: usize,
    /// Largest request, in bytes after decompression.
    pub request: usize,
    /// Longest text answer, in bytes.
    pub text: usize,
    /// Deepest nesting of JSON.
    pub depth: usize,
    /// Most rows in a repeat.
    pub rows: usize,
    /// Most siblings of one answer that are shown; the rest is kept and flagged.
    pub siblings: usize,
    /// Largest attachment, in bytes.
    pub attachment: usize,
    /// Most attachments that one record shows.
    pub attachments: usize,
    /// The media types that an attachment may have.
    pub types: Vec<String>,
}

/// What surveys collect beside pictures, recordings and films: documents and tables; nothing that a browser would run.
const DOCUMENTS: &[&str] = &[
    "application/pdf",
    "application/zip",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "text/plain",
    "text/csv",
];

impl Default for Limits {
    fn default() -> Self {
        Self {
            change: 256 << 10,
            request: 4 << 20,
            text: 8 << 10,
            depth: 16,
            rows: 500,
            siblings: 32,
            attachment: 20 << 20,
            attachments: 100,
            types: crate::attachment::PLAIN.iter().chain(DOCUMENTS).map(|media| (*media).to_owned()).collect(),
        }
    }
}
