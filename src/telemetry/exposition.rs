//! Samples on their way out, in the text format 0.0.4.
//!
//! The `prometheus` crate encodes: unlike `prometheus-client`, which speaks
//! OpenMetrics, it leaves a counter its stock name (`total_get_nums_`), and it
//! answers in the format that the stock master answers in.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};
use standfast_proto::v1;

use super::catalog::{self, Kind, Metric};

/// The media type of the format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// One reading of all metrics.
#[derive(Debug, Default)]
pub struct Exposition {
    samples: BTreeMap<&'static str, Vec<proto::Metric>>,
}

impl Exposition {
    /// Adds a sample of a gauge or a counter.
    pub fn put(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        let mut sample = proto::Metric::default();
        match metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
            Kind::Histogram => return debug_assert!(false, "{} is a histogram", metric.name),
        }
        self.add(metric, labels, sample);
    }

    /// Adds a whole number.
    pub fn count(&mut self, metric: &Metric, labels: &[&str], value: u64) {
        self.put(metric, labels, value as f64);
    }

    /// Adds a sample, if its value is known.
    pub fn known(&mut self, metric: &Metric, labels: &[&str], value: Option<u64>) {
        if let Some(value) = value {
            self.count(metric, labels, value);
        }
    }

    /// Adds 1 for the value that holds, 0 for the others of a closed set.
    pub fn one_of(&mut self, metric: &Metric, values: &[&str], holds: impl Fn(&str) -> bool) {
        for value in values {
            self.count(metric, &[value], u64::from(holds(value)));
        }
    }

    /// Adds a histogram of times, if there is one.
    pub fn times(&mut self, metric: &Metric, labels: &[&str], times: Option<&v1::Histogram>) {
        let Some(times) = times.filter(|_| metric.kind == Kind::Histogram) else { return };
        let mut histogram = proto::Histogram::default();
        let mut below = 0;
        let bucket = |(bound_us, count): (&u64, &u64)| {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound_us as f64 / 1e6);
            bucket.set_cumulative_count(below);
            bucket
        };
        histogram.set_bucket(times.bounds_us.iter().zip(&times.counts).map(bucket).collect());
        histogram.set_sample_count(times.counts.iter().sum());
        histogram.set_sample_sum(times.sum_us as f64 / 1e6);
        let mut sample = proto::Metric::default();
        sample.set_histogram(histogram);
        self.add(metric, labels, sample);
    }

    fn add(&mut self, metric: &Metric, labels: &[&str], mut sample: proto::Metric) {
        if !metric.accepts(labels) {
            return debug_assert!(false, "{} does not take {labels:?}", metric.name);
        }
        let pair = |(label, value): (&catalog::Label, &&str)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        sample.set_label(metric.labels.iter().zip(labels).map(pair).collect());
        self.samples.entry(metric.name).or_default().push(sample);
    }

    /// The text, in the order of the catalogue.
    #[must_use]
    pub fn render(mut self) -> String {
        let families: Vec<MetricFamily> = catalog::all()
            .filter_map(|metric| {
                let mut family = MetricFamily::default();
                family.set_name(metric.name.to_owned());
                family.set_help(metric.help.to_owned());
                family.set_field_type(match metric.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                    Kind::Histogram => MetricType::HISTOGRAM,
                });
                family.set_metric(self.samples.remove(metric.name)?);
                Some(family)
            })
            .collect();
        debug_assert!(self.samples.is_empty(), "not in the catalogue: {:?}", self.samples.keys());
        // Fails only for a family without samples, and there is none.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{EPOCH, LAG_SECONDS, LOOP_DELAY, PROMOTABLE_REASON, REASONS};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut out = Exposition::default();
        out.count(&EPOCH, &[], 3);
        out.put(&LAG_SECONDS, &["b\"1"], 0.25);
        let times = v1::Histogram { bounds_us: vec![1000, 10_000], counts: vec![2, 1, 4], sum_us: 2_500_000 };
        out.times(&LOOP_DELAY, &[], Some(&times));
        let text = out.render();
        for line in [
            "# TYPE standfast_epoch gauge",
            "standfast_epoch 3",
            "standfast_replication_lag_seconds{standby=\"b\\\"1\"} 0.25",
            "standfast_loop_delay_seconds_bucket{le=\"0.001\"} 2",
            "standfast_loop_delay_seconds_bucket{le=\"0.01\"} 3",
            "standfast_loop_delay_seconds_bucket{le=\"+Inf\"} 7",
            "standfast_loop_delay_seconds_sum 2.5",
            "standfast_loop_delay_seconds_count 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_absent_and_of_a_closed_set_exactly_one_holds() {
        let mut out = Exposition::default();
        out.known(&EPOCH, &[], None);
        out.times(&LOOP_DELAY, &[], None);
        out.one_of(&PROMOTABLE_REASON, REASONS, |code| code == "not_in_sync");
        let text = out.render();
        assert!(!text.contains("standfast_epoch") && !text.contains("loop_delay"), "{text}");
        assert_eq!(text.lines().filter(|l| l.ends_with("} 1")).count(), 1, "{text}");
        assert_eq!(text.lines().filter(|l| l.ends_with("} 0")).count(), REASONS.len() - 1, "{text}");
    }
}
