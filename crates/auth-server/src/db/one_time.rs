//! Secrets that a mail carries: a link and digits. Redeeming is one statement, so it happens once (S-75).

use rusqlite::{Connection, OptionalExtension, named_params};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{At, Id};

/// How often digits may be tried before they are worth nothing.
pub(crate) const MAX_TRIES: i64 = 5;

/// What a secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Confirms the address of a sign-up or an invitation.
    Confirmation,
    /// Recovery and magic links, which are one secret.
    Recovery,
    /// Proves the new address of an account.
    NewAddress,
    /// Proves the current address of an account that is to change.
    CurrentAddress,
    /// Allows a new password in an old session.
    Reauthentication,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Recovery => "recovery",
            Self::NewAddress => "new_address",
            Self::CurrentAddress => "current_address",
            Self::Reauthentication => "reauthentication",
        }
    }
}

/// A secret as it is stored: nothing of it can be read back.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) user: Uuid,
    pub(crate) kind: Kind,
    pub(crate) address: &'a str,
    pub(crate) link_digest: &'a str,
    pub(crate) code_mac: &'a str,
    pub(crate) flow: Option<Uuid>,
}

/// What was redeemed.
#[derive(Debug)]
pub(crate) struct Redeemed {
    pub(crate) user: Uuid,
    pub(crate) kind: Kind,
    /// Whoever redeemed it reads the mail of this address.
    pub(crate) address: String,
    pub(crate) flow: Option<Uuid>,
}

/// Stores a secret; an earlier one of the same kind is void from now on.
pub(crate) fn replace(db: &Connection, secret: &Stored<'_>, now: OffsetDateTime) -> rusqlite::Result<()> {
    let sql = "insert or replace into one_time_secrets
        (user_id, kind, address, link_digest, code_mac, tries, flow_id, created_at)
        values (:user, :kind, :address, :link, :code, 0, :flow, :now)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":user": Id(secret.user),
        ":kind": secret.kind.word(),
        ":address": secret.address,
        ":link": secret.link_digest,
        ":code": secret.code_mac,
        ":flow": secret.flow.map(Id),
        ":now": At(now),
    })?;
    Ok(())
}

/// Redeems a link made after `oldest`.
pub(crate) fn redeem_link(
    db: &Connection,
    kind: Kind,
    link_digest: &str,
    oldest: OffsetDateTime,
) -> rusqlite::Result<Option<Redeemed>> {
    let sql =
        "delete from one_time_secrets where kind = :kind and link_digest = :link and created_at > :oldest
        returning user_id, flow_id, address";
    let values = named_params! {":kind": kind.word(), ":link": link_digest, ":oldest": At(oldest)};
    db.prepare_cached(sql)?.query_row(values, |row| redeemed(kind, row)).optional()
}

/// Redeems digits made after `oldest`, if they were not tried too often; a wrong try counts.
pub(crate) fn redeem_code(
    db: &Connection,
    kind: Kind,
    address: &str,
    code_mac: &str,
    oldest: OffsetDateTime,
) -> rusqlite::Result<Option<Redeemed>> {
    let sql = "delete from one_time_secrets where kind = :kind and address = :address and code_mac = :code
        and created_at > :oldest and tries < :most
        returning user_id, flow_id, address";
    let values = named_params! {
        ":kind": kind.word(), ":address": address, ":code": code_mac, ":oldest": At(oldest), ":most": MAX_TRIES,
    };
    db.prepare_cached(sql)?.query_row(values, |row| redeemed(kind, row)).optional()
}

/// Counts a wrong try against every secret of `address`.
pub(crate) fn count_try(db: &Connection, address: &str) -> rusqlite::Result<()> {
    let sql = "update one_time_secrets set tries = tries + 1 where address = :address";
    db.prepare_cached(sql)?.execute(named_params! {":address": address})?;
    Ok(())
}

/// Voids the secret of one kind.
pub(crate) fn void(db: &Connection, user: Uuid, kind: Kind) -> rusqlite::Result<()> {
    let sql = "delete from one_time_secrets where user_id = :user and kind = :kind";
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user), ":kind": kind.word()})?;
    Ok(())
}

/// Voids everything outstanding of a person.
pub(crate) fn void_all(db: &Connection, user: Uuid) -> rusqlite::Result<()> {
    let sql = "delete from one_time_secrets where user_id = :user";
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user)})?;
    Ok(())
}

fn redeemed(kind: Kind, row: &rusqlite::Row<'_>) -> rusqlite::Result<Redeemed> {
    let flow = row.get::<_, Option<Id>>(1)?.map(|id| id.0);
    Ok(Redeemed { user: row.get::<_, Id>(0)?.0, kind, address: row.get(2)?, flow })
}
