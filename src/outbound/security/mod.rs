//! Secrets and certificates, read from their files.

mod listener;
mod reload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use standfast_proto::access::{self, Access, AccessFiles, SharedAccess};
use x509_parser::pem::Pem;

use crate::config::SecurityConfig;
pub use listener::{ServerTls, over_tls, plain};
use reload::{InUse, contents};
pub use reload::{Looked, Reloader};

/// Who connects to a port with an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitors {
    /// May show a certificate: clients of the store have none, and who needs one is asked by the guard.
    MayShow,
    /// Have to show one.
    MustShow,
}

/// What the files hold.
#[derive(Debug)]
pub struct Secured {
    /// The token of operators and peers.
    pub token: Option<String>,
    /// How the gRPC port speaks TLS.
    pub tls: Option<ServerTls>,
    /// When the own certificate ends, in seconds since 1970.
    pub certificate_until: Option<i64>,
    /// How this process dials others.
    pub access: SharedAccess,
    /// How it dials the coordinator.
    pub coordinator: SharedAccess,
    /// Replaces certificates when their files change.
    pub reloader: Reloader,
}

impl Secured {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn load(
        config: &SecurityConfig,
        coordinator: Option<&AccessFiles>,
        visitors: Visitors,
    ) -> Result<Self, String> {
        let in_force = contents(config, coordinator);
        let token = config.token.as_ref().map(access::read_token).transpose()?;
        let (server, certificate_until) = server(config, visitors)?.unzip();
        let tls = server.map(ServerTls::new);
        let access: SharedAccess = dialling(&config.access())?.into();
        let to_coordinator: SharedAccess = coordinator.map(dialling).transpose()?.unwrap_or_default().into();
        let in_use = InUse {
            tls: tls.clone(),
            until: certificate_until,
            access: access.clone(),
            to_coordinator: to_coordinator.clone(),
        };
        let reloader = Reloader::new(config.clone(), coordinator.cloned(), visitors, in_force, in_use);
        Ok(Self { token, tls, certificate_until, access, coordinator: to_coordinator, reloader })
    }
}

/// How to dial; the certificates are looked at now rather than with the first connection.
fn dialling(files: &AccessFiles) -> Result<Access, String> {
    let access = Access::load(files)?;
    access.endpoint("localhost:1").map_err(|why| {
        let named = |file: &PathBuf| file.display().to_string();
        let identity = files.identity.iter().flat_map(|(certificate, key)| [named(certificate), named(key)]);
        let files: Vec<String> = files.ca.iter().map(named).chain(identity).collect();
        format!("{why}; expected PEM in {}", files.join(", "))
    })?;
    Ok(access)
}

/// How the port speaks TLS, and when its certificate ends.
fn server(config: &SecurityConfig, visitors: Visitors) -> Result<Option<(ServerConfig, i64)>, String> {
    let Some((certificate, key)) = &config.identity else { return Ok(None) };
    let chain = certificates(certificate)?;
    let until = ends(&read(certificate)?)
        .map_err(|why| format!("{} holds no certificate: expected PEM, {why}", certificate.display()))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|why| format!("{} holds no private key: expected PEM, {why}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = match &config.ca {
        Some(ca) => verifier(ca, visitors)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be spoken: {e}"))?
        .with_client_cert_verifier(verifier);
    let mut server = builder
        .with_single_cert(chain, private)
        .map_err(|e| format!("{} and {} do not go together: {e}", certificate.display(), key.display()))?;
    // gRPC is spoken over HTTP/2 only.
    server.alpn_protocols.push(b"h2".to_vec());
    Ok(Some((server, until)))
}

fn verifier(ca: &Path, visitors: Visitors) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match visitors {
        Visitors::MayShow => builder.allow_unauthenticated(),
        Visitors::MustShow => builder,
    };
    builder.build().map_err(|e| format!("{} holds no authority: expected PEM, {e}", ca.display()))
}

/// At least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("{} holds no certificate: expected PEM, and there is nothing", file.display())),
        Err(why) => Err(format!("{} holds no certificate: expected PEM, {why}", file.display())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

/// When the first certificate of this text ends.
fn ends(pem: &[u8]) -> Result<i64, String> {
    let first = Pem::iter_from_buffer(pem).next().ok_or("and there is nothing")?;
    let first = first.map_err(|e| e.to_string())?;
    let certificate = first.parse_x509().map_err(|e| e.to_string())?;
    Ok(certificate.validity().not_after.timestamp())
}
