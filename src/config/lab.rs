//! What a node of the lab says of itself that is not so, to see that it is noticed.

use std::str::FromStr;
use std::time::Duration;

/// How far ahead a clock may be said to be.
const AHEAD_MAX_MS: u64 = 86_400_000;

/// One thing that is said to be otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabReport {
    /// The version of the binary.
    Version(String),
    /// The wall clock is so far ahead.
    ClockAhead(Duration),
    /// The memory that the process may use, in bytes.
    MemoryLimit(u64),
}

impl FromStr for LabReport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is nothing to report: expected version=1.2.3, clock-ahead-ms=3000 or memory-limit-mib=64"
            )
        };
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = |max: u64| value.parse().ok().filter(|n| (1..=max).contains(n)).ok_or_else(wrong);
        match name {
            "version"
                if !value.is_empty()
                    && value.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) =>
            {
                Ok(Self::Version(value.to_owned()))
            }
            "clock-ahead-ms" => Ok(Self::ClockAhead(Duration::from_millis(number(AHEAD_MAX_MS)?))),
            "memory-limit-mib" => Ok(Self::MemoryLimit(number(1 << 20)? << 20)),
            _ => Err(wrong()),
        }
    }
}

#[test]
fn three_things_can_be_said_and_others_are_named() {
    assert_eq!("version=0.0.9".parse(), Ok(LabReport::Version("0.0.9".to_owned())));
    assert_eq!("clock-ahead-ms=3000".parse(), Ok(LabReport::ClockAhead(Duration::from_secs(3))));
    assert_eq!("memory-limit-mib=64".parse(), Ok(LabReport::MemoryLimit(64 << 20)));
    for bad in
        ["", "version", "version=", "version=a\"b", "clock-ahead-ms=0", "clock-ahead-ms=x", "role=primary"]
    {
        let why = bad.parse::<LabReport>().expect_err(bad);
        assert!(why.contains(&format!("`{bad}`")) && why.contains("expected"), "{why}");
    }
}
