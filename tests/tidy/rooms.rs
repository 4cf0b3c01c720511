//! Who may import whom (the design's "Rooms"), as data. `kernel` means every room of the kernel.

/// A room and what it may import. Within itself a room is free.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) may_import: &'static [&'static str],
}

const fn room(name: &'static str, may_import: &'static [&'static str]) -> Room {
    Room { name, may_import }
}

/// Vocabulary that every room may use.
pub(crate) const EVERYWHERE: &[&str] = &["kernel::types", "kernel::limits", "kernel::invariant"];

/// What every room of the kernel may use besides.
pub(crate) const IN_THE_KERNEL: &[&str] =
    &["kernel::sync", "kernel::machine", "kernel::lab", "kernel::mutants"];

pub(crate) const ROOMS: &[Room] = &[
    // The root package.
    room(
        "app",
        &[
            "cli",
            "config",
            "inbound",
            "kernel",
            "outbound",
            "ports",
            "proto",
            "shell",
            "telemetry",
            "wire",
            "witness",
        ],
    ),
    // outbound, ports: commands dial nodes, and read the clock, as nodes do. tui: the console is a command. wire: the
    // bench drives any master that speaks Mooncake's protocol. telemetry: the support bundle holds messages as JSON.
    // monitoring: dashboards and runbooks are written and shown by commands.
    room("cli", &["app", "config", "monitoring", "outbound", "ports", "proto", "telemetry", "tui", "wire"]),
    // kernel::master: what a master may be told is checked where it is defined. kernel::supervisor: how many automatic
    // failovers are too many. proto: which files say how a node dials. telemetry: what a collector and a
    // sampling rule are.
    room(
        "config",
        &["kernel::lab", "kernel::master", "kernel::replication", "kernel::supervisor", "proto", "telemetry"],
    ),
    // telemetry: the HTTP door encodes the status as metrics.
    room("inbound", &["kernel::api", "ports", "proto", "shell", "telemetry", "wire"]),
    room("main", &["app", "cli", "config"]),
    // telemetry: dashboards and rules are tested against the catalogue. No node knows of them.
    room("monitoring", &["telemetry"]),
    // The coordinator's records are the kernel's; they become text in `outbound`. telemetry: the history's file holds
    // messages as JSON.
    room("outbound", &["config", "kernel::coordination", "ports", "proto", "telemetry"]),
    room("ports", &["kernel::coordination", "proto"]),
    // proto: the peers' stream is served by the shell; its messages arrive through a `convert.rs`.
    room("shell", &["kernel", "ports", "proto", "telemetry"]),
    // proto: metrics are made of the status message and of nothing else.
    room("telemetry", &["proto"]),
    // The kernel: types <- oplog <- store <- master; oplog, store <- replication; types <- supervisor.
    room("kernel::types", &[]),
    room("kernel::limits", &[]),
    room("kernel::invariant", &[]),
    room("kernel::sync", &[]),
    room("kernel::machine", &[]),
    room("kernel::lab", &[]),
    room("kernel::mutants", &[]),
    room("kernel::api", &[]),
    room("kernel::oplog", &[]),
    room("kernel::store", &["kernel::oplog"]),
    room("kernel::master", &["kernel::api", "kernel::oplog", "kernel::store"]),
    // The in-sync set is a record of the coordinator's.
    room("kernel::replication", &["kernel::coordination", "kernel::oplog", "kernel::store"]),
    room("kernel::coordination", &[]),
    room("kernel::supervisor", &["kernel::coordination"]),
    // Puts the machines together.
    room("kernel::node", &["kernel"]),
    // The operator's console: reads the contract, never the server.
    room("tui", &["proto"]),
    // A coordinator of its own, with no part in a node: the kernel's model of one, on a file.
    room("witness", &["kernel::coordination", "proto"]),
    // Mooncake's protocol, sans-IO: knows nobody.
    room("wire", &[]),
];

/// What the kernel exports at its root, because macros live there; usable everywhere.
pub(crate) const KERNEL_ROOT_ITEMS: &[&str] = &["invariant", "mutant"];

/// Whether a file in room `from` may import room `to`.
pub(crate) fn allowed(from: &Room, to: &str) -> bool {
    let names = |list: &[&str]| {
        list.iter().any(|&entry| entry == to || (entry == "kernel" && to.starts_with("kernel::")))
    };
    from.name == to
        || names(from.may_import)
        || names(EVERYWHERE)
        || (from.name.starts_with("kernel::") && names(IN_THE_KERNEL))
}

/// The room of that name.
pub(crate) fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

#[test]
fn the_table_names_only_rooms_that_exist_in_it() {
    let known = |name: &&str| find(name).is_some() || matches!(*name, "kernel" | "proto");
    for room in ROOMS {
        assert!(room.may_import.iter().all(known), "{}", room.name);
    }
    assert!(EVERYWHERE.iter().chain(IN_THE_KERNEL).all(known));
}

#[test]
fn the_designs_edges_hold_and_their_reverses_do_not() {
    for (from, to) in [
        ("kernel::oplog", "kernel::types"),
        ("kernel::store", "kernel::oplog"),
        ("kernel::master", "kernel::store"),
        ("kernel::replication", "kernel::store"),
        ("shell", "kernel::master"),
        ("inbound", "shell"),
        ("outbound", "ports"),
        ("app", "inbound"),
        ("cli", "tui"),
        ("tui", "proto"),
    ] {
        let edge = |a: &str, b: &str| allowed(find(a).expect(a), b);
        assert!(edge(from, to), "{from} -> {to}");
        if from != "app" && to != "proto" {
            assert!(!edge(to, from), "{to} -> {from}");
        }
    }
    for (from, to) in [
        ("inbound", "kernel::store"),
        ("outbound", "shell"),
        ("kernel::supervisor", "kernel::oplog"),
        ("tui", "shell"),
        ("tui", "kernel::store"),
        ("shell", "tui"),
    ] {
        assert!(!allowed(find(from).expect(from), to), "{from} -> {to}");
    }
}
