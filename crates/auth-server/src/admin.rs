//! `/admin/*`: for whoever holds the admin key, which is no token of a person (S-78; contract, section 2.18).

mod factors;
mod links;
mod list;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base::secret::Secret;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) use factors::{change_factor, delete_factor, factors};
pub(crate) use links::{generate, invite};
pub(crate) use list::list;

use crate::account::email_account;
use crate::address::taken;
use crate::db::users::{self, User};
use crate::db::{micros, one_time as secrets};
use crate::error::{Answer, ApiError};
use crate::http::{Json, bearer};
use crate::people::{ban, erase, merge, set_password, vouch};
use crate::token::present;
use crate::wire::UserBody;
use crate::{App, email, password};

/// Proof that the admin key came with the request.
pub(crate) struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let token = bearer(&parts.headers)?;
        if app.admin_key.same_as(token.as_bytes()) {
            return Ok(Self);
        }
        let refused = |code, text: &'static str| ApiError::new(StatusCode::FORBIDDEN, code, text);
        Err(match app.signer.verify(token, app.clock.now()) {
            Some(_) => refused("not_admin", "User not allowed"),
            None => refused("bad_jwt", "invalid JWT: unable to parse or verify signature"),
        })
    }
}

/// The id in a path.
pub(crate) struct UserId(Uuid);

impl FromRequestParts<App> for UserId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = Path::<String>::from_request_parts(parts, app).await;
        Self::parse(id.as_deref().map_or("", |id| id)).map(Self)
    }
}

impl UserId {
    fn parse(text: &str) -> Answer<Uuid> {
        let wrong = || ApiError::new(StatusCode::NOT_FOUND, "validation_failed", "user_id must be an UUID");
        Uuid::parse_str(text).map_err(|_| wrong())
    }
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "user_not_found", "User not found")
}

/// What an administrator may set.
#[derive(Deserialize)]
pub(crate) struct AccountBody {
    id: Option<Uuid>,
    email: Option<String>,
    phone: Option<String>,
    password: Option<Secret<String>>,
    /// A PHC string of Argon2, from another system.
    password_hash: Option<Secret<String>>,
    email_confirm: Option<bool>,
    user_metadata: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
    role: Option<String>,
    ban_duration: Option<String>,
}

/// What is left to do inside the transaction, once the body was judged.
struct Change {
    email: Option<String>,
    hash: Option<String>,
    confirm: bool,
    user_metadata: Map<String, Value>,
    app_metadata: Map<String, Value>,
    role: Option<String>,
    /// `Some(None)` ends a ban.
    ban: Option<Option<OffsetDateTime>>,
}

impl AccountBody {
    async fn judge(self, app: &App) -> Answer<Change> {
        if present(self.phone).is_some() {
            return Err(ApiError::invalid("Phone numbers are not offered here"));
        }
        let email = present(self.email).map(|address| email::require(&address)).transpose()?;
        let now = app.clock.now();
        let ban = self.ban_duration.map(|text| ban_until(&text, now)).transpose()?;
        let filled = |secret: Option<Secret<String>>| secret.filter(|secret| !secret.expose().is_empty());
        let hash = match (filled(self.password), filled(self.password_hash)) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid("Only a password or a password hash should be provided"));
            }
            (None, Some(hash)) if password::is_importable(hash.expose()) => Some(hash.expose().clone()),
            (None, Some(_)) => {
                return Err(ApiError::invalid("The password hash is no usable PHC string of Argon2"));
            }
            (Some(password), None) => {
                let own: Vec<_> = email.iter().map(String::as_str).collect();
                password::check(&app.settings.password, password.expose(), &own)?;
                Some(app.hasher.hash(password).await?)
            }
            (None, None) => None,
        };
        Ok(Change {
            email,
            hash,
            confirm: self.email_confirm.unwrap_or(false),
            user_metadata: self.user_metadata.unwrap_or_default(),
            app_metadata: self.app_metadata.unwrap_or_default(),
            role: present(self.role),
            ban,
        })
    }
}

impl Change {
    fn apply(self, db: &Connection, user: &mut User, now: OffsetDateTime) -> Answer<()> {
        if let Some(email) = self.email.filter(|email| user.email.as_ref() != Some(email)) {
            if users::find_by_email(db, &email)?.is_some() {
                return Err(taken());
            }
            user.email = Some(email);
            user.is_anonymous = false;
            user.new_email = None;
            user.email_change_half = false;
            user.email_proven = user.email_confirmed_at.is_some(); // the administrator's word stands for the new one
            secrets::void_all(db, user.id)?;
        }
        if let Some(hash) = self.hash {
            set_password(db, user, hash)?;
        }
        if self.confirm {
            vouch(user, now);
        }
        merge(&mut user.user_metadata, self.user_metadata);
        merge(&mut user.app_metadata, self.app_metadata);
        if let Some(role) = self.role {
            user.role = role;
        }
        if let Some(until) = self.ban {
            ban(db, user, until)?;
        }
        user.updated_at = micros(now);
        users::save(db, user)?;
        Ok(())
    }
}

/// `POST /admin/users`
#[tracing::instrument(name = "admin.create", skip_all)]
pub(crate) async fn create(
    _: Admin,
    State(app): State<App>,
    Json(body): Json<AccountBody>,
) -> Answer<axum::Json<UserBody>> {
    let now = app.clock.now();
    let (id, identity) = (body.id.unwrap_or_else(|| app.entropy.uuid()), app.entropy.uuid());
    let mut change = body.judge(&app).await?;
    let email =
        change.email.take().ok_or_else(|| ApiError::invalid("Cannot create a user without an email"))?;
    let user = app.db.write(move |db| {
        if users::find_by_email(db, &email)?.is_some() || users::find(db, id)?.is_some() {
            return Err(taken());
        }
        let mut user = email_account(id, identity, &email, Map::new(), now);
        users::save(db, &user)?;
        change.apply(db, &mut user, now)?;
        Ok(user)
    });
    Ok(axum::Json(UserBody::from(&user.await?)))
}

/// `GET /admin/users/{id}`
#[tracing::instrument(name = "admin.read", skip_all)]
pub(crate) async fn read(
    _: Admin,
    State(app): State<App>,
    UserId(id): UserId,
) -> Answer<axum::Json<UserBody>> {
    let user = app.db.read(move |db| users::find(db, id)?.ok_or_else(unknown)).await?;
    Ok(axum::Json(UserBody::from(&user)))
}

/// `PUT /admin/users/{id}`
#[tracing::instrument(name = "admin.change", skip_all)]
pub(crate) async fn change(
    _: Admin,
    State(app): State<App>,
    UserId(id): UserId,
    Json(body): Json<AccountBody>,
) -> Answer<axum::Json<UserBody>> {
    let now = app.clock.now();
    let change = body.judge(&app).await?;
    let user = app.db.write(move |db| {
        let mut user = users::find(db, id)?.ok_or_else(unknown)?;
        change.apply(db, &mut user, now)?;
        Ok::<_, ApiError>(user)
    });
    Ok(axum::Json(UserBody::from(&user.await?)))
}

#[derive(Deserialize)]
pub(crate) struct DeleteBody {
    should_soft_delete: Option<bool>,
}

/// `DELETE /admin/users/{id}`: the body may be absent.
#[tracing::instrument(name = "admin.delete", skip_all)]
pub(crate) async fn delete(
    _: Admin,
    State(app): State<App>,
    UserId(id): UserId,
    body: Answer<Json<DeleteBody>>,
) -> Answer<axum::Json<Value>> {
    if body.is_ok_and(|Json(body)| body.should_soft_delete == Some(true)) {
        let now = app.clock.now();
        let erased = app.db.write(move |db| {
            let mut user = users::find(db, id)?.ok_or_else(unknown)?;
            Ok::<_, ApiError>(erase(db, &mut user, now)?)
        });
        return erased.await.map(|()| axum::Json(json!({})));
    }
    let deleted = app.db.write(move |db| Ok::<_, ApiError>(users::delete(db, id)?)).await?;
    if deleted { Ok(axum::Json(json!({}))) } else { Err(unknown()) }
}

/// `none`, or a length as Go writes it: `24h`, `1h30m`. Forever is a hundred years.
fn ban_until(text: &str, now: OffsetDateTime) -> Answer<Option<OffsetDateTime>> {
    if text == "none" {
        return Ok(None);
    }
    let wrong = || ApiError::invalid("invalid format for ban duration: use a length such as 24h, or none");
    let (mut rest, mut length) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let seconds = match unit.bytes().next() {
            Some(b'h') => 3600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(seconds).map(Duration::seconds).ok_or_else(wrong)?;
        length = length.checked_add(part).ok_or_else(wrong)?;
        rest = &unit[1..];
    }
    if !length.is_positive() {
        return Err(wrong());
    }
    Ok(Some(now + length.min(Duration::days(36_500))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_have_a_length() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let parse = |text| ban_until(text, now).ok();
        assert_eq!(parse("1h30m"), Some(Some(now + Duration::minutes(90))));
        assert_eq!(parse("none"), Some(None));
        for wrong in ["", "soon", "1d", "h", "-1h", "1h x", "99999999999999999999h", "0s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse("9223372036854775807s"), Some(Some(now + Duration::days(36_500))));
    }
}
