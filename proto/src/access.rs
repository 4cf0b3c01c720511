//! How a program dials nodes: over TLS or not, and as whom.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// A connection that shows who it is with each call.
pub type Channel = InterceptedService<tonic::transport::Channel, Bearer>;

/// Files that say how to dial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// Holds the token of operators and peers.
    pub token: Option<PathBuf>,
    /// Certificates of whom we believe; TLS is spoken when it is given.
    pub ca: Option<PathBuf>,
    /// Without `ca`: TLS is spoken all the same, with whom the system trusts.
    pub system: bool,
    /// Our own certificate, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How to dial, and as whom.
#[derive(Clone, Default)]
pub struct Access {
    tls: Option<ClientTlsConfig>,
    bearer: Bearer,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tls, token) = (self.tls.is_some(), self.bearer.0.is_some());
        f.debug_struct("Access").field("tls", &tls).field("token", &token).finish()
    }
}

/// Shows the token, if there is one.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Reads a token: one line without white space around it.
///
/// # Errors
/// Names the file, and what was expected.
pub fn read_token(file: &PathBuf) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let token = text.trim();
    let visible = token.bytes().all(|b| b.is_ascii_graphic());
    if token.len() < TOKEN_MIN || !visible {
        return Err(format!(
            "{} holds no token: expected one line of at least {TOKEN_MIN} visible ASCII characters",
            file.display()
        ));
    }
    Ok(token.to_owned())
}

/// Characters of a token: fewer can be guessed.
const TOKEN_MIN: usize = 16;

impl Access {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn load(files: &AccessFiles) -> Result<Self, String> {
        let pem =
            |file: &PathBuf| std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()));
        let ca = files.ca.as_ref().map(pem).transpose()?;
        let tls = match ca {
            Some(ca) => Some(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca))),
            None => files.system.then(|| ClientTlsConfig::new().with_native_roots()),
        };
        let tls = match (tls, &files.identity) {
            (Some(tls), Some((certificate, key))) => {
                Some(tls.identity(Identity::from_pem(pem(certificate)?, pem(key)?)))
            }
            (tls, _) => tls,
        };
        let token = files.token.as_ref().map(read_token).transpose()?;
        // Visible ASCII is always a header's value.
        let bearer = Bearer(token.and_then(|t| format!("Bearer {t}").parse().ok()));
        Ok(Self { tls, bearer })
    }

    /// What is dialled at this `host:port`.
    ///
    /// # Errors
    /// When it is no address, or TLS cannot be spoken with what the files hold.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|_| format!("`{address}` is not an address: expected host:port"))?;
        match &self.tls {
            Some(tls) => endpoint
                .tls_config(tls.clone())
                .map_err(|e| format!("TLS cannot be spoken with these certificates: {}", root_cause(&e))),
            None => Ok(endpoint),
        }
    }

    /// The same token, with the certificates of the other.
    #[must_use]
    pub fn with_certificates_of(&self, other: Self) -> Self {
        Self { tls: other.tls, bearer: self.bearer.clone() }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Shows who we are on this connection.
    #[must_use]
    pub fn sign(&self, channel: tonic::transport::Channel) -> Channel {
        InterceptedService::new(channel, self.bearer.clone())
    }
}

/// How to dial, for connections to come: certificates are replaced now and then.
#[derive(Debug, Clone, Default)]
pub struct SharedAccess(Arc<RwLock<Arc<Access>>>);

impl SharedAccess {
    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Arc<Access> {
        Arc::clone(&self.0.read())
    }

    /// Dials like this from now on.
    pub fn replace(&self, access: Access) {
        *self.0.write() = Arc::new(access);
    }
}

impl From<Access> for SharedAccess {
    fn from(access: Access) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(access))))
    }
}

static OWN: OnceLock<SharedAccess> = OnceLock::new();

/// Says once how this process dials: its flags say so, for all that it does.
pub fn set_own(access: SharedAccess) {
    // A second word would come too late for what was dialled already.
    let _ = OWN.set(access);
}

/// How this process dials now.
#[must_use]
pub fn own() -> Arc<Access> {
    OWN.get_or_init(SharedAccess::default).get()
}

/// The innermost cause: "connection refused" rather than "transport error".
#[must_use]
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
