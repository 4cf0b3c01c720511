//! Randomness of the operating system.

use crate::ports::Entropy;

/// The thread's cryptographic generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn random(&self) -> u128 {
        rand::random()
    }
}
