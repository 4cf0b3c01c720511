//! The level of log lines, at run time.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::{Admin, Shared, answer};
use crate::ports::Clock;

pub(super) fn routes<C: Clock>() -> Router<Arc<Admin<C>>> {
    Router::new().route("/loglevel", get(show).put(change).post(change))
}

async fn show<C: Clock>(State(admin): Shared<C>) -> Response {
    answer::text(StatusCode::OK, admin.logs.level())
}

async fn change<C: Clock>(State(admin): Shared<C>, level: String) -> Response {
    match admin.logs.set_level(&level) {
        Ok(()) => {
            tracing::warn!(level = admin.logs.level(), "the log level was changed over HTTP");
            answer::text(StatusCode::OK, admin.logs.level())
        }
        Err(wrong) => answer::text(StatusCode::BAD_REQUEST, wrong.to_string()),
    }
}
