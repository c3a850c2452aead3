//! Limits by the client's address (contract, section 7.1; S-83, S-84).
//!
//! Without `AUTH_CLIENT_IP_HEADER` a loopback peer is not limited: it is a program beside this one, such as the BFF,
//! that speaks for many people and limits them itself.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use time::{Duration, OffsetDateTime};

use crate::error::{Answer, ApiError};
use crate::settings::Settings;

/// How many buckets are remembered. Beyond, newcomers share one, so that nobody is forgiven for want of memory.
const MOST: usize = if cfg!(test) { 1_000 } else { 100_000 };
const SWEEP: Duration = Duration::seconds(10);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    /// All grants of `/token`.
    Token,
    /// `GET` and `POST /verify`.
    Verify,
    SignUp,
    Anonymous,
    Otp,
    MagicLink,
    Recover,
    Resend,
    /// `PUT /user`.
    Update,
    /// `GET /reauthenticate`, which GoTrue does not limit by address.
    Reauthenticate,
    /// `POST /factors/{id}/challenge`.
    Challenge,
    /// `POST /factors/{id}/verify`.
    Factor,
}

impl Bucket {
    /// Time in which one more is allowed, and how many at once.
    fn rate(self) -> (Duration, i32) {
        match self {
            Self::Token => (Duration::seconds(2), 30),
            Self::Challenge | Self::Factor => (Duration::seconds(4), 15),
            Self::Anonymous => (Duration::minutes(2), 30),
            _ => (Duration::seconds(10), 30),
        }
    }
}

/// Counts calls. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    on: bool,
    header: Option<String>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// When each bucket will be full again.
    full_at: HashMap<(Bucket, String), OffsetDateTime>,
    /// When full buckets were last forgotten: looking at all of them is work.
    swept_at: Option<OffsetDateTime>,
}

impl Counts {
    /// Whether there is room for one more, after a sweep if it is time for one.
    fn has_room(&mut self, now: OffsetDateTime) -> bool {
        let due = self.swept_at.is_none_or(|swept_at| now - swept_at >= SWEEP);
        if self.full_at.len() >= MOST && due {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept_at = Some(now);
        }
        self.full_at.len() < MOST
    }
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { on: settings.limits, header: settings.client_ip_header.clone(), counts: Arc::default() }
    }

    /// Takes one call out of a bucket; 429 with `Retry-After` if there is none. Check and count are one step.
    pub(crate) fn take(
        &self,
        bucket: Bucket,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        now: OffsetDateTime,
    ) -> Answer<()> {
        let Some(client) = self.client(headers, peer) else { return Ok(()) };
        let (step, burst) = bucket.rate();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (bucket, client);
        if !counts.full_at.contains_key(&key) && !counts.has_room(now) {
            key.1 = "others".to_owned();
        }
        let full_at = counts.full_at.get(&key).copied().unwrap_or(now).max(now) + step;
        let wait = full_at - now - step * burst;
        if wait.is_positive() {
            let seconds = u32::try_from(wait.whole_seconds()).unwrap_or(u32::MAX).saturating_add(1);
            let text = "Request rate limit reached";
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(ApiError::new(status, "over_request_rate_limit", text).retry_after(seconds));
        }
        counts.full_at.insert(key, full_at);
        Ok(())
    }

    /// Who is counted; `None` for somebody who is not.
    fn client(&self, headers: &HeaderMap, peer: Option<SocketAddr>) -> Option<String> {
        if !self.on {
            return None;
        }
        let named = self.header.as_ref().and_then(|header| headers.get(header.as_str()));
        let named = named.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let first = named.as_deref().and_then(|list| list.split(',').next()).map(str::trim);
        match (first.filter(|first| !first.is_empty()), peer.map(|peer| peer.ip().to_canonical())) {
            (Some(named), _) => Some(match named.parse::<IpAddr>() {
                Ok(address) => network(address.to_canonical()),
                Err(_) => named.chars().take(64).collect(),
            }),
            (None, Some(peer)) if peer.is_loopback() => None,
            (None, Some(peer)) => Some(network(peer)),
            (None, None) => Some("unknown".to_owned()),
        }
    }
}

/// An IPv4 address, or the /64 that one IPv6 customer has for themselves.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            address.segments()[..4].iter().map(|segment| format!("{segment:x}:")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(header: Option<&str>) -> Limits {
        let header = header.map(str::to_owned);
        Limits::new(&Settings { limits: true, client_ip_header: header, ..Settings::for_tests() })
    }

    fn from(peer: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(peer.parse().unwrap(), 1))
    }

    /// Contract, section 7.1: thirty at once, then one every two seconds.
    #[test]
    fn a_bucket_refills_steadily() {
        let (limits, none, start) = (limits(None), HeaderMap::new(), OffsetDateTime::UNIX_EPOCH);
        let take = |seconds| {
            limits.take(Bucket::Token, &none, from("192.0.2.1"), start + Duration::seconds(seconds))
        };
        assert!((0..30).all(|_| take(0).is_ok()));
        assert_eq!(take(0).unwrap_err().code(), "over_request_rate_limit");
        assert!(take(1).is_err() && take(2).is_ok() && take(2).is_err());
        assert!(limits.take(Bucket::Verify, &none, from("192.0.2.1"), start).is_ok(), "another bucket");
        assert!(limits.take(Bucket::Token, &none, from("192.0.2.2"), start).is_ok(), "another address");
        assert_eq!((0..200).filter(|_| take(10_000).is_ok()).count(), 30);
    }

    /// S-83: the address is one network, in every notation.
    #[test]
    fn an_address_is_one_network() {
        let by_header = limits(Some("x-real-ip"));
        let client = |text: &str| {
            let headers = HeaderMap::from_iter([("x-real-ip".parse().unwrap(), text.parse().unwrap())]);
            by_header.client(&headers, from("127.0.0.1"))
        };
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1, 198.51.100.7"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::2:0:0:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert!(client("unknown").is_some(), "an odd address is limited too");
        assert_eq!(client(""), None);
        assert!(limits(None).client(&HeaderMap::new(), from("::ffff:127.0.0.1")).is_none());
        assert!(limits(None).client(&HeaderMap::new(), None).is_some());
    }

    /// S-84: memory is bounded, and who was refused stays refused.
    #[test]
    fn memory_is_bounded() {
        let (limits, none, now) = (limits(None), HeaderMap::new(), OffsetDateTime::UNIX_EPOCH);
        let take = |a: u32| {
            let peer = SocketAddr::from((std::net::Ipv4Addr::from(a), 1));
            limits.take(Bucket::Token, &none, Some(peer), now)
        };
        assert_eq!((0..40).filter(|_| take(1).is_ok()).count(), 30);
        let passed = (0x0a00_0000..0x0a00_0000 + MOST as u32 + 1000).filter(|a| take(*a).is_ok()).count();
        assert_eq!(passed, MOST - 1 + 30, "newcomers beyond the limit share one bucket");
        assert!(take(1).is_err());
        assert!(limits.counts.lock().unwrap().full_at.len() <= MOST + 8);
    }
}
