//! Tokens of the same shape that open nothing (S-10).
//!
//! supabase-js wants to hold tokens. It gets some that say what the real ones say and that nobody accepts: not GoTrue, not
//! PostgREST, not our own bearer path. The real ones stay in the cookie and take their place on the way.

use base::entropy::Entropy;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use uuid::Uuid;

use crate::session::{Session, Sessions};

/// HS256 lets auth-js's `getClaims` ask us by `getUser` instead of looking for a key.
const HEADER: &str = r#"{"alg":"HS256","kid":"phantom","typ":"JWT"}"#;
/// 32 bytes, as long as a signature of HS256.
const SIGNATURE: &str = "phantom-token-not-a-credential--";
/// How every phantom of a refresh token begins.
const REFRESH: &str = "phantom_";

/// What a bearer below the mount says about whom the caller means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// No bearer, or the key: as whoever is here.
    Whoever,
    /// Our own phantom: as this person.
    Phantom(Option<Uuid>),
    /// A JWT with a subject: as this person.
    User(Option<Uuid>),
}

impl Intent {
    /// Of the token behind `Bearer`.
    pub(crate) fn of(token: Option<&str>) -> Self {
        #[derive(Deserialize)]
        struct Subject {
            sub: serde_json::Value,
        }
        let Some(token) = token else { return Self::Whoever };
        let mut parts = token.split('.');
        let (head, payload, tail) = (parts.next(), parts.next(), parts.next());
        let read = payload.and_then(|text| BASE64.decode(text).ok());
        let subject = read.and_then(|bytes| serde_json::from_slice::<Subject>(&bytes).ok());
        let person = subject.as_ref().and_then(|subject| Uuid::try_parse(subject.sub.as_str()?).ok());
        if head == Some(&BASE64.encode(HEADER)) && tail == Some(&BASE64.encode(SIGNATURE)) {
            return Self::Phantom(person);
        }
        if subject.is_some() { Self::User(person) } else { Self::Whoever }
    }

    /// Whether somebody else than `user` is meant.
    pub(crate) fn is_about_another(self, user: Uuid) -> bool {
        match self {
            Self::Whoever => false,
            Self::Phantom(person) | Self::User(person) => person != Some(user),
        }
    }
}

/// The phantom of the access token of `session`: its claims, under a signature that is none.
pub(crate) fn access(session: &Session) -> String {
    let claims = session.access_token.expose().split('.').nth(1).unwrap_or_default(); // it was verified
    format!("{}.{claims}.{}", BASE64.encode(HEADER), BASE64.encode(SIGNATURE))
}

/// A phantom of a refresh token of the person of `session`: another one each time, since auth-js does not try one again
/// that has just failed.
pub(crate) fn refresh(sessions: &Sessions, session: &Session, entropy: &dyn Entropy) -> String {
    format!("{REFRESH}{}_{}", sessions.person_tag(session.user_id), entropy.text::<16>())
}

/// Whose phantom `text` is, as [`Sessions::person_tag`] names people; `None` for what is no phantom.
pub(crate) fn owner(text: &str) -> Option<&str> {
    let (tag, random) = text.strip_prefix(REFRESH)?.split_at_checked(8)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let whole = random.len() == 23 && random.starts_with('_');
    (whole && tag.bytes().chain(random.bytes()).all(fits)).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(head: &str, claims: &str, tail: &str) -> String {
        format!("{}.{}.{}", BASE64.encode(head), BASE64.encode(claims), BASE64.encode(tail))
    }

    /// The intent rule: what a bearer says about whom the caller means, and nothing more.
    #[test]
    fn a_bearer_says_who_is_meant() {
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let claims = format!(r#"{{"sub":"{ada}"}}"#);
        let phantom = jwt(HEADER, &claims, SIGNATURE);
        assert_eq!(Intent::of(Some(&phantom)), Intent::Phantom(Some(ada)));
        assert_eq!(Intent::of(Some(&jwt(r#"{"alg":"ES256"}"#, &claims, "x"))), Intent::User(Some(ada)));
        assert_eq!(Intent::of(Some(&jwt(HEADER, r#"{"sub":1}"#, "x"))), Intent::User(None));
        let anon = jwt(r#"{"alg":"HS256"}"#, r#"{"role":"anon","iss":"supabase"}"#, "x");
        for key in ["sb_publishable_x", "bff", "", "a.b.c", "..", &anon] {
            assert_eq!(Intent::of(Some(key)), Intent::Whoever, "{key}");
        }
        assert_eq!(Intent::of(None), Intent::Whoever);
        assert!(!Intent::of(Some(&phantom)).is_about_another(ada));
        assert!(Intent::of(Some(&phantom)).is_about_another(bob));
        assert!(!Intent::Whoever.is_about_another(bob));
    }

    #[test]
    fn a_refresh_phantom_names_its_owner() {
        let random = "abcdefghijklmnopqrst-_";
        assert_eq!(owner(&format!("phantom_a-b_c-d1_{random}")), Some("a-b_c-d1"));
        for text in
            ["", "phantom_", "phantom_a-b_c-d1", "cookie-1", "phantom_a-b_c-d1_x", "phantom_ä-b_c-d1_x"]
        {
            assert_eq!(owner(text), None, "{text}");
        }
        assert_eq!(owner(&format!("phantom_a-b_c-d1x{random}")), None);
        assert_eq!(owner(&format!("phantom_a-b_c d1_{random}")), None);
    }
}
