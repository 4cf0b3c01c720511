//! The master that serves now, with the gate and the replies that wait for it.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use standfast_kernel::api::Request;
use standfast_kernel::master::{EvictionStats, Executed, Master};
use standfast_kernel::oplog::OpLogManager;
use standfast_kernel::replication::{Gate, PendingReplies};
use standfast_kernel::types::{Epoch, Instant};
use tokio::sync::{oneshot, watch};

use crate::ports::Clock;

/// From this many waiting replies on, those that nobody awaits are thrown out.
const PENDING_SWEEP: usize = 1024;
/// More replies than this do not wait: further calls are refused.
pub(super) const PENDING_MAX: usize = 65_536;

/// One epoch of serving.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) master: Arc<Master>,
    /// False once the term has ended. Requests execute under the read half, so
    /// that none appends to a log that follows another primary already.
    open: RwLock<bool>,
    log: OpLogManager,
    gate: RwLock<Gate>,
    pending: Mutex<PendingReplies<oneshot::Sender<()>>>,
    /// When the first read and the first write were answered.
    answered: [OnceLock<Instant>; 2],
}

/// How a reply's wait for its position ended.
#[derive(Debug)]
pub(super) enum Wait {
    /// It may leave now.
    Now,
    /// It may leave when this resolves; never, when the sender is dropped.
    Later(oneshot::Receiver<()>),
}

impl Term {
    fn new(master: Arc<Master>, log: OpLogManager, gate: Gate) -> Self {
        Self {
            master,
            open: RwLock::new(true),
            log,
            gate: RwLock::new(gate),
            pending: Mutex::new(PendingReplies::default()),
            answered: Default::default(),
        }
    }

    /// True when no more replies may wait.
    pub(super) fn is_full(&self) -> bool {
        self.pending.lock().len() >= PENDING_MAX
    }

    /// Why this node may answer nothing now; `None` when it may.
    pub(super) fn refuses_answers(&self, now: Instant) -> Option<&'static str> {
        self.gate.read().refuses_answers(now)
    }

    /// A request was answered. A lender's sign of life is none of somebody who waits.
    pub(super) fn has_answered(&self, request: &Request, at: Instant) {
        if !matches!(request, Request::Ping { .. }) {
            self.answered[usize::from(request.is_mutation())].get_or_init(|| at);
        }
    }

    /// Why a request may not be executed now although this node answers.
    pub(super) fn refuses(&self, request: &Request, now: Instant) -> Option<&'static str> {
        let mutates = request.is_mutation();
        mutates.then(|| self.gate.read().refuses_writes(self.log.tail(), now)).flatten()
    }

    /// Executes one request and asks the gate for its reply; `None` when the
    /// term has ended, and then nothing was done.
    pub(super) fn execute(&self, request: &Request, clock: &dyn Clock) -> Option<(Executed, Wait)> {
        let open = self.open.read();
        if !*open {
            return None;
        }
        let executed = self.master.execute(clock.now(), clock.wall(), request);
        let wait = self.wait(&executed, clock);
        Some((executed, wait))
    }

    /// Waits for what executes now; nothing executes afterwards.
    fn close(&self) {
        *self.open.write() = false;
        drop(self.pending.lock().drain());
    }

    /// Keeps a reply that may not leave yet.
    fn wait(&self, executed: &Executed, clock: &dyn Clock) -> Wait {
        let Executed { depends_on, byte_critical, .. } = *executed;
        // The gate is read under the mutex: a commit that comes after this
        // reading finds the reply in the queue.
        let mut pending = self.pending.lock();
        let gate = *self.gate.read();
        if gate.may_answer(clock.now()) && gate.committed(depends_on, byte_critical, self.log.tail()) {
            return Wait::Now;
        }
        if pending.len() >= PENDING_SWEEP {
            pending.retain(|reply| !reply.is_closed());
        }
        let (tx, rx) = oneshot::channel();
        pending.add(depends_on, byte_critical, tx);
        Wait::Later(rx)
    }

    /// Lets replies go whose time has come. The clock is looked at last: what
    /// this thread slept through before may have ended the right to answer.
    fn release(&self, clock: &dyn Clock) {
        let gate = *self.gate.read();
        let mut pending = self.pending.lock();
        let tail = self.log.tail();
        let ready = pending.release(&gate, tail, clock.now());
        drop(pending);
        for reply in ready {
            // A caller that went away needs no answer.
            let _ = reply.send(());
        }
    }
}

/// Where requests find the current term, if this node serves.
#[derive(Debug, Default)]
pub struct ServingCell {
    term: RwLock<Option<Arc<Term>>>,
    /// The term's epoch, for those who wait for it to begin or end.
    epoch: watch::Sender<Option<Epoch>>,
}

impl ServingCell {
    pub(super) fn current(&self) -> Option<Arc<Term>> {
        self.term.read().clone()
    }

    /// The epoch in which this node serves, while it does.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Epoch>> {
        self.epoch.subscribe()
    }

    /// When this term answered a client's first read, and its first write.
    pub(super) fn first_answers(&self) -> [Option<Instant>; 2] {
        let of = |t: Arc<Term>| [0, 1].map(|kind| t.answered[kind].get().copied());
        self.current().map_or([None; 2], of)
    }

    /// Replies that wait.
    pub(super) fn pending(&self) -> u64 {
        self.current().map_or(0, |t| t.pending.lock().len() as u64)
    }

    /// What eviction came to in this term, while there is one.
    pub(super) fn eviction(&self) -> Option<EvictionStats> {
        self.current().map(|t| t.master.eviction_stats())
    }

    /// Begins a term whose gate is closed until the machine says otherwise.
    pub(super) fn serve(&self, master: Arc<Master>, log: OpLogManager, closed: Gate) {
        let epoch = master.epoch();
        *self.term.write() = Some(Arc::new(Term::new(master, log, closed)));
        self.epoch.send_replace(Some(epoch));
    }

    /// Judges replies by this gate from now on.
    pub(super) fn set_gate(&self, gate: Gate, clock: &dyn Clock) {
        if let Some(term) = self.current().filter(|t| t.epoch() == gate.epoch) {
            *term.gate.write() = gate;
            term.release(clock);
        }
    }

    /// Ends the term. Replies that wait are never sent: their outcome is
    /// unknown to their clients (PROTOCOL T5).
    pub(super) fn stop(&self) {
        let ended = self.term.write().take();
        self.epoch.send_replace(None);
        if let Some(term) = ended {
            term.close();
        }
    }
}

impl Term {
    pub(super) fn epoch(&self) -> Epoch {
        self.master.epoch()
    }
}

#[cfg(test)]
#[path = "serving_tests.rs"]
mod tests;
