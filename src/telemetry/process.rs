//! What the system tells about this process. Each value is absent where it does not.

use std::path::Path;
use std::sync::OnceLock;

use procfs::Current;
use procfs::process::{LimitValue, Process};
use standfast_proto::v1;

/// Resident memory, processor time, threads and open files.
#[must_use]
pub fn reading() -> v1::Health {
    let Ok(me) = Process::myself() else { return v1::Health::default() };
    let stat = me.stat().ok();
    let stat = stat.as_ref();
    v1::Health {
        resident_bytes: stat.map(|s| s.rss * procfs::page_size()),
        cpu_us: stat.map(|s| (s.utime + s.stime) * 1_000_000 / ticks_per_second()),
        threads: stat.and_then(|s| u64::try_from(s.num_threads).ok()),
        open_files: me.fd_count().ok().map(|n| n as u64),
        memory_limit_bytes: memory_limit(&me),
        open_files_limit: open_files_limit(&me),
        ..v1::Health::default()
    }
}

/// The machine's memory, or less where a control group says so. Read once: it is told as constant.
fn memory_limit(me: &Process) -> Option<u64> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let machine = procfs::Meminfo::current().ok().map(|memory| memory.mem_total);
        let groups = me.cgroups().ok().into_iter().flatten().find(|group| group.hierarchy == 0);
        let group = groups.and_then(|group| limit_of_group(Path::new("/sys/fs/cgroup"), &group.pathname));
        machine.into_iter().chain(group).min()
    })
}

/// The least limit of a control group (version 2) and of those around it.
fn limit_of_group(mount: &Path, group: &str) -> Option<u64> {
    let group = mount.join(group.trim_start_matches('/'));
    let around = group.ancestors().take_while(|path| path.starts_with(mount));
    // `max` is no number: that group has no limit.
    let limit = |path: &Path| std::fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok();
    around.filter_map(limit).min()
}

fn open_files_limit(me: &Process) -> Option<u64> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    *LIMIT.get_or_init(|| match me.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(files) => Some(files),
        LimitValue::Unlimited => None,
    })
}

fn ticks_per_second() -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| procfs::ticks_per_second().max(1))
}

#[test]
fn this_process_has_memory_threads_and_files() {
    let r = reading();
    assert!(r.resident_bytes > Some(0) && r.threads > Some(0) && r.open_files > Some(0), "{r:?}");
    assert!(r.cpu_us.is_some());
}

#[test]
fn the_limits_are_known_and_the_tightest_group_counts() {
    let r = reading();
    assert!(r.memory_limit_bytes > r.resident_bytes && r.open_files_limit > r.open_files, "{r:?}");
    let mount = tempfile::tempdir().expect("a folder");
    let inner = mount.path().join("pod/container");
    std::fs::create_dir_all(&inner).expect("folders");
    assert_eq!(limit_of_group(mount.path(), "/pod/container"), None);
    std::fs::write(inner.join("memory.max"), "max\n").expect("a file");
    std::fs::write(mount.path().join("pod/memory.max"), "4096\n").expect("a file");
    assert_eq!(limit_of_group(mount.path(), "/pod/container"), Some(4096));
}
