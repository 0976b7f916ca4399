//! What a server answered: read as far as it comes.

use crate::Error;
use reqwest::{StatusCode, header};
use std::{io::Read, time::Duration};
use sync_protocol::problem::{Code, Problem};
use tokio::time::timeout;

/// A reply is never larger than this after decompression.
pub(super) const REPLY_MAX: usize = 64 << 20;

/// An answer, as it crossed the line.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body as far as it came, still compressed.
    pub(super) bytes: Vec<u8>,
    /// The line broke, or stood still, before the end.
    pub(super) is_cut: bool,
    /// How long the server asks to be left alone, in seconds.
    pub(super) retry_after_s: Option<u64>,
    is_packed: bool,
}

impl Answer {
    /// Reads a body while it comes; `heard` is told of each piece, and how much is still to come where that is known.
    pub(super) async fn read(
        response: reqwest::Response,
        patience: Duration,
        heard: impl FnMut(u64, Option<u64>),
    ) -> Self {
        Self::read_at_most(REPLY_MAX, response, patience, heard).await
    }

    /// The same, up to so many bytes: what goes on after them is cut there.
    pub(super) async fn read_at_most(
        most: usize,
        mut response: reqwest::Response,
        patience: Duration,
        mut heard: impl FnMut(u64, Option<u64>),
    ) -> Self {
        let headers = response.headers();
        let is_packed = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "zstd");
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.trim().parse().ok());
        let mut rest = response.content_length();
        let mut answer = Self { status: response.status(), bytes: Vec::new(), is_cut: true, retry_after_s, is_packed };
        while let Ok(Ok(piece)) = timeout(patience, response.chunk()).await {
            let Some(piece) = piece else {
                answer.is_cut = false;
                break;
            };
            if answer.bytes.len().saturating_add(piece.len()) > most {
                break;
            }
            let size = u64::try_from(piece.len()).unwrap_or(0);
            rest = rest.map(|rest| rest.saturating_sub(size));
            answer.bytes.extend_from_slice(&piece);
            heard(size, rest);
        }
        answer
    }

    /// The body, decompressed as far as it goes.
    pub(super) fn body(self) -> Result<Vec<u8>, Error> {
        if self.is_packed { unpack(&self.bytes, REPLY_MAX) } else { Ok(self.bytes) }
    }
}

pub(super) fn unpack(body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Unreachable(format!("the answer arrived broken: {error}"));
    let decoder = zstd::stream::read::Decoder::new(body).map_err(failed)?;
    let mut out = Vec::new();
    // A reply that was cut off is used as far as it goes.
    match decoder.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut out) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(failed(error)),
        Ok(_) | Err(_) => Ok(out),
    }
}

/// Reads a problem document (RFC 9457), or makes one of a bare status.
pub(super) fn problem(status: StatusCode, body: &[u8]) -> Problem {
    #[derive(serde::Deserialize)]
    struct Document {
        code: serde_json::Value,
        #[serde(default)]
        detail: String,
    }
    match serde_json::from_slice::<Document>(body) {
        Ok(document) => {
            let known = serde_json::from_value(document.code).unwrap_or(Code::Internal);
            Problem::new(known, document.detail)
        }
        Err(_) => Problem::new(Code::Internal, format!("the server answered {status}")),
    }
}
