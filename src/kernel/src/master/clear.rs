//! BatchReplicaClear: a writer's own objects, or their replicas on one segment.

use bytes::Bytes;
use smallvec::SmallVec;

use super::call::Call;
use crate::oplog::Op;
use crate::store::{Object, SegmentTable};
use crate::types::{ClientId, ReplicaStatus};

impl Call<'_> {
    /// The keys that were cleared; the others are skipped without a word, as
    /// stock masters do (SEMANTICS 2.4).
    pub(super) fn replica_clear(&mut self, keys: &[Bytes], client: ClientId, segment: &str) -> Vec<Bytes> {
        let cleared = self.each(keys, |call, table, key| call.clear_one(table, key, client, segment));
        keys.iter().zip(cleared).filter(|(_, cleared)| *cleared).map(|(key, _)| key.clone()).collect()
    }

    fn clear_one(&mut self, table: &SegmentTable, key: &Bytes, client: ClientId, segment: &str) -> bool {
        let Ok((own, key)) = self.hash(key) else { return false };
        let master = self.master;
        let mut homes = master.store.lock_key(own, &key);
        self.drop_dead(table, &mut homes, &key);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let Some(object) = shard.get(at, &key) else { return false };
        if object.writer != client || object.transfer().is_some() || master.is_leased(object, self.now) {
            return false;
        }
        let there = if segment.is_empty() { None } else { Some(complete_on(table, object, segment)) };
        match there {
            None if !object.is_complete(table) => return false,
            Some(ids) if ids.is_empty() => return false,
            Some(ids) if ids.len() < object.replicas().len() => {
                let (release, due) = master.release(object, self.now);
                for id in ids {
                    let op = Op::DropReplica { key: &key, id, release };
                    let pos = master.log_and_apply(self.wall, at, shard, &op);
                    self.wrote(pos);
                    master.set_due(shard, pos, due);
                }
            }
            None | Some(_) => self.erase(at, shard, &key),
        }
        true
    }
}

/// Ids of an object's complete replicas on the segments of this name.
fn complete_on(table: &SegmentTable, object: &Object, segment: &str) -> SmallVec<[u64; 1]> {
    let on_it = |r: &crate::store::Replica| {
        r.status == ReplicaStatus::Complete
            && table.mount(r.region.mount).is_some_and(|m| m.segment.name == segment)
    };
    object.replicas().filter(on_it).map(|r| r.id).collect()
}
