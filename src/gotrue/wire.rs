//! The bodies as GoTrue reads and writes them. Nothing of the browser's is in them but what a field names.

use base::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::pkce::{self, Challenge};

#[derive(Serialize)]
pub(super) struct SignUp<'a> {
    pub(super) email: &'a str,
    pub(super) password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a Map<String, Value>>,
    #[serde(flatten)]
    pub(super) challenge: ChallengeFields<'a>,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

#[derive(Serialize)]
pub(super) struct Anonymous<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a Map<String, Value>>,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

#[derive(Serialize)]
pub(super) struct ChallengeFields<'a> {
    code_challenge: &'a str,
    code_challenge_method: &'static str,
}

impl<'a> ChallengeFields<'a> {
    pub(super) fn of(challenge: &'a Challenge) -> Self {
        Self { code_challenge: challenge.as_str(), code_challenge_method: pkce::METHOD }
    }
}

#[derive(Serialize)]
pub(super) struct Security<'a> {
    captcha_token: &'a str,
}

impl<'a> Security<'a> {
    pub(super) fn of(token: Option<&'a str>) -> Option<Self> {
        token.map(|captcha_token| Self { captcha_token })
    }
}

#[derive(Serialize)]
pub(super) struct Password<'a> {
    pub(super) email: &'a str,
    pub(super) password: &'a str,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

#[derive(Serialize)]
pub(super) struct IdToken<'a> {
    pub(super) provider: &'a str,
    pub(super) id_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

#[derive(Serialize)]
pub(super) struct Refresh<'a> {
    pub(super) refresh_token: &'a str,
}

#[derive(Serialize)]
pub(super) struct CodeExchange<'a> {
    pub(super) auth_code: &'a str,
    pub(super) code_verifier: &'a str,
}

#[derive(Serialize)]
pub(super) struct VerifyHash<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) token_hash: &'a str,
}

#[derive(Serialize)]
pub(super) struct VerifyCode<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) email: &'a str,
    pub(super) token: &'a str,
}

#[derive(Serialize)]
pub(super) struct Resend<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) email: &'a str,
    #[serde(flatten)]
    pub(super) challenge: ChallengeFields<'a>,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

/// `/recover` and `/otp`.
#[derive(Serialize)]
pub(super) struct MailTo<'a> {
    pub(super) email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) create_user: Option<bool>,
    #[serde(flatten)]
    pub(super) challenge: ChallengeFields<'a>,
    #[serde(rename = "gotrue_meta_security", skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<Security<'a>>,
}

#[derive(Serialize)]
pub(super) struct Update<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current_password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a Map<String, Value>>,
    #[serde(flatten)]
    pub(super) challenge: Option<ChallengeFields<'a>>,
}

#[derive(Serialize)]
pub(super) struct Enroll<'a> {
    pub(super) factor_type: &'static str,
    pub(super) friendly_name: &'a str,
    pub(super) issuer: &'a str,
}

/// `{}`
#[derive(Serialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
pub(super) struct VerifyFactor<'a> {
    pub(super) challenge_id: Uuid,
    pub(super) code: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Enrolled {
    pub(super) id: Uuid,
    pub(super) totp: Totp,
}

#[derive(Deserialize)]
pub(super) struct Totp {
    pub(super) secret: Secret<String>,
    pub(super) uri: Secret<String>,
}

#[derive(Deserialize)]
pub(super) struct Challenged {
    pub(super) id: Uuid,
}

#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) access_token: Secret<String>,
    pub(super) refresh_token: Secret<String>,
    pub(super) expires_in: i64,
    pub(super) user: User,
}

/// A person's members, and what of them GoTrue's own clients know (contract 2.1).
pub(super) struct User {
    pub(super) read: UserMembers,
    pub(super) told: Map<String, Value>,
}

/// The members of a person that may reach a browser.
const TOLD: [&str; 26] = [
    "id",
    "aud",
    "role",
    "email",
    "phone",
    "email_confirmed_at",
    "phone_confirmed_at",
    "confirmed_at",
    "invited_at",
    "confirmation_sent_at",
    "recovery_sent_at",
    "email_change_sent_at",
    "phone_change_sent_at",
    "reauthentication_sent_at",
    "last_sign_in_at",
    "banned_until",
    "deleted_at",
    "new_email",
    "new_phone",
    "app_metadata",
    "user_metadata",
    "factors",
    "identities",
    "created_at",
    "updated_at",
    "is_anonymous",
];

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut told = Map::deserialize(deserializer)?;
        let read: UserMembers = serde_json::from_value(Value::Object(told.clone()))
            .map_err(|_| serde::de::Error::custom("no person"))?;
        told.retain(|name, _| TOLD.contains(&name.as_str()));
        Ok(Self { read, told })
    }
}

#[derive(Deserialize)]
pub(super) struct UserMembers {
    pub(super) id: Uuid,
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) phone: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) email_confirmed_at: Option<time::OffsetDateTime>,
    #[serde(default)]
    pub(super) new_email: Option<String>,
    #[serde(default)]
    pub(super) user_metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) app_metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) identities: Option<Vec<Identity>>,
    #[serde(default)]
    pub(super) factors: Option<Vec<Factor>>,
    #[serde(default)]
    pub(super) is_anonymous: bool,
}

#[derive(Deserialize)]
pub(super) struct Identity {
    /// `id` is the provider's own name of the person (contract 2.1).
    #[serde(default)]
    pub(super) identity_id: Option<Uuid>,
    pub(super) provider: String,
    #[serde(default)]
    pub(super) email: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ProviderUrl {
    pub(super) url: url::Url,
}

#[derive(Deserialize)]
pub(super) struct Factor {
    pub(super) id: Uuid,
    pub(super) factor_type: String,
    #[serde(default)]
    pub(super) friendly_name: Option<String>,
    pub(super) status: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) created_at: Option<time::OffsetDateTime>,
}

/// The first half of a change of address: `{"msg": "…", "code": "200"}`.
#[derive(Deserialize)]
pub(super) struct Half {
    #[serde(rename = "msg")]
    pub(super) _msg: String,
}

#[derive(Deserialize)]
pub(super) struct ProjectSettings {
    pub(super) external: std::collections::BTreeMap<String, Value>,
    pub(super) disable_signup: bool,
    pub(super) mailer_autoconfirm: bool,
}
