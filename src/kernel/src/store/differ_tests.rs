use super::super::tests::{K, end, mount, put, store};
use super::*;
use crate::oplog::{LimboKind, Op, Release, codec};
use crate::store::ALL_BUCKETS;
use crate::types::{
    ClientId, Epoch, HomeId, LogPos, MountUid, TaskStatus, TransferKind, Uuid, WallTime, limits,
};

/// A store after these ops; each says at which position.
fn after(ops: &[(u64, Op<'_>)]) -> MetadataStore {
    let s = store();
    for (seq, op) in ops {
        let mut bytes = Vec::new();
        codec::Prepared::new(Epoch(1), WallTime(0), op.place(), op).finish(Seq(*seq), &mut bytes);
        s.apply(&codec::decode(&bytes).expect("own bytes")).expect("fits");
    }
    s
}

/// How `ours` differs from `theirs`, home by home.
fn differences(ours: &MetadataStore, theirs: &MetadataStore) -> Vec<Difference> {
    let homes = (0..limits::HOMES).filter_map(HomeId::from_index);
    let of_home = |home| {
        let image = theirs.read_image(ALL_BUCKETS, &theirs.image_of(home, ALL_BUCKETS)).expect("own image");
        ours.differences(&image).expect("they stand alike")
    };
    homes.flat_map(of_home).collect()
}

fn said(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn each_field_of_an_object_that_differs_is_named_with_both_values() {
    let client = ClientId(Uuid { first: 5, second: 6 });
    let Op::PutStart { key, regions, traits, .. } = put(K, 8) else { panic!("a put") };
    let other = Op::PutStart { key, client, size: 7, regions, traits };
    let ours = after(&[(1, mount(1)), (2, put(K, 0)), (3, end(K))]);
    let theirs = after(&[(1, mount(1)), (2, other), (3, Op::PutEnd { key: K, checksum: None })]);
    let found = differences(&ours, &theirs);
    let [object] = &found[..] else { panic!("{found:?}") };
    assert_eq!((object.what, object.kind, object.name.as_slice()), ("object", DifferenceKind::Field, K));
    let fields: Vec<_> = object.fields.iter().map(|f| f.field).collect();
    assert_eq!(fields, ["writer", "size", "checksum", "replicas"]);
    let text = object.to_string();
    assert!(text.contains("size is 8 here and 7 on the primary") && text.contains("5-6"), "{text}");
    assert_eq!(differences(&ours, &ours), []);
}

#[test]
fn what_only_one_has_is_missing_or_extra() {
    let release = Release::Limbo(LimboKind::Write);
    let abandon = |client| Op::Abandon { key: K, client };
    let ours = after(&[(1, mount(1)), (2, put(K, 0)), (4, Op::Preempt { key: K, release })]);
    let theirs = after(&[(1, mount(1)), (2, put(K, 0)), (3, abandon(ClientId::default())), (4, end(K))]);
    let found = said(&differences(&ours, &theirs));
    assert_eq!(
        found,
        [
            "limbo 4/0 is not on the primary",
            "abandoned write 3 is missing here",
            "object default\\x00k is missing here"
        ]
    );
    let back = said(&differences(&theirs, &ours));
    assert!(back.contains(&"limbo 4/0 is missing here".to_owned()), "{back:?}");
    assert!(back.contains(&"object default\\x00k is not on the primary".to_owned()), "{back:?}");
}

#[test]
fn what_the_segment_table_holds_is_compared_too() {
    let uid = |seq| MountUid(LogPos::new(Epoch(1), Seq(seq)));
    let named = |id, name: &str| {
        let Op::MountSegment { client, segment, held } = mount(id) else { panic!("a mount") };
        let mut segment = segment.into_owned();
        segment.name = name.to_owned();
        Op::MountSegment { client, segment: std::borrow::Cow::Owned(segment), held }
    };
    let (who, wall) = (ClientId::default(), WallTime(0));
    let task = |message: &'static str| {
        let id = crate::types::TaskId(LogPos::new(Epoch(1), Seq(6)));
        let create = Op::TaskCreate {
            kind: TransferKind::Copy,
            client: who,
            key: K,
            source: "host-1".into(),
            targets: vec!["host-2".into()],
            wall,
        };
        let end = Op::TaskEnd { task: id, status: TaskStatus::Failed, message: message.into(), wall };
        [(6, create), (7, end)]
    };
    let table = |name: &str, gone: u64, host: &'static str, message| {
        let mut ops = vec![(1, named(1, name)), (2, mount(2)), (3, mount(3))];
        ops.push((4, Op::SegmentGone { mount: uid(gone) }));
        ops.push((5, Op::ClientOk { client: who, host: host.into() }));
        ops.extend(task(message));
        after(&ops)
    };
    let (ours, theirs) = (table("a", 2, "here", "x"), table("b", 3, "there", "y"));
    let found = differences(&ours, &theirs);
    let of = |what: &str, kind| {
        let it = found.iter().filter(|d| d.what == what && d.kind == kind);
        it.map(|d| d.fields.iter().map(|f| f.field).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(of("mount", DifferenceKind::Field), [vec!["segment"]]);
    assert_eq!(
        (of("mount", DifferenceKind::Extra).len(), of("mount", DifferenceKind::Missing).len()),
        (1, 1)
    );
    assert_eq!((of("dead mount", DifferenceKind::Extra).len(), found.len()), (1, 7), "{found:?}");
    assert_eq!(of("client", DifferenceKind::Field), [vec!["host"]]);
    assert_eq!(of("task", DifferenceKind::Field), [vec!["message"]]);
    let host = |spec: &str| found.iter().any(|d| d.to_string().contains(spec));
    assert!(host("host is here here and there on the primary"), "{:?}", said(&found));
    let later = (LogPos::new(Epoch(1), Seq(9)), Op::TaskPrune { through: LogPos::NONE });
    assert!(ours.segments().write().apply(later.0, &later.1).is_ok());
    let image = theirs.read_image(ALL_BUCKETS, &theirs.image_of(HomeId::SEGMENTS, ALL_BUCKETS)).expect("own");
    assert_eq!(ours.differences(&image), None, "it has moved on: nothing can be said");
}
