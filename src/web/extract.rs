//! Bodies and queries, decoded once and strictly (S-69, S-96).

use std::collections::HashSet;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use base::json::is_deeper;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Code, Error};
use super::forms::Lock;
use super::layers::cross_site;
use super::visit::{Visit, text};

/// Largest form, in bytes.
pub(super) const FORM: usize = 64 << 10;
/// Largest JSON body, in bytes.
const JSON: usize = 1 << 20;
/// Deepest JSON.
const DEPTH: usize = 32;

/// The fields of a form or JSON body. The content type chooses the face; a form brings its token, JSON needs none: the
/// cross-origin gate has seen `X-CSRF` or a program.
pub struct Input<T> {
    /// The fields.
    pub fields: T,
    /// Whether it came as a form.
    pub form: bool,
    /// What the form's token turned out to be; always [`Lock::Fits`] for JSON.
    pub lock: Lock,
    /// The form's token: a second click of the same form brings the same one.
    pub token: Option<String>,
}

/// Fields with the purpose of their form.
pub trait Fields: DeserializeOwned {
    /// Ties a token to one form (S-15).
    const PURPOSE: &'static str;
}

impl<S: Send + Sync, T: Fields> FromRequest<S> for Input<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let visit = parts.extensions.get::<Visit>().cloned().ok_or(Code::Internal)?;
        if parts.headers.contains_key(http::header::CONTENT_ENCODING) {
            return Err(Code::UnsupportedMediaType.into());
        }
        let kind = text(&parts.headers, "content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => {
                let bytes = read(body, JSON).await?;
                let fields = json(&bytes)?;
                Ok(Self { fields, form: false, lock: Lock::Fits, token: None })
            }
            "application/x-www-form-urlencoded" => {
                let bytes = read(body, FORM).await?;
                let pairs = pairs(&bytes)?;
                let token =
                    pairs.iter().find(|(name, _)| name == "form_token").map(|(_, value)| value.clone());
                let lock = visit.check_form(T::PURPOSE, token.as_deref());
                if lock != Lock::Fits {
                    cross_site(Code::CsrfForm, None); // recorded; each page shows its own form again
                    visit.count_refusal(Code::CsrfForm);
                }
                let object = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
                let fields = serde_json::from_value(Value::Object(object)).map_err(|_| Code::BadRequest)?;
                Ok(Self { fields, form: true, lock, token })
            }
            _ => Err(Code::UnsupportedMediaType.into()),
        }
    }
}

/// A body of JSON and nothing else. Its members are read by their exact names, each once (S-53).
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let kind = text(&parts.headers, "content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let plain = !parts.headers.contains_key(http::header::CONTENT_ENCODING);
        if !plain || !kind.eq_ignore_ascii_case("application/json") {
            return Err(Code::UnsupportedMediaType.into());
        }
        json(&read(body, JSON).await?).map(Self)
    }
}

/// All of a body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Code::BodyTooLarge.into()),
        Err(_) => Err(Code::BadRequest.into()),
    }
}

/// A JSON value of limited depth. Doubled members of the fields are refused by their types.
fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if is_deeper(bytes, DEPTH) {
        return Err(Code::BadRequest.into());
    }
    serde_json::from_slice(bytes).map_err(|_| Code::BadRequest.into())
}

/// Percent-decoded pairs, each name once.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        // The parser turns broken UTF-8 into this sign; nobody types it.
        if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err(Code::BadRequest.into());
        }
        if !seen.insert(name.clone().into_owned()) {
            return Err(Code::DuplicateParameter.into());
        }
        all.push((name.into_owned(), value.into_owned()));
    }
    Ok(all)
}

/// The query of a route of ours: each name once (S-69).
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The value of `name`; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Every pair, in the order sent.
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// `return_to` or one of its aliases.
    pub fn return_to(&self) -> Option<&str> {
        ["return_to", "next", "redirect_to", "rd", "returnUrl", "returnTo"]
            .iter()
            .find_map(|name| self.get(name))
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        pairs(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

/// The one parameter of a path of ours, decoded.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        read.map(|text| Self(text.0)).map_err(|_| Code::BadPath.into()) // no UTF-8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-69: a doubled field or broken UTF-8 is refused.
    #[test]
    fn pairs_are_strict() {
        assert_eq!(pairs(b"email=a&email=b").unwrap_err().code, Code::DuplicateParameter);
        assert_eq!(pairs(b"a=%ff").unwrap_err().code, Code::BadRequest);
        assert_eq!(
            pairs(b"a=1+2&b=%20x%20").unwrap(),
            [("a".into(), "1 2".into()), ("b".into(), " x ".into())]
        );
    }

    /// S-96: nesting is bounded; brackets inside strings do not count.
    #[test]
    fn json_is_not_deeper_than_32() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json::<Value>(nested(32).as_bytes()).is_ok());
        assert_eq!(json::<Value>(nested(33).as_bytes()).unwrap_err().code, Code::BadRequest);
        assert!(json::<Value>(format!("\"\\\"{}\"", "[".repeat(99)).as_bytes()).is_ok());
    }
}
