//! Parts of a request, turned into types that prove something. Refusals are [`ApiError`]s.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base::json::is_deeper;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::App;
use crate::db::sessions::{self, Session};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};

const JSON_LIMIT: usize = 1 << 20;
const FORM_LIMIT: usize = 64 << 10;
/// S-96.
const JSON_DEPTH: usize = 32;

/// A JSON object: of the right type, not too long, not too deep, no member twice.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Answer<Self> {
        let kind = content_type(request.headers()).map(str::to_owned);
        let body = read(request, JSON_LIMIT).await?;
        // A browser sends `text/plain` across origins without asking first; JSON it must ask for (S-69).
        if kind.is_some_and(|kind| kind != "application/json") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "bad_json", "The body must be application/json"));
        }
        let first = body.iter().find(|b| !b.is_ascii_whitespace());
        if first != Some(&b'{') || is_deeper(&body, JSON_DEPTH) {
            return Err(ApiError::bad_json("Could not parse request body as JSON: an object is expected"));
        }
        let parsed = serde_json::from_slice(&body);
        parsed.map(Self).map_err(|_| ApiError::bad_json("Could not parse request body as JSON"))
    }
}

/// A form as browsers post it.
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Answer<Self> {
        if content_type(request.headers()) != Some("application/x-www-form-urlencoded") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "validation_failed", "The body must be a form"));
        }
        let body = read(request, FORM_LIMIT).await?;
        let text = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("The form is not UTF-8"))?;
        let uri = format!("/?{text}").parse().map_err(|_| ApiError::invalid("The form cannot be read"))?;
        let form = Query::try_from_uri(&uri).map_err(|_| ApiError::invalid("The form cannot be read"))?;
        Ok(Self(form.0))
    }
}

/// The query, with no known parameter twice.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Answer<Self> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|_| ApiError::invalid("The query cannot be read"))
    }
}

/// The person whose living token came with the request.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) session: Session,
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let token = bearer(&parts.headers)?;
        let now = app.clock.now();
        let bad = |text: &'static str| ApiError::new(StatusCode::FORBIDDEN, "bad_jwt", text);
        let unverified = "invalid JWT: unable to parse or verify signature";
        let claims = app.signer.verify(token, now).ok_or_else(|| bad(unverified))?;
        let sub = claims.sub.ok_or_else(|| bad("invalid claim: missing sub claim"))?;
        let user = Uuid::parse_str(&sub).map_err(|_| {
            ApiError::new(StatusCode::BAD_REQUEST, "bad_jwt", "invalid claim: sub claim must be a UUID")
        })?;
        let session = claims.session_id.and_then(|id| Uuid::parse_str(&id).ok());
        let session = session.ok_or_else(|| bad("invalid claim: session_id claim must be a UUID"))?;
        let refuse = |code, text: &'static str| ApiError::new(StatusCode::FORBIDDEN, code, text);
        app.db
            .read(move |db| {
                let user = users::find(db, user)?
                    .ok_or_else(|| refuse("user_not_found", "User from sub claim in JWT does not exist"))?;
                if user.is_banned(now) {
                    return Err(refuse("user_banned", "User is banned"));
                }
                let gone =
                    || refuse("session_not_found", "Session from session_id claim in JWT does not exist");
                let session = sessions::find(db, session)?.filter(|s| s.user == user.id).ok_or_else(gone)?;
                Ok(Self { user, session })
            })
            .await
    }
}

/// The one bearer of a request; 401 if there is none, or several.
pub(crate) fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none()).and_then(|value| value.to_str().ok());
    let token = only.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
        fits.then_some(token)
    });
    token.ok_or_else(|| {
        let text = "This endpoint requires a valid Bearer token";
        ApiError::new(StatusCode::UNAUTHORIZED, "no_authorization", text)
    })
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("unreadable");
    Some(value.split(';').next().unwrap_or_default().trim())
}

/// The body up to `limit` bytes. A little more is read and dropped, so that a client that sends first and reads
/// afterwards sees the refusal.
async fn read(request: Request, limit: usize) -> Answer<Bytes> {
    let text = "Request body is too large";
    let too_large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "request_entity_too_large", text);
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > 2 * limit) {
        return Err(too_large());
    }
    let mut body: Body = request.into_body();
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_json("The body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen > 2 * limit {
            break;
        }
        if seen <= limit {
            kept.extend_from_slice(&data);
        }
    }
    if seen > limit { Err(too_large()) } else { Ok(kept.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_one_token_behind_one_space() {
        let parse = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).ok().map(str::to_owned)
        };
        assert_eq!(parse(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(parse(&["bEARER abc"]).as_deref(), Some("abc"));
        for wrong in
            [&[][..], &["Bearer"], &["Bearer "], &["Bearer  abc"], &["Basic abc"], &["Bearer a", "Bearer b"]]
        {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
