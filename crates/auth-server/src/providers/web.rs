//! What all providers share: the authorization code flow of RFC 6749, and calls that answer JSON.

use std::time::Duration;

use base::http::{client, read_body, tls_config};
use base::secret::Secret;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, RedirectUrl, Scope, TokenResponse, TokenUrl,
};
use serde::de::DeserializeOwned;
use url::Url;

use super::ProviderTokens;
use crate::settings::Client;

pub(super) type OAuthClient =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

const ANSWER_LIMIT: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(8);
const USER_AGENT: &str = "supabase-bff";

/// Why a provider did not say who it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("it did not accept the code")]
    Code,
    #[error("it could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered what cannot be read")]
    Answer,
    #[error("its discovery document names another issuer, or endpoints without TLS")]
    Discovery,
}

/// The client of the code flow.
pub(super) fn oauth_client(
    client: &Client,
    authorize: String,
    token: String,
    redirect_uri: &str,
) -> Result<OAuthClient, url::ParseError> {
    Ok(BasicClient::new(ClientId::new(client.id.clone()))
        .set_client_secret(ClientSecret::new(client.secret.expose().clone()))
        .set_auth_type(AuthType::RequestBody)
        .set_auth_uri(AuthUrl::new(authorize)?)
        .set_token_uri(TokenUrl::new(token)?)
        .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned())?))
}

/// Where the person is asked. `own` scopes come first.
pub(super) fn authorize_url(
    oauth: &OAuthClient,
    own: &[&str],
    state: &str,
    scopes: &[String],
    extra: &[(String, String)],
) -> Url {
    let state = state.to_owned();
    let mut request = oauth.authorize_url(move || CsrfToken::new(state));
    request = request.add_scopes(own.iter().map(|scope| Scope::new((*scope).to_owned())));
    request = request.add_scopes(scopes.iter().cloned().map(Scope::new));
    for (name, value) in extra {
        request = request.add_extra_param(name.clone(), value.clone());
    }
    request.url().0
}

/// Calls to a provider, with limits to time and size.
#[derive(Debug)]
pub(super) struct Web(reqwest::Client);

impl Web {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        client(tls_config(), TIMEOUT).map(Self)
    }

    /// Trades a code for tokens.
    pub(super) async fn exchange(&self, oauth: &OAuthClient, code: &str) -> Result<ProviderTokens, Failure> {
        let http = self.0.clone();
        let ask = move |request: HttpRequest| send(http.clone(), request);
        let code = AuthorizationCode::new(code.to_owned());
        let token = oauth.exchange_code(code).request_async(&ask).await.map_err(|_| Failure::Code)?;
        let secret = |text: &String| Secret::new(text.clone());
        Ok(ProviderTokens {
            access: secret(token.access_token().secret()),
            refresh: token.refresh_token().map(|refresh| secret(refresh.secret())),
        })
    }

    /// Reads JSON, with a bearer if there is one.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
        token: Option<&str>,
    ) -> Result<T, Failure> {
        let mut request =
            self.0.get(url).header("accept", "application/json").header("user-agent", USER_AGENT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
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
