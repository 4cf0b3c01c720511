//! Orders over HTTP: whoever may not give them over gRPC may not here either, and each has
//! its line in the audit. What only asks is open to all, as probes and scrapes must be.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Admin, answer};
use crate::inbound::guard::NoProof;

/// Lets questions through, and orders of those who prove who they are.
pub(super) async fn admit<C>(
    State(admin): State<Arc<Admin<C>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let call = format!("{} {}", request.method(), request.uri());
    let said = request.headers().get(header::AUTHORIZATION).map(|v| v.as_bytes().to_vec());
    // This door speaks no TLS: nobody shows a certificate.
    match admin.guard.judge(false, said.as_deref()) {
        Ok(proof) => {
            let answer = next.run(request).await;
            note(&call, peer, proof, &format!("answered with {}", answer.status()));
            answer
        }
        Err(NoProof { text, .. }) => {
            note(&call, peer, "refused", &format!("refused: {text}"));
            let cure = "send the operators' token as `Authorization: Bearer TOKEN`; without one \
                        (--operator-token-file) this node takes no orders over HTTP";
            let refusal = answer::text(StatusCode::UNAUTHORIZED, format!("{text}: {cure}"));
            ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
        }
    }
}

fn note(call: &str, peer: SocketAddr, proof: &str, outcome: &str) {
    tracing::warn!(
        target: "audit", code = "audit", call, actor = "http", peer = %peer, proof, outcome,
        "{peer} ordered {call}: {outcome}"
    );
}
