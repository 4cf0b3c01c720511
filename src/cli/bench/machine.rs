//! What processes used of this machine, and what nobody accounts for: from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use nix::unistd::{SysconfVar, sysconf};

/// Processes that used the machine and are shown.
const SHOWN_MAX: usize = 4;
/// Below this many cores a process is not worth naming.
const SHOWN_MIN: f64 = 0.02;

/// CPU time in ticks, of the machine and of every process of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    busy: Option<u64>,
    processes: BTreeMap<u32, (String, u64)>,
}

/// What else used the machine during a round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Others {
    /// Cores' worth of CPU time; `None` where the system does not tell.
    pub(super) cores: Option<f64>,
    /// The largest of them that lived throughout.
    pub(super) processes: Vec<(String, u32, f64)>,
}

fn ticks_per_second() -> f64 {
    sysconf(SysconfVar::CLK_TCK).ok().flatten().filter(|hz| *hz > 0).unwrap_or(100) as f64
}

/// Processors of this machine.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Reads everything now.
pub(super) fn read() -> Reading {
    let busy = fs::read_to_string("/proc/stat").ok().and_then(|stat| busy_ticks(stat.lines().next()?));
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that ends meanwhile is left out.
    let processes = pids.filter_map(|pid: u32| Some((pid, process(pid)?))).collect();
    Reading { busy, processes }
}

/// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`: all but waiting. What runs in a guest is
/// in `user` already; what the host took away (steal) was not ours either.
fn busy_ticks(line: &str) -> Option<u64> {
    let ticks: Vec<u64> = line.strip_prefix("cpu ")?.split_whitespace().flat_map(str::parse).collect();
    let at = |i: usize| ticks.get(i).copied();
    Some(at(0)? + at(1)? + at(2)? + at(5)? + at(6)? + at(7).unwrap_or(0))
}

/// Name and CPU time of a process.
fn process(pid: u32) -> Option<(String, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<(String, u64)> {
    // The name may contain anything, so what follows is counted from its end.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some((name, ticks(11)? + ticks(12)?))
}

/// CPU seconds that a process used between two readings; `None` unless it lived throughout.
pub(super) fn cpu_seconds(before: &Reading, after: &Reading, pid: u32) -> Option<f64> {
    let ((_, from), (_, to)) = (before.processes.get(&pid)?, after.processes.get(&pid)?);
    Some(to.saturating_sub(*from) as f64 / ticks_per_second())
}

/// What everybody but `ours` used in so many seconds.
pub(super) fn others(before: &Reading, after: &Reading, ours: &[u32], seconds: f64) -> Others {
    let used = |pid: u32| cpu_seconds(before, after, pid).unwrap_or(0.0);
    let mut processes: Vec<_> = after
        .processes
        .iter()
        .filter(|(pid, _)| !ours.contains(pid))
        .map(|(&pid, (name, _))| (name.clone(), pid, used(pid) / seconds))
        .filter(|(_, _, cores)| *cores >= SHOWN_MIN)
        .collect();
    processes.sort_by(|a, b| b.2.total_cmp(&a.2));
    processes.truncate(SHOWN_MAX);
    let busy = before.busy.zip(after.busy);
    let cores = busy.map(|(from, to)| {
        let all = to.saturating_sub(from) as f64 / ticks_per_second();
        (all - ours.iter().map(|&pid| used(pid)).sum::<f64>()).max(0.0) / seconds
    });
    Others { cores, processes }
}

/// Memory of a process, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The process on this machine that listens on the port, if it is ours to see.
pub(super) fn listener(addr: &str) -> Option<u32> {
    let addr: SocketAddr = addr.parse().ok()?;
    if !addr.ip().is_loopback() {
        return None;
    }
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().find_map(|line| listening_inode(line, addr.port()))
    })?;
    let socket = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &socket[..]))
    })
}

/// The socket of a line of /proc/net/tcp, if it listens on the port.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let is_it = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()? == port && state == "0A";
    inode.parse().ok().filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 11 4 0 0 20 0 1 0 5";
        assert_eq!(parse_stat(stat), Some(("a) b (c".to_owned(), 15)));
        assert_eq!(parse_stat("7 (short) S 1"), None);
    }

    #[test]
    fn what_waits_is_not_busy_and_what_was_stolen_is() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 64 0"), Some(63));
        assert_eq!(busy_ticks("intr 1"), None);
    }

    #[test]
    fn others_are_what_is_not_ours() {
        let reading = |busy, ours, theirs| Reading {
            busy: Some(busy),
            processes: [(1, ("us".to_owned(), ours)), (2, ("rustc".to_owned(), theirs))].into(),
        };
        let second = ticks_per_second() as u64;
        let (before, after) = (reading(0, 0, 0), reading(4 * second, second, second));
        let others = others(&before, &after, &[1], 2.0);
        assert_eq!(others.cores, Some(1.5), "also what is in no process that lived throughout");
        assert_eq!(others.processes, [("rustc".to_owned(), 2, 0.5)]);
        assert_eq!(cpu_seconds(&before, &after, 3), None);
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = socket.local_addr().expect("its address").to_string();
        assert_eq!(listener(&addr), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(&addr), None);
        assert_eq!(listener("192.0.2.1:1"), None, "another machine's");
    }

    #[test]
    fn this_process_is_there() {
        let reading = read();
        assert!(reading.processes.contains_key(&std::process::id()) && reading.busy.is_some());
        assert!(resident_bytes(std::process::id()).is_some_and(|bytes| bytes > 0));
        assert!(cores() > 0);
    }
}
