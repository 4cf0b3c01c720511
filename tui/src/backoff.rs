//! How long to wait before the next attempt to reach a node.

const FIRST_MS: u64 = 100;
/// A node that is back is seen within this time.
const MOST_MS: u64 = 2_000;

/// Milliseconds after so many failed attempts in a row: doubled each time, capped.
pub(crate) fn delay_ms(attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(16);
    (FIRST_MS << doublings).min(MOST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wait_is_short_and_none_is_longer_than_the_cap() {
        let waits: Vec<u64> = (1..=8).map(delay_ms).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(delay_ms(0), 100);
        assert_eq!(delay_ms(u32::MAX), 2000, "it neither overflows nor starts again");
    }
}
