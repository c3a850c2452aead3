//! The decision, and the permit that is its yes (S-98 to S-101).

use std::sync::Arc;

use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::rules::{Needs, Rule};
use super::{Access, Allow, Policy};
use crate::token::{Claims, ClaimsSet};

/// A proof of identity may seem to come from the future by this much, since clocks differ.
const SKEW: Duration = Duration::MINUTE;

/// Who wants to pass.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// No session and no bearer.
    Nobody,
    /// Somebody whose token was verified.
    User {
        /// What the token says.
        claims: &'a Claims,
        /// How it came.
        via: Via,
        /// When he last proved who he is; if `None`, the proofs in the token count.
        auth_time: Option<OffsetDateTime>,
        /// The session may only reach the page that completes it (S-32).
        limited: bool,
    },
}

/// How a token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// In the session.
    Cookie,
    /// In `Authorization`.
    Bearer,
}

/// Proof that a rule let this request through. Only [`Policy::decide`] makes one, and the gateway consumes one:
/// what was never decided cannot be forwarded.
#[derive(Debug)]
#[must_use = "a permit that nobody consumes let nothing through"]
pub struct Permit {
    rule: Arc<Rule>,
    person: Option<Arc<Person>>,
}

/// What the rules see in somebody's claims.
#[derive(Debug)]
pub(super) struct Person {
    access: Access,
    identity: Identity,
    /// What stands at the paths that rules of the policy ask for.
    asked: Vec<(String, Value)>,
}

/// Who passed, for the headers that tell an upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub user_id: Uuid,
    /// Empty if there is none.
    pub email: String,
    /// What the user calls himself: for display.
    pub name: Option<String>,
    /// The roles of the token.
    pub groups: Vec<String>,
}

/// Why nothing is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No rule: 404.
    #[error("no rule is about this path")]
    NotFound,
    /// Rules for other methods alone: 405.
    #[error("only for {allow}")]
    MethodNotAllowed {
        /// For the `Allow` header.
        allow: String,
    },
    /// Nobody is signed in: 401 `session_missing`.
    #[error("one must be signed in")]
    SignIn,
    /// Signed in without an identity: 403 `anonymous_not_allowed`.
    #[error("anonymous users are not admitted")]
    AnonymousNotAllowed,
    /// A step is missing before the session counts: 403 `session_limited`.
    #[error("the session is limited until its next step is done")]
    Limited,
    /// 403 `insufficient_scope`.
    #[error("the scopes are not enough; asked for: {needed}")]
    Scope {
        /// What the rule asks for, separated by spaces.
        needed: String,
    },
    /// A role or a claim is missing: 403 `forbidden`.
    #[error("the role or a claim is not the right one")]
    Forbidden,
    /// A fresh or stronger proof would do: 401 `insufficient_user_authentication`.
    #[error("a {}proof of identity is needed", if *.aal2 { "second-factor " } else { "fresh " })]
    StepUp {
        /// A second factor is asked for.
        aal2: bool,
        /// The proof may be this old at most.
        max_age: Option<Duration>,
    },
}

impl Policy {
    /// Decides whether `who` may do what `rule` is about. Reads nothing but its arguments.
    ///
    /// # Errors
    ///
    /// [`Denied`]. What would still be missing after a step-up is said before the step-up is asked for.
    pub fn decide(&self, rule: &Arc<Rule>, who: &Who<'_>, now: OffsetDateTime) -> Result<Permit, Denied> {
        let permit = |person| Permit { rule: Arc::clone(rule), person };
        let (claims, auth_time, limited) = match (rule.allow, rule.heard(who)) {
            (Allow::Public, _) | (Allow::Optional, Who::Nobody) => return Ok(permit(None)),
            (Allow::User, Who::Nobody) => return Err(Denied::SignIn),
            (_, Who::User { claims, auth_time, limited, .. }) => (*claims, *auth_time, *limited),
        };
        if limited {
            return Err(Denied::Limited);
        }
        let person = self.person(claims);
        if rule.allow == Allow::User {
            let auth_time = auth_time.or_else(|| claims.auth_time());
            self.satisfied(&rule.needs, claims, &person, auth_time, now)?;
        }
        Ok(permit(Some(person)))
    }

    /// Roles and scopes of a person, as `/auth/session` shows them and rules see them.
    pub fn access(&self, claims: &Claims) -> Access {
        self.person(claims).access.clone()
    }

    /// Whether `access` holds `scope`, or one above it.
    pub fn covers(&self, access: &Access, scope: &str) -> bool {
        access.covers(scope, &self.0.grants.claims.scope_separator)
    }

    fn person(&self, claims: &Claims) -> Arc<Person> {
        claims.work_out(self.0.serial, || {
            let set = claims.set();
            let access = self.0.grants.access(&set);
            let identity = Identity::of(claims, &set, access.roles.clone());
            let asked = self.0.asked.iter().filter_map(|path| Some((path.clone(), set.at(path)?.clone())));
            Person { access, identity, asked: asked.collect() }
        })
    }

    fn satisfied(
        &self,
        needs: &Needs,
        claims: &Claims,
        person: &Person,
        auth_time: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<(), Denied> {
        let access = &person.access;
        if claims.is_anonymous && !needs.anonymous_will_do {
            return Err(Denied::AnonymousNotAllowed);
        }
        let separator = &self.0.grants.claims.scope_separator;
        let has = |scope: &String| access.covers(scope, separator);
        if !needs.scopes.iter().all(has) {
            return Err(Denied::Scope { needed: needs.scopes.join(" ") });
        }
        if !needs.any_scopes.is_empty() && !needs.any_scopes.iter().any(has) {
            return Err(Denied::Scope { needed: needs.any_scopes.join(" ") });
        }
        if !needs.roles.is_empty() && !needs.roles.iter().any(|role| access.roles.contains(role)) {
            return Err(Denied::Forbidden);
        }
        let fits = |(path, values): &(String, Vec<_>)| self.claim_fits(claims, person, path, values);
        if !needs.claims.iter().all(fits) {
            return Err(Denied::Forbidden);
        }
        let aal2 = needs.aal2 && claims.aal < 2;
        let too_old = needs.max_age.is_some_and(|limit| !fresh(auth_time, limit, now));
        if aal2 || too_old {
            return Err(Denied::StepUp { aal2: needs.aal2, max_age: needs.max_age });
        }
        Ok(())
    }

    /// Whether one of `values` stands at `path`. Rules outside the policy may ask for what nobody has looked up yet.
    fn claim_fits(&self, claims: &Claims, person: &Person, path: &String, values: &[Value]) -> bool {
        if self.0.asked.contains(path) {
            return person.asked.iter().any(|(at, claim)| at == path && values.contains(claim));
        }
        claims.set().at(path).is_some_and(|claim| values.contains(claim))
    }
}

impl Rule {
    /// Whom it hears: where bearers do not count, whoever brings one is nobody (S-39).
    fn heard<'a, 'b>(&self, who: &'a Who<'b>) -> &'a Who<'b> {
        match who {
            Who::User { via: Via::Bearer, .. } if !self.bearer => &Who::Nobody,
            other => other,
        }
    }
}

fn fresh(auth_time: Option<OffsetDateTime>, limit: Duration, now: OffsetDateTime) -> bool {
    auth_time.is_some_and(|proved| (-SKEW..=limit).contains(&(now - proved)))
}

impl Permit {
    /// The name of the rule.
    pub fn rule(&self) -> &str {
        self.rule.name()
    }

    /// Where the request goes; `None` if the rule is for forward-auth.
    pub fn upstream(&self) -> Option<&str> {
        self.rule.upstream()
    }

    /// What is taken off the path first.
    pub fn strip(&self) -> &str {
        self.rule.strip()
    }

    /// Whom the rule lets through.
    pub fn allow(&self) -> Allow {
        self.rule.allow()
    }

    /// What whoever passed may do; `None` for a stranger and on public rules.
    pub fn access(&self) -> Option<&Access> {
        self.person.as_ref().map(|person| &person.access)
    }

    /// Who passed; `None` for a stranger and on public rules.
    pub fn identity(&self) -> Option<&Identity> {
        self.person.as_ref().map(|person| &person.identity)
    }
}

impl Identity {
    fn of(claims: &Claims, set: &ClaimsSet, groups: Vec<String>) -> Self {
        let told = |key: &str| {
            let name = set.user_metadata()?.get(key)?.as_str()?.trim();
            (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
        };
        let name = told("full_name").or_else(|| told("name"));
        Self { user_id: claims.sub, email: claims.email.clone(), name, groups }
    }
}

/// Prints the id alone.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
