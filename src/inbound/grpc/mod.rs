//! The gRPC door: one file for each audience.

mod admin;
mod audit;
mod connection;
mod convert;
mod guard;
mod health;
mod master;
mod replication;
mod server;
mod status;
mod trace;

pub use server::{Services, serve};
