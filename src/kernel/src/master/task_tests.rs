//! The task queue: SEMANTICS 2.6; checklist 8.8.83 to 85.

use super::*;
use crate::api::{TaskAssignment, TaskState};
use crate::types::{TaskId, TaskStatus, TransferKind};

fn key(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

impl Bench {
    pub(super) fn copy_task(&self, name: &str, targets: &[&str]) -> Result<TaskId, ErrorCode> {
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        match self.run(&Request::CreateCopyTask { key: key(name), targets }).response {
            Response::CreateCopyTask(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn move_task(&self, name: &str, source: &str, target: &str) -> Result<TaskId, ErrorCode> {
        let (source, target) = (source.into(), target.into());
        match self.run(&Request::CreateMoveTask { key: key(name), source, target }).response {
            Response::CreateMoveTask(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    fn query(&self, id: TaskId) -> Result<TaskState, ErrorCode> {
        match self.run(&Request::QueryTask { id }).response {
            Response::QueryTask(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fetch(&self, client: ClientId, max: u64) -> Vec<TaskAssignment> {
        match self.run(&Request::FetchTasks { client, max }).response {
            Response::FetchTasks(tasks) => tasks,
            other => panic!("{other:?}"),
        }
    }

    fn mark(&self, client: ClientId, id: TaskId, status: TaskStatus, message: &str) -> Result<(), ErrorCode> {
        let message = message.to_owned();
        match self.run(&Request::MarkTaskToComplete { client, id, status, message }).response {
            Response::MarkTaskToComplete(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    fn task_status(&self, id: TaskId) -> TaskStatus {
        self.query(id).expect("known").status
    }
}

/// host-1 is lent by A, host-2 by B; `k` is on host-2.
fn two_lenders(rules: TaskRules) -> Bench {
    let b = bench_with(MasterTimes { tasks: rules, ..TIMES }, 1);
    assert_eq!(b.mount(B, segment(2, 16 * MIB)), Ok(()));
    b.start_with(A, "k", 8, prefer(&["host-2"])).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    b
}

#[test]
fn s8_83_tasks_are_checked_in_order_and_given_to_an_owner_of_a_source() {
    let b = two_lenders(TaskRules::DEFAULT);
    b.start(A, "open", 8).expect("room");
    let tail = b.log.tail();
    assert_eq!(b.copy_task("none", &[]), Err(InvalidParams));
    assert_eq!(b.copy_task("none", &["host-1", "no"]), Err(InvalidParams));
    assert_eq!(b.copy_task("none", &["host-1"]), Err(ObjectNotFound));
    assert_eq!(b.copy_task("open", &["host-1"]), Err(InternalError), "no source");
    assert_eq!(b.move_task("none", "host-1", "no"), Err(InvalidParams));
    assert_eq!(b.move_task("none", "no", "host-1"), Err(InvalidParams));
    assert_eq!(b.move_task("none", "host-1", "host-1"), Err(InvalidParams));
    assert_eq!(b.move_task("none", "host-1", "host-2"), Err(ObjectNotFound));
    assert_eq!(b.move_task("k", "host-1", "host-2"), Err(InternalError), "not on that source");
    assert_eq!(b.log.tail(), tail);
    let id = b.copy_task("k", &["host-1"]).expect("a source");
    assert_eq!(id, TaskId(LogPos::new(Epoch(1), tail)));
    let state = b.query(id).expect("known");
    assert_eq!((state.client, state.kind, state.status), (B, TransferKind::Copy, TaskStatus::Pending));
    assert_eq!((state.created, state.updated), (WallTime(7), WallTime(7)));
    let id = b.move_task("k", "host-2", "host-1").expect("a source");
    assert_eq!(b.query(id).map(|t| (t.client, t.kind)), Ok((B, TransferKind::Move)));
    b.start_with(A, "both", 8, replicas(2)).expect("room");
    assert_eq!(b.end(A, "both"), Ok(()));
    let owners: std::collections::BTreeSet<ClientId> = (0..40)
        .map(|_| b.query(b.copy_task("both", &["host-1"]).expect("ok")).expect("known").client)
        .collect();
    assert_eq!(owners.len(), 2, "any source will do");
    b.replay_agrees();
}

#[test]
fn s8_84_a_client_fetches_its_own_tasks_in_order() {
    let b = two_lenders(TaskRules::DEFAULT);
    assert_eq!(b.fetch(B, 10), []);
    let ids: Vec<TaskId> = (0..5).map(|_| b.copy_task("k", &["host-1"]).expect("ok")).collect();
    let tail = b.log.tail();
    assert_eq!((b.fetch(A, 10).len(), b.fetch(B, 0).len()), (0, 0), "nobody else's");
    assert_eq!(b.log.tail(), tail, "an empty answer logs nothing");
    let first = b.fetch(B, 2);
    assert_eq!(first.iter().map(|t| t.id).collect::<Vec<_>>(), ids[..2]);
    let payload = r#"{"tenant_id":"default","key":"k","source":"host-2","targets":["host-1"]}"#;
    assert_eq!((first[0].payload.as_str(), first[0].retries, first[0].created), (payload, 10, WallTime(7)));
    assert_eq!(b.fetch(B, u64::MAX).iter().map(|t| t.id).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(b.fetch(B, 10), [], "drained");
    assert!(ids.iter().all(|id| b.task_status(*id) == TaskStatus::Processing));
    b.replay_agrees();
}

#[test]
fn s8_84_marking_a_task_checks_in_order_and_is_idempotent() {
    let b = two_lenders(TaskRules::DEFAULT);
    let id = b.copy_task("k", &["host-1"]).expect("ok");
    let unknown = TaskId(LogPos::new(Epoch(9), Seq(9)));
    for status in [TaskStatus::Pending, TaskStatus::Processing] {
        assert_eq!(b.mark(A, unknown, status, ""), Err(InvalidParams));
    }
    assert_eq!(b.mark(A, unknown, TaskStatus::Success, ""), Err(TaskNotFound));
    assert_eq!(b.query(unknown), Err(TaskNotFound));
    assert_eq!(b.mark(A, id, TaskStatus::Success, ""), Err(IllegalClient));
    assert_eq!(b.fetch(B, 1).len(), 1);
    let long = "\u{e4}".repeat(limits::TASK_MESSAGE_BYTES_MAX);
    assert_eq!(b.mark(B, id, TaskStatus::Failed, &long), Ok(()));
    let tail = b.log.tail();
    assert_eq!(b.mark(B, id, TaskStatus::Success, "late"), Ok(()), "final already");
    let state = b.query(id).expect("known");
    assert_eq!((b.log.tail(), state.status), (tail, TaskStatus::Failed));
    assert_eq!(state.message, "\u{e4}".repeat(limits::TASK_MESSAGE_BYTES_MAX / 2));
    b.replay_agrees();
}

#[test]
fn s8_85_limits_time_outs_and_pruning() {
    let rules = TaskRules {
        pending_max: 3,
        processing_max: 2,
        ended_max: 2,
        pending_timeout: Duration::from_millis(100),
        processing_timeout: Duration::from_millis(50),
        ..TaskRules::DEFAULT
    };
    let mut b = two_lenders(rules);
    let ids: Vec<TaskId> = (0..3).map(|_| b.copy_task("k", &["host-1"]).expect("ok")).collect();
    assert_eq!(b.copy_task("k", &["host-1"]), Err(TaskPendingLimitExceeded));
    assert_eq!(b.fetch(B, 10).len(), 2, "as many as may be under way");
    assert_eq!(b.fetch(B, 10), []);
    b.copy_task("k", &["host-1"]).expect("room again");
    b.sleep(49);
    assert_eq!(b.maintain(), 0);
    b.sleep(1);
    assert_eq!(
        (b.maintain(), b.task_status(ids[0]), b.task_status(ids[1])),
        (2, TaskStatus::Failed, TaskStatus::Failed)
    );
    assert_eq!(b.query(ids[0]).expect("known").message, "timed out");
    assert_eq!(b.task_status(ids[2]), TaskStatus::Pending);
    b.sleep(50);
    assert_eq!(b.maintain(), 3, "two waited too long, and ended ones are too many");
    assert_eq!(
        (b.query(ids[0]), b.query(ids[1])),
        (Err(TaskNotFound), Err(TaskNotFound)),
        "the first to end"
    );
    assert_eq!(b.task_status(ids[2]), TaskStatus::Failed);
    b.replay_agrees();
}

#[test]
fn s8_85_a_new_primary_counts_from_its_beginning() {
    let mut b = two_lenders(TaskRules { pending_timeout: Duration::from_millis(100), ..TaskRules::DEFAULT });
    let id = b.copy_task("k", &["host-1"]).expect("ok");
    b.sleep(99);
    let mut b = b.takeover(300);
    b.sleep(99);
    assert_eq!((b.maintain(), b.task_status(id)), (0, TaskStatus::Pending));
    b.sleep(1);
    assert_eq!((b.maintain(), b.task_status(id)), (1, TaskStatus::Failed));
    b.replay_agrees();
}

#[test]
fn the_payload_is_json_whatever_the_names() {
    let b = bench(1);
    let odd = SegmentSpec { name: "a\"b\\c\n\u{1}\u{fc}".into(), ..segment(2, MIB) };
    assert_eq!(b.mount(A, odd.clone()), Ok(()));
    let name = Bytes::from_static(b"k\0\xff/\t");
    let items = vec![PutItem { key: name.clone(), size: 8 }];
    let config = prefer(&["host-1"]);
    b.run(&Request::PutStart { client: A, config, items });
    let items = vec![EndItem { key: name.clone(), checksum: None }];
    b.run(&Request::PutEnd { client: A, items, replica_type: ReplicaType::All });
    let (source, target) = ("host-1".to_owned(), odd.name);
    let done = b.run(&Request::CreateMoveTask { key: name, source, target }).response;
    assert!(matches!(done, Response::CreateMoveTask(Ok(_))), "{done:?}");
    let payload = b.fetch(A, 1).remove(0).payload;
    let want = concat!(
        r#"{"tenant_id":"default","key":"k\u0000"#,
        "\u{fffd}",
        r#"/\t","source":"host-1","target":"a\"b\\c\n\u0001"#,
        "\u{fc}",
        r#""}"#
    );
    assert_eq!(payload, want);
}

#[test]
fn the_largest_task_fits_an_entry_and_larger_ones_are_refused() {
    let b = bench(0);
    let names: Vec<String> = (0..20).map(|i| format!("{i:x<512}")).collect();
    for (i, name) in names.iter().enumerate() {
        let spec = SegmentSpec { name: name.clone(), ..segment(i as u64 + 1, MIB) };
        assert_eq!(b.mount(A, spec), Ok(()));
    }
    let long = "k".repeat(limits::KEY_BYTES_MAX);
    b.put(&long, 8);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(b.copy_task(&long, &names), Err(InvalidParams));
    assert_eq!(b.copy_task(&long, &vec![names[0]; 65]), Err(InvalidParams));
    b.copy_task(&long, &names[..16]).expect("8 KiB of names");
    b.replay_agrees();
}
