//! Links and digits of mails, redeemed once: `GET` and `POST /verify` (contract, section 2.7).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::account::confirm;
use crate::address::{self, HALF_DONE};
use crate::db::flows;
use crate::db::one_time::{self as secrets, Kind, Redeemed};
use crate::db::sessions::Session;
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Json, Params};
use crate::mailing::PKCE_PREFIX;
use crate::redirect::{with_fragment, with_query};
use crate::token::{self, Extra, begin_session, digest_of, present};
use crate::{App, email};

/// S-75: digits are short, so they live shorter than links.
pub(crate) const CODE_LIFETIME: Duration = Duration::minutes(10);

/// Which secrets a `type` opens; `None` for a type that does not exist here.
fn kinds(word: &str) -> Option<&'static [Kind]> {
    match word {
        "signup" | "invite" => Some(&[Kind::Confirmation]),
        "recovery" | "magiclink" => Some(&[Kind::Recovery]),
        "email_change" => Some(&[Kind::NewAddress, Kind::CurrentAddress]),
        "email" => Some(&[Kind::Confirmation, Kind::Recovery]),
        _ => None,
    }
}

#[derive(Deserialize)]
pub(crate) struct VerifyBody {
    r#type: Option<String>,
    token: Option<Secret<String>>,
    token_hash: Option<Secret<String>>,
    email: Option<String>,
    phone: Option<String>,
    redirect_to: Option<String>,
}

/// How a secret is presented.
enum Proof {
    Link(String),
    Digits { address: String, code_mac: String },
}

/// `POST /verify`: a hash alone, or digits with the address they were sent to.
#[tracing::instrument(name = "verify.post", skip_all)]
pub(crate) async fn redeem(State(app): State<App>, Json(body): Json<VerifyBody>) -> Answer<Response> {
    let word =
        present(body.r#type).ok_or_else(|| ApiError::invalid("Verify requires a verification type"))?;
    let filled = |value: Option<Secret<String>>| value.filter(|value| !value.expose().is_empty());
    let (address, phone) = (present(body.email), present(body.phone));
    let (kinds, proof) = match (filled(body.token_hash), filled(body.token)) {
        (Some(hash), None) if address.is_none() && phone.is_none() && present(body.redirect_to).is_none() => {
            let kinds = kinds(&word).ok_or_else(|| ApiError::invalid("Unsupported verification type"))?;
            (kinds, Proof::Link(digest_of(hash.expose())))
        }
        (None, Some(code)) if phone.is_none() => {
            let text = "Only an email address or phone number should be provided on verify";
            let address = address.ok_or_else(|| ApiError::invalid(text))?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let invalid = || ApiError::new(status, "validation_failed", "Invalid email format");
            let address = email::normalise(&address).ok_or_else(invalid)?;
            let code_mac = app.code_mac(&address, code.expose());
            (kinds(&word).ok_or_else(ApiError::otp_expired)?, Proof::Digits { address, code_mac })
        }
        (None, Some(_)) => return Err(ApiError::otp_expired()),
        _ => {
            let text = "Only the token_hash and type, or the token with an email address, should be provided";
            return Err(ApiError::invalid(text));
        }
    };
    let (now, session) = (app.clock.now(), app.draw_session());
    let context = app.clone();
    let identity = app.entropy.uuid();
    let done = app
        .db
        .write(move |db| {
            let Some(redeemed) = find(db, &context, kinds, &proof, now)? else {
                return Ok(Err(ApiError::otp_expired())); // the try that was counted is kept
            };
            if let Some(flow) = redeemed.flow {
                flows::delete(db, flow)?;
            }
            let Some(user) = admit(db, &context, &redeemed, identity, now)? else { return Ok(Ok(None)) };
            begin_session(db, user, session, "otp", now).map(Some).map(Ok)
        })
        .await??;
    let Some((user, session)) = done else {
        return Ok(axum::Json(json!({"msg": HALF_DONE, "code": "200"})).into_response());
    };
    token::answer(&app, &user, &session, Extra::default())
}

fn find(
    db: &Connection,
    app: &App,
    kinds: &[Kind],
    proof: &Proof,
    now: OffsetDateTime,
) -> rusqlite::Result<Option<Redeemed>> {
    let lifetime = app.settings.otp_lifetime;
    for kind in kinds {
        let found = match proof {
            Proof::Link(digest) => secrets::redeem_link(db, *kind, digest, now - lifetime)?,
            Proof::Digits { address, code_mac } => {
                secrets::redeem_code(db, *kind, address, code_mac, now - lifetime.min(CODE_LIFETIME))?
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    if let Proof::Digits { address, .. } = proof {
        secrets::count_try(db, address)?;
    }
    Ok(None)
}

/// The person behind a redeemed secret: whoever reads the mail has proved the address, and nothing else is
/// outstanding any more. `None` after the first half of a change of address, which lets nobody in.
fn admit(
    db: &Connection,
    app: &App,
    redeemed: &Redeemed,
    identity: Uuid,
    now: OffsetDateTime,
) -> Answer<Option<User>> {
    let mut user = users::find(db, redeemed.user)?.ok_or_else(ApiError::otp_expired)?;
    if user.is_banned(now) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "user_banned", "User is banned"));
    }
    if let Kind::NewAddress | Kind::CurrentAddress = redeemed.kind {
        let changed = address::proved(db, app, &mut user, redeemed, identity, now)?;
        return Ok(changed.then_some(user));
    }
    secrets::void_all(db, user.id)?;
    confirm(&mut user, now);
    Ok(Some(user))
}

#[derive(Deserialize)]
pub(crate) struct LinkQuery {
    token: Option<String>,
    r#type: Option<String>,
    redirect_to: Option<String>,
}

/// What an opened link leads to.
enum Opened {
    Session(Box<User>, Session),
    Code,
    Half,
}

/// `GET /verify`: a link of a mail. Always goes on to the target, with what came of it.
#[tracing::instrument(name = "verify.get", skip_all)]
pub(crate) async fn open_link(State(app): State<App>, Params(query): Params<LinkQuery>) -> Answer<Response> {
    let (Some(link), Some(word)) = (present(query.token), present(query.r#type)) else {
        return Err(ApiError::invalid("Verify requires a token and a verification type"));
    };
    let target = app.redirects.choose(query.redirect_to.as_deref());
    let pkce = link.starts_with(PKCE_PREFIX);
    let (now, session, code) = (app.clock.now(), app.draw_session(), app.entropy.uuid().to_string());
    let (context, code_digest) = (app.clone(), digest_of(&code));
    let (kind, identity) = (word.clone(), app.entropy.uuid());
    let opened = app.db.write(move |db| {
        let kinds = kinds(&word).ok_or_else(ApiError::otp_expired)?;
        let proof = Proof::Link(digest_of(&link));
        let redeemed = find(db, &context, kinds, &proof, now)?.ok_or_else(ApiError::otp_expired)?;
        let Some(user) = admit(db, &context, &redeemed, identity, now)? else { return Ok(Opened::Half) };
        if !pkce {
            let (user, session) = begin_session(db, user, session, "otp", now)?;
            return Ok::<_, ApiError>(Opened::Session(Box::new(user), session));
        }
        users::save(db, &user)?;
        let flow = redeemed.flow.map(|flow| flows::find(db, flow)).transpose()?.flatten();
        let text = "No valid flow state found";
        let flow =
            flow.ok_or_else(|| ApiError::new(StatusCode::BAD_REQUEST, "flow_state_not_found", text))?;
        flows::issue_code(db, flow.id, user.id, &code_digest, None, now)?;
        Ok::<_, ApiError>(Opened::Code)
    });
    match opened.await {
        Ok(Opened::Code) => Ok(see_other(&with_query(&target, &[("code", &code)]))),
        Ok(Opened::Session(user, session)) => {
            let tokens = token::tokens(&app, &user, &session, Extra::default())?;
            let mut response = see_other(&tokens_in_fragment(&target, &tokens, Some(&kind)));
            token::name_session(&app, &mut response, &session);
            Ok(response)
        }
        Ok(Opened::Half) => {
            let mut pairs = vec![("message", HALF_DONE)];
            let target = if pkce { with_query(&target, &pairs) } else { target };
            pairs.push(("sb", ""));
            Ok(see_other(&with_fragment(&target, &pairs)))
        }
        Err(error) if error.status() == StatusCode::INTERNAL_SERVER_ERROR => Err(error),
        Err(error) => Ok(see_other(&refused(&target, &error, pkce))),
    }
}

/// The target with tokens in its fragment, keys in order; `sb` marks whose they are.
pub(crate) fn tokens_in_fragment(
    target: &str,
    tokens: &crate::wire::SessionBody,
    kind: Option<&str>,
) -> String {
    let (expires_at, expires_in) = (tokens.expires_at.to_string(), tokens.expires_in.to_string());
    let mut pairs = vec![
        ("access_token", tokens.access_token.as_str()),
        ("expires_at", &expires_at),
        ("expires_in", &expires_in),
    ];
    if let Some(refresh_token) = &tokens.provider_refresh_token {
        pairs.push(("provider_refresh_token", refresh_token));
    }
    if let Some(provider_token) = &tokens.provider_token {
        pairs.push(("provider_token", provider_token));
    }
    pairs.extend([("refresh_token", tokens.refresh_token.as_str()), ("sb", ""), ("token_type", "bearer")]);
    pairs.extend(kind.map(|kind| ("type", kind)));
    with_fragment(target, &pairs)
}

/// The target with a refusal in its fragment and, for a PKCE link, in its query too.
fn refused(target: &str, error: &ApiError, in_query: bool) -> String {
    let mut pairs = Vec::new();
    pairs.extend(error.redirect_word().map(|word| ("error", word)));
    pairs.extend([("error_code", error.code()), ("error_description", error.text())]);
    let target = if in_query { with_query(target, &pairs) } else { target.to_owned() };
    pairs.push(("sb", ""));
    with_fragment(&target, &pairs)
}

/// 303, with the address as it stands.
pub(crate) fn see_other(location: &str) -> Response {
    redirect(StatusCode::SEE_OTHER, location)
}

/// A redirect without a body.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    match axum::http::HeaderValue::from_str(location) {
        Ok(location) => (status, [(axum::http::header::LOCATION, location)]).into_response(),
        Err(error) => ApiError::internal(error).into_response(),
    }
}
