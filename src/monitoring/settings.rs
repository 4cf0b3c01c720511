//! What an operator may change in the dashboards and rules: thresholds, with the reason for each, and addresses.

use std::fmt;

/// A value that can be set by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A time, in seconds.
    Seconds(u64),
    /// A share or a factor.
    Number(f64),
    /// A name or an address.
    Text(String),
}

impl Value {
    fn parse(&self, text: &str) -> Result<Self, String> {
        match self {
            Self::Seconds(_) => seconds(text).map(Self::Seconds).ok_or("a time such as 30s, 5m or 1h"),
            Self::Number(_) => {
                let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
                number.map(Self::Number).ok_or("a number above 0, such as 0.9")
            }
            Self::Text(_) => {
                let clean =
                    !text.is_empty() && !text.contains(|c: char| c.is_control() || "\"'\\{}".contains(c));
                clean.then(|| Self::Text(text.to_owned())).ok_or("text without quotes and braces")
            }
        }
        .map_err(|expected| format!("expected {expected}"))
    }

    /// As a number, to compare and to draw with; a time in seconds.
    #[must_use]
    pub fn number(&self) -> f64 {
        match self {
            Self::Seconds(s) => *s as f64,
            Self::Number(n) => *n,
            Self::Text(_) => 0.0,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(s) if *s > 0 && s.is_multiple_of(3600) => write!(f, "{}h", s / 3600),
            Self::Seconds(s) if *s > 0 && s.is_multiple_of(60) => write!(f, "{}m", s / 60),
            Self::Seconds(s) => write!(f, "{s}s"),
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(t) => f.write_str(t),
        }
    }
}

/// `30s`, `5m`, `1h` or `2d`.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|s| *s <= 30 * 86_400)
}

macro_rules! settings {
    ($($name:ident: $kind:ident($default:expr), $why:expr;)*) => {
        /// All settings. Each has a default that suits a pair on one network.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $(#[doc = $why] pub $name: Value,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: Value::$kind($default.into()),)* }
            }
        }

        impl Settings {
            /// Name, value and reason of each.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, &Value, &'static str)> {
                vec![$((stringify!($name), &self.$name, $why)),*]
            }

            fn slot(&mut self, name: &str) -> Option<&mut Value> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

settings! {
    // Who serves.
    no_primary: Seconds(15u64), "Longer than a role change takes; a client gives up connecting after 30 s.";
    not_promotable: Seconds(120u64), "A standby that restarts is in sync again within a minute or two.";
    rehearsal: Seconds(30u64), "Three times the interval at which memory is counted anew, and some seconds.";
    rehearsal_for: Seconds(60u64), "A busy minute delays one rehearsal.";
    alone: Seconds(60u64), "A planned restart of the standby takes less.";
    target_down: Seconds(60u64), "Four missed scrapes at 15 s.";
    silence: Seconds(120u64), "Longer than a restart of Prometheus itself.";
    // Service levels.
    call_budget: Number(0.001), "Share of calls that may fail in 30 days: 99.9 % succeed.";
    promotable_budget: Number(0.001), "Share of the time in which no standby may be promoted: 43 minutes in 30 days.";
    latency: Number(1.0), "In seconds. The 99th percentile of a write is below 5 ms on a LAN; a second is felt by an inference request.";
    latency_for: Seconds(300u64), "A full sync or a failover is over by then.";
    // Replication.
    lag: Seconds(5u64), "50 heartbeats. What a failover in async mode would lose, or a switchover would wait for.";
    lag_for: Seconds(120u64), "A full sync of a small cluster and a burst of writes are over by then.";
    stalled: Seconds(30u64), "300 heartbeats: the standby is gone or does not apply.";
    flat: Seconds(120u64), "Eight scrapes at 15 s, and two where they are a minute apart: what has not moved by then stands still.";
    // Coordination.
    arbiter_for: Seconds(60u64), "Many renewals of a lease; the restart of one member of etcd takes less.";
    paused_for: Seconds(7200u64), "Planned work on a pair is over by then.";
    stopped_for: Seconds(60u64), "Whoever brings it about, in a drill, acknowledges it in less.";
    // Security.
    certificate: Seconds(1_209_600u64), "Two weeks: one renewal may fail and be repaired. `standfast status` warns from then on, too.";
    open_for: Seconds(3600u64), "Trying something out is over by then.";
    // Verification.
    verify_age: Seconds(60u64), "30 cycles of 2 s: nothing is being compared any more.";
    verify_for: Seconds(300u64), "A full sync and the first cycle after it are over by then.";
    mismatch_window: Seconds(600u64), "The page stays up long enough to be seen after the repair.";
    // Clients and memory.
    reattach_share: Number(0.05), "One client in twenty.";
    reattach_for: Seconds(60u64), "Clients ping every second and mount again when they are told to.";
    expiry_share: Number(0.5), "Half of the clients at once is a network or a job, not a client.";
    expiry_window: Seconds(900u64), "90 times the default time to live of clients: a slow decline is seen, too.";
    capacity: Number(0.97), "Above the default watermark of 0.9 at which eviction begins: eviction does not keep up.";
    capacity_for: Seconds(600u64), "Eviction needs a few passes after a burst.";
    allocation_for: Seconds(120u64), "A burst waits for one pass of eviction.";
    // Role changes.
    failover_window: Seconds(300u64), "Long enough to be seen, short enough to be about one event.";
    loss_window: Seconds(3600u64), "Somebody has to look at what was lost.";
    // Processes.
    memory: Number(0.85), "The kernel kills at 1.0; the log and the index grow in steps.";
    memory_for: Seconds(300u64), "A full sync takes its memory for less than that.";
    files: Number(0.8), "Each client is one file; at 1.0 no client can connect.";
    files_for: Seconds(300u64), "A reconnect storm is over by then.";
    loop_delay: Number(0.25), "Half of the default grant of 500 ms: at a whole one the primary loses the right to answer.";
    loop_for: Seconds(120u64), "One slow page fault is no trend.";
    stuck_for: Seconds(30u64), "`/livez` answers 503 after 10 s, so whoever restarts stuck processes has done so by then.";
    restarts: Number(3.0), "A planned upgrade restarts a process once.";
    restart_window: Seconds(3600u64), "Slow crash loops, too.";
    skew_for: Seconds(3600u64), "A rolling upgrade of a pair takes minutes.";
    clock: Number(0.5), "Leases never compare clocks; histories and traces of two nodes do, and cannot be read beyond that.";
    clock_for: Seconds(600u64), "Time synchronisation cures itself in minutes.";
    tell_window: Seconds(600u64), "A webhook is tried four times over 6 s.";
    tell_for: Seconds(60u64), "Two evaluations.";
    // Addresses.
    job: Text("standfast"), "The job under which Prometheus scrapes the nodes.";
    runbooks: Text("https://runbooks.example/standfast"), "Where the folder runbooks/ is published.";
    grafana: Text("https://grafana.example"), "Where Grafana is, for links from alerts.";
}

/// A setting that cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--set {given}: {why}")]
pub struct BadSetting {
    given: String,
    why: String,
}

impl Settings {
    /// Changes one: `lag=10s`.
    ///
    /// # Errors
    /// Names the setting and what was expected.
    pub fn set(&mut self, given: &str) -> Result<(), BadSetting> {
        let bad = |why: String| BadSetting { given: given.chars().take(80).collect(), why };
        let Some((name, value)) = given.split_once('=') else {
            return Err(bad("expected NAME=VALUE".to_owned()));
        };
        let names: Vec<&str> = self.all().iter().map(|(name, ..)| *name).collect();
        let Some(slot) = self.slot(name) else {
            return Err(bad(format!("there is no such setting; there are {}", names.join(", "))));
        };
        *slot = slot.parse(value).map_err(bad)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_by_name() {
        let mut s = Settings::default();
        for given in ["lag=90s", "capacity=0.9", "job=kv", "skew_for=2h", "silence=1d"] {
            assert_eq!(s.set(given), Ok(()));
        }
        assert_eq!((s.lag.to_string(), s.lag.number()), ("90s".to_owned(), 90.0));
        assert_eq!((s.skew_for.to_string(), s.silence.to_string()), ("2h".to_owned(), "24h".to_owned()));
        assert_eq!((s.capacity.to_string(), s.job.to_string()), ("0.9".to_owned(), "kv".to_owned()));
    }

    #[test]
    fn a_bad_one_is_named_with_what_was_expected() {
        for (given, expected) in [
            ("lag", "NAME=VALUE"),
            ("lags=5s", "there are no_primary, "),
            ("lag=5", "a time such as"),
            ("lag=5 s", "a time such as"),
            ("lag=99999999999999999999s", "a time such as"),
            ("lag=", "a time such as"),
            ("capacity=much", "a number"),
            ("capacity=NaN", "a number"),
            ("job=a\"b", "text"),
        ] {
            let before = Settings::default();
            let mut s = before.clone();
            let error = s.set(given).expect_err(given).to_string();
            assert!(error.contains(given) && error.contains(expected), "{error}");
            assert_eq!(s, before);
        }
    }

    #[test]
    fn each_has_a_reason_and_a_default_that_can_be_typed() {
        let mut s = Settings::default();
        for (name, value, why) in Settings::default().all() {
            assert!(why.ends_with('.') && !name.contains(|c: char| c.is_ascii_digit()), "{name}: {why}");
            s.set(&format!("{name}={value}")).expect(name);
        }
        assert_eq!(s, Settings::default());
    }
}
