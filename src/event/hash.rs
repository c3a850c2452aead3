//! Names for persons and sessions that a log may hold.

use std::fmt::Write as _;

use base::seal::{Keyring, Sealer};
use uuid::Uuid;

/// Turns ids into keyed hashes of 12 hexadecimal digits: the same id always reads the same, and without the key
/// nobody can tell which id it was. A new first key in `BFF_SESSION_KEYS` gives new hashes.
#[derive(Debug, Clone)]
pub struct LogHash(Sealer);

impl LogHash {
    /// Hashes with the first key of `sealer`, which should have the purpose `log`; see [`from_ring`](Self::from_ring).
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }

    /// The hashes of a deployment, as `log-id` and every log line show them.
    pub fn from_ring(ring: &Keyring) -> Self {
        Self(ring.purpose("log"))
    }

    /// The name of a user.
    pub fn user(&self, id: Uuid) -> String {
        self.digits(b"user", id)
    }

    /// The name of a session, from GoTrue's `session_id`.
    pub fn session(&self, id: Uuid) -> String {
        self.digits(b"session", id)
    }

    fn digits(&self, kind: &[u8], id: Uuid) -> String {
        let mac = self.0.mac(&[kind, id.as_bytes()]);
        mac[..6].iter().fold(String::with_capacity(12), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use base::entropy::{Entropy, SeededEntropy};
    use base::seal::{KeyId, MasterKey};

    use super::*;

    fn hashes(seed: u64) -> LogHash {
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SeededEntropy::new(seed));
        LogHash::from_ring(&Keyring::new(&[key]).unwrap())
    }

    /// S-88: stable for a deployment, different for kinds and keys, and nothing of the id is in it.
    #[test]
    fn a_hash_names_an_id_without_showing_it() {
        let entropy: &dyn Entropy = &SeededEntropy::new(9);
        let id = entropy.uuid();
        let hash = hashes(1);
        assert_eq!(hash.user(id), hash.user(id));
        assert_ne!(hash.user(id), hash.session(id));
        assert_ne!(hash.user(id), hashes(2).user(id));
        assert!(hash.user(id).len() == 12 && hash.user(id).bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
