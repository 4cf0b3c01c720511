//! Files that nodes are given, so that something is wrong from the start.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use standfast::outbound::{BootClock, HistoryFile};
use standfast::ports::{Archive, Clock};
use standfast_proto::v1;

/// Into the file of a node's history: a role change a minute ago that has lost something.
pub(crate) fn loss(path: &Path) {
    let (history, _) = HistoryFile::open(path).expect("a file");
    let ago = BootClock.wall().0 as i64 - 60_000_000;
    history.keep(v1::RoleChange {
        id: format!("1-b-{ago}"),
        revision: 1,
        epoch: 1,
        kind: v1::RoleChangeKind::Failover.into(),
        cause: "operator".into(),
        reason: "a is down".into(),
        actor: "test".into(),
        from_node: Some("a".into()),
        to_node: "b".into(),
        started_unix_us: ago,
        phases: vec![v1::Phase { name: "promote".into(), start_us: 0, duration_us: 500_000 }],
        outage_us: Some(500_000),
        lost: Some(v1::Loss { entries: Some(7), ..Default::default() }),
        succeeded: Some(true),
        ..Default::default()
    });
    drop(history);
    // Its thread ends when the last row is written, and lets the file go.
    while HistoryFile::open(path).map_or(true, |(_, rows)| rows.is_empty()) {
        std::thread::yield_now();
    }
}

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
