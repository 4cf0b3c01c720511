//! The homes: StateEquality, DerivedEqualsRebuild, NoSharedBytes.

use std::collections::BTreeMap;

use standfast_kernel::store::{AuditError, MetadataStore};
use standfast_kernel::types::{HomeId, LogPos};

use super::{Invariant, Outcome};

/// Digest of each home at each position at which anybody was looked at.
#[derive(Debug, Default)]
pub(crate) struct States {
    seen: BTreeMap<(HomeId, LogPos), u128>,
}

impl States {
    /// Looks at some homes of one node.
    pub(crate) fn compare(&mut self, store: &MetadataStore, homes: &[HomeId], node: usize) -> Outcome {
        for home in homes {
            let mark = store.mark(*home);
            let known = *self.seen.entry((*home, mark.last)).or_insert(mark.digest);
            Invariant::StateEquality.check(known == mark.digest, || {
                format!(
                    "{home} of n{node} at {} has digest {:032x}, another node had {known:032x}",
                    mark.last, mark.digest
                )
            })?;
        }
        Ok(())
    }
}

/// Recounts a whole store and rebuilds what is derived.
pub(crate) fn audit(store: &MetadataStore, node: usize) -> Outcome {
    let recount = store.recount();
    Invariant::StateEquality.check(recount.damaged.is_empty(), || {
        format!("n{node}: incremental and recounted digest differ in {:?}", recount.damaged)
    })?;
    store.audit().map_err(|e| match e {
        AuditError::Overlap { .. } => Invariant::NoSharedBytes.broken(format!("n{node}: {e}")),
        AuditError::Allocator(_)
        | AuditError::DeadAllocators(_)
        | AuditError::Segments
        | AuditError::Routes
        | AuditError::Members(_)
        | AuditError::Unfinished(_)
        | AuditError::Tasks => Invariant::DerivedEqualsRebuild.broken(format!("n{node}: {e}")),
    })
}
