//! `standfast mooncake-master`, also by the link name `mooncake_master`: a stock command line runs a node of ours.

use std::ffi::OsStr;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use nix::ifaddrs::getifaddrs;

use super::exit::{Exit, Failure};
use super::text;
use crate::config::stock::{self, Surroundings, Translated};

/// The name of the command, and of the link that stands for it.
pub(crate) const COMMAND: &str = "mooncake-master";
const LINK: &str = "mooncake_master";
/// Longest config or flag file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

const HELP: &str = "\
Runs a node of Standfast with the command line of a stock mooncake_master.

Usage: standfast mooncake-master [STOCK FLAGS]
       mooncake_master [STOCK FLAGS]           by a link of that name

Every spelling of gflags is understood (-f v, --f=v, --nof, --flagfile=F), and
--config_path=FILE in YAML or JSON. Flags of its own:
  --standfast_port=N      gRPC port for peers and operators [rpc_port + 1]
  --standfast_node=NAME   name of this node [machine and port]
  --standfast_role=ROLE   primary or standby [primary]
  --standfast_peer=ADDR   gRPC port of the other node
  --standfast_ack=MODE    sync or async [sync]
  --standfast_etcd_ca=F   authority of an https:// etcd [the system's]
  --standfast_etcd_cert=F --standfast_etcd_key=F
                          certificate to show it, and its key
  --allow_unsupported     start without what is not here

Exit codes: 0 ok, 2 a flag that is unknown, wrong or not here.

What becomes of each stock flag:";

/// The stock words, if this process was called to be a stock master.
pub(crate) fn words(args: &[std::ffi::OsString]) -> Option<Vec<String>> {
    let text =
        |args: &[std::ffi::OsString]| args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let program = args.first().and_then(|program| Path::new(program).file_name());
    if program == Some(OsStr::new(LINK)) {
        return Some(text(&args[1..]));
    }
    (args.get(1).is_some_and(|command| command == COMMAND)).then(|| text(&args[2..]))
}

/// What to type instead: the words of `standfast serve`, or how this has ended already.
pub(crate) fn translate(words: &[String]) -> Result<Result<Vec<String>, Exit>, Failure> {
    let read = read(words).map_err(|wrong| Failure::new(Exit::Usage, wrong.join("\n")))?;
    Ok(read.map(|(words, notes)| {
        text::tell(&notes.iter().map(|note| format!("{LINK}: {note}")).collect::<Vec<_>>());
        text::tell(&[format!("{LINK}: running `standfast serve {}`", words.join(" "))]);
        words
    }))
}

/// Words of `standfast serve`, and notes on what does not apply.
pub(crate) type Read = (Vec<String>, Vec<String>);

/// What to run; or the end, when help or the version was asked for.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn read(words: &[String]) -> Result<Result<Read, Exit>, Vec<String>> {
    match stock::translate(words, &Machine)? {
        Translated::Serve { words, notes } => Ok(Ok((words, notes))),
        Translated::Version => {
            drop(text::print(&[format!("standfast {} as {LINK}", env!("CARGO_PKG_VERSION"))]));
            Ok(Err(Exit::Ok))
        }
        Translated::Help => {
            let mut lines: Vec<String> = HELP.lines().map(str::to_owned).collect();
            for (name, what) in stock::summary() {
                lines.extend(text::wrap(&format!("  --{name}: {what}"), 6));
            }
            drop(text::print(&lines));
            Ok(Err(Exit::Ok))
        }
    }
}

/// This machine.
struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path) -> Result<String, String> {
        let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(format!("it has {bytes} bytes: expected at most {FILE_BYTES_MAX}"));
        }
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn interface(&self, name: &str) -> Option<IpAddr> {
        let addresses = getifaddrs().ok()?.filter(|address| address.interface_name == name);
        addresses.filter_map(|address| Some(IpAddr::from(address.address?.as_sockaddr_in()?.ip()))).next()
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        (name, 0).to_socket_addrs().ok()?.next().map(|address| address.ip())
    }

    fn machine(&self) -> String {
        let name = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let is_good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let name: String = name.chars().filter(|c| is_good(*c)).take(100).collect();
        if name.is_empty() { "node".to_owned() } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_by_either_name() {
        let called = |args: &[&str]| words(&args.iter().map(Into::into).collect::<Vec<_>>());
        let port = Some(vec!["--rpc_port=1".to_owned()]);
        assert_eq!(called(&["/usr/bin/mooncake_master", "--rpc_port=1"]), port);
        assert_eq!(called(&["standfast", "mooncake-master", "--rpc_port=1"]), port);
        assert_eq!(called(&["standfast", "serve", "mooncake-master"]), None);
        assert_eq!(called(&[]), None);
    }

    #[test]
    fn the_loopback_interface_has_its_address() {
        assert_eq!(Machine.interface("lo"), Some("127.0.0.1".parse().expect("an address")));
        assert_eq!(Machine.interface("nowhere0"), None);
        assert_eq!(Machine.host("nowhere.invalid"), None);
    }
}
