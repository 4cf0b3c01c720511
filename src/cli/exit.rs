//! How a command ends: the exit codes of the contract, and the sentence that goes with a bad one.

use std::fmt;
use std::process::ExitCode;

use standfast_proto::v1::Refusal;
use tonic::Status;

/// Exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok = 0,
    /// The answer is bad, degraded or refused.
    Bad = 1,
    /// The command line does not say what is needed.
    Usage = 2,
    /// No node could be reached.
    Unreachable = 3,
    /// Nobody knows whether it took effect.
    Unknown = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    /// The next command to type.
    pub(crate) cure: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), cure: None }
    }

    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into()).filter(|cure: &String| !cure.is_empty());
        self
    }

    /// What a changing call that ended with `status` says. Only a node's own word, a [`Refusal`], can state that
    /// nothing was done; a status of the transport leaves the outcome unknown.
    pub(crate) fn of_change(what: &str, status: &Status) -> Self {
        match Refusal::from_status(status) {
            Some(refusal) if refusal.nothing_was_done() => {
                Self::new(Exit::Bad, format!("{what} was refused: {}", refusal.text)).cure(refusal.cure)
            }
            Some(refusal) => {
                Self::new(Exit::Unknown, format!("{what}: the outcome is unknown: {}", refusal.text))
                    .cure(refusal.cure)
            }
            None => {
                let why =
                    if status.message().is_empty() { status.code().description() } else { status.message() };
                Self::new(Exit::Unknown, format!("{what}: the outcome is unknown: {why}"))
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        match &self.cure {
            Some(cure) => write!(f, "\n  next: {cure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::RefusalCode;

    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes = [Exit::Ok, Exit::Bad, Exit::Usage, Exit::Unreachable, Exit::Unknown].map(|e| e as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn only_a_refusal_can_say_that_nothing_was_done() {
        let exit = |code| Failure::of_change("detach", &Refusal::new(code, "why").into()).exit;
        assert_eq!(exit(RefusalCode::NotPrimary), Exit::Bad);
        assert_eq!(exit(RefusalCode::InvalidArgument), Exit::Bad);
        assert_eq!(exit(RefusalCode::OutcomeUnknown), Exit::Unknown);
        for status in [Status::unavailable("reset"), Status::deadline_exceeded(""), Status::cancelled("")] {
            assert_eq!(Failure::of_change("detach", &status).exit, Exit::Unknown, "{status}");
        }
    }

    #[test]
    fn a_refusal_ends_with_its_cure() {
        let refusal =
            Refusal { cure: "standfast status".into(), ..Refusal::new(RefusalCode::NotPrimary, "no") };
        let shown = Failure::of_change("detach", &refusal.into()).to_string();
        assert!(shown.ends_with("next: standfast status"), "{shown}");
    }
}
