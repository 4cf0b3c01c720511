//! Durations on the command line.

use std::time::Duration;

/// Reads `2h`, `10m`, `90s`, or seconds without a unit.
///
/// # Errors
/// A sentence that names the text and what was expected.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let bad =
        || format!("`{text}` is not a duration: expected a whole number with a unit, as in 2h, 10m or 90s");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    let all = number.checked_mul(seconds).filter(|all| *all > 0).ok_or_else(bad)?;
    Ok(Duration::from_secs(all))
}

#[test]
fn durations_have_a_unit_or_are_seconds() {
    for (text, seconds) in [("2h", 7200), ("10m", 600), ("90s", 90), ("45", 45)] {
        assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for bad in ["", "0", "1.5h", "h", "5d", "-3s", "99999999999999999999h", "99999999999999999h"] {
        assert!(parse(bad).is_err_and(|why| why.contains("expected")), "{bad}");
    }
}
