//! etcd, which the tests of the coordinator start as processes of their own.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run;

/// The server, and the tool that a test switches authentication on with.
const PROGRAMS: [&str; 2] = ["etcd", "etcdctl"];
/// The Debian packages that have them.
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// Whether the tests of a real etcd could run; else how to cure that.
pub(crate) fn present() -> Result<()> {
    for program in PROGRAMS {
        let mut probe = Command::new(program);
        probe.arg("--version").env("ETCDCTL_API", "3");
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let there = probe.status().is_ok();
        ensure!(
            there,
            "{program} is not installed; cure: cargo xtask setup, or apt-get install {}",
            PACKAGES.join(" ")
        );
    }
    Ok(())
}

/// Installs the packages unless the programs are there already.
pub(crate) fn install() -> Result<()> {
    if present().is_ok() {
        return Ok(());
    }
    run::apt_install(&PACKAGES).context("the tests of the coordinator need etcd")?;
    present()
}
