//! RSA keys between JWK (RFC 7518, section 6.3) and the DER of PKCS #1 (RFC 8017, appendix A.1.2).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The integers of a private key behind its version, in the order of PKCS #1, by their names in a JWK.
const MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
/// S-33: no shorter modulus.
const LEAST_BYTES: usize = 256;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The members of a fresh key of 2,048 bits.
pub(super) fn generate() -> Option<Map<String, Value>> {
    let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
    let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    // PKCS #8 is a version, an algorithm, and the key of PKCS #1 inside an octet string.
    let mut outer = Reader(der.as_ref()).enter(SEQUENCE)?;
    outer.take(INTEGER)?;
    outer.take(SEQUENCE)?;
    let mut key = Reader(outer.take(OCTET_STRING)?).enter(SEQUENCE)?;
    key.take(INTEGER)?;
    let mut members = Map::new();
    for name in MEMBERS {
        let bytes = key.take(INTEGER)?;
        let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        members.insert(name.to_owned(), URL_SAFE_NO_PAD.encode(bytes).into());
    }
    Some(members)
}

/// The DER of the private key in `jwk`, if its parts belong together and it is long enough.
pub(super) fn private_der(jwk: &Value) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(vec![INTEGER, 1, 0]);
    for name in MEMBERS {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok()?);
        let at = bytes.iter().position(|byte| *byte != 0)?;
        let mut number = Zeroizing::new(bytes[at..].to_vec());
        if number[0] & 0x80 != 0 {
            number.insert(0, 0); // otherwise it would read as negative
        }
        write(&mut body, INTEGER, &number);
    }
    let mut der = Zeroizing::new(Vec::new());
    write(&mut der, SEQUENCE, &body);
    (is_long_enough(jwk) && KeyPair::from_der(&der).is_ok()).then_some(der)
}

/// Whether the modulus in `jwk` has 2,048 bits or more.
pub(super) fn is_long_enough(jwk: &Value) -> bool {
    let modulus = jwk["n"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
    modulus.iter().skip_while(|byte| **byte == 0).count() >= LEAST_BYTES
}

fn write(into: &mut Vec<u8>, tag: u8, content: &[u8]) {
    into.push(tag);
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => into.push(0),
        [short] if *short < 0x80 => into.push(*short),
        long => {
            into.push(0x80 | long.len() as u8);
            into.extend_from_slice(long);
        }
    }
    into.extend_from_slice(content);
}

/// Reads values of DER one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value, which has to have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let (length, rest) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(l, _)| l.len() <= 4)?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    fn enter(mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }
}
