//! Sessions: begin, keep, refresh, end.
//!
//! In cookie mode the whole session rides sealed in the browser's cookies; this process remembers only which
//! refreshes run and which sessions ended. In store mode the cookie holds an id and a key, and what rests in a store
//! ([`store`]) opens with them alone; nodes share refreshes, ends and revocations. [`Sessions`] is the one way to a
//! session in either mode, [`Slot`] its place in a request.

mod agent;
mod answer;
mod begin;
mod breaker;
mod changed;
pub mod cookie;
mod devices;
mod ended;
pub(crate) mod flights;
mod held;
mod label;
mod later;
mod live;
mod load;
mod news;
mod open;
mod opened;
mod program;
mod record;
mod remote;
mod sessions;
mod settings;
mod shared;
mod sign_out;
mod slot;
pub mod store;
mod ticket;
mod told;
mod unsaved;
mod vault;

use std::time::Duration;

pub use begin::Proof;
pub use devices::Device;
pub use held::{Held, NotHeld, Over, Standing};
pub use program::Granted;
pub use record::{Limited, Session};
pub use sessions::{Current, Parts, Sessions};
pub use settings::{Remember, SameSite, SecondFactor, Settings};
pub use sign_out::Subject;
pub use slot::Slot;

pub use crate::gotrue::{Factor, Scope as SignOut, User};

use crate::event::Reason;

/// Why there is no session to work with.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// The session store does not answer. The session is kept.
    #[error("the session store does not answer")]
    StoreUnavailable {
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
    /// The code of a second factor is missing, and there is no session to keep until it comes (S-32).
    #[error("the second factor is missing")]
    StepMissing,
    /// The sealed session does not fit into its cookies (S-04).
    #[error("the session is too large for its cookies")]
    TooLarge,
}

impl Error {
    /// A store is asked again soon: it is near, and its outages are short.
    const STORE_UNAVAILABLE: Self = Self::StoreUnavailable { retry_after: Duration::from_secs(2) };
}
