//! Keys: for signing access tokens, and the secrets that nobody but this server needs. Made at first start, in files
//! of mode 0600 (S-77, S-80).

mod file;
mod jwk;
mod rsa;

use std::path::Path;

use base::entropy::Entropy;
use base::seal::{KeyId, Keyring, MasterKey};
use base::secret::Secret;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::sessions::Proof;
use crate::db::{Database, users::User};
use crate::settings::{Algorithm, Settings};

/// Why the keys could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or made.
    #[error("the key file {0} cannot be read or made")]
    File(String, #[source] std::io::Error),
    /// Others than its owner may read the file.
    #[error("the key file {0} can be read by others than its owner; run: chmod 600 {0}")]
    Readable(String),
    /// The file is not what it should be.
    #[error("the key file {0} is not usable: {1}")]
    Content(String, &'static str),
    /// The cryptography library refused.
    #[error("a key could not be made")]
    Crypto,
}

/// Signs access tokens and reads them again.
pub(crate) struct Signer {
    algorithm: jsonwebtoken::Algorithm,
    kid: Option<String>,
    sign: EncodingKey,
    verify: Vec<(Option<String>, jsonwebtoken::Algorithm, DecodingKey)>,
    public: Value,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The claims of contract section 5.1.
#[derive(Debug, Serialize)]
pub(crate) struct Claims<'a> {
    iss: &'a str,
    sub: Uuid,
    aud: &'static str,
    exp: i64,
    iat: i64,
    email: &'a str,
    phone: &'static str,
    app_metadata: &'a Map<String, Value>,
    user_metadata: &'a Map<String, Value>,
    role: &'a str,
    aal: &'a str,
    amr: &'a [Proof],
    session_id: Uuid,
    is_anonymous: bool,
}

impl<'a> Claims<'a> {
    /// A snapshot of `user` in `session`.
    pub(crate) fn new(
        issuer: &'a str,
        user: &'a User,
        session: &'a crate::db::sessions::Session,
        now: OffsetDateTime,
        lifetime: time::Duration,
    ) -> Self {
        Self {
            iss: issuer,
            sub: user.id,
            aud: "authenticated",
            exp: (now + lifetime).unix_timestamp(),
            iat: now.unix_timestamp(),
            email: user.email.as_deref().unwrap_or_default(),
            phone: "",
            app_metadata: &user.app_metadata,
            user_metadata: &user.user_metadata,
            role: &user.role,
            aal: &session.aal,
            amr: &session.amr,
            session_id: session.id,
            is_anonymous: user.is_anonymous,
        }
    }
}

/// What the server itself reads from a token that was presented.
#[derive(Debug, Deserialize)]
pub(crate) struct Presented {
    pub(crate) sub: Option<String>,
    pub(crate) session_id: Option<String>,
    exp: i64,
}

impl Signer {
    /// Loads the key set, or makes one at first start. Blocks.
    pub(crate) fn open(settings: &Settings, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        if settings.algorithm == Algorithm::Hs256 {
            let secret = settings.secret_key.as_ref().ok_or(KeyError::Crypto)?.expose().as_bytes();
            return Ok(Self {
                algorithm: jsonwebtoken::Algorithm::HS256,
                kid: None,
                sign: EncodingKey::from_secret(secret),
                verify: vec![(None, jsonwebtoken::Algorithm::HS256, DecodingKey::from_secret(secret))],
                public: json!({"keys": []}),
            });
        }
        let fresh = || jwk::generate(settings.algorithm, entropy);
        let (name, set) = match &settings.signing_keys_file {
            None => ("in memory".to_owned(), jwk::set(fresh()?)),
            Some(path) => {
                let make = || Ok(serde_json::to_string_pretty(&jwk::set(fresh()?)).unwrap_or_default());
                let text = file::read_or_make(path, make)?;
                let name = path.display().to_string();
                let set = serde_json::from_str(&text)
                    .map_err(|_| KeyError::Content(name.clone(), "it is not a JWK set"))?;
                (name, set)
            }
        };
        let loaded = jwk::load(&set).map_err(|why| KeyError::Content(name.clone(), why))?;
        if loaded.algorithm != jwk::algorithm(settings.algorithm) {
            return Err(KeyError::Content(name, "its key for signing is not of AUTH_ALGORITHM"));
        }
        Ok(Self {
            algorithm: loaded.algorithm,
            kid: Some(loaded.kid),
            sign: loaded.sign,
            verify: loaded.verify,
            public: loaded.public,
        })
    }

    /// The public halves (contract, section 5.3). Empty with a shared secret.
    pub(crate) fn public(&self) -> &Value {
        &self.public
    }

    /// Signs `claims`.
    pub(crate) fn sign(&self, claims: &Claims<'_>) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        jsonwebtoken::encode(&header, claims, &self.sign)
    }

    /// Checks signature and expiry, without leeway. `None` for everything that is not a living token of ours.
    pub(crate) fn verify(&self, token: &str, now: OffsetDateTime) -> Option<Presented> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let (_, algorithm, key) =
            self.verify.iter().find(|(kid, algorithm, _)| *kid == header.kid && *algorithm == header.alg)?;
        let mut validation = Validation::new(*algorithm);
        validation.validate_exp = false; // it would ask the system's clock
        validation.validate_aud = false; // nothing else signs with these keys
        validation.set_required_spec_claims(&["exp"]);
        let claims = jsonwebtoken::decode::<Presented>(token, key, &validation).ok()?.claims;
        (claims.exp > now.unix_timestamp()).then_some(claims)
    }
}

/// Secrets of this server alone.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// Derives refresh tokens, digests of digits, and seals what waits in the database.
    pub(crate) ring: Keyring,
    /// Opens `/admin/*`.
    pub(crate) admin_key: Secret<String>,
}

#[derive(Serialize, Deserialize)]
struct SecretsFile {
    master_key: String,
    admin_key: String,
}

impl Secrets {
    /// Loads them from beside the database, or makes them at first start. Blocks.
    pub(crate) fn open(settings: &Settings, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let make = || {
            let id = KeyId::parse("k1").ok_or(KeyError::Crypto)?;
            let master_key = MasterKey::generate(id, entropy).to_text().expose().clone();
            Ok(SecretsFile { master_key, admin_key: entropy.text::<32>() })
        };
        let (name, stored) = match &settings.database {
            Database::Memory => ("in memory".to_owned(), make()?),
            Database::File(database) => {
                let path = database.parent().unwrap_or(Path::new("")).join("auth-secrets.json");
                let text = file::read_or_make(&path, || {
                    make().map(|made| serde_json::to_string_pretty(&made).unwrap_or_default())
                })?;
                let name = path.display().to_string();
                let stored = serde_json::from_str(&text)
                    .map_err(|_| KeyError::Content(name.clone(), "it does not hold the secrets"))?;
                (name, stored)
            }
        };
        let ring = MasterKey::parse(&stored.master_key).ok().and_then(|key| Keyring::new(&[key]));
        let ring = ring.ok_or(KeyError::Content(name, "its master_key is not usable"))?;
        let admin_key = settings.admin_key.clone().unwrap_or_else(|| Secret::new(stored.admin_key));
        Ok(Self { ring, admin_key })
    }
}
