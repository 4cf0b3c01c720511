//! Drills for the console: `standfast drill` as a process of this binary, so that whatever ends the console does not
//! leave a struck node behind.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1::Reason;
use standfast_tui::{Confirmed, Deed, Drills, Outcome};
use tokio::process::Command;
use tokio::time::timeout;

use super::super::ClientArgs;

/// Another node has to lead within half of it.
const LIMIT: Duration = Duration::from_secs(60);

/// Strikes processes of this machine that are nodes of the cluster found at `connect`.
pub(in crate::cli) fn by_process(client: &ClientArgs) -> Drills {
    let flags = flags(client);
    Drills(Arc::new(move |act| Box::pin(drill(flags.clone(), act))))
}

/// How this process finds the nodes, and what it shows them, for one that it starts.
fn flags(client: &ClientArgs) -> Vec<OsString> {
    let connect = Some(OsString::from(client.connect.join(",")));
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.clone().into_os_string());
    let all = [
        ("--connect", connect),
        ("--token-file", file(&client.token_file)),
        ("--ca", file(&client.ca)),
        ("--cert", file(&client.cert)),
        ("--key", file(&client.key)),
    ];
    all.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?])).flatten().collect()
}

async fn drill(flags: Vec<OsString>, act: Confirmed) -> Outcome {
    let Deed::Drill(fault) = act.deed() else {
        return refused(&format!("{} is no drill", act.deed().word()));
    };
    let Ok(program) = std::env::current_exe() else {
        return refused("the program does not know where it is");
    };
    let mut command = Command::new(program);
    command.args(["drill", fault.word(), "--yes", "--node", act.target(), "--reason", act.reason()]);
    command.args(flags).stdin(Stdio::null());
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => outcome(&output, act.addr()),
        Ok(Err(error)) => refused(&format!("the drill did not start: {error}")),
        Err(_) => unknown(format!("the drill has not ended within {} s", LIMIT.as_secs()), act.addr()),
    }
}

/// It tells on stdout what came of it, and on stderr why nothing was struck.
fn outcome(output: &Output, addr: &str) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ");
    let said = text(&output.stdout);
    match (output.status.success(), said.is_empty()) {
        (true, _) => Outcome::Done(vec![said, "View 5 has its row, marked as a drill.".to_owned()]),
        (false, true) => {
            let why = text(&output.stderr);
            let why = why.trim_start_matches("standfast: ");
            let (why, cure) = why.split_once(" next: ").unwrap_or((why, ""));
            Outcome::Refused(vec![reason(why, cure)])
        }
        (false, false) => unknown(said, addr),
    }
}

fn refused(text: &str) -> Outcome {
    Outcome::Refused(vec![reason(text, "")])
}

fn reason(text: &str, cure: &str) -> Reason {
    Reason { code: "drill".to_owned(), text: text.to_owned(), cure: cure.to_owned() }
}

fn unknown(why: String, addr: &str) -> Outcome {
    Outcome::Unknown { why, cure: format!("standfast status --connect {addr}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(code: i32, stdout: &str, stderr: &str) -> Outcome {
        let status = ExitStatus::from_raw(code << 8);
        outcome(&Output { status, stdout: stdout.into(), stderr: stderr.into() }, "h:1")
    }

    #[test]
    fn a_drill_shows_what_this_process_shows() {
        let client = ClientArgs {
            connect: vec!["h:1".into(), "h:2".into()],
            ca: Some("ca.pem".into()),
            ..ClientArgs::default()
        };
        assert_eq!(flags(&client), ["--connect", "h:1,h:2", "--ca", "ca.pem"]);
    }

    #[test]
    fn what_a_drill_says_decides_what_it_came_to() {
        let Outcome::Done(said) = ended(0, "kill of a: b leads;\n  320 ms\n", "") else { panic!("done") };
        assert_eq!(said[0], "kill of a: b leads; 320 ms");
        let refused = ended(1, "", "standfast: not struck: no standby\n next: standfast status\n");
        assert!(
            matches!(&refused, Outcome::Refused(why) if why[0] == reason("not struck: no standby", "standfast status")),
            "{refused:?}"
        );
        assert!(matches!(ended(1, "kill of a: NOBODY LEADS", ""), Outcome::Unknown { .. }), "it was struck");
    }
}
