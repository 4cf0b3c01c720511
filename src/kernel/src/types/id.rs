//! Identifiers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{BadValue, limits};

/// Two unsigned 64-bit integers, as Mooncake's clients make them. Text form is
/// `<first>-<second>` in decimal; (0, 0) means nil (SEMANTICS 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid {
    /// The first half.
    pub first: u64,
    /// The second half.
    pub second: u64,
}

impl Uuid {
    /// True for (0, 0).
    #[must_use]
    pub fn is_nil(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.second)
    }
}

impl FromStr for Uuid {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Self, BadValue> {
        let parsed = s.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (first, second) = parsed.ok_or_else(|| BadValue {
            what: "uuid",
            value: s.chars().take(80).collect(),
            expected: "two decimal 64-bit integers joined by `-`",
        })?;
        Ok(Self { first, second })
    }
}

/// A process that speaks to the master: it may lend segments, read, write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub Uuid);

/// The identifier that a lender gave its segment. It can be mounted again
/// later; what names one mount is the [`MountUid`](super::MountUid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentId(pub Uuid);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 128 random bits that name one copy of the state in one process. New at each
/// process start, and each time a node discards its state (PROTOCOL 1, I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId(pub u128);

impl CopyId {
    /// The id of the copy that follows when this one is discarded: as good as
    /// random, because this one is.
    #[must_use]
    pub fn successor(self) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128_with_seed(&self.0.to_le_bytes(), 0x5f))
    }
}

impl fmt::Display for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Handle of one incoming replication connection, given by the shell. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadValue;

            fn from_str(s: &str) -> Result<Self, BadValue> {
                let ok = !s.is_empty()
                    && s.len() <= $max
                    && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
                if ok {
                    return Ok(Self(s.into()));
                }
                Err(BadValue {
                    what: $what,
                    value: s.chars().take(80).collect(),
                    expected: "1 to 128 characters out of A-Z a-z 0-9 _ . -",
                })
            }
        }
    };
}

name_type!(
    /// Name of a node, unique in its cluster. For people; rights and
    /// acknowledgements count per [`CopyId`] (PROTOCOL G6).
    NodeId, "node name", limits::NAME_BYTES_MAX
);
name_type!(
    /// Name of the cluster (SEMANTICS 1.1).
    ClusterId, "cluster id", limits::NAME_BYTES_MAX
);
