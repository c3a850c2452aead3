//! Keys, tokens and a key-set host for tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

use super::{Expectations, KeySet};

pub(crate) const ISSUER: &str = "https://project.example.test/auth/v1";
pub(crate) const SECRET: &str = "a test's own secret, longer than 32 bytes";

/// When the tests begin. Tokens of [`claims`] live for an hour from here.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

pub(crate) fn expectations() -> Expectations {
    Expectations {
        issuer: ISSUER.to_owned(),
        audience: "authenticated".to_owned(),
        user_roles: vec!["authenticated".to_owned()],
        leeway: Duration::seconds(10),
    }
}

/// As GoTrue writes them (contract, section 5.1).
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "0b3f1c9e-5d53-4f8e-9d0a-6a1f0a3c2b11", "aud": "authenticated",
        "exp": NOW.unix_timestamp() + 3600, "iat": NOW.unix_timestamp(),
        "email": "ada@example.test", "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": {"name": "Ada"},
        "role": "authenticated", "aal": "aal1", "amr": [{"method": "password", "timestamp": NOW.unix_timestamp()}],
        "session_id": "5f7a2f8e-9a51-4f0e-8c63-0a1b2c3d4e5f", "is_anonymous": false
    })
}

/// The claims above with some replaced.
pub(crate) fn claims_with(other: Value) -> Value {
    let mut all = claims();
    if let (Value::Object(all), Value::Object(other)) = (&mut all, other) {
        all.extend(other);
    }
    all
}

pub(crate) enum Signer {
    Es(EcdsaKeyPair),
    Rs(RsaKeyPair),
    Ed(Ed25519KeyPair),
    Hs(Vec<u8>),
}

pub(crate) static ES: LazyLock<Signer> =
    LazyLock::new(|| Signer::Es(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()));
pub(crate) static RS: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rs(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(crate) static ED: LazyLock<Signer> = LazyLock::new(|| Signer::Ed(Ed25519KeyPair::generate().unwrap()));
pub(crate) static HS: LazyLock<Signer> = LazyLock::new(|| Signer::Hs(SECRET.as_bytes().to_vec()));

impl Signer {
    pub(crate) fn es256() -> Self {
        Self::Es(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            Self::Es(_) => "ES256",
            Self::Rs(_) => "RS256",
            Self::Ed(_) => "EdDSA",
            Self::Hs(_) => "HS256",
        }
    }

    /// The public half as JWK.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Es(pair) => {
                let point: EcPublicKeyUncompressedBin<'_> = pair.public_key().as_be_bytes().unwrap();
                let (x, y) = point.as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
                    "key_ops": ["verify"], "x": b64(x), "y": b64(y)})
            }
            Self::Rs(pair) => {
                let parts: RsaPublicKeyComponents<Vec<u8>> = pair.public_key().into();
                json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "key_ops": ["verify"],
                    "n": b64(parts.n), "e": b64(parts.e)})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": b64(pair.public_key())})
            }
            Self::Hs(secret) => json!({"kty": "oct", "kid": kid, "alg": "HS256", "k": b64(secret)}),
        }
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Es(pair) => pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
            Self::Rs(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn signature::RsaEncoding = &RSA_PKCS1_SHA256;
                pair.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
                signature
            }
            Self::Ed(pair) => pair.sign(text).as_ref().to_vec(),
            Self::Hs(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
            }
        }
    }

    /// A token with this header and these claims, as they stand.
    pub(crate) fn raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        format!("{signed}.{}", b64(self.sign(signed.as_bytes())))
    }

    /// A token with an honest header.
    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.alg(), "kid": kid, "typ": "JWT"});
        self.raw(&header.to_string(), &claims.to_string())
    }
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn jwks(keys: &[Value]) -> Map<String, Value> {
    Map::from_iter([("keys".to_owned(), Value::from(keys))])
}

/// ES256 as `es`, RS256 as `rs`, EdDSA as `ed`, and the secret.
pub(crate) fn all_keys() -> KeySet {
    let set = jwks(&[ES.jwk("es"), RS.jwk("rs"), ED.jwk("ed")]);
    KeySet::from_jwks(&set).unwrap().with_secret(&SECRET.to_owned().into())
}

/// What the host says.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(Value),
    /// A status, further header lines, and a body.
    Raw(u16, String, Vec<u8>),
    /// The connection closes without a word.
    Dark,
    /// Says the same as the other, but only when told to.
    Held(Arc<Notify>, Value),
}

/// A host of key sets on loopback that counts how often it is asked.
pub(crate) struct Host {
    pub(crate) url: Url,
    hits: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

impl Host {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/jwks.json", listener.local_addr().unwrap())).unwrap();
        let host = Self { url, hits: Arc::default(), answer: Arc::new(Mutex::new(answer)) };
        let (hits, answer) = (Arc::clone(&host.hits), Arc::clone(&host.answer));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                hits.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                let (status, more, body) = match answer {
                    Answer::Json(value) => (200, String::new(), value.to_string().into_bytes()),
                    Answer::Raw(status, more, body) => (status, more, body),
                    Answer::Dark => continue,
                    Answer::Held(told, value) => {
                        told.notified().await;
                        (200, String::new(), value.to_string().into_bytes())
                    }
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = socket.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        host
    }

    pub(crate) fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}
