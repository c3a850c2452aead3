//! A PKCE round trip to a provider: off with a challenge, back with a code (S-24 to S-29).

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::secret::Secret;
use http::HeaderValue;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::alone::named;
use super::arrival::{Arrival, EmailChange, NotLinked, Return};
use super::once::Exchanged;
use super::pending::{Pending, Purpose};
use super::{Failure, Flows, ReturnTo, callback_url};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{Authorize, Error};
use crate::pkce::Verifier;
use crate::session::{Limited, Proof, Slot};

/// `[providers]`: the ways that may be offered, in the order of their buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers(Vec<(String, ProviderSettings)>);

/// One provider of `[providers]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Asked for beside the provider's own; separated by spaces.
    pub scopes: String,
    /// Sent along with every start.
    pub params: BTreeMap<String, String>,
    /// Parameters that `GET /auth/start/{provider}` passes on.
    pub allow_params: Vec<String>,
}

impl Default for Providers {
    /// Google and GitHub, shown if the project has them.
    fn default() -> Self {
        let google = ProviderSettings {
            params: BTreeMap::from([("prompt".to_owned(), "select_account".to_owned())]),
            allow_params: vec!["login_hint".to_owned(), "hd".to_owned()],
            ..ProviderSettings::default()
        };
        let github =
            ProviderSettings { allow_params: vec!["login".to_owned()], ..ProviderSettings::default() };
        Self(vec![("google".to_owned(), google), ("github".to_owned(), github)])
    }
}

impl Providers {
    /// In the order of their buttons.
    pub fn new(listed: Vec<(String, ProviderSettings)>) -> Self {
        Self(listed)
    }

    /// Their names, in that order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&ProviderSettings> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, settings)| settings)
    }
}

/// A flow that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes now.
    pub url: Url,
    /// Keeps the flow in this browser.
    pub cookies: Vec<HeaderValue>,
}

impl Flows {
    /// Begins a sign-in at `provider`. `passed` are the parameters of the request, of which only those in
    /// `allow_params` go on (S-28). `public` is the one of our origins that was asked for: its browser has the flow's
    /// cookie, so the way back leads there.
    ///
    /// # Errors
    ///
    /// [`Failure::UnknownProvider`] for one that is not configured or not enabled.
    pub async fn begin(
        &self,
        provider: &str,
        passed: &[(String, String)],
        return_to: &ReturnTo,
        remember: bool,
        slot: &Slot,
        public: &Url,
    ) -> Result<Begun, Failure> {
        let inner = &*self.0;
        let settings = inner.providers.get(provider).ok_or(Failure::UnknownProvider)?;
        self.must_offer(provider).await?;
        let params = settings.params_for(passed);
        let id = inner.entropy.text::<16>();
        let pending = Pending {
            purpose: Purpose::SignIn,
            provider: provider.to_owned(),
            verifier: Verifier::draw(&*inner.entropy),
            return_to: return_to.as_str().to_owned(),
            remember,
            email: String::new(),
            user: None,
            waiting: return_to.client().map(|client| client.waiting.clone()),
            started_at: inner.now(),
        };
        let url = inner.gotrue.authorize_url(&Authorize {
            provider,
            redirect_to: &callback_url(public, &id, Purpose::SignIn),
            challenge: &pending.verifier.challenge(),
            scopes: &settings.scopes_for(passed),
            params: &params,
        });
        Ok(Begun { url, cookies: inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy) })
    }

    /// Whether a start passes the parameter `name` on to `provider`.
    pub fn passes_on(&self, provider: &str, name: &str) -> bool {
        let settings = self.0.providers.get(provider);
        settings.is_some_and(|settings| settings.allow_params.iter().any(|allowed| allowed == name))
    }

    /// [`Failure::UnknownProvider`] for a provider that the project has not switched on.
    pub(super) async fn must_offer(&self, provider: &str) -> Result<(), Failure> {
        let offered = self.offer().await.providers.iter().any(|offered| offered == provider);
        if offered { Ok(()) } else { Err(Failure::UnknownProvider) }
    }

    /// Deletes the cookie of the flow of `back`, whatever became of it, unless its mails are not all opened yet. `None`
    /// for what is no id of a flow: such a text must not become part of a header.
    pub fn forget(&self, back: &Return<'_>) -> Option<HeaderValue> {
        let done = self.0.pending.is_id(back.flow()) && !back.is_half();
        done.then(|| self.0.pending.clear(back.flow()))
    }

    /// Ends a flow with what came back.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] and [`Failure::Session`] when the session could not be made for now.
    pub async fn finish(
        &self,
        back: &Return<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Arrival, Failure> {
        let inner = &self.0;
        let Some(pending) = inner.pending.take(back.flow(), slot.jar(), inner.now()) else {
            return Ok(match inner.sessions.peek(slot) {
                Some(_) if back.code.is_some() => Arrival::Already(inner.targets.default()),
                _ => inner.turned_away(back.of_unknown_flow()),
            });
        };
        let client = pending.target(&inner.targets);
        let arrival = self.arrive(pending, back, slot, from).await?;
        Ok(if client.client().is_some() { arrival.for_client(client) } else { arrival })
    }

    async fn arrive(
        &self,
        pending: Pending,
        back: &Return<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Arrival, Failure> {
        let inner = &self.0;
        let return_to = pending.target(&inner.targets);
        if pending.purpose == Purpose::EmailChange && back.is_half() {
            return Ok(Arrival::EmailChange(EmailChange::Half));
        }
        let Some(code) = back.code.filter(|code| !code.is_empty() && code.len() <= 256) else {
            return Ok(inner.turned_away(refused(back, &pending)));
        };
        let code = Secret::new(code.to_owned());
        let key = named(&["exchange", back.flow(), code.expose()]);
        let work = {
            let (flows, pending, code) = (self.clone(), pending.clone(), code.clone());
            async move { flows.0.alone(&key, flows.exchange(&pending, &code, from)).await }
        };
        let provider = pending.provider.clone();
        match inner.exchanges.once(key, &inner.clock, work).await {
            Some(Exchanged::Session(current)) => {
                inner.sessions.adopt(slot, &current).await?;
                let recovering = current.session.limited.is_some_and(Limited::ends_with_password);
                Ok(if recovering { Arrival::Recovering } else { Arrival::SignedIn(return_to) })
            }
            Some(Exchanged::Own(user)) => Ok(inner.changed(pending, user)),
            Some(_) if pending.purpose == Purpose::Link => {
                Ok(inner.turned_away(Arrival::NotLinked(provider, NotLinked::Failed)))
            }
            // Before GoTrue gave the code it changed the address.
            Some(_) if pending.purpose == Purpose::EmailChange => Ok(match pending.user {
                Some(user) => inner.changed(pending, user),
                None => Arrival::Invalid,
            }),
            Some(Exchanged::TooLate) if pending.purpose == Purpose::SignUp => Ok(Arrival::ConfirmedOnly),
            Some(Exchanged::TooLate) => Ok(Arrival::LinkExpired(pending.purpose)),
            Some(Exchanged::Refused) => Ok(Arrival::Invalid),
            // Before GoTrue gave the code it confirmed the address.
            Some(_) if pending.purpose == Purpose::SignUp => Ok(Arrival::ConfirmedOnly),
            Some(Exchanged::Unavailable | Exchanged::Unusable) => Ok(Arrival::Failed(provider)),
            None if inner.sessions.peek(slot).is_some() => Ok(Arrival::Already(return_to)),
            None => Ok(inner.turned_away(Arrival::Invalid)),
        }
    }

    async fn exchange(&self, pending: &Pending, code: &Secret<String>, from: Option<IpAddr>) -> Exchanged {
        let inner = &self.0;
        let method = pending.method();
        let tokens = match inner.gotrue.exchange_code(code, &pending.verifier, from).await {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::warn!(%error, "an authorization code was not exchanged");
                inner
                    .trail
                    .emit(&Record { method: Some(method), ..Record::of(Event::SignIn, Outcome::Failed) });
                let late = error.code() == Some("flow_state_expired") && pending.purpose.is_mail();
                return match error {
                    _ if late => Exchanged::TooLate,
                    error if error.is_transient() => Exchanged::Unavailable,
                    Error::Refused { .. } => Exchanged::Refused,
                    _ => Exchanged::Unavailable,
                };
            }
        };
        if let Some(user) = pending.user {
            // Nobody signs in here: the session that asked for it goes on, and GoTrue's further one ends (S-29).
            return match inner.sessions.revoke_unused(tokens, user).await {
                true => Exchanged::Own(user),
                false => Exchanged::Refused,
            };
        }
        let proof =
            Proof { method, remember: pending.remember, recovery: pending.purpose == Purpose::Recovery };
        match inner.sessions.make(tokens, proof).await {
            Ok(current) => {
                inner.trail.emit(&Record { method: Some(method), ..Record::of(Event::SignIn, Outcome::Ok) });
                Exchanged::Session(current)
            }
            Err(error) => {
                tracing::error!(%error, "no session could be made of the tokens of a provider sign-in");
                Exchanged::Unusable
            }
        }
    }
}

impl ProviderSettings {
    /// Asked for at a start: what is configured, and, if `allow_params` names `scopes`, those of `passed` that have the form of
    /// one (RFC 6749, section 3.3), at most 256 bytes of them.
    pub(super) fn scopes_for(&self, passed: &[(String, String)]) -> String {
        let allowed = self.allow_params.iter().any(|name| name == "scopes");
        let given =
            passed.iter().find(|(name, _)| allowed && name == "scopes").map(|(_, value)| value.as_str());
        let sound = |scope: &&str| {
            let form = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
            scope.bytes().all(form)
        };
        let given = given.filter(|scopes| scopes.len() <= 256).unwrap_or_default().split_ascii_whitespace();
        let mut all: Vec<&str> = self.scopes.split_ascii_whitespace().collect();
        for scope in given.filter(sound) {
            if !all.contains(&scope) {
                all.push(scope);
            }
        }
        all.join(" ")
    }

    /// The parameters of a start: the fixed ones, and of `passed` those in `allow_params`, which come before them (S-28).
    pub(super) fn params_for(&self, passed: &[(String, String)]) -> Vec<(String, String)> {
        let allowed = || passed.iter().filter(|(name, _)| self.allow_params.contains(name));
        let fixed = self.params.iter().filter(|(name, _)| !allowed().any(|(given, _)| given == *name));
        let fixed = fixed.map(|(name, value)| (name.clone(), value.clone()));
        fixed
            .chain(allowed().map(|(name, value)| (name.clone(), value.chars().take(256).collect())))
            .collect()
    }
}

impl Pending {
    /// For the audit trail.
    fn method(&self) -> &str {
        match self.purpose {
            Purpose::SignIn | Purpose::Link => &self.provider,
            mail => mail.as_str(),
        }
    }
}

impl super::Inner {
    /// What a flow did to the account of `user`, who had asked for it.
    fn changed(&self, pending: Pending, user: Uuid) -> Arrival {
        match pending.purpose {
            Purpose::EmailChange => Arrival::EmailChange(EmailChange::Done { email: pending.email, user }),
            _ => {
                let target = pending.target(&self.targets);
                Arrival::Linked { provider: pending.provider, user, target }
            }
        }
    }

    /// Records a return that asked nobody anything (S-88).
    fn turned_away(&self, arrival: Arrival) -> Arrival {
        let code = match arrival {
            Arrival::Denied(_) | Arrival::NotLinked(_, NotLinked::Denied) => "provider_denied",
            Arrival::NotLinked(_, NotLinked::Taken) => "identity_taken",
            Arrival::Failed(_) | Arrival::NotLinked(..) => "provider_failed",
            Arrival::EmailChange(_) => "link_expired",
            _ => "flow_invalid",
        };
        self.trail.emit(&Record { code: Some(code), ..Record::of(Event::SignIn, Outcome::Failed) });
        arrival
    }
}

fn refused(back: &Return<'_>, pending: &Pending) -> Arrival {
    let provider = pending.provider.clone();
    match pending.purpose {
        purpose if purpose.is_mail() && back.refused => return Arrival::LinkExpired(purpose),
        Purpose::EmailChange => return Arrival::EmailChange(EmailChange::Expired),
        Purpose::Link => {
            let why = match back.error_code {
                Some("identity_already_exists" | "email_exists") => NotLinked::Taken,
                None | Some("") if back.refused => NotLinked::Denied,
                _ => NotLinked::Failed,
            };
            return Arrival::NotLinked(provider, why);
        }
        Purpose::SignUp | Purpose::SignIn | Purpose::Recovery | Purpose::Email => {}
    }
    match back.error_code {
        // Without a code of GoTrue's it is the provider's own answer: the person said no there.
        None | Some("") if back.refused => Arrival::Denied(provider),
        Some(
            "bad_oauth_state" | "flow_state_already_used" | "flow_state_not_found" | "flow_state_expired",
        ) => Arrival::Invalid,
        _ if back.refused => Arrival::Failed(provider),
        _ => Arrival::Invalid,
    }
}
