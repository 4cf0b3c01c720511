//! The transfer metadata server (SEMANTICS 7.2, WIRE 12.2): what transfer engines tell each other, on a port of its own.
//! Only the primary answers for it; a standby says that it does not serve, as at every other data endpoint.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use standfast_kernel::api::{MetadataPut, Refusal, Request as Call, Response as Done};
use standfast_kernel::types::limits::METADATA_VALUE_BYTES_MAX;
use tokio::net::TcpListener;

use super::answer::{fault, mismatch, not_serving};
use crate::ports::Clock;
use crate::shell::{Door, MasterService};

type Hall<C> = State<Arc<MasterService<C>>>;

/// Serves until `stop` resolves.
///
/// # Errors
/// When the listener fails.
pub async fn serve_metadata<C: Clock>(
    listener: TcpListener,
    hall: Arc<MasterService<C>>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metadata", get(tell).put(put).delete(remove))
        .route("/health", get(|| async { "OK" }))
        .layer(DefaultBodyLimit::max(METADATA_VALUE_BYTES_MAX))
        .with_state(hall);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// The key as it is spelled: engines compare it undecoded.
fn key_of(query: Option<String>) -> Option<Bytes> {
    let query = query.unwrap_or_default();
    let key = query.split('&').find_map(|pair| pair.strip_prefix("key=")).filter(|key| !key.is_empty());
    key.map(|key| Bytes::copy_from_slice(key.as_bytes()))
}

fn keyless() -> Response {
    (StatusCode::BAD_REQUEST, "Missing key parameter").into_response()
}

async fn tell<C: Clock>(State(hall): Hall<C>, RawQuery(query): RawQuery) -> Response {
    let Some(key) = key_of(query) else { return keyless() };
    match hall.call(Door::Http, Call::GetMetadata { key }).await {
        Ok(Done::GetMetadata(Ok(value))) => {
            ([(header::CONTENT_TYPE, "application/json")], value).into_response()
        }
        Ok(Done::GetMetadata(Err(refusal))) => refused(&refusal),
        Ok(other) => mismatch(&other),
        Err(none) => fault(&none),
    }
}

async fn put<C: Clock>(State(hall): Hall<C>, RawQuery(query): RawQuery, value: Bytes) -> Response {
    let Some(key) = key_of(query) else { return keyless() };
    match hall.call(Door::Http, Call::PutMetadata { key, value }).await {
        Ok(Done::PutMetadata(Ok(MetadataPut::Updated))) => "metadata updated".into_response(),
        Ok(Done::PutMetadata(Ok(MetadataPut::Unchanged))) => "metadata unchanged".into_response(),
        Ok(Done::PutMetadata(Ok(MetadataPut::Duplicate))) => {
            (StatusCode::BAD_REQUEST, "Duplicate rpc_meta key not allowed").into_response()
        }
        Ok(Done::PutMetadata(Err(refusal))) => refused(&refusal),
        Ok(other) => mismatch(&other),
        Err(none) => fault(&none),
    }
}

async fn remove<C: Clock>(State(hall): Hall<C>, RawQuery(query): RawQuery) -> Response {
    let Some(key) = key_of(query) else { return keyless() };
    match hall.call(Door::Http, Call::RemoveMetadata { key }).await {
        Ok(Done::RemoveMetadata(Ok(()))) => "metadata deleted".into_response(),
        Ok(Done::RemoveMetadata(Err(refusal))) => refused(&refusal),
        Ok(other) => mismatch(&other),
        Err(none) => fault(&none),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::MetadataNotFound => return (StatusCode::NOT_FOUND, "metadata not found").into_response(),
        Refusal::NotPrimary { .. } | Refusal::Unavailable(_) => return not_serving(),
        Refusal::InvalidParams { .. } => StatusCode::BAD_REQUEST,
        Refusal::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, refusal.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_spelled() {
        let key = |query: &str| key_of(Some(query.to_owned()));
        assert_eq!(key("key=mooncake%2Fram%2Fh%3A1"), Some("mooncake%2Fram%2Fh%3A1".into()));
        assert_eq!(key("x=1&key=a=b&y"), Some("a=b".into()));
        for none in ["", "key=", "key", "monkey=1"] {
            assert_eq!(key(none), None, "{none}");
        }
        assert!(key_of(None).is_none());
    }
}
