//! Randomness comes from here: the system's in production, a fixed sequence where a test wants to see the same twice.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// A source of unpredictable bytes.
pub trait Entropy: Debug + Send + Sync {
    /// Fills `bytes` to the last one.
    fn fill(&self, bytes: &mut [u8]);
}

/// A source that several parts hold.
pub type SharedEntropy = Arc<dyn Entropy>;

impl dyn Entropy + '_ {
    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// `N` fresh bytes as base64url without padding: 16 bytes make 22 characters, 32 make 43.
    pub fn text<const N: usize>(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }

    /// A random UUID (RFC 9562, version 4).
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes::<16>()).into_uuid()
    }
}

/// The system's cryptographic generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        // The generator fails only where the kernel has none at all; nothing safe can follow.
        aws_lc_rs::rand::fill(bytes).expect("the system has a source of randomness");
    }
}

/// The same sequence at every run, for tests. Never unpredictable: not for anything that leaves the process.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = [self.seed.to_be_bytes(), count.to_be_bytes()].concat();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &block);
            chunk.copy_from_slice(&digest.as_ref()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_sequence_and_no_value_twice() {
        let (a, b): (&dyn Entropy, &dyn Entropy) = (&SeededEntropy::new(7), &SeededEntropy::new(7));
        let first = a.text::<32>();
        assert_eq!(first, b.text::<32>());
        assert_eq!(first.len(), 43);
        assert_ne!(first, a.text::<32>());
    }

    #[test]
    fn uuids_are_version_4() {
        let source: &dyn Entropy = &SystemEntropy;
        assert_eq!(source.uuid().get_version_num(), 4);
    }
}
