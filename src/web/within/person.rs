//! Who is there, for handlers: read from the request, under any state type.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue};
use uuid::Uuid;

use crate::policy::{Access, Allow, Identity, Policy, Rule};
use crate::session::NotHeld;
use crate::token::Claims;
use crate::web::error::{Code, Error};
use crate::web::guard::Caller;
use crate::web::routes;
use crate::web::state::AppState;
use crate::web::stay::{Ended, Law, Stay};
use crate::web::visit::Visit;

/// For handlers that take a [`User`], and for those that take one if there is one.
static SIGNED_IN: LazyLock<Arc<Rule>> = LazyLock::new(|| Arc::new(Rule::bare(Allow::User)));
static OPTIONAL: LazyLock<Arc<Rule>> = LazyLock::new(|| Arc::new(Rule::bare(Allow::Optional)));

/// Somebody whom a rule let in.
#[derive(Clone)]
pub(super) struct Admitted {
    identity: Identity,
    access: Access,
    policy: Policy,
    caller: Arc<Caller>,
    rule: Arc<Rule>,
    app: AppState,
}

impl Admitted {
    /// Has `rule` decided about the request; `None` is a stranger whom it lets pass.
    ///
    /// # Errors
    ///
    /// As for a proxied request. Without the layer around the route it is [`Code::Internal`], and nobody passes.
    pub(super) async fn by(
        rule: &Arc<Rule>,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Error> {
        let Some(visit) = extensions.get::<Visit>() else {
            tracing::error!("this route is not inside the layer: add .layer(bff.layer()) behind all routes");
            return Err(Code::Internal.into());
        };
        let (permit, caller) = routes::permit(visit, headers, rule).await?;
        let caller = visit.note_caller(caller);
        let (Some(identity), Some(access)) = (permit.identity(), permit.access()) else { return Ok(None) };
        let (identity, access, policy) = (identity.clone(), access.clone(), visit.policy().clone());
        Ok(Some(Self { identity, access, policy, caller, rule: rule.clone(), app: visit.app().clone() }))
    }

    fn user(&self) -> Option<User> {
        let (claims, authorization) = (self.caller.claims()?, self.caller.bearer()?);
        let Identity { user_id, email, name, .. } = self.identity.clone();
        let Access { roles, scopes, .. } = self.access.clone();
        Some(User {
            id: user_id,
            email,
            name,
            roles,
            scopes,
            aal: claims.aal,
            claims: claims.clone(),
            authorization,
            admitted: self.clone(),
        })
    }
}

/// Who is signed in, by session cookie or bearer token: verified, refreshed in time, not ended.
///
/// As the argument of a handler it refuses everybody else as a rule with `allow = "user"` would: 401 `session_missing` or
/// `session_ended` with the reason, 403 `session_limited` before the second factor, 403 `anonymous_not_allowed` unless a
/// [`Require`](crate::policy::Require) on the route admits anonymous people; pages are led to the login page.
/// `Option<User>` lets strangers pass as `None`, and refuses a session that has ended all the same.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// `sub`: with the project, who this is. An address is not (S-102).
    pub id: Uuid,
    /// Empty if there is none.
    pub email: String,
    /// What the user calls himself: for display.
    pub name: Option<String>,
    /// The roles of the token.
    pub roles: Vec<String>,
    /// The scopes of the token and of its roles; ask [`may`](Self::may), which knows what covers what.
    pub scopes: Vec<String>,
    /// Assurance: 1, or 2 after a second factor.
    pub aal: u8,
    /// Everything the token says.
    pub claims: Arc<Claims>,
    authorization: HeaderValue,
    admitted: Admitted,
}

impl User {
    /// Whether this scope is granted, or one above it, as a [`Require`](crate::policy::Require) would decide.
    pub fn may(&self, scope: &str) -> bool {
        self.admitted.policy.covers(&self.admitted.access, scope)
    }

    /// `Bearer` and the user's own access token, for calls to Supabase in the user's name, where row-level security
    /// applies. It must not leave the server: never put it into an answer (S-10).
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// Waits until this person may go on no longer, for what outlasts its request, such as a WebSocket of yours: the end of
    /// the session within a second, on whichever node it came; the end of its token if there is no newer one; tokens or
    /// rules that no longer let the person in where this `User` was let in; the end of the process.
    ///
    /// It counts from the call on, not from the first look at what is returned. With a session store tokens are renewed
    /// for as long as that is kept. Until it is dropped,
    /// [`Bff::close_sockets`](crate::Bff::close_sockets) waits for it.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + use<> {
        let Admitted { app, caller, rule, .. } = &self.admitted;
        let stay = Stay::begin(app, caller, Law::Guard(rule.clone()), None);
        async move {
            match stay {
                Ok(mut stay) => stay.ended(|_| {}).await,
                Err(NotHeld::Ended(reason)) => Ended::Session(reason),
                Err(NotHeld::TooMany) => Ended::Forbidden, // none is counted
            }
        }
    }
}

/// Prints the id alone.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whoever a guard of this route has let in; else whom `rule` lets in.
async fn admitted(parts: &Parts, rule: &Arc<Rule>) -> Result<Option<Admitted>, Error> {
    match parts.extensions.get::<Admitted>() {
        Some(admitted) => Ok(Some(admitted.clone())),
        None => Admitted::by(rule, &parts.extensions, &parts.headers).await,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let admitted = admitted(parts, &SIGNED_IN).await?;
        let user = admitted.as_ref().and_then(Admitted::user).ok_or(Code::SessionMissing)?;
        if let Some(admitted) = admitted {
            parts.extensions.insert(admitted); // a second extractor finds it decided
        }
        Ok(user)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        Ok(admitted(parts, &OPTIONAL).await?.as_ref().and_then(Admitted::user))
    }
}

/// What the token of whoever is signed in says; refuses as [`User`] does. Copies it: `User::claims` is shared.
impl<S: Send + Sync> FromRequestParts<S> for Claims {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let user = <User as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Arc::unwrap_or_clone(user.claims))
    }
}
