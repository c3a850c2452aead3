//! `/pretend/{provider}`: asks who signs in, and believes it. Nothing leaves the machine.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::page;
use super::templates::{BouncePage, ChooserPage, Frame, Person};
use crate::App;
use crate::db::flows::{self, Flow};
use crate::db::users;
use crate::error::{Answer, ApiError};
use crate::http::{Form, Params};
use crate::one_time::see_other;
use crate::providers::Profile;
use crate::redirect::with_query;
use crate::token::{digest_of, present};

/// How many people are offered as buttons.
const OFFERED: u32 = 5;

#[derive(Deserialize)]
pub(crate) struct ChooserQuery {
    state: Option<String>,
}

/// What the page sends.
#[derive(Deserialize)]
pub(crate) struct Choice {
    state: Option<String>,
    email: Option<String>,
    name: Option<String>,
    /// The checkbox: there if ticked.
    verified: Option<String>,
    /// A button: the address of somebody who signed in before.
    person: Option<String>,
    /// A button: no.
    deny: Option<String>,
}

/// What a code of a pretend provider says, sealed so that only this server can write it.
#[derive(Serialize, Deserialize)]
struct Told {
    email: String,
    name: Option<String>,
    verified: bool,
}

/// `GET /pretend/{provider}`
#[tracing::instrument(name = "pretend", skip_all)]
pub(crate) async fn chooser(
    State(app): State<App>,
    Path(provider): Path<String>,
    Params(query): Params<ChooserQuery>,
) -> Answer<Response> {
    let (name, issuer) = pretend(&app, &provider)?;
    let Some(flow) = waiting(&app, name, query.state.as_deref()).await? else {
        return Ok(see_other(&callback(&app, &[("state", query.state.as_deref().unwrap_or_default())])));
    };
    let view = view(&app, name, issuer, flow.id).await?;
    page(&app, StatusCode::OK, &view)
}

/// `POST /pretend/{provider}`: answers with a page that leads to the callback.
#[tracing::instrument(name = "pretend.choose", skip_all)]
pub(crate) async fn choose(
    State(app): State<App>,
    Path(provider): Path<String>,
    Form(choice): Form<Choice>,
) -> Answer<Response> {
    let (name, issuer) = pretend(&app, &provider)?;
    let Some(flow) = waiting(&app, name, choice.state.as_deref()).await? else {
        let target = callback(&app, &[("state", choice.state.as_deref().unwrap_or_default())]);
        return page(&app, StatusCode::OK, &BouncePage { frame: Frame::new(&app), target });
    };
    let state = flow.id.to_string();
    let mut pairs = vec![("state", state.as_str())];
    let code;
    if choice.deny.is_some() {
        pairs.extend([("error", "access_denied"), ("error_description", "The person refused")]);
    } else {
        let known = match &choice.person {
            Some(email) => told_before(&app, issuer, email).await?,
            None => None,
        };
        let Some(told) = known.or_else(|| told_now(&choice)) else {
            let mut view = view(&app, name, issuer, flow.id).await?;
            view.email = choice.email.unwrap_or_default();
            view.name = choice.name.unwrap_or_default();
            view.email_invalid = true;
            return page(&app, StatusCode::UNPROCESSABLE_ENTITY, &view);
        };
        let told = serde_json::to_vec(&told).map_err(ApiError::internal)?;
        code = app.pretend_codes.seal(&[&state], &told, &*app.entropy);
        pairs.push(("code", code.as_str()));
    }
    let target = callback(&app, &pairs);
    page(&app, StatusCode::OK, &BouncePage { frame: Frame::new(&app), target })
}

/// The profile that a code of this flow stands for.
pub(crate) fn read_pretend_code(app: &App, flow: &Flow, code: &str) -> Option<Profile> {
    let (name, issuer) = app.providers.pretend(&flow.provider)?;
    let opened = app.pretend_codes.open(&[&flow.id.to_string()], code).ok()?;
    let told: Told = serde_json::from_slice(&opened.plain).ok()?;
    let user_name = told.email.split('@').next().unwrap_or_default().to_owned();
    Some(Profile {
        issuer: issuer.to_owned(),
        subject: digest_of(&format!("{name}:{}", told.email))[..20].to_owned(),
        name: told.name.or_else(|| Some(user_name.clone())),
        user_name: Some(user_name),
        avatar_url: None,
        email_verified: told.verified,
        email: Some(told.email),
    })
}

fn pretend<'a>(app: &'a App, provider: &str) -> Answer<(&'static str, &'a str)> {
    let unknown =
        || ApiError::new(StatusCode::NOT_FOUND, "validation_failed", "There is no such pretend provider");
    app.providers.pretend(provider).ok_or_else(unknown)
}

/// The flow that waits for this provider's answer.
async fn waiting(app: &App, provider: &'static str, state: Option<&str>) -> Answer<Option<Flow>> {
    let Some(id) = state.and_then(|state| Uuid::parse_str(state).ok()) else { return Ok(None) };
    let flow = app.db.read(move |db| Ok::<_, ApiError>(flows::find(db, id)?)).await?;
    let now = app.clock.now();
    Ok(flow.filter(|flow| flow.provider == provider && flow.returned_at.is_none() && !flow.is_over(now)))
}

async fn view(app: &App, name: &'static str, issuer: &str, state: Uuid) -> Answer<ChooserPage> {
    let issuer = issuer.to_owned();
    let known = app.db.read(move |db| Ok::<_, ApiError>(users::known_at(db, &issuer, OFFERED)?)).await?;
    let people = known.into_iter().filter_map(|identity| {
        let name = identity.data.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
        identity.email.map(|email| Person { email, name })
    });
    Ok(ChooserPage {
        frame: Frame::new(app),
        provider: if name == "google" { "Google" } else { "GitHub" },
        state: state.to_string(),
        people: people.collect(),
        email: String::new(),
        name: String::new(),
        email_invalid: false,
    })
}

/// What somebody said about themselves the last time.
async fn told_before(app: &App, issuer: &str, email: &str) -> Answer<Option<Told>> {
    let (issuer, email) = (issuer.to_owned(), email.to_owned());
    let known = app.db.read(move |db| Ok::<_, ApiError>(users::known_at(db, &issuer, OFFERED)?)).await?;
    let found = known.into_iter().find(|identity| identity.email.as_ref() == Some(&email));
    Ok(found.map(|identity| Told {
        name: identity.data.get("name").and_then(|name| name.as_str()).map(str::to_owned),
        verified: identity.data.get("email_verified").and_then(serde_json::Value::as_bool).unwrap_or(false),
        email,
    }))
}

fn told_now(choice: &Choice) -> Option<Told> {
    let email = crate::email::normalise(choice.email.as_deref()?)?;
    let name = present(choice.name.clone()).map(|name| name.chars().take(100).collect());
    Some(Told { email, name, verified: choice.verified.is_some() })
}

fn callback(app: &App, pairs: &[(&str, &str)]) -> String {
    with_query(&format!("{}/callback", app.issuer), pairs)
}
