//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod cable;
mod cli_operate;
mod demo;
mod failover;
mod health;
mod metrics;
mod mooncake;
mod mooncake_door;
mod node;
mod scrape;
mod stopped;
mod trace;
