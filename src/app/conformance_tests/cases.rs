//! The cases: what is asked, in the hall's words.

use std::time::Duration;

use bytes::Bytes;
use standfast_kernel::api::{
    EndItem, PutItem, ReplicaType, ReplicateConfig, Request, SegmentKey, SoftPinAction,
};
use standfast_kernel::types::{ClientId, SegmentId, SegmentSpec, TaskId, TaskStatus, Uuid};

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) requests: Vec<Request>,
    /// The last answer, where it is worth spelling out.
    pub(super) expected: Option<&'static str>,
}

const ME: ClientId = ClientId(Uuid { first: 7, second: 9 });
const OTHER: ClientId = ClientId(Uuid { first: 8, second: 9 });
const ALL: ReplicaType = ReplicaType::All;

fn spec(id: u64, size: u64) -> SegmentSpec {
    SegmentSpec {
        id: SegmentId(Uuid { first: id, second: 1 }),
        name: format!("host-{id}:1"),
        base: id << 40,
        size,
        te_endpoint: format!("host-{id}:1"),
        protocol: "tcp".to_owned(),
        host_id: format!("h{id}"),
    }
}

fn mount(id: u64) -> Request {
    Request::MountSegment { client: ME, segment: spec(id, 1 << 20) }
}

fn keys(keys: &[&'static str]) -> Vec<Bytes> {
    keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect()
}

fn items(names: &[&'static str], size: u64) -> Vec<PutItem> {
    keys(names).into_iter().map(|key| PutItem { key, size }).collect()
}

fn ends(names: &[&'static str]) -> Vec<EndItem> {
    keys(names).into_iter().map(|key| EndItem { key, checksum: Some(5) }).collect()
}

fn start_as(client: ClientId, config: ReplicateConfig, names: &[&'static str]) -> Request {
    Request::PutStart { client, config, items: items(names, 100) }
}

fn start(names: &[&'static str]) -> Request {
    start_as(ME, ReplicateConfig::default(), names)
}

fn end_as(client: ClientId, replica_type: ReplicaType, names: &[&'static str]) -> Request {
    Request::PutEnd { client, items: ends(names), replica_type }
}

fn end(names: &[&'static str]) -> Request {
    end_as(ME, ALL, names)
}

fn upsert(names: &[&'static str], size: u64) -> Request {
    Request::UpsertStart { client: ME, config: ReplicateConfig::default(), items: items(names, size) }
}

fn revoke(client: ClientId, names: &[&'static str]) -> Request {
    Request::PutRevoke { client, keys: keys(names), replica_type: ALL }
}

fn get(names: &[&'static str]) -> Request {
    Request::GetReplicaList { keys: keys(names) }
}

fn exist(names: &[&'static str]) -> Request {
    Request::ExistKey { keys: keys(names) }
}

fn remove(names: &[&'static str], force: bool) -> Request {
    Request::Remove { keys: keys(names), force }
}

fn pattern(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn case(name: &'static str, expected: impl Into<Option<&'static str>>, requests: Vec<Request>) -> Case {
    Case { name, requests, expected: expected.into() }
}

/// Error numbers are those of SEMANTICS 1.7.
pub(super) fn all() -> Vec<Case> {
    [objects(), refused(), segments(), many(), upserts(), transfers()].into_iter().flatten().collect()
}

fn objects() -> Vec<Case> {
    vec![
        case(
            "an object lives",
            "error -704",
            vec![
                mount(1),
                start(&["k"]),
                exist(&["k"]),
                get(&["k"]),
                end(&["k"]),
                exist(&["k"]),
                get(&["k"]),
                remove(&["k"], false),
                remove(&["k"], true),
                get(&["k"]),
            ],
        ),
        case(
            "many objects at once",
            "true true false",
            vec![
                mount(1),
                start(&["a", "b"]),
                end(&["a", "b", "c"]),
                get(&["b", "c", "a"]),
                exist(&["a", "b", "c"]),
            ],
        ),
        case("empty lists", "", vec![start(&[]), end(&[]), get(&[]), exist(&[]), remove(&[], true)]),
        case(
            "two replicas on two segments",
            None,
            vec![
                mount(1),
                mount(2),
                start_as(ME, ReplicateConfig { replica_num: 2, ..ReplicateConfig::default() }, &["k"]),
                end(&["k"]),
                get(&["k"]),
            ],
        ),
        case(
            "more replicas than segments",
            None,
            vec![
                mount(1),
                start_as(ME, ReplicateConfig { replica_num: 3, ..ReplicateConfig::default() }, &["k"]),
            ],
        ),
        case(
            "a preferred segment",
            None,
            vec![
                mount(1),
                mount(2),
                start_as(
                    ME,
                    ReplicateConfig {
                        preferred_segments: vec!["nobody:1".into(), "host-2:1".into()],
                        ..ReplicateConfig::default()
                    },
                    &["k", "l"],
                ),
            ],
        ),
        case("keys that are no text", "true", {
            let key = || vec![Bytes::from_static(b"\xff\x00\xfe")];
            let item = PutItem { key: Bytes::from_static(b"\xff\x00\xfe"), size: 9 };
            let done = EndItem { key: Bytes::from_static(b"\xff\x00\xfe"), checksum: None };
            vec![
                mount(1),
                Request::PutStart { client: ME, config: ReplicateConfig::default(), items: vec![item] },
                Request::PutEnd { client: ME, items: vec![done], replica_type: ALL },
                Request::GetReplicaList { keys: key() },
                Request::ExistKey { keys: key() },
            ]
        }),
    ]
}

fn refused() -> Vec<Case> {
    let config = |change: fn(&mut ReplicateConfig)| {
        let mut config = ReplicateConfig::default();
        change(&mut config);
        start_as(ME, config, &["k"])
    };
    let sized = |size| Request::PutStart {
        client: ME,
        config: ReplicateConfig::default(),
        items: items(&["k"], size),
    };
    let long = Bytes::from(vec![b'k'; 4097]);
    vec![
        case("nowhere to put it", "error -200", vec![start(&["k"])]),
        case("too large", "error -200", vec![mount(1), sized(1 << 30)]),
        case("no bytes", "error -600", vec![mount(1), sized(0)]),
        case("an empty key", "error -600", vec![mount(1), start(&[""])]),
        case(
            "a long key",
            "error -600",
            vec![
                mount(1),
                Request::PutStart {
                    client: ME,
                    config: ReplicateConfig::default(),
                    items: vec![PutItem { key: long, size: 1 }],
                },
            ],
        ),
        case("no replicas", "error -600", vec![mount(1), config(|c| c.replica_num = 0)]),
        case("too many replicas", "error -600", vec![mount(1), config(|c| c.replica_num = 65)]),
        case("NoF", "error -600", vec![mount(1), config(|c| c.nof_replica_num = 1)]),
        case("a file system", None, vec![mount(1), config(|c| c.dfs_replica_num = 1)]),
        case(
            "a pin's ttl without a pin",
            "error -600",
            vec![mount(1), config(|c| c.soft_pin_ttl_ms = Some(1))],
        ),
        case(
            "an unknown pin",
            "error -600",
            vec![mount(1), config(|c| c.soft_pin_action = SoftPinAction::Unknown(9))],
        ),
        case("put twice", "error -705", vec![mount(1), start(&["k"]), start(&["k"])]),
        case(
            "one good, one bad",
            "error -600 [host-1:1@10000000000+100?]",
            vec![mount(1), start(&["", "k"])],
        ),
        case("a stranger ends it", "error -601", vec![mount(1), start(&["k"]), end_as(OTHER, ALL, &["k"])]),
        case("nobody began it", "error -704", vec![mount(1), end(&["k"])]),
        case("ended twice", "ok", vec![mount(1), start(&["k"]), end(&["k"]), end(&["k"])]),
        case(
            "its disk replica ended",
            "ok",
            vec![mount(1), start(&["k"]), end_as(ME, ReplicaType::Disk, &["k"])],
        ),
        case("removed unfinished", "error -703", vec![mount(1), start(&["k"]), remove(&["k"], true)]),
        case("a stranger revokes it", "error -601", vec![mount(1), start(&["k"]), revoke(OTHER, &["k"])]),
        case("revoked", "error -704", vec![mount(1), start(&["k"]), revoke(ME, &["k"]), revoke(ME, &["k"])]),
        case(
            "revoked after its end",
            "error -700",
            vec![mount(1), start(&["k"]), end(&["k"]), revoke(ME, &["k"])],
        ),
    ]
}

fn segments() -> Vec<Case> {
    let odd = |change: fn(&mut SegmentSpec)| {
        let mut segment = spec(1, 1 << 20);
        change(&mut segment);
        Request::MountSegment { client: ME, segment }
    };
    let (unmount, again) = (
        |id| Request::UnmountSegment { client: ME, segment: spec(id, 1).id },
        |segments: Vec<SegmentSpec>| Request::ReMountSegment { client: ME, segments },
    );
    let ping = || Request::Ping { client: ME };
    let status = |id: u64| Request::QuerySegmentStatus { segment: SegmentKey::Id(spec(id, 1).id) };
    let graceful = |client, id| Request::GracefulUnmountSegment {
        client,
        segment: spec(id, 1).id,
        grace: Duration::from_secs(600),
    };
    vec![
        case("mounted twice", "ok", vec![mount(1), mount(1)]),
        case("no base", "error -600", vec![odd(|s| s.base = 0)]),
        case("no size", "error -600", vec![odd(|s| s.size = 0)]),
        case("past the end of memory", "error -600", vec![odd(|s| s.base = u64::MAX)]),
        case("another size later", None, vec![mount(1), odd(|s| s.size = 5)]),
        case("a lender lives", "ok", vec![ping(), mount(1), ping(), again(vec![spec(1, 1 << 20)]), ping()]),
        case("a lender of nothing", "ok", vec![again(vec![]), ping()]),
        case("another segment under its id", None, vec![mount(1), again(vec![spec(1, 5)])]),
        case("unmounted twice", "ok", vec![mount(1), unmount(1), unmount(1)]),
        case(
            "its objects go with it",
            "false",
            vec![mount(1), start(&["k"]), end(&["k"]), unmount(1), get(&["k"]), exist(&["k"])],
        ),
        case("its status", "error -101", vec![mount(1), status(1), unmount(1), status(1)]),
        case(
            "by its name",
            "1",
            vec![mount(1), Request::QuerySegmentStatus { segment: SegmentKey::Name("host-1:1".into()) }],
        ),
        case(
            "leaving slowly",
            "error -200",
            vec![mount(1), graceful(OTHER, 1), graceful(ME, 2), graceful(ME, 1), status(1), start(&["k"])],
        ),
        case("hosts", None, vec![mount(1), mount(2), Request::BatchQueryIp { clients: vec![OTHER, ME] }]),
        case("storage", "`` true 0", vec![Request::GetFsdir, Request::GetStorageConfig]),
    ]
}

fn many() -> Vec<Case> {
    let put = || vec![mount(1), start(&["n1", "n2", "w"]), end(&["n1", "n2", "w"])];
    let and = |requests: Vec<Request>| [put(), requests].concat();
    let by_regex = |text, force| Request::RemoveByRegex { pattern: pattern(text), force };
    let clear = |client, segment: &str| Request::BatchReplicaClear {
        client,
        keys: keys(&["n1", "nobody", "w"]),
        segment: segment.to_owned(),
    };
    vec![
        case(
            "found by regex",
            None,
            and(vec![Request::GetReplicaListByRegex { pattern: pattern("^n[0-9]$") }]),
        ),
        case("no regex", "error -600", and(vec![Request::GetReplicaListByRegex { pattern: pattern("(") }])),
        case("removed by regex", "true", and(vec![by_regex("^n", false), exist(&["w"])])),
        case("leased ones stay", "1", and(vec![exist(&["n1"]), by_regex("^n", false)])),
        case("by force", "2", and(vec![exist(&["n1"]), by_regex("^n", true)])),
        case("removed by no regex", "error -600", and(vec![by_regex("[", true)])),
        case("all", "2", and(vec![exist(&["n1"]), Request::RemoveAll { force: false }])),
        case("all by force", "3", and(vec![exist(&["n1"]), Request::RemoveAll { force: true }])),
        case("cleared", "n1 w", and(vec![clear(ME, "")])),
        case("cleared on a segment", "n1 w", and(vec![clear(ME, "host-1:1")])),
        case("cleared elsewhere", "", and(vec![clear(ME, "host-9:1")])),
        case("cleared by a stranger", "", and(vec![clear(OTHER, "")])),
    ]
}

fn upserts() -> Vec<Case> {
    vec![
        case("of what is not there", None, vec![mount(1), upsert(&["k"], 7), end(&["k"]), get(&["k"])]),
        case(
            "with another size",
            None,
            vec![mount(1), start(&["k"]), end(&["k"]), upsert(&["k"], 7), get(&["k"])],
        ),
        case(
            "of the same size",
            None,
            vec![
                mount(1),
                start(&["k", "l"]),
                end(&["k", "l"]),
                upsert(&["k", "l"], 100),
                exist(&["k"]),
                end(&["k"]),
            ],
        ),
        case(
            "of what is being written",
            None,
            vec![mount(1), start(&["k"]), upsert(&["k"], 100), revoke(ME, &["k"]), exist(&["k"])],
        ),
        case("of no bytes", "error -600", vec![mount(1), upsert(&["k"], 0)]),
    ]
}

fn transfers() -> Vec<Case> {
    let put = || vec![mount(1), start(&["k"]), end(&["k"]), mount(2)];
    let and = |requests: Vec<Request>| [put(), requests].concat();
    let key = || pattern("k");
    let copy = |target: &str| Request::CopyStart {
        client: ME,
        key: key(),
        source: "host-1:1".into(),
        targets: vec![target.to_owned()],
    };
    let shift = |target: &str| Request::MoveStart {
        client: ME,
        key: key(),
        source: "host-1:1".into(),
        target: target.to_owned(),
    };
    let copied = |client| Request::CopyEnd { client, key: key() };
    let moved = || Request::MoveEnd { client: ME, key: key() };
    let task = TaskId::from(Uuid { first: 1, second: 1 });
    vec![
        case("copied", None, and(vec![copy("host-2:1"), remove(&["k"], true), copied(ME), get(&["k"])])),
        case("copied by a stranger", "error -601", and(vec![copy("host-2:1"), copied(OTHER)])),
        case("copied to nobody", "error -101", and(vec![copy("host-9:1")])),
        case("copied without a start", "error -709", and(vec![copied(ME)])),
        case(
            "a copy is given up",
            None,
            and(vec![copy("host-2:1"), Request::CopyRevoke { client: ME, key: key() }, get(&["k"])]),
        ),
        case("copied to where it is", None, and(vec![copy("host-1:1"), copied(ME), get(&["k"])])),
        case("moved", None, and(vec![shift("host-2:1"), moved(), get(&["k"])])),
        case("moved to itself", "error -600", and(vec![shift("host-1:1")])),
        case("a move is ended as a copy", None, and(vec![shift("host-2:1"), copied(ME)])),
        case(
            "a move is given up",
            None,
            and(vec![shift("host-2:1"), Request::MoveRevoke { client: ME, key: key() }, get(&["k"])]),
        ),
        case("no tasks", "", vec![Request::FetchTasks { client: ME, max: 5 }]),
        case(
            "a task for nobody's key",
            "error -704",
            and(vec![Request::CreateCopyTask { key: pattern("nobody"), targets: vec!["host-2:1".into()] }]),
        ),
        case(
            "a task",
            None,
            and(vec![
                Request::CreateMoveTask { key: key(), source: "host-1:1".into(), target: "host-2:1".into() },
                Request::FetchTasks { client: OTHER, max: 5 },
                Request::FetchTasks { client: ME, max: 5 },
            ]),
        ),
        case(
            "an unknown task",
            "error -1400",
            vec![
                Request::QueryTask { id: task },
                Request::MarkTaskToComplete {
                    client: ME,
                    id: task,
                    status: TaskStatus::Success,
                    message: "done".into(),
                },
            ],
        ),
    ]
}
