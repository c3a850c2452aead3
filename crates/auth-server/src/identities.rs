//! Whose account is it? An identity is issuer and subject; an address opens an account only where both sides proved
//! it (S-79, S-102; contract, section 2.6).

use axum::http::StatusCode;
use rusqlite::Connection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::App;
use crate::account::{confirm, give_default_role, take_over};
use crate::db::micros;
use crate::db::users::{self, Identity, User};
use crate::error::{Answer, ApiError};
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
