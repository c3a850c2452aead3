//! What a client below the mount gets at the end of a flow, and brings back: one-time codes of ours, never GoTrue's; the
//! rest of an address; a ticket to begin a linking flow with.

use base::seal::Sealer;
use base::vars::Rate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Flows;
use crate::limit::Bucket;
use crate::pkce::{Challenge, Verifier};
use crate::session::Session;

/// How every code of ours begins, and what else is handed over: each opens in its own place alone.
const CODE: &str = "bffc_";
const ADDRESS: &str = "bffa_";
const TICKET: &str = "bfft_";
/// How long codes, rests of addresses and tickets count.
const LIFE: Duration = Duration::MINUTE;
/// A code that was used stays used for longer than it counts.
const ONCE: Rate = Rate { count: 1, per: Duration::seconds(61) };
/// Longest text that is looked at, in bytes.
const LONGEST: usize = 8 << 10;

/// Seals what is handed over.
pub(super) struct Handover {
    sealer: Sealer,
}

impl Handover {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCode {
    /// None of ours, used, too old, or of another session than the one that is here.
    Unknown,
    /// The verifier is not that of the client which began the flow. The code is not used up.
    Verifier,
}

/// What begins a linking flow without another question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose session asked for it.
    pub session: Uuid,
    /// Where to.
    pub provider: String,
    /// Where the person goes afterwards: judged when it was asked for, and again.
    pub return_to: String,
}

#[derive(Serialize, Deserialize)]
struct Lent {
    g: Uuid,
    c: String,
}

#[derive(Serialize, Deserialize)]
struct Dated<T> {
    t: i64,
    v: T,
}

impl Flows {
    /// A code for the client that waits for `session` with `challenge`: good for a minute, once, in this session.
    pub fn lend(&self, session: &Session, challenge: &Challenge) -> String {
        let lent = Lent { g: session.gotrue_id, c: challenge.as_str().to_owned() };
        self.seal_for_a_minute(CODE, lent)
    }

    /// Whether `code` is one of ours for `session` and `verifier` belongs to its challenge; from then on it is used, on every
    /// node with the same Redis. Nodes without one do not know of each other; a code opens nothing without the session's
    /// cookie.
    ///
    /// # Errors
    ///
    /// [`BadCode`]
    pub async fn take_back(&self, code: &str, verifier: &str, session: &Session) -> Result<(), BadCode> {
        let lent = self.open_in_time::<Lent>(CODE, code).ok_or(BadCode::Unknown)?;
        if lent.g != session.gotrue_id {
            return Err(BadCode::Unknown);
        }
        let proved = Verifier::from_text(verifier).map(|verifier| verifier.challenge());
        if proved.is_none_or(|challenge| challenge.as_str() != lent.c) {
            return Err(BadCode::Verifier);
        }
        match self.0.limiter.take(Bucket::Redemption, code, ONCE).await {
            Ok(_used) => Ok(()), // it is not given back
            Err(_) => Err(BadCode::Unknown),
        }
    }

    /// `address`, which this program itself made, to ride in an address of ours for a moment.
    pub fn seal_address(&self, address: &str) -> String {
        self.seal_for_a_minute(ADDRESS, address)
    }

    /// What [`seal_address`](Self::seal_address) sealed within the last minute.
    pub fn open_address(&self, sealed: &str) -> Option<String> {
        self.open_in_time(ADDRESS, sealed)
    }

    /// `ticket` as a text for an address of ours.
    pub fn seal_ticket(&self, ticket: &Ticket) -> String {
        self.seal_for_a_minute(TICKET, ticket)
    }

    /// What [`seal_ticket`](Self::seal_ticket) sealed within the last minute.
    pub fn open_ticket(&self, sealed: &str) -> Option<Ticket> {
        self.open_in_time(TICKET, sealed)
    }

    /// Names a challenge of `factor` that `session` opened `now`. It is opened at GoTrue once its code is there.
    pub fn open_challenge(&self, session: &Session, factor: Uuid, now: OffsetDateTime) -> Uuid {
        let seconds = u32::try_from(now.unix_timestamp()).unwrap_or_default().to_be_bytes();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&seconds);
        id[4..].copy_from_slice(&self.0.handover.sealer.mac(&challenge(session, &factor, &seconds))[..12]);
        Uuid::from_bytes(id)
    }

    /// When `session` opened the challenge `id` of `factor`; `None` if it never did.
    pub fn opened_at(&self, session: &Session, factor: Uuid, id: Uuid) -> Option<OffsetDateTime> {
        let (seconds, tag) = id.as_bytes().split_first_chunk::<4>()?;
        let macs = self.0.handover.sealer.macs(&challenge(session, &factor, seconds));
        let ours = macs.iter().any(|mac| mac[..12] == *tag);
        ours.then(|| OffsetDateTime::from_unix_timestamp(u32::from_be_bytes(*seconds).into()).ok())?
    }

    fn seal_for_a_minute(&self, prefix: &'static str, value: impl Serialize) -> String {
        let inner = &self.0;
        let dated = Dated { t: inner.now().unix_timestamp(), v: value };
        // Texts, numbers and UUIDs: nothing here can fail to serialise.
        let plain = serde_json::to_vec(&dated).unwrap_or_default();
        let origin = inner.public_url.origin().ascii_serialization();
        format!("{prefix}{}", inner.handover.sealer.seal(&[prefix, &origin], &plain, &*inner.entropy))
    }

    fn open_in_time<T: DeserializeOwned>(&self, prefix: &'static str, text: &str) -> Option<T> {
        let sealed = text.strip_prefix(prefix).filter(|sealed| sealed.len() <= LONGEST)?;
        let origin = self.0.public_url.origin().ascii_serialization();
        let opened = self.0.handover.sealer.open(&[prefix, &origin], sealed).ok()?;
        let dated: Dated<T> = serde_json::from_slice(&opened.plain).ok()?;
        let until = OffsetDateTime::from_unix_timestamp(dated.t).ok()? + LIFE;
        (self.0.now() < until).then_some(dated.v)
    }
}

fn challenge<'a>(session: &'a Session, factor: &'a Uuid, seconds: &'a [u8; 4]) -> [&'a [u8]; 4] {
    [b"challenge", session.gotrue_id.as_bytes(), factor.as_bytes(), seconds]
}
