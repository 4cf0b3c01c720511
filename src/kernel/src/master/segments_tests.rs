//! SEMANTICS 8.6, and what each request about segments logs and refuses.

use super::*;
use crate::api::{ClientStatus, PingReply, SegmentKey, StorageConfig};
use crate::types::SegmentStatus;

/// Short, so that a test walks through a life in a few dozen steps.
const CLIENTS: ClientTimes = ClientTimes {
    ttl: Some(Duration::from_millis(500)),
    reconnect: Duration::from_millis(300),
    own_stall: Duration::from_millis(150),
};

pub(super) fn config() -> MasterConfig {
    MasterConfig { clients: CLIENTS, ..TIMES.into() }
}

pub(super) fn short(segments: u64) -> Bench {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    let start =
        MasterStart { epoch: Epoch(1), since: ms(1_000), hold_until: ms(1_000), seed: 7, sabotage: None };
    let b = Bench::lead_with(config(), store, log, &start);
    for n in 1..=segments {
        assert_eq!(b.mount(A, segment(n, 16 * MIB)), Ok(()));
    }
    b
}

pub(super) fn id(n: u64) -> SegmentId {
    segment(n, 1).id
}

impl Bench {
    pub(super) fn remount(&self, client: ClientId, segments: &[SegmentSpec]) -> Result<(), ErrorCode> {
        match self.run(&Request::ReMountSegment { client, segments: segments.to_vec() }).response {
            Response::ReMountSegment(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn unmount(&self, n: u64) -> Result<(), ErrorCode> {
        match self.run(&Request::UnmountSegment { client: B, segment: id(n) }).response {
            Response::UnmountSegment(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn graceful(&self, client: ClientId, n: u64, millis: u64) -> Result<(), ErrorCode> {
        let grace = Duration::from_millis(millis);
        match self.run(&Request::GracefulUnmountSegment { client, segment: id(n), grace }).response {
            Response::GracefulUnmountSegment(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn status(&self, segment: SegmentKey) -> Result<SegmentStatus, ErrorCode> {
        match self.run(&Request::QuerySegmentStatus { segment }).response {
            Response::QuerySegmentStatus(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ping(&self, client: ClientId) -> ClientStatus {
        match self.run(&Request::Ping { client }).response {
            Response::Ping(PingReply { view_version, status }) => {
                assert_eq!(view_version, self.master.epoch());
                status
            }
            other => panic!("{other:?}"),
        }
    }

    /// Time passes as on a healthy node: a step of maintenance every 100 ms.
    pub(super) fn live(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.sleep(100);
            let _ = self.master.maintain(self.now, WallTime(7));
        }
        self.sleep(millis % 100);
        self.sound();
    }

    pub(super) fn live_mounts(&self) -> usize {
        self.store.segments().read().mounts().len()
    }
}

#[test]
fn s8_34_a_segment_unmounted_under_a_write_leaves_nothing_behind() {
    let mut b = short(1);
    b.start(A, "k", MIB).expect("room");
    b.start(A, "preempted", MIB).expect("room");
    b.sleep(DISCARD + 1);
    b.start(B, "preempted", MIB).expect("preempts");
    assert_eq!((b.unmount(1), b.free_bytes()), (Ok(()), 0));
    assert_eq!(b.end(A, "k"), Err(ObjectNotFound));
    assert_eq!(b.get("k"), Err(ObjectNotFound));
    assert_eq!(b.remove("k", true), Err(ObjectNotFound));
    assert_eq!(b.start(A, "k", 8), Err(NoAvailableHandle));
    b.live(RELEASE + 2_000);
    let r = b.store.recount();
    assert_eq!((r.objects, r.limbo, r.digest), (0, 0, 0), "the table forgets the dead mount, too");
    b.replay_agrees();
}

#[test]
fn s8_59_unmount_twice_and_mount_against_unmount() {
    let b = short(1);
    assert_eq!((b.unmount(1), b.unmount(1), b.unmount(9)), (Ok(()), Ok(()), Ok(())));
    std::thread::scope(|scope| {
        for n in 1..4 {
            let master = &b.master;
            scope.spawn(move || {
                for i in 0..200 {
                    let now = ms(1_001 + i);
                    let mount = Request::MountSegment { client: client(n), segment: segment(n, MIB) };
                    let _ = master.execute(now, WallTime(7), &mount);
                    let put = start(A, &format!("k{n}-{i}"), 8, replicas(2));
                    let _ = master.execute(now, WallTime(7), &put);
                    let gone = Request::UnmountSegment { client: A, segment: id(n % 3 + 1) };
                    let _ = master.execute(now, WallTime(7), &gone);
                    let _ = master.maintain(now, WallTime(7));
                }
            });
        }
    });
    b.sound();
    b.replay_agrees();
}

#[test]
fn s8_60_only_a_remount_makes_a_client_ok() {
    let b = short(1);
    assert_eq!(b.ping(B), ClientStatus::NeedRemount, "unknown");
    assert_eq!(b.ping(A), ClientStatus::NeedRemount, "mounting is not enough");
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    assert_eq!(b.ping(A), ClientStatus::Ok);
    assert_eq!((b.live_mounts(), b.ping(B)), (1, ClientStatus::NeedRemount));
}

#[test]
fn s8_61_remount_of_nothing_and_remount_when_ok() {
    let b = short(0);
    assert_eq!(b.remount(A, &[]), Ok(()));
    assert_eq!(b.ping(A), ClientStatus::Ok);
    let before = (b.store.recount(), b.log.tail());
    assert_eq!(b.remount(A, &[segment(1, MIB)]), Ok(()));
    assert_eq!((b.store.recount(), b.log.tail()), before, "already OK: nothing is done");
}

#[test]
fn s8_62_remount_is_validated_as_a_whole() {
    let b = short(1);
    assert_eq!(b.mount(B, segment(2, MIB)), Ok(()));
    let known = segment(1, 16 * MIB);
    let before = (b.store.recount(), b.log.tail());
    let bad = [
        segment(2, MIB),
        SegmentSpec { base: known.base + 1, ..known.clone() },
        SegmentSpec { size: known.size + 1, ..known.clone() },
        SegmentSpec { name: "other".into(), ..known.clone() },
        SegmentSpec { te_endpoint: "other:1".into(), ..known.clone() },
        SegmentSpec { host_id: "other".into(), ..known.clone() },
        segment(7, 16),
        SegmentSpec { id: id(8), size: 32, ..segment(7, 16) },
        segment(9, 0),
        SegmentSpec { base: 0, ..segment(9, 1) },
        SegmentSpec { host_id: "x".repeat(limits::ENDPOINT_BYTES_MAX + 1), ..segment(9, 1) },
    ];
    for s in bad {
        let list = [segment(7, 16), known.clone(), s.clone()];
        assert_eq!(b.remount(A, &list), Err(InvalidParams), "{s:?}");
        assert_eq!((b.store.recount(), b.log.tail()), before, "all or nothing: {s:?}");
    }
    assert_eq!(b.ping(A), ClientStatus::NeedRemount);
    assert_eq!(b.remount(A, &[segment(7, 16), known]), Ok(()));
    assert_eq!((b.live_mounts(), b.ping(A)), (3, ClientStatus::Ok));
}

/// The sweep is never synchronous here: one op hides all replicas at once (R15).
#[test]
fn s8_63_an_unmount_hides_replicas_before_the_sweep() {
    let b = short(2);
    b.start_with(A, "both", 8, replicas(2)).expect("room");
    assert_eq!(b.end(A, "both"), Ok(()));
    b.start_with(A, "one", 8, prefer(&["host-1"])).expect("room");
    assert_eq!(b.end(A, "one"), Ok(()));
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!(b.store.recount().objects, 2, "not swept yet");
    assert_eq!((b.get("one"), b.exist("one")), (Err(ObjectNotFound), Ok(false)));
    let shown = b.get("both").expect("another replica").replicas;
    assert_eq!(shown.iter().map(|r| r.segment.name.as_str()).collect::<Vec<_>>(), ["host-2"]);
    assert_eq!(
        (b.remove("one", false), b.start(B, "both", 8)),
        (Err(ObjectNotFound), Err(ObjectAlreadyExists))
    );
    let _ = b.maintain();
    assert_eq!(b.store.recount().objects, 1);
    assert_eq!(b.get("both").map(|l| l.replicas.len()), Ok(1));
    b.replay_agrees();
}

/// 100,000 objects, one op for their death, and one more for each few of them; no
/// step of maintenance and no hold of a lock is unbounded, and puts go on in between.
#[test]
fn s8_65_a_large_segment_dies_in_bounded_steps() {
    const OBJECTS: usize = 100_000;
    let b = bench(0);
    assert_eq!(b.mount(B, segment(1, 1 << 30)), Ok(()));
    for batch in 0..OBJECTS / 1_000 {
        let names: Vec<Bytes> = (0..1_000).map(|i| Bytes::from(format!("k{batch}-{i}"))).collect();
        let items = names.iter().map(|key| PutItem { key: key.clone(), size: 8 }).collect();
        let put = Request::PutStart { client: A, config: ReplicateConfig::default(), items };
        assert!(b.master.execute(b.now, WallTime(7), &put).appended);
        let items = names.into_iter().map(|key| EndItem { key, checksum: None }).collect();
        assert!(
            b.master
                .execute(
                    b.now,
                    WallTime(7),
                    &Request::PutEnd { client: A, items, replica_type: ReplicaType::All }
                )
                .appended
        );
    }
    assert_eq!(b.mount(A, segment(2, 16 * MIB)), Ok(()));
    assert_eq!(b.store.recount().objects, OBJECTS as u64);
    let tail = b.log.tail();
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!((b.log.tail().since(tail), b.exist("k7-7")), (1, Ok(false)));
    let (mut purges, mut steps) = (0, 0);
    while b.store.objects() > steps {
        let before = b.log.tail();
        let _ = b.master.maintain(b.now, WallTime(7));
        let in_step = b.log.tail().since(before);
        let most = (limits::PURGE_LOOKS_PER_STEP / limits::PURGE_WEIGHT) as u64;
        assert!(in_step <= most, "{in_step} entries in one step");
        assert!(
            b.named_since(before).iter().all(|n| *n < 2 * limits::NAMED_SLICE),
            "no hold is longer than a slice"
        );
        purges += in_step;
        steps += 1;
        let put = start(A, &format!("new-{steps}"), 8, replicas(1));
        assert!(b.master.execute(b.now, WallTime(7), &put).appended, "puts go on");
    }
    let least = OBJECTS / limits::NAMED_SLICE;
    assert!(purges as usize <= limits::SHARDS + least, "{purges} purges for {OBJECTS} objects");
    assert!(steps > 3, "{steps} steps: a slice looks at a part of the objects");
    assert_eq!(b.maintain(), 0, "and nothing is left to do");
    b.replay_agrees();
}

#[test]
fn s8_66_graceful_unmount() {
    let mut b = short(3);
    assert_eq!(b.graceful(B, 1, 100), Err(SegmentNotFound), "B lends nothing");
    assert_eq!(b.mount(B, segment(4, MIB)), Ok(()));
    assert_eq!(b.graceful(B, 1, 100), Err(InvalidParams), "not its owner");
    assert_eq!(b.graceful(B, 9, 100), Err(InvalidParams), "nobody's");
    b.start_with(A, "k", 8, prefer(&["host-1"])).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.graceful(A, 1, 400), Ok(()));
    let tail = b.log.tail();
    assert_eq!((b.graceful(A, 1, 1), b.log.tail()), (Ok(()), tail), "a repeat is fine and changes nothing");
    let by_id = SegmentKey::Id(id(1));
    assert_eq!(b.status(by_id.clone()), Ok(SegmentStatus::GracefullyUnmounting));
    assert_eq!(b.status(SegmentKey::Name("host-1".into())), Ok(SegmentStatus::GracefullyUnmounting));
    assert_eq!(b.status(SegmentKey::Name("host-2".into())), Ok(SegmentStatus::Ok));
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Err(UnavailableInCurrentStatus));
    assert_eq!(b.start_with(B, "new", 8, prefer(&["host-1"])).map(|r| r[0].segment.id == id(1)), Ok(false));
    assert_eq!(b.graceful(A, 2, 200), Ok(()), "an earlier timer overtakes a later one");
    b.live(100);
    assert_eq!((b.live_mounts(), b.exist("k")), (4, Ok(true)), "readable meanwhile");
    b.live(100);
    assert_eq!((b.status(SegmentKey::Id(id(2))), b.live_mounts()), (Err(SegmentNotFound), 3));
    b.live(100);
    assert_eq!((b.status(by_id.clone()), b.exist("k")), (Ok(SegmentStatus::GracefullyUnmounting), Ok(true)));
    b.live(100);
    assert_eq!((b.status(by_id), b.exist("k")), (Err(SegmentNotFound), Ok(false)));
    assert_eq!(b.status(SegmentKey::Name("host-1".into())), Err(SegmentNotFound));
    b.replay_agrees();
}

#[test]
fn a_graceful_segment_may_be_unmounted_at_once_and_its_timer_finds_nothing() {
    let mut b = short(2);
    assert_eq!((b.graceful(A, 1, 200), b.unmount(1)), (Ok(()), Ok(())));
    assert_eq!(b.graceful(A, 2, u64::MAX), Ok(()), "for ever is long, not wrong");
    b.live(400);
    assert_eq!(b.live_mounts(), 1);
    b.replay_agrees();
}

#[test]
fn s8_67_only_segments_that_are_ok_receive_allocations() {
    let b = short(2);
    assert_eq!(b.graceful(A, 1, 60_000), Ok(()));
    for i in 0..20 {
        let placed = b.start_with(A, &format!("k{i}"), 8, replicas(2)).expect("room");
        assert_eq!(placed.iter().map(|r| r.segment.id).collect::<Vec<_>>(), [id(2)]);
    }
    assert_eq!(b.graceful(A, 2, 60_000), Ok(()));
    assert_eq!(b.start_with(A, "k", 8, prefer(&["host-1", "host-2"])), Err(NoAvailableHandle));
}

/// After its return the lender's memory waits (R13), so puts need another round.
#[test]
fn s8_68_a_silent_client_is_expired_and_returns_empty() {
    let mut b = short(1);
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    b.put("k", MIB);
    for _ in 0..10 {
        b.live(400);
        assert_eq!(b.ping(A), ClientStatus::Ok, "it lives as long as it speaks");
    }
    b.live(500);
    assert_eq!((b.exist("k"), b.live_mounts()), (Ok(false), 0));
    assert_eq!(b.start(B, "new", 8), Err(NoAvailableHandle));
    assert_eq!(b.ping(A), ClientStatus::NeedRemount);
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    assert_eq!((b.ping(A), b.exist("k")), (ClientStatus::Ok, Ok(false)), "a new mount revives nothing");
    assert_eq!((b.free_bytes(), b.start(B, "new", 8)), (16 * MIB, Err(NoAvailableHandle)));
    b.replay_agrees();
}

#[test]
fn s8_69_hosts_of_clients() {
    let b = short(0);
    let lend = |client, n, endpoint: &str| {
        let spec = SegmentSpec { te_endpoint: endpoint.into(), ..segment(n, 1) };
        assert_eq!(b.mount(client, spec), Ok(()));
    };
    let endpoints = [
        "10.0.0.1:1234",
        "10.0.0.1:99",
        "node-a",
        "[2001:db8::1]:80",
        "[fe80::2%eth0]:80",
        "2001:db8::3",
        "fe80::4%eth1",
        "[2001:db8::5]",
        ":80",
        "",
    ];
    for (n, e) in endpoints.iter().enumerate() {
        lend(A, n as u64 + 1, e);
    }
    lend(B, 90, "");
    assert_eq!(b.remount(client(3), &[]), Ok(()));
    let ask =
        |clients: &[ClientId]| match b.run(&Request::BatchQueryIp { clients: clients.to_vec() }).response {
            Response::BatchQueryIp(map) => map,
            other => panic!("{other:?}"),
        };
    assert_eq!(ask(&[]), BTreeMap::new());
    let all = ask(&[A, B, client(3), client(99), A]);
    let hosts =
        ["10.0.0.1", "node-a", "2001:db8::1", "fe80::2%eth0", "2001:db8::3", "fe80::4%eth1", "2001:db8::5"];
    let want = [(A, hosts.map(str::to_owned).to_vec()), (B, Vec::new())];
    assert_eq!(all, BTreeMap::from(want), "who lends nothing is left out");
}

#[test]
fn s8_70_a_client_without_segments_is_heard_from_its_first_mount_on() {
    let mut b = short(0);
    assert_eq!(b.ping(A), ClientStatus::NeedRemount);
    b.live(2_000);
    assert_eq!(b.mount(A, segment(1, MIB)), Ok(()));
    b.live(400);
    assert_eq!((b.live_mounts(), b.ping(A)), (1, ClientStatus::NeedRemount));
    let mut b = b.takeover(0);
    assert_eq!(b.remount(A, &[segment(1, MIB), segment(2, MIB)]), Ok(()), "what is missing is mounted");
    assert_eq!((b.ping(A), b.live_mounts()), (ClientStatus::Ok, 2));
    b.live(500);
    assert_eq!(b.live_mounts(), 2, "a client that an earlier primary knew has its allowance");
}

#[test]
fn s8_71_an_unmount_removes_its_capacity() {
    let b = short(2);
    let total = || b.store.allocators().lock().iter().map(|(_, a)| a.size()).sum::<u64>();
    assert_eq!(total(), 32 * MIB);
    b.put("k", 8);
    assert_eq!((b.unmount(1), total()), (Ok(()), 16 * MIB));
    assert_eq!((b.unmount(2), total(), b.free_bytes()), (Ok(()), 0, 0));
}

#[test]
fn storage_settings_are_those_of_the_configuration() {
    let mut b = short(0);
    let ask = |b: &Bench| {
        let Response::GetFsdir(dir) = b.run(&Request::GetFsdir).response else { panic!() };
        let Response::GetStorageConfig(c) = b.run(&Request::GetStorageConfig).response else { panic!() };
        (dir, c)
    };
    let none = StorageConfig { fsdir: String::new(), enable_disk_eviction: true, quota_bytes: 0 };
    assert_eq!(ask(&b), (String::new(), none));
    let some = StorageConfig { fsdir: "/mnt/c".into(), enable_disk_eviction: false, quota_bytes: 9 };
    b.config.storage = some.clone();
    let b = b.takeover(0);
    assert_eq!(ask(&b), ("/mnt/c".into(), some));
    assert_eq!(crate::api::SERVICE_VERSION, "2.0.0");
}

#[test]
fn each_request_about_segments_logs_exactly_its_ops() {
    let mut b = short(1);
    let spec = SegmentSpec { host_id: "h".into(), ..segment(2, MIB) };
    let from = b.log.tail();
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB), spec.clone()]), Ok(()));
    b.logged(
        from,
        &[
            Op::MountSegment { client: A, segment: Cow::Borrowed(&spec), held: true },
            Op::ClientOk { client: A, host: "h".into() },
        ],
    );
    let second = MountUid(LogPos::new(Epoch(1), from));
    b.put("k", 8);
    let from = b.log.tail();
    assert_eq!(b.graceful(A, 1, 300), Ok(()));
    assert_eq!(b.unmount(1), Ok(()));
    let shard = KeyHash::of(b"default\0k").home.index() as u16;
    assert_eq!(b.maintain(), 1);
    b.logged(
        from,
        &[
            Op::GracefulUnmount { mount: uid(1), grace_ms: 300 },
            Op::SegmentGone { mount: uid(1) },
            Op::Purge { shard, mount: uid(1), objects: vec![KeyHash::of(b"default\0k").map] },
        ],
    );
    let from = b.log.tail();
    b.live(500);
    b.logged(from, &[Op::ClientExpired { client: A }]);
    let from = b.log.tail();
    b.live(RELEASE + 200);
    b.logged(from, &[Op::HoldEnd { mount: uid(1) }, Op::HoldEnd { mount: second }]);
    assert_eq!(b.store.recount().digest, 0, "nothing is left of them");
    b.replay_agrees();
}

#[test]
fn clients_are_bounded() {
    let b = short(1);
    let hello = |n: u64| {
        let request = Request::ReMountSegment { client: client(n), segments: Vec::new() };
        b.master.execute(b.now, WallTime(7), &request)
    };
    for n in 1..=limits::CLIENTS_MAX as u64 {
        assert_eq!(hello(n).response, Response::ReMountSegment(Ok(())));
    }
    let refused = hello(1 << 40);
    let Response::ReMountSegment(Err(why)) = refused.response else { panic!("{refused:?}") };
    assert_eq!((why.code(), refused.appended), (UnavailableInCurrentStatus, false));
    assert_eq!(why.to_string(), "there are 65536 clients already, which is the maximum");
    assert_eq!(b.mount(client(1 << 40), segment(2, 8)), Err(UnavailableInCurrentStatus));
    assert_eq!(b.mount(client(2), segment(2, 8)), Ok(()), "who is known may lend");
}

/// PROTOCOL G7: an answer that a death had a part in depends on it.
#[test]
fn answers_depend_on_the_deaths_that_they_saw() {
    let b = short(2);
    b.start_with(A, "dead", 8, prefer(&["host-1"])).expect("room");
    b.start_with(A, "half", 8, replicas(2)).expect("room");
    assert_eq!((b.end(A, "dead"), b.end(A, "half")), (Ok(()), Ok(())));
    b.start_with(A, "live", 8, prefer(&["host-2"])).expect("room");
    let shard_of_live = b.log.tail();
    assert_eq!(b.unmount(1), Ok(()));
    let death = b.log.tail();
    let check = |request: Request, want: Seq, critical: bool| {
        let done = b.run(&request);
        assert_eq!((done.depends_on, done.byte_critical), (want, critical), "{request:?}");
    };
    check(get(&["live"]), shard_of_live, false);
    check(get(&["dead"]), death, false);
    check(exist(&["half"]), death, false);
    check(Request::Ping { client: A }, death, false);
    check(Request::QuerySegmentStatus { segment: SegmentKey::Id(id(1)) }, death, false);
    check(Request::BatchQueryIp { clients: vec![A] }, death, false);
    check(Request::UnmountSegment { client: A, segment: id(1) }, death, true);
    check(Request::GracefulUnmountSegment { client: B, segment: id(2), grace: Duration::ZERO }, death, true);
    check(remove(&["dead"], true), death.next(), false);
    check(end(A, "dead", None), death.next(), false);
    check(get(&["dead"]), death.next(), false);
    check(Request::UnmountSegment { client: A, segment: id(2) }, death.next().next(), true);
}

use ErrorCode::{SegmentNotFound, UnavailableInCurrentStatus};
