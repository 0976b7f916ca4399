//! HTTP: routes, and handlers that translate and call; they decide nothing.
//!
//! Each handler takes four steps: parse and limit, authorise, call the domain off the async threads, map the
//! outcome. Failures are problem documents (RFC 9457), on pages too.

mod api;
mod attachments;
mod auth;
mod body;
mod device;
mod export;
mod failure;
mod pages;
mod uploads;

use crate::state::Server;
use actix_web::{App, HttpServer, dev::ServerHandle, web};
use std::net::TcpListener;

/// Says where each route leads.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::scope("/v1").configure(device::routes).configure(uploads::routes).configure(attachments::routes))
        .service(web::scope("/api/v1").configure(api::routes))
        .configure(export::routes)
        .configure(pages::routes)
        .default_service(web::to(pages::not_found));
}

/// Serves on a socket that is bound already; ends when the handle is stopped or on SIGTERM or SIGINT.
///
/// # Errors
/// If the operating system refuses the socket.
pub fn serve(
    server: Server,
    listener: TcpListener,
) -> std::io::Result<(ServerHandle, impl Future<Output = std::io::Result<()>>)> {
    let running = HttpServer::new(move || App::new().app_data(web::Data::new(server.clone())).configure(routes))
        .workers(2)
        // A blocking thread may hold a reading connection and a request: few of them bound the memory.
        .worker_max_blocking_threads(2)
        .shutdown_timeout(10)
        .client_request_timeout(std::time::Duration::from_secs(60))
        .listen(listener)?
        .run();
    Ok((running.handle(), running))
}
