//! A wall clock that jumps, for the processes of one cluster only: Debian's libfaketime between them and the system.
//! Clocks that count from boot, by which nodes wait, are left alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The Debian package that brings it.
const PACKAGE: &str = "libfaketime";
const LIBRARY: &str = "faketime/libfaketime.so.1";

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.exists())
}

/// Installs it, unless it is there.
pub(crate) fn install() -> Result<()> {
    if library().is_some() { Ok(()) } else { crate::run::apt_install(&[PACKAGE]) }
}

/// Why no clock can jump here, with the cure.
pub(crate) fn missing() -> Option<String> {
    let cure = format!("{PACKAGE} is not installed; cure: cargo xtask setup, or apt-get install {PACKAGE}");
    library().is_none().then_some(cure)
}

/// Lets the command's wall clock be off by what is in `file`.
pub(crate) fn ruled_by(command: &mut Command, file: &Path) -> Result<()> {
    set(file, 0)?;
    command.env("LD_PRELOAD", library().context("libfaketime is there")?);
    command.env("FAKETIME_TIMESTAMP_FILE", file).env("FAKETIME_NO_CACHE", "1");
    // Both spellings, of earlier and of later releases.
    command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// The clock jumps: it is off by so many seconds from now on.
pub(crate) fn set(file: &Path, seconds: i64) -> Result<()> {
    std::fs::write(file, format!("{seconds:+}s\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{missing, ruled_by, set};

    fn now(file: &std::path::Path, offset: i64) -> i64 {
        let mut date = Command::new("date");
        ruled_by(&mut date, file).unwrap();
        set(file, offset).unwrap();
        let said = date.arg("+%s").output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_process_sees_the_hour_that_it_is_told() {
        if let Some(why) = missing() {
            eprintln!("skipped: {why}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let (here, later, earlier) = (now(&file, 0), now(&file, 3600), now(&file, -3600));
        // A safety limit: an hour is not missed by a quarter of one.
        assert!((later - here - 3600).abs() < 900 && (here - earlier - 3600).abs() < 900);
    }
}
