//! What the cookie holds in store mode: where the record is, and the key that opens it (S-07).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base::entropy::Entropy;
use base::seal::{KeyId, MasterKey, Sealer};
use base::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::store::Key;

/// Begins the cookie of this mode; a sealed session begins with `1.`.
const VERSION: &str = "2";

/// A session id and the key of its record, 256 random bits each. The store learns the hash of the id alone.
#[derive(Clone)]
pub(super) struct Ticket {
    id: Secret<[u8; 32]>,
    record: Secret<[u8; 32]>,
    key: Key,
}

impl Ticket {
    /// One that nobody has.
    pub(super) fn fresh(entropy: &dyn Entropy) -> Self {
        Self::of(Secret::new(entropy.bytes()), Secret::new(entropy.bytes()))
    }

    /// Reads `2.<id>.<record key>`; every ticket has one form alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, record) = text.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
        Some(Self::of(bytes(id)?, bytes(record)?))
    }

    fn of(id: Secret<[u8; 32]>, record: Secret<[u8; 32]>) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, id.expose()).as_ref());
        Self { id, record, key: Key(key) }
    }

    /// The cookie's value.
    pub(super) fn to_text(&self) -> String {
        let [id, record] = [&self.id, &self.record].map(|part| URL_SAFE_NO_PAD.encode(part.expose()));
        format!("{VERSION}.{id}.{record}")
    }

    /// Where the record stands.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Whether `other` opens the same record, in constant time.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let ids = self.id.same_as(other.id.expose());
        let keys = self.record.same_as(other.record.expose());
        ids && keys
    }

    /// Seals and opens the record. `None` never happens: the id of the key is well formed.
    pub(super) fn sealer(&self) -> Option<Sealer> {
        let master = MasterKey { id: KeyId::parse("r")?, key: self.record.clone() };
        Some(master.sealer("session record"))
    }

    /// Binds a record to its place, so that a copy under another key does not open.
    pub(super) fn place(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.0)
    }
}

fn bytes(text: &str) -> Option<Secret<[u8; 32]>> {
    let mut bytes = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == 32).then(|| Secret::new(bytes))
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use base::entropy::SeededEntropy;

    use super::*;

    /// S-07: 256 random bits twice, and one text for each ticket.
    #[test]
    fn a_ticket_has_one_form() {
        let ticket = Ticket::fresh(&SeededEntropy::new(1));
        let text = ticket.to_text();
        assert_eq!(text.split('.').map(str::len).collect::<Vec<_>>(), [1, 43, 43]);
        assert!(Ticket::parse(&text).is_some_and(|read| read.same_as(&ticket) && read.key() == ticket.key()));
        let (id, record) = text[2..].split_once('.').unwrap();
        // The last of 43 characters holds two bits of nothing: they must be clear.
        let odd: String = id.chars().take(42).chain(['_']).collect();
        for wrong in [
            format!("1.{id}.{record}"),
            format!("2.{id}"),
            format!("2.{id}."),
            format!("2.{id}.{record}."),
            format!("2.{id}.{record}="),
            format!("2.{id}A.{record}"),
            format!("2.{odd}.{record}"),
            format!("2.{}.{record}", &id[..42]),
            String::new(),
        ] {
            assert!(Ticket::parse(&wrong).is_none(), "{wrong}");
        }
        assert!(Ticket::parse(&format!("2.{record}.{id}")).is_some_and(|other| !other.same_as(&ticket)));
    }

    /// S-87: a ticket does not print.
    #[test]
    fn a_ticket_is_a_secret() {
        assert_eq!(format!("{:?}", Ticket::fresh(&SeededEntropy::new(1))), "[redacted]");
    }
}
