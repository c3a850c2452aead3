//! Second factors and the challenges to them. What may happen once is one statement each (S-75).

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{At, Id};

/// How long a challenge can be answered (contract, section 2.15).
pub(crate) const CHALLENGE_LIFETIME: Duration = Duration::minutes(5);
/// Open challenges of one factor; the oldest give way.
const MOST_CHALLENGES: i64 = 10;
/// Wrong codes in a row before a factor rests for [`CHALLENGE_LIFETIME`].
const MOST_TRIES: i64 = 5;

/// An authenticator app of a person.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    /// May be empty; no two of a person are equal.
    pub(crate) friendly_name: String,
    /// Sealed.
    pub(crate) secret: String,
    pub(crate) verified: bool,
    pub(crate) wrong_tries: i64,
    /// The last wrong try.
    pub(crate) tried_at: Option<OffsetDateTime>,
    pub(crate) last_challenged_at: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl Factor {
    /// Until when no code is looked at, if too many were wrong.
    pub(crate) fn rests_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let until = self.tried_at? + CHALLENGE_LIFETIME;
        (self.wrong_tries >= MOST_TRIES && until > now).then_some(until)
    }
}

/// Adds a factor.
pub(crate) fn insert(db: &Connection, factor: &Factor) -> rusqlite::Result<()> {
    let sql = "insert into factors (id, user_id, friendly_name, secret, created_at, updated_at)
        values (:id, :user, :name, :secret, :now, :now)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(factor.id),
        ":user": Id(factor.user),
        ":name": factor.friendly_name,
        ":secret": factor.secret,
        ":now": At(factor.created_at),
    })?;
    Ok(())
}

/// The factors of a person, oldest first.
pub(crate) fn of_user(db: &Connection, user: Uuid) -> rusqlite::Result<Vec<Factor>> {
    let sql = "select * from factors where user_id = :user order by created_at, rowid";
    db.prepare_cached(sql)?.query_map(named_params! {":user": Id(user)}, read)?.collect()
}

/// Gives a factor another name.
pub(crate) fn rename(db: &Connection, id: Uuid, name: &str, now: OffsetDateTime) -> rusqlite::Result<()> {
    let sql = "update factors set friendly_name = :name, updated_at = :now where id = :id";
    db.prepare_cached(sql)?.execute(named_params! {":id": Id(id), ":name": name, ":now": At(now)})?;
    Ok(())
}

/// Accepts the code of `step`, unless that step or a later one was accepted before; `true` for the one caller that did.
pub(crate) fn accept_step(
    db: &Connection,
    id: Uuid,
    step: u64,
    now: OffsetDateTime,
) -> rusqlite::Result<bool> {
    let sql = "update factors set last_step = :step, verified = 1, wrong_tries = 0, tried_at = null,
        updated_at = :now where id = :id and last_step < :step";
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    let done =
        db.prepare_cached(sql)?.execute(named_params! {":id": Id(id), ":step": step, ":now": At(now)})?;
    Ok(done == 1)
}

/// Counts a wrong code; after a rest the count begins anew.
pub(crate) fn count_try(db: &Connection, id: Uuid, now: OffsetDateTime) -> rusqlite::Result<()> {
    let sql = "update factors set tried_at = :now,
        wrong_tries = case when tried_at > :since then wrong_tries + 1 else 1 end where id = :id";
    let values = named_params! {":id": Id(id), ":now": At(now), ":since": At(now - CHALLENGE_LIFETIME)};
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Removes a factor. Sessions that it raised fall back (see [`sessions::lower`](super::sessions::lower)).
pub(crate) fn delete(db: &Connection, id: Uuid) -> rusqlite::Result<()> {
    db.prepare_cached("delete from factors where id = :id")?.execute(named_params! {":id": Id(id)})?;
    Ok(())
}

/// Removes all factors of a person; `false` keeps the verified ones.
pub(crate) fn delete_of_user(db: &Connection, user: Uuid, verified_too: bool) -> rusqlite::Result<()> {
    let sql = "delete from factors where user_id = :user and (verified = 0 or :all)";
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user), ":all": verified_too})?;
    Ok(())
}

/// Opens a challenge.
pub(crate) fn challenge(
    db: &Connection,
    factor: Uuid,
    challenge: Uuid,
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let sql = "insert into challenges (id, factor_id, created_at) values (:id, :factor, :now)";
    db.prepare_cached(sql)?
        .execute(named_params! {":id": Id(challenge), ":factor": Id(factor), ":now": At(now)})?;
    let sql = "delete from challenges where factor_id = :factor and id not in (select id from challenges
        where factor_id = :factor order by created_at desc, rowid desc limit :most)";
    db.prepare_cached(sql)?.execute(named_params! {":factor": Id(factor), ":most": MOST_CHALLENGES})?;
    db.prepare_cached("update factors set last_challenged_at = :now where id = :factor")?
        .execute(named_params! {":factor": Id(factor), ":now": At(now)})?;
    Ok(())
}

/// When a challenge was opened, and whether it was met; `None` if the factor has no such challenge.
pub(crate) fn find_challenge(
    db: &Connection,
    factor: Uuid,
    challenge: Uuid,
) -> rusqlite::Result<Option<(OffsetDateTime, bool)>> {
    let sql = "select created_at, used from challenges where id = :id and factor_id = :factor";
    db.prepare_cached(sql)?
        .query_row(named_params! {":id": Id(challenge), ":factor": Id(factor)}, |row| {
            Ok((row.get::<_, At>(0)?.0, row.get(1)?))
        })
        .optional()
}

/// Marks a challenge as met; `true` for the one caller that did.
pub(crate) fn use_challenge(db: &Connection, challenge: Uuid) -> rusqlite::Result<bool> {
    let sql = "update challenges set used = 1 where id = :id and used = 0";
    Ok(db.prepare_cached(sql)?.execute(named_params! {":id": Id(challenge)})? == 1)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Factor> {
    let at = |name: &str| row.get::<_, Option<At>>(name).map(|at| at.map(|at| at.0));
    Ok(Factor {
        id: row.get::<_, Id>("id")?.0,
        user: row.get::<_, Id>("user_id")?.0,
        friendly_name: row.get("friendly_name")?,
        secret: row.get("secret")?,
        verified: row.get("verified")?,
        wrong_tries: row.get("wrong_tries")?,
        tried_at: at("tried_at")?,
        last_challenged_at: at("last_challenged_at")?,
        created_at: row.get::<_, At>("created_at")?.0,
        updated_at: row.get::<_, At>("updated_at")?.0,
    })
}
