//! The guard at the gRPC door.

use standfast_proto::v1;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Extensions, Request, Status};

use super::connection::{address, tls};
use crate::inbound::guard::{Guard, NoProof};

impl Guard {
    /// How the caller has proved who it is.
    ///
    /// # Errors
    /// A refusal that says what to show.
    pub(super) fn admit(
        &self,
        metadata: &MetadataMap,
        extensions: &Extensions,
    ) -> Result<&'static str, Status> {
        // rustls has verified it: others do not get so far.
        let certified = tls(extensions).and_then(TlsConnectInfo::peer_certs).is_some_and(|c| !c.is_empty());
        let said = metadata.get("authorization").map(MetadataValue::as_bytes);
        self.judge(certified, said).map_err(refused)
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match self.admit(request.metadata(), request.extensions()) {
            Ok(_) => Ok(request),
            Err(refusal) => {
                let peer = address(request.extensions()).map(|a| a.to_string());
                tracing::warn!(target: "audit", code = "audit", call = "peer", peer, outcome = refusal.message(), "a peer is refused");
                Err(refusal)
            }
        }
    }
}

fn refused(NoProof { text, cure }: NoProof) -> Status {
    let refusal = v1::Refusal::new(v1::RefusalCode::Unauthenticated, text);
    v1::Refusal { cure: cure.to_owned(), ..refusal }.into()
}
