//! Sealing: AES-256-GCM under a key that is fresh for every value, with keys that roll over (S-03, S-12).
//!
//! A sealed value reads `1.<key id>.<base64url(random ‖ ciphertext ‖ tag)>`. 192 random bits choose a key by HKDF,
//! so the nonce may be constant. The associated data binds version, key id and the caller's context, each with its
//! length, so that no two combinations read the same.

use std::fmt;

use aws_lc_rs::{aead, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::secret::Secret;

const VERSION: &str = "1";
const RANDOM: usize = 24;
const TAG: usize = 16;

/// Names a key in sealed values: 1 to 16 of `a-z`, `0-9`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

impl KeyId {
    /// `None` if `text` is not of the form above.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        ((1..=16).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key of 32 bytes and its name. Keys for single purposes are derived from it.
#[derive(Debug, Clone)]
pub struct MasterKey {
    /// Stands in every value that this key sealed.
    pub id: KeyId,
    /// The bytes.
    pub key: Secret<[u8; 32]>,
}

/// Why a text is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not of the form `id:base64`.
    #[error("it is not of the form <id>:<base64 of 32 bytes>")]
    Form,
    /// The part behind the colon is not 32 bytes.
    #[error("the part behind the colon is not 32 bytes in base64")]
    Length,
    /// So regular that it was typed or copied, not drawn.
    #[error("it is a sample or was not drawn at random")]
    Weak,
}

impl MasterKey {
    /// Reads `id:base64`, as in `BFF_SESSION_KEYS`.
    ///
    /// # Errors
    ///
    /// [`BadKey`] says which part is at fault. Keys with fewer than 12 different bytes are refused: 32 random ones
    /// have that few with a chance below 2^-60.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let (id, encoded) = text.split_once(':').ok_or(BadKey::Form)?;
        let id = KeyId::parse(id).ok_or(BadKey::Form)?;
        let bytes = STANDARD.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded));
        let bytes = Zeroizing::new(bytes.map_err(|_| BadKey::Length)?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| BadKey::Length)?;
        let mut seen = [false; 256];
        key.iter().for_each(|b| seen[usize::from(*b)] = true);
        if seen.iter().filter(|s| **s).count() < 12 {
            return Err(BadKey::Weak);
        }
        Ok(Self { id, key: Secret::new(key) })
    }

    /// A fresh key called `id`.
    pub fn generate(id: KeyId, entropy: &dyn Entropy) -> Self {
        Self { id, key: Secret::new(entropy.bytes()) }
    }

    /// A sealer with this key alone, for one purpose.
    pub fn sealer(&self, label: &'static str) -> Sealer {
        Sealer { keys: vec![Key::derive(&self.id, &extract(self), label)] }
    }

    /// The form that [`parse`](Self::parse) reads.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{}:{}", self.id, STANDARD.encode(self.key.expose())))
    }
}

/// The master keys of a deployment: the first seals, all open.
#[derive(Clone)]
pub struct Keyring(Vec<(KeyId, hkdf::Prk)>);

impl Keyring {
    /// `None` for an empty list: a ring needs a key.
    pub fn new(masters: &[MasterKey]) -> Option<Self> {
        let keys = masters.iter().map(|m| (m.id.clone(), extract(m))).collect::<Vec<_>>();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The keys for one purpose. What one purpose seals, no other opens (S-12).
    pub fn purpose(&self, label: &'static str) -> Sealer {
        Sealer { keys: self.0.iter().map(|(id, master)| Key::derive(id, master, label)).collect() }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

struct Bytes32;

impl hkdf::KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn okm(prk: &hkdf::Prk, info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    let filled = prk.expand(info, Bytes32).and_then(|okm| okm.fill(&mut out));
    filled.expect("32 bytes are within HKDF's limit");
    out
}

fn extract(master: &MasterKey) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"supabase-bff keyring 1").extract(master.key.expose())
}

#[derive(Clone)]
struct Key {
    id: KeyId,
    seal: hkdf::Prk,
    mac: hmac::Key,
}

impl Key {
    fn derive(id: &KeyId, master: &hkdf::Prk, label: &'static str) -> Self {
        let key: [u8; 32] = okm(master, &[b"purpose", label.as_bytes()]);
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, label.as_bytes());
        let mac: [u8; 32] = okm(master, &[b"mac", label.as_bytes()]);
        Self { id: id.clone(), seal: salt.extract(&key), mac: hmac::Key::new(hmac::HMAC_SHA256, &mac) }
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let tag = hmac::sign(&self.mac, &framed(parts));
        tag.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// Seals and opens for one purpose.
#[derive(Clone)]
pub struct Sealer {
    keys: Vec<Key>,
}

/// What was sealed.
pub struct Opened {
    /// The bytes, wiped when dropped.
    pub plain: Zeroizing<Vec<u8>>,
    /// An older key sealed it: seal it again on the way out.
    pub stale: bool,
}

/// Why a value does not open. All three are "nothing there" to the outside; only the reason in the log differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Not of the form this module writes.
    #[error("not a sealed value")]
    Malformed,
    /// Sealed under a key that is not on the ring any more.
    #[error("sealed under an unknown key")]
    KeyMissing,
    /// Changed, cut, or sealed for another purpose or context.
    #[error("the seal does not hold")]
    Forged,
}

impl Sealer {
    /// Seals `plain` under the first key, bound to `context`.
    pub fn seal(&self, context: &[&str], plain: &[u8], entropy: &dyn Entropy) -> String {
        let key = self.keys.first().expect("a ring has a key");
        let random: [u8; RANDOM] = entropy.bytes();
        let mut body = Vec::with_capacity(RANDOM + plain.len() + TAG);
        body.extend_from_slice(&random);
        body.extend_from_slice(plain);
        let tag = cipher(&key.seal, &random)
            .seal_in_place_separate_tag(nonce(), associated(&key.id, context), &mut body[RANDOM..])
            .expect("a value is far shorter than the cipher's limit");
        body.extend_from_slice(tag.as_ref());
        format!("{VERSION}.{}.{}", key.id, URL_SAFE_NO_PAD.encode(body))
    }

    /// Opens what [`seal`](Self::seal) made under any key of the ring, for the same purpose and `context`.
    ///
    /// # Errors
    ///
    /// [`Unopened`]; whatever fails is to be treated as absent.
    pub fn open(&self, context: &[&str], sealed: &str) -> Result<Opened, Unopened> {
        let rest =
            sealed.strip_prefix(VERSION).and_then(|r| r.strip_prefix('.')).ok_or(Unopened::Malformed)?;
        let (id, encoded) = rest.split_once('.').ok_or(Unopened::Malformed)?;
        let mut body = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Unopened::Malformed)?);
        let (random, sealed) = body.split_first_chunk_mut::<RANDOM>().ok_or(Unopened::Malformed)?;
        let at = self.keys.iter().position(|k| k.id.0 == id).ok_or(Unopened::KeyMissing)?;
        let key = &self.keys[at];
        let plain = cipher(&key.seal, random)
            .open_in_place(nonce(), associated(&key.id, context), sealed)
            .map_err(|_| Unopened::Forged)?;
        Ok(Opened { plain: Zeroizing::new(plain.to_vec()), stale: at != 0 })
    }

    /// An HMAC-SHA-256 over `parts`, each with its length, under the first key.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keys.first().expect("a ring has a key").mac(parts)
    }

    /// As [`mac`](Self::mac), under every key: what it may have been while an older key was the first.
    pub fn macs(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| key.mac(parts)).collect()
    }

    /// Whether any key of the ring made `tag` over `parts`; the comparison takes constant time.
    pub fn mac_holds(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let text = framed(parts);
        self.keys.iter().any(|key| hmac::verify(&key.mac, &text, tag).is_ok())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

fn cipher(prk: &hkdf::Prk, random: &[u8; RANDOM]) -> aead::LessSafeKey {
    let info: [&[u8]; 2] = [b"value", random];
    let okm = prk.expand(&info, &aead::AES_256_GCM).expect("32 bytes are within HKDF's limit");
    aead::LessSafeKey::new(okm.into())
}

fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn associated(id: &KeyId, context: &[&str]) -> aead::Aad<Vec<u8>> {
    let mut parts: Vec<&[u8]> = vec![VERSION.as_bytes(), id.0.as_bytes()];
    parts.extend(context.iter().map(|c| c.as_bytes()));
    aead::Aad::from(framed(&parts))
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|p| p.len() + 8).sum());
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::entropy::SeededEntropy;

    fn ring(ids: &[&str]) -> Keyring {
        let make = |id: &&str| {
            let seed = SeededEntropy::new(id.bytes().map(u64::from).sum());
            MasterKey::generate(KeyId::parse(id).unwrap(), &seed)
        };
        Keyring::new(&ids.iter().map(make).collect::<Vec<_>>()).unwrap()
    }

    fn cookie(ids: &[&str]) -> Sealer {
        ring(ids).purpose("cookie")
    }

    proptest! {
        #[test]
        fn seal_then_open_gives_the_same_bytes(plain in proptest::collection::vec(any::<u8>(), 0..600)) {
            let sealer = cookie(&["k1"]);
            let sealed = sealer.seal(&["name", "origin"], &plain, &SeededEntropy::new(1));
            let opened = sealer.open(&["name", "origin"], &sealed).unwrap();
            prop_assert_eq!(&*opened.plain, &plain);
            prop_assert!(!opened.stale);
        }
    }

    /// S-03: every single-bit flip, a cut, another name, origin or purpose: it does not open.
    #[test]
    fn nothing_but_the_exact_value_opens() {
        let sealer = cookie(&["k1"]);
        let sealed = sealer.seal(&["name", "origin"], b"tokens", &SeededEntropy::new(1));
        let (head, body) = sealed.split_at(5);
        let raw = URL_SAFE_NO_PAD.decode(body).unwrap();
        for bit in 0..raw.len() * 8 {
            let mut flipped = raw.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{head}{}", URL_SAFE_NO_PAD.encode(flipped));
            assert_eq!(sealer.open(&["name", "origin"], &forged).err(), Some(Unopened::Forged));
        }
        let cut = &sealed[..sealed.len() - 4];
        assert!(sealer.open(&["name", "origin"], cut).is_err());
        assert!(sealer.open(&["other", "origin"], &sealed).is_err());
        assert!(sealer.open(&["name", "elsewhere"], &sealed).is_err());
        assert!(sealer.open(&["nameorigin", ""], &sealed).is_err());
        assert!(ring(&["k1"]).purpose("flow").open(&["name", "origin"], &sealed).is_err());
    }

    /// S-12: old keys open, the first seals, a removed key is told apart.
    #[test]
    fn keys_roll_over() {
        let old = cookie(&["k1"]).seal(&[], b"x", &SeededEntropy::new(1));
        let both = cookie(&["k2", "k1"]);
        assert!(both.open(&[], &old).unwrap().stale);
        let new = both.seal(&[], b"x", &SeededEntropy::new(2));
        assert!(new.starts_with("1.k2.") && !both.open(&[], &new).unwrap().stale);
        assert_eq!(cookie(&["k2"]).open(&[], &old).err(), Some(Unopened::KeyMissing));
    }

    /// S-03: the value that chooses the key never repeats.
    #[test]
    fn no_seal_equals_another() {
        let sealer = cookie(&["k1"]);
        let source = SeededEntropy::new(3);
        let all: HashSet<String> = (0..10_000).map(|_| sealer.seal(&[], b"", &source)).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn macs_hold_for_their_parts_alone() {
        let sealer = cookie(&["k2", "k1"]);
        let tag = sealer.mac(&[b"a", b"bc"]);
        assert!(sealer.mac_holds(&[b"a", b"bc"], &tag));
        assert!(!sealer.mac_holds(&[b"ab", b"c"], &tag));
        let both = cookie(&["k3", "k2"]);
        assert!(both.mac_holds(&[b"a", b"bc"], &tag), "the older key still checks");
        assert_eq!(both.macs(&[b"a", b"bc"]), [both.mac(&[b"a", b"bc"]), tag], "the newest first");
    }

    /// S-87: 32 bytes, drawn at random, or the start ends.
    #[test]
    fn weak_and_short_keys_are_refused() {
        let good = MasterKey::generate(KeyId::parse("k1").unwrap(), &SeededEntropy::new(9)).to_text();
        assert!(MasterKey::parse(good.expose()).is_ok());
        let weak = format!("k1:{}", STANDARD.encode([7; 32]));
        let short = format!("k1:{}", STANDARD.encode([7; 31]));
        assert_eq!(MasterKey::parse(&weak).err(), Some(BadKey::Weak));
        assert_eq!(MasterKey::parse(&short).err(), Some(BadKey::Length));
        assert_eq!(MasterKey::parse("no colon").err(), Some(BadKey::Form));
        assert_eq!(MasterKey::parse("K1:AAAA").err(), Some(BadKey::Form));
    }
}
