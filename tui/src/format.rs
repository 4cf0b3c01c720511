//! Values as text. What is unknown is `?`, never 0.

/// How an unknown value is shown.
pub(crate) const UNKNOWN: &str = "?";

/// A number, or `?`.
pub(crate) fn number(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// Milliseconds as a short duration with its unit, or `?`.
pub(crate) fn millis(value: Option<u64>) -> String {
    micros(value.map(|ms| ms.saturating_mul(1000)))
}

/// Microseconds as a short duration with its unit, or `?`.
pub(crate) fn micros(value: Option<u64>) -> String {
    let Some(us) = value else { return UNKNOWN.to_owned() };
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        1_000_000..60_000_000 => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", us / 60_000_000, us / 1_000_000 % 60),
        3_600_000_000..86_400_000_000 => format!("{}h{:02}m", us / 3_600_000_000, us / 60_000_000 % 60),
        _ => format!("{}d{:02}h", us / 86_400_000_000, us / 3_600_000_000 % 24),
    }
}

/// Nanoseconds as a short duration that keeps microseconds, or `?`.
pub(crate) fn nanos(value: Option<u64>) -> String {
    match value {
        Some(ns @ 0..1_000_000) => format!("{} us", ns / 1000),
        value => micros(value.map(|ns| ns / 1000)),
    }
}

/// Microseconds as seconds with three digits, or `?`.
pub(crate) fn seconds(value: Option<u64>) -> String {
    value
        .map_or_else(|| UNKNOWN.to_owned(), |us| format!("{}.{:03} s", us / 1_000_000, us % 1_000_000 / 1000))
}

/// Bytes with a binary unit, or `?`.
pub(crate) fn bytes(value: Option<u64>) -> String {
    let Some(bytes) = value else { return UNKNOWN.to_owned() };
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut scaled = bytes as f64;
    let mut unit = "B";
    for next in units {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") }
}

/// What a text of this module says, for comparing it with another of its kind; `None` = it is no value.
pub(crate) fn magnitude(text: &str) -> Option<f64> {
    if text == "now" {
        return Some(0.0);
    }
    let mut rest = text.trim_start_matches(">= ").trim_start_matches("in ").trim_end_matches(" ago");
    // Of a lag, the entries.
    rest = rest.split(" / ").next().unwrap_or_default();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = match unit.trim_end() {
            "" | "B" | "%" | "us" => 1.0,
            "KiB" => 1024.0,
            "ms" => 1e3,
            "MiB" => 1024f64.powi(2),
            "GiB" => 1024f64.powi(3),
            "TiB" => 1024f64.powi(4),
            "PiB" => 1024f64.powi(5),
            "EiB" => 1024f64.powi(6),
            "s" => 1e6,
            "m" => 60e6,
            "h" => 3600e6,
            "d" => 86_400e6,
            _ => return None,
        };
        sum += digits.parse::<f64>().ok()? * factor;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

/// A rate or another figure that need not be exact.
pub(crate) fn figure(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(v) if v >= 10_000_000.0 => format!("{:.0}M", v / 1e6),
        Some(v) if v >= 10_000.0 => format!("{:.0}k", v / 1e3),
        Some(v) if v >= 10.0 || v == 0.0 => format!("{v:.0}"),
        Some(v) => format!("{v:.1}"),
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    ratatui::text::Line::raw(text).width()
}

/// At most `columns` wide; what is cut off is marked with `~`. Characters that a terminal would obey become `?`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if width(&clean) <= columns {
        return clean;
    }
    let mut short = String::new();
    for c in clean.chars() {
        if width(&short) + width(c.encode_utf8(&mut [0; 4])) + 1 > columns {
            break;
        }
        short.push(c);
    }
    if columns > 0 {
        short.push('~');
    }
    short
}

/// Breaks `text` at spaces into lines of at most `columns`; a longer word is cut.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word = cut(word, columns);
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_zero() {
        assert_eq!((number(None), number(Some(0))), ("?".to_owned(), "0".to_owned()));
        assert_eq!((seconds(None), seconds(Some(0))), ("?".to_owned(), "0.000 s".to_owned()));
        assert_eq!((bytes(None), bytes(Some(0))), ("?".to_owned(), "0 B".to_owned()));
        assert_eq!((figure(None), figure(Some(0.0))), ("?".to_owned(), "0".to_owned()));
    }

    #[test]
    fn durations_keep_two_figures_at_least() {
        for (us, want) in [
            (900, "0.9 ms"),
            (12_400, "12 ms"),
            (1_250_000, "1.2 s"),
            (61_000_000, "1m01s"),
            (3_720_000_000, "1h02m"),
            (90_000_000_000, "1d01h"),
        ] {
            assert_eq!(micros(Some(us)), want);
        }
        assert_eq!(
            (nanos(Some(900_000)), nanos(Some(1_250_000))),
            ("900 us".to_owned(), "1.2 ms".to_owned())
        );
        assert_eq!(nanos(None), "?");
        assert_eq!(bytes(Some(1536)), "1.5 KiB");
        assert_eq!(figure(Some(123_456.0)), "123k");
    }

    #[test]
    fn a_terminal_is_given_nothing_to_obey() {
        assert_eq!(cut("a\u{1b}[2J", 10), "a?[2J");
        assert_eq!(cut("standby-17", 6), "stand~");
        assert_eq!(cut("\u{4e16}\u{754c}", 3), "\u{4e16}~", "a wide character counts twice");
    }

    #[test]
    fn wrapping_loses_no_word() {
        let text = "word ".repeat(30);
        let lines = wrap(&text, 22);
        assert!(lines.iter().all(|line| width(line) <= 22), "{lines:?}");
        assert_eq!(lines.join(" ").split(' ').count(), 30);
        assert_eq!(wrap("", 10), [""]);
    }
}
