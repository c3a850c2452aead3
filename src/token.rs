//! Verifies Supabase access tokens: shape, key, signature, claims, in this order and against the caller's clock.
//!
//! [`verify`] is pure. [`Verifier`] adds the key set of the project, fetched and kept, and remembers verdicts.

mod cache;
mod claims;
mod disk;
mod jwks;
mod keys;
mod settings;
mod shape;
mod strict;
mod verifier;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use claims::{Amr, Claims, ClaimsSet};
pub use keys::{BadKeySet, KeySet};
pub use settings::{Misconfigured, Settings};
pub use verifier::{Counted, Kept, Refusal, Verifier};

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use keys::Header;
use shape::Parts;

/// The most leeway that [`Expectations::leeway`] grants, whatever it says (S-34).
pub const MAX_LEEWAY: Duration = Duration::seconds(60);

/// Roles that no person has, however good the signature (S-35).
pub const NEVER_A_USER: [&str; 3] = ["anon", "service_role", "supabase_admin"];

/// What a token must say to be one of ours.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// One of the values of `aud`.
    pub audience: String,
    /// The values of `role` that are people; those of [`NEVER_A_USER`] are not, even if listed.
    pub user_roles: Vec<String>,
    /// How far clocks may differ; at most [`MAX_LEEWAY`].
    pub leeway: Duration,
}

/// Why a token is refused. The outside hears 401 `invalid_token` for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not three parts of strict base64url around JSON objects, too long or too deep.
    #[error("not of the shape of a token")]
    Shape,
    /// This member of the header asks for something that is never done.
    #[error("the header's {0} is not accepted")]
    Header(&'static str),
    /// `kid` names no key that is known now.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The signature does not hold, or not under the algorithm of the key.
    #[error("the signature does not hold")]
    Forged,
    /// Past `exp` and leeway.
    #[error("expired")]
    Expired,
    /// Before `nbf` or `iat`, less the leeway.
    #[error("not valid yet")]
    NotYet,
    /// This claim is absent, of another type, out of range, doubled or not the expected one.
    #[error("the claim {0} is not as it must be")]
    Claims(&'static str),
    /// A key or a service, not a person (S-35).
    #[error("not the token of a user")]
    NotAUser,
}

/// Checks shape, signature, issuer, audience, role and times of a Supabase access token (S-33 to S-35, S-38).
///
/// Accepts `exp` up to the leeway in the past (RFC 7519, section 4.1.4): what is forwarded needs
/// [`Verifier::forwardable`] as well. Keys and time come from the caller; no I/O happens here.
///
/// # Errors
///
/// [`Invalid`]; on [`Invalid::UnknownKey`] a newer key set may know better.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expect: &Expectations,
    now: OffsetDateTime,
) -> Result<Claims, Invalid> {
    let parts = shape::split(token)?;
    let header = Header::read(&parts.header)?;
    let key = keys.find(&header)?;
    judge(parts, key, expect, now)
}

/// The part of [`verify`] that follows once the key is chosen.
fn judge(
    parts: Parts<'_>,
    key: &keys::Key,
    expect: &Expectations,
    now: OffsetDateTime,
) -> Result<Claims, Invalid> {
    if !key.holds(parts.signed, parts.signature) {
        return Err(Invalid::Forged);
    }
    if let Some(Value::String(role)) = parts.claims.get("role")
        && !expect.is_user(role)
    {
        return Err(Invalid::NotAUser);
    }
    let claims = Claims::read(parts.claims)?;
    if claims.iss != expect.issuer {
        return Err(Invalid::Claims("iss"));
    }
    if !claims.aud.contains(&expect.audience) {
        return Err(Invalid::Claims("aud"));
    }
    expect.in_time(&claims, now)?;
    Ok(claims)
}

impl Expectations {
    fn is_user(&self, role: &str) -> bool {
        !NEVER_A_USER.contains(&role) && self.user_roles.iter().any(|known| known == role)
    }

    /// Whether `now` lies between `nbf` or `iat` and `exp`, with the leeway at either end.
    fn in_time(&self, claims: &Claims, now: OffsetDateTime) -> Result<(), Invalid> {
        let leeway = self.leeway.clamp(Duration::ZERO, MAX_LEEWAY).whole_seconds();
        let now = now.unix_timestamp();
        if now >= claims.exp.saturating_add(leeway) {
            return Err(Invalid::Expired);
        }
        let from = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        if now < from.saturating_sub(leeway) { Err(Invalid::NotYet) } else { Ok(()) }
    }
}
