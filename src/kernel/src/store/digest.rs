//! Terms of a home's digest.
//!
//! A digest is the sum, modulo 2^128, of one term for each object, limbo entry
//! mount and client: order does not matter, and a change costs one subtraction and one
//! addition. Sum and not xor: in xor two equal terms cancel. xxh3 is no defence
//! against somebody who crafts keys to collide; the digest finds faults, not attacks.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::attempts::Attempt;
use super::metadata::Part;
use super::mount::{Client, Departed, Mount};
use super::shard::Limbo;
use super::tasks::Task;
use super::{Object, Replica};
use crate::oplog::LimboKind;
use crate::types::{ClusterId, KeyHash, Region, ReplicaStatus, Seq};

/// Makes terms, seeded with the cluster's name.
#[derive(Debug, Clone, Copy)]
pub struct Digester {
    seed: u64,
}

impl Digester {
    /// For this cluster.
    #[must_use]
    pub fn new(cluster: &ClusterId) -> Self {
        Self { seed: xxh3_64(cluster.as_str().as_bytes()) }
    }

    /// Term of an object: all that is replicated of it, and nothing dynamic (SEMANTICS 6).
    #[must_use]
    pub fn object(self, o: &Object) -> u128 {
        self.object_named(KeyHash::whole(o.key()), o)
    }

    /// The same, when the hash of its key is known. The key is in it as its hash:
    /// then nearly all objects are one block of fixed size, and a change is cheap.
    #[must_use]
    pub fn object_named(self, key: u128, o: &Object) -> u128 {
        let (head, mut replicas) = (head(key, o), o.replicas());
        if o.extras().is_none()
            && let Some(only) = replicas.next()
        {
            let mut block = [0; HEAD + REPLICA];
            block[..HEAD].copy_from_slice(&head);
            block[HEAD..].copy_from_slice(&replica(&only));
            let block: [u8; (HEAD + REPLICA) * WORD] = bytes(block);
            return xxh3_128_with_seed(&block, self.seed);
        }
        let mut c = Canonical { out: bytes::<HEAD, { HEAD * WORD }>(head).as_slice().into() };
        o.replicas()
            .for_each(|r| c.out.extend_from_slice(&bytes::<REPLICA, { REPLICA * WORD }>(replica(&r))));
        for value in [Some(o.soft_pin()).filter(|pin| *pin != 0), o.pending_pin()].into_iter().flatten() {
            c.u64(value);
        }
        if let Some(group) = o.group() {
            c.bytes(group);
        }
        if let Some(t) = o.transfer() {
            c.u8(t.kind as u8).u64(t.client.0.first).u64(t.client.0.second);
            c.u64(t.started.epoch.0).u64(t.started.seq).u64(t.source).u8(t.targets);
        }
        c.term(self.seed)
    }

    /// Term of a limbo entry.
    #[must_use]
    pub fn limbo(self, since: Seq, index: u8, limbo: &Limbo) -> u128 {
        let kind = match limbo.kind {
            LimboKind::Read => 1,
            LimboKind::Write => 2,
        };
        Canonical::new(2).u64(since.0).u8(index).u8(kind).region(&limbo.region).term(self.seed)
    }

    /// Term of an abandoned write.
    #[must_use]
    pub fn attempt(self, since: Seq, a: &Attempt) -> u128 {
        let mut c = Canonical::new(4);
        c.u64(since.0).bytes(&a.key).u64(a.client.0.first).u64(a.client.0.second);
        c.term(self.seed)
    }

    /// Term of a task.
    #[must_use]
    pub fn task(self, t: &Task) -> u128 {
        let mut c = Canonical::new(5);
        c.u64(t.id.0.epoch.0).u64(t.id.0.seq).u8(t.kind as u8).u8(t.status as u8);
        c.u64(t.client.0.first).u64(t.client.0.second).u64(t.changed.epoch.0).u64(t.changed.seq);
        c.u64(t.created.0).u64(t.updated.0).bytes(&t.key).bytes(t.source.as_bytes());
        for target in &t.targets {
            c.bytes(target.as_bytes());
        }
        c.u8(0).bytes(t.message.as_bytes());
        c.term(self.seed)
    }

    /// Term of a part of transfer metadata.
    pub(super) fn metadata(self, (stage, key, index, bytes): Part<'_>) -> u128 {
        let mut c = Canonical::new(18);
        c.u8(stage as u8).bytes(key).u64(index as u64).bytes(bytes);
        c.term(self.seed)
    }

    /// Term of a mount.
    #[must_use]
    pub fn mount(self, m: &Mount) -> u128 {
        let s = &m.segment;
        let mut c = Canonical::new(3);
        c.u64(m.uid.0.epoch.0).u64(m.uid.0.seq).u64(m.client.0.first).u64(m.client.0.second);
        c.u64(s.id.0.first).u64(s.id.0.second).u64(s.base).u64(s.size);
        c.bytes(s.name.as_bytes()).bytes(s.te_endpoint.as_bytes()).bytes(s.protocol.as_bytes());
        c.bytes(s.host_id.as_bytes()).u8(u8::from(m.held));
        c.u8(u8::from(m.grace_ms.is_some())).u64(m.grace_ms.unwrap_or(0));
        c.term(self.seed)
    }

    /// Term of a dead mount whose bytes still wait.
    #[must_use]
    pub fn departed(self, d: &Departed) -> u128 {
        let s = &d.segment;
        let mut c = Canonical::new(16);
        c.u64(d.uid.0.epoch.0).u64(d.uid.0.seq).u64(s.id.0.first).u64(s.id.0.second);
        c.u64(s.base).u64(s.size).bytes(s.te_endpoint.as_bytes());
        c.term(self.seed)
    }

    /// Term of a client.
    #[must_use]
    pub fn client(self, client: &Client) -> u128 {
        let mut c = Canonical::new(17);
        c.u64(client.id.0.first).u64(client.id.0.second);
        c.u64(client.since.epoch.0).u64(client.since.seq);
        c.u8(u8::from(client.ok)).bytes(client.host.as_bytes());
        c.term(self.seed)
    }
}

/// Bytes of a word.
const WORD: usize = size_of::<u64>();
/// Words of what every object has.
const HEAD: usize = 9;
/// Words of a replica.
const REPLICA: usize = 6;

/// What every object has. The flags say what else there is.
fn head(key: u128, o: &Object) -> [u64; HEAD] {
    let flag = |on: bool, bit: u64| if on { bit } else { 0 };
    let flags = flag(o.checksum().is_some(), 1)
        | flag(o.hard_pin(), 2)
        | flag(o.soft_pin() != 0, 4)
        | flag(o.pending_pin().is_some(), 8)
        | flag(o.group().is_some(), 16)
        | flag(o.transfer().is_some(), 32);
    let shape = 1 | flags << 8 | u64::from(o.data_type.0) << 16 | (o.replica_count() as u64) << 24;
    let (writer, started) = (o.writer.0, o.started());
    [
        shape,
        key as u64,
        (key >> 64) as u64,
        writer.first,
        writer.second,
        o.size,
        started.epoch.0,
        started.seq,
        o.checksum().unwrap_or(0),
    ]
}

fn replica(r: &Replica) -> [u64; REPLICA] {
    let status = match r.status {
        ReplicaStatus::Processing => 2,
        ReplicaStatus::Complete => 3,
    };
    let Region { mount, offset, reserved } = r.region;
    [status, r.id, mount.0.epoch.0, mount.0.seq, offset, reserved]
}

fn bytes<const N: usize, const BYTES: usize>(words: [u64; N]) -> [u8; BYTES] {
    const { assert!(BYTES == N * 8) };
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Canonical encoding: fixed-width little-endian integers, lengths before bytes.
struct Canonical {
    out: smallvec::SmallVec<[u8; 256]>,
}

impl Canonical {
    fn new(kind: u8) -> Self {
        Self { out: smallvec::smallvec![kind] }
    }

    fn u8(&mut self, v: u8) -> &mut Self {
        self.out.push(v);
        self
    }

    fn u64(&mut self, v: u64) -> &mut Self {
        self.out.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.u64(v.len() as u64).out.extend_from_slice(v);
        self
    }

    fn region(&mut self, r: &Region) -> &mut Self {
        self.u64(r.mount.0.epoch.0).u64(r.mount.0.seq).u64(r.offset).u64(r.reserved)
    }

    fn term(&self, seed: u64) -> u128 {
        xxh3_128_with_seed(&self.out, seed)
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
