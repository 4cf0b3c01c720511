//! The pure, deterministic part of Standfast.
//!
//! A primary is a standby that also decides: both change state only through
//! the same `apply(position, &Op)`. Nothing in this crate reads a clock, a
//! file, a socket, a thread or the environment; time, randomness and messages
//! arrive as values, and what is to be done leaves as values.
//!
//! Rooms, each of which may import only those before it:
//! [`types`] <- [`oplog`] <- [`store`] <- [`master`]; [`replication`] stands on
//! `oplog` and `store`; [`coordination`] and [`supervisor`] on `types`; [`node`] composes them all.

#![warn(missing_docs)]

#[macro_use]
mod invariant;

pub mod api;
pub mod coordination;
pub mod lab;
pub mod machine;
pub mod master;
pub mod mutants;
pub mod node;
pub mod oplog;
pub mod replication;
pub mod store;
pub mod supervisor;
pub mod sync;
pub mod types;
