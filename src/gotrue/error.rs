//! What can go wrong between us and GoTrue, told apart by what a caller can do about it.

use http::StatusCode;

/// Why a call brought nothing. No variant holds a URL, a body or a text of GoTrue's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It answered, and refused: a wrong password, a used code, a banned user.
    #[error("GoTrue refused with {status}: {code}")]
    Refused {
        /// The same code may come with several (contract 3.2).
        status: StatusCode,
        /// GoTrue's own, `unknown` if it gave none; at most 64 characters.
        code: String,
        /// With `weak_password` alone: any of `length`, `characters`, `pwned`.
        reasons: Vec<String>,
    },
    /// 429. The call changed nothing and can be made again later.
    #[error("GoTrue is asked too often: {code}")]
    RateLimited {
        /// `over_request_rate_limit`, `over_email_send_rate_limit` and such; `unknown` from a gateway.
        code: String,
        /// From a gateway in front; GoTrue itself never says.
        retry_after: Option<time::Duration>,
    },
    /// No connection, no answer within the time limit, or one that broke off.
    #[error("GoTrue did not answer")]
    Unreachable(#[source] reqwest::Error),
    /// It failed on its side: 5xx, whatever the body.
    #[error("GoTrue failed with {status}")]
    Server {
        /// 500 to 599.
        status: StatusCode,
    },
    /// What answered did not speak as GoTrue does: a gateway's refusal, a page, half a body, a redirect.
    #[error("something other than GoTrue answered with {status}")]
    NotGoTrue {
        /// As received; 200 stands for any success.
        status: StatusCode,
    },
}

/// Why GoTrue will never again answer for a refresh token (contract 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinalRefresh {
    /// It does not know the token; signed out elsewhere, or the token is malformed.
    NotFound,
    /// The token was used before, longer ago than the reuse interval: perhaps a stolen copy.
    Reused,
    /// The session behind the token is gone.
    SessionNotFound,
    /// A limit of the project ended the session.
    Expired,
    /// The user is banned.
    Banned,
}

impl Error {
    /// Whether this answer to a refresh ends the session. The list is closed (S-44): anything that is not on it, a
    /// gateway's 401 and every 409, 429 and 5xx included, leaves the session alone.
    pub fn final_refresh_reason(&self) -> Option<FinalRefresh> {
        match self {
            Self::Refused { status, code, .. } if *status == StatusCode::BAD_REQUEST => match code.as_str() {
                "refresh_token_not_found" | "validation_failed" | "invalid_client" => {
                    Some(FinalRefresh::NotFound)
                }
                "refresh_token_already_used" => Some(FinalRefresh::Reused),
                "session_not_found" => Some(FinalRefresh::SessionNotFound),
                "session_expired" => Some(FinalRefresh::Expired),
                "user_banned" => Some(FinalRefresh::Banned),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether what the path names is not there; the same code with another status is about what the body names.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// GoTrue's code, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } | Self::RateLimited { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anybody changing it. An answer for people is then
    /// `auth_unavailable`, never a refusal of what they typed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == StatusCode::CONFLICT,
            Self::RateLimited { .. }
            | Self::Unreachable(_)
            | Self::Server { .. }
            | Self::NotGoTrue { .. } => true,
        }
    }
}
