//! Who vouches for people from elsewhere: the real GitHub and Google, or pretend providers for a machine without accounts.

mod github;
mod google;
mod web;

use base::secret::Secret;
use serde_json::{Map, Value};
use url::Url;

pub(crate) use github::GitHub;
pub(crate) use google::Google;
pub(crate) use web::Failure;

use crate::settings::Settings;

/// What a provider says about a person.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Fixed per provider, never taken from the answer (S-79).
    pub(crate) issuer: String,
    /// The provider's id of the person; not empty.
    pub(crate) subject: String,
    /// As the provider writes it.
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) name: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) avatar_url: Option<String>,
}

impl Profile {
    /// `identity_data` (contract, section 2.1).
    pub(crate) fn data(&self, provider: &str, email: &str) -> Map<String, Value> {
        let mut data = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            value.filter(|v| !v.is_empty()).map(|v| data.insert(name.to_owned(), v.clone().into()));
        };
        put("iss", Some(&self.issuer));
        put("sub", Some(&self.subject));
        put("provider_id", Some(&self.subject));
        put("name", self.name.as_ref());
        put("full_name", self.name.as_ref());
        put("avatar_url", self.avatar_url.as_ref());
        if provider == "google" {
            put("picture", self.avatar_url.as_ref());
        } else {
            put("user_name", self.user_name.as_ref());
            put("preferred_username", self.user_name.as_ref());
        }
        put("email", Some(&email.to_owned()));
        data.insert("email_verified".to_owned(), self.email_verified.into());
        data.insert("phone_verified".to_owned(), false.into());
        data
    }
}

/// What a provider gives beside a profile: for calls to its own API.
#[derive(Debug, Clone)]
pub(crate) struct ProviderTokens {
    pub(crate) access: Secret<String>,
    /// Only from some providers, and only if it was asked for.
    pub(crate) refresh: Option<Secret<String>>,
}

impl ProviderTokens {
    /// Both as one text, for [`read`](Self::read). No token holds a line break (RFC 6749, appendix A).
    pub(crate) fn text(&self) -> Secret<String> {
        let refresh = self.refresh.as_ref().map_or("", |refresh| refresh.expose());
        Secret::new(format!("{}\n{refresh}", self.access.expose()))
    }

    pub(crate) fn read(text: &str) -> Self {
        let (access, refresh) = text.split_once('\n').unwrap_or((text, ""));
        let secret = |text: &str| Secret::new(text.to_owned());
        Self { access: secret(access), refresh: Some(refresh).filter(|text| !text.is_empty()).map(secret) }
    }
}

/// A provider that is on.
#[derive(Debug)]
pub(crate) enum Provider {
    /// A page of this server, for trying things out.
    Pretend {
        /// `google` or `github`.
        name: &'static str,
        /// Never equal to a real one's, so that nothing said here counts there.
        issuer: String,
    },
    /// github.com, or another server of its kind.
    GitHub(Box<GitHub>),
    /// Google, or another server of its kind.
    Google(Box<Google>),
}

/// The providers that are on.
#[derive(Debug)]
pub(crate) struct Providers(Vec<(&'static str, Provider)>);

impl Providers {
    /// Pretend providers stand in only while no real one is set, and where nobody but this machine comes (`private`):
    /// beside a real one, a page on which everybody may claim every address would open the accounts of people who came
    /// through the real one.
    pub(crate) fn new(settings: &Settings, issuer: &str, private: bool) -> Result<Self, github::BadUrl> {
        let (back, mut real) = (format!("{issuer}/callback"), Vec::new());
        if let Some(client) = &settings.google {
            let google = Google::new(client, settings.google_issuer.as_ref(), back.clone())?;
            real.push(("google", Provider::Google(Box::new(google))));
        }
        if let Some(client) = &settings.github {
            let github = GitHub::new(client, settings.github_url.as_ref(), &back)?;
            real.push(("github", Provider::GitHub(Box::new(github))));
        }
        if !real.is_empty() || !private {
            return Ok(Self(real));
        }
        let pretend = |name| (name, Provider::Pretend { name, issuer: format!("{issuer}/pretend/{name}") });
        Ok(Self(vec![pretend("google"), pretend("github")]))
    }

    /// The provider of this name, which the caller has put into lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, provider)| provider)
    }

    /// The issuer of a pretend provider, if that is what `name` is.
    pub(crate) fn pretend(&self, name: &str) -> Option<(&'static str, &str)> {
        match self.get(name)? {
            Provider::Pretend { name, issuer } => Some((name, issuer)),
            Provider::GitHub(_) | Provider::Google(_) => None,
        }
    }
}

impl Provider {
    /// Where a person is sent to be asked who they are.
    pub(crate) async fn authorize_url(
        &self,
        issuer: &str,
        state: &str,
        scopes: &[String],
        extra: &[(String, String)],
    ) -> Result<Url, Failure> {
        Ok(match self {
            Self::GitHub(github) => github.authorize_url(state, scopes, extra),
            Self::Google(google) => return google.authorize_url(state, scopes, extra).await,
            Self::Pretend { name, .. } => {
                let mut url = Url::parse(issuer).expect("the issuer was made of an address");
                url.set_path(&format!("{}/pretend/{name}", url.path()));
                url.query_pairs_mut().append_pair("state", state);
                url
            }
        })
    }
}
