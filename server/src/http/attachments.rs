//! The bytes of attachments on their way out: to devices under `/v1/attachments`, to coordinators under a record.
//!
//! Nothing is shown in place but a plain picture, recording or film whose own bytes agree; all else is for saving. No
//! answer may run anything: each forbids its reader to guess another type, and to load or run what is in it.

use super::{auth, failure::Rejection};
use crate::{
    depot::Thumbnail,
    domain::Failure,
    state::Server,
    store::{AttachmentRow, Tx},
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, IF_NONE_MATCH,
        RANGE, X_CONTENT_TYPE_OPTIONS,
    },
    web::{self, Bytes},
};
use futures_util::stream;
use std::ops::Range;
use sync_protocol::{Attachment, Hash, RecordId, attachment::is_plain, problem::Code};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/attachments/{hash}", web::get().to(original))
        .route("/attachments/{hash}/thumbnail", web::get().to(thumbnail));
}

/// The same to a coordinator, for one record.
pub(super) fn coordinator_routes(config: &mut web::ServiceConfig) {
    config
        .route("/records/{id}/attachments/{hash}", web::get().to(original_of_record))
        .route("/records/{id}/attachments/{hash}/thumbnail", web::get().to(thumbnail_of_record));
}

/// What is answered where there is none, and where there is one that the asker may not see: the same.
fn none() -> Failure {
    Failure::problem(Code::NotFound, "no such attachment here")
}

fn hash(text: &str) -> Result<Hash, Rejection> {
    text.parse().map_err(|_ignored| none().into())
}

/// Lets a device see an attachment of its areas, or one that it sent: which one its path names.
async fn for_device(server: &Server, request: &HttpRequest, path: &str) -> Result<AttachmentRow, Rejection> {
    let hash = hash(path)?;
    let token = auth::bearer(request);
    let seen = server.read(move |tx| {
        let device = auth::device(tx, token)?;
        let may = tx.may_see_attachment(&device, hash)?;
        Ok(tx.attachment(hash)?.filter(|_| may))
    });
    seen.await?.ok_or_else(|| none().into())
}

async fn original(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    let row = for_device(&server, &request, &path).await?;
    // A device knows name and type from its record.
    serve(&server, &request, row, None).await
}

async fn thumbnail(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Rejection> {
    let row = for_device(&server, &request, &path).await?;
    serve_thumbnail(&server, &request, row.hash).await
}

/// What the record says of an attachment that it names, also where a later answer replaced it.
fn named(tx: Tx<'_>, record: RecordId, hash: Hash) -> Result<(Attachment, AttachmentRow), Failure> {
    let key = tx.record_key(record)?.ok_or_else(none)?;
    let row = tx.attachment(hash)?.ok_or_else(none)?;
    if !tx.is_attachment_of(hash, key.id)? {
        return Err(none());
    }
    for change in tx.changes_of(key.id)? {
        let Ok(change) = sync_protocol::Change::from_stored(change.dot, &change.bytes) else { continue };
        if let Some(found) = Attachment::of_ops(&change.ops).find(|found| found.hash == hash) {
            return Ok((found, row));
        }
    }
    Err(none())
}

async fn for_coordinator(
    server: &Server,
    request: &HttpRequest,
    path: &(String, String),
) -> Result<(Attachment, AttachmentRow), Rejection> {
    auth::coordinator(server, request).await?;
    let (record, hash) = (super::api::record_id(&path.0)?, hash(&path.1)?);
    Ok(server.read(move |tx| named(tx, record, hash)).await?)
}

async fn original_of_record(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Rejection> {
    let (named, row) = for_coordinator(&server, &request, &path).await?;
    serve(&server, &request, row, Some(&named)).await
}

async fn thumbnail_of_record(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Rejection> {
    let (_, row) = for_coordinator(&server, &request, &path).await?;
    serve_thumbnail(&server, &request, row.hash).await
}

/// What stands around bytes that somebody sent: they may be anything.
fn guard(response: &mut HttpResponseBuilder, hash: Hash) {
    response
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        .insert_header(("referrer-policy", "no-referrer"))
        // The bytes of a hash never change; who may see them does.
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header(("etag", format!("\"{hash}\"")));
}

fn is_known(request: &HttpRequest, hash: Hash) -> bool {
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.contains(&hash.to_string()))
}

async fn serve(
    server: &Server,
    request: &HttpRequest,
    row: AttachmentRow,
    named: Option<&Attachment>,
) -> Result<HttpResponse, Rejection> {
    let AttachmentRow { hash, size } = row;
    // A store is not asked for a part of nothing.
    let beginning = if size == 0 { Bytes::new() } else { server.depot.beginning(hash).await.map_err(Failure::from)? };
    let plain = named.map(|named| named.media.as_str()).filter(|media| is_plain(media, &beginning));
    let mut response = HttpResponse::Ok();
    guard(&mut response, hash);
    response
        .content_type(plain.unwrap_or("application/octet-stream"))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CONTENT_DISPOSITION, disposition(plain.is_some(), named, hash)));
    if is_known(request, hash) {
        return Ok(response.status(actix_web::http::StatusCode::NOT_MODIFIED).finish());
    }
    let wanted = request.headers().get(RANGE).and_then(|value| value.to_str().ok()).and_then(range);
    // A store may not take an end beyond the end.
    let wanted = wanted.map(|wanted| wanted.start..wanted.end.min(size));
    if size == 0 {
        return Ok(response.body(Bytes::new()));
    }
    if wanted.as_ref().is_some_and(|wanted| wanted.start >= size) {
        response.status(actix_web::http::StatusCode::RANGE_NOT_SATISFIABLE);
        return Ok(response.insert_header((CONTENT_RANGE, format!("bytes */{size}"))).finish());
    }
    let body = server.depot.read(hash, wanted.clone()).await.map_err(Failure::from)?;
    if wanted.is_some() {
        let Range { start, end } = body.range;
        response.status(actix_web::http::StatusCode::PARTIAL_CONTENT);
        response.insert_header((CONTENT_RANGE, format!("bytes {start}-{}/{}", end.saturating_sub(1), body.size)));
    }
    response.no_chunking(body.range.end.saturating_sub(body.range.start));
    Ok(response.streaming(stream::unfold(body.parts, |mut parts| async move {
        let part = parts.recv().await?;
        Some((part.map_err(|error| actix_web::Error::from(Rejection::from(Failure::from(error)))), parts))
    })))
}

/// One span of bytes, as players of recordings ask for; anything else gets the whole.
fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if end.is_empty() { u64::MAX } else { end.parse::<u64>().ok()?.checked_add(1)? };
    (start < end).then_some(start..end)
}

/// Shown in place or for saving, and under which name (RFC 6266).
fn disposition(inline: bool, named: Option<&Attachment>, hash: Hash) -> String {
    let short: String = hash.to_string().chars().take(12).collect();
    let name = named.and_then(|named| named.name.as_deref()).unwrap_or(&short);
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-".contains(c) { c } else { '_' }).collect();
    let coded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let kind = if inline { "inline" } else { "attachment" };
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{coded}")
}

async fn serve_thumbnail(server: &Server, request: &HttpRequest, hash: Hash) -> Result<HttpResponse, Rejection> {
    let mut response = HttpResponse::Ok();
    guard(&mut response, hash);
    if is_known(request, hash) {
        return Ok(response.status(actix_web::http::StatusCode::NOT_MODIFIED).finish());
    }
    match server.depot.thumbnail(hash).await.map_err(Failure::from)? {
        Thumbnail::Made(bytes) => Ok(response.content_type("image/jpeg").body(bytes)),
        // It is here, and there is nothing small to show of it.
        Thumbnail::None => Ok(response.status(actix_web::http::StatusCode::NO_CONTENT).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_span_or_everything() {
        assert_eq!(range("bytes=0-99"), Some(0..100));
        assert_eq!(range("bytes=5-"), Some(5..u64::MAX));
        for other in ["bytes=-5", "bytes=9-1", "bytes=0-1,4-5", "items=0-1", ""] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_can_break_no_header() {
        let hash = Hash([1; 32]);
        let named = |name: &str| Attachment { hash, size: 1, media: "image/png".into(), name: Some(name.into()) };
        let told = disposition(true, Some(&named("a\"; x=\"é.png")), hash);
        assert_eq!(told, "inline; filename=\"a__ x___.png\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9.png");
        assert!(disposition(false, None, hash).starts_with("attachment; filename=\"010101010101\""));
    }
}
