//! A master to drive, as it is named on the command line.

use std::str::FromStr;

use clap::ValueEnum;

use crate::config;

/// What is spoken with a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Standfast's own
    Grpc,
    /// Mooncake's; any master of it can be driven
    Mooncake,
}

impl Protocol {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Mooncake => "mooncake",
        }
    }
}

/// A master: `HOST:PORT[,name=TEXT][,pid=N][,status=HOST:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) addr: String,
    pub(super) name: String,
    /// Its process, whose CPU time and memory are read. `None`: found by its port, where it can be.
    pub(super) pid: Option<u32>,
    /// Its gRPC port, through which its standbys are found.
    pub(super) status: Option<String>,
}

const EXPECTED: &str = "expected HOST:PORT[,name=TEXT][,pid=N][,status=HOST:PORT]";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let addr = parts.next().filter(|addr| config::is_host_port(addr)).ok_or(EXPECTED)?;
        let mut target = Self { addr: addr.to_owned(), name: addr.to_owned(), pid: None, status: None };
        for part in parts {
            match part.split_once('=') {
                Some(("name", name)) if !name.is_empty() => name.clone_into(&mut target.name),
                Some(("pid", pid)) => {
                    let pid = pid.parse().map_err(|_| format!("pid is `{pid}`: {EXPECTED}"))?;
                    target.pid = Some(pid);
                }
                Some(("status", at)) if config::is_host_port(at) => target.status = Some(at.to_owned()),
                _ => return Err(format!("`{part}` is not understood: {EXPECTED}")),
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_master_goes_into_one_word() {
        let plain: Target = "h:1".parse().expect("valid");
        assert_eq!((plain.name.as_str(), plain.pid, plain.status), ("h:1", None, None));
        let full: Target = "h:1,name=stock,pid=7,status=h:2".parse().expect("valid");
        assert_eq!((full.name.as_str(), full.pid, full.status.as_deref()), ("stock", Some(7), Some("h:2")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("here", "expected HOST:PORT"),
            ("h:0", "expected HOST:PORT"),
            ("h:1,pid=x", "pid is `x`"),
            ("h:1,status=x", "`status=x` is not understood"),
            ("h:1,name=", "`name=` is not understood"),
            ("h:1,seven", "`seven` is not understood"),
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
