//! Recording beside the console: a thread writes, so that a slow disk never holds up the screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::msg::{Msg, Recorded};
use crate::record::{Record, Recorder};
use crate::time::Time;

/// Messages that may wait for the disk; more are dropped and counted.
const WAITING_MAX: usize = 1024;

/// A recording under way.
pub(crate) struct Recording {
    records: SyncSender<Record>,
    state: Arc<State>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    bytes: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicBool,
}

impl Recording {
    /// Writes with `recorder` until [`Recording::finish`].
    pub(crate) fn start(recorder: Recorder) -> Self {
        let (records, inbox) = sync_channel(WAITING_MAX);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || write(recorder, &inbox, &shared));
        Self { records, state, thread }
    }

    /// Keeps what a recording holds of `msg`.
    pub(crate) fn keep(&self, at: Time, msg: &Msg) {
        let blank = Record { at_ms: at.0, ..Record::default() };
        let record = match msg {
            Msg::Said { addr, update } => {
                Record { addr: addr.clone(), update: Some((**update).clone()), ..blank }
            }
            Msg::Lost { addr, why, .. } => Record { addr: addr.clone(), lost: Some(why.clone()), ..blank },
            Msg::Acted { act, outcome } => Record { acted: Some(act.event(at, outcome)), ..blank },
            _ => return,
        };
        if self.records.try_send(record).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How it goes.
    pub(crate) fn state(&self) -> Recorded {
        Recorded {
            bytes: self.state.bytes.load(Ordering::Relaxed),
            dropped: self.state.dropped.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) -> Recorded {
        let Self { records, state, thread } = self;
        drop(records);
        let failed = thread.join().is_err() || state.failed.load(Ordering::Relaxed);
        Recorded {
            bytes: state.bytes.load(Ordering::Relaxed),
            dropped: state.dropped.load(Ordering::Relaxed),
            failed,
        }
    }
}

fn write(mut recorder: Recorder, inbox: &Receiver<Record>, state: &State) {
    for record in inbox {
        if recorder.write(&record).is_err() {
            state.failed.store(true, Ordering::Relaxed);
            return;
        }
        state.bytes.store(recorder.bytes(), Ordering::Relaxed);
    }
}
