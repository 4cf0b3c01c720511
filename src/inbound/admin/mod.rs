//! The HTTP door: metrics, probes, the status as JSON, and the stock master's
//! admin endpoints (SEMANTICS 7.2). It judges nothing: the board and the hall do.

mod answer;
mod loglevel;
mod orders;
mod probes;
mod stock;
mod transfer_metadata;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::Guard;
use crate::ports::Clock;
use crate::shell::{MasterService, StatusBoard};
use crate::telemetry::{self, LogControl};
pub use transfer_metadata::serve_metadata;

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the door leads to.
pub struct Admin<C> {
    /// What operators see.
    pub board: Arc<StatusBoard>,
    /// For calls about keys and segments.
    pub hall: Arc<MasterService<C>>,
    /// Time.
    pub clock: Arc<C>,
    /// Of the process.
    pub logs: LogControl,
    /// Who may change something.
    pub guard: Guard,
}

/// Serves until `stop` resolves.
///
/// # Errors
/// When the listener fails.
pub async fn serve<C: Clock>(
    listener: TcpListener,
    admin: Admin<C>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = router(Arc::new(admin)).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

fn router<C: Clock>(admin: Arc<Admin<C>>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .merge(probes::routes())
        .merge(loglevel::routes())
        .merge(stock::routes())
        .fallback(no_such_page)
        .layer(from_fn_with_state(Arc::clone(&admin), orders::admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(admin)
}

type Shared<C> = State<Arc<Admin<C>>>;

async fn metrics<C: Clock>(State(admin): Shared<C>) -> impl IntoResponse {
    let status = admin.board.status(admin.clock.now(), admin.clock.wall(), false, None);
    let text = telemetry::exposition(&status).render();
    ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], text)
}

async fn status<C: Clock>(State(admin): Shared<C>) -> Response {
    let status = admin.board.status(admin.clock.now(), admin.clock.wall(), false, None);
    match telemetry::to_json(&status) {
        Ok(Value::Object(fields)) => {
            let schema = std::iter::once(("schema".to_owned(), Value::from(1)));
            let line: Map<String, Value> = schema.chain(fields).collect();
            answer::json(StatusCode::OK, &Value::Object(line))
        }
        Ok(_) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn no_such_page() -> Response {
    let pages = "metrics, livez, readyz, primary, standby, status, loglevel; docs/health.md lists the stock endpoints";
    (StatusCode::NOT_FOUND, format!("no such page: expected one of {pages}\n")).into_response()
}
