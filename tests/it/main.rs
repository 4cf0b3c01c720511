//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod bench;
mod cli_operate;
mod demo;
mod eviction;
mod failover;
mod mooncake;
mod mooncake_door;
mod mooncake_transfer;
mod node;
mod stock;
mod stopped;
mod traps;
