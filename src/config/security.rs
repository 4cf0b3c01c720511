//! Who may order a node about, and follow it.

use std::path::PathBuf;

use clap::Args;
use standfast_proto::access::AccessFiles;

/// Flags of `serve` about security.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityArgs {
    /// File with the token that operators and other nodes show; the same on all
    /// nodes
    #[arg(long, value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,
    /// This node's certificate, PEM; gRPC is then served over TLS only
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Certificates of the authority, PEM: other nodes are believed by it, and
    /// operators and nodes may show a certificate of it in place of the token
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<PathBuf>,
}

/// Flags of `witness` about security: as those of `serve`, but with an authority
/// everybody has to show a certificate, for who writes here decides who leads.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Security")]
pub struct WitnessTlsArgs {
    /// The witness's certificate, PEM; it is then reached over TLS only, as
    /// witness+tls://HOST:PORT
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Certificates of the authority, PEM: nodes have to show a certificate of it
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<PathBuf>,
}

impl WitnessTlsArgs {
    /// What the flags say.
    #[must_use]
    pub fn config(&self) -> SecurityConfig {
        SecurityConfig::of(None, [&self.tls_cert, &self.tls_key, &self.tls_ca])
    }
}

/// Where secrets and certificates are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityConfig {
    /// The token's file.
    pub token: Option<PathBuf>,
    /// Certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authority.
    pub ca: Option<PathBuf>,
}

impl SecurityArgs {
    /// What the flags say.
    #[must_use]
    pub fn config(&self) -> SecurityConfig {
        SecurityConfig::of(self.operator_token_file.clone(), [&self.tls_cert, &self.tls_key, &self.tls_ca])
    }
}

impl SecurityConfig {
    /// What both programs' flags say: a certificate without its key, or the other way round, does not come here.
    fn of(token: Option<PathBuf>, [cert, key, ca]: [&Option<PathBuf>; 3]) -> Self {
        Self { token, identity: cert.clone().zip(key.clone()), ca: ca.clone() }
    }

    /// Operators and peers have to prove who they are.
    #[must_use]
    pub fn asks_for_proof(&self) -> bool {
        self.token.is_some() || self.ca.is_some()
    }

    /// How this node dials others. Without an authority TLS is believed by its own certificate.
    #[must_use]
    pub fn access(&self) -> AccessFiles {
        let own = self.identity.as_ref().map(|(certificate, _)| certificate.clone());
        AccessFiles {
            token: self.token.clone(),
            ca: self.ca.clone().or(own),
            system: false,
            identity: self.identity.clone().filter(|_| self.ca.is_some()),
        }
    }
}
