//! Which coordinator keeps the record, and the periods of leadership with the
//! inequalities between them (PROTOCOL T6).

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use standfast_kernel::replication::Degrade;
use standfast_kernel::supervisor::FlapLimit;
use standfast_kernel::types::limits;

use standfast_proto::access::AccessFiles;

use super::{SecurityConfig, is_host_port};

/// A coordinator call is answered within this, as a rule (PROTOCOL T6: T_cas).
const CALL_TYPICAL_MS: u64 = 100;

/// A hand-over waits for so long until the standby holds everything.
const HANDOVER_MIN_MS: u64 = 1_000;

/// Who keeps the record of who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorUrl {
    /// Nobody: `--role`, `--peer` and operators.
    Manual,
    /// `etcd://A,B,C` or `witness://A`; with `+tls` behind the first word, over TLS.
    Served {
        /// `etcd` or `witness`.
        kind: &'static str,
        /// Spoken to over TLS.
        tls: bool,
        /// `host:port` of each member.
        members: Vec<String>,
    },
}

impl FromStr for CoordinatorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "manual" {
            return Ok(Self::Manual);
        }
        let expected = "expected manual, etcd://HOST:PORT[,HOST:PORT...] or witness://HOST:PORT; over TLS \
                        etcd+tls://... or witness+tls://...";
        let (scheme, members) = text.split_once("://").ok_or(expected)?;
        let (kind, tls) = match scheme.strip_suffix("+tls") {
            Some(kind) => (kind, true),
            None => (scheme, false),
        };
        let kind = match kind {
            "etcd" => "etcd",
            // One process: a second address would be another record.
            "witness" if !members.contains(',') => "witness",
            _ => return Err(expected.to_owned()),
        };
        let members: Vec<String> = members.split(',').map(str::to_owned).collect();
        if members.iter().all(|m| is_host_port(m)) {
            Ok(Self::Served { kind, tls, members })
        } else {
            Err(expected.to_owned())
        }
    }
}

/// What happens when every copy on record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ColdStart {
    /// The first node that can prove it starts empty.
    Auto,
    /// An operator has to say so.
    Ask,
}

/// What happens when too few standbys are in sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DegradeMode {
    /// A standby that is lost leaves the in-sync set, and writes go on without it.
    Available,
    /// Writes are refused while fewer than `--min-insync` standbys are in sync.
    Strict,
}

/// Flags of `serve` about leadership.
#[derive(Debug, Clone, Args)]
pub struct CoordinatorArgs {
    /// Who keeps the record of who leads: etcd://A,B,C, witness://A, over TLS
    /// etcd+tls://A,B,C or witness+tls://A; or manual: then --role and --peer say it,
    /// and operators promote
    #[arg(long, value_name = "URL", default_value = "manual")]
    pub coordinator: CoordinatorUrl,
    /// Name that etcd knows this node by
    #[arg(long, value_name = "NAME", requires = "coordinator_password_file")]
    pub coordinator_user: Option<String>,
    /// File that holds its password
    #[arg(long, value_name = "FILE", requires = "coordinator_user")]
    pub coordinator_password_file: Option<PathBuf>,
    /// Certificates of the authority that the coordinator is believed by over TLS, PEM;
    /// without it that of --tls-ca, or else those of the system
    #[arg(long, value_name = "FILE")]
    pub coordinator_ca: Option<PathBuf>,
    /// Certificate to show the coordinator, PEM; without it that of --tls-cert, where
    /// --tls-ca is given
    #[arg(long, value_name = "FILE", requires = "coordinator_key")]
    pub coordinator_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "coordinator_cert")]
    pub coordinator_key: Option<PathBuf>,
    /// Longest wait for an answer of the coordinator, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    pub coordinator_timeout_ms: u64,
    /// A primary that is silent for longer is replaced, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 400)]
    pub takeover_ms: u64,
    /// A standby that is silent for longer leaves the in-sync set, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 250)]
    pub shrink_ms: u64,
    /// A standby that acknowledges but has not reached what was the end of the log
    /// this long ago leaves the in-sync set, too, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub shrink_lag_ms: u64,
    /// For how long a primary without standbys may answer after it last reached
    /// the coordinator, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    pub lease_ms: u64,
    /// How often it does, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub renew_ms: u64,
    /// When every copy on record is gone: auto starts empty once that is proved,
    /// ask waits for `standfast failover --force`
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub cold_start: ColdStart,
    /// So many automatic failovers within the window stop further ones, until
    /// somebody acknowledges them (`standfast resume`); 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub failover_limit: u32,
    /// Length of that window, in seconds
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub failover_window_s: u64,
    /// Told to stop (SIGTERM), a primary first hands over to a standby in sync,
    /// for at most so long, in milliseconds; 0 stops at once
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    pub stop_handover_ms: u64,
    /// When a standby is lost: available goes on without it, strict refuses writes
    /// while fewer than --min-insync standbys are in sync
    #[arg(long, value_name = "HOW", default_value = "available")]
    pub degrade: DegradeMode,
    /// Standbys that must be in sync for --degrade strict to take a write
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_insync: u32,
}

/// A coordinator, and how leadership is timed with it.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// `etcd` or `witness`.
    pub kind: &'static str,
    /// `host:port` of each member.
    pub members: Vec<String>,
    /// Who we are, and the file with the password.
    pub credentials: Option<(String, PathBuf)>,
    /// Certificates for TLS to it; `None` = it is spoken to without.
    pub tls: Option<AccessFiles>,
    /// T_cas: longest wait for an answer.
    pub timeout: Duration,
    /// T_takeover.
    pub takeover: Duration,
    /// L.
    pub lease: Duration,
    /// RENEW.
    pub renew: Duration,
    /// Starts empty by itself when every copy on record is gone.
    pub cold_start: bool,
    /// Automatic failovers that are too many.
    pub flaps: FlapLimit,
    /// What happens when a standby is lost.
    pub degrade: Degrade,
}

impl CoordinatorArgs {
    /// For how long a stopping primary tries to hand over.
    #[must_use]
    pub fn stop_handover(&self) -> Duration {
        Duration::from_millis(self.stop_handover_ms)
    }

    /// T_shrink.
    #[must_use]
    pub fn shrink(&self) -> Duration {
        Duration::from_millis(self.shrink_ms)
    }

    /// How far behind a standby in sync may be, as a time.
    #[must_use]
    pub fn shrink_lag(&self) -> Duration {
        Duration::from_millis(self.shrink_lag_ms)
    }

    /// What is left of it without a coordinator: nothing. Adds what is wrong to `wrong`.
    pub(super) fn config(
        &self,
        heartbeat_ms: u64,
        grant_ms: u64,
        security: &SecurityConfig,
        wrong: &mut Vec<String>,
    ) -> Option<CoordinatorConfig> {
        let strict = self.degrade == DegradeMode::Strict;
        let tls = self.tls(security, wrong);
        let CoordinatorUrl::Served { kind, members, .. } = &self.coordinator else {
            if strict {
                wrong.push(
                    "--degrade is strict: expected a --coordinator beside it; without one a pair always waits \
                     for its standby"
                        .to_owned(),
                );
            }
            return None;
        };
        if !(1..=limits::STANDBYS_MAX as u32).contains(&self.min_insync) {
            wrong.push(format!(
                "--min-insync is {}: expected 1 to {}",
                self.min_insync,
                limits::STANDBYS_MAX
            ));
        }
        self.check(heartbeat_ms, grant_ms, wrong);
        let ms = Duration::from_millis;
        Some(CoordinatorConfig {
            kind,
            members: members.clone(),
            credentials: self.coordinator_user.clone().zip(self.coordinator_password_file.clone()),
            tls,
            timeout: ms(self.coordinator_timeout_ms),
            takeover: ms(self.takeover_ms),
            lease: ms(self.lease_ms),
            renew: ms(self.renew_ms),
            cold_start: self.cold_start == ColdStart::Auto,
            flaps: FlapLimit {
                changes: self.failover_limit,
                window: Duration::from_secs(self.failover_window_s),
            },
            degrade: if strict {
                Degrade::Strict { min_insync: self.min_insync }
            } else {
                Degrade::Available
            },
        })
    }

    /// Whom to believe, and what to show, over TLS: what is said of the coordinator, or else of nodes.
    fn tls(&self, security: &SecurityConfig, wrong: &mut Vec<String>) -> Option<AccessFiles> {
        if !matches!(self.coordinator, CoordinatorUrl::Served { tls: true, .. }) {
            let said =
                [("--coordinator-ca", &self.coordinator_ca), ("--coordinator-cert", &self.coordinator_cert)];
            for (flag, file) in said.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?))) {
                wrong.push(format!(
                    "{flag} is {}: expected a --coordinator over TLS beside it, etcd+tls://... or \
                     witness+tls://...",
                    file.display()
                ));
            }
            return None;
        }
        let own = self.coordinator_cert.clone().zip(self.coordinator_key.clone());
        let of_nodes = security.identity.clone().filter(|_| security.ca.is_some());
        Some(AccessFiles {
            token: None,
            ca: self.coordinator_ca.clone().or_else(|| security.ca.clone()),
            system: true,
            identity: own.or(of_nodes),
        })
    }

    fn check(&self, heartbeat_ms: u64, grant_ms: u64, wrong: &mut Vec<String>) {
        let mut range = |flag: &str, value: u64| {
            if !(10..=600_000).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected 10 to 600000"));
            }
        };
        range("--coordinator-timeout-ms", self.coordinator_timeout_ms);
        range("--takeover-ms", self.takeover_ms);
        range("--shrink-ms", self.shrink_ms);
        range("--shrink-lag-ms", self.shrink_lag_ms);
        range("--lease-ms", self.lease_ms);
        range("--renew-ms", self.renew_ms);
        // More are not remembered.
        if self.failover_limit > 16 {
            wrong.push(format!("--failover-limit is {}: expected 0 to 16", self.failover_limit));
        }
        if !(1..=86_400).contains(&self.failover_window_s) {
            wrong.push(format!("--failover-window-s is {}: expected 1 to 86400", self.failover_window_s));
        }
        let handover_min = HANDOVER_MIN_MS + self.coordinator_timeout_ms;
        if self.stop_handover_ms > 0 && self.stop_handover_ms < handover_min {
            wrong.push(format!(
                "--stop-handover-ms is {}: expected 0, or at least {HANDOVER_MIN_MS} + \
                 --coordinator-timeout-ms ({}), so that a hand-over that is begun can come to its end",
                self.stop_handover_ms, self.coordinator_timeout_ms
            ));
        }
        let (limit, window_ms) =
            (u64::from(self.failover_limit), self.failover_window_s.saturating_mul(1_000));
        if window_ms < limit.saturating_mul(self.takeover_ms) {
            wrong.push(format!(
                "--failover-window-s is {}: expected at least --failover-limit ({limit}) times --takeover-ms ({}), \
                 so that the limit can be reached within the window at all",
                self.failover_window_s, self.takeover_ms
            ));
        }
        if self.stop_handover_ms > 600_000 {
            wrong.push(format!("--stop-handover-ms is {}: expected 0 to 600000", self.stop_handover_ms));
        }
        if !wrong.is_empty() {
            return;
        }
        let Self { shrink_ms, takeover_ms, lease_ms, renew_ms, coordinator_timeout_ms, .. } = self;
        let mut must = |holds: bool, text: String| {
            if !holds {
                wrong.push(text);
            }
        };
        must(
            *shrink_ms >= 2 * heartbeat_ms,
            format!(
                "--shrink-ms is {shrink_ms}: expected at least 2 times --heartbeat-ms ({heartbeat_ms}), so that \
                 one late heartbeat costs no standby its place"
            ),
        );
        must(
            shrink_ms + CALL_TYPICAL_MS + heartbeat_ms < grant_ms,
            format!(
                "--grant-ms is {grant_ms}: expected more than --shrink-ms ({shrink_ms}) + {CALL_TYPICAL_MS} + \
                 --heartbeat-ms ({heartbeat_ms}), so that reads do not stall when a standby dies"
            ),
        );
        must(
            *takeover_ms >= shrink_ms + heartbeat_ms,
            format!(
                "--takeover-ms is {takeover_ms}: expected at least --shrink-ms ({shrink_ms}) + --heartbeat-ms \
                 ({heartbeat_ms}), so that a healthy primary removes a cut-off standby before that takes over"
            ),
        );
        must(
            *lease_ms >= 3 * renew_ms + coordinator_timeout_ms,
            format!(
                "--lease-ms is {lease_ms}: expected at least 3 times --renew-ms ({renew_ms}) + \
                 --coordinator-timeout-ms ({coordinator_timeout_ms}), so that one lost renewal stops nothing"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_is_named_by_a_url() {
        let served = |kind, tls, members: &[&str]| {
            let members = members.iter().map(|m| (*m).to_owned()).collect();
            Ok(CoordinatorUrl::Served { kind, tls, members })
        };
        assert_eq!("manual".parse(), Ok(CoordinatorUrl::Manual));
        assert_eq!("etcd://a:1,b:2".parse(), served("etcd", false, &["a:1", "b:2"]));
        assert_eq!("etcd+tls://a:1,b:2".parse(), served("etcd", true, &["a:1", "b:2"]));
        assert_eq!("witness://a:1".parse(), served("witness", false, &["a:1"]));
        assert_eq!("witness+tls://a:1".parse(), served("witness", true, &["a:1"]));
        for bad in [
            "",
            "etcd",
            "etcd://",
            "etcd://a",
            "etcd://a:1,",
            "witness://a:1,b:2",
            "witness+tls://a:1,b:2",
            "http://a:1",
            "etcd+ssl://a:1",
        ] {
            let error = bad.parse::<CoordinatorUrl>().expect_err(bad);
            assert!(error.contains("etcd://HOST:PORT"), "{bad}: {error}");
        }
    }
}
