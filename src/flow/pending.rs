//! What is kept between the two halves of a flow: sealed in a cookie of the browser that began it (S-25).
//!
//! GoTrue echoes no `state` and binds nothing to a browser, so this cookie is what tells a person's own return from
//! one that an attacker prepared.

use ::cookie::SameSite;
use base::entropy::Entropy;
use base::seal::Sealer;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::return_to::{Client, ReturnTo, Targets, Waiting};
use crate::pkce::{Challenge, Verifier};
use crate::session::cookie::{Jar, Names};

/// So many flows may be open in one browser; a further one takes the place of the oldest.
const MOST: usize = 5;
/// Most of them that one answer deletes: a client does not choose how much we write.
const MOST_CLEARED: usize = 16;

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sign-in at a provider.
    SignIn,
    /// A new account that waits for its mail.
    SignUp,
    /// A forgotten password: a mail leads to a new one.
    Recovery,
    /// Sign-in by a mail.
    Email,
    /// Another way to sign in, for somebody who is signed in.
    Link,
    /// Another address, which waits for its mails.
    EmailChange,
}

impl Purpose {
    /// How long the browser may take: 5 minutes at a provider, an hour for a mail.
    pub fn life(self) -> Duration {
        match self {
            Self::SignIn | Self::Link => Duration::minutes(5),
            Self::SignUp | Self::EmailChange | Self::Recovery | Self::Email => Duration::minutes(60),
        }
    }

    /// Whether a browser waits for a mail that signs in.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::SignUp | Self::Recovery | Self::Email)
    }

    /// GoTrue's word for the mail, as its clients read it.
    fn kind(self) -> Option<&'static str> {
        match self {
            Self::SignIn | Self::Link => None,
            Self::SignUp => Some("signup"),
            Self::Recovery => Some("recovery"),
            Self::Email => Some("magiclink"),
            Self::EmailChange => Some("email_change"),
        }
    }

    /// The word of forms and of the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignUp => "signup",
            Self::Link => "link",
            Self::EmailChange => "email_change",
            Self::Recovery => "recovery",
            Self::Email => "email",
        }
    }

    /// What a mail is for, by the word of a form.
    pub fn of_mail(word: &str) -> Option<Self> {
        [Self::SignUp, Self::Recovery, Self::Email].into_iter().find(|purpose| purpose.as_str() == word)
    }
}

/// A flow between its halves.
#[derive(Debug, Clone)]
pub struct Pending {
    /// What it is for.
    pub purpose: Purpose,
    /// The provider's name; empty for mail.
    pub provider: String,
    /// The half of PKCE that never leaves us.
    pub verifier: Verifier,
    /// Checked when the flow began, and again before its use (S-21).
    pub return_to: String,
    /// The tick at "stay signed in".
    pub remember: bool,
    /// The address that waits for a mail; empty at a provider.
    pub email: String,
    /// Whose account is changed, for a flow of somebody who is signed in.
    pub user: Option<Uuid>,
    /// The client below the mount that began it and waits for what comes of it.
    pub waiting: Option<Waiting>,
    /// When it began.
    pub started_at: OffsetDateTime,
}

impl Pending {
    /// Where the person goes on, judged again (S-21).
    pub fn target(&self, targets: &Targets) -> ReturnTo {
        let client = self.waiting.clone().map(|waiting| Client { waiting, kind: self.purpose.kind() });
        targets.choose(Some(&self.return_to)).with_client(client)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    w: Purpose,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    p: String,
    v: String,
    r: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    m: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    e: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<Uuid>,
    /// Empty for a client that waits for the session itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    t: i64,
}

/// Seals flows into cookies and reads them back.
pub(super) struct Pendings {
    sealer: Sealer,
    names: Names,
    origin: String,
}

impl Pendings {
    pub(super) fn new(sealer: Sealer, names: Names, origin: String) -> Self {
        Self { sealer, names, origin }
    }

    /// The cookie for `pending` under `id`, and deletions for the flows that must give way.
    pub(super) fn keep(
        &self,
        id: &str,
        pending: &Pending,
        jar: &Jar,
        entropy: &dyn Entropy,
    ) -> Vec<HeaderValue> {
        let name = self.names.flow(id);
        let stored = Stored {
            w: pending.purpose,
            p: pending.provider.clone(),
            v: pending.verifier.expose().to_owned(),
            r: pending.return_to.clone(),
            m: pending.remember,
            e: pending.email.clone(),
            u: pending.user,
            d: pending.waiting.as_ref().map(|waiting| match waiting {
                Waiting::Implicit => String::new(),
                Waiting::Code(challenge) => challenge.as_str().to_owned(),
            }),
            t: pending.started_at.unix_timestamp(),
        };
        let plain = to_bytes(&stored);
        let sealed = self.sealer.seal(&[&name, &self.origin], &plain, entropy);
        let mut cookies = vec![self.names.set(&name, &sealed, SameSite::Lax, Some(pending.purpose.life()))];
        let mut open: Vec<_> = jar
            .names()
            .filter_map(|name| self.names.flow_id(name))
            .map(|id| (self.read(id, jar).map_or(OffsetDateTime::UNIX_EPOCH, |p| p.started_at), id))
            .collect();
        open.sort_unstable();
        open.dedup();
        let surplus = (open.len() + 1).saturating_sub(MOST);
        cookies.extend(open.into_iter().take(surplus.min(MOST_CLEARED)).map(|(_, id)| self.clear(id)));
        cookies
    }

    /// The flow called `id`, if this browser began it and its time is not over.
    pub(super) fn take(&self, id: &str, jar: &Jar, now: OffsetDateTime) -> Option<Pending> {
        let pending = self.read(id, jar)?;
        let age = now - pending.started_at;
        (age <= pending.purpose.life() && age >= -Duration::minutes(1)).then_some(pending)
    }

    /// The newest flow that this browser has open and `wanted` picks, with its id.
    pub(super) fn newest(
        &self,
        jar: &Jar,
        now: OffsetDateTime,
        wanted: impl Fn(&Pending) -> bool,
    ) -> Option<(String, Pending)> {
        let ids = jar.names().filter_map(|name| self.names.flow_id(name));
        let open = ids.filter_map(|id| Some((id.to_owned(), self.take(id, jar, now)?)));
        open.filter(|(_, pending)| wanted(pending)).max_by_key(|(_, pending)| pending.started_at)
    }

    /// Whether `id` is one that a flow could have.
    pub(super) fn is_id(&self, id: &str) -> bool {
        self.names.flow_id(&self.names.flow(id)) == Some(id)
    }

    /// Deletes the cookie of `id`.
    pub(super) fn clear(&self, id: &str) -> HeaderValue {
        self.names.clear(&self.names.flow(id), SameSite::Lax)
    }

    fn read(&self, id: &str, jar: &Jar) -> Option<Pending> {
        let name = self.names.flow(id);
        let opened = self.sealer.open(&[&name, &self.origin], jar.get(&name)?).ok()?;
        let stored: Stored = serde_json::from_slice(&opened.plain).ok()?;
        Some(Pending {
            purpose: stored.w,
            provider: stored.p,
            verifier: Verifier::from_text(&stored.v)?,
            return_to: stored.r,
            remember: stored.m,
            email: stored.e,
            user: stored.u,
            waiting: match stored.d.as_deref() {
                None => None,
                Some("") => Some(Waiting::Implicit),
                Some(challenge) => Some(Waiting::Code(Challenge::from_text(challenge)?)),
            },
            started_at: OffsetDateTime::from_unix_timestamp(stored.t).ok()?,
        })
    }
}

fn to_bytes(stored: &Stored) -> Vec<u8> {
    // Strings, a flag and a number: nothing here can fail to serialise.
    serde_json::to_vec(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base::entropy::SeededEntropy;
    use base::seal::{KeyId, Keyring, MasterKey};
    use http::{HeaderMap, header};

    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn pendings(port: u16) -> Pendings {
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SeededEntropy::new(1));
        let url = format!("http://localhost:{port}").parse().unwrap();
        let sealer = Keyring::new(&[key]).unwrap().purpose("flow");
        Pendings::new(sealer, Names::new(&url, true), url.origin().ascii_serialization())
    }

    fn pending(started_at: OffsetDateTime) -> Pending {
        Pending {
            purpose: Purpose::SignIn,
            provider: "github".into(),
            verifier: Verifier::draw(&SeededEntropy::new(2)),
            return_to: "/notes".into(),
            remember: true,
            email: String::new(),
            user: None,
            waiting: None,
            started_at,
        }
    }

    fn sent(cookies: &[HeaderValue]) -> HeaderMap {
        let kept = cookies.iter().map(|c| c.to_str().unwrap()).filter(|c| !c.contains("Max-Age=0"));
        let pairs: Vec<_> = kept.map(|c| c.split(';').next().unwrap()).collect();
        HeaderMap::from_iter([(header::COOKIE, pairs.join("; ").parse().unwrap())])
    }

    fn id(n: usize) -> String {
        format!("flow-{n:0>17}")
    }

    /// S-25: back within five minutes by the same id; no other id, origin, or a second later.
    #[test]
    fn a_flow_is_taken_by_its_own_browser_in_time() {
        let kept = pendings(8080);
        let headers = sent(&kept.keep(&id(1), &pending(START), &Jar::empty(), &SeededEntropy::new(3)));
        let jar = Jar::read(&headers);
        let in_time = START + Duration::minutes(5);
        let taken = kept.take(&id(1), &jar, in_time).unwrap();
        assert_eq!(
            (taken.provider.as_str(), taken.return_to.as_str(), taken.remember),
            ("github", "/notes", true)
        );
        assert!(kept.take(&id(1), &jar, in_time + Duration::SECOND).is_none());
        assert!(kept.take(&id(2), &jar, in_time).is_none());
        let moved = headers[header::COOKIE].to_str().unwrap().replace(&id(1), &id(2));
        let moved = HeaderMap::from_iter([(header::COOKIE, moved.parse().unwrap())]);
        assert!(kept.take(&id(2), &Jar::read(&moved), in_time).is_none(), "the id is part of the seal");
        assert!(pendings(8081).take(&id(1), &jar, in_time).is_none());
    }

    /// S-25: the sixth flow takes the place of the oldest.
    #[test]
    fn at_most_five_flows_are_open() {
        let kept = pendings(8080);
        let mut cookies = Vec::new();
        for n in 1..=6 {
            let headers = sent(&cookies);
            let begun = pending(START + Duration::seconds(n as i64));
            let set = kept.keep(&id(n), &begun, &Jar::read(&headers), &SeededEntropy::new(n as u64));
            let dropped: Vec<_> = set[1..].iter().map(|c| c.to_str().unwrap().to_owned()).collect();
            match n {
                6 => assert!(
                    dropped.len() == 1 && dropped[0].starts_with(&format!("sb_flow_{}_8080=;", id(1)))
                ),
                _ => assert!(dropped.is_empty()),
            }
            cookies.extend(set);
        }
    }
}
