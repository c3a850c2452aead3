//! Whose account is it? An identity is issuer and subject; an address opens an account only where both sides proved
//! it (S-79, S-102; contract, section 2.6).

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use rusqlite::Connection;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::App;
use crate::account::{confirm, give_default_role, take_over};
use crate::db::micros;
use crate::db::one_time as secrets;
use crate::db::users::{self, Identity, User};
use crate::error::{Answer, ApiError};
use crate::http::Caller;
use crate::mailing::Mailing;
use crate::providers::Profile;

/// Random values that a match may need, drawn beforehand.
pub(crate) struct Drawn {
    pub(crate) user: Uuid,
    pub(crate) identity: Uuid,
    pub(crate) mailing: Mailing,
}

/// What came of a provider's answer.
pub(crate) enum Matched {
    /// The person is in; not saved yet.
    In(Box<User>),
    /// The account waits for its address to be confirmed; `true` if a mail has to be sent for that.
    Unconfirmed { email: String, mail: bool },
}

/// Finds or makes the account that `profile` belongs to. Runs inside one write transaction.
pub(crate) fn sign_in(
    db: &Connection,
    app: &App,
    provider: &str,
    profile: &Profile,
    drawn: &Drawn,
    now: OffsetDateTime,
) -> Answer<Matched> {
    let no_email = || ApiError::internal("the provider gave no address");
    let email = profile.email.as_deref().and_then(crate::email::normalise).ok_or_else(no_email)?;
    let identity = identity(provider, profile, &email, drawn.identity, now);

    if let Some(mut user) = users::find_by_identity(db, &profile.issuer, &profile.subject)? {
        refuse_banned(&user, now)?;
        renew(&mut user, identity);
        if user.email_confirmed_at.is_none() && profile.email_verified && user.email.as_ref() == Some(&email)
        {
            confirm(&mut user, now);
        }
        return settle(db, app, user, drawn, now);
    }

    let Some(mut user) = users::find_by_email(db, &email)? else {
        if !app.settings.sign_up {
            let text = "Signups not allowed for this instance";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "signup_disabled", text));
        }
        let mut user = User::new(drawn.user, now);
        user.email = Some(email);
        add(&mut user, identity);
        give_default_role(app, &mut user);
        if profile.email_verified {
            user.email_confirmed_at = Some(user.created_at);
            user.email_proven = true;
        } else if !app.settings.confirm_email {
            user.email_confirmed_at = Some(user.created_at);
        }
        return settle(db, app, user, drawn, now);
    };
    if !profile.email_verified {
        return Err(needs_verification());
    }
    refuse_banned(&user, now)?;
    if !user.email_proven {
        take_over(db, &mut user)?;
        user.email_confirmed_at = Some(micros(now));
        user.email_proven = true;
    }
    add(&mut user, identity);
    Ok(Matched::In(Box::new(user)))
}

/// The refusal of an address that the provider does not vouch for.
pub(crate) fn needs_verification() -> ApiError {
    let text =
        "Unverified email with provider. Confirm the address there, or open the link that was sent to it.";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "provider_email_needs_verification", text)
}

fn refuse_banned(user: &User, now: OffsetDateTime) -> Answer<()> {
    if user.is_banned(now) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "user_banned", "User is banned"));
    }
    Ok(())
}

fn identity(provider: &str, profile: &Profile, email: &str, id: Uuid, now: OffsetDateTime) -> Identity {
    let now = micros(now);
    Identity {
        id,
        provider: provider.to_owned(),
        issuer: profile.issuer.clone(),
        subject: profile.subject.clone(),
        data: profile.data(provider, email),
        email: Some(email.to_owned()),
        last_sign_in_at: now,
        created_at: now,
        updated_at: now,
    }
}

/// Writes what the provider says today over what it said last time.
fn renew(user: &mut User, today: Identity) {
    user.user_metadata.extend(today.data.clone());
    let known =
        |identity: &&mut Identity| (&identity.issuer, &identity.subject) == (&today.issuer, &today.subject);
    if let Some(identity) = user.identities.iter_mut().find(known) {
        identity.data = today.data;
        identity.email = today.email;
        identity.last_sign_in_at = today.last_sign_in_at;
        identity.updated_at = today.updated_at;
    }
}

fn add(user: &mut User, identity: Identity) {
    user.user_metadata.extend(identity.data.clone());
    user.identities.push(identity);
    user.refresh_providers();
}

/// Links what a provider says to the account of `user`, who asked for it while signed in. An account without an address
/// takes the one that the provider vouches for, and is anonymous no more.
pub(crate) fn link(
    db: &Connection,
    app: &App,
    user: Uuid,
    provider: &str,
    profile: &Profile,
    drawn: &Drawn,
    now: OffsetDateTime,
) -> Answer<Matched> {
    let no_email = || ApiError::internal("the provider gave no address");
    let email = profile.email.as_deref().and_then(crate::email::normalise).ok_or_else(no_email)?;
    let gone = || unprocessable("user_not_found", "The account to link to is gone");
    let mut user = users::find(db, user)?.ok_or_else(gone)?;
    refuse_banned(&user, now)?;
    if users::find_by_identity(db, &profile.issuer, &profile.subject)?.is_some() {
        return Err(unprocessable("identity_already_exists", "Identity is already linked"));
    }
    if user.email.is_none() {
        if users::is_taken(db, &email, user.id)? {
            let text = "A user with this email address has already been registered";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "email_exists", text));
        }
        if !profile.email_verified {
            return Err(needs_verification());
        }
        user.email = Some(email.clone());
        user.is_anonymous = false;
        add(&mut user, identity(provider, profile, &email, drawn.identity, now));
        confirm(&mut user, now);
        give_default_role(app, &mut user);
    } else {
        add(&mut user, identity(provider, profile, &email, drawn.identity, now));
    }
    Ok(Matched::In(Box::new(user)))
}

/// The refusal while people may not connect identities.
pub(crate) fn must_be_on(app: &App) -> Answer<()> {
    if app.settings.linking {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "manual_linking_disabled", "Manual linking is disabled"))
}

/// The identity in a path, once linking is on.
pub(crate) struct IdentityId(Uuid);

impl FromRequestParts<App> for IdentityId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        must_be_on(app)?;
        let path = Path::<String>::from_request_parts(parts, app).await;
        let wrong =
            || ApiError::new(StatusCode::NOT_FOUND, "validation_failed", "identity_id must be an UUID");
        path.ok().and_then(|Path(id)| Uuid::parse_str(&id).ok()).map(Self).ok_or_else(wrong)
    }
}

/// `DELETE /user/identities/{id}`
#[tracing::instrument(name = "identity.unlink", skip_all)]
pub(crate) async fn unlink(
    State(app): State<App>,
    caller: Caller,
    IdentityId(id): IdentityId,
) -> Answer<axum::Json<Value>> {
    let (now, user) = (app.clock.now(), caller.user.id);
    app.db
        .write(move |db| {
            let gone = || {
                let text = "User from sub claim in JWT does not exist";
                ApiError::new(StatusCode::FORBIDDEN, "user_not_found", text)
            };
            let mut user = users::find(db, user)?.ok_or_else(gone)?;
            remove(db, &mut user, id)?;
            user.updated_at = micros(now);
            Ok::<_, ApiError>(users::save(db, &user)?)
        })
        .await?;
    Ok(axum::Json(json!({})))
}

/// Removes an identity. If none is left that has the address of the account, the account takes the address of another
/// one that its provider vouches for.
fn remove(db: &Connection, user: &mut User, id: Uuid) -> Answer<()> {
    if user.identities.len() <= 1 {
        let text = "User must have at least 1 identity after unlinking";
        return Err(unprocessable("single_identity_not_deletable", text));
    }
    let known = user.identities.iter().position(|identity| identity.id == id);
    let at = known.ok_or_else(|| unprocessable("identity_not_found", "Identity doesn't exist"))?;
    user.identities.remove(at);
    user.refresh_providers();
    if user.identities.iter().any(|identity| identity.email == user.email) {
        return Ok(());
    }
    let vouched = |identity: &&Identity| identity.data.get("email_verified") == Some(&Value::Bool(true));
    for identity in user.identities.iter().filter(vouched) {
        let Some(email) = identity.email.clone() else { continue };
        if !users::is_taken(db, &email, user.id)? {
            user.email_proven = identity.provider != "email";
            user.email = Some(email);
            user.new_email = None;
            user.email_change_half = false;
            secrets::void_all(db, user.id)?;
            return Ok(());
        }
    }
    let text = "Unable to unlink identity due to email conflict";
    Err(unprocessable("email_conflict_identity_not_deletable", text))
}

fn unprocessable(code: &'static str, text: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, text)
}

/// Lets a confirmed person in, and prepares the mail for one who is not.
fn settle(db: &Connection, app: &App, mut user: User, drawn: &Drawn, now: OffsetDateTime) -> Answer<Matched> {
    if user.email_confirmed_at.is_some() {
        return Ok(Matched::In(Box::new(user)));
    }
    let email = user.email.clone().unwrap_or_default();
    let mail = match drawn.mailing.prepare(db, app, &mut user, now) {
        Ok(()) => true,
        Err(error) if error.status() == StatusCode::TOO_MANY_REQUESTS => {
            users::save(db, &user)?;
            false
        }
        Err(error) => return Err(error),
    };
    Ok(Matched::Unconfirmed { email, mail })
}
