//! The coordinator's side of a node (plan: `MasterServiceSupervisor`): carries
//! out what the leadership machine wants on the records, and tells it what it
//! hears. On a thread of its own, so that a busy runtime delays no renewal.

use std::sync::Arc;
use std::thread;

use standfast_kernel::coordination::{Transaction, TransactionOutcome};
use standfast_kernel::supervisor::{CallId, LeadershipEvent};
use tokio::sync::mpsc;

use super::driver::Command;
use crate::ports::{Clock, Coordinator, News, Shelf};
use crate::telemetry::Durations;

/// Requests on their way to the thread. One of each kind is on its way at a time.
const REQUESTS_MAX: usize = 64;

#[derive(Debug)]
enum Ask {
    Transact(CallId, Box<Transaction>),
    Read,
    /// Which changes of the holder are on record, so that the oldest go.
    Histories,
}

/// A node's way to its coordinator.
#[derive(Debug)]
pub struct MasterServiceSupervisor {
    asks: mpsc::Sender<Ask>,
    commands: mpsc::Sender<Command>,
}

impl MasterServiceSupervisor {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<C: Coordinator>(
        coordinator: C,
        commands: mpsc::Sender<Command>,
        clock: Arc<dyn Clock>,
        durations: Arc<Durations>,
    ) -> std::io::Result<Self> {
        let (asks, requests) = mpsc::channel(REQUESTS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let keeper =
            Keeper { coordinator: Arc::new(coordinator), commands: commands.clone(), clock, durations };
        thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || runtime.block_on(keeper.keep(requests)))?;
        Ok(Self { asks, commands })
    }

    pub(super) fn transact(&self, id: CallId, transaction: Box<Transaction>) {
        if self.asks.try_send(Ask::Transact(id, transaction)).is_ok() {
            return;
        }
        // Every transaction has an end: this one was not even sent.
        let outcome = TransactionOutcome::Unknown("the coordinator's thread does not keep up".to_owned());
        let commands = self.commands.clone();
        tokio::spawn(async move {
            // The driver is gone only when the node stops.
            let _ = commands.send(Command::Coordinator(LeadershipEvent::Done(id, outcome))).await;
        });
    }

    pub(super) fn read(&self) {
        // Full: it reads soon, and the watch tells everything anyway.
        let _ = self.asks.try_send(Ask::Read);
    }
}

struct Keeper<C> {
    coordinator: Arc<C>,
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    durations: Arc<Durations>,
}

impl<C: Coordinator> Keeper<C> {
    async fn keep(self, mut asks: mpsc::Receiver<Ask>) {
        let mut news = self.coordinator.follow();
        self.carry_out(Ask::Histories);
        loop {
            let told = tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => {
                        self.carry_out(ask);
                        true
                    }
                    None => return,
                },
                told = news.recv() => match told {
                    Some(told) => self.tell(event_of(told)).await,
                    None => return,
                },
            };
            if !told {
                return;
            }
        }
    }

    fn carry_out(&self, ask: Ask) {
        let (coordinator, commands) = (Arc::clone(&self.coordinator), self.commands.clone());
        let (clock, durations) = (Arc::clone(&self.clock), Arc::clone(&self.durations));
        tokio::spawn(async move {
            let begun = clock.now();
            let event = match ask {
                Ask::Transact(id, transaction) => {
                    LeadershipEvent::Done(id, coordinator.transact(&transaction).await)
                }
                Ask::Read => match coordinator.read().await {
                    Ok(records) => LeadershipEvent::Seen(records),
                    Err(fault) => LeadershipEvent::Lost(fault.to_string()),
                },
                Ask::Histories => match coordinator.list(Shelf::History).await {
                    Ok(records) => LeadershipEvent::Seen(records),
                    // Those that are heard of go later.
                    Err(fault) => return tracing::debug!("the history on record is not known: {fault}"),
                },
            };
            durations.coordinator_call.note(clock.now().since(begun));
            // The driver is gone only when the node stops.
            let _ = commands.send(Command::Coordinator(event)).await;
        });
    }

    async fn tell(&self, event: LeadershipEvent) -> bool {
        self.commands.send(Command::Coordinator(event)).await.is_ok()
    }
}

fn event_of(news: News) -> LeadershipEvent {
    match news {
        News::Seen(records) => LeadershipEvent::Seen(records),
        News::Lost(fault) => LeadershipEvent::Lost(fault.to_string()),
    }
}
