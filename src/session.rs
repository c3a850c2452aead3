//! Sessions: begin, keep, refresh, end.
//!
//! In cookie mode the whole session rides sealed in the browser's cookies; this process remembers only which
//! refreshes run and which sessions ended. [`Sessions`] is the one way to a session, [`Slot`] its place in a request.

mod begin;
pub mod cookie;
mod ended;
pub(crate) mod flights;
mod open;
mod opened;
mod record;
mod remote;
mod revoke;
mod sessions;
mod settings;
mod slot;
pub mod store;

use std::time::Duration;

pub use begin::Proof;
pub use record::{Limited, Session};
pub use revoke::Subject;
pub use sessions::{Current, Parts, Sessions};
pub use settings::{Remember, SameSite, Settings};
pub use slot::Slot;

pub use crate::gotrue::Scope as SignOut;

use crate::event::Reason;

/// Why there is no session to work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request carries none.
    #[error("the request carries no session")]
    Missing,
    /// It carried one that is over.
    #[error("the session has ended: {}", .0.as_str())]
    Ended(Reason),
    /// GoTrue does not answer and the access token has run out. The session is kept.
    #[error("the session cannot be refreshed right now")]
    Unavailable {
        /// When the next try makes sense.
        retry_after: Duration,
    },
    /// No key set to verify tokens with. The session is kept.
    #[error("there are no keys to verify tokens with")]
    KeysUnavailable {
        /// When the next try makes sense.
        retry_after: Duration,
    },
    /// GoTrue's answer to a sign-in did not pass verification: its issuer or keys are not the configured ones.
    #[error("a token that GoTrue just issued does not verify")]
    Unverified(#[source] crate::token::Invalid),
    /// The sealed session does not fit into its cookies (S-04).
    #[error("the session is too large for its cookies")]
    TooLarge,
}
