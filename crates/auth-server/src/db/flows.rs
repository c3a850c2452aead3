//! Round trips that end in a code (contract, section 4.2). Each step that may happen once is one statement.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{At, Id};

/// How long a flow takes at most, from its start to the exchange of its code.
pub(crate) const LIFETIME: Duration = Duration::minutes(5);
const KEPT: Duration = Duration::hours(24);

/// A flow that was begun.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// The `state` towards the provider.
    pub(crate) id: Uuid,
    /// `github`, `google` or `email`.
    pub(crate) provider: String,
    /// The method that the session will name in `amr`.
    pub(crate) method: String,
    /// The S256 challenge; `None` in the implicit flow.
    pub(crate) challenge: Option<String>,
    /// Checked against the list before it was stored.
    pub(crate) redirect_to: String,
    pub(crate) user: Option<Uuid>,
    /// Whose account the identity shall be linked to.
    pub(crate) linking: Option<Uuid>,
    /// Sealed.
    pub(crate) provider_token: Option<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) returned_at: Option<OffsetDateTime>,
    pub(crate) code_issued_at: Option<OffsetDateTime>,
}

impl Flow {
    /// Whether its code may still be exchanged. A magic link counts from the click, everything else from the start.
    pub(crate) fn is_over(&self, now: OffsetDateTime) -> bool {
        let from = if self.method == "magiclink" { self.code_issued_at } else { None };
        from.unwrap_or(self.created_at) + LIFETIME <= now
    }
}

/// Stores a new flow and forgets those of yesterday.
pub(crate) fn insert(db: &Connection, flow: &Flow, now: OffsetDateTime) -> rusqlite::Result<()> {
    db.prepare_cached("delete from flows where created_at < :old")?
        .execute(named_params! {":old": At(now - KEPT)})?;
    let sql = "insert into flows (id, provider, method, challenge, redirect_to, user_id, linking,
        created_at) values (:id, :provider, :method, :challenge, :redirect_to, :user, :linking, :created)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(flow.id),
        ":provider": flow.provider,
        ":method": flow.method,
        ":challenge": flow.challenge,
        ":redirect_to": flow.redirect_to,
        ":user": flow.user.map(Id),
        ":linking": flow.linking.map(Id),
        ":created": At(flow.created_at),
    })?;
    Ok(())
}

/// The flow with this id, used or not.
pub(crate) fn find(db: &Connection, id: Uuid) -> rusqlite::Result<Option<Flow>> {
    let sql = "select * from flows where id = :id";
    db.prepare_cached(sql)?.query_row(named_params! {":id": Id(id)}, read).optional()
}

/// Takes the answer of the provider to a flow: works once, and only while the flow is young.
pub(crate) fn take_back(db: &Connection, id: Uuid, now: OffsetDateTime) -> rusqlite::Result<Option<Flow>> {
    let sql = "update flows set returned_at = :now
        where id = :id and returned_at is null and created_at > :oldest and provider <> 'email' returning *";
    let values = named_params! {":id": Id(id), ":now": At(now), ":oldest": At(now - LIFETIME)};
    db.prepare_cached(sql)?.query_row(values, read).optional()
}

/// Ties a code to the flow.
pub(crate) fn issue_code(
    db: &Connection,
    id: Uuid,
    user: Uuid,
    code_digest: &str,
    provider_token: Option<&str>,
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let sql = "update flows set user_id = :user, code_digest = :digest, provider_token = :token,
        code_issued_at = :now where id = :id";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(id),
        ":user": Id(user),
        ":digest": code_digest,
        ":token": provider_token,
        ":now": At(now),
    })?;
    Ok(())
}

/// The flow whose code has this digest.
pub(crate) fn find_by_code(db: &Connection, code_digest: &str) -> rusqlite::Result<Option<Flow>> {
    let sql = "select * from flows where code_digest = :digest";
    db.prepare_cached(sql)?.query_row(named_params! {":digest": code_digest}, read).optional()
}

/// Removes a flow; `true` for the one caller that did.
pub(crate) fn delete(db: &Connection, id: Uuid) -> rusqlite::Result<bool> {
    let gone =
        db.prepare_cached("delete from flows where id = :id")?.execute(named_params! {":id": Id(id)})?;
    Ok(gone == 1)
}

/// Removes all flows of a person.
pub(crate) fn delete_of_user(db: &Connection, user: Uuid) -> rusqlite::Result<()> {
    let sql = "delete from flows where user_id = :user or linking = :user";
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user)})?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Flow> {
    let at = |name: &str| row.get::<_, Option<At>>(name).map(|at| at.map(|at| at.0));
    Ok(Flow {
        id: row.get::<_, Id>("id")?.0,
        provider: row.get("provider")?,
        method: row.get("method")?,
        challenge: row.get("challenge")?,
        redirect_to: row.get("redirect_to")?,
        user: row.get::<_, Option<Id>>("user_id")?.map(|id| id.0),
        linking: row.get::<_, Option<Id>>("linking")?.map(|id| id.0),
        provider_token: row.get("provider_token")?,
        created_at: row.get::<_, At>("created_at")?.0,
        returned_at: at("returned_at")?,
        code_issued_at: at("code_issued_at")?,
    })
}
