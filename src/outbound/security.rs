//! Secrets and certificates, read from their files once.

use std::path::Path;

use standfast_proto::access::{self, Access};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use x509_parser::pem::Pem;

use crate::config::SecurityConfig;

/// What the files hold.
#[derive(Debug)]
pub struct Secured {
    /// The token of operators and peers.
    pub token: Option<String>,
    /// How the gRPC port speaks TLS.
    pub tls: Option<ServerTlsConfig>,
    /// When the own certificate ends, in seconds since 1970.
    pub certificate_until: Option<i64>,
    /// How this node dials others.
    pub access: Access,
}

impl Secured {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn load(config: &SecurityConfig) -> Result<Self, String> {
        let token = config.token.as_ref().map(access::read_token).transpose()?;
        let access = Access::load(&config.access())?;
        let Some((certificate, key)) = &config.identity else {
            return Ok(Self { token, tls: None, certificate_until: None, access });
        };
        let pem = read(certificate)?;
        let until = ends(&pem)
            .map_err(|why| format!("{} holds no certificate: expected PEM, {why}", certificate.display()))?;
        let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(pem, read(key)?));
        if let Some(ca) = &config.ca {
            // Clients of the store have none: who needs one is asked by the guard.
            tls = tls.client_ca_root(Certificate::from_pem(read(ca)?)).client_auth_optional(true);
        }
        Ok(Self { token, tls: Some(tls), certificate_until: Some(until), access })
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
