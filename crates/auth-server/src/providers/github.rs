//! GitHub: the authorization code flow of RFC 6749, then two calls that say who it was.

use std::time::Duration;

use base::http::{client, read_body, tls_config};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, RedirectUrl, Scope, TokenResponse, TokenUrl,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Profile;
use crate::settings::Client;

type OAuthClient = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

const ANSWER_LIMIT: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(8);
const USER_AGENT: &str = "supabase-bff";

/// A GitHub that is asked for real.
#[derive(Debug)]
pub(crate) struct GitHub {
    oauth: OAuthClient,
    http: reqwest::Client,
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

/// Why GitHub did not say who it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("GitHub did not accept the code")]
    Code,
    #[error("GitHub could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("GitHub answered what cannot be read")]
    Answer,
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
        let oauth = BasicClient::new(ClientId::new(client_at.id.clone()))
            .set_client_secret(ClientSecret::new(client_at.secret.expose().clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(format!("{base}/login/oauth/authorize"))?)
            .set_token_uri(TokenUrl::new(format!("{base}/login/oauth/access_token"))?)
            .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned())?);
        Ok(Self { oauth, http: client(tls_config(), TIMEOUT)?, api, issuer })
    }

    pub(crate) fn authorize_url(&self, state: &str, scopes: &[String], extra: &[(String, String)]) -> Url {
        let state = state.to_owned();
        let mut request = self.oauth.authorize_url(move || CsrfToken::new(state));
        request = request.add_scope(Scope::new("user:email".to_owned()));
        request = request.add_scopes(scopes.iter().cloned().map(Scope::new));
        for (name, value) in extra {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        request.url().0
    }

    /// Trades the code for a token, and the token for a profile.
    pub(crate) async fn profile(&self, code: &str) -> Result<(Profile, String), Failure> {
        let http = self.http.clone();
        let ask = move |request: HttpRequest| send(http.clone(), request);
        let code = AuthorizationCode::new(code.to_owned());
        let token = self.oauth.exchange_code(code).request_async(&ask).await.map_err(|_| Failure::Code)?;
        let token = token.access_token().secret();
        let user: User = self.get("user", token).await?;
        let emails: Vec<Email> = self.get("user/emails", token).await?;
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
        Ok((profile, token.clone()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, Failure> {
        let request = self
            .http
            .get(format!("{}/{path}", self.api))
            .bearer_auth(token)
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT);
        let response = request.send().await.map_err(|error| Failure::Unreachable(error.without_url()))?;
        if !response.status().is_success() {
            return Err(Failure::Answer);
        }
        let body = read_body(response, ANSWER_LIMIT).await.map_err(|_| Failure::Answer)?;
        serde_json::from_slice(&body).map_err(|_| Failure::Answer)
    }
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let mut request = reqwest::Request::try_from(request).map_err(|_| Failure::Answer)?;
    request.headers_mut().insert("user-agent", axum::http::HeaderValue::from_static(USER_AGENT));
    let response = http.execute(request).await.map_err(|error| Failure::Unreachable(error.without_url()))?;
    let mut answer = HttpResponse::new(Vec::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    *answer.body_mut() = read_body(response, ANSWER_LIMIT).await.map_err(|_| Failure::Answer)?.to_vec();
    Ok(answer)
}
