//! Which requests are traced. What is not stays in the flight recorder.

use std::str::FromStr;
use std::time::Duration;

use super::context::{Parent, TraceContext};

/// What is sampled unless the operator says otherwise.
pub const SAMPLE_DEFAULT: &str = "ratio:0.001,slow:100ms,failed";

/// Rules; a request that one of them wants is traced.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// Every request.
    pub always: bool,
    /// This share of requests, 0 to 1.
    pub ratio: f64,
    /// Requests that took at least this long.
    pub slow: Option<Duration>,
    /// Requests that were refused or whose outcome is unknown.
    pub failed: bool,
    /// Requests about a key that begins so.
    pub prefixes: Vec<Vec<u8>>,
}

impl FromStr for Sampling {
    type Err = String;

    /// Rules separated by commas: `always`, `ratio:0.01`, `slow:50ms`, `failed`, `prefix:KEY`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut sampling = Self::default();
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let wrong = || {
                format!(
                    "`{rule}` is no sampling rule: expected always, ratio:0.01, slow:50ms, failed or prefix:KEY"
                )
            };
            match rule.split_once(':') {
                None if rule == "always" => sampling.always = true,
                None if rule == "failed" => sampling.failed = true,
                Some(("ratio", share)) => {
                    let share: f64 = share.parse().map_err(|_| wrong())?;
                    if !(0.0..=1.0).contains(&share) {
                        return Err(wrong());
                    }
                    sampling.ratio = share;
                }
                Some(("slow", limit)) => {
                    let ms = limit.strip_suffix("ms").and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
                    sampling.slow = Some(Duration::from_millis(ms));
                }
                Some(("prefix", key)) if !key.is_empty() => sampling.prefixes.push(key.into()),
                _ => return Err(wrong()),
            }
        }
        Ok(sampling)
    }
}

impl Sampling {
    /// Before the request is executed: the caller's wish, the ratio, its keys.
    pub(super) fn head<'k>(
        &self,
        parent: Option<&Parent>,
        trace: TraceContext,
        mut keys: impl Iterator<Item = &'k [u8]>,
    ) -> bool {
        // The low half of a trace id is random; equal ids decide equally everywhere.
        let in_share =
            || self.ratio > 0.0 && (trace.trace_id as u64 >> 11) as f64 / ((1_u64 << 53) as f64) < self.ratio;
        let chosen = |key: &[u8]| self.prefixes.iter().any(|prefix| key.starts_with(prefix));
        self.always
            || parent.is_some_and(|p| p.sampled)
            || in_share()
            || (!self.prefixes.is_empty() && keys.any(chosen))
    }

    /// After it was executed.
    pub(super) fn tail(&self, took: Duration, failed: bool) -> bool {
        (failed && self.failed) || self.slow.is_some_and(|limit| took >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_a_wrong_one_is_named() {
        let all: Sampling = "ratio:0.25, slow:50ms,failed,prefix:hot/,prefix:x".parse().expect("sound");
        assert_eq!((all.ratio, all.slow, all.failed), (0.25, Some(Duration::from_millis(50)), true));
        assert_eq!((all.prefixes.len(), all.always), (2, false));
        assert!(SAMPLE_DEFAULT.parse::<Sampling>().is_ok());
        for bad in ["sometimes", "ratio:2", "ratio:x", "slow:5", "prefix:", "ratio"] {
            assert!(bad.parse::<Sampling>().expect_err(bad).contains(&format!("`{bad}`")), "{bad}");
        }
    }

    #[test]
    fn each_rule_takes_what_it_names() {
        let none = || std::iter::empty();
        let root = TraceContext { trace_id: 1 << 90, span_id: 1 };
        let unlikely = TraceContext { trace_id: u128::from(u64::MAX), span_id: 1 };
        let parent = Parent { context: root, sampled: true };
        let rules = |text: &str| text.parse::<Sampling>().expect("sound");
        assert!(rules("always").head(None, unlikely, none()));
        assert!(!rules("").head(None, root, none()) && rules("").head(Some(&parent), root, none()));
        assert!(rules("ratio:0.5").head(None, root, none()));
        assert!(!rules("ratio:0.5").head(None, unlikely, none()));
        assert!(rules("prefix:ab").head(None, unlikely, [&b"x"[..], b"abc"].into_iter()));
        assert!(!rules("prefix:ab").head(None, unlikely, [&b"a"[..]].into_iter()));
        let took = Duration::from_millis(50);
        assert!(rules("slow:50ms").tail(took, false) && !rules("slow:51ms").tail(took, true));
        assert!(rules("failed").tail(took, true) && !rules("failed").tail(took, false));
    }

    #[test]
    fn a_ratio_takes_about_its_share() {
        let rules: Sampling = "ratio:0.1".parse().expect("sound");
        let taken =
            (0..10_000).filter(|_| rules.head(None, TraceContext::root(), std::iter::empty())).count();
        assert!((600..1_500).contains(&taken), "{taken} of 10,000");
    }
}
