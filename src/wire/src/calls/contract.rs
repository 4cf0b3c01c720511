//! What client and master must agree on for each call.

use std::sync::LazyLock;

use thiserror::Error;

use super::{Call, Method, Request};
use crate::error::{DecodeError, RpcError};
use crate::struct_pack::{self, Form, Schema, md5_prefix};

/// The class whose methods the reference master registers. Its name is hashed
/// into every function id.
const CLASS: &str = "mooncake::WrappedMasterService";

/// How a call and its two payloads identify themselves.
#[derive(Clone, Debug)]
pub struct Contract {
    pub method: Method,
    /// In the header of every request.
    pub function_id: u32,
    /// Of the arguments; empty for a call without any.
    pub request: Schema,
    /// Of the result.
    pub response: Schema,
}

impl Contract {
    pub(super) fn of<'a, C: Call<'a>>() -> Self {
        let hashed_name = format!("{CLASS}::{}", C::METHOD.name());
        Self {
            method: C::METHOD,
            function_id: md5_prefix(hashed_name.as_bytes()),
            request: Schema::of::<C>(),
            response: Schema::of::<C::Response>(),
        }
    }
}

/// All contracts, computed once: by method, and methods by function id.
struct Table {
    contracts: [Contract; Method::ALL.len()],
    by_function_id: [(u32, Method); Method::ALL.len()],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let contracts = Method::ALL.map(Method::new_contract);
    let mut by_function_id = contracts.each_ref().map(|contract| (contract.function_id, contract.method));
    by_function_id.sort_unstable_by_key(|&(function_id, _)| function_id);
    Table { contracts, by_function_id }
});

impl Method {
    /// The call's ids and types.
    pub fn contract(self) -> &'static Contract {
        &TABLE.contracts[self as usize]
    }

    /// The call with this function id, if any is registered under it.
    pub fn from_function_id(function_id: u32) -> Option<Self> {
        let methods = &TABLE.by_function_id;
        let found = methods.binary_search_by_key(&function_id, |&(function_id, _)| function_id).ok()?;
        Some(methods[found].1)
    }
}

/// A request that cannot be carried out because it cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("no call is registered under function id {function_id:#010x}")]
    UnknownFunction { function_id: u32 },
    #[error("the arguments of {} do not decode: {source}", .method.name())]
    InvalidArguments { method: Method, source: DecodeError },
}

impl RequestError {
    /// What the client is told; the connection stays open.
    pub fn rpc_error(&self) -> RpcError {
        match self {
            Self::UnknownFunction { .. } => RpcError::function_not_registered(),
            Self::InvalidArguments { .. } => RpcError::invalid_arguments(),
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the payload of a request by its header's function id, and tells
    /// the form it came in.
    ///
    /// # Errors
    /// No such call is registered, or the payload does not hold its arguments.
    pub fn decode(function_id: u32, payload: &'a [u8]) -> Result<(Self, Form), RequestError> {
        let method =
            Method::from_function_id(function_id).ok_or(RequestError::UnknownFunction { function_id })?;
        Self::decode_as(method, payload).map_err(|source| RequestError::InvalidArguments { method, source })
    }
}

pub(super) fn decode_request<'a, C: Call<'a>>(payload: &'a [u8]) -> Result<(C, Form), DecodeError> {
    struct_pack::decode(&C::METHOD.contract().request, payload)
}

pub(super) fn encode_request<'a, C: Call<'a>>(call: &C, form: Form, out: &mut Vec<u8>) {
    struct_pack::encode(&C::METHOD.contract().request, form, call, out);
}

pub(super) fn decode_response<'a, C: Call<'a>>(
    payload: &'a [u8],
) -> Result<(C::Response, Form), DecodeError> {
    struct_pack::decode(&C::METHOD.contract().response, payload)
}

pub(super) fn encode_response<'a, C: Call<'a>>(response: &C::Response, form: Form, out: &mut Vec<u8>) {
    struct_pack::encode(&C::METHOD.contract().response, form, response, out);
}
