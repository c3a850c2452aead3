//! A change of address: proved at the new one and, with `AUTH_SECURE_EMAIL_CHANGE`, at the current one too (contract,
//! sections 2.7 and 2.12).

use axum::http::StatusCode;
use rusqlite::Connection;
use serde_json::Map;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::App;
use crate::account::{confirm, email_identity};
use crate::db::one_time::{self as secrets, Kind, Redeemed};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::mail::MailKind;
use crate::mailing::{Mailing, check_gap};
use crate::pkce::Challenge;

/// What people read who opened the first of two links.
pub(crate) const HALF_DONE: &str =
    "This address is confirmed. Now open the link that was sent to the other address.";

/// The refusal of an address that somebody has.
pub(crate) fn taken() -> ApiError {
    let text = "A user with this email address has already been registered";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "email_exists", text)
}

/// The mails of a change that was asked for.
#[derive(Clone)]
pub(crate) struct Change {
    to_new: Mailing,
    to_current: Mailing,
}

impl Change {
    /// Draws both secrets.
    pub(crate) fn draw(app: &App, challenge: Option<Challenge>, redirect_to: String) -> Self {
        let draw = |kind| Mailing::draw(app, kind, challenge.clone(), redirect_to.clone());
        Self { to_new: draw(MailKind::EmailChange), to_current: draw(MailKind::EmailChangeCurrent) }
    }

    /// Notes that `user` wants `address`, in place of any other, and stores what the mails will open.
    pub(crate) fn prepare(
        &self,
        db: &Connection,
        app: &App,
        user: &mut User,
        address: String,
        now: OffsetDateTime,
    ) -> Answer<()> {
        check_gap(app, user.email_change_sent_at, now)?;
        begin(db, user, address)?;
        self.to_new.store(db, app, user, now)?;
        if asks_both(app, user) {
            self.to_current.store(db, app, user, now)?;
        }
        Ok(())
    }

    /// Sends them.
    pub(crate) fn send(self, app: &App, user: &User, now: OffsetDateTime) {
        if let Some(current) = user.email.clone().filter(|_| asks_both(app, user)) {
            self.to_current.send(app, current, now);
        }
        if let Some(new) = user.new_email.clone() {
            self.to_new.send(app, new, now);
        }
    }
}

/// Begins a change anew: nothing that was sent for another one counts any more.
pub(crate) fn begin(db: &Connection, user: &mut User, address: String) -> rusqlite::Result<()> {
    for kind in [Kind::NewAddress, Kind::CurrentAddress] {
        secrets::void(db, user.id, kind)?;
    }
    user.new_email = Some(address);
    user.email_change_half = false;
    Ok(())
}

fn asks_both(app: &App, user: &User) -> bool {
    app.settings.secure_email_change && user.email.is_some()
}

/// One half was proved by `redeemed`. `true` once the address has changed. Where addresses need no confirmation one
/// half is enough, as with GoTrue.
pub(crate) fn proved(
    db: &Connection,
    app: &App,
    user: &mut User,
    redeemed: &Redeemed,
    identity: Uuid,
    now: OffsetDateTime,
) -> Answer<bool> {
    let new = user.new_email.clone().ok_or_else(ApiError::otp_expired)?;
    let at_new = redeemed.kind == Kind::NewAddress;
    let own = if at_new { Some(&new) } else { user.email.as_ref() };
    if own != Some(&redeemed.address) {
        return Err(ApiError::otp_expired());
    }
    let both = asks_both(app, user) && app.settings.confirm_email;
    if both && !user.email_change_half {
        user.email_change_half = true;
        users::save(db, user)?;
        return Ok(false);
    }
    if users::is_taken(db, &new, user.id)? {
        return Err(taken());
    }
    let proven = both || at_new;
    match user.identities.iter_mut().find(|identity| identity.provider == "email") {
        Some(known) => {
            known.data.insert("email".to_owned(), new.clone().into());
            known.email = Some(new.clone());
        }
        None => user.identities.push(email_identity(identity, user.id, &new, Map::new(), now)),
    }
    user.email = Some(new);
    user.new_email = None;
    user.email_change_half = false;
    user.is_anonymous = false;
    user.refresh_providers();
    confirm(user, now);
    user.email_proven = proven;
    secrets::void_all(db, user.id)?;
    Ok(true)
}
