//! The pages of `runbooks/`, compiled in: whoever is awake at three has them without a network.

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// That of the alert, or of a procedure with its folder: `NoPrimary`, `procedures/failover`.
    pub name: &'static str,
    /// Markdown.
    pub text: &'static str,
}

macro_rules! pages {
    ($($name:literal,)*) => {
        /// Alerts in the order of their groups, then procedures.
        pub const PAGES: &[Page] =
            &[$(Page { name: $name, text: include_str!(concat!("../../runbooks/", $name, ".md")) },)*];
    };
}

pages! {
    "NoPrimary",
    "ClusterDown",
    "TwoPrimaries",
    "PrimaryMayNotAnswer",
    "ErrorBudgetBurnsFast",
    "ErrorBudgetBurnsSlowly",
    "LatencyHigh",
    "FailoverHappened",
    "DrillRan",
    "AcknowledgedWritesLost",
    "TargetDown",
    "TelemetryDead",
    "StandbyNotPromotable",
    "RehearsalStale",
    "PromotableBudgetBurns",
    "InSyncSetSmall",
    "ReplicationLagHigh",
    "ReplicationStalled",
    "QuarantinedEntries",
    "ArbiterDown",
    "PausedTooLong",
    "FailoverStopped",
    "VerifyMismatch",
    "MemoryDamaged",
    "VerifyStale",
    "ClientsNotReattached",
    "ClientsExpired",
    "CapacityHigh",
    "AllocationFailures",
    "MemoryHigh",
    "FilesHigh",
    "LoopDelayHigh",
    "LoopStuck",
    "NodeRestarts",
    "VersionSkew",
    "ClockSkew",
    "NotificationsFail",
    "SpansLost",
    "CertificateExpires",
    "PortOpen",
    "procedures/switchover",
    "procedures/failover",
    "procedures/forced-failover",
    "procedures/rebuild-standby",
    "procedures/repair-mismatch",
    "procedures/etcd-outage",
    "procedures/rolling-upgrade",
    "procedures/nothing-serves",
    "procedures/drill",
}

impl Page {
    /// Its heading.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// Its first sentence under the heading `Meaning` or, of a procedure, under the title.
    #[must_use]
    pub fn gist(&self) -> &'static str {
        let lines = self.text.lines().skip(1).filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        lines.map(str::trim).next().unwrap_or_default()
    }

    /// Whether it is about an alert.
    #[must_use]
    pub fn is_alert(&self) -> bool {
        !self.name.contains('/')
    }

    fn answers_to(&self, asked: &str) -> bool {
        let bare = |name: &str| name.to_ascii_lowercase().replace(['-', '_', ' '], "");
        let (asked, name) = (bare(asked), bare(self.name));
        let short = name.rsplit('/').next() == Some(&asked);
        asked == name || short || asked.strip_prefix("standfast") == Some(&name)
    }
}

/// The page of that name: an alert with or without `Standfast`, or a procedure; case does not matter.
#[must_use]
pub fn find(asked: &str) -> Option<Page> {
    PAGES.iter().copied().find(|page| page.answers_to(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_answers_to_its_name_in_any_spelling() {
        for asked in ["NoPrimary", "noprimary", "StandfastNoPrimary", "no-primary"] {
            assert_eq!(find(asked).map(|p| p.name), Some("NoPrimary"), "{asked}");
        }
        for asked in ["procedures/rebuild-standby", "rebuild-standby", "Rebuild standby"] {
            assert_eq!(find(asked).map(|p| p.name), Some("procedures/rebuild-standby"), "{asked}");
        }
        assert_eq!(find("NoSuchAlert"), None);
    }
}
