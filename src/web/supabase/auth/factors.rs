//! `/factors`: authenticator apps, as auth-js enrolls, challenges and proves them.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{answer, asking};
use crate::flow::AppCode;
use crate::session::{Current, Factor, Limited};
use crate::web::error::{Code, Error};
use crate::web::extract::{Json, Segment};
use crate::web::qr;
use crate::web::visit::Visit;

/// How long a challenge may be answered, as at GoTrue.
const CHALLENGE: Duration = Duration::minutes(5);

#[derive(Deserialize)]
struct Enroll {
    factor_type: String,
    #[serde(default)]
    friendly_name: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
}

/// `POST /factors`. A session that lacks its code cannot have another app.
#[tracing::instrument(name = "supabase.factors.enroll", skip_all)]
pub(in crate::web::supabase) async fn enroll(
    visit: Visit,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let current = person(&visit, &headers).await?;
    let Json(form) = Json::<Enroll>::from_request(request, &()).await?;
    if form.factor_type != "totp" {
        return Err(Code::FeatureDisabled.into()); // phone, webauthn
    }
    if current.session.limited.is_some() || current.session.next_aal > current.claims.aal {
        return Err(Error::from(Code::SessionLimited).told(403, "insufficient_aal"));
    }
    let issuer = form.issuer.as_deref().filter(|issuer| !issuer.is_empty()).unwrap_or(visit.host());
    let issuer: String = issuer.chars().filter(|c| *c != ':' && !c.is_control()).take(64).collect();
    let name = form.friendly_name.as_deref().unwrap_or_default();
    let (flows, slot) = (&visit.app().flows, visit.slot());
    let enrolled = flows.enroll(name, &issuer, &current, slot, visit.client()).await?;
    let picture = qr::svg(enrolled.uri.expose()).ok_or(Code::Internal)?;
    let totp =
        json!({ "qr_code": picture, "secret": enrolled.secret.expose(), "uri": enrolled.uri.expose() });
    let body = json!({ "id": enrolled.id, "type": "totp", "friendly_name": name, "totp": totp });
    Ok(visit.json(StatusCode::OK, &body))
}

/// `POST /factors/{id}/challenge`. GoTrue opens one when the code is there, since it wants both from the same address within
/// a short time; ours names the factor, the session and the moment, so that an old one is refused all the same (S-82).
#[tracing::instrument(name = "supabase.factors.challenge", skip_all)]
pub(in crate::web::supabase) async fn challenge(
    visit: Visit,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let current = person(&visit, &headers).await?;
    let factor = factor(&visit, &current, &id).await?;
    let opened = visit.app().clock.now();
    let body = json!({
        "id": visit.app().flows.open_challenge(&current.session, factor.id, opened),
        "type": factor.kind,
        "expires_at": (opened + CHALLENGE).unix_timestamp(),
    });
    Ok(visit.json(StatusCode::OK, &body))
}

#[derive(Deserialize)]
struct Verify {
    challenge_id: Uuid,
    code: String,
}

/// `POST /factors/{id}/verify`: the session rises; the first code of an app turns it on and ends the person's other
/// sessions (S-45).
#[tracing::instrument(name = "supabase.factors.verify", skip_all)]
pub(in crate::web::supabase) async fn verify(
    visit: Visit,
    Segment(id): Segment,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let (app, slot) = (visit.app(), visit.slot());
    let current = person(&visit, &headers).await?;
    let Json(form) = Json::<Verify>::from_request(request, &()).await?;
    let factor = factor(&visit, &current, &id).await?;
    let Some(opened) = app.flows.opened_at(&current.session, factor.id, form.challenge_id) else {
        return Err(Error::from(Code::CodeWrong).told(422, "mfa_factor_not_found"));
    };
    let age = app.clock.now() - opened;
    if age > CHALLENGE || age < -Duration::MINUTE {
        return Err(Error::from(Code::CodeWrong).told(422, "mfa_challenge_expired"));
    }
    let raised = if factor.verified {
        let code = AppCode { factor: Some(factor.id), code: &form.code };
        app.flows.prove(&code, &current, slot, visit.client()).await
    } else {
        app.flows.confirm_app(factor.id, &form.code, &current, slot, visit.client()).await
    };
    let raised = raised.map_err(|failure| {
        let error = Error::from(failure);
        match error.code {
            Code::CodeWrong | Code::BadRequest => error.told(422, "mfa_verification_failed"),
            _ => error,
        }
    })?;
    answer::session(&visit, &raised).await
}

/// `DELETE /factors/{id}`
#[tracing::instrument(name = "supabase.factors.delete", skip_all)]
pub(in crate::web::supabase) async fn delete(
    visit: Visit,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let current = person(&visit, &headers).await?;
    let factor = factor(&visit, &current, &id).await?;
    if factor.verified && current.claims.aal < 2 {
        return Err(Error::from(Code::StepUp).told(422, "insufficient_aal"));
    }
    visit.app().flows.remove_app(factor.id, &current, visit.slot(), visit.client()).await?;
    Ok(visit.json(StatusCode::OK, &json!({ "id": factor.id })))
}

/// The session of somebody who may have factors. One that lacks its code is here to bring it; a recovery brings its new
/// password first, except for the code itself (S-32).
async fn person(visit: &Visit, headers: &HeaderMap) -> Result<Current, Error> {
    let current = asking(visit, headers).await?;
    if current.claims.is_anonymous {
        return Err(Code::AnonymousNotAllowed.into());
    }
    match current.session.limited {
        Some(Limited::Recovery) => Err(Code::SessionLimited.into()),
        _ => Ok(current),
    }
}

/// The person's own factor of that name; another's is answered alike (S-102).
async fn factor(visit: &Visit, current: &Current, id: &str) -> Result<Factor, Error> {
    let id = Uuid::try_parse(id).map_err(|_| Code::FactorUnknown)?;
    Ok(visit.app().flows.app(id, current, visit.slot()).await?)
}
