//! The operator's own habits: what flags say, else the configuration file of the console, else the terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use standfast_tui::{Environment, Keys, Theme};

use super::super::exit::{Exit, Failure};

/// Names a configuration file when no flag does.
pub(super) const FILE_VARIABLE: &str = "STANDFAST_CONSOLE_CONFIG";

/// The file, as written. Absent = flags and terminal decide.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    theme: Option<String>,
    ascii: Option<bool>,
    environment: Option<String>,
    mouse: Option<bool>,
    runbooks: Option<String>,
    keys: BTreeMap<String, Pressed>,
}

/// Keys of one action; none of them takes it off the keyboard.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a key like \"K\", or a list of keys")]
enum Pressed {
    One(String),
    Any(Vec<String>),
}

/// What the file says, checked.
#[derive(Debug, Default)]
pub(super) struct Habits {
    pub(super) theme: Option<String>,
    pub(super) ascii: Option<bool>,
    pub(super) environment: Option<String>,
    pub(super) mouse: Option<bool>,
    pub(super) runbooks: Option<String>,
    pub(super) keys: Keys,
}

/// Reads the file that was named, or the one in its usual place if there is one.
///
/// # Errors
/// Usage: all that is wrong with it, or that it cannot be read.
pub(super) fn read(named: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Habits, Failure> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = named.map(Path::to_path_buf).or_else(|| set(FILE_VARIABLE).map(PathBuf::from));
    let usual = || {
        let home = set("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = home.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
        Some(home.join("standfast/console.toml")).filter(|path| path.is_file())
    };
    let Some(path) = named.or_else(usual) else { return Ok(Habits::default()) };
    let wrong = |why: String| {
        Failure::new(Exit::Usage, format!("{}: {why}", path.display()))
            .cure("standfast console --config /dev/null: without the file")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    parse(&text).map_err(wrong)
}

/// # Errors
/// All that is wrong with it.
fn parse(text: &str) -> Result<Habits, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut wrong = Vec::new();
    let mut among = |field: &str, value: &Option<String>, words: &[&str]| {
        if let Some(word) = value.as_deref().filter(|word| !words.contains(word)) {
            wrong.push(format!("{field}: `{word}` is none: expected one of {}", words.join(" ")));
        }
    };
    among("theme", &file.theme, &Theme::ALL.map(Theme::word));
    among("environment", &file.environment, &Environment::WORDS);
    wrong.extend(
        file.runbooks.as_deref().and_then(|url| web_address(url).err()).map(|why| format!("runbooks: {why}")),
    );
    let wanted: Vec<(String, Vec<String>)> = file
        .keys
        .into_iter()
        .map(|(name, pressed)| match pressed {
            Pressed::One(key) => (name, vec![key]),
            Pressed::Any(keys) => (name, keys),
        })
        .collect();
    let keys = Keys::with(wanted.iter().map(|(name, keys)| (name.as_str(), keys.as_slice())));
    let keys = keys.unwrap_or_else(|why| {
        wrong.extend(why.into_iter().map(|why| format!("keys: {why}")));
        Keys::default()
    });
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let File { theme, ascii, environment, mouse, runbooks, .. } = file;
    Ok(Habits { theme, ascii, environment, mouse, runbooks, keys })
}

/// Checks where links may lead: they are written to the terminal as they are.
///
/// # Errors
/// When it is no such address.
pub(super) fn web_address(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()) {
        Ok(url.to_owned())
    } else {
        Err(format!("`{}` is no address: expected https://HOST/PATH", url.escape_default()))
    }
}

/// Whether the terminal shows links (OSC 8), as far as its variables tell; one that does not would show rubbish.
pub(super) fn has_links(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let term = set("TERM").unwrap_or_default();
    if set("NO_COLOR").is_some() || term.is_empty() || term == "dumb" {
        return false;
    }
    if let Some(forced) = set("FORCE_HYPERLINK") {
        return forced != "0";
    }
    // A multiplexer hides which terminal is behind it.
    if term.starts_with("screen") || term.starts_with("tmux") || set("TMUX").is_some() {
        return false;
    }
    let program = set("TERM_PROGRAM").unwrap_or_default();
    let known = ["xterm-kitty", "xterm-ghostty", "alacritty", "wezterm", "foot", "contour"];
    let vte = set("VTE_VERSION").and_then(|version| version.parse::<u32>().ok());
    known.iter().any(|name| term.starts_with(name))
        || ["iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper"].contains(&&*program)
        || vte.is_some_and(|version| version >= 5000)
        || ["WT_SESSION", "KONSOLE_VERSION", "DOMTERM"].iter().any(|name| set(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_habits_and_keys() {
        let text = "theme = \"light\"\nmouse = false\nrunbooks = \"https://wiki/runbooks\"\n\
                    [keys]\nhelp = \"h\"\npause = [\"p\", \"Space\"]\nsave = []\n";
        let habits = parse(text).expect("valid");
        assert_eq!((habits.theme.as_deref(), habits.mouse, habits.ascii), (Some("light"), Some(false), None));
        assert_ne!(habits.keys, Keys::default());
        assert_eq!(parse("").expect("an empty file says nothing").keys, Keys::default());
    }

    #[test]
    fn the_file_in_the_manual_is_valid() {
        let page = include_str!("../../../docs/console.md");
        let (_, rest) = page.split_once("```toml\n").expect("an example");
        let habits = parse(rest.split("```").next().unwrap_or_default()).expect("valid");
        assert_eq!((habits.theme.as_deref(), habits.mouse), (Some("colour-blind"), Some(true)));
        assert_ne!(habits.keys, Keys::default());
    }

    #[test]
    fn all_that_is_wrong_is_named_with_what_was_expected() {
        let text =
            "theme = \"pink\"\nrunbooks = \"wiki\"\n[keys]\nhelp = \"F13\"\nkil = \"x\"\nsave = \"q\"\n";
        let why = parse(text).expect_err("five times");
        for part in [
            "theme: `pink` is none: expected one of dark light",
            "runbooks: `wiki` is no address: expected https://HOST/PATH",
            "keys: help: `F13` is no key: expected a character",
            "keys: `kil` is nothing that a key does: expected one of help",
            "keys: `q` would do both quit and save: expected each key once",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        let why = parse("mice = true\n").expect_err("no such field");
        assert!(why.contains("unknown field `mice`, expected one of `theme`"), "{why}");
        let why = parse("[keys]\nhelp = 3\n").expect_err("no key");
        assert!(why.contains("expected a key like \"K\", or a list of keys"), "{why}");
    }

    #[test]
    fn a_file_that_is_named_must_be_there_and_the_usual_one_need_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("text").to_owned();
        let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| home.clone());
        assert!(read(None, &env).expect("no file").theme.is_none());
        let failure = read(Some(&folder.path().join("none.toml")), &env).expect_err("named");
        assert_eq!(failure.exit, Exit::Usage, "{failure}");
        std::fs::create_dir(folder.path().join("standfast")).expect("made");
        std::fs::write(folder.path().join("standfast/console.toml"), "theme = \"mono\"\n").expect("written");
        assert_eq!(read(None, &env).expect("valid").theme.as_deref(), Some("mono"));
    }

    #[test]
    fn links_are_made_only_where_the_terminal_is_known_to_have_them() {
        let has = |set: &[(&str, &str)]| {
            has_links(&|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(
            has(&[("TERM", "xterm-kitty")]) && has(&[("TERM", "xterm-256color"), ("VTE_VERSION", "7600")])
        );
        assert!(has(&[("TERM", "xterm"), ("FORCE_HYPERLINK", "1")]));
        for never in [
            &[][..],
            &[("TERM", "dumb"), ("FORCE_HYPERLINK", "1")],
            &[("TERM", "xterm-kitty"), ("NO_COLOR", "1")],
            &[("TERM", "xterm-256color")],
            &[("TERM", "tmux-256color"), ("VTE_VERSION", "7600")],
            &[("TERM", "xterm"), ("VTE_VERSION", "4600")],
            &[("TERM", "xterm-kitty"), ("FORCE_HYPERLINK", "0")],
        ] {
            assert!(!has(never), "{never:?}");
        }
    }
}
