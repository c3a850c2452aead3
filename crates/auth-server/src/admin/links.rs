//! `POST /invite` and `POST /admin/generate_link`: what an administrator sends, or has others send (contract, section
//! 2.18).

use axum::extract::State;
use axum::http::StatusCode;
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Admin;
use crate::account::{NewAccount, RedirectQuery};
use crate::address::{begin, taken};
use crate::db::micros;
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Json, Params};
use crate::mail::MailKind;
use crate::mailing::Mailing;
use crate::people::merge;
use crate::token::present;
use crate::wire::UserBody;
use crate::{App, email, password};

#[derive(Deserialize)]
pub(crate) struct InviteBody {
    email: Option<String>,
    data: Option<Map<String, Value>>,
}

/// `POST /invite`: also while strangers may not sign up.
#[tracing::instrument(name = "admin.invite", skip_all)]
pub(crate) async fn invite(
    _: Admin,
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<InviteBody>,
) -> Answer<axum::Json<UserBody>> {
    let address = email::require(body.email.as_deref().unwrap_or_default())?;
    let target = app.redirects.choose(query.redirect_to.as_deref());
    let mailing = Mailing::draw(&app, MailKind::Invite, None, target);
    let (now, new) = (app.clock.now(), Person::draw(&app, &address, None, body.data));
    let (context, prepared) = (app.clone(), mailing.clone());
    let user = app.db.write(move |db| {
        let mut user = match users::find_by_email(db, &new.account.email)? {
            Some(user) if user.email_confirmed_at.is_some() => return Err(taken()),
            Some(user) => user,
            None => new.build(&context, now),
        };
        user.invited_at = Some(micros(now));
        prepared.store(db, &context, &mut user, now)?;
        Ok::<_, ApiError>(user)
    });
    let user = user.await?;
    mailing.send(&app, address, now);
    Ok(axum::Json(UserBody::from(&user)))
}

/// Somebody whom the administrator makes. Their metadata is what the administrator gave and nothing else.
struct Person {
    account: NewAccount,
    data: Option<Map<String, Value>>,
}

impl Person {
    fn draw(app: &App, address: &str, hash: Option<String>, data: Option<Map<String, Value>>) -> Self {
        let (id, identity): (Uuid, Uuid) = (app.entropy.uuid(), app.entropy.uuid());
        let account = NewAccount { id, identity, email: address.to_owned(), hash, data: Map::new() };
        Self { account, data }
    }

    fn build(self, app: &App, now: OffsetDateTime) -> User {
        let mut user = self.account.build(app, now);
        user.user_metadata = self.data.unwrap_or_default();
        user
    }
}

#[derive(Deserialize)]
pub(crate) struct LinkBody {
    r#type: Option<String>,
    email: Option<String>,
    new_email: Option<String>,
    password: Option<Secret<String>>,
    data: Option<Map<String, Value>>,
    redirect_to: Option<String>,
}

/// What a link is for, as `verification_type` names it.
fn kind(word: &str) -> Option<MailKind> {
    Some(match word {
        "signup" => MailKind::Signup,
        "invite" => MailKind::Invite,
        "magiclink" => MailKind::Magiclink,
        "recovery" => MailKind::Recovery,
        "email_change_current" => MailKind::EmailChangeCurrent,
        "email_change_new" => MailKind::EmailChange,
        _ => return None,
    })
}

/// `POST /admin/generate_link`: the mail is the caller's to send.
#[tracing::instrument(name = "admin.generate_link", skip_all)]
pub(crate) async fn generate(
    _: Admin,
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<LinkBody>,
) -> Answer<axum::Json<Value>> {
    let address = email::require(body.email.as_deref().unwrap_or_default())?;
    let word = present(body.r#type).unwrap_or_default();
    let kind = kind(&word).ok_or_else(|| ApiError::invalid("Invalid email action link type requested"))?;
    let new_address = match kind {
        MailKind::EmailChangeCurrent if !app.settings.secure_email_change => {
            let text = "Enable secure email change to generate link for current email";
            return Err(ApiError::invalid(text));
        }
        MailKind::EmailChange | MailKind::EmailChangeCurrent => {
            Some(email::require(body.new_email.as_deref().unwrap_or_default())?)
        }
        _ => None,
    };
    let password = body.password.filter(|password| !password.expose().is_empty());
    let hash = match (kind, password) {
        (MailKind::Signup, None) => return Err(ApiError::invalid("Signup requires a valid password")),
        (MailKind::Signup, Some(password)) => {
            password::check(&app.settings.password, password.expose(), &[&address])?;
            Some(app.hasher.hash(password).await?)
        }
        _ => None,
    };
    let target = app.redirects.choose(body.redirect_to.as_deref().or(query.redirect_to.as_deref()));
    let (mailing, now) = (Mailing::draw(&app, kind, None, target), app.clock.now());
    let link = Link { kind, new_address, new: Person::draw(&app, &address, hash, body.data) };
    let context = app.clone();
    let (user, mailing) = app
        .db
        .write(move |db| {
            let (mut user, kind) = link.person(db, &context, now)?;
            let mailing = mailing.of_kind(kind);
            mailing.store(db, &context, &mut user, now)?;
            Ok::<_, ApiError>((user, mailing))
        })
        .await?;
    let word = if kind == MailKind::Magiclink { mailing.word() } else { &word };
    let (hash, digits, target) = mailing.parts();
    let mut answer = json!(UserBody::from(&user));
    answer["action_link"] = mailing.action_link(&app).into();
    answer["email_otp"] = digits.into();
    answer["hashed_token"] = hash.into();
    answer["verification_type"] = word.into();
    answer["redirect_to"] = target.into();
    Ok(axum::Json(answer))
}

/// A link that is asked for.
struct Link {
    kind: MailKind,
    new_address: Option<String>,
    new: Person,
}

impl Link {
    /// Whom it is for, made if need be, and what it really does: a magic link for a stranger is a sign-up.
    fn person(self, db: &Connection, app: &App, now: OffsetDateTime) -> Answer<(User, MailKind)> {
        let found = users::find_by_email(db, &self.new.account.email)?;
        let Some(mut user) = found else {
            let kind = match self.kind {
                MailKind::Magiclink => MailKind::Signup,
                kind @ (MailKind::Signup | MailKind::Invite) => kind,
                _ => {
                    let text = "User with this email not found";
                    return Err(ApiError::new(StatusCode::NOT_FOUND, "user_not_found", text));
                }
            };
            let mut user = self.new.build(app, now);
            user.invited_at = (kind == MailKind::Invite).then(|| micros(now));
            return Ok((user, kind));
        };
        match self.kind {
            MailKind::Signup | MailKind::Invite if user.email_confirmed_at.is_some() => return Err(taken()),
            MailKind::Signup => merge(&mut user.user_metadata, self.new.data.unwrap_or_default()),
            MailKind::Invite => user.invited_at = Some(micros(now)),
            _ => {}
        }
        if let Some(address) = self.new_address {
            if users::is_taken(db, &address, user.id)? || user.email.as_ref() == Some(&address) {
                return Err(taken());
            }
            // The other half may be there already; what was sent for another address is void.
            if user.new_email.as_ref() != Some(&address) || user.email_change_half {
                begin(db, &mut user, address)?;
            }
        }
        Ok((user, self.kind))
    }
}
