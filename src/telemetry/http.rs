//! HTTP clients, with TLS where the address says `https`.

use std::time::Duration;

/// A client for this address, with a limit for each request. Whom it trusts under `https` the system says:
/// its certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
///
/// # Errors
/// When the system has no certificates, for an `https` address.
pub fn http_client(address: &str, limit: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // Whichever provider was installed first serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().timeout(limit);
    // Plain HTTP trusts nobody: a system without certificates is no reason to fail.
    let client = if address.starts_with("https:") { client } else { client.tls_certs_only([]) };
    client.build()
}
