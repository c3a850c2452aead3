//! Hashing for keys that are spread evenly already: digests, and random bits.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes [`UniformHasher`]s.
pub type BuildUniform = BuildHasherDefault<UniformHasher>;

/// Takes the first eight bytes of a key as its hash.
///
/// Only for keys of which strangers cannot choose those bytes for what is stored: in a table of theirs all entries
/// could be made to fall together. Looking up what was not stored harms nobody.
#[derive(Debug, Default)]
pub struct UniformHasher(u64);

impl Hasher for UniformHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut word = [0; 8];
        let length = bytes.len().min(word.len());
        word[..length].copy_from_slice(&bytes[..length]);
        self.write_u64(u64::from_ne_bytes(word));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(29) ^ number;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn what_differs_early_hashes_apart() {
        let hash = |key: (u64, [u8; 32])| BuildUniform::default().hash_one(key);
        let mut key = [7; 32];
        let first = hash((1, key));
        assert_eq!(hash((1, key)), first);
        assert_ne!(hash((2, key)), first);
        key[7] = 8;
        assert_ne!(hash((1, key)), first);
    }
}
