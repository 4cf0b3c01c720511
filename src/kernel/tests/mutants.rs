//! Rules about the death and return of memory, each broken on purpose: what
//! they protect must visibly fail. A binary of its own, because the switch is
//! one for the whole process.

#![cfg(feature = "mutants")]

use std::sync::Arc;

use bytes::Bytes;
use standfast_kernel::api::{EndItem, PutItem, ReplicateConfig, Request, Response};
use standfast_kernel::master::{Master, MasterStart, MasterTimes};
use standfast_kernel::mutants::{self, Mutant};
use standfast_kernel::oplog::{LogLimits, OpLogManager};
use standfast_kernel::store::MetadataStore;
use standfast_kernel::types::{ClientId, CopyId, Epoch, Instant, SegmentId, SegmentSpec, Uuid, WallTime};

const NOW: Instant = Instant(1);

/// A lender whose memory holds object `k` takes it back and lends it again.
/// Whether `k` is there, and whether its bytes are handed out at once.
fn after_the_return(mutant: Option<Mutant>) -> (bool, bool) {
    mutants::set(mutant);
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let start = MasterStart { epoch: Epoch(1), since: NOW, hold_until: NOW, seed: 1, sabotage: None };
    let master = Master::new(store, OpLogManager::new(LogLimits::default()), MasterTimes::default(), &start);
    master.begin_term(WallTime(0), "n", CopyId(1));
    let client = ClientId(Uuid { first: 1, second: 1 });
    let segment = SegmentSpec {
        id: SegmentId(Uuid { first: 2, second: 2 }),
        name: "host".into(),
        base: 1 << 20,
        size: 64,
        te_endpoint: "host:1".into(),
        protocol: "tcp".into(),
        host_id: String::new(),
    };
    let call = |request: Request| master.execute(NOW, WallTime(0), &request).response;
    let put = |key: &'static str, size| {
        let items = vec![PutItem { key: Bytes::from_static(key.as_bytes()), size }];
        let started = call(Request::PutStart { client, config: ReplicateConfig::default(), items });
        matches!(started, Response::PutStart(r) if r[0].is_ok())
    };
    let key = Bytes::from_static(b"k");
    assert_eq!(
        call(Request::MountSegment { client, segment: segment.clone() }),
        Response::MountSegment(Ok(()))
    );
    assert!(put("k", 8));
    let items = vec![EndItem { key: key.clone(), checksum: None }];
    assert_eq!(call(Request::PutEnd { client, items }), Response::PutEnd(vec![Ok(())]));
    let back = Request::UnmountSegment { client, segment: segment.id };
    assert_eq!(call(back), Response::UnmountSegment(Ok(())));
    assert_eq!(call(Request::MountSegment { client, segment }), Response::MountSegment(Ok(())));
    let there = call(Request::ExistKey { keys: vec![key] }) == Response::ExistKey(vec![Ok(true)]);
    let reused = put("other", 8);
    mutants::set(None);
    (there, reused)
}

#[test]
fn each_mutant_of_a_returned_lender_shows() {
    assert_eq!(after_the_return(None), (false, false));
    assert_eq!(after_the_return(Some(Mutant::SegidNotUid)), (true, false));
    assert_eq!(after_the_return(Some(Mutant::ColdNoHold)), (false, true));
}
