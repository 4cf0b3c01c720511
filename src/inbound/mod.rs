//! Doors: decode, call the hall, encode. A door decides nothing.

pub mod grpc;
