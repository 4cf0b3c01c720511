//! Golden values: nodes of two versions must compute the same digest of the same state. They were computed by another
//! program, from what `docs/digest.md` says.

use std::sync::Arc;

use super::super::Extras;
use super::super::metadata::Stage;
use super::super::object::Draft;
use super::super::transfer::Transfer;
use super::super::{Attempts, Mount};
use super::*;
use crate::types::{
    ClientId, DataType, Epoch, Instant, LogPos, MountUid, SegmentId, SegmentSpec, TaskId, TaskStatus, Traits,
    TransferKind, Uuid, WallTime,
};

const WRITER: ClientId = ClientId(Uuid { first: 0xa1, second: 0xa2 });
const OTHER: ClientId = ClientId(Uuid { first: 0xb1, second: 0xb2 });
const SIZE: u64 = 4096;

fn digester() -> Digester {
    Digester::new(&"golden".parse().expect("a name"))
}

fn at(epoch: u64, seq: u64) -> LogPos {
    LogPos::new(Epoch(epoch), Seq(seq))
}

fn region(mount: u64, offset: u64) -> Region {
    Region { mount: MountUid(at(1, mount)), offset, reserved: SIZE }
}

fn segment() -> Arc<SegmentSpec> {
    Arc::new(SegmentSpec {
        id: SegmentId(Uuid { first: 0xd1, second: 0xd2 }),
        name: "host-1".into(),
        base: 1 << 20,
        size: 1 << 30,
        te_endpoint: "host-1:1".into(),
        protocol: "tcp".into(),
        host_id: "rack".into(),
    })
}

/// The term of the object that this draft makes.
fn object(key: &[u8], draft: Draft) -> u128 {
    let object: Object<[u8; 16]> = Object::new(key, draft);
    digester().object(&object)
}

/// Written to the end, with one replica.
fn complete(seq: u64, checksum: Option<u64>) -> Draft {
    let mut draft = Draft::new(at(3, seq), WRITER, SIZE, &[region(2, 8192)]);
    draft.checksum = checksum;
    draft.replicas[0].status = ReplicaStatus::Complete;
    draft
}

#[track_caller]
fn is_golden(term: u128, golden: &str) {
    assert_eq!(format!("{term:032x}"), golden);
}

#[test]
fn an_object_with_one_replica() {
    let draft = Draft { data_type: DataType(4), hard_pin: true, ..complete(7, Some(0xc5)) };
    is_golden(object(b"default\0one", draft), "5701d3ea810759610893e56f840e0475");
}

#[test]
fn an_object_with_two_replicas_that_are_being_written() {
    let draft = Draft::new(at(3, 8), WRITER, SIZE, &[region(2, 8192), region(3, 0)]);
    is_golden(object(b"default\0two", draft), "da42a4ac1f4d3879ce8fe77e0cd290b3");
}

#[test]
fn an_object_with_pins_a_group_and_a_transfer() {
    let traits = Traits { soft_pin: 5000, pending_pin: Some(0), ..Traits::default() };
    let mut extras = Extras::of(&traits, Some(Arc::from(&b"default\0g"[..]))).expect("it has some");
    extras.transfer = Some(Transfer {
        kind: TransferKind::Move,
        client: OTHER,
        started: at(3, 20),
        source: 9 << 8,
        targets: 1,
    });
    let draft = Draft { extras: Some(extras), ..complete(9, Some(0xc5)) };
    is_golden(object(b"default\0all", draft), "dd18fcbea2223acafe6a49d077f5e3e9");
}

#[test]
fn an_object_of_which_no_replica_is_left() {
    let draft = Draft::new(at(3, 10), WRITER, SIZE, &[]);
    is_golden(object(b"default\0bare", draft), "e77143e0c3e6e6f616a3d004a25d38d2");
}

#[test]
fn what_is_dynamic_is_left_out() {
    let object: Object<[u8; 16]> = Object::new(b"default\0one", complete(7, None));
    let object: &Object = &object;
    let term = digester().object(object);
    object.extend_lease(Instant(77));
    object.begin(Instant(78));
    assert_eq!(digester().object(object), term);
}

#[test]
fn a_region_in_limbo_and_an_abandoned_write() {
    let limbo = Limbo { region: region(2, 8192), kind: LimboKind::Write, due: None };
    is_golden(digester().limbo(Seq(30), 2, &limbo), "3ac3b24a271c05610c99b876b26c3a0b");
    let due = Limbo { due: Some((Epoch(1), Instant(9))), ..limbo };
    is_golden(digester().limbo(Seq(30), 2, &due), "3ac3b24a271c05610c99b876b26c3a0b");
    let attempt = Attempts::default().abandon(Seq(31), b"default\0gone", WRITER, digester());
    is_golden(attempt, "4005873a04cb88a1d8c6fff1ed99070d");
}

#[test]
fn a_mount_and_a_departed_one() {
    let uid = MountUid(at(1, 2));
    let mut mount = Mount::new(uid, OTHER, segment(), true);
    mount.grace_ms = Some(900);
    mount.hand_out(Instant(5));
    is_golden(digester().mount(&mount), "d26b47a9ce387fc5918a257266f11c10");
    let departed = Departed { uid, segment: segment(), due: Some((Epoch(1), Instant(9))) };
    is_golden(digester().departed(&departed), "57edbdce133537276f6886525df8d8a7");
}

#[test]
fn a_client() {
    let mut client = Client::new(OTHER, at(3, 40));
    (client.ok, client.host) = (true, "rack".into());
    client.hear(Instant(5));
    is_golden(digester().client(&client), "4758c2fe4f3cf8c4f9c41cf394fb537e");
}

#[test]
fn a_task() {
    let task = Task {
        id: TaskId(at(3, 50)),
        kind: TransferKind::Move,
        status: TaskStatus::Failed,
        client: OTHER,
        key: b"default\0one"[..].into(),
        source: "host-1".into(),
        targets: vec!["host-2".into(), "host-3".into()],
        created: WallTime(60),
        updated: WallTime(61),
        changed: at(3, 51),
        message: "no".into(),
        begun: Instant(9),
    };
    is_golden(digester().task(&task), "249ae36dc06d1a63d6e3730bbc5e93ee");
}

#[test]
fn parts_of_transfer_metadata() {
    let part = |stage| digester().metadata((stage, b"m/ram", 1, b",2]"));
    is_golden(part(Stage::Value), "b3f07e971a3bb990cd8784c7cca0e42c");
    is_golden(part(Stage::Draft), "b6a5ded5983a7fe5496b1af1f27b262a");
}
