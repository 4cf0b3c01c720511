//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod cable;
mod cli_operate;
mod collector;
mod demo;
mod failover;
mod health;
mod metrics;
mod mooncake;
mod mooncake_door;
mod node;
mod otlp;
mod scrape;
mod stopped;
mod trace;
