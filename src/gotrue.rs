//! The client of GoTrue (Supabase Auth): a method for each endpoint, own structs both ways, no retries.
//!
//! Public calls carry the publishable key in `apikey` and no `Authorization`. Every call asks for the error format of
//! 2024-01-01, because in the older one GoTrue passes messages of its database through; what comes back is decoded in
//! either format ([`Error`]). Nothing a browser sent is copied: `redirect_to`, provider and challenge are arguments.

mod account;
mod answer;
mod call;
mod error;
mod factors;
mod mail;
mod types;
mod wire;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use base::count::Counts;
use base::secret::Secret;
use http::{HeaderName, header};
use reqwest::RequestBuilder;
use serde::Serialize;
use url::Url;

use call::{Captcha, Endpoint};
pub use error::{Error, FinalRefresh};
pub use mail::MailTo;
pub use types::{
    Authorize, Change, CodeKind, Enrolled, Factor, IdToken, Identity, LinkKind, NewEmail, ProjectSettings,
    ResendKind, Scope, SignUp, SignedUp, Tokens, User, Verified,
};

use crate::pkce::{Challenge, Verifier};

/// Where GoTrue is and what it is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this process reaches: `SUPABASE_URL` and `/auth/v1`.
    pub base: Url,
    /// What browsers reach: `SUPABASE_PUBLIC_URL` and `/auth/v1`.
    pub public_base: Url,
    /// `sb_publishable_…` or the anon key. Without it a gateway in front of GoTrue refuses; a bare one does not care.
    pub api_key: Secret<String>,
    /// `sb_secret_…`: lets `Sb-Forwarded-For` count. Never sent where GoTrue might check a captcha (S-85).
    pub secret_key: Option<Secret<String>>,
    /// The header by which a self-hosted GoTrue learns the client's address (`GOTRUE_RATE_LIMIT_HEADER`).
    pub client_ip_header: Option<HeaderName>,
}

/// Asks GoTrue. The `reqwest` client that it is made of limits the time of a call; answers are read up to 1 MiB.
#[derive(Debug)]
pub struct GoTrue {
    settings: Settings,
    http: reqwest::Client,
    captcha: AtomicU8,
    calls: Arc<Counts>,
}

const CAPTCHA_UNKNOWN: u8 = 0;
const CAPTCHA_OFF: u8 = 1;
const CAPTCHA_ON: u8 = 2;

impl GoTrue {
    /// A client for the project of `settings`.
    pub fn new(settings: Settings, http: reqwest::Client) -> Self {
        Self { settings, http, captcha: AtomicU8::new(CAPTCHA_UNKNOWN), calls: Arc::new(call::counts()) }
    }

    /// Calls so far and from now on, by `endpoint` and `outcome`.
    pub fn counted(&self) -> Arc<Counts> {
        self.calls.clone()
    }

    /// `POST /signup`: a session, or a mail to confirm first. For an address that is taken GoTrue answers as for a new
    /// one, except when it confirms by itself.
    ///
    /// # Errors
    ///
    /// Refused with `weak_password`, `signup_disabled`, `user_already_exists`, `validation_failed`, `captcha_failed`
    /// and others of the contract, 2.3.
    pub async fn sign_up(&self, form: &SignUp<'_>, from: Option<IpAddr>) -> Result<SignedUp, Error> {
        let body = wire::SignUp {
            email: form.email,
            password: form.password.expose(),
            data: form.data,
            challenge: wire::ChallengeFields::of(form.challenge),
            security: wire::Security::of(form.captcha),
        };
        let to = [("redirect_to", form.redirect_to.as_str())];
        answer::signed_up(&self.call(Endpoint::SignUp, from).json(&body).query(&to).send().await?)
    }

    /// `POST /signup` without an address: an anonymous session. There is no flow, so no challenge either.
    ///
    /// # Errors
    ///
    /// Refused with `anonymous_provider_disabled`, `signup_disabled`, `captcha_failed`.
    pub async fn sign_up_anonymous(
        &self,
        data: Option<&serde_json::Map<String, serde_json::Value>>,
        captcha: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Error> {
        let body = wire::Anonymous { data, security: wire::Security::of(captcha) };
        answer::tokens(&self.call(Endpoint::SignUp, from).json(&body).send().await?)
    }

    /// `POST /token?grant_type=password`.
    ///
    /// # Errors
    ///
    /// Refused with `invalid_credentials` for an unknown address and a wrong password alike, `email_not_confirmed`
    /// after the right one, `user_banned` before any look at the password.
    pub async fn password(
        &self,
        email: &str,
        password: &Secret<String>,
        captcha: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Error> {
        let body =
            wire::Password { email, password: password.expose(), security: wire::Security::of(captcha) };
        answer::tokens(&self.call(Endpoint::Password, from).json(&body).send().await?)
    }

    /// `POST /token?grant_type=refresh_token`: trades a refresh token for new tokens. The old one stays good as the
    /// direct predecessor of the new one, so an answer that was lost can be asked for once more.
    ///
    /// # Errors
    ///
    /// [`Error::final_refresh_reason`] tells whether the session is over. Everything else is to be tried again later.
    pub async fn refresh(
        &self,
        refresh_token: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Error> {
        let body = wire::Refresh { refresh_token: refresh_token.expose() };
        answer::tokens(&self.call(Endpoint::Refresh, from).json(&body).send().await?)
    }

    /// `POST /token?grant_type=pkce`: trades the code of the callback for tokens. Provider tokens in the answer are
    /// dropped (S-10). GoTrue does not see a ban here.
    ///
    /// # Errors
    ///
    /// Refused with `flow_state_not_found` (unknown or used), `flow_state_expired` (older than 5 minutes),
    /// `bad_code_verifier` (the code of another flow; it is not used up).
    pub async fn exchange_code(
        &self,
        code: &Secret<String>,
        verifier: &Verifier,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Error> {
        let body = wire::CodeExchange { auth_code: code.expose(), code_verifier: verifier.expose() };
        answer::tokens(&self.call(Endpoint::Exchange, from).json(&body).send().await?)
    }

    /// `POST /token?grant_type=id_token`: trades what a provider issued for tokens. GoTrue checks signature, audience and
    /// nonce.
    ///
    /// # Errors
    ///
    /// Refused in OAuth's words (contract 2.4), or with `provider_disabled`, `validation_failed`.
    pub async fn id_token(&self, token: &IdToken<'_>, from: Option<IpAddr>) -> Result<Tokens, Error> {
        let body = wire::IdToken {
            provider: token.provider,
            id_token: token.id_token.expose(),
            access_token: token.access_token.map(|text| text.expose().as_str()),
            nonce: token.nonce,
            security: wire::Security::of(token.captcha),
        };
        answer::tokens(&self.call(Endpoint::IdToken, from).json(&body).send().await?)
    }

    /// `POST /verify` with the hash from a mail link. Hashes of PKCE flows (`pkce_…`) need no verifier here.
    ///
    /// # Errors
    ///
    /// Refused with `otp_expired` for an unknown, used or old hash alike.
    pub async fn verify_hash(
        &self,
        kind: LinkKind,
        token_hash: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Verified, Error> {
        let body = wire::VerifyHash { kind: kind.as_str(), token_hash: token_hash.expose() };
        answer::verified(&self.call(Endpoint::Verify, from).json(&body).send().await?)
    }

    /// `POST /verify` with the digits from a mail. GoTrue counts no wrong tries: the caller does (S-82).
    ///
    /// # Errors
    ///
    /// Refused with `otp_expired` for wrong, used and old digits alike.
    pub async fn verify_code(
        &self,
        kind: CodeKind,
        email: &str,
        code: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Verified, Error> {
        let body = wire::VerifyCode { kind: kind.as_str(), email, token: code.expose() };
        answer::verified(&self.call(Endpoint::Verify, from).json(&body).send().await?)
    }

    /// `POST /resend`: the mail of a pending confirmation or change once more. An unknown address is answered alike,
    /// but a known one within its pause is [`Error::RateLimited`] (S-71: the caller answers all of them the same).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn resend(
        &self,
        kind: ResendKind,
        email: &str,
        challenge: &Challenge,
        redirect_to: &Url,
        captcha: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let body = wire::Resend {
            kind: kind.as_str(),
            email,
            challenge: wire::ChallengeFields::of(challenge),
            security: wire::Security::of(captcha),
        };
        let to = [("redirect_to", redirect_to.as_str())];
        self.call(Endpoint::Resend, from).json(&body).query(&to).send().await.map(drop)
    }

    /// `GET /user`: the user as the database has him now, which is fresher than the token.
    ///
    /// # Errors
    ///
    /// Refused with 403 `bad_jwt` (an expired token too), `session_not_found`, `user_not_found`, `user_banned`.
    pub async fn user(&self, access_token: &Secret<String>, from: Option<IpAddr>) -> Result<User, Error> {
        answer::user(&self.call(Endpoint::User, from).bearer(access_token).send().await?)
    }

    /// `POST /logout`. A session that GoTrue no longer knows counts as signed out.
    ///
    /// # Errors
    ///
    /// Refused with 403 `bad_jwt` when the token has expired; then nothing was revoked: refresh first.
    pub async fn logout(
        &self,
        access_token: &Secret<String>,
        scope: Scope,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let call = self.call(Endpoint::Logout, from).bearer(access_token);
        match call.query(&[("scope", scope.as_str())]).send().await {
            Err(Error::Refused { code, .. }) if matches!(&*code, "session_not_found" | "user_not_found") => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// `GET /settings`: what the project allows. Where a secret key is configured, this also finds out whether the
    /// project checks captchas, with one sign-in that names nobody; until it is known that it does not, the secret
    /// key stays out of sign-in calls (S-85).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn settings(&self) -> Result<ProjectSettings, Error> {
        let answer = self.call(Endpoint::Settings, None).send().await?;
        if self.settings.secret_key.is_some() {
            self.learn_captcha().await;
        }
        answer::settings(&answer)
    }

    /// Whether the secret key is kept out of sign-in calls because the project checks captchas.
    pub fn spares_the_secret_key(&self) -> bool {
        self.settings.secret_key.is_some() && self.captcha_state() == CAPTCHA_ON
    }

    /// The address that a browser is sent to for signing in at a provider, from these values alone (S-28). A
    /// parameter of `request.params` never replaces one of ours.
    pub fn authorize_url(&self, request: &Authorize<'_>) -> Url {
        let mut url = below(&self.settings.public_base, "authorize");
        url.query_pairs_mut().extend_pairs(request.pairs());
        url
    }

    async fn learn_captcha(&self) {
        let body = wire::Password { email: "", password: "", security: wire::Security::of(None) };
        match self.call(Endpoint::Password, None).json(&body).send().await {
            Err(Error::Refused { code, .. }) if code == "captcha_failed" => {} // noted by `send`
            Ok(_) | Err(Error::Refused { .. }) => self.captcha.store(CAPTCHA_OFF, Ordering::Relaxed),
            Err(_) => {} // an outage says nothing
        }
    }

    fn captcha_state(&self) -> u8 {
        self.captcha.load(Ordering::Relaxed)
    }

    fn call(&self, endpoint: Endpoint, from: Option<IpAddr>) -> Call<'_> {
        self.call_at(endpoint, endpoint.path(), from)
    }

    /// The same at `path`, which begins with that of `endpoint`.
    fn call_at(&self, endpoint: Endpoint, path: &str, from: Option<IpAddr>) -> Call<'_> {
        let request = self
            .http
            .request(endpoint.method(), below(&self.settings.base, path))
            .header(header::USER_AGENT, "supabase-bff")
            .header("x-supabase-api-version", "2024-01-01");
        let request = match (&self.settings.client_ip_header, from) {
            (Some(name), Some(address)) => request.header(name.clone(), address.to_string()),
            _ => request,
        };
        let may_hold_secret = endpoint.captcha() == Captcha::Never || self.captcha_state() == CAPTCHA_OFF;
        let (key, request) = match (&self.settings.secret_key, from) {
            (Some(secret), Some(address)) if may_hold_secret => {
                (secret, request.header("sb-forwarded-for", address.to_string()))
            }
            _ => (&self.settings.api_key, request),
        };
        let request =
            if key.expose().is_empty() { request } else { request.header("apikey", sensitive(key)) };
        Call { gotrue: self, endpoint, request }
    }
}

/// A call that is being put together.
#[must_use = "send it"]
struct Call<'a> {
    gotrue: &'a GoTrue,
    endpoint: Endpoint,
    request: RequestBuilder,
}

impl Call<'_> {
    fn json(self, body: &impl Serialize) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    fn query(self, pairs: &[(&str, &str)]) -> Self {
        Self { request: self.request.query(pairs), ..self }
    }

    fn bearer(self, token: &Secret<String>) -> Self {
        Self { request: self.request.bearer_auth(token.expose()), ..self }
    }

    async fn send(self) -> Result<bytes::Bytes, Error> {
        let answer = answer::read(self.request.send().await).await;
        self.gotrue.calls.add(&[self.endpoint as usize, call::outcome(&answer)]);
        if matches!(&answer, Err(Error::Refused { code, .. }) if code == "captcha_failed") {
            self.gotrue.captcha.store(CAPTCHA_ON, Ordering::Relaxed);
        }
        answer
    }
}

/// A header value that HTTP libraries neither print nor keep in compression tables. A key that cannot stand in a
/// header (the configuration refuses such) is left out.
fn sensitive(key: &Secret<String>) -> http::HeaderValue {
    let mut value = http::HeaderValue::from_str(key.expose()).unwrap_or(http::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// `path` below `base`, whose own path is kept: `https://x.supabase.co/auth/v1` and `token` make `…/auth/v1/token`.
fn below(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}
