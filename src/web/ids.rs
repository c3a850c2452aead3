//! Names of requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use base::entropy::SharedEntropy;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;

/// Characters of an id, base64url.
const LENGTH: usize = 16;
/// Bytes of an id: no bit of a character is lost, so that ids can be cut from one text.
const SIZE: usize = LENGTH * 3 / 4;
/// Ids that are drawn at once: the system's generator costs more than the rest of an id.
const BATCH: usize = 64;

/// The name of one request, ready to be sent as `X-Request-Id`. Clones share the text.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn new(text: Bytes) -> Self {
        let value = HeaderValue::from_maybe_shared(text);
        Self(value.unwrap_or_else(|_| HeaderValue::from_static("none"))) // base64url fits in any header
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As the value of a header.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }
}

/// Draws the ids of requests, unpredictable and each once.
pub struct RequestIds {
    entropy: SharedEntropy,
    /// The text of those that are left.
    drawn: Mutex<Bytes>,
}

impl RequestIds {
    /// Draws from `entropy`.
    pub fn new(entropy: SharedEntropy) -> Self {
        Self { entropy, drawn: Mutex::default() }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() < LENGTH {
            let mut all = [0; SIZE * BATCH];
            self.entropy.fill(&mut all);
            *drawn = URL_SAFE_NO_PAD.encode(all).into();
        }
        RequestId::new(drawn.split_to(LENGTH))
    }
}

impl fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use base::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let ids = RequestIds::new(Arc::new(SeededEntropy::new(1)));
        let drawn: HashSet<String> = (0..5 * BATCH).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(drawn.len(), 5 * BATCH);
        assert!(drawn.iter().all(|id| id.len() == LENGTH));
    }
}
