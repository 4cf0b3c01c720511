//! Faults that an operator plants on purpose, to see that they are found.
//! Only where the node runs with `--enable-lab`.

use std::str::FromStr;

use crate::types::BadValue;

/// What goes wrong, now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The standby acknowledges an end of a write in a thousand without applying it.
    DropEntry,
    /// The standby's digest of one home changes once, without its state.
    FlipDigest,
    /// The primary acknowledges an end of a write in a thousand without logging it.
    LoseAck,
}

impl FromStr for Sabotage {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Self, BadValue> {
        match s {
            "drop-entry" => Ok(Self::DropEntry),
            "flip-digest" => Ok(Self::FlipDigest),
            "lose-ack" => Ok(Self::LoseAck),
            _ => Err(BadValue {
                what: "sabotage",
                value: s.chars().take(80).collect(),
                expected: "`drop-entry`, `flip-digest` or `lose-ack`",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_word_and_others_are_refused() {
        let words = [
            ("drop-entry", Sabotage::DropEntry),
            ("flip-digest", Sabotage::FlipDigest),
            ("lose-ack", Sabotage::LoseAck),
        ];
        assert!(words.iter().all(|(word, fault)| word.parse() == Ok(*fault)));
        let why = "rm".parse::<Sabotage>().expect_err("no such fault").to_string();
        assert!(why.contains("`rm`") && why.contains("`lose-ack`"), "{why}");
    }
}
