//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod cli_operate;
mod demo;
mod failover;
mod full_sync;
mod mooncake;
mod mooncake_door;
mod node;
mod stopped;
