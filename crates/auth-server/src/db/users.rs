//! People and their identities.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::factors::{self, Factor};
use super::{At, Document, Id};

/// A person, whole: loaded, changed and saved inside one transaction.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    /// In lower case; `None` for an anonymous person.
    pub(crate) email: Option<String>,
    /// Its owner proved to receive mail there, or a provider vouched for it (S-79).
    pub(crate) email_proven: bool,
    /// A PHC string.
    pub(crate) password: Option<String>,
    pub(crate) role: String,
    pub(crate) app_metadata: Map<String, Value>,
    pub(crate) user_metadata: Map<String, Value>,
    pub(crate) is_anonymous: bool,
    pub(crate) email_confirmed_at: Option<OffsetDateTime>,
    pub(crate) invited_at: Option<OffsetDateTime>,
    pub(crate) confirmation_sent_at: Option<OffsetDateTime>,
    pub(crate) recovery_sent_at: Option<OffsetDateTime>,
    pub(crate) new_email: Option<String>,
    pub(crate) email_change_sent_at: Option<OffsetDateTime>,
    /// One half of a change of address was proved, the other is awaited.
    pub(crate) email_change_half: bool,
    pub(crate) reauthentication_sent_at: Option<OffsetDateTime>,
    pub(crate) last_sign_in_at: Option<OffsetDateTime>,
    pub(crate) banned_until: Option<OffsetDateTime>,
    /// The row is kept, but nobody comes in by it any more.
    pub(crate) deleted_at: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    /// Oldest first.
    pub(crate) identities: Vec<Identity>,
    /// Oldest first. [`save`] does not write them.
    pub(crate) factors: Vec<Factor>,
}

/// Who a person is at a provider.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: Uuid,
    pub(crate) provider: String,
    /// Fixed per provider; `email` for addresses with a password.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) data: Map<String, Value>,
    pub(crate) email: Option<String>,
    pub(crate) last_sign_in_at: OffsetDateTime,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl User {
    /// Somebody without address, password and identity.
    pub(crate) fn new(id: Uuid, now: OffsetDateTime) -> Self {
        let now = super::micros(now);
        Self {
            id,
            email: None,
            email_proven: false,
            password: None,
            role: "authenticated".to_owned(),
            app_metadata: Map::new(),
            user_metadata: Map::new(),
            is_anonymous: false,
            email_confirmed_at: None,
            invited_at: None,
            confirmation_sent_at: None,
            recovery_sent_at: None,
            new_email: None,
            email_change_sent_at: None,
            email_change_half: false,
            reauthentication_sent_at: None,
            last_sign_in_at: None,
            banned_until: None,
            deleted_at: None,
            created_at: now,
            updated_at: now,
            identities: Vec::new(),
            factors: Vec::new(),
        }
    }

    /// Whether a ban is in force.
    pub(crate) fn is_banned(&self, now: OffsetDateTime) -> bool {
        self.banned_until.is_some_and(|until| until > now)
    }

    /// Whether a second factor guards the account.
    pub(crate) fn has_factor(&self) -> bool {
        self.factors.iter().any(|factor| factor.verified)
    }

    /// Writes `provider` (the oldest) and `providers` from the identities; other members stay.
    pub(crate) fn refresh_providers(&mut self) {
        let mut providers: Vec<Value> = Vec::new();
        for identity in &self.identities {
            if !providers.iter().any(|p| p == &identity.provider) {
                providers.push(identity.provider.clone().into());
            }
        }
        if let Some(first) = providers.first() {
            self.app_metadata.insert("provider".to_owned(), first.clone());
            self.app_metadata.insert("providers".to_owned(), providers.into());
        }
    }
}

/// The person with this id.
pub(crate) fn find(db: &Connection, id: Uuid) -> rusqlite::Result<Option<User>> {
    let found = db
        .prepare_cached("select * from users where id = :id")?
        .query_row(named_params! {":id": Id(id)}, read)
        .optional()?;
    with_rest(db, found)
}

/// The person with this address, which the caller has put into lower case.
pub(crate) fn find_by_email(db: &Connection, email: &str) -> rusqlite::Result<Option<User>> {
    let found = db
        .prepare_cached("select * from users where email = :email")?
        .query_row(named_params! {":email": email}, read)
        .optional()?;
    with_rest(db, found)
}

/// Whether somebody else has this address, be it at a provider.
pub(crate) fn is_taken(db: &Connection, email: &str, but: Uuid) -> rusqlite::Result<bool> {
    let sql = "select exists (select 1 from users where email = :email and id <> :but
        union all select 1 from identities where email = :email and user_id <> :but)";
    let values = named_params! {":email": email, ":but": Id(but)};
    db.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

/// The person behind an identity.
pub(crate) fn find_by_identity(
    db: &Connection,
    issuer: &str,
    subject: &str,
) -> rusqlite::Result<Option<User>> {
    let sql = "select user_id from identities where issuer = :issuer and subject = :subject";
    let id = db
        .prepare_cached(sql)?
        .query_row(named_params! {":issuer": issuer, ":subject": subject}, |row| row.get::<_, Id>(0))
        .optional()?;
    id.map_or(Ok(None), |id| find(db, id.0))
}

/// Which people are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    pub(crate) limit: u32,
    pub(crate) offset: u64,
    /// A part of the address or of the full name; letters count the same in both cases.
    pub(crate) filter: Option<String>,
    pub(crate) oldest_first: bool,
}

const FITS: &str = "(:filter is null or instr(lower(email), lower(:filter)) > 0
    or instr(lower(user_metadata ->> '$.full_name'), lower(:filter)) > 0)";

/// A page of people, without identities and factors.
pub(crate) fn list(db: &Connection, listed: &Listed) -> rusqlite::Result<Vec<User>> {
    let order = if listed.oldest_first { "asc" } else { "desc" };
    let sql = format!(
        "select * from users where {FITS} order by created_at {order}, id limit :limit offset :offset"
    );
    let offset = i64::try_from(listed.offset).unwrap_or(i64::MAX);
    let values =
        named_params! {":limit": listed.limit, ":offset": offset, ":filter": listed.filter.as_deref()};
    db.prepare_cached(&sql)?.query_map(values, read)?.collect()
}

/// How many people `listed` would show on all pages.
pub(crate) fn count(db: &Connection, listed: &Listed) -> rusqlite::Result<u64> {
    let sql = format!("select count(*) from users where {FITS}");
    let values = named_params! {":filter": listed.filter.as_deref()};
    let count: i64 = db.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Writes the person and exactly these identities, new or not.
pub(crate) fn save(db: &Connection, user: &User) -> rusqlite::Result<()> {
    let sql = "insert into users values (:id, :email, :email_proven, :password, :role, :app_metadata,
            :user_metadata, :is_anonymous, :email_confirmed_at, :invited_at, :confirmation_sent_at,
            :recovery_sent_at, :new_email, :email_change_sent_at, :reauthentication_sent_at, :last_sign_in_at,
            :banned_until, :created_at, :updated_at, :email_change_half,
            :deleted_at)
        on conflict (id) do update set email = excluded.email, email_proven = excluded.email_proven,
            password = excluded.password, role = excluded.role, app_metadata = excluded.app_metadata,
            user_metadata = excluded.user_metadata, is_anonymous = excluded.is_anonymous,
            email_confirmed_at = excluded.email_confirmed_at, invited_at = excluded.invited_at,
            confirmation_sent_at = excluded.confirmation_sent_at, recovery_sent_at = excluded.recovery_sent_at,
            new_email = excluded.new_email, email_change_sent_at = excluded.email_change_sent_at,
            reauthentication_sent_at = excluded.reauthentication_sent_at,
            last_sign_in_at = excluded.last_sign_in_at, banned_until = excluded.banned_until,
            updated_at = excluded.updated_at, email_change_half = excluded.email_change_half,
            deleted_at = excluded.deleted_at";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(user.id),
        ":email": user.email,
        ":email_proven": user.email_proven,
        ":password": user.password,
        ":role": user.role,
        ":app_metadata": Document(user.app_metadata.clone()),
        ":user_metadata": Document(user.user_metadata.clone()),
        ":is_anonymous": user.is_anonymous,
        ":email_confirmed_at": user.email_confirmed_at.map(At),
        ":invited_at": user.invited_at.map(At),
        ":confirmation_sent_at": user.confirmation_sent_at.map(At),
        ":recovery_sent_at": user.recovery_sent_at.map(At),
        ":new_email": user.new_email,
        ":email_change_sent_at": user.email_change_sent_at.map(At),
        ":reauthentication_sent_at": user.reauthentication_sent_at.map(At),
        ":last_sign_in_at": user.last_sign_in_at.map(At),
        ":banned_until": user.banned_until.map(At),
        ":created_at": At(user.created_at),
        ":updated_at": At(user.updated_at),
        ":email_change_half": user.email_change_half,
        ":deleted_at": user.deleted_at.map(At),
    })?;
    db.prepare_cached("delete from identities where user_id = :user")?
        .execute(named_params! {":user": Id(user.id)})?;
    let sql = "insert into identities values (:id, :user, :provider, :issuer, :subject, :data, :email,
        :last_sign_in_at, :created_at, :updated_at)";
    let mut insert = db.prepare_cached(sql)?;
    for identity in &user.identities {
        insert.execute(named_params! {
            ":id": Id(identity.id),
            ":user": Id(user.id),
            ":provider": identity.provider,
            ":issuer": identity.issuer,
            ":subject": identity.subject,
            ":data": Document(identity.data.clone()),
            ":email": identity.email,
            ":last_sign_in_at": At(identity.last_sign_in_at),
            ":created_at": At(identity.created_at),
            ":updated_at": At(identity.updated_at),
        })?;
    }
    Ok(())
}

/// Forgets a person with everything that is theirs; `false` if there is none.
pub(crate) fn delete(db: &Connection, id: Uuid) -> rusqlite::Result<bool> {
    let gone =
        db.prepare_cached("delete from users where id = :id")?.execute(named_params! {":id": Id(id)})?;
    Ok(gone == 1)
}

/// People of a provider as (name, address), the latest sign-in first.
pub(crate) fn known_at(db: &Connection, issuer: &str, limit: u32) -> rusqlite::Result<Vec<Identity>> {
    let sql = "select * from identities where issuer = :issuer order by last_sign_in_at desc limit :limit";
    let mut query = db.prepare_cached(sql)?;
    query.query_map(named_params! {":issuer": issuer, ":limit": limit}, read_identity)?.collect()
}

fn with_rest(db: &Connection, found: Option<User>) -> rusqlite::Result<Option<User>> {
    let Some(mut user) = found else { return Ok(None) };
    let sql = "select * from identities where user_id = :user order by created_at, rowid";
    let mut query = db.prepare_cached(sql)?;
    user.identities =
        query.query_map(named_params! {":user": Id(user.id)}, read_identity)?.collect::<Result<_, _>>()?;
    user.factors = factors::of_user(db, user.id)?;
    Ok(Some(user))
}

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    let at = |name: &str| row.get::<_, Option<At>>(name).map(|at| at.map(|at| at.0));
    Ok(User {
        id: row.get::<_, Id>("id")?.0,
        email: row.get("email")?,
        email_proven: row.get("email_proven")?,
        password: row.get("password")?,
        role: row.get("role")?,
        app_metadata: row.get::<_, Document>("app_metadata")?.0,
        user_metadata: row.get::<_, Document>("user_metadata")?.0,
        is_anonymous: row.get("is_anonymous")?,
        email_confirmed_at: at("email_confirmed_at")?,
        invited_at: at("invited_at")?,
        confirmation_sent_at: at("confirmation_sent_at")?,
        recovery_sent_at: at("recovery_sent_at")?,
        new_email: row.get("new_email")?,
        email_change_sent_at: at("email_change_sent_at")?,
        email_change_half: row.get("email_change_half")?,
        reauthentication_sent_at: at("reauthentication_sent_at")?,
        last_sign_in_at: at("last_sign_in_at")?,
        banned_until: at("banned_until")?,
        deleted_at: at("deleted_at")?,
        created_at: row.get::<_, At>("created_at")?.0,
        updated_at: row.get::<_, At>("updated_at")?.0,
        identities: Vec::new(),
        factors: Vec::new(),
    })
}

fn read_identity(row: &Row<'_>) -> rusqlite::Result<Identity> {
    Ok(Identity {
        id: row.get::<_, Id>("id")?.0,
        provider: row.get("provider")?,
        issuer: row.get("issuer")?,
        subject: row.get("subject")?,
        data: row.get::<_, Document>("data")?.0,
        email: row.get("email")?,
        last_sign_in_at: row.get::<_, At>("last_sign_in_at")?.0,
        created_at: row.get::<_, At>("created_at")?.0,
        updated_at: row.get::<_, At>("updated_at")?.0,
    })
}
