//! Flags of verification.

use std::time::Duration;

use clap::{ArgAction, Args};
use standfast_kernel::replication::VerifyConfig;

/// How copies are compared.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Verification")]
pub struct VerifyArgs {
    /// Compare the copies at all
    #[arg(long = "verify", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub enabled: bool,
    /// The digest of every home is compared this often, in ms
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    pub verify_cycle_ms: u64,
    /// Every home is counted anew this often, in ms, if the budget allows it
    #[arg(long, value_name = "MS", default_value_t = 8000)]
    pub verify_recount_ms: u64,
    /// Items counted anew a second: 100,000 are about 2 % of a core
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub verify_recount_items: u64,
    /// Pause between two rounds of samples, in ms; 0 is none
    #[arg(long, value_name = "MS", default_value_t = 25_000)]
    pub verify_sample_ms: u64,
    /// Shards of a round of samples, of a thousand
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_shards: u32,
    /// Keys sampled in a shard
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_keys: usize,
    /// Overwrite what differs on the standby from the primary at once
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub verify_repair: bool,
    /// Differing keys above which all homes are overwritten
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub verify_repair_max: u64,
    /// Entries behind the primary above which nothing is compared
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub verify_pause_lag: u64,
}

impl VerifyArgs {
    /// What the flags say; adds to `wrong` what is out of range.
    pub(super) fn config(&self, wrong: &mut Vec<String>) -> VerifyConfig {
        let mut range = |flag: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected {min} to {max}"));
            }
        };
        range("--verify-cycle-ms", self.verify_cycle_ms, 100, 3_600_000);
        range("--verify-recount-ms", self.verify_recount_ms, 100, 86_400_000);
        range("--verify-recount-items", self.verify_recount_items, 1, 1 << 32);
        range("--verify-sample-ms", self.verify_sample_ms, 0, 86_400_000);
        range("--verify-sample-shards", self.verify_sample_shards.into(), 0, 1000);
        range("--verify-sample-keys", self.verify_sample_keys as u64, 1, 4096);
        VerifyConfig {
            enabled: self.enabled,
            cycle: Duration::from_millis(self.verify_cycle_ms),
            recount_period: Duration::from_millis(self.verify_recount_ms),
            recount_items_per_s: self.verify_recount_items,
            sample_interval: Duration::from_millis(self.verify_sample_ms),
            sample_shards_per_mille: self.verify_sample_shards,
            sample_keys: self.verify_sample_keys,
            repair: self.verify_repair,
            repair_keys_max: self.verify_repair_max,
            pause_lag: self.verify_pause_lag,
        }
    }
}
