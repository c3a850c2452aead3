//! `POST /token`: password, refresh token, PKCE code; and what every sign-in answers.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::App;
use crate::db::flows;
use crate::db::refresh_tokens;
use crate::db::sessions::{self, Session};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Json, Params};
use crate::keys::Claims;
use crate::password::Verified;
use crate::providers::ProviderTokens;
use crate::rotation::{self, NewSession, Presented, Refreshed};
use crate::wire::{SessionBody, UserBody};

#[derive(Deserialize)]
pub(crate) struct GrantQuery {
    grant_type: Option<String>,
}

/// The members of all grants; which of them count depends on the query.
#[derive(Deserialize)]
pub(crate) struct GrantBody {
    email: Option<String>,
    phone: Option<String>,
    password: Option<Secret<String>>,
    refresh_token: Option<Secret<String>>,
    auth_code: Option<Secret<String>>,
    code_verifier: Option<Secret<String>>,
    provider: Option<String>,
    id_token: Option<Secret<String>>,
}

const GRANTS: &[&str] = &["password", "refresh_token", "pkce", "id_token", "web3"];

/// Whether a query asks for a grant that exists.
pub(crate) fn names_a_grant(query: &str) -> bool {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.any(|(name, value)| name == "grant_type" && GRANTS.contains(&&*value))
}

/// The grant type is judged before the body is read (contract, section 2.4).
pub(crate) struct GrantType(String);

impl axum::extract::FromRequestParts<App> for GrantType {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &App) -> Answer<Self> {
        let Params(query) = Params::<GrantQuery>::from_request_parts(parts, app).await?;
        let text = "unsupported_grant_type";
        let refused = || ApiError::new(StatusCode::BAD_REQUEST, "invalid_credentials", text);
        query.grant_type.filter(|grant| GRANTS.contains(&grant.as_str())).map(Self).ok_or_else(refused)
    }
}

/// `POST /token?grant_type=…`
#[tracing::instrument(name = "token", skip_all)]
pub(crate) async fn grant(
    State(app): State<App>,
    GrantType(grant): GrantType,
    Json(body): Json<GrantBody>,
) -> Answer<Response> {
    match grant.as_str() {
        "password" => by_password(&app, body).await,
        "refresh_token" => by_refresh_token(&app, body).await,
        "pkce" => by_code(&app, body).await,
        "id_token" => Err(by_id_token(&body)),
        _ => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(ApiError::new(status, "web3_provider_disabled", "Web3 provider is disabled"))
        }
    }
}

async fn by_password(app: &App, body: GrantBody) -> Answer<Response> {
    let email = match (present(body.email), present(body.phone)) {
        (Some(email), None) => crate::email::normalise(&email),
        (None, Some(_)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(ApiError::new(status, "phone_provider_disabled", "Phone logins are disabled"));
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "Only an email address or phone number should be provided on login.",
            ));
        }
        (None, None) => return Err(ApiError::invalid("missing email or phone")),
    };
    let password = body.password.unwrap_or_else(|| Secret::new(String::new()));
    if password.expose().len() > crate::password::MAX_BYTES {
        return Err(ApiError::invalid_credentials());
    }
    let now = app.clock.now();
    let found = match email {
        Some(email) => app.db.read(move |db| Ok::<_, ApiError>(users::find_by_email(db, &email)?)).await?,
        None => None,
    };
    // S-74: one comparison for everybody, known or not.
    let stored = found.as_ref().and_then(|user| user.password.clone());
    let verified = app.hasher.verify(password.clone(), stored.clone()).await?;
    let user = found.ok_or_else(ApiError::invalid_credentials)?;
    if user.is_banned(now) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "user_banned", "User is banned"));
    }
    let Verified::Yes { rehash } = verified else { return Err(ApiError::invalid_credentials()) };
    if user.email_confirmed_at.is_none() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "email_not_confirmed", "Email not confirmed"));
    }
    let fresh = if rehash { Some(app.hasher.hash(password).await?) } else { None };
    let (id, session) = (user.id, app.draw_session());
    let (user, session) = app
        .db
        .write(move |db| {
            // The password may have been changed, or its owner banned, while it was compared.
            let still = |user: &User| user.password == stored && !user.is_banned(now);
            let mut user = users::find(db, id)?.filter(still).ok_or_else(ApiError::invalid_credentials)?;
            user.password = fresh.or(user.password);
            begin_session(db, user, session, "password", now)
        })
        .await?;
    answer(app, &user, &session, Extra { weak_password: Some(Value::Null), ..Extra::default() })
}

async fn by_refresh_token(app: &App, body: GrantBody) -> Answer<Response> {
    let refuse = |code, text: &'static str| ApiError::new(StatusCode::BAD_REQUEST, code, text);
    let not_found = || refuse("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found");
    let malformed = || ApiError::invalid("Refresh token is not valid");
    let token = body.refresh_token.ok_or_else(malformed)?;
    let presented = match app.refresh_tokens.read(token.expose()) {
        Presented::Malformed => return Err(malformed()),
        Presented::Foreign => return Err(not_found()),
        Presented::Ours(presented) => presented,
    };
    let (now, context) = (app.clock.now(), app.clone());
    let done = app
        .db
        .write(move |db| {
            let (tokens, settings) = (&context.refresh_tokens, &context.settings);
            Ok::<_, ApiError>(rotation::refresh(db, tokens, settings, &presented, now)?)
        })
        .await?;
    match done {
        Refreshed::Goes(user, session) => answer(app, &user, &session, Extra::default()),
        Refreshed::NotFound => Err(not_found()),
        Refreshed::Impossible => Err(malformed()),
        Refreshed::Reused => {
            tracing::warn!(
                event = "token_reuse",
                "an old refresh token came again: nothing of its session can be refreshed any more"
            );
            Err(refuse("refresh_token_already_used", "Invalid Refresh Token: Already Used"))
        }
        Refreshed::Expired => Err(refuse("session_expired", "Invalid Refresh Token: Session Expired")),
        Refreshed::Banned => Err(refuse("user_banned", "Invalid Refresh Token: User Banned")),
    }
}

/// A wrong verifier leaves the code as it is; the right one uses it up, in the same transaction that begins the
/// session (S-76).
async fn by_code(app: &App, body: GrantBody) -> Answer<Response> {
    let filled = |value: Option<Secret<String>>| value.filter(|value| !value.expose().is_empty());
    let (Some(code), Some(verifier)) = (filled(body.auth_code), filled(body.code_verifier)) else {
        return Err(ApiError::invalid(
            "invalid request: both auth code and code verifier should be non-empty",
        ));
    };
    let now = app.clock.now();
    let code_digest = digest_of(code.expose());
    let session = app.draw_session();
    let (user, session, provider_token) = app
        .db
        .write(move |db| {
            let unknown = || {
                let text = "invalid flow state, no valid flow state found";
                ApiError::new(StatusCode::NOT_FOUND, "flow_state_not_found", text)
            };
            let flow = flows::find_by_code(db, &code_digest)?.ok_or_else(unknown)?;
            if flow.is_over(now) {
                let text = "invalid flow state, flow state has expired";
                return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "flow_state_expired", text));
            }
            if !flow.challenge.as_deref().is_some_and(|challenge| fits(challenge, verifier.expose())) {
                let text = "code challenge does not match previously saved code verifier";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_code_verifier", text));
            }
            let user = flow.user.ok_or_else(unknown)?;
            let user = users::find(db, user)?.ok_or_else(unknown)?;
            if !flows::delete(db, flow.id)? {
                return Err(unknown());
            }
            let (user, session) = begin_session(db, user, session, &flow.method, now)?;
            Ok((user, session, flow.provider_token))
        })
        .await?;
    let provider_tokens = provider_token.and_then(|sealed| app.open_provider_tokens(&sealed));
    answer(app, &user, &session, Extra { provider_tokens, ..Extra::default() })
}

fn by_id_token(body: &GrantBody) -> ApiError {
    if body.id_token.is_none() {
        return ApiError::oauth("invalid request", "id_token required");
    }
    let provider = body.provider.as_deref().unwrap_or_default();
    let known = ["apple", "google", "azure", "facebook", "keycloak", "kakao"];
    if !known.contains(&provider) {
        return ApiError::invalid("Custom OIDC provider is not allowed");
    }
    let text = format!("Provider (issuer \"{provider}\") is not enabled");
    ApiError::new(StatusCode::BAD_REQUEST, "provider_disabled", text)
}

/// Whether `challenge` is the S256 challenge of `verifier` (RFC 7636, section 4.6).
fn fits(challenge: &str, verifier: &str) -> bool {
    let computed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    verify_slices_are_equal(computed.as_bytes(), challenge.as_bytes()).is_ok()
}

/// SHA-256 in hexadecimal: how random codes and links rest in the database.
pub(crate) fn digest_of(text: &str) -> String {
    use std::fmt::Write;
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A text that is there and not empty.
pub(crate) fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Begins a session of `user` and saves both.
pub(crate) fn begin_session(
    db: &Connection,
    mut user: User,
    session: NewSession,
    method: &str,
    now: OffsetDateTime,
) -> Answer<(User, Session)> {
    let first = session.first_token;
    let session = Session::new(session.id, user.id, method, now);
    user.last_sign_in_at = Some(session.created_at);
    user.updated_at = session.created_at;
    users::save(db, &user)?;
    sessions::insert(db, &session)?;
    if let Some(digest) = first {
        refresh_tokens::insert(db, &digest, (session.id, session.counter, None), now)?;
    }
    Ok((user, session))
}

/// What only some grants add to the answer.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) provider_tokens: Option<ProviderTokens>,
    pub(crate) weak_password: Option<Value>,
}

/// The tokens of a session.
pub(crate) fn tokens(app: &App, user: &User, session: &Session, extra: Extra) -> Answer<SessionBody> {
    let (now, lifetime) = (app.clock.now(), app.settings.access_token_lifetime);
    let claims = Claims::new(&app.issuer, user, session, now, lifetime);
    let (provider_token, provider_refresh_token) = match extra.provider_tokens {
        Some(tokens) => {
            (Some(tokens.access.expose().clone()), tokens.refresh.map(|token| token.expose().clone()))
        }
        None => (None, None),
    };
    Ok(SessionBody {
        access_token: app.signer.sign(&claims).map_err(ApiError::internal)?,
        token_type: "bearer",
        expires_in: lifetime.whole_seconds(),
        expires_at: (now + lifetime).unix_timestamp(),
        refresh_token: app.refresh_tokens.current(session),
        user: UserBody::from(user),
        provider_token,
        provider_refresh_token,
        weak_password: extra.weak_password,
    })
}

/// The tokens of a session as a 200.
pub(crate) fn answer(app: &App, user: &User, session: &Session, extra: Extra) -> Answer<Response> {
    let body = tokens(app, user, session, extra)?;
    let mut response = axum::Json(body).into_response();
    name_session(app, &mut response, session);
    Ok(response)
}

/// The headers that go with every answer that carries tokens (contract, section 1.4).
pub(crate) fn name_session(app: &App, response: &mut Response, session: &Session) {
    let headers = response.headers_mut();
    for (name, id) in [("sb-auth-user-id", session.user), ("sb-auth-session-id", session.id)] {
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(HeaderName::from_static(name), id);
        }
    }
    let (name, value) = app.refresh_tokens.described(session);
    headers.insert(HeaderName::from_static(name), value);
}
