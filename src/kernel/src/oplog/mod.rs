//! The op log: what is logged ([`Op`]), its bytes ([`codec`]), the bounded
//! ring ([`OpLog`]) and the thread-safe manager around it ([`OpLogManager`]).

pub mod codec;
mod log;
mod manager;
pub(crate) mod metadata_codec;
mod op;
mod task_codec;

pub use codec::{DecodeError, OpLogEntry};
pub use log::{Batch, LogLimits, OpLog, split_entries};
pub use manager::{LogMarks, OpLogManager};
pub use op::{LimboKind, Op, OpType, Release};
