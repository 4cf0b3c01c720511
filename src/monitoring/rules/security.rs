//! Who may give orders, and will clients be able to connect tomorrow.

use super::{Alert, Severity, Value, on};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    vec![certificate(s), port(s)]
}

fn certificate(s: &Settings) -> Alert {
    // promtool's time begins at 0, and it looks half an hour later.
    let ends = |share: f64| {
        let at = 1800.0 + (s.certificate.number() * share).round();
        vec![on("a", "standfast_tls_certificate_not_after_timestamp_seconds", "", format!("{at}x60"))]
    };
    Alert {
        name: "CertificateExpires",
        severity: Severity::Ticket,
        expr: format!(
            "standfast_tls_certificate_not_after_timestamp_seconds - time() < {}",
            s.certificate.number()
        ),
        hold: Value::Seconds(0),
        summary: "The certificate of a node's gRPC port ends soon: then nobody can connect.",
        text: "The certificate of {{ $labels.instance }} of cluster {{ $labels.cluster }} ends in {{ $value | humanizeDuration }}.",
        board: "process",
        settings: &["certificate"],
        silent: ends(1.5),
        firing: ends(0.5),
    }
}

fn port(s: &Settings) -> Alert {
    let open = |values: &str| vec![on("a", "standfast_port_open", "", values)];
    Alert {
        name: "PortOpen",
        severity: Severity::Ticket,
        expr: "standfast_port_open == 1".to_owned(),
        hold: s.open_for.clone(),
        summary: "Whoever reaches a node's gRPC port may give orders.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} asks nobody for a token or a certificate.",
        board: "process",
        settings: &["open_for"],
        silent: open("0x60"),
        firing: open("1x60"),
    }
}
