//! Counting cases, and reading the counts that other programs print.

use std::fmt;
use std::ops::AddAssign;

/// How many cases passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One case that passed or failed.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), skipped: 0 }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.failed == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; ...`. Ignored counts as skipped.
    pub(crate) fn from_test_result(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let counts = counts.split("; ");
        let mut tally = Self::default();
        for (number, word) in counts.filter_map(|part| part.split_once(' ')) {
            match word {
                "passed" => tally.passed = number.parse().ok()?,
                "failed" => tally.failed = number.parse().ok()?,
                "ignored" => tally.skipped = number.parse().ok()?,
                _ => {}
            }
        }
        Some(tally)
    }

    /// Reads a closing line: `N passed, N failed` and perhaps `, N skipped`, and nothing else.
    pub(crate) fn from_closing_line(line: &str) -> Option<Self> {
        let mut parts = line.trim().split(", ");
        let passed = count(parts.next()?, "passed")?;
        let failed = count(parts.next()?, "failed")?;
        let skipped = match parts.next() {
            Some(part) => count(part, "skipped")?,
            None => 0,
        };
        parts.next().is_none().then_some(Self { passed, failed, skipped })
    }
}

fn count(part: &str, word: &str) -> Option<u64> {
    part.strip_suffix(word)?.strip_suffix(' ')?.parse().ok()
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Option<Tally> {
        Some(Tally { passed, failed, skipped })
    }

    #[test]
    fn reads_what_libtest_prints() {
        let read = Tally::from_test_result;
        let ok =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(read(ok), tally(3, 0, 1));
        assert_eq!(read("test result: FAILED. 10 passed; 2 failed; 0 ignored"), tally(10, 2, 0));
        assert_eq!(read("test result: ok. x passed; 0 failed"), None);
        assert_eq!(read("running 3 tests"), None);
    }

    #[test]
    fn a_closing_line_is_written_and_read_alike() {
        for (text, want) in [
            ("4 passed, 0 failed", tally(4, 0, 0)),
            ("0 passed, 2 failed, 1 skipped", tally(0, 2, 1)),
            ("note: 4 passed, 0 failed", None),
            ("4 passed, 0 failed, 1 odd", None),
            ("4 passed", None),
        ] {
            assert_eq!(Tally::from_closing_line(text), want, "{text}");
            if let Some(tally) = want {
                assert_eq!(tally.to_string(), text);
            }
        }
    }
}
