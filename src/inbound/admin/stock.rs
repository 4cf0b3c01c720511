//! The stock master's admin endpoints, those that this master can answer.
//! docs/health.md names the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use standfast_kernel::api::{Refusal, ReplicaList, Request as Call, Response as Done, SegmentKey};
use standfast_kernel::types::limits;
use standfast_proto::v1;
use standfast_wire::types::{ErrorCode, SegmentStatus};
use tokio_stream::StreamExt;

use super::answer::{self, error, fault, invalid, mismatch, not_serving, refused};
use super::{Admin, Shared};
use crate::ports::Clock;
use crate::shell::Door;

type Params = Query<BTreeMap<String, String>>;

pub(super) fn routes<C: Clock>() -> Router<Arc<Admin<C>>> {
    Router::new()
        .route("/metrics/summary", get(summary))
        .route("/health", get(health))
        .route("/role", get(role))
        .route("/ha_status", get(ha_status))
        .route("/leader", get(leader))
        .route("/query_key", get(query_key))
        .route("/batch_query_keys", get(batch_query_keys))
        .route("/get_all_keys", get(all_keys))
        .route("/get_all_segments", get(all_segments))
        .route("/get_segments_detail", get(segments_detail))
        .route("/query_segment", get(query_segment))
        .route("/api/v1/segments/status", get(segment_status))
        .route("/api/v1/remove_all", post(remove_all))
        .route("/api/v1/tenant_quotas", get(tenants).put(tenants).delete(tenants))
        .route("/api/v1/drain_jobs", post(drain))
        .route("/api/v1/drain_jobs/query", get(drain))
        .route("/api/v1/drain_jobs/cancel", post(drain))
        .route("/kv_events/status", get(kv_events))
}

fn status<C: Clock>(admin: &Admin<C>) -> v1::NodeStatus {
    admin.board.status(admin.clock.now(), admin.clock.wall(), false, None)
}

/// The stock word for what a node does.
fn ha_word(s: &v1::NodeStatus) -> &'static str {
    let may_answer = s.rights.as_ref().is_some_and(|r| r.may_answer);
    let stream = s.upstream.as_ref().map(v1::Upstream::stream);
    match s.leadership.as_ref().map(v1::Leadership::role) {
        Some(v1::Role::Primary) if may_answer => "serving",
        Some(v1::Role::Primary) => "leader_warmup",
        Some(v1::Role::Candidate) => "candidate",
        Some(v1::Role::Standby) => match stream {
            Some(v1::StreamState::CatchingUp | v1::StreamState::FullSync) => "catching_up",
            _ => "standby",
        },
        Some(v1::Role::Offline | v1::Role::Unspecified) | None => "starting",
    }
}

fn is_leader(word: &str) -> bool {
    matches!(word, "serving" | "leader_warmup")
}

/// Where clients find the primary, as the stock master tells it: its Mooncake port, or that for peers where only that
/// is known.
fn leader_of(s: &v1::NodeStatus) -> (Option<String>, Option<u64>) {
    let Some(holder) = s.leadership.as_ref().and_then(|l| l.holder.as_ref()) else { return (None, None) };
    let grpc = Some(holder.grpc_addr.clone()).filter(|address| !address.is_empty());
    (holder.mooncake_addr.clone().or(grpc), holder.epoch)
}

async fn health<C: Clock>(State(admin): Shared<C>) -> Response {
    let s = status(&admin);
    let word = ha_word(&s);
    let (address, epoch) = leader_of(&s);
    let body = json!({
        "status": "ok",
        "role": if is_leader(word) { "leader" } else { "standby" },
        "ha_state": word,
        "service_ready": word == "serving",
        "leader_address": address,
        "view_version": epoch,
    });
    answer::json(StatusCode::OK, &body)
}

async fn role<C: Clock>(State(admin): Shared<C>) -> Response {
    let leads = is_leader(ha_word(&status(&admin)));
    answer::text(StatusCode::OK, if leads { "leader" } else { "standby" })
}

async fn ha_status<C: Clock>(State(admin): Shared<C>) -> Response {
    answer::text(StatusCode::OK, ha_word(&status(&admin)))
}

async fn leader<C: Clock>(State(admin): Shared<C>) -> Response {
    let (address, epoch) = leader_of(&status(&admin));
    let body = json!({ "present": address.is_some(), "leader_address": address, "view_version": epoch });
    answer::json(StatusCode::OK, &body)
}

async fn summary<C: Clock>(State(admin): Shared<C>) -> Response {
    let s = status(&admin);
    let store = s.store.clone().unwrap_or_default();
    let line = format!(
        "Role: {} | Keys: {} | Mem Storage: {} / {} | Clients: {} | Segments: {}",
        ha_word(&s),
        store.objects,
        store.used_bytes.map_or("?".to_owned(), |used| used.to_string()),
        store.capacity_bytes,
        store.clients.and_then(|c| c.ok).map_or("?".to_owned(), |ok| ok.to_string()),
        store.segments,
    );
    answer::text(StatusCode::OK, line)
}

/// The stock form of a memory replica.
fn buffers(list: &ReplicaList) -> Value {
    let buffer = |r: &standfast_kernel::api::ReplicaDescriptor| {
        json!({
            "size_": r.size,
            "buffer_address_": r.address,
            "protocol_": r.segment.protocol,
            "transport_endpoint_": r.segment.te_endpoint,
        })
    };
    list.replicas.iter().map(buffer).collect()
}

async fn get_keys<C: Clock>(
    admin: &Admin<C>,
    keys: Vec<Bytes>,
) -> Result<Vec<Result<ReplicaList, Refusal>>, Response> {
    match admin.hall.call(Door::Http, Call::GetReplicaList { keys }).await {
        Ok(Done::GetReplicaList(found)) => Ok(found),
        Ok(other) => Err(mismatch(&other)),
        Err(none) => Err(fault(&none)),
    }
}

async fn query_key<C: Clock>(State(admin): Shared<C>, Query(params): Params) -> Response {
    // As a stock master has it, a key that was not given is one that is not there.
    let Some(key) = params.get("key").filter(|key| !key.is_empty()) else {
        return if serves(&admin) { refused(&Refusal::ObjectNotFound) } else { not_serving() };
    };
    match get_keys(&admin, vec![Bytes::from(key.clone())]).await {
        Ok(found) => match found.into_iter().next() {
            Some(Ok(list)) => {
                answer::json(StatusCode::OK, &json!({ "success": true, "data": buffers(&list) }))
            }
            Some(Err(refusal)) => refused(&refusal),
            None => invalid("no key"),
        },
        Err(answer) => answer,
    }
}

async fn batch_query_keys<C: Clock>(State(admin): Shared<C>, Query(params): Params) -> Response {
    let keys: Vec<&str> =
        params.get("keys").map(|k| k.split(',').filter(|k| !k.is_empty()).collect()).unwrap_or_default();
    if keys.is_empty() {
        return answer::json(StatusCode::BAD_REQUEST, &json!({ "error": "No keys provided" }));
    }
    let asked = keys.iter().map(|k| Bytes::from((*k).to_owned())).collect();
    let found = match get_keys(&admin, asked).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let row = |result: &Result<ReplicaList, Refusal>| match result {
        Ok(list) => json!({
            "ok": true, "error": null, "values": buffers(list),
            "disk_values": null, "local_disk_values": null, "nof_values": null,
        }),
        Err(refusal) => json!({
            "ok": false, "error": ErrorCode(refusal.code() as i32).name(), "values": null,
            "disk_values": null, "local_disk_values": null, "nof_values": null,
        }),
    };
    let data: serde_json::Map<String, Value> =
        keys.iter().zip(&found).map(|(key, result)| ((*key).to_owned(), row(result))).collect();
    answer::json(StatusCode::OK, &json!({ "success": true, "data": data }))
}

fn serves<C: Clock>(admin: &Admin<C>) -> bool {
    admin.board.primary(admin.clock.now()).ok
}

/// The segments, from a node that has the right to tell them. The status shows what is applied, also a mount that may
/// still be lost. What is asked after it is answered once the segment table, as it is by then, is committed.
async fn segments<C: Clock>(admin: &Admin<C>) -> Result<Vec<v1::SegmentStatus>, Response> {
    if !serves(admin) {
        return Err(not_serving());
    }
    let list = status(admin).store.map(|s| s.segment_list).unwrap_or_default();
    let settled = admin.hall.call(Door::Http, Call::BatchQueryIp { clients: Vec::new() }).await;
    settled.map(|_| list).map_err(|none| fault(&none))
}

/// Shard by shard, so that no more of them than that are held at once.
async fn all_keys<C: Clock>(State(admin): Shared<C>) -> Response {
    if !serves(&admin) {
        return not_serving();
    }
    let shards = tokio_stream::iter(0..limits::SHARDS as u16);
    let lines = shards.then(move |shard| {
        let admin = Arc::clone(&admin);
        async move {
            let listed = admin.hall.call(Door::Http, Call::ListKeys { shard }).await;
            let Ok(Done::ListKeys(Ok(keys))) = listed else {
                // A list that is cut off must not look whole: the connection breaks.
                return Err(std::io::Error::other("this node does not serve any more"));
            };
            Ok(Bytes::from(keys.iter().flat_map(|key| [&**key, b"\n"]).collect::<Vec<_>>().concat()))
        }
    });
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], Body::from_stream(lines)).into_response()
}

async fn all_segments<C: Clock>(State(admin): Shared<C>) -> Result<Response, Response> {
    let list = segments(&admin).await?;
    let mut names: Vec<String> = list.into_iter().map(|s| s.name).collect();
    names.dedup();
    Ok(answer::text(StatusCode::OK, names.join("\n")))
}

async fn segments_detail<C: Clock>(State(admin): Shared<C>) -> Result<Response, Response> {
    let list = segments(&admin).await?;
    let row = |s: &v1::SegmentStatus| {
        let used = s.used_bytes.unwrap_or(0);
        json!({
            "segment_name": s.name,
            "segment_id": s.id,
            "client_id": s.client,
            "base_address": s.base.map(|base| format!("0x{base:x}")),
            "size_bytes": s.size_bytes,
            "size_human": human(s.size_bytes),
            "te_endpoint": s.te_endpoint,
            "protocol": s.protocol,
            "status": s.state.to_uppercase(),
            "allocator_used_bytes": used,
            "allocator_capacity_bytes": s.size_bytes,
            "allocator_usage_percent": used as f64 * 100.0 / s.size_bytes.max(1) as f64,
        })
    };
    let rows: Vec<Value> = list.iter().map(row).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "total_segments": rows.len(), "segments": rows })))
}

fn human(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib >= 0.1 { format!("{gib:.1} GiB") } else { format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)) }
}

async fn query_segment<C: Clock>(
    State(admin): Shared<C>,
    Query(params): Params,
) -> Result<Response, Response> {
    let list = segments(&admin).await?;
    let Some(name) = params.get("segment") else {
        return Ok(invalid("segment is missing: expected ?segment=NAME"));
    };
    let of_name = || list.iter().filter(|s| s.name == *name);
    if of_name().next().is_none() {
        let code = ErrorCode::SEGMENT_NOT_FOUND;
        return Ok(error(
            StatusCode::INTERNAL_SERVER_ERROR,
            code.0,
            &format!("no segment is named `{name}`"),
        ));
    }
    let used: u64 = of_name().filter_map(|s| s.used_bytes).sum();
    let capacity = of_name().fold(0_u64, |sum, s| sum.saturating_add(s.size_bytes));
    Ok(answer::text(StatusCode::OK, format!("{name}\nUsed(bytes): {used}\nCapacity(bytes) : {capacity}")))
}

async fn segment_status<C: Clock>(State(admin): Shared<C>, Query(params): Params) -> Response {
    let Some(name) = params.get("segment") else {
        return invalid("segment is missing: expected ?segment=NAME");
    };
    let call = Call::QuerySegmentStatus { segment: SegmentKey::Name(name.clone()) };
    match admin.hall.call(Door::Http, call).await {
        Ok(Done::QuerySegmentStatus(Ok(status))) => {
            let number = status as i32;
            let body = json!({
                "success": true, "segment": name, "status": number,
                "status_name": SegmentStatus(number).name(), "error_code": 0, "error_message": "",
            });
            answer::json(StatusCode::OK, &body)
        }
        Ok(Done::QuerySegmentStatus(Err(refusal))) => refused(&refusal),
        Ok(other) => mismatch(&other),
        Err(none) => fault(&none),
    }
}

async fn remove_all<C: Clock>(State(admin): Shared<C>, Query(params): Params) -> Response {
    if params.get("tenant_id").is_some_and(|t| !t.is_empty() && t != "default") {
        return tenants(State(admin)).await;
    }
    let force = params.get("force").is_some_and(|f| f == "true" || f == "1");
    match admin.hall.call(Door::Http, Call::RemoveAll { force }).await {
        Ok(Done::RemoveAll(removed)) => {
            answer::json(StatusCode::OK, &json!({ "success": true, "removed_count": removed }))
        }
        Ok(other) => mismatch(&other),
        Err(none) => fault(&none),
    }
}

/// What a node that serves says of tenants: there are none.
async fn tenants<C: Clock>(State(admin): Shared<C>) -> Response {
    off(&admin, "multi-tenancy is off")
}

async fn drain<C: Clock>(State(admin): Shared<C>) -> Response {
    off(&admin, "drain jobs are off; a graceful unmount empties a segment")
}

fn off<C: Clock>(admin: &Admin<C>, why: &str) -> Response {
    if !serves(admin) {
        return not_serving();
    }
    error(StatusCode::CONFLICT, ErrorCode::UNAVAILABLE_IN_CURRENT_MODE.0, why)
}

async fn kv_events<C: Clock>(State(admin): Shared<C>) -> Response {
    if !serves(&admin) {
        return not_serving();
    }
    let body = json!({
        "enabled": false, "published_batches": 0, "published_events": 0, "dropped_events": 0,
        "skipped_unparsed_keys": 0,
    });
    answer::json(StatusCode::OK, &body)
}
