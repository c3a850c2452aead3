//! `/auth/account/security` and `/auth/account/sessions`: where a person is signed in, and the end of it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{logout, problem};
use crate::session::{self, Current, Device, Factor, SignOut};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Segment};
use crate::web::forms::Lock;
use crate::web::proof;
use crate::web::views::{AppRow, DeviceName, DeviceRow, FormProblem, SecurityNotice, SecurityPage, Since};
use crate::web::visit::{Face, Visit, see_other};

/// Where the page is.
pub(super) const PATH: &str = "/auth/account/security";

/// The form of one device has no field but its token.
#[derive(Deserialize)]
pub(crate) struct EndForm {}

impl Fields for EndForm {
    const PURPOSE: &'static str = "sessions";
}

/// `GET /auth/account/security`.
#[tracing::instrument(name = "security.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    let current = proof::complete(&visit).await?;
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
    let apps = match app.flows.apps(visit.slot(), current).await {
        Ok(apps) => Some(apps),
        Err(session::Error::Unavailable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let app_row = |app: &Factor| app.created_at.map(|at| Since { at, now });
    let app_rows: Option<Vec<_>> = apps.as_ref().map(|apps| {
        apps.iter().map(|app| AppRow { id: app.id, name: &app.name, added: app_row(app) }).collect()
    });
    let notice = visit.take_notice();
    let notice = notice.as_ref().and_then(|notice| match notice.key.as_str() {
        "enrol-done" => Some(SecurityNotice::AppAdded),
        "factor-removed" => Some(SecurityNotice::AppRemoved { name: &notice.value }),
        "device-ended" => Some(SecurityNotice::DeviceEnded { device: DeviceName::of(&notice.value) }),
        "device-others-ended" => Some(SecurityNotice::OthersEnded),
        _ => None,
    });
    let (sessions, logout) = (visit.form_token("sessions"), visit.form_token("logout"));
    let home = app.flows.targets().default();
    let view = SecurityPage {
        form_token: &sessions,
        logout_token: &logout,
        apps: app_rows.as_deref(),
        devices: app.sessions.lists_devices().then_some(&*rows),
        home: home.as_str(),
        notice,
        problem,
    };
    Ok(visit.page(status, &view))
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
