//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod cli_operate;
mod console;
mod demo;
mod failover;
mod mooncake;
mod mooncake_door;
mod node;
mod stopped;
