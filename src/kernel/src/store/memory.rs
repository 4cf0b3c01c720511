//! How much memory the state takes, from the sizes of its own structures: what they have room for, used or not.

use super::{MetadataStore, Shard};

/// Bytes of the process's own memory, by what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreMemory {
    /// Shards with the slots of their objects and the tables over them. What single objects keep besides (groups,
    /// pins, several replicas) is not counted: nobody knows it without a look at each.
    pub index: u64,
    /// What finds free bytes in the mounts.
    pub allocators: u64,
    /// Keys and values of transfer engines' metadata.
    pub transfer_metadata: u64,
}

impl MetadataStore {
    /// What is counted of it, home by home: in the time of a look at each shard and each mount, whatever they hold.
    #[must_use]
    pub fn memory(&self) -> StoreMemory {
        let shard = |shard: &Shard| shard.objects.memory() + size_of::<Shard>();
        let index: usize = self.shards.iter().map(|s| shard(&s.read())).sum();
        let transfer_metadata = self.segments.read().metadata().bytes();
        let allocators = self.allocators.lock().memory();
        StoreMemory {
            index: index as u64,
            allocators: allocators as u64,
            transfer_metadata: transfer_metadata as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oplog::{Op, Release};
    use crate::store::tests::{K, apply, mount, put, store};

    #[test]
    fn it_grows_with_what_is_stored_and_goes_back_when_that_is_gone() {
        let store = store();
        let empty = store.memory();
        assert!(empty.index >= 1024 * size_of::<Shard>() as u64, "{empty:?}");
        assert_eq!((empty.allocators, empty.transfer_metadata), (0, 0));
        apply(&store, 1, &mount(1)).expect("mounted");
        let mounted = store.memory();
        assert!(mounted.allocators > 512 * 24 && mounted.index == empty.index, "{mounted:?}");
        apply(&store, 2, &put(K, 0)).expect("begun");
        let full = store.memory();
        // A slot of the smallest slab is some 112 bytes, and a chunk has at least four.
        assert!(full.index >= mounted.index + 4 * 112, "{full:?}");
        let remove = Op::PutRevoke { key: K, release: Release::Now };
        apply(&store, 3, &remove).expect("revoked");
        assert_eq!(store.memory().index, empty.index);
    }
}
