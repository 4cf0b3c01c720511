//! What figures were measured on: the machine, and the commit that is checked out.

use std::fs;
use std::process::Command;

use crate::run::root;

/// The name of its processor.
pub(crate) fn processor() -> Option<String> {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map(|(_, name)| name.to_owned())
}

pub(crate) fn cores() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

pub(crate) fn memory_kib() -> Option<u64> {
    let memory = read("/proc/meminfo");
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse().ok())
}

/// The release of its Linux.
pub(crate) fn kernel() -> String {
    read("/proc/sys/kernel/osrelease").trim().to_owned()
}

/// The load of the last minute: figures beside a busy neighbour are the neighbour's.
pub(crate) fn load() -> Option<f64> {
    read("/proc/loadavg").split_whitespace().next()?.parse().ok()
}

/// The commit that is checked out.
pub(crate) fn head() -> Option<String> {
    output("git", &["rev-parse", "--short=12", "HEAD"])
}

/// The same, with a mark where the tree differs from it.
pub(crate) fn commit() -> Option<String> {
    let head = head()?;
    let clean = output("git", &["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    Some(if clean { head } else { format!("{head} and changes") })
}

/// What a program prints at the repository's root; `None` when it fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).current_dir(root()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Empty where there is no such file.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
