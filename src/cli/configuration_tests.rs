//! `docs/configuration.md` is what the flags say of themselves.

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

const HEAD: &str = "\
# Configuration

Generated from the flags; `STANDFAST_BLESS=1 cargo test -p standfast --lib configuration` writes it anew.

Everything is a flag; `standfast serve --help` says the same. A value out of its range, or timings that contradict
each other, are refused at start with the values and the inequality, all at once (exit code 2). `standfast config check`
with the same flags says so without a start, and `standfast config print` shows every value and where it comes from:

| Rule | Why |
|---|---|
| `--grant-ms` >= 4 x `--heartbeat-ms` | one late heartbeat does not end the primary's right to answer |
| `--shrink-ms` >= 2 x `--heartbeat-ms` | one late heartbeat costs no standby its place |
| `--grant-ms` > `--shrink-ms` + 100 + `--heartbeat-ms` | reads do not stall when a standby dies |
| `--takeover-ms` >= `--shrink-ms` + `--heartbeat-ms` | a healthy primary removes a cut-off standby before that takes over |
| `--lease-ms` >= 3 x `--renew-ms` + `--coordinator-timeout-ms` | one lost renewal stops nothing |
| `--stop-handover-ms` = 0, or >= 1000 + `--coordinator-timeout-ms` | a hand-over that is begun can come to its end |
| `--failover-window-s` >= `--takeover-ms` x `--failover-limit` | the limit can be reached within the window at all |

All nodes of a cluster have the same timings, the same `--ack`, the same bounds of loss and the same token.
";

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn row(arg: &Arg) -> String {
    let name = arg.get_long().map_or_else(String::new, |long| format!("`--{long}`"));
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = value.map_or(String::new(), |names| {
        format!(" `{}`", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    });
    let defaults = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned());
    let defaults = defaults.filter(|_| arg.get_action().takes_values()).collect::<Vec<_>>().join(",");
    let default = if defaults.is_empty() { String::new() } else { format!("`{defaults}`") };
    let env = arg.get_env().map_or(String::new(), |env| format!(" Also `{}`.", env.to_string_lossy()));
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    format!("| {name}{} | {} | {}.{env} |\n", cell(&value), cell(&default), cell(&help))
}

fn table(command: &Command, wanted: impl Fn(&Arg) -> bool) -> String {
    let shown = command.get_arguments().filter(|a| !a.is_hide_set() && a.get_long().is_some() && wanted(a));
    let shown = shown.filter(|a| !matches!(a.get_id().as_str(), "help" | "version"));
    let rows: String = shown.map(row).collect();
    format!("\n| Flag | Default | Meaning |\n|---|---|---|\n{rows}")
}

fn reference() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = HEAD.to_owned();
    for (name, title) in
        [("serve", "A node: `standfast serve`"), ("witness", "A witness: `standfast witness`")]
    {
        let command = cli.find_subcommand(name).expect("it is one");
        page += &format!("\n## {title}\n{}", table(command, |arg| !arg.is_global_set()));
    }
    page += "\n## Every command that asks nodes\n";
    page + &table(&cli, Arg::is_global_set)
}

#[test]
fn the_configuration_page_is_what_the_flags_say() {
    if std::env::var_os("STANDFAST_BLESS").is_some() {
        std::fs::write(PAGE, reference()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(PAGE).expect("docs/configuration.md");
    assert_eq!(page, reference(), "docs/configuration.md has drifted: see its first lines");
}
