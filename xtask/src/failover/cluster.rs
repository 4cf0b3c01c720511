//! A cluster under test: etcd or a witness, two nodes, a lender, the checked load and a canary, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::child::{Process, Usage};
use super::net::Net;
use crate::process::free_port;
use crate::run::{Stopwatch, pause};

/// For the cluster to be whole again after a fault; a safety limit, not a figure.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The names of the nodes.
pub(crate) const NODES: [&str; 2] = ["a", "b"];
/// Where clients run.
pub(crate) const CLIENTS: &str = "c";
/// Where members of etcd run.
pub(crate) const MEMBERS: [&str; 3] = ["e0", "e1", "e2"];
const SEGMENTS: &str = "8";

/// How a cluster is made.
pub(crate) struct Shape {
    /// Members of etcd; 0 for a witness in their place.
    pub(crate) members: usize,
    /// In namespaces, so that links can be cut.
    pub(crate) net: bool,
    /// Their wall clocks can jump.
    pub(crate) wall: bool,
    /// With both nodes, a lender, the load and a canary; else with the first node only.
    pub(crate) load: bool,
    /// A call of the canary that takes longer has failed.
    pub(crate) canary_timeout: &'static str,
    /// Seed of the load.
    pub(crate) seed: u64,
    /// A failover may lose what was acknowledged.
    pub(crate) may_lose: bool,
    /// More flags of both nodes.
    pub(crate) flags: String,
}

impl Shape {
    /// Processes that keep the records.
    fn keepers(&self) -> usize {
        self.members.max(1)
    }
}

/// The processes, and where they are.
pub(crate) struct Cluster {
    binary: PathBuf,
    ports: Vec<(&'static str, [u16; 2])>,
    flags: String,
    wall: bool,
    /// The only member is a witness.
    witness: bool,
    pub(crate) members: Vec<Option<Process>>,
    pub(crate) nodes: [Option<Process>; 2],
    pub(crate) lender: Option<Process>,
    pub(crate) load: Option<Process>,
    pub(crate) canary: Option<Process>,
    /// After them: processes end before their machines do.
    pub(crate) net: Option<Net>,
    /// Last: nobody writes in it any more.
    folder: TempDir,
}

impl Cluster {
    /// Starts everything and waits until the load runs against a pair in sync. Logs are kept if that fails.
    pub(crate) fn start(binary: &Path, shape: &Shape) -> Result<Self> {
        let members = &MEMBERS[..shape.keepers()];
        let machines: Vec<&'static str> = [&NODES[..], &[CLIENTS], members].concat();
        let net = if shape.net { Some(Net::new(&machines)?) } else { None };
        let ports = machines.iter().map(|name| Ok((*name, [free_port()?, free_port()?])));
        let mut cluster = Self {
            binary: binary.to_owned(),
            folder: tempfile::Builder::new().prefix("standfast-failover-").tempdir()?,
            ports: ports.collect::<Result<_>>()?,
            flags: shape.flags.clone(),
            wall: shape.wall,
            witness: shape.members == 0,
            members: Vec::new(),
            nodes: [None, None],
            lender: None,
            load: None,
            canary: None,
            net,
        };
        match cluster.bring_up(shape) {
            Ok(()) => Ok(cluster),
            Err(error) => Err(error.context(format!("the cluster did not start; {}", cluster.keep()))),
        }
    }

    fn bring_up(&mut self, shape: &Shape) -> Result<()> {
        std::fs::create_dir(self.folder.path().join("memory"))?;
        self.members.resize_with(shape.keepers(), || None);
        self.start_members()?;
        self.start_node(0)?;
        self.until("the first node leads", |line| primary(line) == Some(0))?;
        if !shape.load {
            return Ok(());
        }
        self.start_node(1)?;
        self.settle()?;
        self.start_lender()?;
        let seed = shape.seed.to_string();
        let words = ["lab", "load", "--seed", &seed, "--may-lose"];
        let words = if shape.may_lose { &words[..] } else { &words[..4] };
        self.load = Some(self.client(words, "load")?);
        self.load.iter().try_for_each(|load| load.line().map(drop))?;
        self.canary = Some(self.client(&["canary", "--timeout", shape.canary_timeout], "canary")?);
        Ok(())
    }

    /// The logs stay where they are. Says where that is.
    pub(super) fn keep(&mut self) -> String {
        self.folder.disable_cleanup(true);
        format!("logs are in {}", self.folder.path().display())
    }

    /// What the nodes hold of this machine.
    pub(crate) fn usage(&self) -> [Option<Usage>; 2] {
        [0, 1].map(|nr: usize| self.nodes[nr].as_ref().and_then(Process::usage))
    }

    fn host(&self, machine: &str) -> String {
        self.net.as_ref().map_or("127.0.0.1".to_owned(), |net| net.address(machine))
    }

    fn at(&self, machine: &str, port: usize) -> String {
        let ports = self.ports.iter().find(|(name, _)| *name == machine).map_or([0, 0], |(_, ports)| *ports);
        format!("{}:{}", self.host(machine), ports[port])
    }

    /// `program` on that machine; it dies with us, however we end.
    fn command(&self, machine: &str, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(net) = &self.net {
            command.args(net.words(machine));
        }
        command.arg(program);
        command
    }

    /// A member of etcd, `of` so many; or the witness.
    fn member(&self, nr: usize, of: usize) -> Result<Process> {
        let name = MEMBERS[nr];
        if self.witness {
            return self.start_witness(name);
        }
        let url = |name: &str, port| format!("http://{}", self.at(name, port));
        let all: Vec<String> = MEMBERS[..of].iter().map(|m| format!("{m}={}", url(m, 1))).collect();
        let mut etcd = self.command(name, Path::new("etcd"));
        etcd.arg("--name").arg(name).arg("--data-dir").arg(self.folder.path().join(name));
        etcd.args(["--listen-client-urls", &url(name, 0), "--advertise-client-urls", &url(name, 0)]);
        etcd.args(["--listen-peer-urls", &url(name, 1), "--initial-advertise-peer-urls", &url(name, 1)]);
        etcd.args(["--initial-cluster", &all.join(",")]);
        Process::spawn(etcd, &self.log("etcd"))
    }

    fn clock(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.clock"))
    }

    fn start_witness(&self, name: &str) -> Result<Process> {
        let mut witness = self.command(name, &self.binary);
        witness.args(["witness", "--listen", &self.at(name, 0), "--file"]).arg(self.witness_file());
        let process = Process::spawn(witness, &self.log("witness"))?;
        process.line().with_context(|| format!("the witness did not start: {}", self.words("witness")))?;
        Ok(process)
    }

    /// What the witness remembers.
    pub(super) fn witness_file(&self) -> PathBuf {
        self.folder.path().join("witness")
    }

    /// The wall clock of a node jumps to be off by so many seconds.
    pub(crate) fn set_clock(&self, nr: usize, seconds: i64) -> Result<()> {
        super::wall::set(&self.clock(NODES[nr]), seconds)
    }

    /// Runs a command of an operator to its end; returns its line.
    pub(crate) fn operate(&self, words: &[&str]) -> Result<Value> {
        let mut command = self.command(CLIENTS, &self.binary);
        command.args(words).args(["--json", "--connect", &self.connect()]).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start {words:?}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{words:?} ended with {}: {}", output.status, said.trim());
        serde_json::from_slice(&output.stdout).with_context(|| format!("{words:?} said no JSON"))
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Starts a node, or starts it again at the same place.
    pub(crate) fn start_node(&mut self, nr: usize) -> Result<()> {
        let name = NODES[nr];
        let members: Vec<String> = MEMBERS[..self.members.len()].iter().map(|m| self.at(m, 0)).collect();
        let mut serve = self.command(name, &self.binary);
        serve.args(["serve", "--node", name, "--cluster", "kv", "--grpc", &self.at(name, 0)]);
        let kind = if self.witness { "witness" } else { "etcd" };
        serve.args([
            "--http",
            &self.at(name, 1),
            "--coordinator",
            &format!("{kind}://{}", members.join(",")),
        ]);
        // Faults follow each other faster here than anywhere else.
        serve.args(["--failover-limit", "0"]);
        // Readers hold a lease on most keys most of the time: with a long one nothing could be removed, and put again.
        serve.args(["--read-ttl-ms", "1000"]);
        serve.arg("--history").arg(self.folder.path().join(format!("{name}.history")));
        serve.args(self.flags.split_whitespace());
        if self.wall {
            super::wall::ruled_by(&mut serve, &self.clock(name))?;
        }
        let process = Process::spawn(serve, &self.log(name))?;
        process.line().with_context(|| format!("{name} did not start: {}", self.words(name)))?;
        self.nodes[nr] = Some(process);
        Ok(())
    }

    /// Starts the lender, or starts it again over the same memory.
    pub(crate) fn start_lender(&mut self) -> Result<()> {
        let lender = self.client(&["lab", "lend", "--segments", SEGMENTS], "lender")?;
        lender.line().context("nothing is lent")?;
        self.lender = Some(lender);
        Ok(())
    }

    /// Starts stopped members of etcd again.
    pub(crate) fn start_members(&mut self) -> Result<()> {
        for nr in 0..self.members.len() {
            if self.members[nr].is_none() {
                self.members[nr] = Some(self.member(nr, self.members.len())?);
            }
        }
        Ok(())
    }

    /// How often a node has logged that.
    pub(super) fn times_logged(&self, nr: usize, what: &str) -> usize {
        std::fs::read_to_string(self.log(NODES[nr])).map_or(0, |text| text.matches(what).count())
    }

    fn connect(&self) -> String {
        format!("{},{}", self.at("a", 0), self.at("b", 0))
    }

    /// The member that leads etcd; the witness needs no other.
    pub(crate) fn leading_member(&self) -> Result<usize> {
        if self.witness {
            return Ok(0);
        }
        let urls: Vec<String> = MEMBERS[..self.members.len()].iter().map(|m| self.at(m, 0)).collect();
        let mut ask = self.command(CLIENTS, Path::new("etcdctl"));
        ask.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", urls.join(",")));
        ask.args(["endpoint", "status", "--write-out=json"]);
        let told: Value = serde_json::from_slice(&ask.output().context("etcdctl is needed")?.stdout)?;
        let status = |one: &Value| one["Status"]["leader"] == one["Status"]["header"]["member_id"];
        let members = told.as_array().map_or(&[][..], Vec::as_slice);
        members.iter().position(status).context("no member of etcd leads")
    }

    pub(super) fn client(&self, words: &[&str], log: &str) -> Result<Process> {
        let mut client = self.command(CLIENTS, &self.binary);
        client.args(words).args(["--connect", &self.connect()]);
        if matches!(words, ["lab", "lend" | "load", ..]) {
            client.arg("--folder").arg(self.folder.path().join("memory"));
        }
        Process::spawn(client, &self.log(log))
    }

    /// What a command that changes nothing says, whatever it thinks of it. Null if it says nothing.
    pub(super) fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = self.command(CLIENTS, &self.binary);
        command.args(words).args(["--json", "--connect", &self.connect()]).stdin(Stdio::null());
        let output =
            command.stderr(Stdio::null()).output().with_context(|| format!("cannot start {words:?}"))?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// The history, as all nodes together know it.
    pub(crate) fn history(&self) -> Result<Vec<Value>> {
        let line = self.ask(&["history", "--limit", "0"])?;
        Ok(line["rows"].as_array().cloned().unwrap_or_default())
    }

    /// Reads the status until it is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until_within(SETTLE_LIMIT, what, wanted)
    }

    fn until_within(&self, limit: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let watch = Stopwatch::start();
        loop {
            let line = self.ask(&["status"])?;
            if wanted(&line) {
                return Ok(line);
            }
            if watch.elapsed() >= limit {
                bail!("never: {what}; after {} s the status is {line}", limit.as_secs());
            }
            pause(LOOK_EVERY);
        }
    }

    /// Waits until one node leads and the other is in sync; returns the leading one.
    pub(crate) fn settle(&self) -> Result<usize> {
        self.settle_within(SETTLE_LIMIT)
    }

    /// The same, where there is very much to copy.
    pub(crate) fn settle_within(&self, limit: Duration) -> Result<usize> {
        let line = self.until_within(limit, "a pair in sync", |line| whole(line).is_some())?;
        whole(&line).context("just seen")
    }

    /// The node that leads, if the other follows it in sync at this moment.
    pub(crate) fn is_whole(&self) -> Result<Option<usize>> {
        Ok(whole(&self.ask(&["status"])?))
    }

    /// What a process logged last.
    pub(crate) fn words(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join(" | ")
    }
}

fn nodes(line: &Value) -> impl Iterator<Item = &Value> {
    line["nodes"].as_array().into_iter().flatten()
}

/// The node that leads, if exactly one does.
pub(crate) fn primary(line: &Value) -> Option<usize> {
    let mut leading = nodes(line).filter(|node| node["role"] == "primary");
    let first = leading.next().filter(|_| leading.next().is_none())?;
    NODES.iter().position(|name| first["node"] == **name)
}

/// The node that leads, if the other follows it in sync.
pub(crate) fn whole(line: &Value) -> Option<usize> {
    let leading = primary(line)?;
    let node = nodes(line).find(|node| node["node"] == NODES[leading])?;
    let mut standbys = node["standbys"].as_array()?.iter();
    let good = standbys.any(|s| s["in_sync"] == true && s["stream"] == "streaming" && s["link"] == "up");
    let followed = nodes(line).any(|n| n["node"] == NODES[1 - leading] && n["role"] == "standby");
    (good && followed).then_some(leading)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{primary, whole};

    #[test]
    fn a_pair_is_whole_when_one_leads_and_the_other_follows_in_sync() {
        let line = |role: &str, in_sync| {
            json!({"nodes": [
                {"node": "a", "role": role, "standbys": []},
                {"node": "b", "role": "primary", "standbys": [{"in_sync": in_sync, "stream": "streaming", "link": "up"}]},
            ]})
        };
        assert_eq!((whole(&line("standby", true)), primary(&line("standby", false))), (Some(1), Some(1)));
        assert_eq!(whole(&line("standby", false)), None);
        assert_eq!(whole(&line("primary", true)), None, "two lead");
        assert_eq!(whole(&json!({"nodes": [{"node": "b", "role": "primary", "standbys": []}]})), None);
    }
}
