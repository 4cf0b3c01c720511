//! The coordinator over etcd's API: etcd itself, or a witness, which answers
//! the part of it that is used.

mod convert;
mod endpoints;
mod etcd;
mod follow;
mod txn;

pub use endpoints::{CoordinatorOptions, Credentials};
pub use etcd::EtcdCoordinator;
