//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod bench;
mod cable;
mod cli_operate;
mod collector;
mod console;
#[expect(clippy::panic, reason = "helpers of tests end them so, with what they saw")]
mod coordinator;
mod demo;
mod drill;
mod eviction;
mod failover;
mod force;
mod full_sync;
mod handover;
mod health;
mod history;
mod leadership;
mod logs;
mod metrics;
mod monitoring;
mod mooncake;
mod mooncake_door;
mod mooncake_off;
mod mooncake_transfer;
mod node;
mod otlp;
mod pause;
mod replication;
mod scrape;
mod security;
mod stock;
mod stopped;
mod trace;
mod traps;
mod verify;
