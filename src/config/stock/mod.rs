//! A stock master's command line and config file, as a command line of `standfast serve`.
//!
//! `table` holds every flag and what it means here, `gflags` reads what was said, and here it becomes words for
//! `serve`, whose own rules then hold.

mod file;
mod gflags;
mod ha;
mod table;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use gflags::Given;
use table::{FLAGS, Flag, Meaning};

/// What a command line may refer to.
pub trait Surroundings {
    /// Text of a file.
    ///
    /// # Errors
    /// Why there is none.
    fn read(&self, path: &Path) -> Result<String, String>;
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// First IPv4 address of a network interface.
    fn interface(&self, name: &str) -> Option<IpAddr>;
    /// An address of a host.
    fn host(&self, name: &str) -> Option<IpAddr>;
    /// Name of this machine.
    fn machine(&self) -> String;
}

/// A stock command line in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Translated {
    /// Run this.
    Serve {
        /// Arguments of `standfast serve`.
        words: Vec<String>,
        /// One sentence for each flag that was said and does not apply.
        notes: Vec<String>,
    },
    /// It asked for help.
    Help,
    /// It asked for the version.
    Version,
}

/// Translates the words after the program's name.
///
/// # Errors
/// Everything that is wrong, a sentence each.
pub fn translate(words: &[String], around: &impl Surroundings) -> Result<Translated, Vec<String>> {
    let given = gflags::read(words, around);
    let asked = |name: &str| given.said(name).is_some_and(|value| value != "false" && !value.is_empty());
    if asked("version") {
        return Ok(Translated::Version);
    }
    if FLAGS.iter().any(|flag| flag.name.starts_with("help") && asked(flag.name)) {
        return Ok(Translated::Help);
    }
    let mut translation = Translation { given, words: Vec::new(), lacking: Vec::new() };
    translation.addresses(around);
    translation.leadership();
    let words = ha::metadata_server(&mut translation.given, around);
    translation.words.extend(words);
    for flag in FLAGS {
        translation.flag(flag);
    }
    translation.done()
}

/// All flags by name, and what became of each: for the help page.
#[must_use]
pub fn summary() -> Vec<(&'static str, String)> {
    let say = |flag: &Flag| match flag.meaning {
        Meaning::Serve(serve) | Meaning::ServeSeconds(serve) => format!("as {serve} of `standfast serve`"),
        Meaning::Choice(_, words, _) => format!("one of {}", words.join(", ")),
        Meaning::Handled => "understood".to_owned(),
        Meaning::Lacks(why) => format!("not here: {why}"),
        Meaning::Only(other) => format!("only with --{other}"),
        Meaning::Tuning(why) => format!("without effect: {why}"),
    };
    FLAGS.iter().map(|flag| (flag.name, say(flag))).collect()
}

struct Translation {
    given: Given,
    words: Vec<String>,
    /// What was said and is not here.
    lacking: Vec<String>,
}

impl Translation {
    /// Who this node is, and where it listens.
    fn addresses(&mut self, around: &impl Surroundings) {
        let given = &self.given;
        let mut wrong = Vec::new();
        let interface = given.value("rpc_interface");
        let (flag, name, ip) = if interface.is_empty() {
            let name = given.value("rpc_address");
            ("rpc_address", name, name.parse().ok().or_else(|| around.host(name)))
        } else {
            ("rpc_interface", interface, around.interface(interface))
        };
        if ip.is_none() {
            wrong.push(format!("--{flag} is `{name}`: it has no address on this machine"));
        }
        // Unless the newer flag says something, the older one counts.
        let newer = given.value("rpc_port") != "0";
        let rpc = port(given, if newer { "rpc_port" } else { "port" }, &mut wrong);
        let ours = match given.said("standfast_port") {
            Some(_) => port(given, "standfast_port", &mut wrong),
            None => rpc.map(|rpc| if rpc == 0 { 0 } else { rpc.saturating_add(1) }),
        };
        if rpc.is_some_and(|rpc| rpc != 0 && Some(rpc) == ours) {
            wrong.push("--standfast_port must be another port than that of Mooncake's clients".to_owned());
        }
        let node = match given.value("standfast_node") {
            "" => format!("{}-{}", around.machine(), rpc.unwrap_or(0)),
            node => node.to_owned(),
        };
        if let (Some(ip), Some(rpc), Some(ours)) = (ip, rpc, ours) {
            let at = |port| SocketAddr::new(ip, port).to_string();
            for (flag, value) in [("--node", node), ("--mooncake", at(rpc)), ("--grpc", at(ours))] {
                self.words.extend([flag.to_owned(), value]);
            }
        }
        let host = given.value("metrics_host");
        match (host.parse().ok().or_else(|| around.host(host)), port(given, "metrics_port", &mut wrong)) {
            (Some(ip), Some(port)) => {
                self.words.extend(["--http".to_owned(), SocketAddr::new(ip, port).to_string()]);
            }
            (None, _) => wrong.push(format!("--metrics_host is `{host}`: it has no address on this machine")),
            (Some(_), None) => {}
        }
        if !given.value("standfast_peer").is_empty() {
            self.words.extend(["--peer".to_owned(), given.value("standfast_peer").to_owned()]);
        }
        self.given.wrong.extend(wrong);
    }

    /// Who leads: etcd decides, or the flags say it.
    fn leadership(&mut self) {
        let words = match ha::coordinator(&mut self.given, &mut self.lacking) {
            Some(url) => ["--coordinator".to_owned(), url],
            None => ["--role".to_owned(), self.given.value("standfast_role").to_owned()],
        };
        self.words.extend(words);
    }

    fn flag(&mut self, flag: &'static Flag) {
        let Some(value) = self.given.said(flag.name).map(str::to_owned) else { return };
        let is_default = flag.kind.read(flag.default).is_ok_and(|default| default == value);
        match flag.meaning {
            Meaning::Serve(serve) => self.words.extend([serve.to_owned(), value]),
            Meaning::ServeSeconds(serve) => match value.parse::<u64>().ok().and_then(|s| s.checked_mul(1000))
            {
                Some(ms) => self.words.extend([serve.to_owned(), ms.to_string()]),
                None => self.given.wrong.push(format!("--{} is {value}: expected seconds", flag.name)),
            },
            Meaning::Choice(serve, words, _) if words.contains(&value.as_str()) => {
                self.words.extend(serve.map(|serve| [serve.to_owned(), value]).into_iter().flatten());
            }
            Meaning::Choice(_, words, why) => {
                let known = words.join(", ");
                self.lacking.push(format!("--{} is `{value}`: {why}; expected {known}", flag.name));
            }
            Meaning::Lacks(why) if !is_default => {
                self.lacking.push(format!("--{} is `{value}`: {why}", flag.name));
            }
            Meaning::Only(other) if !is_default && !self.is_on(other) => {
                self.given.notes.push(format!("--{} has no effect without --{other}", flag.name));
            }
            Meaning::Tuning(why) if !is_default => {
                self.given.notes.push(format!("--{} does not apply: {why}", flag.name));
            }
            Meaning::Handled | Meaning::Lacks(_) | Meaning::Only(_) | Meaning::Tuning(_) => {}
        }
    }

    /// Whether a flag that others depend on is here, and on.
    fn is_on(&self, name: &str) -> bool {
        let here = table::find(name).is_some_and(|flag| flag.meaning == Meaning::Handled);
        here && self.given.value(name) == "true"
    }

    fn done(self) -> Result<Translated, Vec<String>> {
        let Self { mut given, words, lacking } = self;
        if given.value("allow_unsupported") == "true" {
            given.notes.extend(lacking.iter().map(|what| format!("{what}; started without it")));
        } else {
            let how = "take it away, or start without it: --allow_unsupported";
            given.wrong.extend(lacking.iter().map(|what| format!("{what}; {how}")));
        }
        if given.value("enable_oplog") == "true" && given.value("enable_ha") != "true" {
            given.wrong.push("--enable_oplog needs --enable_ha, as with a stock master".to_owned());
        }
        if !given.wrong.is_empty() {
            return Err(given.wrong);
        }
        Ok(Translated::Serve { words, notes: given.notes })
    }
}

fn port(given: &Given, flag: &str, wrong: &mut Vec<String>) -> Option<u16> {
    let value = given.value(flag);
    let port = value.parse().ok();
    if port.is_none() {
        wrong.push(format!("--{flag} is {value}: expected a port, 0 to 65535"));
    }
    port
}

#[cfg(test)]
#[path = "stock_tests.rs"]
mod tests;
