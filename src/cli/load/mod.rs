//! A load that checks every byte: writers that stamp key and attempt, readers that compare, a lender of memory, and a
//! ledger of what was acknowledged. The demo and `standfast lab load` run it.

pub(crate) mod count;
pub(crate) mod crowd;
pub(crate) mod ledger;
pub(crate) mod lender;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod readback;
pub(crate) mod route;
pub(crate) mod steady;
pub(crate) mod workload;
