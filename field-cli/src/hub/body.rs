//! Bodies of requests, read as long as they move: a phone that walked away must not hold a place for good.

use actix_web::{error::PayloadError, web::Bytes};
use futures_util::{Stream, StreamExt};
use std::time::Duration;
use tokio::time::timeout;

/// How long a body may stand still; shorter than a phone's own patience.
pub(super) const STALL: Duration = Duration::from_secs(45);

/// Why a body is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is larger than it may be.
    TooLarge,
    /// It broke off, or stood still for too long.
    CutOff,
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(
    mut payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    most: usize,
    stall: Duration,
) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    loop {
        match timeout(stall, payload.next()).await {
            Ok(Some(Ok(piece))) if body.len().saturating_add(piece.len()) > most => return Err(Broken::TooLarge),
            Ok(Some(Ok(piece))) => body.extend_from_slice(&piece),
            Ok(None) => return Ok(body),
            Ok(Some(Err(_))) | Err(_) => return Err(Broken::CutOff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn pieces(count: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin {
        stream::iter(
            vec![Ok(Bytes::from_static(b"1234")); count]
                .into_iter()
                .map(|piece: Result<_, ()>| piece.map_err(|()| PayloadError::EncodingCorrupted)),
        )
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_not_beyond_what_it_may_be() {
        assert_eq!(read(pieces(2), 8, STALL).await, Ok(b"12341234".to_vec()));
        assert_eq!(read(pieces(3), 8, STALL).await, Err(Broken::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_stands_still_is_given_up() {
        let stands_still = pieces(2).chain(stream::pending());
        assert_eq!(read(stands_still, 8, Duration::from_millis(1)).await, Err(Broken::CutOff));
    }
}
