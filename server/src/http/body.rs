//! Bodies: read with a limit, decompressed by us with a cap on the output, compressed for who can take it.

use super::failure::Rejection;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY},
    web::Payload,
};
use futures_util::StreamExt;
use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};
use sync_protocol::problem::Code;

/// How hard replies are compressed.
const LEVEL: i32 = 6;
/// Snapshots of a whole survey.
const SMALL: i32 = 19;
/// How long a body may stand still before it counts as cut off: shorter than a device's own patience, so that what arrived
/// is kept before the device asks for it.
const STALL: Duration = Duration::from_secs(45);
/// Bytes before compression from one flush to the next: each costs some ten bytes.
const FLUSH: usize = 16 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// A body as it came.
#[derive(Debug)]
pub(super) struct Raw {
    bytes: Vec<u8>,
    coding: Coding,
    limit: usize,
}

/// Reads a body; what arrived before the connection broke, or went silent, is kept.
pub(super) async fn read(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Raw, Rejection> {
    let coding = match request.headers().get(CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None | Some(b"identity") => Coding::Identity,
        Some(b"gzip" | b"x-gzip") => Coding::Gzip,
        Some(b"zstd") => Coding::Zstd,
        Some(_) => {
            return Err(Rejection::new(Code::BadEncoding, "send `zstd`, `gzip` or no content-encoding"));
        }
    };
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = tokio::time::timeout(STALL, payload.next()).await {
        let Ok(chunk) = chunk else { break };
        if bytes.len() + chunk.len() > limit {
            return Err(Rejection::new(Code::RequestTooLarge, format!("at most {limit} bytes: send less at once")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Raw { bytes, coding, limit })
}

impl Raw {
    /// How many parts of 64 KiB the body has before compression, by a guess that errs on the large side; from 1 to 16.
    pub(super) fn parts(&self) -> u32 {
        let ratio = if self.coding == Coding::Identity { 1 } else { 20 };
        u32::try_from(self.bytes.len().saturating_mul(ratio) >> 16).unwrap_or(u32::MAX).clamp(1, 16)
    }

    /// Decompresses the body, at most to the limit; what came before a cut is kept.
    ///
    /// Works on the CPU: call it off the async threads.
    pub(super) fn unpack(self) -> Result<Vec<u8>, sync_protocol::problem::Problem> {
        let Self { bytes, coding, limit } = self;
        match coding {
            Coding::Identity => Ok(bytes),
            Coding::Gzip => inflate(flate2::read::MultiGzDecoder::new(bytes.as_slice()), limit),
            Coding::Zstd => match zstd::stream::read::Decoder::new(bytes.as_slice()) {
                Ok(mut decoder) => {
                    // A window is memory: 8 MiB is what the format recommends every decoder to take.
                    decoder.window_log_max(23).map_err(|_ignored| broken())?;
                    inflate(decoder, limit)
                }
                Err(_) => Err(broken()),
            },
        }
    }
}

fn broken() -> sync_protocol::problem::Problem {
    sync_protocol::problem::Problem::new(Code::BadEncoding, "the compressed body is broken: send it again")
}

fn inflate(decoder: impl Read, limit: usize) -> Result<Vec<u8>, sync_protocol::problem::Problem> {
    let mut out = Vec::new();
    let cap = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.take(cap).read_to_end(&mut out) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(broken()),
        Ok(_) | Err(_) => {}
    }
    if out.len() > limit {
        let detail = format!("more than {limit} bytes after decompression: send less at once");
        return Err(sync_protocol::problem::Problem::new(Code::RequestTooLarge, detail));
    }
    Ok(out)
}

/// How an answer may be compressed for who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing(Coding);

/// An answer's body, compressed.
#[derive(Debug)]
pub(super) struct Packed {
    coding: Coding,
    bytes: Vec<u8>,
}

impl Packing {
    /// Reads what the asker can take.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
        let accepts =
            |coding: &str| accepted.split(',').any(|part| part.split(';').next().map(str::trim) == Some(coding));
        match (accepts("zstd"), accepts("gzip")) {
            (true, _) => Self(Coding::Zstd),
            (false, true) => Self(Coding::Gzip),
            (false, false) => Self(Coding::Identity),
        }
    }

    /// Compresses a body. Works on the CPU: call it off the async threads.
    pub(super) fn pack(self, body: Vec<u8>) -> Packed {
        self.pack_at(body, LEVEL, &[])
    }

    /// Compresses a body that may be cut at these offsets: what stands before can be read then, to the byte.
    /// Works on the CPU: call it off the async threads.
    pub(super) fn pack_in_parts(self, body: Vec<u8>, seams: &[usize]) -> Packed {
        self.pack_at(body, LEVEL, seams)
    }

    /// The same for a body that travels once and is large, over the slowest of lines: a third smaller, at many times the
    /// work.
    pub(super) fn pack_small_in_parts(self, body: Vec<u8>, seams: &[usize]) -> Packed {
        self.pack_at(body, SMALL, seams)
    }

    fn pack_at(self, body: Vec<u8>, level: i32, seams: &[usize]) -> Packed {
        let packed = match self.0 {
            Coding::Identity => None,
            Coding::Gzip => gzip(&body, seams).ok(),
            Coding::Zstd => zstd_frame(&body, level, seams).ok(),
        };
        match packed {
            Some(bytes) => Packed { coding: self.0, bytes },
            None => Packed { coding: Coding::Identity, bytes: body },
        }
    }
}

impl Packed {
    /// Answers with the body.
    pub(super) fn respond(self, content_type: &str) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.content_type(content_type).insert_header((VARY, "accept-encoding"));
        match self.coding {
            Coding::Identity => {}
            Coding::Gzip => {
                response.insert_header((CONTENT_ENCODING, "gzip"));
            }
            Coding::Zstd => {
                response.insert_header((CONTENT_ENCODING, "zstd"));
            }
        }
        response.body(self.bytes)
    }
}

fn gzip(body: &[u8], seams: &[usize]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    write_in_parts(&mut encoder, body, seams)?;
    encoder.finish()
}

fn zstd_frame(body: &[u8], level: i32, seams: &[usize]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(u64::try_from(body.len()).ok())?;
    write_in_parts(&mut encoder, body, seams)?;
    encoder.finish()
}

/// Writes a body into a compressor and flushes it at the seams, but not too often.
fn write_in_parts(encoder: &mut impl Write, mut body: &[u8], seams: &[usize]) -> std::io::Result<()> {
    let mut written = 0_usize;
    for seam in seams {
        let part = seam.saturating_sub(written);
        if part >= FLUSH
            && let Some((part, rest)) = body.split_at_checked(part)
        {
            encoder.write_all(part)?;
            encoder.flush()?;
            (body, written) = (rest, *seam);
        }
    }
    encoder.write_all(body)
}
