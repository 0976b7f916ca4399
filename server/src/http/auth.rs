//! Who asks: a device by its token, a coordinator by the session cookie or the same token as bearer.

use super::failure::Rejection;
use crate::{
    domain::{Failure, people},
    state::{Server, now_ms},
    store::{Device, Tx},
};
use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use sync_protocol::problem::Code;

/// The name of the session cookie.
pub(super) const COOKIE: &str = "tenun_session";

/// The bearer token of a request.
pub(super) fn bearer(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

/// The device that a request comes from.
pub(super) fn device(tx: Tx<'_>, token: Option<String>) -> Result<Device, Failure> {
    match token {
        Some(token) => people::device(tx, &token),
        None => Err(Failure::problem(Code::Unauthorised, "send the device's token as `Authorization: Bearer …`")),
    }
}

/// The coordinator who is logged in.
pub(super) async fn coordinator(server: &Server, request: &HttpRequest) -> Result<String, Rejection> {
    let token = request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()).or_else(|| bearer(request));
    let log_in = || Rejection::new(Code::Unauthorised, "log in first");
    let token = people::hash_secret(&token.ok_or_else(log_in)?);
    let account = server.read(move |tx| Ok(tx.session(token, now_ms())?)).await?;
    account.ok_or_else(log_in)
}
