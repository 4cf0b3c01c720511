//! The keys: one table that drives dispatch, the footer, the help and docs/console.md.

use crate::deed::{Deed, Fault};
use crate::msg::Key;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    Close,
    Help,
    View(char),
    NextView,
    PreviousView,
    Filter,
    Command,
    Pause,
    Older,
    Newer,
    Slower,
    Faster,
    Range,
    Theme,
    Ascii,
    SaveText,
    SaveJson,
    Copy,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Deed(Deed),
    SpeedDown,
    SpeedUp,
    PreviousMark,
    NextMark,
}

/// When a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// With `--allow-actions`.
    Acting,
    /// In front of a cluster that may be damaged: in `standfast demo`.
    Lab,
    /// With `--replay`.
    Replay,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    /// How the keys are written.
    pub(crate) shown: &'static str,
    pub(crate) action: Action,
    pub(crate) when: When,
    /// For the footer; empty = not there.
    pub(crate) short: &'static str,
    pub(crate) help: &'static str,
}

const fn bind(
    keys: &'static [Key],
    shown: &'static str,
    action: Action,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, shown, action, when: When::Always, short, help }
}

const fn only(when: When, binding: Binding) -> Binding {
    Binding { when, ..binding }
}

const fn deed(
    keys: &'static [Key],
    shown: &'static str,
    deed: Deed,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, shown, action: Action::Deed(deed), when: When::Acting, short, help }
}

/// The table, in the order of the footer. The digits of the views are added from the table of views.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(&[Key::Char('?')], "?", Action::Help, "help", "What every key does"),
    bind(&[Key::Char('q')], "q", Action::Quit, "quit", "Ends the console; closes what is open first"),
    bind(&[Key::Tab], "Tab", Action::NextView, "view", "The next view"),
    deed(
        &[Key::Char('K')],
        "K",
        Deed::Drill(Fault::Kill),
        "kill",
        "A drill: kills the primary and measures the outage",
    ),
    deed(&[Key::Char('W')], "W", Deed::Switchover, "switch", "The primary hands over, nothing is lost"),
    deed(&[Key::Char('F')], "F", Deed::Failover, "failover", "Promotes a standby when the primary is gone"),
    only(
        When::Lab,
        deed(&[Key::Char('C')], "C", Deed::Corrupt, "corrupt", "Flips a bit in a standby's memory"),
    ),
    deed(&[Key::Char('R')], "R", Deed::Repair, "repair", "Overwrites what differs on a standby"),
    deed(&[Key::Char('D')], "D", Deed::Detach, "", "Takes a standby out of the in-sync set"),
    only(
        When::Replay,
        bind(&[Key::Char('}')], "}", Action::NextMark, "next failover", "Seeks to the next failover"),
    ),
    bind(
        &[Key::Char(' ')],
        "Space",
        Action::Pause,
        "pause",
        "Holds the screen, or lets it go; data keep flowing",
    ),
    bind(&[Key::Char('/')], "/", Action::Filter, "filter", "Shows rows that match; ! in front: that do not"),
    bind(&[Key::Char(':')], ":", Action::Command, "command", "Types a command"),
    bind(&[Key::Char('[')], "[", Action::Older, "back", "Back in time; in a replay by 10 s"),
    bind(&[Key::Char(']')], "]", Action::Newer, "forward", "Forward in time, at last to the present"),
    bind(&[Key::Char('s')], "s", Action::SaveText, "save", "Writes the screen to a text file"),
    bind(&[Key::Char('S')], "S", Action::SaveJson, "", "Writes the state to a file, as one line of JSON"),
    deed(&[Key::Char('P')], "P", Deed::Pause, "", "Pauses automatic failover for an hour, or ends the pause"),
    bind(&[Key::Char('y')], "y", Action::Copy, "", "Copies the screen to the terminal's clipboard"),
    bind(&[Key::Char('+'), Key::Char('=')], "+", Action::Faster, "", "Asks the nodes twice as often"),
    bind(&[Key::Char('-')], "-", Action::Slower, "", "Asks the nodes half as often"),
    bind(&[Key::Char('z')], "z", Action::Range, "", "The next time range of the graphs"),
    bind(&[Key::Char('t')], "t", Action::Theme, "", "The next theme"),
    bind(&[Key::Char('a')], "a", Action::Ascii, "", "Plain characters, or those of Unicode"),
    bind(&[Key::BackTab], "Shift-Tab", Action::PreviousView, "", "The view before"),
    bind(&[Key::Up, Key::Char('k')], "Up k", Action::Up, "", "One row up"),
    bind(&[Key::Down, Key::Char('j')], "Down j", Action::Down, "", "One row down"),
    bind(&[Key::PageUp], "PgUp", Action::PageUp, "", "A screen up"),
    bind(&[Key::PageDown], "PgDn", Action::PageDown, "", "A screen down"),
    bind(&[Key::Home, Key::Char('g')], "Home g", Action::Top, "", "The first row"),
    bind(&[Key::End, Key::Char('G')], "End G", Action::Bottom, "", "The last row"),
    bind(
        &[Key::Esc],
        "Esc",
        Action::Close,
        "",
        "Closes what is open, drops the filter, returns to the present",
    ),
    only(
        When::Replay,
        bind(&[Key::Char('{')], "{", Action::PreviousMark, "", "Seeks to the failover before"),
    ),
    only(When::Replay, bind(&[Key::Char('<')], "<", Action::SpeedDown, "", "Replays at half the speed")),
    only(When::Replay, bind(&[Key::Char('>')], ">", Action::SpeedUp, "", "Replays at twice the speed")),
];

/// What `key` does where only rows that `holds` are in force.
pub(crate) fn find(key: Key, holds: impl Fn(When) -> bool) -> Option<Action> {
    if let Key::Char(digit @ '1'..='9') = key {
        return Some(Action::View(digit));
    }
    if key == Key::Ctrl('c') {
        return Some(Action::Quit);
    }
    BINDINGS.iter().find(|b| holds(b.when) && b.keys.contains(&key)).map(|b| b.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_and_each_row_is_reached() {
        let mut seen: Vec<Key> = Vec::new();
        for binding in BINDINGS {
            for key in binding.keys {
                assert!(!seen.contains(key), "{key:?} twice");
                assert!(!matches!(key, Key::Char('1'..='9')), "digits are the views'");
                seen.push(*key);
                assert_eq!(find(*key, |_| true), Some(binding.action));
            }
            assert!(!binding.help.is_empty() && binding.help.len() <= 62, "{}", binding.help);
        }
    }

    #[test]
    fn a_read_only_console_has_no_key_that_acts() {
        let read_only = |when| matches!(when, When::Always | When::Replay);
        for key in ['K', 'W', 'F', 'R', 'D', 'P'] {
            assert_eq!(find(Key::Char(key), read_only), None);
        }
        assert_eq!(find(Key::Char(' '), read_only), Some(Action::Pause));
    }
}
