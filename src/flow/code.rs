//! Mail links, and the digits beside them: shown as a button, redeemed by a click (S-30).

use std::net::IpAddr;

use base::secret::Secret;

use super::email::Email;
use super::redeem::{OneTime, Redeemed};
use super::{Counted, Failure, Flows, Problem};
use crate::gotrue::{CodeKind, LinkKind};
use crate::limit::Bucket;
use crate::session::{Current, Slot};

/// A mail, as its page posts it.
#[derive(Debug)]
pub struct Confirm<'a> {
    /// What the mail is for: `type`, in GoTrue's words.
    pub kind: &'a str,
    /// What of it the person has.
    pub by: By<'a>,
    /// The person agreed to leave the session that is open here.
    pub switch: bool,
    /// The token of the form, if one was sent: its second click gets what the first got.
    pub form: Option<&'a str>,
}

/// What a person has of a mail.
#[derive(Debug)]
pub enum By<'a> {
    /// `token_hash` of its link.
    Link(&'a Secret<String>),
    /// Its digits, with the address that they went to.
    Digits {
        /// As typed.
        email: &'a str,
        /// As typed.
        code: &'a str,
    },
}

/// What the mail did.
#[derive(Debug)]
pub enum Confirmed {
    /// Signed in.
    SignedIn(Current),
    /// One half of a change of address.
    Half,
    /// A change of address of somebody else than who is signed in here, and goes on to be: the new address.
    Elsewhere(String),
    /// Another session is open: ask first. Nothing was redeemed.
    AskFirst,
}

impl Flows {
    /// Counts a link or a code of the network of `from`, before anything that came with it is read (S-84): whoever tries
    /// at random shall not use up what GoTrue lets all of us try (S-85).
    pub async fn count_redemption(&self, from: Option<IpAddr>) -> Counted {
        self.0.counted(Bucket::ConfirmNetwork, &self.0.network_key(from)).await
    }

    /// Redeems a mail.
    ///
    /// # Errors
    ///
    /// [`Problem::LinkExpired`] for an unknown, used or old link alike, [`Problem::CodeWrong`] for such digits.
    pub async fn confirm(
        &self,
        mail: &Confirm<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Confirmed, Failure> {
        let inner = &self.0;
        let kind = LinkKind::parse(mail.kind).ok_or(Failure::Form(Problem::LinkExpired))?;
        if let By::Digits { email, code } = mail.by {
            super::mailed::read_email(email).map_err(Failure::Form)?;
            if code.trim().is_empty() {
                return Err(Failure::Form(Problem::Required("code")));
            }
        }
        let open = inner.sessions.peek(slot);
        let changes = kind == LinkKind::EmailChange;
        if open.is_some() && !mail.switch && !changes {
            return Ok(Confirmed::AskFirst);
        }
        let redeemed = match mail.by {
            By::Link(hash) => {
                if !is_plausible(hash.expose()) {
                    return Err(inner.spent(kind.as_str(), Problem::LinkExpired));
                }
                self.redeem(OneTime::Link(kind, hash.clone()), false, mail.form, from).await?
            }
            By::Digits { email, code } => {
                let email = super::mailed::read_email(email).map_err(Failure::Form)?;
                self.redeem_digits(code_kind(kind), email, code, false, mail.form, from).await?
            }
        };
        let current = match redeemed {
            Redeemed::Half => return Ok(Confirmed::Half),
            Redeemed::Session(current) => current,
        };
        // A change of address is no sign-in: it puts nobody in the place of another person.
        if changes && open.is_some_and(|open| open.user_id != current.session.user_id) {
            inner.sessions.discard(&current);
            return Ok(Confirmed::Elsewhere(current.claims.email.clone()));
        }
        inner.sessions.adopt(slot, &current).await?;
        Ok(Confirmed::SignedIn(current))
    }

    /// Redeems digits, as typed. Tries count per person, whatever the digits are for; a right one counts no more (S-82).
    ///
    /// # Errors
    ///
    /// [`Problem::CodeWrong`] for wrong, used and old digits, and for what are none.
    pub(super) async fn redeem_digits(
        &self,
        kind: CodeKind,
        email: Email,
        typed: &str,
        remember: bool,
        form: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Redeemed, Failure> {
        let inner = &self.0;
        let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.is_empty() {
            return Err(Failure::Form(Problem::Required("code")));
        }
        if !(6..=10).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(inner.spent(kind.as_str(), Problem::CodeWrong));
        }
        let tried = inner.count(Bucket::Code, &inner.account_key(&email)).await?;
        let secret = OneTime::Digits(kind, email, Secret::new(digits));
        let redeemed = self.redeem(secret, remember, form, from).await?;
        if let Some(tried) = tried {
            tried.give_back();
        }
        Ok(redeemed)
    }
}

/// Whether what became of a mail counts as no try: it was good, or nothing was asked of GoTrue, since what was typed can be
/// nobody's address or code.
pub fn asked_nothing_in_vain(done: &Result<Confirmed, Failure>) -> bool {
    matches!(done, Ok(_) | Err(Failure::Form(Problem::Required(_) | Problem::EmailInvalid)))
}

fn is_plausible(hash: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !hash.is_empty() && hash.len() <= 256 && hash.bytes().all(plain)
}

/// The digits of a mail whose link is of `kind`.
fn code_kind(kind: LinkKind) -> CodeKind {
    match kind {
        LinkKind::Signup | LinkKind::Invite => CodeKind::Signup,
        LinkKind::MagicLink | LinkKind::Email => CodeKind::Email,
        LinkKind::Recovery => CodeKind::Recovery,
        LinkKind::EmailChange => CodeKind::EmailChange,
    }
}
