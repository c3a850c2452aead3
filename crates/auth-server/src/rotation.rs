//! Refresh tokens: their form, and what each presented one does to its session (contract, sections 5.4 and 5.5).
//!
//! A token is `base64url(0 ‖ session id ‖ counter ‖ tag ‖ checksum)`. The tag is an HMAC under a key that is not in
//! the database, so the database holds nothing from which a token could be made, yet the current one can be told
//! again to a client that missed it.

mod legacy;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderValue;
use base::seal::Sealer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::refresh_tokens;
use crate::db::sessions::{self, Scope, Session};
use crate::db::users::{self, User};
use crate::settings::{RefreshTokenForm, Settings};
use crate::token::digest_of;

const VERSION: u8 = 0;
const TAG: usize = 16;
const CHECKSUM: usize = 4;

/// Makes and reads refresh tokens.
#[derive(Debug)]
pub(crate) struct RefreshTokens {
    form: RefreshTokenForm,
    sealer: Sealer,
}

/// What a presented text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    /// Not of any known form.
    Malformed,
    /// Of a known form, but not made by this server.
    Foreign,
    /// To be looked for.
    Ours(Given),
}

/// A refresh token that this server may have given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// The `counter`-th token of a session.
    Counted { session: Uuid, counter: u64 },
    /// One of the older form; its digest.
    Legacy(String),
}

/// A session that is about to begin.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) id: Uuid,
    /// What is to be written down of its first refresh token, if its form asks for that.
    pub(crate) first_token: Option<String>,
}

impl RefreshTokens {
    /// `sealer` serves this purpose alone.
    pub(crate) fn new(form: RefreshTokenForm, sealer: Sealer) -> Self {
        Self { form, sealer }
    }

    /// Prepares a session with this id.
    pub(crate) fn begin(&self, id: Uuid) -> NewSession {
        let legacy = self.form == RefreshTokenForm::Legacy;
        NewSession { id, first_token: legacy.then(|| digest_of(&self.legacy(id, 0))) }
    }

    /// The current token of `session`; the same each time it is asked for.
    pub(crate) fn current(&self, session: &Session) -> String {
        match self.form {
            RefreshTokenForm::V2 => self.counted(session.id, session.counter),
            RefreshTokenForm::Legacy => self.legacy(session.id, session.counter),
        }
    }

    /// The header that tells something of the current token, and nothing that helps to guess it (contract, section
    /// 1.4).
    pub(crate) fn described(&self, session: &Session) -> (&'static str, HeaderValue) {
        match self.form {
            RefreshTokenForm::V2 => ("sb-auth-refresh-token-counter", HeaderValue::from(session.counter)),
            RefreshTokenForm::Legacy => {
                let prefix =
                    self.current(session).get(..5).and_then(|prefix| HeaderValue::from_str(prefix).ok());
                ("sb-auth-refresh-token-prefix", prefix.unwrap_or(HeaderValue::from_static("")))
            }
        }
    }

    fn counted(&self, session: Uuid, counter: u64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(session.as_bytes());
        write_varint(&mut bytes, counter);
        bytes.extend_from_slice(&self.sealer.mac(&[&bytes])[..TAG]);
        let checksum = digest(&SHA256, &bytes);
        bytes.extend_from_slice(&checksum.as_ref()[..CHECKSUM]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client sent. A token of the form that is not set is none of ours.
    pub(crate) fn read(&self, text: &str) -> Presented {
        match (self.form, legacy::is_legacy(text)) {
            (RefreshTokenForm::Legacy, true) => Presented::Ours(Given::Legacy(digest_of(text))),
            (RefreshTokenForm::V2, true) => Presented::Foreign,
            (RefreshTokenForm::V2, false) => self.read_current(text).unwrap_or(Presented::Malformed),
            (RefreshTokenForm::Legacy, false) => {
                self.read_current(text).map_or(Presented::Malformed, |_| Presented::Foreign)
            }
        }
    }

    fn read_current(&self, text: &str) -> Option<Presented> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 64)?;
        let (rest, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
        if digest(&SHA256, rest).as_ref()[..CHECKSUM] != checksum[..] {
            return None;
        }
        let (signed, tag) = rest.split_last_chunk::<TAG>()?;
        let (session, counter) = signed.strip_prefix(&[VERSION])?.split_first_chunk::<16>()?;
        let counter = read_varint(counter)?;
        let ours = verify_slices_are_equal(&self.sealer.mac(&[signed])[..TAG], tag).is_ok();
        let session = Uuid::from_bytes(*session);
        Some(if ours { Presented::Ours(Given::Counted { session, counter }) } else { Presented::Foreign })
    }
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The number that fills `bytes` to the last one.
fn read_varint(bytes: &[u8]) -> Option<u64> {
    let (last, rest) = bytes.split_last().filter(|(last, rest)| **last < 0x80 && rest.len() < 9)?;
    let mut value = u64::from(*last);
    for byte in rest.iter().rev() {
        if byte & 0x80 == 0 {
            return None;
        }
        value = value << 7 | u64::from(byte & 0x7f);
    }
    Some(value)
}

/// How a refresh ended.
#[derive(Debug)]
pub(crate) enum Refreshed {
    /// The session goes on; its current token is the answer.
    Goes(Box<User>, Session),
    /// There is no such session, or no such person.
    NotFound,
    /// The token is ahead of its session.
    Impossible,
    /// An old token outside the interval: the session has been ended.
    Reused,
    /// Past a limit of sessions.
    Expired,
    /// Its person may not come in.
    Banned,
}

/// What a presented token does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A new token takes its place.
    Next,
    /// The current token is told again.
    Same,
    /// It is refused, and the refresh tokens of the session with it.
    End,
}

/// Takes a token to the session it belongs to. Runs inside one write transaction: of fifty parallel calls with the
/// current token the first rotates, and the others present its predecessor (S-76).
pub(crate) fn refresh(
    db: &Connection,
    tokens: &RefreshTokens,
    settings: &Settings,
    given: &Given,
    now: OffsetDateTime,
) -> rusqlite::Result<Refreshed> {
    let (session, counter, row) = match given {
        Given::Counted { session, counter } => (*session, *counter, None),
        Given::Legacy(digest) => {
            let Some(row) = refresh_tokens::find(db, digest)? else { return Ok(Refreshed::NotFound) };
            (row.session, row.counter, Some(row))
        }
    };
    let Some(mut session) = sessions::find(db, session)? else { return Ok(Refreshed::NotFound) };
    let Some(user) = users::find(db, session.user)? else { return Ok(Refreshed::NotFound) };
    if user.is_banned(now) {
        return Ok(Refreshed::Banned);
    }
    if is_over(settings, &session, now) {
        return Ok(Refreshed::Expired);
    }
    if counter > session.counter {
        return Ok(Refreshed::Impossible);
    }
    let interval = settings.refresh_reuse_interval;
    let step = match &row {
        Some(row) => legacy::judge(db, row, interval, now)?,
        None if counter == session.counter => Step::Next,
        None if counter + 1 == session.counter || session.refreshed_at + interval > now => Step::Same,
        None => Step::End,
    };
    match (step, &row) {
        (Step::Next, _) => session.counter += 1,
        (Step::Same, _) => {}
        (Step::End, Some(_)) => {
            refresh_tokens::revoke(db, session.id, None, now)?;
            return Ok(Refreshed::Reused);
        }
        (Step::End, None) => {
            sessions::end(db, session.user, Scope::Local(session.id))?;
            return Ok(Refreshed::Reused);
        }
    }
    session.refreshed_at = crate::db::micros(now);
    sessions::save(db, &session)?;
    if step == Step::Next {
        tokens.replace(db, Some(counter), &session, now)?;
    }
    Ok(Refreshed::Goes(Box::new(user), session))
}

fn is_over(settings: &Settings, session: &Session, now: OffsetDateTime) -> bool {
    let past =
        |limit: Option<time::Duration>, from: OffsetDateTime| limit.is_some_and(|limit| from + limit <= now);
    past(settings.session_lifetime, session.created_at) || past(settings.session_idle, session.refreshed_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::entropy::SystemEntropy;
    use base::seal::{KeyId, Keyring, MasterKey};

    fn tokens() -> RefreshTokens {
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy);
        RefreshTokens::new(RefreshTokenForm::V2, Keyring::new(&[key]).unwrap().purpose("refresh tokens"))
    }

    fn session(counter: u64) -> Session {
        let now = OffsetDateTime::UNIX_EPOCH;
        Session { counter, ..Session::new(Uuid::from_u128(7), Uuid::from_u128(8), "password", now) }
    }

    /// Contract, section 5.4: at least 51 characters; what was written is read, whatever the counter.
    #[test]
    fn tokens_are_read_back() {
        let tokens = tokens();
        for counter in [0, 1, 127, 128, 300, u64::from(u32::MAX)] {
            let text = tokens.current(&session(counter));
            assert!((51..128).contains(&text.len()));
            let ours = Given::Counted { session: Uuid::from_u128(7), counter };
            assert_eq!(tokens.read(&text), Presented::Ours(ours));
        }
    }

    #[test]
    fn foreign_and_malformed_tokens_are_told_apart() {
        let ours = tokens();
        assert_eq!(ours.read(&tokens().current(&session(1))), Presented::Foreign);
        assert_eq!(ours.read("abcdefghijkl"), Presented::Foreign);
        let good = ours.current(&session(1));
        for bad in
            ["", "abc", "not a token at all!", &good[1..], &format!("{good}A"), &good.replace('A', "B")]
        {
            assert_eq!(ours.read(bad), Presented::Malformed, "{bad}");
        }
    }
}
