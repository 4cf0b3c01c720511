//! How the gRPC port is secured, and what is wrong with that.

use std::time::Duration;

use standfast_kernel::types::WallTime;
use standfast_proto::v1;

/// A certificate that ends within this is to be replaced.
const RENEW_WITHIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// How the gRPC port is secured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityFacts {
    /// TLS is spoken.
    pub tls: bool,
    /// A certificate of our authority proves who somebody is.
    pub client_certificates: bool,
    /// A token does.
    pub token: bool,
    /// Other machines can connect.
    pub exposed: bool,
    /// The own certificate ends then, in seconds since 1970.
    pub certificate_until: Option<i64>,
    /// Why new files of certificates are not used; `None` = what they hold is in force.
    pub certificate_refused: Option<String>,
}

impl SecurityFacts {
    /// Whoever reaches the port may give orders, or pretend to be a node.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.exposed && !self.token && !self.client_certificates
    }

    pub(super) fn to_wire(&self) -> v1::Security {
        v1::Security {
            tls: self.tls,
            client_certificates: self.client_certificates,
            token: self.token,
            exposed: self.exposed,
            certificate_until_unix_us: self.certificate_until.map(|s| s.saturating_mul(1_000_000)),
        }
    }

    pub(super) fn findings(&self, now: WallTime) -> Vec<v1::Finding> {
        let open = self.is_open().then(|| {
            let text = "whoever reaches the gRPC port may give orders and pose as a node: there is neither a token \
                        nor an authority";
            let cure = "standfast serve with --operator-token-file, or --tls-cert, --tls-key and --tls-ca";
            finding("port_open", v1::Severity::Warning, text.to_owned(), cure)
        });
        let refused = self.certificate_refused.as_ref().map(|why| {
            let text = format!("new certificates are not used, the former ones are: {why}");
            let cure = "put sound files in their place: the node looks at them every few seconds";
            finding("certificate_refused", v1::Severity::Warning, text, cure)
        });
        open.into_iter().chain(refused).chain(self.expiry(now)).collect()
    }

    fn expiry(&self, now: WallTime) -> Option<v1::Finding> {
        let left = self.certificate_until? - (now.0 / 1_000_000) as i64;
        let days = left / (24 * 3600);
        let cure =
            "put a new certificate and its key in the place of the files: the node takes them up by itself";
        if left <= 0 {
            let text = "the certificate has ended: nobody can connect any more".to_owned();
            return Some(finding("certificate_ended", v1::Severity::Critical, text, cure));
        }
        (left <= RENEW_WITHIN.as_secs() as i64).then(|| {
            let text = format!("the certificate ends in {days} days: then nobody can connect any more");
            finding("certificate_ends", v1::Severity::Warning, text, cure)
        })
    }
}

fn finding(code: &str, severity: v1::Severity, text: String, cure: &str) -> v1::Finding {
    v1::Finding {
        code: code.to_owned(),
        severity: severity.into(),
        text,
        since_unix_us: 0,
        runbook: String::new(),
        cure: cure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn codes(facts: &SecurityFacts) -> Vec<String> {
        facts.findings(WallTime(1_000 * DAY as u64 * 1_000_000)).into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn an_open_port_and_an_old_certificate_are_found() {
        let facts = SecurityFacts::default();
        assert_eq!(codes(&facts), [""; 0], "only this machine can connect");
        let exposed = || SecurityFacts { exposed: true, ..SecurityFacts::default() };
        assert_eq!(codes(&exposed()), ["port_open"]);
        assert_eq!(codes(&SecurityFacts { tls: true, ..exposed() }), ["port_open"], "encrypted is not known");
        assert_eq!(codes(&SecurityFacts { token: true, ..exposed() }), [""; 0]);
        assert_eq!(codes(&SecurityFacts { client_certificates: true, ..exposed() }), [""; 0]);
        let refused = Some("it has ended".to_owned());
        let facts = SecurityFacts { certificate_refused: refused, ..SecurityFacts::default() };
        assert_eq!(codes(&facts), ["certificate_refused"]);
        let until =
            |days| codes(&SecurityFacts { certificate_until: Some(days * DAY), ..SecurityFacts::default() });
        assert_eq!(until(1_000), ["certificate_ended"]);
        assert_eq!(until(1_014), ["certificate_ends"]);
        assert_eq!(until(1_015), [""; 0]);
    }
}
