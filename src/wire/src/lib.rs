//! Mooncake Store's wire protocol (client release 0.3.13.post1), sans-IO.
//!
//! Bytes in, values out, and back: this crate opens no socket, reads no clock
//! and knows nothing of the master behind it. Three layers:
//!
//! - [`frame`]: the 20-byte request and 16-byte response headers, and a
//!   [`Framer`] that cuts a byte stream into frames;
//! - [`struct_pack`]: the payload encoding, its type literals and hashes;
//! - [`types`] and [`calls`]: the messages of the 64 calls a master registers.
//!
//! A decoded message is a `Copy` view that borrows from its payload, lists
//! included: decoding allocates nothing, whatever the peer claims.
//!
//! ```
//! use standfast_wire::calls::{ExistKey, Request};
//! use standfast_wire::{Form, Framer, RequestHeader, frame};
//!
//! // A client asks,
//! let mut stream = Vec::new();
//! let call = ExistKey { key: b"k1", tenant_id: b"default" };
//! frame::write_request(&mut stream, 7, &call, Form::LONG)?;
//!
//! // and the server reads the request and answers.
//! let mut framer = Framer::<RequestHeader>::new(frame::DEFAULT_MAX_PAYLOAD);
//! framer.buffer().extend_from_slice(&stream);
//! while let Some(frame) = framer.next_frame()? {
//!     let mut reply = Vec::new();
//!     let seq = frame.header.seq_num;
//!     match Request::decode(frame.header.function_id, &frame.payload) {
//!         Ok((Request::ExistKey(_), _)) => frame::write_response::<ExistKey>(&mut reply, seq, &Ok(true), Form::SHORT)?,
//!         Ok(_) => unreachable!("only one request was written"),
//!         Err(error) => frame::write_error(&mut reply, seq, &error.rpc_error())?,
//!     }
//!     assert_eq!(reply.len(), 16 + 4 + 2);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calls;
mod error;
pub mod frame;
pub mod struct_pack;
pub mod types;

pub use calls::{Call, Contract, Method, Request, RequestError, Response};
pub use error::{DecodeError, Problem, RpcError};
pub use frame::{Framer, RequestHeader, ResponseHeader};
pub use struct_pack::{Form, List, Map, Schema, Str, Width};
