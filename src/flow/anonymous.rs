//! A session without an account: for whoever wants to begin before telling who he is.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::double::Pressed;
use super::{Counted, Failure, Flows, Try};
use crate::event::{Event, Outcome, Record};
use crate::limit::Bucket;
use crate::session::{Current, Proof, Slot};

impl Flows {
    /// Counts a session without an account for the network of `from` (S-82).
    pub async fn count_anonymous(&self, from: Option<IpAddr>) -> Counted {
        self.0.counted(Bucket::Anonymous, &self.0.network_key(from)).await
    }

    /// Begins a session without an account. `form` names the form that was sent, if it was one: pressed twice, it makes
    /// one account.
    ///
    /// # Errors
    ///
    /// [`Failure::Disabled`] if the project has none.
    pub async fn begin_anonymous(
        &self,
        data: Option<&Map<String, Value>>,
        captcha: Option<&str>,
        form: Option<&str>,
        counted: Try,
        slot: &Slot,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        if !self.offer().await.anonymous {
            counted.give_back();
            return Err(Failure::Disabled);
        }
        let work = {
            let (flows, data, from) = (self.clone(), data.cloned(), slot.client());
            let captcha = captcha.map(str::to_owned);
            async move {
                let made = flows.make_anonymous(data.as_ref(), captcha.as_deref(), from).await;
                let shared = made.as_ref().ok().cloned();
                (made, shared)
            }
        };
        let current = match form {
            None => work.await.0?,
            Some(form) => match self.once_per_form(&[b"anonymous", form.as_bytes()], work).await {
                Pressed::First(made) => made?,
                Pressed::Again(Some(current)) => current,
                // It failed a moment ago, or is over by now: this press stands for itself.
                Pressed::Again(None) => self.make_anonymous(data, captcha, slot.client()).await?,
            },
        };
        inner.sessions.adopt(slot, &current).await?;
        Ok(current)
    }

    async fn make_anonymous(
        &self,
        data: Option<&Map<String, Value>>,
        captcha: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        let method = Some("anonymous");
        let tokens = match inner.gotrue.sign_up_anonymous(data, captcha, from).await {
            Ok(tokens) => tokens,
            Err(error) => {
                inner.trail.emit(&Record { method, ..Record::of(Event::SignUp, Outcome::Failed) });
                return Err(match error.code() {
                    Some("anonymous_provider_disabled" | "signup_disabled") => Failure::Disabled,
                    _ => Failure::of(error),
                });
            }
        };
        let proof = Proof { method: "anonymous", remember: true, recovery: false };
        let current = inner.sessions.make(tokens, proof).await?;
        inner.trail.emit(&Record { method, ..Record::of(Event::SignUp, Outcome::Ok) });
        Ok(current)
    }
}
