//! Second factors: authenticator apps (contract, section 2.15; RFC 6238).

mod totp;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use totp::METHOD;

use crate::App;
use crate::db::factors::{self, CHALLENGE_LIFETIME, Factor};
use crate::db::sessions::{self, Session};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Caller, Json};
use crate::token::{self, Extra, present};

/// Factors of one person, those included that were never verified.
const MOST: usize = 10;
/// Bytes of a name.
const LONGEST_NAME: usize = 255;

fn unprocessable(code: &'static str, text: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, text)
}

/// The caller, who is no anonymous person.
pub(crate) struct Member(Caller);

impl FromRequestParts<App> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.user.is_anonymous {
            let text = "Anonymous user not allowed to perform these actions";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "no_authorization", text));
        }
        Ok(Self(caller))
    }
}

/// The factor that the path names, which is the caller's own: another's is answered like an unknown one (S-102).
pub(crate) struct Own {
    caller: Caller,
    factor: Factor,
}

impl FromRequestParts<App> for Own {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Member(caller) = Member::from_request_parts(parts, app).await?;
        let path = Path::<String>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(id)| Uuid::parse_str(&id).ok()).ok_or_else(no_id)?;
        let factor = caller.user.factors.iter().find(|factor| factor.id == id).cloned();
        Ok(Self { factor: factor.ok_or_else(unknown)?, caller })
    }
}

/// The refusal of a path whose factor is no UUID.
pub(crate) fn no_id() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "validation_failed", "factor_id must be an UUID")
}

/// The refusal of a factor that is not there.
pub(crate) fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "mfa_factor_not_found", "Factor not found")
}

#[derive(Deserialize)]
pub(crate) struct EnrollBody {
    factor_type: Option<String>,
    friendly_name: Option<String>,
    issuer: Option<String>,
}

/// `POST /factors`: the only answer that ever shows the secret.
#[tracing::instrument(name = "factor.enroll", skip_all)]
pub(crate) async fn enroll(
    State(app): State<App>,
    Member(caller): Member,
    Json(body): Json<EnrollBody>,
) -> Answer<axum::Json<Value>> {
    match body.factor_type.as_deref() {
        Some("totp") if app.settings.totp => {}
        Some("totp") => {
            return Err(unprocessable("mfa_totp_enroll_not_enabled", "MFA enroll is disabled for TOTP"));
        }
        Some("phone") => {
            return Err(unprocessable("mfa_phone_enroll_not_enabled", "MFA enroll is disabled for Phone"));
        }
        Some("webauthn") => {
            return Err(unprocessable(
                "mfa_webauthn_enroll_not_enabled",
                "MFA enroll is disabled for WebAuthn",
            ));
        }
        _ => return Err(ApiError::invalid("factor_type needs to be totp, phone, or webauthn")),
    }
    let name = body.friendly_name.unwrap_or_default();
    let issuer = present(body.issuer).unwrap_or_else(|| app.redirects.site_host());
    if name.len() > LONGEST_NAME || issuer.len() > LONGEST_NAME {
        return Err(ApiError::invalid("friendly_name and issuer may have 255 bytes"));
    }
    let account = caller.user.email.clone().unwrap_or_else(|| caller.user.id.to_string());
    let new = totp::Enrolment::draw(&app, issuer, account)?;
    let (now, id) = (app.clock.now(), app.entropy.uuid());
    let factor = Factor {
        id,
        user: caller.user.id,
        friendly_name: name.clone(),
        secret: totp::seal(&app, id, &new),
        verified: false,
        wrong_tries: 0,
        tried_at: None,
        last_challenged_at: None,
        created_at: now,
        updated_at: now,
    };
    app.db
        .write(move |db| {
            may_enroll(&factors::of_user(db, factor.user)?, &factor.friendly_name, &caller.session)?;
            Ok::<_, ApiError>(factors::insert(db, &factor)?)
        })
        .await?;
    Ok(axum::Json(json!({"id": id, "type": "totp", "friendly_name": name, "totp": new.body()?})))
}

fn may_enroll(known: &[Factor], name: &str, session: &Session) -> Answer<()> {
    if known.iter().any(|factor| factor.friendly_name == name) {
        let text = "A factor with this friendly name exists already";
        return Err(unprocessable("mfa_factor_name_conflict", text));
    }
    if known.len() >= MOST {
        let text = "There are as many factors as one person may have: unenroll one first";
        return Err(unprocessable("too_many_enrolled_mfa_factors", text));
    }
    if known.iter().any(|factor| factor.verified) && !session.is_aal2() {
        let text = "AAL2 required to enroll a new factor";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "insufficient_aal", text));
    }
    Ok(())
}

/// `POST /factors/{id}/challenge`
#[tracing::instrument(name = "factor.challenge", skip_all)]
pub(crate) async fn challenge(State(app): State<App>, Own { factor, .. }: Own) -> Answer<axum::Json<Value>> {
    must_be_on(&app)?;
    let (now, id) = (app.clock.now(), app.entropy.uuid());
    app.db.write(move |db| Ok::<_, ApiError>(factors::challenge(db, factor.id, id, now)?)).await?;
    let expires_at = (now + CHALLENGE_LIFETIME).unix_timestamp();
    Ok(axum::Json(json!({"id": id, "type": "totp", "expires_at": expires_at})))
}

fn must_be_on(app: &App) -> Answer<()> {
    if app.settings.totp {
        return Ok(());
    }
    Err(unprocessable("mfa_totp_verify_not_enabled", "MFA verification is disabled for TOTP"))
}

#[derive(Deserialize)]
pub(crate) struct VerifyBody {
    challenge_id: Option<Uuid>,
    code: Option<Secret<String>>,
}

/// `POST /factors/{id}/verify`: the session rises to aal2, with a new refresh token.
#[tracing::instrument(name = "factor.verify", skip_all)]
pub(crate) async fn verify(
    State(app): State<App>,
    Own { caller, factor }: Own,
    Json(body): Json<VerifyBody>,
) -> Answer<Response> {
    let code = body.code.filter(|code| !code.expose().is_empty());
    let code = code.ok_or_else(|| ApiError::invalid("Code needs to be non-empty"))?;
    must_be_on(&app)?;
    let now = app.clock.now();
    let proof = Proof { challenge: body.challenge_id.unwrap_or_default(), code, now };
    let (context, session) = (app.clone(), caller.session.id);
    let (user, session) = app.db.write(move |db| proof.redeem(db, &context, factor.id, session)).await??;
    Ok(axum::Json(token::tokens(&app, &user, &session, Extra::default())?).into_response())
}

/// A code that was shown, and the challenge it answers.
struct Proof {
    challenge: Uuid,
    code: Secret<String>,
    now: OffsetDateTime,
}

impl Proof {
    /// Judges and redeems in one transaction. The inner error keeps what was counted, the outer one nothing.
    fn redeem(
        self,
        db: &Connection,
        app: &App,
        factor: Uuid,
        session: Uuid,
    ) -> Answer<Answer<(User, Session)>> {
        let now = self.now;
        let gone = || {
            let text = "Session from session_id claim in JWT does not exist";
            ApiError::new(StatusCode::FORBIDDEN, "session_not_found", text)
        };
        let mut session = sessions::find(db, session)?.ok_or_else(gone)?;
        let known = factors::of_user(db, session.user)?.into_iter().find(|known| known.id == factor);
        let factor = known.ok_or_else(unknown)?;
        let text = "MFA factor with the provided challenge ID not found";
        let missing = || unprocessable("mfa_factor_not_found", text);
        let (opened_at, used) =
            factors::find_challenge(db, factor.id, self.challenge)?.ok_or_else(missing)?;
        if used || opened_at + CHALLENGE_LIFETIME <= now {
            let text = "MFA challenge has expired or was met, open another one";
            return Err(unprocessable("mfa_challenge_expired", text));
        }
        if let Some(until) = factor.rests_until(now) {
            let seconds = u32::try_from((until - now).whole_seconds()).unwrap_or(u32::MAX).saturating_add(1);
            let text = "Too many codes were wrong";
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "over_request_rate_limit", text);
            return Err(error.retry_after(seconds));
        }
        let step = totp::step_of(app, &factor, &self.code, now)?;
        let accepted = match step {
            Some(step) => factors::accept_step(db, factor.id, step, now)?,
            None => false,
        };
        if !accepted || !factors::use_challenge(db, self.challenge)? {
            factors::count_try(db, factor.id, now)?;
            return Ok(Err(unprocessable("mfa_verification_failed", "Invalid TOTP code entered")));
        }
        session.raise(factor.id, METHOD, now);
        sessions::save(db, &session)?;
        app.refresh_tokens.replace(db, None, &session, now)?;
        sessions::end_aal1(db, session.user, session.id)?;
        factors::delete_of_user(db, session.user, false)?;
        let user = users::find(db, session.user)?.ok_or_else(gone)?;
        Ok(Ok((user, session)))
    }
}

/// `DELETE /factors/{id}`
#[tracing::instrument(name = "factor.unenroll", skip_all)]
pub(crate) async fn unenroll(
    State(app): State<App>,
    Own { caller, factor }: Own,
) -> Answer<axum::Json<Value>> {
    if factor.verified && !caller.session.is_aal2() {
        return Err(unprocessable("insufficient_aal", "AAL2 required to unenroll verified factor"));
    }
    let id = factor.id;
    app.db.write(move |db| Ok::<_, ApiError>(remove(db, id)?)).await?;
    Ok(axum::Json(json!({"id": id})))
}

/// Removes a factor; the sessions that it raised fall back to aal1.
pub(crate) fn remove(db: &Connection, factor: Uuid) -> rusqlite::Result<()> {
    sessions::lower(db, factor, METHOD)?;
    factors::delete(db, factor)
}
