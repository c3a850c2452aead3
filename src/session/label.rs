//! What the list of devices knows of a session without its cookie: sealed under the deployment's key, not the cookie's.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::record::Session;

/// Holds no token and no address. Names are short because there is one for each session; times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    /// Our id.
    i: Uuid,
    /// GoTrue's.
    g: Uuid,
    /// The sign-in.
    c: i64,
    /// The level that it reached.
    l: u8,
    /// The browser.
    a: String,
}

impl Label {
    pub(super) fn of(session: &Session, aal: u8) -> Self {
        Self {
            i: session.id,
            g: session.gotrue_id,
            c: session.created_at.unix_timestamp(),
            l: aal,
            a: session.rest.as_ref().map(|rest| rest.agent.to_string()).unwrap_or_default(),
        }
    }

    pub(super) fn id(&self) -> Uuid {
        self.i
    }

    pub(super) fn gotrue_id(&self) -> Uuid {
        self.g
    }

    pub(super) fn created_at(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.c).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(super) fn aal(&self) -> u8 {
        self.l
    }

    pub(super) fn agent(&self) -> &str {
        &self.a
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and UUIDs: nothing here can fail to serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
