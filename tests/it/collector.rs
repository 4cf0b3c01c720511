//! An OTLP collector, over gRPC, for as long as the test lives.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::node::PATIENCE;

/// Trace and span.
pub(crate) type Id = (Vec<u8>, Vec<u8>);

pub(crate) fn id(span: &Span) -> Id {
    (span.trace_id.clone(), span.span_id.clone())
}

/// All spans so far, with the node that sent each.
#[derive(Debug, Default)]
struct Taken {
    spans: Mutex<Vec<(String, Span)>>,
    came: Notify,
    stopped: AtomicBool,
}

pub(crate) struct Collector {
    pub(crate) url: String,
    taken: Arc<Taken>,
    server: AbortHandle,
}

struct Door(Arc<Taken>);

#[tonic::async_trait]
impl TraceService for Door {
    async fn export(
        &self,
        r: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.take(r.into_inner())?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Taken {
    fn take(&self, request: ExportTraceServiceRequest) -> Result<(), Status> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Status::unavailable("the collector is gone"));
        }
        let mut spans = self.spans.lock();
        for resource in request.resource_spans {
            let about = resource.resource.map(|r| r.attributes).unwrap_or_default();
            let node = about.iter().find(|a| a.key == "service.instance.id").and_then(|a| a.value.clone());
            let node = match node.and_then(|value| value.value) {
                Some(Value::StringValue(name)) => name,
                other => return Err(Status::invalid_argument(format!("no node: {other:?}"))),
            };
            let sent = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(sent.map(|span| (node.clone(), span)));
        }
        drop(spans);
        self.came.notify_one();
        Ok(())
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::serve("http", Server::builder()).await
    }

    /// The same under TLS.
    pub(crate) async fn start_tls(identity: Identity) -> Self {
        let tls = ServerTlsConfig::new().identity(identity);
        Self::serve("https", Server::builder().tls_config(tls).expect("a sound identity")).await
    }

    async fn serve(scheme: &str, mut server: Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let taken = Arc::new(Taken::default());
        let service = TraceServiceServer::new(Door(Arc::clone(&taken))).max_decoding_message_size(64 << 20);
        let serving = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(serving).abort_handle();
        Self { url, taken, server }
    }

    /// The same over HTTP.
    pub(crate) async fn start_http() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
        let taken = Arc::new(Taken::default());
        let shared = Arc::clone(&taken);
        let take = async move |body: bytes::Bytes| {
            let taken = ExportTraceServiceRequest::decode(body).map(|request| shared.take(request));
            if matches!(taken, Ok(Ok(()))) { StatusCode::OK } else { StatusCode::BAD_REQUEST }
        };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, taken, server }
    }

    /// It takes no more, and nobody listens for new connections.
    pub(crate) fn stop(&self) {
        self.taken.stopped.store(true, Ordering::Relaxed);
        self.server.abort();
    }

    /// Waits until the spans are as wanted, and returns them.
    pub(crate) async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&[(String, Span)]) -> bool,
    ) -> Vec<(String, Span)> {
        let watch = async {
            loop {
                let came = self.taken.came.notified();
                let spans = self.taken.spans.lock().clone();
                if wanted(&spans) {
                    return spans;
                }
                came.await;
            }
        };
        let watched = tokio::time::timeout(2 * PATIENCE, watch).await;
        let counts = || {
            let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
            for (node, span) in self.taken.spans.lock().iter() {
                *counts.entry((node.clone(), span.name.clone())).or_default() += 1;
            }
            counts
        };
        watched.map_err(|_| format!("never: {what}; there are {:?}", counts())).expect("in time")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}
