//! Certificates that are replaced while the process runs: connections to come use the new ones, those that there
//! are live on. Files that do not do change nothing.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use standfast_proto::access::{AccessFiles, SharedAccess};
use tokio_util::sync::CancellationToken;

use super::{ServerTls, Visitors, dialling, server};
use crate::config::SecurityConfig;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What has become of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// Nothing new.
    Same,
    /// What they hold is in force.
    InForce {
        /// When the own certificate ends, in seconds since 1970.
        certificate_until: Option<i64>,
    },
    /// They have changed, but what was in force before stays: why.
    Refused(String),
}

/// What each file holds, or why it cannot be read.
type Contents = Vec<Result<Vec<u8>, io::ErrorKind>>;

/// The files of a process, and what is in force of them.
#[derive(Debug)]
pub struct Reloader {
    config: SecurityConfig,
    coordinator: Option<AccessFiles>,
    visitors: Visitors,
    tls: Option<ServerTls>,
    until: Option<i64>,
    access: SharedAccess,
    to_coordinator: SharedAccess,
    in_force: Contents,
    refused: Option<Contents>,
}

/// What the reloader replaces.
pub(super) struct InUse {
    pub(super) tls: Option<ServerTls>,
    pub(super) until: Option<i64>,
    pub(super) access: SharedAccess,
    pub(super) to_coordinator: SharedAccess,
}

impl Reloader {
    /// `in_force` was read before what is in use was made of it: a change in between is found.
    pub(super) fn new(
        config: SecurityConfig,
        coordinator: Option<AccessFiles>,
        visitors: Visitors,
        in_force: Contents,
        in_use: InUse,
    ) -> Self {
        let InUse { tls, until, access, to_coordinator } = in_use;
        Self { config, coordinator, visitors, tls, until, access, to_coordinator, in_force, refused: None }
    }

    /// Looks at the files until `stop`, and tells what is new. `wall` is the time in seconds since 1970.
    pub async fn keep(
        mut self,
        wall: impl Fn() -> i64 + Send,
        tell: impl Fn(&Looked) + Send,
        stop: CancellationToken,
    ) {
        if self.in_force.is_empty() {
            return;
        }
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = wall();
            // A file may be on a slow disk.
            let looking = tokio::task::spawn_blocking(move || {
                let looked = self.look(now);
                (self, looked)
            });
            let Ok((this, looked)) = looking.await else { return };
            self = this;
            match &looked {
                Looked::Same => continue,
                Looked::InForce { .. } => {
                    tracing::info!(
                        code = "certificate_replaced",
                        "the certificates of the files are in force"
                    );
                }
                Looked::Refused(why) => {
                    tracing::warn!(
                        code = "certificate_refused",
                        "the certificates of the files are not used, the former ones are: {why}"
                    );
                }
            }
            tell(&looked);
        }
    }

    fn look(&mut self, now: i64) -> Looked {
        let found = contents(&self.config, self.coordinator.as_ref());
        if found == self.in_force {
            let was_refused = self.refused.take().is_some();
            let in_force = Looked::InForce { certificate_until: self.until };
            return if was_refused { in_force } else { Looked::Same };
        }
        if self.refused.as_ref() == Some(&found) {
            return Looked::Same;
        }
        match self.replace(now) {
            Ok(()) => {
                (self.in_force, self.refused) = (found, None);
                Looked::InForce { certificate_until: self.until }
            }
            Err(why) => {
                self.refused = Some(found);
                Looked::Refused(why)
            }
        }
    }

    /// All of them, or none.
    fn replace(&mut self, now: i64) -> Result<(), String> {
        let served = server(&self.config, self.visitors)?;
        if let Some((file, _)) = self.config.identity.as_ref().filter(|_| ended(&served, now)) {
            return Err(format!("{} has ended: expected a certificate that is good now", file.display()));
        }
        // Tokens stay as they were read at start: all nodes must have the same.
        let access = dialling(&AccessFiles { token: None, ..self.config.access() })?;
        let to_coordinator = self.coordinator.as_ref().map(dialling).transpose()?;
        if let (Some(tls), Some((config, until))) = (&self.tls, served) {
            tls.replace(config);
            self.until = Some(until);
        }
        self.access.replace(self.access.get().with_certificates_of(access));
        if let Some(access) = to_coordinator {
            self.to_coordinator.replace(access);
        }
        Ok(())
    }
}

fn ended(served: &Option<(rustls::ServerConfig, i64)>, now: i64) -> bool {
    served.as_ref().is_some_and(|(_, until)| *until <= now)
}

/// What the files of certificates hold now; of the token's, nothing.
pub(super) fn contents(config: &SecurityConfig, coordinator: Option<&AccessFiles>) -> Contents {
    let pair = |identity: &Option<(PathBuf, PathBuf)>| {
        identity.clone().into_iter().flat_map(|(certificate, key)| [certificate, key]).collect::<Vec<_>>()
    };
    let of_coordinator =
        coordinator.into_iter().flat_map(|files| files.ca.clone().into_iter().chain(pair(&files.identity)));
    let files = pair(&config.identity).into_iter().chain(config.ca.clone()).chain(of_coordinator);
    files.map(|file| std::fs::read(file).map_err(|e| e.kind())).collect()
}
