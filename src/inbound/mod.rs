//! Doors: decode, call the hall, encode. A door decides nothing.

pub mod admin;
pub mod coro_rpc;
pub mod grpc;
mod guard;

pub use guard::Guard;
