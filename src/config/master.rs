//! How a master decides: flags of `serve` about leases, timers and placement.

use std::time::Duration;

use clap::Args;
use standfast_kernel::master::{ClientTimes, EvictionRules, MasterConfig, MasterTimes, Placement, TaskRules};

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;
/// What a time-out of 0 stands for: none, within a node's life.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Most tasks of one kind.
const TASKS_MAX: u64 = 1_000_000;

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
    /// Share of the objects that a pass of eviction takes, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub eviction_ratio: f64,
    /// Share of the memory above which eviction begins, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub eviction_watermark: f64,
    /// Whether soft-pinned objects may be evicted when nothing else is left
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub evict_soft_pinned: bool,
    /// Forget what a lender's transfer engine has told when the lender is expired
    #[arg(long, requires = "transfer_metadata")]
    pub transfer_metadata_cleanup: bool,
    /// Copy and move tasks that may wait
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub tasks_pending_max: u64,
    /// Copy and move tasks that may be at work
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub tasks_processing_max: u64,
    /// Ended tasks that are remembered
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub tasks_ended_max: u64,
    /// A task that waits for longer has failed, in milliseconds; 0: none
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub task_pending_timeout_ms: u64,
    /// A task that is at work for longer has failed, in milliseconds; 0: none
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub task_processing_timeout_ms: u64,
    /// How often a client tries a task
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub task_retries: u32,
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
            ("--tasks-pending-max", self.tasks_pending_max, 0, TASKS_MAX),
            ("--tasks-processing-max", self.tasks_processing_max, 0, TASKS_MAX),
            ("--tasks-ended-max", self.tasks_ended_max, 0, TASKS_MAX),
            ("--task-pending-timeout-ms", self.task_pending_timeout_ms, 0, 365 * DAY_MS),
            ("--task-processing-timeout-ms", self.task_processing_timeout_ms, 0, 365 * DAY_MS),
        ] {
            if !(min..=max).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected {min} to {max}"));
            }
        }
        for (flag, value) in
            [("--eviction-ratio", self.eviction_ratio), ("--eviction-watermark", self.eviction_watermark)]
        {
            if !(0.0..=1.0).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected 0 to 1"));
            }
        }
        let ms = Duration::from_millis;
        let timeout = |value| if value == 0 { NEVER } else { ms(value) };
        let times = MasterTimes {
            read_ttl: ms(self.read_ttl_ms),
            put_discard: ms(self.put_discard_ms),
            put_release: ms(self.put_release_ms),
            soft_pin_ttl: ms(self.soft_pin_ttl_ms),
            soft_pin_ttl_max: ms(self.soft_pin_ttl_max_ms),
            eviction: EvictionRules {
                ratio: self.eviction_ratio,
                high_watermark: self.eviction_watermark,
                soft_pinned: self.evict_soft_pinned,
            },
            tasks: TaskRules {
                pending_max: self.tasks_pending_max as usize,
                processing_max: self.tasks_processing_max as usize,
                ended_max: self.tasks_ended_max as usize,
                pending_timeout: timeout(self.task_pending_timeout_ms),
                processing_timeout: timeout(self.task_processing_timeout_ms),
                retries: self.task_retries,
            },
            ..MasterTimes::default()
        };
        if let Err(bad) = times.check() {
            wrong.push(bad.to_string());
        }
        MasterConfig {
            times,
            clients: ClientTimes { ttl: Some(ms(self.client_ttl_ms)), ..ClientTimes::default() },
            placement: self.placement,
            metadata_cleanup: self.transfer_metadata_cleanup,
            // Not yet: see "Async mode" in ARCHITECTURE.md.
            windows: None,
            ..MasterConfig::default()
        }
    }
}
