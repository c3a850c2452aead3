//! What the command line asks of the parts: cookies for load tests, and what the rules say.

use http::Method;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Bff, Error};
use crate::config::Settings;
use crate::gateway::path::{AllowEncoded, BadPath, Path};
use crate::gotrue::{self, Tokens};
use crate::policy::{Explanation, Policy, Via, Who};
use crate::session::{self, Proof};
use crate::token::{Claims, Invalid};

/// Why there is no cookie for a session.
#[derive(Debug, thiserror::Error)]
pub enum NotMinted {
    /// It is no session of Supabase.
    #[error("this is no session of Supabase")]
    NoSession(#[source] gotrue::Error),
    /// Its tokens are refused, or it is too large.
    #[error("this session would be refused at a sign-in")]
    Refused(#[from] session::Error),
}

impl Bff {
    /// The `Cookie` header value with which a browser would bring the session in `line`, an answer of `POST /token`.
    /// Its tokens are verified as at a sign-in.
    ///
    /// # Errors
    ///
    /// [`NotMinted`]
    pub async fn mint(&self, line: &[u8]) -> Result<String, NotMinted> {
        let sessions = &self.state.sessions;
        let tokens = Tokens::from_json(line).map_err(NotMinted::NoSession)?;
        let proof = Proof { method: "minted", remember: false, recovery: false };
        let made = sessions.make(tokens, proof).await?;
        let session = sessions.keep_new(&made, "").await?;
        sessions.cookie_header(&session).ok_or(NotMinted::Refused(session::Error::TooLarge))
    }
}

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub enum Unexplained {
    /// The path is refused before any rule is asked.
    #[error("400 bad_path: {0}")]
    Path(BadPath),
    /// A token with these claims would be refused before any rule is asked.
    #[error("a token with these claims would be refused")]
    Claims(#[from] Invalid),
    /// The rules themselves are refused.
    #[error(transparent)]
    Rules(#[from] Error),
}

/// Which rule of `settings` decides about a request, and why. `claims` are those of the person who asks; what a token
/// must have and they lack is supposed. `None`: nobody is signed in.
///
/// # Errors
///
/// [`Unexplained`]
pub fn explain(
    settings: Settings,
    method: &Method,
    path: &str,
    claims: Option<Map<String, Value>>,
    now: OffsetDateTime,
) -> Result<Explanation, Unexplained> {
    let claims = claims.map(|claims| Claims::suppose(claims, now)).transpose()?;
    // Judged as for the look-up of the rule: its upstream may be stricter.
    Path::judge(path, AllowEncoded::ALL).map_err(Unexplained::Path)?;
    let policy = Policy::build(settings.rules, settings.grants, &settings.site)
        .map_err(|_| Unexplained::Rules(Error::Rules))?;
    let who = match &claims {
        None => Who::Nobody,
        Some(claims) => Who::User { claims, via: Via::Cookie, auth_time: claims.auth_time(), limited: false },
    };
    Ok(policy.explain(method, None, path, &who, now))
}
