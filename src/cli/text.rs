//! Text that fits a terminal, and values of which some are unknown.

use std::io::{self, Write};
use std::time::Duration;

use standfast_proto::v1::Role;

use super::duration;

/// Width that everything fits, whatever the terminal.
pub(crate) const COLUMNS: usize = 80;

/// How an unknown value is shown. Never as 0.
pub(crate) const UNKNOWN: &str = "?";

/// A number, or `?`.
pub(crate) fn number(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// A number in at most `width` characters; one that is longer loses its last digits to a unit.
pub(crate) fn narrow(value: Option<u64>, width: usize) -> String {
    let full = number(value);
    if full.len() <= width {
        return full;
    }
    let (mut rest, mut shown) = (value.unwrap_or_default(), full);
    for unit in ["k", "M", "G", "T", "P", "E"] {
        if shown.len() <= width {
            break;
        }
        rest /= 1000;
        shown = format!("{rest}{unit}");
    }
    shown
}

/// A duration of so many microseconds, or `?`.
pub(crate) fn micros(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |us| duration::short(Duration::from_micros(us)))
}

/// The word for a role, or `?`.
pub(crate) fn role(role: Role) -> &'static str {
    role.word().unwrap_or(UNKNOWN)
}

/// At most `width` characters; what is cut off is marked. Characters that a terminal would obey are shown as `?`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    if text.chars().count() <= width {
        return clean.collect();
    }
    let mut short: String = clean.take(width.saturating_sub(1)).collect();
    short.push('~');
    short
}

/// Breaks `text` at spaces into lines of at most [`COLUMNS`]; the second and later lines begin with `indent` spaces.
pub(crate) fn wrap(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let lead = text.len() - text.trim_start_matches(' ').len();
    let mut line = " ".repeat(lead);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let room = COLUMNS - indent;
        let word = cut(word, room);
        let space = usize::from(!is_empty);
        if !is_empty && line.chars().count() + space + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(&word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// Prints lines to stdout.
///
/// # Errors
/// When stdout is closed: its reader has seen enough.
pub(crate) fn print(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Prints lines to stderr. Nobody may read them; that changes nothing.
pub(crate) fn tell(lines: &[String]) {
    let mut out = io::stderr().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

/// Wall time as people and programs read it: UTC, to the millisecond.
pub(crate) fn rfc3339(unix_us: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(unix_us);
    at.map_or(UNKNOWN.to_owned(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_zero() {
        assert_eq!((number(None), number(Some(0))), ("?".to_owned(), "0".to_owned()));
        assert_eq!((micros(None), micros(Some(0))), ("?".to_owned(), "0.0 ms".to_owned()));
        assert_eq!(narrow(None, 10), "?");
    }

    #[test]
    fn narrow_numbers_keep_their_size() {
        assert_eq!(narrow(Some(1_234_567_890), 10), "1234567890");
        assert_eq!(narrow(Some(12_345_678_901), 10), "12345678k");
        assert_eq!(narrow(Some(u64::MAX), 5), "18E");
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        assert_eq!(cut("standby-17", 10), "standby-17");
        assert_eq!(cut("standby-17x", 10), "standby-1~");
        assert_eq!(cut("a\u{1b}[2J", 10), "a?[2J");
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "  - ".to_owned() + &"word ".repeat(60);
        let lines = wrap(&text, 4);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:?}");
        assert_eq!(lines.join(" ").split_whitespace().count(), 61);
        assert!(lines[0].starts_with("  - word") && lines[1].starts_with("    word"));
        assert_eq!(wrap(&"x".repeat(100), 2)[0].len(), 78);
    }
}
