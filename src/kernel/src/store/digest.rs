//! Terms of a home's digest.
//!
//! A digest is the sum, modulo 2^128, of one term for each object, limbo entry
//! mount and client: order does not matter, and a change costs one subtraction and one
//! addition. Sum and not xor: in xor two equal terms cancel. xxh3 is no defence
//! against somebody who crafts keys to collide; the digest finds faults, not attacks.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::Object;
use super::attempts::Attempt;
use super::mount::{Client, Departed, Mount};
use super::shard::Limbo;
use super::tasks::Task;
use crate::oplog::LimboKind;
use crate::types::{ClusterId, Region, ReplicaStatus, Seq};

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
        let mut c = Canonical::new(1);
        c.bytes(o.key()).u64(o.writer.0.first).u64(o.writer.0.second).u64(o.size);
        c.u64(o.started().epoch.0).u64(o.started().seq);
        c.u8(u8::from(o.checksum().is_some())).u64(o.checksum().unwrap_or(0));
        for r in o.replicas() {
            let status = match r.status {
                ReplicaStatus::Processing => 2,
                ReplicaStatus::Complete => 3,
            };
            c.u8(status).u64(r.id).region(&r.region);
        }
        c.u8(o.data_type.0).u8(u8::from(o.hard_pin())).u64(o.soft_pin());
        c.u8(u8::from(o.pending_pin().is_some())).u64(o.pending_pin().unwrap_or(0));
        c.bytes(o.group().map_or(&[], |g| g));
        if let Some(t) = o.transfer() {
            c.u8(4).u8(t.kind as u8).u64(t.client.0.first).u64(t.client.0.second);
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
