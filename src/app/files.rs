//! The files that a configuration names, read before anything listens: by `serve`, and by `config check` in the same way.

use std::path::Path;

use crate::config::{ConfigError, CoordinatorConfig, ServeConfig};
use crate::outbound::{Credentials, Secured, Visitors};

/// What they hold.
#[derive(Debug)]
pub struct Files {
    pub(super) secured: Secured,
    /// Who this node is to the coordinator.
    pub(super) credentials: Option<Credentials>,
}

impl Files {
    /// Reads them. The history is not opened, for that would begin it.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(config: &ServeConfig) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        let coordinator = config.coordinator.as_ref();
        let secured =
            Secured::load(&config.security, coordinator.and_then(|c| c.tls.as_ref()), Visitors::MayShow);
        let secured = secured.map_err(|why| wrong.push(why)).ok();
        let credentials = coordinator.map(credentials).transpose();
        let credentials = credentials.map_err(|why| wrong.push(why)).ok();
        wrong.extend(config.history.as_deref().and_then(no_place));
        match (secured, credentials) {
            (Some(secured), Some(credentials)) if wrong.is_empty() => {
                Ok(Self { secured, credentials: credentials.flatten() })
            }
            _ => Err(ConfigError(wrong)),
        }
    }
}

/// The coordinator's password, without the end of its line.
fn credentials(coordinator: &CoordinatorConfig) -> Result<Option<Credentials>, String> {
    let Some((user, file)) = &coordinator.credentials else { return Ok(None) };
    let password = std::fs::read_to_string(file)
        .map_err(|e| format!("cannot read --coordinator-password-file {}: {e}", file.display()))?;
    Ok(Some(Credentials { user: user.clone(), password: password.trim_end().to_owned() }))
}

/// Why no history can be kept there.
fn no_place(history: &Path) -> Option<String> {
    let folder = history.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = history.display();
    if history.is_dir() {
        return Some(format!("--history is {shown}: expected a file, and it is a folder"));
    }
    (!folder.is_dir()).then(|| format!("--history is {shown}: expected a file in a folder that exists"))
}
