//! What can go wrong below the application level.

use std::borrow::Cow;
use std::sync::LazyLock;

use thiserror::Error;

use crate::struct_pack::{self, Form, Schema, Str, record};

/// A payload that is not the value it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field} at byte {offset} of the payload: {problem}")]
pub struct DecodeError {
    /// The innermost field being read, as `Type.field`, or what else was read.
    pub field: &'static str,
    /// Where reading stopped, in bytes from the start of the payload.
    pub offset: usize,
    pub problem: Problem,
}

impl DecodeError {
    /// Names the field, unless a field inside it has done so already.
    pub(crate) fn within(self, field: &'static str) -> Self {
        if self.field.is_empty() { Self { field, ..self } } else { self }
    }
}

/// Why a payload does not decode: what was found and what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("the payload ends after {remaining} of the {needed} bytes expected here")]
    Truncated { needed: usize, remaining: usize },
    #[error("a length of {claimed} was found, but only {remaining} bytes follow")]
    LengthBeyondPayload { claimed: u64, remaining: usize },
    #[error("type hash {found:#010x} was found, expected {expected:#010x}")]
    WrongHash { found: u32, expected: u32 },
    #[error("the type literal differs from the one of this type, expected {expected_len} bytes and a zero")]
    WrongLiteral { expected_len: usize },
    #[error("metainfo byte {found:#04x} was found, expected bits 7 to 5 to be 0")]
    ReservedMetainfo { found: u8 },
    #[error("presence byte {found} was found, expected 0 or 1")]
    NotAFlag { found: u8 },
    #[error("alternative {found} was found, expected a number below {alternatives}")]
    UnknownAlternative { found: u8, alternatives: u8 },
}

/// An answer that is not the call's result: the transport has failed, or the
/// server could not make sense of the request. A failure of the application,
/// such as an unknown key, is a [`crate::types::ErrorCode`] inside a normal
/// response instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("rpc error {code}: {}", String::from_utf8_lossy(.message))]
pub struct RpcError {
    /// One of the constants below; a client may meet others.
    pub code: u16,
    /// Text for people, in bytes that need not be UTF-8.
    pub message: Cow<'static, [u8]>,
}

/// The `err_code` that announces a 16-bit code in the payload.
const EXTENDED: u8 = 255;

impl RpcError {
    pub const IO_ERROR: u16 = 1;
    pub const NOT_CONNECTED: u16 = 2;
    pub const TIMED_OUT: u16 = 3;
    pub const INVALID_RPC_ARGUMENTS: u16 = 4;
    pub const OPERATION_CANCELED: u16 = 9;
    pub const RPC_THROW_EXCEPTION: u16 = 10;
    pub const FUNCTION_NOT_REGISTERED: u16 = 11;
    pub const PROTOCOL_ERROR: u16 = 12;
    pub const UNKNOWN_PROTOCOL_VERSION: u16 = 13;
    pub const MESSAGE_TOO_LARGE: u16 = 14;
    pub const INVALID_RPC_RESULT: u16 = 16;
    pub const SERIAL_NUMBER_CONFLICT: u16 = 17;

    /// The payload does not decode, in the reference master's words.
    pub fn invalid_arguments() -> Self {
        Self { code: Self::INVALID_RPC_ARGUMENTS, message: Cow::Borrowed(b"invalid rpc arg") }
    }

    /// The function id belongs to no call, in the reference master's words.
    pub fn function_not_registered() -> Self {
        Self {
            code: Self::FUNCTION_NOT_REGISTERED,
            message: Cow::Borrowed(b"the rpc function not registered"),
        }
    }

    /// Reads the payload of a response whose `err_code` is not 0.
    ///
    /// # Errors
    /// The payload is not the string (or, for 255, the code and string) it has to be.
    pub fn decode(err_code: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        let (code, message) = if err_code == EXTENDED {
            let (extended, _): (ExtendedError<'_>, _) = struct_pack::decode(&EXTENDED_SCHEMA, payload)?;
            (extended.code, extended.message)
        } else {
            let (message, _): (Str<'_>, _) = struct_pack::decode(&MESSAGE_SCHEMA, payload)?;
            (err_code.into(), message)
        };
        Ok(Self { code, message: Cow::Owned(message.to_vec()) })
    }

    /// Appends the payload and returns the header's `err_code`. Always in the
    /// long form: errors are rare, and this is what the reference master sends.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        let message: Str<'_> = &self.message;
        match u8::try_from(self.code) {
            Ok(code) if code != EXTENDED => {
                struct_pack::encode(&MESSAGE_SCHEMA, Form::LONG, &message, out);
                code
            }
            _ => {
                let extended = ExtendedError { code: self.code, message };
                struct_pack::encode(&EXTENDED_SCHEMA, Form::LONG, &extended, out);
                EXTENDED
            }
        }
    }
}

record! {
    /// The payload under `err_code` 255.
    #[expect(unreachable_pub, reason = "the macro makes public types, and this one serves here only")]
    ExtendedError<'a> { code: u16, message: Str<'a> }
}

static MESSAGE_SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of::<Str<'static>>);
static EXTENDED_SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of::<ExtendedError<'static>>);
