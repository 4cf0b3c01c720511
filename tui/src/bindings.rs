//! What keys do: one table that drives dispatch, the footer, the help and docs/console.md. Which key it is that does
//! it, an operator may say otherwise: see [`crate::keys`].

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
    Mouse,
    Open,
    SortNext,
    SortTurn,
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
    /// The name by which a configuration file gives it other keys.
    pub(crate) name: &'static str,
    /// Its keys unless the operator has others.
    pub(crate) keys: &'static [Key],
    pub(crate) action: Action,
    pub(crate) when: When,
    /// For the footer; empty = not there.
    pub(crate) short: &'static str,
    pub(crate) help: &'static str,
}

const fn bind(
    name: &'static str,
    keys: &'static [Key],
    action: Action,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { name, keys, action, when: When::Always, short, help }
}

const fn only(when: When, binding: Binding) -> Binding {
    Binding { when, ..binding }
}

const fn deed(
    name: &'static str,
    keys: &'static [Key],
    deed: Deed,
    short: &'static str,
    help: &'static str,
) -> Binding {
    only(When::Acting, bind(name, keys, Action::Deed(deed), short, help))
}

/// The table, in the order of the footer. The digits are the views'.
pub(crate) const BINDINGS: &[Binding] = &[
    bind("help", &[Key::Char('?')], Action::Help, "help", "What every key does"),
    bind("quit", &[Key::Char('q')], Action::Quit, "quit", "Ends the console; closes what is open first"),
    bind("next_view", &[Key::Tab], Action::NextView, "view", "The next view"),
    deed(
        "kill",
        &[Key::Char('K')],
        Deed::Drill(Fault::Kill),
        "kill",
        "A drill: kills the primary and measures the outage",
    ),
    deed(
        "switchover",
        &[Key::Char('W')],
        Deed::Switchover,
        "switch",
        "The primary hands over, nothing is lost",
    ),
    deed(
        "failover",
        &[Key::Char('F')],
        Deed::Failover,
        "failover",
        "Promotes a standby when the primary is gone",
    ),
    only(
        When::Lab,
        deed("corrupt", &[Key::Char('C')], Deed::Corrupt, "corrupt", "Flips a bit in a standby's memory"),
    ),
    deed("repair", &[Key::Char('R')], Deed::Repair, "repair", "Overwrites what differs on a standby"),
    deed("detach", &[Key::Char('D')], Deed::Detach, "", "Takes a standby out of the in-sync set"),
    only(
        When::Replay,
        bind(
            "next_failover",
            &[Key::Char('}')],
            Action::NextMark,
            "next failover",
            "Seeks to the next failover",
        ),
    ),
    bind(
        "pause",
        &[Key::Char(' ')],
        Action::Pause,
        "pause",
        "Holds the screen, or lets it go; data keep flowing",
    ),
    bind(
        "filter",
        &[Key::Char('/')],
        Action::Filter,
        "filter",
        "Shows rows that match; ! in front: that do not",
    ),
    bind("command", &[Key::Char(':')], Action::Command, "command", "Types a command"),
    bind("older", &[Key::Char('[')], Action::Older, "back", "Back in time; in a replay by 10 s"),
    bind("newer", &[Key::Char(']')], Action::Newer, "forward", "Forward in time, at last to the present"),
    bind(
        "open",
        &[Key::Enter, Key::Char('o')],
        Action::Open,
        "open",
        "Opens what is selected: a runbook, a write's stages, a pipeline",
    ),
    bind("sort", &[Key::Char('c')], Action::SortNext, "sort", "Sorts by the next column, at last by none"),
    bind("reverse", &[Key::Char('r')], Action::SortTurn, "", "Turns the order of the sorted column round"),
    bind("save", &[Key::Char('s')], Action::SaveText, "save", "Writes the screen to a text file"),
    bind(
        "save_json",
        &[Key::Char('S')],
        Action::SaveJson,
        "",
        "Writes the state to a file, as one line of JSON",
    ),
    deed(
        "pause_failover",
        &[Key::Char('P')],
        Deed::Pause,
        "",
        "Pauses automatic failover for an hour, or ends the pause",
    ),
    bind("copy", &[Key::Char('y')], Action::Copy, "", "Copies the screen to the terminal's clipboard"),
    bind("faster", &[Key::Char('+'), Key::Char('=')], Action::Faster, "", "Asks the nodes twice as often"),
    bind("slower", &[Key::Char('-')], Action::Slower, "", "Asks the nodes half as often"),
    bind("range", &[Key::Char('z')], Action::Range, "", "The next time range of the graphs"),
    bind("theme", &[Key::Char('t')], Action::Theme, "", "The next theme"),
    bind("ascii", &[Key::Char('a')], Action::Ascii, "", "Plain characters, or those of Unicode"),
    bind("mouse", &[Key::Char('m')], Action::Mouse, "", "Listens to the mouse, or leaves it to the terminal"),
    bind("previous_view", &[Key::BackTab], Action::PreviousView, "", "The view before"),
    bind(
        "up",
        &[Key::Up, Key::Char('k')],
        Action::Up,
        "",
        "The row above; where none can be selected, scrolls",
    ),
    bind(
        "down",
        &[Key::Down, Key::Char('j')],
        Action::Down,
        "",
        "The row below; where none can be selected, scrolls",
    ),
    bind("page_up", &[Key::PageUp], Action::PageUp, "", "A screen up"),
    bind("page_down", &[Key::PageDown], Action::PageDown, "", "A screen down"),
    bind("top", &[Key::Home, Key::Char('g')], Action::Top, "", "The first row"),
    bind("bottom", &[Key::End, Key::Char('G')], Action::Bottom, "", "The last row"),
    bind(
        "close",
        &[Key::Esc],
        Action::Close,
        "",
        "Closes what is open, drops the filter, returns to the present",
    ),
    only(
        When::Replay,
        bind(
            "previous_failover",
            &[Key::Char('{')],
            Action::PreviousMark,
            "",
            "Seeks to the failover before",
        ),
    ),
    only(
        When::Replay,
        bind("speed_down", &[Key::Char('<')], Action::SpeedDown, "", "Replays at half the speed"),
    ),
    only(
        When::Replay,
        bind("speed_up", &[Key::Char('>')], Action::SpeedUp, "", "Replays at twice the speed"),
    ),
];
