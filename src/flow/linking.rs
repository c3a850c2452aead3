//! Further ways to sign in: linked by a round trip of their own, and taken away (S-24, S-29).

use std::sync::atomic::Ordering;

use url::Url;
use uuid::Uuid;

use super::pending::{Pending, Purpose};
use super::{Begun, Failure, Flows, Problem, ReturnTo, callback_url};
use crate::gotrue::Authorize;
pub use crate::gotrue::Identity;
use crate::pkce::Verifier;
use crate::session::{Current, Slot};

/// The identity of an address, with or without a password.
const EMAIL: &str = "email";

impl Flows {
    /// Whether people may link providers, as far as the project has said.
    pub fn links_identities(&self) -> bool {
        !self.0.learned.linking_is_off.load(Ordering::Relaxed)
    }

    /// Begins to link `provider` to the account of `current`. As [`begin`](Self::begin), with the token of that person.
    ///
    /// # Errors
    ///
    /// [`Failure::UnknownProvider`]; [`Failure::Disabled`] if the project allows no linking.
    pub async fn begin_link(
        &self,
        provider: &str,
        passed: &[(String, String)],
        return_to: &ReturnTo,
        slot: &Slot,
        current: &Current,
        public: &Url,
    ) -> Result<Begun, Failure> {
        let inner = &*self.0;
        let settings = inner.providers.get(provider).ok_or(Failure::UnknownProvider)?;
        self.must_offer(provider).await?;
        let id = inner.entropy.text::<16>();
        let pending = Pending {
            purpose: Purpose::Link,
            provider: provider.to_owned(),
            verifier: Verifier::draw(&*inner.entropy),
            return_to: return_to.as_str().to_owned(),
            remember: false,
            email: String::new(),
            user: Some(current.session.user_id),
            waiting: return_to.client().map(|client| client.waiting.clone()),
            started_at: inner.now(),
        };
        let request = Authorize {
            provider,
            redirect_to: &callback_url(public, &id, Purpose::Link),
            challenge: &pending.verifier.challenge(),
            scopes: &settings.scopes_for(passed),
            params: &settings.params_for(passed),
        };
        let token = &current.session.access_token;
        inner.sessions.person_changed(&current.session, None);
        match inner.gotrue.link_url(token, &request, slot.client()).await {
            Ok(url) => {
                Ok(Begun { url, cookies: inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy) })
            }
            Err(error) if error.code() == Some("validation_failed") => Err(Failure::UnknownProvider),
            Err(error) => Err(inner.refused_change(error, slot, current).await),
        }
    }

    /// Whether `identity`, one of `all` of a person, may be taken away: never the last, and never the address itself.
    pub fn may_unlink(&self, identity: &Identity, all: &[Identity]) -> bool {
        all.len() > 1 && identity.provider != EMAIL && self.links_identities()
    }

    /// Takes the way called `id` away from the account of `current`, which has `all` of them at this moment. The provider,
    /// or `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`Problem::LastIdentity`] if the account cannot do without it.
    pub async fn unlink(
        &self,
        id: Uuid,
        all: &[Identity],
        slot: &Slot,
        current: &Current,
    ) -> Result<Option<String>, Failure> {
        let inner = &self.0;
        let Some(identity) = all.iter().find(|identity| identity.id == id) else { return Ok(None) };
        if !self.links_identities() {
            return Err(Failure::Disabled);
        }
        if !self.may_unlink(identity, all) {
            return Err(Failure::Form(Problem::LastIdentity));
        }
        match inner.gotrue.unlink(&current.session.access_token, id, slot.client()).await {
            Ok(()) => {}
            Err(error) if error.code() == Some("identity_not_found") => return Ok(None),
            Err(error) => return Err(inner.refused_change(error, slot, current).await),
        }
        inner.sessions.catch_up(slot).await;
        Ok(Some(identity.provider.clone()))
    }
}
