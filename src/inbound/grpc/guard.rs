//! Who may order the node about, and follow it: whoever shows the token, or a
//! certificate of our authority. Nobody is asked where neither is configured.

use std::net::SocketAddr;
use std::sync::Arc;

use standfast_proto::v1;
use subtle::ConstantTimeEq;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Extensions, Request, Status};

/// What is asked of operators and peers.
#[derive(Clone, Default)]
pub struct Guard(Arc<Asked>);

#[derive(Default)]
struct Asked {
    token: Option<String>,
    certificate: bool,
}

impl Guard {
    /// Either is enough; with neither, everybody is let in.
    #[must_use]
    pub fn new(token: Option<String>, certificate: bool) -> Self {
        Self(Arc::new(Asked { token, certificate }))
    }

    /// How the caller has proved who it is.
    ///
    /// # Errors
    /// A refusal that says what to show.
    pub(super) fn admit(
        &self,
        metadata: &MetadataMap,
        extensions: &Extensions,
    ) -> Result<&'static str, Status> {
        let Asked { token, certificate } = &*self.0;
        if token.is_none() && !certificate {
            return Ok("none");
        }
        // rustls has verified it: others do not get so far.
        let shown = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
        if *certificate && shown.and_then(TlsConnectInfo::peer_certs).is_some_and(|c| !c.is_empty()) {
            return Ok("certificate");
        }
        let said = metadata.get("authorization").map(MetadataValue::as_bytes);
        let bearer = said.and_then(|v| v.strip_prefix(b"Bearer "));
        match (token, bearer) {
            (Some(token), Some(bearer)) if bool::from(token.as_bytes().ct_eq(bearer)) => Ok("token"),
            (Some(_), Some(_)) => {
                Err(refused("the token is not the one of this node", "give its file with --token-file"))
            }
            (Some(_), None) => Err(refused("no token was shown", "give its file with --token-file")),
            (None, _) => Err(refused(
                "no certificate was shown",
                "give one of this cluster's authority with --cert and --key",
            )),
        }
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

fn refused(text: &str, cure: &str) -> Status {
    let refusal = v1::Refusal::new(v1::RefusalCode::Unauthenticated, text);
    v1::Refusal { cure: cure.to_owned(), ..refusal }.into()
}

/// Where the caller is.
pub(super) fn address(extensions: &Extensions) -> Option<SocketAddr> {
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
    plain.or_else(|| tls.and_then(|t| t.get_ref().remote_addr()))
}
