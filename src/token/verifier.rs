//! [`Verifier`]: [`verify`](super::verify) with the project's keys, an injected clock and a memory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base::clock::{SharedClock, SystemClock};
use base::count::Counts;
use time::OffsetDateTime;

use super::cache::{Digest, Verdicts};
use super::disk::KeptSet;
use super::jwks::{Asked, Published, Publisher, Want};
use super::keys::{Header, KeySet};
use super::settings::{Misconfigured, Settings};
use super::{Claims, Expectations, Invalid, judge, shape};

/// Why there is no verdict in a token's favour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is to blame: 401.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Nobody can tell, since the key set is not to be had or too old: 503 (S-37).
    #[error("the keys to verify with are not available")]
    KeysUnavailable {
        /// When to come back; at least a second, at most a minute.
        retry_after: std::time::Duration,
    },
}

/// Verifies access tokens of one project. Clones share keys and memory.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    expect: Expectations,
    /// The HS256 secret alone, or nothing.
    local: KeySet,
    published: Option<Arc<Publisher>>,
    verdicts: Verdicts,
    counts: Counted,
    clock: SharedClock,
}

/// What a [`Verifier`] found about one token, kept beside it by whoever keeps the token: a look at it saves the reading
/// of the whole token. Times are no part of it, and under other keys it does not count.
#[derive(Debug, Default)]
pub struct Kept {
    digest: OnceLock<Digest>,
    /// With the generation of the keys it was found under.
    verdict: OnceLock<(u64, Arc<Claims>)>,
}

/// Places of the results of a look-up in [`Counted::tokens`].
const HIT: usize = 0;
const MISS: usize = 1;

/// What a verifier counts, for whoever shows figures.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Fetches of the key set, by `outcome`: `ok` or `failed`.
    pub jwks: Arc<Counts>,
    /// Look-ups of verdicts about tokens seen before, by `result`: `hit` or `miss`.
    pub tokens: Arc<Counts>,
}

impl Verifier {
    /// `http` must follow no redirect; `base::http::client` makes one. In `data_dir` the last good key set is
    /// kept over restarts. Nothing is fetched before the first use or [`warm_up`](Self::warm_up).
    pub fn new(
        settings: &Settings,
        http: reqwest::Client,
        clock: SharedClock,
        data_dir: Option<PathBuf>,
    ) -> Self {
        let local =
            settings.hs256_secret.as_ref().map(|s| KeySet::default().with_secret(s)).unwrap_or_default();
        let counts = Counted {
            jwks: Arc::new(Counts::new([("outcome", vec!["ok", "failed"])])),
            tokens: Arc::new(Counts::new([("result", vec!["hit", "miss"])])),
        };
        let published = settings.jwks_url.clone().map(|url| {
            let kept = data_dir.as_deref().map(|dir: &Path| KeptSet::new(dir, &url));
            let (clock, local) = (Arc::clone(&clock), local.clone());
            let fetches = counts.jwks.clone();
            Arc::new(Publisher::new(url, http, clock, settings.jwks_max_stale, local, kept, fetches))
        });
        let verdicts = Verdicts::new(&settings.issuer, settings.memory);
        Self(Arc::new(Inner { expect: settings.expectations(), local, published, verdicts, counts, clock }))
    }

    /// For an API that receives Supabase tokens: reads `SUPABASE_URL` and the other `SUPABASE_*` variables.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`] lists everything that is wrong with them.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let settings = Settings::from_env(&std::env::vars().collect::<Vec<_>>())?;
        base::http::install_tls_provider();
        let http = base::http::client(base::http::tls_config(), std::time::Duration::from_secs(10));
        let http = http.map_err(|error| Misconfigured::tls(&error))?;
        Ok(Self::new(&settings, http, Arc::new(SystemClock), None))
    }

    /// Verifies `token`; a token seen before costs a digest and a look-up.
    ///
    /// May wait for the key set to be fetched, at most ten seconds, if there is none yet or the token names a key
    /// that is not in it. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Refusal`]. What is merely unknown during an outage is [`Refusal::KeysUnavailable`], never a pass.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>, Refusal> {
        if token.len() > shape::MAX_LENGTH {
            return Err(Invalid::Shape.into());
        }
        let found = self.verify_known(token, self.0.verdicts.digest(token), self.0.clock.now()).await?;
        Ok(found.1)
    }

    /// As [`verify`](Self::verify), for whoever has `kept` beside this very `token` and no other. `now` is the present
    /// moment.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub async fn verify_kept(
        &self,
        token: &str,
        kept: &Kept,
        now: OffsetDateTime,
    ) -> Result<Arc<Claims>, Refusal> {
        let generation = self.0.generation(now);
        if let Some((under, claims)) = kept.verdict.get()
            && *under == generation
        {
            self.0.counts.tokens.add(&[HIT]);
            return self.0.in_time(Arc::clone(claims), now);
        }
        let digest = *kept.digest.get_or_init(|| self.0.verdicts.digest(token));
        let found = self.verify_known(token, digest, now).await?;
        let claims = Arc::clone(&found.1);
        let _ = kept.verdict.set(found); // another was first: his is as good
        Ok(claims)
    }

    /// The claims, and the generation of the keys under which they were found.
    async fn verify_known(
        &self,
        token: &str,
        digest: Digest,
        now: OffsetDateTime,
    ) -> Result<(u64, Arc<Claims>), Refusal> {
        let generation = self.0.generation(now);
        let remembered = self.0.verdicts.get(&Verdicts::name(digest, generation));
        self.0.counts.tokens.add(&[if remembered.is_some() { HIT } else { MISS }]);
        match remembered {
            Some(claims) => Ok((generation, self.0.in_time(claims, now)?)),
            None => Box::pin(self.0.examine(token, digest, now)).await, // rare: no weight on every request
        }
    }

    /// What was counted so far and is counted from now on.
    pub fn counted(&self) -> Counted {
        self.0.counts.clone()
    }

    /// Whether these claims are good for being forwarded: no leeway past `exp` (S-34).
    pub fn forwardable(&self, claims: &Claims) -> bool {
        self.0.clock.now().unix_timestamp() < claims.exp
    }

    /// Whether any token could be verified now.
    pub fn ready(&self) -> bool {
        let now = self.0.clock.now();
        let published = self.0.published.as_ref().and_then(|p| p.usable(now));
        !self.0.local.is_empty() || published.is_some_and(|set| !set.keys.is_empty())
    }

    /// Fetches the key set if there is none yet. Waits for the outcome; [`ready`](Self::ready) tells it.
    pub async fn warm_up(&self) {
        let Some(published) = &self.0.published else { return };
        let now = self.0.clock.now();
        match published.usable(now) {
            Some(set) => published.keep_fresh(&set, now),
            None => wait(published.ask(Want::AnyKeys, now)).await,
        }
    }

    /// Forgets the verdict about `token`. That it was revoked is for the caller to remember: the signature holds.
    pub fn forget(&self, token: &str) {
        let now = self.0.clock.now();
        let set = self.0.published.as_ref().and_then(|p| p.usable(now));
        let generation = set.map_or(0, |set| set.generation);
        self.0.verdicts.remove(&Verdicts::name(self.0.verdicts.digest(token), generation));
    }
}

impl Inner {
    /// Of the keys that count now; a set that has reached its age is fetched anew meanwhile. Verdicts under a set that is
    /// gone or too old are not found: its generation is not asked for.
    fn generation(&self, now: OffsetDateTime) -> u64 {
        let set = self.published.as_ref().and_then(|published| {
            let set = published.usable(now)?;
            published.keep_fresh(&set, now);
            Some(set)
        });
        set.map_or(0, |set| set.generation)
    }

    /// `claims` of a token whose signature holds, if today's clock lets them pass.
    fn in_time(&self, claims: Arc<Claims>, now: OffsetDateTime) -> Result<Arc<Claims>, Refusal> {
        self.expect.in_time(&claims, now).map_err(Refusal::from)?;
        Ok(claims)
    }

    async fn examine(
        &self,
        token: &str,
        digest: Digest,
        now: OffsetDateTime,
    ) -> Result<(u64, Arc<Claims>), Refusal> {
        let parts = shape::split(token)?;
        let header = Header::read(&parts.header)?;
        let set = self.set_for(&header, now).await?;
        let keys = set.as_deref().map_or(&self.local, |set| &set.keys);
        let key = keys.find(&header)?;
        let now = self.clock.now(); // a fetch may have taken seconds
        let claims = Arc::new(judge(parts, key, &self.expect, now)?);
        let generation = set.map_or(0, |set| set.generation);
        self.verdicts.insert(Verdicts::name(digest, generation), Arc::clone(&claims), token.len(), now);
        Ok((generation, claims))
    }

    /// The set to look in for the key of `header`: fetched first where that could help, and then waited for.
    async fn set_for(
        &self,
        header: &Header<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Arc<Published>>, Refusal> {
        let Some(published) = &self.published else { return Ok(None) };
        let set = published.usable(now);
        let Some(kid) = header.could_be_published() else { return Ok(set) };
        let Some(set) = set else {
            wait(published.ask(Want::AnyKeys, now)).await;
            let retry_after = published.retry_after(Want::AnyKeys, now);
            return published.usable(now).map(Some).ok_or(Refusal::KeysUnavailable { retry_after });
        };
        if set.keys.knows(header) {
            return Ok(Some(set));
        }
        if !published.is_known_unknown(kid, now)
            && let asked @ Asked::UnderWay(_) = published.ask(Want::Newer, now)
        {
            wait(asked).await;
            let newer = published.usable(now);
            if newer.as_ref().is_some_and(|set| set.keys.knows(header)) {
                return Ok(newer);
            }
            if !published.in_the_dark() {
                published.note_unknown(kid, now);
            }
        }
        if published.in_the_dark() {
            return Err(Refusal::KeysUnavailable { retry_after: published.retry_after(Want::Newer, now) });
        }
        Err(Invalid::UnknownKey.into())
    }
}

async fn wait(asked: Asked) {
    if let Asked::UnderWay(mut under_way) = asked {
        let _ = under_way.changed().await; // nothing is ever sent: it closes when the fetch is over
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("expect", &self.0.expect).finish_non_exhaustive()
    }
}
