//! What the system tells about this process. Each value is absent where it does not.

use std::sync::OnceLock;

use procfs::process::Process;
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
        ..v1::Health::default()
    }
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
