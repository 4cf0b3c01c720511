//! `standfast config check|print`: what a node would start with, without starting it.
//!
//! The words go the way that they would go behind `serve`, or behind `mooncake-master`, so that nothing can be said
//! here of a configuration that a start would not say.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches as _, Subcommand};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::{Cli, mooncake_master, text};
use crate::app;
use crate::config::{HTTP_DEFAULT, ServeArgs, ServeConfig, workers_for_this_machine};

const AFTER_HELP: &str = "\
Examples:
  standfast config check --node a --coordinator etcd://e1:2379 --grant-ms 300
                         every value that is out of range, and every timing that
                         contradicts another one, with the numbers
  standfast config print --node a --role primary
                         each flag, its value, and where that comes from
  standfast config check mooncake-master --rpc_port=50051
                         the same for the command line of a stock master

The flags are those of `standfast serve`: `standfast serve --help` lists them.
Files that they name are read, too; nothing is written, and nothing listens.

Exit codes: 0 a node would start with it, 2 it would not.";

/// What stands for the part of a URL that may be a secret.
const HIDDEN: &str = "***";

/// Flags of `standfast config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Say everything that is wrong with a configuration, as a start would
    #[command(after_help = AFTER_HELP)]
    Check(Words),
    /// Show every flag, its value and where that comes from; secrets are hidden
    #[command(after_help = AFTER_HELP)]
    Print(Words),
}

#[derive(Debug, Clone, Args)]
struct Words {
    /// Flags of `serve`; or mooncake-master, and flags of a stock master
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    words: Vec<String>,
}

/// Checks, or shows.
pub(crate) fn run(is_json: bool, args: &ConfigArgs) -> Result<Exit, Failure> {
    let (What::Check(Words { words }) | What::Print(Words { words })) = &args.what;
    let is_json = is_json || words.iter().any(|word| word == "--json");
    let words = words.iter().filter(|word| *word != "--json").cloned().collect();
    let Looked { values, notes, wrong, good } = match look(words)? {
        Ok(looked) => looked,
        Err(exit) => return Ok(exit),
    };
    let is_print = matches!(args.what, What::Print(_));
    let mut lines = Vec::new();
    if is_json {
        let texts = |list: &[String]| list.iter().map(|text| json!({"text": text})).collect::<Vec<_>>();
        let mut line = json!({
            "schema": 1, "verdict": if wrong.is_empty() { "ok" } else { "refused" },
            "problems": texts(&wrong), "notes": texts(&notes),
        });
        if is_print {
            line["values"] = values.map_or(Value::Null, |rows| rows.iter().map(Row::json).collect());
        }
        lines.push(line.to_string());
    } else {
        text::tell(&notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>());
        match (is_print, good) {
            (true, _) => lines.extend(table(&values.unwrap_or_default())),
            (false, Some(what)) => lines.push(what),
            (false, None) => {}
        }
    }
    // Whoever closed stdout has seen enough.
    drop(text::print(&lines));
    if wrong.is_empty() { Ok(Exit::Ok) } else { Err(Failure::new(Exit::Usage, wrong.join("\n"))) }
}

/// What the words come to.
#[derive(Debug, Default)]
struct Looked {
    /// The flags; `None` when the words cannot be read.
    values: Option<Vec<Row>>,
    /// What is said, and has no effect.
    notes: Vec<String>,
    wrong: Vec<String>,
    /// What would start.
    good: Option<String>,
}

/// Reads the words; or shows the help that they ask for.
fn look(words: Vec<String>) -> Result<Result<Looked, Exit>, Failure> {
    let (words, notes, origin) = match words.split_first() {
        Some((first, stock)) if first == mooncake_master::COMMAND => match mooncake_master::read(stock) {
            Ok(Ok((words, notes))) => (words, notes, "stock"),
            Ok(Err(exit)) => return Ok(Err(exit)),
            Err(wrong) => return Ok(Ok(Looked { wrong, ..Looked::default() })),
        },
        _ => (words, Vec::new(), "flag"),
    };
    let line = ["standfast", "serve"].into_iter().map(str::to_owned).chain(words);
    let parsed = Cli::command().try_get_matches_from(line);
    let matches = match parsed {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            return Ok(Ok(Looked { notes, wrong: vec![complaint(&error)], ..Looked::default() }));
        }
        Err(help) => {
            let _ = help.print();
            return Ok(Err(Exit::Ok));
        }
    };
    let serve = matches.subcommand_matches("serve");
    let serve = serve.ok_or_else(|| Failure::new(Exit::Usage, "expected flags of `standfast serve`"))?;
    let args = ServeArgs::from_arg_matches(serve).map_err(|e| Failure::new(Exit::Usage, complaint(&e)))?;
    let (wrong, good) = match app::checked(&args) {
        Ok((config, _)) => (Vec::new(), Some(sentence(&config))),
        Err(wrong) => (wrong.0, None),
    };
    Ok(Ok(Looked { values: Some(rows(serve, origin)), notes, wrong, good }))
}

/// What clap has to say, without its usage lines.
fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.trim().trim_start_matches("error: ").to_owned()
}

fn sentence(config: &ServeConfig) -> String {
    let who = config.coordinator.as_ref().map_or("roles are given".to_owned(), |c| {
        format!("the {} at {} decides who leads", c.kind, c.members.join(","))
    });
    format!("OK  node {} of {} would start: {who}", config.node, config.cluster)
}

/// One flag.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    flag: String,
    /// As text; `None` where nothing is said and nothing is assumed.
    value: Option<String>,
    /// `default`, `flag`, `environment` or `stock`; `None` without a value.
    source: Option<&'static str>,
}

impl Row {
    fn json(&self) -> Value {
        json!({"flag": self.flag, "value": self.value, "source": self.source})
    }
}

/// The flags of a node, in the order of its help.
fn rows(serve: &ArgMatches, origin: &'static str) -> Vec<Row> {
    let mut cli = Cli::command();
    cli.build();
    let flags = cli.find_subcommand("serve").into_iter().flat_map(Command::get_arguments);
    let is_own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_long() != Some("help");
    flags.filter(is_own).filter_map(|arg| row(arg, serve, origin)).collect()
}

fn row(arg: &Arg, serve: &ArgMatches, origin: &'static str) -> Option<Row> {
    let (id, flag) = (arg.get_id().as_str(), format!("--{}", arg.get_long()?));
    let said = serve.get_raw(id).map(|values| {
        values.map(|value| without_secrets(id, &value.to_string_lossy())).collect::<Vec<_>>().join(",")
    });
    let source = serve.value_source(id).map(|source| match source {
        ValueSource::DefaultValue => "default",
        ValueSource::EnvVariable => "environment",
        _ => origin,
    });
    // Nothing said is not the same as a default: then the port may be taken.
    let (value, source) = match (id, said) {
        ("http", None) => (Some(HTTP_DEFAULT.to_owned()), Some("default")),
        ("workers", None) => (Some(workers_for_this_machine().to_string()), Some("default")),
        (_, said) => (said, source),
    };
    Some(Row { flag, value, source })
}

/// A name and a password in a URL, and the way at a webhook's host, are secrets. Files that hold some are only named.
fn without_secrets(id: &str, value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (hosts, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = |host: &str| match host.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => host.to_owned(),
    };
    let hosts: Vec<String> = hosts.split(',').map(host).collect();
    let path = if id == "webhook" && path.len() > 1 { format!("/{HIDDEN}") } else { path.to_owned() };
    format!("{scheme}://{}{path}", hosts.join(","))
}

fn table(rows: &[Row]) -> Vec<String> {
    let width = rows.iter().map(|row| row.flag.len()).max().unwrap_or(0);
    let line = |row: &Row| {
        let value = row.value.as_deref().unwrap_or("-");
        let source = row.source.map_or(String::new(), |source| format!("  ({source})"));
        format!("{:<width$}  {value}{source}", row.flag)
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(flags: &str) -> Looked {
        let words = flags.split_whitespace().map(str::to_owned).collect();
        look(words).expect("it can be looked at").expect("no help")
    }

    fn value(looked: &Looked, flag: &str) -> (Option<String>, Option<&'static str>) {
        let rows = looked.values.as_ref().expect("the words can be read");
        let row = rows.iter().find(|row| row.flag == flag).unwrap_or_else(|| panic!("{flag}: {rows:?}"));
        (row.value.clone(), row.source)
    }

    #[test]
    fn every_flag_has_its_value_and_its_source() {
        let looked = looked("--node a --role primary --ack async --enable-lab");
        assert_eq!(looked.wrong, Vec::<String>::new());
        assert!(looked.good.as_ref().is_some_and(|what| what.contains("node a of mooncake_cluster")));
        let said = |value: &str, source| (Some(value.to_owned()), Some(source));
        for (flag, expected) in [
            ("--node", said("a", "flag")),
            ("--ack", said("async", "flag")),
            ("--enable-lab", said("true", "flag")),
            ("--evict-soft-pinned", said("true", "default")),
            ("--grant-ms", said("500", "default")),
            ("--http", said(HTTP_DEFAULT, "default")),
            ("--workers", said(&workers_for_this_machine().to_string(), "default")),
            ("--peer", (None, None)),
            ("--tls-key", (None, None)),
        ] {
            assert_eq!(value(&looked, flag), expected, "{flag}");
        }
        let count = looked.values.as_ref().map_or(0, Vec::len);
        let mut cli = Cli::command();
        cli.build();
        let all = cli.find_subcommand("serve").expect("there").get_arguments();
        let shown = all.filter(|a| !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help").count();
        assert!(count > 60 && count == shown, "{count} of {shown}");
    }

    #[test]
    fn all_that_a_start_would_refuse_is_said_with_the_numbers() {
        let looked = looked("--node a --coordinator etcd://h:1 --shrink-ms 150 --lease-ms 2000");
        let text = looked.wrong.join("\n");
        for part in
            ["--shrink-ms is 150: expected at least 2 times --heartbeat-ms (100)", "--lease-ms is 2000"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(looked.good.is_none() && looked.values.is_some());
    }

    #[test]
    fn files_are_read_and_all_that_do_not_do_are_named() {
        let looked = looked(
            "--node a --coordinator etcd://h:1 --operator-token-file /nowhere/token --coordinator-user u \
             --coordinator-password-file /nowhere/word --history /nowhere/history",
        );
        let text = looked.wrong.join("\n");
        for part in
            ["/nowhere/token", "--coordinator-password-file /nowhere/word", "--history is /nowhere/history"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(looked.wrong.len(), 3, "{text}");
    }

    #[test]
    fn words_that_cannot_be_read_are_a_finding_and_not_a_page_of_usage() {
        let looked = looked("--node a --role primary --grpc here");
        assert!(looked.values.is_none() && looked.wrong[0].contains("invalid value 'here'"), "{looked:?}");
        assert!(!looked.wrong[0].contains("Usage:") && !looked.wrong[0].starts_with("error"), "{looked:?}");
    }

    #[test]
    fn a_stock_line_is_checked_as_what_it_becomes() {
        let good = looked("mooncake-master --rpc_port=50051 --rpc_address=127.0.0.1 --standfast_node=n");
        assert_eq!(good.wrong, Vec::<String>::new());
        assert_eq!(value(&good, "--mooncake"), (Some("127.0.0.1:50051".to_owned()), Some("stock")));
        let bad = looked("mooncake-master --enable_offload --rpc_port=x");
        assert!(bad.values.is_none() && bad.wrong.len() > 1, "{bad:?}");
    }

    #[test]
    fn secrets_in_urls_are_hidden() {
        for (id, given, shown) in [
            ("coordinator", "etcd://u:p@e1:1,e2:1", "etcd://***@e1:1,e2:1"),
            ("webhook", "https://h:443/T0/secret?x=y", "https://h:443/***"),
            ("webhook", "https://u:p@h:443", "https://***@h:443"),
            ("otlp", "http://u:p@h:4318/v1/traces", "http://***@h:4318/v1/traces"),
            ("trace_sample", "prefix:a@b", "prefix:a@b"),
            ("coordinator", "manual", "manual"),
        ] {
            assert_eq!(without_secrets(id, given), shown);
        }
    }
}
