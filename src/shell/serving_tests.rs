use standfast_kernel::master::{MasterStart, MasterTimes};
use standfast_kernel::replication::Admission;
use standfast_kernel::store::MetadataStore;
use standfast_kernel::types::{AckMode, Seq, WallTime};

use super::*;

/// A clock that stands still.
struct At(u64);

impl Clock for At {
    fn now(&self) -> Instant {
        Instant(self.0)
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

/// Everything is committed; the right to answer ends then.
fn gate(rights_until: u64) -> Gate {
    Gate {
        epoch: Epoch(1),
        serve_at: Instant(0),
        rights_until: Instant(rights_until),
        doubted: false,
        commit: Seq(1_000),
        ack: AckMode::Sync,
        admission: Admission::OPEN,
    }
}

#[test]
fn a_reply_is_not_released_by_a_right_that_ended_while_this_thread_slept() {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(standfast_kernel::oplog::LogLimits::default());
    let zero = Instant(0);
    let start = MasterStart { epoch: Epoch(1), since: zero, hold_until: zero, seed: 1, sabotage: None };
    let master = Master::new(store, log.clone(), MasterTimes::default(), &start);
    let cell = ServingCell::default();
    cell.serve(Arc::new(master), log, gate(0));
    let term = cell.current().expect("it serves");
    let ask = || match term.execute(&Request::ExistKey { keys: vec!["k".into()] }, &At(5)) {
        Some((_, Wait::Later(reply))) => reply,
        other => unreachable!("the gate is closed: {other:?}"),
    };
    let mut reply = ask();
    // The machine judged at 9; the thread got to it at 11.
    cell.set_gate(gate(10), &At(11));
    assert_eq!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    cell.set_gate(gate(20), &At(12));
    assert_eq!(reply.try_recv(), Ok(()));
}
