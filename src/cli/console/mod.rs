//! `standfast console`: flags and the terminal's habits; the console itself is the crate `standfast-tui`.

pub(super) mod drills;
mod habits;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use standfast_tui::{
    Environment, Health, Look, Options, RATES, RECORD_BYTES_MAX, RunError, Runbooks, Setup, Theme, health,
    json_line, screen_text,
};

use super::ClientArgs;
use super::exit::{Exit, Failure};
use super::operate::actor;
use super::text;
use crate::monitoring::runbook;
use habits::Habits;

const AFTER_HELP: &str = "\
Examples:
  standfast console --connect 10.0.0.1:50052
  standfast console --allow-actions     W hands over, F fails over, R repairs
  standfast console --record night.rec --headless
  standfast console --replay night.rec  [ ] seek, } next failover, < > speed
  standfast console --once --json       the same answers for a script

Nothing is changed without --allow-actions and the cluster's name typed.
`?` shows all keys; NO_COLOR is obeyed. With --once: exit code 1 when anything
is wrong, 3 when no node answers.";

/// Flags of `standfast console`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ConsoleArgs {
    /// Let the operator act: switch over, fail over, drill, repair; asks for the
    /// cluster's name each time
    #[arg(long)]
    allow_actions: bool,
    /// Look once, print it and end
    #[arg(long)]
    once: bool,
    /// Keep what arrives in a file
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Size of the recording at most; then its older half goes
    #[arg(long, value_name = "MIB", default_value_t = RECORD_BYTES_MAX >> 20, requires = "record",
        value_parser = clap::value_parser!(u64).range(1..=1024))]
    record_limit: u64,
    /// Record without a screen until asked to stop
    #[arg(long, requires = "record", conflicts_with = "once")]
    headless: bool,
    /// Show a recording instead of nodes
    #[arg(long, value_name = "FILE", conflicts_with = "allow_actions")]
    replay: Option<PathBuf>,
    /// Milliseconds between updates
    #[arg(long, value_name = "MS", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(*RATES.start()..=*RATES.end()))]
    rate: u64,
    /// Colours; without one NO_COLOR decides
    #[arg(long, value_name = "THEME", value_parser = PossibleValuesParser::new(Theme::ALL.map(Theme::word)))]
    theme: Option<String>,
    /// Only characters that every terminal has; else the locale decides
    #[arg(long)]
    ascii: bool,
    /// Listen to the mouse; the terminal's own selection then needs Shift
    #[arg(long)]
    mouse: bool,
    /// Where the folder runbooks/ is published: names of pages become links, in
    /// terminals that have them
    #[arg(long, value_name = "URL", value_parser = habits::web_address)]
    runbooks: Option<String>,
    /// Keys and other habits [default: standfast/console.toml among the user's
    /// configuration, if it is there; also STANDFAST_CONSOLE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the cluster runs, shown in the header
    #[arg(long, value_name = "ENV", value_parser = PossibleValuesParser::new(Environment::WORDS))]
    environment: Option<String>,
}

/// Opens the console, or looks once.
pub(crate) async fn run(client: &ClientArgs, args: &ConsoleArgs) -> Result<Exit, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let habits = habits::read(args.config.as_deref(), &env)?;
    let options = options(client, args, habits, &env);
    if args.once {
        let model = standfast_tui::once(&options).await.map_err(|error| failure(&error))?;
        let shown = if client.json {
            text::print(&[json_line(&model).to_string()])
        } else {
            text::print(&screen_text(&model).lines().map(str::to_owned).collect::<Vec<_>>())
        };
        // Whoever closed stdout still gets the exit code.
        drop(shown);
        return Ok(match health(&model) {
            Health::Ok => Exit::Ok,
            Health::Degraded => Exit::Bad,
            Health::Unreachable => Exit::Unreachable,
        });
    }
    if client.json {
        return Err(Failure::new(Exit::Usage, "--json goes with --once: a screen is no JSON")
            .cure("standfast console --once --json"));
    }
    if args.headless {
        return standfast_tui::headless(&options).await.map(|()| Exit::Ok).map_err(|error| failure(&error));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(
            Failure::new(Exit::Usage, "the console needs a terminal").cure("standfast console --once")
        );
    }
    standfast_tui::run(&options).await.map(|()| Exit::Ok).map_err(|error| failure(&error))
}

fn failure(error: &RunError) -> Failure {
    let exit = match error {
        RunError::Terminal(_) => Exit::Bad,
        RunError::Record(..) | RunError::Replay(_) => Exit::Usage,
    };
    Failure::new(exit, error.to_string())
}

fn options(
    client: &ClientArgs,
    args: &ConsoleArgs,
    habits: Habits,
    env: &dyn Fn(&str) -> Option<String>,
) -> Options {
    let no_colour = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    // A flag, then NO_COLOR, then the file.
    let theme = args.theme.as_deref().or(habits.theme.as_deref().filter(|_| !no_colour));
    let ascii = args.ascii || habits.ascii == Some(true);
    let look = look(theme, ascii, args.environment.as_deref().or(habits.environment.as_deref()), env);
    let runbooks = args.runbooks.clone().or(habits.runbooks).filter(|_| habits::has_links(env));
    Options {
        setup: Setup {
            connect: client.connect.clone(),
            look,
            rate_ms: args.rate,
            allow_actions: args.allow_actions,
            lab: false,
            keys: habits.keys,
            mouse: args.mouse || habits.mouse == Some(true),
            runbooks,
        },
        runbooks: runbook_pages(),
        actor: actor(),
        drills: args.allow_actions.then(|| drills::by_process(client)),
        record: args.record.clone(),
        record_bytes_max: args.record_limit << 20,
        replay: args.replay.clone(),
    }
}

/// The pages that are compiled in.
pub(super) fn runbook_pages() -> Runbooks {
    Runbooks(|name| runbook::find(name).map(|page| page.text))
}

/// What the terminal can show, unless a flag says otherwise.
pub(super) fn look(
    theme: Option<&str>,
    ascii: bool,
    environment: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Look {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let theme = match (theme, set("NO_COLOR")) {
        (Some(word), _) => Theme::of_word(word).unwrap_or_default(),
        (None, Some(_)) => Theme::Mono,
        (None, None) => Theme::default(),
    };
    // The first that is set counts, as for every program.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
    let unicode = locale.contains("utf-8") || locale.contains("utf8");
    Look {
        theme,
        ascii: ascii || !unicode,
        environment: environment.and_then(Environment::of_word).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        console: ConsoleArgs,
    }

    fn look(flags: &[&str], set: &[(&str, &str)]) -> Look {
        let args = Alone::try_parse_from([&["console"], flags].concat()).expect("valid").console;
        let client = ClientArgs { connect: vec!["h:1".into()], json: false, ..ClientArgs::default() };
        let env = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        options(&client, &args, Habits { theme: Some("light".into()), ..Habits::default() }, &env).setup.look
    }

    #[test]
    fn the_terminals_habits_are_kept_unless_a_flag_says_otherwise() {
        let utf8 = ("LANG", "C.UTF-8");
        assert_eq!(look(&[], &[utf8]), Look { theme: Theme::Light, ascii: false, ..Look::default() });
        assert!(look(&[], &[]).ascii, "no locale, no Unicode");
        assert!(look(&[], &[("LC_ALL", "C"), utf8]).ascii, "LC_ALL comes before LANG");
        assert!(look(&["--ascii"], &[utf8]).ascii);
        assert_eq!(look(&[], &[("NO_COLOR", "1")]).theme, Theme::Mono);
        assert_eq!(look(&[], &[("NO_COLOR", "")]).theme, Theme::Light, "an empty one does not count");
        assert_eq!(look(&["--theme", "dark"], &[("NO_COLOR", "1")]).theme, Theme::Dark, "flags come first");
        assert_eq!(look(&["--environment", "production"], &[]).environment, Environment::Production);
    }

    #[test]
    fn each_page_that_a_finding_leads_to_exists() {
        for (code, page) in standfast_tui::PAGES {
            let text = (runbook_pages().0)(page).unwrap_or_default();
            assert!(text.starts_with(&format!("# {page}\n")), "{code} leads to `{page}`");
        }
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        for bad in [
            &["--record", "a", "--replay", "b"][..],
            &["--replay", "b", "--allow-actions"],
            &["--headless"],
            &["--rate", "5"],
            &["--theme", "pink"],
            &["--runbooks", "wiki"],
        ] {
            assert!(Alone::try_parse_from([&["console"], bad].concat()).is_err(), "{bad:?}");
        }
    }
}
