//! What comes back from a provider or by the link of a mail, and what it means to the person and to a client below the mount.

use uuid::Uuid;

use super::ReturnTo;
use super::pending::Purpose;

/// Behind a flow in the callback's address: the flow is a sign-up by mail.
pub(super) const OF_SIGN_UP: &str = "~signup";

/// What came back on the callback's address. Everything else there is ignored (S-21).
#[derive(Debug)]
pub struct Return<'a> {
    /// The last segment of the path: a flow, and perhaps a mark.
    pub place: &'a str,
    /// `code`.
    pub code: Option<&'a str>,
    /// Whether `error` was there; its text is never shown (S-68).
    pub refused: bool,
    /// Whether `message` was there, which GoTrue sends at the first half of a change of address.
    pub half: bool,
    /// `error_code`.
    pub error_code: Option<&'a str>,
}

/// How a person arrived back.
#[derive(Debug)]
pub enum Arrival {
    /// Signed in; the slot holds the session.
    SignedIn(ReturnTo),
    /// By the link of a recovery: a new password is next.
    Recovering,
    /// The code was used before, and there is a session: go on with it.
    Already(ReturnTo),
    /// The provider, or the person there, said no.
    Denied(String),
    /// It did not work this time.
    Failed(String),
    /// The address is confirmed; sign in to go on.
    ConfirmedOnly,
    /// It is, if the link of a mail led here: nothing in this browser tells.
    ConfirmedByMail,
    /// GoTrue refused the link of a mail.
    LinkExpired(Purpose),
    /// What the provider says is linked to the account of the person who asked for it.
    Linked {
        /// The provider.
        provider: String,
        /// Whose account it is.
        user: Uuid,
        /// Where the person goes on.
        target: ReturnTo,
    },
    /// It is not.
    NotLinked(String, NotLinked),
    /// A mail of a change of address was opened.
    EmailChange(EmailChange),
    /// Not a flow of this browser, or too old.
    Invalid,
    /// The client that waits at the target is told this word of GoTrue's.
    Refused(ReturnTo, &'static str),
    /// The client that waits at the target is told of the first half of a change of address.
    Half(ReturnTo),
    /// The change that the client at the target asked for is done; whoever is there goes on.
    Changed(ReturnTo),
}

impl Arrival {
    /// The same towards the client that waits at `target` and shows its own pages.
    pub(super) fn for_client(self, target: ReturnTo) -> Self {
        match self {
            Self::Recovering => Self::SignedIn(target),
            Self::Denied(_) | Self::NotLinked(_, NotLinked::Denied) => Self::Refused(target, "access_denied"),
            Self::NotLinked(_, NotLinked::Taken) => Self::Refused(target, "identity_already_exists"),
            Self::LinkExpired(_) | Self::EmailChange(EmailChange::Expired) => {
                Self::Refused(target, "otp_expired")
            }
            Self::Failed(_) | Self::NotLinked(..) => Self::Refused(target, "unexpected_failure"),
            Self::Invalid => Self::Refused(target, "bad_oauth_state"),
            Self::EmailChange(EmailChange::Half) => Self::Half(target),
            Self::EmailChange(EmailChange::Done { .. }) | Self::Linked { .. } => Self::Changed(target),
            other => other,
        }
    }
}

/// Why nothing was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotLinked {
    /// The provider, or the person there, said no.
    Denied,
    /// It, or its address, belongs to another account here.
    Taken,
    /// It did not work this time.
    Failed,
}

/// What a mail of a change of address did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailChange {
    /// The other mailbox has a link too.
    Half,
    /// This is the address now.
    Done {
        /// The new one.
        email: String,
        /// Whose it is.
        user: Uuid,
    },
    /// GoTrue refused the link.
    Expired,
}

impl<'a> Return<'a> {
    pub(super) fn flow(&self) -> &'a str {
        self.place.strip_suffix(OF_SIGN_UP).unwrap_or(self.place)
    }

    /// What this is to a browser that does not know the flow, as one is in which the mail of a sign-up was opened. Before
    /// GoTrue gives a code it confirms the address; whether the code is GoTrue's, nobody can tell here.
    pub(super) fn of_unknown_flow(&self) -> Arrival {
        match (self.place.ends_with(OF_SIGN_UP), self.code, self.error_code) {
            (true, Some(code), _) if !code.is_empty() => Arrival::ConfirmedByMail,
            (true, _, Some("otp_expired")) => Arrival::LinkExpired(Purpose::SignUp),
            _ => Arrival::Invalid,
        }
    }

    pub(super) fn is_half(&self) -> bool {
        self.half && self.code.is_none() && !self.refused
    }
}
