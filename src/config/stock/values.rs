//! What the values of stock flags may look like.

/// Type of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    /// Milliseconds, or a number with `ms`, `s`, `m` or `h`.
    Duration,
    Text,
}

impl Kind {
    /// The value in one spelling: `true` or `false`, decimal numbers, milliseconds.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn read(self, text: &str) -> Result<String, &'static str> {
        match self {
            Self::Text => Some(text.to_owned()),
            Self::Bool => bool(text).map(|value| value.to_string()),
            Self::Int => integer(text).and_then(|n| i64::try_from(n).ok()).map(|n| n.to_string()),
            Self::Uint => integer(text).and_then(|n| u64::try_from(n).ok()).map(|n| n.to_string()),
            Self::Double => text.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| n.to_string()),
            Self::Duration => millis(text).map(|ms| ms.to_string()),
        }
        .ok_or(match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Uint => "a whole number that is not negative",
            Self::Double => "a number",
            Self::Duration => "milliseconds, or a number with ms, s, m or h",
            Self::Text => "a text",
        })
    }
}

/// In the spellings of gflags, and those of YAML.
fn bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number: u64 = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * i128::from(number))
}

fn millis(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_ms: u64 = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_comes_to_one() {
        for (kind, text, value) in [
            (Kind::Bool, "T", "true"),
            (Kind::Bool, "no", "false"),
            (Kind::Int, "-5", "-5"),
            (Kind::Int, "0x20", "32"),
            (Kind::Uint, "18446744073709551615", "18446744073709551615"),
            (Kind::Double, "0.90000000000000002", "0.9"),
            (Kind::Double, "1", "1"),
            (Kind::Duration, "5000", "5000"),
            (Kind::Duration, "5000ms", "5000"),
            (Kind::Duration, "30m", "1800000"),
            (Kind::Duration, "1h", "3600000"),
            (Kind::Text, "", ""),
        ] {
            assert_eq!(kind.read(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for (kind, text) in [
            (Kind::Bool, "maybe"),
            (Kind::Bool, ""),
            (Kind::Int, "x"),
            (Kind::Int, "9223372036854775808"),
            (Kind::Uint, "-1"),
            (Kind::Uint, "--1"),
            (Kind::Double, "nan"),
            (Kind::Duration, "5x"),
            (Kind::Duration, "s"),
            (Kind::Duration, "-5s"),
            (Kind::Duration, "18446744073709551615h"),
        ] {
            assert!(kind.read(text).is_err(), "{text}");
        }
    }
}
