//! The door for Mooncake's own protocol (coro_rpc): what unmodified clients
//! call. `docs/wire.md` describes the bytes.
//!
//! [`Port`] holds the address, [`serve`] listens on it while this node serves,
//! `connection` talks to one client, `calls` is the table of calls, `off` answers
//! those of features that are not here, `hall` asks for what they need.

mod calls;
mod connection;
mod convert;
mod hall;
mod limits;
mod off;
mod port;
mod replies;
mod server;
mod stock;

pub use port::Port;
pub use server::{FAREWELL, serve};
