//! GitHub: the authorization code flow of RFC 6749, then two calls that say who it was.

use serde::Deserialize;
use url::Url;

use super::web::{self, Failure, OAuthClient, Web};
use super::{Profile, ProviderTokens};
use crate::settings::Client;

/// A GitHub that is asked for real.
#[derive(Debug)]
pub(crate) struct GitHub {
    oauth: OAuthClient,
    web: Web,
    /// Base of the API, without a slash at its end.
    api: String,
    issuer: String,
}

/// `AUTH_GITHUB_URL` leads to no usable address, or the HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadUrl {
    #[error("AUTH_GITHUB_URL is not usable")]
    Url(#[from] url::ParseError),
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: Option<String>,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

impl GitHub {
    /// github.com, unless `url` names another server.
    pub(crate) fn new(client_at: &Client, url: Option<&Url>, redirect_uri: &str) -> Result<Self, BadUrl> {
        let base = url.map_or("https://github.com", Url::as_str).trim_end_matches('/').to_owned();
        let (api, issuer) = match url {
            None => ("https://api.github.com".to_owned(), "https://api.github.com".to_owned()),
            Some(_) => (format!("{base}/api/v3"), base.clone()),
        };
        let (authorize, token) =
            (format!("{base}/login/oauth/authorize"), format!("{base}/login/oauth/access_token"));
        let oauth = web::oauth_client(client_at, authorize, token, redirect_uri)?;
        Ok(Self { oauth, web: Web::new()?, api, issuer })
    }

    pub(crate) fn authorize_url(&self, state: &str, scopes: &[String], extra: &[(String, String)]) -> Url {
        web::authorize_url(&self.oauth, &["user:email"], state, scopes, extra)
    }

    /// Trades the code for a token, and the token for a profile.
    pub(crate) async fn profile(&self, code: &str) -> Result<(Profile, ProviderTokens), Failure> {
        let tokens = self.web.exchange(&self.oauth, code).await?;
        let token = Some(tokens.access.expose().as_str());
        let user: User = self.web.get(&format!("{}/user", self.api), token).await?;
        let emails: Vec<Email> = self.web.get(&format!("{}/user/emails", self.api), token).await?;
        let email = emails.iter().find(|email| email.primary).or(emails.first());
        let profile = Profile {
            issuer: self.issuer.clone(),
            subject: user.id.to_string(),
            email: email.map(|email| email.email.clone()),
            email_verified: email.is_some_and(|email| email.verified),
            name: user.name.or_else(|| user.login.clone()),
            user_name: user.login,
            avatar_url: user.avatar_url,
        };
        Ok((profile, tokens))
    }
}
