//! Every flag of a stock master (release 0.3.13.post1), and what it means here. Data only.

use super::values::Kind::{self, Bool, Double, Duration, Int, Text, Uint};

/// What a flag means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The value of this flag of `serve`.
    Serve(&'static str),
    /// Seconds; this flag of `serve` takes milliseconds.
    ServeSeconds(&'static str),
    /// One of the first words is the value of the flag of `serve`, if there is one; any other is not here.
    Choice(Option<&'static str>, &'static [&'static str], &'static str),
    /// Read by the translation itself: addresses, names, files.
    Handled,
    /// We do not have it, and it changes what is stored or promised.
    Lacks(&'static str),
    /// Means nothing unless this flag is set.
    Only(&'static str),
    /// Changes nothing that a client could see; the text says why it does not apply.
    Tuning(&'static str),
}

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As a stock master has it when nobody says anything.
    pub(super) default: &'static str,
    pub(super) meaning: Meaning,
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, meaning: Meaning) -> Flag {
    Flag { name, kind, default, meaning }
}

use Meaning::{Choice, Handled, Lacks, Only, Serve, ServeSeconds, Tuning};

const THREADS: &str = "there is one worker for every two cores; `serve --workers` sets another number";
const REPLICATION: &str = "replication is always on; see --standfast_ack";
const LOGS: &str = "logs go to stderr; RUST_LOG chooses the level";
const NOF: &str = "there are no NVMe-over-Fabric segments here, as in the released wheel";

/// In the order of the stock master's own help; ours come last.
pub(super) const FLAGS: &[Flag] = &[
    flag(
        "allocation_strategy",
        Text,
        "random",
        Choice(
            Some("--placement"),
            &["random", "free_ratio_first", "local_first"],
            "there are no CXL and SSD segments to choose",
        ),
    ),
    flag("allow_evict_soft_pinned_objects", Bool, "true", Serve("--evict-soft-pinned")),
    flag("batch_oplog_retry_timeout_sec", Uint, "180", Tuning(REPLICATION)),
    flag("client_ttl", Int, "10", ServeSeconds("--client-ttl-ms")),
    flag("cluster_id", Text, "mooncake_cluster", Serve("--cluster")),
    flag("config_path", Text, "", Handled),
    flag("cxl_path", Text, "/dev/dax0.0", Only("enable_cxl")),
    flag("cxl_size", Uint, "8589934592", Only("enable_cxl")),
    flag("default_kv_lease_ttl", Duration, "10000", Serve("--read-ttl-ms")),
    flag("default_kv_soft_pin_ttl", Duration, "1800000", Serve("--soft-pin-ttl-ms")),
    flag("dynamic_replication_admission_qps_threshold", Double, "0.8", Only("dynamic_replication_mode")),
    flag("dynamic_replication_heat_window_seconds", Uint, "10", Only("dynamic_replication_mode")),
    flag("dynamic_replication_max_memory_replicas", Uint, "2", Only("dynamic_replication_mode")),
    flag(
        "dynamic_replication_mode",
        Text,
        "off",
        Choice(None, &["off"], "objects are not copied because they are read often"),
    ),
    flag("enable_cxl", Bool, "false", Lacks("there are no CXL segments")),
    flag("enable_disk_eviction", Bool, "true", Only("root_fs_dir")),
    flag("enable_ha", Bool, "false", Handled),
    flag("enable_http_metadata_server", Bool, "false", Handled),
    flag("enable_kv_events", Bool, "false", Lacks("no events are published")),
    flag("enable_metadata_cleanup_on_timeout", Bool, "false", Only("enable_http_metadata_server")),
    flag("enable_metric_reporting", Bool, "true", Tuning("metrics are not written to the log")),
    flag("enable_multi_tenants", Bool, "false", Lacks("there is one namespace and no quota")),
    flag("enable_offload", Bool, "false", Lacks("nothing is kept on clients' SSDs")),
    flag("enable_oplog", Bool, "false", Tuning(REPLICATION)),
    flag("enable_snapshot", Bool, "false", Lacks("no snapshot is written; a standby keeps the state")),
    flag("enable_snapshot_restore", Bool, "false", Lacks("no snapshot is read; a standby keeps the state")),
    flag("etcd_endpoints", Text, "", Only("enable_ha")),
    flag("eviction_high_watermark_ratio", Double, "0.9", Serve("--eviction-watermark")),
    flag("eviction_ratio", Double, "0.05", Serve("--eviction-ratio")),
    flag("global_file_segment_size", Int, "9223372036854775807", Only("root_fs_dir")),
    flag("ha_backend_connstring", Text, "", Only("enable_ha")),
    flag("ha_backend_type", Text, "etcd", Only("enable_ha")),
    flag("http_metadata_server_host", Text, "0.0.0.0", Only("enable_http_metadata_server")),
    flag("http_metadata_server_port", Int, "8080", Only("enable_http_metadata_server")),
    flag("kv_events_additional_salt", Text, "", Only("enable_kv_events")),
    flag("kv_events_backend_id", Text, "", Only("enable_kv_events")),
    flag("kv_events_bind_endpoint", Text, "", Only("enable_kv_events")),
    flag("kv_events_block_size", Uint, "0", Only("enable_kv_events")),
    flag("kv_events_dp_rank", Uint, "0", Only("enable_kv_events")),
    flag("kv_events_emit_legacy_compat", Bool, "true", Only("enable_kv_events")),
    flag("kv_events_emit_object_key", Bool, "true", Only("enable_kv_events")),
    flag("kv_events_lora_name", Text, "", Only("enable_kv_events")),
    flag("kv_events_model_name", Text, "", Only("enable_kv_events")),
    flag("kv_events_queue_capacity", Uint, "65536", Only("enable_kv_events")),
    flag("kv_events_tenant_id", Text, "default", Only("enable_kv_events")),
    flag("max_kv_soft_pin_ttl", Duration, "86400000", Serve("--soft-pin-ttl-max-ms")),
    flag("max_retry_attempts", Uint, "10", Serve("--task-retries")),
    flag("max_threads", Int, "16", Tuning(THREADS)),
    flag("max_total_finished_tasks", Uint, "10000", Serve("--tasks-ended-max")),
    flag("max_total_pending_tasks", Uint, "10000", Serve("--tasks-pending-max")),
    flag("max_total_processing_tasks", Uint, "10000", Serve("--tasks-processing-max")),
    flag(
        "memory_allocator",
        Text,
        "offset",
        Choice(None, &["offset"], "it is deprecated, and cuts memory into slabs of 16 MiB"),
    ),
    flag("metrics_host", Text, "0.0.0.0", Handled),
    flag("metrics_port", Int, "9003", Handled),
    flag("nof_eviction_high_watermark_ratio", Double, "0.9", Tuning(NOF)),
    flag("nof_eviction_ratio", Double, "0.05", Tuning(NOF)),
    flag("nof_heartbeat_failures_threshold", Uint, "3", Tuning(NOF)),
    flag("nof_heartbeat_interval_sec", Int, "10", Tuning(NOF)),
    flag("nof_heartbeat_probe_timeout_ms", Uint, "1000", Tuning(NOF)),
    flag("offload_cap_ratio", Double, "0.5", Only("enable_offload")),
    flag("offload_force_evict", Bool, "false", Only("enable_offload")),
    flag("offload_on_evict", Bool, "false", Only("enable_offload")),
    flag("offloading_queue_limit", Uint, "50000", Only("enable_offload")),
    flag("oplog_batch_max_entries", Uint, "1024", Tuning(REPLICATION)),
    flag("oplog_poll_interval_ms", Int, "1000", Tuning(REPLICATION)),
    flag("pending_task_timeout_sec", Uint, "300", ServeSeconds("--task-pending-timeout-ms")),
    flag("pod_name", Text, "", Only("enable_ha")),
    flag("pod_namespace", Text, "", Only("enable_ha")),
    flag("port", Int, "50051", Handled),
    flag("processing_task_timeout_sec", Uint, "300", ServeSeconds("--task-processing-timeout-ms")),
    flag("promotion_admission_threshold", Uint, "2", Only("promotion_on_hit")),
    flag("promotion_max_per_heartbeat", Uint, "1", Only("promotion_on_hit")),
    flag("promotion_on_hit", Bool, "false", Lacks("nothing is kept on clients' SSDs")),
    flag("promotion_queue_limit", Uint, "50000", Only("promotion_on_hit")),
    flag("put_start_discard_timeout_sec", Uint, "30", ServeSeconds("--put-discard-ms")),
    flag("put_start_release_timeout_sec", Uint, "600", ServeSeconds("--put-release-ms")),
    flag("quota_bytes", Uint, "0", Only("root_fs_dir")),
    flag("root_fs_dir", Text, "", Lacks("nothing is kept in a shared file system")),
    flag("rpc_address", Text, "0.0.0.0", Handled),
    flag("rpc_conn_timeout_seconds", Int, "0", Tuning("idle connections are probed, and never closed")),
    flag("rpc_enable_tcp_no_delay", Bool, "true", Tuning("it is always on")),
    flag("rpc_interface", Text, "", Handled),
    flag("rpc_port", Int, "0", Handled),
    flag("rpc_thread_num", Int, "0", Tuning(THREADS)),
    flag("snapshot_backup_dir", Text, "", Only("enable_snapshot")),
    flag("snapshot_catalog_backend_connstring", Text, "", Only("enable_snapshot")),
    flag("snapshot_catalog_backend_type", Text, "", Only("enable_snapshot")),
    flag("snapshot_catalog_store_connstring", Text, "", Only("enable_snapshot")),
    flag("snapshot_catalog_store_type", Text, "", Only("enable_snapshot")),
    flag("snapshot_child_timeout_seconds", Uint, "300", Only("enable_snapshot")),
    flag("snapshot_interval_seconds", Uint, "600", Only("enable_snapshot")),
    flag("snapshot_object_store_type", Text, "", Only("enable_snapshot")),
    flag("snapshot_payload_backend_type", Text, "", Only("enable_snapshot")),
    flag("snapshot_payload_store_type", Text, "", Only("enable_snapshot")),
    flag("snapshot_retention_count", Uint, "2", Only("enable_snapshot")),
    flag("tenant_quota_connector_type", Text, "file", Only("enable_multi_tenants")),
    flag("tenant_quota_connector_uri", Text, "", Only("enable_multi_tenants")),
    flag("mmap_arena_pool_size", Uint, "8589934592", Tuning("a master maps no memory")),
    flag("use_mmap_arena_allocator", Bool, "false", Tuning("a master maps no memory")),
    flag("flagfile", Text, "", Handled),
    flag("fromenv", Text, "", Handled),
    flag("tryfromenv", Text, "", Handled),
    flag("undefok", Text, "", Handled),
    flag("tab_completion_columns", Int, "80", Tuning("there is no completion")),
    flag("tab_completion_word", Text, "", Tuning("there is no completion")),
    flag("help", Bool, "false", Handled),
    flag("helpfull", Bool, "false", Handled),
    flag("helpmatch", Text, "", Handled),
    flag("helpon", Text, "", Handled),
    flag("helppackage", Bool, "false", Handled),
    flag("helpshort", Bool, "false", Handled),
    flag("helpxml", Bool, "false", Handled),
    flag("version", Bool, "false", Handled),
    flag("alsologtoemail", Text, "", Tuning(LOGS)),
    flag("alsologtostderr", Bool, "false", Tuning(LOGS)),
    flag("colorlogtostderr", Bool, "false", Tuning(LOGS)),
    flag("drop_log_memory", Bool, "true", Tuning(LOGS)),
    flag("log_backtrace_at", Text, "", Tuning(LOGS)),
    flag("log_dir", Text, "", Tuning(LOGS)),
    flag("log_link", Text, "", Tuning(LOGS)),
    flag("log_prefix", Bool, "true", Tuning(LOGS)),
    flag("logbuflevel", Int, "0", Tuning(LOGS)),
    flag("logbufsecs", Int, "30", Tuning(LOGS)),
    flag("logemaillevel", Int, "999", Tuning(LOGS)),
    flag("logfile_mode", Int, "436", Tuning(LOGS)),
    flag("logmailer", Text, "/bin/mail", Tuning(LOGS)),
    flag("logtostderr", Bool, "false", Tuning(LOGS)),
    flag("max_log_size", Int, "1800", Tuning(LOGS)),
    flag("minloglevel", Int, "0", Tuning(LOGS)),
    flag("stderrthreshold", Int, "2", Tuning(LOGS)),
    flag("stop_logging_if_full_disk", Bool, "false", Tuning(LOGS)),
    flag("symbolize_stacktrace", Bool, "true", Tuning(LOGS)),
    flag("v", Int, "0", Tuning(LOGS)),
    flag("vmodule", Text, "", Tuning(LOGS)),
    // Ours, in the same spelling.
    flag("allow_unsupported", Bool, "false", Handled),
    flag("standfast_port", Int, "-1", Handled),
    flag("standfast_node", Text, "", Handled),
    flag("standfast_role", Text, "primary", Handled),
    flag("standfast_peer", Text, "", Handled),
    flag("standfast_ack", Text, "sync", Serve("--ack")),
    flag("standfast_etcd_ca", Text, "", Serve("--coordinator-ca")),
    flag("standfast_etcd_cert", Text, "", Serve("--coordinator-cert")),
    flag("standfast_etcd_key", Text, "", Serve("--coordinator-key")),
];

/// The flag of that name. Where a stock master has `_`, `-` is understood, too.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    let name = name.replace('-', "_");
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The name that is most like this one, if any is.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.replace('-', "_");
    let likeness = |flag: &Flag| strsim::jaro_winkler(flag.name, &name);
    let best = FLAGS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= 0.8).then_some(best.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for (i, flag) in FLAGS.iter().enumerate() {
            assert!(FLAGS[..i].iter().all(|other| other.name != flag.name), "{} twice", flag.name);
            assert!(flag.kind.read(flag.default).is_ok(), "{flag:?}");
            match flag.meaning {
                Only(other) => assert!(find(other).is_some(), "{flag:?}"),
                Choice(_, words, _) => assert!(words.contains(&flag.default), "{flag:?}"),
                Serve(_) | ServeSeconds(_) | Handled | Lacks(_) | Tuning(_) => {}
            }
        }
    }

    #[test]
    fn the_nearest_name_is_one_that_was_meant() {
        assert_eq!(nearest("enable_offlod"), Some("enable_offload"));
        assert_eq!(nearest("rpc-prot"), Some("rpc_port"));
        assert_eq!(nearest("eviction-high-watermark"), Some("eviction_high_watermark_ratio"));
        assert_eq!(nearest("qqq"), None);
    }
}
