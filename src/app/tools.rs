//! What the command line asks of the parts: cookies for load tests, and what the rules say.

use http::Method;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Bff, Error};
use crate::config::Settings;
use crate::gateway;
use crate::gateway::path::{AllowEncoded, BadPath, Path};
use crate::gateway::settings::UpstreamSettings;
use crate::gotrue::{self, Tokens};
use crate::policy::{Denied, Door, Explanation, Policy, Via, Who};
use crate::session::cookie::Names;
use crate::session::{self, Proof};
use crate::token::{Claims, Invalid};
use crate::web;

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

/// How a site with `settings` describes its own paths, as at `/auth/openapi.json`.
pub fn description(settings: &Settings) -> Value {
    let public = settings.network.canonical();
    web::document(&web::About {
        server: public.origin().ascii_serialization(),
        cookie: Names::new(public, true).session().to_owned(),
        scopes: settings.grants.scopes.clone(),
        token: settings.token_grants,
        hooks: settings.hooks.is_some(),
        forward_auth: settings.forward_auth.is_some(),
        demo: settings.demo,
        mount: settings.site.mount.clone(),
        services: settings.site.services.iter().cloned().collect(),
    })
}

/// A request that somebody would like to know the answer to.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, without the query.
    pub path: &'a str,
    /// The host asked for, without port; `None`: the canonical one.
    pub host: Option<&'a str>,
    /// The gateway, or another proxy.
    pub door: Door,
    /// How the token of a person comes.
    pub via: Via,
}

/// Tells which rule decides about requests, and why.
#[derive(Debug)]
pub struct Explainer {
    policy: Policy,
    host: Option<String>,
    upstreams: Vec<(String, UpstreamSettings)>,
}

impl Explainer {
    /// Explains the rules of `settings`.
    ///
    /// # Errors
    ///
    /// [`Error::Rules`] if they are refused.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let host = settings.network.canonical().host_str().map(str::to_owned);
        let policy =
            Policy::build(settings.rules, settings.grants, &settings.site).map_err(|_| Error::Rules)?;
        Ok(Self { policy, host, upstreams: settings.upstreams })
    }

    /// The way to the decision about `asked`. `claims` are those of the person who asks; what a token must have and they
    /// lack is supposed. `None`: nobody is signed in.
    ///
    /// # Errors
    ///
    /// [`Unexplained`]
    pub fn explain(
        &self,
        asked: Asked<'_>,
        claims: Option<Map<String, Value>>,
        now: OffsetDateTime,
    ) -> Result<Explanation, Unexplained> {
        let claims = claims.map(|claims| Claims::suppose(claims, now)).transpose()?;
        let Asked { method, path, door, via, .. } = asked;
        // In the order of a live request: its method, its path, its rule.
        let forwarded = gateway::is_forwarded(method);
        let allowed = if door == Door::Gateway { AllowEncoded::ALL } else { AllowEncoded::default() };
        if forwarded {
            Path::judge(path, allowed).map_err(Unexplained::Path)?;
        }
        let who = match &claims {
            None => Who::Nobody,
            Some(claims) => Who::User { claims, via, auth_time: claims.auth_time(), limited: false },
        };
        let host = asked.host.or(self.host.as_deref());
        let mut explanation = self.policy.explain(door, method, host, path, &who, now);
        if !forwarded {
            let allow = gateway::FORWARDED.to_owned();
            explanation.lines.iter_mut().for_each(|line| {
                line.hit = false;
                line.reason = "not asked: no rule is about this method".to_owned();
            });
            explanation.verdict = Err(Denied::MethodNotAllowed { allow });
        }
        self.judge_again(path, &explanation)?;
        Ok(explanation)
    }

    /// An upstream may take fewer forms of a path than the look-up of its rule.
    fn judge_again(&self, path: &str, explanation: &Explanation) -> Result<(), Unexplained> {
        let rule = explanation.verdict.as_ref().ok();
        let rule = rule.and_then(|name| self.policy.rules().iter().find(|rule| rule.name() == name));
        let Some(upstream) = rule.filter(|rule| !rule.is_built_in()).and_then(|rule| rule.upstream()) else {
            return Ok(());
        };
        let allow =
            self.upstreams.iter().find(|(name, _)| name == upstream).map(|(_, own)| own.allow_encoded);
        Path::judge(path, allow.unwrap_or_default()).map_err(Unexplained::Path).map(drop)
    }
}
