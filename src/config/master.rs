//! How a master decides: flags of `serve` about leases, timers and placement.

use std::time::Duration;

use clap::Args;
use standfast_kernel::master::{ClientTimes, MasterConfig, MasterTimes, Placement};

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;

/// Flags, as given. Names and defaults of the values are those of a stock master (SEMANTICS 7.4).
#[derive(Debug, Clone, Args)]
pub struct MasterArgs {
    /// Read lease of exist and get, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub read_ttl_ms: u64,
    /// A lender that is silent for longer loses what it lends, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub client_ttl_ms: u64,
    /// After this another write may take over an unfinished one, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub put_discard_ms: u64,
    /// For this long the bytes of an unfinished write are not used again, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 600_000)]
    pub put_release_ms: u64,
    /// Soft pin where the writer does not say, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_800_000)]
    pub soft_pin_ttl_ms: u64,
    /// Longest soft pin that a writer may ask for, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = DAY_MS)]
    pub soft_pin_ttl_max_ms: u64,
    /// How segments are chosen: `random`, `free_ratio_first` or `local_first`
    #[arg(long, value_name = "STRATEGY", default_value = "random")]
    pub placement: Placement,
}

impl MasterArgs {
    /// What they come to; what is wrong with them is added to `wrong`.
    pub(super) fn config(&self, wrong: &mut Vec<String>) -> MasterConfig {
        for (flag, value, min, max) in [
            ("--read-ttl-ms", self.read_ttl_ms, 10, DAY_MS),
            ("--client-ttl-ms", self.client_ttl_ms, 100, 30 * DAY_MS),
            ("--put-discard-ms", self.put_discard_ms, 10, 30 * DAY_MS),
            ("--put-release-ms", self.put_release_ms, 10, 30 * DAY_MS),
            ("--soft-pin-ttl-ms", self.soft_pin_ttl_ms, 0, 365 * DAY_MS),
            ("--soft-pin-ttl-max-ms", self.soft_pin_ttl_max_ms, 0, 365 * DAY_MS),
        ] {
            if !(min..=max).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected {min} to {max}"));
            }
        }
        let ms = Duration::from_millis;
        let times = MasterTimes {
            read_ttl: ms(self.read_ttl_ms),
            put_discard: ms(self.put_discard_ms),
            put_release: ms(self.put_release_ms),
            soft_pin_ttl: ms(self.soft_pin_ttl_ms),
            soft_pin_ttl_max: ms(self.soft_pin_ttl_max_ms),
            ..MasterTimes::default()
        };
        if let Err(bad) = times.check() {
            wrong.push(bad.to_string());
        }
        MasterConfig {
            times,
            clients: ClientTimes { ttl: Some(ms(self.client_ttl_ms)), ..ClientTimes::default() },
            placement: self.placement,
            ..MasterConfig::default()
        }
    }
}
