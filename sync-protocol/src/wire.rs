//! The messages of `POST /v1/sync`: JSON lines, so that whatever arrived before a cut can be used.
//!
//! The first line is a header; every further line is one frame, an object with one member. The bytes of
//! changes stand as lines of their own behind the frame that announces them, exactly as authored.
//! `docs/PROTOCOL.md` is the specification.

mod enrol;
mod hub;
mod reply;
mod request;

use crate::{
    problem::{Code, Problem},
    strict::{Anything, First},
};
use serde::{Serialize, de::DeserializeOwned};

pub use enrol::{Enrol, Enrolled};
pub use hub::{Greeting, Shown, Welcome};
pub use reply::{
    Area, Assignment, Cursor, Delivered, Epoch, FirstVisit, Fork, Lack, Life, Outcome, Proof, Reply, ReplyHeader,
    Returned, ReturnedList, Run, Scope, Stamped, TeamDevice, Verdict,
};
pub use request::{Acked, Have, Request, RequestHeader};

/// The protocol versions that this program speaks, oldest first.
///
/// | version | since | what changed |
/// |---|---|---|
/// | 1 | 2026-11 | the first one |
pub const VERSIONS: std::ops::RangeInclusive<u32> = 1..=1;

/// Splits a message into its whole lines; a last line without its end was cut off.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.split_first().map_or(&[], |(_, rest)| rest);
        Some(line)
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn read_line<T: DeserializeOwned>(line: &[u8], what: &str) -> Result<T, Problem> {
    if crate::strict::depth(line, 16) > 16 {
        return Err(Problem::new(Code::TooDeep, format!("{what}: at most 16 levels")));
    }
    let text = std::str::from_utf8(line).map_err(|_ignored| Problem::new(Code::NotUtf8, what.to_owned()))?;
    // What this version passes over must be sound, too: no key twice, no floating-point number.
    let sound = serde_json::from_str::<Anything>(text).and_then(|_| serde_json::from_str(text));
    sound.map_err(|error| {
        let problem = Problem::json(&error);
        Problem::new(problem.code, format!("{what}: {}", problem.detail))
    })
}

/// Reads what a frame's first member holds.
fn read_frame<T: DeserializeOwned>(line: &[u8], what: &str) -> Result<T, Problem> {
    read_line::<First<T>>(line, what).map(|First(frame)| frame)
}

fn write_line<T: Serialize>(out: &mut Vec<u8>, line: &T) {
    // Writing to memory fails only where a map key is no string, and no message has such a map.
    out.extend(serde_json::to_vec(line).unwrap_or_default());
    out.push(b'\n');
}

/// The name of a frame: its first member.
fn frame_name(line: &[u8]) -> Option<&str> {
    let rest = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// Where a message of either direction may be cut without loss to what stands before: in front of each batch and behind
/// each cursor, as offsets. Who compresses flushes there, so that a cut costs no more than what follows.
///
/// ```
/// let message = b"{\"tenun\":1}\n{\"batch\":{}}\n{}\n{\"batch\":{}}\n";
/// assert_eq!(sync_protocol::wire::seams(message), [12, 28]);
/// ```
#[must_use]
pub fn seams(message: &[u8]) -> Vec<usize> {
    let (mut seams, mut at) = (Vec::new(), 0_usize);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"{\"batch\"") {
            seams.push(at);
        }
        at = at.saturating_add(line.len());
        if line.starts_with(b"{\"cursor\"") {
            seams.push(at);
        }
    }
    seams
}
