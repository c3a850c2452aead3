//! What an administrator does to accounts, over HTTP ([`admin`](crate::admin)) or on the command line ([`Users`]).

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use base::secret::Secret;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::account::email_account;
use crate::db::sessions::{self, Scope};
use crate::db::users::{self, Listed, User};
use crate::db::{Db, DbError, factors, flows, micros, one_time as secrets};
use crate::settings::Settings;
use crate::token::digest_of;
use crate::{email, password};

/// A ban without an end.
const FOREVER: Duration = Duration::days(36_500);

/// Marks an account as banned until then, or as free again. A ban ends all its sessions at once (S-78).
pub(crate) fn ban(db: &Connection, user: &mut User, until: Option<OffsetDateTime>) -> rusqlite::Result<()> {
    user.banned_until = until.map(micros);
    if until.is_some() {
        sessions::end(db, user.id, Scope::Global)?;
    }
    Ok(())
}

/// Sets a password that was hashed before; ends all sessions and voids what is outstanding.
pub(crate) fn set_password(db: &Connection, user: &mut User, hash: String) -> rusqlite::Result<()> {
    user.password = Some(hash);
    sessions::end(db, user.id, Scope::Global)?;
    secrets::void_all(db, user.id)
}

/// Deletes a person and keeps the row: nothing in it says who it was, and nobody comes in by it.
pub(crate) fn erase(db: &Connection, user: &mut User, now: OffsetDateTime) -> rusqlite::Result<()> {
    let blur = |text: &str| digest_of(&format!("{}{text}", user.id));
    let email = user.email.as_deref().map(blur);
    for identity in &mut user.identities {
        identity.subject = digest_of(&format!("{}{}", identity.issuer, identity.subject));
        identity.email = None;
        identity.data.clear();
    }
    user.email = email;
    user.new_email = None;
    user.password = None;
    user.user_metadata.clear();
    user.app_metadata.clear();
    user.deleted_at = Some(micros(now));
    sessions::end(db, user.id, Scope::Global)?;
    factors::delete_of_user(db, user.id, true)?;
    flows::delete_of_user(db, user.id)?;
    secrets::void_all(db, user.id)?;
    users::save(db, user)
}

/// Marks the address as confirmed because the administrator says so.
pub(crate) fn vouch(user: &mut User, now: OffsetDateTime) {
    crate::account::confirm(user, now);
}

/// Lays `changes` over a document; `null` removes a member.
pub(crate) fn merge(document: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            document.remove(&name);
        } else {
            document.insert(name, value);
        }
    }
}

/// Accounts, for the command line. Works beside a running server: the database is the meeting point.
#[derive(Debug)]
pub struct Users {
    db: Db,
    settings: Settings,
    clock: SharedClock,
    entropy: SharedEntropy,
}

/// An account in a list.
#[derive(Debug, Clone)]
pub struct Account {
    /// `sub` in tokens.
    pub id: Uuid,
    /// `None` for an anonymous person.
    pub email: Option<String>,
    /// `app_metadata.roles`.
    pub roles: Vec<String>,
    /// May sign in with a password.
    pub confirmed: bool,
    /// In force while in the future.
    pub banned_until: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// The last sign-in, if there was one.
    pub last_sign_in_at: Option<OffsetDateTime>,
}

/// Why an account was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No account has this address.
    #[error("nobody has this address")]
    Unknown,
    /// Another account has it.
    #[error("somebody has this address already")]
    Taken,
    /// Not an address.
    #[error("this is not an e-mail address")]
    Address,
    /// Too short, too common, or without characters that are asked for.
    #[error("{0}")]
    Password(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<rusqlite::Error> for UserError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Users {
    /// Opens or makes the database of `settings`. Blocks, as all methods do.
    ///
    /// # Errors
    ///
    /// [`DbError`]
    pub fn open(settings: &Settings, clock: SharedClock, entropy: SharedEntropy) -> Result<Self, DbError> {
        Ok(Self { db: Db::open(&settings.database)?, settings: settings.clone(), clock, entropy })
    }

    /// Makes a confirmed account; without a password its owner comes in by mail or by a provider.
    ///
    /// # Errors
    ///
    /// [`UserError::Address`], [`UserError::Taken`], [`UserError::Password`]
    pub fn add(
        &self,
        address: &str,
        password: Option<&Secret<String>>,
        role: Option<&str>,
    ) -> Result<Account, UserError> {
        let address = email::normalise(address).ok_or(UserError::Address)?;
        let hash = match password {
            Some(password) => {
                password::check(&self.settings.password, password.expose(), &[&address])
                    .map_err(|error| UserError::Password(error.text().to_owned()))?;
                let hash = password::hash_now(password, &self.entropy.bytes());
                Some(hash.map_err(|error| UserError::Password(error.to_owned()))?)
            }
            None => None,
        };
        let now = self.clock.now();
        let mut user = email_account(self.entropy.uuid(), self.entropy.uuid(), &address, Map::new(), now);
        user.password = hash;
        vouch(&mut user, now);
        set_role(&mut user, role.or(self.settings.default_role.as_deref()));
        self.db.write_now(move |db| {
            if users::find_by_email(db, &address)?.is_some() {
                return Err(UserError::Taken);
            }
            users::save(db, &user)?;
            Ok(Account::from(&user))
        })
    }

    /// A page of accounts, the newest first.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`]
    pub fn list(&self, limit: u32, offset: u64) -> Result<Vec<Account>, UserError> {
        let listed = Listed { limit, offset, ..Listed::default() };
        self.db.write_now(|db| Ok(users::list(db, &listed)?.iter().map(Account::from).collect()))
    }

    /// Makes `role` the only role of an account, or takes all roles away. Tokens show it after their next refresh.
    ///
    /// # Errors
    ///
    /// [`UserError::Unknown`]
    pub fn set_role(&self, address: &str, role: Option<&str>) -> Result<Account, UserError> {
        self.change(address, |_, user| {
            set_role(user, role);
            Ok(())
        })
    }

    /// Bans an account for `length`, `None` without end, and ends its sessions.
    ///
    /// # Errors
    ///
    /// [`UserError::Unknown`]
    pub fn ban(&self, address: &str, length: Option<Duration>) -> Result<Account, UserError> {
        let until = self.clock.now() + length.unwrap_or(FOREVER);
        self.change(address, |db, user| ban(db, user, Some(until)))
    }

    /// Ends a ban.
    ///
    /// # Errors
    ///
    /// [`UserError::Unknown`]
    pub fn unban(&self, address: &str) -> Result<Account, UserError> {
        self.change(address, |db, user| ban(db, user, None))
    }

    /// Forgets an account with its identities and sessions.
    ///
    /// # Errors
    ///
    /// [`UserError::Unknown`]
    pub fn delete(&self, address: &str) -> Result<(), UserError> {
        let address = email::normalise(address).ok_or(UserError::Address)?;
        self.db.write_now(move |db| {
            let user = users::find_by_email(db, &address)?.ok_or(UserError::Unknown)?;
            users::delete(db, user.id)?;
            Ok(())
        })
    }

    fn change(
        &self,
        address: &str,
        change: impl FnOnce(&Connection, &mut User) -> rusqlite::Result<()>,
    ) -> Result<Account, UserError> {
        let address = email::normalise(address).ok_or(UserError::Address)?;
        let now = self.clock.now();
        self.db.write_now(move |db| {
            let mut user = users::find_by_email(db, &address)?.ok_or(UserError::Unknown)?;
            change(db, &mut user)?;
            user.updated_at = micros(now);
            users::save(db, &user)?;
            Ok(Account::from(&user))
        })
    }
}

fn set_role(user: &mut User, role: Option<&str>) {
    match role {
        Some(role) => user.app_metadata.insert("roles".to_owned(), json!([role])),
        None => user.app_metadata.remove("roles"),
    };
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        let roles = user.app_metadata.get("roles").and_then(Value::as_array);
        let roles = roles.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        Self {
            id: user.id,
            email: user.email.clone(),
            roles: roles.collect(),
            confirmed: user.email_confirmed_at.is_some(),
            banned_until: user.banned_until,
            created_at: user.created_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}
