//! What all benchmarks of the kernel measure on: the same keys, the same segments, one writer.

use std::sync::Arc;

use bytes::Bytes;
use standfast_kernel::api::Request;
use standfast_kernel::master::{Master, MasterStart, MasterTimes};
use standfast_kernel::oplog::OpLogManager;
use standfast_kernel::store::MetadataStore;
use standfast_kernel::types::{ClientId, CopyId, Epoch, Instant, SegmentId, SegmentSpec, Uuid, WallTime};

pub(crate) const NOW: Instant = Instant(1_000_000_000);
pub(crate) const WRITER: ClientId = ClientId(Uuid { first: 1, second: 0 });

/// A million; in a test run a few, which only shows that it works.
pub(crate) fn objects() -> u64 {
    if std::env::args().any(|arg| arg == "--bench") { 1_000_000 } else { 2_000 }
}

/// 60 bytes, as a model and a block hash make them.
pub(crate) fn key(n: u64) -> Bytes {
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Bytes::from(format!("llama-3.1-8b@tp4:2@{spread:016x}{n:025x}"))
}

pub(crate) fn segment(n: u64) -> SegmentSpec {
    SegmentSpec {
        id: SegmentId(Uuid { first: n, second: 0 }),
        name: format!("host-{n}:17000"),
        base: n << 44,
        size: 1 << 40,
        te_endpoint: format!("192.168.0.{n}:17000"),
        protocol: "tcp".into(),
        host_id: String::new(),
    }
}

pub(crate) fn store() -> Arc<MetadataStore> {
    Arc::new(MetadataStore::new(&"bench".parse().unwrap_or_else(|_| panic!("a name"))))
}

/// A primary in its first term, to which so many segments are lent.
pub(crate) fn primary(
    store: &Arc<MetadataStore>,
    log: OpLogManager,
    times: MasterTimes,
    segments: u64,
) -> Master {
    let start = MasterStart { epoch: Epoch(1), since: NOW, hold_until: NOW, seed: 1, sabotage: None };
    let master = Master::new(Arc::clone(store), log, times, &start);
    master.begin_term(WallTime(0), "n", CopyId(1));
    for n in 1..=segments {
        let mount = Request::MountSegment { client: WRITER, segment: segment(n) };
        assert!(master.execute(NOW, WallTime(0), &mount).appended);
    }
    master
}
