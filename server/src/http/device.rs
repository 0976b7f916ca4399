//! What devices call: `POST /v1/enrol`, `POST /v1/sync`, `GET /v1/questionnaires/{id}/{version}`.

use super::{auth, body, failure::Rejection};
use crate::{
    domain::{
        Failure, people, prepare,
        pull::{self, Terms},
        snapshot::Patience,
    },
    state::{Server, now_ms},
};
use actix_web::{HttpRequest, HttpResponse, web};
use sync_protocol::{
    problem::{Code, Problem},
    wire::{Enrol, seams},
};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/enrol", web::post().to(enrol))
        .route("/sync", web::post().to(sync))
        .route("/questionnaires/{id}/{version}", web::get().to(questionnaire));
}

async fn enrol(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    let body = body::read(&request, payload, 16 << 10).await?.unpack()?;
    let ask: Enrol = serde_json::from_slice(&body)
        .map_err(|_ignored| Rejection::new(Code::WrongType, "the body takes `code`, `replica`, `key` and `name`"))?;
    let (identity, limits) = (server.identity.clone(), server.limits.clone());
    let answer = server.write(move |tx| people::enrol(tx, &ask, &identity, &limits, now_ms())).await?;
    Ok(HttpResponse::Ok().json(answer))
}

async fn sync(
    server: web::Data<Server>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    let token = auth::bearer(&request);
    let packing = body::Packing::of(&request);
    // In a task of its own, the reading too: a connection that is reset ends this handler, and what arrived is kept.
    let task = actix_web::rt::spawn(async move {
        let raw = body::read(&request, payload, server.limits.request).await?;
        let _turn = server.turns.of(token.clone().unwrap_or_default()).await;
        receive(server, raw, token, packing).await
    });
    let ended = |_| Rejection::new(Code::Internal, "the request ended inside the server");
    Ok(task.await.map_err(ended)??.respond("application/x-ndjson"))
}

/// Takes a request in and makes the reply; few of these run at once, which bounds the memory.
async fn receive(
    server: web::Data<Server>,
    raw: body::Raw,
    token: Option<String>,
    packing: body::Packing,
) -> Result<body::Packed, Rejection> {
    let _first = server.answers_first.begin();
    let _gate = server.gate.clone().acquire_many_owned(raw.parts()).await;
    let shared = server.clone();
    let (prepared, world) = server
        .read(move |tx| {
            let device = auth::device(tx, token)?;
            let world = shared.world(tx)?;
            let body = raw.unpack()?;
            let prepared = prepare::prepare(tx, device, &body, &world.catalogue, &world.limits)?;
            Ok((prepared, world))
        })
        .await?;
    let (device, header, cut_off) = (prepared.device.clone(), prepared.header.clone(), prepared.cut_off);
    let applied = server.ingest(prepared, world).await?;
    if cut_off {
        return Err(Problem::new(Code::CutOff, "whole batches before the cut were kept: send the rest").into());
    }
    let (identity, limits) = (server.identity.clone(), server.limits.clone());
    let reply = server
        .read(move |tx| {
            let terms = Terms { identity: &identity, limits: &limits, patience: Patience::default(), now_ms: now_ms() };
            let reply = pull::reply(tx, &device, &header, applied, terms)?;
            let has_snapshots = reply.pulled.iter().any(|run| !run.snapshots.is_empty());
            let body = reply.to_bytes();
            let seams = seams(&body);
            Ok(if has_snapshots {
                packing.pack_small_in_parts(body, &seams)
            } else {
                packing.pack_in_parts(body, &seams)
            })
        })
        .await?;
    Ok(reply)
}

async fn questionnaire(
    server: web::Data<Server>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Rejection> {
    let token = auth::bearer(&request);
    let (id, version) = path.into_inner();
    let row = server
        .read(move |tx| {
            auth::device(tx, token)?;
            let row = tx.questionnaire(&format!("{id}@{version}"))?;
            row.ok_or_else(|| Failure::problem(Code::NotFound, format!("no questionnaire {id}@{version} here")))
        })
        .await?;
    Ok(body::Packing::of(&request).pack(row.json.into_bytes()).respond("application/json"))
}
