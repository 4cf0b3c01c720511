//! `standfast doctor`: one sentence, a verdict, and the next command to type.

use clap::Args;
use serde_json::{Value, json};
use standfast_tui::Found;

use super::ClientArgs;
use super::exit::{Exit, Failure};
use super::operate::show;
use super::status::{Survey, diagnose};
use super::text::wrap;

const DOCTOR_HELP: &str = "\
Says the worst that is wrong, and what to type next; `standfast status` shows
all of it.

Exit code 0 when all is well, 1 when anything is wrong, 3 when no node answers.";

/// Flags of `standfast doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {}

/// Looks, judges, and says what to do.
pub(crate) async fn run(client: &ClientArgs, _: &DoctorArgs) -> Result<Exit, Failure> {
    let (found, problems, exit) = diagnose(client).await;
    let said = Diagnosis::of(&found, &problems, exit, &client.connect.join(","));
    show(&if client.json { vec![said.line().to_string()] } else { said.lines() });
    Ok(exit)
}

/// What is said.
#[derive(Debug, PartialEq, Eq)]
struct Diagnosis {
    verdict: &'static str,
    sentence: String,
    next: Option<String>,
    others: usize,
}

impl Diagnosis {
    fn of(found: &Survey, problems: &[Found], exit: Exit, connect: &str) -> Self {
        let verdict = match exit {
            Exit::Ok => "well",
            Exit::Unreachable => "unreachable",
            Exit::Bad | Exit::Usage | Exit::Unknown => "ill",
        };
        let Some(worst) = problems.first() else {
            let (leads, nodes) = (found.primary().map_or("nobody", |p| p.name()), found.answered().count());
            let sentence = format!("All is well: {leads} leads, {nodes} nodes answer, nothing is wrong");
            return Self { verdict, sentence, next: None, others: 0 };
        };
        // What cures another thing first may cure this one.
        let cure = problems.iter().map(|p| &p.cure).find(|cure| !cure.is_empty());
        let look = || format!("standfast status --connect {connect}");
        let next = Some(cure.cloned().unwrap_or_else(look));
        Self { verdict, sentence: worst.sentence(), next, others: problems.len() - 1 }
    }

    fn line(&self) -> Value {
        json!({
            "schema": 1, "verdict": self.verdict, "sentence": self.sentence, "next": self.next,
            "others": self.others,
        })
    }

    fn lines(&self) -> Vec<String> {
        let others = match self.others {
            0 => String::new(),
            1 => " One more thing is wrong.".to_owned(),
            n => format!(" {n} more things are wrong."),
        };
        let mut lines = wrap(&format!("{}.{others}", self.sentence), 2);
        lines.push(format!("Verdict: {}", self.verdict));
        lines.extend(self.next.iter().flat_map(|next| wrap(&format!("Next: {next}"), 6)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_with_the_first_cure_there_is() {
        let problem = |text: &str, cure: &str| Found {
            node: "b".into(),
            code: "test".into(),
            severity: standfast_proto::v1::Severity::Warning,
            text: text.into(),
            since_unix_us: None,
            cure: cure.into(),
            runbook: String::new(),
        };
        let problems = [problem("does not stream", ""), problem("is paused", "standfast resume")];
        let said = Diagnosis::of(&Survey::default(), &problems, Exit::Bad, "h:1");
        assert_eq!(said.lines()[0], "b: does not stream. One more thing is wrong.");
        assert_eq!(said.lines()[2], "Next: standfast resume");
        assert_eq!((said.line()["verdict"].clone(), said.line()["others"].clone()), (json!("ill"), json!(1)));
        let said = Diagnosis::of(&Survey::default(), &problems[..1], Exit::Bad, "h:1");
        assert_eq!(said.next.as_deref(), Some("standfast status --connect h:1"));
        let said = Diagnosis::of(&Survey::default(), &[], Exit::Ok, "h:1");
        assert!(said.sentence.starts_with("All is well") && said.line()["next"].is_null());
    }
}
