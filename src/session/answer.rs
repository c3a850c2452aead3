//! What an answer says about its session: cookies, and the session's public name.

use http::HeaderValue;
use time::Duration;
use uuid::Uuid;

use super::record::Session;
use super::sessions::{Inner, Sessions};
use super::slot::{Change, Slot};
use crate::event::Reason;

impl Sessions {
    /// The `Set-Cookie` values that the answer to `slot`'s request needs. Written whatever became of the request, or
    /// a rotated token would be lost (S-42).
    pub fn set_cookies(&self, slot: &Slot) -> Vec<HeaderValue> {
        let inner = &self.0;
        let ended = &inner.names.ended;
        match slot.change() {
            Change::None => Vec::new(),
            Change::Set(session) => {
                let jar = slot.jar();
                let cookies = inner.cookies_for(&session, jar, inner.clock.now());
                if cookies.is_none() {
                    // The browser keeps the old cookie, with whose token GoTrue refreshes again: nobody is signed out.
                    tracing::error!(
                        "a refreshed session has grown beyond its cookies: its metadata is too large"
                    );
                }
                let mut cookies = cookies.unwrap_or_default();
                if jar.has(ended) {
                    cookies.push(inner.names.clear(ended, ::cookie::SameSite::Strict));
                }
                cookies
            }
            // The browser has a newer cookie by now, or gets one: this answer is the late one.
            Change::Clear(Some(Reason::Replaced)) => Vec::new(),
            Change::Clear(reason) => {
                let mut cookies = inner.names.clear_session(slot.jar());
                if let Some(reason) = reason {
                    let life = Some(Duration::minutes(10));
                    cookies.push(inner.names.set(ended, reason.as_str(), ::cookie::SameSite::Strict, life));
                }
                cookies
            }
        }
    }

    /// The name of `session` towards its own person: stable, and good for nothing else.
    pub fn public_id<'a>(&self, session: &'a Session) -> &'a str {
        session.memo.public_id.get_or_init(|| self.0.public_id(session.id))
    }

    /// The same for the session of a bearer token, by GoTrue's id.
    pub fn public_name(&self, gotrue_id: Uuid) -> String {
        self.0.public_id(gotrue_id)
    }

    /// Eight characters that name `user` towards clients below the mount: by them one tells another person's phantom.
    pub fn person_tag(&self, user: Uuid) -> String {
        let mac = self.0.sealer.mac(&[b"phantom", user.as_bytes()]);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &mac[..6])
    }

    /// The `Cookie` header value with which a browser would bring `session`, as `mint-session` prints it. `None` if it
    /// does not fit.
    pub fn cookie_header(&self, session: &Session) -> Option<String> {
        let cookies = self.0.cookies_for(session, &super::cookie::Jar::empty(), self.0.clock.now())?;
        let pair = |cookie: &HeaderValue| Some(cookie.to_str().ok()?.split(';').next()?.to_owned());
        Some(cookies.iter().map(pair).collect::<Option<Vec<_>>>()?.join("; "))
    }
}

impl Inner {
    pub(super) fn public_id(&self, id: Uuid) -> String {
        let mac = self.sealer.mac(&[b"public id", id.as_bytes()]);
        let name = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &mac[..9]);
        format!("s_{name}")
    }
}
