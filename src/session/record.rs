//! What a session consists of, and its form under the seal.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use base::secret::Secret;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::settings::SecondFactor;
use super::store::Version;
use super::ticket::Ticket;
use crate::gotrue;
use crate::token::Kept;

/// Tokens are refused for this long past their end.
const LEEWAY: Duration = Duration::minutes(1);

/// The step that a person must take before a session opens anything (S-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limited {
    /// The code of a second factor.
    Mfa,
    /// A new password, after a recovery link.
    Recovery,
    /// The code first, then the new password: recovery does not skip the second factor.
    MfaThenRecovery,
}

impl Limited {
    /// The word that `/auth/session` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mfa | Self::MfaThenRecovery => "mfa",
            Self::Recovery => "recovery",
        }
    }

    /// What that word names first.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Mfa, Self::Recovery].into_iter().find(|limited| limited.as_str() == word)
    }

    /// What is missing from a session that reached the level `aal` of `next_aal`. `recovery`: it began with a recovery
    /// link, and no new password followed so far. GoTrue itself takes none below the level that is possible.
    pub(super) fn of(recovery: bool, aal: u8, next_aal: u8, asked: SecondFactor) -> Option<Self> {
        let code = aal < next_aal;
        match (recovery, code) {
            (true, true) => Some(Self::MfaThenRecovery),
            (true, false) => Some(Self::Recovery),
            (false, true) => (asked == SecondFactor::WhenEnrolled).then_some(Self::Mfa),
            (false, false) => None,
        }
    }

    /// Whether a new password is missing, now or later.
    pub fn ends_with_password(self) -> bool {
        matches!(self, Self::Recovery | Self::MfaThenRecovery)
    }
}

/// One person in one browser. Immutable: every change makes a new value.
#[derive(Debug, Clone)]
pub struct Session {
    /// Ours, new at every sign-in (S-06).
    pub id: Uuid,
    /// The `sub` of its tokens.
    pub user_id: Uuid,
    /// The `session_id` of its tokens.
    pub gotrue_id: Uuid,
    /// What upstreams get.
    pub access_token: Secret<String>,
    /// What GoTrue gets for the next pair.
    pub refresh_token: Secret<String>,
    /// When the access token was issued and when it ends, by its own claims.
    pub issued_at: OffsetDateTime,
    /// The end of the access token.
    pub expires_at: OffsetDateTime,
    /// The sign-in.
    pub created_at: OffsetDateTime,
    /// The last proof: password, code, provider.
    pub auth_time: OffsetDateTime,
    /// The last refresh or touch, from which the idle limit counts (S-08).
    pub last_seen: OffsetDateTime,
    /// The cookie outlives the browser's session.
    pub remember: bool,
    /// The step that is missing, if any.
    pub limited: Option<Limited>,
    /// The level that the person's factors make possible: 1 or 2.
    pub next_aal: u8,
    /// In store mode: where it rests.
    pub(super) rest: Option<Rest>,
    pub(super) memo: Memo,
}

/// Where a session rests in store mode.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    /// What the cookie holds.
    pub(super) ticket: Arc<Ticket>,
    /// Of the record that this value was read from or written as.
    pub(super) version: Version,
    /// The browser, for the list of devices.
    pub(super) agent: Arc<str>,
}

/// What was worked out about this very value. A changed session is another value: it starts without.
#[derive(Debug, Default)]
pub(super) struct Memo {
    pub(super) token: Kept,
    pub(super) public_id: OnceLock<String>,
    /// With the number of the policy by which roles and scopes in it were found.
    pub(super) description: OnceLock<(u64, String)>,
    pub(super) bearer: OnceLock<Option<HeaderValue>>,
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The sealed form. Names are short because they ride in a cookie; times are unix seconds, and `f` the milliseconds of the
/// sign-in: a sign-out everywhere goes by its order.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    i: Uuid,
    u: Uuid,
    g: Uuid,
    #[serde(borrow)]
    a: Cow<'a, str>,
    #[serde(borrow)]
    r: Cow<'a, str>,
    n: i64,
    e: i64,
    c: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    f: u16,
    p: i64,
    s: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    m: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<Limited>,
    x: u8,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    d: Option<Cow<'a, str>>,
}

/// For serde, which hands a reference.
pub(super) fn is_zero(millis: &u16) -> bool {
    *millis == 0
}

impl Session {
    /// The access token as `Authorization`, marked so that nothing prints it. `None` if it cannot stand in a header.
    pub fn bearer(&self) -> Option<&HeaderValue> {
        self.memo.bearer.get_or_init(|| base::http::bearer(&self.access_token)).as_ref()
    }

    /// How this very session is described to its person by the policy of this number: `make`'s text, made once. Under
    /// another policy than the first that asked it is made anew each time.
    pub fn described(&self, policy: u64, make: impl Fn() -> String) -> Cow<'_, str> {
        let (whose, text) = self.memo.description.get_or_init(|| (policy, make()));
        if *whose == policy { Cow::Borrowed(text) } else { Cow::Owned(make()) }
    }

    /// The bytes to seal.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            i: self.id,
            u: self.user_id,
            g: self.gotrue_id,
            a: self.access_token.expose().into(),
            r: self.refresh_token.expose().into(),
            n: self.issued_at.unix_timestamp(),
            e: self.expires_at.unix_timestamp(),
            c: self.created_at.unix_timestamp(),
            f: self.created_at.millisecond(),
            p: self.auth_time.unix_timestamp(),
            s: self.last_seen.unix_timestamp(),
            m: self.remember,
            l: self.limited,
            x: self.next_aal,
            d: self.rest.as_ref().map(|rest| Cow::Borrowed(&*rest.agent)),
        };
        // Strings, numbers and UUIDs: nothing here can fail to serialise.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// `None` if `bytes` are not what [`to_bytes`](Self::to_bytes) makes. `place` is where they rested in a store.
    pub(super) fn from_bytes(bytes: &[u8], place: Option<(&Arc<Ticket>, Version)>) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(bytes).ok()?;
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let rest = place.map(|(ticket, version)| Rest {
            ticket: Arc::clone(ticket),
            version,
            agent: stored.d.as_deref().unwrap_or_default().into(),
        });
        Some(Self {
            id: stored.i,
            user_id: stored.u,
            gotrue_id: stored.g,
            access_token: Secret::new(stored.a.into_owned()),
            refresh_token: Secret::new(stored.r.into_owned()),
            issued_at: time(stored.n)?,
            expires_at: time(stored.e)?,
            created_at: time(stored.c)? + Duration::milliseconds(stored.f.into()),
            auth_time: time(stored.p)?,
            last_seen: time(stored.s)?,
            remember: stored.m,
            limited: stored.l,
            next_aal: stored.x,
            rest,
            memo: Memo::default(),
        })
    }

    /// The same session with the tokens of a refresh. Only the idle limit moves (S-08). `aal` as the token says, if that is
    /// known: a factor may have come or gone since, so the step that is missing is worked out anew (S-32).
    pub(super) fn refreshed(
        &self,
        fresh: Fresh,
        aal: Option<u8>,
        asked: SecondFactor,
        now: OffsetDateTime,
    ) -> Self {
        let recovery = self.limited.is_some_and(Limited::ends_with_password);
        let limited = match aal {
            Some(aal) => Limited::of(recovery, aal, fresh.next_aal, asked),
            None => self.limited,
        };
        Self {
            limited,
            access_token: fresh.access_token,
            refresh_token: fresh.refresh_token,
            issued_at: fresh.issued_at,
            expires_at: fresh.expires_at,
            next_aal: fresh.next_aal,
            last_seen: now,
            ..self.clone()
        }
    }

    /// The same session, as it rests under `version`.
    pub(super) fn resting_as(&self, version: Version) -> Self {
        let mut session = self.clone();
        if let Some(rest) = &mut session.rest {
            rest.version = version;
        }
        session
    }

    /// Whether both hold the same tokens.
    pub(super) fn same_tokens(&self, other: &Self) -> bool {
        self.refresh_token == other.refresh_token && self.access_token == other.access_token
    }

    /// Names this refresh token of this session, without holding it (S-41).
    pub(super) fn refresh_key(&self) -> [u8; 32] {
        let mut digest = Context::new(&SHA256);
        digest.update(self.gotrue_id.as_bytes());
        digest.update(self.refresh_token.expose().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(digest.finish().as_ref());
        key
    }

    /// How long before its end the access token is refreshed: the margin, but at most a quarter of its life.
    pub(super) fn margin(&self, configured: Duration) -> Duration {
        configured.min(Duration::seconds(seconds(self.issued_at, self.expires_at) / 4))
    }

    /// Every access token that this sign-in may have been given up to `now`, under whatever name, is over by then.
    pub(super) fn tokens_end(&self, now: OffsetDateTime) -> OffsetDateTime {
        let life = Duration::seconds(seconds(self.issued_at, self.expires_at));
        self.expires_at.max(now + life) + LEEWAY
    }

    /// Whether the access token is to be refreshed at `now`.
    pub(super) fn is_due(&self, margin: Duration, now: OffsetDateTime) -> bool {
        seconds(now, self.expires_at) <= self.margin(margin).whole_seconds()
    }
}

/// From one moment to a later one. Limits are whole seconds: this is many times quicker than their difference.
pub(super) fn seconds(from: OffsetDateTime, to: OffsetDateTime) -> i64 {
    to.unix_timestamp().saturating_sub(from.unix_timestamp())
}

/// The part of a token answer that a session keeps.
pub(super) struct Fresh {
    pub(super) access_token: Secret<String>,
    pub(super) refresh_token: Secret<String>,
    pub(super) issued_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    pub(super) next_aal: u8,
}

impl Fresh {
    /// Takes the times from the verified claims, since a hook may shorten `exp` without `expires_in` (contract 6).
    pub(super) fn new(tokens: gotrue::Tokens, issued_at: OffsetDateTime, expires_at: OffsetDateTime) -> Self {
        let next_aal = if tokens.user.has_verified_factor() { 2 } else { 1 };
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            issued_at,
            expires_at,
            next_aal,
        }
    }
}
