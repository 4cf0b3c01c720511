//! Integration: nodes as processes of this binary, driven through the gRPC contract.

mod bad_input;
mod cli_operate;
mod failover;
mod node;
mod stopped;
