use std::collections::BTreeMap;

use clap::Parser;

use super::super::{ServeArgs, ServeConfig, StartRole};
use super::*;

/// A machine of which everything is known.
#[derive(Default)]
struct Paper {
    files: BTreeMap<&'static str, &'static str>,
    variables: BTreeMap<&'static str, &'static str>,
}

impl Surroundings for Paper {
    fn read(&self, path: &Path) -> Result<String, String> {
        let text = path.to_str().and_then(|path| self.files.get(path));
        text.map(|text| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn interface(&self, name: &str) -> Option<IpAddr> {
        (name == "eth0").then_some(IpAddr::from([10, 0, 0, 7]))
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        (name == "master-0").then_some(IpAddr::from([10, 0, 0, 8]))
    }

    fn machine(&self) -> String {
        "box".to_owned()
    }
}

fn paper() -> Paper {
    Paper {
        files: BTreeMap::from([
            ("defaults.yaml", include_str!("../../../tests/stock/defaults.yaml")),
            ("tuned.json", include_str!("../../../tests/stock/tuned.json")),
            ("offload.yml", include_str!("../../../tests/stock/offload.yml")),
            ("flags", "# why\n--rpc_port=50071\n\n  -client_ttl=20\nanother_program\n--flagfile=more\n"),
            ("more", "--cluster_id=of_a_file\n"),
            ("circle", "--flagfile=circle\n"),
            ("packaged", include_str!("../../../packaging/master.flags")),
            ("text.conf", "rpc_port: 1\n"),
        ]),
        variables: BTreeMap::from([("FLAGS_rpc_port", "50081")]),
    }
}

fn said(line: &str) -> Result<Translated, Vec<String>> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    translate(&words, &paper())
}

/// The node that a line starts, by the rules of `serve`, and what is said about the line.
fn served(line: &str) -> (ServeConfig, Vec<String>) {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ServeArgs,
    }
    let (words, notes) = match said(line) {
        Ok(Translated::Serve { words, notes }) => (words, notes),
        other => unreachable!("{line}: {other:?}"),
    };
    let words = std::iter::once("serve".to_owned()).chain(words);
    let cli = Cli::try_parse_from(words).map_err(|e| format!("{line}: {e}")).expect("serve takes it");
    (ServeConfig::try_from(&cli.args).map_err(|e| format!("{line}: {e}")).expect("valid"), notes)
}

fn secs(config: &ServeConfig) -> [u64; 4] {
    let times = config.master.times;
    let client = config.master.clients.ttl.expect("set");
    [times.read_ttl, client, times.put_discard, times.put_release].map(|time| time.as_secs())
}

/// A command line and what it comes to: address, Mooncake port, gRPC port, cluster, seconds of read lease, client,
/// discard and release, and the number of things said about it.
type Case = (&'static str, &'static str, u16, u16, &'static str, [u64; 4], usize);

/// Command lines of deployments and of documents.
#[test]
fn stock_command_lines_start_the_node_that_they_describe() {
    let defaults = [10, 10, 30, 600];
    let any = "0.0.0.0";
    let cases: [Case; 20] = [
        ("", any, 50051, 50052, "mooncake_cluster", defaults, 0),
        ("--rpc_port=50061", any, 50061, 50062, "mooncake_cluster", defaults, 0),
        ("-rpc_port 50061 -metrics_port 9013", any, 50061, 50062, "mooncake_cluster", defaults, 0),
        ("--port=50061", any, 50061, 50062, "mooncake_cluster", defaults, 0),
        ("--port=1 --rpc_port=50061", any, 50061, 50062, "mooncake_cluster", defaults, 0),
        ("--rpc-port 50061 --standfast_port=7", any, 50061, 7, "mooncake_cluster", defaults, 0),
        ("--rpc_port=1 --rpc_port=50061", any, 50061, 50062, "mooncake_cluster", defaults, 0),
        (
            "--rpc_address=127.0.0.1 --rpc_thread_num=64",
            "127.0.0.1",
            50051,
            50052,
            "mooncake_cluster",
            defaults,
            1,
        ),
        (
            "--rpc_interface=eth0 --rpc_address=1.2.3.4",
            "10.0.0.7",
            50051,
            50052,
            "mooncake_cluster",
            defaults,
            0,
        ),
        ("--rpc_address=master-0", "10.0.0.8", 50051, 50052, "mooncake_cluster", defaults, 0),
        (
            "--default_kv_lease_ttl=5s --client_ttl=0x20",
            any,
            50051,
            50052,
            "mooncake_cluster",
            [5, 32, 30, 600],
            0,
        ),
        (
            "-default_kv_lease_ttl=5000 -put_start_discard_timeout_sec=5 -put_start_release_timeout_sec=60",
            any,
            50051,
            50052,
            "mooncake_cluster",
            [5, 10, 5, 60],
            0,
        ),
        (
            "--enable_http_metadata_server=false --noenable_offload --enable_snapshot=F",
            any,
            50051,
            50052,
            "mooncake_cluster",
            defaults,
            0,
        ),
        ("--cluster_id=kv --logtostderr --v=1", any, 50051, 50052, "kv", defaults, 2),
        ("--config_path=defaults.yaml", any, 50051, 50052, "mooncake_cluster", defaults, 1),
        ("--config_path=tuned.json", "127.0.0.1", 50061, 50062, "kv", [30, 30, 10, 120], 2),
        (
            "--config_path=tuned.json --rpc_port=50091 --client_ttl=15",
            "127.0.0.1",
            50091,
            50092,
            "kv",
            [30, 15, 10, 120],
            2,
        ),
        ("--flagfile=flags --client_ttl=21", any, 50071, 50072, "of_a_file", [10, 21, 30, 600], 0),
        ("--tryfromenv=rpc_port,client_ttl", any, 50081, 50082, "mooncake_cluster", defaults, 0),
        (
            "--undefok=of_a_newer_release --of_a_newer_release=5 stray -- --nothing",
            any,
            50051,
            50052,
            "mooncake_cluster",
            defaults,
            1,
        ),
    ];
    for (line, ip, mooncake, grpc, cluster, times, notes) in cases {
        let (config, said) = served(line);
        let at = |port| format!("{ip}:{port}").parse().ok();
        assert_eq!((config.mooncake, Some(config.grpc)), (at(mooncake), at(grpc)), "{line}");
        assert_eq!((config.cluster.as_str(), secs(&config)), (cluster, times), "{line}");
        assert_eq!(config.node.as_str(), format!("box-{mooncake}"), "{line}");
        assert_eq!((config.role, said.len()), (StartRole::Primary, notes), "{line}: {said:?}");
    }
}

#[test]
fn metrics_are_where_a_stock_master_has_them() {
    let cases = [
        ("", "0.0.0.0:9003"),
        ("--metrics_port 9013", "0.0.0.0:9013"),
        ("--metrics_host=127.0.0.1 --metrics_port=0", "127.0.0.1:0"),
    ];
    for (line, at) in cases {
        assert_eq!(served(line).0.http, at.parse().ok(), "{line}");
    }
    let wrong = said("--metrics_port=65536").expect_err("no port");
    assert!(wrong[0].contains("--metrics_port is 65536: expected a port"), "{wrong:?}");
}

#[test]
fn the_packaged_flags_start_a_node() {
    let (config, notes) = served("--flagfile=packaged");
    assert_eq!((config.mooncake, notes.len()), ("0.0.0.0:50051".parse().ok(), 0), "{notes:?}");
}

#[test]
fn a_standby_needs_three_words_more() {
    let line = "--rpc_port=50061 --standfast_role=standby --standfast_peer=h:50052 --standfast_node=b --standfast_ack=async";
    let (config, notes) = served(line);
    assert_eq!(
        (config.role, config.peer.as_deref(), config.node.as_str()),
        (StartRole::Standby, Some("h:50052"), "b")
    );
    assert_eq!(notes, Vec::<String>::new());
}

/// Lines of deployments with a standby, unchanged.
#[test]
fn stock_lines_with_high_availability_are_nodes_that_etcd_decides_about() {
    let ha = "--enable_ha=true --rpc_port=50061";
    let cases = [
        ("--etcd_endpoints=127.0.0.1:2379 --rpc_address=10.0.0.1", "10.0.0.1", "127.0.0.1:2379"),
        (
            "--etcd_endpoints=http://10.0.0.1:2379;http://10.0.0.2:2379/ --rpc_address=master-0",
            "10.0.0.8",
            "10.0.0.1:2379 10.0.0.2:2379",
        ),
        ("-etcd_endpoints e1:2379,e2:2379 -rpc_interface eth0", "10.0.0.7", "e1:2379 e2:2379"),
        (
            "--ha_backend_type=etcd --ha_backend_connstring=e1:1 --etcd_endpoints=e2:1 --rpc_address=10.0.0.1 \
             --enable_oplog --oplog_poll_interval_ms=1000",
            "10.0.0.1",
            "e1:1",
        ),
        (
            "--etcd_endpoints=https://e1:2379;https://e2:2379 --rpc_address=10.0.0.1",
            "10.0.0.1",
            "e1:2379 e2:2379",
        ),
    ];
    for (line, ip, members) in cases {
        let (config, notes) = served(&format!("{ha} {line}"));
        let coordinator = config.coordinator.expect("etcd decides");
        assert_eq!(coordinator.tls.is_some(), line.contains("https"), "{line}");
        assert_eq!((coordinator.kind, coordinator.members.join(" ").as_str()), ("etcd", members), "{line}");
        let at = |port| format!("{ip}:{port}").parse().ok();
        assert_eq!((config.mooncake, Some(config.grpc), config.peer), (at(50061), at(50062), None), "{line}");
        let replication = line.contains("--enable_oplog");
        assert_eq!(notes.len(), usize::from(replication), "{line}: {notes:?}");
    }
}

#[test]
fn high_availability_that_cannot_be_is_refused_by_the_name_of_its_flag() {
    let here = "--enable_ha --rpc_address=10.0.0.1";
    let etcd = "--etcd_endpoints=e:2379";
    for (line, part) in [
        (here.to_owned(), "--etcd_endpoints is ``: with --enable_ha expected HOST:PORT"),
        (format!("{here} --etcd_endpoints=e"), "--etcd_endpoints is `e`: with --enable_ha expected"),
        (format!("--enable_ha {etcd}"), "--rpc_address is `0.0.0.0`: with --enable_ha expected an address"),
        (format!("{here} --etcd_endpoints=https://e:1;f:2"), "expected https:// before each endpoint"),
        (format!("{here} {etcd} --ha_backend_type=redis"), "--ha_backend_type is `redis`"),
        (format!("{here} {etcd} --standfast_role=primary"), "--standfast_role is `primary`: expected none"),
        (format!("{here} {etcd} --standfast_peer=h:1"), "--standfast_peer is `h:1`: expected none"),
    ] {
        let wrong = said(&line).expect_err(&line);
        assert!(wrong.len() == 1 && wrong[0].contains(part), "{line}: {wrong:?}");
    }
    let (config, notes) = served(&format!("{etcd} --ha_backend_type=redis --pod_name=x"));
    assert!(config.coordinator.is_none() && config.role == StartRole::Primary);
    assert_eq!(notes.len(), 3, "{notes:?}");
}

#[test]
fn the_transfer_metadata_server_is_where_a_stock_master_has_it() {
    for (line, at, cleanup) in [
        ("--enable_http_metadata_server=true", "0.0.0.0:8080", false),
        (
            "-enable_http_metadata_server -http_metadata_server_port 0 -http_metadata_server_host 127.0.0.1 \
             -enable_metadata_cleanup_on_timeout",
            "127.0.0.1:0",
            true,
        ),
    ] {
        let (config, notes) = served(line);
        assert_eq!((config.transfer_metadata, config.master.metadata_cleanup), (at.parse().ok(), cleanup));
        assert_eq!(notes, Vec::<String>::new(), "{line}");
    }
    let (config, notes) = served("--http_metadata_server_port=8081");
    assert!(config.transfer_metadata.is_none() && notes[0].contains("without --enable_http_metadata_server"));
    let wrong =
        said("--enable_http_metadata_server --http_metadata_server_host=nowhere").expect_err("no host");
    assert!(wrong[0].contains("--http_metadata_server_host is `nowhere`"), "{wrong:?}");
}

#[test]
fn what_decides_about_memory_and_tasks_is_taken_over() {
    let (config, notes) = served(
        "--eviction_ratio=0.1 -eviction_high_watermark_ratio 0.95 --noallow_evict_soft_pinned_objects \
         --max_total_pending_tasks=7 --pending_task_timeout_sec=0 --processing_task_timeout_sec=60 \
         --default_kv_soft_pin_ttl=10m --max_kv_soft_pin_ttl=48h --allocation_strategy=local_first",
    );
    let times = config.master.times;
    assert!((times.eviction.ratio - 0.1).abs() < 1e-9 && (times.eviction.high_watermark - 0.95).abs() < 1e-9);
    assert_eq!((times.eviction.soft_pinned, times.tasks.pending_max), (false, 7));
    assert!(times.tasks.pending_timeout.as_secs() > 9 * 365 * 24 * 3600, "0 is no time-out");
    assert_eq!(times.tasks.processing_timeout.as_secs(), 60);
    assert_eq!((times.soft_pin_ttl.as_secs(), times.soft_pin_ttl_max.as_secs()), (600, 48 * 3600));
    assert_eq!((format!("{:?}", config.master.placement).as_str(), notes.len()), ("LocalFirst", 0));
}

#[test]
fn what_is_not_here_refuses_the_start_by_its_name_unless_that_is_accepted() {
    let cases = [
        ("--enable_offload", "--enable_offload is `true`: nothing is kept on clients' SSDs"),
        ("--root_fs_dir=/mnt", "--root_fs_dir is `/mnt`: nothing is kept in a shared file system"),
        ("--enable_snapshot", "--enable_snapshot is `true`"),
        ("--enable_multi_tenants=1", "--enable_multi_tenants is `true`"),
        ("--enable_cxl -cxl_size 5", "--enable_cxl is `true`"),
        ("--allocation_strategy=cxl", "--allocation_strategy is `cxl`"),
        ("--memory_allocator cachelib", "--memory_allocator is `cachelib`"),
        ("--dynamic_replication_mode=enforce", "--dynamic_replication_mode is `enforce`"),
        ("--enable_kv_events", "--enable_kv_events is `true`"),
    ];
    for (line, part) in cases {
        let wrong = said(line).expect_err(line);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with(part) && wrong[0].contains("--allow_unsupported"), "{wrong:?}");
        let (_, notes) = served(&format!("{line} --allow-unsupported"));
        assert!(
            notes.iter().any(|note| note.starts_with(part) && note.contains("started without")),
            "{notes:?}"
        );
    }
    let wrong = said("--config_path=offload.yml").expect_err("four things");
    assert_eq!(wrong.len(), 4, "each is named: {wrong:?}");
}

#[test]
fn what_is_wrong_is_named_with_what_was_expected() {
    for (line, part) in [
        ("--enable_offlod", "--enable_offlod is no flag of a stock master; --enable_offload is"),
        ("--qqq=1", "--qqq is no flag of a stock master"),
        ("--norpc_port", "--norpc_port is no flag"),
        ("--rpc_port=x", "--rpc_port is `x`: expected a whole number"),
        ("--rpc_port=70000", "--rpc_port is 70000: expected a port"),
        ("--rpc_port=65535 --standfast_port=65536", "--standfast_port is 65536: expected a port"),
        ("--rpc_port=65535", "--standfast_port must be another port"),
        ("--rpc_port=5 --standfast_port=5", "--standfast_port must be another port"),
        ("--rpc_port", "--rpc_port is the last word"),
        ("--enable_ha=maybe", "--enable_ha is `maybe`: expected true or false"),
        ("--default_kv_lease_ttl=5x", "expected milliseconds, or a number with"),
        ("--client_ttl=-1", "--client_ttl is -1: expected seconds"),
        ("--rpc_interface=wlan9", "--rpc_interface is `wlan9`: it has no address"),
        ("--rpc_address=nowhere", "--rpc_address is `nowhere`: it has no address"),
        ("--config_path=none.yaml", "--config_path is `none.yaml`: no such file"),
        ("--config_path=text.conf", "expected a file that ends in .yaml, .yml or .json"),
        ("--flagfile=none", "--flagfile is `none`: no such file"),
        ("--flagfile=circle", "more than 16 files"),
        ("--fromenv=client_ttl", "FLAGS_client_ttl is not set"),
        ("--enable_oplog", "--enable_oplog needs --enable_ha"),
    ] {
        let wrong = said(line).expect_err(line);
        assert!(wrong.iter().any(|why| why.contains(part)), "{line}: {wrong:?}");
    }
}

#[test]
fn help_and_version_are_asked_for_in_stock_spellings() {
    for line in ["--help", "-helpfull", "--helpshort", "--helpon=master"] {
        assert_eq!(said(line), Ok(Translated::Help), "{line}");
    }
    assert_eq!(said("--version"), Ok(Translated::Version));
    assert_eq!(summary().len(), FLAGS.len());
}
