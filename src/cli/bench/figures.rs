//! From rounds to medians, spreads and ratios.

use std::time::Duration;

use super::load::Tally;
use super::machine::Others;

/// One round on one master. `None` = it could not be measured.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) keys: u64,
    /// From the first question to the last answer.
    pub(super) load: Duration,
    /// From there until every standby had applied it.
    pub(super) drain: Option<Duration>,
    /// CPU seconds.
    pub(super) server_cpu: Option<f64>,
    /// Of all standbys together.
    pub(super) standby_cpu: Option<f64>,
    pub(super) generator_cpu: Option<f64>,
    pub(super) others: Others,
    /// Of one batch each, ascending.
    pub(super) batch_us: Vec<u32>,
}

impl Round {
    /// The figures of a round whose batches were these.
    pub(super) fn batches(tally: &mut Tally) -> Vec<u32> {
        let mut batch_us = std::mem::take(&mut tally.batch_us);
        batch_us.sort_unstable();
        batch_us
    }

    /// Counted where the writes have to arrive.
    pub(super) fn keys_per_s(&self) -> f64 {
        self.keys as f64 / (self.load + self.drain.unwrap_or_default()).as_secs_f64().max(1e-9)
    }

    /// Microseconds a key.
    pub(super) fn per_key(&self, cpu: Option<f64>) -> Option<f64> {
        (self.keys > 0).then(|| cpu.map(|cpu| cpu * 1e6 / self.keys as f64)).flatten()
    }

    /// So many of a hundred batches took no longer, in milliseconds.
    pub(super) fn batch_ms(&self, percent: usize) -> Option<f64> {
        let last = self.batch_us.len().checked_sub(1)?;
        self.batch_us.get((self.batch_us.len() * percent / 100).min(last)).map(|&us| f64::from(us) / 1e3)
    }
}

/// The middle of some rounds, and how far they are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of the rounds that were measured; `None` when one was not.
    pub(super) fn of(values: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect::<Option<_>>()?;
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }

    /// How far the rounds are apart, in percent of the median.
    pub(super) fn percent(&self) -> f64 {
        if self.median > 0.0 { (self.max - self.min) / self.median * 100.0 } else { 0.0 }
    }
}

/// The figures of one master.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) keys_per_s: Option<Spread>,
    pub(super) server_cpu_us: Option<Spread>,
    pub(super) standby_cpu_us: Option<Spread>,
    pub(super) generator_cpu_us: Option<Spread>,
    pub(super) drain_ms: Option<Spread>,
    pub(super) p50_ms: Option<Spread>,
    pub(super) p99_ms: Option<Spread>,
}

impl Figures {
    pub(super) fn of(rounds: &[Round]) -> Self {
        let spread = |value: &dyn Fn(&Round) -> Option<f64>| Spread::of(rounds.iter().map(value));
        Self {
            keys_per_s: spread(&|r| Some(r.keys_per_s())),
            server_cpu_us: spread(&|r| r.per_key(r.server_cpu)),
            standby_cpu_us: spread(&|r| r.per_key(r.standby_cpu)),
            generator_cpu_us: spread(&|r| r.per_key(r.generator_cpu)),
            drain_ms: spread(&|r| r.drain.map(|drain| drain.as_secs_f64() * 1e3)),
            p50_ms: spread(&|r| r.batch_ms(50)),
            p99_ms: spread(&|r| r.batch_ms(99)),
        }
    }
}

/// One median in units of another.
pub(super) fn ratio(ours: Option<Spread>, theirs: Option<Spread>) -> Option<f64> {
    let (ours, theirs) = (ours?, theirs?);
    (theirs.median > 0.0).then(|| ours.median / theirs.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(keys: u64, load_ms: u64, drain_ms: Option<u64>) -> Round {
        Round {
            keys,
            load: Duration::from_millis(load_ms),
            drain: drain_ms.map(Duration::from_millis),
            server_cpu: Some(0.5),
            standby_cpu: None,
            generator_cpu: Some(0.1),
            others: Others { cores: None, processes: Vec::new() },
            batch_us: (1..=100).map(|us| us * 1000).collect(),
        }
    }

    #[test]
    fn the_drain_counts() {
        assert!((round(1000, 500, None).keys_per_s() - 2000.0).abs() < 1e-6);
        assert!((round(1000, 500, Some(500)).keys_per_s() - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn medians_spreads_and_ratios() {
        let of = |values: &[f64]| Spread::of(values.iter().map(|v| Some(*v))).expect("some");
        assert_eq!(of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert!((of(&[1.0, 2.0]).median - 1.5).abs() < 1e-9);
        assert!((of(&[9.0, 10.0, 11.0]).percent() - 20.0).abs() < 1e-9);
        assert_eq!(Spread::of([Some(1.0), None].into_iter()), None, "unknown is not left out");
        assert_eq!(Spread::of(std::iter::empty()), None);
        assert_eq!(ratio(Some(of(&[3.0])), Some(of(&[2.0]))), Some(1.5));
        assert_eq!(ratio(Some(of(&[3.0])), None), None);
    }

    #[test]
    fn what_was_not_measured_stays_unknown() {
        let figures = Figures::of(&[round(1000, 500, None), round(1000, 250, None)]);
        assert_eq!(figures.server_cpu_us.map(|s| s.median), Some(500.0));
        assert_eq!((figures.standby_cpu_us, figures.drain_ms), (None, None));
        assert_eq!(figures.p99_ms.map(|s| s.median), Some(100.0));
        assert_eq!(round(0, 1, None).per_key(Some(1.0)), None);
    }
}
