//! How answers are put.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use standfast_kernel::api::{Refusal, Response as Done};
use standfast_wire::types::ErrorCode;

use crate::shell::Fault;

/// One line of JSON.
pub(super) fn json(code: StatusCode, value: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

/// Plain text, with its line end.
pub(super) fn text(code: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    (code, text).into_response()
}

/// The stock body of an error.
pub(super) fn error(status: StatusCode, code: i32, message: &str) -> Response {
    json(status, &json!({ "success": false, "error_code": code, "error_message": message }))
}

/// The stock answer of a node that does not serve.
pub(super) fn not_serving() -> Response {
    let code = ErrorCode::UNAVAILABLE_IN_CURRENT_MODE.0;
    error(StatusCode::SERVICE_UNAVAILABLE, code, "service plane is not active")
}

/// The stock answer to a parameter that is missing or wrong.
pub(super) fn invalid(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, ErrorCode::INVALID_PARAMS.0, message)
}

/// The answer to a refused element, with the stock mapping of codes.
pub(super) fn refused(refusal: &Refusal) -> Response {
    if matches!(refusal, Refusal::NotPrimary { .. }) {
        return not_serving();
    }
    let code = ErrorCode(refusal.code() as i32);
    let status = match code {
        ErrorCode::INVALID_PARAMS => StatusCode::BAD_REQUEST,
        ErrorCode::SEGMENT_NOT_FOUND | ErrorCode::OBJECT_NOT_FOUND => StatusCode::NOT_FOUND,
        ErrorCode::UNAVAILABLE_IN_CURRENT_STATUS | ErrorCode::UNAVAILABLE_IN_CURRENT_MODE => {
            StatusCode::CONFLICT
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, code.0, &refusal.to_string())
}

/// The answer to a call that has none.
pub(super) fn fault(fault: &Fault) -> Response {
    match fault {
        Fault::Refused(Refusal::NotPrimary { .. } | Refusal::Unavailable(_)) => not_serving(),
        Fault::Refused(refusal) => refused(refusal),
        Fault::TooMany(_) => invalid(&fault.to_string()),
        Fault::Unknown(_) => error(StatusCode::GATEWAY_TIMEOUT, ErrorCode::RPC_TIMEOUT.0, &fault.to_string()),
    }
}

/// The hall answered another call than was asked: a bug, but not one to crash for.
pub(super) fn mismatch(_: &Done) -> Response {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::INTERNAL_ERROR.0,
        "the answer belongs to another call",
    )
}
