//! Percentiles of what was measured.

use serde_json::{Value, json};

/// Values that occurred: each is the smallest that so many of a hundred do not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Distribution {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Distribution {
    /// Of these values; `None` where there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)? })
    }

    pub(crate) fn to_json(self) -> Value {
        json!({"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.max})
    }
}

#[test]
fn percentiles_are_values_that_occurred() {
    let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    let expected = Distribution { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 };
    assert_eq!(Distribution::of(&values), Some(expected));
    assert_eq!(Distribution::of(&[7.0]).map(|d| d.p99), Some(7.0));
    assert_eq!(Distribution::of(&[]), None);
}
