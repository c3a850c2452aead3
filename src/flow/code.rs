//! Mail links: shown as a button, redeemed by a click (S-30).

use std::net::IpAddr;

use base::secret::Secret;

use super::{Failure, Flows, Problem};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{LinkKind, Verified};
use crate::session::{Current, Proof, Slot};

/// A link from a mail, as its page posts it.
#[derive(Debug)]
pub struct Confirm<'a> {
    /// What the link is for: `type`, in GoTrue's words.
    pub kind: &'a str,
    /// `token_hash`.
    pub token_hash: &'a Secret<String>,
    /// The person agreed to leave the session that is open here.
    pub switch: bool,
}

/// What the link did.
#[derive(Debug)]
pub enum Confirmed {
    /// Signed in.
    SignedIn(Current),
    /// One half of a change of address.
    Half,
    /// Another session is open: ask first. Nothing was redeemed.
    AskFirst,
}

impl Flows {
    /// Redeems a mail link.
    ///
    /// # Errors
    ///
    /// [`Problem::LinkExpired`] for an unknown, used or old link alike.
    pub async fn confirm(
        &self,
        link: &Confirm<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Confirmed, Failure> {
        let inner = &self.0;
        let kind = LinkKind::parse(link.kind).ok_or(Failure::Form(Problem::LinkExpired))?;
        let open = inner.sessions.peek(slot).is_some();
        if open && !link.switch && kind != LinkKind::EmailChange {
            return Ok(Confirmed::AskFirst);
        }
        let hash = link.token_hash.expose();
        let plausible = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let expired = || {
            let (code, method) = (Some("link_expired"), Some(kind.as_str()));
            inner.trail.emit(&Record { code, method, ..Record::of(Event::SignIn, Outcome::Failed) });
            Failure::Form(Problem::LinkExpired)
        };
        if hash.is_empty() || hash.len() > 256 || !hash.bytes().all(plausible) {
            return Err(expired());
        }
        let tokens = match inner.gotrue.verify_hash(kind, link.token_hash, from).await {
            Ok(Verified::Session(tokens)) => *tokens,
            Ok(Verified::Half) => return Ok(Confirmed::Half),
            Err(error) if error.is_transient() => return Err(Failure::of(error)),
            Err(_) => return Err(expired()),
        };
        let method = kind.as_str();
        let proof = Proof { method, remember: false, recovery: kind == LinkKind::Recovery };
        let current = inner.sessions.make(tokens, proof).await?;
        inner.sessions.adopt(slot, &current).await?;
        inner.trail.emit(&Record { method: Some(method), ..Record::of(Event::SignIn, Outcome::Ok) });
        Ok(Confirmed::SignedIn(current))
    }
}
