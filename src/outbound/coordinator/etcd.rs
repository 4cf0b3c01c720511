//! The port over etcd's API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use standfast_kernel::coordination::{Key, Records, Transaction, TransactionOutcome};
use standfast_kernel::types::ClusterId;
use standfast_proto::etcdserverpb::kv_client::KvClient;
use standfast_proto::etcdserverpb::{TxnRequest, TxnResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::endpoints::{CoordinatorOptions, Endpoints, OTHER_CERTIFICATE, Session};
use super::follow::follow;
use super::txn;
use crate::ports::{Coordinator, CoordinatorFault, News, Shelf};

/// News on its way before the watch must wait.
const NEWS_MAX: usize = 64;
/// Attempts of one call when the coordinator says for certain that it did nothing.
const ATTEMPTS: u32 = 2;

/// The records of one cluster in etcd, or in a witness.
#[derive(Clone)]
pub struct EtcdCoordinator {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) cluster: ClusterId,
    pub(super) endpoints: Endpoints,
    location: String,
    /// It has answered once.
    answered: AtomicBool,
}

impl EtcdCoordinator {
    /// Connects when it is first used.
    #[must_use]
    pub fn new(cluster: ClusterId, options: CoordinatorOptions) -> Self {
        let location = options.endpoints.join(",");
        let answered = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { cluster, endpoints: Endpoints::new(options), location, answered }) }
    }
}

impl Shared {
    /// One transaction within the deadline. After a fault the next call goes to
    /// the next endpoint.
    async fn call(&self, request: TxnRequest) -> Result<TxnResponse, CoordinatorFault> {
        let until = Instant::now() + self.endpoints.deadline();
        let mut attempts = ATTEMPTS;
        loop {
            let connected = timeout_at(until, self.endpoints.session()).await;
            let session = connected.unwrap_or_else(|_| Err(self.too_late(&self.location)))?;
            let answered = timeout_at(until, self.attempt(&session, request.clone())).await;
            let fault = match answered.unwrap_or_else(|_| Err(self.too_late(&session.endpoint))) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            self.endpoints.leave(&session);
            attempts -= 1;
            // Refused before it was looked at, because a token had run out, say: nothing was done.
            if attempts == 0 || !matches!(fault, CoordinatorFault::Refused { .. }) {
                return Err(fault);
            }
        }
    }

    fn too_late(&self, endpoint: &str) -> CoordinatorFault {
        let mut what = format!("no answer within {} ms", self.endpoints.deadline().as_millis());
        // A connection that is refused for its certificate begins again and again.
        if self.endpoints.speak_tls() && !self.answered.load(Ordering::Relaxed) {
            what = format!("{what}, over TLS: {OTHER_CERTIFICATE}");
        }
        CoordinatorFault::NoAnswer { endpoint: endpoint.to_owned(), what }
    }

    async fn attempt(&self, session: &Session, request: TxnRequest) -> Result<TxnResponse, CoordinatorFault> {
        let mut request = session.request(request);
        // The coordinator, too, gives up in time; what it did by then stays done.
        request.set_timeout(self.endpoints.deadline());
        let answer = KvClient::new(session.channel.clone()).txn(request).await;
        if answer.is_ok() {
            session.heard();
            self.answered.store(true, Ordering::Relaxed);
        }
        answer.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => self.too_late(&session.endpoint),
            _ => session.fault(&status),
        })
    }

    pub(super) async fn read(&self) -> Result<Records, CoordinatorFault> {
        let answer = self.call(txn::read_request(&Key::GROUND, &self.cluster)).await?;
        txn::records(&Key::GROUND, &answer, &self.cluster)
    }
}

impl Coordinator for EtcdCoordinator {
    async fn read(&self) -> Result<Records, CoordinatorFault> {
        self.shared.read().await
    }

    async fn list(&self, shelf: Shelf) -> Result<Records, CoordinatorFault> {
        let cluster = &self.shared.cluster;
        let prefix = match shelf {
            Shelf::History => Key::history_prefix(cluster),
            Shelf::Rehearsals => Key::rehearsal_prefix(cluster),
        };
        let answer = self.shared.call(txn::list_request(&prefix)).await?;
        Ok(txn::listed(&answer, cluster))
    }

    async fn transact(&self, transaction: &Transaction) -> TransactionOutcome {
        let cluster = &self.shared.cluster;
        let answer = self.shared.call(txn::txn_request(transaction, cluster)).await;
        let outcome = answer.and_then(|answer| txn::outcome(transaction, &answer, cluster));
        outcome.unwrap_or_else(|fault| TransactionOutcome::Unknown(fault.to_string()))
    }

    fn follow(&self) -> mpsc::Receiver<News> {
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        tokio::spawn(follow(Arc::clone(&self.shared), news));
        receiver
    }

    fn location(&self) -> &str {
        &self.shared.location
    }
}
