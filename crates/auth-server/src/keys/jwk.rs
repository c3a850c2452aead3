//! Signing keys as JSON Web Keys (RFC 7517, 7518, 8037).

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base::entropy::Entropy;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::{KeyError, rsa};
use crate::settings::Algorithm;

/// A key set, ready for use.
pub(super) struct Loaded {
    pub(super) algorithm: jsonwebtoken::Algorithm,
    pub(super) kid: String,
    pub(super) sign: EncodingKey,
    pub(super) verify: Vec<(Option<String>, jsonwebtoken::Algorithm, DecodingKey)>,
    pub(super) public: Value,
}

/// The library's name of an algorithm.
pub(super) fn algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    }
}

/// A set of one key.
pub(super) fn set(key: Value) -> Value {
    json!({"keys": [key]})
}

/// A fresh key that signs, with a random `kid` (S-80).
pub(super) fn generate(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Value, KeyError> {
    let kid = entropy.uuid().to_string();
    let failed = |_| KeyError::Crypto;
    if algorithm == Algorithm::Rs256 {
        let mut key = json!({
            "kty": "RSA", "alg": "RS256", "use": "sig", "key_ops": ["sign", "verify"], "kid": kid,
        });
        for (name, value) in rsa::generate().ok_or(KeyError::Crypto)? {
            key[name] = value;
        }
        return Ok(key);
    }
    if algorithm == Algorithm::EdDsa {
        let seed: [u8; 32] = entropy.bytes();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Crypto)?;
        let (d, x) = (URL_SAFE_NO_PAD.encode(seed), URL_SAFE_NO_PAD.encode(pair.public_key()));
        return Ok(json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "key_ops": ["sign", "verify"],
            "kid": kid, "x": x, "d": d,
        }));
    }
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(failed)?;
    // The public point: 0x04, 32 bytes of x, 32 bytes of y.
    let point =
        pair.public_key().as_ref().get(1..).filter(|point| point.len() == 64).ok_or(KeyError::Crypto)?;
    let (x, y) = point.split_at(32);
    Ok(json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["sign", "verify"], "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y), "d": URL_SAFE_NO_PAD.encode(private.as_ref()),
    }))
}

/// Reads a set in which exactly one key may sign; the others verify tokens that are still out (contract, 5.3).
pub(super) fn load(set: &Value) -> Result<Loaded, &'static str> {
    let keys = set["keys"].as_array().ok_or("it has no list \"keys\"")?;
    let mut verify: Vec<(Option<String>, jsonwebtoken::Algorithm, DecodingKey)> = Vec::new();
    let (mut signer, mut public) = (None, Vec::new());
    for key in keys {
        let kid = key["kid"].as_str().filter(|kid| !kid.is_empty()).ok_or("a key has no kid")?.to_owned();
        if verify.iter().any(|(known, ..)| *known == Some(kid.clone())) {
            return Err("two keys have the same kid");
        }
        let (algorithm, decoding, shown) = public_half(key, &kid)?;
        if key["key_ops"].as_array().is_some_and(|ops| ops.iter().any(|op| op == "sign")) {
            let sign = private_half(key, algorithm)?;
            if signer.replace((algorithm, kid.clone(), sign)).is_some() {
                return Err("more than one key has \"sign\" among its key_ops");
            }
        }
        verify.push((Some(kid), algorithm, decoding));
        public.push(shown);
    }
    let (algorithm, kid, sign) = signer.ok_or("no key has \"sign\" among its key_ops")?;
    Ok(Loaded { algorithm, kid, sign, verify, public: json!({"keys": public}) })
}

/// The members that everybody may see, listed one by one so that no other can slip through.
fn public_half(
    key: &Value,
    kid: &str,
) -> Result<(jsonwebtoken::Algorithm, DecodingKey, Value), &'static str> {
    let member = |name: &str| key[name].as_str().ok_or("a key lacks a public member");
    let mut shown = json!({"use": "sig", "key_ops": ["verify"], "kid": kid, "kty": key["kty"]});
    let (algorithm, name, decoding, members) = match (key["kty"].as_str(), key["crv"].as_str()) {
        (Some("RSA"), None) => {
            if !rsa::is_long_enough(key) {
                return Err("an RSA key has fewer than 2048 bits");
            }
            let decoding = DecodingKey::from_rsa_components(member("n")?, member("e")?);
            (jsonwebtoken::Algorithm::RS256, "RS256", decoding, &["n", "e"][..])
        }
        (Some("EC"), Some("P-256")) => {
            let decoding = DecodingKey::from_ec_components(member("x")?, member("y")?);
            (jsonwebtoken::Algorithm::ES256, "ES256", decoding, &["crv", "x", "y"][..])
        }
        (Some("OKP"), Some("Ed25519")) => {
            let decoding = DecodingKey::from_ed_components(member("x")?);
            (jsonwebtoken::Algorithm::EdDSA, "EdDSA", decoding, &["crv", "x"][..])
        }
        _ => return Err("a key is neither EC on P-256, nor RSA, nor OKP on Ed25519"),
    };
    if key["alg"].as_str().is_some_and(|alg| alg != name) {
        return Err("the alg of a key contradicts its type");
    }
    shown["alg"] = name.into();
    for member in members {
        shown[*member] = key[*member].clone();
    }
    Ok((algorithm, decoding.map_err(|_| "a key's public half cannot be read")?, shown))
}

fn private_half(key: &Value, algorithm: jsonwebtoken::Algorithm) -> Result<EncodingKey, &'static str> {
    const UNREADABLE: &str = "the key for signing has no usable private half";
    let bytes = |name: &str| {
        let text = key[name].as_str().ok_or(UNREADABLE)?;
        URL_SAFE_NO_PAD.decode(text).map(zeroize::Zeroizing::new).map_err(|_| UNREADABLE)
    };
    if algorithm == jsonwebtoken::Algorithm::RS256 {
        return rsa::private_der(key).map(|der| EncodingKey::from_rsa_der(&der)).ok_or(UNREADABLE);
    }
    if algorithm == jsonwebtoken::Algorithm::EdDSA {
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(&bytes("d")?, &bytes("x")?).map_err(|_| UNREADABLE)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| UNREADABLE)?;
        return Ok(EncodingKey::from_ed_der(pkcs8.as_ref()));
    }
    let point = [&[4_u8], bytes("x")?.as_slice(), bytes("y")?.as_slice()].concat();
    let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &bytes("d")?, &point);
    let pkcs8 = pair.map_err(|_| UNREADABLE)?.to_pkcs8v1().map_err(|_| UNREADABLE)?;
    Ok(EncodingKey::from_ec_der(pkcs8.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::entropy::SystemEntropy;

    /// S-80: what is published has no private member, whatever the file holds.
    #[test]
    fn the_public_set_has_public_members_only() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let mut key = generate(algorithm, &SystemEntropy).unwrap();
            key["ext"] = false.into();
            let public = load(&set(key)).unwrap().public;
            for member in public["keys"][0].as_object().unwrap().keys() {
                let known = ["alg", "crv", "key_ops", "kid", "kty", "use", "x", "y", "n", "e"];
                assert!(known.contains(&member.as_str()), "{member}");
            }
        }
    }

    /// S-33: an RSA key whose parts do not belong together, or a short one, signs nothing.
    #[test]
    fn rsa_keys_are_whole_and_long() {
        let key = generate(Algorithm::Rs256, &SystemEntropy).unwrap();
        assert!(load(&set(key.clone())).is_ok());
        let other = generate(Algorithm::Rs256, &SystemEntropy).unwrap();
        for member in ["n", "d", "p", "qi"] {
            let mut mixed = key.clone();
            mixed[member] = other[member].clone();
            assert!(load(&set(mixed)).is_err(), "{member}");
        }
        let mut short = key.clone();
        short["n"] = URL_SAFE_NO_PAD.encode([0xff; 128]).into();
        assert!(load(&set(short)).is_err());
        let mut other = key;
        other["alg"] = "ES256".into();
        assert!(load(&set(other)).is_err());
    }

    #[test]
    fn exactly_one_key_signs() {
        let (a, b) = (generate(Algorithm::Es256, &SystemEntropy), generate(Algorithm::Es256, &SystemEntropy));
        let (a, mut b) = (a.unwrap(), b.unwrap());
        assert!(load(&json!({"keys": [a, b]})).is_err());
        b["key_ops"] = json!(["verify"]);
        let both = load(&json!({"keys": [b, a]})).unwrap();
        assert_eq!((both.kid.as_str(), both.verify.len()), (a["kid"].as_str().unwrap(), 2));
        assert!(load(&json!({"keys": [b]})).is_err());
        assert!(load(&json!({"keys": [a, a]})).is_err());
    }
}
