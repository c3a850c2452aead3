//! Bodies of answers, as GoTrue's clients read them (contract, section 2.1). Requests stand with their handlers.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::db::factors::Factor;
use crate::db::users::{Identity, User};

/// A moment in RFC 3339 with up to six decimals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(crate) OffsetDateTime);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = crate::db::micros(self.0).format(&Rfc3339);
        serializer.serialize_str(&text.map_err(serde::ser::Error::custom)?)
    }
}

/// The user object: always this shape, members without a value left out where clients expect that.
#[derive(Debug, Serialize)]
pub(crate) struct UserBody {
    pub(crate) id: Uuid,
    pub(crate) aud: &'static str,
    pub(crate) role: String,
    pub(crate) email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email_confirmed_at: Option<Stamp>,
    pub(crate) phone: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) invited_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirmation_sent_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirmed_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_sent_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email_change_sent_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reauthentication_sent_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_sign_in_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) banned_until: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_at: Option<Stamp>,
    pub(crate) app_metadata: Map<String, Value>,
    pub(crate) user_metadata: Map<String, Value>,
    /// Left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) factors: Vec<FactorBody>,
    /// `None` is `null`, as in lists of the administrator.
    pub(crate) identities: Option<Vec<IdentityBody>>,
    pub(crate) created_at: Stamp,
    pub(crate) updated_at: Stamp,
    pub(crate) is_anonymous: bool,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            aud: "authenticated",
            role: user.role.clone(),
            email: user.email.clone().unwrap_or_default(),
            email_confirmed_at: user.email_confirmed_at.map(Stamp),
            phone: "",
            invited_at: user.invited_at.map(Stamp),
            confirmation_sent_at: user.confirmation_sent_at.map(Stamp),
            confirmed_at: user.email_confirmed_at.map(Stamp),
            recovery_sent_at: user.recovery_sent_at.map(Stamp),
            new_email: user.new_email.clone(),
            email_change_sent_at: user.email_change_sent_at.map(Stamp),
            reauthentication_sent_at: user.reauthentication_sent_at.map(Stamp),
            last_sign_in_at: user.last_sign_in_at.map(Stamp),
            banned_until: user.banned_until.map(Stamp),
            deleted_at: user.deleted_at.map(Stamp),
            app_metadata: user.app_metadata.clone(),
            user_metadata: user.user_metadata.clone(),
            factors: user.factors.iter().map(FactorBody::from).collect(),
            identities: Some(
                user.identities.iter().map(|identity| IdentityBody::new(user.id, identity)).collect(),
            ),
            created_at: Stamp(user.created_at),
            updated_at: Stamp(user.updated_at),
            is_anonymous: user.is_anonymous,
        }
    }
}

/// An identity. Mind the names: `identity_id` is ours, `id` is the provider's.
#[derive(Debug, Serialize)]
pub(crate) struct IdentityBody {
    identity_id: Uuid,
    id: String,
    user_id: Uuid,
    identity_data: Map<String, Value>,
    provider: String,
    last_sign_in_at: Stamp,
    created_at: Stamp,
    updated_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl IdentityBody {
    fn new(user: Uuid, identity: &Identity) -> Self {
        Self {
            identity_id: identity.id,
            id: identity.subject.clone(),
            user_id: user,
            identity_data: identity.data.clone(),
            provider: identity.provider.clone(),
            last_sign_in_at: Stamp(identity.last_sign_in_at),
            created_at: Stamp(identity.created_at),
            updated_at: Stamp(identity.updated_at),
            email: identity.email.clone(),
        }
    }
}

/// A second factor; nothing of its secret.
#[derive(Debug, Serialize)]
pub(crate) struct FactorBody {
    id: Uuid,
    created_at: Stamp,
    updated_at: Stamp,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    friendly_name: String,
    factor_type: &'static str,
    phone: &'static str,
    last_challenged_at: Option<Stamp>,
}

impl From<&Factor> for FactorBody {
    fn from(factor: &Factor) -> Self {
        Self {
            id: factor.id,
            created_at: Stamp(factor.created_at),
            updated_at: Stamp(factor.updated_at),
            status: if factor.verified { "verified" } else { "unverified" },
            friendly_name: factor.friendly_name.clone(),
            factor_type: "totp",
            phone: "",
            last_challenged_at: factor.last_challenged_at.map(Stamp),
        }
    }
}

/// What a sign-in answers.
#[derive(Serialize)]
pub(crate) struct SessionBody {
    pub(crate) access_token: String,
    pub(crate) token_type: &'static str,
    /// Seconds from now.
    pub(crate) expires_in: i64,
    /// Seconds since 1970.
    pub(crate) expires_at: i64,
    pub(crate) refresh_token: String,
    pub(crate) user: UserBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_refresh_token: Option<String>,
    /// Present, and `null`, in answers of the password grant alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weak_password: Option<Value>,
}
