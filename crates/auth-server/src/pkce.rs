//! What a client sends to begin a PKCE flow (contract, section 4.1; S-76: S256 only).

use crate::error::{Answer, ApiError};

/// A challenge of the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge(pub(crate) String);

impl Challenge {
    /// Reads the pair; both or none. `Ok(None)`: no PKCE.
    pub(crate) fn read(challenge: Option<&str>, method: Option<&str>) -> Answer<Option<Self>> {
        let filled = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
        let (challenge, method) = match (filled(challenge), filled(method)) {
            (None, None) => return Ok(None),
            (Some(challenge), Some(method)) => (challenge, method),
            _ => {
                let text = "PKCE flow requires code_challenge_method and code_challenge";
                return Err(ApiError::invalid(text));
            }
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !(43..=128).contains(&challenge.len()) || !challenge.bytes().all(fits) {
            let text =
                "code challenge has to be between 43 and 128 characters out of A-Z, a-z, 0-9, -, ., _ and ~";
            return Err(ApiError::invalid(text));
        }
        if !method.eq_ignore_ascii_case("s256") {
            return Err(ApiError::invalid("code_challenge_method has to be s256"));
        }
        Ok(Some(Self(challenge)))
    }
}
