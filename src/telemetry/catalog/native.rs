//! Our own metrics (OBSERVABILITY 3.2, what exists of it).

use super::{Label, Metric, closed, counter, gauge, histogram, named};

/// Roles a node may be in.
pub const ROLES: &[&str] = &["primary", "standby", "candidate", "offline"];
/// Calls of the hall, in the words of the contract.
pub const CALLS: &[&str] = &[
    "mount_segment",
    "re_mount_segment",
    "unmount_segment",
    "graceful_unmount_segment",
    "query_segment_status",
    "ping",
    "batch_query_ip",
    "get_fsdir",
    "get_storage_config",
    "put_start",
    "upsert_start",
    "put_end",
    "put_revoke",
    "get_replica_list",
    "exist_key",
    "remove",
    "get_replica_list_by_regex",
    "remove_by_regex",
    "remove_all",
    "batch_replica_clear",
    "copy_start",
    "copy_end",
    "copy_revoke",
    "move_start",
    "move_end",
    "move_revoke",
    "create_copy_task",
    "create_move_task",
    "query_task",
    "fetch_tasks",
    "mark_task_to_complete",
    "list_keys",
    "get_metadata",
    "put_metadata",
    "remove_metadata",
];
/// Changing calls whose stages are told apart. With three stages of six bounds each costs 27 of the 600 series that a
/// node may have, which has some 560.
pub const WRITES: &[&str] = &["put_start", "upsert_start", "put_end", "remove", "other"];
/// Why a node may not be promoted.
pub const REASONS: &[&str] = &[
    "not_standby",
    "never_streamed",
    "not_in_sync",
    "quarantine",
    "superseded",
    "full_sync",
    "items_differ",
    "segments_differ",
    "stale_proof",
    "structure",
    "paused",
    "flapping",
    "version",
    "old_epoch",
    "gap",
    "coordinator",
    "not_elected",
    "stuck",
    "other",
];
/// Kinds of role changes.
pub const CHANGES: &[&str] = &["bootstrap", "switchover", "failover", "forced"];
/// Phases of a role change; one that is not listed is exported as `other`.
pub const PHASES: &[&str] = &[
    "detect",
    "drain",
    "hand_over",
    "take_over",
    "fence",
    "catch_up",
    "promote",
    "listen",
    "publish",
    "first_answer",
    "first_read",
    "first_write",
    "other",
];
/// Where a segment is in its life.
pub const SEGMENT_STATES: &[&str] = &["ok", "held", "gracefully_unmounting"];

const STANDBY: &[Label] = &[named("standby", "name of the standby's node; at most 16")];
const OP_RESULT: &[Label] = &[closed("op", CALLS), closed("result", &["ok", "error"])];
const ROLE_CHANGE: &[Label] =
    &[closed("kind", CHANGES), closed("result", &["ok", "failed"]), closed("drill", &["no", "yes"])];

macro_rules! catalog {
    ($($name:ident = $metric:expr;)*) => {
        $(#[doc = concat!("See the catalogue: `", stringify!($name), "`.")] pub const $name: Metric = $metric;)*
        /// All of these.
        pub const NATIVE: &[&Metric] = &[$(&$name),*];
    };
}

catalog! {
    // Identity.
    BUILD_INFO = gauge("standfast_build_info", "Version and profile of the running binary; always 1.")
        .by(&[named("version", "version of the binary; one"), closed("profile", &["debug", "release"])])
        .healthy("the same version on all nodes")
        .constant();
    NODE_ROLE = gauge("standfast_node_role", "1 for the role that the node is in, 0 for the others.")
        .by(&[closed("role", ROLES)])
        .healthy("one primary in the cluster");
    EPOCH = gauge("standfast_epoch", "Highest epoch that the node has seen; on the primary its own.")
        .healthy("equal on all nodes")
        .absent("no epoch was seen yet");
    ACK_MODE = gauge("standfast_ack_mode", "1 for the mode in which writes are acknowledged, 0 for the other.")
        .by(&[closed("mode", &["sync", "async"])])
        .constant();

    // Sequence pipeline.
    SEQ = gauge("standfast_seq", "Exclusive position in the log that each stage has reached, as far as this node knows.")
        .by(&[closed("stage", &["assigned", "sent", "committed", "received", "applied", "verified"])])
        .healthy("all stages within a batch of each other")
        .absent("a stage that this role does not have, or that nobody reported yet");

    // Replication.
    LAG_ENTRIES = gauge("standfast_replication_lag_entries", "Entries that the standby is behind.")
        .by(STANDBY)
        .healthy("below 1000")
        .absent("primary and standby are not in contact: nobody knows");
    LAG_BYTES = gauge("standfast_replication_lag_bytes", "Bytes of log that the standby is behind.")
        .by(STANDBY)
        .healthy("below the bytes of one second")
        .absent("on a standby, and while the two are not in contact");
    LAG_SECONDS = gauge(
        "standfast_replication_lag_seconds",
        "Age of the oldest entry that the standby has not applied: on the primary since it was appended and not \
         acknowledged, on the standby since it was heard of. During a full sync since that began; without contact it \
         rises, from the last contact (primary) or from when the copies were last equal (standby).",
    )
        .by(STANDBY)
        .healthy("below 1")
        .absent(
            "the two were never in contact, and while what it lacks is from before they were, or from before this \
             node was primary",
        );
    LINK_UP = gauge("standfast_replication_link_up", "1 while frames flow between primary and standby.")
        .by(STANDBY)
        .healthy("1")
        .absent("a primary that has no standby on record");
    LAST_CONTACT = gauge(
        "standfast_replication_last_contact_timestamp_seconds",
        "When the other side was last heard, in seconds since 1970.",
    )
        .by(STANDBY)
        .healthy("less than 1 second ago")
        .absent("it was never heard");
    REPLICATION_ACK = histogram(
        "standfast_replication_ack_seconds",
        "From sending a batch to a standby until its acknowledgement.",
    )
        .by(STANDBY)
        .healthy("99 % below 0.005")
        .absent("on a node that is not the primary, and before the first acknowledgement");
    HEARTBEAT_GAP = histogram("standfast_heartbeat_gap_seconds", "Between two frames of the primary, heartbeats included.")
        .healthy("99 % below 0.5")
        .absent("on a primary");
    FULL_SYNCS = counter("standfast_full_syncs_total", "Copies of the whole state that this standby has received.")
        .healthy("no increase")
        .absent("on a primary");
    FULL_SYNC_PROGRESS = gauge("standfast_full_sync_progress_ratio", "Share of the state that a full sync has brought over.")
        .by(STANDBY)
        .healthy("rises")
        .absent("no full sync is under way");
    STANDBY_PROMOTABLE = gauge(
        "standfast_standby_promotable",
        "1 when the primary sees this standby connected, in sync and without a hole.",
    )
        .by(STANDBY)
        .healthy("1 for at least one standby")
        .absent("on a node that is not the primary");
    IN_SYNC_COPIES = gauge("standfast_in_sync_copies", "Copies on record as holding every acknowledged write, the primary's included.")
        .healthy("2 or more")
        .absent("on a standby that no primary has told yet");
    QUARANTINED = gauge("standfast_quarantined_entries", "Entries that this copy has set aside.")
        .healthy("0")
        .absent("on a primary");

    QUARANTINED_TOTAL = counter("standfast_quarantined_entries_total", "Entries that this node has set aside, in any copy, since it started.")
        .healthy("no increase");

    // Automatic failover.
    PAUSED = gauge("standfast_paused", "1 while operators have paused automatic failover.")
        .healthy("0")
        .absent("without a coordinator");
    PAUSE_LEFT = gauge("standfast_pause_remaining_seconds", "Until the pause of automatic failover ends by itself.")
        .absent("automatic failover is not paused");
    FLAPS = gauge(
        "standfast_automatic_failovers_recent",
        "Automatic failovers within the window of `--failover-window-s` that nobody has acknowledged.",
    )
        .healthy("0")
        .absent("without a coordinator");
    FLAPPING = gauge("standfast_automatic_failover_stopped", "1 when they are too many: none follows until somebody acknowledges.")
        .healthy("0")
        .absent("without a coordinator");

    // Security.
    PORT_OPEN = gauge("standfast_port_open", "1 when whoever reaches the gRPC port from another machine may give orders.")
        .healthy("0")
        .constant();
    CERTIFICATE_UNTIL = gauge(
        "standfast_tls_certificate_not_after_timestamp_seconds",
        "When the certificate of the gRPC port ends, in seconds since 1970.",
    )
        .healthy("more than 14 days ahead")
        .absent("the port speaks no TLS");

    // Verification.
    VERIFY_LAG = gauge("standfast_verify_lag_entries", "Entries applied after the last position through which all homes are proved equal.")
        .healthy("below the entries of a few seconds")
        .absent("on a primary, and until every home was found equal once");
    VERIFY_AGE = gauge("standfast_verify_age_seconds", "Since the home that was found equal longest ago.")
        .healthy("below 10")
        .absent("on a primary, and until every home was found equal once");
    VERIFY_PAUSED = gauge("standfast_verify_paused", "1 while nothing is compared.").healthy("0").absent("on a primary");
    VERIFY_RANGES = counter("standfast_verify_ranges_total", "Homes compared by digest at one position, by result.")
        .by(&[closed("result", &["equal", "unequal", "inconclusive"])])
        .healthy("only `equal` increases")
        .absent("on a primary");
    VERIFY_MISMATCHES = counter("standfast_verify_mismatches_total", "Items found to differ from the primary's.")
        .by(&[closed("kind", &["missing", "extra", "field"])])
        .healthy("no increase")
        .absent("on a primary");
    VERIFY_KEYS = gauge("standfast_verify_mismatched_keys", "Items known to differ from the primary's now.")
        .healthy("0")
        .absent("on a primary");
    REPAIRS = counter("standfast_repairs_total", "Items overwritten from the primary, digests counted anew, full repairs.")
        .by(&[closed("result", &["repaired", "digest", "full_sync"])])
        .healthy("no increase")
        .absent("on a primary");
    MEMORY_INTACT = gauge("standfast_memory_intact", "1 when the last count of every home agrees with its digest.")
        .healthy("1")
        .absent("no home was found damaged, and not every one was counted yet");

    // Write path.
    WRITE_DURATION = histogram(
        "standfast_write_duration_seconds",
        "Where acknowledged writes spent their time: before the decision, in it until appended, until acknowledged.",
    )
        .by(&[closed("op", WRITES), closed("stage", &["queue", "log", "ack"])])
        .healthy("99 % below 0.005");
    CALL_DURATION = histogram("standfast_call_duration_seconds", "From the door's handing over a call until its answer.")
        .by(&[closed("class", &["read", "write"])])
        .healthy("99 % below 0.005");
    CALLS_TOTAL = counter("standfast_calls_total", "Calls that came in.").by(&[closed("op", CALLS)]);
    WRITES_TOTAL = counter("standfast_writes_total", "Elements of changing calls that were answered, by result.")
        .by(OP_RESULT);
    READS_TOTAL = counter("standfast_reads_total", "Elements of reading calls that were answered, by result.")
        .by(OP_RESULT);
    REFUSED_TOTAL = counter("standfast_refused_calls_total", "Calls refused as a whole; nothing was done.")
        .healthy("no increase on a primary");
    UNKNOWN_TOTAL = counter("standfast_unknown_outcomes_total", "Calls whose outcome their client does not know.")
        .healthy("no increase");
    ALLOCATION_FAILURES = counter("standfast_allocation_failures_total", "Writes refused because no lent memory had room for them.")
        .healthy("no increase");
    PENDING_REPLIES = gauge("standfast_pending_replies", "Replies that wait for the in-sync standbys now.")
        .healthy("below 1000");
    MAY_ANSWER = gauge("standfast_may_answer", "1 while the primary has the right to answer.")
        .healthy("1 on the primary")
        .absent("on a node that is not the primary");

    // Readiness.
    PROMOTABLE = gauge("standfast_promotable", "1 when a promotion of this node would be accepted now.")
        .healthy("1 on at least one standby")
        .absent("before the first reading, and while nobody knows: the coordinator does not answer");
    REHEARSAL_AGE = gauge("standfast_rehearsal_age_seconds", "Since the proof behind `standfast_promotable` was made.")
        .healthy("below 30")
        .absent("on a node that has not rehearsed a promotion");
    REHEARSAL_KEYS = gauge("standfast_rehearsal_keys", "Objects that this node would serve after a promotion.")
        .healthy("equal on all nodes at rest")
        .absent("before the first reading");
    REHEARSAL_BYTES = gauge("standfast_rehearsal_bytes", "Bytes of lent memory that those objects occupy.")
        .absent("before the first reading");
    PROMOTABLE_REASON = gauge("standfast_promotable_reason", "1 for each reason that speaks against a promotion, 0 for the others.")
        .by(&[closed("code", REASONS)])
        .healthy("0 on at least one standby")
        .absent("before the first reading");

    // Role changes.
    FAILOVERS_TOTAL = counter("standfast_failovers_total", "Role changes that this node went through as the new primary; a drill's counts as a drill's, too, once it is noted.")
        .by(ROLE_CHANGE);
    FAILOVER_PHASE = gauge("standfast_failover_phase_seconds", "How long each phase of the last role change took.")
        .by(&[closed("phase", PHASES)])
        .absent("this node has never taken over, as far as its history goes");
    FAILOVER_RTO = gauge(
        "standfast_failover_rto_seconds",
        "From the former primary's last sign of life to this node's first answer to a client, at its last role change.",
    )
        .healthy("below 5")
        .absent("this node has never taken over, as far as its history goes, or nobody has asked it yet");
    FAILOVER_RPO = gauge("standfast_failover_rpo_entries", "Acknowledged entries that the last role change lost.")
        .healthy("0")
        .absent("there was none, or nobody knows (async)");
    FAILOVER_RPO_BYTES = gauge("standfast_failover_rpo_bytes", "Bytes of log of the acknowledged entries that the last role change lost.")
        .healthy("0")
        .absent("there was none, or nobody knows: only of nothing lost the bytes are known");
    FAILOVER_RPO_SECONDS = gauge(
        "standfast_failover_rpo_seconds",
        "Of how long a time the last role change lost acknowledged writes, at most.",
    )
        .healthy("0")
        .absent("there was none, or nobody knows");
    FAILOVER_RPO_KEYS = gauge("standfast_failover_rpo_keys", "Keys of which the last role change lost an acknowledged write.")
        .healthy("0")
        .absent("there was none, or nobody knows: only of nothing lost the keys are known");
    FAILOVER_AT = gauge("standfast_failover_last_timestamp_seconds", "When the last role change began, in seconds since 1970.")
        .absent("this node has never become primary, as far as its history goes");

    // Clients and state.
    CLIENTS = gauge("standfast_clients", "Clients on record: those that lend memory or have said hello.")
        .by(&[closed("state", &["ok", "needing_remount"])])
        .healthy("none needs to remount for long");
    SEGMENTS = gauge("standfast_segments", "Mounted segments.").by(&[closed("state", SEGMENT_STATES)]);
    OBJECTS = gauge("standfast_objects", "Objects in this copy, unfinished writes included.");
    ALLOCATED_BYTES = gauge("standfast_allocated_bytes", "Bytes of lent memory that objects occupy.");
    CAPACITY_BYTES = gauge("standfast_capacity_bytes", "Bytes of lent memory.");

    // Log.
    LOG_ENTRIES = gauge("standfast_log_entries", "Entries that the log holds.").healthy("at most the limit");
    LOG_ENTRIES_LIMIT = gauge("standfast_log_entries_limit", "Entries that the log may hold; the oldest go first.").constant();
    LOG_BYTES = gauge("standfast_log_bytes", "Bytes that the log holds.").healthy("at most the limit");
    LOG_LIMIT_BYTES = gauge("standfast_log_limit_bytes", "Bytes that the log may hold; the oldest entries go first.").constant();
    LOG_OLDEST_SEQ = gauge(
        "standfast_log_oldest_seq",
        "First seq that the log still holds: a standby that lacks an earlier one cannot be streamed to.",
    );
    LOG_APPENDED_TOTAL = counter("standfast_log_appended_entries_total", "Entries appended to this node's log one by one; what a full sync brings as state is not counted.");

    // Telemetry itself.
    SPANS_EXPORTED = counter("standfast_spans_exported_total", "Spans that the collector took.")
        .absent("no collector is configured");
    SPANS_DROPPED = counter(
        "standfast_spans_dropped_total",
        "Lost because a queue was full, be it the exporter's, that of what standbys are told, or the recorder's \
         (requests), or not taken (spans).",
    )
        .by(&[closed("why", &["queue_full", "refused"])])
        .healthy("no increase")
        .absent("no collector is configured");

    NOTIFICATIONS = counter("standfast_notifications_total", "Messages about role changes to the webhook.")
        .by(&[closed("result", &["ok", "failed"])])
        .healthy("none failed")
        .absent("no webhook is configured");

    // Coordination.
    ARBITER_UP = gauge("standfast_arbiter_up", "1 while the coordinator answers.")
        .healthy("1")
        .absent("without a coordinator, and before its first answer");
    ARBITER_LATENCY = histogram("standfast_arbiter_latency_seconds", "From asking the coordinator until its answer, or until none is expected any more.")
        .healthy("99 % below 0.1")
        .absent("without a coordinator");

    // Own health.
    LOCK_HOLD = histogram("standfast_lock_hold_seconds", "For how long a part of the state was locked to encode it for a full sync; other locks are not timed.")
        .healthy("99 % below 0.005");
    LOOP_DELAY = histogram("standfast_loop_delay_seconds", "How late the timer of the node's loop fired.")
        .healthy("99 % below 0.1");
    EVENTS_TOTAL = counter("standfast_events_total", "Happenings noted on this node.");
    PROCESS_CPU = counter("process_cpu_seconds_total", "Processor time that the process has used.")
        .absent("the system does not tell");
    PROCESS_RESIDENT = gauge("process_resident_memory_bytes", "Resident memory of the process.")
        .absent("the system does not tell");
    PROCESS_FDS = gauge("process_open_fds", "Open file descriptors.")
        .healthy("below half of the limit")
        .absent("the system does not tell");
    PROCESS_MAX_FDS = gauge("process_max_fds", "Open file descriptors that the process may have.")
        .absent("the system does not tell")
        .constant();
    MEMORY_LIMIT = gauge("standfast_memory_limit_bytes", "Memory that the process may use: the least of the machine's and its control groups' limits.")
        .absent("the system does not tell")
        .constant();
    CLOCK = gauge("standfast_clock_timestamp_seconds", "The node's wall clock when it was read, in seconds since 1970.")
        .healthy("within 0.1 of the other nodes'")
        .absent("before the first reading");
    PROCESS_THREADS = gauge("process_threads", "Threads of the process.").absent("the system does not tell");
    PROCESS_START = gauge("process_start_time_seconds", "When the process started, in seconds since 1970.").constant();
    MEMORY = gauge(
        "standfast_memory_bytes",
        "Memory by what it is used for, as far as it is counted: entries of the log, slots and tables of objects (not what \
         single ones keep besides), free lists of mounts, transfer metadata, the flight recorder.",
    )
        .by(&[closed("subsystem", &["log", "index", "allocators", "transfer_metadata", "recorder"])]);
}
