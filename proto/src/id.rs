//! Identities as numbers and as text.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::v1::Uuid;

impl Uuid {
    /// Whether this is (0, 0), which names nothing.
    pub fn is_nil(&self) -> bool {
        self.first == 0 && self.second == 0
    }
}

impl From<u128> for Uuid {
    /// `first` is the high half.
    fn from(value: u128) -> Self {
        Self { first: (value >> 64) as u64, second: value as u64 }
    }
}

impl From<Uuid> for u128 {
    fn from(id: Uuid) -> Self {
        Self::from(id.first) << 64 | Self::from(id.second)
    }
}

/// Mooncake's text form: `first-second`, both in decimal.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.second)
    }
}

/// A text is not of the form `first-second` with two unsigned 64-bit decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseUuidError(String);

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an identity: expected two unsigned 64-bit decimals, as in `12-34`", self.0)
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let halves = || -> Result<Option<(u64, u64)>, ParseIntError> {
            let Some((first, second)) = text.split_once('-') else { return Ok(None) };
            Ok(Some((first.parse()?, second.parse()?)))
        };
        match halves() {
            Ok(Some((first, second))) => Ok(Self { first, second }),
            Ok(None) | Err(_) => Err(ParseUuidError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_back() {
        let id = Uuid::from(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!((id.first, id.second), (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210));
        assert_eq!(u128::from(id), 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
    }

    #[test]
    fn text_and_back() {
        let id = Uuid { first: u64::MAX, second: 7 };
        assert_eq!(id.to_string(), "18446744073709551615-7");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0-0".parse::<Uuid>().is_ok_and(|id| id.is_nil()));
        assert!(!id.is_nil());
    }

    #[test]
    fn bad_text_is_named() {
        for text in ["", "-", "1", "1-", "-1", "1-2-3", "a-1", "18446744073709551616-1"] {
            let error = text.parse::<Uuid>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is not an identity")), "{error}");
        }
    }
}
