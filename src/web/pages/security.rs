//! `/auth/account/security` and `/auth/account/sessions`: where a person is signed in, and the end of it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{account, identities, logout, problem};
use crate::flow::apps_of;
use crate::session::{self, Current, Device, Factor, SignOut};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params, Segment};
use crate::web::forms::{Lock, Notice};
use crate::web::proof;
use crate::web::views::{
    AppRow, DeviceName, DeviceRow, FormProblem, Provider, SecurityNotice, SecurityPage, Since,
};
use crate::web::visit::{Face, Visit, see_other};

/// Where the page is.
pub(super) const PATH: &str = "/auth/account/security";
/// Where to sign in for it.
pub(super) const LOGIN: &str = "/auth/login?return_to=%2Fauth%2Faccount%2Fsecurity";

/// The form of one device has no field but its token.
#[derive(Deserialize)]
pub(crate) struct EndForm {}

impl Fields for EndForm {
    const PURPOSE: &'static str = "sessions";
}

/// `GET /auth/account/security`. With `connect` it leads on to the page that links that provider: a new proof was asked
/// for on the way there.
#[tracing::instrument(name = "security.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let current = proof::complete(&visit).await?;
    if let Some(provider) = params.get("connect") {
        let provider: String = url::form_urlencoded::byte_serialize(provider.as_bytes()).collect();
        return Ok(see_other(&format!("/auth/start/{provider}?intent=link")));
    }
    page(&visit, StatusCode::OK, &current, None).await
}

/// `GET /auth/account/sessions`: the list as JSON; people go on to the page.
#[tracing::instrument(name = "sessions.show", skip_all)]
pub(crate) async fn list(visit: Visit) -> Result<Response, Error> {
    there_is_a_list(&visit)?;
    if visit.face() == Face::Page {
        return Ok(see_other(PATH));
    }
    let current = proof::complete(&visit).await?;
    let devices = visit.app().sessions.devices(&current.session).await?;
    let sessions = devices.iter().map(Described::from).collect();
    Ok(visit.json(StatusCode::OK, &List { status: "ok", sessions }))
}

/// `DELETE /auth/account/sessions/{id}`: 204.
#[tracing::instrument(name = "sessions.delete", skip_all)]
pub(crate) async fn delete(visit: Visit, Segment(id): Segment) -> Result<Response, Error> {
    Ok(match end(&visit, &id).await? {
        Ended::This(response) => response,
        Ended::Other(_) => StatusCode::NO_CONTENT.into_response(),
        Ended::None => return Err(Code::NotFound.into()),
    })
}

/// `POST /auth/account/sessions/{id}/delete`: the same by a form.
#[tracing::instrument(name = "sessions.submit", skip_all)]
pub(crate) async fn submit(
    visit: Visit,
    Segment(id): Segment,
    input: Input<EndForm>,
) -> Result<Response, Error> {
    if !input.form {
        return delete(visit, Segment(id)).await;
    }
    there_is_a_list(&visit)?;
    if input.lock != Lock::Fits {
        let current = proof::complete(&visit).await?;
        let problem = problem::of_lock(input.lock, &visit);
        return page(&visit, StatusCode::FORBIDDEN, &current, problem).await;
    }
    Ok(match end(&visit, &id).await {
        Ok(Ended::This(_)) => see_other("/auth/login"),
        Ok(Ended::Other(browser)) => visit.redirect_with_notice(PATH, "device-ended", &browser),
        Ok(Ended::None) => see_other(PATH), // pressed twice: the list tells that it is gone
        Err(error) if error.code == Code::StepUp => proof::ask(&visit, PATH),
        Err(error) => return Err(error),
    })
}

/// What came of the wish to end a session.
enum Ended {
    /// The one that asked: it is signed out, and so says this answer.
    This(Response),
    /// Another one, in this browser.
    Other(String),
    /// There is none of this name.
    None,
}

async fn end(visit: &Visit, id: &str) -> Result<Ended, Error> {
    there_is_a_list(visit)?;
    let sessions = &visit.app().sessions;
    let current = proof::complete(visit).await?;
    if sessions.public_id(&current.session) == id {
        let had = sessions.sign_out(visit.slot(), SignOut::Local).await?;
        return Ok(Ended::This(logout::gone(visit, StatusCode::NO_CONTENT.into_response(), had)));
    }
    proof::fresh(visit, &current).await?;
    Ok(sessions.end_device(&current.session, id).await?.map_or(Ended::None, Ended::Other))
}

/// In cookie mode nobody knows of other sessions: there is no such path.
fn there_is_a_list(visit: &Visit) -> Result<(), Error> {
    if visit.app().sessions.lists_devices() { Ok(()) } else { Err(Code::NotFound.into()) }
}

#[derive(Serialize)]
struct List<'a> {
    status: &'static str,
    sessions: Vec<Described<'a>>,
}

/// One session as JSON shows it.
#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    current: bool,
    device: Option<&'a str>,
    aal: u8,
    created_at: String,
    last_seen_at: String,
}

impl<'a> From<&'a Device> for Described<'a> {
    fn from(device: &'a Device) -> Self {
        let stamp = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        Self {
            id: &device.id,
            current: device.current,
            device: Some(device.browser.as_str()).filter(|browser| !browser.is_empty()),
            aal: device.aal,
            created_at: stamp(device.created_at),
            last_seen_at: stamp(device.last_seen),
        }
    }
}

async fn page(
    visit: &Visit,
    status: StatusCode,
    current: &Current,
    problem: Option<FormProblem<'_>>,
) -> Result<Response, Error> {
    let app = visit.app();
    let now = app.clock.now();
    let devices = app.sessions.devices(&current.session).await?;
    let row = |device| row(device, now);
    let rows: Vec<_> = devices.iter().map(row).collect();
    let left = visit.take_notice();
    let connected = left.as_ref().filter(|notice| notice.key == "identity-connected");
    let connected = connected.and_then(|notice| account::for_person(notice, current.session.user_id));
    if connected.is_some() {
        account::caught_up(visit).await?;
    }
    let notice = match (&left, connected) {
        (_, Some(name)) => Some(SecurityNotice::IdentityConnected { provider: Provider::named(name).name }),
        (Some(notice), None) => notice_of(notice),
        (None, None) => None,
    };
    let current = proof::complete(visit).await?;
    let person = match app.sessions.person(visit.slot(), &current).await {
        Ok(person) => Some(person),
        Err(ended @ session::Error::Ended(_)) => return Err(ended.into()),
        Err(_) => None, // the rest of the page needs nobody
    };
    let offered = app.flows.offer().await.providers;
    let ways = person.as_ref().map(|person| identities::ways(visit, &person.identities, &offered));
    let added = |app: &Factor| app.created_at.map(|at| Since { at, now });
    let apps: Option<Vec<_>> = person.as_ref().map(|person| {
        apps_of(person).map(|app| AppRow { id: app.id, name: &app.name, added: added(app) }).collect()
    });
    let (sessions, logout) = (visit.form_token("sessions"), visit.form_token("logout"));
    let home = app.flows.targets().default();
    let view = SecurityPage {
        form_token: &sessions,
        logout_token: &logout,
        apps: apps.as_deref(),
        devices: app.sessions.lists_devices().then_some(&*rows),
        ways: ways.as_deref(),
        home: home.as_str(),
        notice,
        problem,
    };
    Ok(visit.page(status, &view))
}

fn notice_of(notice: &Notice) -> Option<SecurityNotice<'_>> {
    let provider = Provider::named(&notice.value).name;
    Some(match notice.key.as_str() {
        "enrol-done" => SecurityNotice::AppAdded,
        "factor-removed" => SecurityNotice::AppRemoved { name: &notice.value },
        "device-ended" => SecurityNotice::DeviceEnded { device: DeviceName::of(&notice.value) },
        "device-others-ended" => SecurityNotice::OthersEnded,
        "identity-removed" => SecurityNotice::IdentityRemoved { provider },
        "identity-denied" => SecurityNotice::IdentityDenied { provider },
        "identity-failed" => SecurityNotice::IdentityFailed { provider },
        "error-identity_taken" => SecurityNotice::IdentityTaken { provider },
        _ => return None,
    })
}

fn row(device: &Device, now: OffsetDateTime) -> DeviceRow<'_> {
    DeviceRow {
        id: &device.id,
        name: DeviceName::of(&device.browser),
        current: device.current,
        two_steps: device.aal > 1,
        first: Since { at: device.created_at, now },
        last: Since { at: device.last_seen, now },
    }
}
