//! `POST /signup`, `GET /user`, `POST /logout`.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::sessions::{self, Scope, Session};
use crate::db::users::{self, Identity, User};
use crate::db::{factors, micros, one_time as secrets};
use crate::error::{Answer, ApiError};
use crate::http::{Caller, Json, Params};
use crate::limit::Bucket;
use crate::mail::MailKind;
use crate::mailing::Mailing;
use crate::pkce::Challenge;
use crate::rotation::NewSession;
use crate::token::{self, Extra, begin_session, present};
use crate::wire::{Stamp, UserBody};
use crate::{App, email, password};

#[derive(Deserialize)]
pub(crate) struct RedirectQuery {
    pub(crate) redirect_to: Option<String>,
}

/// Fields that only an administrator may set are not read: they have no effect (S-78).
#[derive(Deserialize)]
pub(crate) struct SignUpBody {
    email: Option<String>,
    phone: Option<String>,
    password: Option<Secret<String>>,
    data: Option<Map<String, Value>>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// What became of a sign-up.
enum SignedUp {
    /// With auto-confirmation: the person is in.
    In(Box<User>, Session),
    /// A mail has to be sent to this person.
    Mail(Box<User>),
    /// The address belongs to somebody, who hears nothing of it.
    Taken,
}

/// `POST /signup`
#[tracing::instrument(name = "signup", skip_all)]
pub(crate) async fn sign_up(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<SignUpBody>,
) -> Answer<Response> {
    if !app.settings.sign_up {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(ApiError::new(status, "signup_disabled", "Signups not allowed for this instance"));
    }
    let data = body.data.unwrap_or_default();
    let address = match (present(body.email), present(body.phone)) {
        (None, None) => {
            app.limits.take(Bucket::Anonymous, &headers, Some(peer), app.clock.now())?;
            return anonymous(&app, data).await;
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "Only an email address or phone number should be provided on signup.",
            ));
        }
        (email, _) => email,
    };
    let password = body.password.filter(|password| !password.expose().is_empty());
    let password = password.ok_or_else(|| ApiError::invalid("Signup requires a valid password"))?;
    password::check(
        &app.settings.password,
        password.expose(),
        &address.iter().map(String::as_str).collect::<Vec<_>>(),
    )?;
    let Some(address) = address else {
        let text = "Phone signups are disabled";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "phone_provider_disabled", text));
    };
    let address = email::require(&address)?;
    let challenge = Challenge::read(body.code_challenge.as_deref(), body.code_challenge_method.as_deref())?;
    let redirect_to = app.redirects.choose(query.redirect_to.as_deref());
    let hash = app.hasher.hash(password).await?;

    let now = app.clock.now();
    let challenge = challenge.filter(|_| app.settings.confirm_email);
    let mailing = Mailing::draw(&app, MailKind::Signup, challenge, redirect_to);
    let (user, session) = (app.entropy.uuid(), app.draw_session());
    let new = NewAccount {
        id: user,
        identity: app.entropy.uuid(),
        email: address.clone(),
        hash: Some(hash),
        data: data.clone(),
    };
    let (context, prepared) = (app.clone(), mailing.clone());
    let done = app.db.write(move |db| {
        if !context.settings.confirm_email {
            return sign_up_at_once(db, &context, new, session, now);
        }
        let mut user = match users::find_by_email(db, &new.email)? {
            Some(user) if user.email_confirmed_at.is_some() => return Ok(SignedUp::Taken),
            Some(user) => user,
            None => new.build(&context, now),
        };
        prepared.prepare(db, &context, &mut user, now)?;
        Ok(SignedUp::Mail(Box::new(user)))
    });
    match done.await? {
        SignedUp::In(user, session) => token::answer(&app, &user, &session, Extra::default()),
        SignedUp::Mail(user) => {
            mailing.send(&app, address, now);
            Ok(axum::Json(UserBody::from(&*user)).into_response())
        }
        SignedUp::Taken => Ok(axum::Json(pretend_user(&app, address, data, now)).into_response()),
    }
}

/// Somebody who is about to get an account.
pub(crate) struct NewAccount {
    pub(crate) id: Uuid,
    pub(crate) identity: Uuid,
    /// In its normal form.
    pub(crate) email: String,
    /// `None`: comes in by mail alone.
    pub(crate) hash: Option<String>,
    pub(crate) data: Map<String, Value>,
}

impl NewAccount {
    /// The account, not confirmed and not saved yet.
    pub(crate) fn build(self, app: &App, now: OffsetDateTime) -> User {
        let mut user = email_account(self.id, self.identity, &self.email, self.data, now);
        user.password = self.hash;
        give_default_role(app, &mut user);
        user
    }
}

/// Without confirmation. An account that was never confirmed belongs to nobody: it starts anew.
fn sign_up_at_once(
    db: &Connection,
    app: &App,
    new: NewAccount,
    session: NewSession,
    now: OffsetDateTime,
) -> Answer<SignedUp> {
    let id = match users::find_by_email(db, &new.email)? {
        Some(user) if user.email_confirmed_at.is_some() => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(ApiError::new(status, "user_already_exists", "User already registered"));
        }
        Some(user) => {
            users::delete(db, user.id)?;
            user.id
        }
        None => new.id,
    };
    let mut user = NewAccount { id, ..new }.build(app, now);
    confirm(&mut user, now);
    user.email_proven = false;
    let (user, session) = begin_session(db, user, session, "password", now)?;
    Ok(SignedUp::In(Box::new(user), session))
}

/// A person with an address, not confirmed yet, and the identity that goes with it.
pub(crate) fn email_account(
    id: Uuid,
    identity: Uuid,
    email: &str,
    data: Map<String, Value>,
    now: OffsetDateTime,
) -> User {
    let mut user = User::new(id, now);
    let identity = email_identity(identity, id, email, data, now);
    user.email = Some(email.to_owned());
    user.user_metadata = identity.data.clone();
    user.identities.push(identity);
    user.refresh_providers();
    user
}

/// The identity of an address: its subject is the person.
pub(crate) fn email_identity(
    id: Uuid,
    user: Uuid,
    email: &str,
    data: Map<String, Value>,
    now: OffsetDateTime,
) -> Identity {
    let (mut data, now) = (data, micros(now));
    data.insert("sub".to_owned(), user.to_string().into());
    data.insert("email".to_owned(), email.into());
    data.insert("email_verified".to_owned(), false.into());
    data.insert("phone_verified".to_owned(), false.into());
    Identity {
        id,
        provider: "email".to_owned(),
        issuer: "email".to_owned(),
        subject: user.to_string(),
        data,
        email: Some(email.to_owned()),
        last_sign_in_at: now,
        created_at: now,
        updated_at: now,
    }
}

/// Marks the address as confirmed by its owner.
pub(crate) fn confirm(user: &mut User, now: OffsetDateTime) {
    let now = micros(now);
    user.email_confirmed_at.get_or_insert(now);
    user.email_proven = true;
    user.updated_at = now;
    user.user_metadata.insert("email_verified".to_owned(), true.into());
    for identity in user.identities.iter_mut().filter(|identity| identity.provider == "email") {
        identity.data.insert("email_verified".to_owned(), true.into());
        identity.updated_at = now;
    }
}

/// The role that the embedding program gives to people who sign up.
pub(crate) fn give_default_role(app: &App, user: &mut User) {
    if let Some(role) = &app.settings.default_role {
        user.app_metadata.insert("roles".to_owned(), json!([role]));
    }
}

/// What an address that is taken gets to see: made up from scratch, nothing of the real account (contract, 2.3).
fn pretend_user(app: &App, email: String, data: Map<String, Value>, now: OffsetDateTime) -> UserBody {
    let mut user = email_account(app.entropy.uuid(), app.entropy.uuid(), &email, Map::new(), now);
    give_default_role(app, &mut user);
    let mut body = UserBody::from(&user);
    body.role.clear();
    body.user_metadata = data;
    body.confirmation_sent_at = Some(Stamp(now));
    body.identities = Some(Vec::new());
    body
}

async fn anonymous(app: &App, data: Map<String, Value>) -> Answer<Response> {
    if !app.settings.anonymous {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let text = "Anonymous sign-ins are disabled";
        return Err(ApiError::new(status, "anonymous_provider_disabled", text));
    }
    let now = app.clock.now();
    let mut user = User::new(app.entropy.uuid(), now);
    user.is_anonymous = true;
    user.user_metadata = data;
    let session = app.draw_session();
    let (user, session) = app.db.write(move |db| begin_session(db, user, session, "anonymous", now)).await?;
    token::answer(app, &user, &session, Extra::default())
}

/// `GET /user`: fresher than the token.
#[tracing::instrument(name = "user", skip_all)]
pub(crate) async fn user(caller: Caller) -> axum::Json<UserBody> {
    axum::Json(UserBody::from(&caller.user))
}

#[derive(Deserialize)]
pub(crate) struct LogOutQuery {
    scope: Option<String>,
}

/// `POST /logout?scope=`: `global` unless it says `local` or `others`.
#[tracing::instrument(name = "logout", skip_all)]
pub(crate) async fn log_out(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<LogOutQuery>,
) -> Answer<StatusCode> {
    let session = caller.session.id;
    let scope = match query.scope.as_deref().filter(|scope| !scope.is_empty()) {
        None | Some("global") => Scope::Global,
        Some("local") => Scope::Local(session),
        Some("others") => Scope::Others(session),
        Some(_) => return Err(ApiError::invalid("Unsupported logout scope")),
    };
    let user = caller.user.id;
    app.db.write(move |db| Ok::<_, ApiError>(sessions::end(db, user, scope)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that a stranger might have left on an account whose address was never proved (S-79).
pub(crate) fn take_over(db: &Connection, user: &mut User) -> Answer<()> {
    user.password = None;
    user.identities.clear();
    factors::delete_of_user(db, user.id, true)?;
    user.factors.clear();
    user.user_metadata.clear();
    sessions::end(db, user.id, Scope::Global)?;
    secrets::void_all(db, user.id)?;
    Ok(())
}
