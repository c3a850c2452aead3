//! Keys that verify. The key decides the algorithm, the token only agrees (S-33).

use std::collections::HashMap;

use base::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::Invalid;

/// Entries that a key set may have, usable or not (S-36).
const MAX_KEYS: usize = 64;

/// Members that a public key does not have.
const PRIVATE_PARTS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// No JSON object with a list `keys`.
    #[error("not a JSON Web Key Set")]
    Form,
    /// More entries than anybody needs.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

/// The keys of a project: public ones by `kid`, and its HS256 secret if there is one.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    named: HashMap<String, Key>,
    secret: Option<Key>,
}

/// One key and the algorithm that it is for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Entries that cannot be used or contradict themselves are skipped: no
    /// `kid`, one that occurs twice, private parts, another `use`, `key_ops` or `alg` than the type of the key
    /// asks for, RSA below 2,048 bits, other curves than P-256 and Ed25519, symmetric keys.
    ///
    /// # Errors
    ///
    /// [`BadKeySet`] for a document that is no key set at all, or has more than 64 entries.
    pub fn from_jwks(document: &Map<String, Value>) -> Result<Self, BadKeySet> {
        let entries = document.get("keys").and_then(Value::as_array).ok_or(BadKeySet::Form)?;
        if entries.len() > MAX_KEYS {
            return Err(BadKeySet::TooMany);
        }
        let name = |entry: &Value| entry.get("kid").and_then(Value::as_str).map(str::to_owned);
        let mut times_named: HashMap<String, usize> = HashMap::new();
        entries.iter().filter_map(name).for_each(|kid| *times_named.entry(kid).or_default() += 1);
        let usable = |entry: &Value| {
            let kid = name(entry).filter(|kid| times_named.get(kid) == Some(&1))?;
            Some((kid, Key::from_jwk(entry.as_object()?)?))
        };
        Ok(Self { named: entries.iter().filter_map(usable).collect(), secret: None })
    }

    /// Adds the secret that signs with HS256. Whether it is strong enough is for [`Settings`](super::Settings).
    #[must_use]
    pub fn with_secret(mut self, secret: &Secret<String>) -> Self {
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        self.secret = Some(Key { algorithm: Algorithm::HS256, key });
        self
    }

    /// Adds the secret of `other`, if it has one.
    pub(super) fn with_secret_of(mut self, other: &Self) -> Self {
        self.secret.clone_from(&other.secret);
        self
    }

    /// Whether no token could be verified with it.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.secret.is_none()
    }

    /// How many public keys it has.
    pub fn public_keys(&self) -> usize {
        self.named.len()
    }

    /// Whether [`find`](Self::find) has an answer, be it a refusal.
    pub(super) fn knows(&self, header: &Header<'_>) -> bool {
        !matches!(self.find(header), Err(Invalid::UnknownKey))
    }

    /// The key that `header` names. HS256 without a known `kid` falls back to the secret, as in GoTrue (contract,
    /// section 5.2); any other algorithm needs its `kid`.
    pub(super) fn find(&self, header: &Header<'_>) -> Result<&Key, Invalid> {
        match header.kid.and_then(|kid| self.named.get(kid)) {
            Some(key) if key.algorithm == header.algorithm => Ok(key),
            Some(_) => Err(Invalid::Forged),
            None if header.algorithm == Algorithm::HS256 => self.secret.as_ref().ok_or(Invalid::UnknownKey),
            None => Err(Invalid::UnknownKey),
        }
    }
}

impl Key {
    /// Whether `signature`, in base64url, is this key's over `signed`.
    pub(super) fn holds(&self, signed: &[u8], signature: &str) -> bool {
        matches!(jsonwebtoken::crypto::verify(signature, signed, &self.key, self.algorithm), Ok(true))
    }

    fn from_jwk(entry: &Map<String, Value>) -> Option<Self> {
        if PRIVATE_PARTS.iter().any(|part| entry.contains_key(*part)) || !for_signatures(entry) {
            return None;
        }
        let (algorithm, key) = match (text(entry, "kty")?, entry.get("crv").map(Value::as_str)) {
            ("RSA", None) => {
                let (n, e) = (bytes(entry, "n")?, bytes(entry, "e")?);
                strong_rsa(&n, &e)
                    .then(|| (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e)))?
            }
            ("EC", Some(Some("P-256"))) => {
                (bytes(entry, "x")?.len() == 32 && bytes(entry, "y")?.len() == 32).then_some(())?;
                let key = DecodingKey::from_ec_components(text(entry, "x")?, text(entry, "y")?).ok()?;
                (Algorithm::ES256, key)
            }
            ("OKP", Some(Some("Ed25519"))) => {
                let x = bytes(entry, "x").filter(|x| x.len() == 32)?;
                (Algorithm::EdDSA, DecodingKey::from_ed_der(&x))
            }
            _ => return None,
        };
        let agrees = |alg: &Value| alg.as_str().and_then(known_algorithm) == Some(algorithm);
        entry.get("alg").is_none_or(agrees).then_some(Self { algorithm, key })
    }
}

/// `use` and `key_ops`, where present, are those of a key for signatures.
fn for_signatures(entry: &Map<String, Value>) -> bool {
    let op = |op: &Value| matches!(op.as_str(), Some("verify" | "sign"));
    let ops = |ops: &Value| {
        let ops = ops.as_array().map(Vec::as_slice).unwrap_or_default();
        ops.iter().all(op) && ops.iter().any(|op| op == "verify")
    };
    entry.get("use").is_none_or(|u| u == "sig") && entry.get("key_ops").is_none_or(ops)
}

/// 2,048 to 8,192 bits, an odd exponent from 3 to 33 bits.
fn strong_rsa(n: &[u8], e: &[u8]) -> bool {
    let bits = |number: &[u8]| match number.iter().position(|byte| *byte != 0) {
        Some(first) => (number.len() - first) * 8 - number[first].leading_zeros() as usize,
        None => 0,
    };
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    (2048..=8192).contains(&bits(n)) && odd(n) && (2..=33).contains(&bits(e)) && odd(e)
}

fn text<'a>(entry: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    entry.get(name)?.as_str()
}

fn bytes(entry: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(entry, name)?).ok()
}

fn known_algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        "HS256" => Some(Algorithm::HS256),
        _ => None,
    }
}

/// The part of a token's header that is obeyed. `jku`, `x5u`, `jwk` and `x5c` are not even looked at.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    /// Refuses what would change the meaning of the rest: any `crit`, `b64`, `zip`, `enc`, another `typ` than JWT.
    pub(super) fn read(members: &'a Map<String, Value>) -> Result<Self, Invalid> {
        if let Some(name) = ["crit", "b64", "zip", "enc"].into_iter().find(|name| members.contains_key(*name))
        {
            return Err(Invalid::Header(name));
        }
        let jwt = |typ: &Value| typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"));
        if !members.get("typ").is_none_or(jwt) {
            return Err(Invalid::Header("typ"));
        }
        let algorithm = members.get("alg").and_then(Value::as_str).and_then(known_algorithm);
        let kid = match members.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err(Invalid::Header("kid")),
        };
        Ok(Self { algorithm: algorithm.ok_or(Invalid::Header("alg"))?, kid })
    }

    /// Whether a newer key set could bring the key: it never brings a symmetric one, nor one without a name.
    pub(super) fn could_be_published(&self) -> Option<&'a str> {
        self.kid.filter(|_| self.algorithm != Algorithm::HS256)
    }
}
