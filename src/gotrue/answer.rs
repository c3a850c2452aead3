//! From an HTTP answer to a value or an [`Error`]: the decode rule of the contract, 3.1.

use std::sync::Arc;

use base::http::{BodyError, read_body};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::error::Error;
use super::types::{Enrolled, Factor, Identity, ProjectSettings, SignedUp, Tokens, User, Verified};
use super::wire;

/// Longest answer that is read.
const LIMIT: usize = 1 << 20;

/// The body of a success; everything else is an [`Error`].
pub(super) async fn read(answer: reqwest::Result<reqwest::Response>) -> Result<Bytes, Error> {
    let response = answer.map_err(|error| Error::Unreachable(error.without_url()))?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = match read_body(response, LIMIT).await {
        Ok(body) => body,
        Err(BodyError::TooLong(_)) => return Err(no_answer_of_gotrue(status)),
        Err(BodyError::Broken(error)) => return Err(Error::Unreachable(error)),
    };
    if status.is_success() { Ok(body) } else { Err(refusal(status, &headers, &body)) }
}

fn no_answer_of_gotrue(status: StatusCode) -> Error {
    if status.is_server_error() { Error::Server { status } } else { Error::NotGoTrue { status } }
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    if status.is_server_error() {
        return Error::Server { status };
    }
    // An object and nothing else: a derived struct would read a list as well.
    let parsed = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
    let code = code(&parsed);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let code = code.unwrap_or_else(|| "unknown".to_owned());
        return Error::RateLimited { code, retry_after: retry_after(headers) };
    }
    match code {
        Some(code) => Error::Refused { status, code, reasons: reasons(&parsed) },
        None => Error::NotGoTrue { status },
    }
}

/// `error_code`, else `code`, else OAuth's `error`, each if it is a text; a numeric `code` without any of them is
/// GoTrue's older form of a refusal that has no code.
fn code(refusal: &Map<String, Value>) -> Option<String> {
    let texts = ["error_code", "code", "error"].into_iter().filter_map(|name| refusal.get(name));
    let text = texts.filter_map(Value::as_str).find(|text| !text.is_empty());
    let numbered = || refusal.get("code").filter(|code| code.is_number()).map(|_| "unknown");
    text.or_else(numbered).map(|text| text.chars().take(64).collect())
}

fn reasons(refusal: &Map<String, Value>) -> Vec<String> {
    let reasons = refusal.get("weak_password").and_then(|weak| weak.get("reasons")).and_then(Value::as_array);
    reasons.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn retry_after(headers: &HeaderMap) -> Option<time::Duration> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(time::Duration::seconds(i64::from(seconds)))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::NotGoTrue { status: StatusCode::OK })
}

pub(super) fn tokens(body: &[u8]) -> Result<Tokens, Error> {
    let session: wire::Session = decode(body)?;
    let empty = session.access_token.expose().is_empty() || session.refresh_token.expose().is_empty();
    if empty || session.expires_in < 1 {
        return Err(Error::NotGoTrue { status: StatusCode::OK });
    }
    Ok(Tokens {
        access_token: session.access_token,
        refresh_token: session.refresh_token,
        expires_in: session.expires_in,
        user: session.user.into(),
    })
}

/// A session, or the bare user: told apart by the token (contract, trap 33).
pub(super) fn signed_up(body: &[u8]) -> Result<SignedUp, Error> {
    if has_token(body)? {
        return Ok(SignedUp::Session(Box::new(tokens(body)?)));
    }
    decode::<wire::User>(body).map(|_| SignedUp::Confirm)
}

pub(super) fn verified(body: &[u8]) -> Result<Verified, Error> {
    if has_token(body)? {
        return Ok(Verified::Session(Box::new(tokens(body)?)));
    }
    decode::<wire::Half>(body).map(|_| Verified::Half)
}

fn has_token(body: &[u8]) -> Result<bool, Error> {
    #[derive(serde::Deserialize)]
    struct Probe {
        access_token: Option<serde::de::IgnoredAny>,
    }
    decode::<Probe>(body).map(|probe| probe.access_token.is_some())
}

pub(super) fn user(body: &[u8]) -> Result<User, Error> {
    decode::<wire::User>(body).map(User::from)
}

/// The provider's address of a linking flow: of the web, and nothing else (S-68).
pub(super) fn provider_url(body: &[u8]) -> Result<Url, Error> {
    let url = decode::<wire::ProviderUrl>(body)?.url;
    if matches!(url.scheme(), "https" | "http") {
        Ok(url)
    } else {
        Err(Error::NotGoTrue { status: StatusCode::OK })
    }
}

pub(super) fn enrolled(body: &[u8]) -> Result<Enrolled, Error> {
    let wire::Enrolled { id, totp } = decode(body)?;
    if totp.secret.expose().is_empty() || !totp.uri.expose().starts_with("otpauth://totp/") {
        return Err(Error::NotGoTrue { status: StatusCode::OK });
    }
    Ok(Enrolled { id, secret: totp.secret, uri: totp.uri })
}

pub(super) fn challenged(body: &[u8]) -> Result<uuid::Uuid, Error> {
    decode::<wire::Challenged>(body).map(|challenge| challenge.id)
}

pub(super) fn settings(body: &[u8]) -> Result<ProjectSettings, Error> {
    let told: Map<String, Value> = decode(body)?;
    let settings: wire::ProjectSettings = decode(body)?;
    let on = |name: &str| settings.external.get(name) == Some(&Value::Bool(true));
    let apart = ["anonymous_users", "email", "phone"];
    Ok(ProjectSettings {
        email: on("email"),
        anonymous: on("anonymous_users"),
        providers: settings
            .external
            .keys()
            .filter(|n| on(n) && !apart.contains(&n.as_str()))
            .cloned()
            .collect(),
        signup_open: !settings.disable_signup,
        autoconfirm: settings.mailer_autoconfirm,
        told: Arc::new(told),
    })
}

impl From<wire::User> for User {
    fn from(user: wire::User) -> Self {
        let wire::User { read: user, told } = user;
        let factor = |factor: wire::Factor| Factor {
            id: factor.id,
            kind: factor.factor_type,
            name: factor.friendly_name.unwrap_or_default(),
            verified: factor.status == "verified",
            created_at: factor.created_at,
        };
        let identity = |identity: wire::Identity| {
            let email = identity.email.unwrap_or_default();
            Some(Identity { id: identity.identity_id?, provider: identity.provider, email })
        };
        Self {
            id: user.id,
            email: user.email.unwrap_or_default(),
            phone: user.phone.unwrap_or_default(),
            email_confirmed_at: user.email_confirmed_at,
            new_email: user.new_email.filter(|address| !address.is_empty()),
            user_metadata: user.user_metadata.unwrap_or_default(),
            app_metadata: user.app_metadata.unwrap_or_default(),
            identities: user.identities.unwrap_or_default().into_iter().filter_map(identity).collect(),
            factors: user.factors.unwrap_or_default().into_iter().map(factor).collect(),
            is_anonymous: user.is_anonymous,
            told: Arc::new(told),
        }
    }
}
