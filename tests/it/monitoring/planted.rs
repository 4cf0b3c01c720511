//! Files that nodes are given, so that something is wrong from the start.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use standfast::outbound::BootClock;
use standfast::ports::Clock;

/// Flags of a node whose certificate ends in three days.
pub(crate) fn certificate(folder: &Path) -> String {
    let now = Duration::from_micros(BootClock.wall().0);
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(3 * 86_400);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    let [cert, secret] = ["a.pem", "a.key"].map(|name| folder.join(name));
    std::fs::write(&cert, made.pem()).expect("a file");
    std::fs::write(&secret, key.serialize_pem()).expect("a file");
    format!("--tls-cert {} --tls-key {}", cert.display(), secret.display())
}
