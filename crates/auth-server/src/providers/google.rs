//! Google, or another provider that speaks OpenID Connect: its endpoints come from its discovery document, and who it
//! was from its user info endpoint (OpenID Connect Core, section 5.3).

use std::sync::OnceLock;

use serde::Deserialize;
use url::Url;

use super::web::{self, Failure, OAuthClient, Web};
use super::{Profile, ProviderTokens};
use crate::settings::Client;

const ISSUER: &str = "https://accounts.google.com";

/// A Google that is asked for real.
#[derive(Debug)]
pub(crate) struct Google {
    client: Client,
    /// Without a slash at its end.
    issuer: String,
    redirect_uri: String,
    web: Web,
    /// Once the provider was asked for the first time.
    endpoints: OnceLock<Endpoints>,
}

#[derive(Debug)]
struct Endpoints {
    oauth: OAuthClient,
    user_info: String,
}

/// OpenID Connect Discovery, section 3.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    userinfo_endpoint: Url,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    name: Option<String>,
    picture: Option<String>,
}

impl Google {
    /// accounts.google.com, unless `issuer` names another one. Nothing is asked yet.
    pub(crate) fn new(
        client: &Client,
        issuer: Option<&Url>,
        redirect_uri: String,
    ) -> Result<Self, reqwest::Error> {
        let issuer = issuer.map_or(ISSUER, Url::as_str).trim_end_matches('/').to_owned();
        let (client, endpoints) = (client.clone(), OnceLock::new());
        Ok(Self { client, issuer, redirect_uri, web: Web::new()?, endpoints })
    }

    pub(crate) async fn authorize_url(
        &self,
        state: &str,
        scopes: &[String],
        extra: &[(String, String)],
    ) -> Result<Url, Failure> {
        let oauth = &self.endpoints().await?.oauth;
        Ok(web::authorize_url(oauth, &["openid", "email", "profile"], state, scopes, extra))
    }

    /// Trades the code for a token, and the token for a profile.
    pub(crate) async fn profile(&self, code: &str) -> Result<(Profile, ProviderTokens), Failure> {
        let endpoints = self.endpoints().await?;
        let tokens = self.web.exchange(&endpoints.oauth, code).await?;
        let info: UserInfo = self.web.get(&endpoints.user_info, Some(tokens.access.expose())).await?;
        if info.sub.is_empty() {
            return Err(Failure::Answer);
        }
        let profile = Profile {
            issuer: self.issuer.clone(),
            subject: info.sub,
            email: info.email,
            email_verified: info.email_verified,
            name: info.name,
            user_name: None,
            avatar_url: info.picture,
        };
        Ok((profile, tokens))
    }

    /// What the discovery document says. A failure is not remembered; of two first calls either may be.
    async fn endpoints(&self) -> Result<&Endpoints, Failure> {
        if let Some(known) = self.endpoints.get() {
            return Ok(known);
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer);
        let document: Document = self.web.get(&url, None).await?;
        let found = self.accept(document).ok_or(Failure::Discovery)?;
        Ok(self.endpoints.get_or_init(|| found))
    }

    fn accept(&self, document: Document) -> Option<Endpoints> {
        let Document { issuer, authorization_endpoint, token_endpoint, userinfo_endpoint } = document;
        let safe =
            |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && base::http::is_loopback(url));
        let all = [&authorization_endpoint, &token_endpoint, &userinfo_endpoint];
        if issuer.trim_end_matches('/') != self.issuer || !all.into_iter().all(safe) {
            return None;
        }
        let (authorize, token) = (authorization_endpoint.into(), token_endpoint.into());
        let oauth = web::oauth_client(&self.client, authorize, token, &self.redirect_uri).ok()?;
        Some(Endpoints { oauth, user_info: userinfo_endpoint.into() })
    }
}
