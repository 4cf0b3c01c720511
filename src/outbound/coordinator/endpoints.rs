//! Which of several endpoints is spoken to: one at a time, the next one after
//! a fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use standfast_proto::access::{SharedAccess, root_cause};
use standfast_proto::etcdserverpb::AuthenticateRequest;
use standfast_proto::etcdserverpb::auth_client::AuthClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use crate::ports::CoordinatorFault;

/// How to speak to a coordinator.
#[derive(Debug, Clone)]
pub struct CoordinatorOptions {
    /// `host:port` of each member.
    pub endpoints: Vec<String>,
    /// How its members are dialled: over TLS or not.
    pub access: SharedAccess,
    /// Who we are, where the coordinator wants to know.
    pub credentials: Option<Credentials>,
    /// Longest wait for an answer (PROTOCOL T6).
    pub call_deadline: Duration,
}

/// A name and a password.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A connection to one endpoint.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) channel: Channel,
    token: Option<MetadataValue<Ascii>>,
    pub(super) endpoint: Arc<str>,
    number: u64,
    /// Over TLS, and nothing was heard yet: whether our certificate is accepted is not known (TLS 1.3).
    untried: Arc<AtomicBool>,
}

impl Session {
    /// A request that only a member with a leader answers, in our name.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    /// It has answered.
    pub(super) fn heard(&self) {
        self.untried.store(false, Ordering::Relaxed);
    }

    /// What a broken connection means.
    fn broken(&self, what: String) -> String {
        let what = explained(what);
        let unexplained = self.untried.load(Ordering::Relaxed) && !what.contains("see --coordinator");
        if unexplained { format!("{what}, over TLS: {OTHER_CERTIFICATE}") } else { what }
    }

    pub(super) fn no_answer(&self, what: impl Into<String>) -> CoordinatorFault {
        CoordinatorFault::NoAnswer { endpoint: self.endpoint.to_string(), what: what.into() }
    }

    /// What an error of the coordinator means.
    pub(super) fn fault(&self, status: &tonic::Status) -> CoordinatorFault {
        use tonic::Code::{
            FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented,
        };
        let what = match std::error::Error::source(status) {
            Some(source) => self.broken(root_cause(source)),
            None => {
                self.heard();
                status.message().to_owned()
            }
        };
        match status.code() {
            InvalidArgument | PermissionDenied | Unauthenticated | FailedPrecondition | Unimplemented => {
                CoordinatorFault::Refused { endpoint: self.endpoint.to_string(), what }
            }
            _ => self.no_answer(what),
        }
    }
}

/// The endpoints and the connection in use.
pub(super) struct Endpoints {
    options: CoordinatorOptions,
    state: Mutex<State>,
    /// One connects, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
}

struct State {
    session: Option<Session>,
    /// Index of the endpoint that is tried next.
    next: usize,
    sessions: u64,
}

impl Endpoints {
    pub(super) fn new(options: CoordinatorOptions) -> Self {
        let state = State { session: None, next: 0, sessions: 0 };
        Self { options, state: Mutex::new(state), connecting: tokio::sync::Mutex::new(()) }
    }

    pub(super) fn speak_tls(&self) -> bool {
        self.options.access.get().speaks_tls()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.options.call_deadline
    }

    /// The connection in use, or a new one to the first endpoint that accepts
    /// one. The caller limits the time.
    pub(super) async fn session(&self) -> Result<Session, CoordinatorFault> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let _one = self.connecting.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let mut last = CoordinatorFault::NoAnswer {
            endpoint: self.options.endpoints.join(","),
            what: "no endpoint is configured".to_owned(),
        };
        for _ in 0..self.options.endpoints.len() {
            let at = self.state.lock().next % self.options.endpoints.len();
            match self.connect(&self.options.endpoints[at]).await {
                Ok(session) => {
                    self.state.lock().session = Some(session.clone());
                    return Ok(session);
                }
                Err(fault) => {
                    self.state.lock().next = at + 1;
                    last = fault;
                }
            }
        }
        Err(last)
    }

    fn current(&self) -> Option<Session> {
        self.state.lock().session.clone()
    }

    /// Speaks to the next endpoint from now on, unless that was done already.
    pub(super) fn leave(&self, session: &Session) {
        let mut state = self.state.lock();
        if state.session.as_ref().is_some_and(|s| s.number == session.number) {
            state.session = None;
            state.next = state.next.wrapping_add(1);
        }
    }

    async fn connect(&self, address: &str) -> Result<Session, CoordinatorFault> {
        let no_answer = |what: String| CoordinatorFault::NoAnswer { endpoint: address.to_owned(), what };
        let endpoint = self.options.access.get().endpoint(address).map_err(no_answer)?;
        // A part of the deadline, so that the next endpoint has its chance, too.
        let share = self.options.call_deadline / (self.options.endpoints.len() as u32 + 1);
        let endpoint = endpoint.connect_timeout(share).tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(|e| no_answer(explained(root_cause(&e))))?;
        let number = {
            let mut state = self.state.lock();
            state.sessions += 1;
            state.sessions
        };
        let untried = Arc::new(AtomicBool::new(self.speak_tls()));
        let mut session = Session { channel, token: None, endpoint: address.into(), number, untried };
        if let Some(who) = &self.options.credentials {
            session.token = Some(authenticate(&session, who).await?);
        }
        Ok(session)
    }
}

/// Under TLS 1.3 that is said after the connection is there, and the message may be lost with it.
pub(super) const OTHER_CERTIFICATE: &str =
    "it may want another certificate of this node: see --coordinator-cert";

/// What a fault of TLS means for whoever has to cure it.
fn explained(what: String) -> String {
    let cure = if what.contains("invalid peer certificate") {
        "its certificate is not believed: see --coordinator-ca"
    } else if what.contains("received fatal alert") {
        OTHER_CERTIFICATE
    } else if what.contains("InvalidContentType") {
        "it speaks no TLS: see --coordinator"
    } else {
        return what;
    };
    format!("{what}: {cure}")
}

async fn authenticate(
    session: &Session,
    who: &Credentials,
) -> Result<MetadataValue<Ascii>, CoordinatorFault> {
    let request = AuthenticateRequest { name: who.user.clone(), password: who.password.clone() };
    let mut client = AuthClient::new(session.channel.clone());
    let answer = client.authenticate(request).await.map_err(|s| session.fault(&s))?;
    answer.into_inner().token.parse().map_err(|_| session.no_answer("its token is no header value"))
}
