//! How a client of the demo finds the primary, and what it may conclude from an answer or from none.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_proto::access::Channel;
use standfast_proto::v1::master_client::MasterClient;
use standfast_proto::v1::{Refusal, RefusalCode};
use tonic::{Response, Status};

use super::super::client;

/// For one call of the workload.
const CALL_LIMIT: Duration = Duration::from_secs(2);
const OPEN_LIMIT: Duration = Duration::from_millis(500);

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    Reply(T),
    /// The master says so, or it was never sent: nothing was done.
    Refused,
    /// It may or may not have taken effect.
    Unknown,
}

/// The nodes, and which of them was the primary last.
pub(crate) struct Route {
    addrs: Vec<String>,
    best: Mutex<usize>,
}

impl Route {
    pub(crate) fn new(addrs: Vec<String>) -> Self {
        Self { addrs, best: Mutex::new(0) }
    }

    fn best(&self) -> String {
        self.addrs[*self.best.lock()].clone()
    }

    /// `addr` did not help: go on with its hint if it gave one, else with the next node. Does nothing where somebody
    /// else has turned away from `addr` already.
    fn turn_from(&self, addr: &str, hint: Option<&str>) {
        let mut best = self.best.lock();
        if self.addrs[*best] == addr {
            let hinted = hint.and_then(|hint| self.addrs.iter().position(|known| known == hint));
            *best = hinted.filter(|at| at != &*best).unwrap_or((*best + 1) % self.addrs.len());
        }
    }
}

/// One client with a connection of its own.
pub(crate) struct Caller {
    route: Arc<Route>,
    limit: Duration,
    open: Option<(String, MasterClient<Channel>)>,
}

impl Caller {
    pub(crate) fn new(route: Arc<Route>) -> Self {
        Self::with_limit(route, CALL_LIMIT)
    }

    /// One whose calls are given up after `limit`.
    pub(crate) fn with_limit(route: Arc<Route>, limit: Duration) -> Self {
        Self { route, limit, open: None }
    }

    /// Makes one call of whoever is believed to be the primary. Never repeats it: that is the caller's decision.
    pub(crate) async fn call<T, F>(&mut self, call: impl FnOnce(MasterClient<Channel>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (addr, client) = match self.open.take() {
            Some(open) => open,
            None => {
                let addr = self.route.best();
                match client::open(&addr, OPEN_LIMIT.min(self.limit)).await {
                    Ok(channel) => (addr, MasterClient::new(channel)),
                    Err(_) => {
                        self.route.turn_from(&addr, None);
                        return Answer::Refused;
                    }
                }
            }
        };
        let status = match client::within(self.limit, call(client.clone())).await {
            Ok(reply) => {
                self.open = Some((addr, client));
                return Answer::Reply(reply);
            }
            Err(status) => status,
        };
        // A status without a refusal was made by the transport: it says nothing about what the master did.
        let Some(refusal) = Refusal::from_status(&status) else {
            self.route.turn_from(&addr, None);
            return Answer::Unknown;
        };
        if refusal.code == i32::from(RefusalCode::NotPrimary) {
            self.route.turn_from(&addr, refusal.primary_addr.as_deref());
        } else {
            self.open = Some((addr, client));
        }
        if refusal.nothing_was_done() { Answer::Refused } else { Answer::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_followed_and_a_dead_end_left() {
        let route = Route::new(vec!["a".into(), "b".into(), "c".into()]);
        route.turn_from("a", Some("c"));
        assert_eq!(route.best(), "c");
        route.turn_from("a", None);
        assert_eq!(route.best(), "c", "somebody else had turned away already");
        route.turn_from("c", Some("c"));
        assert_eq!(route.best(), "a", "a node that names itself is no help");
        route.turn_from("a", Some("unheard of"));
        assert_eq!(route.best(), "b");
    }

    #[tokio::test]
    async fn what_was_never_sent_was_not_done() {
        let mut caller = Caller::new(Arc::new(Route::new(vec!["127.0.0.1:1".into()])));
        let answer: Answer<()> = caller.call(|_| async { Ok(Response::new(())) }).await;
        assert_eq!(answer, Answer::Refused);
    }
}
