//! `PUT /user`: what people change about themselves (contract, section 2.12).

use axum::extract::State;
use axum::http::StatusCode;
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use crate::account::{RedirectQuery, confirm, email_identity};
use crate::address::{Change, taken};
use crate::db::micros;
use crate::db::one_time::{self as secrets, Kind};
use crate::db::sessions::{self, Scope, Session};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Caller, Json, Params};
use crate::one_time::CODE_LIFETIME;
use crate::password::{self, Verified};
use crate::people::merge;
use crate::pkce::Challenge;
use crate::token::present;
use crate::wire::UserBody;
use crate::{App, email};

/// Fields that are not here have no effect, but for `app_metadata`, which is refused (S-78).
#[derive(Deserialize)]
pub(crate) struct UpdateBody {
    email: Option<String>,
    phone: Option<String>,
    password: Option<Secret<String>>,
    current_password: Option<Secret<String>>,
    nonce: Option<Secret<String>>,
    data: Option<Map<String, Value>>,
    app_metadata: Option<Value>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// What is left to do inside the transaction.
struct Update {
    email: Option<String>,
    change: Change,
    /// Digits that have to be redeemed, as `code_mac`.
    nonce: Option<String>,
    /// The new hash, and the one it replaces.
    hash: Option<(String, Option<String>)>,
    data: Map<String, Value>,
    identity: uuid::Uuid,
}

/// `PUT /user`
#[tracing::instrument(name = "user.update", skip_all)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<UpdateBody>,
) -> Answer<axum::Json<UserBody>> {
    let unprocessable =
        |code, text: &'static str| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, text);
    if body.app_metadata.is_some() {
        let text = "Updating app_metadata requires admin privileges";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_admin", text));
    }
    if present(body.phone).is_some() {
        let text = "Phone numbers are not offered here";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "phone_provider_disabled", text));
    }
    let address = present(body.email).map(|address| email::require(&address)).transpose()?;
    let address = address.filter(|address| caller.user.email.as_ref() != Some(address));
    let sets_password = body.password.as_ref().is_some_and(|password| !password.expose().is_empty());
    let guarded = sets_password || address.is_some();
    if guarded && caller.user.has_factor() && !caller.session.is_aal2() {
        let text = "AAL2 session is required to update email or password when MFA is enabled.";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "insufficient_aal", text));
    }
    if body.password.is_some() && caller.user.email.is_none() && address.is_none() {
        let text = "Updating password of an anonymous user without an email or phone is not allowed";
        return Err(unprocessable("validation_failed", text));
    }
    let nonce = match &body.password {
        Some(_) if asks_nonce(&app, &caller.session) => Some(nonce_mac(&app, &caller, body.nonce)?),
        _ => None,
    };
    let challenge = Challenge::read(body.code_challenge.as_deref(), body.code_challenge_method.as_deref())?;
    let change = Change::draw(&app, challenge, app.redirects.choose(query.redirect_to.as_deref()));
    let hash = match body.password {
        Some(password) => Some(new_password(&app, &caller, password, body.current_password).await?),
        None => None,
    };
    let update = Update {
        email: address,
        change: change.clone(),
        nonce,
        hash,
        data: body.data.unwrap_or_default(),
        identity: app.entropy.uuid(),
    };
    let (now, session, context) = (app.clock.now(), caller.session, app.clone());
    let id = caller.user.id;
    let user = app.db.write(move |db| {
        let gone = || {
            let text = "User from sub claim in JWT does not exist";
            ApiError::new(StatusCode::FORBIDDEN, "user_not_found", text)
        };
        let mut user = users::find(db, id)?.ok_or_else(gone)?;
        let done = update.apply(db, &context, &mut user, &session, now)?;
        Ok::<_, ApiError>(done.map(|mails| (user, mails)))
    });
    let (user, mails) = user.await??;
    if mails {
        change.send(&app, &user, now);
    }
    Ok(axum::Json(UserBody::from(&user)))
}

/// A session counts as fresh for a day (contract, section 2.12).
fn asks_nonce(app: &App, session: &Session) -> bool {
    app.settings.require_reauthentication && session.created_at + Duration::days(1) < app.clock.now()
}

fn nonce_mac(app: &App, caller: &Caller, nonce: Option<Secret<String>>) -> Answer<String> {
    let text = "Password update requires reauthentication";
    let missing = || ApiError::new(StatusCode::BAD_REQUEST, "reauthentication_needed", text);
    let nonce = nonce.filter(|nonce| !nonce.expose().is_empty()).ok_or_else(missing)?;
    Ok(app.code_mac(caller.user.email.as_deref().unwrap_or_default(), nonce.expose()))
}

/// Judges a new password; the answer is its hash, and the one it was judged against.
async fn new_password(
    app: &App,
    caller: &Caller,
    password: Secret<String>,
    current: Option<Secret<String>>,
) -> Answer<(String, Option<String>)> {
    let own: Vec<_> = caller.user.email.iter().map(String::as_str).collect();
    password::check(&app.settings.password, password.expose(), &own)?;
    let stored = caller.user.password.clone();
    if stored.is_some() {
        let by_mail = ["otp", "magiclink", "recovery"];
        let proved = caller.session.amr.iter().any(|proof| by_mail.contains(&proof.method.as_str()));
        if app.settings.require_current_password && !proved {
            let refused = |code| {
                let text = "Current password is required to set a new password and has to be right";
                ApiError::new(StatusCode::BAD_REQUEST, code, text)
            };
            let current = current.ok_or_else(|| refused("current_password_required"))?;
            if app.hasher.verify(current, stored.clone()).await? == Verified::No {
                return Err(refused("current_password_invalid"));
            }
        }
        if app.hasher.verify(password.clone(), stored.clone()).await? != Verified::No {
            let text = "New password should be different from the old password.";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "same_password", text));
        }
    }
    Ok((app.hasher.hash(password).await?, stored))
}

impl Update {
    /// `true` if mails have to be sent. The inner error keeps the try that was counted.
    fn apply(
        self,
        db: &Connection,
        app: &App,
        user: &mut User,
        session: &Session,
        now: OffsetDateTime,
    ) -> Answer<Answer<bool>> {
        if let Some(mac) = self.nonce {
            let address = user.email.clone().unwrap_or_default();
            let oldest = now - app.settings.otp_lifetime.min(CODE_LIFETIME);
            if secrets::redeem_code(db, Kind::Reauthentication, &address, &mac, oldest)?.is_none() {
                secrets::count_try(db, &address)?;
                let (status, text) = (StatusCode::UNPROCESSABLE_ENTITY, "Nonce has expired or is invalid");
                return Ok(Err(ApiError::new(status, "reauthentication_not_valid", text)));
            }
        }
        if let Some((hash, replaced)) = self.hash {
            if user.password != replaced {
                let text = "The password was changed by another request";
                return Err(ApiError::new(StatusCode::CONFLICT, "conflict", text));
            }
            user.password = Some(hash);
            sessions::end(db, user.id, Scope::Others(session.id))?;
            secrets::void_all(db, user.id)?;
            user.reauthentication_sent_at = None;
        }
        merge(&mut user.user_metadata, self.data);
        user.updated_at = micros(now);
        if let Some(address) = self.email {
            if users::is_taken(db, &address, user.id)? {
                return Err(taken());
            }
            if !user.is_anonymous || app.settings.confirm_email {
                self.change.prepare(db, app, user, address, now)?;
                return Ok(Ok(true));
            }
            user.is_anonymous = false;
            user.identities.push(email_identity(self.identity, user.id, &address, Map::new(), now));
            user.email = Some(address);
            user.refresh_providers();
            confirm(user, now);
            user.email_proven = false;
        }
        users::save(db, user)?;
        Ok(Ok(false))
    }
}
