//! Sign-in by a provider's ID token, which a native widget gave the page.

use std::net::IpAddr;

use super::{Failure, Flows, Problem, Try};
use crate::event::{Event, Outcome, Record};
pub use crate::gotrue::IdToken;
use crate::limit::Bucket;
use crate::session::{Current, Proof, Slot};

/// How `amr` and the audit trail name the proof.
const METHOD: &str = "id_token";

impl Flows {
    /// Trades an ID token for a session. GoTrue judges the token; `network` is given back if it was good.
    ///
    /// # Errors
    ///
    /// [`Problem::InvalidCredentials`] for whatever GoTrue refuses.
    pub async fn sign_in_by_id_token(
        &self,
        token: &IdToken<'_>,
        network: Try,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        inner.count(Bucket::GoTrue, "sign-in").await?;
        let tokens = match inner.gotrue.id_token(token, from).await {
            Ok(tokens) => tokens,
            Err(error) => {
                let failed = Record { method: Some(METHOD), ..Record::of(Event::SignIn, Outcome::Failed) };
                inner.trail.emit(&Record { code: error.code(), ..failed });
                return Err(match error.is_transient() {
                    true => Failure::of(error),
                    false => Failure::Form(Problem::InvalidCredentials),
                });
            }
        };
        network.give_back();
        let current =
            inner.sessions.make(tokens, Proof { method: METHOD, remember: true, recovery: false }).await?;
        inner.sessions.adopt(slot, &current).await?;
        inner.trail.emit(&Record { method: Some(METHOD), ..Record::of(Event::SignIn, Outcome::Ok) });
        Ok(current)
    }
}
