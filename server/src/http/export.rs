//! CSV downloads for coordinators, streamed while they are made.

use super::{api::query, auth, failure::Rejection};
use crate::{
    domain::{Failure, export},
    state::Server,
};
use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_DISPOSITION, web};
use serde::Deserialize;
use std::io::Write;
use sync_protocol::problem::Code;
use tokio::sync::mpsc;

/// Bytes that are collected before they go out.
const CHUNK: usize = 64 << 10;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/export/{id}/{version}/{table}.csv", web::get().to(table));
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExportQuery {
    labels: Option<String>,
    personal: Option<bool>,
}

async fn table(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, Rejection> {
    auth::coordinator(&server, &request).await?;
    let ExportQuery { labels, personal } = query(&request)?;
    let options = export::Options { labels: labels.filter(|l| !l.is_empty()), personal: personal.unwrap_or(false) };
    let (id, version, name) = path.into_inner();
    let reference = format!("{id}@{version}");
    let shared = server.clone();
    let (wanted, file) = (name.clone(), format!("{id}-{version}-{name}.csv"));
    // What is asked for is checked before the answer begins.
    let (catalogue, questionnaire, table) = server
        .read(move |tx| {
            let catalogue = shared.world(tx)?.catalogue;
            let questionnaire = export::questionnaire(&catalogue, &reference)?.clone();
            let table = export::tables(&questionnaire).into_iter().find(|table| table.name == wanted);
            let table = table.ok_or_else(|| Failure::problem(Code::NotFound, format!("no table `{wanted}`")))?;
            Ok((catalogue, questionnaire, table))
        })
        .await?;
    let (sender, receiver) = mpsc::channel(4);
    let reader = server.clone();
    actix_web::rt::spawn(async move {
        let failed = sender.clone();
        let sink = Pipe { sender, pending: Vec::new() };
        let written = reader
            .read(move |tx| export::write(tx, &catalogue, &questionnaire, &options, vec![(table, sink)], |_| ()))
            .await;
        if written.is_err() {
            // The connection breaks, so that half an export is not taken for a whole one.
            let _ = failed.send(Err(std::io::Error::other("the export failed"))).await;
        }
    });
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.replace(['"', '\\'], "_"))))
        .streaming(body))
}

/// A sink that hands chunks over to the response.
struct Pipe {
    sender: mpsc::Sender<std::io::Result<web::Bytes>>,
    pending: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = web::Bytes::from(std::mem::take(&mut self.pending));
        self.sender.blocking_send(Ok(chunk)).map_err(|_gone| std::io::ErrorKind::BrokenPipe.into())
    }
}
