//! The outer form of a token, checked before anything in it is believed (S-38).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Invalid, strict};

/// The longest token that is looked at, in bytes.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

/// A token taken apart. Nothing in it is verified yet.
pub(super) struct Parts<'a> {
    /// What the signature covers.
    pub(super) signed: &'a [u8],
    /// In strict base64url, not empty.
    pub(super) signature: &'a str,
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

/// Takes `token` apart: at most [`MAX_LENGTH`] bytes, exactly two dots, base64url without padding, white space or
/// stray bits, so that a token has one spelling alone; header and claims are JSON objects.
pub(super) fn split(token: &str) -> Result<Parts<'_>, Invalid> {
    if token.len() > MAX_LENGTH {
        return Err(Invalid::Shape);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(Invalid::Shape)?;
    if claims.contains('.') || signature.is_empty() {
        return Err(Invalid::Shape);
    }
    decode(signature)?;
    let object = |encoded| strict::object(&decode(encoded)?).ok_or(Invalid::Shape);
    Ok(Parts { signed: signed.as_bytes(), signature, header: object(header)?, claims: object(claims)? })
}

/// This engine refuses padding, white space, the standard alphabet and non-zero trailing bits.
fn decode(encoded: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Invalid::Shape)
}
