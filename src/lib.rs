//! Standfast: the metadata master of a Mooncake Store cluster, built as a
//! primary with hot standbys.
//!
//! Decisions live in the pure crate `standfast-kernel`; here is everything that
//! touches the world. Doors ([`inbound`]) decode, call the hall ([`shell`]) and
//! encode; [`outbound`] adapts clocks, peers and coordinators to the [`ports`];
//! [`witness`] is a small coordinator; [`app`] builds every concrete type once. ARCHITECTURE.md is the map.

pub mod app;
pub mod cli;
pub mod config;
pub mod inbound;
pub mod monitoring;
pub mod outbound;
pub mod ports;
pub mod shell;
pub mod telemetry;
pub mod witness;
