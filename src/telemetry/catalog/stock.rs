//! Metrics under the stock master's names (SEMANTICS 7.3), where this master
//! has the value. Features that are off count nothing, as on a stock master
//! whose flags for them are off; what is not measured is absent.

use super::{Label, Metric, counter, gauge, named};

const SEGMENT: &[Label] = &[named("segment", "name of a segment; two series a segment")];

/// Counters of one call of Mooncake's protocol.
#[derive(Debug, Clone, Copy)]
pub struct StockCall {
    /// The stock name of the operation.
    pub op: &'static str,
    /// Whether it is the batch form.
    pub batch: bool,
    counters: &'static [Metric],
}

impl StockCall {
    /// Its counters: requests and failures; a batch also partial successes, items and failed items.
    #[must_use]
    pub fn metrics(&self) -> &'static [Metric] {
        self.counters
    }
}

macro_rules! single {
    ($op:literal) => {
        StockCall {
            op: $op,
            batch: false,
            counters: &[
                counter(concat!("master_", $op, "_requests_total"), "Calls of Mooncake's clients."),
                counter(
                    concat!("master_", $op, "_failures_total"),
                    "Those that were answered with an error.",
                ),
            ],
        }
    };
}

macro_rules! batch {
    ($op:literal $(, $partial:literal)?) => {
        StockCall {
            op: $op,
            batch: true,
            counters: &[
                counter(concat!("master_batch_", $op, "_requests_total"), "Batch calls of Mooncake's clients."),
                counter(concat!("master_batch_", $op, "_failures_total"), "Those in which every item failed."),
                $(counter(concat!("master_batch_", $op, $partial), "Those in which some items failed."),)?
                counter(concat!("master_batch_", $op, "_items_total"), "Items of batch calls."),
                counter(concat!("master_batch_", $op, "_failed_items_total"), "Items that were answered with an error."),
            ],
        }
    };
}

/// The calls that are counted under stock names. Upserts count as puts. The batches without partial successes have
/// one result for all of their items.
pub const STOCK_CALLS: &[StockCall] = &[
    single!("put_start"),
    single!("put_end"),
    single!("put_revoke"),
    single!("get_replica_list"),
    single!("get_replica_list_by_regex"),
    single!("exist_key"),
    single!("remove"),
    single!("remove_by_regex"),
    single!("remove_all"),
    single!("mount_segment"),
    single!("unmount_segment"),
    single!("remount_segment"),
    single!("ping"),
    single!("copy_start"),
    single!("copy_end"),
    single!("copy_revoke"),
    single!("move_start"),
    single!("move_end"),
    single!("move_revoke"),
    single!("create_copy_task"),
    single!("create_move_task"),
    single!("query_task"),
    single!("fetch_tasks"),
    single!("update_task"),
    batch!("exist_key", "_partial_successes_total"),
    batch!("query_ip"),
    batch!("replica_clear"),
    batch!("get_replica_list", "_partial_successes_total"),
    batch!("put_start", "_partial_successes_total"),
    batch!("put_end", "_partial_successes_total"),
    batch!("put_revoke", "_partial_successes_total"),
];

macro_rules! catalog {
    ($($name:ident = $metric:expr;)*) => {
        $(#[doc = concat!("See the catalogue: `", stringify!($name), "`.")] pub const $name: Metric = $metric;)*
        /// All of these; the counters of calls are in [`STOCK_CALLS`].
        pub const STOCK: &[&Metric] = &[$(&$name),*];
    };
}

catalog! {
    STOCK_ALLOCATED = gauge("master_allocated_bytes", "Bytes of lent memory that objects occupy; 0 on a standby.");
    STOCK_CAPACITY = gauge("master_total_capacity_bytes", "Bytes of lent memory; 0 on a standby.");
    STOCK_SEGMENT_ALLOCATED = gauge("segment_allocated_bytes", "Bytes of the segment that objects occupy.").by(SEGMENT)
        .absent("no segment is mounted, and on a node that does not lead");
    STOCK_SEGMENT_CAPACITY = gauge("segment_total_capacity_bytes", "Bytes of the segment.").by(SEGMENT)
        .absent("no segment is mounted, and on a node that does not lead");
    STOCK_KEYS = gauge("master_key_count", "Objects that this node serves; 0 on a standby.");
    STOCK_MEM_OBJECTS = gauge("mem_cache_nums_", "The same: all objects are in memory.");
    STOCK_CLIENTS = gauge("master_active_clients", "Clients that have mounted all that they lend; 0 on a standby.");
    STOCK_GETS = counter("total_get_nums_", "Keys whose replicas were asked for.");
    STOCK_VALID_GETS = counter("valid_get_nums_", "Those that were found.");
    STOCK_MEM_HITS = counter("mem_cache_hit_nums_", "The same: all of them are in memory.");
    STOCK_NO_ROOM = counter("master_put_start_alloc_failures_total", "Writes for which there was no memory.");
    STOCK_LAST_SEQ = gauge("ha_oplog_last_sequence_id", "Last seq of the log.");
    STOCK_APPLIED_SEQ = gauge("ha_oplog_applied_sequence_id", "Last seq that is applied.")
        .absent("on a primary");
    STOCK_LAG = gauge("ha_oplog_standby_lag", "Entries that this standby is behind.")
        .healthy("below 1000")
        .absent("on a primary, and while a standby is not in contact with its primary");
    STOCK_EVICTIONS_TRIED = counter("master_attempted_evictions_total", "Passes of eviction that were begun in this term.")
        .absent("on a node that is not the primary");
    STOCK_EVICTIONS = counter("master_successful_evictions_total", "Those that freed something.")
        .absent("on a node that is not the primary");
    STOCK_EVICTED_KEYS = counter("master_evicted_key_count", "Objects that lost their evictable replicas.")
        .absent("on a node that is not the primary");
    STOCK_EVICTED_BYTES = counter("master_evicted_size_bytes", "Bytes of those replicas.")
        .absent("on a node that is not the primary");
    STOCK_EVICTIONS_TRIED_MEM = counter("master_attempted_evictions_mem", "As master_attempted_evictions_total.")
        .absent("on a node that is not the primary");
    STOCK_EVICTIONS_MEM = counter("master_successful_evictions_mem", "As master_successful_evictions_total.")
        .absent("on a node that is not the primary");
    STOCK_EVICTED_KEYS_MEM = counter("master_evicted_key_count_mem", "As master_evicted_key_count.")
        .absent("on a node that is not the primary");
    STOCK_EVICTED_BYTES_MEM = counter("master_evicted_size_bytes_mem", "As master_evicted_size_bytes.")
        .absent("on a node that is not the primary");
    STOCK_DISCARDED = counter("master_put_start_discard_cnt", "Unfinished writes given up because of their age.")
        .absent("on a node that is not the primary");
    STOCK_RELEASED = counter("master_put_start_release_cnt", "Ranges that waited and may be used again.")
        .absent("on a node that is not the primary");
    STOCK_PENDING = gauge("ha_pending_mutation_queue_size", "Replies that wait for the in-sync standbys now.");
    STOCK_STANDBY_STATE = gauge(
        "ha_standby_state",
        "What a standby does, in the stock master's numbers: 1 connects, 2 copies or catches up, 3 follows; 0 on a primary.",
    );
}

macro_rules! off {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// What counts nothing here: disks, NVMe-over-Fabric and promotion are off.
        pub const STOCK_OFF: &[Metric] = &[$($kind($name, "Always 0: what it counts is off.").constant()),*];
    };
}

off! {
    gauge "master_nof_allocated_bytes",
    gauge "master_total_nof_capacity_bytes",
    gauge "master_allocated_file_size_bytes",
    gauge "master_total_file_capacity_bytes",
    gauge "file_cache_nums_",
    counter "file_cache_hit_nums_",
    counter "file_cache_hit_bytes_total",
    counter "master_evict_disk_replica_requests_total",
    counter "master_evict_disk_replica_failures_total",
    counter "master_mount_nof_segment_requests_total",
    counter "master_mount_nof_segment_failures_total",
    counter "master_unmount_nof_segment_requests_total",
    counter "master_unmount_nof_segment_failures_total",
    counter "master_remount_nof_segment_requests_total",
    counter "master_remount_nof_segment_failures_total",
    gauge "master_promotion_in_flight",
    counter "master_promotion_admitted_total",
    counter "master_promotion_completed_total",
    counter "master_promotion_completed_bytes_total",
    counter "master_promotion_expired_total",
    counter "master_promotion_failed_total",
    counter "master_promotion_cancelled_total",
    counter "master_promotion_rejected_frequency_total",
    counter "master_promotion_rejected_watermark_total",
    counter "master_promotion_rejected_cap_total",
    counter "master_promotion_candidate_recorded_total",
    counter "master_promotion_candidate_admitted_total",
    counter "master_promotion_candidate_admission_rejected_total",
    counter "master_promotion_candidate_expired_evaluated_total",
    counter "master_promotion_candidate_expired_unevaluated_total",
    counter "master_promotion_candidate_dropped_limit_total",
}
