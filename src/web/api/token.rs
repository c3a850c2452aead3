//! `POST /auth/token`: the password and refresh grants of OAuth 2.0 (RFC 6749, sections 4.3 and 6), for programs alone.
//!
//! It answers with tokens, so no browser may ask: the gate turns away whatever one adds to a request. No session begins
//! and no cookie is set (S-31). Refusals of the grant are those of section 5.2; every other is a problem as elsewhere.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::flow::{Credentials, Failure, Problem};
use crate::session::{self, Granted};
use crate::web::error::{Code, Error};
use crate::web::extract::{FORM, pairs, read};
use crate::web::visit::{Visit, text};

/// Where it is.
pub(crate) const PATH: &str = "/auth/token";

const NOT_KEPT: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")), // section 5.1 wants both
];

/// What only a browser adds to a request: whoever does so is turned away (S-10).
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    [header::ORIGIN, header::COOKIE, HeaderName::from_static("sec-fetch-site")]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// The handler.
#[tracing::instrument(name = "token.grant", skip_all)]
pub(crate) async fn grant(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    if !app.token {
        return Err(Code::FeatureDisabled.into());
    }
    // Counted before it is known which grant it is; one without a password is none of this bucket's tries.
    let counted = app.flows.counted_try(visit.client()).await;
    let asked = match Asked::read(request).await {
        Ok(asked) => asked,
        Err(unread) => {
            counted.give_back();
            return unread.answer(&visit);
        }
    };
    let granted = match &asked.grant {
        Grant::Password { username, password } => {
            let form = Credentials { email: username, password, remember: false, captcha: None };
            app.flows.sign_in_program(&form, counted.passed()?, visit.client()).await
        }
        Grant::Refresh(token) => {
            counted.give_back();
            app.sessions.refresh_program(token, visit.client()).await.map_err(Failure::from)
        }
    };
    let granted = match granted {
        Ok(granted) => granted,
        Err(failure) => return Refusal::of(failure)?.answer(&visit),
    };
    let access = visit.policy().access(&granted.claims);
    if asked.scopes.iter().any(|scope| !visit.policy().covers(&access, scope)) {
        // What a refresh brought is left alone: the token before it is still good for a request that asks for less.
        if let Grant::Password { .. } = asked.grant {
            app.sessions.take_back(granted);
        }
        return Refusal::scope("The person does not have every scope that was asked for.").answer(&visit);
    }
    Ok(answer(&granted, &access.scopes.join(" ")))
}

fn answer(granted: &Granted, scope: &str) -> Response {
    #[derive(Serialize)]
    struct Tokens<'a> {
        access_token: &'a str,
        token_type: &'static str,
        expires_in: i64,
        refresh_token: &'a str,
        scope: &'a str,
    }
    let tokens = Tokens {
        access_token: granted.access_token.expose(),
        token_type: "bearer",
        expires_in: granted.expires_in,
        refresh_token: granted.refresh_token.expose(),
        scope,
    };
    (NOT_KEPT, axum::Json(tokens)).into_response()
}

/// What a program asks for.
struct Asked {
    grant: Grant,
    scopes: Vec<String>,
}

enum Grant {
    Password { username: String, password: Secret<String> },
    Refresh(Secret<String>),
}

impl Asked {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let kind = text(&parts.headers, header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
        if encoded || !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::Other(Code::UnsupportedMediaType.into()));
        }
        // A field without a value counts as absent (section 3.2).
        let mut fields = pairs(&read(body, FORM).await?)?;
        fields.retain(|(_, value)| !value.is_empty());
        let mut take = |name: &str| {
            let at = fields.iter().position(|(known, _)| known == name)?;
            Some(fields.swap_remove(at).1)
        };
        if proves_a_client(&parts.headers, take("client_secret").as_deref()) {
            return Err(Refusal::client());
        }
        let scopes = match take("scope") {
            None => Vec::new(),
            Some(text) => scopes(&text).ok_or(Refusal::scope("The scope is not a list of words."))?,
        };
        let mut need = |name: &'static str, missing| take(name).ok_or(Refusal::request(missing));
        let kind = need("grant_type", "The field grant_type is missing.")?;
        let grant = match kind.as_str() {
            "password" => Grant::Password {
                username: need("username", "The field username is missing.")?,
                password: Secret::new(need("password", "The field password is missing.")?),
            },
            "refresh_token" => {
                Grant::Refresh(Secret::new(need("refresh_token", "The field refresh_token is missing.")?))
            }
            _ => return Err(Refusal::grant_type("Use password or refresh_token.")),
        };
        Ok(Self { grant, scopes })
    }
}

/// Whether a request wants to be of a client that we could know. There is none: a name alone is ignored, a secret is
/// refused, lest somebody believe that it was checked.
fn proves_a_client(headers: &HeaderMap, secret: Option<&str>) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return secret.is_some() };
    let name_alone = || {
        let (scheme, pair) = value.to_str().ok()?.split_once(' ')?;
        let pair = STANDARD.decode(pair.trim()).ok()?;
        let named = scheme.eq_ignore_ascii_case("basic") && pair.ends_with(b":");
        (named && pair.iter().filter(|byte| **byte == b':').count() == 1).then_some(())
    };
    let doubled = headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some();
    secret.is_some() || doubled || name_alone().is_none()
}

/// Words of the characters that section 3.3 allows.
fn scopes(text: &str) -> Option<Vec<String>> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let sound = !words.is_empty() && words.iter().all(|word| word.chars().all(fits));
    sound.then_some(words)
}

/// Why a request brings no tokens.
enum Refusal {
    /// One of section 5.2: its word, a sentence, and what it is counted as.
    Grant { error: &'static str, description: &'static str, code: Code },
    /// Any other.
    Other(Error),
}

impl Refusal {
    const fn request(description: &'static str) -> Self {
        Self::Grant { error: "invalid_request", description, code: Code::BadRequest }
    }

    const fn client() -> Self {
        let description = "No client is registered here: send no client_secret and no Authorization.";
        Self::Grant { error: "invalid_client", description, code: Code::InvalidCredentials }
    }

    const fn scope(description: &'static str) -> Self {
        Self::Grant { error: "invalid_scope", description, code: Code::InsufficientScope }
    }

    const fn grant_type(description: &'static str) -> Self {
        Self::Grant { error: "unsupported_grant_type", description, code: Code::BadRequest }
    }

    const fn grant(description: &'static str, code: Code) -> Self {
        Self::Grant { error: "invalid_grant", description, code }
    }

    /// What `failure` means to a program. An error where the answer is no refusal of the grant.
    fn of(failure: Failure) -> Result<Self, Error> {
        Ok(match failure {
            Failure::Form(Problem::InvalidCredentials) => {
                Self::grant("The e-mail or the password is not right.", Code::InvalidCredentials)
            }
            Failure::Form(Problem::EmailNotConfirmed) => {
                Self::grant("The e-mail address is not confirmed.", Code::EmailNotConfirmed)
            }
            Failure::Form(Problem::Required(_)) => Self::request("username or password is empty."),
            Failure::Form(Problem::CaptchaFailed) => Self::Grant {
                error: "unauthorized_client",
                description: "The project asks for a captcha, which a program cannot show.",
                code: Code::CaptchaFailed,
            },
            Failure::Disabled => Self::grant_type("The project takes no passwords."),
            Failure::Session(session::Error::Ended(_)) => {
                Self::grant("The refresh token is not good any more.", Code::InvalidToken)
            }
            Failure::Session(session::Error::StepMissing) => {
                let description = "The account has a second factor: sign in with a browser.";
                Self::grant(description, Code::SessionLimited)
            }
            other => return Err(other.into()),
        })
    }

    fn answer(self, visit: &Visit) -> Result<Response, Error> {
        let (error, description, code) = match self {
            Self::Grant { error, description, code } => (error, description, code),
            Self::Other(error) => return Err(error),
        };
        visit.count_refusal(code);
        let body = json!({ "error": error, "error_description": description });
        if error != "invalid_client" {
            return Ok((StatusCode::BAD_REQUEST, NOT_KEPT, axum::Json(body)).into_response());
        }
        let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="supabase-bff""#)];
        Ok((StatusCode::UNAUTHORIZED, challenge, NOT_KEPT, axum::Json(body)).into_response())
    }
}

/// What was wrong with the form.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.code {
            Code::DuplicateParameter => Self::request("A field occurs twice."),
            Code::BadRequest => Self::request("The form cannot be read."),
            _ => Self::Other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749, section 3.3: visible ASCII without quote and backslash, one space between.
    #[test]
    fn a_scope_is_a_list_of_words() {
        assert_eq!(scopes("items:read items"), Some(vec!["items:read".into(), "items".into()]));
        for odd in [" ", "it\"ems", "it\\ems", "ümlaut", "a\tb", "a\nb"] {
            assert_eq!(scopes(odd), None, "{odd:?}");
        }
    }

    /// RFC 6749, section 2.3.1: a name without a secret is a public client's.
    #[test]
    fn a_name_proves_nothing_and_a_secret_cannot() {
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        let basic = |pair: &str| with(&format!("Basic {}", STANDARD.encode(pair)));
        assert!(!proves_a_client(&HeaderMap::new(), None));
        assert!(!proves_a_client(&basic("cli:"), None));
        for odd in [basic("cli:secret"), basic("cli::"), basic("cli"), with("Basic ?"), with("Bearer a.b.c")]
        {
            assert!(proves_a_client(&odd, None), "{odd:?}");
        }
        assert!(proves_a_client(&HeaderMap::new(), Some("x")) && proves_a_client(&basic("cli:"), Some("x")));
    }
}
