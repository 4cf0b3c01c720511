//! Probes for Kubernetes and load balancers: 200 is yes, 503 is no, and the
//! body says why.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::{Admin, Shared, answer};
use crate::ports::Clock;
use crate::shell::{Judgement, MaxLag};

pub(super) fn routes<C: Clock>() -> Router<Arc<Admin<C>>> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/primary", get(primary))
        .route("/standby", get(standby))
}

fn put(judgement: Judgement) -> Response {
    let code = if judgement.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::text(code, judgement.text)
}

async fn livez<C: Clock>(State(admin): Shared<C>) -> Response {
    put(admin.board.live(admin.clock.now()))
}

async fn readyz<C: Clock>(State(admin): Shared<C>) -> Response {
    put(admin.board.ready(admin.clock.now()))
}

async fn primary<C: Clock>(State(admin): Shared<C>) -> Response {
    put(admin.board.primary(admin.clock.now()))
}

#[derive(Deserialize)]
struct Standby {
    max_lag: Option<String>,
}

async fn standby<C: Clock>(State(admin): Shared<C>, Query(asked): Query<Standby>) -> Response {
    match asked.max_lag.map(|text| text.parse::<MaxLag>()).transpose() {
        Ok(max_lag) => put(admin.board.standby(admin.clock.now(), max_lag)),
        Err(wrong) => answer::text(StatusCode::BAD_REQUEST, wrong),
    }
}
