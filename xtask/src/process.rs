//! Which processes live, and which of them we started: Linux's /proc.
//!
//! A program under test gets a variable with a unique value in its environment. Its children inherit it,
//! whatever becomes of their parent, so a child that outlives its parent is found by it.

use std::net::TcpListener;
use std::process::Child;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::{Stopwatch, pause};

/// The variable that marks a program under test and its children.
pub(crate) const MARK: &str = "STANDFAST_E2E_RUN";

/// Killed children may need a moment to leave the process table.
const GONE_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether `pid` runs; one that ended but was not yet waited for does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    // "pid (name) S ...": the name may hold anything, so the state is what follows the last bracket.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// A child that ends with this value.
pub(crate) struct Owned(pub(crate) Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody has, for a program that takes no port 0.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// All living processes whose environment holds `MARK=mark`.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .filter(|&pid| is_alive(pid))
        .collect()
}

/// Waits until neither a marked process nor one of `pids` lives; returns those that stay.
pub(crate) fn survivors(mark: &str, pids: &[i32]) -> Vec<i32> {
    let watch = Stopwatch::start();
    loop {
        let mut alive = marked(mark);
        alive.extend(pids.iter().copied().filter(|&pid| is_alive(pid)));
        alive.sort_unstable();
        alive.dedup();
        if alive.is_empty() || watch.elapsed() >= GONE_WITHIN {
            return alive;
        }
        pause(LOOK_EVERY);
    }
}

/// Kills every process that carries `mark`.
pub(crate) fn kill_marked(mark: &str) {
    for pid in marked(mark) {
        // It may have ended since we looked.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::{MARK, is_alive, kill_marked, survivors};

    #[test]
    fn a_grandchild_that_outlives_its_parent_is_found_and_killed() {
        let mark = format!("test-{}", std::process::id());
        let mut parent = Command::new("sh");
        parent.args(["-c", "sleep 60 & exit 0"]).env(MARK, &mark);
        parent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(parent.status().unwrap().success());

        let found = survivors(&mark, &[]);
        assert_eq!(found.len(), 1);
        assert!(is_alive(found[0]));
        kill_marked(&mark);
        assert_eq!(survivors(&mark, &found), Vec::<i32>::new());
    }

    #[test]
    fn an_unwaited_child_is_not_alive() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert_eq!(survivors("no such mark", &[pid]), Vec::<i32>::new());
        child.wait().unwrap();
    }
}
