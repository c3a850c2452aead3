//! `GET /authorize` and `/callback`: to a provider and back (contract, sections 2.5 and 2.6).

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use serde::Deserialize;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::App;
use crate::db::flows::{self, Flow};
use crate::db::sessions::Session;
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Caller, Form, Params};
use crate::identities::{self, Drawn, Matched, needs_verification};
use crate::mail::MailKind;
use crate::mailing::Mailing;
use crate::one_time::{redirect, see_other, tokens_in_fragment};
use crate::pkce::Challenge;
use crate::providers::{Profile, Provider, ProviderTokens};
use crate::redirect::{with_fragment, with_query};
use crate::token::{self, Extra, begin_session, digest_of, present};

/// Names that never reach the provider as the caller wrote them: those of OAuth itself, and ours.
const OWN_PARAMETERS: &[&str] = &[
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "provider",
    "scopes",
    "redirect_to",
    "invite_token",
    "skip_http_redirect",
];

/// `GET /authorize`: errors are JSON, since there is no checked target yet.
#[tracing::instrument(name = "authorize", skip_all)]
pub(crate) async fn begin(State(app): State<App>, RawQuery(query): RawQuery) -> Answer<Response> {
    let (url, _) = start(&app, query, None).await?;
    Ok(redirect(StatusCode::FOUND, url.as_str()))
}

/// `GET /user/identities/authorize`: as [`begin`], to link what the provider says to the caller's account.
#[tracing::instrument(name = "identity.link", skip_all)]
pub(crate) async fn begin_linking(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Response> {
    identities::must_be_on(&app)?;
    let (url, as_json) = start(&app, query, Some(caller.user.id)).await?;
    if as_json {
        return Ok(axum::Json(json!({"url": url})).into_response());
    }
    Ok(redirect(StatusCode::FOUND, url.as_str()))
}

/// Stores a flow and says where the provider is asked; the second value is `skip_http_redirect`.
async fn start(app: &App, query: Option<String>, linking: Option<Uuid>) -> Answer<(Url, bool)> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let one = |name: &str| {
        let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            _ => Err(ApiError::invalid(format!("The parameter {name} may be there once only"))),
        }
    };
    let unsupported = || ApiError::invalid("Unsupported provider: provider is not enabled");
    let name = one("provider")?.ok_or_else(unsupported)?.to_lowercase();
    let provider = app.providers.get(&name).ok_or_else(unsupported)?;
    let challenge = Challenge::read(one("code_challenge")?, one("code_challenge_method")?)?;
    let scopes: Vec<String> = one("scopes")?
        .map(|scopes| scopes.split([',', ' ']).filter(|s| !s.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    let is_own = |name: &str| OWN_PARAMETERS.iter().any(|own| own.eq_ignore_ascii_case(name));
    let extra: Vec<_> = pairs.iter().filter(|(name, _)| !is_own(name)).cloned().collect();

    let as_json = one("skip_http_redirect")? == Some("true");
    let now = app.clock.now();
    let flow = Flow {
        id: app.entropy.uuid(),
        provider: name,
        method: "oauth".to_owned(),
        challenge: challenge.map(|challenge| challenge.0),
        redirect_to: app.redirects.choose(one("redirect_to")?),
        user: None,
        linking,
        provider_token: None,
        created_at: now,
        returned_at: None,
        code_issued_at: None,
    };
    let url = provider.authorize_url(&app.issuer, &flow.id.to_string(), &scopes, &extra).await;
    let url = url.map_err(|error| ApiError::internal(format_args!("provider: {error}")))?;
    app.db.write(move |db| Ok::<_, ApiError>(flows::insert(db, &flow, now)?)).await?;
    Ok((url, as_json))
}

#[derive(Deserialize)]
pub(crate) struct CallbackQuery {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /callback`
#[tracing::instrument(name = "callback", skip_all)]
pub(crate) async fn back(State(app): State<App>, Params(query): Params<CallbackQuery>) -> Answer<Response> {
    returned(&app, query).await
}

/// `POST /callback`: for providers that answer with a form.
#[tracing::instrument(name = "callback.form", skip_all)]
pub(crate) async fn back_by_form(
    State(app): State<App>,
    Form(form): Form<CallbackQuery>,
) -> Answer<Response> {
    returned(&app, form).await
}

async fn returned(app: &App, query: CallbackQuery) -> Answer<Response> {
    let bad_request = |code, text: &'static str| ApiError::new(StatusCode::BAD_REQUEST, code, text);
    let Some(state) = present(query.state) else {
        return Ok(to_site(app, &bad_request("bad_oauth_callback", "OAuth state parameter missing")));
    };
    let now = app.clock.now();
    let flow = match Uuid::parse_str(&state) {
        Ok(id) => app
            .db
            .write(move |db| match flows::take_back(db, id, now)? {
                Some(flow) => Ok(Some(flow)),
                None => match flows::find(db, id)? {
                    Some(flow) if flow.returned_at.is_some() && flow.challenge.is_some() => {
                        Err(bad_request("flow_state_already_used", "OAuth state was used before"))
                    }
                    _ => Ok(None),
                },
            })
            .await
            .and_then(|flow| flow.ok_or_else(|| bad_request("bad_oauth_state", "OAuth state is invalid"))),
        Err(_) => Err(bad_request("bad_oauth_state", "OAuth state is invalid")),
    };
    let flow = match flow {
        Ok(flow) => flow,
        Err(error) if error.status() == StatusCode::INTERNAL_SERVER_ERROR => return Err(error),
        Err(error) => return Ok(to_site(app, &error)),
    };
    if let Some(error) = present(query.error) {
        return Ok(provider_said_no(&flow.redirect_to, &error, query.error_description.as_deref()));
    }
    let target = flow.redirect_to.clone();
    let done = match present(query.code) {
        Some(code) => finish(app, flow, &code).await,
        None => Err(bad_request("bad_oauth_callback", "OAuth callback with missing authorization code")),
    };
    Ok(done.unwrap_or_else(|error| failed(&target, &error)))
}

/// What the last transaction of a round trip leaves behind.
enum Done {
    Code,
    Session(Box<User>, Session),
    Unconfirmed { email: String, mail: bool },
}

async fn finish(app: &App, flow: Flow, code: &str) -> Answer<Response> {
    let (profile, provider_tokens) = profile(app, &flow, code).await?;
    let now = app.clock.now();
    let mailing = Mailing::draw(app, MailKind::Signup, None, flow.redirect_to.clone());
    let drawn = Drawn { user: app.entropy.uuid(), identity: app.entropy.uuid(), mailing: mailing.clone() };
    let (session, own_code) = (app.draw_session(), app.entropy.uuid().to_string());
    let (context, target) = (app.clone(), flow.redirect_to.clone());
    let (code_digest, sealed) = (digest_of(&own_code), app.seal_provider_tokens(&provider_tokens));
    let done = app.db.write(move |db| {
        let matched = match flow.linking {
            Some(user) => identities::link(db, &context, user, &flow.provider, &profile, &drawn, now)?,
            None => identities::sign_in(db, &context, &flow.provider, &profile, &drawn, now)?,
        };
        let user = match matched {
            Matched::In(user) => *user,
            Matched::Unconfirmed { email, mail } => return Ok(Done::Unconfirmed { email, mail }),
        };
        if flow.challenge.is_some() {
            users::save(db, &user)?;
            flows::issue_code(db, flow.id, user.id, &code_digest, Some(&sealed), now)?;
            return Ok(Done::Code);
        }
        let (user, session) = begin_session(db, user, session, &flow.method, now)?;
        flows::delete(db, flow.id)?;
        Ok::<_, ApiError>(Done::Session(Box::new(user), session))
    });
    match done.await? {
        Done::Code => Ok(redirect(StatusCode::FOUND, &with_query(&target, &[("code", &own_code)]))),
        Done::Session(user, session) => {
            let extra = Extra { provider_tokens: Some(provider_tokens), ..Extra::default() };
            let tokens = token::tokens(app, &user, &session, extra)?;
            let mut response = redirect(StatusCode::FOUND, &tokens_in_fragment(&target, &tokens, None));
            token::name_session(app, &mut response, &session);
            Ok(response)
        }
        Done::Unconfirmed { email, mail } => {
            if mail {
                mailing.send(app, email, now);
            }
            Err(needs_verification())
        }
    }
}

async fn profile(app: &App, flow: &Flow, code: &str) -> Answer<(Profile, ProviderTokens)> {
    let failed = |cause: &dyn std::fmt::Display| ApiError::internal(format_args!("provider: {cause}"));
    match app.providers.get(&flow.provider) {
        Some(Provider::GitHub(github)) => github.profile(code).await.map_err(|error| failed(&error)),
        Some(Provider::Google(google)) => google.profile(code).await.map_err(|error| failed(&error)),
        Some(Provider::Pretend { .. }) => {
            let profile = crate::pages::read_pretend_code(app, flow, code);
            let profile = profile.ok_or_else(|| failed(&"a code that the pretend provider did not give"))?;
            let access = Secret::new(format!("pretend_{}", app.entropy.text::<16>()));
            Ok((profile, ProviderTokens { access, refresh: None }))
        }
        None => Err(failed(&"it has been switched off")),
    }
}

/// A state that leads nowhere: 303 to the site, in the query alone.
fn to_site(app: &App, error: &ApiError) -> Response {
    let word = error.redirect_word().unwrap_or("server_error");
    let pairs = [("error", word), ("error_code", error.code()), ("error_description", error.text())];
    see_other(&with_query(app.redirects.site(), &pairs))
}

/// A later failure: 302 to the wanted target, in query and fragment.
fn failed(target: &str, error: &ApiError) -> Response {
    error.log("-"); // the answer is a redirect, so nothing later sees the cause
    let forced = ["signup_disabled", "user_banned", "provider_email_needs_verification"];
    let word = if forced.contains(&error.code()) { Some("access_denied") } else { error.redirect_word() };
    let mut pairs = vec![
        ("error", word.unwrap_or("server_error")),
        ("error_code", error.code()),
        ("error_description", error.text()),
    ];
    let target = with_query(target, &pairs);
    pairs.push(("sb", ""));
    redirect(StatusCode::FOUND, &with_fragment(&target, &pairs))
}

fn provider_said_no(target: &str, error: &str, description: Option<&str>) -> Response {
    let in_query = [("error", error), ("error_description", description.unwrap_or_default())];
    let mut in_fragment = vec![("error", error)];
    in_fragment.extend(description.map(|text| ("error_description", text)));
    in_fragment.push(("sb", ""));
    let target = with_query(target, &in_query);
    redirect(StatusCode::FOUND, &with_fragment(&target, &in_fragment))
}
