//! Standard Webhooks: who sent a message is proven by an HMAC over its id, its time and its bytes.
//!
//! The form is `v1,` and the base64 of HMAC-SHA-256 over `<id>.<unix seconds>.<body>`; secrets are written
//! `v1,whsec_<base64>`, several of them joined by `|` while one takes the place of another.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::{Duration, OffsetDateTime};

use crate::secret::Secret;

/// How far the time of a message may be from ours, either way.
pub const TOLERANCE: Duration = Duration::minutes(5);

/// Shortest secret, in bytes; the specification asks for 24 to 64.
const SHORTEST: usize = 24;

/// Longest id, in bytes.
const LONGEST_ID: usize = 256;

/// The secrets that a receiver accepts.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

/// Why a text holds no secrets. Entries are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    /// It is not written as it should be.
    #[error("entry {0} is not of the form v1,whsec_<base64>")]
    Form(usize),
    /// It could be guessed.
    #[error("entry {0} is shorter than 24 bytes")]
    Short(usize),
    /// All its bytes are alike.
    #[error("entry {0} is no random value")]
    Weak(usize),
    /// It stands there twice.
    #[error("entry {0} is the same as one before it")]
    Doubled(usize),
}

/// What a message says about itself, each header once.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`: unix seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more, separated by spaces.
    pub signatures: &'a str,
}

impl Secrets {
    /// Reads `v1,whsec_…|v1,whsec_…`.
    ///
    /// # Errors
    ///
    /// [`BadSecrets`], which repeats nothing of the text.
    pub fn parse(text: &Secret<String>) -> Result<Self, BadSecrets> {
        let mut known: Vec<Secret<Vec<u8>>> = Vec::new();
        for (index, entry) in text.expose().trim().split('|').enumerate() {
            let number = index + 1;
            let encoded = entry.trim().strip_prefix("v1,whsec_").ok_or(BadSecrets::Form(number))?;
            let bytes = Secret::new(STANDARD.decode(encoded).map_err(|_| BadSecrets::Form(number))?);
            if bytes.expose().len() < SHORTEST {
                return Err(BadSecrets::Short(number));
            }
            if bytes.expose().iter().all(|byte| *byte == bytes.expose()[0]) {
                return Err(BadSecrets::Weak(number));
            }
            if known.contains(&bytes) {
                return Err(BadSecrets::Doubled(number));
            }
            known.push(bytes);
        }
        Ok(Self(known.iter().map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes.expose())).collect()))
    }

    /// Judges a message and answers with the time that it was signed with. `None`: it is not one of ours, whatever the
    /// reason. Every signature is compared with every secret, in constant time.
    pub fn verify(&self, headers: Headers<'_>, body: &[u8], now: OffsetDateTime) -> Option<OffsetDateTime> {
        let Headers { id, timestamp, signatures } = headers;
        // Without a full stop in it an id cannot pass for another id and a time.
        let sound =
            !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
        let digits = (1..=11).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
        if !sound || !digits {
            return None;
        }
        let at = OffsetDateTime::from_unix_timestamp(timestamp.parse().ok()?).ok()?;
        if (now - at).abs() > TOLERANCE {
            return None;
        }
        let given =
            signatures.split(' ').filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok());
        let given: Vec<Vec<u8>> = given.collect();
        let mut matches = false;
        for key in &self.0 {
            let own = tag(key, id, timestamp, body);
            for signature in &given {
                matches |= constant_time::verify_slices_are_equal(own.as_ref(), signature).is_ok();
            }
        }
        matches.then_some(at)
    }

    /// The value of `webhook-signature` for a message of ours, by the first secret.
    pub fn sign(&self, id: &str, timestamp: OffsetDateTime, body: &[u8]) -> String {
        let timestamp = timestamp.unix_timestamp().to_string();
        let tags = self.0.first().map(|key| tag(key, id, &timestamp, body));
        tags.map_or_else(String::new, |tag| format!("v1,{}", STANDARD.encode(tag.as_ref())))
    }
}

fn tag(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets [redacted]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries: secret, id, time, body, signature.
    const EXAMPLE: [&str; 5] = [
        "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        r#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ];

    fn secrets(text: &str) -> Result<Secrets, BadSecrets> {
        Secrets::parse(&Secret::new(text.to_owned()))
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    type Change = fn(&mut [String; 4]);

    fn judge(secrets: &Secrets, change: impl FnOnce(&mut [String; 4]), now: i64) -> bool {
        let [_, id, timestamp, body, signatures] = EXAMPLE;
        let mut parts = [id, timestamp, body, signatures].map(str::to_owned);
        change(&mut parts);
        let [id, timestamp, body, signatures] = &parts;
        secrets.verify(Headers { id, timestamp, signatures }, body.as_bytes(), at(now)).is_some()
    }

    const NOW: i64 = 1_614_265_330;

    /// S-47: the published example passes, and says when it was signed.
    #[test]
    fn the_published_example_passes() {
        let secrets = secrets(EXAMPLE[0]).unwrap();
        assert!(judge(&secrets, |_| {}, NOW));
        let [_, id, _, body, signature] = EXAMPLE;
        assert_eq!(secrets.sign(id, at(NOW), body.as_bytes()), signature);
    }

    /// S-47: any other id, time, body or signature fails.
    #[test]
    fn a_change_anywhere_fails() {
        let secrets = secrets(EXAMPLE[0]).unwrap();
        let changes: [(&str, Change); 13] = [
            ("id", |parts| parts[0].push('x')),
            ("no id", |parts| parts[0].clear()),
            ("long id", |parts| parts[0] = "x".repeat(257)),
            ("time", |parts| parts[1] = "1614265331".into()),
            ("signed time", |parts| parts[1] = "+1614265330".into()),
            ("time with space", |parts| parts[1] = " 1614265330".into()),
            ("body", |parts| parts[2].push(' ')),
            ("no signature", |parts| parts[3].clear()),
            ("another version", |parts| parts[3] = parts[3].replace("v1,", "v2,")),
            ("no version", |parts| parts[3] = parts[3].replace("v1,", "")),
            ("short", |parts| parts[3] = "v1,g0hM9SsE".into()),
            ("last byte", |parts| parts[3] = parts[3].replace("1OE=", "1OA=")),
            ("comma list", |parts| parts[3] = format!("v1,AAAA,{}", parts[3])),
        ];
        for (what, change) in changes {
            assert!(!judge(&secrets, change, NOW), "{what}");
        }
    }

    /// S-47: 5 minutes either way, and no more.
    #[test]
    fn old_and_early_messages_fail() {
        let secrets = secrets(EXAMPLE[0]).unwrap();
        for (shift, passes) in [(300, true), (301, false), (-300, true), (-301, false)] {
            assert_eq!(judge(&secrets, |_| {}, NOW + shift), passes, "{shift}");
        }
    }

    /// S-47: while secrets change, either is accepted, and so is one good signature among others.
    #[test]
    fn several_secrets_and_signatures_are_tried() {
        let other = format!("v1,whsec_{}", STANDARD.encode([[1_u8; 12], [2; 12]].concat()));
        let both = secrets(&format!("{other}|{}", EXAMPLE[0])).unwrap();
        assert!(judge(&both, |_| {}, NOW));
        assert!(judge(&both, |parts| parts[3] = format!("v1a,xyz v1,AAAA {}", parts[3]), NOW));
        assert!(!judge(&secrets(&other).unwrap(), |_| {}, NOW));
    }

    /// An id with a full stop could be read as another id and a time.
    #[test]
    fn an_id_holds_no_full_stop() {
        let secrets = secrets(EXAMPLE[0]).unwrap();
        let id = "msg_1.1614265330";
        let signatures = secrets.sign(id, at(NOW), b"{}");
        let headers = Headers { id, timestamp: EXAMPLE[2], signatures: &signatures };
        assert_eq!(secrets.verify(headers, b"{}", at(NOW)), None);
    }

    /// S-87: secrets that are malformed, short, alike or doubled are refused, and none is printed.
    #[test]
    fn poor_secrets_are_refused() {
        let written = |bytes: &[u8]| format!("v1,whsec_{}", STANDARD.encode(bytes));
        let good = EXAMPLE[0];
        for (text, bad) in [
            (String::new(), BadSecrets::Form(1)),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), BadSecrets::Form(1)),
            ("v1,whsec_!".into(), BadSecrets::Form(1)),
            (format!("{good}|"), BadSecrets::Form(2)),
            (written(b"0123456789abcdef0123456"), BadSecrets::Short(1)),
            (written(&[7; 32]), BadSecrets::Weak(1)),
            (format!("{good}|{good}"), BadSecrets::Doubled(2)),
        ] {
            assert_eq!(secrets(&text).unwrap_err(), bad, "{text}");
        }
        assert_eq!(format!("{:?}", secrets(good).unwrap()), "1 secrets [redacted]");
    }
}
