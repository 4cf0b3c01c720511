//! Durations as people type and read them.

use std::time::Duration;

/// Reads `500ms`, `12s`, `2m` or `1h`; a fraction is allowed (`1.5s`).
///
/// # Errors
/// A sentence that names the text and what was expected.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let bad =
        || format!("`{text}` is not a duration: expected a number with a unit, as in 500ms, 12s, 2m or 1h");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(split);
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3_600e3,
        _ => return Err(bad()),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bad());
    }
    let number: f64 = number.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(number * unit_ms / 1e3).map_err(|_| bad())
}

/// A short text of at most seven characters: `12 ms`, `3.4 s`, `5 min`, `7 h`.
pub(crate) fn short(duration: Duration) -> String {
    let (ms, secs) = (duration.as_micros() as f64 / 1e3, duration.as_secs());
    match secs {
        0 if ms < 9.95 => format!("{ms:.1} ms"),
        0 => format!("{} ms", duration.as_millis()),
        1..100 => format!("{:.1} s", ms / 1e3),
        100..6000 => format!("{} min", secs / 60),
        6000..360_000 => format!("{} h", secs / 3600),
        360_000..86_400_000 => format!("{} d", secs / 86_400),
        _ => "> 999 d".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        for (text, ms) in
            [("500ms", 500), ("12s", 12_000), ("2m", 120_000), ("2h", 7_200_000), ("1.5s", 1500), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn bad_text_is_named() {
        for text in ["", "12", "s", "-1s", "1d", "1 s", "1e3s", "1.2.3s", "NaNs", "infs", "1e400s"] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a duration")), "{error}");
        }
        assert!(parse(&format!("{}m", "9".repeat(400))).is_err());
    }

    #[test]
    fn short_is_short() {
        for (ms, text) in [
            (0, "0.0 ms"),
            (7, "7.0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (99_900, "99.9 s"),
            (100_000, "1 min"),
            (7_200_000, "2 h"),
            (864_000_000, "10 d"),
            (u64::MAX, "> 999 d"),
        ] {
            let shown = short(Duration::from_millis(ms));
            assert_eq!(shown, text);
            assert!(shown.len() <= 7);
        }
    }
}
