//! Network namespaces, one a machine, on a bridge of their own: where links are cut without touching anybody else's.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process;

/// Which packets are dropped at one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All, both ways.
    All,
    /// To and from that machine.
    Between(&'static str),
    /// To that machine only.
    Towards(&'static str),
    /// So many of a hundred, to and from that machine.
    Loss(u32, &'static str),
    /// What it sends waits its turn in a queue of so many kilobits a second, for up to 400 ms.
    Slow(u32),
}

/// What cuts links, and the Debian packages that bring it.
const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")];

/// The machines. Dropping it removes them.
pub(crate) struct Net {
    tag: String,
    machines: Vec<&'static str>,
}

fn is_there(program: &str) -> bool {
    let mut probe = Command::new(program);
    probe.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok()
}

/// Installs what is not there already.
pub(crate) fn install() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, _)| !is_there(program));
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    crate::run::apt_install(&packages).context("partitions and packet loss need them")
}

/// Why there is none here, with the cure.
pub(crate) fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.into_iter().find(|(program, _)| !is_there(program)) {
        return Some(format!(
            "{program} is not installed; cure: cargo xtask setup, or apt-get install {package}"
        ));
    }
    let probe = Command::new("unshare").args(["-n", "true"]).stderr(Stdio::null()).status();
    let allowed = probe.is_ok_and(|status| status.success());
    if !allowed {
        return Some("network namespaces are not allowed here".to_owned());
    }
    PROBES.into_iter().find_map(|(what, probe)| {
        let tried = Command::new("unshare").args(["-n", "sh", "-c", probe]).stderr(Stdio::null()).status();
        let works = tried.is_ok_and(|status| status.success());
        (!works).then(|| format!("{what} is not in this kernel"))
    })
}

/// What cuts need of the kernel, tried in a namespace that is gone afterwards.
const PROBES: [(&str, &str); 2] = [
    ("the slow queue (tbf)", "tc qdisc add dev lo root tbf rate 1mbit burst 4kb latency 400ms"),
    (
        "loss by chance (nftables numgen)",
        "nft add table inet lab && nft 'add chain inet lab in { type filter hook input priority 0 ; }' && \
         nft add rule inet lab in numgen random mod 100 '<' 5 drop",
    ),
];

fn run(words: &str) -> Result<()> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}

/// Namespaces of a run that was killed stay; nobody else makes such names.
fn remove_stale() {
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("sf").and_then(|rest| rest.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid| !process::is_alive(pid)) {
            let _ = run(&format!("ip netns del {name}"));
        }
    }
}

impl Net {
    /// A bridge, and a namespace for each machine.
    pub(crate) fn new(machines: &[&'static str]) -> Result<Self> {
        remove_stale();
        let net = Self { tag: format!("sf{}", std::process::id()), machines: machines.to_vec() };
        let hub = net.space("hub");
        run(&format!("ip netns add {hub}"))?;
        run(&format!("ip -n {hub} link add br0 type bridge"))?;
        run(&format!("ip -n {hub} link set br0 up"))?;
        for machine in machines {
            let (space, address) = (net.space(machine), net.address(machine));
            run(&format!("ip netns add {space}"))?;
            run(&format!("ip -n {space} link set lo up"))?;
            run(&format!("ip -n {space} link add eth0 type veth peer name to-{machine} netns {hub}"))?;
            run(&format!("ip -n {hub} link set to-{machine} master br0 up"))?;
            run(&format!("ip -n {space} addr add {address}/24 dev eth0"))?;
            run(&format!("ip -n {space} link set eth0 up"))?;
        }
        Ok(net)
    }

    fn space(&self, machine: &str) -> String {
        format!("{}-{machine}", self.tag)
    }

    /// Its address.
    pub(crate) fn address(&self, machine: &str) -> String {
        let at = self.machines.iter().position(|known| *known == machine).unwrap_or(self.machines.len());
        format!("10.77.0.{}", at + 1)
    }

    /// What to write before a program that is to run on that machine; it becomes that program.
    pub(crate) fn words(&self, machine: &str) -> [String; 4] {
        ["ip", "netns", "exec", &self.space(machine)].map(str::to_owned)
    }

    /// Drops packets at that machine, silently, until it is healed.
    pub(crate) fn cut(&self, machine: &str, cut: Cut) -> Result<()> {
        if let Cut::Slow(kbit) = cut {
            let queue = format!("tbf rate {kbit}kbit burst 4kb latency 400ms");
            return run(&format!("tc -n {} qdisc replace dev eth0 root {queue}", self.space(machine)));
        }
        let (incoming, outgoing) = match cut {
            Cut::All => (Some("iifname eth0 drop".to_owned()), Some("oifname eth0 drop".to_owned())),
            Cut::Between(other) => {
                let other = self.address(other);
                (Some(format!("ip saddr {other} drop")), Some(format!("ip daddr {other} drop")))
            }
            Cut::Towards(other) => (None, Some(format!("ip daddr {} drop", self.address(other)))),
            Cut::Slow(_) => (None, None),
            Cut::Loss(percent, other) => {
                let other = self.address(other);
                let drop = format!("numgen random mod 100 < {percent} drop");
                (Some(format!("ip saddr {other} {drop}")), Some(format!("ip daddr {other} {drop}")))
            }
        };
        let nft = format!("ip netns exec {} nft", self.space(machine));
        run(&format!("{nft} add table inet lab"))?;
        for (chain, hook, rule) in [("in", "input", incoming), ("out", "output", outgoing)] {
            let Some(rule) = rule else { continue };
            let body = "{ type filter hook HOOK priority 0 ; policy accept ; }".replace("HOOK", hook);
            run(&format!("{nft} add chain inet lab {chain} {body}"))?;
            run(&format!("{nft} add rule inet lab {chain} {rule}"))?;
        }
        Ok(())
    }

    /// Ends every cut at that machine.
    pub(crate) fn heal(&self, machine: &str) -> Result<()> {
        // Deleting a queue that is not there fails.
        let _ = run(&format!("tc -n {} qdisc del dev eth0 root", self.space(machine)));
        run(&format!("ip netns exec {} nft flush ruleset", self.space(machine)))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for machine in self.machines.iter().chain(&["hub"]) {
            // What was not made cannot be removed.
            let _ = run(&format!("ip netns del {}", self.space(machine)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Cut, Net, missing};

    fn reaches(net: &Net, from: &str, to: &str) -> bool {
        let mut ping = Command::new("ip");
        ping.args(&net.words(from)[1..]).args(["ping", "-c", "1", "-W", "1", &net.address(to)]);
        ping.stdout(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
    }

    #[test]
    fn a_cut_link_carries_nothing_and_a_healed_one_does() {
        let no_ping = Command::new("ping").arg("-V").output().is_err();
        if let Some(why) = missing().or_else(|| no_ping.then(|| "ping is not installed".to_owned())) {
            eprintln!("skipped: {why}");
            return;
        }
        let net = Net::new(&["x", "y"]).unwrap();
        assert!(reaches(&net, "x", "y"));
        for cut in [Cut::All, Cut::Between("y"), Cut::Towards("y"), Cut::Loss(100, "y")] {
            net.cut("x", cut).unwrap();
            assert!(!reaches(&net, "x", "y"), "{cut:?}");
            net.heal("x").unwrap();
            assert!(reaches(&net, "x", "y"), "{cut:?}");
        }
    }
}
