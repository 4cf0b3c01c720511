//! Which key does what: the table's keys, unless the operator has given an action others.

use std::fmt;
use std::str::FromStr;

use crate::bindings::{Action, BINDINGS, Binding, When};
use crate::msg::Key;

/// Keys with a name of more than one character.
const NAMES: [(&str, Key); 12] = [
    ("Space", Key::Char(' ')),
    ("Enter", Key::Enter),
    ("Esc", Key::Esc),
    ("Backspace", Key::Backspace),
    ("Tab", Key::Tab),
    ("Shift-Tab", Key::BackTab),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("PgUp", Key::PageUp),
    ("PgDn", Key::PageDown),
    ("Home", Key::Home),
    ("End", Key::End),
];
const EXPECTED: &str = "expected a character, Ctrl-x, or one of Space Enter Esc Backspace Tab Shift-Tab Up Down PgUp \
                        PgDn Home End";

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, key)| key == self), self) {
            (_, Self::Ctrl(c)) => write!(f, "Ctrl-{c}"),
            (Some((name, _)), _) => f.write_str(name),
            (None, Self::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let single = |text: &str| {
            let mut chars = text.chars();
            chars.next().filter(|c| chars.next().is_none() && !c.is_control())
        };
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, key)| *key);
        let ctrl = || text.strip_prefix("Ctrl-").and_then(single).map(|c| Self::Ctrl(c.to_ascii_lowercase()));
        let key = named.or_else(|| single(text).map(Self::Char)).or_else(ctrl);
        key.ok_or_else(|| format!("`{text}` is no key: {EXPECTED}"))
    }
}

/// The keys in force: of each row of the table of bindings, those that do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<Vec<Key>>);

impl Default for Keys {
    fn default() -> Self {
        Self(BINDINGS.iter().map(|binding| binding.keys.to_vec()).collect())
    }
}

impl Keys {
    /// The table's keys, but for these actions, by name, these keys instead.
    ///
    /// # Errors
    /// All that is wrong: a name or a key that does not exist, a key that would do two things or may not be taken.
    pub fn with<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Result<Self, Vec<String>> {
        let mut keys = Self::default();
        let mut wrong = Vec::new();
        for (name, words) in wanted {
            let Some(row) = BINDINGS.iter().position(|binding| binding.name == name) else {
                let names: Vec<&str> = BINDINGS.iter().map(|binding| binding.name).collect();
                wrong.push(format!(
                    "`{name}` is nothing that a key does: expected one of {}",
                    names.join(" ")
                ));
                continue;
            };
            keys.0[row].clear();
            for word in words {
                match word.parse().and_then(free) {
                    Ok(key) => keys.0[row].push(key),
                    Err(why) => wrong.push(format!("{name}: {why}")),
                }
            }
        }
        wrong.extend(keys.clashes());
        if wrong.is_empty() { Ok(keys) } else { Err(wrong) }
    }

    /// Keys that do two things.
    fn clashes(&self) -> Vec<String> {
        let all = || self.rows().flat_map(|(binding, keys)| keys.iter().map(move |key| (binding.name, key)));
        let clash = |(nr, (name, key)): (usize, (&str, &Key))| {
            let (first, _) = all().take(nr).find(|(_, other)| *other == key)?;
            Some(format!(
                "`{key}` would do both {first} and {name}: expected each key once; give {first} another"
            ))
        };
        all().enumerate().filter_map(clash).collect()
    }

    /// The table with the keys in force.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        BINDINGS.iter().zip(self.0.iter().map(Vec::as_slice))
    }

    /// What `key` does where only rows that `holds` are in force.
    pub(crate) fn find(&self, key: Key, holds: impl Fn(When) -> bool) -> Option<Action> {
        if let Key::Char(digit @ '1'..='9') = key {
            return Some(Action::View(digit));
        }
        self.rows().find(|(b, keys)| holds(b.when) && keys.contains(&key)).map(|(binding, _)| binding.action)
    }

    /// The key that does `action`, for sentences that name it.
    pub(crate) fn of(&self, action: Action) -> String {
        let keys = self.rows().find(|(binding, _)| binding.action == action).map(|(_, keys)| keys);
        keys.and_then(<[Key]>::first).map_or_else(|| "(no key)".to_owned(), Key::to_string)
    }
}

/// All keys of a row, as the help shows them.
pub(crate) fn shown(keys: &[Key]) -> String {
    if keys.is_empty() {
        return "(no key)".to_owned();
    }
    keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
}

/// Digits show views, and Ctrl-c must always end the console.
fn free(key: Key) -> Result<Key, String> {
    match key {
        Key::Char('1'..='9') => Err(format!("`{key}` shows a view: expected another key")),
        Key::Ctrl('c') => Err("`Ctrl-c` always ends the console: expected another key".to_owned()),
        key => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rebound(wanted: &[(&str, &[&str])]) -> Result<Keys, Vec<String>> {
        let wanted: Vec<(&str, Vec<String>)> = wanted
            .iter()
            .map(|(name, keys)| (*name, keys.iter().map(|key| (*key).to_owned()).collect()))
            .collect();
        Keys::with(wanted.iter().map(|(name, keys)| (*name, keys.as_slice())))
    }

    #[test]
    fn no_key_has_two_meanings_and_each_row_is_reached() {
        let keys = Keys::default();
        assert_eq!(keys.clashes(), Vec::<String>::new());
        for (nr, binding) in BINDINGS.iter().enumerate() {
            assert!(BINDINGS[..nr].iter().all(|other| other.name != binding.name), "{} twice", binding.name);
            for key in binding.keys {
                assert_eq!(free(*key), Ok(*key), "digits are the views'");
                assert_eq!(keys.find(*key, |_| true), Some(binding.action));
                assert_eq!(key.to_string().parse(), Ok(*key), "what is shown can be written");
            }
            assert!(!binding.help.is_empty() && binding.help.len() <= 64, "{}", binding.help);
        }
    }

    #[test]
    fn a_read_only_console_has_no_key_that_acts() {
        let read_only = |when| matches!(when, When::Always | When::Replay);
        for key in ['K', 'W', 'F', 'R', 'D', 'P'] {
            assert_eq!(Keys::default().find(Key::Char(key), read_only), None);
        }
        assert_eq!(Keys::default().find(Key::Char(' '), read_only), Some(Action::Pause));
    }

    #[test]
    fn an_action_takes_other_keys_and_leaves_its_own() {
        let keys =
            rebound(&[("pause", &["p", "Ctrl-P"]), ("help", &["Space"]), ("save", &[])]).expect("no clash");
        let does = |key| keys.find(key, |_| true);
        assert_eq!(does(Key::Char('p')), Some(Action::Pause));
        assert_eq!((does(Key::Ctrl('p')), does(Key::Char(' '))), (Some(Action::Pause), Some(Action::Help)));
        assert_eq!((does(Key::Char('?')), does(Key::Char('s'))), (None, None), "its old key does nothing");
        assert_eq!((keys.of(Action::Help), keys.of(Action::SaveText)), ("Space".into(), "(no key)".into()));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let wrong =
            rebound(&[("help", &["q"]), ("kil", &["x"]), ("top", &["PageUp", "3"]), ("up", &["Ctrl-c"])]);
        let wrong = wrong.expect_err("four times");
        assert_eq!(wrong.len(), 5, "{wrong:?}");
        assert!(
            wrong[0].starts_with("`kil` is nothing that a key does: expected one of help quit"),
            "{}",
            wrong[0]
        );
        assert!(
            wrong[1].starts_with("top: `PageUp` is no key: expected a character, Ctrl-x"),
            "{}",
            wrong[1]
        );
        assert_eq!(wrong[2], "top: `3` shows a view: expected another key");
        assert_eq!(wrong[3], "up: `Ctrl-c` always ends the console: expected another key");
        assert_eq!(wrong[4], "`q` would do both help and quit: expected each key once; give help another");
    }
}
